package importer_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/depgraphtest"
	"github.com/failopen/failopen/depgraph/importer"
)

// TestImporters_conform runs the suite that importers of others run.
func TestImporters_conform(t *testing.T) {
	for name, c := range map[string]struct {
		read func(...string) (*importer.Result, error)
		text string
	}{
		"compose.yaml":      {importer.Compose, "services:\n  web:\n    image: x\n    depends_on: [db]\n    environment: {CACHE_URL: 'redis://cache:6379'}\n  db: {image: postgres}\n  cache: {image: redis}\n"},
		"kubernetes.yaml":   {importer.Kubernetes, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    spec:\n      containers:\n        - name: web\n          image: x\n          env: [{name: DB_ADDR, value: 'db:5432'}]\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: db}\nspec: {template: {metadata: {labels: {app: db}}, spec: {containers: [{name: db, image: postgres}]}}}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: db}\nspec: {selector: {app: db}}\n"},
		"catalog-info.yaml": {importer.Backstage, "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {name: web}\nspec: {owner: x, dependsOn: ['resource:db']}\n---\napiVersion: backstage.io/v1alpha1\nkind: Resource\nmetadata: {name: db}\nspec: {type: database, owner: x}\n"},
		"hub.json":          {importer.ResilienceHub, `{"dependencySummaries":[{"serviceArn":"arn:aws:resiliencehub:eu-west-1:123456789012:service/web","dependencyId":"1","dependencyName":"db","dnsName":"d","criticality":"SOFT"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
				t.Fatal(err)
			}
			depgraphtest.TestImporter(t, func() ([]depgraph.Service, error) {
				res, err := c.read(path)
				if err != nil {
					return nil, err
				}
				return res.Services, nil
			})
		})
	}
}
