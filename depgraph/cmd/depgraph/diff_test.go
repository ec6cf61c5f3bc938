package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph/report"
)

// history makes a repository with one commit for each set of files.
func history(t *testing.T, commits ...map[string]string) string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	git("init", "-q")
	for i, files := range commits {
		for name, text := range files {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if target, ok := strings.CutPrefix(text, "-> "); ok {
				if err := os.Symlink(target, path); err != nil {
					t.Fatal(err)
				}
			} else if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		git("add", "-A")
		git("commit", "-q", "--allow-empty", "-m", "commit")
		git("tag", "v"+string(rune('0'+i)))
	}
	return dir
}

func TestDiff_revisions_of_git(t *testing.T) {
	loop := "service: a\nowner: x\ndepends: [{on: b}]\n---\nservice: b\nowner: x\ndepends: [{on: a}]\n"
	dir := history(
		t,
		map[string]string{"README": "nothing yet"},
		map[string]string{"services/depgraph.yaml": "service: a\nowner: x\n---\nservice: b\nowner: x\n", "vendor/depgraph.yaml": "no manifest of ours"},
		map[string]string{"services/depgraph.yaml": loop},
		map[string]string{"services/depgraph.yaml": loop + "---\nservice: c\nowner: x\ndepends: [{on: a}]\n"},
		map[string]string{"services/depgraph.yaml": loop + "---\nservice: c\nowmer: x\n"},
		map[string]string{"services/depgraph.yaml": "service: a\nowner: x\n", "other/depgraph.yaml": "-> ../services/depgraph.yaml"},
		map[string]string{"x.depgraph.yaml": "-> /etc/passwd"},
	)
	if err := os.Mkdir(filepath.Join(dir, "v1"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"diff v0 v2", 1, "✗ After this change a full stop never comes back: a ⇄ b"},
		{"diff v0 v2", 1, "note: v0 has no manifests"},
		{"diff v0 v0", 3, "neither side has a manifest"},
		{"diff git:v1 v2", 1, "new bootstrap deadlock: 2 services wait for each other"},
		{"diff git:v1 v2 --fail-on none", 0, "1 new finding"},
		{"diff v2 v3", 0, "added    c -> a   hard startup+runtime   services/depgraph.yaml:11"},
		{"diff v2 v3", 0, "0 new findings, 0 findings gone, 1 known"},
		{"diff v2..v3", 0, "v2 -> v3"},
		{"diff v2...v3", 0, "-> v3: 2 services -> 3 services"},
		{"diff v2 v3 -d services", 0, "added services: c"},
		{"diff v2 v3 -d services/depgraph.yaml", 0, "added services: c"},
		{"diff v2 git:v1", 0, "healed bootstrap deadlock"},
		{"diff v2 v2", 0, "✓ No dependency and no service was added"},
		{"diff v2 v3 -f markdown", 0, "<!-- depgraph diff -->\n### ✓ No new errors"},
		{"diff v2 v3 -f markdown", 0, `| added | c → a | hard startup\+runtime | services/depgraph.yaml:11 |`},
		{"diff v2 v4", 3, `services/depgraph.yaml:10: service: unknown field "owmer"; did you mean "owner"?`},
		{"diff v3 v5", 3, `service "a" is declared twice`},
		{"diff v3 v6", 3, `is a symbolic link to "/etc/passwd", which this revision does not have`},
		{"diff v1", 3, "no depgraph.yaml or depgraph.json below this folder"},
		{"diff nope v2", 2, `no such revision "nope", and no file or folder of that name`},
		{"diff -- --output=stolen v2", 2, "begins with a dash"},
		{"diff git:--output=stolen v2", 2, "begins with a dash"},
		{"diff v2 --upload-pack=touch", 2, "flag provided but not defined"},
		{"diff git: v2", 2, "is not a revision"},
		{"diff", 2, "usage: depgraph diff REV1 [REV2]"},
		{"diff v2 v3 -d gone", 3, "gone: no such folder"},
		{"diff v2 v3 -d -", 2, "a revision has no standard input"},
	} {
		code, out, errs := in(t, dir, "", strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out+errs, c.want) {
			t.Errorf("%s: exit code %d, want %d and %q in\n%s%s", c.args, code, c.code, c.want, out, errs)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "stolen")); err == nil {
		t.Error("git took a revision for an option")
	}
}

