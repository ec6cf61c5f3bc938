package main

import (
	"bytes"
	"os"
	"testing"
)

// The table of the page is that of the results.
func TestTable_is_up_to_date(t *testing.T) {
	page, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	table, err := render("../results/scenarios.csv")
	if err != nil {
		t.Fatal(err)
	}
	m := section.FindSubmatch(page)
	if m == nil || !bytes.Contains(page, append(append(m[1], table...), m[2]...)) {
		t.Error("cache/README.md is out of date: go run ./cache/scenarios -table")
	}
}

// What the page says of this library is so: its scenarios run here, those that
// take no time.
func TestFailopen_is_as_published(t *testing.T) {
	for _, s := range scenarios {
		if v := s.run(peers[0]); !v.good {
			t.Errorf("%s: %s after %v", s.id, v.text, v.took)
		}
	}
}
