package health

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Dependency is something that the process talks to, and how to see whether it
// can. It is checked in the background while Run runs, and never touches
// liveness.
type Dependency struct {
	// Name is unique among the dependencies. Required.
	Name string

	// Check returns nil if the dependency can be used. It gets a context
	// that ends after Timeout, or when Run ends. A panic in it is a
	// failure. Required.
	Check func(context.Context) error

	// Soft says that the process serves without it: it fails open. Only
	// what is not soft can make a process leave the traffic, and only with
	// a Guard.
	Soft bool

	// Period is the time from the end of one check to the beginning of the
	// next, ± 10%. Default 10 s, at most 24 h. The first check comes after
	// a random part of it.
	Period time.Duration

	// Timeout bounds one check. Default 2 s, or Period if that is less; at
	// most 24 h. A check that ignores its context counts as failed after a
	// tenth more, and is not called again until it has returned.
	Timeout time.Duration
}

const (
	defaultPeriod  = 10 * time.Second
	defaultTimeout = 2 * time.Second
	longest        = 24 * time.Hour
)

// Depend registers a dependency, before or during Run. The error says what is
// wrong with d; then nothing is registered.
//
// A check takes three failures in a row to fail and two successes to pass
// again. A failing dependency makes the report warn, with HTTP 200.
func (p *Process) Depend(d Dependency) error {
	if d.Check == nil {
		return fmt.Errorf("health: dependency %q: Check is nil", d.Name)
	}
	if min(d.Period, d.Timeout) < 0 || max(d.Period, d.Timeout) > longest {
		return fmt.Errorf("health: dependency %q: Period is %v and Timeout %v; both must be between 0 and 24h", d.Name, d.Period, d.Timeout)
	}
	if err := units("Period", d.Period, "Timeout", d.Timeout); err != nil {
		return fmt.Errorf("health: dependency %q: %w", d.Name, err)
	}
	if d.Period == 0 {
		d.Period = defaultPeriod
	}
	if d.Timeout == 0 {
		d.Timeout = min(defaultTimeout, d.Period)
	}
	return p.add(&check{
		name: d.Name, kind: kindDependency, measures: "responseTime", unit: "ms",
		soft: d.Soft, period: d.Period, timeout: d.Timeout,
		look: func(ctx context.Context) (float64, error) {
			began := time.Now()
			err := d.Check(ctx)
			// the time of a failure, too: one that times out is told from one that is refused
			return float64(time.Since(began)) / float64(time.Millisecond), err
		},
	})
}

// least is the shortest time that can be meant: less is a number without a unit.
const least = time.Millisecond

// units finds times whose unit was forgotten: Period: 10 is ten nanoseconds.
// named are pairs of a name and a time.Duration. 0 is a default, and what a negative
// value means is for the caller to say.
func units(named ...any) error {
	for i := 0; i+1 < len(named); i += 2 {
		if d := named[i+1].(time.Duration); d > 0 && d < least {
			return fmt.Errorf("%s is %v, less than a millisecond; its unit may be missing: %d * time.Second", named[i], d, int64(d))
		}
	}
	return nil
}

const (
	kindDependency = "dependency"
	kindDetector   = "detector"
	kindWatch      = "watch"
)

// declared is a dependency that a manifest names.
type declared struct {
	name string
	soft bool
}

// Declare reads a manifest of package depgraph, in JSON, and compares what it
// declares with what is checked: the report lists dependencies without a
// check, checks of what is not declared, and those that are soft in one place
// only (a member of any-of counts as soft). It may be called several times;
// what is declared adds up.
//
//	{"service": "checkout", "depends": [{"on": "ledger"}, {"on": "sessions", "soft": true}]}
//
// A dependency whose manifest says that liveness touches it (depgraph's rule
// DG006) is an error: nothing that this package checks can, so it is either
// untrue or done behind its back.
func (p *Process) Declare(manifest []byte) error {
	var m struct {
		Service string `json:"service"`
		Depends []struct {
			On       string   `json:"on"`
			AnyOf    []string `json:"any-of"`
			Soft     bool     `json:"soft"`
			Liveness bool     `json:"liveness"`
		} `json:"depends"`
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		return fmt.Errorf("health: the manifest is not one JSON object of depgraph: %w", err)
	}
	if m.Service == "" {
		return errors.New(`health: the manifest has no "service"`)
	}
	var found []declared
	for i, d := range m.Depends {
		names := d.AnyOf
		if d.On != "" {
			names = append(names, d.On)
		}
		if len(names) == 0 || slices.Contains(names, "") {
			return fmt.Errorf(`health: manifest of %q: depends[%d] names nothing in "on" or "any-of"`, m.Service, i)
		}
		if d.Liveness {
			return fmt.Errorf("health: manifest of %q: depends[%d] says that liveness touches %q; it must not", m.Service, i, names[0])
		}
		for _, n := range names {
			found = append(found, declared{n, d.Soft || len(d.AnyOf) > 0})
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.declared = append(p.declared, found...)
	return nil
}

// drift compares what is declared with what is checked. The caller holds p.mu.
func (p *Process) drift() (unchecked, undeclared, disputed []string) {
	// nothing was declared: then nothing is undeclared either
	if p.declared == nil {
		return nil, nil, nil
	}
	checked := make(map[string]*check)
	for _, c := range p.checks {
		if c.kind == kindDependency {
			checked[c.name] = c
		}
	}
	names := make(map[string]bool)
	for _, d := range p.declared {
		c := checked[d.name]
		switch {
		// it was declared before; the first one counts
		case names[d.name]:
		case c == nil:
			unchecked = append(unchecked, d.name)
		case c.soft != d.soft:
			disputed = append(disputed, d.name)
		}
		names[d.name] = true
	}
	for n := range checked {
		if !names[n] {
			undeclared = append(undeclared, n)
		}
	}
	slices.Sort(unchecked)
	slices.Sort(undeclared)
	slices.Sort(disputed)
	return unchecked, undeclared, disputed
}
