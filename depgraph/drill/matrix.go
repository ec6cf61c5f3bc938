package drill

import (
	"context"
	"errors"
	"fmt"
	"html"
	"slices"
	"strings"
	"time"

	"github.com/failopen/failopen/depgraph/drill/fault"
)

// A NamedFault is one way of cutting a dependency: a column of a Matrix.
type NamedFault struct {
	Name  string       // of the column
	Rules []fault.Rule // that make the fault
}

// Faults are the ways in which a dependency on AWS, or one that speaks HTTP,
// fails: each is a class of error of its own to the client. service is what
// rules call it.
// To add one, add a row; names are columns of matrices and keys of scripts, and are
// not changed. Rows differ in what the client sees: an answer with an error (denied
// to 503), a late one, no connection (reset to blackhole), or an answer that is not
// what it should be (truncate to html).
func Faults(service string) []NamedFault {
	one := func(name string, r fault.Rule) NamedFault { return NamedFault{name, []fault.Rule{r}} }
	return []NamedFault{
		one("denied", fault.Denied(service)),
		one("expired", fault.Expired(service)),
		one("throttled", fault.Throttled(service)),
		one("no-table", fault.NoTable(service)),
		one("500", fault.InternalError(service)),
		one("503", fault.Unavailable(service)),
		one("slow", fault.Slow(service, 3*time.Second, 3*time.Second)),
		one("reset", fault.Network(service, fault.Reset)),
		one("refuse", fault.Network(service, fault.Refuse)),
		one("nxdomain", fault.Network(service, fault.NXDomain)),
		one("blackhole", fault.Network(service, fault.BlackHole)),
		one("truncate", fault.Network(service, fault.Truncate)),
		one("corrupt", fault.Network(service, fault.Corrupt)),
		one("empty", fault.Network(service, fault.Empty)),
		one("html", fault.Network(service, fault.HTML)),
	}
}

// A Cell is one drill of a matrix.
type Cell struct {
	Dependency string  `json:"dependency"`       // the one that was cut
	Fault      string  `json:"fault"`            // NamedFault.Name
	Verdict    Verdict `json:"verdict"`          // of this drill
	Reason     string  `json:"reason,omitempty"` // why, unless it held
}

// Matrix drills every dependency with every fault, one after the other, and
// returns the cells in that order. start builds the service anew for each cell,
// with the experiment that tries the rules on it, and what ends it. Run it in a
// testing/synctest bubble, where an outage of hours takes a moment. end may be
// nil. The error says which cell could not be drilled, and why; a panic in one
// of the functions is an error, and so is a matrix without a cell.
func Matrix(ctx context.Context, dependencies []string, faults func(dependency string) []NamedFault,
	start func(dependency string, rules []fault.Rule) (e Experiment, end func() error, err error),
) ([]Cell, error) {
	var cells []Cell
	for _, dependency := range dependencies {
		ways, err := namedFaults(dependency, faults)
		if err == nil && len(ways) == 0 {
			err = fmt.Errorf("drill: the faults of %s: there are none", dependency)
		}
		if err != nil {
			return cells, err
		}
		for _, f := range ways {
			c, err := cell(ctx, dependency, f, start)
			if err != nil {
				return cells, fmt.Errorf("drill: %s, %s: %w", dependency, f.Name, err)
			}
			cells = append(cells, c)
			if ctx.Err() != nil {
				return cells, ctx.Err()
			}
		}
	}
	if len(cells) == 0 {
		return nil, errors.New("drill: a matrix without a dependency proves nothing")
	}
	return cells, nil
}

// namedFaults asks for the ways in which a dependency is cut.
// faults is the user's: a panic in it is an error.
func namedFaults(dependency string, faults func(string) []NamedFault) (ways []NamedFault, err error) {
	if err = guarded(func() error { ways = faults(dependency); return nil }); err != nil {
		return nil, fmt.Errorf("drill: the faults of %s: %w", dependency, err)
	}
	return ways, nil
}

// cell is one drill of a matrix.
// The rules are copied, as start may change them. end is called even if the drill
// was refused, and its error is joined to that of the drill: a service that cannot
// be stopped would be in the way of the next cell.
func cell(ctx context.Context, dependency string, f NamedFault,
	start func(string, []fault.Rule) (Experiment, func() error, error),
) (Cell, error) {
	var e Experiment
	var end func() error
	err := guarded(func() (err error) {
		e, end, err = start(dependency, slices.Clone(f.Rules))
		return err
	})
	if err != nil {
		return Cell{}, err
	}
	r, err := Run(ctx, e)
	if end != nil {
		err = errors.Join(err, guarded(end))
	}
	if err != nil {
		return Cell{}, err
	}
	c := Cell{Dependency: dependency, Fault: f.Name, Verdict: r.Verdict}
	if len(r.Reasons) > 0 {
		c.Reason = r.Reasons[0]
	}
	return c, nil
}

