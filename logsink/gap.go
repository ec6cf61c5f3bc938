package logsink

import (
	"encoding/binary"
	"fmt"
	"time"
)

// GapInfo says what is missing at a place in the log.
type GapInfo struct {
	Dropped int64     // records, of all reasons
	Bytes   int64     // what they weighed
	Reasons Drops     // by reason: Full, Oversize, Evicted, Rejected
	Since   time.Time // when the first of them was dropped
	Until   time.Time // when records were accepted again
}

// GapJSON is a marker as a line of JSON, as slog's JSONHandler writes it.
func GapJSON(g GapInfo) []byte {
	return fmt.Appendf(nil, `{"time":%q,"level":"WARN","msg":"log records dropped","dropped":%d,"bytes":%d,"full":%d,"evicted":%d,"oversize":%d,"rejected":%d,"since":%q}`+"\n",
		stamp(g.Until), g.Dropped, g.Bytes, g.Reasons.Full, g.Reasons.Evicted, g.Reasons.Oversize, g.Reasons.Rejected, stamp(g.Since))
}

// GapLogfmt is a marker as a line of logfmt, as slog's TextHandler writes it.
func GapLogfmt(g GapInfo) []byte {
	return fmt.Appendf(nil, "time=%s level=WARN msg=\"log records dropped\" dropped=%d bytes=%d full=%d evicted=%d oversize=%d rejected=%d since=%s\n",
		stamp(g.Until), g.Dropped, g.Bytes, g.Reasons.Full, g.Reasons.Evicted, g.Reasons.Oversize, g.Reasons.Rejected, stamp(g.Since))
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
	reported loss  // of refused records, by markers in the queue

	evicting     bool // chunks were evicted that no marker told of
	evictedSince int64
	evicted      int64 // as reported
	evictedBytes int64
}

// loss is what a gap counts.
type loss struct{ full, oversize, bytes int64 }

const gapSize = 5 * 8

// refusedSoFarLocked is everything ever lost at the young end.
func (s *Sink) refusedSoFarLocked() loss {
	var l loss
	for lane := range s.refused {
		l.full += s.refused[lane].full.Load()
		l.bytes += s.refused[lane].fullBytes.Load()
		l.oversize += s.count.oversize[lane]
	}
	l.bytes += s.count.oversizeBytes
	return l
}

// openGapLocked notes that a record was refused.
func (s *Sink) openGapLocked() {
	if s.attend {
		return
	}
	s.attend = true
	s.gap.since = time.Now().UnixMilli()
	s.tellLocked(Event{Kind: GapOpened})
}

// closeGapLocked puts the marker of the gap before a record of size bytes that has
// room in c. It returns the chunk that has room for the record then. Without
// room for both the gap stays open.
func (s *Sink) closeGapLocked(c *chunk, size int) *chunk {
	if s.marks {
		with := s.roomLocked(gapSize+c.slot+size, Normal)
		if with == nil {
			return c
		}
		c = with
	}
	g, since, now := s.takeGapLocked()
	if s.marks {
		c.appendGap(g, since, now)
	}
	return c
}

// lastGapLocked puts the marker of a gap that is open when Shutdown begins behind
// the youngest record, where [chunk.fits] has kept room for it: what this process
// leaves on disk must not look complete to the next one. With nothing in memory
// that could take it, the drainer tells of the gap, if the destination lets it.
func (s *Sink) lastGapLocked() {
	if !s.marks || s.refusedSoFarLocked() == s.gap.reported {
		return
	}
	s.openGapLocked() // it may have been counted after the last marker was made
	c := s.last
	if c == nil || c.pinned || c.used+gapSize+c.slot > c.floor { // it is just being saved, without it
		if c = s.roomLocked(gapSize, Normal); c == nil {
			return
		}
	}
	c.appendGap(s.takeGapLocked())
}

// appendGap adds the slot that readGap reads.
func (c *chunk) appendGap(g loss, since, until int64) {
	var b [gapSize]byte
	for i, v := range []int64{g.full, g.oversize, g.bytes, since, until} {
		binary.LittleEndian.PutUint64(b[8*i:], uint64(v))
	}
	c.append(b[:], flagGap, 0)
}

// takeGapLocked ends the gap at the young end and returns what it lost.
func (s *Sink) takeGapLocked() (g loss, since, until int64) {
	total, was := s.refusedSoFarLocked(), s.gap.reported
	g = loss{total.full - was.full, total.oversize - was.oversize, total.bytes - was.bytes}
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
		Dropped: l.full + l.oversize,
		Bytes:   l.bytes,
		Reasons: Drops{Full: l.full, Oversize: l.oversize},
		Since:   time.UnixMilli(since),
		Until:   time.UnixMilli(until),
	}
}

// readGap is the gap that a slot holds.
func readGap(rec []byte) GapInfo {
	var v [gapSize / 8]int64
	if len(rec) != gapSize {
		return GapInfo{}
	}
	for i := range v {
		v[i] = int64(binary.LittleEndian.Uint64(rec[8*i:]))
	}
	return loss{v[0], v[1], v[2]}.info(v[3], v[4])
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
func (s *Sink) takeEvictionGapLocked() (GapInfo, bool) {
	if !s.gap.evicting {
		return GapInfo{}, false
	}
	n := s.count.evicted[Normal] + s.count.evicted[High]
	now := time.Now()
	g := GapInfo{
		Dropped: n - s.gap.evicted,
		Bytes:   s.count.evictedBytes - s.gap.evictedBytes,
		Since:   time.UnixMilli(s.gap.evictedSince),
		Until:   now,
	}
	g.Reasons.Evicted = g.Dropped
	s.gap.evicting = false
	s.gap.evicted, s.gap.evictedBytes = n, s.count.evictedBytes
	s.tellLocked(Event{Kind: GapClosed, Gap: g})
	return g, true
}

// format calls the user's Gap, in a goroutine of its own: whatever it does, panic,
// end its goroutine or not return, costs the marker and is counted.
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
