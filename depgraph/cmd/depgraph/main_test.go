package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
)

// depgraph runs the program and returns what it wrote.
func run1(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(context.Background(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func deadlock(t *testing.T) string {
	return tree(t, map[string]string{
		"consul/depgraph.yaml": "service: consul\nowner: x\nstart: 10s\ndepends:\n  - on: nomad\n",
		"nomad/depgraph.json":  "{\"service\": \"nomad\", \"owner\": \"x\",\n \"depends\": [{\"on\": \"vault\"}]}",
		"vault/depgraph.yaml":  "service: vault\nowner: x\ndepends:\n  - on: consul\n---\nservice: disk\nowner: x\nstart: 5s\n",
	})
}

func healthy(t *testing.T) string {
	return tree(t, map[string]string{"depgraph.yaml": `
service: web
owner: x
start: 2s
availability: {target: 99.9, own: 99.99}
depends:
  - on: db
  - on: ads
    soft: true
    evidence: drill/x
  - any-of: [east, west]
    phase: [runtime]
---
{service: db, owner: x, start: 3s, availability: {own: 99.95}}
---
{service: ads, owner: x}
---
{service: east, owner: x, availability: {own: 99}}
---
{service: west, owner: x, availability: {own: 99}}
`})
}

func TestRun_fixed_JSON_forms(t *testing.T) {
	bad, good := deadlock(t), healthy(t)
	for _, c := range []struct {
		args []string
		code int
		want string // compact JSON with the fixed fields, in order
	}{
		{
			[]string{"-d", bad, "cycles", "-f", "json"},
			1,
			`{"components":[{"kind":"bootstrap-deadlock","services":["consul","nomad","vault"],"cycle":[{"from":"consul","to":"nomad","line":5},{"from":"nomad","to":"vault","line":2},{"from":"vault","to":"consul","line":4}],"soften":[{"from":"vault","to":"consul"}],"proven_minimum":true}]}`,
		},
		{[]string{"-d", good, "cycles", "-f", "json"}, 0, `{"components":[]}`},
		{
			[]string{"order", "-d", good, "-f", "json"},
			0,
			`{"waves":[["ads","db","east","west"],["web"]],"critical_path":{"services":["db","web"],"seconds":5},"blocked":[]}`,
		},
		{
			[]string{"-d", bad, "order", "-f=json"},
			1,
			`{"waves":[["disk","vault"],["nomad"],["consul"]],"critical_path":{"services":["vault","nomad","consul"],"seconds":10},"blocked":["consul","nomad","vault"],"assumed_broken":[{"from":"vault","to":"consul"}],"broken_proven_minimum":true}`,
		},
		{[]string{"-d", good, "blast", "db", "-f", "json"}, 0, `{"down":["web"],"degraded":[],"redundancy_lost":[]}`},
		{[]string{"-d", good, "blast", "ads", "east", "-f", "json"}, 0, `{"down":[],"degraded":["web"],"redundancy_lost":["web"]}`},
		{
			[]string{"-d", good, "avail", "web", "-f", "json"},
			0,
			`{"service":"web","availability":0.9993000599949999,"exact":true,"importance":[{"service":"db","minutes_per_year":262.747489},{"service":"east","minutes_per_year":52.528469},{"service":"web","minutes_per_year":52.528464},{"service":"west","minutes_per_year":52.528469}]}`,
		},
	} {
		code, out, errs := run1(t, c.args...)
		if code != c.code {
			t.Errorf("%v: exit code %d, want %d; %s", c.args, code, c.code, errs)
		}
		var got, want any
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatalf("%v: %v in %s", c.args, err, out)
		}
		if err := json.Unmarshal([]byte(c.want), &want); err != nil {
			t.Fatal(err)
		}
		if !covers(got, want) {
			t.Errorf("%v: got\n%s\nwant\n%s", c.args, out, c.want)
		}
	}
}

// covers reports whether got has everything of want; objects may have more.
func covers(got, want any) bool {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		for k, v := range w {
			if !ok || !covers(g[k], v) {
				return false
			}
		}
		return ok
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for i := range w {
			if !covers(g[i], w[i]) {
				return false
			}
		}
		return true
	case float64:
		g, ok := got.(float64)
		return ok && g > w-1e-4 && g < w+1e-4
	}
	return got == want
}

func TestRun_exit_codes(t *testing.T) {
	bad, good := deadlock(t), healthy(t)
	broken := tree(t, map[string]string{"a/depgraph.yaml": "service: a\n", "b/depgraph.yaml": "service: b\nowmer: x\n"})
	dangling := tree(t, map[string]string{"depgraph.yaml": "service: payments\nowner: x\n---\nservice: web\nowner: x\ndepends:\n  - on: paymets\n"})
	mutual := tree(t, map[string]string{"depgraph.yaml": "service: a\nowner: x\ndepends: [{on: b, phase: runtime}]\n---\nservice: b\nowner: x\ndepends: [{on: a, phase: runtime}]\n"})
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"-d " + good + " check", 0, "0 errors"},
		{"-d " + bad + " check", 1, "error DG001"},
		{"-d " + bad + " check --fail-on none", 0, "error DG001"},
		{"-d " + bad + " check --skip DG001", 0, "0 errors"},
		{"-d " + bad + " check --only slo-inversion", 0, "0 errors"},
		{"-d " + mutual + " check", 0, "warn DG002"},
		{"-d " + mutual + " check --fail-on warn", 1, "warn DG002"},
		{"-d " + mutual + " cycles", 1, "runtime cycle"},
		{"-d " + mutual + " cycles --fail-on error", 0, "runtime cycle"},
		{"-d " + dangling + " check", 1, `did you mean "payments"?`},
		{"-d " + dangling + " order", 3, `depgraph.yaml:7: web: depends on "paymets", which is not declared; did you mean "payments"?`},
		{"-d " + broken + " check", 3, `unknown field "owmer"; did you mean "owner"?`},
		{"-d " + broken + " report", 3, "unknown field"},
		{"-d " + t.TempDir() + " check", 3, "no depgraph.yaml"},
		{"-d /nowhere check", 3, "no such file"},
		{"-d " + good + " blast nobody", 2, "unknown service"},
		{"-d " + good + " blast wbe", 2, `did you mean "web"?`},
		{"-d " + good + " blast", 2, "either services or --all"},
		{"-d " + good + " blast --all", 0, "1  db"},
		{"-d " + good + " why web east", 0, "any 1 of 2"},
		{"-d " + good + " why east web", 0, "does not depend"},
		{"-d " + good + " why web", 2, "usage:"},
		{"-d " + good + " check -f xml", 2, `no format "xml"`},
		{"-d " + good + " check --fail-on bad", 2, "--fail-on"},
		{"-d " + good + " check --only DG099", 2, "unknown rule"},
		{"-d " + good + " check --nope", 2, "nope"},
		{"-d " + good + " cheque", 2, "unknown verb"},
		{"chekc", 2, `did you mean "check"?`},
		{"-d " + good + " order --max-parallel -1", 2, "negative"},
		{"-d " + good + " order --shutdown", 0, "wave 1"},
		{"-d " + good + " order --restart web", 0, "web"},
		{"-d " + good + " avail web --what-if nonsense", 2, "what-if"},
		{"-d " + good + " avail web --what-if web:db", 0, "99.98"},
		{"-d " + good + " export -f dot", 0, "digraph"},
		{"-d " + good + " export -f yaml", 0, "service: web"},
		{"explain DG005", 0, "Calculus of Service Availability"},
		{"explain", 0, "DG014"},
		{"explain DG5", 2, "unknown rule"},
		{"import docker x", 2, "is not one of compose"},
		{"import compose /nowhere.yaml", 3, "no such file"},
		{"schema", 0, "json-schema.org"},
		{"version", 0, "depgraph "},
		{"", 0, "Verbs:"},
		{"--help", 0, "Verbs:"},
		{"help check", 0, "depgraph check -f sarif"},
		{"check --help", 0, "depgraph check -f sarif"},
		{"completion tcsh", 2, "not one of"},
	} {
		code, out, errs := run1(t, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out+errs, c.want) {
			t.Errorf("depgraph %s: exit code %d, want %d and %q\n%s%s", c.args, code, c.code, c.want, out, errs)
		}
	}
}

