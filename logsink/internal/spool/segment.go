package spool

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"
)

// A segment is a file of frames, all of one life. A frame is a header and a
// chunk. The header, little-endian:
//
//	 0  magic "LSF2"
//	 4  life, the same as in the file's name
//	12  num
//	20  base, Unix milliseconds
//	28  size of the frame in bytes, this header included
//	32  items
//	36  left, records by lane, 4 bytes each
//	44  checksum (CRC-32C) of bytes 0 to 44
//	48  done, the only field that changes: the offset up to which the chunk is
//	    delivered, or allDone
//	52  stored, Unix milliseconds; 0 in a frame from before this was noted
//	60  1 if the chunk holds more than records, see Meta.Marked
//
// Life is random and known to nobody who only writes to the log, so that no log
// line can pass for a frame.
const (
	// HeaderSize is the length of a frame's header.
	HeaderSize = 64

	// LockName is the file that a process has locked while the directory is its own.
	LockName = "lock"

	magic      = "LSF2"
	offSum     = 44
	offDone    = 48
	offStored  = 52
	offMarked  = 60
	allDone    = math.MaxUint32
	scanWindow = 64 << 10

	segmentSuffix = ".seg"
	probeName     = "probe"
	damagedName   = "damaged.bad"
)

// segment is what the queue knows of a file. It is read from the front, read to size, while
// frames are appended at size; open counts the chunks in between that are on their way.
type segment struct {
	name    string
	life    uint64
	f       *os.File
	size    int64    // end of the frames
	read    int64    // up to here they were read
	open    int      // read and not finished
	frames  int      // not read
	left    [2]int64 // records in them
	torn    []Meta   // at the end, when the file was found
	damaged int64    // bytes in which no frame was found
	newest  int64    // when the last chunk came here
	sealed  bool     // nothing is appended any more
}

// header is a frame's as it was read.
type header struct {
	Meta
	size     int
	finished bool
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// putHeader writes the header of a frame.
// The checksum covers what never changes: done is written over, and stored and marked came
// later, in room that was zero.
func putHeader(frame []byte, m Meta) {
	le := binary.LittleEndian
	clear(frame[:HeaderSize])
	copy(frame, magic)
	le.PutUint64(frame[4:], m.Life)
	le.PutUint64(frame[12:], m.Num)
	le.PutUint64(frame[20:], uint64(m.Base))
	le.PutUint32(frame[28:], uint32(len(frame)))
	le.PutUint32(frame[32:], uint32(m.Items))
	le.PutUint32(frame[36:], uint32(m.Left[0]))
	le.PutUint32(frame[40:], uint32(m.Left[1]))
	le.PutUint32(frame[offSum:], crc32.Checksum(frame[:offSum], castagnoli))
	le.PutUint32(frame[offDone:], uint32(m.Done))
	le.PutUint64(frame[offStored:], uint64(m.Stored))
	if m.Marked {
		frame[offMarked] = 1
	}
}

// parseHeader reads a header that begins with pattern: the magic and the life.
// What is out of bounds in the parts without a checksum is brought within them: done is not
// before the header's end nor behind the frame's.
func parseHeader(b, pattern []byte) (h header, ok bool) {
	le := binary.LittleEndian
	if len(b) < HeaderSize || string(b[:len(pattern)]) != string(pattern) || crc32.Checksum(b[:offSum], castagnoli) != le.Uint32(b[offSum:]) {
		return header{}, false
	}
	h.ID = ID{le.Uint64(b[4:]), le.Uint64(b[12:])}
	h.Base = int64(le.Uint64(b[20:]))
	h.size = int(le.Uint32(b[28:]))
	h.Items = int(le.Uint32(b[32:]))
	h.Left = [2]int{int(le.Uint32(b[36:])), int(le.Uint32(b[40:]))}
	h.Stored = max(int64(le.Uint64(b[offStored:])), h.Base)
	h.Marked = b[offMarked] != 0
	done := le.Uint32(b[offDone:])
	h.finished = done == allDone
	h.Done = min(max(int(done), HeaderSize), h.size)
	return h, h.size >= HeaderSize
}

// scanner looks for frames through one buffer.
type scanner struct{ buf []byte }

// window reads n bytes at at.
// It is the buffer itself, and valid until the next call. io.EOF: there is not one byte.
func (s *scanner) window(f io.ReaderAt, at, n int64) ([]byte, error) {
	if int64(len(s.buf)) < n {
		s.buf = make([]byte, max(n, HeaderSize))
	}
	k, err := f.ReadAt(s.buf[:n], at)
	if err == io.EOF && k > 0 {
		err = nil // the file is shorter than it was
	}
	return s.buf[:k], err
}

// find returns the header of the first frame of life at or after at, and where
// it is; io.EOF if there is none before end. It looks at every byte once, and
// only a frame that this spool wrote passes: text in the log cannot know life.
//
// A header whose own checksum is wrong is no frame, and the search goes on behind its first
// byte. The size that a header states is not checked here: the caller knows the end.
func (s *scanner) find(f io.ReaderAt, at, end int64, life uint64) (header, int64, error) {
	var pattern [12]byte
	copy(pattern[:], magic)
	binary.LittleEndian.PutUint64(pattern[4:], life)
	// Nearly always the frame is just here: then no more is read than its header.
	for n := int64(HeaderSize); end-at >= HeaderSize; n = scanWindow {
		win, err := s.window(f, at, min(end-at, n))
		if err != nil {
			return header{}, at, err
		}
		for i := 0; ; i++ {
			k := bytes.Index(win[i:], pattern[:])
			if k < 0 {
				at += int64(max(len(win)-len(pattern)+1, 1))
				break
			}
			if i += k; i+HeaderSize > len(win) && i > 0 {
				at += int64(i) // its end is in the next window
				break
			}
			if h, ok := parseHeader(win[i:], pattern[:]); ok {
				return h, at + int64(i), nil
			}
			if i+HeaderSize > len(win) {
				return header{}, end, io.EOF // the file is shorter than it was
			}
		}
	}
	return header{}, end, io.EOF
}

// putDone writes over four bytes, which a disk does whole: a crash leaves the
// mark from before or the new one.
// Nothing is synced: after a power cut a chunk may come again, and none is lost by it.
func (seg *segment) putDone(at int64, done uint32) error {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], done)
	_, err := seg.f.WriteAt(b[:], at+offDone)
	return err
}

// lost is the records of a segment that is given up as it is.
// Torn chunks count with what their headers said; chunks without a header cannot be counted.
func (seg *segment) lost() [2]int64 {
	lost := seg.left
	for _, m := range seg.torn {
		lost[0] += int64(m.Left[0])
		lost[1] += int64(m.Left[1])
	}
	return lost
}

// segmentName says when its process started, which life that was, and its
// first chunk, so that names sort by age: START-LIFE-NUM-N.seg in hexadecimal.
// N tells apart segments that begin with the same chunk.
func segmentName(start time.Time, id ID, n int) string {
	return fmt.Sprintf("%012x-%016x-%016x-%x%s", max(start.UnixMilli(), 0), id.Life, id.Num, n, segmentSuffix)
}

// parseName returns the life in a segment's name.
// What has another form is no segment, and is left alone.
func parseName(name string) (life uint64, ok bool) {
	part := strings.Split(strings.TrimSuffix(name, segmentSuffix), "-")
	if !strings.HasSuffix(name, segmentSuffix) || len(part) != 4 || len(part[0]) != 12 || len(part[1]) != 16 || len(part[2]) != 16 {
		return 0, false
	}
	life, err := strconv.ParseUint(part[1], 16, 64)
	return life, err == nil
}
