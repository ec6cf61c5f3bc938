package cache_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

func TestStats_for_machines_and_people(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) { o.Name = "sessions" }, func(w *world) {
		w.want("a", cache.SourceOrigin)
		w.want("a", cache.SourceLocal)
		w.want("a", cache.SourceLocal)
		w.want("a", cache.SourceLocal)
		settle()
		w.store.Inject(cachetest.Fail(fmt.Errorf("no access: %w", cache.ErrPermanent)))
		w.want("b", cache.SourceOrigin)
		s := w.Stats()
		if s.HitRatio() != 0.6 || (cache.Stats{}).HitRatio() != 0 {
			t.Errorf("hit ratio %v, want 0.6", s.HitRatio())
		}
		if got, want := s.String(), "60.0 % hits (local 3, remote 0), origin 2, stale 0, failed 0; reads open (no access: cache: permanent store fault)"; !strings.HasPrefix(got, want) {
			t.Errorf("String: %q, want %q", got, want)
		}
		var back cache.Stats
		if err := json.Unmarshal([]byte(cache.Var{Reporter: w}.String()), &back); err != nil || back.Local != 3 || back.Reads.LastError == "" || back.Reads.LastErrorAt.IsZero() {
			t.Errorf("Var: %v, %+v", err, back)
		}
		var b bytes.Buffer
		n, err := cache.Metrics{"sessions": w, `a"b\`: w}.WriteTo(&b)
		if err != nil || n != int64(b.Len()) {
			t.Errorf("WriteTo: %d of %d, %v", n, b.Len(), err)
		}
		for _, line := range []string{
			"# TYPE cache_lookups counter\n# HELP cache_lookups Lookups by result.\n",
			"cache_lookups_total{cache=\"sessions\",result=\"local\"} 3\n",
			"cache_lookups_total{cache=\"a\\\"b\\\\\",result=\"origin\"} 2\n",
			"cache_breaker_open{cache=\"sessions\",op=\"read\"} 1\n",
			"cache_bound_seconds{cache=\"sessions\"} 77\n",
		} {
			if !strings.Contains(b.String(), line) {
				t.Errorf("no %q in\n%s", line, b.String())
			}
		}
		if !strings.HasSuffix(b.String(), "\n# EOF\n") {
			t.Error("no end")
		}
	})
}

type reporter cache.Stats

func (r reporter) Stats() cache.Stats { return cache.Stats(r) }

// A number that is new in Stats fails this test until there is a metric for it.
func TestMetrics_have_every_number_of_Stats(t *testing.T) {
	want := map[string]string{} // value: field
	var fill func(path string, v reflect.Value)
	fill = func(path string, v reflect.Value) {
		for i := range v.NumField() {
			field, name := v.Field(i), path+v.Type().Field(i).Name
			switch {
			case field.Type() == reflect.TypeFor[time.Time](), name == "Writes.Misses": // a write misses nothing
			case field.Kind() == reflect.Struct:
				fill(name+".", field)
			case field.Type() == reflect.TypeFor[time.Duration]():
				field.SetInt(int64(time.Duration(1001+len(want)) * time.Second))
				want[fmt.Sprint(1001+len(want))] = name
			case field.CanInt():
				field.SetInt(int64(1001 + len(want)))
				want[fmt.Sprint(1001+len(want))] = name
			}
		}
	}
	var r reporter
	fill("", reflect.ValueOf(&r).Elem())
	var b strings.Builder
	if _, err := (cache.Metrics{"a": r}).WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	for value, name := range want {
		if n := strings.Count(b.String(), "} "+value+"\n"); n != 1 {
			t.Errorf("%s is written %d times, want once", name, n)
		}
	}
}

// A name that is not UTF-8 would make Prometheus refuse the whole page.
func TestMetrics_leave_out_a_name_that_is_not_UTF8(t *testing.T) {
	c, err := cache.New(cache.Options[string]{TTL: time.Minute, Load: func(context.Context, string) (string, error) { return "", nil }})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	_, err = cache.Metrics{"a\xff": c, "b": c}.WriteTo(&b)
	if err == nil || err.Error() != `cache: metrics of "a\xff": the name is not UTF-8` {
		t.Errorf("error %v", err)
	}
	if !utf8.ValidString(b.String()) || !strings.Contains(b.String(), `cache_entries{cache="b"} 0`) || !strings.HasSuffix(b.String(), "# EOF\n") {
		t.Error(b.String())
	}
}

// What has no Stats is left out, and named.
func TestMetrics_leave_out_what_fails(t *testing.T) {
	var b strings.Builder
	_, err := cache.Metrics{"a": nil, "b": (*cache.Cache[string])(nil), "c": reporter{Local: 7}}.WriteTo(&b)
	if err == nil || !strings.Contains(err.Error(), `metrics of "a": there is no cache`) || !strings.Contains(err.Error(), `metrics of "b": Stats panicked`) {
		t.Errorf("%v; want both", err)
	}
	if out := b.String(); !strings.Contains(out, `{cache="c",result="local"} 7`) || strings.Contains(out, `cache="a"`) || !strings.HasSuffix(out, "# EOF\n") {
		t.Error(out)
	}
}

func TestStats_Bound(t *testing.T) {
	for _, c := range []struct {
		change func(*cache.Options[string])
		want   time.Duration
		owed   time.Duration
	}{
		{nil, 77 * time.Second, 77 * time.Second},
		{func(o *cache.Options[string]) { o.LocalTTL = 10 * time.Second }, 22 * time.Second, 77 * time.Second},
		{staleFor(time.Hour), time.Hour + 77*time.Second, time.Hour + 77*time.Second},
		{func(o *cache.Options[string]) { o.LocalTTL, o.StaleIfError = 10*time.Second, time.Second }, 78 * time.Second, 78 * time.Second},
		{func(o *cache.Options[string]) { o.Store = nil }, 0, 0},
	} {
		inWorld(t, c.change, func(w *world) {
			if b := w.Stats().Bound; b != c.want {
				t.Errorf("%v, want %v", b, c.want)
			}
			w.store.Inject(cachetest.Fail(errDown))
			_ = w.Invalidate(context.Background(), "a")
			if b := w.Stats().Bound; b != c.owed {
				t.Errorf("with an ending owed: %v, want %v", b, c.owed)
			}
		})
	}
}

// With LocalTTL and StaleIfError a copy is served in an outage of both until its
// TTL and StaleIfError have gone by, and no longer than Bound.
func TestStats_Bound_of_a_stale_copy(t *testing.T) {
	change := func(o *cache.Options[string]) { o.LocalTTL, o.StaleIfError = 5*time.Second, time.Second }
	inWorld(t, change, func(w *world) {
		b := newWorld(t, w.store, change)
		b.want("a", cache.SourceOrigin)
		settle()
		if err := w.Invalidate(bg, "a"); err != nil {
			t.Fatal(err)
		}
		bound, began := w.Stats().Bound, time.Now()
		w.store.Inject(cachetest.Fail(errDown))
		b.origin.Fail(errDown)
		last := time.Duration(0)
		for range 100 {
			pass(time.Second)
			if b.Lookup(bg, "a").Err == nil {
				last = time.Since(began)
			}
		}
		if last < 30*time.Second || last > bound {
			t.Errorf("it was served for %v; Bound was %v", last, bound)
		}
		b.close()
	})
}

func TestCheck(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		if err := w.Check(bg); err != nil {
			t.Error(err)
		}
		for name, fault := range map[string]cachetest.Fault{"error": cachetest.Fail(errDown), "hang": cachetest.Hang, "Goexit": cachetest.Goexit} {
			w.store.Inject(fault, cachetest.Get)
			began := time.Now()
			if err := w.Check(bg); err == nil || time.Since(began) > 2100*time.Millisecond {
				t.Errorf("%s: %v after %v", name, err, time.Since(began))
			}
		}
		ctx, cancel := context.WithTimeout(bg, time.Millisecond)
		defer cancel()
		w.store.Inject(cachetest.Hang, cachetest.Get)
		if err := w.Check(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the caller's", err)
		}
		pass(3 * time.Second)
		w.store.Inject(nil, cachetest.Get)
		w.store.Inject(denied, cachetest.Set)
		_ = w.Invalidate(bg, "a")
		if err := w.Check(bg); err == nil || !strings.Contains(err.Error(), "writes fail") || !strings.Contains(err.Error(), "1 endings are owed") {
			t.Errorf("%v; want writes, and what is owed", err)
		}
		if s := w.Stats().Reads; s.Breaker != "closed" {
			t.Errorf("checks opened the breaker")
		}
	})
	inWorld(t, func(o *cache.Options[string]) { o.Store = nil }, func(w *world) {
		if err := w.Check(bg); err != nil {
			t.Error(err)
		}
	})
}

type tableStore struct{ cache.Store }

func (tableStore) LogAttrs() []slog.Attr {
	return []slog.Attr{slog.String("table", "sessions"), slog.String("region", "eu-central-1")}
}

// At night: what fails, where, since when, and what the origin carries.
func TestLogger_breaker(t *testing.T) {
	var log bytes.Buffer
	inWorld(t, nil, func(outer *world) {
		w := newWorld(t, outer.store, func(o *cache.Options[string]) {
			o.Name, o.Store = "s", tableStore{outer.store}
			o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			}}))
		})
		outer.store.Inject(cachetest.Fail(fmt.Errorf("AccessDenied: %w", cache.ErrPermanent)), cachetest.Get)
		for i := range 130 {
			_, _ = w.Get(bg, fmt.Sprint(i))
			pass(time.Second)
		}
		outer.store.Inject(nil)
		pass(2 * time.Second)
		w.want("a", cache.SourceOrigin)
		pass(10 * time.Minute)
		w.close()
	})
	want := `level=WARN msg="cache: the store is failing and is bypassed; lookups go to the origin" cache=s op=read error="AccessDenied: cache: permanent store fault" table=sessions region=eu-central-1
level=WARN msg="cache: the store is still failing" cache=s op=read error="AccessDenied: cache: permanent store fault" for=1m0s loads=60 table=sessions region=eu-central-1
level=WARN msg="cache: the store is still failing" cache=s op=read error="AccessDenied: cache: permanent store fault" for=2m0s loads=119 table=sessions region=eu-central-1
level=INFO msg="cache: the store has recovered" cache=s op=read table=sessions region=eu-central-1
`
	if log.String() != want {
		t.Errorf("got\n%swant\n%s", log.String(), want)
	}
}

// Each lookup is counted once, also one that does not take what it finds, or
// whose caller had left before.
func TestStats_each_lookup_once(t *testing.T) {
	inWorld(t, func(o *cache.Options[string]) {
		o.TTL, o.StaleIfError = time.Second, time.Minute
	}, func(w *world) {
		lookups := int64(0)
		wantOne := func(what string, n int64) {
			t.Helper()
			lookups += n
			s := w.Stats()
			if sum := s.Local + s.Remote + s.Origin + s.Stale + s.Failed + s.Canceled; sum != lookups {
				t.Errorf("%s: %d results of %d lookups: %+v", what, sum, lookups, s)
				lookups = sum
			}
		}
		w.get("a", time.Second)
		wantOne("miss", 1)
		pass(500 * time.Millisecond)
		w.LookupWith(bg, "a", cache.LookupOptions{MaxAge: time.Millisecond})
		wantOne("older than MaxAge", 1)
		other := newWorld(t, w.store, nil)
		other.get("b", time.Second)
		pass(500 * time.Millisecond)
		w.LookupWith(bg, "b", cache.LookupOptions{MaxAge: time.Millisecond})
		wantOne("older than MaxAge in the store", 1)
		w.origin.Fail(errDown)
		w.LookupWith(bg, "a", cache.LookupOptions{MaxAge: time.Millisecond})
		wantOne("older, and the origin fails", 1)
		pass(3 * time.Second)
		before := w.Stats().Failed
		if r := w.LookupWith(bg, "a", cache.LookupOptions{NoStale: true}); !errors.Is(r.Err, errDown) {
			t.Errorf("got %+v, want the origin's error", r)
		}
		wantOne("stale", 1)
		if failed := w.Stats().Failed - before; failed != 1 {
			t.Errorf("%d failed, want the one that did not take stale", failed)
		}
		ctx, cancel := context.WithCancel(bg)
		cancel()
		w.LookupMany(ctx, []string{"a", "b", "a", "x"})
		wantOne("LookupMany, canceled", 3)
		if m, err := w.GetMany(ctx, []string{"a", "b", "a", "x"}); m != nil || err != context.Canceled {
			t.Errorf("GetMany: %v, %v; want context.Canceled", m, err)
		}
		wantOne("GetMany, canceled", 3)
		w.origin.Fail(nil)
		other.close()
	})
}
