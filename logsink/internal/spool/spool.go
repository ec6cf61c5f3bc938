// Package spool is a durable FIFO of chunks in a directory: what package
// logsink cannot keep in memory in a long outage.
//
// A [Queue] is used by one goroutine. Every method may wait for the disk as
// long as the disk likes, so that goroutine must not hold a lock that anybody
// else wants, and nobody must wait for it. That is the reason for this package:
// the code on the other side of its wall cannot wait for a disk by mistake.
//
// A chunk is opaque here. It has a name that no other chunk ever has, an [ID],
// and carries checksums of its own. The directory holds segments, files of one
// frame after the other (segment.go); a segment is removed when all of it is
// finished. Nothing is fsynced: a spool survives the process, not the machine.
//
// The files: spool.go is the queue, written at one end (Push) and read at the other (Next,
// then Progress and Finish); segment.go the format of a frame and the names of files;
// drop.go what goes when there is no room; open.go what happens at the start, when an earlier process has left something; note.go
// the few bytes that fit in when nothing else does; dir_unix.go the directory, its lock,
// and who may write there.
package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
)

// ID names a chunk. Life is the random number of one process's run: numbers
// alone are used again by every process that starts.
type ID struct{ Life, Num uint64 }

// Meta is what a spool knows about a chunk.
type Meta struct {
	ID
	Base   int64  // when its first record was written, Unix milliseconds
	Stored int64  // when it was pushed; not before Base
	Items  int    // entries, in whatever form the chunk holds them
	Left   [2]int // records still to be delivered when it was pushed, by lane
	Done   int    // the offset in the frame up to which it is delivered
	Marked bool   // it holds something that its owner wants to see before it is dropped
}

// Entry is a chunk that was read. Frame is HeaderSize bytes that belong to the
// caller, followed by what was pushed.
type Entry struct {
	Meta
	Frame []byte
	Ref   Ref
}

// Ref is where a chunk lies in the spool that returned it.
// It is valid until Finish, and for the Queue that it came from alone.
type Ref struct {
	seg *segment
	at  int64
}

// Damage is what was lost in a segment. The damaged file is kept under the name
// Kept, one at a time, for a person to look at.
type Damage struct {
	File    string
	Kept    string
	Records [2]int64
	Bytes   int64 // in which no chunk was found
}

// Error is the damage for people, without the directory, which the caller knows.
func (d Damage) Error() string {
	return fmt.Sprintf("%s is damaged: %d records, and %d bytes without a record; kept as %s",
		d.File, d.Records[0]+d.Records[1], d.Bytes, d.Kept)
}

var (
	// ErrFull says that a chunk does not fit within Options.Max.
	ErrFull = errors.New("the spill directory is full")
	// ErrLocked says that another process, or another sink, uses the directory.
	ErrLocked = errors.New("another process uses it")
)

// Queue is an open spool.
type Queue struct {
	// A Queue has no lock: one goroutine uses it. A segment is in segs from its creation to its
	// removal, and its bytes are in bytes; a frame is in frames and left until it was read.
	opt    Options
	segMax int64
	root   *os.Root
	lock   *os.File
	noted  []byte     // the note that was there
	segs   []*segment // oldest first
	bytes  int64
	frames int      // not read yet
	left   [2]int64 // records in them
	last   Ref      // of the youngest Push
	scan   scanner
	damage []Damage
	inUse  map[string]bool // names of segments
}

// add counts a frame that waits to be read, n = 1, or no longer does, n = -1.
// It is the one place that changes these counts by a frame; retire and dropFirst take off
// what is left of a whole segment.
func (q *Queue) add(seg *segment, m Meta, n int) {
	q.frames += n
	seg.frames += n
	for lane := range m.Left {
		seg.left[lane] += int64(n * m.Left[lane])
		q.left[lane] += int64(n * m.Left[lane])
	}
}

// Skip gives up the rest of the segment that is read just now, because the disk
// does not give it.
// What is lost by that comes out of TakeDamage. Without such a segment it does nothing.
func (q *Queue) Skip() error {
	for _, seg := range q.segs {
		if seg.read < seg.size {
			seg.damaged += seg.size - seg.read
			seg.read = seg.size
			_, err := q.retire(seg)
			return err
		}
	}
	return nil
}

// Size returns what waits to be read: chunks, and their records by lane, those
// included whose loss is to be found out; and the bytes of all segments.
func (q *Queue) Size() (frames int, left [2]int64, bytes int64) {
	left = q.left
	for _, seg := range q.segs {
		for _, m := range seg.torn {
			left[0] += int64(m.Left[0])
			left[1] += int64(m.Left[1])
		}
		if seg.frames == 0 && seg.read < seg.size {
			frames++ // nothing is in it, and someone has to find that out
		}
	}
	return q.frames + frames, left, q.bytes
}

// Push appends a chunk. Frame has HeaderSize bytes of room in front of what is
// stored. After an error the chunk is not in the spool.
//
// ErrFull says that it is beyond Options.Max; what the file system says when it is full
// itself is returned as it is. It is one write, and no fsync.
func (q *Queue) Push(m Meta, frame []byte) error {
	size := int64(len(frame))
	if q.bytes+size > q.opt.Max {
		return ErrFull
	}
	seg, err := q.tail(m, size)
	if err != nil {
		return err
	}
	return q.write(seg, m, frame)
}

