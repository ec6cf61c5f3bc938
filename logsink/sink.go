package logsink

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/failopen/failopen/logsink/internal/spool"
)

// Priority is the lane of a record. The zero value is [Normal].
type Priority uint8

const (
	// Normal is the lane of everything that nobody marked.
	Normal Priority = iota
	// High is the lane of what an engineer needs when things go wrong: WARN
	// and above. A part of the budget is kept for it. It never blocks either.
	High
)

// String returns "normal" or "high".
func (p Priority) String() string {
	if p == High {
		return "high"
	}
	return "normal"
}

// What a lane's gate says.
const (
	gateOpen = iota
	gateFull
	gateClosed
)

// What the drainer is doing, as far as Write must know.
const (
	awake   = iota // it runs, or is about to
	lingers        // it waits for more to come; a reason to hurry wakes it
	asleep         // nothing came for a while; any record wakes it
)

// Sink is a log writer whose Write never waits for the destination.
//
// A record is what one call of Write brings; loggers write a line a call. It
// is copied into the sink's memory, which is bounded in bytes, and one
// goroutine delivers it from there. When the destination is slow or frozen the
// memory fills, and records are dropped: each is counted under one reason of
// [Drops]. At every instant, in every failure,
//
//	Attempted == Delivered + Dropped.Total() + Queued
//
// A Sink is made by [New], [Stdout] or [Stderr] (the zero value cannot be used), and
// is safe for use by many goroutines. Records of one goroutine keep their order. The
// code that makes it shuts it down, with [Sink.Shutdown] or [Sink.Close]; a write
// after that is counted and does no harm. The destination stays open: it belongs to
// the caller.
//
// Most programs call [New] or [Stdout], hand the Sink to their logger as its
// io.Writer, and defer Close.
type Sink struct {
	// The part that every Write reads. It changes when the sink fills or has
	// room again, not with every record.
	// What put asks first, by lane: gateOpen, gateFull or gateClosed. It is stored under mu,
	// and read without.
	gate     [2]atomic.Uint32
	busy     atomic.Bool // a yield does not help: the destination is at work, or rests after an error
	evicting atomic.Bool // with DropOldest: full, and the destination is at work
	away     atomic.Bool // the lock's holder was not there for a look; see giveWay
	turns    atomic.Int64
	classify func([]byte) Priority
	stamps   bool // records carry their time
	marks    bool // gaps are marked in the queue: somebody, perhaps later, asks for them
	_        [64]byte

	// Records refused at the gate, without the lock: Lockless is Refused, until
	// there is a ledger and they are counted there.
	refused  [2]refusals
	lockless atomic.Pointer[[2]refusals]

	// mu guards the queue and its counters. It is held for a copy of one
	// record or less; never during a call of the destination, of a callback,
	// or of the disk.
	mu    sync.Mutex
	arena *arena // new chunks come from there
	queue
	inflight []*chunk
	front    []*chunk // found in mapped memory, and older than the rest, see arrangeLocked
	disk     disk
	seq      uint64 // of the youngest chunk ever opened
	upTo     uint64 // the drainer takes chunks up to this one without lingering
	live     int    // bytes of all frames taken, in flight included
	limit    [2]int // how far live may go, by lane
	parked   uint8  // awake, lingers or asleep
	attend   bool   // the next Normal record takes the slow path: a gap is to be marked
	closed   bool   // Shutdown has begun
	dead     bool   // Shutdown has given up
	closers  int    // calls of Shutdown that wait

	relieving bool   // a goroutine writes to the fallback, see relieve
	relief    *chunk // what it writes
	gap       gapState
	ledger    *ledger // nil without mapped memory
	count     counters
	waiting   []waiter // calls of Flush

	opt      Options
	life     uint64          // the random name of this run
	slot     int             // bytes a slot
	mover    *mover          // nil without Mapped and SpillDir
	private  *os.File        // the destination that Stdout opened, closed with the sink
	ctx      context.Context // of the destination's calls; ends when Shutdown gives up
	cancel   context.CancelFunc
	wake     chan struct{}
	closing  chan struct{} // closed when Shutdown begins
	done     chan struct{} // closed when the drainer has ended
	events   *events       // nil without OnEvent
	watch    *time.Timer   // runs during a call of the destination, see overdue
	turn     chan struct{} // to write to the fallback
	midline  bool          // what the fallback has taken last is not the end of a line; guarded by turn
	began    time.Time     // progress is counted from here
	progress atomic.Int64  // when the records in flight last moved on; 0: none are

	// For RecoverFile.
	recovering bool   // no other process's place is to be made one of ours
	image      string // a mapped file to be read instead of mapped

	// For tests.
	beforeDisk func()       // a disk that hangs
	parks      atomic.Int64 // how often the drainer waited
}

