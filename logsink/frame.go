package logsink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"github.com/failopen/failopen/logsink/internal/spool"
)

// A chunk in mapped memory begins with a header, so that the next process finds
// it, little-endian:
//
//	 0  magic "LSM2"; anything else: the frame is free
//	 4  size of the chunk in bytes, header and slots included
//	 8  life and
//	16  num, its name
//	24  base, Unix milliseconds
//	32  checksum (CRC-32C) of the file's key and bytes 0 to 32
//	36  n, the number of slots
//	40  done, the offset up to which the destination has taken it
//	44  fileDone and
//	48  fileSize: when the destination, a regular file, had fileSize bytes, done
//	    was fileDone; see resume.go
//
// n and done change in place. n is stored after the record and its slot, and
// every slot has a checksum of its own: a record counts only if all of it is
// there. The file's key is random and goes into all checksums: a record whose
// text looks like a chunk is none.
const (
	frameMagic = 0x324d534c // "LSM2"
	offSum     = 32
	offN       = 36
	offDone    = 40
	offFile    = 44
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errFrame = errors.New("logsink: not a frame")

// seedOf is where the checksums of a chunk's records begin: with its name, so
// that what an earlier user of the same memory left behind does not pass.
func seedOf(key uint64, id spool.ID) uint32 {
	var b [24]byte
	le := binary.LittleEndian
	le.PutUint64(b[:], key)
	le.PutUint64(b[8:], id.Life)
	le.PutUint64(b[16:], id.Num)
	return crc32.Checksum(b[:], castagnoli)
}

// checksum covers the record, its slot, and the chunk's name.
func checksum(seed uint32, rec, slot []byte) uint32 {
	return crc32.Update(crc32.Update(seed, castagnoli, slot[:8]), castagnoli, rec)
}

// headSum is the checksum of a header's fixed part.
func headSum(key uint64, h []byte) uint32 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], key)
	return crc32.Update(crc32.Checksum(b[:], castagnoli), castagnoli, h[:offSum])
}

// putHeader writes the header of an empty chunk. The magic is last.
func (c *chunk) putHeader() {
	le := binary.LittleEndian
	h := c.mem[:headerSize]
	clear(h)
	var fixed [offSum]byte
	le.PutUint32(fixed[:], frameMagic)
	le.PutUint32(fixed[4:], uint32(len(c.mem)))
	le.PutUint64(fixed[8:], c.id.Life)
	le.PutUint64(fixed[16:], c.id.Num)
	le.PutUint64(fixed[24:], uint64(c.base))
	le.PutUint32(h[offSum:], headSum(c.arena.key, fixed[:]))
	le.PutUint32(h[offDone:], uint32(c.sent))
	copy(h[4:offSum], fixed[4:])
	le.PutUint32(h, frameMagic)
}

// frameHead is what a header says before the chunk itself is read.
type frameHead struct {
	size, n, done int
	id            spool.ID
	base          int64
}

// parseHead reads a header. The errors say what was wrong with it.
// What it returns is bounded: a size that fits in a slot, and no more slots than that has
// room for. Whether the size fits where the chunk lies is the caller's to check.
func parseHead(h []byte, key uint64) (frameHead, error) {
	le := binary.LittleEndian
	switch {
	case len(h) < headerSize:
		return frameHead{}, fmt.Errorf("%w: %d bytes, a header has %d", errFrame, len(h), headerSize)
	case le.Uint32(h) != frameMagic:
		return frameHead{}, fmt.Errorf("%w: no magic", errFrame)
	case headSum(key, h) != le.Uint32(h[offSum:]):
		return frameHead{}, fmt.Errorf("%w: header checksum differs", errFrame)
	}
	f := frameHead{
		size: int(le.Uint32(h[4:])),
		id:   spool.ID{Life: le.Uint64(h[8:]), Num: le.Uint64(h[16:])},
		base: int64(le.Uint64(h[24:])),
		n:    int(le.Uint32(h[offN:])),
		done: int(le.Uint32(h[offDone:])),
	}
	if f.size < headerSize || f.size > endMask || f.n > (f.size-headerSize)/fullSlot {
		return frameHead{}, fmt.Errorf("%w: size %d and %d records do not go together", errFrame, f.size, f.n)
	}
	return f, nil
}

// openFrame makes c of the bytes of a chunk with h.n slots: what is left to
// deliver, with every record checked. It returns how many undelivered records
// are lost, by lane, because they or their slots are damaged.
//
// A slot whose end cannot be true ends the chunk there: what follows has no place. A record
// with a wrong checksum is marked (flagBad) and passed over, and its neighbours are good.
func (c *chunk) openFrame(mem []byte, h frameHead, key uint64) (lost [2]int) {
	c.mem = mem
	c.id, c.base, c.slot = h.id, h.base, fullSlot
	c.seed = seedOf(key, h.id)
	c.used, c.sent, c.floor = headerSize, headerSize, len(mem)-h.n*fullSlot
	c.n, c.rec, c.left, c.next = h.n, 0, [2]int{}, nil
	c.mixed = false
	delivered := true
	for i := range h.n {
		w, at := c.word(i), len(mem)-(i+1)*fullSlot
		end := int(w & endMask)
		if end < c.used || end > c.floor {
			c.n = i
			lost[Normal] += h.n - i
			break
		}
		sum := binary.LittleEndian.Uint32(mem[at+8:])
		bad := w&flagBad != 0 || sum != checksum(c.seed, mem[c.used:end], mem[at:at+fullSlot])
		c.used = end
		if delivered = delivered && end <= h.done; delivered {
			c.rec, c.sent = i+1, end
			continue
		}
		switch {
		case bad:
			lost[w>>31]++
			c.mixed = true
			binary.LittleEndian.PutUint32(mem[at:], w|flagBad)
		case w&flagGap == 0:
			c.left[w>>31]++
		default:
			c.mixed = true
		}
	}
	return lost
}

// live is the number of records still to be delivered.
func (c *chunk) live() int { return c.left[Normal] + c.left[High] }

// meta is what the spool is told about c, which is to be pushed now.
func (c *chunk) meta() spool.Meta {
	return spool.Meta{ID: c.id, Base: c.base, Stored: time.Now().UnixMilli(), Items: c.n, Left: c.left, Done: c.sent, Marked: c.mixed}
}

// appendFrame makes b a frame for the spool: room for its header, the records,
// and the slots without the free space before them, each with the checksum that
// it has there. It only reads c, which may be in flight meanwhile.
// Its key is 0: a segment has its life in every header, and needs none.
func (c *chunk) appendFrame(b []byte) []byte {
	b = slices.Grow(b[:0], c.used+c.n*fullSlot)[:headerSize]
	b = append(b, c.mem[headerSize:c.used]...)
	b = append(b, c.mem[len(c.mem)-c.n*fullSlot:]...)
	seed := seedOf(0, c.id)
	start := headerSize
	for i := range c.n {
		at := len(b) - (i+1)*fullSlot
		slot, end := b[at:at+fullSlot], c.end(i)
		binary.LittleEndian.PutUint32(slot[8:], checksum(seed, b[start:end], slot))
		start = end
	}
	return b
}
