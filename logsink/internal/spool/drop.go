package spool

import (
	"errors"
	"io"
	"slices"
	"time"
)

// DropOldest drops what waits in the oldest segment, to make room. Of a segment that
// is read just now, what was read stays. Before it is gone, marked gets each chunk of
// it that is Marked, in a Frame that is valid until it returns, and lost what it is in
// all: records by lane, and bytes. DropOldest reports false if nothing waits.
func (q *Queue) DropOldest(marked func(Entry), lost func(left [2]int64, bytes int64)) (ok bool, err error) {
	return q.dropFirst(func(seg *segment) bool { return true }, marked, lost)
}

// DropBefore is DropOldest for a segment whose last chunk came before t.
func (q *Queue) DropBefore(t time.Time, marked func(Entry), lost func(left [2]int64, bytes int64)) (ok bool, err error) {
	return q.dropFirst(func(seg *segment) bool { return seg.newest < t.UnixMilli() }, marked, lost)
}

// dropFirst drops what waits in the oldest segment, if due says so. What is marked and
// cannot be read does not keep it: that is the error then.
//
// The order is: tell, count, cut. If the process is killed after it has told, the next one
// finds the segment, and what was told as lost comes all the same.
func (q *Queue) dropFirst(due func(*segment) bool, marked func(Entry), lost func([2]int64, int64)) (ok bool, err error) {
	i := slices.IndexFunc(q.segs, func(seg *segment) bool { return seg.read < seg.size })
	if i < 0 || !due(q.segs[i]) {
		return false, nil
	}
	seg := q.segs[i]
	err = q.visitMarked(seg, marked)
	left, bytes := seg.lost(), seg.size-seg.read
	lost(left, bytes)
	q.frames -= seg.frames
	q.left[0] -= seg.left[0]
	q.left[1] -= seg.left[1]
	if seg.open == 0 {
		return true, errors.Join(err, q.drop(seg))
	}
	seg.frames, seg.left, seg.torn, seg.sealed = 0, [2]int64{}, nil, true
	q.bytes -= bytes
	seg.size = seg.read
	return true, errors.Join(err, seg.f.Truncate(seg.size))
}

// visitMarked reads the chunks of a segment that wait and are marked.
// It reads headers, and of the frames those alone that are marked: usually none.
func (q *Queue) visitMarked(seg *segment, visit func(Entry)) error {
	var buf []byte
	for at := seg.read; at < seg.size; {
		h, from, err := q.scan.find(seg.f, at, seg.size, seg.life)
		if errors.Is(err, io.EOF) || err == nil && from+int64(h.size) > seg.size {
			return nil
		}
		if err != nil {
			return err
		}
		at = from + int64(h.size)
		if h.finished || !h.Marked {
			continue
		}
		buf = slices.Grow(buf[:0], h.size)[:h.size]
		if _, err := seg.f.ReadAt(buf, from); err != nil {
			return err
		}
		visit(Entry{h.Meta, buf, Ref{seg, from}})
	}
	return nil
}
