package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unsafe"
)

// A terminal has a group of processes in its foreground: the one that reads from it,
// and that Ctrl-C and Ctrl-Z are for. The program that we run is a group of its own,
// see settings.run, and so the shell behind us knows nothing of it: what the shell
// does to us we do to the program, and when the program stops, so do we.

// foreground is the group in the foreground of f, or false if f is not the terminal of
// this session.
func foreground(f *os.File) (group int, ok bool) {
	var g int32
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TIOCGPGRP, uintptr(unsafe.Pointer(&g)))
	return int(g), errno == 0
}

// hasTerminal reports whether f is our terminal and we are the group that reads
// from it: in the background it belongs to another program, such as the shell.
// A file that is no terminal has no foreground, and is none of ours.
func hasTerminal(f *os.File) bool {
	group, ok := foreground(f)
	return ok && group == syscall.Getpgrp()
}

// giveTerminal puts a group into the foreground of f.
// Without a terminal it does nothing.
func giveTerminal(f *os.File, group int) {
	signal.Ignore(syscall.SIGTTOU) // or who is in the background is stopped for asking
	to := int32(group)
	syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TIOCSPGRP, uintptr(unsafe.Pointer(&to))) //nolint:errcheck // then it stays where it is
}

// followStop stops us as the program was stopped, so that the shell has its turn. The
// terminal stops a whole group, a pipeline for example, and so that is ours; SIGSTOP
// was for one process. Where no shell is there to go on with us, we never stop: nobody
// would read the program's output. There the kernel does not let the terminal stop
// anybody, and so the program goes on at once.
func followStop(pid int, sig syscall.Signal) {
	byTerminal := sig != syscall.SIGSTOP
	if orphaned() {
		if byTerminal {
			syscall.Kill(-pid, syscall.SIGCONT) //nolint:errcheck // it may have ended just now
		}
		return
	}
	if group, ok := foreground(os.Stdin); ok && group == pid {
		giveTerminal(os.Stdin, syscall.Getpgrp())
	}
	if byTerminal {
		syscall.Kill(0, sig) //nolint:errcheck // it is us
		return
	}
	syscall.Kill(os.Getpid(), sig) //nolint:errcheck // it is us
}

// orphaned reports whether nobody in this session looks after our group, as a shell
// does: every parent is in it, up to one of another session.
// It goes up from us; a process that ends meanwhile, or that we may not see, ends the search
// with yes: not to stop is the safe mistake, since the program's output is read on.
func orphaned() bool {
	us, err := lookAt(os.Getpid())
	if err != nil {
		return true
	}
	for p := us; ; {
		if p, err = lookAt(p.parent); err != nil || p.session != us.session {
			return true
		}
		if p.group != us.group {
			return false
		}
	}
}

// process is what proc_pid_stat(5) says of one.
type process struct{ parent, group, session int }

// lookAt reads /proc. The name of a program, in brackets, may hold anything, brackets and
// spaces too: the last closing one ends it. A process that has ended meanwhile is an error.
func lookAt(pid int) (p process, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return p, err
	}
	_, after, ok := strings.Cut(string(b[strings.LastIndexByte(string(b), ')')+1:]), " ") // behind the name
	if !ok {
		return p, errors.New("no stat")
	}
	var state string
	_, err = fmt.Sscan(after, &state, &p.parent, &p.group, &p.session)
	return p, err
}
