// Package syslog is a destination for a logsink.Sink: a syslog server, spoken to
// in RFC 5424, over a Unix socket or TCP. It reconnects as long as it must.
//
//	dest, err := syslog.New(syslog.Options{Network: "unixgram", Address: "/dev/log", App: "orders"})
//	sink, err := logsink.New(logsink.Options{Batch: dest})
//
// WriteBatch is the way through: connect, add for each record, send.
package syslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/failopen/failopen/logsink"
)

// Options of a [Dest].
type Options struct {
	// Network and Address are those of net.Dial: "unixgram" and "/dev/log",
	// "unix", "tcp" and "collector:601". Both are required.
	Network, Address string
	// App names the program. Required.
	App string
	// Host names the machine. Default os.Hostname.
	Host string
	// Facility is 0 to 23. Default 1, user-level messages.
	Facility int
	// Severity is 0, emergency, to 7, debug. Default 4, warning, for the high
	// lane and 6, informational, for the normal one. It must be safe for use by
	// the goroutine of the sink.
	Severity func(logsink.Record) int
	// Timeout bounds a connection's opening and every write. Default 5 s.
	Timeout time.Duration
	// MaxMessage is the longest text in bytes; a longer one is cut. Default
	// 8192 for datagrams, and 1 MiB.
	MaxMessage int
	// Dial opens the connection, for TLS or a proxy. Default net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Dest is a [logsink.BatchDest]. Make it with [New] and use it for one Sink.
//
// A text is sent without its line break. On a stream every message has its
// length in front of it (octet counting, RFC 6587), so that a line break in the
// text makes no second message. On a stream a server that dies loses what it had
// not read: TCP does not tell.
type Dest struct {
	opt    Options
	header []byte // host, app and process
	stream bool

	// Of WriteBatch, which one goroutine calls; Close comes after it.
	conn net.Conn
	dead chan struct{} // closed when the server has closed conn, a stream
	buf  []byte

	mu    sync.Mutex
	stats Stats
}

// Stats says how a Dest fares. What became of the records is in the Sink's own.
type Stats struct {
	Connected int64 `json:"connected"` // times that a connection was opened
	Cut       int64 `json:"cut"`       // texts that were too long
}

// New makes a Dest. It makes no connection and fails only for Options that can
// never work.
func New(o Options) (*Dest, error) {
	switch {
	case o.Network == "" || o.Address == "":
		return nil, errors.New("syslog: Options.Network and Options.Address must be set")
	case o.App == "":
		return nil, errors.New("syslog: Options.App must be set")
	case o.Facility < 0 || o.Facility > 23:
		return nil, fmt.Errorf("syslog: Options.Facility is %d; it is 0 to 23", o.Facility)
	case o.Timeout < 0 || o.MaxMessage < 0:
		return nil, fmt.Errorf("syslog: Options.Timeout is %v and Options.MaxMessage %d; neither can be negative", o.Timeout, o.MaxMessage)
	}
	d := &Dest{opt: o}
	switch o.Network {
	case "unix", "tcp", "tcp4", "tcp6":
		d.stream = true
	case "unixgram", "udp", "udp4", "udp6":
	default:
		return nil, fmt.Errorf("syslog: Options.Network is %q; it is unixgram, unix, tcp or udp", o.Network)
	}
	if o.Facility == 0 {
		d.opt.Facility = 1
	}
	if o.Timeout == 0 {
		d.opt.Timeout = 5 * time.Second
	}
	if o.MaxMessage == 0 {
		d.opt.MaxMessage = 8192
		if d.stream {
			d.opt.MaxMessage = 1 << 20
		}
	}
	if o.Host == "" {
		o.Host, _ = os.Hostname() // without one it is "-"
	}
	if o.Severity == nil {
		d.opt.Severity = severity
	}
	if o.Dial == nil {
		d.opt.Dial = (&net.Dialer{}).DialContext
	}
	d.header = fmt.Appendf(nil, " %s %s %d - - ", word(o.Host, 255), word(o.App, 48), os.Getpid())
	return d, nil
}

// severity is the default of Options.Severity.
func severity(r logsink.Record) int {
	if r.Priority == logsink.High {
		return 4
	}
	return 6
}

// word makes s a name as RFC 5424 has them: printable ASCII, no spaces.
// What is not, becomes an underscore; nothing at all is "-", RFC 5424's nil. A name from
// outside cannot end the header by that, or begin another message.
func word(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, s)
	if s == "" {
		return "-"
	}
	return s[:min(len(s), most)]
}

