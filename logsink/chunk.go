package logsink

import (
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/failopen/failopen/logsink/internal/spool"
)

// A chunk is a piece of memory that holds records, oldest first:
//
//	header | record | record | … | free space | … | slot | slot |
//
// Records grow upwards from the header and lie side by side, so that a chunk
// goes to the destination as one slice. Slots grow downwards from the end, one
// a record, and say where the record ends. A slot is 4 bytes, or 12 where time
// stamps or checksums are kept (a BatchDest, mapped memory, a spill directory).
//
// The same bytes are the format outside of this process, little-endian: mapped
// memory holds chunks in place, and a frame of the spill is a chunk without its
// free space. See frame.go.
const (
	headerSize = spool.HeaderSize
	plainSlot  = 4
	fullSlot   = 12

	flagHigh = 1 << 31 // the record came through the high lane
	flagGap  = 1 << 30 // not a record: what was dropped here, see gap.go
	flagBad  = 1 << 29 // its checksum was wrong: never delivered
	endMask  = flagBad - 1
)

type chunk struct {
	mem    []byte
	arena  *arena // nil for a chunk that was read from disk
	frame  int    // first frame of the arena
	frames int    // how many
	next   *chunk
	id     spool.ID // its name, forever
	order  uint64   // its number in this process's order: id.Num, or 0 if it is an earlier one's
	base   int64    // when the chunk was opened, Unix milliseconds
	opened time.Time
	slot   int    // bytes a slot
	seed   uint32 // of the checksums
	mixed  bool   // some slots are not to be written as they stand

	used  int // end of the records
	floor int // begin of the slots
	n     int // slots

	// What the destination has taken so far.
	rec  int    // first slot that is not finished
	sent int    // end of what the destination has taken, may be within a record
	left [2]int // unfinished records by lane

	// Under Sink.mu.
	queued  bool      // it is in Sink.head's list
	pinned  bool      // the mover reads it: its memory must not be used again
	doomed  bool      // it was released while it was pinned
	onDisk  bool      // the spool has it, at ref
	ref     spool.Ref // for the mover alone
	noted   int       // as far as the spool knows that it is delivered
	stored  int64     // when it came to disk, Unix milliseconds
	earlier bool      // it was found, and is an earlier process's

	abandoned bool // Shutdown gave it up
	carries   int  // slots up to the marker that tells of what the note in the spill directory tells, see note.go; 0: none does

	sealed bool // of the drainer: its seal is made, see Options.Seal
}

// durable reports whether the header in mem follows every change.
func (c *chunk) durable() bool { return c.arena != nil && c.arena.mapped }

// reset makes c the empty chunk id.
// What is kept is where it lies. In mapped memory the header is written, with the magic
// last: until then a process that is killed leaves a free frame.
func (c *chunk) reset(id spool.ID, now time.Time, slot int) {
	*c = chunk{
		mem: c.mem, arena: c.arena, frame: c.frame, frames: c.frames,
		id: id, order: id.Num, base: now.UnixMilli(), opened: now, slot: slot,
		used: headerSize, sent: headerSize, floor: len(c.mem),
	}
	if c.durable() {
		c.seed = seedOf(c.arena.key, id)
		c.putHeader()
	}
}

// fits reports whether a record of size bytes has room, and after it the marker of
// a gap: see lastGapLocked.
func (c *chunk) fits(size int) bool { return c.used+size+c.slot+gapSize+c.slot <= c.floor }

// append adds a record; the caller has asked fits. Stamp is the record's age
// against base in milliseconds.
//
// The order of the stores is the promise of mapped memory: bytes, slot, checksum, then n.
// A reader after a kill believes n and finds all that it counts. O(len(p)), and no
// allocation: it is the copy that every Write makes.
func (c *chunk) append(p []byte, flags, stamp uint32) {
	start := c.used
	c.used += copy(c.mem[c.used:c.floor], p)
	c.floor -= c.slot
	end := uint32(c.used) | flags
	slot := c.mem[c.floor : c.floor+c.slot]
	binary.LittleEndian.PutUint32(slot, end)
	if c.slot == fullSlot {
		binary.LittleEndian.PutUint32(slot[4:], stamp)
		if c.arena.mapped {
			binary.LittleEndian.PutUint32(slot[8:], checksum(c.seed, c.mem[start:c.used], slot))
		}
	}
	c.n++
	if flags&flagGap == 0 {
		c.left[flags>>31]++
	} else {
		c.mixed = true
	}
	if c.arena.mapped {
		binary.LittleEndian.PutUint32(c.mem[offN:], uint32(c.n))
	}
}

// word is the first word of slot i: its flags and its end.
func (c *chunk) word(i int) uint32 {
	return binary.LittleEndian.Uint32(c.mem[len(c.mem)-(i+1)*c.slot:])
}

func (c *chunk) end(i int) int { return int(c.word(i) & endMask) }

// start is where record i begins in the chunk's memory: where the one before it
// ends.
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
//
// It is empty at the end of the chunk, and in front of a slot that is a marker or bad: the
// caller looks at that one by itself, and skips it. It changes nothing.
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
// It changes nothing either, so that the drainer calls it without the lock. O(slots).
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

