package logsinktest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// What arrives is judged record by record.
func TestLoad_arrived(t *testing.T) {
	l := load{writers: 2, each: 2, size: 3}
	for _, tt := range []struct {
		name, log string
		n         int64
		err       string
	}{
		{"nothing", "", 0, "<nil>"},
		{"everything", "0 0 xxx\n1 0 xxx\n0 1 xxx\n1 1 xxx\n", 4, "<nil>"},
		{"with a gap", "0 1 xxx\n", 1, "<nil>"},
		{"no line break at the end", "0 0 xxx\n1 1 xxx", 2, "<nil>"},
		{"a part", "0 0\n", 0, `a record arrived torn: "0 0"`},
		{"too short", "0 0 xx\n", 0, `a record arrived torn: "0 0 xx"`},
		{"two in one", "0 0 xxx0 1 xxx\n", 0, `a record arrived torn: "0 0 xxx0 1 xxx"`},
		{"no number", "0 a xxx\n", 0, `a record arrived torn: "0 a xxx"`},
		{"an empty line", "0 0 xxx\n\n", 0, `a record arrived torn: ""`},
		{"twice", "0 0 xxx\n1 0 xxx\n0 0 xxx\n", 0, "writer 0: record 0 arrived after 0"},
		{"swapped", "1 1 xxx\n1 0 xxx\n", 0, "writer 1: record 0 arrived after 1"},
		{"a long one", strings.Repeat("y", 100), 0, `a record arrived torn: "` + strings.Repeat("y", 40) + `"`},
	} {
		var rec Recorder
		io.WriteString(&rec, tt.log)
		if n, err := l.arrived(&rec); n != tt.n || fmt.Sprint(err) != tt.err {
			t.Errorf("%s: %d, %v, want %d, %s", tt.name, n, err, tt.n, tt.err)
		}
	}
}

// subject is a wrapper that is none: it writes straight on, and does what a test wants
// it to do wrong.
type subject struct {
	mu    sync.Mutex
	dest  io.Writer
	write func(s *subject, p []byte) (int, error)
	kept  []byte
	lost  int64
	end   bool
}

func (s *subject) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.write(s, p)
}

// honest writes and counts what it could not write.
func honest(s *subject, p []byte) (int, error) {
	if s.end {
		s.lost++
	} else if _, err := s.dest.Write(p); err != nil {
		s.lost++
	}
	return len(p), nil
}

// Each promise names what was broken, with numbers.
func TestPromises_tell_what_is_broken(t *testing.T) {
	everySecond := func(s *subject, p []byte, then func()) (int, error) {
		if strings.HasPrefix(string(p), "0 1 ") {
			then()
			return len(p), nil
		}
		return honest(s, p)
	}
	for _, tt := range []struct {
		name  string
		check func(Make) error
		write func(s *subject, p []byte) (int, error)
		close error
		want  string
	}{
		{"nothing", healthy, honest, nil, "<nil>"},
		{"a silent loss", healthy, func(s *subject, p []byte) (int, error) { return everySecond(s, p, func() {}) }, nil, "800 records written, 799 arrived, 0 said to be lost"},
		{"a loss", healthy, func(s *subject, p []byte) (int, error) { return everySecond(s, p, func() { s.lost++ }) }, nil, "1 of 800 records lost although nothing was wrong"},
		{"a record twice", healthy, func(s *subject, p []byte) (int, error) {
			return everySecond(s, p, func() { s.dest.Write(p); s.dest.Write(p) })
		}, nil, "writer 0: record 1 arrived after 1"},
		{"an error", healthy, func(*subject, []byte) (int, error) { return 3, errors.New("full") }, nil, "Write returned 3 of 55, full: a logger has no use for that"},
		{"a short write", healthy, func(*subject, []byte) (int, error) { return 0, nil }, nil, "Write returned 0 of 55, <nil>: a logger has no use for that"},
		{"a panic", healthy, func(*subject, []byte) (int, error) { panic("no") }, nil, "Write panicked: no"},
		{"an error of Close", healthy, honest, errors.New("busy"), "Close: busy"},
		{"the slice is kept", retention, func(s *subject, p []byte) (int, error) { s.kept = p; return len(p), nil }, nil, `wrote "first\n", then changed the slice; "WRONG\n" arrived`},
		{"no count after Close", afterClose, func(s *subject, p []byte) (int, error) { return len(p), nil }, nil, "40 records written, 0 counted as lost"},
	} {
		wrap := func(dest io.Writer) Subject {
			s := &subject{dest: dest, write: tt.write}
			return Subject{Writer: s, Lost: func() int64 { return s.lost }, Close: func(context.Context) error {
				if s.kept != nil {
					s.dest.Write(s.kept)
				}
				s.end = true
				return tt.close
			}}
		}
		if err := tt.check(wrap); fmt.Sprint(err) != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}

// writer is a Write without a lock, which no goroutine of a bubble may wait for.
type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// A panic outside of Write, as in Close, is a broken promise and not the test's end.
func TestPromise_contains_panics(t *testing.T) {
	p := promise{"closes", func(wrap Make) error { return wrap(nil).Close(context.Background()) }}
	err := p.run(func(io.Writer) Subject { return Subject{Close: func(context.Context) error { panic("gone") }} })
	var v *Violation
	if !errors.As(err, &v) || *v != (Violation{"closes", "it panicked: gone"}) || err.Error() != "closes: it panicked: gone" {
		t.Errorf("%v", err)
	}
	if err := p.run(func(io.Writer) Subject { return Subject{Close: func(context.Context) error { return nil }} }); err != nil {
		t.Errorf("a promise that is kept: %v", err)
	}
}

// A wrapper that blocks is found out when patience is over, one whose Close does
// when slack is.
func TestPromises_of_a_wrapper_that_blocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		blocks := Subject{Writer: writer(func([]byte) (int, error) { <-stuck; return 0, nil })}
		began := time.Now()
		err := load{2, 3, 4}.write(blocks)
		if want := "2 goroutines did not write 3 lines each within 3s"; fmt.Sprint(err) != want || time.Since(began) != patience {
			t.Errorf("%v after %v, want %s", err, time.Since(began), want)
		}
		began = time.Now()
		err = closing(func(dest io.Writer) Subject {
			return Subject{Writer: writer(func(p []byte) (int, error) { return len(p), nil }), Close: func(context.Context) error { <-stuck; return nil }}
		})
		if want := "Close had not returned 1s after its ctx ended"; fmt.Sprint(err) != want || time.Since(began) != closeSlack+50*time.Millisecond {
			t.Errorf("%v after %v, want %s", err, time.Since(began), want)
		}
		close(stuck)
		synctest.Wait()
	})
}

