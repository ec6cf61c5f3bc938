package main

import (
	"bytes"
	"encoding/csv"
	"os"
	"strings"
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

// What the page says of this library is so: its scenarios run here. Times are not
// judged, since the machine may be busy, and neither is what depends on them, which
// stands after a comma.
func TestFailopen_is_as_published(t *testing.T) {
	f, err := os.Open("../results/scenarios.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	published := make(map[string]string)
	for _, r := range rows {
		if r[0] == peers[0].name {
			published[r[1]], _, _ = strings.Cut(r[2], ",")
		}
	}
	for _, s := range scenarios {
		v := s.run(peers[0])
		if got, _, _ := strings.Cut(v.text, ","); got != published[s.id] {
			t.Errorf("%s: %s after %v; published: %s", s.id, v.text, v.took, published[s.id])
		}
	}
}
