package depgraph

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// This file is all that knows the fields of a dependency one by one: how a graph
// keeps them, how a Dependency becomes an Edge and back, and what manifests and
// exports call them. A new field is added to Dependency and Edge in model.go, here,
// to EdgeJSON in report/json.go, to depgraph.schema.json and to the guide;
// TestDependency_every_field_goes_everywhere names the place that was forgotten.

// flag is a set of properties of an edge.
type flag uint16

const (
	fStartup flag = 1 << iota // the first three bits are the Phase
	fRuntime
	fDeploy
	fSoft
	fGroup // a member of a group that can lose a member
	fControl
	fPinned
	fBreakGlass
	fLiveness
	fAssumed
	fWeak    // orders and never blocks; always with fSoft, never with fRuntime
	fStarted // with fStartup: until started; with fReady as well: until done
	fReady   // with fStartup: until ready
)

// fEarly selects startup edges that do not wait until the other one serves.
const fEarly = fStarted | fReady

// edgeText holds what few edges say, so that edges without any share one. It is
// the key of a map while a graph is compiled.
type edgeText struct{ evidence, breakGlass, fallback, note, source string }

// flagsOf packs what is asked about every edge in algorithms into one word, defaults
// filled in. A weak order is also soft, so that everything that asks for needs passes
// it by.
func flagsOf(d *Dependency) flag {
	f := flag(d.phases())
	if d.Soft {
		f |= fSoft
	}
	if d.Plane == Control {
		f |= fControl
	}
	if d.Pinned {
		f |= fPinned
	}
	if d.BreakGlass != "" {
		f |= fBreakGlass
	}
	if d.Liveness {
		f |= fLiveness
	}
	if d.Assumed {
		f |= fAssumed
	}
	if d.Weak {
		f |= fWeak | fSoft
	}
	if f&fStartup != 0 {
		f |= untilFlags(d.until())
	}
	return f
}

// hasText reports whether textOf has anything to return; most dependencies say
// nothing, and one sum is quicker than a comparison of five texts.
func hasText(d *Dependency) bool {
	return len(d.Evidence)+len(d.BreakGlass)+len(d.Fallback)+len(d.Note)+len(d.Source) > 0
}

// textOf packs the texts, in the order of edgeText.
func textOf(d *Dependency) edgeText {
	return edgeText{d.Evidence, d.BreakGlass, d.Fallback, d.Note, d.Source}
}

// dependency is the inverse of flagsOf and textOf, without what the dependency leads
// to. Defaults come back filled in, but for Until, where Serving is left unsaid.
func (g *Graph) dependency(f flag, text int32, at Position) Dependency {
	t := &g.texts[text]
	return Dependency{
		Soft: f&(fSoft|fWeak) == fSoft, Phase: Phase(f & (fStartup | fRuntime | fDeploy)), Plane: planeOf(f),
		Until: untilOf(f), Weak: f&fWeak != 0, Assumed: f&fAssumed != 0,
		Evidence: t.evidence, BreakGlass: t.breakGlass, Fallback: t.fallback, Note: t.note, Source: t.source,
		Pinned: f&fPinned != 0, Liveness: f&fLiveness != 0, At: at,
	}
}

// untilOf is the inverse of untilFlags. An edge without the phase of startup,
// and one that waits as long as it can, has UntilUnknown.
func untilOf(f flag) Until {
	switch f & fEarly {
	case fStarted:
		return Started
	case fReady:
		return Ready
	case fEarly:
		return Done
	}
	return UntilUnknown
}

// untilFlags is the step that an edge of the startup phase waits for; serving, which
// nearly all wait for, has no bit.
func untilFlags(u Until) flag {
	switch u {
	case Started:
		return fStarted
	case Ready:
		return fReady
	case Done:
		return fEarly
	}
	return 0
}

// planeOf fills the default in: what does not say control uses the data plane.
func planeOf(f flag) Plane {
	if f&fControl != 0 {
		return Control
	}
	return Data
}

// fill gives an edge what a dependency says, its ends and its group left out. It
// is called for each edge that anybody looks at, so it copies nothing twice.
func (e *Edge) fill(d *Dependency) {
	e.Soft, e.Phase, e.Plane, e.Until, e.Weak, e.Assumed = d.Soft, d.Phase, d.Plane, d.Until, d.Weak, d.Assumed
	e.Evidence, e.BreakGlass, e.Fallback, e.Pinned, e.Liveness = d.Evidence, d.BreakGlass, d.Fallback, d.Pinned, d.Liveness
	e.Note, e.Source, e.At = d.Note, d.Source, d.At
}

// dependency is the inverse of fill; the result depends on the edge's other end.
func (e *Edge) dependency() Dependency {
	return Dependency{
		On: e.To, Soft: e.Soft, Phase: e.Phase, Plane: e.Plane, Until: e.Until, Weak: e.Weak, Assumed: e.Assumed,
		Evidence: e.Evidence, BreakGlass: e.BreakGlass, Fallback: e.Fallback, Pinned: e.Pinned, Liveness: e.Liveness,
		Note: e.Note, Source: e.Source, At: e.At,
	}
}

