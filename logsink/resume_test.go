//go:build linux

package logsink

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/logsink/logsinktest"
)

// After a kill within a write to a regular file: what the file says counts, if
// it can be ours.
func TestChunk_resumes_where_the_file_ends(t *testing.T) {
	c := aChunk(4096)
	for i := range 20 {
		c.append(fmt.Appendf(nil, "line %02d\n", i), 0, 0) // 8 bytes
	}
	c.advance(headerSize + 3*8) // what the killed process had noted
	const before = "older lines\n"
	binary.LittleEndian.PutUint32(c.mem[offFile:], headerSize+16)
	binary.LittleEndian.PutUint64(c.mem[offFile+4:], uint64(len(before)))
	ours := string(c.mem[headerSize+16 : c.used])
	for _, tt := range []struct {
		name, added string
		ok          bool
	}{
		{"in mid-record", ours[:29], true},
		{"at a record's end", ours[:32], true},
		{"everything", ours, true},
		{"as noted", ours[:8], true},
		{"less than noted", ours[:7], false},
		{"somebody else wrote too", ours[:16] + "theirs\n", false},
		{"more than there was", ours + "x", false},
	} {
		f := strings.NewReader(before + tt.added)
		sent, ok := c.resumeAt(f, f.Size())
		want := 0
		if tt.ok {
			want = headerSize + 16 + len(tt.added)
		}
		if ok != tt.ok || sent != want {
			t.Errorf("%s: %v, sent %d, want %v, %d", tt.name, ok, sent, tt.ok, want)
		}
	}
}

// Leftovers after a file that ends within a line begin on a line of their own.
func TestMapped_leftovers_begin_on_a_line(t *testing.T) {
	for name, flags := range map[string]int{"readable": os.O_RDWR, "write-only": os.O_WRONLY} {
		t.Run(name, func(t *testing.T) {
			dir := memoryDir(t)
			out := filepath.Join(dir, "out")
			if err := os.WriteFile(out, []byte("a line\nhalf a li"), 0o600); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				frozen := logsinktest.NewFrozen(nil)
				s := mustNew(t, Options{Dest: &failsAfter{frozen}, Mapped: dir + "/mapped"})
				io.WriteString(s, "left\n")
				s.Shutdown(withTimeout(t, time.Second))
				frozen.Release()
				synctest.Wait()
				f, err := os.OpenFile(out, flags|os.O_APPEND, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				s = mustNew(t, Options{Dest: f, Mapped: dir + "/mapped"})
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if st := mustAdd(t, s); st.Markers != 0 || st.Delivered != 1 {
					t.Errorf("%+v", st)
				}
			})
			if b, _ := os.ReadFile(out); string(b) != "a line\nhalf a li\nleft\n" {
				t.Errorf("%q", b)
			}
		})
	}
}

// failsAfter blocks until it is released and fails then.
type failsAfter struct{ frozen *logsinktest.Frozen }

func (f *failsAfter) Write(p []byte) (int, error) {
	f.frozen.Write(p)
	return 0, io.ErrUnexpectedEOF
}

// A pipe that breaks within a record: the fallback gets the whole record.
func TestSink_fallback_begins_with_a_record(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var first, fallback logsinktest.Recorder
		s := mustNew(t, Options{Fallback: &fallback, Dest: writerFunc(func(p []byte) (int, error) {
			n := min(len(p), 7)
			first.Write(p[:n])
			return n, syscall.EPIPE
		})})
		io.WriteString(s, "one\n")
		io.WriteString(s, "two, three\n")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		st := mustAdd(t, s)
		if fallback.String() != "two, three\n" && fallback.String() != "one\ntwo, three\n" || st.Delivered != 2 {
			t.Errorf("%q, then %q: %+v", first.String(), fallback.String(), st)
		}
	})
}
