package logsink

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A seal is a line in the log, after the lines of a chunk that it lists by four
// bytes of their SHA-256. Seals of a run are numbered, count the lines so far
// and what the sink lost, by reason, and each has the digest of the one before:
// so a reader of what arrived can tell which line is missing, whether a seal is,
// and whether the sink lost it or what comes after the sink. See Options.Seal.
// The format is one line of JSON (RFC 8259), with the fields in the order of the struct;
// the digest is over these bytes with an empty sum. A field that is added changes Version.
type seal struct {
	Version int    `json:"logsink_seal"`
	Run     string `json:"run"`   // the life of the process that delivered
	N       int64  `json:"n"`     // 1 for the first of the run
	Total   int64  `json:"total"` // lines listed in the run, this seal's included
	Lost    Drops  `json:"lost"`  // by the sink, until now, and by earlier runs between the lines that this one delivered for them
	End     bool   `json:"end,omitempty"`
	Lines   string `json:"lines"` // 4 bytes each, base64
	Prev    string `json:"prev,omitempty"`
	Sum     string `json:"sum"` // over all of the above
}

const sealVersion = 1

// digest is the seal's sum: of its JSON without it.
// It is 16 bytes of SHA-256 in hexadecimal: against accidents and mixed-up files. It is no
// signature: who can write to the log can write a seal.
func (x seal) digest() string {
	x.Sum = ""
	b, err := json.Marshal(x)
	if err != nil {
		return "" // it has nothing that JSON cannot hold
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

func lineHash(line []byte) uint32 {
	sum := sha256.Sum256(line)
	return binary.BigEndian.Uint32(sum[:])
}

// hashLines appends the hash of every line in text that is not empty.
func hashLines(b, text []byte) []byte {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			b = binary.BigEndian.AppendUint32(b, lineHash(line))
		}
	}
	return b
}

// sealOf is the line that seals c, or the end of the run if c is nil.
// A chunk without a line to list gets none. The numbers go up only for a seal that is made.
func (d *drainer) sealOf(c *chunk) []byte {
	var hashes []byte
	if c != nil {
		d.inherit(c)
		var open bool
		if hashes, open = d.hashesOf(c); len(hashes) == 0 && !open {
			return nil
		}
	}
	d.seals++
	d.sealed += int64(len(hashes) / 4)
	d.s.contend()
	inherited := d.s.count.inherited
	d.s.mu.Unlock()
	x := seal{
		Version: sealVersion, Run: fmt.Sprintf("%016x", d.s.life), N: d.seals, Total: d.sealed, Lost: d.s.Stats().Dropped.plus(inherited),
		End: c == nil, Lines: base64.StdEncoding.EncodeToString(hashes), Prev: d.lastSeal,
	}
	x.Sum = x.digest()
	d.lastSeal = x.Sum
	b, err := json.Marshal(x)
	if err != nil {
		return nil // it has nothing that JSON cannot hold
	}
	return append(b, '\n')
}

// hashesOf are the hashes of the lines that the records of c are in the log. Records
// without a line break are one line with those that follow them, until a marker or
// the seal itself, which begin on a line of their own. For a BatchDest each record
// is by itself. Open says that the last one has no line break, and needs a seal behind
// it even if it is as good as empty: what follows is not part of it.
func (d *drainer) hashesOf(c *chunk) (hashes []byte, open bool) {
	var begun []byte // of a line that goes on
	for i := range c.n {
		w := c.word(i)
		switch rec := c.record(i); {
		case w&flagBad != 0:
		case w&flagGap != 0:
			if d.s.opt.Gap != nil {
				hashes, begun = hashLines(hashes, begun), begun[:0]
			}
		case len(begun) == 0 && (d.s.opt.Batch != nil || bytes.HasSuffix(rec, []byte("\n"))):
			hashes = hashLines(hashes, rec)
		default:
			begun = append(begun, rec...)
			if end := bytes.LastIndexByte(begun, '\n') + 1; end > 0 {
				hashes = hashLines(hashes, begun[:end])
				begun = append(begun[:0], begun[end:]...)
			}
		}
	}
	return hashLines(hashes, begun), len(begun) > 0
}

