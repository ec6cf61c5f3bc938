//go:build linux

package logsink

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/logsink/internal/spool"
	"github.com/failopen/failopen/logsink/logsinktest"
)

// stuckMapped is a sink with mapped memory whose drainer is in a call that does not
// return, so that the queue and the ledger are the test's.
func stuckMapped(t *testing.T, o Options) *Sink {
	t.Helper()
	asked, frozen := make(chan struct{}, 1), make(chan struct{})
	o.Mapped, o.Gap = filepath.Join(memoryDir(t), "mapped"), gapLine
	o.MaxBytes, o.MaxRecord = 256<<10, 10_000
	o.Dest = writerFunc(func(p []byte) (int, error) { asked <- struct{}{}; <-frozen; return len(p), nil })
	s := newMapped(t, o)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Shutdown(ctx) //nolint:errcheck // it is frozen
		close(frozen)
		<-s.mover.done
	})
	io.WriteString(s, "in the call\n")
	<-asked
	return s
}

// kept is what a process that is killed here leaves: records, and what it says is lost.
func kept(t *testing.T, path string) (records []string, lost loss) {
	t.Helper()
	for l, err := range Leftovers(path) {
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range l.Records {
			records = append(records, string(r.Data))
		}
		for _, g := range l.Gaps {
			d := g.Reasons
			lost = lost.plus(loss{full: d.Full, oversize: d.Oversize, evicted: d.Evicted, rejected: d.Rejected, abandoned: d.Abandoned, bytes: g.Bytes})
		}
	}
	return records, lost
}

// A chunk with a marker in it is evicted: at each store on the way the marker tells of
// its loss or the ledger does, and never both.
func TestLedger_evicts_a_marker_once(t *testing.T) {
	s := stuckMapped(t, Options{})
	io.WriteString(s, strings.Repeat("x", 20_000))
	io.WriteString(s, "12345\n")
	oversize := loss{oversize: 1, bytes: 20_000}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.queue.pop()
	was := binary.LittleEndian.Uint32(c.mem[offDone:])
	s.countEvictedLocked(c)
	done := binary.LittleEndian.Uint32(c.mem[offDone:])
	page := binary.LittleEndian.Uint32(s.ledger.account[offPage:])
	for _, at := range []struct {
		name    string
		page    uint32
		done    uint32
		records int
		lost    loss
	}{
		{"with the page before the last", 1 - page, was, 2, oversize},
		{"with the last page", page, was, 2, oversize},
		{"with the chunk's word", page, done, 1, loss{oversize: 1, evicted: 1, bytes: 20_006}},
	} {
		binary.LittleEndian.PutUint32(s.ledger.account[offPage:], at.page)
		binary.LittleEndian.PutUint32(c.mem[offDone:], at.done)
		if records, lost := kept(t, s.opt.Mapped); len(records) != at.records || lost != at.lost {
			t.Errorf("killed %s: %d records and %+v, want %d and %+v", at.name, len(records), lost, at.records, at.lost)
		}
	}
}

