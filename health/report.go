package health

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Status is a verdict. Its text is that of the draft "Health Check Response
// Format for HTTP APIs" (draft-inadarei-api-health-check-06).
type Status uint8

// The statuses.
const (
	StatusUnknown Status = iota // not checked yet
	StatusPass
	StatusWarn // something is wrong, and the process serves
	StatusFail
)

var statusNames = [...]string{"unknown", "pass", "warn", "fail"}

func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return statusNames[0]
}

// MarshalText makes a Status its name in JSON.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Report is everything that is known, in the form of the draft (media type
// application/health+json). A dependency or a detector that fails makes it
// warn; only a process that is not live makes it fail.
type Report struct {
	Status   Status             `json:"status"`
	Live     bool               `json:"live"`
	Started  bool               `json:"started"`
	Draining bool               `json:"draining"`
	Ready    bool               `json:"ready"`
	Notes    []string           `json:"notes,omitempty"`
	Checks   map[string][]Check `json:"checks,omitempty"`
}

// Check is one entry of a Report, under "name:measurement".
type Check struct {
	ComponentType string    `json:"componentType"` // dependency, watch, detector
	Status        Status    `json:"status"`
	Soft          bool      `json:"soft,omitempty"`
	Value         float64   `json:"observedValue"`
	Unit          string    `json:"observedUnit"`
	Time          time.Time `json:"time,omitzero"`          // of the last result
	Since         time.Time `json:"affectedSince,omitzero"` // of the status
	Failures      int       `json:"failuresInARow,omitempty"`
	Hung          bool      `json:"hung,omitempty"`   // a check is still inside the dependency
	Output        string    `json:"output,omitempty"` // the error; withheld unless Detail
}

// Report returns everything that is known. It checks nothing.
func (p *Process) Report() Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.state()
	r := Report{
		Status: s.Status, Live: s.Live, Started: s.Started, Draining: s.Draining, Ready: s.Ready,
		Checks: make(map[string][]Check),
	}
	if err := p.FatalErr(); err != nil {
		r.Notes = append(r.Notes, "fatal: "+p.show(err))
	}
	if p.guardNote != "" {
		r.Notes = append(r.Notes, "guard: "+p.guardNote)
	}
	now := time.Now()
	for _, d := range p.dependencies {
		r.Checks[d.Name+":responseTime"] = []Check{{
			ComponentType: "dependency", Status: d.status, Soft: d.Soft,
			Value: float64(d.took) / 1e6, Unit: "ms", Time: d.at, Since: d.since, Failures: d.failures,
			Hung: d.inCheck && now.Sub(d.began) > d.Timeout, Output: p.show(d.verdict.err),
		}}
	}
	for _, d := range p.detectors {
		r.Checks[d.name+":"+d.measures] = []Check{{
			ComponentType: "detector", Status: d.status, Value: d.value, Unit: d.unit,
			Time: d.at, Since: d.since, Failures: d.failures, Output: p.show(d.verdict.err),
		}}
	}
	if watches := p.watches.Load(); watches != nil {
		at := int64(now.Sub(epoch))
		for _, w := range *watches {
			c := Check{ComponentType: "watch", Status: StatusPass, Unit: "s", Time: now}
			if beat := w.beat.Load(); beat != 0 && w.waiting.Load() == 0 {
				c.Value = float64(at-beat) / 1e9
			}
			if w.stalled(at) > 0 {
				c.Status = StatusFail
			}
			r.Checks[w.name+":silence"] = []Check{c}
		}
	}
	return r
}

// show is an error's text for the report, or what takes its place.
func (p *Process) show(err error) string {
	switch {
	case err == nil:
		return ""
	case err == ErrCheckTimeout || p.Detail:
		first, _, _ := strings.Cut(err.Error(), "\n")
		return first
	}
	return "withheld"
}

// status is the report's. The caller holds p.mu.
func (p *Process) status() Status {
	if !p.Live() {
		return StatusFail
	}
	failing := func(v verdict) bool { return v.status == StatusFail }
	if slices.ContainsFunc(p.dependencies, func(d *dependency) bool { return failing(d.verdict) }) ||
		slices.ContainsFunc(p.detectors, func(d *detector) bool { return failing(d.verdict) }) {
		return StatusWarn
	}
	return StatusPass
}

// JSON returns the report as application/health+json.
func (r Report) JSON() []byte {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil { // no type in it can fail
		return []byte(`{"status":"fail"}`)
	}
	return append(b, '\n')
}
