package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/failopen/failopen/depgraph/drill/fault"
)

// Verdict is what came of a drill. The values are exit codes of programs.
// Their order is part of the interface: a script reads 1 as "not soft", and 2 to 4
// as "nothing is known", so values are only ever appended.
type Verdict int

// The verdicts.
const (
	Held       Verdict = iota // the service served as it did before
	Deviated                  // it did not: the dependency is not soft
	Aborted                   // a stop condition, or the context, ended it early
	NotStarted                // a guard or the steady state did not hold: nothing was cut
	Void                      // the fault was never seen to hit: nothing is proven
)

var verdictNames = [...]string{"held", "deviated", "aborted", "not-started", "void"}

// String is the verdict as the journal, the command and proof files write it, and
// "unknown" for a value that is none.
func (v Verdict) String() string {
	if v >= 0 && int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return "unknown"
}

// MarshalText makes a verdict its name in JSON.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads a verdict's name.
// Anything else is an error that lists them: a typing error in a journal must not
// read as the zero value, which is Held.
func (v *Verdict) UnmarshalText(text []byte) error {
	for i, name := range verdictNames {
		if name == string(text) {
			*v = Verdict(i)
			return nil
		}
	}
	return fmt.Errorf("drill: %q is no verdict; want one of held, deviated, aborted, not-started, void", text)
}

// A Target is what the users of the service ask. Ask makes request n, from 0,
// and returns when it is answered; it is called from many goroutines. Its
// context ends with the request's budget. A panic in it is a failed request.
type Target interface {
	Ask(ctx context.Context, n int64) Answer
}

// An Answer is what a user got.
// The zero value is a good one. Err wins over Wrong: what was not answered cannot
// be wrong.
type Answer struct {
	Err    error  // why it was not answered; nil: it was
	Wrong  bool   // it was answered, with something that is not true
	Source string // where the answer came from, if the service says so
}

// Func is a target that is a function; an error is a failed request.
func Func(f func(ctx context.Context, n int64) error) Target {
	if f == nil {
		return targetFunc(nil)
	}
	return targetFunc(func(ctx context.Context, n int64) Answer { return Answer{Err: f(ctx, n)} })
}

// Answers is a target that is a function with an opinion on its answers.
func Answers(f func(ctx context.Context, n int64) Answer) Target { return targetFunc(f) }

// targetFunc is what every function above returns. It is a type of its own so that
// a nil function is found before the drill starts, as a mistake in the experiment
// and not as a failed request.
type targetFunc func(ctx context.Context, n int64) Answer

// missing reports a function that was not given.
func (f targetFunc) missing() bool { return f == nil }

func (f targetFunc) Ask(ctx context.Context, n int64) Answer { return f(ctx, n) }

// HTTP is a target that is the URL of a running service: an answer of 2xx or
// 3xx is a success. client nil is one of its own, without redirects.
// The body is read to its end within the request's budget: an answer that stops
// half way is a failure, as it is for a user. See [Probe] for a check of what it
// says.
func HTTP(url string, client *http.Client) Target {
	if client == nil {
		client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return targetFunc(func(ctx context.Context, _ int64) Answer {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return Answer{Err: err}
		}
		resp, err := client.Do(req)
		if err != nil {
			return Answer{Err: err}
		}
		defer func() { _ = resp.Body.Close() }() // it was read
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return Answer{Err: err}
		}
		if resp.StatusCode >= 400 {
			return Answer{Err: fmt.Errorf("status %d", resp.StatusCode)}
		}
		return Answer{}
	})
}