func TestRun_unreadable_file_is_not_clean(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Log("root reads everything; a folder named like a manifest stands in")
	}
	dir := tree(t, map[string]string{"a/depgraph.yaml": "service: a\n"})
	name := filepath.Join(dir, "b.depgraph.yaml")
	if err := os.Symlink(filepath.Join(dir, "gone"), name); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := run1(t, "-d", dir, "check"); code != 3 || !strings.Contains(errs, "b.depgraph.yaml: cannot read") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

func TestRun_baseline_policy_and_output_file(t *testing.T) {
	dir := deadlock(t)
	known, page := filepath.Join(dir, "known.json"), filepath.Join(dir, "report.html")
	if code, _, errs := run1(t, "-d", dir, "baseline", "-o", known); code != 0 {
		t.Fatal(errs)
	}
	if code, out, _ := run1(t, "-d", dir, "check", "--baseline", known); code != 0 || !strings.Contains(out, "known from the baseline") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if code, _, errs := run1(t, "-d", dir, "report", "-o", page); code != 0 {
		t.Error(errs)
	}
	if data, err := os.ReadFile(page); err != nil || !bytes.HasPrefix(data, []byte("<!DOCTYPE html>")) {
		t.Errorf("%.40s, %v", data, err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".depgraph.yaml"), []byte("rules: {DG001: info}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := run1(t, "-d", dir, "check"); code != 0 || !strings.Contains(out, "info DG001") {
		t.Errorf("the policy of the folder: exit code %d: %s", code, out)
	}
	if code, _, errs := run1(t, "-d", dir, "check", "--config", known); code != 3 {
		t.Errorf("a policy that is none: exit code %d: %s", code, errs)
	}
	if code, _, _ := run1(t, "-d", dir, "check", "-o", filepath.Join(dir, "no", "such", "dir")); code != 3 {
		t.Errorf("an output that cannot be written: exit code %d", code)
	}
}

func TestRun_init_scaffolds_and_never_overwrites(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "till: 1")
	for _, want := range []string{"wrote", "exists already"} {
		if code, out, errs := run1(t, "-d", dir, "init"); code != 0 || !strings.Contains(out, want) {
			t.Errorf("exit code %d: %s%s", code, out, errs)
		}
	}
	g, err := depgraph.Load(context.Background(), depgraph.LoadOptions{Paths: []string{dir}})
	if err != nil || !g.Has("till: 1") {
		t.Errorf("the scaffold does not load: %v", err)
	}
	if code, out, errs := run1(t, "-d", dir, "check"); code != 0 {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
}

func TestRun_import_then_check(t *testing.T) {
	dir := tree(t, map[string]string{"compose.yaml": "services: {web: {depends_on: [db]}, db: {image: postgres}}"})
	out := filepath.Join(dir, "out")
	if code, text, errs := run1(t, "import", "compose", filepath.Join(dir, "compose.yaml"), "-o", out); code != 0 || !strings.Contains(text, "wrote 2 manifests with 1 dependency") {
		t.Fatalf("exit code %d: %s%s", code, text, errs)
	}
	if code, text, errs := run1(t, "-d", out, "why", "web", "db"); code != 0 || !strings.Contains(text, "depends_on service_started") {
		t.Errorf("exit code %d: %s%s", code, text, errs)
	}
}

func TestCompletion_scripts_parse(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		code, text, _ := run1(t, "completion", shell)
		if code != 0 || !strings.Contains(text, "max-parallel") {
			t.Errorf("%s: exit code %d", shell, code)
		}
		path, err := exec.LookPath(shell)
		if err != nil {
			continue
		}
		cmd := exec.Command(path, "-n")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
	}
}

