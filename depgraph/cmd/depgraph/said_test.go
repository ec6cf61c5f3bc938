package main

import (
	"bytes"
	"strings"
	"testing"
)

// The verbs that print lines as they go are no better than the others on a full
// disk: a list of differences that nobody can read is not "no difference".
func TestRun_lines_that_cannot_be_written(t *testing.T) {
	dir := tree(t, map[string]string{"compose.yaml": "services: {web: {depends_on: [db]}, db: {image: postgres}}"})
	t.Chdir(dir)
	for _, line := range []string{
		"-d new init", "-d new init", "import compose compose.yaml -o services", "import compose compose.yaml -o services", "import compose compose.yaml -o services --check",
		"import compose compose.yaml -o services --check --fail-on none", "import compose compose.yaml -o services --force", "import compose compose.yaml",
	} {
		var errs bytes.Buffer
		if code := run(t.Context(), split(line), full{}, &errs); code != exitFailed || !strings.HasSuffix(errs.String(), "no space left\n") {
			t.Errorf("depgraph %s: exit code %d, %q", line, code, errs.String())
		}
	}
}

// A mistake of the command line is found before anything is read.
func TestImport_checks_flags_first(t *testing.T) {
	code, out, errs := run1(t, "import", "compose", "/nowhere.yaml", "--check")
	if want := "depgraph: import: --check compares with the folder given with -o\n"; code != exitUsage || out != "" || errs != want {
		t.Errorf("exit code %d, %q, %q; want %q", code, out, errs, want)
	}
}

// A folder that is called like a command of a pipeline's runner gives none.
func TestInit_hostile_folder(t *testing.T) {
	t.Chdir(t.TempDir())
	code, out, errs := run1(t, "-d", "::error::x", "init", "web")
	if want := "wrote ::error::x/depgraph.yaml\nwrote ::error::x/.depgraph.yaml\n"; code != 0 || errs != "" || out != want {
		t.Errorf("exit code %d, %q, %q; want %q", code, out, errs, want)
	}
	code, out, _ = run1(t, "-d", "a\nb", "init", "web")
	if code != 0 || strings.Count(out, "\n") != 4 || strings.Contains("\n"+out, "\n::") {
		t.Errorf("exit code %d, %q", code, out)
	}
}
