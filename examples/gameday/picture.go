package main

import (
	"fmt"
	"html"
	"strings"

	"github.com/failopen/failopen/examples/internal/screen"
)

// A Slice is what became of the requests of a short stretch of time.
type Slice struct {
	At     float64 `json:"at_s"` // since the beginning
	Asked  int     `json:"asked"`
	OK     int     `json:"ok"`
	Wrong  int     `json:"wrong,omitempty"`
	Late   int     `json:"late,omitempty"`
	Failed int     `json:"failed,omitempty"`
}

// served is the part of the requests that were answered correctly and in time.
func (s Slice) served() float64 {
	if s.Asked == 0 {
		return 0
	}
	return float64(s.OK) / float64(s.Asked)
}

// A Picture shows services on one clock: for each a strip of bars, each bar the
// requests of a slice; above them what was cut when.
//
// It is plain data: both the day and the replay fill one in, and SVG draws it.
type Picture struct {
	Title, Alt, Note string
	Seconds          float64
	Bands            []Band
	Ticks            []Tick
	Strips           []Strip
}

// A Band is a stretch of time in which something was cut.
type Band struct {
	From  float64 `json:"from_s"`
	Until float64 `json:"until_s"`
	Label string  `json:"label"`
}

// A Tick is a mark on the clock.
type Tick struct {
	At    float64
	Label string
}

// A Strip is one service.
type Strip struct {
	Name, Result string
	Slices       []Slice
}

// theme is a set of colours.
type theme struct{ bg, fg, dim, rule, ok, late, bad, wrong, band string }

var (
	light = theme{"#ffffff", "#1f2328", "#59636e", "#d1d9e0", "#2da44e", "#d4a72c", "#cf222e", "#8250df", "#ffebe9"}
	dark  = theme{"#0d1117", "#e6edf3", "#9198a1", "#3d444d", "#3fb950", "#d29922", "#f85149", "#bc8cff", "#3c1618"}
)

// css is the theme as custom properties, which the drawing refers to by name.
func (t theme) css() string {
	return fmt.Sprintf("--bg:%s;--fg:%s;--dim:%s;--rule:%s;--ok:%s;--late:%s;--bad:%s;--wrong:%s;--band:%s",
		t.bg, t.fg, t.dim, t.rule, t.ok, t.late, t.bad, t.wrong, t.band)
}

// The colours of a picture: one set, or whichever the reader prefers.
var (
	lightStyle = "svg{" + light.css() + "}"
	darkStyle  = "svg{" + dark.css() + "}"
	autoStyle  = "svg{" + light.css() + "}@media(prefers-color-scheme:dark){svg{" + dark.css() + "}}"
)

// Sizes of the drawing, in its own units.
const (
	picWidth          = 960.0
	picLeft, picRight = 20.0, 20.0
	bandTop, bandHigh = 50.0, 22.0
	stripTop          = bandTop + bandHigh + 34
	stripHigh         = 74.0
	stripStep         = stripHigh + 38
)

// SVG draws the picture. Everything that is not a number of its own is escaped.
//
// It is SVG 1.1 with an inline style, without script, fonts or links, so that a
// page with a strict policy may show it; style is one of the three above, or ""
// where the page around it has the colours. Titles and labels go through
// html.EscapeString.
func (p Picture) SVG(style string) string {
	height := stripTop + stripStep*float64(len(p.Strips)) + 34
	// From seconds to the drawing's units; what lies outside is moved to the
	// edge.
	x := func(s float64) float64 {
		return picLeft + (picWidth-picLeft-picRight)*min(max(s/max(p.Seconds, 1e-9), 0), 1)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img" aria-label="%s" font-family="system-ui,-apple-system,'Segoe UI',sans-serif" font-size="14">`+"\n",
		picWidth, height, html.EscapeString(p.Alt))
	fmt.Fprintf(&b, "<style>%s</style>\n", style)
	fmt.Fprintf(&b, `<rect width="%g" height="%g" rx="8" fill="var(--bg)"/>`+"\n", picWidth, height)
	write := func(x, y float64, anchor, attrs, text string) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="%s" %s>%s</text>`+"\n", x, y, anchor, attrs, html.EscapeString(text))
	}
	write(picLeft, 30, "start", `fill="var(--fg)" font-size="18" font-weight="600"`, p.Title)
	bottom := stripTop + stripStep*float64(len(p.Strips)) - (stripStep - stripHigh)
	for _, band := range p.Bands {
		from, until := x(band.From), x(band.Until)
		fmt.Fprintf(&b, `<rect x="%.1f" y="%g" width="%.1f" height="%.1f" fill="var(--band)"/>`+"\n", from, bandTop, max(until-from-1, 1), bottom-bandTop)
		if fits := int((until - from) / 5.5); fits >= len([]rune(band.Label)) {
			write((from+until)/2, bandTop+15, "middle", `fill="var(--bad)" font-size="11"`, band.Label)
		}
	}
	for i, strip := range p.Strips {
		top := stripTop + stripStep*float64(i)
		write(picLeft, top-7, "start", `fill="var(--fg)" font-weight="600"`, strip.Name)
		write(picWidth-picRight, top-7, "end", `fill="var(--fg)"`, strip.Result)
		p.strip(&b, x, top, strip)
	}
	for _, tick := range p.Ticks {
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="var(--rule)"/>`+"\n", x(tick.At), x(tick.At), bottom+2, bottom+8)
		write(x(tick.At), bottom+22, "middle", `fill="var(--dim)" font-size="12"`, tick.Label)
	}
	p.legend(&b, height-14)
	b.WriteString("</svg>\n")
	return b.String()
}

