package logsink

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"
)

// A chunk is a piece of memory that holds records, oldest first:
//
//	header | record | record | … | free space | … | slot | slot |
//
// Records grow upwards from the header and lie side by side, so that a chunk
// goes to the destination as one slice. Slots grow downwards from the end, one
// a record, and say where the record ends. A slot is 4 bytes, or 12 where time
// stamps or checksums are kept (a BatchDest, a mapped file, a spill directory).
//
// The same bytes are the format on disk, little-endian: a frame of the mapped
// file is a chunk in place, and a frame of a spill segment is a chunk without
// its free space. See frame.go.
const (
	headerSize = 64
	plainSlot  = 4
	fullSlot   = 12

	flagHigh = 1 << 31 // the record came through the high lane
	flagGap  = 1 << 30 // not a record: what was dropped here, see gap.go
	flagBad  = 1 << 29 // read from disk with a wrong checksum: never delivered
	endMask  = flagBad - 1
)

type chunk struct {
	mem     []byte
	frame   int // first frame of the arena; -1 for a chunk that was read from disk
	frames  int // how many frames
	next    *chunk
	seq     uint64 // ascending through the queue, and from one process to the next
	base    int64  // when the chunk was opened, Unix milliseconds
	opened  time.Time
	slot    int  // bytes a slot
	mixed   bool // some slots are not to be written as they stand
	durable bool // the header in mem follows every change

	used  int // end of the records
	floor int // begin of the slots
	n     int // slots

	// What the destination has taken so far.
	rec  int    // first slot that is not finished
	sent int    // end of what the destination has taken, may be within a record
	left [2]int // unfinished records by lane
}

// reset makes c the empty chunk number seq.
func (c *chunk) reset(seq uint64, now time.Time, slot int, durable bool) {
	c.next = nil
	c.seq, c.base, c.opened = seq, now.UnixMilli(), now
	c.slot, c.durable = slot, durable
	c.used, c.sent, c.floor = headerSize, headerSize, len(c.mem)
	c.n, c.rec = 0, 0
	c.left = [2]int{}
	c.mixed = false
	binary.LittleEndian.PutUint64(c.mem[offSeq:], seq) // for the checksums
	if durable {
		c.putHeader(c.mem, uint32(len(c.mem)), c.sent)
	}
}

// fits reports whether a record of size bytes has room.
func (c *chunk) fits(size int) bool { return c.used+size+c.slot <= c.floor }

// append adds a record; the caller has asked fits. Stamp is the record's age
// against base in milliseconds.
func (c *chunk) append(p []byte, flags, stamp uint32) {
	start := c.used
	c.used += copy(c.mem[c.used:c.floor], p)
	c.floor -= c.slot
	end := uint32(c.used) | flags
	slot := c.mem[c.floor : c.floor+c.slot]
	binary.LittleEndian.PutUint32(slot, end)
	if c.slot == fullSlot {
		binary.LittleEndian.PutUint32(slot[4:], stamp)
		if c.durable {
			binary.LittleEndian.PutUint32(slot[8:], c.checksum(c.mem[start:c.used], slot))
		}
	}
	c.n++
	if flags&flagGap == 0 {
		c.left[flags>>31]++
	} else {
		c.mixed = true
	}
	if c.durable {
		binary.LittleEndian.PutUint32(c.mem[offN:], uint32(c.n))
	}
}

// word is the first word of slot i: its flags and its end.
func (c *chunk) word(i int) uint32 {
	return binary.LittleEndian.Uint32(c.mem[len(c.mem)-(i+1)*c.slot:])
}

func (c *chunk) end(i int) int { return int(c.word(i) & endMask) }

func (c *chunk) start(i int) int {
	if i == 0 {
		return headerSize
	}
	return c.end(i - 1)
}

func (c *chunk) record(i int) []byte { return c.mem[c.start(i):c.end(i)] }

// millis is the time of record i, Unix milliseconds.
func (c *chunk) millis(i int) int64 {
	if c.slot != fullSlot {
		return c.base
	}
	return c.base + int64(binary.LittleEndian.Uint32(c.mem[len(c.mem)-(i+1)*c.slot+4:]))
}

// piece returns what to write next, from sent on: whole records up to max
// bytes (0: no limit, and at least one record), or up to the next slot that is
// not to be written as it stands.
func (c *chunk) piece(max int) []byte {
	if !c.mixed && max == 0 {
		return c.mem[c.sent:c.used]
	}
	end := c.sent
	for i := c.rec; i < c.n; i++ {
		w := c.word(i)
		e := int(w & endMask)
		if w&(flagGap|flagBad) != 0 || max > 0 && e-c.sent > max && end > c.sent {
			break
		}
		end = e
	}
	return c.mem[c.sent:end]
}

