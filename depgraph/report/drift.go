package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/drift"
)

// DriftVerdict says in one sentence how far declaration and record differ. An
// empty record is a failure, not agreement: it usually means that the wrong
// file was read. A soft dependency that takes its owner down is the one error;
// undeclared and unseen dependencies are warnings. Dependencies that cannot be
// judged do not spoil a tick, and are counted behind it.
//
// Its first rune is a cross, an exclamation mark or a tick.
func DriftVerdict(r *drift.Report) string {
	counts := map[string]int{}
	for i := range r.Findings {
		counts[r.Findings[i].Rule]++
	}
	var parts []string
	for _, p := range []struct{ rule, one, many string }{
		{"DG019", "soft dependency is actually hard", "soft dependencies are actually hard"},
		{"DG015", "dependency is not declared", "dependencies are not declared"},
		{"DG016", "declared dependency was not seen", "declared dependencies were not seen"},
	} {
		if n := counts[p.rule]; n == 1 {
			parts = append(parts, "1 "+p.one)
		} else if n > 1 {
			parts = append(parts, fmt.Sprintf("%d %s", n, p.many))
		}
	}
	// Dependencies of which nothing is known are not findings, and so are
	// counted from the table.
	unknown := 0
	for i := range r.Dependencies {
		if r.Dependencies[i].State == drift.Unknown {
			unknown++
		}
	}
	switch {
	case r.Empty():
		return "✗ Nothing was seen: no call between two services"
	case counts["DG019"] > 0:
		return "✗ " + strings.Join(parts, ", ")
	case len(parts) > 0:
		return "! " + strings.Join(parts, ", ")
	}
	if unknown > 0 {
		return fmt.Sprintf("✓ What was seen is declared; %d of %s cannot be judged", unknown, count(len(r.Dependencies), "dependency"))
	}
	return "✓ What was seen is declared, and what is declared was seen"
}

// DriftText writes what differs, a table of all dependencies, and what cannot
// be told: which sources were read, over which time, and notes about what is
// missing in them. The table is cut after maxDriftRows rows, unless All or
// Verbose asks for it whole.
//
// The error is that of the writer.
func DriftText(w io.Writer, r *drift.Report, o ...TextOptions) error {
	p := newPrinter(w, o...)
	p.f("%s\n\n", p.paint(worst(r.Findings), DriftVerdict(r)))
	for _, group := range byRule(r.Findings) {
		p.group(group, "")
	}
	if len(r.Dependencies) > 0 {
		p.f("\ndependencies:\n")
	}
	// The columns are as wide as the names that are shown, measured in runes;
	// tabwriter would measure the hidden ones too.
	n := p.shown(len(r.Dependencies), maxDriftRows)
	width := [2]int{}
	for _, d := range r.Dependencies[:n] {
		width[0] = max(width[0], len([]rune(clean(d.From))))
		width[1] = max(width[1], len([]rune(clean(d.To))))
	}
	for i := range r.Dependencies[:n] {
		d := &r.Dependencies[i]
		p.f("  %-*s -> %-*s  %-18s %s%s\n", width[0], clean(d.From), width[1], clean(d.To), d.State, seenText(d), clean(whyText(d)))
	}
	p.more(len(r.Dependencies), n)
	p.f("\n")
	for _, s := range r.Sources {
		p.f("read %s: %s\n", clean(s.Name), sourceText(s))
	}
	if r.Window != "" {
		p.f("recorded from %s\n", r.Window)
	}
	for _, note := range r.Notes {
		p.f("note: %s\n", clean(note))
	}
	return p.w.Flush()
}

// maxDriftRows is how many dependencies are listed unless all are wanted.
const maxDriftRows = 200

// sourceText says what was read from a source. One of spans is measured in
// spans and traces; others know pairs of services only.
//
// It is not cleaned.
func sourceText(s drift.Source) string {
	if s.Spans > 0 {
		return fmt.Sprintf("%s: %s in %s", s.Format, count(s.Spans, "span"), count(s.Traces, "trace"))
	}
	return fmt.Sprintf("%s: %s", s.Format, count(s.Edges, "service pair"))
}

// seenText says how often a dependency was seen: nothing if it never was, "an
// address" if the record has no calls but only a configured address, and
// without failures where the sources do not tell them.
func seenText(d *drift.Dependency) string {
	switch {
	case len(d.Kinds) == 0:
		return ""
	case d.Calls == 0:
		return "an address"
	case !d.Judged:
		return count(int(d.Calls), "call")
	}
	return fmt.Sprintf("%s, %d failed", count(int(d.Calls), "call"), d.Errors)
}

// whyText is the reason for the state in brackets, with the gap before it. It
// is not cleaned.
func whyText(d *drift.Dependency) string {
	if d.Why == "" {
		return ""
	}
	return "  (" + d.Why + ")"
}

