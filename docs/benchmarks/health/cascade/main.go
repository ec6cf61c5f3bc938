// Cascade runs the simulation of examples/fleet/sim with the real handlers of
// package health and of its peers, and writes what came of it: raw results, a
// table and a drawing. In docs/benchmarks:
//
//	go run ./health/cascade [-o ./health]
//
// The results are the same on each machine; its test sees to that.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/failopen/failopen/examples/fleet/sim"
)

// row is one run: raw data, a line of results/cascade.jsonl.
type row struct {
	Scenario string        `json:"scenario"`
	Platform string        `json:"platform"`
	Policy   string        `json:"policy"`
	Fleet    int           `json:"fleet"`
	Served   float64       `json:"served"`
	Restarts int           `json:"restarts"`
	Ejected  int           `json:"ejected"`
	Recovery time.Duration `json:"recovery_ns"`
	Never    bool          `json:"never"`
	Found    time.Duration `json:"found_ns"`
}

// runs are all the runs, in the order of the table.
func runs() (all []sim.Config) {
	for _, s := range sim.Scenarios {
		columns := policies
		if s.Hang > 0 {
			columns = append(columns[:len(columns):len(columns)], sim.OursBeatOnly)
		}
		if s.Roll {
			columns = append(columns[:len(columns):len(columns)], sim.OursNoDrain)
		}
		for _, platform := range sim.Platforms {
			for _, policy := range columns {
				all = append(all, sim.Config{Scenario: s, Platform: platform, Policy: policy})
			}
		}
	}
	for _, n := range []int{2, 3, 5, 20, 50, 100} { // a total outage, of small and of large fleets
		for _, platform := range sim.Platforms[:2] {
			all = append(all, sim.Config{
				Scenario: sim.Scenarios[0], Platform: platform, Policy: sim.OursGuard, Instances: n,
				Begin: 2 * time.Minute, End: 7 * time.Minute, Length: 12 * time.Minute,
			})
		}
	}
	return all
}

// run makes one row. It must be called in virtual time.
func run(ctx context.Context, c sim.Config) (row, error) {
	r, err := sim.Run(ctx, c)
	return row{
		Scenario: c.Scenario.Name, Platform: c.Platform.Name, Policy: c.Policy.Name, Fleet: max(c.Instances, 0),
		Served: r.Served, Restarts: r.Restarts, Ejected: r.Ejected,
		Recovery: r.Recovery.Round(time.Second), Never: r.Never, Found: r.Found.Round(time.Second),
	}, err
}

func main() {
	dir := flag.String("o", "health", "folder to write to")
	flag.Parse()
	sim.Main(func() int {
		if err := write(*dir); err != nil {
			fmt.Fprintln(os.Stderr, "cascade:", err)
			return 1
		}
		return 0
	})
}

func write(dir string) error {
	var rows []row
	for _, c := range runs() {
		r, err := run(context.Background(), c)
		if err != nil {
			return err
		}
		rows = append(rows, r)
	}
	for name, content := range outputs(rows) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// outputs are all files, by path below the folder.
func outputs(rows []row) map[string]string {
	raw := ""
	for _, r := range rows {
		line, err := json.Marshal(r)
		if err != nil {
			panic(err) // numbers and names
		}
		raw += string(line) + "\n"
	}
	return map[string]string{
		"results/cascade.jsonl": raw,
		"cascade.md":            table(rows),
		"cascade.svg":           drawing(rows),
	}
}
