//go:build unix

package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var began = time.UnixMilli(1_700_000_000_000)

func open(t testing.TB, dir string, life uint64, size int64) *Queue {
	t.Helper()
	q, err := Open(Options{Dir: dir, Max: size, Life: life, Start: began.Add(time.Duration(life) * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// chunkOf is a chunk whose text says who it is.
func chunkOf(life, num uint64, size int) (Meta, []byte) {
	text := fmt.Sprintf("life %d chunk %d ", life, num)
	frame := append(make([]byte, HeaderSize), bytes.Repeat([]byte(text), 1+size/len(text))...)
	return Meta{ID: ID{life, num}, Base: began.UnixMilli() + int64(num), Items: 3, Left: [2]int{2, 1}, Done: HeaderSize}, frame
}

func push(t testing.TB, q *Queue, life, num uint64, size int) {
	t.Helper()
	m, frame := chunkOf(life, num, size)
	if err := q.Push(m, frame); err != nil {
		t.Fatal(err)
	}
}

func next(t testing.TB, q *Queue) Entry {
	t.Helper()
	e, err := q.Next(nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// all reads and finishes everything, and returns the names of what was there.
func all(t testing.TB, q *Queue) (ids []ID) {
	t.Helper()
	for {
		e, err := q.Next(nil)
		if errors.Is(err, io.EOF) {
			return ids
		}
		if err != nil {
			t.Fatal(err)
		}
		_, want := chunkOf(e.Life, e.Num, len(e.Frame)-HeaderSize-20)
		if !strings.HasPrefix(string(want[HeaderSize:]), string(e.Frame[HeaderSize:HeaderSize+10])) {
			t.Fatalf("chunk %v holds %.30q", e.ID, e.Frame[HeaderSize:])
		}
		if err := q.Finish(e.Ref); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, e.ID)
	}
}

func files(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != LockName {
			names = append(names, e.Name())
		}
	}
	return names
}

// Random operations, and the end of the process in between, against a list.
func TestQueue_against_a_model(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { againstModel(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

type modelled struct {
	id   ID
	size int
	done int
}

func againstModel(t *testing.T, r *rand.Rand) {
	dir := filepath.Join(t.TempDir(), "spool")
	life, num := uint64(1), uint64(0)
	q := open(t, dir, life, 1<<20)
	var want []modelled // not finished, oldest first
	var read []Entry    // of these, the first ones that this process has read
	for range 300 {
		switch r.IntN(10) {
		case 0, 1, 2, 3:
			num++
			m, frame := chunkOf(life, num, r.IntN(40_000))
			err := q.Push(m, frame)
			if errors.Is(err, ErrFull) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, modelled{m.ID, len(frame), HeaderSize})
			if r.IntN(4) == 0 {
				if err := q.Undo(m); err != nil {
					t.Fatal(err)
				}
				want = want[:len(want)-1]
			}
		case 4, 5, 6:
			e, err := q.Next(nil)
			if len(read) == len(want) {
				if !errors.Is(err, io.EOF) {
					t.Fatalf("Next: %v, %v, want the end", e.ID, err)
				}
				break
			}
			w := want[len(read)]
			if err != nil || e.ID != w.id || len(e.Frame) != w.size || e.Done != w.done {
				t.Fatalf("Next: %v, %d bytes, done %d, %v, want %+v", e.ID, len(e.Frame), e.Done, err, w)
			}
			read = append(read, e)
		case 7:
			if len(read) > 0 {
				want[0].done = HeaderSize + r.IntN(want[0].size-HeaderSize)
				if err := q.Progress(read[0].Ref, want[0].done); err != nil {
					t.Fatal(err)
				}
			}
		case 8:
			if len(read) > 0 {
				if err := q.Finish(read[0].Ref); err != nil {
					t.Fatal(err)
				}
				read, want = read[1:], want[1:]
			}
		case 9:
			if r.IntN(5) == 0 { // the process ends; what it had read comes again
				if err := q.Close(); err != nil {
					t.Fatal(err)
				}
				life++
				num = 0
				q = open(t, dir, life, 1<<20)
				read = nil
			}
		}
		frames, left, bytes := q.Size()
		if wait := len(want) - len(read); frames != wait || left != [2]int64{2 * int64(wait), int64(wait)} || bytes > 1<<20 {
			t.Fatalf("Size: %d, %v, %d; %d wait", frames, left, bytes, wait)
		}
	}
	for _, e := range read {
		if err := q.Finish(e.Ref); err != nil {
			t.Fatal(err)
		}
	}
	all(t, q)
	if err := q.Close(); err != nil {
		t.Error(err)
	}
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("all is finished, and there is %v", left)
	}
}

// Numbers begin anew with each process; names do not.
func TestQueue_lives_do_not_mix(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	for life := uint64(1); life <= 3; life++ {
		q := open(t, dir, life, 1<<20)
		for num := uint64(1); num <= 3; num++ {
			push(t, q, life, num, 100)
		}
		q.Close()
	}
	q := open(t, dir, 4, 1<<20)
	defer q.Close()
	var want []ID
	for life := uint64(1); life <= 3; life++ {
		for num := uint64(1); num <= 3; num++ {
			want = append(want, ID{life, num})
		}
	}
	if got := all(t, q); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestQueue_discards_what_somebody_else_has(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	q := open(t, dir, 1, 1<<20)
	for num := uint64(1); num <= 5; num++ {
		push(t, q, 1, num, 1000)
	}
	q.Close()
	name := filepath.Join(dir, files(t, dir)[0])
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, info.Size()-1); err != nil { // chunk 5 is torn
		t.Fatal(err)
	}
	q = open(t, dir, 2, 1<<20)
	defer q.Close()
	if torn := q.Torn(); len(torn) != 1 || torn[0].ID != (ID{1, 5}) {
		t.Fatalf("torn: %v", torn)
	}
	if err := q.Discard(func(id ID) bool { return id.Num == 2 || id.Num == 5 }); err != nil {
		t.Fatal(err)
	}
	if frames, left, _ := q.Size(); frames != 3 || left != [2]int64{6, 3} {
		t.Errorf("Size: %d, %v", frames, left)
	}
	if got := all(t, q); !slices.Equal(got, []ID{{1, 1}, {1, 3}, {1, 4}}) {
		t.Errorf("got %v", got)
	}
	if d := q.TakeDamage(); len(d) > 0 {
		t.Errorf("what is known elsewhere is told as damage: %v", d)
	}
}

func TestQueue_tells_damage(t *testing.T) {
	for name, tt := range map[string]struct {
		damage func(b []byte) []byte
		want   []ID
		lost   [2]int64
	}{
		"torn":          {func(b []byte) []byte { return b[:len(b)-1] }, []ID{{1, 1}, {1, 2}}, [2]int64{2, 1}},
		"a header":      {func(b []byte) []byte { b[bytes.Index(b, []byte("chunk 2"))-30] ^= 1; return b }, []ID{{1, 1}, {1, 3}}, [2]int64{}},
		"no header":     {func(b []byte) []byte { return bytes.Repeat([]byte("text\n"), 1000) }, nil, [2]int64{}},
		"only a header": {func(b []byte) []byte { return b[:HeaderSize+1] }, nil, [2]int64{2, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "spool")
			q := open(t, dir, 1, 1<<20)
			for num := uint64(1); num <= 3; num++ {
				push(t, q, 1, num, 1000)
			}
			q.Close()
			path := filepath.Join(dir, files(t, dir)[0])
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, tt.damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			q = open(t, dir, 2, 1<<20)
			defer q.Close()
			if got := all(t, q); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			d := q.TakeDamage()
			if len(d) != 1 || d[0].Records != tt.lost || d[0].Bytes == 0 {
				t.Errorf("damage: %+v, want %v lost", d, tt.lost)
			}
			if left := files(t, dir); !slices.Equal(left, []string{damagedName}) {
				t.Errorf("left: %v", left)
			}
			if frames, left, size := q.Size(); frames != 0 || left != [2]int64{} || size != 0 {
				t.Errorf("Size: %d, %v, %d", frames, left, size)
			}
		})
	}
}

// Text in the log may look like a frame in every byte but the life, which its
// author cannot know. It is passed over where the search goes through it.
func TestQueue_does_not_believe_text(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	q := open(t, dir, 0xfeed, 1<<20)
	m, forged := chunkOf(1, 99, 200)
	putHeader(forged, m)
	frame := append(make([]byte, HeaderSize), bytes.Repeat(forged, 10)...)
	if err := q.Push(Meta{ID: ID{0xfeed, 1}, Left: [2]int{1, 0}}, frame); err != nil {
		t.Fatal(err)
	}
	m, frame = chunkOf(0xfeed, 2, 100)
	if err := q.Push(m, frame); err != nil {
		t.Fatal(err)
	}
	q.Close()
	path := filepath.Join(dir, files(t, dir)[0])
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[offSum] ^= 1 // now the search goes through the first frame
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	q = open(t, dir, 2, 1<<20)
	defer q.Close()
	if got := all(t, q); !slices.Equal(got, []ID{{0xfeed, 2}}) {
		t.Errorf("got %v", got)
	}
}

type countingReader struct {
	r    io.ReaderAt
	read int64
}

func (c *countingReader) ReadAt(p []byte, at int64) (int, error) {
	n, err := c.r.ReadAt(p, at)
	c.read += int64(n)
	return n, err
}

// Whatever lies in a file, the search looks at every byte a bounded number of
// times.
func TestScanner_is_linear(t *testing.T) {
	const size = 4 << 20
	withLife := append([]byte(magic), 7, 0, 0, 0, 0, 0, 0, 0)
	for name, text := range map[string][]byte{
		"nothing":               make([]byte, size),
		"only magic":            bytes.Repeat([]byte(magic), size/4),
		"magic and life":        bytes.Repeat(withLife, size/12),
		"magic, life and sizes": bytes.Repeat(append(withLife, make([]byte, HeaderSize-12)...), size/HeaderSize),
	} {
		var s scanner
		r := &countingReader{r: bytes.NewReader(text)}
		_, at, err := s.find(r, 0, int64(len(text)), 7)
		if !errors.Is(err, io.EOF) || at != int64(len(text)) {
			t.Errorf("%s: %d, %v", name, at, err)
		}
		if most := int64(16 * len(text)); r.read > most {
			t.Errorf("%s: %d bytes read of a file of %d", name, r.read, len(text))
		}
	}
}

// dropOldest drops a segment in which nothing is marked.
func dropOldest(q *Queue) (left [2]int64, size int64, ok bool, err error) {
	ok, err = q.DropOldest(func(e Entry) { panic(e.ID) }, func(l [2]int64, n int64) { left, size = l, n })
	return left, size, ok, err
}

func TestQueue_bound_and_age(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	q := open(t, dir, 1, 1<<20)
	defer q.Close()
	num := uint64(0)
	for {
		num++
		m, frame := chunkOf(1, num, 60_000)
		if err := q.Push(m, frame); errors.Is(err, ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if _, _, size := q.Size(); size > 1<<20 || size < 900_000 {
		t.Errorf("%d bytes", size)
	}
	before, _, _ := q.Size()
	left, size, ok, err := dropOldest(q)
	after, _, _ := q.Size()
	if !ok || err != nil || size == 0 || left[0] != int64(2*(before-after)) {
		t.Errorf("DropOldest: %v, %d, %v, %v", left, size, ok, err)
	}
	first := next(t, q)
	none, lost := func(Entry) {}, func([2]int64, int64) {}
	if ok, _ := q.DropBefore(began, none, lost); ok {
		t.Error("a young segment was dropped")
	}
	for ok := true; ok; {
		ok, err = q.DropBefore(began.Add(time.Hour), none, lost)
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Finish(first.Ref); err != nil {
		t.Fatal(err)
	}
	if frames, _, _ := q.Size(); frames != 0 && len(all(t, q)) != frames {
		t.Errorf("%d chunks", frames)
	}
}

// What is marked and still waits is shown before it is dropped, in this life of the
// process and in another; what was read or is finished is not.
func TestQueue_shows_what_is_marked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	q := open(t, dir, 1, 4<<20)
	for num := uint64(1); num <= 4; num++ {
		m, frame := chunkOf(1, num, 60_000)
		m.Marked = num != 3
		if err := q.Push(m, frame); err != nil {
			t.Fatal(err)
		}
	}
	read := next(t, q)
	for life := uint64(2); life <= 3; life++ {
		var seen []ID
		lost := [2]int64{}
		ok, err := q.DropOldest(func(e Entry) {
			if _, want := chunkOf(1, e.Num, 60_000); !e.Marked || !bytes.Equal(e.Frame[HeaderSize:], want[HeaderSize:]) {
				t.Errorf("chunk %d is not what was pushed", e.Num)
			}
			if q.frames == 0 {
				t.Error("it is dropped already")
			}
			seen = append(seen, e.ID)
		}, func(left [2]int64, _ int64) { lost = left })
		want := []ID{{1, 2}, {1, 4}}
		if life == 3 {
			want = []ID{{1, 6}}
		}
		if !ok || err != nil || !slices.Equal(seen, want) || lost == [2]int64{} {
			t.Errorf("life %d: %v, %v, %v are lost and %v were seen", life, ok, err, lost, seen)
		}
		for num := uint64(5); life == 2 && num <= 6; num++ {
			m, frame := chunkOf(1, num, 60_000)
			m.Marked = true
			if err := q.Push(m, frame); err != nil {
				t.Fatal(err)
			}
		}
		if life == 2 {
			if err := errors.Join(q.Finish(read.Ref), q.Finish(next(t, q).Ref), q.Close()); err != nil {
				t.Fatal(err)
			}
			q = open(t, dir, 2, 4<<20)
		}
	}
	q.Close()
}

// A note is there for the next process that opens the directory, also for one that only looks,
// until it is replaced. It takes no room of its own when it is none.
func TestQueue_keeps_a_note(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	long := bytes.Repeat([]byte{7}, MaxNote)
	for i, want := range [][]byte{nil, []byte("a"), long, []byte("b"), nil} {
		q := open(t, dir, uint64(i+1), 1<<20)
		if got := q.Note(); !bytes.Equal(got, want) {
			t.Errorf("life %d finds %q, want %q", i, got, want)
		}
		info, err := os.Stat(filepath.Join(dir, LockName))
		if err != nil || (info.Size() == 0) != (want == nil) {
			t.Errorf("life %d: the file has %d bytes, %v", i, info.Size(), err)
		}
		look, err := Open(Options{Dir: dir, ReadOnly: true})
		if err != nil || !bytes.Equal(look.Note(), want) {
			t.Errorf("life %d: a look finds %q, %v", i, look.Note(), err)
		}
		look.Close()
		if err := q.SetNote(append(long, 1)); err == nil || !strings.Contains(err.Error(), "117 bytes") {
			t.Errorf("a note that is too long: %v", err)
		}
		if err := q.SetNote([][]byte{[]byte("a"), long, []byte("b"), nil, nil}[i]); err != nil {
			t.Error(err)
		}
		q.Close()
	}
	q := open(t, dir, 9, 1<<20)
	defer q.Close()
	if err := q.SetNote([]byte("damaged")); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, LockName))
	if err != nil {
		t.Fatal(err)
	}
	for i := range noteHead + len("damaged") {
		b[i] ^= 0x40
		if err := os.WriteFile(filepath.Join(dir, LockName), b, 0o600); err != nil {
			t.Fatal(err)
		}
		look, err := Open(Options{Dir: dir, ReadOnly: true})
		if err != nil || look.Note() != nil {
			t.Errorf("with byte %d damaged: %q, %v", i, look.Note(), err)
		}
		look.Close()
		b[i] ^= 0x40
	}
}

// Of the segment that is read just now, what was not read yet goes first, and what
// was read is not touched.
func TestQueue_drops_the_rest_of_what_is_read(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	q := open(t, dir, 1, 4<<20)
	for num := uint64(1); num <= 9; num++ {
		push(t, q, 1, num, 60_000) // four a segment
	}
	first := next(t, q)
	_, _, before := q.Size()
	left, size, ok, err := dropOldest(q)
	frames, waits, after := q.Size()
	if !ok || err != nil || left != [2]int64{6, 3} || frames != 5 || waits != [2]int64{10, 5} || before-after != size || size < 3*60_000 {
		t.Errorf("DropOldest: %v, %d, %v, %v; then %d, %v, %d of %d", left, size, ok, err, frames, waits, after, before)
	}
	if err := q.Progress(first.Ref, HeaderSize+10); err != nil {
		t.Error(err)
	}
	if err := q.Close(); err != nil { // the process ends
		t.Error(err)
	}
	q = open(t, dir, 2, 4<<20)
	defer q.Close()
	if e := next(t, q); e.ID != first.ID || e.Done != HeaderSize+10 || !bytes.Equal(e.Frame[HeaderSize:], first.Frame[HeaderSize:]) {
		t.Errorf("what was read is %v up to %d", e.ID, e.Done)
	} else if err := q.Finish(e.Ref); err != nil {
		t.Error(err)
	}
	if got := all(t, q); !slices.Equal(got, []ID{{1, 5}, {1, 6}, {1, 7}, {1, 8}, {1, 9}}) {
		t.Errorf("got %v", got)
	}
	if d := q.TakeDamage(); len(d) > 0 || len(files(t, dir)) > 0 {
		t.Errorf("damage %v, files %v", d, files(t, dir))
	}
}
