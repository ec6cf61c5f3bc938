package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/fault"
	"github.com/failopen/failopen/depgraph/drill/presets"
	"github.com/failopen/failopen/depgraph/drill/reference"
)

var matrixVerb = verb{
	name: "matrix", about: "Every soft dependency of the service, with every fault, in virtual time",
	help: `
The service is the one that comes with the program; drill.Matrix does the same
in a test of your own. Exit code 0 if all cells held, else 1. Examples:

    drill matrix
    drill matrix --target naive --watch 1h -f json
`,
	run: (*command).matrix,
}

// matrixFaults are those of a dependency of the reference service: its log has
// one way to fail.
func matrixFaults(dependency string) []drill.NamedFault {
	if dependency == "logs" {
		return []drill.NamedFault{{Name: "blackhole", Rules: []fault.Rule{fault.Network("logs", fault.BlackHole)}}}
	}
	return drill.Faults(dependency)
}

func (c *command) matrix(args []string) error {
	fs := c.flags()
	target := fs.String("target", "failopen", "the service that is drilled: failopen or naive")
	format := fs.String("f", "markdown", "what is printed: markdown or json")
	watch := fs.Duration("watch", 7*time.Hour+30*time.Minute, "how long each fault lasts, in virtual time")
	seed := fs.Uint64("seed", 1, "makes the faults repeatable")
	if err := c.parse(fs, args); err != nil {
		return err
	}
	switch {
	case fs.NArg() > 0:
		return usagef("matrix: unexpected argument %q", fs.Arg(0))
	case *target != "failopen" && *target != "naive":
		return usagef("--target is %q; want failopen or naive", *target)
	case *format != "markdown" && *format != "json":
		return usagef("-f is %q; want markdown or json", *format)
	case *watch < time.Second || *watch > 24*time.Hour:
		return usagef("--watch is %v; want 1s to 24h", *watch)
	}
	began := drill.RealNow()
	return inVirtualTime(func() error {
		c.ctx = context.Background() // one from outside the bubble would stop its clock
		cells, err := drill.Matrix(c.ctx, []string{"dynamodb", "logs"}, matrixFaults, func(dependency string, rules []fault.Rule) (drill.Experiment, func() error, error) {
			svc, err := reference.New(c.ctx, reference.Options{Naive: *target == "naive", Seed: *seed})
			if err != nil {
				return drill.Experiment{}, nil, err
			}
			p := presets.Preset{Name: "matrix", Title: dependency, Dependency: dependency, Rules: rules, Watch: *watch, Recovery: time.Minute}
			e := svc.Drill(p, time.Millisecond)
			e.Rate = 10 // there are many cells
			return e, func() error { return svc.Close(c.ctx) }, nil
		})
		if err != nil {
			return err
		}
		if err := c.writeMatrix(*format, cells); err != nil {
			return err
		}
		fmt.Fprintf(c.stderr, "%d cells of %v each, in %v\n", len(cells), *watch, drill.RealNow().Sub(began).Round(100*time.Millisecond))
		if slices.ContainsFunc(cells, func(cell drill.Cell) bool { return cell.Verdict != drill.Held }) {
			return exitCode(drill.Deviated)
		}
		return nil
	})
}

func (c *command) writeMatrix(format string, cells []drill.Cell) error {
	if format == "json" {
		text, err := json.MarshalIndent(cells, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.stdout, "%s\n", text)
		return err
	}
	_, err := fmt.Fprint(c.stdout, drill.MatrixMarkdown(cells))
	return err
}
