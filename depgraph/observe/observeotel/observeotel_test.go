package observeotel_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/failopen/failopen/depgraph/observe"
	"github.com/failopen/failopen/depgraph/observe/observeotel"
)

func TestProcessor(t *testing.T) {
	client := func(attrs ...attribute.KeyValue) []oteltrace.SpanStartOption {
		return []oteltrace.SpanStartOption{oteltrace.WithSpanKind(oteltrace.SpanKindClient), oteltrace.WithAttributes(attrs...)}
	}
	db := client(attribute.String("db.system", "redis"), attribute.String("server.address", "10.0.0.1"))
	for name, c := range map[string]struct {
		run  func(ctx context.Context, tr oteltrace.Tracer)
		want string
	}{
		"a call goes through": {func(ctx context.Context, tr oteltrace.Tracer) {
			ctx, in := tr.Start(ctx, "GET /", oteltrace.WithSpanKind(oteltrace.SpanKindServer))
			inner, local := tr.Start(ctx, "work")
			_, out := tr.Start(inner, "GET", db...)
			out.SetStatus(codes.Error, "x")
			out.End()
			local.End()
			in.SetStatus(codes.Error, "x")
			in.End()
		}, "redis 1/1 p1 a0 u0 f0"},
		"a call is absorbed": {func(ctx context.Context, tr oteltrace.Tracer) {
			ctx, in := tr.Start(ctx, "GET /", oteltrace.WithSpanKind(oteltrace.SpanKindServer))
			_, out := tr.Start(ctx, "GET", client(attribute.String("peer.service", "ads"), attribute.String("server.address", "x"))...)
			out.SetStatus(codes.Error, "x")
			out.End()
			in.End()
		}, "ads 1/1 p0 a1 u0 f0"},
		"named at the end": {func(ctx context.Context, tr oteltrace.Tracer) {
			ctx, in := tr.Start(ctx, "GET /", oteltrace.WithSpanKind(oteltrace.SpanKindServer))
			_, out := tr.Start(ctx, "GET", client()...)
			out.SetAttributes(attribute.String("url.full", "http://pay.example.com:81/x"))
			out.End()
			in.End()
		}, "pay.example.com 1/0 p0 a0 u0 f1"},
		"without a request": {func(ctx context.Context, tr oteltrace.Tracer) {
			_, out := tr.Start(ctx, "publish", oteltrace.WithSpanKind(oteltrace.SpanKindProducer), oteltrace.WithAttributes(attribute.String("messaging.system", "kafka")))
			out.SetStatus(codes.Error, "x")
			out.End()
		}, "kafka 1/1 p0 a0 u1 f0"},
		"a call without a name": {func(ctx context.Context, tr oteltrace.Tracer) {
			_, out := tr.Start(ctx, "GET", client()...)
			out.End()
			out.End()
		}, ""},
		"a parent elsewhere": {func(ctx context.Context, tr oteltrace.Tracer) {
			remote := oteltrace.NewSpanContext(oteltrace.SpanContextConfig{TraceID: oteltrace.TraceID{1}, SpanID: oteltrace.SpanID{2}, TraceFlags: oteltrace.FlagsSampled, Remote: true})
			ctx, in := tr.Start(oteltrace.ContextWithRemoteSpanContext(ctx, remote), "GET /", oteltrace.WithSpanKind(oteltrace.SpanKindServer))
			_, out := tr.Start(ctx, "GET", db...)
			out.End()
			in.End()
		}, "redis 1/0 p0 a0 u0 f1"},
	} {
		r, err := observe.New(observe.Options{Service: "web"})
		if err != nil {
			t.Fatal(err)
		}
		p := observeotel.New(r)
		tp := trace.NewTracerProvider(trace.WithSpanProcessor(p))
		c.run(t.Context(), tp.Tracer("test"))
		if err := tp.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range r.Edges() {
			got = append(got, fmt.Sprintf("%s %d/%d p%d a%d u%d f%d", e.To, e.Calls, e.Errors, e.Propagated, e.Absorbed, e.Unclear, e.Fine))
		}
		if text := strings.Join(got, "; "); text != c.want || p.Lost() != 0 {
			t.Errorf("%s: %q, want %q", name, text, c.want)
		}
	}
}

