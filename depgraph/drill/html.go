package drill

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"strings"
	"time"
)

// HTML is the report as one page without external assets: the verdict, a
// timeline of every request with the fault as a band, the phases, the
// invariants, the exact rules.
// Package html/template escapes every value for where it stands; only the drawing is
// passed as it is, and SVG escapes its own text. The page has no script and loads
// nothing, so it can be attached to a ticket.
func (r *Report) HTML() ([]byte, error) {
	rules := ""
	if r.Fault.Rules != nil {
		text, err := json.MarshalIndent(r.Fault.Rules, "", "  ")
		if err != nil {
			return nil, fmt.Errorf("drill: the rules cannot be written: %w", err)
		}
		rules = string(text)
	}
	var b bytes.Buffer
	err := page.Execute(&b, map[string]any{
		"Report": r, "Sentence": r.Sentence(), "Rules": rules, "Began": r.Began.UTC().Format(time.RFC3339), "SVG": template.HTML(r.SVG()), //nolint:gosec // made of numbers and escaped text
	})
	if err != nil {
		return nil, fmt.Errorf("drill: the page: %w", err)
	}
	return b.Bytes(), nil
}

// Sizes of the drawing.
// The unit is that of the viewBox; the page scales it. The bars go from top to
// barsEnd, the line of latencies from lineTop to lineEnd, and the labels of both are
// left of left.
const (
	width, height = 960.0, 250.0
	left, right   = 62.0, 12.0
	top, barsEnd  = 26.0, 150.0
	lineTop       = 168.0
	lineEnd       = 226.0
)

// columns is how many bars the timeline has at most.
// More than that are thinner than a pixel on a phone; a drill of hours has a column
// for every few minutes.
const columns = 240

// SVG is the timeline alone: for each stretch of time the part of the requests
// that was served, failed, late and wrong, with the fault as a band; below it
// the slowest answer. It takes its colours from the page, if that sets them.
// It is complete in itself. What it draws is read from the journal, which
// may be somebody else's: times outside of the drill are moved to its edges. The
// picture's text for screen readers is the sentence.
func (r *Report) SVG() string {
	total := max(r.Seconds, 1)
	x := func(s float64) float64 { return left + (width-left-right)*min(max(s, 0), total)/total }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img" aria-label="%s" font-family="system-ui,sans-serif" font-size="11">`,
		width, height, template.HTMLEscapeString("Timeline. "+r.Sentence()))
	b.WriteString("\n")
	if r.Fault.From >= 0 && r.Fault.Until >= 0 {
		fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="var(--band,#fde2e0)"/>`+"\n", x(r.Fault.From), top-14, max(1, x(r.Fault.Until)-x(r.Fault.From)), lineEnd-top+14)
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" fill="var(--bad,#b42318)">fault in force, %d hits</text>`+"\n", x(r.Fault.From)+4, top-3, r.Fault.Hits)
	}
	most := 0.0
	for _, s := range r.Timeline {
		most = max(most, s.Max)
	}
	r.bars(&b, x, total)
	r.latency(&b, x, total, most)
	for _, l := range []struct {
		y    float64
		text string
	}{{top + 8, "100 %"}, {barsEnd, "0 %"}, {lineTop + 8, fmt.Sprintf("%.0f ms", most)}, {lineEnd, "0"}} {
		fmt.Fprintf(&b, `<text x="%g" y="%.1f" text-anchor="end" fill="var(--fg,#1c2024)">%s</text>`+"\n", left-6, l.y, l.text)
	}
	for i := range 7 {
		s := total * float64(i) / 6
		anchor := map[int]string{0: "start", 6: "end"}[i]
		if anchor == "" {
			anchor = "middle"
		}
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="var(--fg,#1c2024)">%s</text>`+"\n", x(s), height-8, anchor, clock(s))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// bars draws the outcomes, each column one stretch of time.
// The parts are stacked from below, and are of those that were asked and not
// excused. A column that has none is left white: nobody knows. x turns seconds into
// a place.
func (r *Report) bars(b *strings.Builder, x func(float64) float64, total float64) {
	step := max(1, total/columns)
	for i := 0; i < len(r.Timeline); {
		column := int(r.Timeline[i].At / step)
		from := float64(column) * step
		var sum Second
		for ; i < len(r.Timeline) && int(r.Timeline[i].At/step) == column; i++ {
			s := r.Timeline[i]
			sum.Asked += s.Asked - s.Excused
			sum.OK += s.OK
			sum.Failed += s.Failed
			sum.Slow += s.Slow
			sum.Wrong += s.Wrong
		}
		if sum.Asked == 0 {
			continue
		}
		y := barsEnd
		for _, part := range []struct {
			n            int
			fill, colour string
		}{{sum.OK, "ok", "#2f9e58"}, {sum.Slow, "slow", "#e0a100"}, {sum.Failed, "bad", "#b42318"}, {sum.Wrong, "wrong", "#7a2bbf"}} {
			h := (barsEnd - top) * float64(part.n) / float64(sum.Asked)
			if h == 0 {
				continue
			}
			y -= h
			fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="var(--%s,%s)"/>`, x(from), y, max(0.8, x(from+step)-x(from)-0.4), h, part.fill, part.colour)
		}
		b.WriteString("\n")
	}
}

