package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/examples/internal/screen"
)

// TestGameday plays a very short day. What must hold for the service with
// failopen is judged as in the program; of the naive one it is enough that it
// suffers where the outage was, or the day would show nothing.
func TestGameday(t *testing.T) {
	var printed bytes.Buffer
	rows := &rows{Screen: &screen.Screen{Writer: &printed, Terminal: true}}
	report, err := gameday(t.Context(), options{seed: 7, duration: 400 * time.Millisecond, timeout: 2 * time.Second}, rows)
	if err != nil {
		t.Fatal(err)
	}
	if report.Verdict == drill.NotStarted {
		t.Skipf("nothing can be learned here: %s", report.Why[0])
	}
	if !report.Held {
		t.Errorf("did not hold: %q", report.Why)
	}
	suffered := 0
	for _, p := range report.Phases {
		if p.Service == "naive" && p.FaultActive && p.Success < 1 {
			suffered++
		}
		if sum := p.Sources["local"] + p.Sources["remote"] + p.Sources["origin"] + p.Sources["stale"]; p.Service == "failopen" && (sum < 0.999 || sum > 1.001) {
			t.Errorf("%s: the shares of the sources add up to %v", p.Name, sum)
		}
	}
	if len(report.Phases) != 22 || suffered < 3 {
		t.Errorf("%d phases, and the naive service suffered in %d; want 22, and at least 3", len(report.Phases), suffered)
	}
	for _, e := range report.Verdicts {
		want := map[string]drill.Verdict{"failopen": drill.Held, "naive": drill.Deviated}[e.Service]
		if e.Verdict != want || e.Hits == 0 || len(e.Faults) == 0 {
			t.Errorf("%s without %s: %+v", e.Service, e.Dependency, e)
		}
	}
	for line := range strings.Lines(printed.String()) {
		line = controls.ReplaceAllString(line, "")
		if screen.Width(line) > lineCells+1 || strings.Contains(line, "\x1b") {
			t.Errorf("not a line of %d plain cells: %q", lineCells, line)
		}
	}
	t.Run("save", func(t *testing.T) { saved(t, report, rows) })
	t.Run("proof", func(t *testing.T) { proves(t, report, rows) })
}

// controls are the codes that draw a line again.
var controls = regexp.MustCompile("\x1b\\[[0-9]*[AKJ]")

func TestClip(t *testing.T) {
	for cells, want := range map[int]string{30: "500 ×12, liveness ×3, …", 31: "500 ×12, liveness ×3, broken ×1", 25: "500 ×12, liveness ×3, …", 20: "500 ×12, …", 5: "…"} {
		if got := clip("500 ×12, liveness ×3, broken ×1", cells); got != want {
			t.Errorf("%d cells: %q, want %q", cells, got, want)
		}
	}
}

// saved checks the four files.
func saved(t *testing.T, report *Report, rows *rows) {
	dir := t.TempDir()
	if err := report.save(dir, rows); err != nil {
		t.Fatal(err)
	}
	text := map[string]string{}
	for _, ending := range []string{"json", "md", "html", "svg"} {
		data, err := os.ReadFile(filepath.Join(dir, "gameday."+ending))
		if err != nil {
			t.Fatal(err)
		}
		text[ending] = string(data)
	}
	var again Report
	if err := json.Unmarshal([]byte(text["json"]), &again); err != nil || len(again.Phases) != len(report.Phases) || len(again.Verdicts) != 4 {
		t.Errorf("gameday.json: %d phases, %d verdicts, %v", len(again.Phases), len(again.Verdicts), err)
	}
	if n := strings.Count(text["md"], "\n|"); n != len(report.Phases)+2 {
		t.Errorf("gameday.md has %d rows:\n%s", n, text["md"])
	}
	if outside := regexp.MustCompile(`(src|href)=|url\(|@import`).FindString(text["html"]); outside != "" || !strings.Contains(text["html"], "<svg") {
		t.Errorf("gameday.html is not self-contained: %q", outside)
	}
	if err := wellFormed(text["svg"]); err != nil {
		t.Errorf("gameday.svg: %v", err)
	}
}

