// Scenarios runs every two-tier cache for Go that the module proxy has through 18
// faults, each in a process of its own with a limit of time and memory.
//
//	go run ./cache/scenarios            run them, and write the results
//	go run ./cache/scenarios -table     write the table of the page anew
//	go run ./cache/scenarios PEER ID    run one, in this process
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

const (
	results = "cache/results/scenarios.csv"
	page    = "cache/README.md"
)

func main() {
	onlyTable := flag.Bool("table", false, "only write the table of the page from the results")
	flag.Parse()
	var err error
	switch {
	case flag.NArg() == 2:
		err = child(flag.Arg(0), flag.Arg(1))
	case *onlyTable:
		err = writeTable(results, page)
	default:
		if err = runAll(results); err == nil {
			err = writeTable(results, page)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "scenarios:", err)
		os.Exit(1)
	}
}

// child runs one scenario and prints its verdict.
func child(name, id string) error {
	debug.SetMaxStack(64 << 20) // a recursion without end ends soon
	for _, p := range peers {
		for _, s := range scenarios {
			if p.name == name && s.id == id {
				v := s.run(p)
				fmt.Printf("verdict\t%s\t%d\t%t\n", v.text, v.took.Milliseconds(), v.good)
				return nil
			}
		}
	}
	return fmt.Errorf("no peer %q, or no scenario %q", name, id)
}

// runAll runs each scenario with each peer in a process of its own.
func runAll(path string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("peer,scenario,outcome,ms,good\n")
	for _, p := range peers {
		for _, s := range scenarios {
			text, ms, good := isolated(self, p, s)
			fmt.Fprintf(&b, "%s,%s,%s,%d,%t\n", p.name, s.id, strconv.Quote(text), ms, good)
			fmt.Fprintf(os.Stderr, "%-16s %s  %-45s %6d ms  %t\n", p.name, s.id, text, ms, good)
		}
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

func isolated(self string, p peer, s scenario) (text string, ms int64, good bool) {
	limit := s.limit
	if limit == 0 {
		limit = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, p.name, s.id)
	cmd.Env = append(os.Environ(), "GOMEMLIMIT=1GiB", "GOTRACEBACK=none")
	out, err := cmd.Output()
	if line, ok := strings.CutPrefix(string(out), "verdict\t"); ok {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if len(fields) == 3 {
			ms, _ = strconv.ParseInt(fields[1], 10, 64)
			return fields[0], ms, fields[2] == "true"
		}
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "no end within " + limit.String(), limit.Milliseconds(), false
	}
	if err != nil {
		return "the process dies", 0, false
	}
	return "no verdict", 0, false
}
