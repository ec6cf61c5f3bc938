package importer_test

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/importer"
)

// FuzzImporters: whatever a file holds, an importer gives an error that names it, or
// services that compile and can be written as a manifest and read back; and the same
// ones each time.
func FuzzImporters(f *testing.F) {
	formats := []struct {
		file string
		read func(...string) (*importer.Result, error)
	}{
		{"compose.yaml", importer.Compose},
		{"kubernetes.yaml", importer.Kubernetes},
		{"catalog-info.yaml", importer.Backstage},
		{"hub.json", importer.ResilienceHub},
		{"web.service", importer.Systemd},
	}
	for i, seed := range []string{
		"services:\n  web:\n    build: .\n    depends_on: {db: {condition: service_healthy, required: false}}\n    environment: {CACHE: 'redis://cache:6379/${N:-0}'}\n    extends: {service: db}\n  db: {image: postgres, links: [cache], profiles: [a]}\n  cache: {image: redis}\n",
		"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: a}\nspec: {template: {metadata: {labels: {app: web}}, spec: {initContainers: [{name: i, image: x, args: [wait, 'db:5432']}], containers: [{name: web, image: x, env: [{name: DB, value: 'db.a.svc:5432'}]}]}}}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: a}\nspec: {selector: {app: web}, externalName: x.example.com}\n",
		"apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {name: web, namespace: a}\nspec: {owner: x, system: s, dependsOn: ['resource:db'], consumesApis: [b/c]}\n---\napiVersion: backstage.io/v1alpha1\nkind: Resource\nmetadata: {name: db}\nspec: {type: database, owner: x}\n",
		`{"dependencySummaries":[{"serviceArn":"arn:aws:resiliencehub:eu-west-1:123456789012:service/web","dependencyId":"1","dependencyName":"db","dnsName":"d","criticality":"SOFT"}]}`,
		"[Unit]\nRequires=db.service x@%i.service\nAfter=db.service \\\n  network.target\nBindsTo=\"a b.service\"\n[Service]\nExecStart=/bin/true\nEnvironment=A=b\n[Install]\nWantedBy=multi-user.target\n",
	} {
		f.Add(i, seed)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, format int, text string) {
		format = int(uint(format) % uint(len(formats)))
		path := filepath.Join(dir, formats[format].file)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := formats[format].read(path)
		again, errAgain := formats[format].read(path)
		if err != nil {
			if !strings.Contains(err.Error(), path) || errAgain == nil || err.Error() != errAgain.Error() {
				t.Fatalf("%v, and again %v", err, errAgain)
			}
			return
		}
		if !reflect.DeepEqual(r, again) {
			t.Errorf("first %+v\nand again %+v", r, again)
		}
		if _, err := r.Graph(); err != nil {
			t.Errorf("what was imported does not compile: %v", err)
		}
		if len(r.Services) == 0 {
			return // a manifest has at least one
		}
		var b bytes.Buffer
		if _, err := r.WriteTo(&b); err != nil {
			t.Fatalf("what was imported cannot be written: %v", err)
		}
		back, err := depgraph.ParseManifest("depgraph.yaml", b.Bytes())
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, b.Bytes())
		}
		if len(back) != len(r.Services) {
			t.Errorf("%d services were written, and %d read", len(r.Services), len(back))
		}
		for i := range min(len(back), len(r.Services)) {
			if back[i].Name != r.Services[i].Name || len(back[i].Depends) != len(r.Services[i].Depends) {
				t.Errorf("%+v was written, and %+v read", r.Services[i], back[i])
			}
		}
	})
}
