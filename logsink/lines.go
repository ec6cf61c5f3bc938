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
// line break at the end waits for one; Close delivers it. Each stream needs a
// writer of its own, or their lines mix where one of them stops within a line;
// os/exec takes care of that if Stdout and Stderr are the same writer. It is
// safe for concurrent use.
func (s *Sink) Lines() io.WriteCloser { return &lines{s: s} }

type lines struct {
	s    *Sink
	mu   sync.Mutex
	part []byte
}

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
func (l *lines) add(p []byte) {
	whole := p[len(p)-1] == '\n' || len(l.part)+len(p) == l.s.opt.MaxRecord
	switch {
	case !whole:
		l.part = append(l.part, p...)
	case len(l.part) == 0:
		l.s.Write(p)
	default:
		l.part = append(l.part, p...)
		l.flush()
	}
}

// maxIdlePart is how much of a buffer is kept for the next line.
const maxIdlePart = 64 << 10

func (l *lines) flush() {
	if len(l.part) > 0 {
		l.s.Write(l.part)
	}
	if l.part = l.part[:0]; cap(l.part) > maxIdlePart {
		l.part = nil
	}
}

// Close delivers a last line without a line break. The Sink stays open.
func (l *lines) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flush()
	return nil
}
