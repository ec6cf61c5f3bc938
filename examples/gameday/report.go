package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/examples/internal/screen"
	"github.com/failopen/failopen/examples/tokenservice/stack"
)

// Report is the outcome of a game day.
//
// Its JSON form is for other programs: members are added and not renamed.
type Report struct {
	Verdict  drill.Verdict `json:"verdict"` // held, deviated or not-started
	Held     bool          `json:"held"`
	Sentence string        `json:"sentence"`
	Why      []string      `json:"why,omitempty"` // why not
	Seed     uint64        `json:"seed"`
	Seconds  float64       `json:"seconds"`
	Phases   []Phase       `json:"phases"`
	Verdicts []*Edge       `json:"verdicts"`
}

// Phase is what the clients of one service saw in one phase.
//
// Times are in seconds since the day began, latencies in milliseconds, and
// shares parts of 1. Both services have a Phase for each phase of the day.
type Phase struct {
	Name         string             `json:"name"`
	Service      string             `json:"service"`
	About        string             `json:"about,omitempty"` // what is cut
	From         float64            `json:"from_s"`          // since the day began
	Until        float64            `json:"until_s"`
	Requests     int                `json:"requests"`
	Right        int                `json:"right"`   // requests that were answered correctly
	Success      float64            `json:"success"` // their share
	Wrong        int                `json:"wrong"`
	WrongKinds   map[string]int     `json:"wrong_kinds,omitempty"`
	Excused      int                `json:"excused,omitempty"` // not answered because this machine stood still; not in Success
	Stood        float64            `json:"machine_stood_s"`   // for how long it did
	P50          float64            `json:"p50_ms"`
	P99          float64            `json:"p99_ms"`
	Max          float64            `json:"max_ms"`
	OriginP99    float64            `json:"origin_p99_ms"` // of the requests that went to the origin
	Sources      map[string]float64 `json:"sources"`       // shares of the right answers
	Failures     map[string]int     `json:"failures,omitempty"`
	Probes       int                `json:"liveness_probes"` // that were answered
	ProbesFailed int                `json:"liveness_failed"` // of these, with something other than 200
	FaultActive  bool               `json:"fault"`
	Timeline     []Slice            `json:"timeline,omitempty"`
}

// Edge is the verdict on one dependency that was declared soft.
type Edge struct {
	Service    string        `json:"service"`
	Dependency string        `json:"dependency"`
	Verdict    drill.Verdict `json:"verdict"`
	Faults     []string      `json:"faults"` // the ways in which it was cut
	Hits       int64         `json:"hits"`   // how often the service was seen to run into them
	Reason     string        `json:"reason,omitempty"`

	unseen string // a fault that was never seen to hit
}

// edges are the verdicts on a service, before anything is known.
func edges(service string, faults []stack.Fault) (all []*Edge) {
	for _, f := range faults {
		if !slices.ContainsFunc(all, func(e *Edge) bool { return e.Dependency == f.Dependency }) {
			all = append(all, &Edge{Service: service, Dependency: f.Dependency, Verdict: drill.Void, Reason: "it was not cut"})
		}
	}
	return all
}

// edge finds the verdict on a dependency; edges has made one for each.
func (r *Report) edge(service, dependency string) *Edge {
	i := slices.IndexFunc(r.Verdicts, func(e *Edge) bool { return e.Service == service && e.Dependency == dependency })
	return r.Verdicts[i]
}

// note takes the outcome of a phase into the verdict.
//
// A verdict only gets worse: one fault that broke the service is enough, and
// one that was never seen to hit leaves the claim unproven.
func (e *Edge) note(f stack.Fault, p Phase, hits int64) {
	bad := int64(p.Requests - p.Excused - p.Right)
	// A request that failed while the dependency was cut has hit it, too.
	hits = max(hits, bad)
	e.Faults, e.Hits = append(e.Faults, f.Name), e.Hits+hits
	if hits == 0 {
		e.unseen = cmp.Or(e.unseen, f.Name)
	}
	switch {
	case e.Verdict == drill.Deviated:
	case bad > 0 || p.ProbesFailed > 0:
		e.Verdict, e.Reason = drill.Deviated, fmt.Sprintf("%s: %d of %d requests were not answered correctly, and %d of %d liveness probes failed",
			f.Name, bad, p.Requests, p.ProbesFailed, p.Probes)
	case e.unseen != "":
		e.Verdict, e.Reason = drill.Void, e.unseen+": the fault was never seen to hit, so nothing is proven"
	default:
		e.Verdict, e.Reason = drill.Held, ""
	}
}

