package systemd

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/health"
)

// listen is systemd's end. What arrives is sent to the channel.
func listen(t *testing.T, name string) <-chan string {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Skipf("no datagrams over Unix sockets here: %v", err)
	}
	got := make(chan string, 1000)
	go func() {
		defer close(got)
		for buf := make([]byte, 100); ; {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			got <- string(buf[:n])
		}
	}()
	t.Cleanup(func() {
		_ = c.Close()
		for range got {
		}
	})
	return got
}

// next is the next message but for those of the watchdog, which it counts.
func next(t *testing.T, got <-chan string) (text string, fed int) {
	t.Helper()
	for {
		select {
		case text := <-got:
			if text != "WATCHDOG=1" {
				return text, fed
			}
			fed++
		case <-time.After(20 * time.Second):
			t.Fatal("systemd hears nothing")
		}
	}
}

func TestRun(t *testing.T) {
	names := []string{filepath.Join(t.TempDir(), "notify")}
	if runtime.GOOS == "linux" {
		names = append(names, "@failopen-test-"+strconv.Itoa(os.Getpid()))
	}
	for _, name := range names {
		address := name
		if name[0] == '@' {
			address = "\x00" + name[1:]
		}
		got := listen(t, address)
		t.Setenv("NOTIFY_SOCKET", name)
		t.Setenv("WATCHDOG_USEC", "20000") // 20 ms
		t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
		p := new(health.Process)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- Run(ctx, p) }()
		if text := <-got; text != "WATCHDOG=1" {
			t.Errorf("%s, want the watchdog to be fed while the process starts", text)
		}
		p.Started()
		if text, _ := next(t, got); text != "READY=1" {
			t.Errorf("%s, want READY=1", text)
		}
		p.Fatal(errors.New("only a restart helps"))
		cancel()
		if text, fed := next(t, got); text != "STOPPING=1" || fed > 1 {
			t.Errorf("%s after %d messages, want STOPPING=1 and a watchdog that is not fed", text, fed)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestRun_without_systemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Run(t.Context(), new(health.Process)); err != nil {
		t.Error(err)
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "none"))
	if err := Run(t.Context(), new(health.Process)); err == nil {
		t.Error("there is no such socket")
	}
	t.Setenv("WATCHDOG_PID", "")
	for _, text := range []string{"x", "-1", "0", "99999999999999999999"} {
		t.Setenv("WATCHDOG_USEC", text)
		if err := Run(t.Context(), new(health.Process)); !errors.Is(err, ErrWatchdog) {
			t.Errorf("%q: %v", text, err)
		}
	}
	t.Setenv("WATCHDOG_PID", "1")
	if every, err := watchdog(); every != 0 || err != nil {
		t.Errorf("the watchdog of another process: %v, %v", every, err)
	}
}

// The socket goes away and comes back: the process is not restarted for that,
// and systemd hears of it again.
func TestRun_socket_comes_back(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	first, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Skipf("no datagrams over Unix sockets here: %v", err)
	}
	t.Setenv("NOTIFY_SOCKET", name)
	t.Setenv("WATCHDOG_USEC", "20000") // 20 ms
	t.Setenv("WATCHDOG_PID", "")
	p := new(health.Process)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, p) }()
	if _, err := first.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	_ = first.Close()
	_ = os.Remove(name) // Close may have done so
	p.Started()         // while nobody listens
	got := listen(t, name)
	if text, _ := next(t, got); text != "READY=1" {
		t.Errorf("%s, want READY=1", text)
	}
	cancel()
	if text, _ := next(t, got); text != "STOPPING=1" {
		t.Errorf("%s, want STOPPING=1", text)
	}
	if err := <-done; err != nil && !strings.Contains(err.Error(), "did not arrive") {
		t.Error(err)
	}
}

// While systemd itself stands still, and its socket is full, Run still ends.
func TestRun_nobody_reads(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	address := &net.UnixAddr{Name: name, Net: "unixgram"}
	full, err := net.ListenUnixgram("unixgram", address)
	if err != nil {
		t.Skipf("no datagrams over Unix sockets here: %v", err)
	}
	defer full.Close()
	filler, err := net.DialUnix("unixgram", nil, address)
	if err != nil {
		t.Fatal(err)
	}
	defer filler.Close()
	// a deadline that has passed before the write began, as on a busy machine, is the same
	// error as a full queue: it is full when that comes three times in a row
	for late := 0; late < 3; {
		_ = filler.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := filler.Write([]byte("x")); err != nil {
			late++
		} else {
			late = 0
		}
	}
	t.Setenv("NOTIFY_SOCKET", name)
	t.Setenv("WATCHDOG_USEC", "200000")
	t.Setenv("WATCHDOG_PID", "")
	p := new(health.Process)
	p.Started()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	began := time.Now()
	if err := Run(ctx, p); err == nil {
		t.Error("all messages arrived")
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it ended after %v", took)
	}
}
