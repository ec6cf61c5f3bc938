package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/importer"
	"github.com/failopen/failopen/depgraph/internal/cli"
	"github.com/failopen/failopen/depgraph/report"
)

// What draws: report (one page for people who were not there), export (the
// graph for other programs), query (a part of it), and the parts that they
// share. Which revision the page is of is read from git's files without git;
// diff, which reads old manifests, runs git itself (git.go).

// report writes the page with everything. It has no verdict: check has.
func (c *command) report() error {
	g, findings, err := c.analyse()
	if err != nil {
		return err
	}
	return c.write(func(w io.Writer) error { return c.html(w, g, findings) })
}

// html writes the page. All that changes from run to run comes from outside:
// the date, the commit, and the age of proofs.
//
// The page loads nothing from elsewhere, so that it can be mailed and opened in
// five years.
func (c *command) html(w io.Writer, g *depgraph.Graph, findings []depgraph.Finding) error {
	proofs, err := c.proofs()
	if err != nil {
		return err
	}
	return report.HTML(c.ctx, w, g, report.HTMLOptions{
		Proofs: proofs, ProofAge: time.Duration(c.requireProof), ProofNow: time.Now(),
		Title: c.title(), Date: today(), Commit: commit(c.folder()), Findings: findings, Progress: c.progress(),
	})
}

// today is the date of the page, in UTC; SOURCE_DATE_EPOCH fixes it, for builds
// that must give the same bytes (reproducible-builds.org).
func today() string {
	at := time.Now()
	if n, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		at = time.Unix(n, 0)
	}
	return at.UTC().Format(time.DateOnly)
}

// commit is the short name of the commit that is checked out around a folder,
// or "". It is read from the files of git, so that no program is needed; what
// it cannot make sense of, such as a reftable, is a page without a commit and
// no error.
func commit(dir string) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	// Upwards until there is a repository, as git looks for one.
	for {
		if hash := headOf(filepath.Join(dir, ".git")); hash != "" {
			return hash
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
}

// headOf reads HEAD in a folder of git, or in the one that a file names, as in
// work trees and submodules. HEAD is a hash, or names a reference, which is a
// file of its own or a line in packed-refs; a work tree has these in the folder
// that its commondir names.
//
// The layout is that of gitrepository-layout(5).
func headOf(git string) string {
	common := git
	if data, err := os.ReadFile(git); err == nil {
		path, ok := strings.CutPrefix(strings.TrimSpace(string(data)), "gitdir: ")
		if !ok {
			return ""
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(git), path)
		}
		git, common = path, path
		if data, err := os.ReadFile(filepath.Join(path, "commondir")); err == nil {
			common = filepath.Join(path, strings.TrimSpace(string(data)))
		}
	}
	// HEAD is the work tree's own; branches are those of the repository that it
	// shares.
	data, err := os.ReadFile(filepath.Join(git, "HEAD"))
	if err != nil {
		return ""
	}
	head := strings.TrimSpace(string(data))
	ref, ok := strings.CutPrefix(head, "ref: ")
	if !ok {
		return short(head)
	}
	if data, err := os.ReadFile(filepath.Join(common, filepath.FromSlash(ref))); err == nil {
		return short(strings.TrimSpace(string(data)))
	}
	// A branch that has been packed has no file: "HASH NAME" is a line among
	// comments (#) and the commits that tags lead to (^).
	packed, err := os.ReadFile(filepath.Join(common, "packed-refs"))
	if err != nil {
		return ""
	}
	for _, line := range strings.Split(string(packed), "\n") {
		if hash, name, ok := strings.Cut(line, " "); ok && name == ref {
			return short(hash)
		}
	}
	return ""
}

// short is how git abbreviates a hash, in twelve digits, or "" for what is no
// hash: nothing else gets from these files into a page.
func short(hash string) string {
	if len(hash) < 12 || strings.Trim(hash, "0123456789abcdef") != "" {
		return ""
	}
	return hash[:12]
}

// title names the folder that was read, unless --title names the page.
func (c *command) title() string {
	if c.heading != "" {
		return c.heading
	}
	abs, err := filepath.Abs(c.folder())
	if err != nil {
		return "Dependencies"
	}
	return "Dependencies of " + filepath.Base(abs)
}

// export writes the graph in one of many formats. Findings go along where a
// format can show them: a service that a rule complains about is marked.
//
// resilience-hub is not a drawing and has no view: what it classifies are all
// dependencies that the Hub has listed.
func (c *command) export() error {
	g, findings, err := c.analyse()
	if err != nil {
		return err
	}
	if c.format == "resilience-hub" {
		return c.classify(g)
	}
	view, findings, err := c.view(g, findings)
	if err != nil {
		return err
	}
	return c.write(func(w io.Writer) error { return c.draw(w, view, findings) })
}

// draw writes a graph in the format that was asked for; JSON if none was.
// Escaping is each format's own, in package report.
//
// markdown and svg take the context, as they lay out or count over the whole
// graph; the others write as they go.
func (c *command) draw(w io.Writer, g *depgraph.Graph, findings []depgraph.Finding) error {
	switch c.format {
	case "dot":
		return report.DOT(w, g)
	case "mermaid":
		return report.Mermaid(w, g)
	case "markdown":
		return report.Markdown(c.ctx, w, g)
	case "csv":
		return report.CSV(w, g)
	case "svg":
		return report.SVG(c.ctx, w, g)
	case "html":
		return c.html(w, g, findings)
	case "backstage":
		return report.Backstage(w, g)
	case "yaml":
		var services []depgraph.Service
		for s := range g.Services() {
			services = append(services, s)
		}
		return depgraph.WriteManifest(w, services...)
	}
	return report.GraphJSON(w, g)
}

