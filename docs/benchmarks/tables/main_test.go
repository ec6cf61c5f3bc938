package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const raw = `goos: linux
cpu: some
BenchmarkGet/a-2   100  1500 ns/op  0 B/op  3.00 ms-over-origin/op
BenchmarkGet/a-2   100  2500 ns/op  0 B/op  5.00 ms-over-origin/op
BenchmarkGet/b-2   100  12.345 ns/op  8 B/op
BenchmarkOther-2   100  1 ns/op
`

const pageText = "# Page\n\n<!-- table: cache.txt ^Get/ -->\nold\n<!-- end -->\nrest\n"

func TestPage(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("results/cache.txt", raw)
	write("README.md", pageText)
	if err := page(dir, true); err == nil || !strings.Contains(err.Error(), "out of date") {
		t.Errorf("check of an old page: %v", err)
	}
	if err := page(dir, false); err != nil {
		t.Fatal(err)
	}
	if err := page(dir, true); err != nil {
		t.Errorf("check of a renewed page: %v", err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	want := "# Page\n\n<!-- table: cache.txt ^Get/ -->\n" +
		"| benchmark | runs | ns/op | B/op | ms-over-origin/op |\n|---|---|---|---|---|\n" +
		"| Get/a | 2 | 2,000 (1,500–2,500) | 0 | 4 (3–5) |\n" +
		"| Get/b | 1 | 12 | 8 |  |\n" +
		"<!-- end -->\nrest\n"
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	write("README.md", strings.Replace(pageText, "^Get/", "^Nothing", 1))
	if err := page(dir, false); err == nil {
		t.Error("a table without benchmarks is no error")
	}
}
