package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/importer"
)

func TestDrift(t *testing.T) {
	dir := tree(t, map[string]string{
		"s/depgraph.yaml": "service: web\nowner: x\ndepends: [{on: db, soft: true}, {on: old}]\n---\nservice: db\nowner: x\n---\nservice: old\nowner: x\n",
		"deps.json":       `[{"parent":"web","child":"db","callCount":50},{"parent":"web-2","child":"ads","callCount":2,"errorCount":1}]`,
		"harder.json":     `{"failopen_observed":1,"services":{"web":100},"edges":[{"from":"web","to":"db","calls":100,"errors":20,"propagated":20,"fine":80}]}`,
		"compose.yaml":    "services:\n  web:\n    image: x\n    depends_on: [db]\n    environment: {CACHE_ADDR: 'cache:6379'}\n  db: {image: postgres}\n  cache: {image: redis}\n",
		"names.txt":       "web-2: web\nads: \"-\"\n",
		"none.json":       "[]",
		"few.json":        `[{"parent":"web","child":"db","callCount":2}]`,
		"bad.json":        "[{\"parent\":\n",
	})
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"drift -d s --observed deps.json", 1, "web-2 calls ads 2 times (1 failed); no manifest declares web-2"},
		{"drift -d s --observed deps.json", 1, "web   -> db   declared and seen  50 calls, 0 failed"},
		{"drift -d s --observed deps.json", 1, "info DG016 web declares old: not seen in 50 requests of web"},
		{"drift -d s --observed deps.json --names names.txt", 0, "! 1 declared dependency was not seen"},
		{"drift -d s --observed deps.json --map web-2=web --map ads=-", 0, "! 1 declared dependency was not seen"},
		{"drift -d s --observed deps.json --fail-on none", 0, "1 dependency is not declared"},
		{"drift -d s --observed harder.json", 1, "✗ 1 soft dependency is actually hard"},
		{"drift -d s --observed harder.json -f github", 1, "::error file=s/depgraph.yaml,line=3"},
		{"drift -d s --observed deps.json --map web-2=- -f github", 0, "note: pairs of services that the names leave out: 1"},
		{"drift -d s --observed harder.json -f markdown", 1, "**error DG019 harder-than-declared (1)**"},
		{"drift -d s --observed harder.json -f sarif", 1, `"ruleId": "DG019"`},
		{"drift -d s --observed compose.yaml", 1, "web is configured with the address of cache; no manifest declares cache"},
		{"drift -d s --observed compose.yaml", 1, "web -> db     unobserved"},
		{"drift --no-declaration --observed deps.json -f yaml", 0, "  - on: ads\n    phase: [runtime]\n    assumed: true\n    source: \"deps.json: 2 calls\""},
		{"drift -d s --observed deps.json --skip DG015", 0, ""},
		{"drift -d s --observed deps.json --skip DG15", 2, "did you mean"},
		{"drift -d s --no-declaration --observed deps.json", 2, "--no-declaration reads no manifests"},
		{"drift -d s", 2, "--observed names what was recorded"},
		{"drift -d s --observed deps.json --map x", 2, `expected "OBSERVED=DECLARED"`},
		{"drift -d s --observed deps.json --names s/depgraph.yaml", 3, "s/depgraph.yaml:5: "},
		{"drift -d s --observed bad.json", 3, "bad.json: line 2: ends in the middle"},
		{"drift -d s --observed deps.json -o deps.json", 2, "-o deps.json: is read by this command"},
		{"drift -d s --observed deps.json -o s/depgraph.yaml", 2, "declares db; write to another file"},
		{"diff deps.json s -o deps.json", 2, "-o deps.json: is read by this command"},
		{"drift -d s --observed none.json", 3, "✗ Nothing was seen"},
		{"drift -d s --observed none.json", 3, "nothing to compare with: no call between two services in none.json"},
		{"drift -d s --observed deps.json --map *=-", 3, "nothing to compare with: the names leave out every call in deps.json"},
		{"drift -d s --observed deps.json --map *=-", 3, "note: pairs of services that the names leave out: 2"},
		{"drift -d s --observed deps.json --map web-2=web --map ads=web", 0, "note: calls within one service, by their names: web-2 -> ads (web)"},
		{"drift -d s --observed few.json", 0, "✓ What was seen is declared; 1 of 2 dependencies cannot be judged"},
		{"drift -d s --observed gone.json", 3, "gone.json: cannot read: no such file"},
		{"drift -d gone --observed deps.json", 3, "gone: cannot read"},
	} {
		code, out, errs := in(t, dir, "", strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out+errs, c.want) {
			t.Errorf("%s: exit code %d, want %d and %q in\n%s%s", c.args, code, c.code, c.want, out, errs)
		}
	}
	code, out, errs := in(t, dir, `[{"parent":"web","child":"db","callCount":5}]`, "drift", "-d", "s", "--observed", "-", "-f", "json")
	if code != 0 || !strings.Contains(out, `"calls": 5`) {
		t.Errorf("standard input: %d %s%s", code, out, errs)
	}
}

