package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/examples/internal/screen"
)

// rows is the report on a terminal or in a file: a row as each phase ends. On a
// terminal the row of the present phase is drawn as it goes.
//
// One row is both services in one phase, so that the eye compares them without
// a search. On a terminal it moves; in a file there are only finished rows.
type rows struct{ *screen.Screen }

// Widths in cells: 16 + 34 + 50 are at most 100.
const (
	nameCells = 15
	barCells  = 10
	ourCells  = 35
	lineCells = 100
)

// begin is the headline, and the heads of the two columns.
func (r *rows) begin(o options) {
	r.Keep(
		fmt.Sprintf("Two services check session tokens for %d clients each. Their soft dependencies are cut, one by one.", clients),
		"",
		r.Paint(screen.Bold, strings.Repeat(" ", nameCells+1)+screen.Pad("with failopen", ourCells)+"without (as such services were written before)"),
	)
}

// phase implements watcher.
//
// The goroutine that draws has ended when the function that it returns does:
// what is kept is below what was drawn.
func (r *rows) phase(p phase, now func() [2]Phase) func([2]Phase) {
	if !r.Terminal {
		return func(both [2]Phase) { r.Keep(r.row(both)) }
	}
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			r.Draw(r.row(now()), r.Paint(screen.Dim, "  "+about(p)))
			select {
			case <-tick.C:
			case <-quit:
				return
			}
		}
	})
	return func(both [2]Phase) {
		close(quit)
		wg.Wait()
		r.Keep(r.row(both))
	}
}

// about says what is cut in a phase.
func about(p phase) string {
	if p.fault == nil {
		return "nothing is cut"
	}
	return p.fault.About
}

// row is a phase: both services side by side.
//
// What went wrong is clipped by whole entries, so that a row never wraps.
func (r *rows) row(both [2]Phase) string {
	ours, naive := both[0], both[1]
	name := " " + screen.Pad(ours.Name, nameCells)
	if !ours.FaultActive {
		name = r.Paint(screen.Dim, name)
	}
	left := r.share(ours)
	if bad := ours.troubles(); bad != "" {
		left += " " + r.Paint(screen.Red, clip(bad, ourCells-screen.Width(left)-3))
	} else {
		left += r.Paint(screen.Dim, fmt.Sprintf(" p99 %.0f ms", ours.P99))
	}
	line := name + screen.Pad(left, ourCells) + r.share(naive)
	if bad := naive.troubles(); bad != "" {
		line += " " + r.Paint(screen.Red, clip(bad, lineCells-screen.Width(line)-1))
	}
	return strings.TrimRight(line, " ")
}

// share is the part of the requests that were answered correctly.
func (r *rows) share(p Phase) string {
	colour := screen.Green
	if p.Success < 1 && p.Requests > 0 {
		colour = screen.Red
	}
	counts := fmt.Sprintf("%s/%s", screen.Count(p.Right), screen.Count(p.Requests-p.Excused))
	return r.Paint(colour, screen.Bar(p.Success, barCells)) + fmt.Sprintf(" %11s", counts)
}

// troubles names what went wrong, the most frequent first.
func (p Phase) troubles() string {
	counts := maps.Clone(p.Failures)
	for kind, n := range p.WrongKinds {
		counts["wrong: "+kind] = n
	}
	if p.ProbesFailed > 0 {
		counts["liveness"] = p.ProbesFailed
	}
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s ×%s", name, screen.Count(counts[name]))
	}
	return strings.Join(names, ", ")
}

// clip shortens a list to so many cells, by whole entries.
func clip(list string, cells int) string {
	if screen.Width(list) <= cells {
		return list
	}
	for screen.Width(list) > cells-3 {
		i := strings.LastIndex(list, ", ")
		if i < 0 {
			return "…"
		}
		list = list[:i]
	}
	return list + ", …"
}

// legend explains the words of the rows.
func (r *rows) legend() {
	r.Keep("",
		r.Paint(screen.Dim, "wrong: let in = a token that was logged out or never existed; refused = a good one; other user."),
		r.Paint(screen.Dim, "liveness = the platform's probe failed; three in a row would restart the service."), "")
}

// verdict writes it, in one sentence.
func (r *rows) verdict(report *Report) {
	colour := screen.Red
	switch report.Verdict {
	case drill.Held:
		colour = screen.Green
	case drill.NotStarted:
		colour = screen.Yellow
	}
	for _, line := range wrap(report.Sentence, lineCells) {
		r.Keep(r.Paint(colour, line))
	}
}

// wrap breaks text into lines of at most so many cells.
func wrap(text string, cells int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && screen.Width(line)+1+screen.Width(word) > cells {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimLeft(line+" "+word, " ")
	}
	return append(lines, line)
}