// Probe is a target that is the URL of a running service, of which more is
// expected than of [HTTP]: a status of 2xx, and, unless expect is "", an answer
// that has it in its first MiB; one without is wrong. {n} in the URL is the
// number of the request, from 0 to 999, so that not all ask for the same.
// client nil is one of its own, without redirects and without a proxy.
// What stands behind the first MiB neither helps nor hurts.
func Probe(url, expect string, client *http.Client) Target {
	if client == nil {
		client = &http.Client{
			Transport:     &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return targetFunc(func(ctx context.Context, n int64) Answer {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.ReplaceAll(url, "{n}", strconv.FormatInt(n%1000, 10)), nil)
		if err != nil {
			return Answer{Err: err}
		}
		resp, err := client.Do(req)
		if err != nil {
			return Answer{Err: err}
		}
		defer func() { _ = resp.Body.Close() }() // it was read
		body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		switch {
		case err != nil:
			return Answer{Err: err}
		case resp.StatusCode < 200 || resp.StatusCode > 299:
			return Answer{Err: fmt.Errorf("status %d", resp.StatusCode)}
		}
		return Answer{Wrong: expect != "" && !strings.Contains(string(body), expect)}
	})
}

// A Fault is how the dependency is cut. Inject and Revert get a deadline of
// their own: a minute, or what a method Limit() time.Duration says if that is
// longer, up to an hour. Revert is called whatever happens, even if Inject has
// failed, and must be safe to call twice. A method Left() string is asked at the
// end what is still in force; a method Rules() []fault.Rule says what is put in
// force, and Experiment.Rules may then be left out, but not say otherwise.
type Fault interface {
	Inject(ctx context.Context) error
	Revert(ctx context.Context) error

	// Seen is what the fault has done since it was injected, as far as it
	// was observed. What it says before that is subtracted, and a count
	// that goes down afterwards makes the drill void.
	Seen() Seen
}

// Seen is what was observed of a fault. Zero Hits make a drill void.
// First and Last may be zero where a fault counts and does not date; the journal
// then says "never" for them, and the verdict does not change.
type Seen struct {
	Hits        int64     // calls that ran into the fault
	First, Last time.Time // zero: none
}

// An Invariant holds during a whole drill, or the verdict is Deviated. Those
// that every drill has are not listed; see Run.
type Invariant struct {
	Name string // what must hold, in a few words

	// Holds is asked each second while the fault is in force, and once at
	// the end. It returns what is wrong, or nil. It gets a second.
	Holds func(ctx context.Context) error
}

// A Guard is asked before anything is done. An error is why not to start.
type Guard struct {
	Name string                          // for the report
	Ask  func(ctx context.Context) error // gets a minute
}

// An Experiment is one drill. Target and Fault are required; everything else
// has a default.
//
// Run copies it and changes nothing in it, so that one value may be used for many
// drills, one after the other: Target and Fault are shared with the copy. All
// functions are called on goroutines of the drill, each with a time limit at which
// its context ends. One that panics, calls runtime.Goexit or does not return has
// failed, and the drill goes on.
type Experiment struct {
	// Title is for the report. Default: "SERVICE without DEPENDENCY".
	Title string

	// Service and Dependency name the edge of the graph that is tried.
	Service, Dependency string

	Target Target // what users ask; required
	Fault  Fault  // what is cut, and how; required

	// Rate is how many requests are made a second, whether or not the
	// earlier ones are answered. Default 20, at most 10,000.
	Rate float64

	// Sparse is the rate from two minutes after each change on, so that an
	// outage of hours costs no more than it tells. Default: Rate in drills
	// of up to ten minutes, else a request every ten seconds.
	Sparse float64

	// Budget is how long a request may take. Default 1 s.
	Budget time.Duration

	// Least is the part of the requests that must succeed within their
	// budget, in the steady state and under the fault. Default 1: all.
	Least float64

	// Steady is the length of the steady state, default 3 s; Watch that of
	// the fault, default 10 s; Recovery is how long the service may take,
	// once the fault is over, to be as it was: the Cooldown of a circuit
	// breaker and a few requests more. Default 30 s.
	Steady, Watch, Recovery time.Duration

	// Recovered says, if set, whether the service is as it was: that the
	// shared tier is in use again, say. It is asked each tenth of a second
	// during the recovery, and nil ends it. Default: of as many requests in
	// a row as come in a second, the part that Least says was served.
	Recovered func(ctx context.Context) error

	Guards     []Guard     // asked in this order before anything else; an error ends the drill
	Invariants []Invariant // besides those that every drill has; see Run

	// Stop ends the drill early, if set: it is asked each second, and a
	// non-nil error is the reason.
	Stop func(ctx context.Context, now Second) error

	// Progress, if set, is told of each phase as it begins, and of each
	// second. It must be quick.
	Progress func(Progress)

	// Seed and Rules are for the record: what makes the fault repeatable.
	// Rules can be written as JSON. Default: what the fault says, if it has
	// rules; see [Fault].
	Seed  uint64
	Rules any
}

// Progress is what a drill is doing.
type Progress struct {
	Phase  string  // steady, watch or recovery
	Second *Second // nil: the phase begins
}

// callLimit bounds every call of Fault, Guards, Invariants, Stop and Recovered.
// A second keeps the promise that they are asked each second.
const callLimit = time.Second

// maxPhase is the longest that anything in a drill may take.
// It keeps every sum of durations here far from overflow: 2^63 ns are 292 years.
const maxPhase = 30 * 24 * time.Hour

// injectLimit bounds Inject and Revert: a real one calls an API, and again.
// A minute is several tries of an SDK with its back-off.
const injectLimit = time.Minute

// withDefaults is the experiment with every zero field set to its default, or
// all that is wrong with it at once: nothing has been started by then. Rates,
// lengths and their product are bounded, since each request is kept until the
// report is made.
func (e Experiment) withDefaults() (Experiment, error) {
	var errs []error
	// All mistakes are gathered, so that they can be mended in one go.
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("drill: "+format, args...))
		}
	}
	check(e.Target != nil, "Experiment.Target is nil")
	check(e.Fault != nil, "Experiment.Fault is nil")
	// Func(nil), Rules(nil) and Switch(nil, nil, nil) are not nil themselves.
	for _, part := range []any{e.Target, e.Fault} {
		if m, ok := part.(interface{ missing() bool }); ok {
			check(!m.missing(), "%T: what it is made of is nil", part)
		}
	}
	check(e.Rate >= 0 && e.Rate <= 10_000, "Experiment.Rate is %v; want 0 (20) to 10000", e.Rate)
	check(e.Sparse >= 0 && e.Sparse <= 10_000, "Experiment.Sparse is %v; want 0 to 10000", e.Sparse)
	check(e.Least >= 0 && e.Least <= 1, "Experiment.Least is %v; want 0 (all) to 1", e.Least)
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{"Budget", e.Budget}, {"Steady", e.Steady}, {"Watch", e.Watch}, {"Recovery", e.Recovery}} {
		check(d.d >= 0 && d.d <= maxPhase, "Experiment.%s is %v; want 0 (the default) to 720h", d.name, d.d)
	}
	for i, g := range e.Guards {
		check(g.Ask != nil, "Experiment.Guards[%d] (%q): Ask is nil", i, g.Name)
	}
	for i, inv := range e.Invariants {
		check(inv.Holds != nil, "Experiment.Invariants[%d] (%q): Holds is nil", i, inv.Name)
	}
	// The fault's own methods are only called in an experiment that is sound so far.
	if len(errs) == 0 {
		e.Rules = e.rules(check)
	}
	if len(errs) > 0 {
		return e, errors.Join(errs...)
	}
	// From here on nothing is wrong but the number of requests, which depends on the defaults.
	orDefault := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	orDefault(&e.Budget, time.Second)
	orDefault(&e.Steady, 3*time.Second)
	orDefault(&e.Watch, 10*time.Second)
	orDefault(&e.Recovery, 30*time.Second)
	if e.Rate == 0 {
		e.Rate = 20
	}
	if e.Sparse == 0 {
		e.Sparse = e.Rate
		if e.Watch > 10*time.Minute {
			e.Sparse = min(e.Rate, 0.1)
		}
	}
	if e.Least == 0 {
		e.Least = 1
	}
	if n := e.requests(); n > maxRequests {
		return e, fmt.Errorf("drill: the experiment would make %.0f requests, more than %d: lower Rate, Sparse or the phases", n, maxRequests)
	}
	if e.Title == "" {
		e.Title = "a service without a dependency"
		if e.Service != "" && e.Dependency != "" {
			e.Title = e.Service + " without " + e.Dependency
		}
	}
	return e, nil
}

