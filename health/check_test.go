package health

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// dependency returns a dependency's entry in the report.
func dependency(p *Process, name string) Check { return p.Report().Checks[name+":responseTime"][0] }

// TestChecks_do_not_affect_each_other puts every kind of bad check into one
// process for a virtual day.
func TestChecks_do_not_affect_each_other(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := Process{Detail: true}
		release := make(chan struct{})
		inside := make(map[string]*atomic.Int64)
		depend := func(name string, check func(context.Context) error) {
			n := new(atomic.Int64)
			inside[name] = n
			if err := p.Depend(Dependency{Name: name, Check: func(ctx context.Context) error {
				if now := n.Add(1); now > 1 {
					t.Errorf("%s: %d checks at a time", name, now)
				}
				defer n.Add(-1)
				return check(ctx)
			}}); err != nil {
				t.Fatal(err)
			}
		}
		hang := errors.New("gave up when told to")
		depend("good", func(context.Context) error { return nil })
		depend("deaf", func(context.Context) error { <-release; return nil })
		depend("hung", func(ctx context.Context) error { <-ctx.Done(); return hang })
		depend("slow", func(context.Context) error { sleep(1900 * time.Millisecond); return nil })
		depend("late", func(context.Context) error { sleep(3 * time.Second); return nil })
		depend("panics", func(context.Context) error { panic("in a check") })
		depend("index", func(context.Context) error { var s []error; return s[len(inside)] })
		depend("goexit", func(context.Context) error { runtime.Goexit(); return nil })
		depend("typed", func(context.Context) error { var e *badError; return e })
		began := runtime.NumGoroutine()
		run(t, &p)
		p.Started()

		for hour := range 24 {
			pass(time.Hour)
			if !p.Live() || !p.Ready() {
				t.Fatalf("hour %d: live %t, ready %t", hour, p.Live(), p.Ready())
			}
			for name, want := range map[string]string{
				"good":   "",
				"deaf":   ErrCheckTimeout.Error(),
				"hung":   hang.Error(),
				"slow":   "",
				"late":   ErrCheckTimeout.Error(),
				"panics": "health: panic in the check: in a check",
				"index":  "health: panic in the check: runtime error: index out of range [9] with length 0",
				"goexit": "health: runtime.Goexit in the check",
				"typed":  "a nil *health.badError",
			} {
				c := dependency(&p, name)
				status := StatusFail
				if want == "" {
					status = StatusPass
				}
				if c.Status != status || c.Output != want || c.Stale || c.Hung != (name == "deaf") && inside[name].Load() == 0 {
					t.Fatalf("hour %d: %s: %+v; want %v, %q", hour, name, c, status, want)
				}
			}
			if n := runtime.NumGoroutine() - began; n > 1+len(inside) {
				t.Fatalf("hour %d: %d goroutines more than before", hour, n)
			}
		}
		if r := p.Report(); r.Status != StatusWarn {
			t.Errorf("the report says %v; want warn", r.Status)
		}
		close(release)
		pass(time.Minute)
		if c := dependency(&p, "deaf"); c.Status != StatusPass || c.Hung {
			t.Errorf("a check that returns after a day: %+v; want pass", c)
		}
	})
}

// badError is a typed nil in an error, whose Error panics.
type badError struct{ text string }

func (e *badError) Error() string { return e.text }

func TestCheck_hysteresis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Process
		results := []bool{true, false, false, true, false, false, false, true, false, true, true}
		want := "pass pass pass pass pass pass fail fail fail fail pass"
		var i atomic.Int64
		var got []string
		if err := p.Depend(Dependency{Name: "a", Check: func(context.Context) error {
			if n := int(i.Add(1)); n > len(results) || results[n-1] {
				return nil
			}
			return errors.New("no")
		}}); err != nil {
			t.Fatal(err)
		}
		if s := dependency(&p, "a").Status; s != StatusUnknown {
			t.Errorf("before Run: %v, want unknown", s)
		}
		run(t, &p)
		for len(got) < len(results) {
			before := i.Load()
			pass(time.Second)
			if i.Load() > before {
				got = append(got, dependency(&p, "a").Status.String())
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("verdicts %v\nwant %v", got, want)
		}
	})
}

