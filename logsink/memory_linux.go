package logsink

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// fileSystems are names of file systems.
// File systems by their magic number in statfs(2), from linux/magic.h.
var fileSystems = map[int64]string{
	0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x2fc12fc1: "zfs", 0xca451a4e: "bcachefs",
	0x6969: "nfs", 0xff534d42: "cifs", 0xfe534d42: "smb2", 0x65735546: "fuse", 0x794c7630: "overlayfs", 0xf2f52010: "f2fs",
}

// inMemory refuses a directory that is not on a file system in memory.
func inMemory(dir string) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	switch magic := int64(st.Type) & 0xffffffff; magic {
	case 0x01021994, 0x858458f6: // tmpfs, ramfs
		return nil
	default:
		name := fileSystems[magic]
		if name == "" {
			name = fmt.Sprintf("a file system of type %#x", magic)
		}
		return fmt.Errorf("%s is on %s, where a store to memory can wait for the disk; use a path on tmpfs, such as below /dev/shm, or Options.SpillDir", dir, name)
	}
}

// allocate reserves memory for a part of a file. It costs a tenth of writing
// zeros.
func allocate(f *os.File, from, n int64) error {
	return syscall.Fallocate(int(f.Fd()), 0, from, n)
}

// populate has the system give the pages of b now: madvise(2) with
// MADV_POPULATE_WRITE, Linux 5.14. Where it does not know that, the first use of
// a page does it.
func populate(b []byte) {
	const page, populateWrite = 4096, 23
	if skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) % page); skip < len(b) {
		syscall.Madvise(b[skip:], populateWrite) //nolint:errcheck // it is a matter of microseconds
	}
}

// detach exchanges the mapping of a file for ordinary memory with the same bytes at
// the same place, under those who use it: a store that comes in between may be lost.
func detach(b []byte) error {
	copied, err := syscall.Mmap(-1, 0, len(b), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return err
	}
	copy(copied, b)
	const mayMove, fixed = 1, 2 // of mremap(2)
	from, to, n := unsafe.Pointer(&copied[0]), unsafe.Pointer(&b[0]), uintptr(len(b))
	if _, _, errno := syscall.Syscall6(syscall.SYS_MREMAP, uintptr(from), n, n, mayMove|fixed, uintptr(to), 0); errno != 0 {
		return errors.Join(errno, syscall.Munmap(copied))
	}
	return nil
}
