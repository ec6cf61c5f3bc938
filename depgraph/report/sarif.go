package report

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/failopen/failopen/depgraph"
)

// MaxSARIFResults is how many results are written; GitHub shows no more of
// one run. Findings are in order of severity, so the worst are kept, and a
// notification says how many were left out.
const MaxSARIFResults = 5000

type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		Results     []sarifResult     `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string       `json:"id"`
		Name             string       `json:"name"`
		ShortDescription sarifMessage `json:"shortDescription"`
		FullDescription  sarifMessage `json:"fullDescription"`
		Help             sarifMessage `json:"help"`
		Default          sarifDefault `json:"defaultConfiguration"`
	}
	sarifDefault struct {
		Level string `json:"level"`
	}
	sarifMessage struct {
		Text string `json:"text"`
	}
	sarifInvocation struct {
		Successful    bool                `json:"executionSuccessful"`
		Notifications []sarifNotification `json:"toolExecutionNotifications,omitempty"`
	}
	sarifNotification struct {
		Level   string       `json:"level"`
		Message sarifMessage `json:"message"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Level        string            `json:"level"`
		Message      sarifMessage      `json:"message"`
		Locations    []sarifLocation   `json:"locations,omitempty"`
		CodeFlows    []sarifCodeFlow   `json:"codeFlows,omitempty"`
		Fingerprints map[string]string `json:"partialFingerprints"`
	}
	sarifLocation struct {
		Physical *sarifPhysical `json:"physicalLocation,omitempty"`
		Message  *sarifMessage  `json:"message,omitempty"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
	sarifCodeFlow struct {
		ThreadFlows []sarifThreadFlow `json:"threadFlows"`
	}
	sarifThreadFlow struct {
		Locations []sarifFlowLocation `json:"locations"`
	}
	sarifFlowLocation struct {
		Location sarifLocation `json:"location"`
	}
)

// SARIF writes findings as SARIF 2.1.0: one result for each component or
// edge, a cycle as a code flow, and fingerprints that survive moved lines.
func SARIF(w io.Writer, findings []depgraph.Finding) error {
	run := sarifRun{
		Tool:        sarifTool{sarifDriver{Name: "depgraph", InformationURI: "https://github.com/failopen/failopen", Rules: sarifRules(findings)}},
		Invocations: []sarifInvocation{{Successful: true}},
		Results:     []sarifResult{},
	}
	if left := len(findings) - MaxSARIFResults; left > 0 {
		findings = findings[:MaxSARIFResults]
		run.Invocations[0].Notifications = []sarifNotification{{"warning", sarifMessage{itoa(left) + " findings were left out; the limit is " + itoa(MaxSARIFResults)}}}
	}
	index := map[string]int{}
	for i, r := range run.Tool.Driver.Rules {
		index[r.ID] = i
	}
	for i := range findings {
		f := &findings[i]
		r := sarifResult{
			RuleID: f.Rule, RuleIndex: index[f.Rule], Level: sarifLevel(f.Severity), Message: sarifMessage{message(f)},
			Fingerprints: map[string]string{"depgraph/v1": Fingerprint(f)},
		}
		if l := location(f.At, ""); l.Physical != nil {
			r.Locations = []sarifLocation{l}
		}
		if f.Component != nil {
			r.CodeFlows = []sarifCodeFlow{{[]sarifThreadFlow{flow(f.Component.Cycle)}}}
		}
		run.Results = append(run.Results, r)
	}
	return writeJSON(w, sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}})
}

func message(f *depgraph.Finding) string {
	if f.Fix == "" {
		return f.Message
	}
	return f.Message + ". Fix: " + f.Fix
}

// sarifRules lists the built-in rules and those of the policy that found something.
func sarifRules(findings []depgraph.Finding) []sarifRule {
	var rules []sarifRule
	known := map[string]bool{}
	for _, r := range depgraph.Rules() {
		known[r.ID] = true
		rules = append(rules, sarifRule{
			ID: r.ID, Name: r.Name, ShortDescription: sarifMessage{r.Summary}, FullDescription: sarifMessage{r.Why},
			Help: sarifMessage{r.Fix}, Default: sarifDefault{sarifLevel(r.Severity)},
		})
	}
	for i := range findings {
		if f := &findings[i]; !known[f.Rule] {
			known[f.Rule] = true
			rules = append(rules, sarifRule{
				ID: f.Rule, Name: f.Name, ShortDescription: sarifMessage{f.Name}, FullDescription: sarifMessage{f.Name},
				Help: sarifMessage{f.Fix}, Default: sarifDefault{sarifLevel(f.Severity)},
			})
		}
	}
	return rules
}

func sarifLevel(s depgraph.Severity) string {
	switch s {
	case depgraph.Error:
		return "error"
	case depgraph.Warn:
		return "warning"
	case depgraph.Info:
		return "note"
	}
	return "none"
}

func flow(cycle []depgraph.Edge) sarifThreadFlow {
	t := sarifThreadFlow{}
	for _, e := range cycle {
		t.Locations = append(t.Locations, sarifFlowLocation{location(e.At, e.From+" needs "+e.To+" ("+describe(e)+")")})
	}
	return t
}

func location(at depgraph.Position, text string) sarifLocation {
	l := sarifLocation{}
	if text != "" {
		l.Message = &sarifMessage{text}
	}
	if at.File != "" {
		l.Physical = &sarifPhysical{Artifact: sarifArtifact{relativeURI(at.File)}}
		if at.Line > 0 {
			l.Physical.Region = &sarifRegion{at.Line}
		}
	}
	return l
}

// relativeURI makes a path relative to the current folder, which is where CI
// runs, if it lies below it, and escapes it.
func relativeURI(file string) string {
	return (&url.URL{Path: relative(file)}).EscapedPath()
}

func relative(file string) string {
	if !filepath.IsAbs(file) {
		return file
	}
	wd, err := os.Getwd()
	if err != nil {
		return file
	}
	rel, err := filepath.Rel(wd, file)
	if err != nil || strings.HasPrefix(rel, "..") {
		return file
	}
	return filepath.ToSlash(rel)
}

// Fingerprint identifies a finding by its rule and its edges, so that it stays
// the same when lines move.
func Fingerprint(f *depgraph.Finding) string {
	parts := []string{}
	for _, e := range f.Edges {
		parts = append(parts, e.From+"\x00"+e.To)
	}
	slices.Sort(parts)
	sum := sha256.Sum256([]byte(strings.Join(append([]string{f.Rule, f.Service}, parts...), "\x01")))
	return hex.EncodeToString(sum[:16])
}
