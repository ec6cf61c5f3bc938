//go:build unix

package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// spooled is a queue with chunks 1 to n of life 1, of 1000 bytes and more.
func spooled(t *testing.T, n uint64) (*Queue, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "spool")
	q := open(t, dir, 1, 4<<20)
	for num := uint64(1); num <= n; num++ {
		push(t, q, 1, num, 1000)
	}
	return q, dir
}

// A write that fails costs its chunk and no other: the ones before it are there, in the
// counts and in the file, and the next one goes to a new segment.
func TestQueue_goes_on_after_a_failed_write(t *testing.T) {
	for _, before := range []uint64{0, 2} {
		q, dir := spooled(t, before)
		m, frame := chunkOf(1, 3, 1000)
		if before == 0 { // its segment is made by the write that fails
			seg, err := q.create(m)
			if err != nil {
				t.Fatal(err)
			}
			q.segs = append(q.segs, seg)
		}
		broken := q.segs[len(q.segs)-1]
		broken.f.Close()
		if err := q.Push(m, frame); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("Push to a file that is closed: %v", err)
		}
		if frames, left, _ := q.Size(); frames != int(before) || left != [2]int64{2 * int64(before), int64(before)} {
			t.Errorf("after it %d chunks wait, with %v records", frames, left)
		}
		if names := files(t, dir); before == 0 && len(names) > 0 {
			t.Errorf("it leaves %v, in which there is nothing", names)
		}
		push(t, q, 1, 4, 1000)
		want := []ID{{1, 1}, {1, 2}, {1, 4}}[2-before:]
		q.Close() //nolint:errcheck // one file is closed already
		q = open(t, dir, 2, 4<<20)
		if got := all(t, q); !slices.Equal(got, want) || len(q.TakeDamage()) > 0 {
			t.Errorf("after %d chunks: got %v, want %v", before, got, want)
		}
		q.Close()
	}
}

// A part of the disk that cannot be read is an error with the file's name, again and
// again, until it is given up: then it is told as damage, and what follows is read.
func TestQueue_gives_up_what_cannot_be_read(t *testing.T) {
	q, dir := spooled(t, 3)
	q.Close()
	q = open(t, dir, 2, 4<<20)
	defer q.Close()
	push(t, q, 2, 1, 1000)
	if first := next(t, q); first.ID != (ID{1, 1}) {
		t.Fatalf("%v", first.ID)
	} else if err := q.Finish(first.Ref); err != nil {
		t.Fatal(err)
	}
	name := q.segs[0].name
	q.segs[0].f.Close()
	for range 2 {
		if _, err := q.Next(nil); err == nil || !strings.HasPrefix(err.Error(), name+": ") || !errors.Is(err, fs.ErrClosed) {
			t.Errorf("Next: %v", err)
		}
	}
	if err := q.Skip(); !errors.Is(err, fs.ErrClosed) { // it closes the file, which was closed
		t.Errorf("Skip: %v", err)
	}
	_, frame := chunkOf(1, 1, 1000)
	want := []Damage{{File: name, Kept: damagedName, Records: [2]int64{4, 2}, Bytes: 2 * int64(len(frame))}}
	if got := q.TakeDamage(); !slices.Equal(got, want) {
		t.Errorf("damage %+v, want %+v", got, want)
	}
	if text := want[0].Error(); text != fmt.Sprintf("%s is damaged: 6 records, and %d bytes without a record; kept as damaged.bad", name, 2*len(frame)) {
		t.Errorf("%s", text)
	}
	if got := q.TakeDamage(); len(got) > 0 {
		t.Errorf("told twice: %v", got)
	}
	if got := all(t, q); !slices.Equal(got, []ID{{2, 1}}) {
		t.Errorf("got %v", got)
	}
	if err := q.Skip(); err != nil {
		t.Errorf("Skip of nothing: %v", err)
	}
}