// strip draws the bars of one service.
//
// A bar is stacked from the bottom: served, late, failed, wrong.
func (p Picture) strip(b *strings.Builder, x func(float64) float64, top float64, strip Strip) {
	for i, s := range strip.Slices {
		until := p.Seconds
		if i+1 < len(strip.Slices) {
			until = strip.Slices[i+1].At
		}
		if s.Asked == 0 { // nobody asked: all clients were waiting for answers
			fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="var(--late)" opacity=".4"/>`+"\n", x(s.At), top, max(x(until)-x(s.At)-0.8, 0.8), stripHigh)
			continue
		}
		y := top + stripHigh
		for _, part := range []struct {
			n      int
			colour string
		}{{s.OK, "ok"}, {s.Late, "late"}, {s.Failed, "bad"}, {s.Wrong, "wrong"}} {
			if part.n == 0 {
				continue
			}
			high := stripHigh * float64(part.n) / float64(s.Asked)
			y -= high
			fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="var(--%s)"/>`, x(s.At), y, max(x(until)-x(s.At)-0.8, 0.8), high, part.colour)
		}
		b.WriteByte('\n')
	}
}

// legend explains the colours that occur: two always, the others if there are
// any.
func (p Picture) legend(b *strings.Builder, y float64) {
	at := picLeft
	used := map[string]bool{"served": true, "failed": true}
	for _, strip := range p.Strips {
		for _, s := range strip.Slices {
			used["too late"] = used["too late"] || s.Late > 0
			used["wrong answer"] = used["wrong answer"] || s.Wrong > 0
		}
	}
	for _, key := range []struct{ colour, label string }{{"ok", "served"}, {"late", "too late"}, {"bad", "failed"}, {"wrong", "wrong answer"}} {
		if !used[key.label] {
			continue
		}
		fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="11" height="11" fill="var(--%s)"/><text x="%.1f" y="%.1f" fill="var(--dim)" font-size="12">%s</text>`+"\n",
			at, y-10, key.colour, at+16, y, key.label)
		at += 32 + 7*float64(len(key.label))
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="end" fill="var(--dim)" font-size="12">%s</text>`+"\n", picWidth-picRight, y, html.EscapeString(p.Note))
}

// picture shows the whole day.
//
// Bands are the faults, strips the two services; ticks are at most eight.
func (r *Report) picture() Picture {
	p := Picture{Title: "A game day: what the clients of two services saw", Alt: r.Sentence, Seconds: r.Seconds, Note: fmt.Sprintf("gameday, seed %d", r.Seed)}
	for _, service := range []string{"failopen", "naive"} {
		strip := Strip{Name: map[string]string{"failopen": "with failopen", "naive": "without"}[service]}
		for _, phase := range r.Phases {
			if phase.Service == service {
				strip.Slices = append(strip.Slices, phase.Timeline...)
			}
		}
		_, _, bad, asked := r.total(service)
		strip.Result = fmt.Sprintf("%s of %s requests failed while something was cut", screen.Count(bad), screen.Count(asked))
		p.Strips = append(p.Strips, strip)
	}
	for _, phase := range r.Phases {
		if phase.Service == "failopen" && phase.FaultActive {
			p.Bands = append(p.Bands, Band{phase.From, phase.Until, phase.Name})
		}
	}
	step := 2.0
	for r.Seconds/step > 8 {
		step += 2
	}
	for at := 0.0; at < r.Seconds; at += step {
		p.Ticks = append(p.Ticks, Tick{at, fmt.Sprintf("%.0f s", at)})
	}
	return p
}
