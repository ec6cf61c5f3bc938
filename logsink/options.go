package logsink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// Options say how a [Sink] behaves. Only a destination is needed: Dest or
// Batch. The zero value of every other field is its default. New copies the
// Options and never writes to them.
type Options struct {
	// Dest is where the records go. One goroutine of the sink writes to it,
	// pieces of one or more whole records. A short write or an error is
	// resumed at the byte where it stopped. Dest may block forever.
	Dest io.Writer

	// Batch is a destination of records instead of bytes, such as that of
	// package cloudwatch. Exactly one of Dest and Batch must be set.
	Batch BatchDest

	// MaxBytes bounds the memory of the records, what is in flight included.
	// Default 4 MiB, at least 64 KiB (256 KiB with Mapped), at most 16 GiB;
	// rounded down to whole chunks. Rule: the peak rate in bytes a second times
	// the longest stall to survive.
	MaxBytes int

	// MaxRecord is the longest record in bytes; longer ones are counted as
	// Oversize. Default, and at most: a quarter of MaxBytes, so that one line
	// cannot displace all others, and 256 MiB.
	MaxRecord int

	// Truncate cuts records longer than MaxRecord, and says so at their end,
	// instead of dropping them. Stats counts them as Truncated.
	Truncate bool

	// DropOldest makes room for new records by dropping the oldest, a chunk at
	// a time, whatever lane they came through. The default drops what is new:
	// that is cheaper, keeps the cause of an incident, and leaves one contiguous
	// gap.
	DropOldest bool

	// Classify chooses the lane of a record written to the Sink itself; nil
	// means Normal. It is called in Write and must be quick, must not keep or
	// change its argument, and must be safe for concurrent use.
	Classify func(record []byte) Priority

	// Linger is how long the drainer waits for more records before it writes.
	// It spares every Write the wake-up of a sleeping goroutine, and costs as
	// much delay. Default 2 ms, and 1 s with Batch. Negative: deliver at once.
	Linger time.Duration

	// MaxWrite is the most bytes of one call of Dest, records kept whole (a
	// longer record still goes in one call). Default: no limit; 4096 with
	// Mapped. On a pipe that other processes write to as well, 4096
	// (PIPE_BUF) keeps lines from being torn.
	MaxWrite int

	// Gap formats the marker that is delivered where records were dropped:
	// [GapJSON], [GapLogfmt], [GapText] or your own. Nil: no marker; the loss
	// is in Stats only. It is called by the drainer.
	Gap func(GapInfo) []byte

	// Seal writes a line after the lines of each chunk that lists them by their
	// hash, in a chain: [VerifyLog], or "logsink verify", tells from what arrived
	// which lines are missing, where, and whether the sink lost them. It adds 3 %
	// to lines of 200 bytes. A last seal tells that nothing comes after it. A
	// record without a line break that is the last before a seal gets one.
	Seal bool

	// Fallback takes the records while Dest or Batch is broken: its reader is
	// gone or it was closed. It should be something that cannot block, such as a
	// file on a local disk. A record for Batch gets a line break if it has none.
	Fallback io.Writer

	// FallbackAfter is how long the destination may do nothing but fail, or not
	// return, until the Fallback takes records then, too. It does not take what
	// the spill directory keeps for the destination. Default: never.
	FallbackAfter time.Duration

	// FallbackRate is how many bytes a second a destination that does not return
	// sends to the Fallback; what is more stays in memory and may be dropped.
	// Default 1 MiB.
	FallbackRate int

	// OnEvent is told what happens, from one goroutine of the sink's own. A
	// slow OnEvent loses events (counted), never records.
	OnEvent func(Event)

	// StallAfter is how long a write may take before it counts as stalled.
	// Default 1 s.
	StallAfter time.Duration

	// RetryMin and RetryMax bound the pause after an error of the destination;
	// it doubles from the one to the other, and any progress resets it.
	// Defaults 10 ms and 5 s, or what the other one is set to if that would
	// contradict it.
	RetryMin, RetryMax time.Duration

	// SyncTimeout bounds Sync, and Flush and Recover without a deadline of
	// their own. Default 1 s.
	SyncTimeout time.Duration

	// CloseTimeout bounds Close, and Shutdown without a deadline of its own.
	// Default 2 s.
	CloseTimeout time.Duration

	// Mapped is the path of a file that holds the sink's memory, so that a
	// process that is killed leaves its undelivered records to the next one
	// that is started with the same path (or to RecoverFile). It must lie on a
	// file system in memory, such as /dev/shm: a store to memory that a disk
	// stands behind can stop the whole process. Linux only; one process at a
	// time. While the file cannot be used the sink works in plain memory, says
	// so in Stats and by an event, and tries again every 10 s.
	//
	// What was dropped is counted in the file, too: the next process puts a marker
	// where a killed one could not.
	//
	// What was left counts towards MaxBytes until it is delivered: it goes to
	// SpillDir, or gives way with DropOldest, when memory fills; else what is new
	// is dropped. A file that is larger than MaxBytes shrinks at the first start
	// that finds nothing in the part that is too much.
	Mapped string

	// SpillDir is a directory for what memory cannot hold in a long outage. It
	// comes back in order, also in the next process. It is made if it is
	// missing, and refused if it is a symbolic link, someone else's, or others
	// can write to it. One process at a time; Unix only. While it cannot be used
	// the sink works without it, says so, and tries again every 10 s. No call of
	// the sink ever waits for this disk.
	SpillDir string

	// SpillBytes bounds SpillDir. Default 1 GiB, at least 1 MiB.
	SpillBytes int64

	// SpillAge drops what has waited in SpillDir for longer, oldest first, as
	// Evicted: by then nobody wants to read it, or nobody may. A file goes when the
	// last chunk in it is too old. It is looked for every second, or tenth of
	// SpillAge. Default: never.
	SpillAge time.Duration
}

