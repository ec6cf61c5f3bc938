package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

var section = regexp.MustCompile(`(?s)(<!-- scenarios -->\n).*?(<!-- end -->)`)

// writeTable renews the table of a page from the results.
func writeTable(path, page string) error {
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	table, err := render(path)
	if err != nil {
		return err
	}
	if !section.Match(old) {
		return fmt.Errorf("%s has no section for the scenarios", page)
	}
	renewed := section.ReplaceAllFunc(old, func(s []byte) []byte {
		m := section.FindSubmatch(s)
		return append(append(append([]byte(nil), m[1]...), table...), m[2]...)
	})
	return os.WriteFile(page, renewed, 0o644)
}

// render makes the table of a file of results. What a service would not want is
// bold.
func render(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, err
	}
	cells, wanted := make(map[string]string), make(map[string]int)
	for _, r := range rows[1:] {
		peer, id, text, good := r[0], r[1], r[2], r[4] == "true"
		if ms, _ := strconv.Atoi(r[3]); ms >= 20 && !strings.Contains(text, "within") {
			text += fmt.Sprintf(", %s", span(ms))
		}
		if good {
			wanted[peer]++
		} else {
			text = "**" + text + "**"
		}
		cells[peer+id] = text
	}
	var b bytes.Buffer
	b.WriteString("| |")
	for _, p := range peers {
		fmt.Fprintf(&b, " %s |", p.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(peers)) + "\n")
	for _, s := range scenarios {
		fmt.Fprintf(&b, "| %s: %s |", s.id, s.what)
		for _, p := range peers {
			cell, ok := cells[p.name+s.id]
			if !ok {
				return nil, fmt.Errorf("%s has no result of %s in scenario %s", path, p.name, s.id)
			}
			fmt.Fprintf(&b, " %s |", cell)
		}
		b.WriteByte('\n')
	}
	b.WriteString("| as a service would want it |")
	for _, p := range peers {
		fmt.Fprintf(&b, " %d of %d |", wanted[p.name], len(scenarios))
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// span is a time to two digits: the machine was not quiet.
func span(ms int) string {
	if ms >= 1000 {
		return fmt.Sprintf("%.1f s", float64(ms)/1000)
	}
	return fmt.Sprintf("%d ms", (ms+5)/10*10)
}
