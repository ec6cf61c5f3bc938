package logsink_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog/diode"
	"go.uber.org/zap/zapcore"

	"github.com/failopen/failopen/logsink"
)

// A peer is a writer under measurement. All get about 4 MiB of memory for lines
// of 200 bytes.
type peer struct {
	name string
	open func(w io.Writer) opened
}

type opened struct {
	io.Writer
	close   func()       // delivers the rest; may block forever
	dropped func() int64 // what it says; nil: it does not
}

const budget = 4 << 20

var peers = []peer{
	{"noop", func(io.Writer) opened { return opened{Writer: io.Discard, close: func() {}} }},
	{"logsink", func(w io.Writer) opened { return openSink(logsink.Options{Dest: w}) }},
	{"logsink-oldest", func(w io.Writer) opened { return openSink(logsink.Options{Dest: w, DropOldest: true}) }},
	{"diode", openDiode},
	{"channel", openChannel},
	{"mobyring", openRing},
	{"zapbuffered", func(w io.Writer) opened {
		b := &zapcore.BufferedWriteSyncer{WS: zapcore.AddSync(w)} // 256 kB and 30 s are its defaults
		return opened{Writer: b, close: func() { b.Stop() }}
	}},
	{"direct", func(w io.Writer) opened {
		return opened{Writer: &locked{w: w}, close: func() {}}
	}},
}

func openSink(o logsink.Options) opened {
	s, err := logsink.New(o)
	if err != nil {
		panic(err)
	}
	return opened{s, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		s.Shutdown(ctx)
	}, func() int64 { return s.Stats().Dropped.Total() }}
}

// openMapped is openSink with memory that survives the process.
func openMapped(tb testing.TB) func(io.Writer) opened {
	return func(w io.Writer) opened {
		dir, err := os.MkdirTemp("/dev/shm", "logsink")
		if err != nil {
			tb.Skip(err)
		}
		tb.Cleanup(func() { os.RemoveAll(dir) })
		return openSink(logsink.Options{Dest: w, Mapped: dir + "/mapped", MaxWrite: 64 << 10})
	}
}

// openSpilling is openSink with a spill directory behind the memory.
func openSpilling(tb testing.TB) func(io.Writer) opened {
	return func(w io.Writer) opened {
		return openSink(logsink.Options{Dest: w, SpillDir: filepath.Join(tb.TempDir(), "spill")})
	}
}

// openDiode is zerolog's: 20,000 slots of a line each, polled as its
// documentation shows.
func openDiode(w io.Writer) opened {
	var lost atomic.Int64
	d := diode.NewWriter(w, budget/200, 10*time.Millisecond, func(n int) { lost.Add(int64(n)) })
	return opened{d, func() { d.Close() }, lost.Load}
}

// locked is what the standard logger and slog's handlers do.
type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// openChannel is a queue of copied lines, written one by one, that drops when
// it is full: what most programs build first.
func openChannel(w io.Writer) opened {
	lines, done := make(chan []byte, budget/200), make(chan struct{})
	var lost atomic.Int64
	go func() {
		defer close(done)
		for p := range lines {
			w.Write(p)
		}
	}()
	return opened{writerFunc(func(p []byte) (int, error) {
		select {
		case lines <- append([]byte(nil), p...):
		default:
			lost.Add(1)
		}
		return len(p), nil
	}), func() { close(lines); <-done }, lost.Load}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// ring is the idea of moby's non-blocking log driver, written from its
// description: a list of lines under a lock, bounded in bytes, one write a line.
type ring struct {
	mu     sync.Mutex
	wait   *sync.Cond
	queue  [][]byte
	size   int
	closed bool
	lost   int64
}

func openRing(w io.Writer) opened {
	r := &ring{}
	r.wait = sync.NewCond(&r.mu)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for p := r.next(); p != nil; p = r.next() {
			w.Write(p)
		}
	}()
	return opened{r, func() { r.end(); <-done }, func() int64 {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.lost
	}}
}

func (r *ring) Write(p []byte) (int, error) {
	line := append([]byte(nil), p...)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.size > 0 && r.size+len(p) > budget {
		r.lost++
		return len(p), nil
	}
	r.queue = append(r.queue, line)
	r.size += len(p)
	r.wait.Signal()
	return len(p), nil
}

func (r *ring) next() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.queue) == 0 && !r.closed {
		r.wait.Wait()
	}
	if len(r.queue) == 0 {
		return nil
	}
	p := r.queue[0]
	r.queue = r.queue[1:]
	r.size -= len(p)
	return p
}

func (r *ring) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.wait.Broadcast()
}
