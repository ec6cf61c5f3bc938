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

// The objects of SARIF 2.1.0 (OASIS Standard, 27 March 2020) that are used,
// each with the members that GitHub code scanning reads. Messages are plain
// text; in the schema, a region without a line is not allowed, so findings
// about a file as such have no region.
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
	// The driver is depgraph itself; there are no extensions.
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	// A rule: its ID is what results refer to, and its texts are those of
	// depgraph.Rules. Help is what to do about it.
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
	// One run of the tool; a notification is where something about the run
	// itself can be said.
	sarifInvocation struct {
		Successful    bool                `json:"executionSuccessful"`
		Notifications []sarifNotification `json:"toolExecutionNotifications,omitempty"`
	}
	sarifNotification struct {
		Level   string       `json:"level"`
		Message sarifMessage `json:"message"`
	}
	// A finding. The fingerprints are partial ones, by which a service knows it
	// again although its line has moved.
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Level        string            `json:"level"`
		Message      sarifMessage      `json:"message"`
		Locations    []sarifLocation   `json:"locations,omitempty"`
		CodeFlows    []sarifCodeFlow   `json:"codeFlows,omitempty"`
		Fingerprints map[string]string `json:"partialFingerprints"`
	}
	// A place, with a message if it is a step of a flow.
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
	// The line counts from 1; columns are not known.
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
	// The way round a cycle: one thread, a step an edge.
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

// SARIF writes findings as SARIF 2.1.0: one result for each component or edge,
// a cycle as a code flow, and fingerprints that survive moved lines, so that a
// service such as GitHub knows a finding again. At most MaxSARIFResults results
// are written. A finding without a file has no location; JSON escapes names,
// and relativeURI those of files.
func SARIF(w io.Writer, findings []depgraph.Finding) error {
	run := sarifRun{
		Tool:        sarifTool{sarifDriver{Name: "depgraph", InformationURI: "https://github.com/failopen/failopen", Rules: sarifRules(findings)}},
		Invocations: []sarifInvocation{{Successful: true}},
		Results:     []sarifResult{},
	}
	// The rules are taken from all findings, before the cut: a rule without a
	// result does no harm, and the numbers of rules stay the same.
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
		// ruleIndex lets a viewer find the rule without a search by its ID.
		r := sarifResult{
			RuleID: f.Rule, RuleIndex: index[f.Rule], Level: sarifLevel(f.Severity), Message: sarifMessage{message(f)},
			Fingerprints: map[string]string{"depgraph/v1": Fingerprint(f)},
		}
		// A location without a place is not allowed in a result, and GitHub
		// refuses the whole file.
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

// message is the text of a result, with the fix, as GitHub shows no other place
// for it.
func message(f *depgraph.Finding) string {
	if f.Fix == "" {
		return sarifText(f.Message)
	}
	return sarifText(f.Message + ". Fix: " + f.Fix)
}

// sarifText keeps a text from holding a link: viewers, GitHub among them, make
// one of "[text](target)" in a message, and a name must not lead anywhere
// (SARIF 2.1.0, section 3.11.6, escapes brackets with a backslash). Brackets
// that cannot be a link stay as they are, for viewers that show the backslash.
// The text is cleaned too, as people read it.
func sarifText(s string) string {
	s = clean(s)
	if !strings.Contains(s, "](") {
		return s
	}
	return strings.NewReplacer("[", `\[`, "]", `\]`).Replace(s)
}

// sarifRules lists the built-in rules, and those of the policy that found
// something, in the order of their first finding; a policy's rule has no texts
// but its name and its fix.
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

// sarifLevel is the level of the standard (section 3.27.10); Off is "none".
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

// flow is a cycle as the steps of one thread, each at the declaration of its
// edge.
func flow(cycle []depgraph.Edge) sarifThreadFlow {
	t := sarifThreadFlow{}
	for _, e := range cycle {
		t.Locations = append(t.Locations, sarifFlowLocation{location(e.At, e.From+" needs "+e.To+" ("+describe(e)+")")})
	}
	return t
}

// location is a place with an optional message. Without a file there is no
// physical location; without a line it is the file as such.
func location(at depgraph.Position, text string) sarifLocation {
	l := sarifLocation{}
	if text != "" {
		l.Message = &sarifMessage{sarifText(text)}
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
// runs, if it lies below it, and escapes it as a relative reference of RFC 3986
// (section 4.2): a colon in its first segment would begin a scheme, and two
// slashes a host, so a name such as "javascript:…" gets a dot segment in front.
func relativeURI(file string) string {
	path := (&url.URL{Path: relative(file)}).EscapedPath()
	first, _, _ := strings.Cut(path, "/")
	switch {
	case strings.HasPrefix(path, "//"):
		return "/." + path
	case strings.Contains(first, ":"):
		return "./" + path
	}
	return path
}

// relative is a path below the current folder as CI services expect it:
// relative, with slashes. Any other path stays as it is, also if the current
// folder is unknown.
func relative(file string) string {
	if !filepath.IsAbs(file) {
		return file
	}
	// The current folder is asked for each time: a server has no reason to
	// change it, and a report has few files.
	wd, err := os.Getwd()
	if err != nil {
		return file
	}
	rel, err := filepath.Rel(wd, file)
	if err != nil || !filepath.IsLocal(rel) {
		return file
	}
	return filepath.ToSlash(rel)
}

// Fingerprint identifies a finding by its rule, its service and its edges, so
// that it stays the same when lines move, messages are reworded or edges come
// in another order. It is 32 hexadecimal digits, half of a SHA-256.
func Fingerprint(f *depgraph.Finding) string {
	// Edges as pairs, sorted, since their order may change with the graph.
	parts := []string{}
	for _, e := range f.Edges {
		parts = append(parts, e.From+"\x00"+e.To)
	}
	slices.Sort(parts)
	sum := sha256.Sum256([]byte(strings.Join(append([]string{f.Rule, f.Service}, parts...), "\x01")))
	return hex.EncodeToString(sum[:16])
}
