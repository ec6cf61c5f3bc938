package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The file is a server of names in little: what the stub is (dnsStub), how it
// is asked (serveUDP, serveTCP), what it says (answer, ask), and the bytes of
// it (dnsName, dnsFailure). It parses no more than the one question of a
// message; everything that it passes on it passes on unread. The last part is
// the file that tells programs of it, resolv.conf(5).

// dnsStub is a server of names on loopback that answers some of them with a
// failure, and asks the machine's own servers for the others. It speaks UDP and
// TCP (RFC 1035), and passes on messages of others as they are: EDNS, DNSSEC
// and types that it has never heard of work as without it.
//
// The fields are set before it starts; hits is read at any time. Each question
// has a goroutine, bounded by slots; close waits for all of them.
type dnsStub struct {
	o       dnsOptions
	udp     net.PacketConn
	tcp     net.Listener
	servers []string // host:port
	slots   chan struct{}
	hits    atomic.Int64

	ctx  context.Context
	stop context.CancelFunc
	all  sync.WaitGroup
}

// 256 questions at once are several times what a program asks; five seconds is
// what resolvers wait by default (resolv.conf(5), timeout); 64 KiB is the
// longest message that TCP's two bytes of length can announce.
// Bounds of the stub.
const (
	dnsAtOnce  = 256
	dnsTimeout = 5 * time.Second
	dnsLongest = 64 << 10
)

// DNS's codes of an answer.
const (
	rcodeServFail = 2
	rcodeNXDomain = 3
)

// startDNS listens on an address of loopback that no other server has, on port
// 53: /etc/resolv.conf can name no other port. UDP comes first, and TCP on the
// same address; who cannot have both has none.
func startDNS(o dnsOptions, servers []string, addr string) (*dnsStub, error) {
	s := &dnsStub{o: o, servers: servers, slots: make(chan struct{}, dnsAtOnce)}
	var err error
	if s.udp, err = net.ListenPacket("udp", addr); err != nil {
		return nil, err
	}
	if s.tcp, err = net.Listen("tcp", s.udp.LocalAddr().String()); err != nil {
		return nil, errors.Join(err, s.udp.Close())
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.all.Go(s.serveUDP)
	s.all.Go(s.serveTCP)
	return s, nil
}

// close ends the stub, its listeners and every question that waits, and returns
// when nothing of it runs any more.
func (s *dnsStub) close() {
	s.stop()
	_ = s.udp.Close() // and with it serveUDP
	_ = s.tcp.Close()
	s.all.Wait()
}

// slot bounds how many questions are worked on; a question too many is dropped,
// as a server under load does.
//
// It reports whether there was room. A slow answer holds its place for as long
// as it is slow.
func (s *dnsStub) slot(f func()) bool {
	select {
	case s.slots <- struct{}{}:
	default:
		return false
	}
	s.all.Go(func() {
		defer func() { <-s.slots }()
		f()
	})
	return true
}

// serveUDP answers packets until the stub ends. An error of one packet, such as
// a port that is closed by now, is none of the socket.
func (s *dnsStub) serveUDP() {
	buf := make([]byte, dnsLongest)
	for {
		n, from, err := s.udp.ReadFrom(buf)
		if s.ctx.Err() != nil {
			return
		}
		if err != nil {
			continue // of one packet
		}
		// The buffer is used for the next packet while this one is worked on.
		question := append([]byte(nil), buf[:n]...)
		s.slot(func() {
			if answer := s.answer(question, "udp"); answer != nil {
				_, _ = s.udp.WriteTo(answer, from) // who asked may have gone
			}
		})
	}
}

// serveTCP answers one question a connection, which is all that resolvers ask
// when an answer was too long for UDP.
func (s *dnsStub) serveTCP() {
	for {
		c, err := s.tcp.Accept()
		if s.ctx.Err() != nil {
			return
		}
		if err != nil {
			select { // out of file descriptors
			case <-time.After(10 * time.Millisecond):
			case <-s.ctx.Done():
			}
			continue
		}
		ok := s.slot(func() {
			defer func() { _ = c.Close() }() // it is done
			_ = c.SetDeadline(time.Now().Add(dnsTimeout + s.o.delay))
			question, err := readDNS(c)
			if err != nil {
				return
			}
			if answer := s.answer(question, "tcp"); answer != nil {
				_ = writeDNS(c, answer) // who asked may have gone
			}
		})
		if !ok {
			_ = c.Close() // there is no room
		}
	}
}

// answer answers one question; nil: not at all, as for what is none. A slow
// answer is the true one, late. The name that is there and has no address is
// NOERROR with no records ("NODATA", RFC 2308), which programs take otherwise
// than NXDOMAIN.
func (s *dnsStub) answer(question []byte, network string) []byte {
	name, end, err := dnsName(question)
	if err != nil {
		return nil
	}
	if !s.o.matches(name) {
		return s.ask(question, network)
	}
	// Counted when it is asked: a slow answer that nobody waits for was a hit,
	// too.
	s.hits.Add(1)
	switch s.o.how {
	case "slow":
		timer := time.NewTimer(s.o.delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.ctx.Done():
			return nil
		}
		return s.ask(question, network)
	case "servfail":
		return dnsFailure(question, end, rcodeServFail)
	case "nxdomain":
		return dnsFailure(question, end, rcodeNXDomain)
	}
	return dnsFailure(question, end, 0) // the name is there, and has no address
}

// ask asks the machine's own servers in their order, the next one if one does
// not answer in time; SERVFAIL if none does, as a resolver would say.
// Each gets dnsTimeout, so a question may take that long for each server.
func (s *dnsStub) ask(question []byte, network string) []byte {
	for _, server := range s.servers {
		ctx, cancel := context.WithTimeout(s.ctx, dnsTimeout)
		answer, err := exchange(ctx, network, server, question)
		cancel()
		if err == nil {
			return answer
		}
	}
	_, end, err := dnsName(question)
	if err != nil {
		return nil
	}
	return dnsFailure(question, end, rcodeServFail)
}

// exchange sends one question to one server, and returns the answer as it is.
// The answer's ID is not compared: the socket is connected, so that only this server
// can answer it, and the program compares it itself.
//
// ctx must have a deadline: it bounds the write and the read as well.
func exchange(ctx context.Context, network, server string, question []byte) ([]byte, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }() // it is done
	deadline, _ := ctx.Deadline()
	_ = c.SetDeadline(deadline)
	if network == "tcp" {
		if err := writeDNS(c, question); err != nil {
			return nil, err
		}
		return readDNS(c)
	}
	if _, err := c.Write(question); err != nil {
		return nil, err
	}
	buf := make([]byte, dnsLongest)
	n, err := c.Read(buf)
	return buf[:n], err
}

