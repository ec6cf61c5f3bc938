package report_test

import (
	"io"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/report"
)

func TestBackstage_every_sort_in_full(t *testing.T) {
	g := compiled(t, "b.yaml", `
service: Web Shop
owner: team-web
kind: app
criticality: high
note: "the front: #1"
depends:
  - {on: db, phase: startup}
  - {on: db, phase: runtime, soft: true}
  - {on: mail, soft: true}
  - {on: log, order: weak}
  - {on: builder, phase: deploy}
  - any-of: [east, west, db]
    need: 2
  - any-of: [east, north]
---
{service: db, kind: datastore}
---
{service: mail, kind: queue}
---
{service: log, kind: observer}
---
{service: builder}
---
{service: east, kind: cloud}
---
{service: west, kind: external}
---
{service: north, kind: infra}
`)
	same(t, written(t, func(w io.Writer) error { return report.Backstage(w, g) }), `
# Written by depgraph from the manifests; change those, not this. It does not hold
# phases, planes, durations, availability, verify steps, evidence or waivers, nor
# what is needed for a deployment only.
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: Web-Shop-b0a1bcd2eb9c
  title: Web Shop
  description: "the front: #1"
  annotations:
    depgraph/any-of: "2 of resource:default/db,resource:default/east,resource:default/west; 1 of resource:default/east,resource:default/north"
    depgraph/hard: "resource:default/db"
    depgraph/soft: "resource:default/mail"
    depgraph/weak: "component:default/log"
    depgraph/name: Web Shop
    depgraph/criticality: high
    depgraph/kind: app
spec:
  type: service
  lifecycle: production
  owner: team-web
  dependsOn:
    - "component:default/log"
    - "resource:default/db"
    - "resource:default/east"
    - "resource:default/mail"
    - "resource:default/north"
    - "resource:default/west"
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: builder
spec:
  type: service
  lifecycle: production
  owner: unknown
---
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata:
  name: db
  annotations:
    depgraph/kind: datastore
spec:
  type: database
  owner: unknown
---
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata:
  name: east
  annotations:
    depgraph/kind: cloud
spec:
  type: cloud
  owner: unknown
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: log
  annotations:
    depgraph/kind: observer
spec:
  type: service
  lifecycle: production
  owner: unknown
---
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata:
  name: mail
  annotations:
    depgraph/kind: queue
spec:
  type: queue
  owner: unknown
---
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata:
  name: north
  annotations:
    depgraph/kind: infra
spec:
  type: infra
  owner: unknown
---
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata:
  name: west
  annotations:
    depgraph/kind: external
spec:
  type: external
  owner: unknown
`)
}

// Text that YAML cannot hold is an error, and no half of a catalog is written.
func TestBackstage_writes_all_or_nothing(t *testing.T) {
	g := compile(t, []depgraph.Service{{Name: "a"}, {Name: "b", Note: "not UTF-8: \xff"}})
	var b strings.Builder
	err := report.Backstage(&b, g)
	if err == nil || b.Len() > 0 {
		t.Errorf("%v, and %d bytes:\n%s", err, b.Len(), b.String())
	}
}

// Names that Backstage would take for one stay two, and each has its own title.
func TestBackstage_names_stay_apart(t *testing.T) {
	names := []string{"pay", "Pay", "PAY", "p a y", "p_a_y", "p/a/y", strings.Repeat("pay", 30), strings.Repeat("pay", 31)}
	var services []depgraph.Service
	for _, n := range names {
		services = append(services, depgraph.Service{Name: n})
	}
	seen := map[string]bool{}
	for _, line := range strings.Split(written(t, func(w io.Writer) error { return report.Backstage(w, compile(t, services)) }), "\n") {
		if name, ok := strings.CutPrefix(line, "  name: "); ok {
			name = strings.ToLower(strings.Trim(name, `"'`))
			if seen[name] || len(name) > 63 {
				t.Errorf("%s is there twice, or too long", name)
			}
			seen[name] = true
		}
	}
	if len(seen) != len(names) {
		t.Errorf("%d entities for %d services: %v", len(seen), len(names), seen)
	}
}
