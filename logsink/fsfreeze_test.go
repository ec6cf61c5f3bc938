//go:build linux

package logsink

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/failopen/failopen/logsink/logsinktest"
)

// The disk of the spill directory is frozen with fsfreeze, as a snapshot of the
// volume does, for as long as FAILOPEN_FSFREEZE says. It needs root, a loop
// device and e2fsprogs, and looks at the wall clock: it runs in .ci/run alone.
func TestDisk_frozen_for_real(t *testing.T) {
	freeze, err := time.ParseDuration(os.Getenv("FAILOPEN_FSFREEZE"))
	if err != nil {
		t.Skip("FAILOPEN_FSFREEZE is not set")
	}
	// A busy machine misses a bound of milliseconds now and then, and a program
	// that waits for a disk misses it each time.
	var missed []string
	for range 3 {
		if missed = freezeOnce(t, freeze); len(missed) == 0 {
			return
		}
		t.Log("once more: ", missed)
	}
	t.Error(missed)
}

// freezeOnce freezes the disk under a sink and returns the bounds that the
// program around it missed.
func freezeOnce(t *testing.T, freeze time.Duration) (missed []string) {
	t.Helper()
	mount := mountExt4(t)
	frozen := logsinktest.NewFrozen(nil)
	s := mustNew(t, Options{Dest: frozen, SpillDir: filepath.Join(mount, "spill"), Mapped: filepath.Join(mount, "mapped"), MaxBytes: 1 << 20})
	t.Cleanup(func() { frozen.Release(); s.Close(); <-s.mover.done }) // before the file system is unmounted
	line := make([]byte, 200)
	waitForLines(t, func() int { // whatever the speed of the mover: lines that it has no room for are dropped
		for range 20 {
			s.Write(line)
		}
		return int(s.Stats().Spilled)
	}, 5000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "alive") }))
	defer server.Close()
	must(t, exec.Command("sync"))

	// What this machine does with a disk that works is the measure of what it
	// does with one that does not.
	normal := tryFor(t, s, server.URL, freeze-3*time.Second, filepath.Join(mount, "normal"))
	thaw := exec.Command("sh", "-c", fmt.Sprintf("sleep %f; exec fsfreeze -u %s", freeze.Seconds(), mount))
	if err := thaw.Start(); err != nil {
		t.Fatal(err)
	}
	thawed := make(chan struct{})
	go func() { thaw.Wait(); close(thawed) }() //nolint:errcheck // unmounting tells
	t.Cleanup(func() { <-thawed })
	must(t, exec.Command("fsfreeze", "-f", mount))
	ice := tryFor(t, s, server.URL, freeze-3*time.Second, filepath.Join(mount, "other"))
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	s.Shutdown(ctx) //nolint:errcheck // the frozen disk keeps it from the end: the time counts
	last := time.Since(began)
	select {
	case <-thawed:
		return []string{"the freeze was over before the end: this machine is too slow to tell"}
	default:
	}
	mustAdd(t, s)
	for _, m := range []struct {
		what             string
		normal, ice, max time.Duration
	}{
		{"Write, p99.9", normal.write, ice.write, time.Millisecond},
		{"the longest pause of a goroutine that does not log", normal.pause, ice.pause, 50 * time.Millisecond},
		{"New", normal.begin, ice.begin, 50 * time.Millisecond},
		{"Shutdown of a new sink", normal.end, ice.end, 550 * time.Millisecond},
		{"Shutdown of the sink that spills", 0, last, 550 * time.Millisecond},
	} {
		t.Logf("%s: %v, with the disk frozen %v", m.what, m.normal, m.ice)
		if m.ice > max(m.max, 3*m.normal) {
			missed = append(missed, fmt.Sprintf("%s: %v with the disk frozen, %v without", m.what, m.ice, m.normal))
		}
	}
	return missed
}

// tried is how long a program waited for its sinks, and for itself.
type tried struct{ write, pause, begin, end time.Duration }

// tryFor writes to s for d, beside a service that does not log, and then makes
// a sink that spills to dir and shuts it down.
func tryFor(t *testing.T, s *Sink, url string, d time.Duration, dir string) (got tried) {
	t.Helper()
	end := time.Now().Add(d)
	pause := make(chan time.Duration)
	go func() { pause <- serveUntil(url, end) }()
	line := make([]byte, 200)
	var writes []time.Duration
	tick := time.NewTicker(100 * time.Microsecond)
	defer tick.Stop()
	for time.Now().Before(end) {
		<-tick.C
		began := time.Now()
		s.Write(line)
		writes = append(writes, time.Since(began))
	}
	slices.Sort(writes)
	got.write = writes[len(writes)*999/1000]
	got.pause = <-pause

	began := time.Now()
	other := mustNew(t, Options{Dest: io.Discard, SpillDir: dir})
	got.begin = time.Since(began)
	t.Cleanup(func() { other.Close(); <-other.mover.done })
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	began = time.Now()
	other.Shutdown(ctx) //nolint:errcheck // a frozen disk may keep it from the end: the time counts
	got.end = time.Since(began)
	return got
}

// serveUntil is a service that allocates, and so collects garbage, and does not
// log. It returns its longest pause.
func serveUntil(url string, end time.Time) (longest time.Duration) {
	for time.Now().Before(end) {
		began := time.Now()
		runtime.GC()
		if resp, err := http.Get(url); err == nil {
			resp.Body.Close()
		}
		longest = max(longest, time.Since(began))
	}
	return longest
}

// mountExt4 makes a small file system in a file.
func mountExt4(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	image, mount := filepath.Join(dir, "image"), filepath.Join(dir, "mount")
	if err := os.Mkdir(mount, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"truncate", "-s", "64M", image}, {"mkfs.ext4", "-q", image}, {"mount", "-o", "loop", image, mount}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Skipf("cannot have a file system to freeze: %v: %v: %s", args, err, out)
		}
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(mount, 0); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(mount, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("fsfreeze"); err != nil {
		t.Skip(err)
	}
	return mount
}

func must(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", cmd.Args, err, out)
	}
}
