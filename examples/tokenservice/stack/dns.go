package stack

import (
	"context"
	"encoding/binary"
	"net"
	"sync/atomic"
)

// nameServer is a DNS server on loopback that knows one answer: every name is
// 127.0.0.1, or, while it is empty, there is no such name. That is what
// happened to DynamoDB's name in us-east-1 on 20 October 2025.
type nameServer struct {
	conn  net.PacketConn
	empty atomic.Bool
	done  chan struct{}
}

// startNameServer listens on a free port, and answers until close.
func startNameServer() (*nameServer, error) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	n := &nameServer{conn: conn, done: make(chan struct{})}
	go n.serve()
	return n, nil
}

// resolver asks this server, and nobody else.
func (n *nameServer) resolver() *net.Resolver {
	return &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "udp", n.conn.LocalAddr().String())
		},
	}
}

// close ends the server, and waits for its goroutine.
func (n *nameServer) close() {
	_ = n.conn.Close()
	<-n.done
}

// serve answers one packet after the other; it needs no more for a test.
func (n *nameServer) serve() {
	defer close(n.done)
	buf := make([]byte, 1500)
	for {
		size, from, err := n.conn.ReadFrom(buf)
		if err != nil {
			return // closed
		}
		if answer := n.answer(buf[:size]); answer != nil {
			_, _ = n.conn.WriteTo(answer, from)
		}
	}
}

// answer makes the response to a query with one question (RFC 1035, section
// 4.1), or nil if it is not one.
func (n *nameServer) answer(query []byte) []byte {
	const header, typeA = 12, 1
	if len(query) < header || binary.BigEndian.Uint16(query[4:]) != 1 {
		return nil
	}
	end := header // of the question: labels up to an empty one, type, class
	for end < len(query) && query[end] != 0 {
		end += int(query[end]) + 1
	}
	end += 1 + 4
	if end > len(query) {
		return nil
	}
	a := append([]byte(nil), query[:end]...)
	a[2], a[3] = 0x81, 0x80 // a response, recursion available
	for i := 6; i < header; i++ {
		a[i] = 0
	}
	switch {
	case n.empty.Load():
		a[3] |= 3 // NXDOMAIN
	case binary.BigEndian.Uint16(query[end-4:]) == typeA:
		a[7] = 1 // one answer: the question's name, type A, class IN, TTL 0, 127.0.0.1
		a = append(a, 0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1)
	}
	return a
}