// What cannot be marked or removed is an error, and what it was about is not lost track
// of.
func TestQueue_tells_what_the_disk_refuses(t *testing.T) {
	q, _ := spooled(t, 3)
	e := next(t, q)
	q.segs[0].f.Close()
	for name, err := range map[string]error{
		"Progress": q.Progress(e.Ref, HeaderSize+1),
		"Finish":   q.Finish(e.Ref),
		"Undo":     q.Undo(Meta{Left: [2]int{2, 1}}),
	} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if frames, left, _ := q.Size(); frames != 1 || left != [2]int64{2, 1} { // chunk 2 waits, 3 was taken back
		t.Errorf("%d chunks, %v", frames, left)
	}
	if ok, err := q.DropOldest(func(Entry) { t.Error("it cannot be read") }, func([2]int64, int64) {}); !ok || !errors.Is(err, fs.ErrClosed) {
		t.Errorf("DropOldest: %v, %v", ok, err)
	}
	if frames, left, size := q.Size(); frames != 0 || left != [2]int64{} || size != 0 {
		t.Errorf("%d chunks, %v, %d bytes after the last", frames, left, size)
	}
}

// A chunk that is in a call of the destination is the first that the next process finds,
// and none that this one reads. Finished, it leaves nothing.
func TestQueue_pushFront(t *testing.T) {
	for _, finish := range []bool{false, true} {
		q, dir := spooled(t, 0)
		push(t, q, 1, 2, 1000)
		m, frame := chunkOf(1, 1, 1000)
		m.Done = HeaderSize + 7
		ref, err := q.PushFront(m, frame)
		if err != nil {
			t.Fatal(err)
		}
		if frames, left, size := q.Size(); frames != 1 || left != [2]int64{2, 1} || size != 2*int64(len(frame)) {
			t.Errorf("%d chunks, %v, %d bytes", frames, left, size)
		}
		if e := next(t, q); e.ID != (ID{1, 2}) {
			t.Errorf("this process reads %v", e.ID)
		}
		if _, err := q.Next(nil); !errors.Is(err, io.EOF) {
			t.Errorf("and then: %v", err)
		}
		want := []ID{{1, 1}, {1, 2}}
		if finish {
			want = want[1:]
			if err := q.Finish(ref); err != nil {
				t.Error(err)
			}
		}
		q.Close()
		q = open(t, dir, 2, 4<<20)
		if metas, err := q.Metas(); err != nil || len(metas) != len(want) || !finish && metas[0].Done != HeaderSize+7 {
			t.Errorf("Metas: %+v, %v", metas, err)
		}
		if got := all(t, q); !slices.Equal(got, want) || len(files(t, dir)) > 0 {
			t.Errorf("the next one finds %v, want %v; files %v", got, want, files(t, dir))
		}
		q.Close()
	}
}