func call(tb testing.TB) (p *observeotel.Processor, span interface {
	trace.ReadOnlySpan
	trace.ReadWriteSpan
},
) {
	tb.Helper()
	r, err := observe.New(observe.Options{Service: "web", Names: map[string]string{"db:5432": "db"}})
	if err != nil {
		tb.Fatal(err)
	}
	p = observeotel.New(r)
	tp := trace.NewTracerProvider()
	_, s := tp.Tracer("test").Start(context.Background(), "GET", oteltrace.WithSpanKind(oteltrace.SpanKindClient),
		oteltrace.WithAttributes(attribute.String("server.address", "db"), attribute.Int("server.port", 5432)))
	return p, s.(interface {
		trace.ReadOnlySpan
		trace.ReadWriteSpan
	})
}

func TestProcessor_does_not_allocate(t *testing.T) {
	p, span := call(t)
	if n := testing.AllocsPerRun(200, func() { p.OnStart(context.Background(), span); p.OnEnd(span) }); n >= 1 {
		t.Errorf("a call allocates %v times", n)
	}
}

func BenchmarkProcessor(b *testing.B) {
	p, span := call(b)
	b.ReportAllocs()
	for b.Loop() {
		p.OnStart(context.Background(), span)
		p.OnEnd(span)
	}
}

// edges are what a recorder saw, in words.
func edges(r *observe.Recorder) string {
	var got []string
	for _, e := range r.Edges() {
		got = append(got, fmt.Sprintf("%s %d/%d", e.To, e.Calls, e.Errors))
	}
	return strings.Join(got, "; ")
}

