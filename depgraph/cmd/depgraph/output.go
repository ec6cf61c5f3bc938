package main

import (
	"io"
	"path/filepath"

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
	return report.HTML(c.ctx, w, g, report.HTMLOptions{Title: c.title(), Findings: findings, Progress: c.progress()})
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
