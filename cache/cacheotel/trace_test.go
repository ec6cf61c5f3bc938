package cacheotel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

const secret = "token-of-a-user"

// recorder returns a tracer and what it has recorded.
func recorder(t *testing.T) (trace.Tracer, *tracetest.SpanRecorder) {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	p := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	t.Cleanup(func() { _ = p.Shutdown(context.WithoutCancel(t.Context())) })
	return p.Tracer("test"), spans
}

// ended returns what the spans say, one line each, children indented, in the order
// of their start. No span may say a secret.
func ended(t *testing.T, spans *tracetest.SpanRecorder) []string {
	t.Helper()
	all := spans.Ended()
	slices.SortStableFunc(all, func(a, b sdktrace.ReadOnlySpan) int {
		return cmp.Or(a.StartTime().Compare(b.StartTime()), cmp.Compare(depth(a), depth(b)))
	})
	var lines []string
	for _, s := range all {
		line := s.Name()
		if s.Parent().IsValid() {
			line = "  " + line
		}
		for _, a := range s.Attributes() {
			if a.Key != AgeKey {
				line += fmt.Sprintf(" %s=%s", strings.TrimPrefix(string(a.Key), "failopen.cache."), a.Value.String())
			}
		}
		if s.Status().Code == codes.Error {
			line += " !"
		}
		if strings.Contains(fmt.Sprint(line, s.Events(), s.Status(), s.Links()), secret) {
			t.Errorf("a secret is in a span: %s", line)
		}
		lines = append(lines, line)
	}
	return lines
}

func depth(s sdktrace.ReadOnlySpan) int {
	if s.Parent().IsValid() {
		return 1
	}
	return 0
}

func wantSpans(t *testing.T, spans *tracetest.SpanRecorder, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := ended(t, spans); !slices.Equal(got, want) {
		t.Errorf("spans:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	spans.Reset()
}

// later lets virtual time go by: spans are sorted by their start.
func later() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	<-ctx.Done()
}

type slow struct {
	*cachetest.Store
}

func (s slow) Get(ctx context.Context, key string) (cache.Item, error) {
	later()
	return s.Store.Get(ctx, key)
}

var errOrigin = errors.New("the origin does not like " + secret)

func TestTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracer, spans := recorder(t)
		store := new(cachetest.Store)
		var fails error
		c, err := cache.New(Trace(tracer, cache.Options[string]{
			Name: "s", TTL: time.Minute, Store: slow{store},
			Load: func(_ context.Context, key string) (string, error) {
				later()
				return key, fails
			},
		}))
		if err != nil {
			t.Fatal(err)
		}
		l, err := TraceLookups(tracer, "s", c)
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()

		_, _ = l.Get(ctx, secret)
		wantSpans(t, spans,
			"cache.lookup name=s answer=value result=origin",
			"  cache.store.get name=s answer=not_found",
			"  cache.load name=s answer=value",
			"cache.store.set name=s answer=value")
		_, _ = l.Get(ctx, secret)
		wantSpans(t, spans, "cache.lookup name=s answer=value result=local")

		fails = errOrigin
		if _, err := l.Refresh(ctx, secret); !errors.Is(err, errOrigin) {
			t.Error(err)
		}
		wantSpans(t, spans,
			"cache.lookup name=s answer=error error.type=*errors.errorString result=failed !",
			"  cache.load name=s answer=error error.type=*errors.errorString !")
		fails = fmt.Errorf("%w: %s", cache.ErrNotFound, secret)
		_, _ = l.GetOrLoad(ctx, "other", func(context.Context, string) (string, error) { return "", fails })
		synctest.Wait()
		if got := ended(t, spans); len(got) < 3 || got[0] != "cache.lookup name=s answer=not_found" {
			t.Errorf("%q", got)
		}
		spans.Reset()
		_, _ = l.GetMany(ctx, []string{secret, "other", "other"})
		wantSpans(t, spans, "cache.lookup_many name=s answer=value keys=3 found=1")
		_ = l.LookupMany(ctx, []string{secret, "other"})
		wantSpans(t, spans, "cache.lookup_many name=s answer=value keys=2 found=1")
		canceled, cancel := context.WithCancel(ctx)
		cancel()
		_ = l.LookupWith(canceled, "third", cache.LookupOptions{})
		wantSpans(t, spans, "cache.lookup name=s answer=error error.type=canceled result=canceled !")

		store.Inject(cachetest.Panic, cachetest.Get)
		fails = nil
		var none context.Context // stands for Background
		_, _ = l.Get(none, "fourth")
		wantSpans(t, spans,
			"cache.lookup name=s answer=value result=origin",
			"  cache.store.get name=s answer=error error.type=cacheotel.errUnwound !",
			"  cache.load name=s answer=value",
			"cache.store.set name=s answer=value")
		if err := l.Close(ctx); err != nil {
			t.Error(err)
		}
	})
}

// optional says which optional interfaces a store has.
func optional(s cache.Store) (has [3]bool) {
	_, has[0] = s.(cache.BatchStore)
	_, has[1] = s.(cache.ConditionalStore)
	_, has[2] = s.(cache.BulletinStore)
	return has
}

// A traced store has the optional interfaces of the one below, and no others that
// would change what the cache does.
func TestTrace_optional_interfaces(t *testing.T) {
	tracer, spans := recorder(t)
	plain := new(cachetest.Store)
	board := &cachetest.Bulletin{Store: plain}
	for name, below := range map[string]cache.Store{
		"none":                  struct{ cache.Store }{plain},
		"batch":                 struct{ cache.BatchStore }{plain},
		"conditional":           struct{ cache.ConditionalStore }{plain},
		"bulletin":              struct{ cache.BulletinStore }{board},
		"batch and conditional": plain,
		"batch and bulletin": struct {
			cache.BatchStore
			bulletin
		}{plain, bulletin{board}},
		"conditional and bulletin": struct {
			cache.ConditionalStore
			bulletin
		}{plain, bulletin{board}},
		"all": board,
	} {
		above := Trace(tracer, cache.Options[string]{Store: below}).Store
		if got, want := optional(above), optional(below); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		if l, ok := above.(cache.LogAttrer); !ok || l.LogAttrs() != nil {
			t.Errorf("%s: LogAttrer: %v", name, ok)
		}
		t.Run(name, func(t *testing.T) { cachetest.TestStore(t, func(*testing.T) cache.Store { return above }) })
	}
	if len(spans.Ended()) == 0 {
		t.Error("no spans")
	}
	var none *cachetest.Store
	if o := Trace(tracer, cache.Options[string]{Store: none}); o.Store != cache.Store(none) {
		t.Error("a typed nil is hidden from New")
	}
	if o := Trace(nil, cache.Options[string]{Store: plain}); o.Store != cache.Store(plain) {
		t.Error("without a tracer there is something around the store")
	}
	if _, err := TraceLookups(nil, "s", (*cache.Cache[string])(nil)); err == nil {
		t.Error("no error without a tracer")
	}
	if _, err := TraceLookups[string](tracer, "s", nil); err == nil {
		t.Error("no error without a cache")
	}
}
