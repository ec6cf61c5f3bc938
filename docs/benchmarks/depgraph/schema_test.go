package depgraph

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/report"
	_ "github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif" // its source holds the schema of SARIF
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

func compileSchema(t *testing.T, text []byte) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sarifSchema takes the schema of SARIF 2.1.0 out of the source of a module
// that embeds it.
func sarifSchema(t *testing.T) []byte {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif").Output()
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(out)), "schema.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	longest := ""
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, err := strconv.Unquote(lit.Value); err == nil && len(s) > len(longest) {
				longest = s
			}
		}
		return true
	})
	return []byte(longest)
}

func TestSARIF_is_valid_by_its_schema(t *testing.T) {
	schema := compileSchema(t, sarifSchema(t))
	many := make([]depgraph.Finding, report.MaxSARIFResults+1)
	for i := range many {
		many[i] = depgraph.Finding{Rule: "own-rule", Name: "own rule", Service: "x", Severity: depgraph.Info, Message: "m"}
	}
	found, err := shop(t).Check(t.Context(), depgraph.CheckOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found = append(found, depgraph.Finding{Rule: "DG009", Service: "x", Message: "m", At: depgraph.Position{File: `C:\a b<">%`}})
	for _, findings := range [][]depgraph.Finding{nil, found, many} {
		var b bytes.Buffer
		if err := report.SARIF(&b, findings); err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(&b)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(doc); err != nil {
			t.Errorf("%d findings: %v", len(findings), err)
		}
	}
	if err := schema.Validate(map[string]any{"version": "2.0.0"}); err == nil {
		t.Error("the schema accepts anything")
	}
}

// TestSchema_agrees_with_the_loader asks both about the same documents.
func TestSchema_agrees_with_the_loader(t *testing.T) {
	schema := compileSchema(t, depgraph.Schema())
	for _, text := range []string{
		"service: a",
		"service: a\nowner: x\nkind: app\ncriticality: high\navailability: {target: 99.9, own: 100}\nstart: 1m30s\nverify: v\nnote: n\nsource: s\ndepends: []",
		"service: a\ndepends:\n- {on: b, soft: true, phase: [startup, deploy], plane: control, evidence: e, break-glass: g, fallback: f, pinned: false, liveness: true, note: n, source: s}",
		"service: a\ndepends:\n- {any-of: [b, c], need: 2, phase: runtime}",
		"service: a\ndepends:\n- {on: b, until: started, order: weak, assumed: true}",
		"service: a\ndepends:\n- {on: b, until: done}\n- {on: c, order: strict, until: ready}",
		"service: a\ndepends: [{on: b, until: never}]", "service: a\ndepends: [{on: b, order: loose}]", "service: a\ndepends: [{on: b, assumed: 1}]",
		"service: a\ndepends: null",
		"- service: a\n- service: b",
		"service: ''", "service: 12", "owner: x", "service: a\nownr: x", "service: a\nkind: thing", "service: a\ncriticality: urgent",
		"service: a\navailability: {target: 101}", "service: a\navailability: {own: 0}", "service: a\navailability: {goal: 1}", "service: a\navailability: 99",
		"service: a\nstart: 12", "service: a\nstart: soon", "service: a\nstart: -3s", "service: a\ndepends: b", "service: a\ndepends: [b]",
		"service: a\ndepends: [{on: b, any-of: [c]}]", "service: a\ndepends: [{soft: true}]", "service: a\ndepends: [{any-of: []}]",
		"service: a\ndepends: [{any-of: [b], need: 0}]", "service: a\ndepends: [{any-of: [b], need: 1.5}]", "service: a\ndepends: [{on: b, need: 1}]",
		"service: a\ndepends: [{on: b, phase: []}]", "service: a\ndepends: [{on: b, phase: [never]}]", "service: a\ndepends: [{on: b, plane: x}]",
		"service: a\ndepends: [{on: b, soft: 1}]", "service: a\ndepends: [{on: b, evidence: 1}]", "service: a\ndepends: [{on: 1}]", "[]", "service: [a]",
	} {
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		asJSON, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
		if err != nil {
			t.Fatal(err)
		}
		services, loadErr := depgraph.ParseManifest("x.yaml", []byte(text))
		if loadErr == nil {
			for _, n := range []string{"b", "c"} {
				if len(services) == 1 {
					services = append(services, depgraph.Service{Name: n})
				} else if services[1].Name != n && services[0].Name != n {
					services = append(services, depgraph.Service{Name: n})
				}
			}
			_, loadErr = depgraph.Compile(services, depgraph.Options{})
		}
		schemaErr := schema.Validate(doc)
		if text == "[]" {
			continue // the schema looks at one document, the loader at a file, which must not be empty
		}
		if (schemaErr == nil) != (loadErr == nil) {
			t.Errorf("%q: the schema says %v, the loader %v", text, schemaErr, loadErr)
		}
	}
}
