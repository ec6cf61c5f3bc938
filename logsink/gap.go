package logsink

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/failopen/failopen/logsink/internal/spool"
)

// GapInfo says what is missing at a place in the log.
type GapInfo struct {
	Dropped int64     // records, of all reasons
	Bytes   int64     // what they weighed
	Reasons Drops     // by reason: Full, Oversize, Evicted, Rejected, and of an earlier process Abandoned
	Since   time.Time // when the first of them was dropped
	Until   time.Time // when records were accepted again
}

// GapJSON is a marker as a line of JSON, as slog's JSONHandler writes it.
func GapJSON(g GapInfo) []byte {
	return fmt.Appendf(nil, `{"time":%q,"level":"WARN","msg":"log records dropped","dropped":%d,"bytes":%d,"full":%d,"evicted":%d,"oversize":%d,"rejected":%d,"abandoned":%d,"since":%q}`+"\n",
		stamp(g.Until), g.Dropped, g.Bytes, g.Reasons.Full, g.Reasons.Evicted, g.Reasons.Oversize, g.Reasons.Rejected, g.Reasons.Abandoned, stamp(g.Since))
}

// GapLogfmt is a marker as a line of logfmt, as slog's TextHandler writes it.
func GapLogfmt(g GapInfo) []byte {
	return fmt.Appendf(nil, "time=%s level=WARN msg=\"log records dropped\" dropped=%d bytes=%d full=%d evicted=%d oversize=%d rejected=%d abandoned=%d since=%s\n",
		stamp(g.Until), g.Dropped, g.Bytes, g.Reasons.Full, g.Reasons.Evicted, g.Reasons.Oversize, g.Reasons.Rejected, g.Reasons.Abandoned, stamp(g.Since))
}

