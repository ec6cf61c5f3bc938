package presets_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/presets"
	"github.com/failopen/failopen/depgraph/drill/reference"
	"github.com/failopen/failopen/depgraph/internal/rounds"
)

// TestPresets runs every outage at its full length, in virtual time, through
// the real clients: the service that fails open holds, and the one from before
// the outage does not.
func TestPresets(t *testing.T) {
	for _, p := range presets.All() {
		if rounds.Short() {
			p = p.Scaled(time.Duration(rounds.Of(100)) * time.Second) // the detector looks for something else than hours would find
		}
		for _, naive := range []bool{false, true} {
			name := p.Name + map[bool]string{false: "/failopen", true: "/naive"}[naive]
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					r := run(t, p, naive)
					want := map[bool]drill.Verdict{false: drill.Held, true: drill.Deviated}[naive]
					if r.Verdict != want || !r.FaultObserved {
						t.Errorf("%s; want %s\n%s", r.Sentence(), want, r.Markdown())
					}
					if watched := r.Phases[1].Until - r.Phases[1].From; watched < p.Watch.Seconds() || watched > p.Watch.Seconds()+5 {
						t.Errorf("watched for %.0f s; the outage took %v", watched, p.Watch)
					}
					t.Log(r.Sentence())
				})
			})
		}
	}
}

func run(t *testing.T, p presets.Preset, naive bool) *drill.Report {
	t.Helper()
	svc, err := reference.New(t.Context(), reference.Options{Naive: naive, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	r, err := drill.Run(t.Context(), svc.Drill(p, time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	if err := svc.Close(context.Background()); err != nil {
		t.Errorf("close: %v", err)
	}
	return r
}

func TestParse_refuses(t *testing.T) {
	const good = `{"version":1,"name":"a-b","title":"t","facts":["f"],"sources":[],"dependency":"d","watch":"1h","recovery":"30s","rules":[{"net":"reset"}]}`
	if p, err := presets.Parse([]byte(good)); err != nil || p.Watch != time.Hour || len(p.Rules) != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	for want, swap := range map[string][2]string{
		"version is 2":                          {`"version":1`, `"version":2`},
		"lower-case words":                      {`"a-b"`, `"A b"`},
		"title is missing":                      {`"title":"t",`, ``},
		"facts are missing":                     {`"facts":["f"],`, ``},
		"dependency is missing":                 {`"dependency":"d",`, ``},
		`watch is "soon"`:                       {`"1h"`, `"soon"`},
		`watch is "25h"`:                        {`"1h"`, `"25h"`},
		`recovery is "-1s"`:                     {`"30s"`, `"-1s"`},
		"rules are missing":                     {`[{"net":"reset"}]`, `[]`},
		"unknown kind":                          {`"reset"`, `"rest"`},
		"it is off":                             {`{"net":"reset"}`, `{"net":"reset","probability":0}`},
		"not before the end":                    {`{"net":"reset"}`, `{"net":"reset","from":"2h"}`},
		`line 1: json: unknown field "watches"`: {`"watch"`, `"watches"`},
		"text after":                            {`"reset"}]}`, `"reset"}]} x`},
	} {
		if _, err := presets.Parse([]byte(strings.Replace(good, swap[0], swap[1], 1))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want an error with %q", err, want)
		}
	}
	if _, err := presets.ByName("iam-revokd"); err == nil || !strings.Contains(err.Error(), "iam-revoked, sessions-revoked") {
		t.Errorf("%v; want the names that there are", err)
	}
}

func TestScaled(t *testing.T) {
	p, err := presets.ByName("2021-12-07-dynamodb")
	if err != nil {
		t.Fatal(err)
	}
	s := p.Scaled(4 * time.Second)
	if s.Watch != 4*time.Second || s.Rules[1].From < 90*time.Millisecond || s.Rules[1].From > 100*time.Millisecond || s.Rules[2].Latency.Base != 4*time.Second {
		t.Errorf("%+v", s)
	}
	if p.Rules[1].From != 10*time.Minute || p.Scaled(24*time.Hour).Watch != p.Watch {
		t.Error("the preset itself has changed")
	}
	for _, r := range s.Rules {
		if err := r.Validate(); err != nil {
			t.Error(err)
		}
	}
}
