package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/failopen/failopen/depgraph/drill"
)

// Report is the outcome of a game day.
type Report struct {
	Verdict drill.Verdict `json:"verdict"` // held, deviated or not-started
	Held    bool          `json:"held"`
	Why     []string      `json:"why,omitempty"` // why not
	Seed    uint64        `json:"seed"`
	Phases  []Phase       `json:"phases"`
}

// Phase is what the clients of one service saw in one phase.
type Phase struct {
	Name        string             `json:"name"`
	Service     string             `json:"service"`
	Requests    int                `json:"requests"`
	Success     float64            `json:"success"` // share of requests that were answered rightly
	Wrong       int                `json:"wrong"`
	Excused     int                `json:"excused,omitempty"` // not answered because this machine stood still; not in Success
	P50         float64            `json:"p50_ms"`
	P99         float64            `json:"p99_ms"`
	Max         float64            `json:"max_ms"`
	OriginP99   float64            `json:"origin_p99_ms"` // of the requests that went to the origin
	Sources     map[string]float64 `json:"sources"`       // shares of the right answers
	Failures    map[string]int     `json:"failures,omitempty"`
	FaultActive bool               `json:"fault"`
}

var sourceNames = []string{"local", "remote", "origin", "stale"}

func summarize(name, service string, fault bool, samples []sample) Phase {
	p := Phase{
		Name: name, Service: service, Requests: len(samples), FaultActive: fault,
		Sources: make(map[string]float64), Failures: make(map[string]int),
	}
	var all, origin []time.Duration
	answered := 0
	for _, s := range samples {
		if s.excused {
			p.Excused++
			continue
		}
		all = append(all, s.took)
		switch s.verdict {
		case right:
			answered++
			p.Sources[s.source]++
			if s.source == "origin" {
				origin = append(origin, s.took)
			}
		case wrong:
			p.Wrong++
		case failed:
			p.Failures[s.failure]++
		}
	}
	for _, source := range sourceNames {
		p.Sources[source] = round(p.Sources[source]/float64(max(answered, 1)), 4)
	}
	if len(all) > 0 {
		p.Success = float64(answered) / float64(len(all))
	}
	p.P50, p.P99, p.Max = percentile(all, 50), percentile(all, 99), percentile(all, 100)
	p.OriginP99 = percentile(origin, 99)
	return p
}

// percentile is the smallest duration, in milliseconds, that is not less than
// p percent of all (nearest rank).
func percentile(all []time.Duration, p int) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	rank := (len(all)*p + 99) / 100
	return round(float64(all[max(rank, 1)-1])/float64(time.Millisecond), 2)
}

func round(x float64, digits int) float64 {
	scale := 1.0
	for range digits {
		scale *= 10
	}
	return float64(int64(x*scale+0.5)) / scale
}

// judge fills in the verdict: held if every request of every phase was answered
// rightly, and the shared tier was in use again at the end. A machine that
// cannot hold the steady state, or stands still too often, has not started.
func (r *Report) judge() {
	var last *Phase
	busy := ""
	for i := range r.Phases {
		p := &r.Phases[i]
		if p.Service != "failopen" {
			continue
		}
		last = p
		if p.Excused*20 > p.Requests && busy == "" {
			busy = fmt.Sprintf("this machine is too slow, or too busy, to tell: in the phase %s it stood still for %d of %d requests", p.Name, p.Excused, p.Requests)
		}
		switch {
		case p.Requests == 0:
			r.Why = append(r.Why, p.Name+": no request was made")
		case p.Success < 1 || p.Wrong > 0:
			r.Why = append(r.Why, fmt.Sprintf("%s: %.2f %% answered, %d wrong", p.Name, 100*p.Success, p.Wrong))
		}
	}
	if last == nil || last.FaultActive || last.Sources["remote"] == 0 {
		r.Why = append(r.Why, "the shared tier was not in use again at the end")
	}
	switch {
	case len(r.Why) == 0:
		r.Verdict = drill.Held
	case r.wrong() == 0 && (r.unsteady() != "" || busy != ""):
		r.Verdict = drill.NotStarted
		r.Why = append([]string{cmp.Or(r.unsteady(), busy)}, r.Why...)
	default:
		r.Verdict = drill.Deviated
	}
	r.Held = r.Verdict == drill.Held
}

// unsteady says why the day cannot begin, from the first phase.
func (r *Report) unsteady() string {
	for _, p := range r.Phases {
		if p.Service == "failopen" && !p.FaultActive {
			if p.Wrong == 0 && p.Failures[timedOut] > 0 && p.Success < 1 {
				return fmt.Sprintf("this machine is too slow, or too busy: %d of %d requests were not answered in time before anything was cut", p.Failures[timedOut], p.Requests)
			}
			return ""
		}
	}
	return ""
}

// wrong counts the wrong answers of the service with failopen.
func (r *Report) wrong() (n int) {
	for _, p := range r.Phases {
		if p.Service == "failopen" {
			n += p.Wrong
		}
	}
	return n
}

// columns of the table, and one row of it.
var columns = []string{"phase", "service", "requests", "success %", "wrong", "p50 ms", "p99 ms", "max ms", "local %", "remote %", "origin %", "stale %", "failures"}

func (p Phase) row() []string {
	row := []string{
		p.Name, p.Service, fmt.Sprint(p.Requests), fmt.Sprintf("%.2f", floor2(100*p.Success)), fmt.Sprint(p.Wrong),
		fmt.Sprintf("%.1f", p.P50), fmt.Sprintf("%.1f", p.P99), fmt.Sprintf("%.1f", p.Max),
	}
	for _, source := range sourceNames {
		row = append(row, fmt.Sprintf("%.0f", 100*p.Sources[source]))
	}
	var failures []string
	for _, name := range slices.Sorted(maps.Keys(p.Failures)) {
		failures = append(failures, fmt.Sprintf("%s ×%d", name, p.Failures[name]))
	}
	return append(row, strings.Join(failures, ", "))
}

// floor2 rounds down, so that 100.00 means all of them.
func floor2(x float64) float64 { return float64(int64(x*100)) / 100 }

func (r *Report) verdict() string {
	switch r.Verdict {
	case drill.Held:
		return "held: the service with failopen answered every request rightly in every phase, and recovered"
	case drill.NotStarted:
		return "not started: " + r.Why[0]
	}
	return "NOT held: " + strings.Join(r.Why, "; ")
}

// table writes the report for a terminal.
func (r *Report) table(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, strings.Join(columns, "\t"))
	for _, p := range r.Phases {
		fmt.Fprintln(tw, strings.Join(p.row(), "\t"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", r.verdict())
	return err
}

// markdown writes the report for a pull request.
func (r *Report) markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Game day\n\n%s (seed %d)\n\n", r.verdict(), r.Seed)
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(columns)
	line(slices.Repeat([]string{"---"}, len(columns)))
	for _, p := range r.Phases {
		line(p.row())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) json(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// save writes the report into dir as gameday.md and gameday.json.
func (r *Report) save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, write := range map[string]func(io.Writer) error{"gameday.md": r.markdown, "gameday.json": r.json} {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		err = write(f)
		if err := cmp.Or(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}
