package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/failopen/failopen/logsink"
	"github.com/failopen/failopen/logsink/internal/spool"
)

// findings looks at both streams, and at the places that the flags name.
// Standard input is not looked at: nobody logs there.
func findings(spill, mapped string) (all []finding) {
	for fd, name := range []string{"", "standard output", "standard error"} {
		if fd > 0 {
			all = append(all, descriptor(fd, name))
		}
	}
	return append(all, places(spill, mapped)...)
}

// descriptor says what a file descriptor is, and whether a write to it can wait.
//
// It looks and writes nothing. Everything that is not known to take any write at once can
// block: a regular file, too, waits for its disk.
func descriptor(fd int, name string) finding {
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return finding{false, fmt.Sprintf("%s is closed: %v", name, err)}
	}
	link, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)) // for the text alone
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFIFO:
		size, used := pipeSize(fd), pipeUsed(fd)
		return finding{true, fmt.Sprintf("%s is a pipe of %d bytes, %d of them waiting, read by %s: when the reader stops, a write waits as soon as it is full (%s)",
			name, size, used, readers(st.Ino), nonblocking(fd))}
	case syscall.S_IFSOCK:
		return finding{true, fmt.Sprintf("%s is a socket (%s), as journald's is: when its reader stops, a write waits as soon as its buffer is full (%s)", name, link, nonblocking(fd))}
	case syscall.S_IFCHR:
		if link == os.DevNull {
			return finding{false, name + " is " + os.DevNull}
		}
		return finding{true, fmt.Sprintf("%s is the terminal or device %s: Ctrl-S, or a terminal that nobody reads, stops a write", name, link)}
	case syscall.S_IFREG:
		return finding{true, fmt.Sprintf("%s is the file %s: a write waits for a disk that hangs or is frozen by a snapshot", name, link)}
	}
	return finding{true, fmt.Sprintf("%s is %s", name, link)}
}

// pipeSize is how many bytes a pipe holds; the kernel's default is 64 KiB.
func pipeSize(fd int) int {
	const getPipeSize = 1032 // F_GETPIPE_SZ, fcntl(2)
	n, _, _ := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), getPipeSize, 0)
	return int(n)
}

// pipeUsed is how many bytes wait in a pipe; 0 for what does not tell.
// What waits is what a reader is behind by at this moment.
func pipeUsed(fd int) int {
	const unread = 0x541b // FIONREAD, ioctl_tty(2)
	var n int32
	syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), unread, uintptr(unsafe.Pointer(&n)))
	return int(n)
}

// nonblocking says what a full pipe does to a write: it waits, or it takes a
// part of the line.
// The flag belongs to the open file, which processes share: another one may have set it.
func nonblocking(fd int) string {
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFL, 0)
	if errno == 0 && flags&syscall.O_NONBLOCK != 0 {
		return "somebody made it non-blocking, so that a line may be cut instead"
	}
	return "the descriptor is blocking"
}

// readers names the processes that have the other end of a pipe, as far as this
// user may see them: in a container nobody, the runtime is outside.
//
// It goes by /proc: who has the same pipe open, and not for writing. A process that ends
// meanwhile, or is another user's, is left out. O(open files of the machine).
func readers(inode uint64) string {
	want := fmt.Sprintf("pipe:[%d]", inode)
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // only bad patterns fail
	var names []string
	for _, l := range links {
		if to, err := os.Readlink(l); err != nil || to != want {
			continue
		}
		proc := filepath.Dir(filepath.Dir(l))
		info, err := os.ReadFile(proc + "/fdinfo/" + filepath.Base(l))
		if err != nil || !strings.Contains(string(info), "flags:\t0") || writes(string(info)) {
			continue
		}
		comm, _ := os.ReadFile(proc + "/comm")
		if name := strings.TrimSpace(string(comm)) + " (" + filepath.Base(proc) + ")"; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "a process that cannot be seen from here"
	}
	return strings.Join(names, ", ")
}

