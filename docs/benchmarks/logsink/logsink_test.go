// Package logsink_test measures logsink beside other log writers, in one run.
// See README.md in this folder for how to run it and for the results.
package logsink_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/failopen/failopen/logsink"
)

// The diode logs through the standard logger from within Write. That costs what
// it costs, but does not belong into the results.
func TestMain(m *testing.M) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		panic(err)
	}
	log.SetOutput(null)
	os.Exit(m.Run())
}

var line = append(bytes.Repeat([]byte("x"), 199), '\n')

// counting is a destination that counts lines.
type counting struct {
	w     io.Writer
	bytes atomic.Int64
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.bytes.Add(int64(n))
	return n, err
}

// BenchmarkEnqueue: what a Write costs while CPUs are saturated and the
// destination (/dev/null) is healthy, and how much of it is delivered. An
// accounting error is a line that was neither delivered nor counted as dropped,
// or that was both.
func BenchmarkEnqueue(b *testing.B) {
	for _, g := range []int{1, 64} {
		for _, p := range append(slices.Clone(peers), peer{"logsink-mapped", openMapped(b)}) {
			b.Run(fmt.Sprintf("g=%d/%s", g, p.name), func(b *testing.B) {
				null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
				if err != nil {
					b.Fatal(err)
				}
				defer null.Close()
				dest := &counting{w: null}
				w := p.open(dest)
				b.ReportAllocs()
				b.SetBytes(0)
				b.ResetTimer()
				began := time.Now()
				var wg sync.WaitGroup
				for i := range g {
					n := b.N / g
					if i == 0 {
						n += b.N % g
					}
					wg.Go(func() {
						for range n {
							w.Write(line)
						}
					})
				}
				wg.Wait()
				b.StopTimer()
				w.close()
				took := time.Since(began)
				if p.name == "noop" {
					return
				}
				delivered := dest.bytes.Load() / int64(len(line))
				b.ReportMetric(100*float64(delivered)/float64(b.N), "%delivered")
				b.ReportMetric(float64(dest.bytes.Load())/1e6/took.Seconds(), "MB/s")
				if w.dropped != nil {
					off := int64(b.N) - delivered - w.dropped()
					b.ReportMetric(float64(max(off, -off)), "off")
				}
			})
		}
	}
}

// BenchmarkPaced: latency of a Write at 100,000 lines a second, to a pipe that
// is read at once (healthy), at 10 MB/s (slow: half of what comes), or not at
// all (frozen). A goroutine that is not done two seconds late is stuck.
func BenchmarkPaced(b *testing.B) {
	const rate = 100_000
	for _, how := range []string{"healthy", "slow", "frozen"} {
		for _, g := range []int{1, 64} {
			for _, p := range append(slices.Clone(peers), peer{"logsink-mapped", openMapped(b)}, peer{"logsink-spill", openSpilling(b)}) {
				b.Run(fmt.Sprintf("%s/g=%d/%s", how, g, p.name), func(b *testing.B) { paced(b, p, how, g, rate) })
			}
		}
	}
}

