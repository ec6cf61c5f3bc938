package cacheotel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/failopen/failopen/cache"
)

// The attributes of spans, beside NameKey and ResultKey. ErrorTypeKey is the one
// of OpenTelemetry's conventions: here the type of the innermost error, never a
// text.
const (
	KeysKey      = attribute.Key("failopen.cache.keys")   // how many, of a span for many
	FoundKey     = attribute.Key("failopen.cache.found")  // how many of them
	AgeKey       = attribute.Key("failopen.cache.age")    // of a value, in seconds
	AnswerKey    = attribute.Key("failopen.cache.answer") // "value", "not_found", "not_modified" or "error"
	ErrorTypeKey = attribute.Key("error.type")
)

// Trace returns options whose loads and calls of the store each make a span,
// below that of the lookup which they are for; writes in the background make
// spans without a parent. What a BulletinStore does each second makes none.
//
//	span                  kind      attributes
//	cache.load            internal  name, answer
//	cache.load_many       internal  name, answer, keys, found
//	cache.store.get       client    name, answer
//	cache.store.get_many  client    name, answer, keys, found
//	cache.store.set       client    name, answer
//
// No span has a key, a value or the text of an error, since each may be a secret:
// an error shows as its type, in error.type. A span ends where the call does,
// within its time; use a span processor that does not block (the SDK's batch
// processor), or the store seems to be slow. A nil tracer changes nothing. For
// lookups, and the loader of a GetOrLoad, see [TraceLookups].
func Trace[V any](tracer trace.Tracer, o cache.Options[V]) cache.Options[V] {
	if tracer == nil {
		return o
	}
	t := &tracing{tracer, o.Name}
	if load := o.Load; load != nil {
		o.Load = traceLoad(t, load)
	}
	if load := o.LoadMany; load != nil {
		o.LoadMany = func(ctx context.Context, keys []string) (map[string]V, error) {
			return traced(ctx, t, "cache.load_many", trace.SpanKindInternal, many[V](keys), func(ctx context.Context) (map[string]V, error) {
				return load(ctx, keys)
			})
		}
	}
	if o.Store != nil && !isNil(o.Store) { // else New says so
		o.Store = t.store(o.Store)
	}
	return o
}

// traceLoad is a loader in a span.
func traceLoad[V any](t *tracing, load func(context.Context, string) (V, error)) func(context.Context, string) (V, error) {
	return func(ctx context.Context, key string) (V, error) {
		return traced(ctx, t, "cache.load", trace.SpanKindInternal, nil, func(ctx context.Context) (V, error) { return load(ctx, key) })
	}
}

// many are the attributes of a call for many keys.
func many[T any](keys []string) func(map[string]T) []attribute.KeyValue {
	return func(found map[string]T) []attribute.KeyValue {
		return []attribute.KeyValue{KeysKey.Int(len(keys)), FoundKey.Int(len(found))}
	}
}

// isNil also finds a nil pointer in an interface, which is not equal to nil.
func isNil(v any) bool {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Func, reflect.Chan:
		return r.IsNil()
	}
	return false
}

// tracing makes the spans of one cache.
type tracing struct {
	tracer trace.Tracer
	name   string // of the cache, as NameKey
}

// errUnwound is what a span says of a call that panicked, or ended its goroutine.
type errUnwound struct{}

func (errUnwound) Error() string { return "cacheotel: the call did not return" }

// traced makes a call within a span. attrs may be nil. The span ends also if the
// call panics or ends its goroutine, and says so; neither is contained here, as the
// cache does that. Attributes are not made when nobody records the span.
func traced[T any](ctx context.Context, t *tracing, span string, kind trace.SpanKind, attrs func(T) []attribute.KeyValue, call func(context.Context) (T, error)) (v T, err error) {
	ctx, s := t.tracer.Start(ctx, span, trace.WithSpanKind(kind), trace.WithAttributes(NameKey.String(t.name)))
	err = errUnwound{}
	defer func() {
		defer s.End()
		if !s.IsRecording() {
			return
		}
		s.SetAttributes(answer(err)...)
		if attrs != nil {
			s.SetAttributes(attrs(v)...)
		}
		if isFault(err) {
			s.SetStatus(codes.Error, "")
		}
	}()
	return call(ctx)
}

// isFault reports whether an error is one, and no answer of the origin or the store.
func isFault(err error) bool {
	return err != nil && !errors.Is(err, cache.ErrNotFound) && !errors.Is(err, cache.ErrNotModified)
}

