package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

// hour has copies that live for an hour, on a Store with a bulletin.
func hour(b *cachetest.Bulletin) func(*cache.Options[string]) {
	return func(o *cache.Options[string]) {
		o.Name, o.TTL, o.StaleIfError, o.Store = "s", time.Hour, 24*time.Hour, b
	}
}

// inTwo runs f with two instances that share a store with a bulletin.
func inTwo(t *testing.T, f func(t *testing.T, board *cachetest.Bulletin, a, b *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		board := &cachetest.Bulletin{Store: new(cachetest.Store)}
		a, b := newWorld(t, board.Store, hour(board)), newWorld(t, board.Store, hour(board))
		f(t, board, a, b)
		a.close()
		b.close()
	})
}

// What one instance ends, the other one does not serve two seconds later:
// neither fresh nor stale, nor out of a read that lags behind.
func TestBulletin_others_learn(t *testing.T) {
	for how, end := range map[string]func(a *world){
		"Invalidate": func(a *world) { _ = a.Invalidate(bg, "a") },
		"Set":        func(a *world) { _ = a.Set(bg, "a", "new") },
		"gone":       func(a *world) { _, _ = a.Refresh(bg, "a") },
		"many": func(a *world) {
			var keys []string
			for i := range 1000 {
				keys = append(keys, fmt.Sprint("other ", i))
			}
			_ = a.InvalidateMany(bg, append(keys, "a"))
		},
	} {
		inTwo(t, func(t *testing.T, board *cachetest.Bulletin, a, b *world) {
			board.Lag(300 * time.Millisecond)
			a.want("a", cache.SourceOrigin)
			pass(5 * time.Second)
			b.want("a", cache.SourceRemote)
			b.want("b", cache.SourceOrigin)
			a.origin.Remove("a")
			b.origin.Remove("a")
			end(a)
			pass(2 * time.Second)
			b.origin.Fail(errDown) // and nothing stale
			if how == "Set" {
				b.wantValue("a", "new")
			} else if r := b.Lookup(bg, "a"); r.Err == nil {
				t.Errorf("%s: the other one serves %q from %v", how, r.Value, r.Source)
			}
			b.want("b", cache.SourceLocal)
			if s := b.Stats(); s.Bulletin.Ended != 1 || s.Bound > 5*time.Second {
				t.Errorf("%s: %d ended, bound %v; want 1, some 3 s", how, s.Bulletin.Ended, s.Bound)
			}
		})
	}
}

