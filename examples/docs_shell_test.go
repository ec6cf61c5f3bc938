package examples_test

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// block is a fenced block of a page: sh is run, and of text each line must be
// in what was printed so far. What cannot be run has a comment before it:
//
//	<!-- not run: REASON -->
//
// and what is to exit with an error:
//
//	<!-- fails -->
//
// A page none of whose blocks can be run says so once:
//
//	<!-- no sh block of this page is run: REASON -->
type block struct {
	kind, text, notRun string
	fails              bool
}

var fence = regexp.MustCompile("(?s)(?:<!-- (?:not run: ([^\n]*?)|(fails)) -->\n)?```(sh|text)\n(.*?)```\n")

var pageNotRun = regexp.MustCompile(`<!-- no sh block of this page is run: (.*?) -->`)

func blocks(page string) (all []block) {
	if pageNotRun.MatchString(page) {
		return nil
	}
	for _, m := range fence.FindAllStringSubmatch(page, -1) {
		all = append(all, block{kind: m[3], text: m[4], notRun: m[1], fails: m[2] != ""})
	}
	return all
}

// docsEnv makes the tests below run the documentation, which takes minutes and
// needs bash. CI sets it (.ci/steps/75-docs.sh).
const docsEnv = "FAILOPEN_DOCS"

// TestTutorials follows each tutorial in an empty folder, as a reader would.
func TestTutorials(t *testing.T) {
	if os.Getenv(docsEnv) == "" {
		t.Skipf("%s is not set", docsEnv)
	}
	pages, err := filepath.Glob(filepath.Join(root, "docs/tutorials/*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		if filepath.Base(page) == "README.md" {
			continue
		}
		t.Run(filepath.Base(page), func(t *testing.T) {
			text := read(t, page)
			if steps := strings.Count(text, "\n**"); steps < 3 || steps > 10 {
				t.Errorf("%d steps; want 3 to 10", steps)
			}
			checkout, err := filepath.Abs(root)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if err := os.Symlink(checkout, filepath.Join(dir, "failopen")); err != nil {
				t.Fatal(err)
			}
			follow(t, dir, blocks(text))
		})
	}
}

// TestDocs_shell runs the sh blocks of all other pages, each page in a copy of
// the repository.
func TestDocs_shell(t *testing.T) {
	if os.Getenv(docsEnv) == "" {
		t.Skipf("%s is not set", docsEnv)
	}
	for page, text := range files(t, ".md") {
		page = filepath.ToSlash(page)
		all := blocks(text)
		if strings.Contains(page, "docs/tutorials/") || !slices.ContainsFunc(all, func(b block) bool { return b.kind == "sh" && b.notRun == "" }) {
			continue
		}
		t.Run(strings.TrimPrefix(page, "../"), func(t *testing.T) {
			dir := t.TempDir()
			checkout(t, dir)
			follow(t, dir, all)
		})
	}
}

// checkout copies the repository's files, as they are now.
func checkout(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	list, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.FieldsSeq(string(list)) {
		data, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // deleted, not yet committed
		}
		target := filepath.Join(dir, name)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(target), 0o755)
		}
		if err == nil {
			err = os.WriteFile(target, data, fs.FileMode(0o755))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// follow runs blocks, one after the other, as one script.
func follow(t *testing.T, dir string, all []block) {
	t.Helper()
	var script strings.Builder
	script.WriteString("set -euo pipefail\n")
	for _, b := range all {
		switch {
		case b.kind != "sh" || b.notRun != "":
		case b.fails:
			script.WriteString("if (\n" + b.text + "); then echo 'this should have failed'; exit 1; fi\n")
		default:
			script.WriteString(b.text)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script.String())
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-trimpath", "NO_COLOR=1", "OLDPWD="+dir)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, b := range all {
		if b.kind != "text" || b.notRun != "" {
			continue
		}
		for line := range strings.Lines(b.text) {
			if line = strings.TrimSpace(line); !strings.Contains(string(out), line) {
				t.Errorf("the page says that this is printed:\n%s\nit is not:\n%s", line, out)
			}
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