// readDNS reads a message of TCP, which has its length before it.
func readDNS(c net.Conn) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(c, message)
	return message, err
}

// writeDNS writes a message with its length before it, in one write.
func writeDNS(c net.Conn, message []byte) error {
	_, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...))
	return err
}

// dnsHeader is the length of a message's header.
const dnsHeader = 12

// dnsName reads the name in a question, and where the question ends. It takes
// messages with one question, which are all that there are in practice, and no
// compression, which a question has no use for. It never reads beyond the
// message.
func dnsName(message []byte) (name string, end int, err error) {
	bad := errors.New("it is no question of DNS")
	if len(message) < dnsHeader || message[2]&0x80 != 0 || binary.BigEndian.Uint16(message[4:]) != 1 {
		return "", 0, bad
	}
	var labels []string
	at := dnsHeader
	for {
		if at >= len(message) {
			return "", 0, bad
		}
		n := int(message[at])
		at++
		if n == 0 {
			break
		}
		// A label has at most 63 bytes; the two bits above mean a pointer (RFC
		// 1035, 4.1.4).
		if n > 63 || at+n > len(message) || at-dnsHeader > 255 {
			return "", 0, bad
		}
		labels = append(labels, string(message[at:at+n]))
		at += n
	}
	if at+4 > len(message) {
		return "", 0, bad
	}
	return strings.Join(labels, "."), at + 4, nil
}

// dnsFailure is an answer without records: the header and the question of the
// message up to end, as an answer with a code (RFC 1035, 4.1.1).
// Additional records of the question, such as EDNS, are left out: a failure needs
// none.
func dnsFailure(question []byte, end int, rcode byte) []byte {
	answer := append([]byte(nil), question[:end]...)
	answer[2] = 0x80 | question[2]&0x79 // an answer, to the same kind of question
	answer[3] = 0x80 | rcode            // recursion is available
	clear(answer[6:dnsHeader])          // no records
	return answer
}

// resolvConf is where programs learn whom to ask for names.
const resolvConf = "/etc/resolv.conf"

// nameServers are those of a resolv.conf, and its lines that are not about
// them. A server that is no address of IP is left out: the text is written to a
// file again.
func nameServers(text string) (servers, rest []string) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) >= 2 && fields[0] == "nameserver" {
			if ip, _, _ := strings.Cut(fields[1], "%"); net.ParseIP(ip) != nil {
				servers = append(servers, net.JoinHostPort(fields[1], "53"))
			}
			continue
		}
		if len(fields) > 0 && !strings.HasPrefix(fields[0], "#") {
			rest = append(rest, strings.TrimSpace(line))
		}
	}
	return servers, rest
}

// privateResolvConf writes the file that the program gets to see: the stub as
// the only server, and the machine's own search list and options. It is
// readable by all, since the program may be another user's.
func privateResolvConf(stub net.Addr, rest []string) (name string, err error) {
	host, _, err := net.SplitHostPort(stub.String())
	if err != nil {
		return "", err
	}
	f, err := os.CreateTemp("", "drill-resolv-*.conf")
	if err != nil {
		return "", err
	}
	_, err = fmt.Fprintf(f, "# written by drill exec --dns\nnameserver %s\n%s\n", host, strings.Join(rest, "\n"))
	return f.Name(), errors.Join(err, f.Chmod(0o644), f.Close())
}
