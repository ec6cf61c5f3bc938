// Package systemd tells systemd how a process is: that it is ready, that it
// stops, and, for a unit with WatchdogSec, that it is alive. What counts as
// alive is what package health says, so a dependency cannot make systemd restart
// the unit.
//
//	[Service]
//	Type=notify
//	WatchdogSec=30s
//
// Source: sd_notify(3) and sd_watchdog_enabled(3).
package systemd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/failopen/failopen/health"
)

// ErrWatchdog is a WATCHDOG_USEC that is not a number of microseconds.
var ErrWatchdog = errors.New("systemd: WATCHDOG_USEC is not a number")

// Run tells systemd about p until ctx is done, and then that it stops. Without a
// NOTIFY_SOCKET in the environment it returns nil at once: the program was not
// started by a unit of Type=notify. It is an error if the socket is not there at
// first. If it fails later, Run goes on and tries again, with a new connection,
// at its next turn: within a second, or half of the watchdog's limit if that is
// less, so that one failure does not get a live process restarted. A message that
// nobody takes holds it up for no longer than that either. The error at the end
// says how many messages did not arrive, and why the last did not.
func Run(ctx context.Context, p *health.Process) error {
	if p == nil {
		return errors.New("systemd: the process is nil")
	}
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	every, err := watchdog()
	if err != nil {
		return err
	}
	if path[0] == '@' { // a name in the abstract space of Linux
		path = "\x00" + path[1:]
	}
	s := &notifier{address: &net.UnixAddr{Name: path, Net: "unixgram"}, p: p}
	if err := s.dial(); err != nil {
		return fmt.Errorf("systemd: %w", err)
	}
	defer s.hangUp()
	return s.run(ctx, every)
}

// watchdog is how often the watchdog wants to hear of us, half of its limit; 0
// if there is none.
func watchdog() (time.Duration, error) {
	text := os.Getenv("WATCHDOG_USEC")
	if pid := os.Getenv("WATCHDOG_PID"); text == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0, nil
	}
	usec, err := strconv.ParseInt(text, 10, 64)
	if err != nil || usec <= 0 || usec > int64(24*time.Hour/time.Microsecond) {
		return 0, fmt.Errorf("%w: %q", ErrWatchdog, text)
	}
	return time.Duration(usec) * time.Microsecond / 2, nil
}

type notifier struct {
	address *net.UnixAddr
	conn    *net.UnixConn // nil after a failure
	p       *health.Process
	ready   bool          // systemd has been told
	patient time.Duration // how long a message may take

	lost int // messages, and why the last was
	why  error
}

// dial connects, which for a datagram socket sends nothing: it fails if nobody
// has bound the address.
func (s *notifier) dial() error {
	conn, err := net.DialUnix("unixgram", nil, s.address)
	if err != nil {
		return err
	}
	s.conn = conn
	return nil
}

// hangUp makes the next message dial again: systemd may have been restarted,
// with a new socket.
func (s *notifier) hangUp() {
	if s.conn != nil {
		_ = s.conn.Close() // nothing is kept in it
		s.conn = nil
	}
}

// look is how often the process is looked at for a change of its readiness.
const look = time.Second

// leastPatience is how long a message may wait for systemd, however short the
// watchdog's limit is.
const leastPatience = 50 * time.Millisecond

// run tells the state again and again until ctx is done: as often as the
// watchdog wants it if there is one, and at least each second, so that a change
// is seen soon. What could not be sent is sent the next time.
func (s *notifier) run(ctx context.Context, every time.Duration) error {
	period := look
	if every > 0 {
		period = min(period, every)
	}
	s.patient = max(period, leastPatience)
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		_ = s.tell(every > 0) // the next turn tries again
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		if ctx.Err() != nil { // also if the next turn is due, as it is after a message that nobody took
			return s.stopping()
		}
	}
}

// stopping says goodbye, and returns as an error what has not arrived all
// along.
func (s *notifier) stopping() error {
	_ = s.send("STOPPING=1")
	if s.lost > 0 {
		return fmt.Errorf("systemd: %d messages did not arrive, the last because: %w", s.lost, s.why)
	}
	return nil
}

// tell says what has changed, and feeds the watchdog while the process is live.
func (s *notifier) tell(feed bool) error {
	if feed && s.p.Live() {
		if err := s.send("WATCHDOG=1"); err != nil {
			return err
		}
	}
	if !s.ready && s.p.IsStarted() {
		err := s.send("READY=1")
		s.ready = err == nil
		return err
	}
	return nil
}

// send sends one message and counts those that do not arrive, with the last
// reason.
func (s *notifier) send(text string) error {
	err := s.write(text)
	if err != nil {
		s.hangUp()
		s.lost, s.why = s.lost+1, err
	}
	return err
}

// write waits for room in systemd's queue for a period at most. It is a
// datagram, so that it arrives whole or not at all.
func (s *notifier) write(text string) error {
	if s.conn == nil {
		if err := s.dial(); err != nil {
			return err
		}
	}
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.patient)); err != nil {
		return err
	}
	_, err := s.conn.Write([]byte(text))
	return err
}