// Stats returns a snapshot.
func (d *Dest) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stats
}

// perCall is how many bytes of a stream go in one write.
// More would make a time-out of a slow server likelier, less a call for every few records.
const perCall = 64 << 10

// WriteBatch sends the front of recs. It is for the Sink.
//
// A datagram is one message; on a stream many go in one write. With an error Done counts
// the writes before it, and the rest comes again on a new connection: what the failed write
// had taken of it may come twice.
func (d *Dest) WriteBatch(ctx context.Context, recs []logsink.Record) (logsink.BatchResult, error) {
	if err := d.connect(ctx); err != nil {
		return logsink.BatchResult{}, fmt.Errorf("syslog: %w", err)
	}
	done := 0
	for done < len(recs) && ctx.Err() == nil {
		n := 0
		for d.buf = d.buf[:0]; done+n < len(recs) && (n == 0 || d.stream && len(d.buf) < perCall); n++ {
			d.add(recs[done+n])
		}
		if err := d.send(ctx); err != nil {
			d.conn.Close() //nolint:errcheck // it is broken
			d.conn, d.dead = nil, nil
			return logsink.BatchResult{Done: done}, fmt.Errorf("syslog: %w", err)
		}
		done += n
	}
	return logsink.BatchResult{Done: done}, ctx.Err()
}

// connect opens a connection, also if the server has closed the one there is: a
// write to that would seem to work.
//
// The goroutine that reads a stream finds out that it was closed, and ends with it. A
// datagram socket has no end: the error of the next send tells.
func (d *Dest) connect(ctx context.Context) error {
	select {
	case <-d.dead:
		d.conn.Close() //nolint:errcheck // it is closed at the other end
		d.conn, d.dead = nil, nil
	default:
	}
	if d.conn != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, d.opt.Timeout)
	defer cancel()
	conn, err := d.opt.Dial(ctx, d.opt.Network, d.opt.Address)
	if err != nil {
		return err
	}
	d.conn = conn
	if d.stream {
		dead := make(chan struct{})
		d.dead = dead
		go func() { // a server says nothing, until it closes
			defer close(dead)
			io.Copy(io.Discard, conn) //nolint:errcheck // whatever it is, it ends
		}()
	}
	d.mu.Lock()
	d.stats.Connected++
	d.mu.Unlock()
	return nil
}

// send writes what is in buf, until ctx ends at the latest.
// A ctx that ends sets the write free by its deadline.
func (d *Dest) send(ctx context.Context) error {
	if len(d.buf) == 0 {
		return nil
	}
	if err := d.conn.SetWriteDeadline(time.Now().Add(d.opt.Timeout)); err != nil {
		return err
	}
	conn := d.conn
	stop := context.AfterFunc(ctx, func() {
		conn.SetWriteDeadline(time.Now()) //nolint:errcheck // then Timeout ends it
	})
	defer stop()
	_, err := d.conn.Write(d.buf)
	return err
}

// add appends a record as a message to buf. An empty text is none.
// Stats counts the ones that are cut. MSG is sent as it is: RFC 5424 lets it be any octets.
func (d *Dest) add(r logsink.Record) {
	text := bytes.TrimRight(r.Data, "\r\n")
	if len(text) == 0 {
		return
	}
	if len(text) > d.opt.MaxMessage {
		text = text[:d.opt.MaxMessage]
		d.mu.Lock()
		d.stats.Cut++
		d.mu.Unlock()
	}
	var head [128]byte
	b := append(head[:0], '<')
	b = strconv.AppendInt(b, int64(d.opt.Facility*8+min(max(d.opt.Severity(r), 0), 7)), 10)
	b = append(b, ">1 "...)
	b = r.Time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	if d.stream {
		d.buf = strconv.AppendInt(d.buf, int64(len(b)+len(d.header)+len(text)), 10)
		d.buf = append(d.buf, ' ')
	}
	d.buf = append(append(append(d.buf, b...), d.header...), text...)
}

// Close closes the connection. It is for after the sink's Shutdown.
// It flushes nothing: what WriteBatch said is done was written.
func (d *Dest) Close() error {
	if d.conn == nil {
		return nil
	}
	return d.conn.Close()
}
