package report

import (
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"strings"
	"time"

	"github.com/failopen/failopen/depgraph"
)

// pageCSS and pageJS are part of the page, so that one file is all of it; the policy
// of the page allows exactly these two, by their hashes.
//
//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

// HTMLOptions says what the page holds beside the graph.
type HTMLOptions struct {
	// Title is the heading; empty means "Dependencies".
	Title string
	// Date and Commit say what the page is about; empty ones are left out.
	Date, Commit string
	// Proofs are the verdicts of drills; ProofAge, if above 0, is how old one
	// may be, counted to ProofNow. Each soft edge is marked with its state.
	Proofs   *depgraph.Proofs
	ProofAge time.Duration
	ProofNow time.Time
	// Findings are listed, and the verdict in the head is about them. They are
	// those of Graph.Check, which returns an empty list and not nil where it finds
	// nothing: nil means that nobody has checked, and the page says that.
	Findings []depgraph.Finding
	// MaxAvailability limits for how many services availability is computed:
	// those with a target first, then the most critical. Zero means 300.
	MaxAvailability int
	// Progress, if set, is called as cycles, blast radii and availabilities are
	// computed, from the goroutine that called HTML.
	Progress func(depgraph.Progress)
}

const defaultMaxAvailability = 300

// HTML writes the whole report as one page that works from a file, without a
// network. Above MaxPageServices services it is a page of tables without a
// drawing.
//
// The page is safe to open whatever the manifests say. Its
// Content-Security-Policy allows no connection, no image and no script but its
// own, by hash. The data are JSON in a script element of type application/json,
// in which json.Marshal writes <, > and & as escapes, so that no name can end
// the element; the script reads them and sets names as text only, never as
// markup. The few names in the head go through html.EscapeString.
//
// Nothing is written before the data are complete, so an error of ctx leaves w
// untouched. Time: a few passes over the edges and an availability for each
// service up to MaxAvailability, which is the larger part.
func HTML(ctx context.Context, w io.Writer, g *depgraph.Graph, o HTMLOptions) error {
	if o.MaxAvailability < 0 {
		return fmt.Errorf("report: HTMLOptions.MaxAvailability is %d", o.MaxAvailability)
	}
	if g.Len() > MaxPageServices {
		return largePage(ctx, w, g, o)
	}
	data, err := newPage(ctx, g, o)
	if err != nil {
		return err
	}
	text, err := json.Marshal(data) // escapes <, > and &
	if err != nil {
		return err
	}
	title := html.EscapeString(clean(cmp.Or(o.Title, "Dependencies")))
	p := newPrinter(w)
	p.f("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
	p.f("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src '%s'; style-src '%s'; base-uri 'none'; form-action 'none'\">\n", hash(pageJS), hash(pageCSS))
	p.f("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<title>%s</title>\n", title)
	p.f("<style>%s</style>\n</head>\n<body>\n", pageCSS)
	// The head is readable without the script; the rest of the page is built by
	// it.
	p.f("<header><h1>%s</h1>%s<p id=\"verdict\">%s</p><ul id=\"health\"></ul><p id=\"summary\"></p></header>\n<main id=\"main\"><noscript>This page needs JavaScript. \"depgraph export -f markdown\" writes the same as text.</noscript></main>\n", title, about(o), html.EscapeString(pageVerdict(g, o.Findings)))
	p.f("<script type=\"application/json\" id=\"data\">%s</script>\n<script>%s</script>\n</body>\n</html>\n", text, pageJS)
	return p.w.Flush()
}

// notChecked stands for findings on a page that was made without a check.
const notChecked = "Not checked: the rules were not run for this page"

// pageVerdict is the sentence in the head. A page without findings must not read like one
// of a system that is sound.
func pageVerdict(g *depgraph.Graph, findings []depgraph.Finding) string {
	if findings == nil {
		return notChecked
	}
	return Verdict(g, findings)
}

// about is the line with date and commit, as HTML; empty if neither is given.
func about(o HTMLOptions) string {
	var parts []string
	if o.Date != "" {
		parts = append(parts, o.Date)
	}
	if o.Commit != "" {
		parts = append(parts, "commit "+o.Commit)
	}
	if parts == nil {
		return ""
	}
	return "<p id=\"about\">" + html.EscapeString(clean(strings.Join(parts, " · "))) + "</p>"
}

// hash is the source expression of CSP level 2 that allows an inline element
// with exactly this text.
func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}
