//go:build unix

package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOpen_refuses_what_is_not_ours(t *testing.T) {
	base := t.TempDir()
	real, link, shared := filepath.Join(base, "real"), filepath.Join(base, "link"), filepath.Join(base, "shared")
	file := filepath.Join(base, "file")
	for _, dir := range []string{real, shared} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink(real, link), os.Chmod(shared, 0o777), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	wants := map[string]string{
		link:   "it is a symbolic link, and must be a directory",
		shared: "others can write to it (mode 0777)",
		file:   "not a directory",
	}
	if os.Geteuid() == 0 {
		foreign := filepath.Join(base, "foreign")
		if err := errors.Join(os.Mkdir(foreign, 0o700), os.Chown(foreign, 12345, 12345)); err != nil {
			t.Fatal(err)
		}
		wants[foreign] = "it belongs to user 12345"
	}
	for dir, want := range wants {
		if _, err := Open(Options{Dir: dir, Max: 1 << 20, Life: 1}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", dir, err, want)
		}
	}
	if names := files(t, shared); len(names) > 0 {
		t.Errorf("a refused directory has %v", names)
	}
	// A directory below the shared one is made, and is ours.
	open(t, filepath.Join(shared, "below"), 1, 1<<20).Close()
}

// Names that a stranger prepared in a directory, while others could still write
// to it, do not lead anywhere.
func TestQueue_follows_no_symlink(t *testing.T) {
	for _, name := range []string{LockName, probeName, segmentName(began.Add(time.Second), ID{1, 1}, 0), damagedName} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			victim, dir := filepath.Join(base, "victim"), filepath.Join(base, "spool")
			err := errors.Join(os.WriteFile(victim, []byte("precious"), 0o600), os.Mkdir(dir, 0o700), os.Symlink(victim, filepath.Join(dir, name)))
			if err != nil {
				t.Fatal(err)
			}
			q, err := Open(Options{Dir: dir, Max: 1 << 20, Life: 1, Start: began.Add(time.Second)})
			if err == nil {
				q.Probe() //nolint:errcheck // what it did is looked at
				m, frame := chunkOf(1, 1, 1000)
				q.Push(m, frame) //nolint:errcheck // what it did is looked at
				q.Close()
			}
			if b, err := os.ReadFile(victim); string(b) != "precious" || err != nil {
				t.Errorf("the file behind the link holds %.20q, %v", b, err)
			}
		})
	}
}

func TestQueue_one_process_at_a_time(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	q := open(t, dir, 1, 1<<20)
	if _, err := Open(Options{Dir: dir, Max: 1 << 20, Life: 2}); !errors.Is(err, ErrLocked) {
		t.Errorf("the second: %v", err)
	}
	q.Close()
	open(t, dir, 2, 1<<20).Close()
}

// A cleaner removes the directory under a running process.
func TestQueue_makes_its_directory_again(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	q := open(t, dir, 1, 4<<20)
	defer q.Close()
	push(t, q, 1, 1, 1000)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for num := uint64(2); num < 20; num++ {
		push(t, q, 1, num, 60_000) // more than a segment
	}
	if err := q.Probe(); err != nil {
		t.Error(err)
	}
	if names := files(t, dir); len(names) == 0 {
		t.Error("nothing is in the new directory")
	}
	if got := all(t, q); len(got) != 19 {
		t.Errorf("%d chunks came back: %v", len(got), got)
	}
}

func TestParseName(t *testing.T) {
	name := segmentName(began, ID{0xabc, 7}, 1)
	if life, ok := parseName(name); !ok || life != 0xabc {
		t.Errorf("%s: %x, %v", name, life, ok)
	}
	for _, other := range []string{"", "lock", "x.seg", "00000000000000000001.seg", name + "x", "-" + name} {
		if _, ok := parseName(other); ok {
			t.Errorf("%q passes", other)
		}
	}
}

// A file may hold anything. What comes out was put in, by this life or another
// that the file's name tells.
func FuzzOpen(f *testing.F) {
	var good []byte
	for num := uint64(1); num <= 3; num++ {
		m, frame := chunkOf(7, num, 300)
		putHeader(frame, m)
		good = append(good, frame...)
	}
	f.Add(good)
	f.Add(good[:len(good)-10])
	f.Add(bytes.Repeat([]byte(magic), 1000))
	cut := bytes.Clone(good)
	binary.LittleEndian.PutUint32(cut[28:], 1<<31)
	f.Add(cut)
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := filepath.Join(t.TempDir(), "spool")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, segmentName(began, ID{7, 1}, 0)), b, 0o600); err != nil {
			t.Fatal(err)
		}
		q := open(t, dir, 8, 1<<30)
		defer q.Close()
		if _, err := q.Metas(); err != nil {
			t.Fatal(err)
		}
		for {
			e, err := q.Next(nil)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if e.Life != 7 || len(e.Frame) > len(b) || e.Done > len(e.Frame) {
				t.Fatalf("%+v of a file of %d bytes", e.Meta, len(b))
			}
			if err := q.Finish(e.Ref); err != nil {
				t.Fatal(err)
			}
		}
		if frames, left, size := q.Size(); frames != 0 || left != [2]int64{} || size != 0 {
			t.Errorf("Size: %d, %v, %d", frames, left, size)
		}
	})
}