// TestMessages_are_text is about names in what is reported on the standard
// error, which a terminal and the runner of a pipeline interpret.
func TestMessages_are_text(t *testing.T) {
	const evil = `\u001b[31m\n::error::pwned`
	dir := tree(t, map[string]string{
		"depgraph.yaml":   "service: web\nowner: x\n",
		"e.depgraph.yaml": "service: e\nowner: x\nwaivers: [{rule: \"" + evil + "\", reason: x}]\n",
		"deps.json":       `[{"parent":"` + evil + `","child":"b","callCount":1,"errorCount":5}]`,
		"answer.json":     `{"status":"error","error":"` + evil + `"}`,
		"state.json":      `{"` + evil + `":"x"}`,
		"catalog.yaml":    "kind: Component\nmetadata: {name: web}\nspec: {dependsOn: [\"" + evil + "\"], consumesApis: [\"" + evil + "\"]}\n",
	})
	for _, args := range []string{
		"check", "drift -d depgraph.yaml --observed deps.json", "drift -d depgraph.yaml --observed answer.json",
		"why-blocked web -d depgraph.yaml --state state.json", "import backstage catalog.yaml -o out",
	} {
		_, out, errs := in(t, dir, "", strings.Fields(args)...)
		if !strings.Contains(errs, "pwned") {
			t.Errorf("%s says nothing of it: %q", args, errs)
		}
		if strings.Contains(out+errs, "\x1b") || strings.Contains("\n"+out+errs, "\n::") {
			t.Errorf("%s: %q", args, out+errs)
		}
	}
}