const (
	frameSize    = 64 << 10 // of a chunk, and of a frame of the mapped file
	minFrames    = 16       // smaller budgets get smaller chunks
	minBytes     = 64 << 10
	minMapped    = 256 << 10
	mostBytes    = 16 << 30  // more is a mistake in the unit, and a fatal error of the runtime
	mostRecord   = 256 << 20 // well within endMask
	defaultBytes = 4 << 20
	pipeBuf      = 4096
)

// New makes a Sink and starts it. It fails only for Options that contradict
// themselves, never for the state of a disk or of the destination: a service
// starts also while its logs are blocked. Disks are looked at in the background.
func New(o Options) (*Sink, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	s := newSink(o)
	s.start()
	return s, nil
}

// newSink makes a Sink of complete Options.
func newSink(o Options) *Sink {
	s := &Sink{
		opt:      o,
		classify: o.Classify,
		stamps:   o.Batch != nil,
		marks:    o.Gap != nil || o.Seal || o.Mapped != "" || o.SpillDir != "",
		life:     rand.Uint64() | 1,
		slot:     plainSlot,
		limit:    [2]int{o.MaxBytes, o.MaxBytes},
		wake:     make(chan struct{}, 1),
		closing:  make(chan struct{}),
		done:     make(chan struct{}),
		turn:     make(chan struct{}, 1),
		began:    time.Now(),
	}
	s.lockless.Store(&s.refused)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if s.stamps || o.Mapped != "" || o.SpillDir != "" {
		s.slot = fullSlot
	}
	if o.Classify != nil {
		s.reserveLocked()
	}
	if o.OnEvent != nil {
		s.events = newEvents(o.OnEvent)
	}
	s.arena = newArena(make([]byte, o.MaxBytes), s.opt.chunkSize())
	s.arena.warm(warmAtStart)
	return s
}

// start starts the goroutines.
func (s *Sink) start() {
	s.watch = time.AfterFunc(time.Hour, s.overdue)
	s.watch.Stop()
	s.startMover()
	d := &drainer{s: s, asleep: true}
	if s.opt.Dest != nil {
		d.dest = s.opt.Dest.Write
	}
	go d.run()
}

// warmAtStart is how many bytes New takes from the system. The rest is taken by
// the drainer, ahead of the need: a hundred sinks that log nothing cost little,
// and a page fault, about a microsecond, falls into a Write only in a burst.
const warmAtStart = 2 * frameSize