// dependencyRow is a field of a dependency in manifests and exports.
type dependencyRow struct {
	name     string // in manifests
	exported string // in exports: the same with underscores
	// read takes the value of the field; key is the name that faults are told by.
	read func(d *decoder, dep *Dependency, key string, v *yaml.Node)
	// write returns the value as YAML; "" is the default and is left out.
	write func(m *manifestWriter, dep *Dependency) string
}

// dependencyRows are the fields in the order in which manifests are written. What
// a dependency leads to (on, to, any-of, need) is none of them, as that has rules of
// its own and another form in exports.
var dependencyRows = []dependencyRow{
	boolRow("soft", func(d *Dependency) *bool { return &d.Soft }),
	row("order", func(d *decoder, dep *Dependency, key string, v *yaml.Node) { dep.Weak = enum(d, v, key, parseOrder) },
		func(_ *manifestWriter, dep *Dependency) string {
			if dep.Weak {
				return "weak"
			}
			return ""
		}),
	row("until", func(d *decoder, dep *Dependency, key string, v *yaml.Node) { dep.Until = enum(d, v, key, ParseUntil) },
		func(_ *manifestWriter, dep *Dependency) string {
			if u := dep.until(); u != Serving {
				return u.String()
			}
			return ""
		}),
	row("phase", func(d *decoder, dep *Dependency, _ string, v *yaml.Node) { dep.Phase = d.phase(v) },
		func(_ *manifestWriter, dep *Dependency) string {
			implied := Dependency{Weak: dep.Weak, Until: dep.Until}
			if p := dep.phases(); p != implied.phases() {
				return "[" + strings.Join(p.Names(), ", ") + "]"
			}
			return ""
		}),
	boolRow("assumed", func(d *Dependency) *bool { return &d.Assumed }),
	row("plane", func(d *decoder, dep *Dependency, key string, v *yaml.Node) { dep.Plane = enum(d, v, key, ParsePlane) },
		func(_ *manifestWriter, dep *Dependency) string {
			if dep.Plane == Control {
				return Control.String()
			}
			return ""
		}),
	boolRow("pinned", func(d *Dependency) *bool { return &d.Pinned }),
	boolRow("liveness", func(d *Dependency) *bool { return &d.Liveness }),
	textRow("evidence", func(d *Dependency) *string { return &d.Evidence }),
	textRow("break-glass", func(d *Dependency) *string { return &d.BreakGlass }),
	textRow("fallback", func(d *Dependency) *string { return &d.Fallback }),
	textRow("note", func(d *Dependency) *string { return &d.Note }),
	textRow("source", func(d *Dependency) *string { return &d.Source }),
}

// The fields of a dependency in a manifest, and of an edge in an export.
var (
	dependencyFields = knownFields(func(r *dependencyRow) string { return r.name }, "on", "any-of", "to", "need")
	exportEdgeFields = knownFields(func(r *dependencyRow) string { return r.exported }, "from", "to", "file", "line", "group", "need", "of")
)

// knownFields are the names of all rows behind some others.
func knownFields(name func(*dependencyRow) string, before ...string) []string {
	for i := range dependencyRows {
		before = append(before, name(&dependencyRows[i]))
	}
	return before
}

// row is a row of the table; exports call the field by the same name with underscores.
func row(name string, read func(*decoder, *Dependency, string, *yaml.Node), write func(*manifestWriter, *Dependency) string) dependencyRow {
	return dependencyRow{name: name, exported: strings.ReplaceAll(name, "-", "_"), read: read, write: write}
}

// textRow is the row of a text; field returns the place of it in a dependency.
func textRow(name string, field func(*Dependency) *string) dependencyRow {
	return row(name,
		func(d *decoder, dep *Dependency, key string, v *yaml.Node) { *field(dep) = d.str(v, key) },
		func(m *manifestWriter, dep *Dependency) string {
			if text := *field(dep); text != "" {
				return m.quote(text)
			}
			return ""
		})
}

// boolRow is the row of a field that is true or false, the default.
func boolRow(name string, field func(*Dependency) *bool) dependencyRow {
	return row(name,
		func(d *decoder, dep *Dependency, key string, v *yaml.Node) { *field(dep) = d.boolean(v, key) },
		func(_ *manifestWriter, dep *Dependency) string {
			if *field(dep) {
				return "true"
			}
			return ""
		})
}

// parseOrder reads how strictly a start waits: strict, the default, or weak.
func parseOrder(s string) (weak bool, err error) {
	i, err := parseName("order", []string{"", "strict", "weak"}, s)
	return i == 2, err
}

// dependencyField reads one field of a dependency by its name in a manifest or, if
// exported, in an export. The caller has checked that the name is known.
func (d *decoder) dependencyField(dep *Dependency, key string, v *yaml.Node, exported bool) {
	for i := range dependencyRows {
		if r := &dependencyRows[i]; r.name == key && !exported || r.exported == key && exported {
			r.read(d, dep, key, v)
			return
		}
	}
}
