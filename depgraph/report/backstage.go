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

// Backstage writes a catalog file: an entity for each service, a component for
// programs and a resource for what they use. Backstage knows no criticality,
// kind, soft dependency, weak order or alternative, so these are annotations,
// which an import reads; names that it does not accept are changed, and the
// service's own name is the title. The head of the file says what is left out.
func Backstage(w io.Writer, g *depgraph.Graph) error {
	var b strings.Builder
	b.WriteString("# Written by depgraph from the manifests; change those, not this. It does not hold\n" +
		"# phases, planes, durations, availability, verify steps, evidence or waivers, nor\n" +
		"# what is needed for a deployment only.\n")
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

func backstageKind(k depgraph.Kind) string {
	if k == depgraph.App || k == depgraph.KindUnknown || k == depgraph.Observer {
		return "component"
	}
	return "resource"
}

// backstageName keeps what Backstage accepts in a name: letters, digits and
// single - _ . inside, at most 63. What had to be changed gets a digest, so
// that two names do not become one.
func backstageName(name string) string {
	safe := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r) {
			return r
		}
		return '-'
	}, name)
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
	digest := sha256.Sum256([]byte(name))
	return strings.TrimLeft(fmt.Sprintf("%s-%x", safe[:min(len(safe), 50)], digest[:6]), "-_.")
}

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
	fmt.Fprintf(b, "---\napiVersion: backstage.io/v1alpha1\nkind: %s\nmetadata:\n  name: %s\n", map[string]string{"component": "Component", "resource": "Resource"}[kind], quote(backstageName(s.Name)))
	if backstageName(s.Name) != s.Name {
		fmt.Fprintf(b, "  title: %s\n", quote(s.Name))
	}
	if s.Note != "" {
		fmt.Fprintf(b, "  description: %s\n", quote(s.Note))
	}
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

// backstageEdges returns what a service depends on, sorted, and annotations for
// what is not simply hard: each service in its strongest sense.
func backstageEdges(g *depgraph.Graph, s *depgraph.Service, refs map[string]string) (all []string, annotations [][2]string) {
	const hard, group, soft, weak = 3, 2, 1, 0
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
	for is, name := range map[int]string{soft: "soft", weak: "weak"} {
		if list := slices.DeleteFunc(slices.Clone(all), func(ref string) bool { return sense[ref] != is }); len(list) > 0 {
			annotations = append(annotations, [2]string{name, strings.Join(list, ",")})
		}
	}
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
