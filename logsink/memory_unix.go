//go:build unix && !solaris && !illumos && !aix

package logsink

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"syscall"

	"github.com/failopen/failopen/logsink/internal/spool"
)

// mapping is memory that outlives the process: a file on a file system that is
// memory itself. It begins with a page that says what it is; chunks follow
// (frame.go). What a killed process stored in it the kernel keeps.
//
// A file on a disk will not do. The first store to a clean page of it waits for
// the file system, in a page fault, in Write, with the lock held; a thread in a
// page fault keeps its processor, and the garbage collector waits for it: one
// log line stops the process for as long as the disk is frozen. On a
// copy-on-write file system a full disk is SIGBUS.
type mapping struct {
	f     *os.File
	mem   []byte
	top   []byte // its head once more, see keepHead
	kept  bool   // a sink has top
	key   uint64
	size  int   // of a frame
	image bool  // mem is a copy of the file, see openImage
	short error // the file is shorter than it was
	small error // why the file is smaller than it should be
}

const (
	mappedMagic = "logsink mapped 2\n"
	mappedHead  = 4096 // bytes before the first chunk
	offSize     = 32
	offKey      = 40
	offLength   = 48 // of the file; 0: it was made before that was noted
)

// openMapping opens or makes the file at path, which is on a file system in
// memory, with room for size bytes of frames. A file that is larger stays so
// until it is known that nothing is left in the rest, see shrink. A file that is
// something else is not touched.
func openMapping(path string, size, frame int) (*mapping, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if errors.Is(err, syscall.ELOOP) {
		err = fmt.Errorf("it is a symbolic link, and must be a regular file")
	}
	if err != nil {
		return nil, err
	}
	m := &mapping{f: f, size: frame}
	if err := m.open(int64(mappedHead + size)); err != nil {
		f.Close() //nolint:errcheck // nothing was written, or the error is told
		return nil, err
	}
	return m, nil
}

// open takes the file over: it has to be this user's alone, and the lock keeps
// other processes away for as long as it is open. The size is rounded down to
// whole frames.
//
// The order matters: nothing is changed before the lock is held, and nothing is mapped that
// prepare has not given blocks to.
func (m *mapping) open(want int64) error {
	info, err := m.f.Stat()
	if err != nil {
		return err
	}
	if err := spool.Private(info, 0); err != nil {
		return err
	}
	if err := spool.Flock(m.f); err != nil {
		return err
	}
	if err := m.prepare(info.Size(), want); err != nil {
		return err
	}
	if info, err = m.f.Stat(); err != nil {
		return err
	}
	n := int(info.Size())
	n -= (n - mappedHead) % m.size
	if m.mem, err = syscall.Mmap(int(m.f.Fd()), 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED); err != nil {
		return err
	}
	if m.top, err = syscall.Mmap(int(m.f.Fd()), 0, mappedHead, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED); err != nil {
		return errors.Join(err, syscall.Munmap(m.mem))
	}
	return nil
}

// head is the page before the frames, in which the ledger is.
func (m *mapping) head() []byte { return m.mem[:mappedHead] }

// keepHead is head as memory that stays for as long as owner does: writers change the
// ledger without a lock, also while the mapping is being closed. It is called once.
func (m *mapping) keepHead(owner *Sink) []byte {
	if m.image {
		return m.head()
	}
	m.kept = true
	runtime.AddCleanup(owner, func(mem []byte) { syscall.Munmap(mem) }, m.top) //nolint:errcheck // it was mapped
	return m.top
}

// prepare checks the file and brings it to the wanted size. The pages are
// written, not left as holes: a full file system is an error here, and would be
// a fatal signal in the first Write that touches a hole.
// If there is no room to grow, a file that has at least a frame is used as it is (small).
func (m *mapping) prepare(have, want int64) error {
	head := make([]byte, mappedHead)
	if _, err := m.f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if bytes.Equal(head, make([]byte, mappedHead)) { // new, or made by a process that got no further
		copy(head, mappedMagic)
		binary.LittleEndian.PutUint32(head[offSize:], uint32(m.size))
		binary.LittleEndian.PutUint64(head[offKey:], rand.Uint64())
	} else if err := m.check(head); err != nil {
		return err
	}
	m.key = binary.LittleEndian.Uint64(head[offKey:])
	m.measure(head, have)
	if err := m.extend(have, want); err != nil {
		if have < int64(mappedHead+m.size) {
			return err
		}
		m.small, want = err, have
	}
	binary.LittleEndian.PutUint64(head[offLength:], uint64(max(have, want)))
	_, err := m.f.WriteAt(head, 0)
	return err
}

