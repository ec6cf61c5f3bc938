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