// proves requires the proofs of the day for the manifest of the example.
func proves(t *testing.T, report *Report, rows *rows) {
	file := filepath.Join(t.TempDir(), depgraph.ProofFile)
	if err := report.prove(file, rows); err != nil {
		t.Fatal(err)
	}
	proofs, err := depgraph.LoadProofs(file)
	if err != nil {
		t.Fatal(err)
	}
	const manifest = "../tokenservice/depgraph.yaml"
	text, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	services, err := depgraph.ParseManifest(manifest, text)
	if err != nil {
		t.Fatal(err)
	}
	g, err := depgraph.Compile(services, depgraph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	status := g.ProofStatus(proofs, time.Now(), 90*24*time.Hour)
	for edge, s := range status {
		if s.State != depgraph.Proven {
			t.Errorf("%s on %s is %s: %s", edge.From, edge.To, s.State, s.Why)
		}
	}
	if len(status) != 2 {
		t.Errorf("the manifest has %d soft edges; want 2", len(status))
	}
}

func TestReport_judge(t *testing.T) {
	good := func() *Report {
		return &Report{
			Phases: []Phase{
				{Name: "steady", Service: "failopen", Requests: 10, Right: 10, Success: 1, Until: 1},
				{Name: "steady", Service: "naive", Requests: 10, Right: 1, Success: 0.1, Wrong: 5},
				{Name: "restored", Service: "failopen", Requests: 10, Right: 10, Success: 1, From: 1, Until: 2, Sources: map[string]float64{"remote": 0.1}},
			},
			Verdicts: []*Edge{{Service: "failopen", Dependency: "x"}, {Service: "naive", Dependency: "x", Verdict: drill.Deviated}},
		}
	}
	for name, breakIt := range map[string]func(*Report){
		"":              func(*Report) {},
		"a failure":     func(r *Report) { r.Phases[0].Success, r.Phases[0].Failures = 0.9999, map[string]int{"500": 1} },
		"a wrong one":   func(r *Report) { r.Phases[2].Wrong = 1 },
		"no traffic":    func(r *Report) { r.Phases[0].Requests = 0 },
		"no recovery":   func(r *Report) { r.Phases[2].Sources["remote"] = 0 },
		"ends in fault": func(r *Report) { r.Phases[2].FaultActive = true },
		"not alive":     func(r *Report) { r.Phases[2].Probes, r.Phases[2].ProbesFailed = 5, 1 },
		"late, on a machine that is idle": func(r *Report) {
			r.Phases[2].Success, r.Phases[2].Failures = 0.9, map[string]int{timedOut: 1}
		},
	} {
		r := good()
		breakIt(r)
		if r.judge(); r.Held != (name == "") || !r.Held && r.Verdict != drill.Deviated {
			t.Errorf("%q: held %t, %s: %v", name, r.Held, r.Verdict, r.Why)
		}
	}
	// What a machine that is too busy does is no verdict on the service.
	for name, slow := range map[string]func(*Report){
		"not steady": func(r *Report) {
			r.Phases[0].Success, r.Phases[0].Failures = 0.5, map[string]int{timedOut: 5}
		},
		"stands still": func(r *Report) {
			r.Phases[2].Success, r.Phases[2].Excused = 0.9, 2
		},
		"stands still now and then": func(r *Report) {
			r.Phases[2].Success, r.Phases[2].Failures, r.Phases[2].Stood = 0.9, map[string]int{timedOut: 1}, 0.2
		},
	} {
		r := good()
		slow(r)
		if r.judge(); r.Verdict != drill.NotStarted || !strings.HasPrefix(r.Sentence, "not started: this machine is too slow") {
			t.Errorf("%s: %s", name, r.Sentence)
		}
		r.Why, r.Phases[2].Wrong = nil, 1
		if r.judge(); r.Verdict != drill.Deviated {
			t.Errorf("%s, and a wrong answer: %s", name, r.Sentence)
		}
	}
	r := good()
	r.Verdicts[0].Verdict = drill.Void
	if r.judge(); r.Verdict != drill.NotStarted {
		t.Errorf("a fault that was never seen to hit: %s", r.Sentence)
	}
}

func TestCommand_usage(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-help"}, 0, "Exit code 0"},
		{[]string{"-bogus"}, 2, "-bogus"},
		{[]string{"steady"}, 2, "unexpected argument"},
		{[]string{"-replay", "2020-11-25"}, 2, "2021-12-07"},
		{[]string{"-replay", "2021-12-07", "-short"}, 2, "-pace only"},
		{[]string{"-pace", "-1s"}, 2, "want 0 or more"},
	} {
		var stdout, stderr bytes.Buffer
		if code := command(c.args, &stdout, &stderr); code != c.code || !strings.Contains(stderr.String(), c.says) {
			t.Errorf("gameday %v: exit %d, %q; want %d and %q", c.args, code, stderr.String(), c.code, c.says)
		}
	}
}
