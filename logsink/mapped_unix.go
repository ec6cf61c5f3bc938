//go:build unix && !solaris && !illumos && !aix

package logsink

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// mapping is a file that is the sink's memory: a page that says what it is,
// then frames (frame.go). What a killed process stored in it the kernel keeps.
type mapping struct {
	f   *os.File
	mem []byte
}

const mappedMagic = "logsink mapped 1\n"

// openMapping opens or makes the file at path, with room for size bytes of
// frames. A file that is larger stays so: what an earlier process left in it
// is not to be lost. A file that is something else is not touched.
func openMapping(path string, size, frame int) (*mapping, error) {
	f, err := lockFile(path)
	if err != nil {
		return nil, err
	}
	m := &mapping{f: f}
	if err := m.prepare(int64(mappedHead+size), frame); err != nil {
		f.Close() //nolint:errcheck // nothing was written, or the error is told
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		n := int(info.Size())
		n -= (n - mappedHead) % frame
		m.mem, err = syscall.Mmap(int(f.Fd()), 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	}
	if err != nil {
		f.Close() //nolint:errcheck // the error is told
		return nil, err
	}
	return m, nil
}

// prepare checks the file and brings it to the wanted size. The blocks are
// written, not left as holes: a full disk is an error here, and would be a
// fatal signal in the first Write that touches a hole.
func (m *mapping) prepare(want int64, frame int) error {
	info, err := m.f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	have := info.Size()
	head := make([]byte, mappedHead)
	copy(head, mappedMagic)
	binary.LittleEndian.PutUint32(head[32:], uint32(frame))
	if have > 0 {
		was := make([]byte, mappedHead)
		if _, err := m.f.ReadAt(was, 0); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if !bytes.Equal(was, head) && !bytes.Equal(was[:min(have, mappedHead)], make([]byte, min(have, mappedHead))) {
			return fmt.Errorf("the file exists and is not a mapped file of this version with frames of %d bytes", frame)
		}
	}
	if err := m.extend(have, want); err != nil {
		return err
	}
	_, err = m.f.WriteAt(head, 0)
	return err
}

func (m *mapping) extend(from, to int64) error {
	zero := make([]byte, 1<<20)
	for at := from; at < to; at += int64(len(zero)) {
		if _, err := m.f.WriteAt(zero[:min(int64(len(zero)), to-at)], at); err != nil {
			return errors.Join(err, m.f.Truncate(from))
		}
	}
	return nil
}

func (m *mapping) frames() []byte { return m.mem[mappedHead:] }

func (m *mapping) close() error {
	return errors.Join(syscall.Munmap(m.mem), m.f.Close())
}

// lockFile opens the file at path, making it if need be, for this process
// alone.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errors.New("another process uses it")
	}
	if err != nil {
		f.Close() //nolint:errcheck // the error is told
		return nil, err
	}
	return f, nil
}
