package logsink_test

import (
	"io"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/logsink"
)

// The way of a log line through the files of this package: at each station the
// stack of the goroutine that is there, from the outside in, beginning with who
// started it. A way that gets longer, or comes back to a file more often,
// changes a line here, and has to be worth it.
func TestWalk(t *testing.T) {
	ways := walk(t)
	for name, want := range map[string]string{
		"Classify":       "sink",
		"Dest.Write":     "options drain",
		"Fallback.Write": "options drain fallback",
		"OnEvent":        "events",
	} {
		if got := ways[name]; got != want {
			t.Errorf("the way to %s is\n%q; it was\n%q", name, got, want)
		}
	}
}

var framesOfSink = regexp.MustCompile(`(?m)^\t.*/logsink/([a-z]+)\.go:\d+`)

// here is the way to the caller, without files outside the package.
func here() string {
	b := make([]byte, 64<<10)
	b = b[:runtime.Stack(b, false)]
	var files []string
	for _, m := range framesOfSink.FindAllSubmatch(b, -1) {
		files = append(files, string(m[1]))
	}
	slices.Reverse(files)
	return strings.Join(slices.Compact(files), " ")
}

type stations struct {
	mu  sync.Mutex
	way map[string]string
}

func (s *stations) at(name string) {
	way := here()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.way[name] == "" {
		s.way[name] = way
	}
}

type station struct {
	*stations
	name string
	err  error
}

func (s station) Write(p []byte) (int, error) {
	s.at(s.name)
	if s.err != nil {
		return 0, s.err
	}
	return len(p), nil
}

// walk sends a line to a destination that fails, and so to the fallback.
func walk(t *testing.T) map[string]string {
	s := &stations{way: map[string]string{}}
	synctest.Test(t, func(t *testing.T) {
		sink, err := logsink.New(logsink.Options{
			Dest:     station{s, "Dest.Write", io.ErrClosedPipe},
			Fallback: station{s, "Fallback.Write", nil},
			Classify: func([]byte) logsink.Priority { s.at("Classify"); return logsink.Normal },
			OnEvent:  func(logsink.Event) { s.at("OnEvent") },
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(sink, "line\n"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if err := sink.Close(); err != nil {
			t.Fatal(err)
		}
	})
	return s.way
}
