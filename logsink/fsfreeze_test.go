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
	mount := mountExt4(t)
	dir := filepath.Join(mount, "spill")
	frozen := logsinktest.NewFrozen(nil)
	defer frozen.Release()
	s := mustNew(t, Options{Dest: frozen, SpillDir: dir, Mapped: filepath.Join(mount, "mapped"), MaxBytes: 1 << 20})
	line := make([]byte, 200)
	for range 10_000 {
		s.Write(line)
	}
	waitForLines(t, func() int { return int(s.Stats().Spilled) }, 5000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "alive") }))
	defer server.Close()
	must(t, exec.Command("sync"))
	normal := serveUntil(server.URL, time.Now().Add(time.Second))
	thaw := exec.Command("sh", "-c", fmt.Sprintf("sleep %f; exec fsfreeze -u %s", freeze.Seconds(), mount))
	if err := thaw.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { thaw.Wait() }) //nolint:errcheck // unmounting tells
	must(t, exec.Command("fsfreeze", "-f", mount))
	end := time.Now().Add(freeze - 3*time.Second)
	pause := make(chan time.Duration)
	go func() { pause <- serveUntil(server.URL, end) }()
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
	if p := writes[len(writes)*999/1000]; p > time.Millisecond {
		t.Errorf("Write took %v at p99.9 of %d", p, len(writes))
	}
	longest := <-pause
	if longest > max(50*time.Millisecond, 3*normal) {
		t.Errorf("a goroutine that does not log paused for %v, and without a freeze for %v", longest, normal)
	}
	began := time.Now()
	other := mustNew(t, Options{Dest: io.Discard, SpillDir: filepath.Join(mount, "other")})
	if d := time.Since(began); d > 50*time.Millisecond {
		t.Errorf("New took %v", d)
	}
	for name, sink := range map[string]*Sink{"spilling": s, "new": other} {
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		began = time.Now()
		err := sink.Shutdown(ctx)
		if d := time.Since(began); d > 550*time.Millisecond {
			t.Errorf("Shutdown of the sink that is %s took %v: %v", name, d, err)
		}
		cancel()
	}
	mustAdd(t, s)
	t.Logf("%d writes, p99.9 %v, longest pause of another goroutine %v", len(writes), writes[len(writes)*999/1000], longest)
	frozen.Release()
	thaw.Wait() //nolint:errcheck // unmounting tells
	<-s.mover.done
	<-other.mover.done
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
