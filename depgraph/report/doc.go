// Package report writes the answers of package depgraph for people and for
// other programs: text, JSON, SARIF, JUnit and GitHub annotations for
// findings; DOT, Mermaid, Markdown, CSV and SVG for graphs; and one HTML page
// that holds all of it and needs no network.
//
// Every function writes the same bytes for the same graph. Names come from
// files that anybody may write, so every format escapes them.
//
// # Which function
//
// The suffix of a name says the format: Text is for a terminal or a log, JSON
// for programs, Markdown for a job summary or a comment. An answer has a
// function for each format that makes sense for it:
//
//   - Graph.Check: CheckText, CheckJSON, CheckMarkdown, SARIF, JUnit, GitHub,
//     and Verdict for one sentence;
//   - Graph.Cycles, Order, Blast, Availability, Why, WhyBlocked: a Text and a
//     JSON function of that name;
//   - Compare: DiffText, DiffMarkdown, DiffJSON and DiffVerdict;
//   - drift.Compare: DriftText, DriftMarkdown, DriftJSON, DriftManifests;
//   - the graph itself: GraphJSON (the only one that is read back), DOT,
//     Mermaid, Markdown, CSV, SVG, Backstage and HTML;
//   - a procedure for people: NewRunbook.
//
// # What they have in common
//
// A function writes to an io.Writer, through a buffer, and returns the first
// error of it; there may be half a report before that. Those that compute
// something of their own (HTML, SVG, Markdown, NewRunbook) take a context and
// return its error. None of them changes its arguments, and all may be called
// from several goroutines at once with the same graph.
//
// Text is cut for people: lists of names after 60, findings after 5 a rule,
// rows of tables after a number that a constant names. The output says how
// much was left out, and [TextOptions] shows it. JSON is never cut.
//
// # Where to read on
//
// text.go has the printer that all text and markup goes through, and clean.go
// what makes a name safe; each format adds its own escaping to that: dotID,
// mermaidLabel, md, xmlEscape, codeSpan, relativeURI, the escapes in ci.go, and
// html.EscapeString. A new format has to choose one of these or write its own;
// the list of hostile names in report_test.go then tries it. The forms of the
// JSON outputs are in json.go. layout.go places boxes and route.go the lines
// between them, for SVG and for the page; html.go frames the page, page.go
// makes its data, page.js and page.css show them, and large.go is the page for
// a graph that is too large to be drawn.
package report
