package cache

// EventKind says what happened. The zero value is unknown.
type EventKind uint8

// The kinds of [Event].
const (
	EventUnknown      EventKind = iota
	EventStoreFault             // a read or write of the store failed; Err says how
	EventPoison                 // an item of the store could not be used
	EventBreaker                // a breaker went From one state To another
	EventWriteDropped           // a value did not reach the store: the queue was full, or the cache closed
	EventRejected               // the store, or the codec, cannot take this value
	EventLoadFailed             // the origin failed; Err is its error
	EventServedStale            // the origin failed and a stale value was served; Err is its error
	EventCallback               // a panic in Cost, Expires or Logger; Err is a *PanicError
)

var eventNames = [...]string{
	"unknown", "store-fault", "poison", "breaker", "write-dropped",
	"rejected", "load-failed", "served-stale", "callback",
}

func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return eventNames[0]
}

// Event is one occurrence that a result does not show. An event never
// carries a key or a value: KeyID is a digest of the key (keyed with
// KeySecret, if set), good for telling whether two events are about the
// same key.
type Event struct {
	Kind  EventKind
	Cache string // Options.Name
	Op    string // "read" or "write", where a store or a breaker is concerned
	KeyID string
	Err   error
	From  string // EventBreaker: closed, half-open, open
	To    string
}

// emit tells the hook. A panic there is contained and counted.
func (c *Cache[V]) emit(kind EventKind, op, key string, err error) {
	if c.opts.OnEvent == nil {
		return
	}
	c.tell(Event{Kind: kind, Cache: c.opts.Name, Op: op, KeyID: c.keys.id(key), Err: err})
}

func (c *Cache[V]) tell(e Event) {
	if c.opts.OnEvent == nil {
		return
	}
	if err := contain("hook", func() error { c.opts.OnEvent(e); return nil }); err != nil {
		c.n.callbackPanics.Add(1)
	}
}
