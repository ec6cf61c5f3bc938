package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/failopen/failopen/depgraph"
)

// load reads the manifests. Whether a name that nothing declares is an error
// depends on the verb: check reports it as a finding among others, but an order
// or an availability computed around a hole would be wrong.
//
// Every problem of every file is in one error, by file and line: somebody who
// mends manifests wants to see all of them.
func (c *command) load(allowUndeclared bool) (*depgraph.Graph, error) {
	paths, err := expandPatterns(c.paths)
	if err != nil {
		return nil, err
	}
	g, err := depgraph.Load(c.ctx, c.loadOptions(paths, allowUndeclared))
	if err != nil {
		return nil, err
	}
	return g, c.spares(g)
}

// maxNamedBytes is how large a file may be that somebody named: an exported
// graph of 100,000 services has 64 MiB.
const maxNamedBytes = 128 << 20

// loadOptions are those of manifests below folders; files that are named by
// themselves may be whole graphs, written by export, and so may be larger. One
// folder among them keeps the limit of single manifests.
//
// The limits are there for a file that is named by mistake, such as a dump of a
// database: nothing of it is read into memory beyond them.
func (c *command) loadOptions(paths []string, allowUndeclared bool) depgraph.LoadOptions {
	o := depgraph.LoadOptions{Paths: paths, Stdin: c.stdin, AllowUndeclared: allowUndeclared, Progress: c.progress()}
	named := func(p string) bool {
		info, err := os.Stat(p)
		return p == "-" || err == nil && info.Mode().IsRegular()
	}
	// The standard input counts as named: an export is piped as often as
	// stored.
	if len(paths) > 0 && !slices.ContainsFunc(paths, func(p string) bool { return !named(p) }) {
		o.MaxFileBytes = maxNamedBytes
	}
	return o
}

// spares refuses to write what a verb says over one of the manifests it read:
// "export -f yaml -o depgraph.yaml" would replace what people wrote by what was
// understood of it. It compares files, not names, so links do not get past it.
//
// It costs a stat for each service, and only if there is a -o.
func (c *command) spares(g *depgraph.Graph) error {
	if c.output == "" || c.output == "-" {
		return nil
	}
	for s := range g.Services() {
		if c.sparesFiles(s.At.File) != nil {
			return usagef("-o %s: declares %s; write to another file", c.output, s.Name)
		}
	}
	return nil
}

// sparesFiles refuses to write what a verb says over a file that it reads, by
// whatever name and link. A device is no such file, and what cannot be written at
// all is reported when it is tried.
//
// Verbs that read something besides manifests call it for that: diff, drift,
// why-blocked and export.
func (c *command) sparesFiles(names ...string) error {
	target, err := os.Stat(c.output)
	if err != nil || c.output == "-" || !target.Mode().IsRegular() {
		return nil
	}
	for _, name := range names {
		if read, err := os.Stat(name); err == nil && os.SameFile(read, target) {
			return usagef("-o %s: is read by this command; write to another file", c.output)
		}
	}
	return nil
}

// expandPatterns replaces patterns that the shell left alone by what they
// match: that of Windows always does, and others do within quotes. A name that
// exists is no pattern, whatever is in it; a pattern without a match is an
// error, since a check of nothing would pass.
//
// Matches are in the order of filepath.Glob, the alphabet's, so that the same
// pattern reads the same files in the same order everywhere.
func expandPatterns(paths []string) ([]string, error) {
	var all []string
	for _, p := range paths {
		if !strings.ContainsAny(p, "*?[") || exists(p) {
			all = append(all, p)
			continue
		}
		found, err := filepath.Glob(p)
		if err != nil {
			return nil, usagef("the pattern %q: %s", p, err)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("%s: no file matches the pattern", p)
		}
		all = append(all, found...)
	}
	return all, nil
}

// proofs reads the verdicts of drills; nil if there are none. A file that was
// named must be there; the one beside the manifests need not.
func (c *command) proofs() (*depgraph.Proofs, error) {
	name := c.proof
	if name == "" {
		name = filepath.Join(c.folder(), depgraph.ProofFile)
		if !exists(name) {
			return nil, nil // none was asked for, and none is there
		}
	}
	return depgraph.LoadProofs(name)
}

// policy reads the policy file, if there is one. Like proofs, a file that was
// named must be there.
//
// It is looked for beside the first folder only. Policies of several folders
// could contradict each other, and which of them holds would depend on an
// order.
func (c *command) policy() (*depgraph.Policy, error) {
	name := c.config
	if name == "" {
		name = filepath.Join(c.folder(), ".depgraph.yaml")
		if !exists(name) {
			return &depgraph.Policy{}, nil // none was asked for, and none is there
		}
	}
	return depgraph.LoadPolicy(name)
}

// folder is the first one that was named, or that of the first file; the
// current one for the standard input and for patterns. The policy, the proofs,
// the commit and the title of a page are those of this folder.
func (c *command) folder() string {
	if len(c.paths) == 0 || c.paths[0] == "-" || strings.ContainsAny(c.paths[0], "*?[") && !exists(c.paths[0]) {
		return "."
	}
	if info, err := os.Stat(c.paths[0]); err == nil && !info.IsDir() {
		return filepath.Dir(c.paths[0])
	}
	return c.paths[0]
}

// exists reports whether a name leads to something that can be looked at. What
// may not be looked at is not there for our purposes; reading it reports why.
func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
