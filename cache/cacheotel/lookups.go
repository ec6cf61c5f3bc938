package cacheotel

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/failopen/failopen/cache"
)

// Lookups is a cache.Cache whose lookups make spans, which cost about a
// microsecond each, also for a local hit: trace them where requests are few, or
// where the tracer samples. Its other methods are those of the Cache.
type Lookups[V any] struct {
	*cache.Cache[V] // whose methods without a span are promoted
	t               *tracing
}

// TraceLookups returns c with a span for each Get, GetOrLoad, Lookup, LookupWith
// and Refresh ("cache.lookup"), and for each GetMany and LookupMany
// ("cache.lookup_many"): with the name, what came of it (AnswerKey), and either
// where it was found (ResultKey, as in the metrics) and its age, or how many keys
// were asked for and found. For the loads and calls of the store below them see
// [Trace]; for its secrets, too. It returns an error if tracer or c is nil.
func TraceLookups[V any](tracer trace.Tracer, name string, c *cache.Cache[V]) (*Lookups[V], error) {
	switch {
	case tracer == nil:
		return nil, errors.New("cacheotel: tracer is nil")
	case c == nil:
		return nil, errors.New("cacheotel: cache is nil")
	}
	return &Lookups[V]{c, &tracing{tracer, name}}, nil
}

// one makes the span of a lookup.
func (l *Lookups[V]) one(ctx context.Context, lookup func(context.Context) cache.Result[V]) cache.Result[V] {
	r, _ := traced(orBackground(ctx), l.t, "cache.lookup", trace.SpanKindInternal, found[V], func(ctx context.Context) (cache.Result[V], error) {
		r := lookup(ctx)
		return r, r.Err
	})
	return r
}

// found are the attributes of a result.
func found[V any](r cache.Result[V]) []attribute.KeyValue {
	switch {
	case r.Source != cache.SourceUnknown:
		return []attribute.KeyValue{ResultKey.String(r.Source.String()), AgeKey.Float64(r.Age.Seconds())}
	case r.Err != nil && (errors.Is(r.Err, context.Canceled) || errors.Is(r.Err, context.DeadlineExceeded)):
		return []attribute.KeyValue{ResultKey.String("canceled")}
	}
	return []attribute.KeyValue{ResultKey.String("failed")}
}

// orBackground is what the Cache makes of a nil context, for a tracer, which makes
// nothing of it.
func orBackground(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}

// Get is that of the Cache, in a span.
func (l *Lookups[V]) Get(ctx context.Context, key string) (V, error) {
	r := l.Lookup(ctx, key)
	return r.Value, r.Err
}

// Lookup is that of the Cache, in a span.
func (l *Lookups[V]) Lookup(ctx context.Context, key string) cache.Result[V] {
	return l.one(ctx, func(ctx context.Context) cache.Result[V] { return l.Cache.Lookup(ctx, key) })
}

// LookupWith is that of the Cache, in a span.
func (l *Lookups[V]) LookupWith(ctx context.Context, key string, o cache.LookupOptions) cache.Result[V] {
	return l.one(ctx, func(ctx context.Context) cache.Result[V] { return l.Cache.LookupWith(ctx, key, o) })
}

// Refresh is that of the Cache, in a span.
func (l *Lookups[V]) Refresh(ctx context.Context, key string) (V, error) {
	r := l.LookupWith(ctx, key, cache.LookupOptions{MaxAge: -1, NoStale: true})
	return r.Value, r.Err
}

// GetOrLoad is that of the Cache, in a span, and with one for the load. The span
// does not tell where the value came from.
func (l *Lookups[V]) GetOrLoad(ctx context.Context, key string, load func(ctx context.Context, key string) (V, error)) (V, error) {
	if load != nil {
		load = traceLoad(l.t, load)
	}
	return traced(orBackground(ctx), l.t, "cache.lookup", trace.SpanKindInternal, nil, func(ctx context.Context) (V, error) {
		return l.Cache.GetOrLoad(ctx, key, load)
	})
}

// GetMany is that of the Cache, in a span.
func (l *Lookups[V]) GetMany(ctx context.Context, keys []string) (map[string]V, error) {
	return traced(orBackground(ctx), l.t, "cache.lookup_many", trace.SpanKindInternal, many[V](keys), func(ctx context.Context) (map[string]V, error) {
		return l.Cache.GetMany(ctx, keys)
	})
}

// LookupMany is that of the Cache, in a span.
func (l *Lookups[V]) LookupMany(ctx context.Context, keys []string) map[string]cache.Result[V] {
	count := func(results map[string]cache.Result[V]) []attribute.KeyValue {
		n := 0
		for _, r := range results {
			if r.Err == nil {
				n++
			}
		}
		return []attribute.KeyValue{KeysKey.Int(len(keys)), FoundKey.Int(n)}
	}
	results, _ := traced(orBackground(ctx), l.t, "cache.lookup_many", trace.SpanKindInternal, count, func(ctx context.Context) (map[string]cache.Result[V], error) {
		return l.Cache.LookupMany(ctx, keys), nil
	})
	return results
}
