// Package examples_test checks what the documentation shows: each block of Go
// is part of a program that compiles and runs, and each link leads somewhere.
package examples_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = ".."

// files returns the contents of the repository's files with this ending, by
// path.
func files(t *testing.T, ending string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." && d.Name() != ".github" {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ending) || d.IsDir() {
			return nil
		}
		data, err := os.ReadFile(path)
		found[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// flat is code without indentation and empty lines.
func flat(code string) string {
	var b strings.Builder
	for line := range strings.Lines(code) {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line)
			b.WriteByte('\n')
		}
	}
	return b.String()
}

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

func TestDocs_blocks_run(t *testing.T) {
	var sources []string
	for _, code := range files(t, ".go") {
		sources = append(sources, flat(code))
	}
	blocks := 0
	for path, text := range files(t, ".md") {
		for _, m := range goBlock.FindAllStringSubmatch(text, -1) {
			blocks++
			if !containedIn(sources, flat(m[1])) {
				t.Errorf("%s: this block is not part of any Go file:\n%s", path, m[1])
			}
		}
	}
	if blocks == 0 {
		t.Error("there is no block of Go in the documentation: nothing was checked")
	}
}

func containedIn(sources []string, block string) bool {
	for _, s := range sources {
		if strings.Contains(s, block) {
			return true
		}
	}
	return false
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)

func TestDocs_links_lead_somewhere(t *testing.T) {
	for path, text := range files(t, ".md") {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target := m[1]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), filepath.FromSlash(target))); err != nil {
				t.Errorf("%s: link to %s: %v", path, target, err)
			}
		}
	}
}

// TestDocs_are_listed finds pages that no index leads to.
func TestDocs_are_listed(t *testing.T) {
	for index, pages := range map[string]string{
		"docs/README.md":           "docs/guide/*.md docs/runbooks/*.md docs/benchmarks/*/README.md docs/*.md",
		"docs/decisions/README.md": "docs/decisions/*.md",
	} {
		text, err := os.ReadFile(filepath.Join(root, index))
		if err != nil {
			t.Fatal(err)
		}
		for pattern := range strings.FieldsSeq(pages) {
			found, err := filepath.Glob(filepath.Join(root, pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, page := range found {
				rel, err := filepath.Rel(filepath.Join(root, filepath.Dir(index)), page)
				if err != nil {
					t.Fatal(err)
				}
				if rel != filepath.Base(index) && !strings.Contains(string(text), "("+filepath.ToSlash(rel)+")") {
					t.Errorf("%s does not list %s", index, rel)
				}
			}
		}
	}
}
