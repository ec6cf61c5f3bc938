package report

import (
	"html"
	"io"
	"strings"
)

// Markdown writes the runbook with boxes to tick, in GitHub Flavored Markdown.
// All text goes through md, and commands through codeSpan. The second line says
// that the file is generated, for the person who wants to edit it.
func (b *Runbook) Markdown(w io.Writer) error {
	p := newPrinter(w)
	p.f("# %s\n\nGenerated from the manifests by depgraph; change those, not this.\n", md(b.title))
	for _, line := range b.lead {
		p.f("\n%s\n", md(line))
	}
	for _, s := range b.sections {
		p.f("\n## %s\n", md(s.title))
		for _, line := range s.text {
			p.f("\n%s\n", md(line))
		}
		if len(s.steps) > 0 {
			p.f("\n")
		}
		// An item a step: its box if it is to be ticked off, the name in bold,
		// the facts, and below it how to verify.
		for _, st := range s.steps {
			box := ""
			if st.box {
				box = "[ ] "
			}
			p.f("- %s**%s**", box, md(st.name))
			if len(st.facts) > 0 {
				p.f(": %s", md(strings.Join(st.facts, "; ")))
			}
			p.f("\n")
			if st.command != "" {
				p.f("  - verify: %s\n", codeSpan(st.command))
			}
		}
	}
	return p.w.Flush()
}

// codeSpan quotes a command for Markdown: as many backquotes around it as it
// takes for none inside to end it (CommonMark 0.31, section 6.1). Inside a code
// span nothing else has a meaning, so the command can be copied as it is. A
// space on each side keeps backquotes at its ends apart from the fence, and is
// stripped by the reader.
func codeSpan(s string) string {
	s = clean(s)
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	if len(fence) > 1 || strings.HasPrefix(s, " ") {
		return fence + " " + s + " " + fence
	}
	return fence + s + fence
}

// runbookStyle is for the screen, for dark ones, and for paper, on which a
// section stays together.
const runbookStyle = `body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;color:#111;background:#fff}
h2{border-bottom:1px solid #999;margin-top:2rem}li{margin:.4rem 0}code{background:#eee;padding:.1rem .3rem;overflow-wrap:anywhere}
.facts{color:#444}label{display:inline}
@media (prefers-color-scheme:dark){body{color:#eee;background:#111}code{background:#333}.facts{color:#bbb}}
@media print{body{margin:0;max-width:none}section{break-inside:avoid}}`

// HTML writes the runbook as one page that needs no network and no script, to
// be printed or kept open. Its boxes can be ticked, and forget it when the page
// is closed. The policy allows no script and no connection; all text goes
// through html.EscapeString.
func (b *Runbook) HTML(w io.Writer) error {
	p := newPrinter(w)
	esc := func(s string) string { return html.EscapeString(clean(s)) }
	p.f("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n")
	p.f("<meta name=\"viewport\" content=\"width=device-width\"><title>%s</title>\n<style>%s</style></head><body>\n<h1>%s</h1>\n", esc(b.title), runbookStyle, esc(b.title))
	for _, line := range b.lead {
		p.f("<p>%s</p>\n", esc(line))
	}
	for _, s := range b.sections {
		p.f("<section><h2>%s</h2>\n", esc(s.title))
		for _, line := range s.text {
			p.f("<p>%s</p>\n", esc(line))
		}
		if len(s.steps) > 0 {
			p.f("<ul>\n")
		}
		for _, st := range s.steps {
			// The label makes the name part of what can be clicked.
			name := "<strong>" + esc(st.name) + "</strong>"
			if st.box {
				name = "<label><input type=\"checkbox\"> " + name + "</label>"
			}
			p.f("<li>%s", name)
			if len(st.facts) > 0 {
				p.f(" <span class=\"facts\">%s</span>", esc(strings.Join(st.facts, "; ")))
			}
			if st.command != "" {
				p.f("<br>verify: <code>%s</code>", esc(st.command))
			}
			p.f("</li>\n")
		}
		if len(s.steps) > 0 {
			p.f("</ul>\n")
		}
		p.f("</section>\n")
	}
	p.f("</body></html>\n")
	return p.w.Flush()
}