func TestDiff_folders_and_exports(t *testing.T) {
	dir := tree(t, map[string]string{
		"old/depgraph.yaml": "service: a\nowner: x\nstart: 1s\ndepends: [{on: b, soft: true, evidence: drill/x}]\n---\nservice: b\nowner: x\n",
		"new/depgraph.yaml": "service: a\nowner: x\nstart: 2s\ndepends: [{on: b}]\n---\nservice: b\nowner: x\nstart: 1m\n",
	})
	for _, name := range []string{"old", "new"} {
		if code, _, errs := in(t, dir, "", "export", name, "-f", "json", "-o", name+".json"); code != 0 {
			t.Fatal(errs)
		}
	}
	var forms []string
	for _, args := range []string{"diff old new -f json", "diff old.json new.json -f json", "diff old.json new -f json", "diff old -d new -f json"} {
		code, out, errs := in(t, dir, "", strings.Fields(args)...)
		if code != 0 {
			t.Fatalf("%s: %d %s", args, code, errs)
		}
		var got struct {
			Before struct{ Title string }
			Edges  []struct{ Kind, From, To string }
			Rest   json.RawMessage
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Edges) != 1 || got.Edges[0].Kind != "hardened" {
			t.Errorf("%s: %+v", args, got.Edges)
		}
		_, rest, _ := strings.Cut(out, `"edges": [`)
		forms = append(forms, rest)
	}
	for i := range forms {
		if forms[i] != forms[0] {
			t.Errorf("form %d differs:\n%s\nfrom\n%s", i, forms[i], forms[0])
		}
	}
	code, out, _ := in(t, dir, "", "diff", "old", "new")
	if code != 0 || !strings.Contains(out, "hardened a -> b   soft startup+runtime => hard startup+runtime") || !strings.Contains(out, "a full start takes 1m2s instead of 1s") {
		t.Errorf("%d:\n%s", code, out)
	}
	if code, _, errs := in(t, dir, "", "diff", "main"); code != 2 || !strings.Contains(errs, "no file or folder of that name") {
		t.Errorf("no repository: %d %s", code, errs)
	}
	if code, out, _ := in(t, dir, "", "check", "old.json"); code != 0 || !strings.Contains(out, "2 services, 1 edge") {
		t.Errorf("check of an export: %d\n%s", code, out)
	}
}

// TestDiff_workflow runs the command of the workflow in the guide.
func TestDiff_workflow(t *testing.T) {
	text, err := os.ReadFile("../../../docs/guide/depgraph-snippets/pull-request.yml")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "depgraph diff ")
	line, _, _ := strings.Cut(rest, " ||")
	if !ok || !strings.Contains(line, "$BASE...HEAD") || !strings.Contains(string(text), report.DiffMarker) {
		t.Fatalf("the workflow compares nothing, or does not find its comment: %q", line)
	}
	dir := history(t, map[string]string{"depgraph.yaml": "service: a\nowner: x\n"}, map[string]string{"depgraph.yaml": "service: a\nowner: x\ndepends: [{on: b}]\n---\nservice: b\nowner: x\ndepends: [{on: a}]\n"})
	args := strings.Fields("diff " + strings.ReplaceAll(strings.ReplaceAll(line, "$BASE", "v0"), `"`, ""))
	code, out, errs := in(t, dir, "", args...)
	comment, err := os.ReadFile("depgraph-diff.md")
	if code != 1 || err != nil || !strings.HasPrefix(string(comment), report.DiffMarker+"\n### ✗ After this change") {
		t.Errorf("exit code %d, %v: %s%s%s", code, err, out, errs, comment)
	}
}

// TestDiff_of_our_own_history compares the first import policy of this
// repository with the one of today.
func TestDiff_of_our_own_history(t *testing.T) {
	out, err := exec.Command("git", "rev-list", "--reverse", "HEAD", "--", "../../testdata/imports/depgraph.yaml").Output()
	commits := strings.Fields(string(out))
	if err != nil || len(commits) < 2 {
		t.Skip("no history here: not a repository, or a shallow one")
	}
	for _, format := range []string{"text", "markdown", "json"} {
		code, out, errs := run1(t, "diff", commits[0], commits[len(commits)-1], "-d", "../../testdata/imports", "-f", format)
		if code > 1 || !strings.Contains(out, "depgraph/drill") {
			t.Errorf("%s: exit code %d\n%.2000s%s", format, code, out, errs)
		}
	}
}