// proofService is the name of the service with failopen in its manifest,
// examples/tokenservice/depgraph.yaml.
const proofService = "token-service"

// prove appends the verdicts on the service with failopen to a proof file. A day
// that did not start proves nothing, and is not recorded.
//
// The naive service has no manifest, and so nothing to prove.
func (r *Report) prove(file string, rows *rows) error {
	if r.Verdict == drill.NotStarted {
		rows.Keep("nothing is recorded in " + file + ": the day did not start")
		return nil
	}
	for _, e := range r.Verdicts {
		if e.Service != "failopen" {
			continue
		}
		// A drill's report makes the proof: it knows what one needs.
		record := drill.Report{
			Service: proofService, Dependency: e.Dependency, Verdict: e.Verdict, Began: time.Now().UTC(),
			Fault: drill.FaultRecord{Hits: e.Hits, Rules: e.Faults},
		}
		proof, err := record.Proof()
		if err == nil {
			proof, err = depgraph.AppendProof(file, proof)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		rows.Keep(fmt.Sprintf("recorded: %s without %s: %s, as %s", proof.Service, proof.Dependency, proof.Verdict, proof.ID))
	}
	return nil
}

// summarize makes the numbers of a phase from its samples.
//
// It is called while the phase goes on as well, some times a second, to show
// it: the cost is that of sorting some thousand durations.
func (d *day) summarize(ph phase, service string, from time.Time, samples []sample, alive probes) Phase {
	now := time.Now()
	p := Phase{
		Name: ph.name, Service: service, Requests: len(samples), FaultActive: ph.fault != nil,
		From: round(from.Sub(d.began).Seconds(), 2), Until: round(now.Sub(d.began).Seconds(), 2),
		Stood:      round(d.stalls.Within(from, now).Seconds(), 3),
		WrongKinds: make(map[string]int), Sources: make(map[string]float64), Failures: make(map[string]int),
		Probes: alive.all, ProbesFailed: alive.failed,
	}
	if ph.fault != nil {
		p.About = ph.fault.About
	}
	var all, origin []time.Duration
	for _, s := range samples {
		if s.excused {
			p.Excused++
			continue
		}
		all = append(all, s.took)
		switch s.verdict {
		case right:
			p.Right++
			p.Sources[s.source]++
			if s.source == "origin" {
				origin = append(origin, s.took)
			}
		case wrong:
			p.Wrong++
			p.WrongKinds[s.failure]++
		case failed:
			p.Failures[s.failure]++
		}
	}
	for _, source := range []string{"local", "remote", "origin", "stale"} {
		p.Sources[source] = round(p.Sources[source]/float64(max(p.Right, 1)), 4)
	}
	if len(all) > 0 {
		p.Success = float64(p.Right) / float64(len(all))
	}
	p.P50, p.P99, p.Max = percentile(all, 50), percentile(all, 99), percentile(all, 100)
	p.OriginP99 = percentile(origin, 99)
	p.Timeline = d.slices(from, now, samples)
	return p
}

// slicesPerPhase is how finely the picture shows a phase.
const slicesPerPhase = 5

// slices cuts a phase into a few stretches of time, by when requests began.
//
// By when they began, since a request that hangs belongs to the moment that
// made it hang.
func (d *day) slices(from, until time.Time, samples []sample) []Slice {
	length := max(min(until.Sub(from), d.duration), 1) // after that there is nothing but waiting
	all := make([]Slice, slicesPerPhase)
	for i := range all {
		at := from.Add(length * time.Duration(i) / slicesPerPhase)
		all[i].At = round(at.Sub(d.began).Seconds(), 2)
	}
	for _, s := range samples {
		n := int(int64(s.began.Sub(from)) * slicesPerPhase / int64(length))
		slice := &all[min(max(n, 0), slicesPerPhase-1)]
		switch {
		case s.excused:
			continue
		case s.verdict == right:
			slice.OK++
		case s.verdict == wrong:
			slice.Wrong++
		case s.failure == timedOut:
			slice.Late++
		default:
			slice.Failed++
		}
		slice.Asked++
	}
	return all
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

// round is to so many digits after the point, for numbers that are not
// negative.
func round(x float64, digits int) float64 {
	scale := 1.0
	for range digits {
		scale *= 10
	}
	return float64(int64(x*scale+0.5)) / scale
}

// judge fills in the verdict: held if every request of every phase was answered
// correctly, no liveness probe failed, each fault was seen to hit, and the shared
// tier was in use again at the end. A machine that cannot hold the steady state,
// or stands still too often, has not started.
//
// The three verdicts, and what leads to each: all is well and every fault was
// seen (held); something was wrong that no slow machine explains (deviated); or
// nothing was wrong but time, or nothing was seen at all (not started). The
// last one is no excuse: it is exit code 3, and CI does not take it for a pass.
func (r *Report) judge() {
	defer func() {
		r.Held = r.Verdict == drill.Held
		r.Sentence = r.sentence()
	}()
	var last *Phase
	// onlyTime: all that went wrong so far could be this machine's.
	busy, onlyTime := "", true
	for i := range r.Phases {
		p := &r.Phases[i]
		if p.Service != "failopen" {
			continue
		}
		last = p
		busy = cmp.Or(busy, p.busy())
		if p.Wrong > 0 || p.ProbesFailed > 0 || len(p.Failures) > 1 || len(p.Failures) == 1 && p.Failures[timedOut] == 0 {
			onlyTime = false
		}
		switch {
		case p.Requests == 0:
			r.Why = append(r.Why, p.Name+": no request was made")
		case p.Success < 1 || p.Wrong > 0:
			r.Why = append(r.Why, fmt.Sprintf("%s: %.2f%% were answered correctly, and %d wrongly", p.Name, floor2(100*p.Success), p.Wrong))
		case p.ProbesFailed > 0:
			r.Why = append(r.Why, fmt.Sprintf("%s: %d of %d liveness probes failed", p.Name, p.ProbesFailed, p.Probes))
		}
	}
	if last == nil || last.FaultActive || last.Sources["remote"] == 0 {
		r.Why = append(r.Why, "the shared tier was not in use again at the end")
	}
	unseen := ""
	for _, e := range r.Verdicts {
		if e.Service == "failopen" && e.Verdict == drill.Void {
			unseen = cmp.Or(unseen, e.Dependency+": "+e.Reason)
		}
	}
	switch tooSlow := cmp.Or(r.unsteady(), busy); {
	case len(r.Why) == 0 && unseen == "":
		r.Verdict = drill.Held
	case len(r.Why) > 0 && (!onlyTime || tooSlow == ""):
		r.Verdict = drill.Deviated
	default:
		r.Verdict, r.Why = drill.NotStarted, append([]string{cmp.Or(tooSlow, unseen)}, r.Why...)
	}
}

// busy says that the machine stood still for too much of a phase to judge what
// was late in it.
func (p Phase) busy() string {
	if p.Excused*20 > p.Requests {
		return fmt.Sprintf("this machine is too slow, or too busy, to tell: in the phase %s it stood still for %d of %d requests", p.Name, p.Excused, p.Requests)
	}
	if length := p.Until - p.From; p.Stood*10 > length && p.Failures[timedOut] > 0 {
		return fmt.Sprintf("this machine is too slow, or too busy, to tell: it stood still for %.1f of %.1f s in the phase %s", p.Stood, length, p.Name)
	}
	return ""
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

// floor2 rounds down, so that 100.00 means all of them.
func floor2(x float64) float64 { return float64(int64(x*100)) / 100 }

// total sums up what the clients of a service saw: in all, and of that, what was
// not right while something was cut.
func (r *Report) total(service string) (right, asked, badInFaults, askedInFaults int) {
	for _, p := range r.Phases {
		if p.Service != service {
			continue
		}
		judged := p.Requests - p.Excused
		right, asked = right+p.Right, asked+judged
		if p.FaultActive {
			badInFaults, askedInFaults = badInFaults+judged-p.Right, askedInFaults+judged
		}
	}
	return right, asked, badInFaults, askedInFaults
}

// sentence is the verdict, in one.
func (r *Report) sentence() string {
	switch r.Verdict {
	case drill.Held:
		right, asked, _, _ := r.total("failopen")
		_, _, naiveBad, naiveAsked := r.total("naive")
		return fmt.Sprintf("held: with failopen, %s of %s requests were answered correctly; without it, %s of %s failed during the outages.",
			screen.Count(right), screen.Count(asked), screen.Count(naiveBad), screen.Count(naiveAsked))
	case drill.NotStarted:
		return "not started: " + r.Why[0] + "."
	}
	return "deviated: " + strings.Join(r.Why, "; ") + "."
}

// json writes the report, indented, as a whole.
func (r *Report) json(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}
