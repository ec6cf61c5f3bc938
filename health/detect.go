package health

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"time"
)

// Detector watches a resource of this process or machine. The set is
// closed: make one with [Goroutines], [HeapLimit], [CgroupMemory],
// [CgroupPids], [CPUThrottled], [Pressure], [OpenFiles], [DiskWritable],
// [SchedLatency] or [ClockJump].
//
// Each is looked at every 10 s while Run runs. What it finds goes into the
// report, and, with a Guard, may let the process leave the traffic. It never
// touches liveness: goroutines and heap rise when a dependency is slow, which
// would be a dependency by the back door.
type Detector struct {
	name, measures, unit string
	measure              func() func() (value float64, err error) // with a memory of its own
	invalid              error                                    // what is wrong with it
}

// Detectors are looked at so often, and have so long: a disk may hang.
const (
	detectEvery   = 10 * time.Second
	detectTimeout = 5 * time.Second
)

// Detect registers a detector, before or during Run. The error says what is
// wrong with it.
func (p *Process) Detect(d Detector) error {
	if d.invalid != nil {
		return d.invalid
	}
	if d.measure == nil {
		return errors.New("health: the Detector is empty; make one with Goroutines, HeapLimit, CgroupMemory, CgroupPids, CPUThrottled, Pressure, OpenFiles, DiskWritable, SchedLatency or ClockJump")
	}
	measure := d.measure()
	return p.add(&check{
		name: d.name, kind: kindDetector, measures: d.measures, unit: d.unit,
		period: detectEvery, timeout: detectTimeout,
		look: func(context.Context) (float64, error) { return measure() },
	})
}

// stateless is the measure of a detector that remembers nothing.
// The outer function is called by Detect, so that a Detector with a memory has one for
// each process that it is registered with; this one needs none.
func stateless(f func() (float64, error)) func() func() (float64, error) {
	return func() func() (float64, error) { return f }
}

// Goroutines finds more than limit goroutines.
func Goroutines(limit int) Detector {
	d := Detector{name: "goroutines", measures: "count", unit: "1", measure: stateless(func() (float64, error) {
		n := float64(runtime.NumGoroutine())
		return n, over(n, float64(limit), "goroutines")
	})}
	if limit <= 0 {
		d.invalid = fmt.Errorf("health: Goroutines: the limit is %d, it must be > 0", limit)
	}
	return d
}

// HeapLimit finds memory in use above a part of GOMEMLIMIT (0.9: nine tenths).
// Without a GOMEMLIMIT it finds nothing.
func HeapLimit(part float64) Detector {
	return Detector{name: "heap", measures: "utilization", unit: "1", invalid: wantPart("HeapLimit", part), measure: stateless(func() (float64, error) {
		s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/gc/gomemlimit:bytes"}}
		metrics.Read(s)
		used := float64(s[0].Value.Uint64()-s[1].Value.Uint64()) / float64(s[2].Value.Uint64())
		return used, over(used, part, "of GOMEMLIMIT in use")
	})}
}

// SchedLatency finds goroutines that wait longer than limit for a processor,
// at the 99th percentile since the last look.
func SchedLatency(limit time.Duration) Detector {
	d := Detector{name: "scheduler", measures: "latency", unit: "s", measure: func() func() (float64, error) {
		var last []uint64
		return func() (float64, error) {
			s := []metrics.Sample{{Name: "/sched/latencies:seconds"}}
			metrics.Read(s)
			h := s[0].Value.Float64Histogram()
			p99 := percentileSince(last, h, 0.99)
			last = append(last[:0], h.Counts...)
			return p99, over(p99, limit.Seconds(), "s scheduler latency (p99)")
		}
	}}
	if limit <= 0 {
		d.invalid = fmt.Errorf("health: SchedLatency: the limit is %v, it must be > 0", limit)
	}
	return d
}

