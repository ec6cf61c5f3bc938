package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// A note is a few bytes that the directory keeps for the next process that opens it. They lie
// in the lock's file, whose first block is reserved from the beginning: a note can be
// written when the disk is full. Little-endian:
//
//	 0  magic "LSN1"; anything else, or nothing: there is no note
//	 4  its length
//	 8  checksum (CRC-32C) of the length and the note
//	12  the note
const (
	// MaxNote is how long a note may be.
	MaxNote = 116

	noteMagic = "LSN1"
	noteHead  = 12
	noteFile  = noteHead + MaxNote
)

// Note returns the note that the directory had when it was opened, or nil.
func (q *Queue) Note() []byte { return q.noted }

// SetNote replaces the note. An empty one is none.
//
// One write of all of it, within one block: a crash leaves the note from before, or this
// one, or, if the disk has torn the block, one whose checksum is wrong and that is none.
func (q *Queue) SetNote(note []byte) error {
	switch n := len(note); {
	case n > MaxNote:
		return fmt.Errorf("a note of %d bytes: it has at most %d", n, MaxNote)
	case n == 0:
		err := q.lock.Truncate(0)
		reserve(q.lock, noteFile)
		return err
	}
	b := make([]byte, noteHead, noteFile)
	copy(b, noteMagic)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(note)))
	b = append(b, note...)
	binary.LittleEndian.PutUint32(b[8:], noteSum(b, len(note)))
	_, err := q.lock.WriteAt(b[:noteFile], 0)
	return err
}

func noteSum(b []byte, n int) uint32 {
	return crc32.Update(crc32.Checksum(b[4:8], castagnoli), castagnoli, b[noteHead:noteHead+n])
}

// readNote reads the note in f.
// A file that is shorter is one without a note: the rest of b is zeros.
func (q *Queue) readNote(f *os.File) error {
	b := make([]byte, noteFile)
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	n := int(binary.LittleEndian.Uint32(b[4:]))
	if string(b[:4]) == noteMagic && 0 < n && n <= MaxNote && binary.LittleEndian.Uint32(b[8:]) == noteSum(b, n) {
		q.noted = b[noteHead : noteHead+n : noteHead+n]
	}
	return nil
}
