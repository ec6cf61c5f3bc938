package importer

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
)

// describe writes out all that an import found, as a person would check it: a
// line for each service, below it its dependencies with their sources, and at
// the end what was warned about, skipped and read. Paths below dir are cut.
func describe(dir string, r *Result) string {
	var b strings.Builder
	for i := range r.Services {
		s := &r.Services[i]
		b.WriteString(s.Name)
		for _, word := range []string{s.Kind.String(), s.Criticality.String(), s.Owner, s.Note} {
			if word != "" {
				b.WriteString(", " + word)
			}
		}
		b.WriteByte('\n')
		for j := range s.Depends {
			b.WriteString("  " + describeDependency(&s.Depends[j]) + "\n")
		}
	}
	for _, w := range r.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	for _, sort := range slices.Sorted(maps.Keys(r.Skipped)) {
		fmt.Fprintf(&b, "skipped %s: %s\n", sort, strings.Join(r.Skipped[sort], ", "))
	}
	return strings.ReplaceAll(b.String(), filepath.ToSlash(dir)+"/", "")
}

// describeDependency is one line of describe: "-> b, soft startup until ready,
// assumed, liveness (SOURCE)".
func describeDependency(d *depgraph.Dependency) string {
	to := d.On
	if d.AnyOf != nil {
		to = fmt.Sprintf("any %d of %s", d.Need, strings.Join(d.AnyOf, ", "))
	}
	words := []string{"hard"}
	switch {
	case d.Weak:
		words[0] = "weak"
	case d.Soft:
		words[0] = "soft"
	}
	words = append(words, d.Phase.String())
	if d.Until != depgraph.UntilUnknown {
		words = append(words, "until", d.Until.String())
	}
	if d.Assumed {
		words = append(words, "assumed")
	}
	if d.Liveness {
		words = append(words, "liveness")
	}
	return fmt.Sprintf("-> %s, %s (%s)", to, strings.Join(words, " "), d.Source)
}

// same compares what was described, line by line.
func same(t *testing.T, got, want string) {
	t.Helper()
	if got, want := strings.TrimSpace(got), strings.TrimSpace(want); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// failure compares an error, whose paths below dir are cut.
func failure(t *testing.T, dir string, err error, want string) {
	t.Helper()
	got := "<nil>"
	if err != nil {
		got = strings.ReplaceAll(err.Error(), filepath.ToSlash(dir)+"/", "")
	}
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