// DriftMarkdown writes the same for a job summary or a comment; the table of
// dependencies opens with a click.
//
// All names go through md.
func DriftMarkdown(w io.Writer, r *drift.Report) error {
	p := newPrinter(w)
	p.f("### %s\n", md(DriftVerdict(r)))
	for _, group := range byRule(r.Findings) {
		p.f("\n**%s %s (%d)**\n\n", group[0].Severity, md(ruleTitle(group[0])), len(group))
		p.table(group)
	}
	p.section(len(r.Dependencies), fmt.Sprintf("all %s", count(len(r.Dependencies), "dependency")), "| from | to | state | seen | why |\n|---|---|---|---|---|\n", func(i int) {
		d := &r.Dependencies[i]
		p.f("| %s | %s | %s | %s | %s |\n", md(d.From), md(d.To), d.State, seenText(d), md(d.Why))
	})
	p.f("\n")
	for _, s := range r.Sources {
		p.f("- read %s: %s\n", md(s.Name), md(sourceText(s)))
	}
	if r.Window != "" {
		p.f("- recorded from %s\n", r.Window)
	}
	for _, note := range r.Notes {
		p.f("- %s\n", md(note))
	}
	return p.w.Flush()
}

// driftEdgeJSON is one pair of services: what is declared, what was seen, and
// how failures of the second one went on. The counts of effects are those of
// drift.Effect.
type driftEdgeJSON struct {
	From  string `json:"from"`
	To    string `json:"to"`
	State string `json:"state"`
	// All edges of the pair that a manifest declares; [] for an undeclared one.
	Declared []EdgeJSON   `json:"declared"`
	Kinds    []drift.Kind `json:"kinds"`
	// Calls, and those of them that failed, if a source says it.
	Calls  int64  `json:"calls"`
	Errors *int64 `json:"errors,omitempty"` // absent: the sources do not say
	// The requests that From was seen to handle, and below how many of them had
	// which effect; see drift.Effect.
	Requests   int64 `json:"requests_of_from"`
	Propagated int64 `json:"propagated"`
	Absorbed   int64 `json:"absorbed"`
	Unclear    int64 `json:"unclear"`
	Fine       int64 `json:"fine"`
	Otherwise  int64 `json:"failed_otherwise"`
	// What follows from the effects, and in which words.
	Strength string   `json:"strength,omitempty"`
	Why      string   `json:"why,omitempty"`
	Sources  []string `json:"sources"`
}

// DriftJSON writes everything: every dependency, whether it differs or not, all
// findings, sources and notes. Lists are never null.
func DriftJSON(w io.Writer, r *drift.Report) error {
	edges := make([]driftEdgeJSON, len(r.Dependencies))
	for i := range r.Dependencies {
		d := &r.Dependencies[i]
		edges[i] = driftEdgeJSON{
			From: d.From, To: d.To, State: string(d.State), Declared: edgesJSON(d.Declared), Kinds: emptyNotNull(d.Kinds), Calls: d.Calls,
			Requests: d.Requests, Propagated: d.Effect.Propagated, Absorbed: d.Effect.Absorbed, Unclear: d.Effect.Unclear,
			Fine: d.Effect.Fine, Otherwise: d.Effect.Otherwise, Strength: string(d.Strength), Why: d.Why, Sources: emptyNotNull(d.Sources),
		}
		// Zero errors and unknown errors are different answers, so the number
		// is left out where no source knows it.
		if d.Judged {
			edges[i].Errors = &d.Errors
		}
	}
	// Sources of spans have traces and spans, those that count already have
	// pairs.
	type source struct {
		Name   string `json:"name"`
		Format string `json:"format"`
		Traces int    `json:"traces,omitempty"`
		Spans  int    `json:"spans,omitempty"`
		Pairs  int    `json:"pairs,omitempty"`
	}
	sources := []source{}
	for _, s := range r.Sources {
		sources = append(sources, source{s.Name, s.Format, s.Traces, s.Spans, s.Edges})
	}
	return writeJSON(w, struct {
		Dependencies []driftEdgeJSON `json:"dependencies"`
		Findings     []findingJSON   `json:"findings"`
		Sources      []source        `json:"sources"`
		Window       string          `json:"window,omitempty"`
		Notes        []string        `json:"notes"`
	}{edges, findingsJSON(r.Findings), sources, r.Window, emptyNotNull(r.Notes)})
}

// DriftManifests writes what was seen as manifests to begin with, in the form
// that ParseManifest reads. Every edge in it is marked as assumed. Nothing but
// the comment is written if WriteManifest fails on a name.
//
// An empty report gives the comment alone.
func DriftManifests(w io.Writer, r *drift.Report) error {
	if _, err := io.WriteString(w, "# What was seen, as a first declaration: every edge is a guess until someone says whether it is hard.\n"); err != nil {
		return err
	}
	return depgraph.WriteManifest(w, r.Services()...)
}