// guarded calls what a user has given, and turns whatever it does into an
// error. It has no time limit: a service may take its time to start, and a drill
// to end.
func guarded(f func() error) error {
	return contained(context.Background(), maxPhase, func(context.Context) error { return f() })
}

// MatrixMarkdown is a table of the cells: a row for each fault, a column for
// each dependency, and below it why a cell deviated.
// Rows and columns are in the order in which they come in cells. A pair that was not
// tried is a dash. Of a pair that comes twice, the last verdict is in the table, and
// both reasons are below it. Names and reasons are escaped as in [Report.Markdown].
func MatrixMarkdown(cells []Cell) string {
	var dependencies, faults []string
	verdicts := map[[2]string]Verdict{}
	for _, c := range cells {
		dependencies, faults = once(dependencies, c.Dependency), once(faults, c.Fault)
		verdicts[[2]string{c.Dependency, c.Fault}] = c.Verdict
	}
	var b strings.Builder
	b.WriteString("| fault |")
	for _, d := range dependencies {
		fmt.Fprintf(&b, " %s |", escapeMarkdown(d))
	}
	fmt.Fprintf(&b, "\n|---|%s\n", strings.Repeat("---|", len(dependencies)))
	for _, f := range faults {
		fmt.Fprintf(&b, "| %s |", escapeMarkdown(f))
		for _, d := range dependencies {
			text := "–"
			if v, ok := verdicts[[2]string{d, f}]; ok {
				if text = v.String(); v != Held {
					text = "**" + text + "**"
				}
			}
			fmt.Fprintf(&b, " %s |", text)
		}
		b.WriteString("\n")
	}
	for _, c := range cells {
		if c.Verdict != Held {
			fmt.Fprintf(&b, "\n- %s, %s: %s: %s", escapeMarkdown(c.Dependency), escapeMarkdown(c.Fault), c.Verdict, escapeMarkdown(c.Reason))
		}
	}
	return b.String() + "\n"
}

// MatrixHTML is the table of [MatrixMarkdown] as a page of its own, without
// scripts and without anything from elsewhere. Verdicts differ in words as well
// as in colour.
// Every name, reason and title is escaped for HTML, and the page's content security
// policy would keep a script from running even so.
func MatrixHTML(title string, cells []Cell) string {
	var dependencies, faults []string
	byPlace := map[[2]string]Cell{}
	for _, c := range cells {
		dependencies, faults = once(dependencies, c.Dependency), once(faults, c.Fault)
		byPlace[[2]string{c.Dependency, c.Fault}] = c
	}
	esc := html.EscapeString
	var b strings.Builder
	fmt.Fprintf(&b, `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"><title>%s</title>
<style>body{font:14px system-ui,sans-serif;margin:2em}table{border-collapse:collapse}th,td{border:1px solid #8888;padding:.3em .6em;text-align:left}
.held{background:#1a7f3733}.deviated{background:#cf222e44;font-weight:bold}.void,.aborted,.not-started{background:#bf870033}</style></head>
<body><h1>%s</h1><table><thead><tr><th scope="col">fault</th>`, esc(title), esc(title))
	for _, d := range dependencies {
		fmt.Fprintf(&b, `<th scope="col">%s</th>`, esc(d))
	}
	b.WriteString("</tr></thead><tbody>\n")
	for _, f := range faults {
		fmt.Fprintf(&b, `<tr><th scope="row">%s</th>`, esc(f))
		for _, d := range dependencies {
			c, ok := byPlace[[2]string{d, f}]
			if !ok {
				b.WriteString("<td>–</td>")
				continue
			}
			fmt.Fprintf(&b, `<td class="%s">%s`, esc(c.Verdict.String()), esc(c.Verdict.String()))
			if c.Verdict != Held && c.Reason != "" {
				fmt.Fprintf(&b, "<br><small>%s</small>", esc(c.Reason))
			}
			b.WriteString("</td>")
		}
		b.WriteString("</tr>\n")
	}
	b.WriteString("</tbody></table></body></html>\n")
	return b.String()
}

// once appends s unless it is the list's already.
func once(list []string, s string) []string {
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}
