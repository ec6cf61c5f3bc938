package depgraphtest_test

import (
	"context"
	"testing"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/depgraphtest"
)

func TestTestRule(t *testing.T) {
	depgraphtest.TestRule(t, depgraph.Rule{
		Name: "owned", Severity: depgraph.Warn, Summary: "a service has an owner",
		Check: func(ctx context.Context, g *depgraph.Graph) (found []depgraph.Finding, err error) {
			for s := range g.Services() {
				if s.Owner == "" {
					found = append(found, depgraph.Finding{Service: s.Name, Message: s.Name + " has no owner"})
				}
			}
			return found, ctx.Err()
		},
	})
}

func TestTestImporter(t *testing.T) {
	depgraphtest.TestImporter(t, func() ([]depgraph.Service, error) {
		return []depgraph.Service{
			{Name: "a", Source: "x.toml:1", Depends: []depgraph.Dependency{{On: "b", Source: "x.toml:2"}}},
			{Name: "b", Source: "x.toml:3"},
		}, nil
	})
}
