package logsink

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

	"github.com/failopen/failopen/logsink/internal/spool"
)

// Leftover is a chunk of records that a process could not deliver.
type Leftover struct {
	Life    uint64    // the random name of the process's run; 0 in a note of the spill directory
	Number  uint64    // of the chunk in that run, ascending; 0: no chunk, but what was lost and told to nobody
	Time    time.Time // when the first of its records was written
	Records []Record  // not delivered yet; valid until the next chunk
	Gaps    []GapInfo // what was dropped between them
	Bytes   int       // of Records
	Damaged int       // records that cannot be read any more
}

// Leftovers reads what a process left in path, a mapped file or a spill
// directory, oldest first in each run. It only looks: nothing is delivered,
// locked or changed, so that it works on a copy, on a read-only disk, and, as a
// snapshot, beside a running process. [RecoverFile] delivers. An error ends the
// sequence.
func Leftovers(path string) iter.Seq2[Leftover, error] {
	return func(yield func(Leftover, error) bool) {
		if err := leftovers(path, func(l Leftover) bool { return yield(l, nil) }); err != nil {
			yield(Leftover{}, fmt.Errorf("logsink: %s: %w", path, err))
		}
	}
}

// leftovers yields what path, a spill directory or a mapped file, still holds,
// and changes nothing in it: the file is read into memory of its own. The error
// joins all damage that was found on the way.
// The records come first, and what was lost and told to nobody at the end.
func leftovers(path string, yield func(Leftover) bool) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return spilled(path, yield)
	}
	m, err := lookAt(path)
	if err != nil {
		return err
	}
	a := newArena(m.frames(), m.size)
	a.key = m.key
	untold, life, since, unknown := a.untold(m.head())
	left, lost, damage := a.adopt()
	if unknown != nil {
		damage = append(damage, unknown)
	}
	if m.short != nil {
		damage = append(damage, m.short)
	}
	if lost != [2]int{} {
		damage = append(damage, fmt.Errorf("%d records are damaged", lost[0]+lost[1]))
	}
	for _, c := range left {
		if !yield(c.leftover(0)) {
			return nil
		}
	}
	if untold != (loss{}) && !yield(lossOnly(life, untold, since)) {
		return nil
	}
	return errors.Join(damage...)
}

// lossOnly is a Leftover without records, for what a process lost and told nobody of.
func lossOnly(life uint64, l loss, since int64) Leftover {
	at := time.UnixMilli(since)
	return Leftover{Life: life, Time: at, Gaps: []GapInfo{l.info(since, since)}}
}

// spilled yields the chunks of a spill directory in their order. A chunk is
// valid until yield returns, as the next is read into the same memory.
func spilled(dir string, yield func(Leftover) bool) error {
	q, err := spool.Open(spool.Options{Dir: dir, ReadOnly: true})
	if err != nil {
		return err
	}
	defer q.Close() //nolint:errcheck // it was only read
	var buf []byte
	for {
		e, err := q.Next(buf)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		buf = e.Frame
		c := &chunk{}
		lost := c.openFrame(e.Frame, entryHead(e), 0)
		if !yield(c.leftover(lost[0] + lost[1])) {
			return nil
		}
	}
	if note, since, _ := unpackGap(q.Note()); note.positive() != (loss{}) && !yield(lossOnly(0, note.positive(), since)) {
		return nil
	}
	var all error
	for _, m := range q.Torn() {
		all = errors.Join(all, fmt.Errorf("chunk %d of run %016x is torn: %d records", m.Num, m.Life, m.Left[0]+m.Left[1]))
	}
	if n := q.Damaged(); n > 0 {
		all = errors.Join(all, fmt.Errorf("%d bytes hold no chunk", n))
	}
	return all
}

// entryHead is what the spool says of a chunk.
func entryHead(e spool.Entry) frameHead {
	h := frameHead{id: e.ID, base: e.Base, n: e.Items, done: e.Done}
	if h.n > (len(e.Frame)-headerSize)/fullSlot {
		h.n = 0
	}
	return h
}

// leftover is the public form of a chunk: its records from the first that has
// not been delivered, and the markers among them. Records share the chunk's
// memory.
func (c *chunk) leftover(damaged int) Leftover {
	l := Leftover{Life: c.id.Life, Number: c.id.Num, Time: time.UnixMilli(c.base), Damaged: damaged}
	for i := c.rec; i < c.n; i++ {
		switch w := c.word(i); {
		case w&flagBad != 0:
		case w&flagGap != 0:
			l.Gaps = append(l.Gaps, readGap(c.record(i)))
		default:
			l.Records = append(l.Records, Record{Time: time.UnixMilli(c.millis(i)), Priority: Priority(w >> 31), Data: c.record(i)})
			l.Bytes += len(c.record(i))
		}
	}
	return l
}
