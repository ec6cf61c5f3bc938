package health

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"time"
)

// Detector looks after a resource of this process or machine. The set is
// closed: make one with [Goroutines], [HeapLimit], [OpenFiles],
// [DiskWritable], [SchedLatency] or [ClockJump].
//
// What a detector finds goes into the report, and, with a Guard, may let the
// process leave the traffic. It never touches liveness: goroutines and heap
// rise when a dependency is slow, which would be a dependency by the back
// door.
type Detector struct {
	name, measures, unit string
	measure              func(*detector) (value float64, err error)
	invalid              error // what is wrong with it
}

// detector is a registered Detector.
type detector struct {
	Detector
	verdict
	value float64

	wall, mono time.Time // of ClockJump's last look
}

// detectEvery is the period of all detectors.
const detectEvery = 10 * time.Second

// Detect registers a detector. The error says what is wrong with it.
func (p *Process) Detect(d Detector) error {
	if d.measure == nil && d.invalid == nil {
		return errors.New("health: the Detector is empty; make one with Goroutines, HeapLimit, OpenFiles, DiskWritable, SchedLatency or ClockJump")
	}
	if d.invalid != nil {
		return d.invalid
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	names := make([]string, len(p.detectors))
	for i, other := range p.detectors {
		names[i] = other.name
	}
	if err := uniqueName("detector", d.name, names); err != nil {
		return err
	}
	p.detectors = append(p.detectors, &detector{Detector: d})
	return nil
}

// detect looks at everything once. What it does is local and short, but for
// the disk, which may hang: that is why Run does it, and no probe.
func (p *Process) detect() {
	p.mu.Lock()
	detectors := append([]*detector(nil), p.detectors...)
	p.mu.Unlock()
	for _, d := range detectors {
		began := time.Now()
		value, err := d.measure(d)
		p.mu.Lock()
		d.value = value
		d.add(err, time.Since(began), time.Now())
		p.mu.Unlock()
	}
}

// Goroutines finds more than limit goroutines.
func Goroutines(limit int) Detector {
	d := Detector{name: "goroutines", measures: "count", unit: "1", measure: func(*detector) (float64, error) {
		n := runtime.NumGoroutine()
		return float64(n), over(float64(n), float64(limit), "goroutines")
	}}
	if limit <= 0 {
		d.invalid = fmt.Errorf("health: Goroutines: the limit is %d, it must be > 0", limit)
	}
	return d
}

// HeapLimit finds memory in use above a part of GOMEMLIMIT (0.9: nine tenths).
// Without a GOMEMLIMIT it finds nothing.
func HeapLimit(part float64) Detector {
	d := Detector{name: "heap", measures: "utilization", unit: "1", measure: func(*detector) (float64, error) {
		s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/gc/gomemlimit:bytes"}}
		metrics.Read(s)
		used := float64(s[0].Value.Uint64()-s[1].Value.Uint64()) / float64(s[2].Value.Uint64())
		return used, over(used, part, "of GOMEMLIMIT in use")
	}}
	d.invalid = wantPart("HeapLimit", part)
	return d
}

// SchedLatency finds goroutines that wait longer than limit for a processor,
// at the 99th percentile since the last look.
func SchedLatency(limit time.Duration) Detector {
	var last *metrics.Float64Histogram
	d := Detector{name: "scheduler", measures: "latency", unit: "s", measure: func(*detector) (float64, error) {
		s := []metrics.Sample{{Name: "/sched/latencies:seconds"}}
		metrics.Read(s)
		h := s[0].Value.Float64Histogram()
		p99 := percentileSince(last, h, 0.99)
		last = &metrics.Float64Histogram{Counts: append([]uint64(nil), h.Counts...), Buckets: h.Buckets}
		return p99, over(p99, limit.Seconds(), "s scheduler latency (p99)")
	}}
	if limit <= 0 {
		d.invalid = fmt.Errorf("health: SchedLatency: the limit is %v, it must be > 0", limit)
	}
	return d
}

// percentileSince is the upper edge of the bucket that holds the q-quantile of
// what was added to h since last.
func percentileSince(last, h *metrics.Float64Histogram, q float64) float64 {
	var total uint64
	added := make([]uint64, len(h.Counts))
	for i, n := range h.Counts {
		added[i] = n
		if last != nil {
			added[i] -= last.Counts[i]
		}
		total += added[i]
	}
	var sum uint64
	for i, n := range added {
		if sum += n; n > 0 && float64(sum) >= q*float64(total) {
			if i+2 < len(h.Buckets) { // the last edge is +Inf
				return h.Buckets[i+1]
			}
			return h.Buckets[i]
		}
	}
	return 0
}

// ClockJump finds a wall clock that moved by more than limit against the
// monotonic clock since the last look: a step of NTP, or a suspended machine.
func ClockJump(limit time.Duration) Detector {
	d := Detector{name: "clock", measures: "jump", unit: "s", measure: func(d *detector) (float64, error) {
		now := time.Now()
		wall := now.Round(0) // without the monotonic reading
		defer func() { d.wall, d.mono = wall, now }()
		if d.mono.IsZero() {
			return 0, nil
		}
		jump := (wall.Sub(d.wall) - now.Sub(d.mono)).Abs().Seconds()
		return jump, over(jump, limit.Seconds(), "s jump of the clock")
	}}
	if limit <= 0 {
		d.invalid = fmt.Errorf("health: ClockJump: the limit is %v, it must be > 0", limit)
	}
	return d
}

// DiskWritable finds a folder in which no file can be written: a full disk, or
// one that has become read-only.
func DiskWritable(dir string) Detector {
	d := Detector{name: "disk " + dir, measures: "writable", unit: "1", measure: func(*detector) (float64, error) {
		f, err := os.CreateTemp(dir, ".health-*")
		if err != nil {
			return 0, err
		}
		_, err = f.Write(make([]byte, 4096))
		err = errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
		return float64(bit(err == nil)), err
	}}
	if dir == "" {
		d.invalid = errors.New("health: DiskWritable: the folder is empty")
	}
	return d
}

// OpenFiles finds more open files than a part of the limit of this process
// (RLIMIT_NOFILE). Where neither can be read it finds nothing.
func OpenFiles(part float64) Detector {
	d := Detector{name: "files", measures: "utilization", unit: "1", measure: func(*detector) (float64, error) {
		used, limit := openFiles()
		if limit == 0 {
			return 0, nil
		}
		return used / limit, over(used/limit, part, "of all file descriptors in use")
	}}
	d.invalid = wantPart("OpenFiles", part)
	return d
}

func over(value, limit float64, what string) error {
	if value <= limit {
		return nil
	}
	return fmt.Errorf("health: %.4g %s, more than %.4g", value, what, limit)
}

func wantPart(name string, part float64) error {
	if part > 0 && part <= 1 {
		return nil
	}
	return fmt.Errorf("health: %s: the part is %v, it must be above 0 and at most 1", name, part)
}
