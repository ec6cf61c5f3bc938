package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The committed tables are made from the committed output.
func TestTables_are_generated(t *testing.T) {
	raw, err := filepath.Glob("../results/*.txt")
	if err != nil || len(raw) == 0 {
		t.Fatal(raw, err)
	}
	var all bytes.Buffer
	for _, path := range raw {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	r, err := parse(&all)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("../results/tables.md")
	if err != nil {
		t.Fatal(err)
	}
	if r.markdown() != string(want) {
		t.Error("results/tables.md is not what results/*.txt say: cat logsink/results/*.txt | go run ./logsink/table > logsink/results/tables.md")
	}
	for name, runs := range r.runs {
		for unit, v := range runs {
			if len(v) < 10 {
				t.Errorf("%s %s: %d runs, a median needs 10", name, unit, len(v))
			}
		}
	}
}

func TestParse_refuses(t *testing.T) {
	for _, raw := range []string{"", "BenchmarkX/y-2 10 nonsense ns/op\n"} {
		if _, err := parse(strings.NewReader(raw)); err == nil {
			t.Errorf("%q: no error", raw)
		}
	}
}
