package health

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"testing/synctest"
	"time"
)

func TestDetect_finds(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 20)) // less than any program
	for key, c := range map[string]struct {
		d    Detector
		want Status
	}{
		"goroutines:count":           {Goroutines(1), StatusFail},
		"heap:utilization":           {HeapLimit(0.9), StatusFail},
		"disk " + file + ":writable": {DiskWritable(file), StatusFail}, // no folder
		"files:utilization":          {OpenFiles(1), StatusPass},
		"scheduler:latency":          {SchedLatency(time.Hour), StatusPass},
		"clock:jump":                 {ClockJump(time.Second), StatusPass},
	} {
		synctest.Test(t, func(t *testing.T) {
			var p Process
			p.Started()
			if err := p.Detect(c.d); err != nil {
				t.Fatal(err)
			}
			run(t, &p)
			pass(time.Minute)
			r := p.Report()
			if got := r.Checks[key]; len(got) != 1 || got[0].Status != c.want {
				t.Errorf("%s: %+v; want %v", key, got, c.want)
			}
			if !r.Live || !r.Ready || (r.Status == StatusWarn) != (c.want == StatusFail) {
				t.Errorf("%s: live %t, ready %t, %v", key, r.Live, r.Ready, r.Status)
			}
		})
	}
}

func TestDiskWritable_leaves_nothing_behind(t *testing.T) {
	dir := t.TempDir()
	value, err := DiskWritable(dir).measure()()
	left, readErr := os.ReadDir(dir)
	if value != 1 || err != nil || readErr != nil || len(left) != 0 {
		t.Errorf("%v, %v; %d files left, %v", value, err, len(left), readErr)
	}
}

// TestDetect_that_hangs stands for a disk that does not answer.
func TestDetect_that_hangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Process
		release := make(chan struct{})
		disk := Detector{name: "disk", measures: "writable", measure: stateless(func() (float64, error) { <-release; return 1, nil })}
		if err := p.Detect(disk); err != nil {
			t.Fatal(err)
		}
		told := 0
		p.OnChange(func(State) { told++ })
		run(t, &p)
		pass(time.Minute)
		if c := p.Report().Checks["disk:writable"][0]; c.Status != StatusFail || !c.Hung || told != 1 {
			t.Errorf("%+v, %d states told; want fail, hung, and warn from the first on", c, told)
		}
		close(release)
	})
}

func TestClockJump(t *testing.T) {
	var c clock
	at := time.Now()
	look := func(mono, wall time.Duration) bool {
		_, err := c.look(at.Add(wall).Round(0), at.Add(mono), time.Second)
		return err != nil
	}
	if look(0, 0) || look(10*time.Second, 10*time.Second+900*time.Millisecond) {
		t.Error("no jump was found as one")
	}
	if !look(20*time.Second, 50*time.Second) || !look(5*time.Minute, 5*time.Minute+30*time.Second) {
		t.Error("a jump forward must show, for five minutes")
	}
	if look(6*time.Minute, 6*time.Minute+30*time.Second) {
		t.Error("a jump shows for ever")
	}
	if !look(7*time.Minute, 7*time.Minute) {
		t.Error("a jump backward was not found")
	}
}

func TestPercentileSince(t *testing.T) {
	h := &metrics.Float64Histogram{Counts: []uint64{90, 9, 1}, Buckets: []float64{0, 1, 2, 3}}
	for q, want := range map[float64]float64{0.5: 1, 0.95: 2, 1: 2} {
		if got := percentileSince(nil, h, q); got != want {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
	if got := percentileSince([]uint64{90, 0, 1}, h, 0.5); got != 2 {
		t.Errorf("since the last look: %v, want 2", got)
	}
	if got := percentileSince(h.Counts, h, 0.5); got != 0 {
		t.Errorf("nothing new: %v, want 0", got)
	}
}
