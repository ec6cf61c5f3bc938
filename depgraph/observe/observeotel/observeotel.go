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
type Processor struct {
	r *observe.Recorder

	mu        sync.Mutex
	open      map[oteltrace.SpanID]*entry
	addresses map[hostPort]string // joined already: a call allocates nothing
	lost      int64

	pool sync.Pool // of *entry
}

type hostPort struct {
	host string
	port int64
}

// maxAddresses bounds what is kept of addresses; joining others again costs an
// allocation and nothing else.
const maxAddresses = 1000

// entry is a span that has not ended.
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
func (p *Processor) peer(attrs []attribute.KeyValue) string {
	var service, address, system, broker, full string
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
			if address == "" {
				broker = kv.Value.AsString()
			}
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
	case address != "" && (system+broker == "" || !numeric(address)):
		return p.join(address, port)
	case system != "":
		return system
	}
	return broker
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
