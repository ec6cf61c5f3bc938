//go:build !race

package logsinktest_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/failopen/failopen/logsink/logsinktest"
)

// locked is a buffered writer with a lock, as one finds it in many programs.
type locked struct {
	mu sync.Mutex
	w  *bufio.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func (l *locked) Close(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Flush()
}

// channel is a writer with a queue in front that drops when it is full, as one
// finds it in many programs too: it keeps the slice, and does not count.
type channel struct {
	lines chan []byte
	done  chan struct{}
}

func newChannel(w io.Writer) *channel {
	c := &channel{make(chan []byte, 100), make(chan struct{})}
	go func() {
		defer close(c.done)
		defer func() { recover() }()
		for p := range c.lines {
			w.Write(p)
		}
	}()
	return c
}

func (c *channel) Write(p []byte) (int, error) {
	select {
	case c.lines <- p:
	default:
	}
	return len(p), nil
}

func (c *channel) Close(context.Context) error {
	close(c.lines)
	<-c.done
	return nil
}

// The suite finds what is wrong with others.
func TestCheck_finds_faults(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for writers that block")
	}
	logsinktest.SetPatience(t, time.Second)
	all := logsinktest.Promises()
	for name, c := range map[string]struct {
		wrap  logsinktest.Make
		keeps []string
	}{
		"bufio": {
			func(dest io.Writer) logsinktest.Subject {
				l := &locked{w: bufio.NewWriter(dest)}
				return logsinktest.Subject{Writer: l, Close: l.Close}
			},
			[]string{all[0], all[1], all[5]},
		},
		"channel": {
			func(dest io.Writer) logsinktest.Subject {
				c := newChannel(dest)
				return logsinktest.Subject{Writer: c, Close: c.Close}
			},
			[]string{all[2]},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var broken []string
			err := logsinktest.Check(c.wrap)
			joined, ok := err.(interface{ Unwrap() []error })
			if !ok {
				t.Fatalf("Check returned %v", err)
			}
			for _, err := range joined.Unwrap() {
				var v *logsinktest.Violation
				if !errors.As(err, &v) {
					t.Fatalf("%T", err)
				}
				t.Log(v)
				broken = append(broken, v.Promise)
			}
			for _, p := range all {
				if slices.Contains(broken, p) == slices.Contains(c.keeps, p) {
					t.Errorf("%q: broken %v", p, slices.Contains(broken, p))
				}
			}
		})
	}
}
