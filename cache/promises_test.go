package cache

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"
)

// What the comments of Options promise in numbers, literally. .ci/mutants.txt
// changes each of them, and one of these tests has to notice.

func promised(change func(*Options[string])) (Options[string], error) {
	o := Options[string]{TTL: time.Minute, Load: func(context.Context, string) (string, error) { return "", nil }}
	if change != nil {
		change(&o)
	}
	return o.withDefaults()
}

func TestOptions_defaults(t *testing.T) {
	o, err := promised(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, is := range map[string]bool{
		"NegativeTTL":  o.NegativeTTL == 5*time.Second,
		"MaxTTL":       o.MaxTTL == time.Minute,
		"LoadTimeout":  o.LoadTimeout == 10*time.Second,
		"Concurrency":  o.Concurrency == 256,
		"RemoteBudget": o.RemoteBudget == 50*time.Millisecond,
		"WriteTimeout": o.WriteTimeout == time.Second,
		"WriteQueue":   o.WriteQueue == 1024,
		"Trip":         o.Trip == 3,
		"Cooldown":     o.Cooldown == time.Second,
		"MaxEntries":   o.MaxEntries == 65_536,
	} {
		if !is {
			t.Errorf("%s has another default: %+v", name, o)
		}
	}
	if o, _ := promised(func(o *Options[string]) { o.TTL = time.Second }); o.NegativeTTL != time.Second {
		t.Errorf("NegativeTTL is %v where TTL is 1 s", o.NegativeTTL)
	}
}

// The longest and the shortest that is taken, and what is beyond.
func TestOptions_bounds(t *testing.T) {
	const tenYears = 10 * 365 * 24 * time.Hour
	for name, f := range map[string]struct {
		set  func(o *Options[string], d time.Duration)
		most time.Duration
	}{
		"TTL":          {func(o *Options[string], d time.Duration) { o.TTL = d }, tenYears},
		"NegativeTTL":  {func(o *Options[string], d time.Duration) { o.TTL, o.NegativeTTL = tenYears, d }, tenYears},
		"StaleIfError": {func(o *Options[string], d time.Duration) { o.StaleIfError = d }, tenYears},
		"ErrorTTL":     {func(o *Options[string], d time.Duration) { o.ErrorTTL = d }, time.Second},
		"LoadTimeout":  {func(o *Options[string], d time.Duration) { o.LoadTimeout = d }, time.Hour},
		"RemoteBudget": {func(o *Options[string], d time.Duration) { o.RemoteBudget = d }, 10 * time.Second},
		"WriteTimeout": {func(o *Options[string], d time.Duration) { o.WriteTimeout = d }, time.Hour},
		"Cooldown":     {func(o *Options[string], d time.Duration) { o.Cooldown = d }, 24 * time.Hour},
	} {
		for d, ok := range map[time.Duration]bool{f.most: true, f.most + 1: false, 100 * time.Microsecond: true, 99 * time.Microsecond: false, -1: name == "NegativeTTL"} {
			if _, err := promised(func(o *Options[string]) { f.set(o, d) }); (err == nil) != ok {
				t.Errorf("%s of %v: %v", name, d, err)
			}
		}
	}
}

// Draws spread over the whole of what is promised, and never beyond.
func TestJitter_spread(t *testing.T) {
	least, most := 2.0, 0.0
	for range 10_000 {
		f := float64(jitter(time.Hour)) / float64(time.Hour)
		least, most = min(least, f), max(most, f)
	}
	if least < 0.9 || least > 0.91 || most > 1.1 || most < 1.09 {
		t.Errorf("TTL ± 10%% is drawn between %.3f and %.3f of it", least, most)
	}
}

func TestBreaker_cooldown_spread(t *testing.T) {
	least, most := 2.0, 0.0
	for range 2_000 {
		b := newBreaker("", func() int64 { return 0 }, 1, time.Hour, func(_, _ gobreaker.State) {})
		report, _ := b.allow(0)
		report(errFault)
		f := float64(b.shutUntil.Load()) / float64(time.Hour)
		least, most = min(least, f), max(most, f)
	}
	if least < 0.8 || least > 0.82 || most > 1.2 || most < 1.18 {
		t.Errorf("Cooldown ± 20%% is drawn between %.3f and %.3f of it", least, most)
	}
}

// TestBudget: at most a quarter of what is left of the caller's time, and
// nothing if less than 2 ms are left.
func TestBudget(t *testing.T) {
	synctest.Test(t, testBudget) // whose clock stands still
}

func testBudget(t *testing.T) {
	c, err := New(Options[string]{TTL: time.Minute, Load: func(context.Context, string) (string, error) { return "", nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	for left, want := range map[time.Duration]time.Duration{
		time.Hour:               50 * time.Millisecond,
		200 * time.Millisecond:  50 * time.Millisecond,
		100 * time.Millisecond:  25 * time.Millisecond,
		2 * time.Millisecond:    500 * time.Microsecond,
		1999 * time.Microsecond: 0,
		-time.Second:            0,
	} {
		if got := c.budget(c.now() + int64(left)); got != want {
			t.Errorf("with %v left, the store may take %v, want %v", left, got, want)
		}
	}
}

func newPromised(t *testing.T, change func(*Options[string])) *Cache[string] {
	t.Helper()
	o := Options[string]{TTL: time.Minute, Load: func(context.Context, string) (string, error) { return "", nil }}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

func TestLoadMany_at_most_100(t *testing.T) {
	most := make(chan int, 10)
	c := newPromised(t, func(o *Options[string]) {
		o.LoadMany = func(_ context.Context, keys []string) (map[string]string, error) {
			most <- len(keys)
			return nil, nil
		}
	})
	keys := make([]string, 250)
	for i := range keys {
		keys[i] = fmt.Sprint(i)
	}
	c.GetMany(t.Context(), keys)
	sum := 0
	for len(most) > 0 {
		n := <-most
		if n > 100 {
			t.Errorf("asked for %d at once", n)
		}
		sum += n
	}
	if sum != 250 {
		t.Errorf("asked for %d of 250", sum)
	}
}

func TestKeySecret_is_HMAC_SHA_256(t *testing.T) {
	secret := []byte("0123456789abcdef")
	m := hmac.New(sha256.New, secret)
	m.Write([]byte("key"))
	want := base64.RawURLEncoding.EncodeToString(m.Sum(nil))
	if got := (keyer{name: "n", secret: secret}).store("key"); got != "n:#"+want {
		t.Errorf("the store sees %q, want %q", got, want)
	}
}

func TestLocalTTL_spread(t *testing.T) {
	c := newPromised(t, nil)
	c.opts.LocalTTL = time.Hour
	least, most := 2.0, 0.0
	for range 10_000 {
		e := &entry[string]{shared: math.MaxInt64}
		c.keepLocally(e, 0)
		f := float64(e.fresh) / float64(time.Hour)
		least, most = min(least, f), max(most, f)
	}
	if least < 0.9 || least > 0.91 || most > 1.1 || most < 1.09 {
		t.Errorf("LocalTTL ± 10%% is drawn between %.3f and %.3f of it", least, most)
	}
}

// The rule of the paper: the time of a load before the end of its TTL, a value
// is refreshed with a probability of 1/e.
func TestEarlyRefresh_probability(t *testing.T) {
	c := newPromised(t, func(o *Options[string]) { o.EarlyRefresh = 1 })
	const took, draws = int64(time.Second), 20_000
	early := 0
	for range draws {
		e := &entry[string]{key: "k", took: took, shared: 2 * took}
		if c.dueEarly(e, took) {
			early++
		}
	}
	if share := float64(early) / draws; math.Abs(share-1/math.E) > 0.02 {
		t.Errorf("refreshed with a probability of %.3f, want %.3f", share, 1/math.E)
	}
}

func TestBreaker_half_of_20_in_10_s(t *testing.T) {
	for name, f := range map[string]struct {
		calls, pause int // ms between two of them
		opens        bool
	}{
		"19 calls":              {19, 1, false},
		"20 calls":              {20, 1, true},
		"20 calls within 9 s":   {20, 450, true},
		"20 calls within 12 s":  {20, 620, false},
		"200 calls within 60 s": {200, 700, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			b := newBreaker("", func() int64 { return int64(time.Since(began)) }, 3, time.Hour, func(_, _ gobreaker.State) {})
			for i := range f.calls {
				report, ok := b.allow(b.now())
				if !ok {
					t.Fatalf("%s: open after %d", name, i)
				}
				if i%2 == 0 {
					report(nil)
				} else {
					report(errFault)
				}
				time.Sleep(time.Duration(f.pause) * time.Millisecond)
			}
			if open := b.open(b.now()); open != f.opens {
				t.Errorf("%s, each second one a fault: open: %v", name, open)
			}
		})
	}
}

func TestBreaker_who_has_a_quarter_of_the_budget_is_believed(t *testing.T) {
	c := newPromised(t, func(o *Options[string]) { o.Store, o.RemoteBudget = struct{ Store }{}, 40*time.Millisecond })
	if c.remote.fair != 10*time.Millisecond {
		t.Errorf("a time-out after %v counts", c.remote.fair)
	}
}

func TestMaxBytes_parts(t *testing.T) {
	o := Options[string]{MaxBytes: 8 << 20}
	if n := o.localBytes(); n != 8<<20 {
		t.Errorf("without a store the local tier has %d bytes", n)
	}
	o.Store = struct{ Store }{}
	if n := o.localBytes(); n != 7<<20 {
		t.Errorf("with a store the local tier has %d bytes of 8 MiB", n)
	}
	for _, all := range []int64{1 << 20, 3 << 20, 64 << 20, 100 << 20, 1 << 40} {
		if n := newLocal[string](math.MaxInt, all).maxBytes; n < 1<<20 {
			t.Errorf("of %d bytes, a part of the tier has %d", all, n)
		}
	}
}

func TestOnEvent_is_waited_for_50_ms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newPromised(t, nil)
		free := make(chan struct{})
		began := time.Now()
		c.aside("hook", func() { <-free })
		if d := time.Since(began); d != 50*time.Millisecond {
			t.Errorf("waited for %v", d)
		}
		began = time.Now()
		c.aside("hook", func() { <-free })
		if d := time.Since(began); d != 0 {
			t.Errorf("waited for %v while a call is stuck", d)
		}
		close(free)
	})
}

// What was ended is not written any more, whether it waits in the queue or for
// a write of its own key.
func TestWriteback_forget(t *testing.T) {
	q := newWriteback(10, 100, func(*entry[string]) bool { return true }, nil)
	q.workers = writeWorkers // nobody works
	q.writing["b"] = &writing[string]{}
	for _, key := range []string{"a", "b"} {
		if !q.add(&entry[string]{key: key, cost: 7}) {
			t.Fatal("not taken")
		}
		if q.forget(key); q.waiting() != 0 || q.bytes != 0 {
			t.Errorf("%s: %d wait, with %d bytes", key, q.waiting(), q.bytes)
		}
	}
}

// Goroutines that are kept for the next step end when there is none.
func TestHands_end(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newPromised(t, nil)
		for range 10 {
			c.do(func() {})
		}
		synctest.Wait()
		if n := c.idle.Load(); n == 0 || n > maxIdleHands {
			t.Errorf("%d hands are kept", n)
		}
		time.Sleep(handLinger + time.Millisecond)
		synctest.Wait()
		if n := c.idle.Load(); n != 0 {
			t.Errorf("%d hands are left", n)
		}
	})
}
