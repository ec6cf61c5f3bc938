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

func importNames() []string {
	names := make([]string, len(importers))
	for i, from := range importers {
		names[i] = from.name
	}
	return names
}

// importFrom writes manifests into the folder given with -o, or one manifest
// to the standard output.
func (c *command) importFrom() error {
	i := slices.Index(importNames(), c.args[0])
	if i < 0 {
		return usagef("import: %q is not one of %s", c.args[0], strings.Join(importNames(), ", "))
	}
	res, err := importers[i].read(c.args[1:]...)
	if err != nil {
		return err
	}
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
	if c.checkOnly && (c.output == "" || c.output == "-") {
		return usagef("import: --check compares with the folder given with -o")
	}
	if c.output == "" || c.output == "-" {
		_, err := res.WriteTo(c.stdout)
		return err
	}
	if c.checkOnly || !c.force {
		return c.importAgain(res)
	}
	gone, err := res.Leftover(c.ctx, c.output)
	if err != nil {
		return err
	}
	for _, d := range gone {
		cli.Say(c.stdout, "differs: %s\n", d)
	}
	files, err := res.WriteDir(c.output, c.force)
	if err != nil {
		return err
	}
	c.wrote(res, len(files))
	return nil
}

// importAgain keeps what people edited, adds what is new and prints what
// differs; with --check it writes nothing, and a difference is a finding.
func (c *command) importAgain(res *importer.Result) error {
	u, err := res.Compare(c.ctx, c.output)
	if err != nil {
		return err
	}
	for _, d := range u.Differences {
		cli.Say(c.stdout, "differs: %s\n", d)
	}
	if c.checkOnly {
		for _, file := range u.New {
			cli.Say(c.stdout, "missing: %s\n", file)
		}
		cli.Say(c.stdout, "%d services as declared, %d missing, %s\n", u.Kept, len(u.New), plural(len(u.Differences), "difference"))
		if len(u.New)+len(u.Differences) > 0 && c.failOn != "none" {
			return errFindings
		}
		return nil
	}
	if err := u.Write(); err != nil {
		return err
	}
	if u.Kept == 0 {
		c.wrote(res, len(u.New))
		return nil
	}
	for _, file := range u.New {
		cli.Say(c.stdout, "new: %s\n", file)
	}
	cli.Say(c.stdout, "kept %s as edited, wrote %d new, %s (--force overwrites)\n", plural(u.Kept, "manifest"), len(u.New), plural(len(u.Differences), "difference"))
	return nil
}

func (c *command) wrote(res *importer.Result, files int) {
	cli.Say(c.stdout, "wrote %s with %s to %s%s\n", plural(files, "manifest"), dependencies(res), c.output, sourceCounts(res))
	for _, line := range res.Unknown {
		cli.Say(c.stdout, "%s\n", line)
	}
}

// tally says what was read, skipped and guessed, beside the manifests.
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

// maxSkipped is how many names of one sort are listed.
const maxSkipped = 8

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// sourceCounts says what the edges were derived from.
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

func dependencies(res *importer.Result) string {
	return strings.Replace(plural(res.Edges(), "dependency"), "ys", "ies", 1)
}

var _ io.WriterTo = (*importer.Result)(nil)
