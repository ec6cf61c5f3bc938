package main

import (
	"bytes"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"strings"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/examples/internal/screen"
)

// page is a report as text with a table: Markdown, or HTML with the picture.
//
// One structure for both forms, so that they cannot say different things. The
// day and the replay each have a method that fills it in.
type page struct {
	Title, Sentence string
	Verdict         drill.Verdict
	Intro           []string
	Head            []string
	Rows            [][]string
	After           []string
	picture         Picture
}

// page is the report of the day.
func (r *Report) page() page {
	p := page{
		Title: "Game day", Sentence: r.Sentence, Verdict: r.Verdict, picture: r.picture(),
		Intro: []string{"An answer is wrong if a good token was refused, a bad one was let in (one that was logged out, for example), or the session belongs to someone else. In the picture, a pale bar means that all clients were waiting for an answer."},
		Head:  []string{"phase", "service", "requests", "correct", "wrong", "p50 ms", "p99 ms", "max ms", "local", "remote", "origin", "stale", "what went wrong"},
	}
	for _, phase := range r.Phases {
		row := []string{
			phase.Name, phase.Service, screen.Count(phase.Requests), fmt.Sprintf("%.2f%%", floor2(100*phase.Success)), fmt.Sprint(phase.Wrong),
			fmt.Sprintf("%.1f", phase.P50), fmt.Sprintf("%.1f", phase.P99), fmt.Sprintf("%.1f", phase.Max),
		}
		for _, source := range []string{"local", "remote", "origin", "stale"} {
			row = append(row, fmt.Sprintf("%.0f%%", 100*phase.Sources[source]))
		}
		p.Rows = append(p.Rows, append(row, phase.troubles()))
	}
	for _, e := range r.Verdicts {
		text := fmt.Sprintf("%s without %s: %s (%s; the fault was seen to hit %s times)", e.Service, e.Dependency, e.Verdict, strings.Join(e.Faults, ", "), screen.Count(int(e.Hits)))
		if e.Reason != "" {
			text += ". " + e.Reason
		}
		p.After = append(p.After, text)
	}
	p.After = append(p.After, fmt.Sprintf("%d clients for each service, %.0f s in all, seed %d.", clients, r.Seconds, r.Seed))
	return p
}

// save writes the report into dir.
func (r *Report) save(dir string, rows *rows) error {
	var data bytes.Buffer
	if err := r.json(&data); err != nil {
		return err
	}
	return r.page().save(dir, "gameday", data.Bytes(), rows)
}

// save writes all forms, and says where they are.
func (p page) save(dir, name string, data []byte, rows *rows) error {
	html, err := p.html()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, file := range []struct {
		ending string
		text   []byte
	}{{".json", data}, {".md", []byte(p.markdown())}, {".html", html}, {".svg", []byte(p.picture.SVG(autoStyle))}} {
		if err := os.WriteFile(filepath.Join(dir, name+file.ending), file.text, 0o644); err != nil {
			return err
		}
	}
	rows.Keep("written: " + filepath.Join(dir, name) + ".json, .md, .html and .svg")
	return nil
}

// markdown is the page in GitHub's dialect. All text in it is ours: names of
// phases and numbers.
func (p page) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n\n", p.Title, p.Sentence)
	for _, text := range p.Intro {
		fmt.Fprintf(&b, "%s\n\n", text)
	}
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(p.Head)
	fmt.Fprintf(&b, "|%s\n", strings.Repeat(" --- |", len(p.Head)))
	for _, row := range p.Rows {
		line(row)
	}
	b.WriteByte('\n')
	for _, text := range p.After {
		fmt.Fprintf(&b, "- %s\n", text)
	}
	return b.String()
}

// html is the page for a browser. html/template escapes every value; the
// picture is the one thing that is passed as it is, and SVG has escaped what is
// in it.
func (p page) html() ([]byte, error) {
	var b bytes.Buffer
	err := pageTemplate.Execute(&b, map[string]any{
		"Page": p, "SVG": template.HTML(p.picture.SVG("")), //nolint:gosec // numbers, and text that SVG escapes
		"Light": template.CSS(light.css()), "Dark": template.CSS(dark.css()),
	})
	return b.Bytes(), err
}

// pageTemplate is a page that loads nothing: its policy forbids it to. Colours
// follow the reader's preference.
var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{.Page.Title}}</title>
<style>
:root { {{.Light}}; color-scheme:light dark }
@media (prefers-color-scheme:dark) { :root { {{.Dark}} } }
body { background:var(--bg); color:var(--fg); font:16px/1.5 system-ui,sans-serif; margin:0 auto; padding:1.5rem; max-width:66rem }
h1 { font-size:1.5rem; margin:0 0 .5rem }
.verdict { font-size:1.1rem; border-left:.3rem solid var(--dim); padding:.2rem .8rem; margin:0 0 1.2rem }
.held { border-color:var(--ok) } .deviated { border-color:var(--bad) } .not-started { border-color:var(--late) }
.wide { overflow-x:auto } svg { min-width:44rem; width:100%; height:auto; display:block }
table { border-collapse:collapse; width:100%; font-size:.85rem; font-variant-numeric:tabular-nums }
th, td { text-align:right; padding:.25rem .55rem; border-bottom:1px solid var(--rule); white-space:nowrap }
th:nth-child(-n+2), td:nth-child(-n+2), th:nth-child(13), td:nth-child(13) { text-align:left }
th { color:var(--dim) } li { margin:.2rem 0 }
</style>
<h1>{{.Page.Title}}</h1>
<p class="verdict {{.Page.Verdict}}">{{.Page.Sentence}}</p>
<div class="wide">{{.SVG}}</div>
{{range .Page.Intro}}<p>{{.}}</p>
{{end}}<div class="wide"><table>
<tr>{{range .Page.Head}}<th>{{.}}{{end}}</tr>
{{range .Page.Rows}}<tr>{{range .}}<td>{{.}}{{end}}</tr>
{{end}}</table></div>
<ul>
{{range .Page.After}}<li>{{.}}
{{end}}</ul>
</html>
`))
