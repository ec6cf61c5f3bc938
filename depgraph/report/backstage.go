package report

import (
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/failopen/failopen/depgraph"
)

// Backstage writes a catalog file: an entity for each service, a component for
// programs and a resource for what they use. Backstage knows no criticality and
// no soft dependency, so these are annotations; names that it does not accept
// are changed, and the service's own name is the title.
func Backstage(w io.Writer, g *depgraph.Graph) error {
	var b strings.Builder
	b.WriteString("# Written by depgraph from the manifests; change those, not this.\n")
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
	var hard, soft, all []string
	for _, e := range g.EdgesFrom(s.Name) {
		if e.Phase&^depgraph.Deploy == 0 {
			continue // a tool for shipping fixes is not what Backstage means
		}
		all = append(all, refs[e.To])
		if e.Soft || e.Weak || e.Need < e.Of {
			soft = append(soft, refs[e.To])
		} else {
			hard = append(hard, refs[e.To])
		}
	}
	soft = slices.DeleteFunc(soft, func(ref string) bool { return slices.Contains(hard, ref) })
	slices.Sort(all)
	slices.Sort(soft)
	if s.Criticality != depgraph.CriticalityUnknown || len(soft) > 0 {
		b.WriteString("  annotations:\n")
	}
	if s.Criticality != depgraph.CriticalityUnknown {
		fmt.Fprintf(b, "    depgraph/criticality: %s\n", s.Criticality)
	}
	if len(soft) > 0 {
		fmt.Fprintf(b, "    depgraph/soft: %s\n", quote(strings.Join(slices.Compact(soft), ",")))
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
	for _, ref := range slices.Compact(all) {
		fmt.Fprintf(b, "    - %s\n", quote(ref))
	}
	return err
}
