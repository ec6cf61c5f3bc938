package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// hostile is an error each of whose methods does what the test says.
type hostile struct {
	text, is func()
	unwrap   func() error
}

func (e hostile) Error() string {
	if e.text != nil {
		e.text()
	}
	return "hostile"
}

func (e hostile) Is(error) bool {
	if e.is != nil {
		e.is()
	}
	return false
}

func (e hostile) Unwrap() error {
	if e.unwrap != nil {
		return e.unwrap()
	}
	return nil
}

// nestedPanic panics with a value whose text panics.
type nestedPanic struct{}

func (nestedPanic) Error() string { panic(nestedPanic{}) }

// gated blocks until the gate opens.
func gated(gate chan struct{}) func() { return func() { <-gate } }

// Whatever an error value of the program does when it is asked for something,
// it does that to its own check alone: the process lives, everything else goes
// on, and nothing waits for it under a lock.
func TestProcess_survives_hostile_errors(t *testing.T) {
	boom := func() { panic("boom") }
	for name, check := range map[string]func(gate chan struct{}) error{
		"a typed nil":              func(chan struct{}) error { var e *url.Error; return e },
		"a wrapped typed nil":      func(chan struct{}) error { var e *url.Error; return fmt.Errorf("api: %w", e) },
		"a joined typed nil":       func(chan struct{}) error { var e *url.Error; return errors.Join(e, e) },
		"Error panics":             func(chan struct{}) error { return hostile{text: boom} },
		"Is panics":                func(chan struct{}) error { return hostile{is: boom} },
		"Unwrap panics":            func(chan struct{}) error { return hostile{unwrap: func() error { panic("boom") }} },
		"Error panics, and so on":  func(chan struct{}) error { return nestedPanic{} },
		"Error exits":              func(chan struct{}) error { return hostile{text: runtime.Goexit} },
		"Is exits":                 func(chan struct{}) error { return hostile{is: runtime.Goexit} },
		"Error blocks":             func(gate chan struct{}) error { return hostile{text: gated(gate)} },
		"Is blocks":                func(gate chan struct{}) error { return hostile{is: gated(gate)} },
		"Unwrap blocks":            func(gate chan struct{}) error { return hostile{unwrap: func() error { <-gate; return nil }} },
		"an error without an end":  func(chan struct{}) error { return errors.New(strings.Repeat("x", 1<<20)) },
		"a panic with a bad value": func(chan struct{}) error { panic(nestedPanic{}) },
	} {
		for _, detail := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", detail ", detail), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					gate := make(chan struct{})
					p := Process{Detail: detail, Logger: slog.New(slog.DiscardHandler)}
					for _, d := range []Dependency{
						{Name: "hostile", Check: func(context.Context) error { return check(gate) }},
						{Name: "good", Check: func(context.Context) error { return nil }},
					} {
						if err := p.Depend(d); err != nil {
							t.Fatal(err)
						}
					}
					told := 0
					p.OnChange(func(State) { told++ })
					run(t, &p)
					p.Started()
					pass(5 * time.Minute)
					bad, good := dependency(&p, "hostile"), dependency(&p, "good")
					if bad.Status != StatusFail || good.Status != StatusPass || !p.Live() || !p.Ready() || told < 2 {
						t.Errorf("%+v, %+v, live %t, told %d times", bad, good, p.Live(), told)
					}
					if n := len(bad.Output); n > 2*maxText {
						t.Errorf("%d bytes of output", n)
					}
					began := time.Now()
					if err := p.Drain(t.Context(), 0); err != nil || time.Since(began) > 0 {
						t.Errorf("Drain took %v: %v", time.Since(began), err)
					}
					close(gate)
				})
			})
		}
	}
}

// The latch of Fatal holds before its error is asked for its text, and the
// report waits for nothing.
func TestFatal_with_hostile_errors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		p := Process{Detail: true}
		go p.Fatal(hostile{text: gated(gate), is: gated(gate)})
		synctest.Wait()
		if r := p.Report(); r.Live || len(r.Notes) != 1 || r.Notes[0] != "fatal: withheld" {
			t.Errorf("%+v", r)
		}
		close(gate)
		synctest.Wait()
		if r := p.Report(); r.Notes[0] != "fatal: hostile" {
			t.Errorf("%+v", r)
		}
	})
	var p Process
	var typed *url.Error
	p.Fatal(typed)
	if p.Live() || p.FatalErr() == nil {
		t.Error("a typed nil is an error all the same")
	}
}

// The error of the fleet signal is the program's, too.
func TestGuard_survives_hostile_errors(t *testing.T) {
	for name, err := range map[string]error{
		"Is panics": hostile{is: func() { panic("boom") }}, "Is exits": hostile{is: runtime.Goexit}, "typed nil": (*url.Error)(nil),
	} {
		synctest.Test(t, func(t *testing.T) {
			p := Process{Guard: &Guard{ID: "self", Peers: func(context.Context) ([]Peer, error) { return nil, err }}}
			p.Started()
			run(t, &p)
			pass(time.Minute)
			if !p.Live() || !p.Ready() {
				t.Errorf("%s: live %t, ready %t", name, p.Live(), p.Ready())
			}
			if text := string(p.metrics()); !strings.Contains(text, "health_callback_panics_total 0\n") {
				t.Errorf("%s: counted as a panic:\n%s", name, text)
			}
		})
	}
}