func paced(b *testing.B, p peer, how string, g, rate int) {
	r, pipe, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	release := make(chan struct{})
	read := make(chan struct{})
	go func() {
		defer close(read)
		buf := make([]byte, 64<<10)
		if how == "frozen" {
			<-release
		}
		for {
			n, err := r.Read(buf)
			if err != nil {
				return
			}
			if how == "slow" {
				select {
				case <-release:
				case <-time.After(time.Duration(n) * time.Second / 10e6):
				}
			}
		}
	}()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	w := p.open(pipe)
	per := b.N / g
	took := make([][]time.Duration, g)
	for i := range took {
		took[i] = make([]time.Duration, 0, per)
	}
	var left atomic.Int64
	left.Store(int64(g))
	done := make(chan struct{})
	b.ResetTimer()
	cpu := cpuTime()
	for i := range g {
		go func() {
			// Each goroutine writes its share of every 10 ms at once.
			burst := max(1, rate/g/100)
			tick := time.NewTicker(time.Duration(burst*g) * time.Second / time.Duration(rate))
			defer tick.Stop()
			for n := 0; n < per; {
				for j := 0; j < burst && n < per; j++ {
					t := time.Now()
					w.Write(line)
					took[i] = append(took[i], time.Since(t))
					n++
				}
				<-tick.C
			}
			if left.Add(-1) == 0 {
				close(done)
			}
		}()
	}
	stuck := int64(0)
	select {
	case <-done:
	case <-time.After(time.Duration(b.N)*time.Second/time.Duration(rate) + 2*time.Second):
		stuck = left.Load()
	}
	b.StopTimer()
	spent := cpuTime() - cpu
	runtime.GC()
	runtime.ReadMemStats(&after)
	close(release)
	<-done
	w.close()
	pipe.Close()
	<-read
	r.Close()

	all := slices.Concat(took...)
	slices.Sort(all)
	b.ReportMetric(0, "ns/op") // it is paced
	b.ReportMetric(float64(stuck), "stuck")
	if stuck == 0 && len(all) > 1000 {
		b.ReportMetric(float64(all[len(all)/2]), "p50-ns")
		b.ReportMetric(float64(all[len(all)*99/100]), "p99-ns")
		b.ReportMetric(float64(all[len(all)*999/1000]), "p99.9-ns")
		b.ReportMetric(float64(spent)/float64(len(all)), "cpu-ns/line")
		b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc)-float64(len(all)*8))/1e6, "heap-MB")
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkFrozenSaturated: 64 goroutines that do nothing but write, against a
// destination that takes nothing. Blocking writers are left out: they are stuck.
func BenchmarkFrozenSaturated(b *testing.B) {
	for _, p := range peers {
		if p.name == "noop" || p.name == "zapbuffered" || p.name == "direct" {
			continue
		}
		b.Run(p.name, func(b *testing.B) {
			release := make(chan struct{})
			w := p.open(writerFunc(func(p []byte) (int, error) { <-release; return len(p), nil }))
			for range 40_000 { // full
				w.Write(line)
			}
			const g, sample = 64, 17
			took := make([][]time.Duration, g)
			b.ResetTimer()
			var wg sync.WaitGroup
			for i := range g {
				wg.Go(func() {
					for n := 0; n < b.N/g; n++ {
						if n%sample != 0 {
							w.Write(line)
							continue
						}
						t := time.Now()
						w.Write(line)
						took[i] = append(took[i], time.Since(t))
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			close(release)
			w.close()
			all := slices.Concat(took...)
			slices.Sort(all)
			if len(all) > 1000 {
				b.ReportMetric(float64(all[len(all)*999/1000]), "p99.9-ns")
			}
		})
	}
}

// BenchmarkSlog: a record of slog with two attributes, through the writer.
func BenchmarkSlog(b *testing.B) {
	for _, p := range peers {
		if p.name == "logsink-oldest" {
			continue
		}
		b.Run(p.name, func(b *testing.B) {
			null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
			if err != nil {
				b.Fatal(err)
			}
			defer null.Close()
			w := p.open(null)
			logger := slog.New(slog.NewJSONHandler(w, nil))
			b.ReportAllocs()
			for b.Loop() {
				logger.Info("request served", "path", "/v1/orders", "status", 200)
			}
			b.StopTimer()
			w.close()
		})
	}
}

// A wake-up is never lost: the last line before silence is delivered too.
func TestPingPong(t *testing.T) {
	n := 300_000
	if testing.Short() {
		n = 3000
	}
	arrived := make(chan struct{})
	s, err := logsink.New(logsink.Options{Linger: -1, Dest: writerFunc(func(p []byte) (int, error) {
		arrived <- struct{}{}
		return len(p), nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for i := range n {
		s.Write(line)
		select {
		case <-arrived:
		case <-limit.C:
			t.Fatalf("line %d did not arrive", i)
		}
	}
	s.Close()
}
