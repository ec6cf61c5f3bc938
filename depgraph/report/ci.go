package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/failopen/failopen/depgraph"
)

func itoa(n int) string { return strconv.Itoa(n) }

// The elements of JUnit's XML, as far as viewers agree on it. There is no
// standard; these are the ones that Jenkins, GitLab and GitHub's actions all
// read. Attributes and text are escaped by encoding/xml; what XML 1.0 cannot
// hold at all is taken out by xmlText first.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Failure *junitFailure `xml:"failure,omitempty"`
		Output  string        `xml:"system-out,omitempty"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes one suite a rule, with one test case for each finding, or a
// single passed one. Errors and warnings are failures; notes pass, with their
// text as output. Rules come in the order of depgraph.Rules, then those of a
// policy in the order of their first finding. A rule about drift is left out
// unless it found something: without a record nobody looked, and a passed test
// would claim otherwise.
func JUnit(w io.Writer, g *depgraph.Graph, findings []depgraph.Finding) error {
	byRule := map[string][]*depgraph.Finding{}
	var names []string
	for _, r := range depgraph.Rules() {
		if r.Drift && len(byRule[r.ID]) == 0 {
			continue // nobody looked
		}
		// Every built-in rule has a suite, so that a rule that found nothing
		// shows as passed and not as missing.
		names = append(names, r.ID)
		byRule[r.ID] = nil
	}
	for i := range findings {
		f := &findings[i]
		if _, ok := byRule[f.Rule]; !ok {
			names = append(names, f.Rule)
		}
		byRule[f.Rule] = append(byRule[f.Rule], f)
	}
	// The counts of all suites are the sums of theirs; viewers show them first.
	all := junitSuites{}
	for _, name := range names {
		s := junitSuite{Name: xmlText(name)}
		// Errors and warnings fail; the runner decides what a failure does.
		for _, f := range byRule[name] {
			s.Cases = append(s.Cases, junitFinding(f))
			if f.Severity >= depgraph.Warn {
				s.Failures++
			}
		}
		// A suite without a case would not be shown.
		if len(s.Cases) == 0 {
			s.Cases = []junitCase{{Name: count(g.Len(), "service"), Class: xmlText(name)}}
		}
		s.Tests = len(s.Cases)
		all.Tests += s.Tests
		all.Failures += s.Failures
		all.Suites = append(all.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", " ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// junitFinding is one finding as a test case. Its name is the service and the
// message, which viewers use as the key of a history; the text holds the place,
// the edges of a cycle and the fix, a line each.
func junitFinding(f *depgraph.Finding) junitCase {
	text := f.At.String() + "\n"
	if f.Component != nil {
		for _, e := range f.Component.Cycle {
			text += fmt.Sprintf("%s needs %s (%s) %s\n", e.From, e.To, describe(e), e.At)
		}
	}
	if f.Fix != "" {
		text += "fix: " + f.Fix + "\n"
	}
	c := junitCase{Name: xmlText(f.Service + ": " + f.Message), Class: xmlText(f.Rule)}
	if f.Severity >= depgraph.Warn {
		c.Failure = &junitFailure{Message: xmlText(f.Message), Type: f.Severity.String(), Text: xmlText(text)}
	} else {
		c.Output = xmlText(text)
	}
	return c
}

// xmlText writes what cannot be seen as escapes: XML 1.0 cannot hold some of
// it, and viewers print the rest.
func xmlText(s string) string { return cleanLines(s) }

// maxGitHub is how many annotations GitHub shows of one step and severity.
const maxGitHub = 10

// GitHub writes workflow commands ("::error file=…,line=…,title=…::message")
// that become annotations in a pull request, one a line. GitHub shows ten of
// each severity of a step; a last line for each severity with more says how
// many there are. Paths are relative to the current folder, as GitHub matches
// them against those of the change.
//
// A command ends with its line, and a property with a comma or a colon; these
// are percent-encoded, as in GitHub's own toolkit, so that no name can begin a
// second command.
func GitHub(w io.Writer, findings []depgraph.Finding) error {
	p := newPrinter(w)
	counts := map[depgraph.Severity]int{}
	for i := range findings {
		f := &findings[i]
		counts[f.Severity]++
		p.f("::%s ", githubLevel(f.Severity))
		if f.At.File != "" {
			p.f("file=%s,", githubProperty(relative(f.At.File)))
		}
		if f.At.Line > 0 {
			p.f("line=%d,", f.At.Line)
		}
		// A cycle is annotated once, at its first edge; the others are lines of
		// the text.
		text := f.Message
		if f.Component != nil {
			for _, e := range f.Component.Cycle {
				text += fmt.Sprintf("\n%s needs %s (%s) %s", e.From, e.To, describe(e), e.At)
			}
		}
		if f.Fix != "" {
			text += "\nfix: " + f.Fix
		}
		p.f("title=%s::%s\n", githubProperty(ruleTitle(f)), githubData(text))
	}
	for _, s := range []depgraph.Severity{depgraph.Error, depgraph.Warn, depgraph.Info} {
		if counts[s] > maxGitHub {
			p.f("%d findings of severity %s; GitHub shows the first %d\n", counts[s], s, maxGitHub)
		}
	}
	return p.w.Flush()
}

// githubLevel is the name of the command. Its scale has three levels, so
// everything below a warning is a notice.
func githubLevel(s depgraph.Severity) string {
	switch s {
	case depgraph.Error:
		return "error"
	case depgraph.Warn:
		return "warning"
	}
	return "notice"
}

// The escapes of a command's text and of its properties: a property ends with a
// comma or a colon, the text only with the line. The percent sign is in both,
// as it begins an escape.
var (
	githubDataEscapes     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubPropertyEscapes = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// githubData and githubProperty escape the two parts of a command to the runner, which
// prints it into a log: nothing in it may move a cursor.
func githubData(s string) string     { return githubDataEscapes.Replace(cleanLines(s)) }
func githubProperty(s string) string { return githubPropertyEscapes.Replace(clean(s)) }