// answer says what came of a call, without a word of what the error says.
func answer(err error) []attribute.KeyValue {
	switch {
	case err == nil:
		return []attribute.KeyValue{AnswerKey.String("value")}
	case errors.Is(err, cache.ErrNotModified):
		return []attribute.KeyValue{AnswerKey.String("not_modified")}
	case !isFault(err):
		return []attribute.KeyValue{AnswerKey.String("not_found")}
	}
	return []attribute.KeyValue{AnswerKey.String("error"), ErrorTypeKey.String(errorType(err))}
}

// errorType is the type of the innermost error, or what the caller's context said.
func errorType(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, cache.ErrStoreTimeout), errors.Is(err, cache.ErrLoadTimeout):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	for range 32 { // a chain may be a circle
		var inner error
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			inner = e.Unwrap()
		case interface{ Unwrap() []error }:
			if all := e.Unwrap(); len(all) > 0 {
				inner = all[len(all)-1]
			}
		}
		if inner == nil {
			break
		}
		err = inner
	}
	return fmt.Sprintf("%T", err)
}

// store returns s with spans, and with those of the optional interfaces that it
// has: the cache asks for them.
func (t *tracing) store(s cache.Store) cache.Store {
	plain := store{s, t}
	many, isBatch := s.(cache.BatchStore)
	cond, isConditional := s.(cache.ConditionalStore)
	board, isBulletin := s.(cache.BulletinStore)
	b, c, n := batch{many, t}, conditional{cond, t}, bulletin{board}
	type has struct{ batch, conditional, bulletin bool }
	switch (has{isBatch, isConditional, isBulletin}) {
	case has{true, true, true}:
		return struct {
			store
			batch
			conditional
			bulletin
		}{plain, b, c, n}
	case has{true, true, false}:
		return struct {
			store
			batch
			conditional
		}{plain, b, c}
	case has{true, false, true}:
		return struct {
			store
			batch
			bulletin
		}{plain, b, n}
	case has{true, false, false}:
		return struct {
			store
			batch
		}{plain, b}
	case has{false, true, true}:
		return struct {
			store
			conditional
			bulletin
		}{plain, c, n}
	case has{false, true, false}:
		return struct {
			store
			conditional
		}{plain, c}
	case has{false, false, true}:
		return struct {
			store
			bulletin
		}{plain, n}
	}
	return plain
}

// store is a Store, and a LogAttrer, which every one can be.
type store struct {
	s cache.Store
	t *tracing
}

func (s store) Get(ctx context.Context, key string) (cache.Item, error) {
	return traced(ctx, s.t, "cache.store.get", trace.SpanKindClient, nil, func(ctx context.Context) (cache.Item, error) { return s.s.Get(ctx, key) })
}

func (s store) Set(ctx context.Context, key string, item cache.Item) error {
	_, err := traced(ctx, s.t, "cache.store.set", trace.SpanKindClient, nil, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.s.Set(ctx, key, item)
	})
	return err
}

// LogAttrs passes on what the store says of itself; an optional interface must
// not get lost in a wrapper.
func (s store) LogAttrs() []slog.Attr {
	if l, ok := s.s.(cache.LogAttrer); ok {
		return l.LogAttrs()
	}
	return nil
}

type conditional struct {
	s cache.ConditionalStore
	t *tracing
}

func (c conditional) SetNewer(ctx context.Context, key string, item cache.Item) (stays int64, err error) {
	return traced(ctx, c.t, "cache.store.set", trace.SpanKindClient, nil, func(ctx context.Context) (int64, error) { return c.s.SetNewer(ctx, key, item) })
}

type batch struct {
	s cache.BatchStore
	t *tracing
}

func (b batch) GetMany(ctx context.Context, keys []string) (map[string]cache.Item, error) {
	return traced(ctx, b.t, "cache.store.get_many", trace.SpanKindClient, many[cache.Item](keys), func(ctx context.Context) (map[string]cache.Item, error) {
		return b.s.GetMany(ctx, keys)
	})
}

// bulletin has no spans: there would be one a second, of nobody's request.
type bulletin struct{ s cache.BulletinStore }

func (b bulletin) Append(ctx context.Context, key string, notes [][]byte, expires time.Time) error {
	return b.s.Append(ctx, key, notes, expires)
}

func (b bulletin) Notes(ctx context.Context, keys []string) (map[string][][]byte, error) {
	return b.s.Notes(ctx, keys)
}
