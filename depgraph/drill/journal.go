package drill

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// JournalVersion is that of the JSON form. A reader refuses a later one.
const JournalVersion = 1

// A Report is the journal of one drill: everything that was planned and seen.
// Its JSON form is versioned; members are only ever added.
// Text in it comes from users and services and is raw: [Report.Markdown],
// [Report.HTML] and [Report.SVG] escape it for where they put it.
type Report struct {
	Version    int       `json:"version"`              // JournalVersion when it was written
	Title      string    `json:"title"`                // Experiment.Title
	Service    string    `json:"service,omitempty"`    // the edge that was tried
	Dependency string    `json:"dependency,omitempty"` // its other end
	Began      time.Time `json:"began"`                // UTC; times of the journal are seconds since then
	Seconds    float64   `json:"seconds"`              // how long it took

	Verdict Verdict  `json:"verdict"`           // by its name in JSON
	Reasons []string `json:"reasons,omitempty"` // why, in words; the first decided

	Phases        []Phase            `json:"phases"`            // those that were reached, in order
	Invariants    []InvariantResult  `json:"invariants"`        // those of every drill, then the experiment's own
	FaultObserved bool               `json:"fault_observed"`    // Fault.Hits is not zero
	Fault         FaultRecord        `json:"fault"`             // as planned and as seen
	Timeline      []Second           `json:"timeline"`          // seconds with at least one request
	Budget        float64            `json:"budget_ms"`         // of a request, in milliseconds
	Least         float64            `json:"least_success"`     // part of the requests that had to be served
	Seed          uint64             `json:"seed,omitempty"`    // Experiment.Seed
	Environment   Environment        `json:"environment"`       // where it ran
	Numbers       map[string]float64 `json:"numbers,omitempty"` // whatever a program adds
}

// Phase is what happened to the requests of one phase.
type Phase struct {
	Name    string         `json:"name"`              // steady, watch or recovery
	From    float64        `json:"from_s"`            // seconds since the drill began
	Until   float64        `json:"until_s"`           // seconds since the drill began
	Asked   int            `json:"requests"`          // how many were made
	Success float64        `json:"success"`           // the part that was answered in time, and not wrong
	Wrong   int            `json:"wrong"`             // answered with something that is not true
	Slow    int            `json:"slow"`              // not answered within the budget
	Failed  int            `json:"failed"`            // answered with an error
	Excused int            `json:"excused"`           // too late because the machine stood still
	P50     float64        `json:"p50_ms"`            // median of the times, in milliseconds
	P99     float64        `json:"p99_ms"`            // 99th percentile (nearest rank)
	Max     float64        `json:"max_ms"`            // the longest
	Sources map[string]int `json:"sources,omitempty"` // answers by Answer.Source
	Errors  map[string]int `json:"errors,omitempty"`  // by text, the ten most frequent
}

// InvariantResult says whether one held.
type InvariantResult struct {
	Name   string `json:"name"`             // Invariant.Name
	Held   bool   `json:"held"`             // it held all the time
	Detail string `json:"detail,omitempty"` // what broke it first
}

// FaultRecord is the fault as it was planned and as it was seen. Times are
// seconds since the drill began; -1: never.
// From to Until is what was planned and First to Last what was seen: where the first
// hit is long after From, something hid the fault until then, a cache for example.
type FaultRecord struct {
	Rules        any     `json:"rules,omitempty"` // Experiment.Rules
	From         float64 `json:"from_s"`          // when it was injected
	Until        float64 `json:"until_s"`         // when it was reverted
	Hits         int64   `json:"hits"`            // calls that were seen to run into it
	First        float64 `json:"first_hit_s"`     // the first of them
	Last         float64 `json:"last_hit_s"`      // the last of them
	FirstSuccess float64 `json:"first_success_s"` // after the fault
	Recovered    float64 `json:"recovered_s"`     // as it was before
}

// Environment is where the drill ran.
type Environment struct {
	Go   string `json:"go"`   // runtime.Version
	OS   string `json:"os"`   // GOOS
	Arch string `json:"arch"` // GOARCH
	CPUs int    `json:"cpus"` // runtime.NumCPU
}

// add counts something that has no member of its own.
// It is a sum: the first call for a name makes it.
func (r *Report) add(name string, n float64) {
	if r.Numbers == nil {
		r.Numbers = map[string]float64{}
	}
	r.Numbers[name] += n
}

// JSON returns the journal.
// It is indented and ends with a line feed, for people and for diffs. The error is
// that of Rules which cannot be written; Run refuses those.
func (r *Report) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("drill: the journal cannot be written as JSON: %w", err)
	}
	return append(b, '\n'), nil
}