// Each bad destination does what its comment says, call by call.
func TestDestinations_call_by_call(t *testing.T) {
	type call struct {
		n   int
		err error
	}
	for _, tt := range []struct {
		name    string
		make    func(io.Writer) io.Writer
		calls   []call // of Write("abcd")
		arrived string
	}{
		{"flaky", func(w io.Writer) io.Writer { return NewFlaky(w, 2) }, []call{{0, ErrInjected}, {4, nil}, {0, ErrInjected}, {4, nil}}, "abcdabcd"},
		{"always flaky", func(w io.Writer) io.Writer { return NewFlaky(w, 1) }, []call{{0, ErrInjected}, {0, ErrInjected}}, ""},
		{"torn", func(w io.Writer) io.Writer { return NewTorn(w, 3) }, []call{{2, ErrInjected}, {4, nil}, {4, nil}, {2, ErrInjected}}, "ababcdabcdab"},
		{"partial", func(w io.Writer) io.Writer { return NewPartial(w, 3) }, []call{{3, syscall.EAGAIN}, {3, syscall.EAGAIN}}, "abcabc"},
		{"partial, and it fits", func(w io.Writer) io.Writer { return NewPartial(w, 4) }, []call{{4, nil}}, "abcd"},
		{"broken", func(io.Writer) io.Writer { return Broken{} }, []call{{0, syscall.EPIPE}, {0, syscall.EPIPE}}, ""},
		{"flaky in front of broken", func(io.Writer) io.Writer { return NewFlaky(Broken{}, 2) }, []call{{0, ErrInjected}, {0, syscall.EPIPE}}, ""},
		{"torn in front of broken", func(io.Writer) io.Writer { return NewTorn(Broken{}, 1) }, []call{{0, syscall.EPIPE}}, ""},
		{"partial in front of broken", func(io.Writer) io.Writer { return NewPartial(Broken{}, 1) }, []call{{0, syscall.EPIPE}}, ""},
	} {
		var rec Recorder
		w := tt.make(&rec)
		var got []call
		for range tt.calls {
			n, err := w.Write([]byte("abcd"))
			got = append(got, call{n, err})
		}
		if !slices.Equal(got, tt.calls) || rec.String() != tt.arrived {
			t.Errorf("%s: %v and %q, want %v and %q", tt.name, got, rec.String(), tt.calls, tt.arrived)
		}
	}
}

func TestPanicking_panics_before_it_takes_anything(t *testing.T) {
	var rec Recorder
	w := NewPanicking(&rec, 2)
	var got []any
	for range 4 {
		func() {
			defer func() { got = append(got, recover()) }()
			io.WriteString(w, "a")
		}()
	}
	if want := []any{"logsinktest: injected panic", nil, "logsinktest: injected panic", nil}; !slices.Equal(got, want) || rec.String() != "aa" {
		t.Errorf("%v and %q", got, rec.String())
	}
}

func TestSlow_takes_as_long_as_its_rate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec Recorder
		w := NewSlow(&rec, 100)
		for _, tt := range []struct {
			text string
			took time.Duration
		}{{"", 0}, {"a", 10 * time.Millisecond}, {strings.Repeat("b", 250), 2500 * time.Millisecond}} {
			began := time.Now()
			if n, err := io.WriteString(w, tt.text); n != len(tt.text) || err != nil || time.Since(began) != tt.took {
				t.Errorf("%d bytes: %d, %v after %v, want %v", len(tt.text), n, err, time.Since(began), tt.took)
			}
		}
	})
}

func TestFrozen_lets_all_go(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec Recorder
		for _, to := range []io.Writer{&rec, nil} {
			f := NewFrozen(to)
			ended := make(chan int, 2)
			for range 2 {
				go func() {
					n, _ := io.WriteString(f, "abc")
					ended <- n
				}()
			}
			<-f.Entered()
			if synctest.Wait(); len(ended) != 0 {
				t.Error("it is not frozen")
			}
			f.Release()
			f.Release() // the second one is harmless
			if a, b := <-ended, <-ended; a != 3 || b != 3 {
				t.Errorf("%d and %d bytes", a, b)
			}
		}
		if rec.String() != "abcabc" {
			t.Errorf("%q", rec.String())
		}
	})
}

func TestRecorder_lines(t *testing.T) {
	for text, want := range map[string][]string{
		"":           nil,
		"\n":         {""},
		"a":          {"a"},
		"a\nb\n":     {"a", "b"},
		"a\n\nb":     {"a", "", "b"},
		"a\r\nb\r\n": {"a\r", "b\r"},
	} {
		var rec Recorder
		io.WriteString(&rec, text)
		if got := rec.Lines(); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