// GapText is a marker for people.
func GapText(g GapInfo) []byte {
	return fmt.Appendf(nil, "--- %d log records (%d bytes) dropped since %s ---\n", g.Dropped, g.Bytes, stamp(g.Since))
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// gapState is what of the loss was announced already. There are two kinds of
// gap. At the young end, where records are refused, a slot with flagGap takes
// the place of the lost ones in the queue, and so survives a spill and a crash.
// At the old end, where chunks are evicted, the drainer is about to pass.
type gapState struct {
	since    int64 // Unix milliseconds, of the gap at the young end
	carried  loss  // of others, told at the young end: see carryLocked
	reported loss  // at the young end, by markers in the queue

	evicting     bool // chunks were evicted that no marker told of
	evictedSince int64
	evicted      loss     // at the old end, of which markers were made,
	evictedTold  loss     // and have arrived
	gone         spool.ID // the chunk evicted last
}

// loss is what a gap counts.
type loss struct{ full, oversize, evicted, rejected, abandoned, bytes int64 }

// lossFields is how many fields a loss has. Everything that goes through all of them goes
// through fields and lossOf.
const lossFields = 6

func (l loss) fields() [lossFields]int64 {
	return [...]int64{l.full, l.oversize, l.evicted, l.rejected, l.abandoned, l.bytes}
}

func lossOf(v [lossFields]int64) loss { return loss{v[0], v[1], v[2], v[3], v[4], v[5]} }

func (l loss) plus(m loss) loss  { return l.add(m, 1) }
func (l loss) minus(m loss) loss { return l.add(m, -1) }

// add is l and that many times m, field by field.
func (l loss) add(m loss, times int64) loss {
	sum, with := l.fields(), m.fields()
	for i := range sum {
		sum[i] += times * with[i]
	}
	return lossOf(sum)
}

// positive is l without what is less than nothing, in counts that another process
// left. Bytes without a record are nothing: it may have been killed in the middle of
// Sink.refuse.
func (l loss) positive() loss {
	all := l.fields()
	for i := range all {
		all[i] = max(all[i], 0)
	}
	if l = lossOf(all); l.drops() == (Drops{}) {
		return loss{}
	}
	return l
}

func (l loss) drops() Drops {
	return Drops{Full: l.full, Oversize: l.oversize, Evicted: l.evicted, Rejected: l.rejected, Abandoned: l.abandoned}
}

// refusedSoFarLocked is everything ever lost at the young end, and what is told
// there.
// It may run a little ahead of what a writer that is just being refused has finished.
func (s *Sink) refusedSoFarLocked() loss {
	l := s.refusedElsewhereLocked()
	if at := s.lockless.Load(); at != &s.refused {
		l = l.plus(countersOf(at))
	}
	return l
}

// refusedUntoldLocked reports whether a record was refused of which no marker tells.
// Bytes alone do not count: they are a record's whose writer is about to count it.
func (s *Sink) refusedUntoldLocked() bool {
	return s.refusedSoFarLocked().minus(s.gap.reported).drops() != (Drops{})
}

// refusedElsewhereLocked is that without what the ledger's counters say, which change
// all the time.
func (s *Sink) refusedElsewhereLocked() loss {
	l := countersOf(&s.refused).plus(s.gap.carried)
	l.oversize += s.count.oversize[Normal] + s.count.oversize[High]
	l.bytes += s.count.oversizeBytes
	return l
}

// evictedSoFarLocked is everything ever lost at the old end: evicted, or rejected by
// the destination.
func (s *Sink) evictedSoFarLocked() loss {
	c := &s.count
	return loss{
		evicted: c.evicted[Normal] + c.evicted[High], rejected: c.rejected[Normal] + c.rejected[High],
		bytes: c.evictedBytes + c.rejectedBytes,
	}
}

// untoldLocked is what is lost and told by no marker in the queue or in the log, and
// since when, in Unix milliseconds.
// It is what the note and the ledger are for.
func (s *Sink) untoldLocked() (l loss, since int64) {
	l = s.refusedSoFarLocked().minus(s.gap.reported).plus(s.evictedSoFarLocked().minus(s.gap.evictedTold))
	return l, s.sinceLocked()
}

// sinceLocked is when the first record was lost of those that no marker tells of; 0
// if that is not known.
func (s *Sink) sinceLocked() int64 {
	evicted := s.gap.evictedTold != s.evictedSoFarLocked()
	switch {
	case s.attend && evicted:
		return min(s.gap.since, s.gap.evictedSince)
	case s.attend:
		return s.gap.since
	case evicted:
		return s.gap.evictedSince
	}
	return 0
}

// openGapLocked notes that a record was refused.
// From here on the next record that is taken comes through putSlow, which marks the gap.
func (s *Sink) openGapLocked() {
	if s.attend {
		return
	}
	s.attend = true
	s.gap.since = time.Now().UnixMilli()
	s.keepLocked(nil)
	s.tellLocked(Event{Kind: GapOpened})
}

// carryLocked has the young end tell of what was lost elsewhere, since then (in Unix
// milliseconds), and told by nobody: by earlier processes, and in chunks that go away
// with markers in them. A negative loss takes back what was carried before.
func (s *Sink) carryLocked(l loss, since int64) {
	if l == (loss{}) {
		return
	}
	s.gap.carried = s.gap.carried.plus(l)
	if !s.attend || since < s.gap.since {
		s.gap.since = since
	}
	s.attend = true
	s.keepLocked(nil)
}

// inheritLocked is carryLocked for an earlier process's loss. Since is 0 if it is not
// known. What that process says in its own seals this one says in its seals, too.
func (s *Sink) inheritLocked(l loss, since int64) {
	if l == (loss{}) {
		return
	}
	if !s.attend {
		s.tellLocked(Event{Kind: GapOpened})
	}
	s.count.inherited = s.count.inherited.plus(l.drops())
	s.carryLocked(l, cmp.Or(since, time.Now().UnixMilli()))
	s.parked = awake
	s.rouse() // with nothing else to deliver, it is the drainer that tells
}

// closeGapLocked puts the marker of the gap before a record of size bytes that has
// room in c. It returns the chunk that has room for the record then. Without
// room for both the gap stays open.
//
// Marker and record go into one chunk if they can, so that no eviction comes between them.
func (s *Sink) closeGapLocked(c *chunk, size int) *chunk {
	if !s.marks {
		s.takeGapLocked()
		return c
	}
	with := s.roomLocked(gapSize+c.slot+size, Normal)
	if with == nil || !s.markLocked(with) {
		return c
	}
	return with
}

// markLocked puts the marker of the gap at the young end into c, which has room. It
// refuses a chunk that is lost with the process where the ledger is not.
//
// The ledger has the page first, and names the slot; then the slot is written. A kill in
// between is found out by the slot that is not there (arena.untold).
func (s *Sink) markLocked(c *chunk) bool {
	if s.ledger != nil && !c.durable() {
		return false
	}
	g, since, until := s.takeGapLocked()
	s.keepLocked(c)
	if s.disk.noted && c.carries == 0 {
		c.carries = c.n + 1
	}
	c.appendGap(g, since, until)
	return true
}

// lastGapLocked puts the marker of a gap that is open when Shutdown begins behind
// the youngest record, where [chunk.fits] has kept room for it: what this process
// leaves on disk must not look complete to the next one. With nothing in memory
// that could take it, the drainer tells of the gap, if the destination lets it, or
// else the ledger or the note does.
func (s *Sink) lastGapLocked() {
	if !s.marks || !s.refusedUntoldLocked() {
		return
	}
	s.openGapLocked() // it may have been counted after the last marker was made
	c := s.last
	if c == nil || c.pinned || c.used+gapSize+c.slot > c.floor { // it is just being saved, without it
		if c = s.roomLocked(gapSize, Normal); c == nil {
			return
		}
	}
	s.markLocked(c)
}

// appendGap adds the slot that readGap reads.
func (c *chunk) appendGap(g loss, since, until int64) {
	c.append(packGap(g, since, until), flagGap, 0)
}

// packGap is a gap in gapSize bytes: in a slot of a chunk, and in the note.
func packGap(g loss, since, until int64) []byte {
	b := make([]byte, 0, gapSize)
	for _, v := range [...]int64{g.full, g.oversize, g.bytes, since, until, g.evicted, g.rejected, g.abandoned} {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	return b
}

const (
	gapSize    = 8 * 8
	oldGapSize = 5 * 8 // before it told of what others lost
)

// unpackGap reads what packGap made. What is something else is no loss.
func unpackGap(b []byte) (g loss, since, until int64) {
	var v [gapSize / 8]int64
	if len(b) != gapSize && len(b) != oldGapSize {
		return loss{}, 0, 0
	}
	for i := range len(b) / 8 {
		v[i] = int64(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return loss{full: v[0], oversize: v[1], bytes: v[2], evicted: v[5], rejected: v[6], abandoned: v[7]}, v[3], v[4]
}

// readGap is what the marker for such a slot tells.
// A slot that is none of ours tells of nothing, and has the times of 1970.
func readGap(rec []byte) GapInfo {
	g, since, until := unpackGap(rec)
	return g.info(since, until)
}

// takeGapLocked ends the gap at the young end and returns what it lost.
// From here on it counts as told: who takes it has to write the marker.
func (s *Sink) takeGapLocked() (g loss, since, until int64) {
	total := s.refusedSoFarLocked()
	g = total.minus(s.gap.reported)
	s.gap.reported = total
	s.attend = false
	since, until = s.gap.since, time.Now().UnixMilli()
	s.tellLocked(Event{Kind: GapClosed, Gap: g.info(since, until)})
	return g, since, until
}

// info is what a marker tells of the loss, with times in milliseconds since
// 1970.
func (l loss) info(since, until int64) GapInfo {
	return GapInfo{
		Dropped: l.drops().Total(),
		Bytes:   l.bytes,
		Reasons: l.drops(),
		Since:   time.UnixMilli(since),
		Until:   time.UnixMilli(until),
	}
}

// openEvictionGapLocked notes that a chunk is about to be evicted.
func (s *Sink) openEvictionGapLocked() {
	if s.gap.evicting {
		return
	}
	s.gap.evicting = true
	s.gap.evictedSince = time.Now().UnixMilli()
	s.tellLocked(Event{Kind: GapOpened})
}

// takeEvictionGapLocked returns the gap before the chunk that is now the oldest, if
// there is one.
// The marker is the drainer's to make and to deliver; until it has arrived the ledger
// goes by evictedTold.
func (s *Sink) takeEvictionGapLocked() (GapInfo, bool) {
	if !s.gap.evicting {
		return GapInfo{}, false
	}
	total := s.evictedSoFarLocked()
	g := total.minus(s.gap.evicted).info(s.gap.evictedSince, time.Now().UnixMilli())
	s.gap.evicting = false
	s.gap.evicted = total
	s.tellLocked(Event{Kind: GapClosed, Gap: g})
	return g, true
}

// evictionsToldLocked notes that the markers made of evictions have arrived.
func (s *Sink) evictionsToldLocked(made loss) {
	if made == s.gap.evictedTold {
		return
	}
	s.gap.evictedTold = made
	s.keepLocked(nil)
}

// markTrailingGap marks a gap that no later record marks: traffic has stopped.
// It is called with the lock, and gives it up if it reports true.
//
// Without it a service that was drowned in lines, and is quiet since, would show its last
// line and nothing of the gap. A trailing marker is a chunk of its own in the queue.
func (d *drainer) markTrailingGap() bool {
	s := d.s
	if s.head != nil || len(s.front) > 0 || s.disk.busyLocked() {
		return false
	}
	if g, ok := s.takeEvictionGapLocked(); ok {
		d.evictions = s.gap.evicted
		s.mu.Unlock()
		d.markEvictions([]GapInfo{g})
		return true
	}
	if !s.refusedUntoldLocked() {
		s.attend = false
		return false
	}
	s.openGapLocked() // it may have been counted after the last marker was made
	if !s.marks {
		s.takeGapLocked()
		s.mu.Unlock()
		return true
	}
	c := s.roomLocked(gapSize, Normal)
	if c == nil || !s.markLocked(c) {
		return false
	}
	s.upTo = s.seq
	s.mu.Unlock()
	return true
}

// format calls the user's Gap, in a goroutine of its own: whatever it does, panic,
// end its goroutine or not return, costs the marker and is counted.
//
// It waits for StallAfter at most. A Gap that does not return keeps its goroutine, and
// one marker is lost with it: what it would have told is in Stats alone.
func (s *Sink) format(g GapInfo) (line []byte) {
	made := make(chan []byte, 1)
	go func() {
		good := false
		defer func() {
			if recover() != nil || !good {
				s.countPanic()
				close(made)
			}
		}()
		line := s.opt.Gap(g)
		good = true
		made <- line
	}()
	t := time.NewTimer(s.opt.StallAfter)
	defer t.Stop()
	select {
	case line = <-made:
	case <-t.C:
		s.countPanic()
	}
	return line
}

// mark queues a marker, to be written next. It is called without the lock, for
// the user's Gap.
func (d *drainer) mark(g GapInfo) {
	if d.s.opt.Gap == nil {
		return
	}
	line := d.s.format(g)
	d.own(line)
	d.unasked = d.unasked && len(line) == 0
}

// markEvictions is mark for gaps at the old end.
func (d *drainer) markEvictions(gaps []GapInfo) {
	for _, g := range gaps {
		d.mark(g)
	}
	if len(gaps) > 0 && len(d.pending) == 0 { // nobody is to be told
		d.s.contend()
		d.s.evictionsToldLocked(d.evictions)
		d.s.mu.Unlock()
	}
}

// own queues a line of the sink's own, on a line by itself: what stands before it
// may be a record without a line break, and what comes after it is not part of it.
func (d *drainer) own(line []byte) {
	if len(line) == 0 {
		return
	}
	midline := d.midline
	if n := len(d.pending); n > 0 {
		midline = d.pending[n-1] != '\n'
	}
	if midline {
		d.pending = append(d.pending, '\n')
	}
	if d.pending = append(d.pending, line...); line[len(line)-1] != '\n' {
		d.pending = append(d.pending, '\n')
	}
}
