package logsink

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
)

// A process that is killed within a write of its destination leaves the next
// one in doubt: how much was taken? If the destination is a regular file the
// answer is in it. Before a chunk of the mapped file goes there the sink notes
// how long the file is, and after a crash it compares what was added with the
// chunk. If that is not the chunk's begin (someone else writes to the file
// too) the doubt remains, and the records in question come twice.

// regularFile returns the destination if it is a regular file, else nil.
func regularFile(dest io.Writer) *os.File {
	f, ok := dest.(*os.File)
	if !ok || f == nil {
		return nil
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return f
}

// findPlace prepares the chunk that goes to the destination next, if that is a
// regular file: it finds out where an earlier process stopped, and notes the
// file's size in mapped memory. The drainer may wait for the destination's disk
// here, as it does in Write.
func (d *drainer) findPlace() {
	s := d.s
	if len(s.inflight) == 0 {
		return
	}
	c := s.inflight[0]
	if !d.wrote && (c.earlier || s.opt.Seal) {
		d.resume(c)
	}
	if d.file == nil || !c.durable() {
		return
	}
	info, err := d.file.Stat()
	if err != nil {
		return // the chunk says nothing then, and may come twice
	}
	binary.LittleEndian.PutUint32(c.mem[offFile:], uint32(c.sent))
	binary.LittleEndian.PutUint64(c.mem[offFile+4:], uint64(info.Size()))
}

// resume finds out where the last process stopped. What is left begins with a
// record, on a line of its own, and so does a log with seals, since each lists the
// lines of one process. Where nobody knows what stands there that takes a line break,
// which may make an empty line.
//
// It is called once in a life, before the first write. A destination that is appended to by
// others, or has been rotated, cannot tell: then the records come again.
func (d *drainer) resume(c *chunk) {
	s := d.s
	d.wrote = true
	if d.file == nil {
		if c.earlier && s.opt.Seal && s.opt.Batch == nil {
			d.startLine()
		}
		return
	}
	f, size, err := openToRead(d.file)
	if err != nil {
		d.startLine()
		return
	}
	defer f.Close()
	if c.earlier && c.durable() {
		if sent, ok := c.resumeAt(f, size); ok {
			s.contend()
			defer s.mu.Unlock()
			c.sent = sent
			for lane, n := range c.advance(c.sent) {
				s.count.recovered -= int64(n)
				s.count.accepted[lane] -= int64(n)
			}
			return
		}
	}
	last := []byte{'\n'}
	if size > 0 {
		if _, err := f.ReadAt(last, size-1); err != nil || last[0] != '\n' {
			d.startLine()
		}
	}
}

// startLine has a line break written before the leftovers: the file may end
// within a record, and the next one must not become part of that.
func (d *drainer) startLine() {
	d.pending = append([]byte{'\n'}, d.pending...)
	d.unasked = len(d.pending) == 1
}

// resumeAt returns how much of the chunk is in the file. It reports false if the
// file cannot tell.
// It reads no more than a chunk.
func (c *chunk) resumeAt(f io.ReaderAt, size int64) (sent int, ok bool) {
	from := int(binary.LittleEndian.Uint32(c.mem[offFile:]))
	was := int64(binary.LittleEndian.Uint64(c.mem[offFile+4:]))
	if from < headerSize || from > c.sent || was > size || size-was > int64(c.used-from) {
		return 0, false
	}
	added := make([]byte, size-was)
	if _, err := f.ReadAt(added, was); err != nil && !errors.Is(err, io.EOF) {
		return 0, false
	}
	if !bytes.Equal(added, c.mem[from:from+len(added)]) || from+len(added) < c.sent {
		return 0, false
	}
	return from + len(added), true
}

// openToRead opens a file again that may be open for writing only.
func openToRead(same *os.File) (*os.File, int64, error) {
	want, err := same.Stat()
	if err != nil {
		return nil, 0, err
	}
	f, err := os.Open(same.Name())
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !os.SameFile(info, want) {
		err = errors.New("logsink: another file has that name now")
	}
	if err != nil {
		f.Close() //nolint:errcheck // the error is told
		return nil, 0, err
	}
	return f, info.Size(), nil
}
