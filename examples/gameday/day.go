package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/examples/tokenservice/auth"
	"github.com/failopen/failopen/examples/tokenservice/stack"
)

// phase is one part of the day.
type phase struct {
	name  string
	fault *stack.Fault // nil: nothing is cut
	begin func() error
}

// plan puts the stack's faults into the order of the day.
//
// A day begins with a steady phase, and each fault is followed by one in which
// everything works, unless the fault says that the next one comes at once. The
// last phase is always a quiet one: recovery is part of the claim.
func plan(s *stack.Stack) []phase {
	restored := phase{name: "restored", begin: s.Restore}
	phases := []phase{{name: "steady", begin: s.Restore}}
	for _, f := range s.Faults() {
		begin := func() error { return errors.Join(s.Restore(), f.Begin()) }
		phases = append(phases, phase{name: f.Name, fault: &f, begin: begin})
		if !f.NoRest {
			phases = append(phases, restored)
		}
	}
	return phases
}

// watcher is told how the day goes on.
//
// It is the seam between the day and how it is shown; rows implements it.
type watcher interface {
	// phase begins to show a phase; the function that it returns ends that.
	phase(p phase, now func() [2]Phase) (done func([2]Phase))
}

// day is one game day under way.
type day struct {
	options
	began  time.Time
	stack  *stack.Stack
	loads  [2]*load // with failopen, and the naive one
	stalls *drill.Stalls
	report *Report
}

// gameday plays all phases against both services at the same time.
//
// Both get the same faults at the same moment, or a difference could be luck.
// Beside them runs drill.Stalls, which notes when this machine itself stood
// still: an answer that was late for that reason is nobody's fault.
func gameday(ctx context.Context, o options, w watcher) (report *Report, err error) {
	s, err := stack.Start(ctx, stack.Options{Seed: o.seed})
	if err != nil {
		return nil, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if closed := s.Close(ctx); err == nil {
			err = closed
		}
	}()
	d := &day{options: o, began: time.Now(), stack: s, stalls: new(drill.Stalls), report: &Report{Seed: o.seed}}
	// Measured until everything else has ended.
	measuring, measured := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); d.stalls.Run(measuring) }()
	defer func() { measured(); <-done }()
	for i, svc := range []*stack.Service{s.FailOpen, s.Naive} {
		d.loads[i] = newLoad(svc, o.seed, o.timeout, d.stalls)
		d.report.Verdicts = append(d.report.Verdicts, edges(svc.Name, s.Faults())...)
	}
	phases := plan(s)
	for i, p := range phases {
		if err := d.play(ctx, i, p, i == len(phases)-1, w); err != nil {
			return nil, fmt.Errorf("phase %s: %w", p.name, err)
		}
		if i == 0 && d.report.unsteady() != "" {
			break // there is nothing to learn from a day that begins like this
		}
	}
	d.report.Seconds = round(time.Since(d.began).Seconds(), 1)
	d.report.judge()
	return d.report, nil
}

// play is one phase, against both services.
//
// Counters are read before and after, so that a fault's hits are its own. On
// the last phase the traffic goes on until the shared tier is used again; see
// recovered.
func (d *day) play(ctx context.Context, n int, p phase, last bool, w watcher) error {
	if err := p.begin(); err != nil {
		return err
	}
	from, hits := time.Now(), d.hits(p)
	for _, l := range d.loads {
		l.forget() // before anything is shown
	}
	// The same function sums up what is shown meanwhile and what is reported.
	summary := func(get func(i int) ([]sample, probes)) (both [2]Phase) {
		for i, l := range d.loads {
			samples, probes := get(i)
			both[i] = d.summarize(p, l.svc.Name, from, samples, probes)
		}
		return both
	}
	done := w.phase(p, func() [2]Phase { return summary(func(i int) ([]sample, probes) { return d.loads[i].soFar() }) })
	var results [2][]sample
	var alive [2]probes
	var wg sync.WaitGroup
	for i, l := range d.loads {
		wg.Go(func() { results[i], alive[i] = l.run(ctx, n, d.duration) })
	}
	wg.Wait()
	if last {
		results[0] = append(results[0], recovered(ctx, d.loads[0], results[0], n+1)...)
	}
	both := summary(func(i int) ([]sample, probes) { return results[i], alive[i] })
	done(both)
	d.report.Phases = append(d.report.Phases, both[:]...)
	if p.fault != nil {
		for i, after := range d.hits(p) {
			d.report.edge(d.loads[i].svc.Name, p.fault.Dependency).note(*p.fault, both[i], after-hits[i])
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("interrupted: %w", err)
	}
	return nil
}

// hits counts how often each service was seen to run into the fault of a phase:
// log lines that were held, or calls to DynamoDB that failed. The naive service
// does not count those; for it, note counts the answers that were not right.
//
// A fault that nobody ran into proves nothing, however well the service did.
func (d *day) hits(p phase) (n [2]int64) {
	switch {
	case p.fault == nil:
	case p.fault.Dependency == stack.LogDriver:
		for i, l := range d.loads {
			n[i] = l.svc.HeldLines()
		}
	default:
		stats := d.stack.FailOpen.Auth.(*auth.FailOpen).Stats()
		n[0] = stats.Reads.Faults + stats.Writes.Faults + stats.Poison
	}
	return n
}

// recoverWithin bounds the wait for the circuit breaker's pause, and for what
// comes after it, on a busy machine.
const recoverWithin = 10 * time.Second

// recovered goes on with the traffic of the last phase until the shared tier is
// in use again, up to the bound: how soon that is depends on the breaker, not
// on the length of a phase.
//
// A bound instead of a fixed wait: a fast machine does not wait, and a slow one
// is not blamed.
func recovered(ctx context.Context, l *load, so []sample, phase int) (more []sample) {
	remote := func(all []sample) bool {
		return slices.ContainsFunc(all, func(s sample) bool { return s.source == "remote" && s.verdict == right })
	}
	began := time.Now()
	for n := 1; !remote(so) && !remote(more) && ctx.Err() == nil && time.Since(began) < recoverWithin; n++ {
		samples, _ := l.run(ctx, phase+n, 250*time.Millisecond)
		more = append(more, samples...)
	}
	return more
}
