//go:build unix

package syslog

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/failopen/failopen/logsink"
	"github.com/failopen/failopen/logsink/batchtest"
)

// server reads syslog messages, and can be down or hang.
type server struct {
	t       *testing.T
	network string
	addr    string

	mu    sync.Mutex
	raw   []string
	l     io.Closer
	conns []net.Conn
	hangs chan struct{}
}

func newServer(t *testing.T, network string) *server {
	s := &server{t: t, network: network, addr: "127.0.0.1:0"}
	if strings.HasPrefix(network, "unix") {
		s.addr = filepath.Join(t.TempDir(), "log")
	}
	s.up()
	t.Cleanup(s.down)
	return s
}

func (s *server) up() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hangs != nil {
		close(s.hangs)
		s.hangs = nil
		return
	}
	if s.network == "unixgram" {
		c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.addr, Net: "unixgram"})
		if err != nil {
			s.t.Fatal(err)
		}
		s.l = c
		go s.datagrams(c)
		return
	}
	l, err := net.Listen(s.network, s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.l, s.addr = l, l.Addr().String()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			go s.stream(c)
		}
	}()
}

func (s *server) down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.l.Close()
	if s.network == "unixgram" {
		os.Remove(s.addr) //nolint:errcheck // the next listener tells
	}
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
}

func (s *server) hang() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hangs = make(chan struct{})
}

func (s *server) got(raw string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw = append(s.raw, raw)
}

func (s *server) wait() {
	s.mu.Lock()
	hangs := s.hangs
	s.mu.Unlock()
	if hangs != nil {
		<-hangs
	}
}

func (s *server) datagrams(c *net.UnixConn) {
	b := make([]byte, 1<<20)
	for {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		s.got(string(b[:n]))
		s.wait()
	}
}

func (s *server) stream(c net.Conn) {
	in := bufio.NewReader(c)
	for {
		s.wait()
		var n int
		if _, err := fmt.Fscanf(in, "%d ", &n); err != nil {
			return
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(in, b); err != nil {
			return
		}
		s.got(string(b))
	}
}

// format is RFC 5424's, with the text behind it.
var format = regexp.MustCompile(`^<(\d+)>1 (\S+) (\S+) (\S+) (\d+) - - ((?s:.*))$`)

func (s *server) texts() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, raw := range s.raw {
		m := format.FindStringSubmatch(raw)
		if m == nil {
			s.t.Errorf("not RFC 5424: %.100q", raw)
			continue
		}
		all = append(all, m[6])
	}
	return all
}

func TestDest_conforms(t *testing.T) {
	for _, network := range []string{"tcp", "unix", "unixgram"} {
		t.Run(network, func(t *testing.T) {
			batchtest.TestBatchDest(t, func(t *testing.T) batchtest.Subject {
				srv := newServer(t, network)
				d, err := New(Options{Network: network, Address: srv.addr, App: "test", Timeout: time.Second})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { d.Close() })
				// No Down: a server that dies loses what it had not read, and
				// nobody is told.
				return batchtest.Subject{Dest: d, Arrived: srv.texts, Up: srv.up, Hang: srv.hang}
			})
		})
	}
}

// A server that is started again, between batches.
func TestDest_reconnects(t *testing.T) {
	for _, network := range []string{"tcp", "unixgram"} {
		t.Run(network, func(t *testing.T) {
			srv := newServer(t, network)
			d, err := New(Options{Network: network, Address: srv.addr, App: "test"})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			s, err := logsink.New(logsink.Options{Batch: d, Linger: time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for i := range 5 {
				fmt.Fprintln(s, "line", i)
				if err := s.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				waitFor(t, func() bool { return len(srv.texts()) == i+1 })
				srv.down()
				srv.up()
				if d.dead != nil {
					<-d.dead // the sink is quiet, and the news of the end is here
				}
			}
			if want := []string{"line 0", "line 1", "line 2", "line 3", "line 4"}; !slices.Equal(srv.texts(), want) || d.Stats().Connected != 5 {
				t.Errorf("%q, %+v", srv.texts(), d.Stats())
			}
		})
	}
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 10_000 {
		if ok() {
			return
		}
		<-tick.C
	}
	t.Fatal("it did not happen")
}

func TestDest_format(t *testing.T) {
	d, err := New(Options{Network: "unixgram", Address: "x", App: "my app\n<0>", Host: "h", Facility: 16, MaxMessage: 5})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 25, 1, 2, 3, 4_000_000, time.FixedZone("", 3600))
	d.add(logsink.Record{Time: at, Priority: logsink.High, Data: []byte("too long\n")})
	m := format.FindStringSubmatch(string(d.buf))
	if m == nil || m[1] != "132" || m[2] != "2026-11-25T00:02:03.004Z" || m[3] != "h" || m[4] != "my_app_<0>" || m[6] != "too l" || d.Stats().Cut != 1 {
		t.Errorf("%q", d.buf)
	}
}

func TestNew_refuses_contradictions(t *testing.T) {
	for want, o := range map[string]Options{
		"Options.Network and Options.Address": {App: "a"},
		"Options.App must be set":             {Network: "tcp", Address: "x"},
		"Options.Facility is 24":              {Network: "tcp", Address: "x", App: "a", Facility: 24},
		`Options.Network is "ip"`:             {Network: "ip", Address: "x", App: "a"},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
