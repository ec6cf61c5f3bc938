package examples_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the README's table of numbers anew, from the benchmark pages")

// number is a cell of a benchmark page: the column of the row that begins with
// the given cells.
type number struct {
	who, page, section string
	row                []string
	column             string
}

const (
	cachePage   = "docs/benchmarks/cache/README.md"
	logPage     = "docs/benchmarks/logsink/results/tables.md"
	healthPage  = "docs/benchmarks/health/README.md"
	cascadePage = "docs/benchmarks/health/cascade.md"
	graphPage   = "docs/benchmarks/depgraph/README.md"
)

// numbers are the rows of the README's table: failopen first, then its peers.
var numbers = []struct {
	what, unit, page string
	cells            []number
}{
	{"a cache hit in memory, all cores", "ns", cachePage, []number{
		{"failopen", cachePage, "", []string{"LocalHit/failopen"}, "ns/op"},
		{"otter", cachePage, "", []string{"LocalHit/otter"}, "ns/op"},
		{"sturdyc", cachePage, "", []string{"LocalHit/sturdyc"}, "ns/op"},
		{"golang-lru (expirable)", cachePage, "", []string{"LocalHit/golang-lru-expirable"}, "ns/op"},
	}},
	{"a miss without a shared tier", "ns", cachePage, []number{
		{"failopen", cachePage, "", []string{"Miss/failopen"}, "ns/op"},
		{"otter", cachePage, "", []string{"Miss/otter"}, "ns/op"},
		{"sturdyc", cachePage, "", []string{"Miss/sturdyc"}, "ns/op"},
		{"golang-lru (expirable)", cachePage, "", []string{"Miss/golang-lru-expirable"}, "ns/op"},
	}},
	{"a log line while nobody reads, 64 goroutines, p99.9", "ns", logPage, []number{
		{"failopen", logPage, "Paced/frozen/g=64", []string{"logsink"}, "p99.9-ns"},
		{"zerolog's diode", logPage, "Paced/frozen/g=64", []string{"diode"}, "p99.9-ns"},
		{"a channel", logPage, "Paced/frozen/g=64", []string{"channel"}, "p99.9-ns"},
		{"zap's buffered writer", logPage, "Paced/frozen/g=64", []string{"zapbuffered"}, "p99.9-ns"},
	}},
	{"the answer to a liveness probe, ten watches or checks", "ns", healthPage, []number{
		{"failopen", healthPage, "", []string{"ServeLive/10-watches/failopen"}, "ns/op"},
		{"health-go", healthPage, "", []string{"ServeLive/10-checks/health-go"}, "ns/op"},
		{"alexliesenfeld", healthPage, "", []string{"ServeLive/10-checks/alexliesenfeld"}, "ns/op"},
	}},
	{"requests served while DynamoDB fails, ECS (simulated)", "%", cascadePage, []number{
		{"failopen", cascadePage, "", []string{"dependency errors", "ECS+ALB"}, "failopen"},
		{"health-go", cascadePage, "", []string{"dependency errors", "ECS+ALB"}, "health-go"},
		{"health-go SkipOnErr", cascadePage, "", []string{"dependency errors", "ECS+ALB"}, "health-go SkipOnErr"},
	}},
	{"the cycles of 100,000 services", "ns", graphPage, []number{
		{"failopen", graphPage, "", []string{"Components/services=100000/by=depgraph"}, "ns/op"},
		{"gonum", graphPage, "", []string{"Components/services=100000/by=gonum"}, "ns/op"},
		{"dominikbraun/graph", graphPage, "", []string{"Components/services=100000/by=dominikbraun"}, "ns/op"},
	}},
}

// TestReadme_numbers compares the README's table with the benchmark pages, whose
// tables are compared with the raw output by docs/benchmarks/tables.
func TestReadme_numbers(t *testing.T) {
	var b strings.Builder
	b.WriteString("| | failopen | others |\n|---|---|---|\n")
	for _, n := range numbers {
		var cells []string
		for _, c := range n.cells {
			text := c.find(t)
			switch digits, err := strconv.ParseFloat(strings.ReplaceAll(text, ",", ""), 64); {
			case text == "–":
				text = "blocks"
			case err != nil:
				t.Fatalf("%s: %q is no number", c.page, text)
			case n.unit == "ns" && digits >= 1e6:
				text = fmt.Sprintf("%.3g ms", digits/1e6)
			case n.unit == "ns":
				text = thousands(text) + " ns"
			default:
				text += n.unit
			}
			cells = append(cells, strings.TrimSpace(strings.Replace(c.who+" "+text, "failopen ", "", 1)))
		}
		page := strings.ReplaceAll(n.page, "/results/tables.md", "/README.md")
		fmt.Fprintf(&b, "| [%s](%s) | %s | %s |\n", n.what, page, cells[0], strings.Join(cells[1:], " · "))
	}
	path := filepath.Join(root, "README.md")
	old := read(t, path)
	block := regexp.MustCompile(`(?s)(<!-- numbers -->\n).*?(<!-- end -->)`)
	if !block.MatchString(old) {
		t.Fatal("README.md has no place for the numbers")
	}
	renewed := block.ReplaceAllString(old, "${1}"+b.String()+"${2}")
	if renewed == old {
		return
	}
	if !*update {
		t.Fatalf("the README's numbers are not those of the benchmark pages: go test ./examples -run TestReadme_numbers -update\n%s", &b)
	}
	if err := os.WriteFile(path, []byte(renewed), 0o644); err != nil {
		t.Fatal(err)
	}
}

// find reads the cell, without its range.
func (n number) find(t *testing.T) string {
	t.Helper()
	text := read(t, filepath.Join(root, n.page))
	if n.section != "" {
		_, text, _ = strings.Cut(text, "## "+n.section+"\n")
		text, _, _ = strings.Cut(text, "\n## ")
	}
	var head []string
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if column := indexOf(cells, n.column); column >= 0 {
			head = cells
		}
		if head == nil || len(cells) < len(n.row) || strings.Join(cells[:len(n.row)], "|") != strings.Join(n.row, "|") {
			continue
		}
		value, _, _ := strings.Cut(cells[indexOf(head, n.column)], " ")
		return strings.TrimSuffix(value, ".00")
	}
	t.Fatalf("%s: no row %q with a column %q", n.page, n.row, n.column)
	return ""
}

func indexOf(cells []string, want string) int {
	for i, c := range cells {
		if c == want {
			return i
		}
	}
	return -1
}

// thousands puts commas into a whole number that has none.
func thousands(s string) string {
	if !regexp.MustCompile(`^\d{4,}$`).MatchString(s) {
		return s
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
