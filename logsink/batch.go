package logsink

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// Record is what one Write brought, as a [BatchDest] gets it.
type Record struct {
	Time     time.Time // when it was written, to the millisecond
	Priority Priority  // the lane it came through
	Data     []byte    // valid until WriteBatch returns; must not be changed
}

// BatchDest is a destination that takes records instead of bytes: a service
// with limits and rules for each of them. It is called by one goroutine.
type BatchDest interface {
	// WriteBatch takes some records from the front of recs, which is never
	// empty and in order of time as far as the clock was. The result says how
	// many need not come again. Done may be less than len(recs) without an
	// error: the rest follows in the next call. With an error the rest is
	// tried again after a pause: the sink's own, or that of a [RetryAfter] in
	// the error's chain.
	//
	// Ctx ends when Shutdown gives up. A destination that ignores it holds a
	// goroutine, not Shutdown.
	WriteBatch(ctx context.Context, recs []Record) (BatchResult, error)
}

// BatchResult is what became of the front of a batch.
type BatchResult struct {
	Done     int   // records from the front that are finished: delivered or rejected
	Rejected []int // indexes below Done, ascending, of those refused for good; what is none of them is counted as an error
	Why      error // the reason of Rejected, if the destination knows it
}

// RetryAfter is implemented by an error of a [BatchDest] that knows how long
// to wait before the next attempt: at most five minutes, or RetryMax.
type RetryAfter interface {
	error
	RetryAfter() time.Duration
}

// ref is where a record of the batch lies.
type ref struct {
	c    *chunk
	slot int
}

// deliverBatch hands what is in flight to the BatchDest, or returns early when
// the sink is dead.
//
// It calls until all that was collected is done, and lands chunks as their last record is.
// A result that makes no sense is an error of the destination, never a wrong count.
func (d *drainer) deliverBatch() {
	s := d.s
	d.collect()
	for len(d.refs) > 0 && s.ctx.Err() == nil {
		if d.usesFallback() {
			d.batchToFallback()
			continue
		}
		res, err := d.writeBatch(d.recs)
		if res.Done, err = sane(res.Done, len(d.recs), err); res.Done > 0 && err == io.ErrShortWrite {
			err = nil // the rest comes with the next call
		}
		d.tookBatch(res, err == nil, false)
		if err != nil && s.ctx.Err() == nil {
			d.failed(err, false, false)
		}
	}
	if len(d.refs) == 0 {
		s.mu.Lock()
		d.landLocked()
		s.mu.Unlock()
	}
}

// maxBatch is how many records one call gets: what CloudWatch takes. It also
// bounds what the list of them costs beside their memory.
const maxBatch = 10_000

// landLocked ends the chunks in flight of which nothing is to be delivered any
// more.
// Markers that nobody wants, and damaged slots, are skipped on the way.
func (d *drainer) landLocked() {
	s := d.s
	for len(s.inflight) > 0 && len(d.refs) == 0 {
		c := s.inflight[0]
		for c.rec < c.n && !d.wants(c.word(c.rec)) {
			s.skipLocked(c)
		}
		if c.rec < c.n {
			return
		}
		s.landedLocked()
	}
	for len(s.inflight) > 0 && s.inflight[0].rec == s.inflight[0].n {
		s.landedLocked()
	}
}

// wants reports whether a slot stands for something to deliver.
func (d *drainer) wants(word uint32) bool {
	return word&flagBad == 0 && (word&flagGap == 0 || d.s.opt.Gap != nil)
}

// collect lists the records in flight. Markers are formatted and become
// records, which their slot then stands for.
//
// Records share the chunks' memory: it stays until they are done. It is called without the
// lock, for the user's Gap; chunks in flight change by the drainer alone.
func (d *drainer) collect() {
	d.recs, d.refs = d.recs[:0], d.refs[:0]
	if len(d.pending) > 0 {
		d.addOwn(d.pending, d.unasked)
		d.pending, d.unasked = nil, false
	}
	for _, c := range d.s.inflight {
		for i := c.rec; i < c.n && len(d.recs) < maxBatch; i++ {
			w := c.word(i)
			if !d.wants(w) {
				continue
			}
			rec := Record{Time: time.UnixMilli(c.millis(i)), Priority: Priority(w >> 31), Data: c.record(i)}
			if w&flagGap != 0 {
				rec.Data = d.s.format(readGap(rec.Data))
			}
			d.add(rec, ref{c, i})
			if d.s.opt.Seal && i == c.n-1 && !c.sealed {
				c.sealed = true
				d.addOwn(d.sealOf(c), true)
			}
		}
	}
}

