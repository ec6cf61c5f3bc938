package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
)

// in runs the program in a folder, with something on its standard input.
func in(t *testing.T, dir, stdin string, args ...string) (code int, out, errs string) {
	t.Helper()
	t.Chdir(dir)
	if stdin != "" {
		f, err := os.CreateTemp(t.TempDir(), "stdin")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(stdin); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Seek(0, 0); err != nil {
			t.Fatal(err)
		}
		old := os.Stdin
		os.Stdin = f
		defer func() { os.Stdin = old; f.Close() }()
	}
	return run1(t, args...)
}

func TestCheck_takes_paths_patterns_and_standard_input(t *testing.T) {
	dir := tree(t, map[string]string{
		"services/a/depgraph.yaml": "service: a\nowner: x\n", "b.yaml": "service: b\nowner: x\ndepends: [{to: a}]\n", "c.yaml": "service: c\nowner: x\n",
	})
	for _, c := range []struct {
		args, stdin string
		code        int
		want        string
	}{
		{"check services/ b.yaml", "", 0, "2 services, 1 edge"},
		{"check services b.yaml -", "service: d\nowner: x\ndepends: [{on: b}]\n", 0, "3 services, 2 edges"},
		{"check services [bc].yaml", "", 0, "3 services, 1 edge"},
		{"-d services -d b.yaml check c.yaml", "", 0, "3 services"},
		{"-d services b.yaml c.yaml check", "", 0, "3 services"},
		{"order b.yaml services", "", 0, "wave 2"},
		{"cycles services", "", 0, "no cycles"},
		{"export services -f csv", "", 0, "from,to"},
		{"check nope.yaml", "", 3, "nope.yaml: cannot read"},
		{"check no*.yaml", "", 3, "no*.yaml: no file matches the pattern"},
		{"check -", "service: a\nowmer: x\n", 3, `standard input:2: service: unknown field "owmer"`},
		{"check services -o /nowhere/x.txt", "", 3, "/nowhere/x.txt: cannot write: no such file or directory"},
		{"check services --fail-on warning --only no-owner", "", 0, "0 errors"},
		{"check services b.yaml -f markdown", "", 0, "### ✓ No errors and no warnings: 2 services come up"},
		{"check services --only no-onwer", "", 2, `did you mean "no-owner"?`},
	} {
		if code, out, errs := in(t, dir, c.stdin, strings.Fields(c.args)...); code != c.code || !strings.Contains(out+errs, c.want) {
			t.Errorf("depgraph %s: exit code %d, want %d and %q\n%s%s", c.args, code, c.code, c.want, out, errs)
		}
	}
}

func TestCheck_says_the_verdict_first_and_groups_the_rest(t *testing.T) {
	var b strings.Builder
	b.WriteString("service: config\ndepends: [{on: sessions}]\n---\nservice: sessions\ndepends: [{on: config}]\n")
	for i := range 12 {
		fmt.Fprintf(&b, "---\nservice: s%02d\ndepends: [{on: config}, {on: sessions, soft: true, phase: runtime, evidence: x}, {on: s%02d, soft: true, phase: runtime}]\n", i, (i+1)%12)
	}
	dir := tree(t, map[string]string{"depgraph.yaml": b.String()})
	code, out, _ := in(t, dir, "", "check")
	lines := strings.Split(out, "\n")
	if code != 1 || lines[0] != "✗ A full stop never comes back: 14 of 14 services wait for config ⇄ sessions" {
		t.Errorf("exit code %d, first line %q", code, lines[0])
	}
	for _, want := range []string{
		"error DG001 bootstrap deadlock: 2 services wait", "warn DG009 14 services have no owner: config, sessions, s00, s01,",
		"info DG012 soft-unverified: 24 findings", "and 19 more (--verbose lists them)",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for _, line := range lines {
		if len([]rune(line)) > 110 && strings.Contains(line, "DG009") {
			t.Errorf("a line of %d characters: %s", len([]rune(line)), line)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("colours in a pipe")
	}
	if _, all, _ := in(t, dir, "", "check", "--verbose"); strings.Count(all, "there is no evidence") != 12 || strings.Count(all, "has no owner") != 14 {
		t.Errorf("--verbose leaves something out:\n%s", all)
	}
	if _, out, _ := in(t, dir, "", "blast", "config"); !strings.Contains(out, "\n") || strings.Contains(out, "more (--all") {
		t.Errorf("a short list was cut:\n%s", out)
	}
}

func TestBlast_long_lists_are_cut_unless_all_is_asked_for(t *testing.T) {
	text := "service: hub\n"
	for i := range 100 {
		text += fmt.Sprintf("---\nservice: service-%03d\ndepends: [{on: hub}]\n", i)
	}
	dir := tree(t, map[string]string{"depgraph.yaml": text})
	_, short, _ := in(t, dir, "", "blast", "hub")
	_, long, _ := in(t, dir, "", "blast", "hub", "--all")
	if !strings.Contains(short, "and 40 more (--all lists them)") || strings.Contains(short, "service-099") || !strings.Contains(long, "service-099") {
		t.Errorf("%s\n%s", short, long)
	}
	for _, line := range strings.Split(short+long, "\n") {
		if len(line) > 100 {
			t.Errorf("a line of %d characters: %s", len(line), line)
		}
	}
}

func TestAvail_of_what_nobody_declared_is_unknown(t *testing.T) {
	dir := tree(t, map[string]string{"depgraph.yaml": "service: a\ndepends: [{on: b}]\n---\nservice: b\n---\nservice: c\ndepends: [{on: d}]\n---\nservice: d\navailability: {own: 99.9}\n---\nservice: e\navailability: {own: 0.999}\n"})
	for name, want := range map[string][]string{
		"a": {"a: unknown: 0 of 2 availabilities declared"},
		"c": {"c: at most 99.9%, at least", "1 of 2"},
		"d": {"d: 99.9% (exact)"},
		"e": {"warning: e: own is 0.999%; did you mean 99.9?"},
	} {
		_, out, _ := in(t, dir, "", "avail", name)
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("%s: no %q in\n%s", name, w, out)
			}
		}
		if name == "a" && strings.Contains(out, "100%") {
			t.Errorf("nothing is known, and it says\n%s", out)
		}
	}
	if _, out, _ := in(t, dir, "", "avail", "a", "-f", "json"); !strings.Contains(out, `"unknown": true`) || strings.Contains(out, `"exact": true`) {
		t.Errorf("JSON: %s", out)
	}
}

