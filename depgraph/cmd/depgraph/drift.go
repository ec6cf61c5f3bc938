package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/drift"
	"github.com/failopen/failopen/depgraph/importer"
	"github.com/failopen/failopen/depgraph/internal/cli"
	"github.com/failopen/failopen/depgraph/report"
)

// drift has two inputs that disagree in their spelling: manifests, and
// recordings that know pods, images and addresses. Most of the file is about
// getting the second to the names of the first (nameMap), and about telling
// what kind of recording a file is (recorded, kindOf).
//
// drift compares the declaration with what was seen. Names are mapped before
// anything is compared, and the baseline comes after the rules, as in check.
//
// Formats that have no place for notes get them on the standard error: a sample
// that was too small for a conclusion must not look like agreement. Nothing to
// compare is an error for the same reason. The order of a failure is that of
// its cost: flags, names, policy, declaration, and the recordings last, which
// can be large.
func (c *command) drift() error {
	if len(c.observed) == 0 {
		return usagef("drift: --observed names what was recorded: %s; or compose and Kubernetes files", drift.Formats)
	}
	names, err := c.nameMap()
	if err != nil {
		return err
	}
	policy, err := c.policy()
	if err != nil {
		return err
	}
	if err := policy.Knows(append(append([]string(nil), c.only...), c.skip...)); err != nil {
		return lookup(err)
	}
	g, err := c.declaration()
	if err != nil {
		return err
	}
	seen, err := c.recorded()
	if err != nil {
		return err
	}
	r := drift.Compare(g, seen, drift.Options{Names: names, Policy: policy, Only: c.only, Skip: c.skip})
	var known int
	if r.Findings, known, _, err = c.unknown(r.Findings); err != nil {
		return err
	}
	if known > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%d findings are known from the baseline", known))
	}
	if err := c.write(func(w io.Writer) error { return c.driftReport(w, r) }); err != nil {
		return err
	}
	if c.format == "github" || c.format == "sarif" { // which have no place for notes
		for _, note := range r.Notes {
			cli.Say(c.stderr, "note: %s\n", note)
		}
	}
	// Nothing to compare is no agreement.
	if r.Empty() {
		why := "no call between two services"
		if !seen.Empty() {
			why = "the names leave out every call"
		}
		return fmt.Errorf("depgraph: nothing to compare with: %s in %s", why, strings.Join(c.observed, ", "))
	}
	if c.format == "yaml" { // it was asked for a declaration, and not for a verdict
		return nil
	}
	return c.judge(r.Findings)
}

// driftReport writes the report in the format that was asked for; yaml is a
// first manifest of what was seen.
//
// yaml ignores what is declared: it is for the start, when nothing is.
func (c *command) driftReport(w io.Writer, r *drift.Report) error {
	switch c.format {
	case "json":
		return report.DriftJSON(w, r)
	case "markdown":
		return report.DriftMarkdown(w, r)
	case "sarif":
		return report.SARIF(w, r.Findings)
	case "github":
		return report.GitHub(w, r.Findings)
	case "yaml":
		return report.DriftManifests(w, r)
	}
	return report.DriftText(w, r, c.textOptions())
}

// declaration is what the manifests say; nothing, if that is wanted.
//
// --no-declaration is an empty graph, so that everything that was seen is new.
func (c *command) declaration() (*depgraph.Graph, error) {
	if !c.nothing {
		return c.load(true)
	}
	if len(c.paths) > 0 {
		return nil, usagef("drift: --no-declaration reads no manifests, and -d names some")
	}
	return depgraph.Compile(nil, depgraph.Options{})
}