// addOwn adds a record of the sink's own: a marker, or a seal.
func (d *drainer) addOwn(line []byte, seal bool) {
	if len(line) == 0 {
		return
	}
	at := ref{}
	if seal {
		at.slot = sealSlot
	}
	d.add(Record{Time: time.Now(), Data: line}, at)
}

const sealSlot = -1

func (d *drainer) add(rec Record, at ref) {
	d.recs = append(d.recs, rec)
	d.refs = append(d.refs, at)
}

// writeBatch is one call of the destination, contained like write.
func (d *drainer) writeBatch(recs []Record) (res BatchResult, err error) {
	s := d.s
	d.toFallback = false
	s.watch.Reset(slowAfter)
	defer func() {
		s.watch.Stop()
		s.busy.Store(false)
		if r := recover(); r != nil {
			s.countPanic()
			res, err = BatchResult{}, fmt.Errorf("logsink: the destination panicked: %v", r)
		}
	}()
	return s.opt.Batch.WriteBatch(s.ctx, recs)
}

// tookBatch counts the records that are done.
//
// It goes by what was checked before: Done is within the batch (sane), and rejected sorts
// the rest out. The order of its three parts is explained at rejectedLocked.
func (d *drainer) tookBatch(res BatchResult, good, fallback bool) {
	s := d.s
	why := failure{text: "the destination gave no reason"}
	if res.Why != nil {
		why = s.judge(res.Why)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if res.Done > 0 {
		d.pause = 0
		s.movedLocked()
	}
	if good {
		d.broken, d.failsSince = false, time.Time{}
		s.healthyLocked()
	}
	done := d.refs[:res.Done]
	refused, sane := res.rejected()
	d.ownTookLocked(done)
	d.rejectedLocked(refused, why)
	var whole [2]int
	for i, at := range done {
		if at.c == nil {
			continue
		}
		w := at.c.word(at.slot)
		at.c.rec, at.c.sent = at.slot+1, int(w&endMask)
		if w&flagGap != 0 {
			s.count.markers++
			s.markersLeftLocked(at.c, at.c.rec)
			continue
		}
		if _, isRefused := slices.BinarySearch(refused, i); !isRefused {
			whole[w>>31]++
		}
		at.c.finish(one(w))
	}
	s.settleLocked(whole, [2]int{}, fallback)
	if !sane {
		s.count.writeErrors++
		s.count.lastErr = fmt.Sprintf("the destination rejected records %v, of %d that are done", res.Rejected, res.Done)
	}
	d.refs = d.refs[res.Done:]
	d.recs = d.recs[res.Done:]
	d.landLocked()
	s.tellWaitingLocked()
	if len(s.inflight) > 0 && s.inflight[0].onDisk {
		s.mover.rouse()
	}
}

// rejected returns the indexes of Rejected in order, each once, and false if there
// were others among them than of what is done.
func (r BatchResult) rejected() (list []int, sane bool) {
	list = slices.Compact(slices.Sorted(slices.Values(r.Rejected)))
	n := len(list)
	list = slices.DeleteFunc(list, func(i int) bool { return i < 0 || i >= r.Done })
	return list, len(list) == n
}

// ownTookLocked counts the lines of the sink's own among what is done.
func (d *drainer) ownTookLocked(done []ref) {
	for _, at := range done {
		if at.c == nil && at.slot != sealSlot {
			d.s.count.markers++
			d.s.evictionsToldLocked(d.evictions)
		}
	}
}

// rejectedLocked counts and tells the records that the destination refused for good,
// of those in flight the ones with these indexes. Their marker comes with the next
// batch. It is called before their chunks say that they are done with: a process that
// is killed in between has them rejected once more, rather than lost and not counted.
func (d *drainer) rejectedLocked(refused []int, why failure) {
	s := d.s
	var records [2]int
	lost := loss{}
	for _, i := range refused {
		if at := d.refs[i]; at.c != nil && at.c.word(at.slot)&flagGap == 0 {
			records[at.c.word(at.slot)>>31]++
			lost.rejected++
			lost.bytes += int64(len(d.recs[i].Data))
		}
	}
	if lost.rejected == 0 {
		return
	}
	s.settleLocked([2]int{}, records, false)
	s.count.lastErr = why.text
	s.tellLocked(Event{Kind: RecordsRejected, Records: lost.rejected, Err: why.err})
	now := time.Now()
	d.gaps = append(d.gaps, lost.info(now.UnixMilli(), now.UnixMilli()))
	if s.gap.evictedTold == s.gap.evicted && !s.gap.evicting {
		s.gap.evictedSince = now.UnixMilli()
	}
	s.count.rejectedBytes += lost.bytes
	s.gap.evicted = s.gap.evicted.plus(lost)
	d.evictions = s.gap.evicted
	s.keepLocked(nil)
}

func one(word uint32) (n [2]int) {
	n[word>>31] = 1
	return n
}