// now is the time on the clock of progress, which nobody sets.
// Nanoseconds since the sink began, and never 0, which says in progress that nothing is
// in flight. Wall time would do for neither: somebody may set it back.
func (s *Sink) now() int64 { return 1 + int64(time.Since(s.began)) }

// refusals are counters that Write changes without the lock, a cache line a
// lane.
type refusals struct {
	full, fullBytes, closed atomic.Int64
	_                       [40]byte
}

var _ interface {
	io.WriteCloser
	io.StringWriter
	Sync() error
} = (*Sink)(nil)

// Write copies p and returns len(p) and nil, always: a logger can do nothing
// about a lost line, and the loss is counted. It does not wait for the
// destination, does not retain p, and does not panic after Close.
//
// It is safe for concurrent use, and an empty p is a record too, which delivers nothing.
// What Options.Classify does, its panics and runtime.Goexit included, stays here.
func (s *Sink) Write(p []byte) (int, error) {
	lane := Normal
	if s.classify != nil {
		lane = s.laneOf(p)
	}
	s.put(p, lane)
	return len(p), nil
}

// laneOf asks the caller's Classify. A panic in it is contained and counted. If it
// ends the goroutine the record is logged on the way.
func (s *Sink) laneOf(p []byte) (lane Priority) {
	good := false
	defer func() {
		if good {
			return
		}
		panicked := recover() != nil
		s.countPanic()
		if lane = Normal; !panicked { // runtime.Goexit
			s.put(p, lane)
		}
	}()
	if s.classify(p) == High {
		lane = High
	}
	good = true
	return lane
}

// put is the hot path: one atomic load when the lane is full; else a lock, a
// copy, and the end of the record.
//
// A full sink is answered at the gate (shut), without the lock. A lock that is taken is
// waited for without sleeping (contend), unless every record evicts another one anyway
// (look, giveWay). What the one condition below does not cover is in putSlow.
func (s *Sink) put(p []byte, lane Priority) {
	if s.gate[lane].Load() != gateOpen && s.shut(lane, len(p)) {
		return
	}
	if !s.mu.TryLock() {
		if s.evicting.Load() {
			if s.away.Load() || !s.look() {
				s.giveWay(lane, len(p))
				return
			}
		} else {
			s.contend()
		}
	}
	// The usual case: there is a chunk with room, and nothing to say before the record. The
	// gate is asked again, since Shutdown may have closed it while we waited for the lock.
	if c := s.tail; c != nil && c.fits(len(p)) && len(p) <= s.opt.MaxRecord && !s.attend && !s.stamps && s.gate[lane].Load() == gateOpen {
		c.append(p, uint32(lane)<<31, 0)
		s.count.accepted[lane]++
		s.unlockAfter(lane)
		return
	}
	if s.putSlow(p, lane, !s.busy.Load()) {
		if s.evicting.Load() && s.turns.Add(1)%evictFairness == 0 {
			runtime.Gosched()
		}
		return
	}
	runtime.Gosched()
	s.mu.Lock()
	s.putSlow(p, lane, false)
}

// contend is mu.Lock for those who compete for it at high rates: writers and
// the drainer. The lock is held for some twenty nanoseconds, so another look
// costs less than sleeping and being woken: 64 goroutines that sleep for it pass
// it on at the speed of the scheduler. Looking for well below a microsecond
// covers a lock that moves between two processors; giving way then helps a
// holder that has lost its own. That puts a writer behind everybody who runs,
// so it is done rarely, and Lock is the last resort.
func (s *Sink) contend() {
	for range contendYields {
		for range contendSpins {
			if s.mu.TryLock() {
				return
			}
		}
		runtime.Gosched()
	}
	s.mu.Lock()
}