// nameMap reads --names and --map. On the command line the last equals sign
// counts: observed names may have one (a Docker image, a query), declared ones
// hardly do. Entries of --map come first, and the first match wins.
func (c *command) nameMap() (*drift.Names, error) {
	names := &drift.Names{}
	// Those of the command line, then those of the file.
	for _, m := range c.mapped {
		at := strings.LastIndexByte(m, '=')
		if at < 0 {
			return nil, usagef("--map: expected \"OBSERVED=DECLARED\", found %q", m)
		}
		if err := names.Set(m[:at], m[at+1:]); err != nil {
			return nil, usagef("--map: %s", err)
		}
	}
	if c.names == "" {
		return names, nil
	}
	f, err := os.Open(c.names)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return names, names.Read(filepath.ToSlash(c.names), f)
}

// recorded reads everything that --observed names. Recordings are added one by
// one, as a stream; compose files and Kubernetes manifests are parsed together,
// since each set describes one system.
func (c *command) recorded() (*drift.Observed, error) {
	files, err := expandPatterns(c.observed)
	if err != nil {
		return nil, err
	}
	if err := c.sparesFiles(append(files, c.names)...); err != nil {
		return nil, err
	}
	col := &drift.Collector{}
	var compose, kubernetes []string
	for _, name := range files {
		kind, err := c.kindOf(name)
		switch {
		case err != nil:
			return nil, err
		case kind == "compose":
			compose = append(compose, name)
		case kind == "kubernetes":
			kubernetes = append(kubernetes, name)
		default:
			if err := c.record(col, name); err != nil {
				return nil, err
			}
		}
	}
	// Configurations come after all recordings, in one piece of each sort: a
	// file that overrides another makes no sense without it.
	if err := c.configured(col, compose, importer.Compose); err != nil {
		return nil, err
	}
	if err := c.configured(col, kubernetes, importer.Kubernetes); err != nil {
		return nil, err
	}
	return col.Observed(), nil
}

// kindOf tells configurations, which are read together, from recordings: by the
// name, a folder or *.yaml, and for those by an apiVersion at the beginning of
// a line, which every object of Kubernetes has and no compose file.
func (c *command) kindOf(name string) (string, error) {
	if name == "-" {
		return "", nil
	}
	info, err := os.Stat(name)
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return "", fmt.Errorf("%s: cannot read: %w", name, err)
	}
	if info.IsDir() {
		return "kubernetes", nil
	}
	if !strings.HasSuffix(name, ".yaml") && !strings.HasSuffix(name, ".yml") {
		return "", nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	if bytes.Contains(data, []byte("\napiVersion:")) || bytes.HasPrefix(data, []byte("apiVersion:")) {
		return "kubernetes", nil
	}
	return "compose", nil
}

// record adds one recording; its format is recognised by its content.
//
// Gzip is unpacked, and a file that was named twice counts once.
func (c *command) record(col *drift.Collector, name string) error {
	if name == "-" {
		return col.Add("standard input", c.stdin)
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return col.Add(filepath.ToSlash(name), f)
}

// configured takes the addresses in a configuration: what it only orders at a
// start is a declaration, and left out, or drift would compare declarations
// with each other. read is the importer of that kind.
func (c *command) configured(col *drift.Collector, files []string, read func(...string) (*importer.Result, error)) error {
	if len(files) == 0 {
		return nil
	}
	res, err := read(files...)
	if err != nil {
		return err
	}
	for i := range res.Services {
		s := &res.Services[i]
		var kept []depgraph.Dependency
		for _, d := range s.Depends {
			if addressed(d.Source) {
				kept = append(kept, d)
			}
		}
		s.Depends = kept
	}
	if len(res.Services) == 0 {
		return fmt.Errorf("%s: no service was found", strings.Join(files, ", "))
	}
	col.AddConfigured(filepath.ToSlash(strings.Join(files, " ")), res.Services)
	return nil
}

// addressed reports whether an import found more than an order of starts.
// source is what importers write: "FILE:LINE KIND ...", several with "; "
// between them.
func addressed(source string) bool {
	for _, part := range strings.Split(source, "; ") {
		if fields := strings.Fields(part); len(fields) > 1 && fields[1] != "depends_on" {
			return true
		}
	}
	return false
}