// PushFront stores a chunk that is older than all that wait and is in a call of
// the destination. It is found by the next process, and is not read by this one.
//
// It is not bound by Options.Max: it is one chunk, at the end of a process, and would be
// lost. It has a segment of its own, which Finish removes like one that was read.
func (q *Queue) PushFront(m Meta, frame []byte) (Ref, error) {
	seg, err := q.create(m)
	if err != nil {
		return Ref{}, err
	}
	q.segs = slices.Insert(q.segs, 0, seg)
	if err := q.write(seg, m, frame); err != nil {
		return Ref{}, err
	}
	seg.sealed, seg.read, seg.open = true, seg.size, 1
	q.add(seg, m, -1)
	return Ref{seg, 0}, nil
}

// write appends one frame. If it fails the segment is given up, as nobody knows
// how much of it is on the disk.
// The caller's frame gets its header here, in place.
func (q *Queue) write(seg *segment, m Meta, frame []byte) error {
	putHeader(frame, m)
	if _, err := seg.f.WriteAt(frame, seg.size); err != nil {
		return errors.Join(err, q.giveUp(seg))
	}
	q.last = Ref{seg, seg.size}
	seg.size += int64(len(frame))
	q.bytes += int64(len(frame))
	seg.newest = max(seg.newest, m.Base, m.Stored)
	q.add(seg, m, 1)
	return nil
}

// Undo takes back the youngest Push, of a chunk that has left by another way
// meanwhile.
// It may be called once after a Push, with nothing in between but reads.
func (q *Queue) Undo(m Meta) error {
	seg, at := q.last.seg, q.last.at
	q.last = Ref{}
	q.add(seg, m, -1)
	q.bytes -= seg.size - at
	seg.size = at
	seg.sealed = true
	if err := seg.f.Truncate(at); err != nil {
		return err
	}
	_, err := q.retire(seg)
	return err
}

// giveUp ends a segment that could not be written to: without the frame that
// is there in part, or altogether if there is no other.
// No other frame is appended to it: the next one begins a new segment.
func (q *Queue) giveUp(seg *segment) error {
	seg.sealed = true
	if seg.size > 0 {
		return seg.f.Truncate(seg.size)
	}
	return q.drop(seg)
}

// tail returns the segment that takes the next frame.
// A segment has chunks of one life, and segMax bytes unless a single chunk is longer. What
// cannot take this frame is sealed for good, so that the order of the files is the order.
func (q *Queue) tail(m Meta, size int64) (*segment, error) {
	if n := len(q.segs); n > 0 {
		if seg := q.segs[n-1]; !seg.sealed && seg.life == m.Life && (seg.size == 0 || seg.size+size <= q.segMax) {
			return seg, nil
		}
		q.segs[n-1].sealed = true
	}
	seg, err := q.create(m)
	if err != nil {
		return nil, err
	}
	q.segs = append(q.segs, seg)
	return seg, nil
}

// create makes the segment whose first chunk is m. A chunk of an earlier life
// that comes back to disk keeps its name, and so its place in the order.
func (q *Queue) create(m Meta) (*segment, error) {
	name := q.freeName(m)
	f, err := q.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		// The directory was removed under us. What is in open files is still
		// read; what comes now goes to a new directory.
		if err = q.reopen(); err == nil {
			f, err = q.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		}
	}
	if err != nil {
		return nil, err
	}
	q.inUse[name] = true
	return &segment{name: name, life: m.Life, f: f}, nil
}

// freeName is a name that no segment has: a number tells apart those that begin
// with the same chunk.
// It goes by what this process knows to be there; O_EXCL finds out the rest.
func (q *Queue) freeName(m Meta) string {
	for n := 0; ; n++ {
		name := segmentName(q.opt.Start, m.ID, n)
		if !q.inUse[name] {
			return name
		}
	}
}

// reopen takes a directory that was removed or replaced under the queue. The
// old one is let go only when the new one is locked.
// What is still open is read to its end, from files without a name.
func (q *Queue) reopen() error {
	root, err := openRoot(q.opt.Dir, true)
	if err != nil {
		return err
	}
	lock, err := lockIn(root)
	if err != nil {
		root.Close() //nolint:errcheck // the error is told
		return err
	}
	err = errors.Join(q.lock.Close(), q.root.Close())
	q.root, q.lock = root, lock
	return errors.Join(err, q.readNote(lock))
}

// Probe finds out whether the directory can be written to.
// A page is written, and not just a file made: a full disk still makes empty files. It
// leaves nothing behind, and does what is needed if the directory has gone.
func (q *Queue) Probe() error {
	f, err := q.root.OpenFile(probeName, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist): // of a process that was killed here
		if err := q.remove(probeName); err != nil {
			return err
		}
		return q.Probe()
	case errors.Is(err, fs.ErrNotExist):
		if err := q.reopen(); err != nil {
			return err
		}
		return q.Probe()
	case err != nil:
		return err
	}
	_, err = f.Write(make([]byte, 4096))
	return errors.Join(err, f.Close(), q.remove(probeName))
}

