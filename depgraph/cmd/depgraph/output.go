package main

import (
	"io"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/report"
)

// export writes the graph in one of many formats.
func (c *command) export() error {
	g, err := c.load(true)
	if err != nil {
		return err
	}
	return c.write(func(w io.Writer) error {
		switch c.format {
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