// finish notes that records have left, as many of each lane as whole says. In
// mapped memory the mark says so to the next life of the process, too, which
// does not send them again.
func (c *chunk) finish(whole [2]int) {
	c.left[0] -= whole[0]
	c.left[1] -= whole[1]
	if c.durable() {
		binary.LittleEndian.PutUint32(c.mem[offDone:], uint32(c.sent))
	}
}

// untold is what the markers tell that are still to be delivered, and the bytes of
// the records that are.
func (c *chunk) untold() (markers loss, bytes int64) {
	bytes = int64(c.used - c.sent)
	if !c.mixed {
		return loss{}, bytes
	}
	for i := c.rec; i < c.n; i++ {
		if c.word(i)&flagGap != 0 {
			g, _, _ := unpackGap(c.record(i))
			markers = markers.plus(g)
			bytes -= int64(len(c.record(i)))
		}
	}
	return markers, bytes
}

// unsaved is what is lost if c is given up as it is.
func (c *chunk) unsaved() loss {
	markers, bytes := c.untold()
	return markers.plus(loss{abandoned: int64(c.live()), bytes: bytes})
}

// rewind returns to the begin of a record that was written in part, for a
// destination that has lost what it had.
// In the log the part that arrived stands before the whole record then.
func (c *chunk) rewind() {
	if c.rec < c.n {
		c.sent = c.start(c.rec)
	}
}

// An arena is the sink's memory: one slab, cut into frames of equal size. A
// chunk takes one frame, or a run of neighbours for a record that is longer.
type arena struct {
	slab   []byte
	size   int    // bytes a frame
	mapped bool   // the slab outlives the process
	key    uint64 // of the mapped file
	chunks []chunk
	taken  []bool
	nfree  int    // frames that no chunk has
	free   []int  // of them, the next to use last; some in it are taken meanwhile
	listed []bool // in free
	next   int    // where to look for a run of neighbours

	warming sync.Mutex
	warmed  int // bytes from the begin that the system has given, under warming
}

// warm takes the first n bytes from the system, without a change to them: others
// may use them meanwhile. It is called without the lock, and waits for nobody.
func (a *arena) warm(n int) {
	if !a.warming.TryLock() {
		return
	}
	defer a.warming.Unlock()
	if n = min(n, len(a.slab)); n > a.warmed {
		populate(a.slab[a.warmed:n])
		a.warmed = n
	}
}

// newArena cuts slab into frames of size bytes. The slab comes from the heap
// or from a mapped file; either way a page of it costs memory only once used.
func newArena(slab []byte, size int) *arena {
	n := len(slab) / size
	a := &arena{slab: slab, size: size, chunks: make([]chunk, n), taken: make([]bool, n), listed: make([]bool, n), nfree: n}
	for i := n - 1; i >= 0; i-- {
		a.list(i)
	}
	return a
}

// list puts frame i among the free ones, once.
func (a *arena) list(i int) {
	if !a.listed[i] {
		a.listed[i] = true
		a.free = append(a.free, i)
	}
}

// framesFor is how many frames a chunk for a record of size bytes needs.
func (a *arena) framesFor(size, slot int) int {
	return (headerSize + size + slot + a.size - 1) / a.size
}

// alloc returns a chunk of k frames, or nil. The frame that was used last is
// given out first: a sink that keeps up stays within a few warm pages. A run of
// neighbours is looked for from where the last one ended.
// O(1) for one frame, O(frames) for more: those are records longer than a frame. A frame
// that is taken as part of a run stays in the list, and is passed over when it comes up.
func (a *arena) alloc(k int) *chunk {
	if a.nfree < k {
		return nil
	}
	if k == 1 {
		for {
			i := a.free[len(a.free)-1]
			a.free = a.free[:len(a.free)-1]
			a.listed[i] = false
			if !a.taken[i] {
				return a.claim(i, 1)
			}
		}
	}
	n, run := len(a.taken), 0
	for step := range n + k {
		i := (a.next + step) % n
		if i == 0 {
			run = 0 // the end and the begin are no neighbours
		}
		if run++; a.taken[i] {
			run = 0
		}
		if run == k {
			a.next = (i + 1) % n
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
	a.nfree -= k
	c := &a.chunks[i]
	c.arena, c.frame, c.frames = a, i, k
	c.mem = a.slab[i*a.size : (i+k)*a.size : (i+k)*a.size]
	return c
}

// release gives the frames back. In mapped memory their magic goes, so that no
// recovery finds them.
func (a *arena) release(c *chunk) {
	for j := c.frame + c.frames - 1; j >= c.frame; j-- {
		if a.mapped {
			clear(a.slab[j*a.size : j*a.size+4])
		}
		a.taken[j] = false
		a.list(j)
	}
	a.nfree += c.frames
}

// trim gives up the free frames at the end that are more than n, and returns how
// many frames there are now.
// It is for a mapped file that is larger than it should be. Frames that are in use stay,
// and with them all in front of them.
func (a *arena) trim(n int) int {
	k := len(a.taken)
	for k > n && !a.taken[k-1] {
		k--
	}
	a.nfree -= len(a.taken) - k
	a.slab, a.chunks, a.taken, a.listed = a.slab[:k*a.size], a.chunks[:k], a.taken[:k], a.listed[:k]
	a.free = slices.DeleteFunc(a.free, func(i int) bool { return i >= k })
	return k
}