func TestBlast_says_what_is_guessed_and_what_is_unknown(t *testing.T) {
	dir := tree(t, map[string]string{"depgraph.yaml": "service: a\ndepends: [{on: d, assumed: true}]\n---\nservice: b\ndepends: [{on: d, phase: startup}]\n---\nservice: c\ndepends: [{on: d, until: done}]\n---\nservice: d\n---\nservice: e\ndepends: [{on: d}]\n"})
	_, out, _ := in(t, dir, "", "blast", "d")
	for _, want := range []string{"down                2  a, e", "cannot restart      2  b, c", "only if assumed edges are right: a\n", "run time unknown, declared for startup only: b\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestImport_again_keeps_edits_and_says_what_differs(t *testing.T) {
	compose := "services:\n  api: {image: x, environment: {CACHE_URL: \"redis://cache:6379\"}}\n  cache: {image: redis}\n  gone: {image: x}\n"
	dir := tree(t, map[string]string{"compose.yaml": compose})
	if code, _, errs := in(t, dir, "", "import", "compose", "compose.yaml", "-o", "services"); code != 0 {
		t.Fatal(errs)
	}
	if code, out, errs := in(t, dir, "", "import", "compose", "compose.yaml", "-o", "services", "--check"); code != 0 {
		t.Errorf("nothing changed, and the exit code is %d: %s%s", code, out, errs)
	}
	edited := filepath.Join(dir, "services", "api.depgraph.yaml")
	data, err := os.ReadFile(edited)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(data), "  - on: cache\n", "  - on: cache\n    soft: true   # we serve without it\n", 1) + "  - on: partner\n---\nservice: partner\nkind: external\n"
	if err := os.WriteFile(edited, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	compose = "services:\n  api: {image: x, environment: {QUEUE_URL: \"amqp://queue:5672\"}}\n  cache: {image: redis}\n  queue: {image: rabbitmq}\n"
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(compose), 0o644); err != nil {
		t.Fatal(err)
	}
	want := []string{"api needs queue", "and the manifest does not say so", "api needs cache, which the source no longer says", "gone is no longer in the source"}
	for _, args := range [][]string{{"--check"}, nil} {
		code, out, errs := in(t, dir, "", append([]string{"import", "compose", "compose.yaml", "-o", "services"}, args...)...)
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("%v: no %q in\n%s%s", args, w, out, errs)
			}
		}
		if strings.Contains(out, "partner") {
			t.Errorf("%v: what people added is called a difference:\n%s", args, out)
		}
		if wantCode := len(args); code != wantCode {
			t.Errorf("%v: exit code %d", args, code)
		}
		_, err := os.Stat(filepath.Join(dir, "services", "queue.depgraph.yaml"))
		if written := err == nil; written == (len(args) > 0) {
			t.Errorf("%v: the new service was written: %v", args, written)
		}
	}
	if now, err := os.ReadFile(edited); err != nil || string(now) != text {
		t.Errorf("an edit was lost: %v\n%s", err, now)
	}
	if g, err := depgraph.Load(context.Background(), depgraph.LoadOptions{Paths: []string{filepath.Join(dir, "services")}}); err != nil || g.Len() != 5 {
		t.Errorf("the folder does not load any more: %v", err)
	}
	if code, _, errs := in(t, dir, "", "import", "compose", "compose.yaml", "--check"); code != 2 || !strings.Contains(errs, "-o") {
		t.Errorf("--check without a folder: exit code %d, %s", code, errs)
	}
}

