// Gameday breaks DynamoDB under two token services, one with package cache
// and one as it was written before the outage of 7 December 2021, while 32
// clients each use them, and says what the clients saw.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"sync"
	"time"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/examples/tokenservice/stack"
)

const usage = `Usage: gameday [flags]

Starts a system of record, a DynamoDB endpoint and two token services in this
process, on loopback; sends them traffic; and breaks DynamoDB in five ways.
Then it prints, for each phase and service, what the clients saw.

  gameday                      the whole day, in less than a minute
  gameday -short               a short one, in less than 15 seconds
  gameday -short -json         the report as JSON, and nothing else
  gameday -o results           also write results/gameday.md and gameday.json

Exit code 0: the service with failopen answered every request rightly in every
phase and recovered. 1: it did not. 2: wrong usage. 3: it could not be tried,
since this machine is too slow or too busy, or for another reason that is said.
"Wrong" is a good token refused, a bad one let in, or somebody else's session.

`

// options of a game day.
type options struct {
	seed     uint64
	duration time.Duration // of a phase
	timeout  time.Duration // of a client's request
}

func main() { os.Exit(command(os.Args[1:], os.Stdout, os.Stderr)) }

func command(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("gameday", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	short := flags.Bool("short", false, "shorter phases: at most 15 s in all")
	asJSON := flags.Bool("json", false, "print the report as JSON, and nothing else, on standard output")
	dir := flags.String("o", "", "`directory` into which to write the report as Markdown and JSON")
	seed := flags.Uint64("seed", 1, "seed of sessions, delays and traffic")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "gameday: unexpected argument %q; see gameday -help\n", flags.Arg(0))
		return 2
	}
	o := options{seed: *seed, duration: 5 * time.Second, timeout: 2 * time.Second}
	if *short {
		o.duration, o.timeout = time.Second, time.Second
	}
	progress := newProgress(stdout)
	if *asJSON {
		progress = newProgress(stderr)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	report, err := gameday(ctx, o, progress)
	if err == nil && *dir != "" {
		err = report.save(*dir)
	}
	if err == nil {
		if *asJSON {
			err = report.json(stdout)
		} else {
			err = report.table(stdout)
		}
	}
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "gameday:", err)
		return 3
	case report.Verdict == drill.NotStarted:
		return 3
	case !report.Held:
		return 1
	}
	return 0
}

// phase is one part of the day.
type phase struct {
	name  string
	about string
	fault bool
	begin func() error
}

// plan puts the stack's faults into the order of the day.
func plan(s *stack.Stack) []phase {
	restored := phase{name: "restored", about: "DynamoDB is well again", begin: s.Restore}
	phases := []phase{{name: "steady", about: "everything is well", begin: s.Restore}}
	for _, f := range s.Faults() {
		begin := func() error { return errors.Join(s.Restore(), f.Begin()) }
		phases = append(phases, phase{name: f.Name, about: f.About, fault: true, begin: begin})
		if f.Name != "throttled" && f.Name != "corrupt-items" { // these follow one another
			phases = append(phases, restored)
		}
	}
	return phases
}

// gameday plays all phases against both services at the same time.
func gameday(ctx context.Context, o options, progress *progress) (report *Report, err error) {
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
	measuring, measured := context.WithCancel(ctx)
	stalls, done := new(drill.Stalls), make(chan struct{})
	go func() { defer close(done); stalls.Run(measuring) }()
	defer func() { measured(); <-done }()
	loads := []*load{newLoad(s.FailOpen, o.seed, o.timeout, stalls), newLoad(s.Naive, o.seed, o.timeout, stalls)}
	report = &Report{Seed: o.seed}
	phases := plan(s)
	for i, p := range phases {
		if err := p.begin(); err != nil {
			return nil, fmt.Errorf("phase %s: %w", p.name, err)
		}
		stop := progress.start(i+1, len(phases), p, loads)
		results := make([][]sample, len(loads))
		var wg sync.WaitGroup
		for j, l := range loads {
			wg.Go(func() { results[j] = l.run(ctx, i, o.duration) })
		}
		wg.Wait()
		if i == len(phases)-1 {
			results[0] = append(results[0], recovered(ctx, loads[0], results[0], len(phases))...)
		}
		stop()
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("interrupted in phase %s: %w", p.name, err)
		}
		for j, l := range loads {
			report.Phases = append(report.Phases, summarize(p.name, l.svc.Name, p.fault, results[j]))
		}
		if i == 0 && report.unsteady() != "" {
			break // there is nothing to learn from a day that begins like this
		}
	}
	report.judge()
	return report, nil
}

// recoverWithin is the bound of the circuit breaker's pause, and of what comes
// after it, on a busy machine.
const recoverWithin = 10 * time.Second

// recovered goes on with the traffic of the last phase until the shared tier is
// in use again, up to the bound: how soon that is depends on the breaker, not
// on the length of a phase.
func recovered(ctx context.Context, l *load, so []sample, phase int) (more []sample) {
	remote := func(all []sample) bool {
		return slices.ContainsFunc(all, func(s sample) bool { return s.source == "remote" && s.verdict == right })
	}
	began := time.Now()
	for n := 1; !remote(so) && !remote(more) && ctx.Err() == nil && time.Since(began) < recoverWithin; n++ {
		more = append(more, l.run(ctx, phase+n, 250*time.Millisecond)...)
	}
	return more
}

// progress tells how far the day has come: on a terminal in one line that
// changes, elsewhere in a line for each phase.
type progress struct {
	w        io.Writer
	terminal bool
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w}
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil {
			p.terminal = info.Mode()&os.ModeCharDevice != 0
		}
	}
	return p
}

// start begins to report a phase; the function that it returns ends that.
func (p *progress) start(n, of int, ph phase, loads []*load) (stop func()) {
	line := func() {
		fmt.Fprintf(p.w, "[%d/%d] %-14s", n, of, ph.name)
		for _, l := range loads {
			ok, bad := l.count()
			fmt.Fprintf(p.w, "  %s: %5d right %5d not", l.svc.Name, ok, bad)
		}
	}
	if !p.terminal {
		fmt.Fprintf(p.w, "[%d/%d] %s: %s\n", n, of, ph.name, ph.about)
		return func() {}
	}
	done, finished := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(finished)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprint(p.w, "\r")
				line()
			case <-done:
				fmt.Fprint(p.w, "\r")
				line()
				fmt.Fprintln(p.w)
				return
			}
		}
	}()
	return func() { close(done); <-finished }
}