// writes reports whether the flags in fdinfo, which are octal, say that a
// descriptor is open for writing.
// Without the line, or with a damaged one, it is not known to.
func writes(info string) bool {
	var flags int
	for line := range strings.Lines(info) {
		if n, err := fmt.Sscanf(line, "flags:\t%o", &flags); n == 1 && err == nil {
			return flags&(syscall.O_WRONLY|syscall.O_RDWR) != 0
		}
	}
	return false
}

// nobody takes no records, so that those of an earlier process stay.
// Its error keeps the sink from marking anything as delivered.
type nobody struct{}

func (nobody) WriteBatch(context.Context, []logsink.Record) (logsink.BatchResult, error) {
	return logsink.BatchResult{}, errors.New("only looking")
}

// places says whether a spill directory and a mapped file can be used. What is there is
// only looked at, since it may be another process's; what a sink would make in it, or
// beside it, is made in a directory of its own, which goes away again.
func places(spill, mapped string) (all []finding) {
	if spill != "" {
		all = append(all, place(spill, os.ModeDir, func(path string) logsink.Options { return logsink.Options{SpillDir: path} }))
	}
	if mapped != "" {
		all = append(all, place(mapped, 0, func(path string) logsink.Options { return logsink.Options{Mapped: path} }))
	}
	return all
}

// place looks at one, which is of a kind, a directory or a regular file, or not there
// yet. A real sink with one millisecond to live stands in for a service: what New finds
// out is what that would be told.
func place(path string, kind os.FileMode, options func(path string) logsink.Options) finding {
	records, there, err := left(path, kind)
	if err != nil {
		return finding{true, fmt.Sprintf("%s: %v", path, err)}
	}
	above := path
	if !there || kind != os.ModeDir {
		above = existing(filepath.Dir(path))
	}
	dir, err := os.MkdirTemp(above, "logsink-check")
	if err != nil {
		return finding{true, err.Error()}
	}
	defer os.RemoveAll(dir)
	try := filepath.Join(dir, filepath.Base(path))
	o := options(try)
	o.Batch, o.CloseTimeout = nobody{}, time.Millisecond
	s, err := logsink.New(o)
	if err != nil {
		return finding{true, err.Error()}
	}
	st := s.Stats()
	s.Close() //nolint:errcheck // it holds nothing
	switch {
	case st.DiskError != "":
		told := strings.ReplaceAll(st.DiskError, try, path)
		return finding{true, strings.ReplaceAll(told, dir, filepath.Dir(path))}
	case !there:
		return finding{false, path + " can be used; it will be made"}
	}
	return finding{false, fmt.Sprintf("%s can be used; %d records of an earlier process are in it", path, records)}
}

// left counts the records that are in path, and refuses what a sink would refuse. An
// empty file is as good as one that is not there.
func left(path string, kind os.FileMode) (records int, there bool, err error) {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, false, nil
	}
	if err == nil {
		err = spool.Private(info, kind)
	}
	lock := path
	if kind == os.ModeDir {
		lock = filepath.Join(path, spool.LockName)
	}
	if err == nil && locked(lock) {
		err = spool.ErrLocked
	}
	if err != nil || kind == 0 && info.Size() == 0 {
		return 0, true, err
	}
	for l, err := range logsink.Leftovers(path) {
		if err != nil {
			return records, true, err
		}
		records += len(l.Records)
	}
	return records, true, nil
}

// locked reports whether a process has locked a file, as far as /proc/locks shows it: a
// try would be a lock itself.
func locked(path string) bool {
	var st syscall.Stat_t
	if syscall.Stat(path, &st) != nil {
		return false
	}
	locks, _ := os.ReadFile("/proc/locks") // without it nobody knows
	major := st.Dev>>8&0xfff | st.Dev>>32&^0xfff
	minor := st.Dev&0xff | st.Dev>>12&^0xff
	file := fmt.Sprintf(" %02x:%02x:%d ", major, uint32(minor), st.Ino)
	for line := range strings.Lines(string(locks)) {
		if strings.Contains(line, " FLOCK ") && strings.Contains(line, file) {
			return true
		}
	}
	return false
}

// existing is dir, or the first one above it that exists: that decides what can be made,
// and on which file system.
func existing(dir string) string {
	for {
		above := filepath.Dir(dir)
		if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) || above == dir {
			return dir
		}
		dir = above
	}
}
