package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/failopen/failopen/depgraph/importer"
)

// importFrom writes manifests into the folder given with -o, or one manifest
// to the standard output.
func (c *command) importFrom() error {
	sources := map[string]func(...string) (*importer.Result, error){
		"compose": importer.Compose, "kubernetes": importer.Kubernetes, "backstage": importer.Backstage, "systemd": importer.Systemd,
	}
	read, ok := sources[c.args[0]]
	if !ok {
		return usagef("import: %q is not one of compose, kubernetes, backstage, systemd", c.args[0])
	}
	res, err := read(c.args[1:]...)
	if err != nil {
		return err
	}
	if _, err := res.Graph(); err != nil {
		return err
	}
	for _, w := range res.Warnings {
		fmt.Fprintf(c.stderr, "warning: %s\n", w)
	}
	if c.output == "" || c.output == "-" {
		_, err := res.WriteTo(c.stdout)
		return err
	}
	files, err := res.WriteDir(c.output, c.force)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "wrote %d manifests with %d dependencies to %s (%s)\n", len(files), res.Edges(), c.output, sourceCounts(res))
	for _, line := range res.Unknown {
		fmt.Fprintln(c.stdout, line)
	}
	return nil
}

// sourceCounts says what the edges were derived from.
func sourceCounts(res *importer.Result) string {
	var parts []string
	for kind, n := range res.Sources {
		parts = append(parts, fmt.Sprintf("%s %d", kind, n))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

var _ io.WriterTo = (*importer.Result)(nil)