const (
	contendSpins  = 300
	contendYields = 2
)

// look tries to get the lock for a microsecond or less.
func (s *Sink) look() bool {
	for range lookSpins {
		if s.mu.TryLock() {
			return true
		}
	}
	s.away.Store(true)
	return false
}

// giveWay drops a record because the lock is not to be had while a frozen
// destination has every record evict an older one, which would soon be this
// one's fate too. The lock's holder has lost its processor then, and to wait
// for it takes a millisecond. It comes back when others give way at times; until
// then, few look for longer than once.
func (s *Sink) giveWay(lane Priority, size int) {
	switch n := s.refuse(lane, size); {
	case n%lookFairness == 0:
		s.away.Store(false)
		runtime.Gosched()
	case n%lookAgain == 0:
		s.away.Store(false)
	}
}

const (
	lookSpins     = 500
	lookAgain     = 256  // refused records until someone looks for longer again
	lookFairness  = 4096 // and until someone gives way, see fairness
	evictFairness = 32   // chunks, for the same reason
)

// yields is how often a writer that finds the sink full gives way before it
// drops. Once is not always enough: the drainer may need a turn to get the lock
// and another to come back from the destination.
const yields = 4

// shut counts a record that a closed gate keeps out. If the drainer is not in
// the destination it may only lack a processor, which the writers hold: then
// shut gives way and looks again.
//
// It reports false if the gate is open by now, and put goes on with the record. A closed
// gate stays closed: those records are counted apart, as Closed.
func (s *Sink) shut(lane Priority, size int) bool {
	for range yields {
		if s.gate[lane].Load() != gateFull || s.busy.Load() {
			break
		}
		runtime.Gosched()
		if s.gate[lane].Load() == gateOpen {
			return false
		}
	}
	if s.gate[lane].Load() == gateClosed {
		s.refused[lane].closed.Add(1)
		return true
	}
	if s.refuse(lane, size)%fairness == 0 {
		runtime.Gosched()
	}
	return true
}

// refuse counts a record of size bytes for which there is no room, and returns how
// many that are. The bytes come first, and readers load them last (countersOf): so a
// record that they see counted has its bytes, and bytes alone are no loss yet.
func (s *Sink) refuse(lane Priority, size int) int64 {
	r := &s.lockless.Load()[lane]
	r.fullBytes.Add(int64(size))
	n := r.full.Add(1)
	runtime.KeepAlive(s) // the ledger's memory goes with it
	return n
}

// fairness is after how many refused records someone gives way. Goroutines
// that do nothing but log would keep the others off the processors for 10 ms
// each, and 64 of them each other for a third of a second.
const fairness = 16_384

// putSlow is put with everything that is not usual. It is called with the lock
// and gives it up. It reports false if there was no room and mayYield
// says that the caller comes again; the record is not counted yet then.
//
// In this order: the sink is closed; the record is too long; there is no room for it; a
// gap ends with it, whose marker goes first. A record of the high lane leaves the gap
// open: it comes from the reserve while the normal lane is still full.
func (s *Sink) putSlow(p []byte, lane Priority, mayYield bool) bool {
	switch {
	case s.closed:
		s.mu.Unlock()
		s.refused[lane].closed.Add(1)
		return true
	case len(p) > s.opt.MaxRecord && s.opt.Truncate:
		s.count.truncated++
		s.mu.Unlock()
		s.put(cut(p, s.opt.MaxRecord), lane)
		return true
	case len(p) > s.opt.MaxRecord:
		s.count.oversize[lane]++
		s.count.oversizeBytes += int64(len(p))
		s.openGapLocked()
		s.keepLocked(nil)
		s.mu.Unlock()
		return true
	}
	c := s.roomLocked(len(p), lane)
	if c == nil {
		if mayYield {
			s.mu.Unlock()
			return false
		}
		s.refuseLocked(p, lane)
		s.mu.Unlock()
		return true
	}
	if s.attend && lane == Normal {
		c = s.closeGapLocked(c, len(p))
	}
	stamp := uint32(0)
	if s.stamps {
		stamp = uint32(time.Since(c.opened).Milliseconds())
	}
	c.append(p, uint32(lane)<<31, stamp)
	s.count.accepted[lane]++
	s.unlockAfter(lane)
	return true
}