// complete fills in the defaults and refuses contradictions.
//
// An error names the field, its value and the bound. The order is: what contradicts, sizes
// in the order in which they depend on each other, then the durations.
func (o *Options) complete() error {
	switch {
	case o.Dest == nil && o.Batch == nil:
		return errors.New("logsink: Options.Dest or Options.Batch must be set")
	case o.Dest != nil && o.Batch != nil:
		return errors.New("logsink: Options.Dest and Options.Batch are both set; a sink has one destination")
	case o.Batch != nil && o.MaxWrite != 0:
		return errors.New("logsink: Options.MaxWrite limits writes to Dest; Options.Batch has limits of its own")
	case o.SpillDir == "" && (o.SpillBytes != 0 || o.SpillAge != 0):
		return errors.New("logsink: Options.SpillBytes or SpillAge is set and Options.SpillDir is not")
	}
	if o.Fallback == nil && (o.FallbackAfter != 0 || o.FallbackRate != 0) {
		return errors.New("logsink: Options.FallbackAfter or FallbackRate is set and Options.Fallback is not")
	}
	size(&o.FallbackRate, 1<<20)
	if o.FallbackRate < 0 || o.FallbackAfter < 0 {
		return fmt.Errorf("logsink: Options.FallbackRate is %d and Options.FallbackAfter %v; neither can be negative", o.FallbackRate, o.FallbackAfter)
	}
	size(&o.MaxBytes, defaultBytes)
	if o.MaxBytes < minBytes {
		return fmt.Errorf("logsink: Options.MaxBytes is %d, the least is %d", o.MaxBytes, minBytes)
	}
	if int64(o.MaxBytes) > mostBytes {
		return fmt.Errorf("logsink: Options.MaxBytes is %d, the most is %d", o.MaxBytes, int64(mostBytes))
	}
	if o.Mapped != "" && o.MaxBytes < minMapped {
		return fmt.Errorf("logsink: Options.MaxBytes is %d, with Options.Mapped the least is %d", o.MaxBytes, minMapped)
	}
	o.MaxBytes -= o.MaxBytes % o.chunkSize()
	most := min(o.MaxBytes/4, mostRecord)
	size(&o.MaxRecord, most)
	if o.MaxRecord < 0 || o.MaxRecord > most {
		return fmt.Errorf("logsink: Options.MaxRecord is %d, the most is %d: a quarter of MaxBytes, and 256 MiB", o.MaxRecord, most)
	}
	if o.MaxWrite == 0 && o.Mapped != "" && o.Batch == nil {
		o.MaxWrite = pipeBuf
	}
	if o.MaxWrite < 0 {
		return fmt.Errorf("logsink: Options.MaxWrite is %d", o.MaxWrite)
	}
	if o.SpillBytes == 0 {
		o.SpillBytes = 1 << 30
	}
	if o.SpillBytes < 1<<20 {
		return fmt.Errorf("logsink: Options.SpillBytes is %d, the least is %d", o.SpillBytes, 1<<20)
	}
	linger := 2 * time.Millisecond
	if o.Batch != nil {
		linger = time.Second
	}
	if o.Linger == 0 {
		o.Linger = linger
	}
	retryMin := 10 * time.Millisecond
	if o.RetryMax > 0 {
		retryMin = min(retryMin, o.RetryMax)
	}
	for _, d := range []struct {
		name string
		d    *time.Duration
		or   time.Duration
	}{
		{"StallAfter", &o.StallAfter, time.Second},
		{"RetryMin", &o.RetryMin, retryMin},
		{"RetryMax", &o.RetryMax, max(5*time.Second, o.RetryMin)},
		{"SpillAge", &o.SpillAge, 0},
		{"SyncTimeout", &o.SyncTimeout, time.Second},
		{"CloseTimeout", &o.CloseTimeout, 2 * time.Second},
	} {
		if *d.d == 0 {
			*d.d = d.or
		}
		if *d.d < 0 {
			return fmt.Errorf("logsink: Options.%s is %v", d.name, *d.d)
		}
	}
	if o.RetryMin > o.RetryMax {
		return fmt.Errorf("logsink: Options.RetryMin is %v and Options.RetryMax %v", o.RetryMin, o.RetryMax)
	}
	return nil
}

func size(n *int, or int) {
	if *n == 0 {
		*n = or
	}
}

// chunkSize is 64 KiB, or less where that would leave too few chunks.
// A mapped file has one size of frame, whatever its MaxBytes, so that it can be opened again
// with another one.
func (o *Options) chunkSize() int {
	n := frameSize
	for n > 4096 && o.MaxBytes/n < minFrames && o.Mapped == "" {
		n /= 2
	}
	return n
}
