// Package observeotel lets a Recorder of package observe see the calls that an
// OpenTelemetry instrumentation records anyway: teams with otelhttp, otelgrpc
// or otelaws need no other wrapper. It is a module of its own, so that users of
// package observe do not get OpenTelemetry.
//
//	tp := trace.NewTracerProvider(trace.WithSpanProcessor(observeotel.New(rec)), …)
//
// It sees the spans that are recorded. With a sampler that drops spans, what is
// dropped is not seen; one that answers RecordOnly keeps it.
package observeotel

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/failopen/failopen/depgraph/observe"
)

// Processor is a trace.SpanProcessor. Server and consumer spans are requests,
// client and producer spans calls, named after peer.service, the address of the
// other side, or the system of a database or a broker.
// The names are those of OpenTelemetry's semantic conventions: server.address and server.port,
// db.system.name and messaging.system, with their older spellings.
//
// It may be used by several providers and goroutines. mu is held for a few look-ups, and
// while the Recorder is asked, never across a call out of the two packages.
type Processor struct {
	r *observe.Recorder

	mu        sync.Mutex
	open      map[oteltrace.SpanID]*entry
	addresses map[hostPort]string // joined already: a call allocates nothing
	lost      int64

	pool sync.Pool // of *entry
}

// hostPort is the key of an address; a string of both would have to be made first.
type hostPort struct {
	host string
	port int64
}

// maxAddresses bounds what is kept of addresses; joining others again costs an
// allocation and nothing else.
const maxAddresses = 1000

// entry is a span that has not ended.
//
// A span of another kind than a request or a call is kept for its ctx alone, so that what
// is called below it belongs to the right request.
type entry struct {
	ctx   context.Context // carries the request that it belongs to
	end   func(failed bool)
	start observe.Start
	call  bool
}

// maxOpen bounds the spans that are open at a time; a service that leaks spans
// loses what is beyond.
const maxOpen = 100_000

// New returns a processor that records into r. It may be used by several
// providers. It exports nothing.
func New(r *observe.Recorder) *Processor {
	return &Processor{r: r, open: map[oteltrace.SpanID]*entry{}, addresses: map[hostPort]string{}, pool: sync.Pool{New: func() any { return new(entry) }}}
}

var _ trace.SpanProcessor = (*Processor)(nil)

// OnStart implements trace.SpanProcessor.
//
// A parent in this process hands its request on; one in another process, or one that was not
// recorded, has none. The context that the SDK passes is not used: it is the caller's, and
// has the span and not the request.
func (p *Processor) OnStart(_ context.Context, s trace.ReadWriteSpan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.open) >= maxOpen {
		p.lost++
		return
	}
	e := p.pool.Get().(*entry)
	*e = entry{ctx: context.Background()}
	if up, ok := p.open[s.Parent().SpanID()]; ok && !s.Parent().IsRemote() {
		e.ctx = up.ctx
	}
	switch s.SpanKind() {
	case oteltrace.SpanKindServer, oteltrace.SpanKindConsumer:
		e.ctx, e.end = p.r.Begin(context.Background())
	case oteltrace.SpanKindClient, oteltrace.SpanKindProducer:
		if name := p.peer(s.Attributes()); name != "" {
			e.call, e.start = true, p.r.Start(e.ctx, name)
		}
	}
	p.open[s.SpanContext().SpanID()] = e
}

// OnEnd implements trace.SpanProcessor.
//
// A span has failed if its status is an error, which is what instrumentations set for 5xx on
// both sides. A call that is named only now counts as one that began now, so that in a request
// it looks like a retry of those that ended before.
func (p *Processor) OnEnd(s trace.ReadOnlySpan) {
	id := s.SpanContext().SpanID()
	p.mu.Lock()
	e := p.open[id]
	delete(p.open, id)
	p.mu.Unlock()
	if e == nil {
		return
	}
	failed := s.Status().Code == codes.Error
	switch {
	case e.end != nil:
		e.end(failed)
	case e.call:
		e.start.Done(failed)
	case s.SpanKind() == oteltrace.SpanKindClient, s.SpanKind() == oteltrace.SpanKindProducer:
		p.mu.Lock()
		name := p.peer(s.Attributes()) // it was not known at the start
		p.mu.Unlock()
		if name != "" {
			p.r.Start(e.ctx, name).Done(failed)
		}
	}
	*e = entry{}
	p.pool.Put(e)
}

// Lost counts spans that were not seen, as too many were open.
func (p *Processor) Lost() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// Shutdown implements trace.SpanProcessor. There is nothing to shut down: the
// Recorder keeps what it has.
func (p *Processor) Shutdown(context.Context) error { return nil }

// ForceFlush implements trace.SpanProcessor. Nothing is buffered.
func (p *Processor) ForceFlush(context.Context) error { return nil }

// peer names the other side by OpenTelemetry's conventions, old and new.
//
// The first of these that is given: peer.service, the host with its port, the system of a
// database, of a broker, or the service of an RPC. An address that is a number gives way to
// a system, as numbers change with every deployment. "" means that nothing names it.
func (p *Processor) peer(attrs []attribute.KeyValue) string {
	var service, address, system, broker, rpc, full string
	var port int64
	for _, kv := range attrs {
		switch kv.Key {
		case "peer.service":
			service = kv.Value.AsString()
		case "server.address", "net.peer.name":
			address = kv.Value.AsString()
		case "server.port", "net.peer.port":
			port = portOf(kv.Value)
		case "db.system.name", "db.system":
			system = kv.Value.AsString()
		case "messaging.system":
			broker = kv.Value.AsString()
		case "rpc.service":
			rpc = kv.Value.AsString()
		case "url.full", "http.url":
			full = kv.Value.AsString()
		}
	}
	if address == "" && full != "" {
		if u, err := url.Parse(full); err == nil {
			address = u.Hostname()
			port, _ = strconv.ParseInt(u.Port(), 10, 32) // without one, 0
		}
	}
	switch {
	case service != "":
		return service
	case address != "" && (system == "" && broker == "" && rpc == "" || !numeric(address)):
		return p.join(address, port)
	}
	return cmp.Or(system, broker, rpc)
}

// portOf reads a port, which some write as text.
func portOf(v attribute.Value) int64 {
	if v.Type() == attribute.STRING {
		n, _ := strconv.ParseInt(v.AsString(), 10, 32) // what is no number is no port
		return n
	}
	return v.AsInt64()
}

// join is net.JoinHostPort that remembers. It is called with the lock.
func (p *Processor) join(host string, port int64) string {
	if port == 0 {
		return host
	}
	k := hostPort{host, port}
	if s, ok := p.addresses[k]; ok {
		return s
	}
	s := net.JoinHostPort(host, strconv.FormatInt(port, 10))
	if len(p.addresses) < maxAddresses {
		p.addresses[k] = s
	}
	return s
}

// numeric reports whether an address is one of numbers, which says less than
// the name of a system.
func numeric(address string) bool {
	if address[0] > '9' && !strings.Contains(address, ":") {
		return false // a failed ParseAddr allocates
	}
	_, err := netip.ParseAddr(address)
	return err == nil
}
