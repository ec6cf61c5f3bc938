package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/internal/cli"
)

func TestAge(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1d": 24 * time.Hour, "90d": 90 * 24 * time.Hour, "3650d": 3650 * 24 * time.Hour, "36h": 36 * time.Hour, "1ns": 1,
		"": 0, "0d": 0, "-1d": 0, "1.5d": 0, "3651d": 0, "0s": 0, "-36h": 0, "90": 0, "d": 0, "99999999999999999999d": 0,
	} {
		var a age
		if err := a.Set(text); (err == nil) != (want > 0) || time.Duration(a) != want {
			t.Errorf("%q: %v, %v; want %v", text, a.String(), err, want)
		}
	}
}

func TestCommaList(t *testing.T) {
	var l commaList
	for _, s := range []string{"a,b", "", ",c,,", "d"} {
		if err := l.Set(s); err != nil {
			t.Fatal(err)
		}
	}
	if l.String() != "a,b,c,d" {
		t.Errorf("%q", l)
	}
}

// A context that has ended is no finding, and not a clean system either.
func TestRun_interrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := systems(t)
	for _, line := range []string{"check", "cycles", "report", "blast --all", "avail web", "why web db --all", "diff shop shop", "export -f svg"} {
		var out, errs bytes.Buffer
		args := append([]string{"-d", filepath.Join(dir, "shop")}, split(line)...)
		if line == "diff shop shop" {
			args = []string{"diff", filepath.Join(dir, "shop"), filepath.Join(dir, "shop")}
		}
		if code := run(ctx, args, &out, &errs); code != exitFailed || errs.String() != "depgraph: interrupted\n" || out.Len() > 0 {
			t.Errorf("depgraph %s: exit code %d, %q, %q", line, code, out.String(), errs.String())
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

type broken struct{}

func (broken) Write([]byte) (int, error) { panic("a bug") }

// An answer that is not on the disk is not taken for "nothing found".
func TestRun_output_that_cannot_be_written(t *testing.T) {
	dir := systems(t)
	t.Chdir(dir)
	for _, line := range []string{
		"help", "help check", "check shop", "check shop -f json", "cycles shop", "order shop", "blast db -d shop", "blast --all -d shop", "avail web -d shop",
		"why web db -d shop", "query web -d shop", "export shop -f dot", "export shop -f yaml", "runbook --cold -d shop", "explain", "schema", "completion fish", "version",
		"diff shop shop", "baseline shop", "why-blocked web -d shop --state state.json",
	} {
		if err := os.WriteFile("state.json", []byte(`["db"]`), 0o600); err != nil {
			t.Fatal(err)
		}
		var errs bytes.Buffer
		if code := run(t.Context(), split(line), full{}, &errs); code != exitFailed || !strings.Contains(errs.String(), "no space left") {
			t.Errorf("depgraph %s: exit code %d, %q", line, code, errs.String())
		}
		errs.Reset()
		if code := run(t.Context(), split(line), broken{}, &errs); code != exitFailed || errs.String() != "depgraph: internal error, please report it: a bug\n" {
			t.Errorf("depgraph %s, with a bug: exit code %d, %q", line, code, errs.String())
		}
	}
}

func TestExplain_as_JSON(t *testing.T) {
	for args, want := range map[string]int{"explain -f json": len(depgraph.Rules()), "explain DG005 -f json": 1, "explain slo-inversion -f json": 1} {
		code, out, errs := run1(t, split(args)...)
		var rules []map[string]string
		if err := json.Unmarshal([]byte(out), &rules); err != nil || code != 0 || errs != "" || len(rules) != want {
			t.Fatalf("%s: exit code %d, %d rules, %v, %s", args, code, len(rules), err, errs)
		}
		for _, r := range rules {
			for _, field := range []string{"id", "name", "severity", "summary", "why", "fix"} {
				if r[field] == "" {
					t.Errorf("%s: %s has no %s", args, r["id"], field)
				}
			}
		}
	}
}

// The table of verbs is whole: what help, completion and checks need is there.
func TestVerbs(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range verbs() {
		if seen[v.name] || v.summary == "" || v.run == nil || strings.HasSuffix(v.summary, ".") {
			t.Errorf("%+v", v)
		}
		seen[v.name] = true
		if v.paths && (v.minArgs != 0 || v.maxArgs != 0) {
			t.Errorf("%s takes paths, and arguments too", v.name)
		}
		if len(v.words) > 0 && !strings.HasPrefix(v.usage, strings.Join(v.words, "|")) {
			t.Errorf("%s: usage %q, words %q", v.name, v.usage, v.words)
		}
	}
	if all := verbs(); all[len(all)-1].name != "help" {
		t.Error("help is not the last verb")
	}
	names := importNames()
	for _, name := range names {
		if code, _, errs := run1(t, "import", name, "/nowhere/x.yaml"); code != exitFailed || !strings.Contains(errs, "/nowhere/x.yaml") {
			t.Errorf("import %s: exit code %d, %s", name, code, errs)
		}
	}
	for _, v := range table().Verbs {
		v.Flags.VisitAll(func(f *flag.Flag) {
			if f.Usage == "" || strings.ContainsAny(f.Usage, "\n\\") {
				t.Errorf("%s %s: %q", v.Name, cli.FlagName(f), f.Usage)
			}
		})
	}
}

func TestCompletion_in_bash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	_, script, _ := run1(t, "completion", "bash")
	var ask, want strings.Builder
	ask.WriteString(script)
	for line, offered := range map[string]string{
		"depgraph ch":                     "check",
		"depgraph wh":                     "why why-blocked",
		"depgraph import ":                strings.Join(importNames(), " "),
		"depgraph completion ":            "bash zsh fish",
		"depgraph check -f ":              "text json sarif junit github markdown",
		"depgraph check --format s":       "sarif",
		"depgraph query x -f y":           "yaml",
		"depgraph --fail-on w":            "warn",
		"depgraph order --fail-on ":       "error warn info none",
		"depgraph blast x --plane ":       "data control",
		"depgraph export --collapse ":     "owner kind criticality folder",
		"depgraph cycles --phase st":      "startup",
		"depgraph why-blocked --sta":      "--state",
		"depgraph -d services order --ma": "--max-parallel",
		"depgraph order --max-parallel ":  "",
		"depgraph help runb":              "runbook",
	} {
		words := strings.Split(line, " ")
		// Without the flags, which follow the words, unless they were asked for.
		ask.WriteString("COMP_WORDS=('" + strings.Join(words, "' '") + "') COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _depgraph; offered=\"${COMPREPLY[*]}\"; echo '" + line + "|'\"${offered%% -*}\"\n")
		want.WriteString(line + "|" + offered + "\n")
	}
	cmd := exec.CommandContext(t.Context(), bash, "--norc")
	cmd.Stdin = strings.NewReader(ask.String())
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != want.String() {
		t.Errorf("%v, got\n%s\nwant\n%s", err, out, want.String())
	}
}

func TestSeverityOf(t *testing.T) {
	for c, want := range map[*depgraph.Component]depgraph.Severity{
		{Kind: depgraph.BootstrapDeadlock}:             depgraph.Error,
		{Kind: depgraph.BootstrapDeadlock, Assumed: 1}: depgraph.Warn,
		{Kind: depgraph.OrderingCycle}:                 depgraph.Warn,
		{Kind: depgraph.OrderingCycle, Assumed: 2}:     depgraph.Info,
		{Kind: depgraph.RuntimeCycle}:                  depgraph.Warn,
		{Kind: depgraph.SoftCycle}:                     depgraph.Info,
		{Kind: depgraph.SoftCycle, Assumed: 1}:         depgraph.Info,
	} {
		if got := severityOf(c); got != want {
			t.Errorf("%v with %d guesses: %v, want %v", c.Kind, c.Assumed, got, want)
		}
	}
}

const hash = "0123456789abcdef0123456789abcdef01234567"

// commit reads what git has written, in each of its forms.
func TestCommit(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"no repository":          {map[string]string{"src/a": ""}, ""},
		"a branch":               {map[string]string{".git/HEAD": "ref: refs/heads/main\n", ".git/refs/heads/main": hash + "\n", "src/a": ""}, "0123456789ab"},
		"a packed branch":        {map[string]string{".git/HEAD": "ref: refs/heads/main\n", ".git/packed-refs": "# pack-refs with: peeled\nffff refs/heads/other\n" + hash + " refs/heads/main\n^" + hash + "\n", "src/a": ""}, "0123456789ab"},
		"no branch of the name":  {map[string]string{".git/HEAD": "ref: refs/heads/gone\n", ".git/packed-refs": hash + " refs/heads/main\n", "src/a": ""}, ""},
		"a branch without packs": {map[string]string{".git/HEAD": "ref: refs/heads/new\n", "src/a": ""}, ""},
		"a commit by itself":     {map[string]string{".git/HEAD": hash + "\n", "src/a": ""}, "0123456789ab"},
		"SHA-256":                {map[string]string{".git/HEAD": hash + hash[:24] + "\n", "src/a": ""}, "0123456789ab"},
		"something else":         {map[string]string{".git/HEAD": "<script>alert(1)</script>\n", "src/a": ""}, ""},
		"a short hash":           {map[string]string{".git/HEAD": hash[:11] + "\n", "src/a": ""}, ""},
		"a work tree": {map[string]string{
			".git": "gitdir: main/worktrees/x\n", "main/worktrees/x/HEAD": "ref: refs/heads/x\n", "main/worktrees/x/commondir": "../..\n", "main/refs/heads/x": hash + "\n", "src/a": "",
		}, "0123456789ab"},
		"a submodule":        {map[string]string{".git": "gitdir: modules/x\n", "modules/x/HEAD": hash + "\n", "src/a": ""}, "0123456789ab"},
		"a file of nobody's": {map[string]string{".git": "something else\n", "src/a": ""}, ""},
	} {
		dir := tree(t, c.files)
		if got := commit(filepath.Join(dir, "src")); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestToday(t *testing.T) {
	for epoch, want := range map[string]string{"0": "1970-01-01", "1638835200": "2021-12-07", "yesterday": time.Now().UTC().Format(time.DateOnly)} {
		t.Setenv("SOURCE_DATE_EPOCH", epoch)
		if got := today(); got != want && epoch != "yesterday" || len(got) != len(want) {
			t.Errorf("SOURCE_DATE_EPOCH=%s: %q, want %q", epoch, got, want)
		}
	}
}

// The page is the same bytes for the same input, at any time and on any machine.
func TestReport_the_same_bytes(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1638835200")
	dir := systems(t)
	_, first, errs := in(t, dir, "", "report", "shop", "--title", "<b>Shop</b>")
	_, again, _ := in(t, dir, "", "export", "shop", "-f", "html", "--title", "x")
	if errs != "" || !strings.Contains(first, "2021-12-07") || !strings.Contains(first, "&lt;b&gt;Shop&lt;/b&gt;") || strings.Contains(first, "<b>Shop") {
		t.Errorf("%s\n%.300s", errs, first)
	}
	if again != "" {
		t.Error("export has no --title")
	}
	if _, page, _ := in(t, dir, "", "report", "shop"); !strings.Contains(page, "Dependencies of shop") {
		t.Errorf("the title is not the folder's:\n%.300s", page)
	}
	if _, second, _ := in(t, dir, "", "report", "shop", "--title", "<b>Shop</b>"); second != first {
		t.Error("two pages differ")
	}
}

func TestWriteFile_keeps_mode_and_links(t *testing.T) {
	dir := t.TempDir()
	name, link := filepath.Join(dir, "private"), filepath.Join(dir, "link")
	if err := os.WriteFile(name, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(name, link); err != nil {
		t.Skip(err)
	}
	if err := writeFile(link, []byte("new")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	info, statErr := os.Lstat(link)
	if string(text) != "new" || err != nil || statErr != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("%q, %v; the link is a %v now, %v", text, err, info.Mode(), statErr)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the mode is %v, %v", info.Mode(), err)
	}
	if err := writeFile(filepath.Join(dir, "fresh"), nil); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "fresh")); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("a new file: %v", err)
	}
	if err := writeFile(dir, []byte("x")); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("over a folder: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".depgraph-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestLimitedBuffer(t *testing.T) {
	b := limitedBuffer{left: 5}
	for _, c := range []struct {
		text string
		ok   bool
	}{{"abc", true}, {"def", false}, {"de", true}, {"f", false}, {"", true}} {
		n, err := b.Write([]byte(c.text))
		if (err == nil) != c.ok || c.ok && n != len(c.text) || !c.ok && n != 0 {
			t.Errorf("%q: %d, %v", c.text, n, err)
		}
	}
	if b.String() != "abcde" || !b.full {
		t.Errorf("%q, full: %v", b.String(), b.full)
	}
}

func TestNextBlob(t *testing.T) {
	for in, want := range map[string]string{
		"abc blob 3\nx\ny\n":      "x\ny",
		"abc blob 0\n\n":          "",
		"":                        "EOF",
		"abc blob 3":              "EOF",
		"abc missing\n":           "the object is not there: abc missing",
		"abc commit 3\nxyz\n":     "the object is not there: abc commit 3",
		"abc blob x\n":            "is too large: x bytes, and a manifest may have 16777216",
		"abc blob -1\n":           "is too large: -1 bytes, and a manifest may have 16777216",
		"abc blob 999999999999\n": "is too large: 999999999999 bytes, and a manifest may have 16777216",
		"abc blob 10\nfive\n":     "unexpected EOF",
	} {
		data, err := nextBlob(bufio.NewReader(strings.NewReader(in)))
		got := string(data)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Everything that an import says, and what it does not do.
func TestImport_says_what_it_did(t *testing.T) {
	compose := "services:\n  web: {image: web, depends_on: [db], environment: {CACHE: 'redis://cache:6379'}}\n  db: {image: postgres}\n  cache: {image: redis}\n"
	dir := tree(t, map[string]string{"compose.yaml": compose})
	for _, c := range []struct {
		args string
		code int
		out  string
		errs string
	}{
		{"import compose compose.yaml --check", 2, "", "depgraph: import: --check compares with the folder given with -o\n"},
		{"import compose compose.yaml -o out --check", 1, "missing: out/cache.depgraph.yaml\nmissing: out/db.depgraph.yaml\nmissing: out/web.depgraph.yaml\n0 services as declared, 3 missing, 0 differences\n", "read 1 file: 3 services, 2 dependencies, 1 of them guesses (assumed)\n"},
		{"import compose compose.yaml -o out", 0, "", ""},
		{"import compose compose.yaml -o out --check", 0, "3 services as declared, 0 missing, 0 differences\n", ""},
		{"import compose compose.yaml -o out", 0, "kept 3 manifests as edited, wrote 0 new, 0 differences (--force overwrites)\n", ""},
		{"import compose compose.yaml -o out --force", 0, "", ""},
	} {
		code, out, errs := in(t, dir, "", split(c.args)...)
		if code != c.code || c.out != "" && out != c.out || c.errs != "" && errs != c.errs {
			t.Errorf("depgraph %s: exit code %d\n%s%s\nwant %d\n%s%s", c.args, code, out, errs, c.code, c.out, c.errs)
		}
	}
	if err := os.Remove(filepath.Join(dir, "out/db.depgraph.yaml")); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := in(t, dir, "", split("import compose compose.yaml -o out --check --fail-on none")...); code != 0 || !strings.Contains(out, "1 missing") {
		t.Errorf("a missing one, only asked for: exit code %d, %s", code, out)
	}
	if code, out, _ := in(t, dir, "", split("import compose compose.yaml")...); code != 0 || !strings.Contains(out, "service: web\n") {
		t.Errorf("to the standard output: exit code %d, %s", code, out)
	}
	if code, out, errs := in(t, dir, "services: {}\n", "import", "compose", "-"); code != exitFailed || out != "" {
		t.Errorf("nothing to import: exit code %d, %q, %q", code, out, errs)
	}
}

func TestPlural(t *testing.T) {
	for n, want := range map[int]string{0: "0 files", 1: "1 file", 2: "2 files"} {
		if got := plural(n, "file"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// What the standard error says never looks like a command to a pipeline.
func TestRun_names_in_errors(t *testing.T) {
	for _, args := range [][]string{{"blast", "\n::error::x"}, {"query", "\n::error::x"}, {"-d", "\n::set-output::x", "check"}, {"\r\x1b[2J"}, {"check", "--only", "\u202ex"}} {
		_, out, errs := in(t, systems(t), "", append([]string{"-d", "shop"}, args...)...)
		if strings.Contains("\n"+out+errs, "\n::") || strings.ContainsAny(out+errs, "\r\x1b\u202e") || errs == "" {
			t.Errorf("%q: %q, %q", args, out, errs)
		}
	}
}

// Each name of the table reads its own kind of file.
func TestImport_each_source(t *testing.T) {
	dir := tree(t, map[string]string{
		"compose/c.yaml":    "services: {a: {image: x, depends_on: [b]}, b: {image: y}}\n",
		"kubernetes/k.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {template: {spec: {containers: [{name: a, image: x}]}}}\n",
		"backstage/b.yaml":  "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {name: a}\nspec: {type: service, owner: x}\n",
		"systemd/a.service": "[Unit]\nDescription=x\n[Service]\nExecStart=/bin/true\n",
	})
	for _, name := range importNames() {
		files, err := filepath.Glob(filepath.Join(dir, name, "*"))
		if err != nil || len(files) == 0 {
			continue // resilience-hub: its files have tests of their own
		}
		for _, reader := range importNames() {
			code, out, _ := run1(t, "import", reader, files[0])
			if ok := code == 0 && strings.Contains(out, "service: a"); ok != (reader == name) {
				t.Errorf("import %s %s: exit code %d\n%s", reader, files[0], code, out)
			}
		}
	}
}