// percentileSince is the upper edge of the bucket that holds the q-quantile of
// what was added to h since it had the counts of last; 0 if nothing was.
func percentileSince(last []uint64, h *metrics.Float64Histogram, q float64) float64 {
	var total uint64
	added := make([]uint64, len(h.Counts))
	for i, n := range h.Counts {
		added[i] = n
		// the first look has nothing before it, and counts since the start of the process
		if last != nil {
			added[i] -= last[i]
		}
		total += added[i]
	}
	var sum uint64
	for i, n := range added {
		if sum += n; n > 0 && float64(sum) >= q*float64(total) {
			if i+2 < len(h.Buckets) { // the last edge is +Inf
				return h.Buckets[i+1]
			}
			// of the last bucket the lower edge: infinity would be no measure
			return h.Buckets[i]
		}
	}
	return 0
}

// jumpShows is for how long a jump of the clock is to be seen.
const jumpShows = 5 * time.Minute

// ClockJump finds a wall clock that moved by more than limit against the
// monotonic clock from one look to the next: a step of NTP, or a suspended
// machine. It fails for five minutes after a jump.
func ClockJump(limit time.Duration) Detector {
	d := Detector{name: "clock", measures: "jump", unit: "s", measure: func() func() (float64, error) {
		var c clock
		return func() (float64, error) {
			now := time.Now()
			return c.look(now.Round(0), now, limit) // Round takes the monotonic reading off
		}
	}}
	if limit <= 0 {
		d.invalid = fmt.Errorf("health: ClockJump: the limit is %v, it must be > 0", limit)
	}
	return d
}

// clock is what ClockJump remembers.
type clock struct {
	wall, mono time.Time // of the last look
	jumped     time.Time // monotonic: when it last jumped
	by         float64   // s
}

// look compares how far the wall clock and the monotonic clock have come since
// the last look. A jump shows for jumpShows, as it is over in a moment and the
// report is asked for seldom.
func (c *clock) look(wall, mono time.Time, limit time.Duration) (float64, error) {
	if !c.mono.IsZero() {
		if by := (wall.Sub(c.wall) - mono.Sub(c.mono)).Abs(); by > limit {
			c.jumped, c.by = mono, by.Seconds()
		}
	}
	c.wall, c.mono = wall, mono
	if c.jumped.IsZero() || mono.Sub(c.jumped) > jumpShows {
		return 0, nil
	}
	return c.by, over(c.by, limit.Seconds(), "s jump of the clock")
}

// DiskWritable finds a folder in which no file can be written: a full disk, or
// one that has become read-only, or hangs.
func DiskWritable(dir string) Detector {
	d := Detector{name: "disk " + dir, measures: "writable", unit: "1", measure: stateless(func() (float64, error) {
		f, err := os.CreateTemp(dir, ".health-*")
		if err != nil {
			return 0, err
		}
		_, err = f.Write(make([]byte, 4096))
		// Sync, since a write alone may end in memory. The file goes, whatever failed.
		err = errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
		return float64(bit(err == nil)), err
	})}
	if dir == "" {
		d.invalid = errors.New("health: DiskWritable: the folder is empty")
	}
	return d
}

// OpenFiles finds more open files than a part of the limit of this process
// (RLIMIT_NOFILE). Where neither can be read it finds nothing.
func OpenFiles(part float64) Detector {
	return Detector{name: "files", measures: "utilization", unit: "1", invalid: wantPart("OpenFiles", part), measure: stateless(func() (float64, error) {
		used, limit := openFiles()
		if limit == 0 {
			return 0, nil
		}
		return used / limit, over(used/limit, part, "of all file descriptors in use")
	})}
}

// over is the error of a measure that is above its limit, with both numbers.
func over(value, limit float64, what string) error {
	if value <= limit {
		return nil
	}
	return fmt.Errorf("health: %.4g %s, more than %.4g", value, what, limit)
}

// wantPart refuses a share that is none, such as 90 for 90 %, and NaN.
func wantPart(name string, part float64) error {
	if part > 0 && part <= 1 {
		return nil
	}
	return fmt.Errorf("health: %s: the part is %v, it must be above 0 and at most 1", name, part)
}