// TestCheck_times sees that first checks are spread over the period, and later
// ones jittered by a tenth.
func TestCheck_times(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Process
		const n = 200
		times := make([][]time.Duration, n)
		began := time.Now()
		for i := range n {
			if err := p.Depend(Dependency{Name: fmt.Sprint(i), Check: func(context.Context) error {
				times[i] = append(times[i], time.Since(began))
				return nil
			}}); err != nil {
				t.Fatal(err)
			}
		}
		run(t, &p)
		pass(60 * time.Second)
		var quarters [4]int
		shortest, longest := time.Hour, time.Duration(0)
		for _, at := range times {
			if at[0] >= 10*time.Second {
				t.Fatalf("a first check after %v", at[0])
			}
			quarters[at[0]/(2500*time.Millisecond)]++
			for i := 1; i < len(at); i++ {
				gap := at[i] - at[i-1]
				if gap < 9*time.Second || gap > 11*time.Second {
					t.Errorf("%v from one check to the next", gap)
				}
				shortest, longest = min(shortest, gap), max(longest, gap)
			}
		}
		if shortest > 9100*time.Millisecond || longest < 10900*time.Millisecond {
			t.Errorf("from one check to the next: %v to %v", shortest, longest)
		}
		if slices.Min(quarters[:]) < n/10 {
			t.Errorf("first checks by quarter of the period: %v", quarters)
		}
	})
}

func TestCheck_is_stale_when_Run_has_ended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Process
		if err := p.Depend(Dependency{Name: "a", Check: func(context.Context) error { return nil }}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = p.Run(ctx) }()
		pass(time.Minute)
		cancel()
		<-done
		pass(time.Minute)
		c, r := dependency(&p, "a"), p.Report()
		if c.Status != StatusUnknown || !c.Stale || r.Status != StatusWarn || len(r.Notes) != 1 {
			t.Errorf("%+v in a report that says %v %q; want a stale unknown, warn, a note", c, r.Status, r.Notes)
		}
	})
}

// TestCheck_survives_a_new_Run begins a second Run while a check of the first
// hangs: the check must neither be run twice nor be forgotten.
func TestCheck_survives_a_new_Run(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Process
		release := make(chan struct{})
		var inside, released atomic.Int64
		if err := p.Depend(Dependency{Name: "a", Check: func(context.Context) error {
			inside.Add(1)
			if released.Load() == 0 {
				<-release
			}
			return nil
		}}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = p.Run(ctx) }()
		pass(12 * time.Second)
		cancel()
		<-done
		run(t, &p)
		pass(time.Minute)
		if c := dependency(&p, "a"); inside.Load() != 1 || c.Status != StatusFail || !c.Hung {
			t.Errorf("%d checks, %+v; want 1, failing, hung", inside.Load(), c)
		}
		released.Store(1)
		close(release)
		pass(time.Minute)
		if c := dependency(&p, "a"); c.Status != StatusPass {
			t.Errorf("%+v; want pass", c)
		}
	})
}

func TestDepend_while_Run_runs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Process
		run(t, &p)
		pass(time.Minute)
		if err := p.Depend(Dependency{Name: "a", Period: time.Second, Check: func(ctx context.Context) error {
			if at, ok := ctx.Deadline(); !ok || time.Until(at) != time.Second {
				t.Errorf("deadline in %v, want 1 s: the period is less than 2 s", time.Until(at))
			}
			return nil
		}}); err != nil {
			t.Fatal(err)
		}
		pass(3 * time.Second)
		if c := dependency(&p, "a"); c.Status != StatusPass {
			t.Errorf("%+v; want pass", c)
		}
	})
}

func TestReport_withholds_errors(t *testing.T) {
	const secret = "host=db.internal user=admin"
	for _, detail := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := Process{Detail: detail}
			if err := p.Depend(Dependency{Name: "a", Check: func(context.Context) error { return errors.New(secret) }}); err != nil {
				t.Fatal(err)
			}
			run(t, &p)
			pass(time.Minute)
			p.Fatal(errors.New(secret))
			if shown := strings.Count(string(p.Report().JSON()), secret); shown != 2*bit(detail) {
				t.Errorf("detail %t: the error is shown %d times", detail, shown)
			}
		})
	}
}
