package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/depgraph/drill"
)

// TestGameday plays a very short day. What must hold for the service with
// package cache is judged as in the program; of the naive one it is enough
// that it suffers where the outage was, or the day would show nothing.
func TestGameday(t *testing.T) {
	report, err := gameday(t.Context(), options{seed: 7, duration: 400 * time.Millisecond, timeout: 2 * time.Second}, newProgress(t.Output()))
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
	if len(report.Phases) != 18 || suffered < 3 {
		t.Errorf("%d phases, and the naive service suffered in %d; want 18, and at least 3", len(report.Phases), suffered)
	}

	dir := t.TempDir()
	if err := report.save(dir); err != nil {
		t.Fatal(err)
	}
	var again Report
	data, err := os.ReadFile(filepath.Join(dir, "gameday.json"))
	if err == nil {
		err = json.Unmarshal(data, &again)
	}
	if err != nil || len(again.Phases) != 18 {
		t.Errorf("gameday.json: %d phases, %v", len(again.Phases), err)
	}
	if md, err := os.ReadFile(filepath.Join(dir, "gameday.md")); err != nil || strings.Count(string(md), "\n|") != 20 {
		t.Errorf("gameday.md: %v\n%s", err, md)
	}
}

func TestReport_judge(t *testing.T) {
	good := func() *Report {
		return &Report{Phases: []Phase{
			{Name: "steady", Service: "failopen", Requests: 10, Success: 1},
			{Name: "steady", Service: "naive", Requests: 10, Success: 0.1, Wrong: 5},
			{Name: "restored", Service: "failopen", Requests: 10, Success: 1, Sources: map[string]float64{"remote": 0.1}},
		}}
	}
	for name, breakIt := range map[string]func(*Report){
		"":              func(*Report) {},
		"a failure":     func(r *Report) { r.Phases[0].Success = 0.9999 },
		"a wrong one":   func(r *Report) { r.Phases[2].Wrong = 1 },
		"no traffic":    func(r *Report) { r.Phases[0].Requests = 0 },
		"no recovery":   func(r *Report) { r.Phases[2].Sources["remote"] = 0 },
		"ends in fault": func(r *Report) { r.Phases[2].FaultActive = true },
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
	} {
		r := good()
		slow(r)
		if r.judge(); r.Verdict != drill.NotStarted || !strings.HasPrefix(r.verdict(), "not started: this machine is too slow") {
			t.Errorf("%s: %s", name, r.verdict())
		}
		r.Why, r.Phases[2].Wrong = nil, 1
		if r.judge(); r.Verdict != drill.Deviated {
			t.Errorf("%s, and a wrong answer: %s", name, r.verdict())
		}
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
	} {
		var stdout, stderr bytes.Buffer
		if code := command(c.args, &stdout, &stderr); code != c.code || !strings.Contains(stderr.String(), c.says) {
			t.Errorf("gameday %v: exit %d, %q; want %d and %q", c.args, code, stderr.String(), c.code, c.says)
		}
	}
}