// inherit adds what an earlier run lost, as the markers in its chunk say.
func (d *drainer) inherit(c *chunk) {
	if !c.earlier {
		return
	}
	d.s.contend()
	defer d.s.mu.Unlock()
	for i := range c.n {
		if c.word(i)&flagGap != 0 {
			d.s.count.inherited = d.s.count.inherited.plus(readGap(c.record(i)).Reasons)
		}
	}
}

// addSeal queues the seal of c, to be written next.
func (d *drainer) addSeal(c *chunk) {
	line := d.sealOf(c)
	d.unasked = len(line) > 0 && (d.unasked || len(d.pending) == 0)
	d.own(line)
}

// LogReport is what [VerifyLog] found.
type LogReport struct {
	Lines    int64       // in the log, without seals and empty ones
	Sealed   int64       // of them, found in a seal
	Unsealed int64       // of them, in no seal: later than the last one, repeated, or not of this sink
	Runs     []RunReport // of the process, in the order of the log
}

// Missing is the number of lines that a seal lists and that did not arrive.
func (r LogReport) Missing() (n int64) {
	for _, run := range r.Runs {
		n += run.Missing
	}
	return n
}

// RunReport is about one run of a process.
type RunReport struct {
	Run     string // its name, as in the seals
	Seals   int64  // that arrived
	Lines   int64  // that its seals list, or count
	Missing int64  // of them, lines that did not arrive
	// Unchecked are lines of seals that did not arrive themselves: the lines may
	// have, and are among LogReport.Unsealed then.
	Unchecked int64
	// Lost is what the sink says that it lost itself, and that earlier runs lost
	// between the lines that this one delivered for them. Those may have said so
	// in seals of their own, too.
	Lost  Drops
	Ended bool // Shutdown had its time: nothing came after the last seal
	Where []Hole
}

// Hole is a place where something is missing.
type Hole struct {
	Seal  int64   // the number of the seal that tells
	Lines []int64 // the missing lines of the run, counted from 1; nil with Count
	Count int64   // lines of seals that are missing themselves
	Why   string  // in words
}

// maxUnsealed is how many lines VerifyLog remembers while they wait for their
// seal: far more than a sink holds.
const maxUnsealed = 4 << 20

// VerifyLog reads what arrived of one or several logs with seals
// ([Options].Seal), and tells to the line what is missing and where. Lines of
// several processes may be mixed, and lines may come again. The error is r's, or
// wraps bufio.ErrTooLong: a line of more than 256 MiB, which no sink writes. The
// report is of what came before it.
func VerifyLog(r io.Reader) (LogReport, error) { return verifyLog(r, mostRecord) }

// verifyLog reads a log of lines up to longest bytes each and says what is
// missing from it. It needs memory for the lines of the seals to come, not for
// the log.
func verifyLog(r io.Reader, longest int) (LogReport, error) {
	v := verifier{waiting: map[uint32]int{}, runs: map[string]*runState{}}
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 64<<10), longest+len("\r\n"))
	for in.Scan() {
		if line := bytes.TrimRight(in.Bytes(), "\r\n"); len(line) > 0 {
			v.line(line)
		}
	}
	err := in.Err()
	if errors.Is(err, bufio.ErrTooLong) {
		err = fmt.Errorf("logsink: after %d lines: a line of more than %d bytes is of no sink: %w", v.Lines, longest, err)
	}
	return v.report(), err
}

type runState struct {
	RunReport
	last  int64 // number of the last seal
	total int64
	sum   string
}

type verifier struct {
	LogReport
	waiting map[uint32]int // lines that are in no seal yet, by hash
	order   []uint32
	runs    map[string]*runState
	names   []string
}

var sealBegin = []byte(`{"logsink_seal":`)

// line takes one line: a seal, or a line that a seal to come should name. Lines
// that wait for more seals than a sink would leave out are forgotten, the
// oldest first, in large steps so that each costs O(1).
func (v *verifier) line(line []byte) {
	if i := bytes.Index(line, sealBegin); i >= 0 { // a collector may have put something in front
		var x seal
		if json.NewDecoder(bytes.NewReader(line[i:])).Decode(&x) == nil && x.Version == sealVersion {
			v.seal(x)
			return
		}
	}
	v.Lines++
	h := lineHash(line)
	v.waiting[h]++
	if v.order = append(v.order, h); len(v.order) > 2*maxUnsealed {
		for _, old := range v.order[:maxUnsealed] {
			v.forget(old)
		}
		v.order = slices.Clone(v.order[maxUnsealed:])
	}
}

