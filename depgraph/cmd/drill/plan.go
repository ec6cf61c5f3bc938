package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/internal/cli"
)

// planVerb is plan: see [command.plan].
var planVerb = verb{
	name: "plan", about: "Write an experiment for every dependency that was declared soft",
	help: `
Reads the manifests of depgraph and the proof file beside them, and lists the
edges of the run time: soft ones must hold, hard ones are expected to deviate.
With -o each soft edge gets a file that drill run --file and drill replay take,
and that a test of the service reads with presets.Parse. Examples:

    drill plan -d services/
    drill plan -d services/ -o drills/
`,
	run: (*command).plan,
}

// plan lists the edges of the run time that a drill can be about: soft ones
// first, with the state of their proof, then hard ones, whose drill is expected
// to deviate. No such edge at all is an error: the wrong folder would look like
// a finished job.
//
// It reads and, with -o, writes files that are not there yet; nothing is cut.
// The states are those of depgraph.ProofState, as depgraph check has them.
func (c *command) plan(args []string) error {
	fs := c.flags()
	dir := fs.String("d", ".", "a folder or file with manifests")
	out := fs.String("o", "", "a folder that gets an experiment for each soft edge")
	days := fs.Int("max-age", 90, "for how many `days` a proof counts, at most 3650; 0: whatever its age")
	if err := c.parse(fs, args); err != nil {
		return err
	}
	if *days < 0 || *days > 3650 { // many more would not be a duration
		return usagef("plan: --max-age is %d; want 1 to 3650 days, or 0 for any age", *days)
	}
	g, err := depgraph.Load(c.ctx, depgraph.LoadOptions{Paths: []string{*dir}, AllowUndeclared: true})
	if err != nil {
		return err
	}
	proofs, err := proofsOf(*dir)
	if err != nil {
		return err
	}
	edges := drill.Plan(g, proofs, time.Now(), time.Duration(*days)*24*time.Hour)
	soft := 0
	for _, e := range edges {
		if !e.Soft {
			continue
		}
		soft++
		// Why is empty for what is proven, and in words for all else.
		state := e.Status.State.String()
		if e.Status.Why != "" {
			state += ": " + e.Status.Why
		}
		fmt.Fprintf(c.stdout, "must hold     %s -> %s  (%s)  %s\n", oneLine(e.Service), oneLine(e.Dependency), e.At, state)
		if *out != "" {
			if err := writePlan(*out, e); err != nil {
				return err
			}
		}
	}
	for _, e := range edges {
		if !e.Soft {
			fmt.Fprintf(c.stdout, "must deviate  %s -> %s  (%s)\n", oneLine(e.Service), oneLine(e.Dependency), e.At)
		}
	}
	fmt.Fprintf(c.stdout, "\n%d soft dependencies to prove, %d hard ones\n", soft, len(edges)-soft)
	if len(edges) == 0 {
		return fmt.Errorf("%s: no dependency of the run time is declared there", *dir)
	}
	return nil
}

// proofFileOf is the proof file beside manifests, which are a folder or one
// file.
//
// depgraph check looks in the same place, or the two would disagree about what
// is proven.
func proofFileOf(path string) string {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		path = filepath.Dir(path)
	}
	return filepath.Join(path, depgraph.ProofFile)
}

// proofsOf reads the proof file beside manifests, if there is one.
// nil is no proof file, which is no error: nothing is proven then.
//
// One that is there and cannot be read is an error, with its line: taking it
// for none would list everything as untested.
func proofsOf(path string) (*depgraph.Proofs, error) {
	name := proofFileOf(path)
	if _, err := os.Stat(name); err != nil {
		return nil, nil // none has been written yet
	}
	return depgraph.LoadProofs(name)
}

// notInNames is what a file's name must not have; see planName.
var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// planName is a file's name, whatever services are called: letters, digits and
// dashes of ASCII only, so that a name can neither leave the folder nor be an
// option of a program. Names that would not be told apart by their letters and
// digits get a few of a digest, and so do those whose parts could be split
// elsewhere.
func planName(e drill.Planned) string {
	part := func(s string) string { return strings.Trim(notInNames.ReplaceAllString(strings.ToLower(s), "-"), "-") }
	const between = "-without-"
	name := part(e.Service) + between + part(e.Dependency)
	if exact := e.Service + between + e.Dependency; name != exact || strings.Count(exact, between) > 1 {
		sum := sha256.Sum256([]byte(e.Service + "\x00" + e.Dependency))
		name += "-" + hex.EncodeToString(sum[:4])
	}
	return strings.Trim(name, "-")
}

// writePlan writes the experiment for an edge, unless somebody has written one:
// it may have been edited, and is then the better one. It is a preset, version
// 1, as presets.Parse reads it.
// A watch of 30 min and a recovery of a minute are a beginning, and meant to be
// edited.
//
// The facts say where the claim was made, so that anyone who opens the file in a
// year finds the line; the rules are those of drill.Plan: refused every other
// time, and never answered.
func writePlan(dir string, e drill.Planned) error {
	rules, err := json.Marshal(e.Rules)
	if err != nil {
		return err
	}
	name := planName(e)
	text, err := json.MarshalIndent(map[string]any{
		"version": 1, "name": name, "title": e.Service + " without " + e.Dependency,
		"facts":      []string{fmt.Sprintf("%s declares in %s that it works without %s.", e.Service, e.At, e.Dependency)},
		"sources":    []string{},
		"dependency": e.Dependency, "watch": "30m", "recovery": "1m", "rules": json.RawMessage(rules),
	}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	err = cli.WriteNew(filepath.Join(dir, name+".json"), append(text, '\n'))
	if errors.Is(err, os.ErrExist) {
		return nil // it may have been edited
	}
	return err
}
