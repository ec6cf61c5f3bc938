package cachetest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

// What a test sees of a store: its items, its calls, and what is in progress.
func TestStore_tells_what_it_has(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s cachetest.Store
		if _, ok := s.Item("a"); ok || len(s.Keys()) != 0 || s.Calls(cachetest.Get) != 0 || s.Active() != 0 {
			t.Error("the zero value is not empty")
		}
		s.Put("b", cache.Item{Value: []byte("1"), Version: 7})
		s.Put("a", cache.Item{Value: []byte("2"), Version: 1})
		s.Put("b", cache.Item{Value: []byte("3"), Version: 2}) // whatever its version
		if it, ok := s.Item("b"); !ok || string(it.Value) != "3" || it.Version != 2 || !slices.Equal(s.Keys(), []string{"a", "b"}) {
			t.Errorf("%+v, %t, %q", it, ok, s.Keys())
		}
		it, _ := s.Item("b")
		it.Value[0] = 'X'
		if again, _ := s.Item("b"); string(again.Value) != "3" {
			t.Error("Item gives its own bytes away")
		}
		s.Delete("b")
		s.Delete("none")
		if _, ok := s.Item("b"); ok {
			t.Error("b is still there")
		}
		over := make(chan struct{})
		s.Inject(cachetest.Deaf(over), cachetest.Get)
		go func() { _, _ = s.Get(t.Context(), "a") }()
		synctest.Wait()
		if s.Active() != 1 || s.Calls(cachetest.Get) != 1 {
			t.Errorf("%d active, %d calls; want 1 and 1", s.Active(), s.Calls(cachetest.Get))
		}
		if err := s.Set(t.Context(), "a", cache.Item{Version: 9}); err != nil || s.Calls(cachetest.Set) != 1 {
			t.Errorf("a fault of reads breaks a write: %v", err)
		}
		close(over)
		synctest.Wait()
		if s.Active() != 0 {
			t.Errorf("%d active afterwards", s.Active())
		}
	})
}

// Each fault does what its word says, no more: what comes back, and after how
// long.
func TestFaults(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range []struct {
		name  string
		fault cachetest.Fault
		want  []error
		after time.Duration // of each call
	}{
		{"none", nil, []error{nil, nil}, 0},
		{"fail", cachetest.Fail(boom), []error{boom, boom}, 0},
		{"slow", cachetest.Slow(100 * time.Millisecond), []error{nil}, 100 * time.Millisecond},
		{"slower than its caller waits", cachetest.Slow(2 * time.Second), []error{context.DeadlineExceeded}, time.Second},
		{"hang", cachetest.Hang, []error{context.DeadlineExceeded}, time.Second},
		{"flaky", cachetest.Flaky(3, boom), []error{boom, nil, nil, boom, nil}, 0},
		{"always flaky", cachetest.Flaky(1, boom), []error{boom, boom}, 0},
		{"flaky of nothing", cachetest.Flaky(0, boom), []error{boom, boom}, 0},
		{"the kind slow", cachetest.Break(cachetest.KindSlow, nil), []error{context.DeadlineExceeded}, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			var s cachetest.Store
			s.Put("k", cache.Item{})
			s.Inject(c.fault)
			for i, want := range c.want {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				began := time.Now()
				_, err := s.Get(ctx, "k")
				cancel()
				if after := time.Since(began); !errors.Is(err, want) || (err == nil) != (want == nil) || after != c.after {
					t.Errorf("%s, call %d: %v after %v; want %v after %v", c.name, i+1, err, after, want, c.after)
				}
			}
		})
	}
}

