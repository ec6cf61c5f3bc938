package main

import (
	"fmt"
	"html"
	"slices"
	"strings"
	"time"

	"github.com/failopen/failopen/examples/fleet/sim"
)

// cell is a run as text: percent served, restarts, recovery.
func cell(r row) string {
	s := fmt.Sprintf("%.2f", r.Served)
	if r.Restarts > 0 {
		s += fmt.Sprintf(" / %d", r.Restarts)
	}
	switch {
	case r.Never:
		s += " / never ends"
	case r.Recovery > 0:
		s += " / " + r.Recovery.String()
	}
	return s
}

func find(rows []row, scenario, platform, policy string, fleet int) (row, bool) {
	i := slices.IndexFunc(rows, func(r row) bool {
		return r.Scenario == scenario && r.Platform == platform && r.Policy == policy && r.Fleet == fleet
	})
	if i < 0 {
		return row{}, false
	}
	return rows[i], true
}

func table(rows []row) string {
	var b strings.Builder
	b.WriteString(`# A fleet in trouble: which health check makes it worse

<!-- Written by "go run ./health/cascade" in docs/benchmarks. Do not edit. -->

Ten instances, 1000 requests a second, 60 minutes of virtual time; the fault lasts from minute 5 to minute 35.
The handlers are the real ones. Each cell: percent of the requests served during the fault / restarts by the
platform / time from the end of the fault to the last failure. What is 0 is left out. The model and its limits
are in the documentation of [examples/fleet/sim](../../../examples/fleet/sim/doc.go).

![The same as a drawing](cascade.svg)

`)
	head := []string{"scenario", "platform"}
	for _, p := range policies {
		head = append(head, p.Name)
	}
	line(&b, head...)
	line(&b, slices.Repeat([]string{"---"}, len(head))...)
	for _, s := range sim.Scenarios {
		for _, platform := range sim.Platforms {
			cells := []string{s.Name, platform.Name}
			for _, p := range policies {
				r, _ := find(rows, s.Name, platform.Name, p.Name, 0)
				cells = append(cells, cell(r))
			}
			line(&b, cells...)
		}
	}
	b.WriteString("\nWhat the scenarios are:\n\n")
	for _, s := range sim.Scenarios {
		fmt.Fprintf(&b, "- **%s**: %s\n", s.Name, s.About)
	}
	b.WriteString("\n## What `Wait` and `Drain` are for\n\n")
	line(&b, "scenario", "platform", "with", "without")
	line(&b, "---", "---", "---", "---")
	for _, pair := range [][2]string{{"worker waits", sim.OursBeatOnly.Name}, {"rolling restart", sim.OursNoDrain.Name}} {
		for _, platform := range sim.Platforms {
			with, _ := find(rows, pair[0], platform.Name, sim.Ours.Name, 0)
			without, _ := find(rows, pair[0], platform.Name, pair[1], 0)
			line(&b, pair[0], platform.Name, cell(with), cell(without))
		}
	}
	b.WriteString("\n## A total outage, with the Guard, in fleets of 2 to 100\n\n")
	line(&b, "instances", "platform", "result", "ejected")
	line(&b, "---", "---", "---", "---")
	for _, r := range rows {
		if r.Fleet > 0 {
			line(&b, fmt.Sprint(r.Fleet), r.Platform, cell(r), fmt.Sprint(r.Ejected))
		}
	}
	b.WriteString("\n## How soon a dead worker loop is found\n\n")
	line(&b, "platform", "limit of the watch + 3 probes", "restarted after")
	line(&b, "---", "---", "---")
	for _, platform := range sim.Platforms {
		r, _ := find(rows, "dead worker loop", platform.Name, sim.Ours.Name, 0)
		line(&b, platform.Name, deadline(platform).String(), r.Found.String())
	}
	return b.String()
}

// deadline is how soon a dead loop has to be found: the limit of its watch, and
// three periods of the probe.
func deadline(p sim.Platform) time.Duration { return 30*time.Second + 3*p.Live.Interval }

func line(b *strings.Builder, cells ...string) {
	b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

// Sizes of the drawing, in pixels.
const (
	labelWidth, cellWidth, cellHeight = 170, 64, 26
	headHeight, gap                   = 92, 12
)

// drawing shows the table as coloured cells: blue is served, orange is not,
// which the colour-blind tell apart, too.
func drawing(rows []row) string {
	var b strings.Builder
	columns := len(policies)
	width := labelWidth + len(sim.Platforms)*(columns*cellWidth+gap) + gap
	height := headHeight + len(sim.Scenarios)*cellHeight + 40
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="12" role="img">`+"\n", width, height)
	b.WriteString("<title>Percent of requests served during a fault, by scenario, platform and health check</title>\n")
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	text := func(x, y int, anchor, color, extra, s string) {
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="%s" fill="%s"%s>%s</text>`+"\n", x, y, anchor, color, extra, html.EscapeString(s))
	}
	for i, platform := range sim.Platforms {
		left := labelWidth + i*(columns*cellWidth+gap)
		text(left+columns*cellWidth/2, 18, "middle", "#111111", ` font-weight="bold"`, platform.Name)
		for j, p := range policies {
			x := left + j*cellWidth + cellWidth/2
			text(x, headHeight-8, "start", "#111111", fmt.Sprintf(` transform="rotate(-32 %d %d)" font-size="10"`, x, headHeight-8), p.Name)
			for k, s := range sim.Scenarios {
				r, _ := find(rows, s.Name, platform.Name, p.Name, 0)
				best := 100.0
				if s.Best > 0 {
					best = 100 * s.Best
				}
				top := headHeight + k*cellHeight
				fill, ink := shade(r.Served / best)
				fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", left+j*cellWidth, top, cellWidth-2, cellHeight-2, fill)
				text(x-1, top+12, "middle", ink, ` font-size="11"`, fmt.Sprintf("%.1f", r.Served))
				if r.Restarts > 0 {
					text(x-1, top+22, "middle", ink, ` font-size="8"`, fmt.Sprintf("%d restarts", r.Restarts))
				}
			}
		}
	}
	for k, s := range sim.Scenarios {
		text(labelWidth-8, headHeight+k*cellHeight+16, "end", "#111111", "", s.Name)
	}
	text(labelWidth, height-14, "start", "#444444", ` font-size="11"`, "Percent of requests served in 30 minutes of fault. Blue: all that could be; orange: few of them.")
	b.WriteString("</svg>\n")
	return b.String()
}

// shade goes from orange (0) over white (0.9) to blue (1), with an ink that can
// be read on it.
func shade(part float64) (fill, ink string) {
	mix := func(a, b [3]float64, t float64) string {
		t = min(max(t, 0), 1)
		var c [3]int
		for i := range c {
			c[i] = int(a[i] + (b[i]-a[i])*t + 0.5)
		}
		return fmt.Sprintf("#%02x%02x%02x", c[0], c[1], c[2])
	}
	orange, white, blue := [3]float64{213, 94, 0}, [3]float64{255, 255, 255}, [3]float64{0, 114, 178}
	if part < 0.9 {
		return mix(orange, white, part/0.9), "#111111"
	}
	if part > 0.97 {
		return mix(white, blue, (part-0.9)/0.1), "#ffffff"
	}
	return mix(white, blue, (part-0.9)/0.1), "#111111"
}
