package logsink

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// A frame is a chunk on disk. Its header, little-endian:
//
//	 0  magic "LSF1"; anything else: the frame is free
//	 4  size of the frame in bytes, header and slots included
//	 8  seq, the chunk's number
//	16  base, Unix milliseconds
//	24  checksum (CRC-32C) of bytes 0 to 24
//	28  n, the number of slots
//	32  done, the offset up to which the destination has taken it
//	36  fileDone and
//	40  fileSize: when the destination, a regular file, had fileSize bytes, done
//	    was fileDone; see resume.go
//
// n and done change in place. n is stored after the record and its slot, and
// every slot has a checksum of its own: a record counts only if all of it is
// there.
const (
	frameMagic = 0x3146534c // "LSF1"
	offSeq     = 8
	offN       = 28
	offDone    = 32
	offFile    = 36

	mappedHead = 4096 // bytes of a mapped file before its first frame
)

// putHeader writes the chunk's header to h, for a frame of size bytes of which
// the first done are delivered. The magic is last.
func (c *chunk) putHeader(h []byte, size uint32, done int) {
	le := binary.LittleEndian
	clear(h[:headerSize])
	var fixed [24]byte
	le.PutUint32(fixed[:], frameMagic)
	le.PutUint32(fixed[4:], size)
	le.PutUint64(fixed[8:], c.seq)
	le.PutUint64(fixed[16:], uint64(c.base))
	le.PutUint32(h[24:], crc32.Checksum(fixed[:], castagnoli))
	le.PutUint32(h[offN:], uint32(c.n))
	le.PutUint32(h[offDone:], uint32(done))
	copy(h[4:24], fixed[4:])
	le.PutUint32(h, frameMagic)
}

// frameHead is what a frame's header says before the frame itself is read.
type frameHead struct {
	size, n, done int
	seq           uint64
	base          int64
}

// parseHead reads a header. The errors say what was wrong with it.
func parseHead(h []byte) (frameHead, error) {
	le := binary.LittleEndian
	switch {
	case len(h) < headerSize:
		return frameHead{}, fmt.Errorf("%w: %d bytes, a header has %d", errFrame, len(h), headerSize)
	case le.Uint32(h) != frameMagic:
		return frameHead{}, fmt.Errorf("%w: no magic", errFrame)
	case crc32.Checksum(h[:24], castagnoli) != le.Uint32(h[24:]):
		return frameHead{}, fmt.Errorf("%w: header checksum differs", errFrame)
	}
	f := frameHead{
		size: int(le.Uint32(h[4:])),
		seq:  le.Uint64(h[8:]),
		base: int64(le.Uint64(h[16:])),
		n:    int(le.Uint32(h[offN:])),
		done: int(le.Uint32(h[offDone:])),
	}
	if f.size < headerSize || f.size > endMask || f.n > (f.size-headerSize)/fullSlot {
		return frameHead{}, fmt.Errorf("%w: size %d and %d records do not go together", errFrame, f.size, f.n)
	}
	return f, nil
}

// openFrame makes a chunk of a frame: what is left to deliver, with every
// record checked. It counts the undelivered records that are lost because
// they or their slots are damaged.
func openFrame(c *chunk, mem []byte) (lost int, err error) {
	h, err := parseHead(mem)
	if err != nil {
		return 0, err
	}
	if h.size > len(mem) {
		return 0, fmt.Errorf("%w: %d bytes, the header says %d", errFrame, len(mem), h.size)
	}
	c.mem = mem[:h.size]
	c.seq, c.base, c.slot = h.seq, h.base, fullSlot
	c.used, c.sent, c.floor = headerSize, headerSize, h.size-h.n*fullSlot
	c.n, c.rec, c.left, c.next = h.n, 0, [2]int{}, nil
	c.mixed = false
	delivered := true
	for i := range h.n {
		w, at := c.word(i), h.size-(i+1)*fullSlot
		end := int(w & endMask)
		if end < c.used || end > c.floor {
			c.n = i
			lost += h.n - i
			break
		}
		sum := binary.LittleEndian.Uint32(mem[at+8:])
		bad := w&flagBad != 0 || sum != c.checksum(mem[c.used:end], mem[at:at+fullSlot])
		c.used = end
		if delivered = delivered && end <= h.done; delivered {
			c.rec, c.sent = i+1, end
			continue
		}
		switch {
		case bad:
			lost++
			c.mixed = true
			binary.LittleEndian.PutUint32(mem[at:], w|flagBad)
		case w&flagGap == 0:
			c.left[w>>31]++
		default:
			c.mixed = true
		}
	}
	return lost, nil
}

// live is the number of records still to be delivered.
func (c *chunk) live() int { return c.left[Normal] + c.left[High] }

// seal gives every slot the checksum that it has on disk.
func (c *chunk) seal() {
	if c.durable || c.frame < 0 {
		return // kept with every record, or read from disk
	}
	start := headerSize
	for i := range c.n {
		at := len(c.mem) - (i+1)*fullSlot
		slot, end := c.mem[at:at+fullSlot], c.end(i)
		binary.LittleEndian.PutUint32(slot[8:], c.checksum(c.mem[start:end], slot))
		start = end
	}
}
