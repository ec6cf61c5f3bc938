package logsink

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/failopen/failopen/logsink/logsinktest"
)

func TestSink_fallback_while_broken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fallback logsinktest.Recorder
		s := mustNew(t, Options{Dest: logsinktest.Broken{}, Fallback: &fallback})
		for i := range 100 {
			fmt.Fprintf(s, "%d\n", i)
			time.Sleep(time.Second)
		}
		st := mustAdd(t, s)
		if st.State != Broken || st.Delivered != 100 || st.Fallback != 100 || len(fallback.Lines()) != 100 {
			t.Errorf("%d lines in the fallback: %+v", len(fallback.Lines()), st)
		}
		if st.WriteErrors < 15 || st.WriteErrors > 30 {
			t.Errorf("a broken destination was tried %d times in 100 s", st.WriteErrors)
		}
		s.Close()
	})
}

// A destination that fails at once must not empty the sink into nothing.
func TestSink_keeps_records_while_the_destination_fails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec logsinktest.Recorder
		failing := true
		var mu sync.Mutex
		dest := writerFunc(func(p []byte) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			if failing {
				return 0, errors.New("no route to host")
			}
			return rec.Write(p)
		})
		var kinds []EventKind
		s := mustNew(t, Options{Dest: dest, OnEvent: func(e Event) { kinds = append(kinds, e.Kind) }})
		for i := range 100 {
			fmt.Fprintf(s, "%d\n", i)
		}
		time.Sleep(time.Minute)
		st := mustAdd(t, s)
		if st.Delivered != 0 || st.Queued != 100 || st.State != Retrying || st.LastError != "no route to host" {
			t.Errorf("%+v", st)
		}
		if st.WriteErrors > 25 {
			t.Errorf("%d attempts in a minute: the pauses do not grow", st.WriteErrors)
		}
		mu.Lock()
		failing = false
		mu.Unlock()
		time.Sleep(10 * time.Second)
		if st := mustAdd(t, s); st.Delivered != 100 || st.State != Healthy || len(rec.Lines()) != 100 {
			t.Errorf("%+v", st)
		}
		s.Close()
		synctest.Wait()
		if kinds[0] != WriteFailed || kinds[len(kinds)-1] != Recovered {
			t.Errorf("events: %v", kinds)
		}
	})
}

func TestSink_destination_that_ends_its_goroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec logsinktest.Recorder
		calls := 0
		s := mustNew(t, Options{Dest: writerFunc(func(p []byte) (int, error) {
			if calls++; calls < 3 {
				runtime.Goexit()
			}
			return rec.Write(p)
		})})
		io.WriteString(s, "still here\n")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if st := mustAdd(t, s); rec.String() != "still here\n" || st.Panics != 2 {
			t.Errorf("%q, %+v", rec.String(), st)
		}
	})
}

func TestSink_callbacks_that_panic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec logsinktest.Recorder
		s := mustNew(t, Options{
			Dest:     &rec,
			MaxBytes: 64 << 10,
			Classify: func(p []byte) Priority { panic("classify") },
			Gap:      func(GapInfo) []byte { panic("gap") },
			OnEvent:  func(Event) { panic("event") },
		})
		io.WriteString(s, "one\n")
		s.Write(make([]byte, 64<<10))
		io.WriteString(s, "two\n")
		s.Close()
		synctest.Wait()
		st := mustAdd(t, s)
		if rec.String() != "one\ntwo\n" || st.Panics < 5 || st.Dropped.Oversize != 1 {
			t.Errorf("%q, %+v", rec.String(), st)
		}
	})
}

// The text of an error may be a proxy's whole answer. What is kept of it is not.
func TestSink_long_error(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := errors.New(strings.Repeat("ä", 5<<20))
		s := mustNew(t, Options{Dest: writerFunc(func([]byte) (int, error) { return 0, long })})
		io.WriteString(s, "x\n")
		time.Sleep(time.Second)
		if text := s.Stats().LastError; len(text) > mostText+4 || !utf8.ValidString(text) || !strings.HasSuffix(text, "ä ...") {
			t.Errorf("%d bytes are kept: ... %q", len(text), text[len(text)-20:])
		}
		s.Close() //nolint:errcheck // nothing is taken
	})
}
