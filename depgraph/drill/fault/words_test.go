package fault_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/failopen/failopen/cache/cachetest"
	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/depgraph/drill/fault"
	"github.com/failopen/failopen/examples/tokenservice/stack"
	"github.com/failopen/failopen/health/healthtest"
	"github.com/failopen/failopen/logsink/logsinktest"
)

// wordsOf are the words in the table of the guide, by the heading of the column
// that says how to make the fault, and the cell's text.
func wordsOf(t *testing.T) map[string]map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/guide/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "\n| word |")
	if !ok {
		t.Fatal("docs/guide/faults.md has no table that begins with | word |")
	}
	table, _, _ = strings.Cut("| word |"+table, "\n\n")
	lines := strings.Split(table, "\n")
	cells := func(line string) []string {
		parts := strings.Split(strings.Trim(line, "|"), "|")
		for i := range parts {
			parts[i] = strings.TrimSpace(parts[i])
		}
		return parts
	}
	head := cells(lines[0])
	words := map[string]map[string]string{}
	seen := map[string]bool{}
	for _, line := range lines[2:] {
		row := cells(line)
		word := strings.Trim(row[0], "`")
		if len(row) != len(head) {
			t.Errorf("the row of %s has %d cells; want %d", word, len(row), len(head))
			continue
		}
		if strings.HasPrefix(word, "**") {
			continue // a heading
		}
		if seen[word] {
			t.Errorf("the word %s comes twice", word)
		}
		seen[word] = true
		for i := 2; i < len(row); i++ {
			column := strings.TrimPrefix(strings.Trim(head[i], "`"), "drill/")
			if words[column] == nil {
				words[column] = map[string]string{}
			}
			if row[i] != "" {
				words[column][word] = row[i]
			}
		}
	}
	return words
}

func text[K ~string](kinds []K, more ...string) []string {
	for _, k := range kinds {
		more = append(more, string(k))
	}
	slices.Sort(more)
	return more
}

// The guide's table of faults and each package's list of kinds say the same.
func TestWords(t *testing.T) {
	words := wordsOf(t)
	for column, want := range map[string][]string{
		// Beside the kinds there are words for other fields and methods.
		"fault":       text(fault.Kinds(), "error", "slow", "flaky"),
		"dynamotest":  text(dynamotest.Kinds(), "error", "slow", "corrupt"),
		"cachetest":   text(cachetest.Kinds()),
		"healthtest":  text(healthtest.Kinds()),
		"logsinktest": text(logsinktest.Kinds()),
	} {
		if got := slices.Sorted(maps.Keys(words[column])); !slices.Equal(got, want) {
			t.Errorf("docs/guide/faults.md, column %s:\n%v; the package has\n%v", column, got, want)
		}
	}
	var scenarios, documented []string
	for _, f := range new(stack.Stack).Faults() {
		scenarios = append(scenarios, f.Name)
	}
	for _, cell := range words["example"] {
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
			documented = append(documented, m[1])
		}
	}
	slices.Sort(scenarios)
	slices.Sort(documented)
	if !slices.Equal(scenarios, documented) {
		t.Errorf("docs/guide/faults.md names the scenarios\n%v; the example has\n%v", documented, scenarios)
	}
}
