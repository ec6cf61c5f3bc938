package logsink

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// What the comments of Options promise in numbers, literally. .ci/mutants.txt
// changes each of them, and one of these tests has to notice.

func TestOptions_defaults(t *testing.T) {
	plain := Options{Dest: io.Discard}
	batch := Options{Batch: hangs{}}
	fallback := Options{Dest: io.Discard, Fallback: io.Discard}
	mapped := Options{Dest: io.Discard, Mapped: "unused"}
	for _, o := range []*Options{&plain, &batch, &fallback, &mapped} {
		if err := o.complete(); err != nil {
			t.Fatal(err)
		}
	}
	for name, is := range map[string]bool{
		"MaxBytes":             plain.MaxBytes == 4<<20,
		"MaxRecord":            plain.MaxRecord == 1<<20,
		"Linger":               plain.Linger == 2*time.Millisecond,
		"Linger with Batch":    batch.Linger == time.Second,
		"MaxWrite":             plain.MaxWrite == 0,
		"MaxWrite with Mapped": mapped.MaxWrite == 4096,
		"FallbackRate":         fallback.FallbackRate == 1<<20,
		"StallAfter":           plain.StallAfter == time.Second,
		"RetryMin":             plain.RetryMin == 10*time.Millisecond,
		"RetryMax":             plain.RetryMax == 5*time.Second,
		"SyncTimeout":          plain.SyncTimeout == time.Second,
		"CloseTimeout":         plain.CloseTimeout == 2*time.Second,
		"SpillBytes":           plain.SpillBytes == 1<<30,
	} {
		if !is {
			t.Errorf("%s has another default", name)
		}
	}
}

// The least and the most that is taken, and what is beyond.
func TestOptions_bounds(t *testing.T) {
	for name, f := range map[string]struct {
		o  Options
		ok bool
	}{
		"least memory":           {Options{MaxBytes: 64 << 10}, true},
		"less memory":            {Options{MaxBytes: 64<<10 - 1}, false},
		"most memory":            {Options{MaxBytes: 16 << 30}, true},
		"more memory":            {Options{MaxBytes: 16<<30 + 1}, false},
		"a record of a quarter":  {Options{MaxBytes: 4 << 20, MaxRecord: 1 << 20}, true},
		"a record of more":       {Options{MaxBytes: 4 << 20, MaxRecord: 1<<20 + 1}, false},
		"a record of 256 MiB":    {Options{MaxBytes: 4 << 30, MaxRecord: 256 << 20}, true},
		"a record of more still": {Options{MaxBytes: 4 << 30, MaxRecord: 256<<20 + 1}, false},
		"least disk":             {Options{SpillDir: "unused", SpillBytes: 1 << 20}, true},
		"less disk":              {Options{SpillDir: "unused", SpillBytes: 1<<20 - 1}, false},
	} {
		f.o.Dest = io.Discard
		if err := f.o.complete(); (err == nil) != f.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	o := Options{Dest: io.Discard, MaxBytes: 8 << 30}
	if err := o.complete(); err != nil || o.MaxRecord != 256<<20 {
		t.Errorf("the longest record in 8 GiB: %d, %v", o.MaxRecord, err)
	}
}

// Options.Seal: 3 % of lines of 200 bytes, in chunks that are full.
func TestSeal_size(t *testing.T) {
	line := append(bytes.Repeat([]byte("x"), 199), '\n')
	size := func(seal bool) int {
		var out bytes.Buffer
		s := mustNew(t, Options{Dest: &out, Seal: seal, MaxBytes: 16 << 20})
		for range 50_000 {
			s.Write(line)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if st := mustAdd(t, s); st.Delivered != 50_000 {
			t.Fatalf("%+v", st)
		}
		return out.Len()
	}
	if share := float64(size(true))/float64(size(false)) - 1; share < 0.025 || share > 0.035 {
		t.Errorf("seals add %.1f %%", 100*share)
	}
}

// Options.Mapped and SpillDir: what could not be used is tried again every 10 s.
func TestDisk_is_tried_every_10_s(t *testing.T) {
	for name, set := range map[string]func(*Options, string){
		"SpillDir": func(o *Options, path string) { o.SpillDir = path },
		"Mapped":   func(o *Options, path string) { o.Mapped = filepath.Join(path, "mapped") },
	} {
		path := filepath.Join(memoryDir(t), "file")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			o := Options{Dest: io.Discard}
			set(&o, path)
			s := mustNew(t, o)
			time.Sleep(36 * time.Second)
			synctest.Wait()
			if s.Stats().DiskError == "" {
				t.Fatalf("%s is used, and there is a file in its place", name)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if st := s.Stats(); st.DiskError != "" {
				t.Errorf("%s, 10 s after it is a directory: %s", name, st.DiskError)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		})
	}
}

// Events that OnEvent is too slow for are counted, each of them.
func TestOnEvent_lost_are_counted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		told, failed := int64(0), int64(0)
		s := mustNew(t, Options{
			Dest: writerFunc(func(p []byte) (int, error) {
				failed++
				return 0, fmt.Errorf("error %d: %w", failed, errors.ErrUnsupported) // another one each time
			}),
			RetryMin: time.Second, RetryMax: time.Second,
			OnEvent: func(Event) { <-free; told++ },
		})
		s.Write([]byte("line\n"))
		time.Sleep(1000 * time.Second)
		synctest.Wait()
		lost := s.Stats().EventsLost
		close(free)
		synctest.Wait()
		if lost == 0 || told+lost < failed {
			t.Errorf("%d errors, %d told, %d lost", failed, told, lost)
		}
		s.Close()
		synctest.Wait()
	})
}

// memoryDir is a directory on a file system in memory.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "logsink")
	if err != nil || inMemory(dir) != nil {
		t.Skipf("no file system in memory at /dev/shm: %v, %v", err, inMemory(dir))
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