// rules are those of the record: what was asked to be written down, if that can
// be written and is what the fault does.
// Rules from the experiment and from the fault are compared as JSON, which is what
// a proof hashes: two values that are written alike are the same fault. check is
// told of each mistake; what is returned then is not used.
func (e Experiment) rules(check func(ok bool, format string, args ...any)) any {
	write := func(name string, v any) string {
		var b []byte
		err := contained(context.Background(), callLimit, func(context.Context) (err error) {
			b, err = json.Marshal(v)
			return err
		})
		check(err == nil, "%s cannot be written as JSON: %v", name, err)
		if err != nil {
			return ""
		}
		return string(b)
	}
	own, ok := e.Fault.(interface{ Rules() []fault.Rule })
	if !ok {
		write("Experiment.Rules", e.Rules)
		return e.Rules
	}
	var rules []fault.Rule
	err := contained(context.Background(), callLimit, func(context.Context) error { rules = own.Rules(); return nil })
	check(err == nil, "Experiment.Fault does not say its rules: %v", err)
	if err != nil || e.Rules == nil {
		return rules
	}
	said, does := write("Experiment.Rules", e.Rules), write("the rules of Experiment.Fault", rules)
	check(said == does, "Experiment.Rules is %s, and Experiment.Fault does %s: leave the former out", said, does)
	return e.Rules
}

