package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/internal/cli"
	"github.com/failopen/failopen/depgraph/report"
)

// A diff has two sides, and each may be a revision, a folder, an exported graph
// or the work tree. sides sorts out which (git's own spellings with two and
// three dots among them), side and revision read one, and package depgraph
// compares.

// side is one of the two graphs of a diff, with what the report calls it.
type side struct {
	title string
	graph *depgraph.Graph
}

// diff compares two graphs, each a revision of git, a folder, a file, or what
// is there now. Both are judged by one policy and one set of rules, those of
// the work tree: a change of the policy is not a change of the system. The exit
// code is about new findings alone.
//
// Findings are compared by what they are about and not by their line, so moving
// a file or adding a line above is no change.
func (c *command) diff() error {
	if err := c.sparesFiles(c.args...); err != nil {
		return err
	}
	before, after, err := c.sides()
	if err != nil {
		return err
	}
	o, err := c.checkOptions()
	if err != nil {
		return err
	}
	// One empty side is the time before the first manifest, or after the last.
	if before.graph.Len()+after.graph.Len() == 0 {
		return errors.New("depgraph: diff: neither side has a manifest, so there is nothing to compare")
	}
	d, err := depgraph.Compare(c.ctx, before.graph, after.graph, depgraph.DiffOptions{Check: o})
	if err != nil {
		return lookup(err)
	}
	var known int
	if d.New, known, _, err = c.unknown(d.New); err != nil {
		return err
	}
	d.Known += known
	titles := report.DiffTitles{Before: before.title, After: after.title}
	err = c.write(func(w io.Writer) error {
		switch c.format {
		case "json":
			return report.DiffJSON(w, d, titles)
		case "markdown":
			return report.DiffMarkdown(w, d, titles)
		case "github":
			return report.GitHub(w, d.New)
		}
		return report.DiffText(w, d, titles, c.textOptions())
	})
	if err != nil {
		return err
	}
	return c.judge(d.New)
}

// sides reads both graphs. "A..B" and "A...B" stand for two revisions, as they
// do for git; with three dots, the first is what A and B have in common. A file
// or a folder that is called like that is one.
func (c *command) sides() (before, after side, err error) {
	first, second := c.args[0], ""
	if len(c.args) == 2 {
		second = c.args[1]
	}
	// What exists on disk is meant, whatever its name looks like.
	if !exists(first) {
		if a, b, ok := strings.Cut(first, "..."); ok && second == "" {
			return c.sinceMergeBase(a, b)
		}
		if a, b, ok := strings.Cut(first, ".."); ok && second == "" {
			first, second = head(a), head(b)
		}
	}
	if before, err = c.side(first); err != nil {
		return before, after, err
	}
	if second == "" {
		after.title = "the work tree"
		after.graph, err = c.load(true)
		return before, after, err
	}
	after, err = c.side(second)
	return before, after, err
}

// head is HEAD for an empty name, as git has it in A.. and ..B.
func head(rev string) string {
	if rev == "" {
		return "HEAD"
	}
	return rev
}

// sinceMergeBase reads B, and the last commit that it has in common with A:
// what a branch changes, without what its base has got in the meantime. Both
// names are resolved first, so that the message about a wrong one names it.
func (c *command) sinceMergeBase(a, b string) (before, after side, err error) {
	repo, err := c.repository()
	if err != nil {
		return before, after, err
	}
	var hashes [2]string
	for i, rev := range []string{head(a), head(b)} {
		if hashes[i], err = repo.resolve(rev); err != nil {
			return before, after, revisionError(err)
		}
	}
	base, err := repo.mergeBase(hashes[0], hashes[1])
	if err != nil {
		return before, after, err
	}
	if before, err = c.revision(repo, base, short(base)); err != nil {
		return before, after, err
	}
	after, err = c.revision(repo, hashes[1], head(b))
	return before, after, err
}

// side reads one graph. What is there as a file or a folder is not a revision;
// "git:NAME" is one in any case.
//
// The disk comes first since that is what people see; git: is for the folder
// that is called like a branch.
func (c *command) side(name string) (side, error) {
	rev, forced := strings.CutPrefix(name, "git:")
	if !forced && (name == "-" || exists(name)) {
		g, err := depgraph.Load(c.ctx, c.loadOptions([]string{name}, true))
		if err != nil {
			return side{}, err
		}
		return side{name, g}, c.spares(g)
	}
	repo, err := c.repository()
	if err != nil {
		return side{}, err
	}
	hash, err := repo.resolve(rev)
	if err != nil {
		return side{}, revisionError(err)
	}
	return c.revision(repo, hash, rev)
}

// repository is the one around the first folder.
func (c *command) repository() (repository, error) {
	if info, err := os.Stat(c.folder()); err != nil || !info.IsDir() {
		return repository{}, fmt.Errorf("%s: no such folder; -d names what is there now, and it is read in each revision", c.folder())
	}
	return repository{c.ctx, c.folder()}, nil
}

// revisionError says what else the name could have been; git does not know that
// files and folders were possible.
//
// Its cases are recognised by git's own words, under LC_ALL=C; another version
// of git that says it otherwise gets its own message through.
func revisionError(err error) error {
	switch {
	case errors.Is(err, errNoRevision):
		return usagef("diff: %s, and no file or folder of that name", err)
	case strings.Contains(err.Error(), "not a git repository"):
		return usagef("diff: there is no file or folder of that name, and this is not a git repository")
	}
	return err
}

// revision reads the manifests of a commit, where they would be read now. A
// revision without any is an empty graph: that of the time before the first.
func (c *command) revision(repo repository, hash, title string) (side, error) {
	paths := c.paths
	if len(paths) == 0 {
		paths = []string{"."}
	}
	var services []depgraph.Service
	for _, p := range paths {
		if p == "-" {
			return side{}, usagef("diff: a revision has no standard input")
		}
		if info, err := os.Stat(p); err != nil || !info.IsDir() && !info.Mode().IsRegular() {
			return side{}, fmt.Errorf("%s: no such folder; -d names what is there now, and it is read in each revision", p)
		}
		found, err := repo.services(hash, p)
		if err != nil {
			return side{}, err
		}
		services = append(services, found...)
	}
	if len(services) == 0 {
		cli.Say(c.stderr, "note: %s has no manifests\n", title)
	}
	g, err := depgraph.Compile(services, depgraph.Options{AllowUndeclared: true})
	if err != nil {
		return side{}, fmt.Errorf("%s: %w", title, err)
	}
	return side{title, g}, c.spares(g)
}