// shared is where real data lies on some machines.
func shared(t *testing.T, parts ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{os.Getenv("FAILOPEN_DATA")}, parts...)...)
	if _, err := os.Stat(path); os.Getenv("FAILOPEN_DATA") == "" || err != nil {
		t.Skip("FAILOPEN_DATA names no folder with recorded data")
	}
	return path
}

type driftEdges struct {
	Dependencies []struct {
		From, To, State string
		Calls           int
	}
}

// TestDrift_of_a_real_trace expects what an independent count of the trace
// gave, which pairs spans by hand: 380 calls between 28 pairs of services, and one to
// an address.
func TestDrift_of_a_real_trace(t *testing.T) {
	path := shared(t, "zipkin", "smartthings-mobile-web-install.json")
	code, out, errs := run1(t, "drift", "--no-declaration", "--observed", path, "-f", "json")
	var got driftEdges
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err, errs)
	}
	calls := 0
	for _, d := range got.Dependencies {
		calls += d.Calls
		if d.State != "undeclared" || d.Calls == 0 {
			t.Errorf("%+v, want it undeclared, with its calls", d)
		}
	}
	if code != 1 || len(got.Dependencies) != 29 || calls != 381 {
		t.Errorf("exit code %d, %d pairs, %d calls; want 1, 29, 381", code, len(got.Dependencies), calls)
	}
}

// TestDrift_of_the_OpenTelemetry_demo declares what depends_on says, and takes
// the addresses in the environment for what is there.
func TestDrift_of_the_OpenTelemetry_demo(t *testing.T) {
	dir := shared(t, "otel-demo")
	var files []string
	for _, name := range []string{"compose.yaml", "compose.full.yaml", "compose.observability.yaml"} {
		files = append(files, filepath.Join(dir, name))
	}
	res, err := importer.Compose(files...)
	if err != nil {
		t.Fatal(err)
	}
	for i := range res.Services {
		var kept []depgraph.Dependency
		for _, d := range res.Services[i].Depends {
			if strings.Contains(d.Source, " depends_on ") {
				kept = append(kept, d)
			}
		}
		res.Services[i].Depends = kept
	}
	var b strings.Builder
	if err := depgraph.WriteManifest(&b, res.Services...); err != nil {
		t.Fatal(err)
	}
	declared := tree(t, map[string]string{"depgraph.yaml": b.String()})
	args := []string{"drift", "-d", declared, "-f", "json"}
	for _, f := range files {
		args = append(args, "--observed", f)
	}
	code, out, errs := run1(t, args...)
	var got driftEdges
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err, errs)
	}
	states := map[string]int{}
	for _, d := range got.Dependencies {
		states[d.State]++
	}
	if code != 1 || states["declared and seen"] != 51 || states["undeclared"] != 17 || states["unobserved"]+states["not concluded"] != 7 {
		t.Errorf("exit code %d, states %v", code, states)
	}
}
