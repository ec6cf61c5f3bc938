package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/fault"
	"github.com/failopen/failopen/depgraph/drill/presets"
	"github.com/failopen/failopen/depgraph/drill/reference"
)

// matrixVerb is matrix, in two forms: see [command.matrix] and [command.collect].
var matrixVerb = verb{
	name: "matrix", most: -1, formats: []string{"markdown", "html", "json"}, about: "Every soft dependency of the service, with every fault, in virtual time",
	help: `
The service is the one that comes with the program; drill.Matrix does the same
in a test of your own. With -d the services are those that manifests declare: the
command after -- runs their tests, and the verdicts that drill.Test records
meanwhile are put in a table, a row for each fault. Without a command the
verdicts are those of the proof file beside the manifests. Exit code 0 if all
cells held, 1 if one did not, 4 if a soft dependency was not tried at all.
Examples:

    drill matrix
    drill matrix --target naive --watch 1h -f json
    drill matrix -d services/ -- go test -count=1 ./...
    drill matrix -d services/
`,
	run: (*command).matrix,
}

// matrixFaults are those of a dependency of the reference service: its log has
// one way to fail.
//
// It is for the reference service alone. A service of the user's gets all of
// drill.Faults, for each dependency: see infer.
func matrixFaults(dependency string) []drill.NamedFault {
	if dependency == "logs" {
		return []drill.NamedFault{{Name: "blackhole", Rules: []fault.Rule{fault.Network("logs", fault.BlackHole)}}}
	}
	return drill.Faults(dependency)
}

// matrix drills every soft dependency with every fault. The cells are
// independent, so that each has a bubble and a service of its own, and as many
// run at once as there are processors; the table has them in the order of the
// faults all the same.
//
// With -d it goes another way entirely, to collect: there the cells are proofs,
// and time is real.
func (c *command) matrix(args []string) error {
	fs := c.flags()
	target := fs.String("target", "failopen", "the service that is drilled: failopen or naive")
	format := fs.String("f", "markdown", "what is printed: markdown, html or json")
	watch := fs.Duration("watch", 7*time.Hour+30*time.Minute, "how long each fault lasts, in virtual time")
	seed := fs.Uint64("seed", 1, "makes the faults repeatable")
	dir := fs.String("d", "", "a folder or file with manifests; the command after -- tests the services")
	if err := c.parse(fs, args); err != nil {
		return err
	}
	if err := oneOf("-f", *format, c.verb.formats); err != nil {
		return err
	}
	if *dir != "" {
		return c.collect(*dir, *format, c.args)
	}
	if err := oneOf("--target", *target, targets); err != nil {
		return err
	}
	switch {
	case len(c.args) > 0:
		return usagef("matrix: unexpected argument %q", c.args[0])
	case *watch < time.Second || *watch > 24*time.Hour:
		return usagef("--watch is %v; want 1s to 24h", *watch)
	}
	// --seed makes all of the faults of all cells, so the whole table repeats.
	// By the clock of the world: what runs in between has clocks of its own.
	began := drill.RealNow()
	// origin is not among them: without the system of record nobody can serve
	// what no cache has, which is what hard means.
	cells := matrixCells("dynamodb", "logs")
	return c.inVirtualTimes(len(cells), func(i int) error {
		cell, err := oneCell(cells[i], *target == "naive", *watch, *seed)
		cells[i].Cell = cell
		return err
	}, func(err error) error {
		if err != nil {
			return err
		}
		all := make([]drill.Cell, len(cells))
		for i := range cells {
			all[i] = cells[i].Cell
		}
		if err := c.writeMatrix(*format, all); err != nil {
			return err
		}
		// The table is on the standard output; what it has cost goes to the
		// other one.
		took := drill.RealNow().Sub(began)
		fmt.Fprintf(c.stderr, "%d cells of %v each, in %v: %v a cell, %d at once\n", len(cells), *watch, took.Round(100*time.Millisecond),
			(took / time.Duration(len(cells))).Round(time.Millisecond), runtime.GOMAXPROCS(0))
		if slices.ContainsFunc(all, func(cell drill.Cell) bool { return cell.Verdict != drill.Held }) {
			return exitCode(drill.Deviated)
		}
		return nil
	})
}

// matrixCell is one that is to be tried, and what came of it. Each is written
// by the goroutine of its bubble, and read when all have ended.
type matrixCell struct {
	dependency string
	fault      drill.NamedFault
	drill.Cell
}

// matrixCells lists what is to be tried: dependencies in the order given, and
// their faults in that of drill.Faults.
//
// The result is what the program will do and can be counted before it does it;
// each row is written to by one goroutine alone.
func matrixCells(dependencies ...string) (all []matrixCell) {
	for _, d := range dependencies {
		for _, f := range matrixFaults(d) {
			all = append(all, matrixCell{dependency: d, fault: f})
		}
	}
	return all
}

// The load of a cell that lasts for hours, of which there are many. For two
// minutes after each change there are matrixRate requests a second, and between
// changes matrixSparse, one in two minutes, as often as the service probes what
// it has given up: what lasts for hours does not change by the second.
const (
	matrixRate   = 5
	matrixSparse = 1.0 / 120
	matrixProbe  = 2 * time.Minute
)

// oneCell drills the service that comes with the program, in a bubble. Up to an
// hour it is asked ten times a second throughout; see matrixRate for longer
// ones. seed makes a cell repeatable on any machine, together with the virtual
// clock.
//
// drill.Matrix is called for a single cell, so that the cells need not share a
// bubble: in one, the clock moves only when all of them wait, and they would
// take turns.
func oneCell(m matrixCell, naive bool, watch time.Duration, seed uint64) (drill.Cell, error) {
	ctx := context.Background() // one from outside the bubble would stop its clock
	cells, err := drill.Matrix(ctx, []string{m.dependency}, func(string) []drill.NamedFault { return []drill.NamedFault{m.fault} }, func(dependency string, rules []fault.Rule) (drill.Experiment, func() error, error) {
		o := reference.Options{Naive: naive, Seed: seed}
		// An hour at ten requests a second is 36,000 of them; seven and a half
		// hours of that would be most of what a matrix costs.
		long := watch > time.Hour
		if long {
			o.Probe = matrixProbe
		}
		svc, err := reference.New(ctx, o)
		if err != nil {
			return drill.Experiment{}, nil, err
		}
		p := presets.Preset{Name: "matrix", Title: dependency, Dependency: dependency, Rules: rules, Watch: watch, Recovery: time.Minute}
		e := svc.Drill(p, time.Millisecond)
		if e.Rate = 10; long {
			e.Rate, e.Sparse = matrixRate, matrixSparse
		}
		return e, func() error { return svc.Close(ctx) }, nil
	})
	if err != nil {
		return drill.Cell{}, err
	}
	return cells[0], nil
}

// writeMatrix prints a table of the cells: a row for each dependency, a column
// for each fault in Markdown and HTML, and in JSON a list, for other programs.
// Names are escaped by package drill, for the form that is printed.
//
// collect uses it as well, with cells that came from proofs.
func (c *command) writeMatrix(format string, cells []drill.Cell) error {
	if format == "json" {
		return c.printJSON(cells)
	}
	text := drill.MatrixMarkdown(cells)
	if format == "html" {
		text = drill.MatrixHTML("every soft dependency, every fault", cells)
	}
	_, err := fmt.Fprint(c.stdout, text)
	return err
}
