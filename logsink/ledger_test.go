//go:build linux

package logsink

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/failopen/failopen/logsink/internal/spool"
	"github.com/failopen/failopen/logsink/logsinktest"
)

// gapLine is a marker that no gap of another process is equal to.
func gapLine(g GapInfo) []byte {
	return fmt.Appendf(nil, "gap %d %d %d %d\n", g.Dropped, g.Bytes, g.Since.UnixMilli(), g.Until.UnixMilli())
}

// childOverflows logs more than its destination takes, with lines that are too long
// among the others, until it is killed. It counts each Write before and after.
func childOverflows() error {
	ack, err := os.OpenFile(os.Getenv("LOGSINK_TEST_ACK"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	count, err := syscall.Mmap(int(ack.Fd()), 0, 8, syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return err
	}
	o := Options{
		Dest: os.Stdout, Mapped: os.Getenv("LOGSINK_TEST_MAPPED"), MaxBytes: 256 << 10, MaxRecord: 1000, Gap: gapLine,
		DropOldest: os.Getenv("LOGSINK_TEST_OLDEST") != "",
	}
	if o.SpillDir = os.Getenv("LOGSINK_TEST_SPILL"); o.SpillDir != "" {
		o.SpillBytes = 1 << 20
	}
	s, err := New(o)
	if err != nil {
		return err
	}
	<-s.mover.tried // on a machine that is busy enough New does not wait for that
	if st := s.Stats(); st.DiskError != "" {
		return errors.New(st.DiskError)
	}
	prefix := os.Getenv("LOGSINK_TEST_PREFIX")
	pad := strings.Repeat("x", 199)
	var b []byte
	for i := 0; ; i++ {
		// Lengths differ, so that two gaps of as many records in one millisecond do not
		// have the same marker, of which the second would be taken for the first again.
		b = fmt.Appendf(b[:0], "%s%d %s\n", prefix, i, pad[:i%len(pad)])
		if i%500 == 499 { // nor is the marker of one that is too long another one's
			b = append(bytes.Repeat([]byte("y"), 1000+i%99_999), b...)
		}
		s.Write(b)
		binary.LittleEndian.PutUint64(count, uint64(i+1))
	}
}

// Generations of processes that are killed while they drop records: what arrives, and
// what the markers say that is missing, is what was written, to the record.
func TestLedger_of_killed_processes(t *testing.T) {
	chains := 4
	if n, err := strconv.Atoi(os.Getenv("FAILOPEN_KILLS")); err == nil {
		chains = n / 6
	}
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range chains {
		overflowChain(t, r)
	}
}

func overflowChain(t *testing.T, r *rand.Rand) {
	const generations = 3
	dir := t.TempDir()
	env := []string{"LOGSINK_TEST_MAPPED=" + filepath.Join(memoryDir(t), "mapped")}
	oldest := r.IntN(3) == 0
	if oldest {
		env = append(env, "LOGSINK_TEST_OLDEST=1")
	}
	if r.IntN(2) == 0 {
		env = append(env, "LOGSINK_TEST_SPILL="+filepath.Join(dir, "spill"))
	}
	how := fmt.Sprint(env[1:])
	arrived := make([]bytes.Buffer, generations+1) // the last is what the heir delivers
	written := 0
	for g := range generations {
		n, reads := killedChild(t, r, "overflows", g, dir, env, 100, &arrived[g])
		how += fmt.Sprintf(" read %d;", reads)
		written += n
	}
	heir := childCommand(t, "inherits", env...)
	heir.Stdout = &arrived[generations]
	var told bytes.Buffer
	heir.Stderr = &told
	if err := heir.Run(); err != nil {
		t.Fatalf("%v: %s", err, told.String())
	}
	lines, markers, lost := map[string]bool{}, map[string]int{}, 0
	for g := range arrived {
		for line := range bytes.Lines(arrived[g].Bytes()) {
			var n, size, since, until int
			if _, err := fmt.Sscanf(string(line), "gap %d %d %d %d\n", &n, &size, &since, &until); err != nil {
				lines[string(line)] = true
				continue
			}
			if by, again := markers[string(line)]; again && by != g {
				continue // it comes again, as a line may, from the next process
			}
			markers[string(line)] = g
			lost += n
			if n < 1 || since > until || until > int(time.Now().UnixMilli()) {
				t.Errorf("%s: %s", how, line)
			}
		}
	}
	// Of each process the last Write may not have come back.
	got := len(lines) + lost
	if got < written || got > written+generations && !oldest {
		t.Errorf("%s: %d lines came, %d markers tell of %d, %d were written: %d are missing", how, len(lines), len(markers), lost, written, written-got)
	}
	t.Logf("%s: %d lines, %d markers of %d, %d written", how, len(lines), len(markers), lost, written)
}

// childInherits delivers what others left.
func childInherits() error {
	o := Options{Dest: os.Stdout, Mapped: os.Getenv("LOGSINK_TEST_MAPPED"), MaxBytes: 256 << 10, Gap: gapLine, SpillDir: os.Getenv("LOGSINK_TEST_SPILL")}
	s, err := New(o)
	if err != nil {
		return err
	}
	<-s.mover.tried // Shutdown does not wait for a slow disk
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return s.Shutdown(ctx)
}

// gapsIn adds up the markers in a log.
func gapsIn(log, format string) (lost, bytes int) {
	for line := range strings.Lines(log) {
		var n, size int
		if k, _ := fmt.Sscanf(line, format, &n, &size); k == 2 {
			lost, bytes = lost+n, bytes+size
		}
	}
	return lost, bytes
}

// lossIn is what the leftovers in path say that is lost.
func lossIn(t *testing.T, path string) (d Drops, bytes int64) {
	t.Helper()
	for l, err := range Leftovers(path) {
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range l.Gaps {
			d, bytes = d.plus(g.Reasons), bytes+g.Bytes
		}
	}
	return d, bytes
}

// newMapped is mustNew, with the mapped file in use: on a machine that is busy enough
// New does not wait for that.
func newMapped(t *testing.T, o Options) *Sink {
	t.Helper()
	s := mustNew(t, o)
	<-s.mover.tried
	return s
}

// snapshot is a copy of what a process that is killed here leaves.
func snapshot(t *testing.T, mapped string) string {
	t.Helper()
	b, err := os.ReadFile(mapped)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "mapped")
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

// A process may be killed between the page of the ledger that tells of a marker or an
// eviction and the thing itself. Neither is counted twice then, or not at all.
func TestLedger_between_two_stores(t *testing.T) {
	path := filepath.Join(memoryDir(t), "mapped")
	asked, frozen := make(chan struct{}, 1), make(chan struct{})
	defer close(frozen)
	dest := writerFunc(func(p []byte) (int, error) { asked <- struct{}{}; <-frozen; return len(p), nil })
	s := newMapped(t, Options{Dest: dest, MaxBytes: 256 << 10, MaxRecord: 10_000, Mapped: path, Gap: gapLine})
	defer func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Shutdown(ctx) //nolint:errcheck // it is frozen
	}()
	io.WriteString(s, "1\n")
	<-asked // the drainer does not come back
	io.WriteString(s, "2\n")
	io.WriteString(s, strings.Repeat("x", 20_000))

	s.mu.Lock()
	g, since, until := s.takeGapLocked()
	s.keepLocked(s.tail)
	before := snapshot(t, path)
	s.tail.appendGap(g, since, until)
	after := snapshot(t, path)
	s.mu.Unlock()
	for name, path := range map[string]string{"before": before, "after": after} {
		if d, bytes := lossIn(t, path); d != (Drops{Oversize: 1}) || bytes != 20_000 {
			t.Errorf("%s the marker: %+v of %d bytes", name, d, bytes)
		}
	}

	for i := 0; s.Stats().QueuedBytes < 256<<10; i++ {
		fmt.Fprintf(s, "%0100d\n", i)
	}
	s.mu.Lock()
	c := s.queue.pop()
	records := int64(c.live())
	was := binary.LittleEndian.Uint32(c.mem[offDone:])
	s.countEvictedLocked(c)
	done := binary.LittleEndian.Uint32(c.mem[offDone:])
	binary.LittleEndian.PutUint32(c.mem[offDone:], was)
	before = snapshot(t, path)
	binary.LittleEndian.PutUint32(c.mem[offDone:], done)
	after = snapshot(t, path)
	s.releaseLocked(c)
	released := snapshot(t, path)
	s.mu.Unlock()
	for name, path := range map[string]string{"before": before, "after": after, "long after": released} {
		left, err := 0, error(nil)
		for l, e := range Leftovers(path) {
			left, err = left+len(l.Records), errors.Join(err, e)
		}
		if d, _ := lossIn(t, path); err != nil || d.Evicted != records && name != "before" || d.Evicted != 0 && name == "before" {
			t.Errorf("%s the eviction of %d records: %+v, %d records are left, %v", name, records, d, left, err)
		}
	}
}

// What one process counted, and a second that was killed too, the third one tells, in
// its log and its seals; the fourth has nothing to tell. An image is the same.
func TestLedger_of_several_lives(t *testing.T) {
	path := filepath.Join(memoryDir(t), "mapped")
	o := Options{Dest: refusing{}, MaxBytes: 256 << 10, MaxRecord: 100, Mapped: path, Gap: gapLine}
	left := ""
	for range 2 {
		s := newMapped(t, o)
		s.Lane(High).Write(make([]byte, 1001)) //nolint:errcheck // never
		s.mu.Lock()                            // the drainer is about to make the marker
		killed := snapshot(t, path)
		s.mu.Unlock()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Shutdown(ctx) //nolint:errcheck // the destination takes nothing
		<-s.mover.done
		b, err := os.ReadFile(killed)
		if err == nil {
			err = os.WriteFile(path, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		left = killed
	}
	if d, bytes := lossIn(t, left); d != (Drops{Oversize: 2}) || bytes != 2002 {
		t.Fatalf("%+v of %d bytes", d, bytes)
	}
	for _, want := range []int{1, 0} {
		var rec logsinktest.Recorder
		o.Dest, o.Seal = &rec, true
		s := newMapped(t, o)
		io.WriteString(s, "a line\n")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		lines := rec.Lines()
		if n, bytes := gapsIn(rec.String(), "gap %d %d "); n != 2*want || bytes != 2002*want {
			t.Errorf("markers of %d, want %d: %q", n, 2*want, lines)
		}
		if want == 1 && !strings.HasPrefix(lines[0], "gap ") {
			t.Errorf("the marker is behind what this process wrote: %q", lines)
		}
		if r := verified(t, lines); r.Runs[0].Lost != (Drops{Oversize: int64(2 * want)}) {
			t.Errorf("%v", r)
		}
	}
	var out bytes.Buffer
	for _, want := range []int{1, 0} {
		out.Reset()
		n, err := RecoverFile(t.Context(), left, &out)
		if lost, bytes := gapsIn(out.String(), "--- %d log records (%d bytes) dropped"); err != nil || n != 0 || lost != 2*want || bytes != 2002*want {
			t.Errorf("recovered %d records, %v: %s", n, err, out.String())
		}
	}
}

// A ledger whose page in use is damaged is told as damage, and begun anew.
func TestLedger_damaged(t *testing.T) {
	path := filepath.Join(memoryDir(t), "mapped")
	o := Options{Dest: io.Discard, MaxRecord: 100, Mapped: path, Gap: gapLine}
	newMapped(t, o).Close()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		for _, page := range []int{0, 1} {
			b[offFirst+i*accountLen+offPages+page*pageLen+9] ^= 1
		}
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for l, err := range Leftovers(path) {
		if err == nil || !strings.Contains(err.Error(), "its counters are damaged") {
			t.Errorf("%+v, %v", l, err)
		}
	}
	s := newMapped(t, o)
	io.WriteString(s, "a line\n")
	s.Close()
	if st := s.Stats(); st.Delivered != 1 || st.DiskError != "" || !strings.Contains(st.LastDiskError, "its counters are damaged") {
		t.Errorf("%+v", st)
	}
	s = newMapped(t, o)
	s.Close()
	if st := s.Stats(); st.LastDiskError != "" {
		t.Errorf("again: %+v", st)
	}
}

// A process without mapped memory shuts down while its destination takes nothing and
// the spill directory is full: it leaves a note of all that is lost.
func TestNote_of_a_full_spill_directory(t *testing.T) {
	for _, kind := range []string{"its limit", "the disk"} {
		for _, dest := range []string{"refuses", "is frozen"} {
			t.Run(kind+", the destination "+dest, func(t *testing.T) { leaveNote(t, kind == "the disk", dest == "is frozen") })
		}
	}
}

func leaveNote(t *testing.T, small, frozen bool) {
	dir := t.TempDir()
	o := Options{Dest: refusing{}, MaxBytes: 256 << 10, MaxRecord: 1000, SpillDir: filepath.Join(dir, "spill"), SpillBytes: 1 << 20, Gap: gapLine, CloseTimeout: 300 * time.Millisecond}
	if small {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=700k,mode=700"); err != nil {
			t.Skipf("needs the right to mount a small file system: %v", err)
		}
		defer syscall.Unmount(dir, syscall.MNT_DETACH)
		o.SpillBytes = 0
	}
	if frozen {
		thaw := make(chan struct{})
		defer close(thaw)
		o.Dest = writerFunc(func(p []byte) (int, error) { <-thaw; return 0, errors.New("refused") })
	}
	s := mustNew(t, o)
	full := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return !s.disk.works && s.disk.frames > 0 && s.live >= s.opt.MaxBytes
	}
	for s.Stats().Dropped.Full < 1000 || !full() {
		io.WriteString(s, strings.Repeat("x", 99)+"\n")
	}
	err := s.Close()
	if kept := (*ShutdownError)(nil); !errors.As(err, &kept) || kept.Abandoned == 0 || kept.OnDisk == 0 {
		t.Fatalf("%v: %+v", err, s.Stats())
	}
	st := mustAdd(t, s)
	if frozen {
		<-s.mover.told // on a busy machine Close does not wait for that
	} else {
		<-s.mover.done
	}
	want := st.Dropped
	if d, bytes := lossIn(t, o.SpillDir); d != want || bytes != 100*want.Total() {
		t.Errorf("the leftovers tell of %+v and %d bytes, lost are %+v", d, bytes, want)
	}
	// The next process on a copy: the first one's lock lasts as long as its process.
	next := filepath.Join(t.TempDir(), "spill")
	if err := os.CopyFS(next, os.DirFS(o.SpillDir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(next, 0o700); err != nil {
		t.Fatal(err)
	}
	for life, lost := range []Drops{want, {}} {
		var rec logsinktest.Recorder
		heir := mustNew(t, Options{Dest: &rec, SpillDir: next, Gap: GapJSON, Seal: true})
		io.WriteString(heir, "the next\n")
		if err := heir.Close(); err != nil {
			t.Fatal(err)
		}
		<-heir.mover.done
		var told Drops // by however many markers
		for _, line := range rec.Lines() {
			var g struct{ Full, Evicted, Oversize, Rejected, Abandoned int64 }
			if strings.Contains(line, `"msg":"log records dropped"`) {
				if err := json.Unmarshal([]byte(line), &g); err != nil {
					t.Fatal(err)
				}
			}
			told = told.plus(Drops{Full: g.Full, Evicted: g.Evicted, Oversize: g.Oversize, Rejected: g.Rejected, Abandoned: g.Abandoned})
		}
		if r := verified(t, rec.Lines()); told != lost || r.Runs[0].Lost != lost || r.Missing() != 0 {
			t.Errorf("life %d: markers tell of %+v, %+v are lost: %v", life, told, lost, r)
		}
		if d, _ := lossIn(t, next); d != (Drops{}) {
			t.Errorf("life %d leaves a note of %+v", life, d)
		}
	}
}

// A note is kept until its marker has arrived, in however many lives.
func TestNote_lasts_until_it_is_told(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spill")
	q, err := spool.Open(spool.Options{Dir: dir, Max: 1 << 20, Life: 1, Start: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	since := time.Now().Add(-time.Hour).UnixMilli()
	if err := errors.Join(q.SetNote(packGap(loss{full: 3, evicted: 4, bytes: 99}, since, since)), q.Close()); err != nil {
		t.Fatal(err)
	}
	want := Drops{Full: 3, Evicted: 4}
	o := Options{SpillDir: dir, Gap: gapLine}
	for range 2 { // the destination takes nothing
		o.Dest = refusing{}
		s := mustNew(t, o)
		if d, _ := lossIn(t, dir); d != want {
			t.Fatalf("while it runs: %+v", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		s.Shutdown(ctx) //nolint:errcheck // it holds no record
		cancel()
		<-s.mover.done
		if d, _ := lossIn(t, dir); d != want {
			t.Fatalf("afterwards: %+v", d)
		}
	}
	var rec logsinktest.Recorder
	arrived := make(chan struct{})
	o.Dest = writerFunc(func(p []byte) (int, error) { defer close(arrived); return rec.Write(p) })
	s := mustNew(t, o)
	<-arrived // without any record
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	<-s.mover.done
	if line := fmt.Sprintf("gap 7 99 %d ", since); !strings.HasPrefix(rec.String(), line) || len(rec.Lines()) != 1 {
		t.Errorf("%q", rec.Lines())
	}
	if d, _ := lossIn(t, dir); d != (Drops{}) {
		t.Errorf("it is still there: %+v", d)
	}
}

// A marker in a chunk that is evicted is not lost with it.
func TestGap_marker_is_evicted(t *testing.T) {
	thaw := make(chan struct{})
	var rec logsinktest.Recorder
	dest := writerFunc(func(p []byte) (int, error) { <-thaw; return rec.Write(p) })
	s := mustNew(t, Options{Dest: dest, MaxBytes: 256 << 10, MaxRecord: 1000, DropOldest: true, Gap: GapLogfmt})
	for i := range 20_000 {
		if i%100 == 99 {
			s.Write(make([]byte, 1001))
		}
		fmt.Fprintf(s, "%0100d\n", i)
	}
	close(thaw)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var told Drops
	for _, line := range rec.Lines() {
		var full, evicted, oversize int64
		if i := strings.Index(line, " full="); i > 0 {
			if _, err := fmt.Sscanf(line[i:], " full=%d evicted=%d oversize=%d", &full, &evicted, &oversize); err != nil {
				t.Fatal(err)
			}
			told = told.plus(Drops{Full: full, Evicted: evicted, Oversize: oversize})
		}
	}
	if st := mustAdd(t, s); told != st.Dropped || told.Oversize != 200 || told.Evicted == 0 {
		t.Errorf("markers tell of %+v, %+v are lost", told, st.Dropped)
	}
}

// What a BatchDest rejects while the process is about to be killed is told, too, and
// so is an eviction on the way there; a marker that arrived is not told again.
func TestLedger_of_a_batch(t *testing.T) {
	path := filepath.Join(memoryDir(t), "mapped")
	calls, next := make(chan []Record), make(chan BatchResult)
	o := Options{Mapped: path, Linger: -1, Gap: gapLine, Batch: batchFunc(func(ctx context.Context, recs []Record) (BatchResult, error) {
		select {
		case calls <- recs:
			return <-next, nil
		case <-ctx.Done():
			return BatchResult{}, ctx.Err()
		}
	})}
	s := newMapped(t, o)
	io.WriteString(s, "12345\n")
	first := <-calls
	io.WriteString(s, "a\n")
	next <- BatchResult{Done: len(first), Rejected: []int{0, 0, 7, -1}} // and some that there are not
	second := <-calls                                                   // a marker, and a
	if d, bytes := lossIn(t, snapshot(t, path)); d != (Drops{Rejected: 1}) || bytes != 6 {
		t.Errorf("before the marker arrives: %+v of %d bytes", d, bytes)
	}
	if len(second) != 2 || !strings.HasPrefix(string(second[0].Data), "gap 1 6 ") || string(second[1].Data) != "a\n" {
		t.Errorf("%s", second)
	}
	next <- BatchResult{Done: 1} // the marker
	<-calls
	if d, _ := lossIn(t, snapshot(t, path)); d != (Drops{}) {
		t.Errorf("after it has arrived: %+v", d)
	}
	next <- BatchResult{Done: 1}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if st := mustAdd(t, s); st.Dropped != (Drops{Rejected: 1}) || st.Delivered != 1 || st.WriteErrors != 1 || !strings.Contains(st.LastError, "rejected records [0 0 7 -1], of 1 that are done") {
		t.Errorf("%+v", st)
	}
}

// Evictions whose marker has arrived are not told again by the next process, also if
// this one is killed while the lines behind the marker are on their way.
func TestLedger_evictions_told_once(t *testing.T) {
	path := filepath.Join(memoryDir(t), "mapped")
	calls, next := make(chan string), make(chan int)
	dest := writerFunc(func(p []byte) (int, error) {
		calls <- string(p)
		if n := <-next; n < len(p) {
			return n, errors.New("taken in part")
		}
		return len(p), nil
	})
	s := newMapped(t, Options{Dest: dest, MaxBytes: 256 << 10, Mapped: path, DropOldest: true, Gap: gapLine, RetryMin: time.Nanosecond})
	for i := range 10_000 {
		fmt.Fprintf(s, "%0100d\n", i)
	}
	told := int64(0)
	for p := range calls {
		var n int64
		if k, _ := fmt.Sscanf(p, "gap %d ", &n); k == 1 {
			next <- 5 // a part of it
			if rest := <-calls; rest != p[5:] {
				t.Errorf("%q, and then %q", p, rest)
			}
			next <- 1 << 20
			told = n
			continue
		}
		if told > 0 {
			break // behind the marker
		}
		next <- 1 << 20
	}
	for i := range 5_000 {
		fmt.Fprintf(s, "%0100d\n", i)
	}
	s.mu.Lock()
	killed := snapshot(t, path)
	s.mu.Unlock()
	evicted := s.Stats().Dropped.Evicted
	if d, _ := lossIn(t, killed); told == 0 || d.Evicted != evicted-told {
		t.Errorf("%d are evicted, %d of them told, and the next process tells of %d", evicted, told, d.Evicted)
	}
	go func() {
		for range calls {
			next <- 1 << 20
		}
	}()
	next <- 1 << 20
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	close(calls)
}
