package report

import (
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/failopen/failopen/depgraph"
)

// Backstage writes a catalog file for Backstage (the descriptor format
// backstage.io/v1alpha1): an entity for each service, a component for programs
// and a resource for what they use, one YAML document each, in order of name.
// Backstage knows no criticality, kind, soft dependency, weak order or
// alternative, so these are annotations, which an import reads; names that it
// does not accept are changed, and the service's own name is the title. The
// head of the file says what is left out.
//
// Every scalar that comes from a manifest goes through depgraph.QuoteYAML, so
// that no name can end its string and begin a key. An error is one of quoting
// (text that YAML cannot hold) or the writer's; nothing is written before the
// whole file is there, so a failed quote leaves w untouched.
func Backstage(w io.Writer, g *depgraph.Graph) error {
	var b strings.Builder
	b.WriteString("# Written by depgraph from the manifests; change those, not this. It does not hold\n" +
		"# phases, planes, durations, availability, verify steps, evidence or waivers, nor\n" +
		"# what is needed for a deployment only.\n")
	// References first: an entity names others that come later in the file.
	refs := map[string]string{}
	for s := range g.Services() {
		refs[s.Name] = backstageKind(s.Kind) + ":default/" + backstageName(s.Name)
	}
	for s := range g.Services() {
		if err := backstageEntity(&b, g, &s, refs); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// backstageKind is the entity kind, in lower case as references write it. What
// nobody gave a kind counts as a program, which is what most manifests declare.
func backstageKind(k depgraph.Kind) string {
	if k == depgraph.App || k == depgraph.KindUnknown || k == depgraph.Observer {
		return "component"
	}
	return "resource"
}

// backstageName keeps what Backstage accepts in a name: runs of letters and
// digits with a single - _ . between them, at most 63 in all. What had to be
// changed gets a digest of the original, so that two names do not become one;
// so does a name with capitals, as references ignore case and "Web" would
// otherwise be "web".
func backstageName(name string) string {
	safe := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r) {
			return r
		}
		return '-'
	}, name)
	// Two signs in a row become one dash, over and over until no pair is left.
	for _, sign := range []string{"-", "_", "."} {
		for _, next := range []string{"-", "_", "."} {
			for strings.Contains(safe, sign+next) {
				safe = strings.ReplaceAll(safe, sign+next, "-")
			}
		}
	}
	safe = strings.Trim(safe, "-_.")
	if safe == name && len(safe) <= 63 && safe == strings.ToLower(name) { // references ignore case
		return safe
	}
	// At most 50 characters, a dash and 12 of the digest: 63.
	digest := sha256.Sum256([]byte(name))
	head := strings.TrimRight(safe[:min(len(safe), 50)], "-_.") // the cut may end in a sign
	return strings.TrimLeft(fmt.Sprintf("%s-%x", head, digest[:6]), "-")
}