// forget takes one line off those that wait, and reports whether it was there.
func (v *verifier) forget(h uint32) bool {
	n := v.waiting[h]
	if n > 1 {
		v.waiting[h] = n - 1
	} else {
		delete(v.waiting, h)
	}
	return n > 0
}

// seal compares what a seal names with the lines that have arrived before it,
// and with the seal of the same run before it, to which it is chained by
// number, by count and by digest. What does not fit is a Hole with its reason.
//
// It counts a line once: two seals that list the same text need it twice in the log.
func (v *verifier) seal(x seal) {
	run := v.runs[x.Run]
	if run == nil {
		run = &runState{RunReport: RunReport{Run: x.Run}}
		v.runs[x.Run] = run
		v.names = append(v.names, x.Run)
	}
	if x.Sum != x.digest() {
		run.Where = append(run.Where, Hole{Seal: x.N, Why: "the seal is damaged"})
		return
	}
	if x.N <= run.last {
		return // it came again
	}
	hashes, err := base64.StdEncoding.DecodeString(x.Lines)
	if err != nil || len(hashes)%4 != 0 {
		run.Where = append(run.Where, Hole{Seal: x.N, Why: "the seal is damaged"})
		return
	}
	n := int64(len(hashes) / 4)
	first := x.Total - n // lines of the run before this seal's
	if x.N > run.last+1 {
		run.Where = append(run.Where, Hole{
			Seal: x.N, Count: first - run.total,
			Why: fmt.Sprintf("seals %d to %d are missing, so that their lines cannot be checked", run.last+1, x.N-1),
		})
		run.Unchecked += first - run.total
	} else if x.Prev != run.sum {
		run.Where = append(run.Where, Hole{Seal: x.N, Why: "the seal before it is another one"})
	}
	var missing []int64
	for i := range n {
		if v.forget(binary.BigEndian.Uint32(hashes[4*i:])) {
			v.Sealed++
		} else {
			missing = append(missing, first+i+1)
		}
	}
	if len(missing) > 0 {
		why := "lost behind the sink"
		if lost := x.Lost.Rejected - run.Lost.Rejected; lost > 0 {
			why = fmt.Sprintf("%d of them rejected by the destination", lost)
		}
		run.Where = append(run.Where, Hole{Seal: x.N, Lines: missing, Why: why})
		run.Missing += int64(len(missing))
	}
	run.Seals++
	run.last, run.total, run.sum = x.N, x.Total, x.Sum
	run.Lines, run.Lost, run.Ended = x.Total, x.Lost, x.End
}

// report sums up, with runs in the order in which they were first seen.
func (v *verifier) report() LogReport {
	v.Unsealed = v.Lines - v.Sealed
	for _, name := range v.names {
		v.Runs = append(v.Runs, v.runs[name].RunReport)
	}
	return v.LogReport
}

// String is the report for people, a line for each finding.
func (r LogReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d lines, %d of them sealed, %d in no seal, %d missing\n", r.Lines, r.Sealed, r.Unsealed, r.Missing())
	for _, run := range r.Runs {
		end := "it ended in time"
		if !run.Ended {
			end = "its end did not arrive: it runs, was killed, or lost its last lines"
		}
		fmt.Fprintf(&b, "run %s: %d lines in %d seals, %d missing, %d unchecked, %d lost by the sink %+v; %s\n", run.Run, run.Lines, run.Seals, run.Missing, run.Unchecked, run.Lost.Total(), run.Lost, end)
		for _, h := range run.Where {
			what := ""
			switch {
			case len(h.Lines) > 0:
				what = ": lines " + ranges(h.Lines)
			case h.Count > 0:
				what = fmt.Sprintf(": %d lines", h.Count)
			}
			fmt.Fprintf(&b, "  before seal %d%s: %s\n", h.Seal, what, h.Why)
		}
	}
	return b.String()
}

// ranges writes ascending numbers shortly: 3, 7-9.
// O(n), and the list is ascending as seal makes it.
func ranges(list []int64) string {
	var parts []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		if j == i {
			parts = append(parts, fmt.Sprint(list[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", list[i], list[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, ", ")
}
