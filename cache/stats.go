package cache

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// Stats are the counters of a cache since New, and a few gauges. They are
// read one by one, so a sum over them may be off by what happened meanwhile.
type Stats struct {
	// Results by source. Their sum, with Failed and Canceled, is the
	// number of lookups that ended.
	Local  int64 `json:"local"`  // fresh in the local tier, "not found" included
	Remote int64 `json:"remote"` // fresh in the store
	Origin int64 `json:"origin"` // loaded, "not found" included
	Stale  int64 `json:"stale"`  // past its TTL, because the origin failed

	Failed    int64 `json:"failed"`    // the origin's error was returned
	Canceled  int64 `json:"canceled"`  // the caller's own context ended first
	Coalesced int64 `json:"coalesced"` // lookups that waited for a load which another had begun

	EarlyRefreshes int64 `json:"early_refreshes"` // loads that began before the TTL ended

	Loads       int64 `json:"loads"`        // calls of the loader that began
	LoadErrors  int64 `json:"load_errors"`  // keys whose load failed ("not found" is no failure)
	LoadsLate   int64 `json:"loads_late"`   // of these, given up after LoadTimeout
	LoadsQueued int64 `json:"loads_queued"` // loads that had to wait for one of the Concurrency slots
	LoadsBusy   int64 `json:"loads_busy"`   // of these, got none within LoadTimeout

	LoadsThrottled int64 `json:"loads_throttled"` // loads that were not made: the origin has failed too often just before

	Reads  StoreStats `json:"reads"`  // calls that read the store
	Writes StoreStats `json:"writes"` // calls that write it

	WritesQueued  int64         `json:"writes_queued"`  // gauge: keys waiting to be written
	Owed          int64         `json:"owed"`           // gauge: endings (log-outs, "gone", what a Set replaced) that the store is still to be told of
	Bound         time.Duration `json:"bound_ns"`       // how long an ended value can be served somewhere; see Cache.Stats
	EndingsLost   int64         `json:"endings_lost"`   // endings that it will not be told of: too many were owed, or the cache closed
	WritesDropped int64         `json:"writes_dropped"` // values that were not written: queue full, breaker open, closed
	Bulletin      BulletinStats `json:"bulletin"`       // with a BulletinStore
	TagReads      int64         `json:"tag_reads"`      // reads of the store for what became of a tag; not in Reads
	Poison        int64         `json:"poison"`         // items that could not be used
	Outdated      int64         `json:"outdated"`       // items older than what was known here, or from a clock that is wrong
	Rejected      int64         `json:"rejected"`       // values that the codec or the store could not take

	Zombies       int64 `json:"zombies"`        // gauge: calls of store, loader and callbacks that outlived their time
	HooksStuck    int64 `json:"hooks_stuck"`    // calls of OnEvent and Logger that have not returned for 50 ms, now
	EventsDropped int64 `json:"events_dropped"` // calls of them that were not made: 64 were stuck

	CallbackPanics int64 `json:"callback_panics"` // panics (and runtime.Goexit) in OnEvent, Cost, Expires, Tags, Clone, Wait or Logger, and calls of them that did not return within LoadTimeout

	Entries int64 `json:"entries"` // gauge: entries of the local tier
	Bytes   int64 `json:"bytes"`   // gauge: their cost, with MaxBytes
	Evicted int64 `json:"evicted"` // entries that made room for others
}

// StoreStats count one direction of the remote tier.
type StoreStats struct {
	Calls       int64     `json:"calls"`                  // calls that began
	Misses      int64     `json:"misses"`                 // reads that found nothing
	Faults      int64     `json:"faults"`                 // calls that failed, time-outs included
	Late        int64     `json:"late"`                   // of these, time-outs
	Skipped     int64     `json:"skipped"`                // calls not made: breaker open, too many stuck, deadline too near
	Breaker     string    `json:"breaker"`                // "closed", "half-open" or "open"; "" without a store
	LastError   string    `json:"last_error,omitempty"`   // of the last fault, kept after it is over; at most 1,000 bytes
	LastErrorAt time.Time `json:"last_error_at,omitzero"` // when that was; zero: never
	Opened      int64     `json:"opened"`                 // times that the breaker opened
}

// BulletinStats count what instances tell each other of endings.
type BulletinStats struct {
	Posted     int64 `json:"posted"`      // endings told
	PostFaults int64 `json:"post_faults"` // calls of Append that failed; what they had is told later
	Lost       int64 `json:"lost"`        // endings not told: too many waited, or the cache closed
	Looks      int64 `json:"looks"`       // times that the notes of others were read
	LookFaults int64 `json:"look_faults"` // of these, that failed
	Ended      int64 `json:"ended"`       // copies that were dropped because of a note
	Distrusted int64 `json:"distrusted"`  // times that all copies were dropped: too much was missed
}

// counters are the live form of Stats.
type counters struct {
	local striped // hits of the local tier, stale ones apart
	stale atomic.Int64

	remote, origin, failed, canceled, coalesced                                          atomic.Int64
	loads, loadErrors, loadsLate, loadsQueued, loadsBusy                                 atomic.Int64
	loadsThrottled                                                                       atomic.Int64
	writesDropped, poison, outdated, rejected, callbackPanics, hooksStuck, eventsDropped atomic.Int64
	earlyRefreshes                                                                       atomic.Int64
	reads, writes                                                                        storeCounters
	zombies                                                                              atomic.Int64 // of the loader
}

type storeCounters struct {
	calls, misses, faults, late, skipped atomic.Int64
	last                                 atomic.Pointer[lastFault]
}

