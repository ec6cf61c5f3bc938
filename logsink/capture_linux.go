package logsink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// Capture puts a sink under file descriptors 1 and 2 of this process, so that
// what does not know the sink cannot block either, nor be lost: fmt.Println,
// os.Stderr, C code, the runtime's own messages, and child processes that
// inherit the descriptors. Their lines become records, those of descriptor 2 in
// the high lane, and go where standard output went before. The logger writes to
// the Sink itself as always. Options.Dest and Batch must be nil, as for [Stdout],
// whose remarks on pipes and SIGPIPE hold here, too.
//
//	sink, release, err := logsink.Capture(logsink.Options{Gap: logsink.GapJSON})
//	if err != nil { … }
//	defer release(context.Background())
//
// The descriptors become files in memory that one goroutine for each reads and
// empties: a write to them waits for nothing at all, also in a crash, when
// nobody reads any more. What the runtime prints then goes to the standard error
// of before as well (debug.SetCrashOutput).
//
// A child should not open them again by name. What has been written must not go
// away, so that the shell's "> /dev/stderr", which wants an empty file, is an
// error of that command (EPERM); ">&2" and ">> /dev/stderr" work. A limit on the
// size of files (RLIMIT_FSIZE) would hold for these, too: Capture refuses it.
//
// Release gives the descriptors back, delivers what is on its way, and shuts the
// sink down as [Sink.Shutdown] does. Children that are still alive then write to
// nobody. A second Capture before that is refused. Linux only.
func Capture(o Options) (s *Sink, release func(context.Context) error, err error) {
	if !captured.CompareAndSwap(false, true) {
		return nil, nil, errors.New("logsink: capture: descriptors 1 and 2 are captured already; release them first")
	}
	defer func() {
		if err != nil {
			captured.Store(false)
		}
	}()
	var most syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &most); err == nil && most.Cur < math.MaxInt64 {
		return nil, nil, fmt.Errorf("logsink: capture: files, those in memory too, may have %d bytes at most (ulimit -f)", most.Cur)
	}
	c := &capture{}
	for i := range c.before {
		if c.before[i], c.fd[i], err = duplicate(i + 1); err != nil {
			return nil, nil, err
		}
	}
	if c.s, err = stdio(o, c.before[0]); err != nil {
		return nil, nil, errors.Join(err, c.before[0].Close(), c.before[1].Close())
	}
	if err := c.start(); err != nil {
		return nil, nil, errors.Join(err, c.release(context.Background()))
	}
	return c.s, c.release, nil
}

// captured is whether a capture holds the descriptors, of which a process has one
// pair: one inside another would write to nobody once the outer one is released.
var captured atomic.Bool

// capture is the state of Capture.
type capture struct {
	s      *Sink
	before [2]*os.File // of descriptors 1 and 2
	fd     [2]int      // of before: asking a File would make it blocking, for others too
	tails  []*tail
	once   sync.Once
	err    error
}

// duplicate keeps what fd stands for under a number of 3 or above, which is not
// handed on to children. It is where the captured output goes to, and what
// release puts back.
func duplicate(fd int) (*os.File, int, error) {
	n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 3)
	if errno != 0 {
		return nil, 0, fmt.Errorf("logsink: capture: descriptor %d: %w", fd, errno)
	}
	return os.NewFile(n, fmt.Sprintf("descriptor %d", fd)), int(n), nil
}

// start puts a file in memory in the place of descriptors 1 and 2 each, and
// sends the runtime's crash output straight to the old descriptor 2: a process
// that dies has no time for a detour.
func (c *capture) start() error {
	for i, lines := range []io.WriteCloser{c.s.Lines(), c.s.LaneLines(High)} {
		t, err := newTail(lines)
		if err != nil {
			return fmt.Errorf("logsink: capture: %w", err)
		}
		c.tails = append(c.tails, t)
		if err := syscall.Dup3(int(t.f.Fd()), i+1, 0); err != nil {
			return fmt.Errorf("logsink: capture: descriptor %d: %w", i+1, err)
		}
	}
	if err := debug.SetCrashOutput(c.before[1], debug.CrashOptions{}); err != nil {
		return fmt.Errorf("logsink: capture: %w", err)
	}
	return nil
}