// latency draws the slowest answer of each column.
// It has the same columns as bars, and its top is most, the slowest of all; with
// most 0 there is nothing to draw, nor a number to divide by.
func (r *Report) latency(b *strings.Builder, x func(float64) float64, total, most float64) {
	if most == 0 {
		return
	}
	step := max(1, total/columns)
	var points []string
	for i := 0; i < len(r.Timeline); {
		column := int(r.Timeline[i].At / step)
		from, slowest := float64(column)*step, 0.0
		for ; i < len(r.Timeline) && int(r.Timeline[i].At/step) == column; i++ {
			slowest = max(slowest, r.Timeline[i].Max)
		}
		points = append(points, fmt.Sprintf("%.1f,%.1f", x(from+step/2), lineEnd-(lineEnd-lineTop)*slowest/most))
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="var(--line,#2b5bd7)" stroke-width="1.2"/>`+"\n", strings.Join(points, " "))
}

// clock is a time since the beginning, as short as it can be.
func clock(s float64) string {
	switch {
	case s < 120:
		return fmt.Sprintf("%.0f s", s)
	case s < 7200:
		return fmt.Sprintf("%.0f min", s/60)
	}
	return fmt.Sprintf("%.1f h", s/3600)
}

// page is the template of HTML. Colours are variables with a dark variant, which the
// drawing uses, too. Verdicts and marks are words as well as colours.
var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"percent": func(f float64) string { return fmt.Sprintf("%.2f %%", 100*f) },
	"secs":    func(f float64) string { return fmt.Sprintf("%.0f", f) },
	"num":     func(f float64) string { return fmt.Sprintf("%.1f", f) },
	"at":      at,
	"mix":     mix,
}).Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Report.Title}}: {{.Report.Verdict}}</title>
<style>
:root { --bg:#fff; --fg:#1c2024; --dim:#5c6470; --rule:#dde1e6; --ok:#2f9e58; --bad:#b42318; --slow:#e0a100; --wrong:#7a2bbf; --band:#fde2e0; --line:#2b5bd7 }
@media (prefers-color-scheme: dark) { :root { --bg:#14171a; --fg:#e6e9ec; --dim:#9aa4af; --rule:#30363d; --ok:#3fb36b; --bad:#f0716a; --slow:#e8b84a; --wrong:#b98af0; --band:#3a1f1f; --line:#7aa2ff } }
body { background:var(--bg); color:var(--fg); font:16px/1.5 system-ui,sans-serif; margin:0 auto; padding:1.5rem; max-width:64rem }
h1 { font-size:1.4rem; margin:0 0 .3rem } h2 { font-size:1.05rem; margin:2rem 0 .5rem }
.verdict { font-size:1.1rem; border-left:.4rem solid var(--dim); padding:.3rem .8rem; margin:0 0 1rem }
.held { border-color:var(--ok) } .deviated, .aborted { border-color:var(--bad) } .void, .not-started { border-color:var(--slow) }
svg { width:100%; height:auto; display:block }
.wide { overflow-x:auto } table { border-collapse:collapse; width:100%; font-variant-numeric:tabular-nums }
th, td { text-align:right; padding:.25rem .6rem; border-bottom:1px solid var(--rule); white-space:nowrap } th:first-child, td:first-child, td.text, th.text { text-align:left } td.text { white-space:normal } td.mark { text-align:left }
th { color:var(--dim); font-weight:600 } .no { color:var(--bad); font-weight:600 }
pre { background:color-mix(in srgb, var(--rule) 40%, var(--bg)); padding:.8rem; overflow-x:auto; font-size:.85rem }
.key span { display:inline-block; margin-right:1.2rem; color:var(--dim) } .key i { display:inline-block; width:.8rem; height:.8rem; margin-right:.35rem; vertical-align:-.05rem }
footer { color:var(--dim); font-size:.85rem; margin-top:2rem }
@media print { body { max-width:none; padding:0 } }
</style>
<h1>{{.Report.Title}}</h1>
<p class="verdict {{.Report.Verdict}}">{{.Sentence}}</p>
{{.SVG}}
<p class="key"><span><i style="background:var(--ok)"></i>served</span><span><i style="background:var(--slow)"></i>too late</span><span><i style="background:var(--bad)"></i>failed</span><span><i style="background:var(--wrong)"></i>wrong answer</span><span><i style="background:var(--line)"></i>slowest answer</span></p>
<h2>Phases</h2>
<div class="wide"><table>
<tr><th>phase<th>seconds<th>requests<th>success<th>wrong<th>late<th>failed<th>p50 ms<th>p99 ms<th>max ms<th class="text">answered from</tr>
{{range .Report.Phases}}<tr><td>{{.Name}}<td>{{secs .From}}–{{secs .Until}}<td>{{.Asked}}<td>{{percent .Success}}<td>{{.Wrong}}<td>{{.Slow}}<td>{{.Failed}}<td>{{num .P50}}<td>{{num .P99}}<td>{{num .Max}}<td class="text">{{mix .Sources}}</tr>
{{end}}</table></div>
<h2>Invariants</h2>
<div class="wide"><table>
<tr><th>what must hold<th class="text">held<th class="text">detail</tr>
{{range .Report.Invariants}}<tr><td>{{.Name}}<td class="mark{{if not .Held}} no{{end}}">{{if .Held}}✓ yes{{else}}✗ no{{end}}<td class="text">{{.Detail}}</tr>
{{end}}</table></div>
<h2>Fault</h2>
<p>Planned from {{at .Report.Fault.From}} to {{at .Report.Fault.Until}}; seen to hit {{.Report.Fault.Hits}} times, first at {{at .Report.Fault.First}}, last at {{at .Report.Fault.Last}}. First success after it at {{at .Report.Fault.FirstSuccess}}, as before at {{at .Report.Fault.Recovered}}.</p>
{{if .Rules}}<pre>{{.Rules}}</pre>{{end}}
{{if .Report.Reasons}}<h2>Why</h2><ul>{{range .Report.Reasons}}<li>{{.}}</li>{{end}}</ul>{{end}}
<footer>Began {{.Began}}; budget {{num .Report.Budget}} ms a request; {{.Report.Environment.Go}} {{.Report.Environment.OS}}/{{.Report.Environment.Arch}}, {{.Report.Environment.CPUs}} CPUs; seed {{.Report.Seed}}; journal version {{.Report.Version}}.</footer>
</html>
`))
