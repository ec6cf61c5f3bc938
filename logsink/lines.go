package logsink

import (
	"bytes"
	"io"
	"sync"
)

// Lines returns a writer that cuts what it gets at line breaks and makes each
// line a record of s: for the output of a child process, which comes in pieces
// that begin and end anywhere.
//
//	out := sink.Lines()
//	defer out.Close()
//	cmd.Stdout, cmd.Stderr = out, out
//
// A line longer than Options.MaxRecord becomes several records. What has no
// line break at the end waits for one, in memory that counts as the sink's;
// Close delivers it, with a line break. Each stream needs a writer of its own,
// or their lines mix where one of them stops within a line; os/exec takes care
// of that if Stdout and Stderr are the same writer. It is safe for concurrent
// use.
func (s *Sink) Lines() io.WriteCloser {
	return &lines{s: s, write: func(p []byte) { s.Write(p) }}
}

// LaneLines is [Sink.Lines] for records of the given priority, such as those of
// a child's standard error. See [Sink.Lane].
func (s *Sink) LaneLines(p Priority) io.WriteCloser {
	w := s.Lane(p)
	return &lines{s: s, write: func(p []byte) { w.Write(p) }}
}

type lines struct {
	s     *Sink
	write func(record []byte)
	mu    sync.Mutex
	part  []byte
	taken int // of the sink's budget, for part
}

// Write splits p into lines, and keeps the beginning of one that has not ended
// for the next Write. A line that is too long for a record is cut into several.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(p) {
		for len(line) > 0 {
			n := min(len(line), l.s.opt.MaxRecord-len(l.part))
			l.add(line[:n])
			line = line[n:]
		}
	}
	return len(p), nil
}

// add takes a piece of a line that fits into a record.
// P is not empty, has a line break at its end or none, and fits into a record with part.
func (l *lines) add(p []byte) {
	whole := p[len(p)-1] == '\n' || len(l.part)+len(p) == l.s.opt.MaxRecord
	switch {
	case whole && len(l.part) == 0:
		l.write(p)
	case whole:
		l.part = append(l.part, p...)
		l.flush()
	case !l.grow(len(l.part) + len(p)):
		// There is no memory for it: what there is goes ahead, cut.
		l.flush()
		l.write(p)
	default:
		l.part = append(l.part, p...)
	}
}

// partStep is how much memory is taken for a part of a line at a time.
const partStep = 4096

// grow takes memory for n bytes from the sink's budget. It reports false if
// there is none.
func (l *lines) grow(n int) bool {
	if n <= l.taken {
		return true
	}
	more := max((n-l.taken+partStep-1)/partStep*partStep, l.taken)
	if !l.s.borrow(more) {
		return false
	}
	l.taken += more
	l.part = append(make([]byte, 0, l.taken), l.part...)
	return true
}

// flush makes a record of what has no newline yet, and gives back memory that a
// long line took. The caller holds l.mu.
func (l *lines) flush() {
	if len(l.part) > 0 {
		l.write(l.part)
	}
	if l.part = l.part[:0]; l.taken > partStep {
		l.s.giveBack(l.taken)
		l.part, l.taken = nil, 0
	}
}

// Close delivers a last line without a line break, and adds one. The Sink stays
// open.
func (l *lines) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.part) > 0 && l.part[len(l.part)-1] != '\n' {
		l.part = append(l.part, '\n')
	}
	l.flush()
	l.s.giveBack(l.taken)
	l.part, l.taken = nil, 0
	return nil
}

// borrow takes n bytes of the budget for something that is not in a chunk.
// It reports false, and takes nothing, if the normal lane's part of the budget is used up.
func (s *Sink) borrow(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live+n > s.limit[Normal] {
		return false
	}
	s.live += n
	return true
}

// giveBack is the end of borrow; what waited at the gate may go on.
func (s *Sink) giveBack(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.freedLocked(n)
}
