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
// started by a unit of Type=notify. An error means that systemd could not be
// told; for a unit with a watchdog it will then restart the process.
func Run(ctx context.Context, p *health.Process) error {
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
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("systemd: %w", err)
	}
	defer func() { _ = conn.Close() }() // nothing is kept in it
	s := &notifier{conn: conn, p: p}
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
	conn  net.Conn
	p     *health.Process
	ready bool
}

// look is how often the process is looked at for a change of its readiness.
const look = time.Second

func (s *notifier) run(ctx context.Context, every time.Duration) error {
	period := look
	if every > 0 {
		period = min(period, every)
	}
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		if err := s.tell(every > 0); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return s.send("STOPPING=1")
		}
	}
}

// tell says what has changed, and feeds the watchdog while the process is live.
func (s *notifier) tell(feed bool) error {
	if feed && s.p.Live() {
		if err := s.send("WATCHDOG=1"); err != nil {
			return err
		}
	}
	if !s.ready && s.p.IsStarted() {
		s.ready = true
		return s.send("READY=1")
	}
	return nil
}

func (s *notifier) send(text string) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return fmt.Errorf("systemd: %w", err)
	}
	if _, err := s.conn.Write([]byte(text)); err != nil {
		return fmt.Errorf("systemd: %w", err)
	}
	return nil
}