// Next reads the oldest chunk that was not read yet. It returns io.EOF if there
// is none, and passes over what is damaged. Buf is used if it is large enough.
//
// The frame is checked no further than its header: the chunk has checksums of its own. An
// error that is not io.EOF is the disk's, with the file's name, and the call may be
// repeated; Skip gives the segment up.
func (q *Queue) Next(buf []byte) (Entry, error) {
	for {
		i := slices.IndexFunc(q.segs, func(seg *segment) bool { return seg.read < seg.size })
		if i < 0 {
			return Entry{}, io.EOF
		}
		seg := q.segs[i]
		e, err := q.read(seg, buf)
		if err == nil {
			return e, nil
		}
		if !errors.Is(err, io.EOF) {
			return Entry{}, fmt.Errorf("%s: %w", seg.name, err)
		}
		if _, err := q.retire(seg); err != nil {
			return Entry{}, err
		}
	}
}

// read reads the next chunk of one segment. io.EOF: there is no other in it.
// Bytes between two frames that are none are counted as damaged, once.
func (q *Queue) read(seg *segment, buf []byte) (Entry, error) {
	for seg.read < seg.size {
		h, from, err := q.scan.find(seg.f, seg.read, seg.size, seg.life)
		if err == nil && from+int64(h.size) > seg.size {
			err = io.EOF // torn
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Entry{}, err
		}
		if !h.finished {
			buf = slices.Grow(buf[:0], h.size)[:h.size]
			if _, err := seg.f.ReadAt(buf, from); err != nil {
				return Entry{}, err
			}
		}
		seg.damaged += from - seg.read
		seg.read = from + int64(h.size)
		if h.finished {
			continue
		}
		seg.open++
		q.add(seg, h.Meta, -1)
		return Entry{h.Meta, buf, Ref{seg, from}}, nil
	}
	seg.damaged += seg.size - seg.read
	seg.read = seg.size
	return Entry{}, io.EOF
}

// Progress notes how much of a chunk is delivered, so that the next process
// does not deliver it again.
func (q *Queue) Progress(r Ref, done int) error {
	return r.seg.putDone(r.at, uint32(done))
}

// Finish ends a chunk that was read: all of it is delivered.
// Its mark is four bytes in the frame; it goes with the segment if nothing else is in it.
func (q *Queue) Finish(r Ref) error {
	r.seg.open--
	if gone, err := q.retire(r.seg); gone || err != nil {
		return err
	}
	return r.seg.putDone(r.at, allDone)
}

// retire removes a segment of which all is finished. It is told as damage if
// something in it never turned up.
// It is not removed as long as one chunk that was read is not finished. A damaged one is
// kept, under one name for all, so that damage cannot fill the disk.
func (q *Queue) retire(seg *segment) (gone bool, err error) {
	if seg.read < seg.size || seg.open > 0 || q.opt.ReadOnly {
		return false, nil
	}
	lost := seg.lost()
	q.frames -= seg.frames
	q.left[0] -= seg.left[0]
	q.left[1] -= seg.left[1]
	if lost == [2]int64{} && seg.damaged == 0 {
		return true, q.drop(seg)
	}
	q.unlist(seg)
	q.damage = append(q.damage, Damage{seg.name, damagedName, lost, seg.damaged})
	return true, errors.Join(seg.f.Close(), q.root.Rename(seg.name, damagedName))
}

// TakeDamage returns what was found damaged since the last call.
func (q *Queue) TakeDamage() []Damage {
	d := q.damage
	q.damage = nil
	return d
}

// Damaged is how many bytes were read so far in which no chunk was found, beside
// what is torn.
func (q *Queue) Damaged() (n int64) {
	for _, seg := range q.segs {
		if len(seg.torn) == 0 {
			n += seg.damaged
		}
	}
	return n
}

// drop removes a segment.
// It is off the list before it is off the disk: a file that cannot be removed is told, and
// is found again by the next process.
func (q *Queue) drop(seg *segment) error {
	q.unlist(seg)
	return errors.Join(seg.f.Close(), q.remove(seg.name))
}

// unlist forgets a segment, whose file is the caller's to remove or to rename.
func (q *Queue) unlist(seg *segment) {
	q.segs = slices.DeleteFunc(q.segs, func(o *segment) bool { return o == seg })
	q.bytes -= seg.size
	delete(q.inUse, seg.name)
}

// remove removes a file that may be gone already.
// Somebody who cleans up by hand is no error.
func (q *Queue) remove(name string) error {
	if err := q.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Close gives the directory up. What is in it stays.
// It may be called for a Queue that Open has only half made, and more than once.
func (q *Queue) Close() error {
	var all error
	for _, seg := range q.segs {
		all = errors.Join(all, seg.f.Close())
	}
	q.segs = nil
	if q.root != nil {
		all = errors.Join(all, q.root.Close())
	}
	if q.lock != nil {
		all = errors.Join(all, q.lock.Close()) // gives up the lock
	}
	return all
}
