package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/failopen/failopen/depgraph"
)

// BlastText writes a blast radius: four lists, each with its number, the worst
// first and empty ones too, as "0 down" is an answer. Below them stand what
// rests on guesses and what nothing is known about.
//
// The words are those of depgraph.Blast; lists are wrapped to the width of the terminal.
func BlastText(w io.Writer, b *depgraph.Blast, o ...TextOptions) error {
	p := newPrinter(w, o...)
	verb := "fails"
	if len(b.Of) > 1 {
		verb = "fail"
	}
	p.f("if %s %s:\n", join(b.Of), verb)
	// The four states of depgraph.Blast, in the order in which they hurt.
	for _, l := range []struct {
		what  string
		names []string
	}{
		{"down", b.Down},
		{"degraded", b.Degraded},
		{"redundancy lost", b.RedundancyLost},
		{"cannot restart", b.CannotStart},
	} {
		p.list(fmt.Sprintf("  %-16s %4d  ", l.what, len(l.names)), l.names)
	}
	if len(b.Assumed) > 0 {
		p.list("  only if assumed edges are right: ", b.Assumed)
	}
	if len(b.Unknown) > 0 {
		p.list("  run time unknown, declared for startup only: ", b.Unknown)
	}
	return p.w.Flush()
}

// ImpactText writes how many others each service takes down, the worst first;
// ties stay in the order of names. counts has a number for each name, as
// Graph.BlastAll returns them.
//
// Services that take nobody down are there as well, with 0.
func ImpactText(w io.Writer, names []string, counts []int) error {
	if err := sameLength(names, counts); err != nil {
		return err
	}
	p := newPrinter(w)
	order := make([]int, len(names))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(counts[b], counts[a]) })
	for _, i := range order {
		p.f("%6d  %s\n", counts[i], clean(names[i]))
	}
	return p.w.Flush()
}

// maxImportance is how many rows of what costs availability are printed as
// text; those behind them cost seconds.
const maxImportance = 20

// AvailText writes an availability, what costs it, and what was assumed. Doubts
// about declared numbers come first, as everything below is wrong if they are
// right. The line of the result says how much it is worth:
//
//   - unknown, if nothing is declared: then nothing else is printed but what
//     to declare;
//   - at most so much, if some services are not declared, as they count as
//     perfect;
//   - exact;
//   - an estimate, with its error and certain bounds.
func AvailText(w io.Writer, a *depgraph.Avail, o ...TextOptions) error {
	p := newPrinter(w, o...)
	declared, of := a.Declared()
	for _, doubt := range a.Doubts {
		p.f("warning: %s\n", clean(doubt))
	}
	// Availability is a share from 0 to 1; a year is that of depgraph.
	down := minutes((1 - a.Availability) * depgraph.MinutesPerYear)
	switch {
	// Nothing declared: the number would be 100 %, exactly, and mean nothing.
	case declared == 0:
		p.f("%s: unknown: 0 of %d availabilities declared\n", clean(a.Service), of)
		p.f("  write \"availability: {own: 99.9}\" into the manifests of what it needs, most of all of:\n")
		p.list("  ", a.Assumed)
		return p.w.Flush()
	case a.Exact && declared < of:
		p.f("%s: at most %s, at least %s down a year (exact for what is declared: %d of %d)\n", clean(a.Service), Percent(a.Availability), down, declared, of)
	case a.Exact:
		p.f("%s: %s (exact), %s down a year\n", clean(a.Service), Percent(a.Availability), down)
	default:
		p.f("%s: %s, an estimate (standard error %.2g, certainly between %s and %s)\n", clean(a.Service),
			Percent(a.Availability), a.StdErr, Percent(a.Low), Percent(a.High))
	}
	if a.Target > 0 {
		verdict := "kept"
		if a.Availability < a.Target {
			verdict = "missed"
		}
		p.f("target %s: %s\n", Percent(a.Target), verdict)
	}
	if len(a.Importance) > 0 {
		p.f("what costs it, a year:\n")
		// The most costly first, as depgraph sorts them.
		for i, imp := range a.Importance {
			if i == maxImportance {
				p.f("  ... and %d more\n", len(a.Importance)-maxImportance)
				break
			}
			p.f("  %10s  %s\n", minutes(imp.MinutesPerYear), clean(imp.Service))
		}
	}
	for _, s := range a.Savings {
		p.f("softening %s -> %s saves %s a year\n", clean(s.Edge.From), clean(s.Edge.To), minutes(s.MinutesPerYear))
	}
	if len(a.Assumed) > 0 {
		p.list(fmt.Sprintf("no availability declared, counted as always up (%d): ", len(a.Assumed)), a.Assumed)
	}
	p.f("assumptions:\n")
	for _, line := range Assumptions {
		p.f("  - %s\n", line)
	}
	return p.w.Flush()
}

// Percent prints an availability, a share from 0 to 1, with as many nines as it
// has and two more digits: 99.95%, 99.9999%. At most nine digits are printed,
// and zeros at the end are not. What is below 1 never prints as 100%, which
// would claim that nothing can fail.
func Percent(a float64) string {
	digits := 2
	// Each nine behind the point is worth one more digit.
	for x := 1 - a; x > 0 && x < 0.1 && digits < 9; x *= 10 {
		digits++
	}
	s := fmt.Sprintf("%.*f", digits, 100*a)
	if a < 1 && strings.HasPrefix(s, "100.") {
		return "99.999999999%"
	}
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s + "%"
}

// minutes prints a duration in minutes as whole minutes or, below one, as
// seconds: more digits would claim what nobody knows.
func minutes(m float64) string {
	switch {
	case m >= 1:
		return fmt.Sprintf("%.0f min", m)
	case m >= 1.0/60:
		return fmt.Sprintf("%.0f s", m*60)
	}
	return "< 1 s"
}
