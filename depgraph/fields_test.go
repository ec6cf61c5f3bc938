package depgraph_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/report"
)

// TestDependency_every_field_goes_everywhere sets the fields of a Dependency one
// at a time, and follows each through the manifest, the graph, its edges, the
// export, the view, the schema and the guide. A field that was added and
// forgotten somewhere is named with that place. On, AnyOf, Need and At say where
// an edge leads and stands; they are in every case.
func TestDependency_every_field_goes_everywhere(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join("..", "docs", "guide", "depgraph.md"))
	if err != nil {
		t.Fatal(err)
	}
	fields := reflect.TypeFor[depgraph.Dependency]()
	for i := range fields.NumField() {
		name := fields.Field(i).Name
		if slices.Contains([]string{"On", "AnyOf", "Need", "At"}, name) {
			continue
		}
		for _, d := range []depgraph.Dependency{{On: "b"}, {AnyOf: []string{"b", "c"}, Need: 1}} {
			if name == "Until" {
				d.Phase = depgraph.Startup // else it is an edge for the start, and one for run time
			}
			v := reflect.ValueOf(&d).Elem().Field(i)
			set(t, name, v)
			if missing := lost(t, d, name, v.Interface(), string(guide)); missing != "" {
				t.Errorf("Dependency.%s: %s", name, missing)
			}
		}
	}
}

// set gives a field a value that is not its default.
func set(t *testing.T, name string, v reflect.Value) {
	t.Helper()
	switch v.Interface().(type) {
	case string:
		v.SetString("x: y")
	case bool:
		v.SetBool(true)
	case depgraph.Phase:
		v.Set(reflect.ValueOf(depgraph.Startup)) // also what Weak implies, so that edges stay one
	case depgraph.Until:
		v.Set(reflect.ValueOf(depgraph.Ready))
	case depgraph.Plane:
		v.Set(reflect.ValueOf(depgraph.Control))
	default:
		t.Fatalf("Dependency.%s is a %s: tell this test a value of it", name, v.Type())
	}
}

// lost says where the value of a dependency's field gets lost; "": nowhere.
func lost(t *testing.T, d depgraph.Dependency, field string, want any, guide string) string {
	t.Helper()
	of := func(d any) any {
		if v := reflect.ValueOf(d).FieldByName(field); v.IsValid() {
			return v.Interface()
		}
		return nil
	}
	first := func(s depgraph.Service, ok bool) depgraph.Dependency {
		if !ok || len(s.Depends) == 0 {
			return depgraph.Dependency{}
		}
		return s.Depends[0]
	}
	others := []depgraph.Service{{Name: "b"}, {Name: "c"}}
	compiled := func(services ...depgraph.Service) *depgraph.Graph {
		g, err := depgraph.Compile(append(services, others...), depgraph.Options{})
		if err != nil {
			t.Fatalf("%s: %v", field, err)
		}
		return g
	}

	// The manifest: what the writer adds for this field, and what is read of it.
	bare := d
	reflect.ValueOf(&bare).Elem().FieldByName(field).SetZero()
	var with, without bytes.Buffer
	if err := depgraph.WriteManifest(&with, depgraph.Service{Name: "a", Depends: []depgraph.Dependency{d}}); err != nil {
		return "WriteManifest: " + err.Error()
	}
	if err := depgraph.WriteManifest(&without, depgraph.Service{Name: "a", Depends: []depgraph.Dependency{bare}}); err != nil {
		return "WriteManifest: " + err.Error()
	}
	added := ""
	for _, line := range strings.SplitAfter(with.String(), "\n") {
		if !strings.Contains(without.String(), line) {
			added += line
		}
	}
	key := regexp.MustCompile(`^    ([a-z-]+): .+\n$`).FindStringSubmatch(added)
	if key == nil {
		return fmt.Sprintf("WriteManifest does not write it: it added %q", added)
	}
	services, err := depgraph.ParseManifest("m.yaml", with.Bytes())
	if err != nil {
		return "ParseManifest: " + err.Error()
	}
	if got := of(services[0].Depends[0]); got != want {
		return fmt.Sprintf("ParseManifest read %v", got)
	}

	// The graph: an edge, and the dependency that is made of it again.
	g := compiled(services...)
	edges := g.EdgesFrom("a")
	if got := of(edges[0]); got != want {
		return fmt.Sprintf("EdgesFrom: the Edge has %v", got)
	}
	if got := of(first(g.Service("a"))); got != want {
		return fmt.Sprintf("Graph.Service has %v", got)
	}
	lib, err := depgraph.FromGraph(g.View(), nil, nil)
	if err != nil {
		return "FromGraph: " + err.Error()
	}
	if got := of(first(lib.Service("a"))); got != want {
		return fmt.Sprintf("FromGraph of a View has %v", got)
	}

	// The export, written and read.
	var export bytes.Buffer
	if err := report.GraphJSON(&export, g); err != nil {
		return "report.GraphJSON: " + err.Error()
	}
	back, err := depgraph.ParseManifest("graph.json", export.Bytes())
	if err != nil {
		return "the export does not read back: " + err.Error()
	}
	if got := of(first(compiled(back[0]).Service("a"))); got != want {
		return fmt.Sprintf("the export reads back as %v (report.EdgeJSON may lack it)", got)
	}

	// What people and editors read.
	if !bytes.Contains(depgraph.Schema(), []byte(`"`+key[1]+`": {`)) {
		return fmt.Sprintf("the schema has no property %q", key[1])
	}
	if !strings.Contains(guide, "\n| `"+key[1]+"`") && !strings.Contains(guide, ", `"+key[1]+"` |") {
		return fmt.Sprintf("the guide has no row for %q", key[1])
	}
	return ""
}