// scan reports what is finished once the destination has taken everything up
// to offset to: the first slot that is not, and the whole records by lane. Slots
// that hold no record stop it.
func (c *chunk) scan(to int) (rec int, whole [2]int) {
	for rec = c.rec; rec < c.n; rec++ {
		w := c.word(rec)
		if int(w&endMask) > to || w&(flagGap|flagBad) != 0 {
			break
		}
		whole[w>>31]++
	}
	return rec, whole
}

// advance moves sent to offset to and returns the records that are whole by
// that, by lane.
func (c *chunk) advance(to int) [2]int {
	rec, whole := c.scan(to)
	c.moveTo(to, rec, whole)
	return whole
}

// moveTo takes over what scan found.
func (c *chunk) moveTo(to, rec int, whole [2]int) {
	c.sent, c.rec = to, rec
	c.finish(whole)
}

// skip passes over slot rec, which holds nothing to write.
func (c *chunk) skip() {
	c.sent = c.end(c.rec)
	c.rec++
	c.finish([2]int{})
}

func (c *chunk) finish(whole [2]int) {
	c.left[0] -= whole[0]
	c.left[1] -= whole[1]
	if c.durable {
		binary.LittleEndian.PutUint32(c.mem[offDone:], uint32(c.sent))
	}
}

// rewind returns to the begin of a record that was written in part, for a
// destination that has lost what it had.
func (c *chunk) rewind() {
	if c.rec < c.n {
		c.sent = c.start(c.rec)
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum covers the record, its slot, and the chunk's number, so that what
// an earlier user of the same memory left behind does not pass.
func (c *chunk) checksum(rec, slot []byte) uint32 {
	sum := crc32.Update(0, castagnoli, c.mem[offSeq:offSeq+8])
	sum = crc32.Update(sum, castagnoli, slot[:8])
	return crc32.Update(sum, castagnoli, rec)
}

// An arena is the sink's memory: one slab, cut into frames of equal size. A
// chunk takes one frame, or a run of neighbours for a record that is longer.
type arena struct {
	slab   []byte
	size   int // bytes a frame
	chunks []chunk
	free   []int // frames that no chunk has, the next to use last
	taken  []bool
}

// newArena cuts slab into frames of size bytes. The slab comes from the heap
// or from a mapped file; either way a page of it costs memory only once used.
func newArena(slab []byte, size int) *arena {
	n := len(slab) / size
	a := &arena{slab: slab, size: size, chunks: make([]chunk, n), taken: make([]bool, n)}
	for i := n - 1; i >= 0; i-- {
		a.free = append(a.free, i)
	}
	return a
}

// framesFor is how many frames a chunk for a record of size bytes needs.
func (a *arena) framesFor(size, slot int) int {
	return (headerSize + size + slot + a.size - 1) / a.size
}

// alloc returns a chunk of k frames, or nil. The frame that was used last is
// given out first: a sink that keeps up stays within a few warm pages.
func (a *arena) alloc(k int) *chunk {
	if len(a.free) < k {
		return nil
	}
	if k == 1 {
		i := a.free[len(a.free)-1]
		return a.claim(i, 1)
	}
	run := 0
	for i := range a.taken {
		if run++; a.taken[i] {
			run = 0
		}
		if run == k {
			return a.claim(i-k+1, k)
		}
	}
	return nil
}

// claim takes the frames [i, i+k) out of the free ones.
func (a *arena) claim(i, k int) *chunk {
	for j := i; j < i+k; j++ {
		a.taken[j] = true
	}
	if k == 1 && len(a.free) > 0 && a.free[len(a.free)-1] == i {
		a.free = a.free[:len(a.free)-1]
	} else {
		kept := a.free[:0]
		for _, f := range a.free {
			if f < i || f >= i+k {
				kept = append(kept, f)
			}
		}
		a.free = kept
	}
	c := &a.chunks[i]
	c.frame, c.frames = i, k
	c.mem = a.slab[i*a.size : (i+k)*a.size : (i+k)*a.size]
	return c
}

// release gives the frames back. In a mapped file their magic goes, so that
// no recovery finds them.
func (a *arena) release(c *chunk) {
	for j := c.frame + c.frames - 1; j >= c.frame; j-- {
		if c.durable {
			clear(a.slab[j*a.size : j*a.size+4])
		}
		a.taken[j] = false
		a.free = append(a.free, j)
	}
}

var errFrame = errors.New("logsink: not a frame")
