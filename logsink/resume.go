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
// chunk. If that is not the chunk's begin (somebody else writes to the file
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

// notePosition notes the file's size in the chunk that goes there next. Called
// with the lock, which it gives up for the system call.
func (s *Sink) notePosition() {
	if s.file == nil || len(s.inflight) == 0 || !s.inflight[0].durable {
		return
	}
	c := s.inflight[0]
	s.mu.Unlock()
	info, err := s.file.Stat()
	s.mu.Lock()
	if err != nil {
		return // the chunk says nothing then, and may come twice
	}
	binary.LittleEndian.PutUint32(c.mem[offFile:], uint32(c.sent))
	binary.LittleEndian.PutUint64(c.mem[offFile+4:], uint64(info.Size()))
}

// resume finds out where the last process stopped. What is left begins with a
// record, on a line of its own.
func (s *Sink) resume() {
	if s.file == nil || s.count.recovered == 0 {
		return
	}
	c := s.head
	if len(s.inflight) > 0 {
		c = s.inflight[0]
	}
	f, size, err := openToRead(s.file)
	if err != nil {
		s.startLine()
		return
	}
	defer f.Close()
	if c != nil && c.resumeAt(f, size) {
		for lane, n := range c.advance(c.sent) {
			s.count.recovered -= int64(n)
			s.count.accepted[lane] -= int64(n)
		}
		return
	}
	last := []byte{'\n'}
	if size > 0 {
		if _, err := f.ReadAt(last, size-1); err != nil || last[0] != '\n' {
			s.startLine()
		}
	}
}

// startLine has a line break written before the leftovers: the file may end
// within a record, and the next one must not become part of that.
func (s *Sink) startLine() {
	s.out.pending = []byte{'\n'}
	s.out.unasked = true
}

// resumeAt moves sent to where the file says that it is. It reports false if
// the file cannot tell.
func (c *chunk) resumeAt(f io.ReaderAt, size int64) bool {
	from := int(binary.LittleEndian.Uint32(c.mem[offFile:]))
	was := int64(binary.LittleEndian.Uint64(c.mem[offFile+4:]))
	if from < headerSize || from > c.sent || was > size || size-was > int64(c.used-from) {
		return false
	}
	added := make([]byte, size-was)
	if _, err := f.ReadAt(added, was); err != nil && !errors.Is(err, io.EOF) {
		return false
	}
	if !bytes.Equal(added, c.mem[from:from+len(added)]) || from+len(added) < c.sent {
		return false
	}
	c.sent = from + len(added)
	return true
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
