package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/failopen/failopen/depgraph/importer"
	"github.com/failopen/failopen/depgraph/internal/cli"
)

// importers are the sources of "depgraph import", in the order of its help. A
// row is all that a new one needs here: usage, completion and errors follow it.
var importers = []struct {
	name string
	read func(paths ...string) (*importer.Result, error)
}{
	{"compose", importer.Compose},
	{"kubernetes", importer.Kubernetes},
	{"backstage", importer.Backstage},
	{"systemd", importer.Systemd},
	{"resilience-hub", importer.ResilienceHub},
}

// importNames are the words that may follow import.
func importNames() []string {
	names := make([]string, len(importers))
	for i, from := range importers {
		names[i] = from.name
	}
	return names
}

// importFrom writes manifests into the folder given with -o, or one manifest to
// the standard output. Warnings and a summary of what was read, skipped and
// guessed go to the standard error, so that the manifest can be piped.
//
// Nothing is written unless all of it is a graph: names that clash in the
// source are reported before a folder is half filled. With --force it
// overwrites; what of the folder's manifests the source knows nothing about is
// printed, never deleted.
//
// Four ways lead out of it: to the standard output, a comparison (--check), a
// careful second import (the default), and one that overwrites (--force).
func (c *command) importFrom() error {
	i := slices.Index(importNames(), c.args[0])
	if i < 0 {
		return usagef("import: %q is not one of %s", c.args[0], strings.Join(importNames(), ", "))
	}
	if c.checkOnly && (c.output == "" || c.output == "-") {
		return usagef("import: --check compares with the folder given with -o")
	}
	res, err := importers[i].read(c.args[1:]...)
	if err != nil {
		return err
	}
	// What does not compile must not be written, not even in part.
	if _, err := res.Graph(); err != nil {
		return err
	}
	for _, w := range res.Warnings {
		cli.Say(c.stderr, "warning: %s\n", w)
	}
	c.tally(res)
	if len(res.Services) == 0 {
		return fmt.Errorf("depgraph: nothing to import in %s: no service was found", strings.Join(c.args[1:], ", "))
	}
	if c.output == "" || c.output == "-" {
		_, err := res.WriteTo(c.stdout)
		return err
	}
	if c.checkOnly || !c.force {
		return c.importAgain(res)
	}
	// What --force would not touch is said, and stays.
	gone, err := res.Leftover(c.ctx, c.output)
	if err != nil {
		return err
	}
	for _, d := range gone {
		fmt.Fprintf(c.said, "differs: %s\n", d)
	}
	files, err := res.WriteDir(c.output, c.force)
	if err != nil {
		return err
	}
	c.wrote(res, len(files))
	return nil
}

// importAgain keeps what people edited, adds what is new and prints what
// differs; with --check it writes nothing, and a difference is a finding,
// unless --fail-on none only wants the list. The first import into an empty
// folder has nothing to keep, and says the same as one with --force.
//
// Kept is the rule that makes an import repeatable: what people have written
// wins over what a compose file says, and they are told of the difference.
func (c *command) importAgain(res *importer.Result) error {
	u, err := res.Compare(c.ctx, c.output)
	if err != nil {
		return err
	}
	for _, d := range u.Differences {
		fmt.Fprintf(c.said, "differs: %s\n", d)
	}
	if c.checkOnly {
		for _, file := range u.New {
			fmt.Fprintf(c.said, "missing: %s\n", file)
		}
		fmt.Fprintf(c.said, "%d services as declared, %d missing, %s\n", u.Kept, len(u.New), plural(len(u.Differences), "difference"))
		if len(u.New)+len(u.Differences) > 0 && c.failOn != "none" {
			return errFindings
		}
		return nil
	}
	if err := u.Write(); err != nil {
		return err
	}
	// Nothing was there, so that there is nothing to keep or to differ from.
	if u.Kept == 0 {
		c.wrote(res, len(u.New))
		return nil
	}
	for _, file := range u.New {
		fmt.Fprintf(c.said, "new: %s\n", file)
	}
	fmt.Fprintf(c.said, "kept %s as edited, wrote %d new, %s (--force overwrites)\n", plural(u.Kept, "manifest"), len(u.New), plural(len(u.Differences), "difference"))
	return nil
}

// wrote is the last thing that an import says: what was written, and what of
// the source it could not make sense of.
func (c *command) wrote(res *importer.Result, files int) {
	fmt.Fprintf(c.said, "wrote %s with %s to %s%s\n", plural(files, "manifest"), dependencies(res), c.output, sourceCounts(res))
	for _, line := range res.Unknown {
		fmt.Fprintf(c.said, "%s\n", line)
	}
}

// tally says what was read, skipped and guessed, beside the manifests. What is
// skipped is named by sort, in the order of the alphabet, each name once: an
// import that leaves something out silently would make a graph that looks
// complete.
func (c *command) tally(res *importer.Result) {
	cli.Say(c.stderr, "read %s: %s, %s, %d of them guesses (assumed)\n", plural(res.Read, "file"), plural(len(res.Services), "service"), dependencies(res), res.Guessed)
	for _, sort := range slices.Sorted(maps.Keys(res.Skipped)) {
		names := slices.Compact(slices.Sorted(slices.Values(res.Skipped[sort])))
		more := ""
		if n := len(names) - maxSkipped; n > 0 {
			names, more = names[:maxSkipped], fmt.Sprintf(" and %d more", n)
		}
		cli.Say(c.stderr, "skipped %d %s: %s%s\n", len(res.Skipped[sort]), sort, strings.Join(names, ", "), more)
	}
}

// maxSkipped is how many names of one sort are listed: enough to see what sort
// of things they are, and one line.
const maxSkipped = 8

// plural is a count with its noun, for nouns that take an s.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// sourceCounts says what the edges were derived from, such as "depends_on 7,
// environment 2": the more of them are guesses, the more there is to edit. It
// is "" if there are none.
func sourceCounts(res *importer.Result) string {
	if len(res.Sources) == 0 {
		return ""
	}
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(res.Sources)) {
		parts = append(parts, fmt.Sprintf("%s %d", kind, res.Sources[kind]))
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// dependencies counts the edges; a group counts once for each of its members.
//
// The plural of dependency is the only one here that does not take an s.
func dependencies(res *importer.Result) string {
	return strings.Replace(plural(res.Edges(), "dependency"), "ys", "ies", 1)
}

var _ io.WriterTo = (*importer.Result)(nil)