// maxRequests bounds what a drill keeps in memory.
// A result takes about 100 bytes, so this is 200 MB, and as much again while the
// report is made.
const maxRequests = 2_000_000

// requests is how many the experiment makes at most.
// Each phase is dense for its first two minutes and sparse from then on, as in
// [load.run]. It is a float, since a rate of 1e-300 is allowed.
func (e Experiment) requests() (n float64) {
	for _, d := range []time.Duration{e.Steady, e.Watch, e.Recovery} {
		dense := min(d, denseFor)
		n += e.Rate*dense.Seconds() + e.Sparse*(d-dense).Seconds()
	}
	return n
}

// contained calls f with a time limit, on a goroutine of its own, and turns
// whatever it does into an error: it may panic, exit or ignore its context.
// A panic or Goexit is its error at once. If f has not returned when the limit is
// over, contained does, and leaves the goroutine behind: nothing in Go can end it.
// Callers that call again and again therefore count failures (maxFailures), or
// count those inside (load.inside). The error's text is taken on f's goroutine,
// since a method Error may panic or block as well as f.
func contained(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		err := errors.New("it called runtime.Goexit")
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("it panicked: %s", text(v))
			}
			done <- err
		}()
		if err = f(ctx); err != nil {
			err = said(text(err)) // here, where it may panic and block
		}
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		select {
		// f and the deadline can be ready at once, and select would then toss a coin.
		case err := <-done: // it has noticed
			return err
		default:
		}
		return fmt.Errorf("it did not return within %v: %w", limit, context.Cause(ctx))
	}
}

// said is the text of a user's error, which is asked no more.
type said string

func (s said) Error() string { return string(s) }

// text is v's text, whatever its methods do except for blocking.
// It is cut at a KiB, between two characters: a page of HTML in an error would make
// the report unreadable.
func text(v any) (s string) {
	defer func() {
		if recover() != nil {
			s = fmt.Sprintf("%T, whose text cannot be had: it panics", v)
		}
	}()
	s = fmt.Sprint(v)
	if len(s) > 1<<10 {
		s = strings.ToValidUTF8(s[:1<<10], "") + "…"
	}
	return s
}

// environment is for the report: a p99 says little without the machine it is of.
func environment() Environment {
	return Environment{Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU()}
}

// round keeps six decimals, a microsecond where x is in seconds: more are noise.
func round(x float64) float64 { return math.Round(x*1e6) / 1e6 }
