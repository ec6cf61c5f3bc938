package importer

import (
	"path/filepath"
	"strings"
	"testing"
)

// catalog imports one file, or says what is wrong with it.
func catalog(t *testing.T, text string) string {
	t.Helper()
	dir := write(t, map[string]string{"c.yaml": text})
	r, err := Backstage(filepath.Join(dir, "c.yaml"))
	if err != nil {
		return "error " + strings.ReplaceAll(err.Error(), filepath.ToSlash(dir)+"/", "")
	}
	return describe(dir, r)
}

func TestBackstage_every_field_that_is_read(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"kinds and types": {`
{kind: Component, metadata: {name: a}, spec: {type: database}}
---
{kind: resource, metadata: {name: b}, spec: {type: S3-Bucket}}
---
{kind: Resource, metadata: {name: c}, spec: {type: redis-cache}}
---
{kind: Resource, metadata: {name: d}, spec: {type: sqs-queue}}
---
{kind: Resource, metadata: {name: e}, spec: {type: kafka}}
---
{kind: Resource, metadata: {name: f}, spec: {type: kubernetes-cluster}}
---
{kind: Resource, metadata: {name: g}, spec: {type: thing}}
---
{kind: Resource, metadata: {name: h}}`, "a, app\nb, datastore\nc, datastore\nd, queue\ne, queue\nf, infra\ng\nh"},
		"owners and lifecycles": {`
{kind: Component, metadata: {name: a}, spec: {owner: team, lifecycle: production}}
---
{kind: Component, metadata: {name: b}, spec: {owner: 'group:ns/team'}}
---
{kind: Component, metadata: {name: c}, spec: {owner: unknown}}
---
{kind: Component, metadata: {name: d}, spec: {owner: 'user:Someone'}}`, "a, app, team, lifecycle production\nb, app, team\nc, app\nd, app, someone"},
		"what is no service": {"{kind: Group, metadata: {name: g}}\n---\n{kind: API, metadata: {name: x}}\n---\n{metadata: {name: y}}\n---\n{kind: System}\n", `
skipped entities of kind (none): y
skipped entities of kind api: x
skipped entities of kind group: g
skipped entities of kind system: c.yaml:7`},
		"no name": {"{kind: Component}\n", "warning: c.yaml:1: an entity without a name; skipped"},
		"declared twice": {"{kind: Component, metadata: {name: a}, spec: {type: x, owner: one}}\n---\n{kind: Component, metadata: {name: A}, spec: {owner: two, dependsOn: ['component:b']}}\n---\n{kind: Component, metadata: {name: b}}\n", `
b, app
component:default/a, app, one
  -> b, hard startup+runtime (c.yaml:3 dependsOn component:b)
warning: c.yaml:3: component:default/a is declared twice; the first one counts for its description`},
		"one name of two kinds": {"{kind: Component, metadata: {name: a}}\n---\n{kind: Resource, metadata: {name: a}}\n", "component:default/a, app\nresource:default/a"},
		"references to what is not here": {"{kind: Component, metadata: {name: a}, spec: {dependsOn: ['component:gone', 'resource:a', 'component:other/gone', 'api:x']}}\n", `
a, app
  -> component:other/gone, hard startup+runtime (c.yaml:1 dependsOn component:other/gone)
  -> gone, hard startup+runtime (c.yaml:1 dependsOn component:gone)
  -> resource:default/a, hard startup+runtime (c.yaml:1 dependsOn resource:a)
component:other/gone, named by others, not in the catalog files
gone, named by others, not in the catalog files
resource:default/a, named by others, not in the catalog files
warning: c.yaml:1: api:x is neither a component nor a resource; the edge is left out`},
		"dependencyOf": {"{kind: Resource, metadata: {name: db}, spec: {dependencyOf: ['component:a', a]}}\n---\n{kind: Component, metadata: {name: a}}\n", `
a, app
  -> db, hard startup+runtime (c.yaml:1 dependencyOf component:a)
db
warning: c.yaml:1: the reference "a" needs a kind, such as component:a; the edge is left out`},
		"several providers of an API": {"{kind: Component, metadata: {name: a}, spec: {consumesApis: [x, 'api:other/x']}}\n---\n{kind: Component, metadata: {name: c}, spec: {providesApis: [x]}}\n---\n{kind: Component, metadata: {name: b}, spec: {providesApis: ['api:default/x'], consumesApis: [X]}}\n", `
a, app
  -> b, hard runtime (c.yaml:1 consumesApis x)
  -> c, hard runtime (c.yaml:1 consumesApis x)
b, app
  -> c, hard runtime (c.yaml:5 consumesApis X)
c, app
warning: c.yaml:1: nobody provides the API api:other/x that a consumes`},
		"shapes": {"{kind: Component, metadata: {name: a}, spec: {dependsOn: x, dependencyOf: {a: b}, providesApis: null, consumesApis: 5}}\n---\n[a]\n", `
a, app
warning: c.yaml:1: consumesApis: expected a list; it is left out
warning: c.yaml:1: dependencyOf: expected a list; it is left out
warning: c.yaml:1: dependsOn: expected a list; it is left out
skipped entities of kind (none): c.yaml:3`},
		"what depgraph noted": {`
{kind: Component, metadata: {name: a-1, annotations: {depgraph/name: A/1, depgraph/kind: observer, depgraph/criticality: critical, depgraph/soft: 'component:b,component:c', depgraph/weak: 'component:d', depgraph/hard: 'component:c'}}, spec: {dependsOn: ['component:b', 'component:c', 'component:d', 'component:e']}}
---
{kind: Component, metadata: {name: b, annotations: {depgraph/kind: wrong, depgraph/criticality: odd}}}
---
{kind: Component, metadata: {name: c}}
---
{kind: Component, metadata: {name: d}}
---
{kind: Component, metadata: {name: e}}`, `
A/1, observer, critical
  -> b, soft startup+runtime (c.yaml:2 dependsOn component:b)
  -> c, hard startup+runtime (c.yaml:2 dependsOn component:c)
  -> d, weak startup (c.yaml:2 dependsOn component:d)
  -> e, hard startup+runtime (c.yaml:2 dependsOn component:e)
b
c, app
d, app
e, app
warning: c.yaml:4: depgraph/criticality: criticality "odd" is not one of low, medium, high, critical
warning: c.yaml:4: depgraph/kind: kind "wrong" is not one of app, cloud, datastore, queue, external, observer, infra`},
		"alternatives that depgraph noted": {`
{kind: Component, metadata: {name: a, annotations: {depgraph/any-of: '1 of component:b,component:c; 2 of component:c,component:d,component:e', depgraph/soft: 'component:c'}}, spec: {dependsOn: ['component:b', 'component:c', 'component:d', 'component:e']}}
---
{kind: Component, metadata: {name: b}}
---
{kind: Component, metadata: {name: c}}
---
{kind: Component, metadata: {name: d}}
---
{kind: Component, metadata: {name: e}}`, `
a, app
  -> any 1 of b, c, hard startup+runtime (c.yaml:2 any-of 1 of component:b,component:c)
  -> c, soft startup+runtime (c.yaml:2 dependsOn component:c)
  -> any 2 of c, d, e, hard startup+runtime (c.yaml:2 any-of  2 of component:c,component:d,component:e)
b, app
c, app
d, app
e, app`},
		"alternatives that say nothing": {`
{kind: Component, metadata: {name: a, annotations: {depgraph/any-of: 'x of component:b; 3 of component:b,component:c; 1 of component:gone; 0 of component:b; 1'}}, spec: {dependsOn: ['component:b']}}
---
{kind: Component, metadata: {name: b}}
---
{kind: Component, metadata: {name: c}}`, `
a, app
  -> b, hard startup+runtime (c.yaml:2 dependsOn component:b)
b, app
c, app
warning: c.yaml:2: depgraph/any-of: expected "1 of component:a,component:b", found "0 of component:b"; these are hard
warning: c.yaml:2: depgraph/any-of: expected "1 of component:a,component:b", found "1 of component:gone"; these are hard
warning: c.yaml:2: depgraph/any-of: expected "1 of component:a,component:b", found "1"; these are hard
warning: c.yaml:2: depgraph/any-of: expected "1 of component:a,component:b", found "3 of component:b,component:c"; these are hard
warning: c.yaml:2: depgraph/any-of: expected "1 of component:a,component:b", found "x of component:b"; these are hard`},
		"one group twice": {`
{kind: Component, metadata: {name: a, annotations: {depgraph/any-of: '2 of component:b,component:c,component:a2;1 of component:c,component:b,component:a2'}}}
---
{kind: Component, metadata: {name: b}}
---
{kind: Component, metadata: {name: c}}
---
{kind: Component, metadata: {name: a2}}`, `
a, app
  -> any 2 of a2, b, c, hard startup+runtime (c.yaml:2 any-of 1 of component:c,component:b,component:a2; c.yaml:2 any-of 2 of component:b,component:c,component:a2)
a2, app
b, app
c, app`},
		"one bad entity": {"kind: Component\nmetadata: {name: a}\n---\nkind: [\n---\nkind: Component\nmetadata: {name: b}\n", `
a, app
b, app
warning: c.yaml:4: cannot parse: did not find expected node content; the entity is left out
skipped entities that cannot be read: c.yaml`},
		"an empty file": {"", ""},
		"itself":        {"{kind: Component, metadata: {name: a}, spec: {dependsOn: ['component:a']}}\n", "a, app"},
	} {
		t.Run(name, func(t *testing.T) {
			for range 5 { // the same each time
				same(t, catalog(t, c.text), c.want)
			}
		})
	}
}

func TestParseRef_completes_what_is_not_said(t *testing.T) {
	for ref, want := range map[string]string{
		"a": "api:ns/a", "A": "api:ns/a", "component:a": "component:ns/a", "component:other/a": "component:other/a", "other/a": "api:other/a",
		"": "api:ns/", ":": ":ns/", "a:b:c": "a:ns/b:c", "a/b/c": "api:a/b/c",
	} {
		if got := parseRef(ref, "api", "ns"); got != want {
			t.Errorf("%q: %q, want %q", ref, got, want)
		}
	}
}
