// Livelint finds liveness checks that call a dependency.
//
//	livelint [-sarif] [-paths REGEXP] [-sinks PATHS] PACKAGES...
//	go vet -vettool=$(which livelint) ./...
//
// Start with run: it reads the flags, then the platform's configuration (probers.go),
// has analyze look at the packages, and writes text or SARIF (sarif.go). What is found,
// and why, is in package livelint.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/analysis/unitchecker"
	"golang.org/x/tools/go/packages"

	"github.com/failopen/failopen/health/livelint"
)

// Exit codes.
// They are part of the interface: CI fails on 1, and treats 3 as a broken run.
const (
	exitClean = iota
	exitFound
	exitUsage
	exitFailed // could not read or analyse
)

// main is two programs: the one of the command line, and the one that go vet
// starts for each package.
// The flags and files that go vet hands over are a protocol of its own, which
// unitchecker speaks; nothing below is used then.
func main() {
	if calledByVet(os.Args[1:]) {
		unitchecker.Main(livelint.Analyzer) // does not return
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// calledByVet: go vet asks for the version and the flags, and then hands over
// a file that describes a package.
// A pattern of packages never begins with a dash or ends in .cfg.
func calledByVet(args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool {
		return a == "-flags" || strings.HasPrefix(a, "-V") || strings.HasSuffix(a, ".cfg")
	})
}

// run is main without the process. It returns the exit code: 0 nothing found, 1
// findings, 2 wrong usage, 3 something could not be read.
// Findings go to out, and everything else to errs, so that a redirected report holds
// nothing but the report. What was found is printed even if something could not be
// read: half of an answer is of use, if it says that it is one.
func run(args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("livelint", flag.ContinueOnError)
	flags.SetOutput(errs)
	sarif := flags.Bool("sarif", false, "print SARIF 2.1.0")
	whole := flags.Bool("whole", false, "follow functions and interfaces through the whole program; takes longer")
	tests := flags.Bool("tests", false, "look at test files, too")
	k8s := flags.String("k8s", "", "read the probes from the Kubernetes manifests in this `folder`, or file")
	tasks := flags.String("ecs", "", "read the health checks from the ECS task definition, or CloudFormation template, in this `file`, or folder")
	// the analyzer's own flags, by the same names; the values are shared, so that to set
	// one here sets it there
	livelint.Analyzer.Flags.VisitAll(func(f *flag.Flag) { flags.Var(f.Value, f.Name, f.Usage) })
	flags.Usage = func() {
		fmt.Fprint(errs, `Usage: livelint [flags] packages...
       go vet -vettool=$(which livelint) packages...

Finds handlers of /livez and its like, liveness checks of health libraries, and
calls of health.Process.Fatal that reach the network: when the dependency is
down, the platform restarts the service, which does not help. Also what does
the same through package health: a Beat that only a successful call leads to,
and calls in a watched loop outside its Wait.

  livelint ./...
  livelint -sarif ./... > livelint.sarif
  livelint -paths '^/(livez|up)$' -sinks example.com/our/client ./...
  livelint -k8s deploy/ ./...
  livelint -whole ./cmd/service

With -k8s or -ecs the liveness paths are those that the platform is configured
to ask for, and a finding says what it will do.

A line with "//livelint:allow REASON", or the line below it, is let through.
Exit codes: 0 clean, 1 findings, 2 usage, 3 packages that cannot be read; what
was found in the others is printed.

`)
		flags.PrintDefaults()
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitClean
	case err != nil:
		return exitUsage
	case flags.NArg() == 0:
		flags.Usage()
		return exitUsage
	}
	// before the packages are loaded: it decides what is a liveness path
	asked, err := readProbers(flags, *k8s, *tasks)
	for _, p := range asked {
		fmt.Fprintln(errs, "livelint:", p)
	}
	found, unread := analyze(flags.Args(), *tests, *whole, asked)
	unread = errors.Join(err, unread)
	if *sarif {
		err = writeSARIF(out, found)
	} else {
		err = writeText(out, found)
	}
	switch err = errors.Join(unread, err); {
	case err != nil:
		for line := range strings.SplitSeq(err.Error(), "\n") {
			fmt.Fprintln(errs, "livelint:", line)
		}
		return exitFailed
	case len(found) > 0:
		return exitFound
	}
	return exitClean
}

// readProbers reads the configuration of platforms, and makes what is there the
// liveness paths, unless -paths says otherwise.
// To find no probe at all is an error: a wrong folder would otherwise leave the usual
// paths in place, and say nothing of it. What was read before an error is used.
func readProbers(flags *flag.FlagSet, k8s, tasks string) (asked []prober, err error) {
	var wrong error
	if k8s != "" {
		asked, wrong = probers(k8s, kubernetes)
	}
	if tasks != "" {
		more, err := probers(tasks, ecs)
		asked, wrong = append(asked, more...), errors.Join(wrong, err)
	}
	if k8s+tasks != "" && len(asked) == 0 {
		wrong = errors.Join(wrong, errors.New("no liveness probe that asks for a path is in "+strings.TrimSpace(k8s+" "+tasks)))
	}
	// set on the command line, which Visit tells from a default
	given := false
	flags.Visit(func(f *flag.Flag) {
		given = given || f.Name == "paths"
		if (f.Name == "k8s" || f.Name == "ecs") && f.Value.String() == "" { // of a variable that is not set
			wrong = errors.Join(wrong, fmt.Errorf("-%s is empty", f.Name))
		}
	})
	if len(asked) > 0 && !given {
		wrong = errors.Join(wrong, flags.Set("paths", patterns(asked)))
	}
	return asked, wrong
}

// finding is one diagnostic.
// The order of fields is the order in which findings are sorted, so that two runs print
// the same, and a test file's variant of a package says nothing twice.
type finding struct {
	file      string // relative to the working directory if it is below it
	line, col int
	message   string
}

// analyze returns what was found, also when some packages do not compile, which
// the error says.
// Both modes load all syntax: facts of dependencies need their source here, where no
// go command computes them. Files below the working directory are named relative to
// it, others in full.
func analyze(patterns []string, tests, whole bool, asked []prober) ([]finding, error) {
	pkgs, err := packages.Load(&packages.Config{Mode: packages.LoadAllSyntax | packages.NeedModule, Tests: tests}, patterns...)
	if err != nil {
		return nil, err
	}
	// errors of parsing and type checking; the analyzer runs all the same
	var broken []error
	packages.Visit(pkgs, nil, func(p *packages.Package) {
		for _, e := range p.Errors {
			broken = append(broken, e)
		}
	})
	analyzer := livelint.Analyzer
	if whole {
		if analyzer, err = livelint.Whole(pkgs); err != nil {
			broken = append(broken, err)
		}
	}
	graph, err := checker.Analyze([]*analysis.Analyzer{analyzer}, pkgs, nil)
	if err != nil {
		return nil, err
	}
	here, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	var found []finding
	for _, action := range graph.Roots {
		if action.Err != nil {
			broken = append(broken, action.Err)
			continue
		}
		for _, d := range action.Diagnostics {
			at := action.Package.Fset.Position(d.Pos)
			if rel, err := filepath.Rel(here, at.Filename); err == nil && filepath.IsLocal(rel) {
				at.Filename = filepath.ToSlash(rel)
			}
			// what the platform will do about this route, by its configuration
			for _, p := range asking(asked, d.Category) {
				d.Message += fmt.Sprintf(" (%s:%d: %s, %s)", p.file, p.line, p.who, p.then)
			}
			found = append(found, finding{at.Filename, at.Line, at.Column, d.Message})
		}
	}
	slices.SortFunc(found, func(a, b finding) int {
		return cmp.Or(strings.Compare(a.file, b.file), a.line-b.line, a.col-b.col, strings.Compare(a.message, b.message))
	})
	return slices.Compact(found), errors.Join(broken...) // a package and its test variant say the same
}

// writeText writes a line a finding in the form of compilers, which editors can
// follow.
func writeText(w io.Writer, found []finding) error {
	for _, f := range found {
		if _, err := fmt.Fprintf(w, "%s:%d:%d: %s\n", f.file, f.line, f.col, f.message); err != nil {
			return err
		}
	}
	return nil
}