func TestImport_nothing_is_not_success(t *testing.T) {
	dir := tree(t, map[string]string{"a.yaml": "kind: Namespace\nmetadata: {name: n}\n"})
	if code, _, errs := in(t, dir, "", "import", "kubernetes", "a.yaml"); code != 3 || !strings.Contains(errs, "no service was found") || !strings.Contains(errs, "skipped 1 objects of kind Namespace: n") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if code, out, errs := in(t, dir, "name: x\nservices: {a: {image: y}}\n", "import", "compose", "-"); code != 0 || !strings.Contains(out, "service: a") || !strings.Contains(errs, "read 1 file: 1 service, 0 dependencies") {
		t.Errorf("from the standard input: exit code %d: %s%s", code, out, errs)
	}
}

func TestOutput_spares_the_manifests(t *testing.T) {
	dir := t.TempDir()
	const text = "service: a\nowner: x\n"
	if err := os.WriteFile(filepath.Join(dir, "depgraph.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("depgraph.yaml", filepath.Join(dir, "link")); err != nil {
		t.Skip(err)
	}
	for _, args := range [][]string{{"report"}, {"check", "-f", "json"}, {"export", "-f", "yaml"}, {"order"}, {"cycles"}, {"blast", "a"}, {"avail", "a"}, {"baseline"}} {
		for _, target := range []string{"depgraph.yaml", filepath.Join(dir, "depgraph.yaml"), "link"} {
			code, _, errs := in(t, dir, "", append(args, "-o", target)...)
			if code != 2 || !strings.Contains(errs, "declares a; write to another file") {
				t.Errorf("%s -o %s: exit code %d, %s", args, target, code, errs)
			}
			if data, err := os.ReadFile(filepath.Join(dir, "depgraph.yaml")); err != nil || string(data) != text {
				t.Fatalf("%s -o %s: the manifest is %q, %v", args, target, data, err)
			}
		}
	}
	for range 2 { // what an earlier run wrote is replaced
		if code, _, errs := in(t, dir, "", "export", "-f", "dot", "-o", "out.dot"); code != 0 {
			t.Errorf("exit code %d, %s", code, errs)
		}
	}
}

func TestAvail_what_if_names_with_signs(t *testing.T) {
	dir := t.TempDir()
	text := "service: \"component:default/a\"\navailability: {own: 99.9}\ndepends: [{on: \"resource:b=c\", phase: [runtime]}]\n---\nservice: \"resource:b=c\"\navailability: {own: 99}\n"
	if err := os.WriteFile(filepath.Join(dir, "depgraph.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]string{
		"soften component:default/a:resource:b=c": "99.9%",
		"own resource:b=c=100":                    "99.9%",
	} {
		if code, out, errs := in(t, dir, "", "avail", "component:default/a", "--what-if", what); code != 0 || !strings.Contains(out, want) {
			t.Errorf("%s: exit code %d, %s%s", what, code, out, errs)
		}
	}
	for what, want := range map[string]string{
		"soften resource:b=c:component:default/a": "",
		"soften nobody:resource:b=c":              `unknown service: "nobody"`,
		"own =5":                                  "expected",
	} {
		if code, _, errs := in(t, dir, "", "avail", "component:default/a", "--what-if", what); code != 2 || !strings.Contains(errs, want) {
			t.Errorf("%s: exit code %d, %s", what, code, errs)
		}
	}
}

func TestCheck_one_service_comes_up(t *testing.T) {
	code, out, errs := in(t, t.TempDir(), "service: a\nowner: x\n", "check", "-")
	if code != 0 || !strings.Contains(out, "1 service comes up from a full stop") {
		t.Errorf("exit code %d, %s%s", code, out, errs)
	}
}
