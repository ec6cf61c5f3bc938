package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/importer"
)

// What a terminal shows while an answer is on its way: nothing in the first
// second, then one line that is redrawn five times a second, and wiped at the end.
func TestProgressOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := progressOn(&out)
		say := func(after time.Duration, done int, want string) {
			t.Helper()
			time.Sleep(after) // of the bubble's clock
			out.Reset()
			p(depgraph.Progress{Stage: "cycles", Done: done, Total: 9})
			if out.String() != want {
				t.Errorf("%d: %q, want %q", done, out.String(), want)
			}
		}
		say(0, 1, "")
		say(999*time.Millisecond, 2, "")
		say(time.Millisecond, 3, "\r\x1b[Kcycles: 3 of 9\r")
		say(199*time.Millisecond, 4, "")
		say(time.Millisecond, 5, "\r\x1b[Kcycles: 5 of 9\r")
		say(0, 9, "\r\x1b[K")
		say(0, 9, "") // nothing is left to wipe
		say(time.Second, 1, "\r\x1b[Kcycles: 1 of 9\r")
	})
	quick := bytes.Buffer{}
	progressOn(&quick)(depgraph.Progress{Stage: "load", Done: 1, Total: 1})
	if quick.Len() > 0 {
		t.Errorf("an answer that takes no time: %q", quick.String())
	}
	if c := newCommand(t.Context(), &quick, &quick); c.progress() != nil {
		t.Error("progress on what is no terminal")
	}
}

// Colours and the width are a terminal's; the master of a pseudo-terminal is one.
func TestTextOptions_of_a_terminal(t *testing.T) {
	tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no terminal to be had: ", err)
	}
	defer tty.Close()
	for name, c := range map[string]struct {
		noColor, term, columns, output string
		color                          bool
		width                          int
	}{
		"as usual":              {"", "xterm", "", "", true, 0},
		"no-color.org":          {"1", "xterm", "", "", false, 0},
		"a dumb one":            {"", "dumb", "", "", false, 0},
		"with columns":          {"", "xterm", "40", "-", true, 40},
		"with too few":          {"", "xterm", "39", "", true, 0},
		"with what are none":    {"", "xterm", "wide", "", true, 0},
		"but written to a file": {"", "xterm", "200", "x", false, 0},
	} {
		t.Setenv("NO_COLOR", c.noColor)
		t.Setenv("TERM", c.term)
		t.Setenv("COLUMNS", c.columns)
		cmd := newCommand(t.Context(), tty, tty)
		cmd.output = c.output
		if o := cmd.textOptions(); o.Color != c.color || o.Width != c.width {
			t.Errorf("%s: %+v; want colour %v, width %d", name, o, c.color, c.width)
		}
		if cmd.progress() == nil {
			t.Errorf("%s: no progress", name)
		}
	}
	if w := terminalWidth(&bytes.Buffer{}); w != 0 {
		t.Errorf("the width of no terminal is %d", w)
	}
}

// Formats that other programs read are what they say they are.
func TestCheck_formats_parse(t *testing.T) {
	dir := systems(t)
	_, sarif, _ := in(t, dir, "", "check", "loop.yaml", "-f", "sarif")
	var s struct {
		Version string
		Runs    []struct{ Results []struct{ RuleID string } }
	}
	if err := json.Unmarshal([]byte(sarif), &s); err != nil || s.Version != "2.1.0" || len(s.Runs) != 1 || len(s.Runs[0].Results) == 0 {
		t.Errorf("%v, %+v", err, s)
	}
	_, junit, _ := in(t, dir, "", "check", "loop.yaml", "-f", "junit")
	var j struct {
		XMLName  xml.Name
		Failures int `xml:"failures,attr"`
	}
	if err := xml.Unmarshal([]byte(junit), &j); err != nil || j.XMLName.Local != "testsuites" || j.Failures == 0 {
		t.Errorf("%v, %+v\n%.300s", err, j, junit)
	}
	if code, out, errs := in(t, dir, "", "query", "deps(web)", "-d", "shop", "-f", "markdown"); code != 0 || !strings.Contains(out, "| db") {
		t.Errorf("exit code %d, %s%s", code, out, errs)
	}
	if code, out, errs := in(t, dir, "", "diff", "shop", "loop.yaml", "-f", "github"); code != 1 || !strings.HasPrefix(out, "::error file=loop.yaml,line=") {
		t.Errorf("exit code %d, %s%s", code, out, errs)
	}
}