// While endings cannot be read Bound says so; what was missed is read
// afterwards, and after too long every copy is dropped.
func TestBulletin_outage(t *testing.T) {
	for _, outage := range []time.Duration{10 * time.Second, 4 * time.Minute, 10 * time.Minute} {
		inTwo(t, func(t *testing.T, board *cachetest.Bulletin, a, b *world) {
			a.want("a", cache.SourceOrigin)
			pass(5 * time.Second)
			b.want("a", cache.SourceRemote)
			b.want("b", cache.SourceOrigin)
			settle()
			board.Inject(cachetest.Fail(errDown), cachetest.Notes)
			pass(2 * time.Second)
			if err := a.Invalidate(bg, "a"); err != nil {
				t.Error(err)
			}
			pass(outage)
			if bound := b.Stats().Bound; bound < outage || bound > outage+10*time.Second {
				t.Errorf("bound %v after %v without a look", bound, outage)
			}
			b.want("a", cache.SourceLocal) // it cannot know
			b.origin.Remove("a")
			board.Inject(nil)
			pass(2 * time.Second)
			b.wantErr("a", cache.ErrNotFound)
			want := cache.SourceLocal
			if outage > 5*time.Minute {
				want = cache.SourceRemote
			}
			b.want("b", want)
			if s := b.Stats(); s.Bound > 5*time.Second || (s.Bulletin.Distrusted == 1) != (outage > 5*time.Minute) {
				t.Errorf("after %v: bound %v, %+v", outage, s.Bound, s.Bulletin)
			}
		})
	}
	// What has not reached the store is delivered later, or by Close.
	inTwo(t, func(t *testing.T, board *cachetest.Bulletin, a, b *world) {
		a.want("a", cache.SourceOrigin)
		settle()
		b.want("a", cache.SourceRemote)
		b.origin.Remove("a")
		board.Inject(cachetest.Fail(errDown), cachetest.Append)
		_ = a.Invalidate(bg, "a")
		pass(30 * time.Second)
		if bound := a.Stats().Bound; bound < 30*time.Second {
			t.Errorf("bound %v with an ending that was not told for 30 s", bound)
		}
		board.Inject(nil)
		a.close()
		pass(2 * time.Second)
		b.wantErr("a", cache.ErrNotFound)
		if s := a.Stats().Bulletin; s.Posted != 1 || s.PostFaults == 0 || s.Lost != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Whatever the bulletin's calls do, lookups do not notice, and Close ends.
func TestBulletin_faults(t *testing.T) {
	for _, fault := range []cachetest.Fault{cachetest.Fail(errDown), cachetest.Hang, cachetest.Panic, cachetest.Goexit, cachetest.Fail(cache.ErrNotFound)} {
		inTwo(t, func(t *testing.T, board *cachetest.Bulletin, a, b *world) {
			board.Inject(fault, cachetest.Append, cachetest.Notes)
			for range 100 {
				_ = a.Invalidate(bg, "a")
				a.get("a", 20*time.Millisecond)
				pass(time.Second)
			}
			if s := a.Stats(); s.Reads.Breaker != "closed" || s.Writes.Breaker != "closed" || s.Bulletin.LookFaults == 0 || s.Bulletin.PostFaults == 0 {
				t.Errorf("%+v", s)
			}
			if n := board.Calls(cachetest.Append); n > 60 {
				t.Errorf("%d tries to append in 100 s", n)
			}
			if err := a.Close(bg); err != nil && !errors.Is(err, cache.ErrEndingsLost) {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

// 100 instances and 10,000 endings a minute: each is known everywhere two
// seconds later, and this is what it costs.
func TestBulletin_100_instances(t *testing.T) {
	const keys = 200
	instances, endings := short(100), short(10_000)
	synctest.Test(t, func(t *testing.T) {
		board := &cachetest.Bulletin{Store: new(cachetest.Store)}
		version := make([]int, keys)
		caches := make([]*cache.Cache[int], instances)
		for i := range caches {
			var err error
			caches[i], err = cache.New(cache.Options[int]{
				Name: "s", Store: board, TTL: time.Hour,
				Load: func(_ context.Context, key string) (int, error) {
					var k int
					_, err := fmt.Sscan(key, &k)
					return version[k], err
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			for k := range keys {
				_, _ = caches[i].Get(bg, fmt.Sprint(k))
			}
		}
		pass(20 * time.Second) // and the store is as quiet as can be
		r0, w0 := board.Units()
		pass(10 * time.Second)
		r1, w1 := board.Units()
		rest := (r1 - r0) / float64(instances) / 10
		if rest > 2 || w1 != w0 {
			t.Errorf("at rest %.2f read units a second for each instance, %v write units; want at most 2, 0", rest, w1-w0)
		}

		rnd := rand.New(rand.NewPCG(1, 2))
		type ended struct{ key, version int }
		var due []ended // known everywhere by then
		missed, began := 0, time.Now()
		check := func(e ended) { // by ten of them, another ten each time
			for range 10 {
				i := rnd.IntN(instances)
				c := caches[i]
				if v, err := c.Get(bg, fmt.Sprint(e.key)); err != nil || v < e.version {
					missed++
					if missed < 5 {
						t.Errorf("instance %d serves version %d of %d, %v; %d was ended 2 s ago", i, v, e.key, err, e.version-1)
					}
				}
			}
		}
		for i := range endings {
			k := rnd.IntN(keys)
			version[k]++
			if err := caches[rnd.IntN(instances)].Invalidate(bg, fmt.Sprint(k)); err != nil {
				t.Fatal(err)
			}
			due = append(due, ended{k, version[k]})
			idle(6 * time.Millisecond) // 10,000 a minute
			if i >= 334 {              // 2 s later
				check(due[i-334])
			}
		}
		pass(2 * time.Second)
		for _, e := range due[endings-334:] {
			check(e)
		}
		took := time.Since(began).Seconds()
		r2, w2 := board.Units()
		t.Logf("%d endings by %d instances: %d missed; notes cost %.2f read units a second for each instance (%.2f at rest), %.0f write units a second in all", endings, instances, missed, (r2-r1)/took/float64(instances), rest, (w2-w1)/took)
		if missed > 0 {
			t.Errorf("%d missed", missed)
		}
		for _, c := range caches {
			if err := c.Close(bg); err != nil {
				t.Error(err)
			}
		}
	})
}