// A store that lags shows each write after that time, and a deletion as well, by
// all kinds of reads.
func TestStore_Lag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &cachetest.Bulletin{Store: new(cachetest.Store)}
		b.Lag(time.Second)
		read := func() (string, string) {
			one, err := b.Get(t.Context(), "k")
			if errors.Is(err, cache.ErrNotFound) {
				one.Value = []byte("-")
			}
			many, _ := b.GetMany(t.Context(), []string{"k"})
			notes, _ := b.Notes(t.Context(), []string{"k"})
			if it, ok := many["k"]; ok != (err == nil) || ok && string(it.Value) != string(one.Value) {
				t.Errorf("Get says %q, and GetMany %v", one.Value, many)
			}
			return string(one.Value), fmt.Sprintf("%q", notes["k"])
		}
		at := func(want, notes string) {
			t.Helper()
			if got, gotNotes := read(); got != want || gotNotes != notes {
				t.Errorf("reads %q and %s; want %q and %s", got, gotNotes, want, notes)
			}
		}
		set := func(version int64, value string) {
			if err := b.Set(t.Context(), "k", cache.Item{Version: version, Value: []byte(value)}); err != nil {
				t.Fatal(err)
			}
		}
		at("-", "[]")
		set(1, "a")
		if err := b.Append(t.Context(), "k", [][]byte{[]byte("n")}, time.Time{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(999 * time.Millisecond)
		at("-", "[]")
		set(2, "b")
		time.Sleep(time.Millisecond)
		at("a", `["n"]`)
		b.Delete("k")
		time.Sleep(999 * time.Millisecond)
		at("b", `["n"]`)
		time.Sleep(time.Millisecond)
		at("-", `["n"]`)
		set(3, "c")
		b.Lag(0)
		at("c", `["n"]`)
	})
}

func TestStore_Sweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lagging cachetest.Store
		lagging.Lag(time.Second)
		lagging.Put("k", cache.Item{Expires: time.Now()})
		time.Sleep(time.Minute)
		lagging.Sweep(0)
		if _, err := lagging.Get(t.Context(), "k"); err != nil {
			t.Errorf("a read that lags sees the deletion at once: %v", err)
		}
		time.Sleep(time.Second)
		if _, err := lagging.Get(t.Context(), "k"); !errors.Is(err, cache.ErrNotFound) {
			t.Errorf("a second later: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		var s cachetest.Store
		s.Put("soon", cache.Item{Expires: time.Now().Add(time.Second)})
		s.Put("later", cache.Item{Expires: time.Now().Add(time.Hour)})
		s.Put("never", cache.Item{})
		time.Sleep(2 * time.Second)
		for _, c := range []struct {
			by   time.Duration
			n    int
			left []string
		}{
			{-2 * time.Second, 0, []string{"later", "never", "soon"}}, // a table that is late
			{-time.Second, 0, []string{"later", "never", "soon"}},     // the moment itself
			{0, 1, []string{"later", "never"}},
			{0, 0, []string{"later", "never"}},
			{time.Hour, 1, []string{"never"}}, // a clock that is ahead
		} {
			if n := s.Sweep(c.by); n != c.n || !slices.Equal(s.Keys(), c.left) {
				t.Errorf("Sweep(%v): %d, %q left; want %d, %q", c.by, n, s.Keys(), c.n, c.left)
			}
		}
	})
}

// Notes cost what DynamoDB takes for them: half a unit for 4 KiB read, a unit for
// each KiB of the whole set written.
func TestBulletin_Units(t *testing.T) {
	b := &cachetest.Bulletin{Store: new(cachetest.Store)}
	for _, c := range []struct {
		note          int // bytes; 0: read
		reads, writes float64
	}{
		{0, 0.5, 0},   // an absent set costs a read all the same
		{100, 0.5, 1}, // one KiB begun
		{883, 0.5, 2}, // 983 bytes of notes, the key's one, and 40: 1,024 in all
		{1, 0.5, 4},   // one more
		{0, 1, 4},     // 4 KiB begun
		{4096, 1, 10}, // all of it is written again: 5,121 bytes
		{0, 2, 10},
	} {
		if c.note > 0 {
			note := make([]byte, c.note)
			if err := b.Append(t.Context(), "k", [][]byte{note, note}, time.Time{}); err != nil { // the same twice is one
				t.Fatal(err)
			}
		} else if _, err := b.Notes(t.Context(), []string{"k"}); err != nil {
			t.Fatal(err)
		}
		if reads, writes := b.Units(); reads != c.reads || writes != c.writes {
			t.Errorf("after %d bytes: %v and %v units; want %v and %v", c.note, reads, writes, c.reads, c.writes)
		}
	}
}

func TestOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o cachetest.Origin[string]
		ask := func(key, want string, wantErr error, after time.Duration) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			began := time.Now()
			v, err := o.Load(ctx, key)
			if took := time.Since(began); v != want || !errors.Is(err, wantErr) || (err == nil) != (wantErr == nil) || took != after {
				t.Errorf("%q, %v after %v; want %q, %v after %v", v, err, took, want, wantErr, after)
			}
		}
		ask("k", "", cache.ErrNotFound, 0)
		o.Put("k", "v")
		ask("k", "v", nil, 0)
		o.Slow(time.Second)
		ask("k", "v", nil, time.Second)
		o.Slow(time.Hour)
		ask("k", "", context.DeadlineExceeded, time.Minute)
		o.Slow(time.Second)
		boom := errors.New("boom")
		o.Fail(boom)
		ask("k", "", boom, time.Second)
		o.Fail(nil)
		o.Remove("k")
		ask("k", "", cache.ErrNotFound, time.Second)
		ask("l", "", cache.ErrNotFound, time.Second)
		if o.Calls("k") != 6 || o.Calls("l") != 1 || o.Calls("m") != 0 || o.Total() != 7 || o.Busiest() != 1 {
			t.Errorf("%d, %d, %d, %d in all, %d at once", o.Calls("k"), o.Calls("l"), o.Calls("m"), o.Total(), o.Busiest())
		}
		// Three at once, and an answer is what was true when it was asked for.
		o.Put("k", "old")
		answers := make(chan string, 3)
		for range 3 {
			go func() {
				v, _ := o.Load(t.Context(), "k")
				answers <- v
			}()
		}
		synctest.Wait()
		o.Put("k", "new")
		for range 3 {
			if v := <-answers; v != "old" {
				t.Errorf("%q; want what it was when it was asked", v)
			}
		}
		if o.Busiest() != 3 {
			t.Errorf("%d at once; want 3", o.Busiest())
		}
	})
}

// Callers come at their rate, whatever becomes of those before them.
func TestOverload(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range []struct {
		name string
		load cachetest.Overload
		get  func(ctx context.Context, i int) error
		want cachetest.Goodput
		took time.Duration
	}{
		{"nobody", cachetest.Overload{Rate: 10}, nil, cachetest.Goodput{}, 0},
		{"all served", cachetest.Overload{Rate: 10, For: 2 * time.Second}, func(context.Context, int) error { return nil }, cachetest.Goodput{Asked: 20, Served: 20}, 1900 * time.Millisecond},
		{"every second one", cachetest.Overload{Rate: 10, For: time.Second}, func(_ context.Context, i int) error {
			if i%2 == 0 {
				return boom
			}
			return nil
		}, cachetest.Goodput{Asked: 10, Served: 5}, 900 * time.Millisecond},
		{"the first ones are not counted", cachetest.Overload{Rate: 10, For: time.Second, WarmUp: 300 * time.Millisecond}, func(_ context.Context, i int) error {
			if i < 3 {
				return boom
			}
			return nil
		}, cachetest.Goodput{Asked: 7, Served: 7}, 900 * time.Millisecond},
		{"they do not wait for each other", cachetest.Overload{Rate: 10, For: time.Second}, func(context.Context, int) error {
			time.Sleep(time.Minute)
			return nil
		}, cachetest.Goodput{Asked: 10, Served: 10}, 900*time.Millisecond + time.Minute},
		{"nor for ever", cachetest.Overload{Rate: 10, For: time.Second, Deadline: time.Second}, func(ctx context.Context, _ int) error {
			<-ctx.Done()
			return ctx.Err()
		}, cachetest.Goodput{Asked: 10}, 1900 * time.Millisecond},
		{"but try again, each time as long", cachetest.Overload{Rate: 10, For: time.Second, Deadline: time.Second, Tries: 3}, func(ctx context.Context, _ int) error {
			<-ctx.Done()
			return ctx.Err()
		}, cachetest.Goodput{Asked: 10}, 3900 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			got := c.load.Run(c.get)
			if took := time.Since(began); got != c.want || took != c.took {
				t.Errorf("%s: %+v after %v; want %+v after %v", c.name, got, took, c.want, c.took)
			}
		})
	}
	for want, g := range map[float64]cachetest.Goodput{1: {}, 0.25: {Asked: 8, Served: 2}, 0: {Asked: 3}} {
		if g.Share() != want {
			t.Errorf("%+v: %v; want %v", g, g.Share(), want)
		}
	}
}