// viewFlags declares what part of the graph is wanted; see view.
func (c *command) viewFlags(fs *flag.FlagSet) {
	fs.StringVar(&c.focus, "focus", "", "only what this `query` selects, and its neighbours")
	fs.IntVar(&c.depth, "depth", 1, "how far the neighbours of --focus reach, in `steps`")
	fs.StringVar(&c.reaches, "reaches", "", "only what reaches what this `query` selects, directly or not")
	fs.StringVar(&c.collapse, "collapse", "", "draw groups `by` owner, kind, criticality or folder instead of services")
}

// view cuts the graph down to what was asked for. Findings stay if all that
// they are about does; groups have no findings, which are about services.
//
// With neither --focus, --reaches nor --collapse it gives back what it was
// given.
func (c *command) view(g *depgraph.Graph, findings []depgraph.Finding) (*depgraph.Graph, []depgraph.Finding, error) {
	if c.depth < 0 {
		return nil, nil, usagef("--depth: %d is below 0", c.depth)
	}
	if c.depth != 1 && c.focus == "" {
		return nil, nil, usagef("--depth goes with --focus")
	}
	if c.focus != "" && c.reaches != "" {
		return nil, nil, usagef("--focus and --reaches exclude each other; a query can say both, such as \"deps(a) & rdeps(b)\"")
	}
	// Cut first, and collapse what is left: the query is about services.
	if c.focus+c.reaches != "" {
		names, err := c.selected(g)
		if err != nil {
			return nil, nil, err
		}
		if g, err = g.Slice(names); err != nil {
			return nil, nil, err
		}
		findings = slices.DeleteFunc(findings, func(f depgraph.Finding) bool {
			return !g.Has(f.Service) || slices.ContainsFunc(f.Edges, func(e depgraph.Edge) bool { return !g.Has(e.From) || !g.Has(e.To) })
		})
	}
	if c.collapse == "" {
		return g, findings, nil
	}
	by, err := depgraph.ParseCollapse(c.collapse)
	if err != nil {
		return nil, nil, usagef("--collapse: %s", err)
	}
	g, err = g.Collapse(by)
	return g, nil, err
}

// selected asks for what --focus or --reaches selects, with its neighbours. The
// query of the user is run by itself first: a mistake in it is then reported at
// its own place, and not at one in the query that is made of it. As a part of
// that one it is in brackets, so that its operators cannot reach out.
//
// --focus is what it selects with its neighbours on both sides, to --depth;
// with --reaches it is everything that needs it, to any depth.
func (c *command) selected(g *depgraph.Graph) ([]string, error) {
	query := c.focus + c.reaches
	if _, err := g.Query(c.ctx, query); err != nil { // as it was written, for the place of a mistake
		return nil, queryError(err)
	}
	around := fmt.Sprintf("deps((%[1]s), %[2]d) | rdeps((%[1]s), %[2]d)", query, c.depth)
	if c.reaches != "" {
		around = fmt.Sprintf("rdeps((%s))", query)
	}
	names, err := g.Query(c.ctx, around)
	return names, queryError(err)
}

// queryError is an error of usage for a query that does not parse: it was
// typed.
func queryError(err error) error {
	if errors.Is(err, depgraph.ErrQuery) {
		return usagef("%s", err)
	}
	return err
}

// query prints what an expression selects, or draws it with the edges between
// what it selects. Unknown names are part of the graph here: one may ask for
// them, by undeclared().
//
// The language is described in docs/guide/depgraph-pipeline.md and at Graph.Query.
func (c *command) query() error {
	g, err := c.load(true)
	if err != nil {
		return err
	}
	names, err := g.Query(c.ctx, c.args[0])
	if err != nil {
		return queryError(err)
	}
	if c.format == "text" {
		return c.write(func(w io.Writer) error { return report.NamesText(w, names) })
	}
	slice, err := g.Slice(names)
	if err != nil {
		return err
	}
	return c.write(func(w io.Writer) error { return c.draw(w, slice, nil) })
}

// classify writes the requests that tell AWS Resilience Hub what is declared,
// one object a line, for a shell to hand over one by one. Nothing is sent. What
// the Hub has found and nobody declares goes to the standard error.
func (c *command) classify(g *depgraph.Graph) error {
	if len(c.listed) == 0 {
		return usagef("export -f resilience-hub: --list names what \"aws resiliencehubv2 list-dependencies\" printed")
	}
	if err := c.sparesFiles(c.listed...); err != nil {
		return err
	}
	found, err := importer.ReadResilienceHub(c.listed...)
	if err != nil {
		return err
	}
	updates, missing := importer.Classify(g, found)
	for _, m := range missing {
		cli.Say(c.stderr, "not declared: %s\n", m)
	}
	return c.write(func(w io.Writer) error {
		enc := json.NewEncoder(w)
		for _, u := range updates {
			if err := enc.Encode(u); err != nil {
				return err
			}
		}
		return nil
	})
}
