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

	mu   sync.Mutex
	open map[oteltrace.SpanID]*entry
	lost int64
}

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
	return &Processor{r: r, open: map[oteltrace.SpanID]*entry{}}
}

var _ trace.SpanProcessor = (*Processor)(nil)

// OnStart implements trace.SpanProcessor.
func (p *Processor) OnStart(_ context.Context, s trace.ReadWriteSpan) {
	e := &entry{ctx: context.Background()}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.open) >= maxOpen {
		p.lost++
		return
	}
	if up, ok := p.open[s.Parent().SpanID()]; ok && !s.Parent().IsRemote() {
		e.ctx = up.ctx
	}
	switch s.SpanKind() {
	case oteltrace.SpanKindServer, oteltrace.SpanKindConsumer:
		e.ctx, e.end = p.r.Begin(context.Background())
	case oteltrace.SpanKindClient, oteltrace.SpanKindProducer:
		if name := peer(s.Attributes()); name != "" {
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
		if name := peer(s.Attributes()); name != "" { // it was not known at the start
			p.r.Start(e.ctx, name).Done(failed)
		}
	}
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
func peer(attrs []attribute.KeyValue) string {
	var service, address, port, system, broker, full string
	for _, kv := range attrs {
		switch kv.Key {
		case "peer.service":
			service = kv.Value.AsString()
		case "server.address", "net.peer.name":
			address = kv.Value.AsString()
		case "server.port", "net.peer.port":
			port = kv.Value.String()
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
			address, port = u.Hostname(), u.Port()
		}
	}
	_, numeric := netip.ParseAddr(address)
	switch {
	case service != "":
		return service
	case address != "" && (numeric != nil || system+broker == ""):
		if port != "" {
			return net.JoinHostPort(address, port)
		}
		return address
	case system != "":
		return system
	}
	return broker
}
