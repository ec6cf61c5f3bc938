// Gameday cuts the soft dependencies of two token services, one built with this
// library and one as such services were written before the outage of
// 7 December 2021, while 32 clients use each of them, and reports what the
// clients saw. With -replay it plays that outage, seven hours of it, in seconds.
//
// What it shows: how to prove a claim. examples/tokenservice declares two
// dependencies soft; a game day cuts each of them for real, in several ways,
// under load, and judges every single answer by what is true at the system of
// record. What comes out is a verdict for each dependency, which depgraph check
// takes for evidence (-proof). Where to read:
//
//	day.go      the day: phases in order, both services at the same time
//	load.go     the clients: what they ask, and when an answer counts as wrong
//	report.go   what the samples add up to, the verdict, and when there is none
//	rows.go     the report on a terminal, while it comes about
//	replay.go   another way to spend the day: the outage of 2021 in virtual time
//	film.go     that one on a terminal
//	page.go     either one as Markdown, HTML and SVG; picture.go draws
//
// What to copy for a game day of your own is the order of things: a steady
// state first, or nothing can be learned; one cut at a time; answers judged by
// a truth that the service cannot reach; a look at whether the fault has hit at
// all; recovery; and "not started" as an honest third verdict beside held and
// deviated.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/examples/internal/screen"
)

const usage = `Usage: gameday [flags]

Starts a system of record, a DynamoDB endpoint and two token services in this
process, on loopback; sends them traffic; breaks DynamoDB in five ways; and
then blocks the log driver. It prints a line for each phase, with both services
side by side, and the verdict last.

  gameday                      the whole day, about a minute
  gameday -short               the same in 15 seconds
  gameday -short -json         the report as JSON, and nothing else
  gameday -o results           also write the report as JSON, Markdown, HTML and SVG
  gameday -short -proof FILE   record the verdicts for depgraph check --require-proof
  gameday -replay 2021-12-07   the seven hours of that day, in virtual time

An answer is wrong if a good token was refused, a bad one was let in (one that
was logged out, for example), or the session belongs to someone else.

Exit code 0: the service with failopen answered every request correctly in every
phase, and recovered. 1: it did not. 2: wrong usage. 3: not started: this machine
is too slow or too busy for a verdict, or something else, which is printed.

`

// options of a game day.
//
// Durations are chosen so that the whole day fits a minute and a short one CI.
type options struct {
	seed     uint64
	duration time.Duration // of a phase
	timeout  time.Duration // of a client's request
}

func main() { os.Exit(command(os.Args[1:], os.Stdout, os.Stderr)) }

// settings are the flags.
//
// check fills in options from short; the rest is as it was given.
type settings struct {
	options
	short, json        bool
	dir, proof, replay string
	pace               time.Duration
}

// command is main without the process. Flags are checked in full before
// anything is started; -help is no error.
func command(args []string, stdout, stderr io.Writer) int {
	var s settings
	flags := flag.NewFlagSet("gameday", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	flags.BoolVar(&s.short, "short", false, "shorter phases: at most 15 s in all")
	flags.BoolVar(&s.json, "json", false, "print the report as JSON, and nothing else, on standard output")
	flags.StringVar(&s.dir, "o", "", "also write the report into this `directory`: JSON, Markdown, HTML and SVG")
	flags.Uint64Var(&s.seed, "seed", 1, "seed of sessions, delays and traffic")
	flags.StringVar(&s.proof, "proof", "", "append the verdict on each soft dependency to this proof `file`")
	flags.StringVar(&s.replay, "replay", "", "replay the outage of this `date` in virtual time: 2021-12-07")
	flags.DurationVar(&s.pace, "pace", 15*time.Second, "with -replay on a terminal: how long the replay takes; 0: as fast as possible")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if err := s.check(flags.Args()); err != nil {
		fmt.Fprintf(stderr, "gameday: %v; see gameday -help\n", err)
		return 2
	}
	if s.replay != "" {
		return replayCommand(s, stdout, stderr)
	}
	return s.live(stdout, stderr)
}

// check refuses combinations that make no sense.
func (s *settings) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case s.replay != "" && s.replay != replayDate:
		return fmt.Errorf("-replay is %q; the only outage to replay here is %s (others: go run ./depgraph/cmd/drill presets)", s.replay, replayDate)
	case s.replay != "" && (s.short || s.proof != ""):
		return errors.New("-replay goes with -o, -json, -seed and -pace only")
	case s.pace < 0:
		return fmt.Errorf("-pace is %v; want 0 or more", s.pace)
	}
	s.duration, s.timeout = 4500*time.Millisecond, 2*time.Second
	if s.short {
		s.duration, s.timeout = 800*time.Millisecond, time.Second
	}
	return nil
}

// live plays the day in real time.
//
// With -json the standard output has the report and nothing else, so that it
// can be piped; what people read goes to the other one. The verdict is the last
// line in any case, also if the report could not be saved.
func (s *settings) live(stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	out := stdout
	if s.json {
		out = stderr
	}
	rows := &rows{Screen: screen.New(out)}
	rows.begin(s.options)
	report, err := gameday(ctx, s.options, rows)
	if err == nil {
		rows.legend()
		if s.json {
			err = report.json(stdout)
		}
	}
	if err == nil && s.dir != "" {
		err = report.save(s.dir, rows)
	}
	if err == nil && s.proof != "" {
		err = report.prove(s.proof, rows)
	}
	if report != nil {
		rows.verdict(report)
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
