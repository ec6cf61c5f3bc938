//go:build unix

package logfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/logsink"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func mustNew(t *testing.T, o Options) *File {
	t.Helper()
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// logrotate renames the file or removes it; the next lines are in a new one.
func TestFile_survives_rotation_by_others(t *testing.T) {
	for name, rotate := range map[string]func(path string) error{
		"renamed":  func(path string) error { return os.Rename(path, path+".1") },
		"removed":  os.Remove,
		"replaced": func(path string) error { return errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600)) },
	} {
		for _, signal := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/reopen=%v", name, signal), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "log")
				synctest.Test(t, func(t *testing.T) {
					o := Options{Path: path}
					if signal {
						o.CheckEvery = -1
					}
					f := mustNew(t, o)
					s, err := logsink.New(logsink.Options{Dest: f})
					if err != nil {
						t.Fatal(err)
					}
					fmt.Fprintln(s, "before")
					time.Sleep(2 * time.Second)
					if got := read(t, path); got != "before\n" {
						t.Errorf("%q", got)
					}
					if err := rotate(path); err != nil {
						t.Fatal(err)
					}
					if signal {
						f.Reopen()
					}
					fmt.Fprintln(s, "after")
					if err := s.Close(); err != nil {
						t.Error(err)
					}
					if got := read(t, path); got != "after\n" {
						t.Errorf("%q", got)
					}
					if st := f.Stats(); st.Opened != 2 {
						t.Errorf("%+v", st)
					}
				})
			})
		}
	}
}

func TestFile_rotates_by_itself(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f := mustNew(t, Options{Path: path, MaxBytes: 100, Keep: 2})
	for i := range 20 {
		if _, err := fmt.Fprintf(f, "%02d%s\n", i, strings.Repeat("x", 37)); err != nil { // 40 bytes
			t.Fatal(err)
		}
	}
	for name, first := range map[string]string{path: "18", path + ".1": "16", path + ".2": "14"} {
		if got := read(t, name); !strings.HasPrefix(got, first) || len(got) != 80 {
			t.Errorf("%s: %d bytes, %.10q", name, len(got), got)
		}
	}
	if _, err := os.Stat(path + ".3"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("there is a third file")
	}
	if st := f.Stats(); st.Rotated != 9 || st.Opened != 10 {
		t.Errorf("%+v", st)
	}
}

// A record that was written in part is finished in the file where it began.
func TestFile_does_not_rotate_within_a_record(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f := mustNew(t, Options{Path: path, MaxBytes: 10, CheckEvery: time.Nanosecond})
	if _, err := f.Write([]byte("begin ")); err != nil {
		t.Fatal(err)
	}
	f.partial = true // as after a full disk
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("and end\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("next\n")); err != nil {
		t.Fatal(err)
	}
	if old, now := read(t, path+".old"), read(t, path); old != "begin and end\n" || now != "next\n" {
		t.Errorf("%q, then %q", old, now)
	}
}

// A directory that is missing, or a file that cannot be opened, is an error that
// ends when its cause does; the sink keeps the records until then.
func TestFile_waits_for_its_directory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	synctest.Test(t, func(t *testing.T) {
		f := mustNew(t, Options{Path: filepath.Join(dir, "log")})
		s, err := logsink.New(logsink.Options{Dest: f})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(s, "kept")
		time.Sleep(time.Minute)
		if st := s.Stats(); st.Queued != 1 || !strings.Contains(st.LastError, "no such file or directory") {
			t.Errorf("%+v", st)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		s.Close()
		if got := read(t, filepath.Join(dir, "log")); got != "kept\n" {
			t.Errorf("%q", got)
		}
	})
}

func TestFile_reopens_on_hangup(t *testing.T) {
	f := mustNew(t, Options{Path: filepath.Join(t.TempDir(), "log")})
	f.ReopenOnHangup(t.Context())
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 5000 {
		if f.reopen.Load() {
			return
		}
		<-tick.C
	}
	t.Error("the signal did not arrive")
}

func TestFile_after_close(t *testing.T) {
	f := mustNew(t, Options{Path: filepath.Join(t.TempDir(), "log")})
	f.Close()
	if _, err := f.Write([]byte("late\n")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("%v", err)
	}
}

func TestNew_refuses_contradictions(t *testing.T) {
	for want, o := range map[string]Options{
		"Options.Path must be set": {},
		"Options.MaxBytes is -1":   {Path: "x", MaxBytes: -1},
		"Options.Keep is set":      {Path: "x", Keep: 1},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A path that is a link, as an administrator's in /var/log, is the file that it leads to:
// it is not opened anew with every look, and followed when it leads elsewhere.
func TestFile_behind_a_link(t *testing.T) {
	dir := t.TempDir()
	link, first, second := filepath.Join(dir, "link"), filepath.Join(dir, "first"), filepath.Join(dir, "second")
	if err := os.Symlink(first, link); err != nil {
		t.Fatal(err)
	}
	f := mustNew(t, Options{Path: link, CheckEvery: time.Nanosecond})
	write := func(line string) {
		t.Helper()
		f.Reopen() // looks at once, whatever the clock says
		if _, err := io.WriteString(f, line); err != nil {
			t.Fatal(err)
		}
	}
	write("one\n")
	write("two\n")
	if st := f.Stats(); st.Opened != 1 {
		t.Errorf("opened %d times", st.Opened)
	}
	if err := errors.Join(os.Remove(link), os.Symlink(second, link)); err != nil {
		t.Fatal(err)
	}
	write("three\n")
	if a, b := read(t, first), read(t, second); a != "one\ntwo\n" || b != "three\n" || f.Stats().Opened != 2 {
		t.Errorf("the first has %q, the second %q, opened %d times", a, b, f.Stats().Opened)
	}
}
