package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// Options of [Open].
type Options struct {
	Dir   string
	Max   int64  // bytes of all segments
	Life  uint64 // of this process; goes into the names of new segments
	Start time.Time

	// MustExist refuses a directory that no spool has used instead of making
	// one of it.
	MustExist bool
	// ReadOnly only looks: no lock, no repair, nothing is removed or marked.
	ReadOnly bool
}

// Open takes a directory, with what an earlier process left in it. It makes the
// directory if it is missing, and refuses one that others can write to: they
// could exchange files in it.
//
// A segment is a sixteenth of Max, at least 128 KiB and at most 8 MiB, or a sixty-fourth
// of Max where that is more: so much is dropped at a time, and so much stays on the disk
// for the sake of one chunk that is not finished.
func Open(o Options) (*Queue, error) {
	q := &Queue{opt: o, segMax: max(o.Max/64, min(max(o.Max/16, 128<<10), 8<<20)), inUse: map[string]bool{}}
	if err := q.openDir(); err != nil {
		q.Close() //nolint:errcheck // the error is told
		return nil, err
	}
	if err := q.load(); err != nil {
		q.Close() //nolint:errcheck // the error is told
		return nil, err
	}
	return q, nil
}

// openDir opens the directory, and takes its lock unless it is only read: two
// processes in one directory would deliver everything twice.
// The room for the note is reserved here, at the start, while the disk has some.
func (q *Queue) openDir() (err error) {
	if q.root, err = openRoot(q.opt.Dir, !q.opt.MustExist && !q.opt.ReadOnly); err != nil {
		return err
	}
	if q.opt.ReadOnly {
		return q.lookAtNote()
	}
	if q.opt.MustExist && !q.used() {
		return errors.New("no process has spilled into this directory")
	}
	if q.lock, err = lockIn(q.root); err != nil {
		return err
	}
	reserve(q.lock, noteFile)
	return q.readNote(q.lock)
}

// lookAtNote is readNote without a lock: the directory may be another process's, or a
// copy without the file.
func (q *Queue) lookAtNote() error {
	f, err := q.root.Open(LockName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return q.readNote(f)
}

// used reports whether the directory has been a spool's.
func (q *Queue) used() bool {
	_, err := q.root.Lstat(LockName)
	return err == nil
}

// load lists the segments of earlier processes.
// Files with other names, and what is no regular file, are not looked at.
func (q *Queue) load() error {
	entries, err := fs.ReadDir(q.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries { // sorted by name, and so by age
		life, ok := parseName(e.Name())
		if !ok || !e.Type().IsRegular() {
			continue
		}
		if err := q.loadSegment(e.Name(), life); err != nil {
			return fmt.Errorf("%s: %w", e.Name(), err)
		}
	}
	return nil
}

// loadSegment takes over a segment of an earlier life. It is sealed: what is
// new goes into new files, so that a torn end stays at an end.
func (q *Queue) loadSegment(name string, life uint64) error {
	mode := os.O_RDWR
	if q.opt.ReadOnly {
		mode = os.O_RDONLY
	}
	f, err := q.root.OpenFile(name, mode, 0)
	if err != nil {
		return err
	}
	seg := &segment{name: name, life: life, f: f, sealed: true}
	info, err := f.Stat()
	if err != nil {
		f.Close() //nolint:errcheck // it was not used
		return err
	}
	if info.Size() == 0 {
		f.Close() //nolint:errcheck // it is empty
		if !q.opt.ReadOnly {
			q.remove(name) //nolint:errcheck // if it cannot be, nothing is lost with it
		}
		return nil
	}
	q.inUse[name] = true
	seg.size = info.Size()
	q.segs = append(q.segs, seg)
	q.bytes += seg.size
	return q.count(seg)
}

// count reads the headers of a segment.
// O(frames): a frame's text is not read unless a header is damaged.
func (q *Queue) count(seg *segment) error {
	for at := int64(0); ; {
		h, from, err := q.scan.find(seg.f, at, seg.size, seg.life)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		at = from + int64(h.size)
		if at > seg.size {
			// The process was killed while it wrote this chunk.
			seg.torn = append(seg.torn, h.Meta)
			return nil
		}
		if h.finished {
			continue
		}
		seg.newest = max(seg.newest, h.Stored)
		q.add(seg, h.Meta, 1)
	}
}

// Metas lists the chunks that wait, oldest first, without reading them.
// It stops in a segment at the first thing that it cannot read; Next finds out what it is.
func (q *Queue) Metas() (list []Meta, err error) {
	for _, seg := range q.segs {
		for at := seg.read; at < seg.size; {
			h, from, err := q.scan.find(seg.f, at, seg.size, seg.life)
			if err != nil || from+int64(h.size) > seg.size {
				break
			}
			if at = from + int64(h.size); !h.finished {
				list = append(list, h.Meta)
			}
		}
	}
	return list, nil
}

// Torn lists the chunks whose end was missing when the spool was opened. They
// are lost, unless Discard takes them off.
// One a segment at most, and the last in it.
func (q *Queue) Torn() (list []Meta) {
	for _, seg := range q.segs {
		list = append(list, seg.torn...)
	}
	return list
}

// Discard takes chunks off that the caller has in another place. One whose end
// was missing is cut off, so that it is not told as damage either.
// It reads all headers, and calls known once for each chunk that waits. Chunks that were
// read already are the reader's to finish.
func (q *Queue) Discard(known func(ID) bool) error {
	var all error
	for _, seg := range q.segs {
		end := int64(0)
		for at := int64(0); at < seg.size; {
			h, from, err := q.scan.find(seg.f, at, seg.size, seg.life)
			if err != nil || from+int64(h.size) > seg.size {
				break
			}
			at = from + int64(h.size)
			end = at
			if !h.finished && from >= seg.read && known(h.ID) {
				all = errors.Join(all, seg.putDone(from, allDone))
				q.add(seg, h.Meta, -1)
			}
		}
		if len(seg.torn) > 0 && known(seg.torn[0].ID) {
			q.bytes -= seg.size - end
			seg.size, seg.torn = end, nil
			all = errors.Join(all, seg.f.Truncate(end))
		}
	}
	return all
}
