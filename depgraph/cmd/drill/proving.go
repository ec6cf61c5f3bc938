package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/presets"
)

// A proof is a claim that others rely on without having seen the drill:
// depgraph check --require-proof passes on the strength of it. So this file
// refuses more than the rest of the program. provable is asked before anything
// is cut, prove afterwards; both do nothing without --proof.

// provable sees before a drill that its proof would be one: that the file can
// be written, and that the rules cut what the proof is about and nothing else.
// edge says that the dependency has another name in the rules, which cannot be
// checked. Afterwards it would be too late: the drill has cost its time, and
// perhaps a real outage.
//
// It cannot see everything: the disk may be full by the end. prove says so
// then, and the exit code is no verdict.
func (d *drillFlags) provable(p presets.Preset, edge string) error {
	if d.proof == "" {
		return nil
	}
	switch info, err := os.Stat(filepath.Dir(d.proof)); {
	case err != nil:
		return fmt.Errorf("--proof: %w", err)
	case !info.IsDir():
		return fmt.Errorf("--proof: %s is no folder", filepath.Dir(d.proof))
	}
	if _, err := depgraph.LoadProofs(d.proof); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("--proof: %w", err)
	}
	for i, r := range p.Rules {
		if edge == "" && !strings.EqualFold(r.Service, p.Dependency) {
			return usagef("--proof: rule %d is about the service %q, and the proof would be about %q: want rules of the latter only", i+1, r.Service, p.Dependency)
		}
	}
	return nil
}

// prove appends the verdict to the proof file, whatever it is: one that deviated
// disproves the declaration. A report that is about no edge, or has hit nothing
// and says held, makes no proof.
// Without --proof it does nothing. What refers to the record is printed, for the
// manifest's member evidence.
//
// depgraph.AppendProof replaces the file as a whole, under a lock beside it. Two
// drills that end at the same moment do not lose a line: one of them is refused,
// and its exit code is no verdict.
func (c *command) prove(d drillFlags, r *drill.Report) error {
	if d.proof == "" {
		return nil
	}
	proof, err := r.Proof()
	if err != nil {
		return err
	}
	if proof, err = depgraph.AppendProof(d.proof, proof); err != nil {
		return fmt.Errorf("%s: %w", d.proof, err)
	}
	fmt.Fprintf(c.stderr, "%s: %s without %s: %s; refer to it as evidence: %s\n", d.proof, proof.Service, proof.Dependency, proof.Verdict, proof.ID)
	return nil
}
