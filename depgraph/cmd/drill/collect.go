package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/drill"
)

// This is drill matrix -d: not a drill, but a table of what the services' own
// tests have shown. The contract between the two programs is one environment
// variable, drill.ProofEnv, which names a file; drill.Test appends a verdict to
// it. A test needs no flag and no import for it, and any command that runs
// tests will do, go test or another.

// collect makes a matrix of the verdicts on the services that manifests
// declare: those that drill.Test records while the command runs their tests or,
// without a command, those of the proof file beside the manifests.
//
// While a command runs, verdicts go to a file of their own, which is removed:
// what is in the proof file stays, and an earlier verdict cannot stand in for
// one that is missing today. The exit code is the worst of: a test failed or a
// cell deviated, a soft dependency was not tried.
//
// The names of services and dependencies are the manifests'; a proof about an
// edge that no manifest declares soft is not in the table.
func (c *command) collect(dir, format string, command []string) error {
	g, err := depgraph.Load(c.ctx, depgraph.LoadOptions{Paths: []string{dir}, AllowUndeclared: true})
	if err != nil {
		return err
	}
	// Without a command: what has been recorded so far.
	file, failed, began := proofFileOf(dir), false, time.Now()
	if len(command) > 0 {
		folder, err := os.MkdirTemp("", "drill-matrix-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(folder) }() // it is in the folder for such files
		file = filepath.Join(folder, depgraph.ProofFile)
		if failed, err = c.test(file, command); err != nil {
			return err
		}
	}
	took := time.Since(began)
	proofs, err := recorded(file)
	if err != nil {
		return err
	}
	cells, untested := softCells(g, proofs)
	if err := c.writeMatrix(format, cells); err != nil {
		return err
	}
	// Missing cells are listed with file and line: they are what is left to do.
	for _, e := range untested {
		fmt.Fprintf(c.stderr, "%s: %s -> %s is declared soft, and no drill has tried it\n", e.At, oneLine(e.From), oneLine(e.To))
	}
	fmt.Fprintf(c.stderr, "%d verdicts on %d soft dependencies, %d without any", len(cells), len(softEdges(g)), len(untested))
	if len(command) > 0 {
		fmt.Fprintf(c.stderr, ", in %v\n", took.Round(100*time.Millisecond))
	} else {
		fmt.Fprintf(c.stderr, ", of %s; to try them now: drill matrix -d %s -- go test -count=1 ./...\n", file, dir)
	}
	switch {
	case slices.ContainsFunc(cells, func(cell drill.Cell) bool { return cell.Verdict == drill.Deviated }), failed:
		return exitCode(drill.Deviated)
	case len(untested) > 0 || len(cells) == 0:
		return exitCode(drill.Void)
	}
	return nil
}

// test runs a command that records verdicts in a file, and says whether it has
// failed. Its output goes to the standard error, since the table is on the
// other one. Ctrl-C ends it, with ten seconds for what it leaves behind, and is
// the verdict aborted: half a run of tests says nothing about the services.
//
// Standard input is not given to it. An exit code other than 0 is not an error
// of ours: go test has said what failed, and the table still shows what was
// tried.
func (c *command) test(file string, command []string) (failed bool, err error) {
	cmd := exec.CommandContext(c.ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), drill.ProofEnv+"="+file)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = c.stderr.To, c.stderr.To, 10*time.Second
	err = cmd.Run()
	if c.ctx.Err() != nil {
		fmt.Fprintln(c.stderr, "drill matrix: interrupted")
		return false, exitCode(drill.Aborted)
	}
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return true, nil
	}
	return false, err
}

// recorded are the verdicts in a proof file, one JSON object a line, in their
// order; none if there is no file. depgraph checks that it is whole.
// A file that was changed by hand is an error, as it is for depgraph check.
//
// The file is read twice, once here and once by depgraph.LoadProofs, which
// knows its digests: what the check would refuse must not get into a table.
func recorded(file string) (all []depgraph.Proof, err error) {
	text, err := readFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // no test has drilled
	}
	if err != nil {
		return nil, err
	}
	if _, err := depgraph.LoadProofs(file); err != nil {
		return nil, err
	}
	// A record has some hundred bytes.
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var p depgraph.Proof
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, p)
	}
	return all, lines.Err()
}

// softEdges are the edges of the run time that are declared soft, by the names
// of their services.
// It is in the order of the graph's names, and of declaration within a service.
//
// Edges of a startup or of a deployment are left out: a drill runs against a
// service that serves.
func softEdges(g *depgraph.Graph) (soft []depgraph.Edge) {
	for name := range slices.Values(g.Names()) {
		for _, e := range drill.RuntimeEdges(g, name) {
			if e.Soft {
				soft = append(soft, e)
			}
		}
	}
	return soft
}

// softCells are the verdicts on soft dependencies, and the dependencies that
// have none that proves something. A proof that has hit nothing is void,
// whatever it says of itself: earlier versions wrote such ones. A verdict of a
// later version is left out.
//
// Cost: edges times proofs, which for a thousand of each is a million
// comparisons of names.
func softCells(g *depgraph.Graph, proofs []depgraph.Proof) (cells []drill.Cell, untested []depgraph.Edge) {
	for _, e := range softEdges(g) {
		tried := false
		for _, p := range proofs {
			if p.Service != e.From || p.Dependency != e.To {
				continue
			}
			cell := drill.Cell{Dependency: e.From + " -> " + e.To, Fault: faultOf(p)}
			if cell.Verdict.UnmarshalText([]byte(p.Verdict)) != nil {
				continue // of a later version
			}
			if cell.Verdict == drill.Held && p.Hits <= 0 {
				cell.Verdict = drill.Void
			}
			if cell.Verdict != drill.Held {
				cell.Reason = "declared soft in " + e.At.String() + "; the test's output says more"
			}
			// Aborted, not-started and void say nothing about the dependency.
			tried = tried || cell.Verdict == drill.Held || cell.Verdict == drill.Deviated
			cells = append(cells, cell)
		}
		if !tried {
			untested = append(untested, e)
		}
	}
	return cells, untested
}

// faultOf finds the name of a fault by the digest of its rules, which is all
// that a proof keeps of them: of the faults that drill.Faults makes for the
// dependency, for any, and for the services of AWS which a manifest may call
// otherwise. What is none of these is shown by the first eight digits.
//
// A digest cannot be turned round, so the candidates are made and compared:
// some hundred a proof. The services of AWS are those that faults are about
// most; another one is shown by its digest, which is right, though less
// readable.
func faultOf(p depgraph.Proof) string {
	for _, service := range []string{p.Dependency, "", "dynamodb", "sts", "kms", "logs"} {
		for _, f := range drill.Faults(service) {
			text, err := json.Marshal(f.Rules)
			if err != nil {
				continue // text and numbers do not fail
			}
			sum := sha256.Sum256(text)
			if "sha256:"+hex.EncodeToString(sum[:]) == p.Rules {
				return f.Name
			}
		}
	}
	return "rules " + p.Rules[:min(len(p.Rules), len("sha256:")+8)]
}