// lastFault is what the last fault said.
type lastFault struct {
	text string
	at   time.Time
}

// Stats returns the counters. It is cheap enough to be scraped every second.
//
// Bound is what holds if all instances have these options and clocks are within
// half of MaxSkew: for how long a value that was ended anywhere can still be
// served by another instance. That is LoadTimeout, since a load may have been in
// progress then; plus the time for which a copy is served without a look into the
// store, LocalTTL or TTL with their jitter; with StaleIfError that and TTL, since the
// store may not be readable when the copy's time is over and the origin fails; plus
// a second for reads of the store that lag behind, since one of them can make such a
// copy; plus two if tags are used, since what the store says of a tag holds for that
// long. If endings are owed or lost, their old items are still in the store, and
// others make copies of them until they expire there.
func (c *Cache[V]) Stats() Stats {
	n := &c.n
	s := Stats{
		Local: n.local.sum(), Remote: n.remote.Load(), Origin: n.origin.Load(), Stale: n.stale.Load(),
		EarlyRefreshes: n.earlyRefreshes.Load(),
		Failed:         n.failed.Load(), Canceled: n.canceled.Load(), Coalesced: n.coalesced.Load(),
		Loads: n.loads.Load(), LoadErrors: n.loadErrors.Load(), LoadsLate: n.loadsLate.Load(),
		LoadsQueued: n.loadsQueued.Load(), LoadsBusy: n.loadsBusy.Load(), LoadsThrottled: n.loadsThrottled.Load(),
		Reads: n.reads.stats(), Writes: n.writes.stats(),
		WritesDropped: n.writesDropped.Load(), Poison: n.poison.Load(), Outdated: n.outdated.Load(),
		Rejected: n.rejected.Load(), Zombies: n.zombies.Load() + c.calls.stuck.Load(), CallbackPanics: n.callbackPanics.Load(),
		HooksStuck: n.hooksStuck.Load(), EventsDropped: n.eventsDropped.Load(),
		TagReads: c.tags.reads.Load(),
		Evicted:  c.local.evicted.Load(),
	}
	entries, bytes := c.local.size()
	s.Entries = int64(entries)
	if c.opts.MaxBytes > 0 {
		s.Bytes = bytes
	}
	if c.remote != nil {
		s.Reads.Breaker, s.Reads.Opened = c.remote.reads.state(), c.remote.reads.opened.Load()
		s.Writes.Breaker, s.Writes.Opened = c.remote.writes.state(), c.remote.writes.opened.Load()
		s.WritesQueued = int64(c.queue.len())
		s.Owed, s.EndingsLost = c.over.owedNow(), c.over.lost.Load()
		if b := c.bulletin; b != nil {
			s.Bulletin = BulletinStats{
				Posted: b.posted.Load(), PostFaults: b.postFaults.Load(), Lost: b.lost.Load(), Looks: b.looks.Load(),
				LookFaults: b.lookFaults.Load(), Ended: b.ended.Load(), Distrusted: b.distrusted.Load(),
			}
		}
		s.Bound = c.bound(s.Owed > 0 || s.EndingsLost > 0)
		s.Zombies += c.remote.zombies.Load()
	}
	return s
}

// readLag is more than an eventually consistent read lags behind.
const readLag = time.Second

// bound is Stats.Bound. untold says that there are endings which the store does
// not know of.
func (c *Cache[V]) bound(untold bool) time.Duration {
	o := &c.opts
	copied := o.MaxTTL + o.MaxTTL/10
	if o.LocalTTL > 0 && o.StaleIfError == 0 && !untold { // a stale value may be that old after its TTL
		copied = min(copied, o.LocalTTL+o.LocalTTL/10)
	}
	bound := max(o.LoadTimeout, o.RemoteBudget) + copied + o.StaleIfError + readLag
	if told, ok := c.bulletin.bound(); ok && !untold {
		bound = min(bound, told+readLag)
	}
	if c.tags.used.Load() {
		bound += 2 * tagTrust
	}
	return bound
}

// stats copies the counters one after the other, without a lock: they may
// differ by the calls that end meanwhile.
func (n *storeCounters) stats() StoreStats {
	var last lastFault
	if l := n.last.Load(); l != nil {
		last = *l
	}
	return StoreStats{
		LastError: last.text, LastErrorAt: last.at,
		Calls: n.calls.Load(), Misses: n.misses.Load(), Faults: n.faults.Load(),
		Late: n.late.Load(), Skipped: n.skipped.Load(),
	}
}

// striped is a counter for the hot path: cores that count at the same time
// mostly write different cache lines.
type striped [16]struct {
	n atomic.Int64
	_ [56]byte
}

func (s *striped) inc() { s.add(1) }

func (s *striped) add(n int64) { s[rand.Uint32()%uint32(len(s))].n.Add(n) }

// sum adds the stripes up; what is added meanwhile may be in it or not.
func (s *striped) sum() int64 {
	var sum int64
	for i := range s {
		sum += s[i].n.Load()
	}
	return sum
}

// tally counts n lookups by where their answer came from; the sum over all of
// them is the number of lookups.
func (c *Cache[V]) tally(source Source, n int64) {
	switch source {
	case SourceLocal:
		c.n.local.add(n)
	case SourceRemote:
		c.n.remote.Add(n)
	case SourceOrigin:
		c.n.origin.Add(n)
	case SourceStale:
		c.n.stale.Add(n)
	default:
		c.n.failed.Add(n)
	}
}