// A diff since the merge base says which of its names is wrong; nothing is HEAD.
func TestDiff_since_the_merge_base(t *testing.T) {
	dir := history(t, map[string]string{"depgraph.yaml": "service: a\nowner: x\n"}, map[string]string{"depgraph.yaml": "service: a\nowner: x\n---\nservice: b\nowner: x\n"})
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"diff v0...", 0, "b"},
		{"diff ...v0", 0, "nothing"},
		{"diff v0..", 0, "b"},
		{"diff nope...v0", 2, `depgraph: diff: no such revision "nope", and no file or folder of that name` + "\n"},
		{"diff v0...nope", 2, `depgraph: diff: no such revision "nope", and no file or folder of that name` + "\n"},
		{"diff v0...v1 -d gone", 3, "gone: no such folder; -d names what is there now, and it is read in each revision\n"},
		{"diff v0...v1 -d -", 2, "depgraph: diff: a revision has no standard input\n"},
		{"diff v0 --baseline gone.json", 3, "gone.json"},
	} {
		code, out, errs := in(t, dir, "", split(c.args)...)
		if code != c.code || c.code != 0 && !strings.Contains(errs, c.want) || c.code == 0 && c.want == "b" && !strings.Contains(out, "\nadded services: b\n") {
			t.Errorf("depgraph %s: exit code %d, %q, %q; want %d, %q", c.args, code, out, errs, c.code, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (repository{ctx, dir}).git(nil, "rev-parse", "HEAD"); err != context.Canceled {
		t.Errorf("interrupted: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := (repository{t.Context(), dir}).git(nil, "rev-parse", "HEAD"); err == nil || err.Error() != "git is not installed; diff reads folders and exported graphs without it" {
		t.Errorf("without git: %v", err)
	}
}

// Kubernetes manifests are told from compose files by what is in them, and a
// folder is theirs.
func TestDrift_kindOf(t *testing.T) {
	dir := tree(t, map[string]string{
		"k8s/a.txt": "", "first.yaml": "apiVersion: v1\n", "later.yml": "kind: Pod\napiVersion: v1\n", "nested.yaml": "services:\n  x: {apiVersion: 1}\n",
		"compose.yaml": "services: {}\n", "spans.json": "apiVersion: v1\n", "empty.yaml": "",
	})
	c := newCommand(t.Context(), nil, nil)
	for name, want := range map[string]string{
		"k8s": "kubernetes", "first.yaml": "kubernetes", "later.yml": "kubernetes", "nested.yaml": "compose", "compose.yaml": "compose", "spans.json": "", "empty.yaml": "compose",
	} {
		if kind, err := c.kindOf(filepath.Join(dir, name)); kind != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", name, kind, err, want)
		}
	}
	if kind, err := c.kindOf("-"); kind != "" || err != nil {
		t.Errorf("the standard input: %q, %v", kind, err)
	}
	gone := filepath.Join(dir, "gone.yaml")
	if _, err := c.kindOf(gone); err == nil || err.Error() != gone+": cannot read: no such file or directory" {
		t.Errorf("%v", err)
	}
}

// What is skipped is named, eight of a sort, each once; the rest is a number.
func TestImport_tally_of_many(t *testing.T) {
	var errs bytes.Buffer
	c := newCommand(t.Context(), nil, &errs)
	c.tally(&importer.Result{Read: 2, Services: make([]depgraph.Service, 1), Guessed: 1, Skipped: map[string][]string{
		"ingress":  {"x"},
		"endpoint": strings.Split("j i h g f e d c b a a", " "),
		"job":      {"::error::y", "h", "g", "f", "e", "d", "c", "b"},
	}})
	const want = `read 2 files: 1 service, 0 dependencies, 1 of them guesses (assumed)
skipped 11 endpoint: a, b, c, d, e, f, g, h and 2 more
skipped 1 ingress: x
skipped 8 job: ::error::y, b, c, d, e, f, g, h
`
	if errs.String() != want {
		t.Errorf("got\n%s\nwant\n%s", errs.String(), want)
	}
}

// A list of what is up that is no list: nothing is taken to be down for it.
func TestWhyBlocked_state(t *testing.T) {
	dir := systems(t)
	for _, c := range []struct {
		state, want string
	}{
		{"gone.json", "open gone.json: no such file or directory\n"},
		{"shop", "read shop: is a directory\n"},
		{"loop.yaml", "loop.yaml: "},
	} {
		if code, out, errs := in(t, dir, "", "why-blocked", "web", "-d", "shop", "--state", c.state); code != exitFailed || out != "" || !strings.HasPrefix(errs, c.want) {
			t.Errorf("%s: exit code %d, %q, %q; want %q", c.state, code, out, errs, c.want)
		}
	}
	huge := filepath.Join(dir, "huge.json")
	if err := os.WriteFile(huge, []byte("["), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, maxStateBytes+1); err != nil {
		t.Skip(err) // it has holes
	}
	if _, _, errs := in(t, dir, "", "why-blocked", "web", "-d", "shop", "--state", "huge.json"); errs != "huge.json: is too large for a list of services\n" {
		t.Errorf("%q", errs)
	}
}
