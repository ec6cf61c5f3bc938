package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A gate is a promise about one run: a number, or how often a number of ours
// goes into that of a peer or of a floor, is at most limit. Times alone are
// never promised: they are those of a machine.
type gate struct {
	line   int
	unit   string
	of, by string // by is "" for a number of its own
	limit  float64
}

func (g gate) String() string {
	if g.by == "" {
		return fmt.Sprintf("%s of %s", g.unit, g.of)
	}
	return fmt.Sprintf("%s of %s / %s", g.unit, g.of, g.by)
}

var gateLine = regexp.MustCompile(`^(\S+) (\S+)(?: / (\S+))? <= ([0-9.]+)$`)

// readGates reads lines such as "ns/op Get/ours / Get/floor <= 2".
func readGates(path string) (gates []gate, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		m := gateLine.FindStringSubmatch(text)
		if m == nil {
			return nil, fmt.Errorf("%s:%d: %q; want UNIT BENCHMARK [/ BENCHMARK] <= LIMIT", path, n, text)
		}
		g := gate{line: n, unit: m[1], of: m[2], by: m[3]}
		if g.limit, err = strconv.ParseFloat(m[4], 64); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		if g.by == "" && g.unit == "ns/op" {
			return nil, fmt.Errorf("%s:%d: a time alone is that of a machine: divide it by another one", path, n)
		}
		gates = append(gates, g)
	}
	return gates, lines.Err()
}

// judge compares the gates in a file with raw output, by the least value of all
// runs of a benchmark, which depends least on what else the machine does.
func judge(w io.Writer, path, raw string) error {
	gates, err := readGates(path)
	if err != nil {
		return err
	}
	all, _, err := read(raw, regexp.MustCompile(""))
	if err != nil {
		return err
	}
	least := func(name, unit string) (float64, bool) {
		for _, s := range all {
			if s.name == name && len(s.values[unit]) > 0 {
				return slices.Min(s.values[unit]), true
			}
		}
		return 0, false
	}
	var errs []error
	for _, g := range gates {
		value, ok := least(g.of, g.unit)
		if !ok {
			errs = append(errs, fmt.Errorf("%s:%d: %s was not measured", path, g.line, g.of))
			continue
		}
		if g.by != "" {
			other, ok := least(g.by, g.unit)
			if !ok || other == 0 {
				errs = append(errs, fmt.Errorf("%s:%d: %s was not measured, or is 0", path, g.line, g.by))
				continue
			}
			value /= other
		}
		fmt.Fprintf(w, "%v: %.2f, at most %v\n", g, value, g.limit)
		if value > g.limit {
			errs = append(errs, fmt.Errorf("%s:%d: %v is %.2f, and must be at most %v", path, g.line, g, value, g.limit))
		}
	}
	return errors.Join(errs...)
}
