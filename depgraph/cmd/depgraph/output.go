package main

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/report"
)

// report writes the page with everything.
func (c *command) report() error {
	g, findings, err := c.analyse()
	if err != nil {
		return err
	}
	return c.write(func(w io.Writer) error { return c.html(w, g, findings) })
}

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

// today is the date of the page; SOURCE_DATE_EPOCH fixes it, for builds that
// must give the same bytes.
func today() string {
	at := time.Now()
	if n, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		at = time.Unix(n, 0)
	}
	return at.UTC().Format(time.DateOnly)
}

// commit is the short name of the commit that is checked out around a folder,
// or "". It is read from the files of git, so that no program is needed.
func commit(dir string) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
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
// work trees.
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

func short(hash string) string {
	if len(hash) < 12 || strings.Trim(hash, "0123456789abcdef") != "" {
		return ""
	}
	return hash[:12]
}

// title names the folder that was read.
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

// export writes the graph in one of many formats.
func (c *command) export() error {
	g, findings, err := c.analyse()
	if err != nil {
		return err
	}
	return c.write(func(w io.Writer) error {
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
		case "yaml":
			var services []depgraph.Service
			for s := range g.Services() {
				services = append(services, s)
			}
			return depgraph.WriteManifest(w, services...)
		}
		return report.GraphJSON(w, g)
	})
}