// release undoes start, reads what is left in the files, and shuts the sink
// down. It is done once; a later call returns what the first one did.
func (c *capture) release(ctx context.Context) error {
	c.once.Do(func() {
		var all error
		for i, fd := range c.fd {
			all = errors.Join(all, syscall.Dup3(fd, i+1, 0))
		}
		for _, t := range c.tails {
			t.close()
		}
		all = errors.Join(all, debug.SetCrashOutput(nil, debug.CrashOptions{}), c.s.Shutdown(ctx))
		select {
		case <-c.s.done:
			all = errors.Join(all, c.before[0].Close())
		default: // a call of the destination may still use it
		}
		c.err = errors.Join(all, c.before[1].Close())
		captured.Store(false)
	})
	return c.err
}

// tail reads a file in memory as it grows, and gives back the memory of what it
// has read.
type tail struct {
	f       *os.File
	events  *os.File // inotify: the file has grown
	lines   io.WriteCloser
	at      int64 // read up to here
	punched int64 // given back up to here
	done    chan struct{}
}

// memfdCreate is the number of memfd_create(2), which package syscall does not
// know.
var memfdCreate = map[string]uintptr{"amd64": 319, "arm64": 279, "riscv64": 279, "loong64": 279, "386": 356, "arm": 385, "s390x": 350, "ppc64le": 360, "ppc64": 360}

// newTail makes a file in memory, which takes writes of any process without
// waiting, and reads along as it grows: inotify tells when.
func newTail(lines io.WriteCloser) (*tail, error) {
	number, ok := memfdCreate[runtime.GOARCH]
	if !ok {
		return nil, fmt.Errorf("not on %s: %w", runtime.GOARCH, errors.ErrUnsupported)
	}
	const closeOnExec, allowSealing, addSeals, sealShrink = 1, 2, 1033, 2
	name := []byte("logsink\x00")
	fd, _, errno := syscall.Syscall(number, uintptr(unsafe.Pointer(&name[0])), closeOnExec|allowSealing, 0)
	if errno != 0 {
		return nil, fmt.Errorf("memfd_create: %w", errno)
	}
	// Several processes append: each write goes to the end. And none of them may
	// make the file empty, with what the others have written.
	for _, set := range [][2]uintptr{{syscall.F_SETFL, syscall.O_APPEND}, {addSeals, sealShrink}} {
		if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, set[0], set[1]); errno != 0 {
			syscall.Close(int(fd)) //nolint:errcheck // it was not used
			return nil, fmt.Errorf("fcntl: %w", errno)
		}
	}
	t := &tail{f: os.NewFile(fd, "captured"), lines: lines, done: make(chan struct{})}
	watch, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err == nil {
		t.events = os.NewFile(uintptr(watch), "inotify")
		_, err = syscall.InotifyAddWatch(watch, fmt.Sprintf("/proc/self/fd/%d", fd), syscall.IN_MODIFY)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("inotify: %w", err), t.f.Close(), t.events.Close())
	}
	go t.run()
	return t, nil
}

// run reads until close.
func (t *tail) run() {
	defer close(t.done)
	buf := make([]byte, 64<<10)
	var event [4096]byte
	for {
		t.read(buf)
		if _, err := t.events.Read(event[:]); err != nil {
			t.read(buf) // what came before the descriptors were given back
			t.lines.Close()
			return
		}
	}
}

// read takes what is there.
func (t *tail) read(buf []byte) {
	for {
		n, _ := t.f.ReadAt(buf, t.at) // a file in memory has no other error than its end
		if n == 0 {
			return
		}
		t.lines.Write(buf[:n])
		t.at += int64(n)
		t.giveBack()
	}
}

// giveBack frees the pages that were read.
func (t *tail) giveBack() {
	const keepSize, punchHole, page = 1, 2, 4096
	if end := t.at - t.at%page; end > t.punched {
		if syscall.Fallocate(int(t.f.Fd()), keepSize|punchHole, t.punched, end-t.punched) == nil {
			t.punched = end
		}
	}
}

func (t *tail) close() {
	t.events.Close() //nolint:errcheck // it ends the read that waits for it
	<-t.done
	t.f.Close() //nolint:errcheck // it is empty
}