// The directory is gone, and something else has its name: what is in open files is still
// read, what is new is refused with the reason.
func TestQueue_when_its_directory_is_a_file(t *testing.T) {
	q, dir := spooled(t, 1)
	defer q.Close()
	if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	m, frame := chunkOf(1, 2, 9<<20)
	q.opt.Max = math.MaxInt64
	for name, err := range map[string]error{"Push": q.Push(m, frame), "Probe": q.Probe()} {
		if err == nil || !strings.Contains(err.Error(), "not a directory") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := all(t, q); !slices.Equal(got, []ID{{1, 1}}) {
		t.Errorf("got %v", got)
	}
}

// Another process has taken the new directory meanwhile: this one is refused there.
func TestQueue_when_its_directory_is_another_ones(t *testing.T) {
	q, dir := spooled(t, 0)
	defer q.Close()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	other := open(t, dir, 2, 4<<20)
	defer other.Close()
	m, frame := chunkOf(1, 1, 1000)
	if err := q.Push(m, frame); !errors.Is(err, ErrLocked) {
		t.Errorf("%v", err)
	}
}

func TestQueue_probe(t *testing.T) {
	q, dir := spooled(t, 0)
	defer q.Close()
	// A process was killed in a probe.
	if err := os.WriteFile(filepath.Join(dir, probeName), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := q.Probe(); err != nil {
			t.Error(err)
		}
	}
	if names := files(t, dir); len(names) > 0 {
		t.Errorf("it leaves %v", names)
	}
	// What cannot be removed is told.
	if err := errors.Join(os.Mkdir(filepath.Join(dir, probeName), 0o700), os.WriteFile(filepath.Join(dir, probeName, "x"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := q.Probe(); err == nil || !strings.Contains(err.Error(), "directory not empty") {
		t.Errorf("%v", err)
	}
}

func TestOpen_must_exist(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	o := Options{Dir: dir, Max: 1 << 20, Life: 1, MustExist: true}
	if _, err := Open(o); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing is there: %v", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(o); fmt.Sprint(err) != "no process has spilled into this directory" || len(files(t, dir)) > 0 {
		t.Errorf("an empty one: %v, %v", err, files(t, dir))
	}
	open(t, dir, 1, 1<<20).Close()
	q, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	q.Close()
}

// Who only looks finds the same, and changes nothing: not what is damaged, empty or
// read to its end, and not while another process has the directory.
func TestOpen_read_only(t *testing.T) {
	q, dir := spooled(t, 3)
	defer q.Close()
	empty, damaged, text := segmentName(began, ID{9, 1}, 0), segmentName(began, ID{8, 1}, 0), segmentName(began, ID{7, 1}, 0)
	m, frame := chunkOf(8, 1, 1000)
	putHeader(frame, m)
	err := errors.Join(
		os.WriteFile(filepath.Join(dir, empty), nil, 0o600),
		os.WriteFile(filepath.Join(dir, text), []byte("only text"), 0o600),
		os.WriteFile(filepath.Join(dir, damaged), append([]byte("some text"), frame...), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	before := contents(t, dir)
	for range 2 {
		look, err := Open(Options{Dir: dir, ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		var got []ID
		for {
			e, err := look.Next(nil)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.ID)
		}
		if want := []ID{{8, 1}, {1, 1}, {1, 2}, {1, 3}}; !slices.Equal(got, want) || look.Damaged() != int64(len("some text")+len("only text")) {
			t.Errorf("%v, want %v; %d bytes are damaged", got, want, look.Damaged())
		}
		if err := look.Close(); err != nil {
			t.Error(err)
		}
		if after := contents(t, dir); after != before {
			t.Errorf("it has changed %s to %s", before, after)
		}
	}
	if _, err := Open(Options{Dir: filepath.Join(dir, "none"), ReadOnly: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing is there: %v", err)
	}
}

// contents is every file of dir with its length and its first bytes.
func contents(t *testing.T, dir string) (all string) {
	t.Helper()
	for _, name := range append(files(t, dir), LockName) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all += fmt.Sprintf("%s: %d bytes %x\n", name, len(b), b[:min(len(b), HeaderSize)])
	}
	return all
}

// A chunk that was found torn, and is not known elsewhere either, is damage; one that is
// known is cut off, and the chunks in front of it stay as they are.
func TestQueue_torn_chunk(t *testing.T) {
	for _, known := range []bool{false, true} {
		q, dir := spooled(t, 2)
		q.Close()
		path := filepath.Join(dir, files(t, dir)[0])
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, info.Size()-1); err != nil {
			t.Fatal(err)
		}
		q = open(t, dir, 2, 4<<20)
		if frames, left, size := q.Size(); frames != 1 || left != [2]int64{4, 2} || size != info.Size()-1 {
			t.Errorf("%d chunks, %v records, those of the torn one too, %d bytes", frames, left, size)
		}
		if err := q.Discard(func(id ID) bool { return known && id.Num == 2 }); err != nil {
			t.Error(err)
		}
		got, damage := all(t, q), q.TakeDamage()
		if !slices.Equal(got, []ID{{1, 1}}) || known != (len(damage) == 0) || !known && damage[0].Records != [2]int64{2, 1} {
			t.Errorf("known %v: got %v, damage %+v", known, got, damage)
		}
		q.Close()
	}
}

// Names sort by the start of the process, whatever its clock says, and begin with what
// tells the life.
func TestSegmentName(t *testing.T) {
	for _, tt := range []struct {
		start time.Time
		id    ID
		n     int
		want  string
	}{
		{time.UnixMilli(0), ID{}, 0, "000000000000-0000000000000000-0000000000000000-0.seg"},
		{time.UnixMilli(-5), ID{1, 2}, 0, "000000000000-0000000000000001-0000000000000002-0.seg"},
		{began, ID{0xfeed, 0x1f}, 17, "018bcfe56800-000000000000feed-000000000000001f-11.seg"},
		{time.UnixMilli(1<<48 - 1), ID{math.MaxUint64, math.MaxUint64}, 0, "ffffffffffff-ffffffffffffffff-ffffffffffffffff-0.seg"},
	} {
		got := segmentName(tt.start, tt.id, tt.n)
		if life, ok := parseName(got); got != tt.want || life != tt.id.Life || !ok {
			t.Errorf("%s, life %x, %v, want %s", got, life, ok, tt.want)
		}
	}
	for _, name := range []string{"000000000000-000000000000000g-0000000000000000-0.seg", "0-1-2-0.seg", "000000000000-0000000000000001-0000000000000002.seg", damagedName, LockName + segmentSuffix} {
		if life, ok := parseName(name); ok {
			t.Errorf("%s is a segment of %x", name, life)
		}
	}
}

// A header says what was put in, and nothing that is out of bounds.
func TestHeader(t *testing.T) {
	m := Meta{ID: ID{7, 9}, Base: 1000, Stored: 2000, Items: 5, Left: [2]int{3, 2}, Done: 70, Marked: true}
	frame := make([]byte, 100)
	putHeader(frame, m)
	pattern := slices.Clone(frame[:12])
	for _, tt := range []struct {
		name   string
		change func(b []byte)
		want   header
		ok     bool
	}{
		{"as it is", func([]byte) {}, header{Meta: m, size: 100}, true},
		{"finished", func(b []byte) { copy(b[offDone:], "\xff\xff\xff\xff") }, header{Meta: with(m, func(m *Meta) { m.Done = 100 }), size: 100, finished: true}, true},
		{"done before its begin", func(b []byte) { clear(b[offDone : offDone+4]) }, header{Meta: with(m, func(m *Meta) { m.Done = HeaderSize }), size: 100}, true},
		{"done behind its end", func(b []byte) { b[offDone+1] = 1 }, header{Meta: with(m, func(m *Meta) { m.Done = 100 }), size: 100}, true},
		{"stored before its base", func(b []byte) { clear(b[offStored : offStored+8]) }, header{Meta: with(m, func(m *Meta) { m.Stored = 1000 }), size: 100}, true},
		{"not marked", func(b []byte) { b[offMarked] = 0 }, header{Meta: with(m, func(m *Meta) { m.Marked = false }), size: 100}, true},
		{"another life", func(b []byte) { b[4]++ }, header{}, false},
		{"another number", func(b []byte) { b[12]++ }, header{}, false},
		{"no magic", func(b []byte) { b[0] = 'X' }, header{}, false},
		{"a wrong checksum", func(b []byte) { b[offSum]++ }, header{}, false},
	} {
		b := bytes.Clone(frame)
		tt.change(b)
		if got, ok := parseHeader(b, pattern); got != tt.want || ok != tt.ok {
			t.Errorf("%s: %+v, %v, want %+v", tt.name, got, ok, tt.want)
		}
	}
	if _, ok := parseHeader(frame[:HeaderSize-1], pattern); ok {
		t.Error("a part of a header passes")
	}
}

func with(m Meta, change func(*Meta)) Meta {
	change(&m)
	return m
}

func TestPrivate_says_what_is_wrong(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Symlink(file, filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path string
		kind fs.FileMode
		mode fs.FileMode
		want string
	}{
		{"file", 0, 0o600, "<nil>"},
		{"file", 0, 0o644, "<nil>"},
		{"file", 0, 0o620, "others can write to it (mode 0620): take their right away, or name one below it, which will be made"},
		{"file", 0, 0o602, "others can write to it (mode 0602): take their right away, or name one below it, which will be made"},
		{"file", fs.ModeDir, 0o600, "it is a regular file, and must be a directory"},
		{".", 0, 0o700, "it is a directory, and must be a regular file"},
		{"link", 0, 0, "it is a symbolic link, and must be a regular file"},
		{"/dev/null", 0, 0, "it is a special file, and must be a regular file"},
	} {
		path := tt.path
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		if tt.mode != 0 {
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
		}
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := Private(info, tt.kind); fmt.Sprint(err) != tt.want {
			t.Errorf("%s of mode %v: %v, want %s", tt.path, tt.mode, err, tt.want)
		}
	}
}
