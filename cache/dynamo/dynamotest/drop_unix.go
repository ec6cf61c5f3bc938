//go:build unix

package dynamotest

import (
	"errors"
	"net"
	"syscall"
	"time"
)

const (
	maxFillers  = 16
	fillTimeout = 100 * time.Millisecond
	fullQueue   = 128
)

// drop makes the kernel drop new SYNs: it shrinks the queue of completed
// connections and fills it with connections of our own that nobody accepts.
// Linux then ignores further SYNs. The lock is held.
func (l *listener) drop() error {
	if err := l.backlog(0); err != nil {
		return err
	}
	for range maxFillers {
		c, err := net.DialTimeout("tcp", l.addr.String(), fillTimeout)
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
			return nil
		}
		if err != nil {
			return errors.Join(err, l.stopDropping())
		}
		l.fillers = append(l.fillers, c)
	}
	return errors.Join(errors.New("this operating system does not drop SYNs to a full queue, so there is no BlackHole over TCP; use Hang"), l.stopDropping())
}

// stopDropping takes the connections away that filled the queue, and gives it
// its usual length.
func (l *listener) stopDropping() error {
	for _, c := range l.fillers {
		_ = c.Close()
	}
	l.network.connections.Add(-int64(len(l.fillers))) // Accept will count them
	l.fillers = nil
	return l.backlog(fullQueue)
}

// backlog changes the queue of a socket that listens already.
func (l *listener) backlog(n int) error {
	raw, err := l.tcp.SyscallConn()
	if err != nil {
		return err
	}
	var listenErr error
	if err := raw.Control(func(fd uintptr) { listenErr = syscall.Listen(int(fd), n) }); err != nil {
		return err
	}
	return listenErr
}
