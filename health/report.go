package health

import (
	"encoding/json"
	"fmt"
	"math"
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

// UnmarshalText reads a name that MarshalText writes; any other is an error.
func (s *Status) UnmarshalText(text []byte) error {
	for i, name := range statusNames {
		if string(text) == name {
			*s = Status(i)
			return nil
		}
	}
	return fmt.Errorf("health: %q is no status", text)
}

// Report is everything that is known, in the form of the draft (media type
// application/health+json). A dependency or a detector that fails, that has
// not been checked yet, that fails often, or whose last result is too old,
// makes it warn, as do a watch that waits for longer than its limit, and checks
// while Run does not run; only a process that is not live makes it fail.
type Report struct {
	Status   Status   `json:"status"`          // pass, warn or fail
	Live     bool     `json:"live"`            // the answer of /livez
	Started  bool     `json:"started"`         // Started was called
	Draining bool     `json:"draining"`        // Drain was called
	Ready    bool     `json:"ready"`           // the answer of /readyz
	Out      bool     `json:"out,omitempty"`   // the Guard has let the process leave the traffic
	Notes    []string `json:"notes,omitempty"` // what a reader should know, in words

	// What Declare found, by name, sorted.
	Unchecked  []string `json:"declaredNotChecked,omitempty"`
	Undeclared []string `json:"checkedNotDeclared,omitempty"`
	Disputed   []string `json:"softInOnePlaceOnly,omitempty"`

	// Checks by "name:measurement", as the draft has it; each has one.
	Checks map[string][]Check `json:"checks,omitempty"`
}

// Check is one entry of a Report.
type Check struct {
	Name          string    `json:"-"`                        // key of the check in JSON
	ComponentType string    `json:"componentType"`            // dependency, watch, detector
	Status        Status    `json:"status,omitzero"`          // the draft has no word for unknown
	Soft          bool      `json:"soft,omitempty"`           // as declared
	Value         float64   `json:"observedValue"`            // what was measured
	Unit          string    `json:"observedUnit"`             // of Value
	Time          time.Time `json:"time,omitzero"`            // of the last result
	Since         time.Time `json:"affectedSince,omitzero"`   // of the status
	Failures      int       `json:"failuresInARow,omitempty"` // without a success since
	Passed        int64     `json:"passed,omitempty"`         // results, since it was registered
	Failed        int64     `json:"failed,omitempty"`         // results, since it was registered
	Hung          bool      `json:"hung,omitempty"`           // a goroutine is inside the check, for longer than its time-out
	Stale         bool      `json:"stale,omitempty"`          // the last result is older than three periods
	FailureRatio  float64   `json:"failureRatio,omitempty"`   // of the last 20 results, once there are 10
	Waiters       int64     `json:"waiters,omitempty"`        // of a watch: calls of Wait in progress
	Waited        float64   `json:"waitedSeconds,omitempty"`  // of a watch: for how long there have been some
	Output        string    `json:"output,omitempty"`         // the error; withheld unless Detail
}

// Report returns everything that is known. It checks nothing.
func (p *Process) Report() Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, s := time.Now(), p.state()
	r := Report{
		Status: s.Status, Live: s.Live, Started: s.Started, Draining: s.Draining, Ready: s.Ready, Out: p.out.Load(),
		Notes: p.notes(), Checks: make(map[string][]Check),
	}
	r.Unchecked, r.Undeclared, r.Disputed = p.drift()
	for _, c := range p.checks {
		r.Checks[c.name+":"+c.measures] = []Check{c.report(now)}
	}
	if ws := p.watches.Load(); ws != nil {
		at := p.clock(ws.epoch)
		for _, w := range ws.all {
			r.Checks[w.name+":silence"] = []Check{w.report(now, at)}
		}
	}
	return r
}

// notes are what the report says in words. The caller holds p.mu.
func (p *Process) notes() (notes []string) {
	if f := p.fatal.Load(); f != nil {
		notes = append(notes, "fatal: "+p.show(f.outcome()))
	}
	if p.fleet.note != "" {
		notes = append(notes, "guard: "+p.fleet.note)
	}
	if p.running == nil && len(p.checks) > 0 {
		notes = append(notes, "Run does not run: nothing is checked")
	}
	return notes
}

// report is c's entry. The caller holds Process.mu.
func (c *check) report(now time.Time) Check {
	r := Check{
		Name: c.name, ComponentType: c.kind, Status: c.status, Soft: c.soft,
		Value: c.value, Unit: c.unit, Time: c.at, Since: c.since, Failures: c.failures,
		Passed: c.passed, Failed: c.failed, Hung: c.hung(now), Stale: c.stale(now), Output: c.p.show(c.last),
	}
	r.FailureRatio = c.ratio()
	switch {
	// an old verdict says nothing, whatever it was
	case r.Stale:
		r.Status = StatusUnknown
	case r.Status == StatusPass && c.flaky():
		r.Status = StatusWarn
	}
	if !isNumber(r.Value) { // JSON has no infinity
		r.Value = 0
	}
	return r
}

// isNumber reports whether v can be written as JSON.
func isNumber(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// report is what the watch says of itself at that time, by both clocks: now
// dates the report, at measures. A stall fails, a long wait warns.
func (w *Watch) report(now time.Time, at int64) Check {
	c := Check{
		Name: w.name, ComponentType: kindWatch, Status: StatusPass,
		Value: w.silence(at).Seconds(), Unit: "s", Time: now,
	}
	waiters, waited := w.waited(at)
	c.Waiters, c.Waited = waiters, waited.Seconds()
	switch {
	case w.stalled(at) > 0:
		c.Status = StatusFail
	case w.waitsLong(at):
		c.Status = StatusWarn
	case w.missing(at):
		c.Status, c.Output = StatusWarn, "no Beat and no Idle yet: does it run?"
	}
	return c
}

// show is what the report says of a result.
func (p *Process) show(o outcome) string {
	if p.Detail {
		return o.detail
	}
	return o.shown
}

// status is the report's. The caller holds p.mu.
// It never fails because of a dependency: fail is for what Live says, and the rest warns.
func (p *Process) status(now time.Time) Status {
	if !p.Live() {
		return StatusFail
	}
	if p.running == nil && len(p.checks) > 0 {
		return StatusWarn // nobody looks
	}
	for _, c := range p.checks {
		if c.status != StatusPass || c.stale(now) || c.flaky() { // unknown is not pass
			return StatusWarn
		}
	}
	if ws := p.watches.Load(); ws != nil {
		at := p.clock(ws.epoch)
		for _, w := range ws.all {
			if w.waitsLong(at) || w.missing(at) {
				return StatusWarn
			}
		}
	}
	return StatusPass
}

// UnmarshalJSON reads what [Report.JSON] writes.
func (r *Report) UnmarshalJSON(data []byte) error {
	type plain Report
	if err := json.Unmarshal(data, (*plain)(r)); err != nil {
		return err
	}
	for key, list := range r.Checks {
		for i := range list {
			// the last colon: names may have some, measurements have none
			list[i].Name = key[:max(strings.LastIndexByte(key, ':'), 0)]
		}
	}
	return nil
}

// JSON returns the report as application/health+json.
func (r Report) JSON() []byte {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil { // a year beyond 9999
		return []byte(`{"status":"warn","notes":["the report cannot be written as JSON"]}` + "\n")
	}
	return append(b, '\n')
}
