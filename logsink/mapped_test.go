//go:build linux

package logsink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/logsink/internal/spool"
	"github.com/failopen/failopen/logsink/logsinktest"
)

func TestMapped_keeps_what_shutdown_could_not_deliver(t *testing.T) {
	path := filepath.Join(memoryDir(t), "mapped")
	synctest.Test(t, func(t *testing.T) {
		frozen := logsinktest.NewFrozen(nil)
		dest := &failsAfter{frozen: frozen}
		s := mustNew(t, Options{Dest: dest, Mapped: path})
		numbered(s, 0, 10_000)
		s.Lane(High).Write([]byte("10000 xxx\n"))
		s.Write([]byte("10001 " + strings.Repeat("x", 200_000) + "\n"))
		var left *ShutdownError
		if err := s.Shutdown(withTimeout(t, time.Second)); !errors.As(err, &left) || left.OnDisk != 10_002 || left.Abandoned+left.InCall != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		mustAdd(t, s)

		var got sequence
		other := mustNew(t, Options{Dest: &got, Mapped: path})
		if st := other.Stats(); !strings.Contains(st.DiskError, "another process uses it") {
			t.Errorf("two sinks on one file: %+v", st)
		}
		other.Close()

		frozen.Release()
		synctest.Wait()
		s = mustNew(t, Options{Dest: &got, Mapped: path, MaxBytes: 8 << 20})
		numbered(s, 10_002, 10_010)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if st := mustAdd(t, s); st.Recovered != 10_002 || st.Dropped.Total() != 0 || st.DiskError != "" || st.High.Delivered != 1 {
			t.Errorf("%+v", st)
		}
		got.mustBe(t, 10_010)

		s = mustNew(t, Options{Dest: io.Discard, Mapped: path})
		if st := s.Stats(); st.Recovered != 0 {
			t.Errorf("delivered records are there again: %+v", st)
		}
		s.Close()
	})
}

func TestRecoverFile(t *testing.T) {
	for _, kind := range []string{"mapped", "spill"} {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(memoryDir(t), "it")
			synctest.Test(t, func(t *testing.T) {
				frozen := logsinktest.NewFrozen(nil)
				o := Options{Dest: &failsAfter{frozen}, Mapped: path}
				if kind == "spill" {
					o = Options{Dest: &failsAfter{frozen}, SpillDir: path}
				}
				s := mustNew(t, o)
				numbered(s, 0, 10_000)
				s.Shutdown(withTimeout(t, time.Second))
				frozen.Release()
				synctest.Wait()
				var got sequence
				n, err := RecoverFile(t.Context(), path, &got)
				if n != 10_000 || err != nil {
					t.Errorf("RecoverFile: %d, %v", n, err)
				}
				got.mustBe(t, 10_000)
				if n, err := RecoverFile(t.Context(), path, &got); n != 0 || err != nil {
					t.Errorf("RecoverFile again: %d, %v", n, err)
				}
			})
		})
	}
	if _, err := RecoverFile(t.Context(), "/nowhere/at/all", io.Discard); err == nil || !strings.Contains(err.Error(), "/nowhere/at/all") {
		t.Error(err)
	}
	other := filepath.Join(t.TempDir(), "other")
	const precious = "somebody's precious data\n"
	if err := os.WriteFile(other, []byte(precious), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := RecoverFile(t.Context(), other, io.Discard); err == nil || !strings.Contains(err.Error(), "not a mapped file") {
		t.Error(err)
	}
	if b, _ := os.ReadFile(other); string(b) != precious {
		t.Errorf("the file of somebody else is changed: %.60q", b)
	}
}

// What a machine's crash leaves may be anything.
func TestMapped_damaged_file(t *testing.T) {
	for name, damage := range map[string]struct {
		at, n int
		lost  int64
	}{
		"one record":      {mappedHead + frameSize + 300, 1, 1},
		"a page":          {mappedHead + frameSize + 8192, 4096, 100},
		"a header":        {mappedHead + frameSize + 8, 8, -1},
		"the slots":       {mappedHead + 2*frameSize - 1200, 1200, 1400}, // those of the first records, without which no other is found
		"the file's head": {0, 100, -2},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(memoryDir(t), "mapped")
			synctest.Test(t, func(t *testing.T) {
				frozen := logsinktest.NewFrozen(nil)
				s := mustNew(t, Options{Dest: &failsAfter{frozen}, Mapped: path})
				numbered(s, 0, 1)
				synctest.Wait() // the first frame is in flight; the damage is in the second
				numbered(s, 1, 5000)
				s.Shutdown(withTimeout(t, time.Second))
				frozen.Release()
				synctest.Wait()
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				for i := damage.at; i < damage.at+damage.n; i++ {
					b[i] ^= 0x55
				}
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
				var got sequence
				s = mustNew(t, Options{Dest: &got, Mapped: path})
				s.Close()
				st := mustAdd(t, s)
				if len(got.torn) > 0 || got.repeated > 0 || int(st.Delivered) != got.lines {
					t.Errorf("torn %.3q, %+v", got.torn, st)
				}
				switch {
				case damage.lost < 0 && st.LastDiskError == "":
					t.Errorf("damage is not told: %+v", st)
				case damage.lost >= 0 && (st.Dropped.Corrupt == 0 || st.Dropped.Corrupt > damage.lost+30 || int64(got.lines) != 5000-st.Dropped.Corrupt):
					t.Errorf("%d lines, %+v", got.lines, st)
				}
				t.Logf("%d of 5000 lines arrived, %d corrupt, %s", got.lines, st.Dropped.Corrupt, st.LastDiskError)
			})
		})
	}
}

func TestMapped_write_does_not_allocate(t *testing.T) {
	mustNotAllocate(t, "mapped", Options{Dest: io.Discard, Mapped: memoryDir(t) + "/log"})
}

// aChunk is a chunk in memory that outlives the process.
func aChunk(size int) *chunk {
	a := newArena(make([]byte, size), size)
	a.mapped, a.key = true, 4711
	c := a.alloc(1)
	c.reset(spool.ID{Life: 1, Num: 7}, time.UnixMilli(1_700_000_000_000), fullSlot)
	return c
}

func FuzzOpenFrame(f *testing.F) {
	c := aChunk(4096)
	for i := range 20 {
		c.append(fmt.Appendf(nil, "record %d\n", i), uint32(i%2)<<31, uint32(i))
	}
	f.Add(bytes.Clone(c.mem), 20, headerSize)
	f.Add(c.appendFrame(nil), 20, headerSize+30)
	f.Add(c.mem[:headerSize], 0, 0)
	f.Fuzz(func(t *testing.T, mem []byte, n, done int) {
		h, err := parseHead(mem, 4711)
		if err != nil || h.size != len(mem) {
			if len(mem) < headerSize || n < 0 || n > (len(mem)-headerSize)/fullSlot {
				return
			}
			h = frameHead{size: len(mem), n: n, done: done, id: spool.ID{Life: 1, Num: 7}}
		}
		var c chunk
		lost := c.openFrame(bytes.Clone(mem), h, 4711)
		// Whatever was read can be passed over, piece by piece, to its end.
		for c.rec < c.n {
			c.advance(c.sent)
			p := c.piece(100)
			c.advance(c.sent + len(p))
			if len(p) == 0 && c.rec < c.n {
				c.skip()
			}
		}
		if c.live() != 0 || lost[0] < 0 || lost[0]+lost[1] > h.n {
			t.Errorf("%d left, %d lost of %d", c.live(), lost, c.n)
		}
	})
}
