package depgraph

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Baseline is a list of findings that are known and tolerated. It is compared
// edge by edge, never by count: a component that gains an edge is a new
// finding, even if another one lost an edge.
//
// It is for a system that had findings when checks began: they are known, and every new one
// fails. A waiver, in the manifest, has a reason and an end; a baseline has neither.
type Baseline struct {
	known map[BaselineEntry]bool
}

// BaselineEntry is one tolerated edge, or service, of one rule.
//
// Service is empty if From and To are set.
type BaselineEntry struct {
	Rule    string `json:"rule"`              // ID or name of the rule
	From    string `json:"from,omitempty"`    // the edge, if the finding is about one
	To      string `json:"to,omitempty"`      // the edge's other end
	Service string `json:"service,omitempty"` // the service, if the finding is about no edge
}

// baselineFile is the form on disk, version 1.
type baselineFile struct {
	Version  int             `json:"version"`
	Findings []BaselineEntry `json:"findings"`
}

// NewBaseline returns a baseline that tolerates the findings.
func NewBaseline(findings []Finding) *Baseline {
	b := &Baseline{known: map[BaselineEntry]bool{}}
	for i := range findings {
		for _, e := range findings[i].entries() {
			b.known[e] = true
		}
	}
	return b
}

// entries are what has to be known for the finding to be known.
//
// Messages are not part of it: they may be worded better one day, and a baseline must
// outlive that. Nor are files and lines, which move.
func (f *Finding) entries() []BaselineEntry {
	if len(f.Edges) == 0 {
		return []BaselineEntry{{Rule: f.Rule, Service: f.Service}}
	}
	all := make([]BaselineEntry, len(f.Edges))
	for i, e := range f.Edges {
		all[i] = BaselineEntry{Rule: f.Rule, From: e.From, To: e.To}
	}
	return all
}

// LoadBaseline reads a baseline file.
//
// An error names the file, and wraps that of the operating system if it cannot be read.
func LoadBaseline(name string) (*Baseline, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("depgraph: baseline: %w", err)
	}
	var f baselineFile
	dec := json.NewDecoder(bytes.NewReader(data))
	// A field that is misspelt would tolerate less than the file seems to say.
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return nil, fmt.Errorf("depgraph: baseline %s: no baseline as \"depgraph baseline\" writes it: %w", name, err)
	}
	if f.Version != 1 {
		return nil, fmt.Errorf("depgraph: baseline %s: version %d is unknown; this program reads version 1", name, f.Version)
	}
	// What a merge has put behind it would be tolerated by nobody, and not be told either.
	if rest := bytes.TrimSpace(data[dec.InputOffset():]); len(rest) > 0 {
		return nil, fmt.Errorf("depgraph: baseline %s: there is text after the baseline", name)
	}
	b := &Baseline{known: map[BaselineEntry]bool{}}
	for _, e := range f.Findings {
		b.known[e] = true
	}
	return b, nil
}

// Write writes the baseline as JSON, sorted, so that it can be reviewed.
func (b *Baseline) Write(w io.Writer) error {
	f := baselineFile{Version: 1, Findings: []BaselineEntry{}}
	for e := range b.known {
		f.Findings = append(f.Findings, e)
	}
	// By rule, then by what it is about: a baseline is kept in version control, and
	// each change should be a line of its own.
	slices.SortFunc(f.Findings, func(x, y BaselineEntry) int {
		return cmp.Or(strings.Compare(x.Rule, y.Rule), strings.Compare(x.Service, y.Service), strings.Compare(x.From, y.From), strings.Compare(x.To, y.To))
	})
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	return enc.Encode(f)
}

// Filter splits findings into new ones, an empty list if there are none, and the number
// of known ones. Stale counts entries of the baseline that nothing matched any more.
func (b *Baseline) Filter(findings []Finding) (fresh []Finding, known, stale int) {
	fresh = []Finding{}
	used := map[BaselineEntry]bool{}
	for i := range findings {
		// Each entry that matches is used, also one of a finding that is new because of
		// another edge: it is no leftover.
		all := true
		for _, e := range findings[i].entries() {
			if b.known[e] {
				used[e] = true
			} else {
				all = false
			}
		}
		if all {
			known++
		} else {
			fresh = append(fresh, findings[i])
		}
	}
	return fresh, known, len(b.known) - len(used)
}