// backstageEntity appends the YAML document of one service: its header,
// metadata with annotations, and the spec. refs maps every service of the graph
// to its reference. The first error of quoting is returned after the document
// is complete, which keeps the lines below free of error checks; the caller
// then writes nothing at all.
func backstageEntity(b *strings.Builder, g *depgraph.Graph, s *depgraph.Service, refs map[string]string) error {
	var err error
	quote := func(text string) string {
		q, e := depgraph.QuoteYAML(text)
		if e != nil && err == nil {
			err = e
		}
		return q
	}
	kind := backstageKind(s.Kind)
	// The document and its metadata. The title is there only if the name could
	// not be kept.
	fmt.Fprintf(b, "---\napiVersion: backstage.io/v1alpha1\nkind: %s\nmetadata:\n  name: %s\n", map[string]string{"component": "Component", "resource": "Resource"}[kind], quote(backstageName(s.Name)))
	if backstageName(s.Name) != s.Name {
		fmt.Fprintf(b, "  title: %s\n", quote(s.Name))
	}
	if s.Note != "" {
		fmt.Fprintf(b, "  description: %s\n", quote(s.Note))
	}
	// Annotations hold what Backstage has no field for. Their names are
	// constants of this file; only their values come from a manifest.
	all, annotations := backstageEdges(g, s, refs)
	if backstageName(s.Name) != s.Name {
		annotations = append(annotations, [2]string{"name", s.Name})
	}
	if s.Criticality != depgraph.CriticalityUnknown {
		annotations = append(annotations, [2]string{"criticality", s.Criticality.String()})
	}
	if s.Kind != depgraph.KindUnknown {
		annotations = append(annotations, [2]string{"kind", s.Kind.String()})
	}
	if len(annotations) > 0 {
		b.WriteString("  annotations:\n")
	}
	for _, a := range annotations {
		fmt.Fprintf(b, "    depgraph/%s: %s\n", a[0], quote(a[1]))
	}
	// Backstage requires an owner and a type, so there is always one.
	owner := s.Owner
	if owner == "" {
		owner = "unknown"
	}
	typ := s.Kind.String()
	switch s.Kind {
	case depgraph.KindUnknown, depgraph.App, depgraph.Observer:
		typ = "service"
	case depgraph.Datastore:
		typ = "database"
	}
	fmt.Fprintf(b, "spec:\n  type: %s\n", typ)
	if kind == "component" {
		b.WriteString("  lifecycle: production\n")
	}
	fmt.Fprintf(b, "  owner: %s\n", quote(owner))
	if len(all) > 0 {
		b.WriteString("  dependsOn:\n")
	}
	for _, ref := range all {
		fmt.Fprintf(b, "    - %s\n", quote(ref))
	}
	return err
}

// backstageEdges returns what a service depends on, as sorted references, and
// annotations (name and value, sorted by name) for what is not simply hard.
// dependsOn lists each service once, so each counts in its strongest sense:
// hard before a member of a group, that before soft, and soft before weak. What
// a group requires is written once more as "1 of a,b"; a member that is also
// needed for itself is named in "hard", or an import would take it for a mere
// alternative.
func backstageEdges(g *depgraph.Graph, s *depgraph.Service, refs map[string]string) (all []string, annotations [][2]string) {
	const hard, group, soft, weak = 3, 2, 1, 0
	// sense is the strongest sense of each reference; groups and need describe
	// the any-of groups by their number.
	sense := map[string]int{}
	groups := map[int][]string{}
	need := map[int]int{}
	for _, e := range g.EdgesFrom(s.Name) {
		ref, is := refs[e.To], hard
		switch {
		case e.Phase&^depgraph.Deploy == 0:
			continue // a tool for shipping fixes is not what Backstage means
		case e.Weak:
			is = weak
		case e.Soft:
			is = soft
		case e.Need < e.Of:
			is = group
			groups[e.Group], need[e.Group] = append(groups[e.Group], ref), e.Need
		}
		if old, ok := sense[ref]; !ok || is > old {
			sense[ref] = is
		}
	}
	all = slices.Sorted(maps.Keys(sense))
	// Soft and weak ones are lists of references. The order of this map does
	// not matter: the annotations are sorted below.
	for is, name := range map[int]string{soft: "soft", weak: "weak"} {
		if list := slices.DeleteFunc(slices.Clone(all), func(ref string) bool { return sense[ref] != is }); len(list) > 0 {
			annotations = append(annotations, [2]string{name, strings.Join(list, ",")})
		}
	}
	// Groups in order of their number, members in order of name.
	var anyOf, alone []string
	for _, id := range slices.Sorted(maps.Keys(groups)) {
		slices.Sort(groups[id])
		for _, ref := range groups[id] {
			if sense[ref] == hard {
				alone = append(alone, ref)
			}
		}
		anyOf = append(anyOf, fmt.Sprintf("%d of %s", need[id], strings.Join(groups[id], ",")))
	}
	if len(anyOf) > 0 {
		annotations = append(annotations, [2]string{"any-of", strings.Join(anyOf, "; ")})
	}
	if len(alone) > 0 { // needed for itself too
		slices.Sort(alone)
		annotations = append(annotations, [2]string{"hard", strings.Join(slices.Compact(alone), ",")})
	}
	slices.SortFunc(annotations, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return all, annotations
}