// processor is one with a provider that records every span.
func processor(t *testing.T, o observe.Options) (*observeotel.Processor, *observe.Recorder, oteltrace.Tracer) {
	t.Helper()
	o.Service = "web"
	r, err := observe.New(o)
	if err != nil {
		t.Fatal(err)
	}
	p := observeotel.New(r)
	tp := trace.NewTracerProvider(trace.WithSpanProcessor(p))
	t.Cleanup(func() {
		if err := tp.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p, r, tp.Tracer("test")
}

func TestProcessor_names_the_other_side(t *testing.T) {
	s, i := attribute.String, attribute.Int
	for name, c := range map[string]struct {
		attrs []attribute.KeyValue
		want  string
	}{
		"nothing":                   {nil, ""},
		"peer.service before all":   {[]attribute.KeyValue{s("server.address", "db"), s("db.system", "mysql"), s("peer.service", "ledger")}, "ledger"},
		"a host and a port":         {[]attribute.KeyValue{s("server.address", "db"), i("server.port", 5432)}, "mapped"},
		"a port as text":            {[]attribute.KeyValue{s("server.address", "db"), s("server.port", "5432")}, "mapped"},
		"a port that is none":       {[]attribute.KeyValue{s("server.address", "db"), s("server.port", "http")}, "db"},
		"older names":               {[]attribute.KeyValue{s("net.peer.name", "db"), i("net.peer.port", 5432)}, "mapped"},
		"a host alone":              {[]attribute.KeyValue{s("server.address", "db")}, "db"},
		"a URL":                     {[]attribute.KeyValue{s("url.full", "http://db:5432/x?y=z")}, "mapped"},
		"an older URL":              {[]attribute.KeyValue{s("http.url", "https://user:secret@pay.example.com/x")}, "pay.example.com"},
		"a URL that is none":        {[]attribute.KeyValue{s("url.full", "http://[::1")}, ""},
		"a host before a URL":       {[]attribute.KeyValue{s("url.full", "http://other/"), s("server.address", "db")}, "db"},
		"a host of a database":      {[]attribute.KeyValue{s("server.address", "db.internal"), s("db.system.name", "mysql")}, "db.internal"},
		"a number of a database":    {[]attribute.KeyValue{s("server.address", "10.0.0.1"), i("server.port", 3306), s("db.system.name", "mysql")}, "mysql"},
		"IPv6 of a database":        {[]attribute.KeyValue{s("server.address", "fe80::1"), s("db.system", "mysql")}, "mysql"},
		"IPv6 and a port":           {[]attribute.KeyValue{s("server.address", "fe80::1"), i("server.port", 80)}, "[fe80::1]:80"},
		"a number alone":            {[]attribute.KeyValue{s("server.address", "10.0.0.1"), i("server.port", 80)}, "10.0.0.1"},
		"a digit in a name":         {[]attribute.KeyValue{s("server.address", "1st.internal"), s("db.system", "mysql")}, "1st.internal"},
		"a database":                {[]attribute.KeyValue{s("db.system", "redis")}, "redis"},
		"a broker":                  {[]attribute.KeyValue{s("messaging.system", "kafka")}, "kafka"},
		"a database and a broker":   {[]attribute.KeyValue{s("messaging.system", "kafka"), s("db.system", "redis")}, "redis"},
		"a service of an RPC":       {[]attribute.KeyValue{s("rpc.service", "shop.Cart")}, "shop.Cart"},
		"an RPC of a host":          {[]attribute.KeyValue{s("server.address", "cart"), s("rpc.service", "shop.Cart")}, "cart"},
		"an RPC of a number":        {[]attribute.KeyValue{s("server.address", "10.0.0.1"), s("rpc.service", "shop.Cart")}, "shop.Cart"},
		"an RPC, then its number":   {[]attribute.KeyValue{s("rpc.service", "shop.Cart"), s("server.address", "10.0.0.1")}, "shop.Cart"},
		"a broker and an RPC":       {[]attribute.KeyValue{s("messaging.system", "kafka"), s("rpc.service", "shop.Cart")}, "kafka"},
		"an RPC and a broker":       {[]attribute.KeyValue{s("rpc.service", "shop.Cart"), s("messaging.system", "kafka")}, "kafka"},
		"an RPC, and then its host": {[]attribute.KeyValue{s("rpc.service", "shop.Cart"), s("server.address", "cart")}, "cart"},
	} {
		for _, kind := range []oteltrace.SpanKind{oteltrace.SpanKindClient, oteltrace.SpanKindProducer} {
			_, r, tracer := processor(t, observe.Options{Names: map[string]string{"db:5432": "mapped"}})
			_, span := tracer.Start(t.Context(), "call", oteltrace.WithSpanKind(kind), oteltrace.WithAttributes(c.attrs...))
			span.SetStatus(codes.Error, "x")
			span.End()
			want := c.want
			if want != "" {
				want += " 1/1"
			}
			if got := edges(r); got != want {
				t.Errorf("%s, %s: %q, want %q", name, kind, got, want)
			}
		}
	}
}

// Requests are told apart however they nest, and only spans of calls are calls.
func TestProcessor_requests_inside_requests(t *testing.T) {
	p, r, tracer := processor(t, observe.Options{})
	start := func(ctx context.Context, kind oteltrace.SpanKind) (context.Context, oteltrace.Span) {
		return tracer.Start(ctx, "x", oteltrace.WithSpanKind(kind), oteltrace.WithAttributes(attribute.String("peer.service", "db")))
	}
	outer, request := start(t.Context(), oteltrace.SpanKindServer)
	inner, message := start(outer, oteltrace.SpanKindConsumer)
	_, local := start(inner, oteltrace.SpanKindInternal)
	_, call := start(inner, oteltrace.SpanKindClient)
	call.SetStatus(codes.Error, "x")
	call.End()
	local.SetStatus(codes.Error, "x")
	local.End()
	message.SetStatus(codes.Error, "x")
	message.End()
	request.End()
	e := r.Edges()
	if len(e) != 1 || e[0].Calls != 1 || e[0].Errors != 1 || e[0].Propagated != 1 || e[0].Absorbed != 0 || r.Requests() != 2 {
		t.Errorf("%+v, %d requests", e, r.Requests())
	}
	if err := p.ForceFlush(t.Context()); err != nil {
		t.Error(err)
	}
}

// A service that leaks spans loses those beyond the bound, counted, and no more.
func TestProcessor_spans_that_never_end(t *testing.T) {
	p, r, tracer := processor(t, observe.Options{})
	const bound = 100_000
	for range bound {
		tracer.Start(t.Context(), "leaked")
	}
	call := func() {
		_, span := tracer.Start(t.Context(), "call", oteltrace.WithSpanKind(oteltrace.SpanKindClient), oteltrace.WithAttributes(attribute.String("peer.service", "db")))
		span.End()
	}
	if p.Lost() != 0 {
		t.Errorf("%d of %d are lost", p.Lost(), bound)
	}
	call()
	call()
	if p.Lost() != 2 || edges(r) != "" {
		t.Errorf("%d are lost, and %s were seen", p.Lost(), edges(r))
	}
}

// However many addresses there are, each is named right.
func TestProcessor_more_addresses_than_it_remembers(t *testing.T) {
	_, r, tracer := processor(t, observe.Options{Names: map[string]string{"h:*": "h"}})
	for port := range 1200 {
		for range 2 {
			_, span := tracer.Start(t.Context(), "call", oteltrace.WithSpanKind(oteltrace.SpanKindClient),
				oteltrace.WithAttributes(attribute.String("server.address", "h"), attribute.Int("server.port", port+1)))
			span.End()
		}
	}
	if got := edges(r); got != "h 2400/0" || r.NotCounted() != 0 {
		t.Errorf("%s, %d not counted", got, r.NotCounted())
	}
}
