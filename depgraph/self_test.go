package depgraph_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
)

const module = "github.com/failopen/failopen/"

// The import policy of this repository is a manifest, testdata/imports, and a
// policy file beside it. The test lists the packages, maps each import to the
// rows of the manifest, and checks the resulting graph with the rules.

// declared is the manifest: which row may import which.
func declared(t *testing.T) *depgraph.Graph {
	t.Helper()
	g, err := depgraph.Load(t.Context(), depgraph.LoadOptions{Paths: []string{"testdata/imports"}})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// row finds the row that covers a package or a module: its own, or the longest
// one that ends in "/..." above it, or the module that holds it.
func row(g *depgraph.Graph, name string) string {
	if g.Has(name) {
		return name
	}
	if g.Has(name + "/...") {
		return name + "/..."
	}
	for at := name; ; {
		i := strings.LastIndexByte(at, '/')
		if i < 0 {
			return ""
		}
		at = at[:i]
		if g.Has(at + "/...") {
			return at + "/..."
		}
		if strings.Contains(at, ".") && g.Has(at) {
			return at
		}
	}
}

// outside reports whether an import path is not of the standard library.
func outside(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return strings.Contains(first, ".")
}

func may(g *depgraph.Graph, from, to string) bool {
	return from == to || slices.ContainsFunc(g.EdgesFrom(from), func(e depgraph.Edge) bool { return e.To == to })
}

type listed struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return append(all, nested(t)...)
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// nested are the packages of the modules below this one, with what they import
// of this repository; beside that they may require what they like, which is why
// they are modules of their own.
func nested(t *testing.T) []listed {
	t.Helper()
	var modules, files []string
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || len(d.Name()) > 2 && d.Name()[0] == '.'):
			return fs.SkipDir
		case d.Name() == "go.mod" && filepath.Dir(path) != "..":
			modules = append(modules, filepath.Dir(path))
		case filepath.Ext(path) == ".go":
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(modules) < 5 {
		t.Fatalf("found the modules %q only", modules)
	}
	byDir := map[string]*listed{}
	for _, path := range files {
		dir := filepath.Dir(path)
		if !slices.ContainsFunc(modules, func(m string) bool { return dir == m || strings.HasPrefix(dir, m+string(filepath.Separator)) }) {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		p := byDir[dir]
		if p == nil {
			p = &listed{ImportPath: module + filepath.ToSlash(strings.TrimPrefix(dir, ".."+string(filepath.Separator)))}
			byDir[dir] = p
		}
		for _, i := range file.Imports {
			to := strings.Trim(i.Path.Value, `"`)
			switch {
			case !strings.HasPrefix(to, module):
			case strings.HasSuffix(path, "_test.go"):
				p.XTestImports = append(p.XTestImports, to)
			default:
				p.Imports = append(p.Imports, to)
			}
		}
	}
	var all []listed
	for _, dir := range slices.Sorted(maps.Keys(byDir)) {
		all = append(all, *byDir[dir])
	}
	return all
}

// observe makes a graph of the packages as they are: imports are edges of run
// time, and what only tests import beyond the row of their package are edges
// of deploy. It reports imports that no row allows.
func observe(t *testing.T, rules *depgraph.Graph, list []listed, fail func(format string, args ...any)) *depgraph.Graph {
	t.Helper()
	names := map[string]*depgraph.Service{}
	service := func(name string) *depgraph.Service {
		if names[name] == nil {
			names[name] = &depgraph.Service{Name: name, Kind: kindOf(name)}
		}
		return names[name]
	}
	for _, p := range list {
		name := strings.TrimPrefix(p.ImportPath, module)
		own := row(rules, name)
		if own == "" {
			fail("%s: no row in the import policy", name)
			continue
		}
		s := service(name)
		add := func(path string, phase depgraph.Phase) {
			if !outside(path) || path == p.ImportPath {
				return
			}
			to := strings.TrimPrefix(path, module)
			target := row(rules, to)
			if phase == depgraph.Runtime && !may(rules, own, target) {
				reason, _ := rules.Service(own)
				fail("%s imports %s; it may not: %s", name, path, reason.Note)
			}
			if phase == depgraph.Deploy && target != "" && may(rules, own, target) {
				return // its package may, so its tests may
			}
			if outside(to) && target != "" {
				to = target
			}
			if !slices.ContainsFunc(s.Depends, func(d depgraph.Dependency) bool { return d.On == to && d.Phase == phase }) {
				service(to)
				s.Depends = append(s.Depends, depgraph.Dependency{On: to, Phase: phase})
			}
		}
		for _, path := range p.Imports {
			add(path, depgraph.Runtime)
		}
		for _, path := range append(p.TestImports, p.XTestImports...) {
			add(path, depgraph.Deploy)
		}
	}
	services := make([]depgraph.Service, 0, len(names))
	for _, s := range names {
		services = append(services, *s)
	}
	g, err := depgraph.Compile(services, depgraph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func kindOf(name string) depgraph.Kind {
	switch {
	case strings.HasPrefix(name, "examples/"):
		return depgraph.External
	case outside(name):
		return depgraph.Cloud
	case strings.HasSuffix(name, "test"):
		return depgraph.Observer
	}
	return depgraph.App
}

// violations checks packages against manifest and policy.
func violations(t *testing.T, list []listed) (found []string) {
	t.Helper()
	fail := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	g := observe(t, declared(t), list, fail)
	policy, err := depgraph.LoadPolicy("testdata/imports/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range policy.Custom {
		names = append(names, r.Name)
	}
	findings, err := g.Check(context.Background(), depgraph.CheckOptions{Policy: policy, Only: append(names, "DG001", "DG002")})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		fail("%s: %s: %s", f.Rule, f.Message, f.Fix)
	}
	return found
}

func TestImportPolicy(t *testing.T) {
	list := packages(t)
	if len(list) < 4 {
		t.Fatalf("go list named %d packages; the policy was not checked", len(list))
	}
	for _, v := range violations(t, list) {
		t.Error(v)
	}
}

func TestImportPolicy_every_row_has_a_reason(t *testing.T) {
	for s := range declared(t).Services() {
		if s.Note == "" && s.Kind != depgraph.External {
			t.Errorf("%s: no reason for %s", s.At, s.Name)
		}
	}
}

// TestImportPolicy_finds_what_it_forbids breaks each rule once.
func TestImportPolicy_finds_what_it_forbids(t *testing.T) {
	for want, p := range map[string]listed{
		"no row in the import policy":        {ImportPath: module + "newcomer"},
		"liveness must not be able to reach": {ImportPath: module + "health", Imports: []string{"github.com/aws/smithy-go/logging"}},
		"cores-stand-alone: cache must not":  {ImportPath: module + "cache", Imports: []string{module + "logsink"}},
		"cores-stand-alone-depgraph":         {ImportPath: module + "depgraph/report", Imports: []string{module + "cache/dynamo"}},
		"nothing-imports-examples":           {ImportPath: module + "cache/dynamo", Imports: []string{module + "examples/gameday"}},
		"test-helpers-are-for-tests":         {ImportPath: module + "cache/dynamo", Imports: []string{module + "cache/cachetest"}},
		"tests-stay-near":                    {ImportPath: module + "health", XTestImports: []string{"go.yaml.in/yaml/v3"}},
		"an embedded endpoint that weighs":   {ImportPath: module + "cache/dynamo/dynamotest", Imports: []string{"github.com/aws/aws-sdk-go-v2/aws"}},
		"fault rules are usable":             {ImportPath: module + "depgraph/drill/fault", Imports: []string{module + "depgraph"}},
		"DG002":                              {ImportPath: module + "cache", Imports: []string{module + "cache/cachetest"}},
	} {
		list := []listed{p, {ImportPath: module + "cache/cachetest", Imports: []string{module + "cache"}}}
		if found := violations(t, list); !slices.ContainsFunc(found, func(v string) bool { return strings.Contains(v, want) }) {
			t.Errorf("%+v: found %q, want %q", p, found, want)
		}
	}
	fine := []listed{
		{ImportPath: module + "cache", Imports: []string{"fmt", "github.com/sony/gobreaker/v2"}, XTestImports: []string{module + "cache/cachetest", module + "depgraph/drill/fault"}},
		{ImportPath: module + "examples/a", Imports: []string{module + "cache/cachetest", module + "logsink", module + "depgraph/report"}},
	}
	if found := violations(t, fine); len(found) > 0 {
		t.Errorf("found %q in what is allowed", found)
	}
}