// A record that the destination rejects is counted before its chunk says that it is
// done with: if the process is killed in between, the record is not lost untold.
func TestLedger_rejection_is_counted_before_it_is_done(t *testing.T) {
	s := stuckMapped(t, Options{})
	io.WriteString(s, "12345\n")
	s.mu.Lock()
	c := s.queue.pop()
	s.inflight = append(s.inflight, c)
	s.mu.Unlock()
	d := &drainer{s: s, recs: []Record{{Data: c.record(0)}}, refs: []ref{{c, 0}}}
	if err := syscall.Mprotect(c.mem[:4096], syscall.PROT_READ); err != nil {
		t.Fatal(err)
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	func() {
		defer func() {
			if recover() == nil {
				t.Error("nothing was stored in the chunk")
			}
		}()
		d.tookBatch(BatchResult{Done: 1, Rejected: []int{0}}, true, false)
	}()
	if err := syscall.Mprotect(c.mem[:4096], syscall.PROT_READ|syscall.PROT_WRITE); err != nil {
		t.Fatal(err)
	}
	if _, lost := kept(t, s.opt.Mapped); lost != (loss{rejected: 1, bytes: 6}) {
		t.Errorf("killed at the store: %+v", lost)
	}
}

// A process that takes over what another one lost may be killed before it has an
// account of its own, and by then it may have freed the chunk without which the
// account that it found is not understood.
func TestLedger_heir_is_killed_at_once(t *testing.T) {
	s := stuckMapped(t, Options{})
	s.mu.Lock()
	s.tail = nil
	s.count.oversize[Normal]++ // as putSlow counts it
	s.count.oversizeBytes += 20_000
	s.openGapLocked()
	g, _, _ := s.takeGapLocked()
	s.keepLocked(s.roomLocked(gapSize, Normal)) // a chunk that the marker does not come to
	killed := snapshot(t, s.opt.Mapped)
	s.mu.Unlock()
	if _, lost := kept(t, killed); lost != g {
		t.Fatalf("the first leaves %+v, want %+v", lost, g)
	}
	o := s.opt
	o.Dest, o.Mapped = io.Discard, filepath.Join(memoryDir(t), "mapped")
	b, err := os.ReadFile(killed)
	if err == nil {
		err = os.WriteFile(o.Mapped, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	heir := newSink(o)
	calls := 0
	heir.beforeDisk = func() {
		if calls++; calls == 2 { // it has adopted the chunks and is about to cut the file
			if _, lost := kept(t, o.Mapped); lost != g {
				t.Errorf("the second leaves %+v, want %+v", lost, g)
			}
		}
	}
	heir.start()
	<-heir.mover.tried
	if heir.Close(); calls < 2 {
		t.Errorf("%d calls of the disk", calls)
	}
}

// Bytes that a writer has counted without the record yet are no gap: no marker says
// that nothing was dropped, nor does the process that comes after a kill.
func TestLedger_bytes_before_their_record(t *testing.T) {
	s := stuckMapped(t, Options{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lockless.Load()[Normal].fullBytes.Add(100)
	if s.refusedUntoldLocked() {
		t.Error("a gap of no record")
	}
	if _, lost := kept(t, s.opt.Mapped); lost != (loss{}) {
		t.Errorf("killed in between: %+v", lost)
	}
	s.lockless.Load()[Normal].full.Add(1)
	if !s.refusedUntoldLocked() {
		t.Error("a record is no gap")
	}
	if _, lost := kept(t, s.opt.Mapped); lost != (loss{full: 1, bytes: 100}) {
		t.Errorf("killed after it: %+v", lost)
	}
}

// The marker of a gap that was there before the note was read does not clear the note,
// although it is in the chunk of the one that does.
func TestNote_is_cleared_by_its_own_marker(t *testing.T) {
	s := stuckMapped(t, Options{})
	s.mu.Lock()
	defer s.mu.Unlock()
	mark := func() *chunk {
		s.count.oversize[Normal]++
		s.openGapLocked()
		c := s.roomLocked(gapSize, Normal)
		if !s.markLocked(c) {
			t.Fatal("no marker")
		}
		return c
	}
	c := mark()
	s.disk.noted = true // as readNote has it
	if mark() != c {
		t.Fatal("the second marker is in another chunk")
	}
	for slot, noted := range []bool{true, false} {
		if s.skipLocked(c); s.disk.noted != noted {
			t.Errorf("after the marker in slot %d the note is kept: %v", slot, s.disk.noted)
		}
	}
}

// A chunk of plain memory, from before the mapped file could be had, takes no marker: with
// the process it would be gone, as if the marker had arrived.
func TestLedger_no_marker_in_plain_memory(t *testing.T) {
	path := filepath.Join(memoryDir(t), "mapped")
	asked, frozen := make(chan struct{}, 1), make(chan struct{})
	var disk stuckDisk
	disk.hang()
	var rec logsinktest.Recorder
	s := newOn(t, &disk, Options{
		Dest:      writerFunc(func(p []byte) (int, error) { asked <- struct{}{}; <-frozen; return rec.Write(p) }),
		MaxRecord: 100, Mapped: path, Gap: gapLine,
	})
	io.WriteString(s, "1\n")
	<-asked
	io.WriteString(s, "2\n")
	disk.answer()
	<-s.mover.tried
	io.WriteString(s, strings.Repeat("x", 101))
	io.WriteString(s, "3\n") // has room behind 2
	s.mu.Lock()
	plain := s.tail != nil && !s.tail.durable()
	killed := snapshot(t, path)
	s.mu.Unlock()
	if !plain {
		t.Error("the last record is not in plain memory")
	}
	if records, lost := kept(t, killed); len(records) != 0 || lost != (loss{oversize: 1, bytes: 101}) {
		t.Errorf("killed: %q and %+v", records, lost)
	}
	go func() {
		for range asked { // the later calls
		}
	}()
	close(frozen)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	close(asked)
	if n, bytes := gapsIn(rec.String(), "gap %d %d "); n != 1 || bytes != 101 {
		t.Errorf("%q", rec.Lines())
	}
	if _, lost := kept(t, path); lost != (loss{}) {
		t.Errorf("afterwards: %+v", lost)
	}
}

// What the note of a spill directory says is the ledger's once there is one: after a kill
// the next process finds it once, not in both.
func TestNote_is_taken_over_by_the_ledger(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spill")
	q, err := spool.Open(spool.Options{Dir: dir, Max: 1 << 20, Life: 1, Start: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	want := loss{full: 3, evicted: 4, bytes: 99}
	if err := errors.Join(q.SetNote(packGap(want, 1, 1)), q.Close()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(memoryDir(t), "mapped")
	synctest.Test(t, func(t *testing.T) {
		s := mustNew(t, Options{Dest: refusing{}, Mapped: path, SpillDir: dir, Gap: gapLine})
		synctest.Wait() // the marker is in the queue, and the destination takes nothing
		_, noted := kept(t, dir)
		if _, lost := kept(t, path); lost != want || noted != (loss{}) {
			t.Errorf("the ledger says %+v, the note %+v, want %+v and nothing", lost, noted, want)
		}
		s.Close() //nolint:errcheck // it keeps the marker
		<-s.mover.done
	})
}

// Shutdown waits for the note, and no longer: what the disk may take is for a slow one.
func TestShutdown_returns_when_the_note_is_written(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spill")
	synctest.Test(t, func(t *testing.T) {
		frozen := logsinktest.NewFrozen(nil)
		s := mustNew(t, Options{Dest: &failsAfter{frozen}, SpillDir: dir})
		<-s.mover.tried
		io.WriteString(s, "a line\n")
		time.Sleep(time.Second) // it is in the call
		began := time.Now()
		if err := s.Shutdown(withTimeout(t, time.Second)); err == nil {
			t.Error("it says that all is delivered")
		}
		if took := time.Since(began); took != time.Second+grace {
			t.Errorf("it took %v, want %v", took, time.Second+grace)
		}
		select {
		case <-s.mover.told:
		default:
			t.Error("the note is not written")
		}
		frozen.Release()
		<-s.done
		<-s.mover.done
	})
}

// An account that was never used says nothing, and one that is damaged says so.
func TestLedger_untold_of_an_empty_account(t *testing.T) {
	head := make([]byte, mappedHead)
	a := newArena(make([]byte, 2*frameSize), frameSize)
	if l, life, _, err := a.untold(head); l != (loss{}) || life != 0 || err != nil {
		t.Errorf("%+v of %x, %v", l, life, err)
	}
	beginAccount(head, a.key, ledgerPage{life: 7, lost: loss{full: 3, bytes: 30}, told: loss{full: 1, bytes: 10}, since: 99})
	if l, life, since, err := a.untold(head); l != (loss{full: 2, bytes: 20}) || life != 7 || since != 99 || err != nil {
		t.Errorf("%+v of %x since %d, %v", l, life, since, err)
	}
	used, _, _ := accounts(head, a.key)
	used.page(1)[3] ^= 1
	if l, _, _, err := a.untold(head); l != (loss{}) || !errors.Is(err, errLedger) {
		t.Errorf("damaged: %+v, %v", l, err)
	}
}