// measure finds out whether the file, of have bytes, is shorter than its head
// says: it was cut off, or the copy was.
func (m *mapping) measure(head []byte, have int64) {
	if noted := binary.LittleEndian.Uint64(head[offLength:]); noted > uint64(have) {
		m.short = fmt.Errorf("it was cut off: it has %d bytes of %d", have, noted)
	}
}

// check refuses a file that is not ours, or has another layout, before a byte
// of it is changed.
func (m *mapping) check(head []byte) error {
	size := int(binary.LittleEndian.Uint32(head[offSize:]))
	if !bytes.HasPrefix(head, []byte(mappedMagic)) || size != m.size {
		return fmt.Errorf("the file exists and is not a mapped file of this version with frames of %d bytes", m.size)
	}
	return nil
}

// extend allocates the blocks now. In a file with holes a full file system
// would kill the process with SIGBUS when it first writes there.
func (m *mapping) extend(from, to int64) error {
	if to <= from || allocate(m.f, from, to-from) == nil {
		return nil
	}
	zero := make([]byte, 1<<20)
	for at := from; at < to; at += int64(len(zero)) {
		if _, err := m.f.WriteAt(zero[:min(int64(len(zero)), to-at)], at); err != nil {
			return errors.Join(err, m.f.Truncate(from))
		}
	}
	return nil
}

// openImage reads a mapped file as it is, wherever it lies: for a program that
// delivers what is in it and is not in a hurry. Close notes in the file what was
// delivered.
func openImage(path string) (*mapping, error) {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	m := &mapping{f: f, size: frameSize, image: true}
	err = spool.Flock(f)
	if err == nil {
		err = m.read()
	}
	if err != nil {
		f.Close() //nolint:errcheck // it was only read
		return nil, err
	}
	return m, nil
}

// lookAt reads a mapped file without a lock and without the right to change it.
// A named pipe does not hold it up (O_NONBLOCK), and read refuses it.
func lookAt(path string) (*mapping, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m := &mapping{f: f, size: frameSize, image: true}
	return m, m.read()
}

// read takes an image of the file instead of mapping it: for a file on a disk,
// whose pages nobody may wait for.
func (m *mapping) read() error {
	info, err := m.f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	head := make([]byte, mappedHead)
	if _, err := m.f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := m.check(head); err != nil {
		return err
	}
	m.key = binary.LittleEndian.Uint64(head[offKey:])
	if info, err = m.f.Stat(); err != nil { // not before its length was noted
		return err
	}
	m.measure(head, info.Size())
	n := max(int(info.Size()), mappedHead)
	m.mem = make([]byte, n-(n-mappedHead)%m.size)
	copy(m.mem, head)
	_, err = m.f.ReadAt(m.mem[mappedHead:], mappedHead)
	if len(m.mem) == mappedHead {
		return nil // a head, or a part of one
	}
	return err
}

func (m *mapping) frames() []byte { return m.mem[mappedHead:] }

// shrink cuts the file to n frames, if it has more. Nobody uses the others any
// more: a store to them would be SIGBUS.
// The length is noted before the cut: a kill in between leaves a file that is too long,
// which is no damage.
func (m *mapping) shrink(n int) error {
	size := mappedHead + n*m.size
	if size >= len(m.mem) {
		return nil
	}
	var length [8]byte
	binary.LittleEndian.PutUint64(length[:], uint64(size))
	if _, err := m.f.WriteAt(length[:], offLength); err != nil {
		return err
	}
	return m.f.Truncate(int64(size))
}

// close ends a mapping. Of an image, the headers are written back: they say
// what has been delivered since.
func (m *mapping) close() error {
	if !m.image {
		drop := syscall.Munmap
		if m.kept {
			drop = detach // or the file, with its lock, would stay open
		}
		return errors.Join(drop(m.top), syscall.Munmap(m.mem), m.f.Close())
	}
	_, all := m.f.WriteAt(m.mem[offAccount:mappedHead], offAccount)
	for at := mappedHead; at < len(m.mem); at += m.size {
		_, err := m.f.WriteAt(m.mem[at:at+headerSize], int64(at))
		all = errors.Join(all, err)
	}
	return errors.Join(all, m.f.Close())
}