// cut returns the begin of a record that is too long, with a mark at its end.
// It is cut before a character of UTF-8, not within one, and keeps its line break. Where
// most is less than the mark itself, the mark is cut as well.
func cut(p []byte, most int) []byte {
	const mark = " ... (%d bytes cut)"
	end := ""
	if p[len(p)-1] == '\n' {
		end = "\n"
	}
	keep := max(most-len(fmt.Sprintf(mark, len(p)))-len(end), 0)
	for i := 0; i < utf8.UTFMax && keep > 0 && !utf8.RuneStart(p[keep]); i++ {
		keep--
	}
	short := fmt.Appendf(append(make([]byte, 0, most), p[:keep]...), mark, len(p)-len(end)-keep)
	short = append(short, end...)
	return short[:min(len(short), most)]
}

// unlockAfter ends a write that was accepted: it gives up the lock, and wakes
// the drainer if there is a reason.
// Waking is a call of the scheduler, hundreds of nanoseconds: it comes after the unlock.
func (s *Sink) unlockAfter(lane Priority) {
	if s.parked == awake || !s.urgentLocked(lane) {
		s.mu.Unlock()
		return
	}
	s.parked = awake
	s.mu.Unlock()
	s.rouse()
}

// urgentLocked reports whether the parked drainer should look now, and tells it how
// far to go without lingering: a quarter of the budget waits, or someone will
// look for this record, or it is the first one after a while. A BatchDest
// lingers to save calls, so that only the first reason counts there.
func (s *Sink) urgentLocked(lane Priority) bool {
	hurry := s.live >= s.opt.MaxBytes/4 || s.opt.Batch == nil && (lane == High || s.parked == asleep)
	if hurry {
		s.upTo = s.seq
	}
	return hurry || s.parked == asleep
}

// rouse tells the drainer to look again.
// The channel holds one request, and a second one says nothing new.
func (s *Sink) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// roomLocked returns the chunk that takes a record of size bytes, opening one if
// the lane's part of the budget allows it, or nil.
//
// With DropOldest the oldest chunks go until it fits, or none is left: what is in flight
// cannot be had, and the memory of what the mover reads comes when it has. The gate is not closed here, because the
// caller may come again; refuseLocked does that. O(1) but for a record of several frames,
// for which neighbours are looked for.
func (s *Sink) roomLocked(size int, lane Priority) *chunk {
	if s.gate[lane].Load() == gateFull {
		return nil
	}
	if c := s.tail; c != nil && c.fits(size) {
		return c
	}
	k := s.arena.framesFor(size, s.slot)
	c := s.claimLocked(k, lane)
	for c == nil && s.opt.DropOldest && s.evictLocked() {
		c = s.claimLocked(k, lane)
	}
	if c == nil {
		return nil
	}
	s.seq++
	c.reset(spool.ID{Life: s.life, Num: s.seq}, time.Now(), s.slot)
	s.queue.push(c)
	s.tail = c
	if s.opt.SpillDir != "" && s.live >= s.opt.MaxBytes/2 {
		s.mover.rouse()
	}
	return c
}

// claimLocked takes k frames if the lane may have them.
// It closes the normal lane's gate with the chunk that goes into the reserve, so that
// what is left of it is there for the high lane.
func (s *Sink) claimLocked(k int, lane Priority) *chunk {
	if s.live+k*s.arena.size > s.limit[lane] {
		return nil
	}
	c := s.arena.alloc(k)
	if c == nil {
		return nil
	}
	s.live += k * s.arena.size
	if s.live > s.limit[Normal] && !s.opt.DropOldest {
		s.gate[Normal].Store(gateFull) // this chunk is of the reserve
	}
	return c
}

// WriteString is Write for a string, without a copy on the way.
func (s *Sink) WriteString(p string) (int, error) {
	return s.Write(unsafe.Slice(unsafe.StringData(p), len(p))) // Write only reads it
}
