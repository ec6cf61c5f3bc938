// Tables writes the tables of the benchmark pages from raw output, so that no
// number is typed by hand.
//
//	go run ./tables FOLDER...
//
// In FOLDER/README.md it replaces what stands between the lines
//
//	<!-- table: FILE REGEXP -->
//	<!-- end -->
//
// by a table of the benchmarks in FOLDER/results/FILE whose names match:
// medians of all runs, and their range. With -check it changes nothing and
// fails if a page is out of date.
//
//	go run ./tables -gate gates.txt RAW
//
// compares raw output with what gates.txt promises about a run.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
)

func main() {
	check := flag.Bool("check", false, "only check that the pages are up to date")
	gates := flag.String("gate", "", "compare raw output with the promises in this `file`")
	flag.Parse()
	if flag.NArg() == 0 || *gates != "" && flag.NArg() > 1 {
		fmt.Fprintln(os.Stderr, "usage: tables [-check] FOLDER...\n       tables -gate FILE RAW")
		os.Exit(2)
	}
	if *gates != "" {
		if err := judge(os.Stdout, *gates, flag.Arg(0)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	for _, dir := range flag.Args() {
		if err := page(dir, *check); err != nil {
			fmt.Fprintln(os.Stderr, "tables:", err)
			os.Exit(1)
		}
	}
}

var marker = regexp.MustCompile(`(?s)(<!-- table: (\S+) (\S+) -->\n).*?(<!-- end -->)`)

// page renews the tables of one page.
func page(dir string, check bool) error {
	path := filepath.Join(dir, "README.md")
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var failed error
	renewed := marker.ReplaceAllFunc(old, func(section []byte) []byte {
		m := marker.FindSubmatch(section)
		table, err := render(filepath.Join(dir, "results", string(m[2])), string(m[3]))
		if err != nil {
			failed = errors.Join(failed, err)
			return section
		}
		return slices.Concat(m[1], table, m[4])
	})
	switch {
	case failed != nil:
		return failed
	case check && !bytes.Equal(old, renewed):
		return fmt.Errorf("%s is out of date: go run ./tables %s", path, dir)
	case check:
		return nil
	}
	return os.WriteFile(path, renewed, 0o644)
}

// series are the measurements of one benchmark.
type series struct {
	name   string
	values map[string][]float64 // by unit
}

// render makes the table of the benchmarks in a file whose names match.
func render(path, pattern string) ([]byte, error) {
	match, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	all, units, err := read(path, match)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no benchmark matches %q", path, pattern)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "| benchmark | runs | %s |\n|---|---|%s\n", strings.Join(units, " | "), strings.Repeat("---|", len(units)))
	for _, s := range all {
		fmt.Fprintf(&b, "| %s | %d |", s.name, runs(s))
		for _, unit := range units {
			fmt.Fprintf(&b, " %s |", cell(s.values[unit]))
		}
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}

var cores = regexp.MustCompile(`-\d+$`)

// read returns the series in the order in which they were measured, and their
// units in the order in which they appear.
func read(path string, match *regexp.Regexp) (all []*series, units []string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	byName := make(map[string]*series)
	for r := benchfmt.NewReader(f, path); r.Scan(); {
		result, ok := r.Result().(*benchfmt.Result)
		if !ok {
			continue
		}
		name := cores.ReplaceAllString(string(result.Name.Full()), "")
		if !match.MatchString(name) {
			continue
		}
		s := byName[name]
		if s == nil {
			s = &series{name: name, values: make(map[string][]float64)}
			byName[name] = s
			all = append(all, s)
		}
		for _, v := range result.Values {
			value, unit := v.Value, v.Unit
			if v.OrigUnit != "" {
				value, unit = v.OrigValue, v.OrigUnit
			}
			s.values[unit] = append(s.values[unit], value)
			if !slices.Contains(units, unit) {
				units = append(units, unit)
			}
		}
	}
	return all, units, nil
}

func runs(s *series) (n int) {
	for _, v := range s.values {
		n = max(n, len(v))
	}
	return n
}

// cell is a median, with the range if there is one.
func cell(v []float64) string {
	if len(v) == 0 {
		return ""
	}
	slices.Sort(v)
	median := v[len(v)/2]
	if len(v)%2 == 0 {
		median = (v[len(v)/2-1] + v[len(v)/2]) / 2
	}
	low, mid, high := number(v[0]), number(median), number(v[len(v)-1])
	if low == high {
		return mid
	}
	return fmt.Sprintf("%s (%s–%s)", mid, low, high)
}

func number(x float64) string {
	switch {
	case x != 0 && x < 10:
		return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", x), "0"), ".")
	case x < 1000:
		return fmt.Sprintf("%.0f", x)
	}
	digits := fmt.Sprintf("%.0f", x)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
