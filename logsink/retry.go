package logsink

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
	"unicode/utf8"
)

// What the drainer does when a call of the destination has failed.

// failure is what the sink makes of an error.
type failure struct {
	err    error
	text   string
	broken bool // nobody reads, or it was closed
	short  bool // it took a part, and nothing is wrong
	again  bool // a non-blocking pipe is full
	after  time.Duration
}

// judge asks an error what it is. An error is code of the user's, too: one that
// panics is counted.
func (s *Sink) judge(err error) (f failure) {
	f = failure{err: err, text: "an error that panics when it is asked"}
	defer func() {
		if recover() != nil {
			s.countPanic()
			f.err = errors.New("logsink: the destination returned " + f.text)
		}
	}()
	f.text = clip(err.Error())
	f.broken = isBroken(err)
	f.short = errors.Is(err, io.ErrShortWrite)
	f.again = errors.Is(err, syscall.EAGAIN)
	var after RetryAfter
	if errors.As(err, &after) {
		f.after = after.RetryAfter()
	}
	return f
}

// mostText bounds the text of an error that is kept and shown: it is somebody
// else's, and may be the whole answer of a proxy.
const mostText = 4096

// clip cuts a text at mostText bytes, and not within a character.
func clip(text string) string {
	if len(text) <= mostText {
		return text
	}
	n := mostText
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + " ..."
}

// mostAfter bounds what a destination may ask for: one that says "in a year" is
// as wrong as one that does not answer.
const mostAfter = 5 * time.Minute

// failed counts an error of the destination or the fallback and pauses before
// the next attempt. The chunk is kept.
//
// Moved says that the call took something all the same. The pause is the sink's back-off,
// or what the error asks for (RetryAfter), or none: for a short write that is no error, or
// when the fallback takes over.
func (d *drainer) failed(err error, fallback, moved bool) {
	s := d.s
	f := s.judge(err)
	f.broken = f.broken && !fallback
	if d.failsSince.IsZero() {
		d.failsSince = time.Now()
	}
	changes := f.broken || fallback || d.late()
	s.contend()
	s.errorLocked(f, fallback)
	if changes && len(s.inflight) > 0 {
		// The next bytes go to another writer, or to a new connection of
		// this one: begin with a whole record.
		s.inflight[0].rewind()
	}
	s.mu.Unlock()
	switch {
	case fallback:
		d.probe = time.Time{} // the fallback is no better: back to the destination
	case changes:
		if f.broken {
			d.broken, d.pause = true, s.opt.RetryMax
		}
		d.probe = time.Now().Add(s.opt.RetryMax)
		if s.opt.Fallback != nil {
			return
		}
	}
	if moved && !f.broken && f.short {
		return // it takes some; go on
	}
	pause := d.nextPause()
	switch {
	case moved && f.again:
		pause = min(pause, time.Millisecond) // the reader is slower than we are, that is all
	case f.after > 0:
		pause = min(f.after, max(mostAfter, s.opt.RetryMax))
	}
	d.rest(pause)
}

// again goes on after the end of the drainer's goroutine, which is a failure like
// another: a destination that always ends it must not keep a processor busy.
func (d *drainer) again() {
	d.failed(errGoexit, d.toFallback, false)
	d.run()
}

var errGoexit = errors.New("logsink: the destination ended the goroutine that called it")

// errorLocked counts an error of the destination or the fallback.
// The event comes with the first error after success, and with each new text; Stats has
// the last one in any case. What is broken stays so in the end: the last error may be that
// of the deadline by which Shutdown sets the drainer free, and says nothing of a reader.
func (s *Sink) errorLocked(f failure, fallback bool) {
	news := s.count.state == Healthy || f.text != s.count.lastErr
	s.count.writeErrors++
	s.count.lastErr = f.text
	if s.count.state != Broken || !fallback && !s.dead {
		s.count.state = Retrying
	}
	if f.broken {
		s.count.state = Broken
	}
	if news {
		s.tellLocked(Event{Kind: WriteFailed, Err: f.err})
	}
}

// nextPause doubles from RetryMin to RetryMax.
func (d *drainer) nextPause() time.Duration {
	o := &d.s.opt
	pause := min(max(d.pause, o.RetryMin), o.RetryMax)
	d.pause = min(2*pause, o.RetryMax)
	return pause
}

// isBroken reports whether the destination is gone for good, as far as one
// can tell: nobody reads the pipe, or it was closed.
func isBroken(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, os.ErrClosed) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe)
}

// rest waits before the next attempt. Shutdown cuts it short once, and keeps
// the later ones short.
func (d *drainer) rest(pause time.Duration) {
	s := d.s
	closing := s.closing
	if d.hurried {
		closing = nil
		pause = min(pause, max(s.opt.RetryMin, 50*time.Millisecond))
	}
	s.restBusy(true)
	defer s.restBusy(false)
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-closing:
		d.hurried = true
	case <-s.ctx.Done():
	}
}

// restBusy is setBusy for a caller without the lock.
func (s *Sink) restBusy(busy bool) {
	s.contend()
	s.setBusyLocked(busy)
	s.mu.Unlock()
}