// ParseReport reads a journal.
// It takes what JSON has written, of this version or an earlier one, and members
// that it does not know, since later versions may add some. It refuses text after
// the value, a version it cannot know, and a verdict that is missing or that the
// counts in the same journal deny: these reports become proofs.
func ParseReport(data []byte) (*Report, error) {
	var read struct {
		Report
		Verdict *Verdict `json:"verdict"` // no verdict is not held, the zero one
	}
	r := &read.Report
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&read); err != nil {
		return nil, fmt.Errorf("drill: the journal: %w", err)
	}
	if rest := bytes.TrimSpace(data[dec.InputOffset():]); len(rest) > 0 {
		return nil, fmt.Errorf("drill: the journal: there is text after the JSON value")
	}
	if r.Version < 1 || r.Version > JournalVersion {
		return nil, fmt.Errorf("drill: the journal has version %d; this program reads up to %d", r.Version, JournalVersion)
	}
	if read.Verdict == nil {
		return nil, errors.New("drill: the journal has no verdict; want one of held, deviated, aborted, not-started, void")
	}
	if r.Verdict = *read.Verdict; r.Verdict == Held && (!r.FaultObserved || r.Fault.Hits <= 0) {
		return nil, errors.New("drill: the journal says held, and that the fault was never seen to hit: no drill has written that")
	}
	return r, nil
}

// Sentence is the verdict in one sentence.
// It is plain text and not escaped. A verdict that did not hold gives its first
// reason, which is the one that decided.
func (r *Report) Sentence() string {
	watch, _ := r.phase("watch")
	reason := ""
	if len(r.Reasons) > 0 {
		reason = r.Reasons[0]
	}
	switch r.Verdict {
	case Held:
		return fmt.Sprintf("held: %d of %d requests were served while the fault was in force (%d hits); as before after %.1f s.",
			watch.Asked-watch.Slow-watch.Failed-watch.Wrong-watch.Excused, watch.Asked, r.Fault.Hits, max(0, r.Fault.Recovered-r.Fault.Until))
	case Deviated:
		return "deviated: " + reason + "."
	case Aborted:
		return "aborted: " + reason + "."
	case NotStarted:
		return "not started: " + reason + "."
	case Void:
		return "void: " + reason + "."
	}
	return "unknown verdict"
}

// phase is the phase of that name, if the drill reached it.
func (r *Report) phase(name string) (Phase, bool) {
	for _, p := range r.Phases {
		if p.Name == name {
			return p, true
		}
	}
	return Phase{}, false
}

// Markdown is the report for a pull request or a job's summary.
// It is GitHub Flavored Markdown. Everything that comes from outside goes through
// escapeMarkdown. The rules are in a fence, in which nothing is markup and which no
// line of JSON can end; indented, they would be text of the list of reasons above.
func (r *Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s: %s\n\n%s\n\n", escapeMarkdown(r.Title), r.Verdict, escapeMarkdown(r.Sentence()))
	b.WriteString("| phase | seconds | requests | success | wrong | slow | failed | p50 ms | p99 ms | max ms | from |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n")
	for _, p := range r.Phases {
		fmt.Fprintf(&b, "| %s | %.1f | %d | %.2f %% | %d | %d | %d | %.1f | %.1f | %.1f | %s |\n",
			p.Name, p.Until-p.From, p.Asked, 100*p.Success, p.Wrong, p.Slow, p.Failed, p.P50, p.P99, p.Max, escapeMarkdown(mix(p.Sources)))
	}
	b.WriteString("\n| invariant | held | |\n|---|---|---|\n")
	for _, i := range r.Invariants {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", escapeMarkdown(i.Name), map[bool]string{true: "yes", false: "**no**"}[i.Held], escapeMarkdown(i.Detail))
	}
	f := r.Fault
	fmt.Fprintf(&b, "\nFault: planned %s to %s, hit %d times, first at %s, last at %s; first success after it at %s, as before at %s.\n",
		at(f.From), at(f.Until), f.Hits, at(f.First), at(f.Last), at(f.FirstSuccess), at(f.Recovered))
	for _, reason := range r.Reasons {
		fmt.Fprintf(&b, "\n- %s", escapeMarkdown(reason))
	}
	if len(r.Reasons) > 0 {
		b.WriteString("\n")
	}
	if f.Rules != nil {
		if rules, err := json.MarshalIndent(f.Rules, "", "  "); err == nil {
			fmt.Fprintf(&b, "\n```json\n%s\n```\n", rules)
		}
	}
	fmt.Fprintf(&b, "\n%s %s/%s, %d CPUs; began %s; budget %.0f ms a request.\n",
		r.Environment.Go, r.Environment.OS, r.Environment.Arch, r.Environment.CPUs, r.Began.UTC().Format(time.RFC3339), r.Budget)
	return b.String()
}

// at is a time of the journal for people: tenths of seconds, or "never" for -1.
func at(s float64) string {
	if s < 0 {
		return "never"
	}
	return fmt.Sprintf("%.1f s", s)
}

// markdownEscapes keeps text inside its cell and makes it no markup: a line feed or
// a bar would end a cell, and a backslash would take away the one that is put before
// a bar. The backtick becomes an apostrophe because it cannot be escaped inside of
// a code span.
var markdownEscapes = strings.NewReplacer(`\`, `\\`, "\n", " ", "\r", " ", "|", `\|`, "`", "'", "<", "&lt;", "*", `\*`, "_", `\_`, "[", `\[`)

func escapeMarkdown(s string) string { return markdownEscapes.Replace(s) }
