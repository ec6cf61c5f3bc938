package importer

import (
	"cmp"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/failopen/failopen/depgraph"
	"go.yaml.in/yaml/v3"
)

// Backstage reads catalog files. Components and resources become services;
// dependsOn and dependencyOf become edges, and so does consumesApis, to the
// component that provides the API. The annotations that depgraph's own export
// writes say the rest: names, kinds, criticality, and which edges are soft, weak
// or alternatives.
func Backstage(paths ...string) (*Result, error) {
	b := backstage{builder: newBuilder(), names: map[string]string{}, providers: map[string][]string{}}
	files, err := expand(paths, isYAML)
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		data, err := readFile(name)
		if err != nil {
			return nil, err
		}
		b.result.Read++
		// Each document is parsed alone, so that a fault costs one entity: a catalog is
		// written by many hands.
		for _, part := range split(data) {
			docs, err := parseYAML(name, part)
			if err != nil {
				b.warnf("%s; the entity is left out", err)
				b.skip("entities that cannot be read: " + filepath.ToSlash(name))
				continue
			}
			for _, doc := range docs {
				b.collect(doc)
			}
		}
	}
	// Names need all entities, and relations need all names.
	b.assignNames()
	for i := range b.entities {
		b.relations(&b.entities[i])
	}
	b.result.Unknown = []string{
		"Imported from " + allShown(paths) + ". Backstage does not know which",
		"dependencies are soft, when they are needed, or how critical a service is: every",
		"dependency is hard until you say \"soft: true\", unless depgraph wrote the catalog.",
		"Nor does it know availability or start durations.",
	}
	return b.finish(), nil
}

// backstage holds the entities until all files are read, as a reference may lead to any
// of them. References are complete, "kind:namespace/name" in lower case.
type backstage struct {
	*builder
	entities  []entity
	names     map[string]string   // full reference -> service
	providers map[string][]string // API -> references of components
}

// entity is one Component or Resource.
//
// kind, namespace and name are in lower case; own is the name that was noted by depgraph's
// export, or name.
type entity struct {
	doc                   document
	root, spec            *yaml.Node
	kind, namespace, name string
	own                   string // the name of the service
}

// ref is the complete reference to the entity.
func (e *entity) ref() string { return e.kind + ":" + e.namespace + "/" + e.name }

// collect takes one document. Only components and resources become services: systems,
// groups, domains, APIs and locations cannot be down by themselves, so they are counted
// and left out. Names are compared in lower case, as Backstage does.
func (b *backstage) collect(doc document) {
	kind := strings.ToLower(text(get(doc.root, "kind")))
	e := entity{
		doc: doc, root: doc.root, spec: get(doc.root, "spec"), kind: kind, namespace: orDefault(text(get(doc.root, "metadata", "namespace"))),
		name: strings.ToLower(text(get(doc.root, "metadata", "name"))),
	}
	e.own = cmp.Or(e.annotation("name"), e.name)
	switch {
	case kind != "component" && kind != "resource":
		b.skip("entities of kind " + cmp.Or(kind, "(none)") + ": " + cmp.Or(e.name, doc.at(doc.root).String()))
		return
	case e.name == "":
		b.warnf("%s: an entity without a name; skipped", doc.at(doc.root))
		return
	}
	b.entities = append(b.entities, e)
	for _, api := range b.list(&e, "providesApis") {
		ref := parseRef(text(api), "api", e.namespace)
		b.providers[ref] = append(b.providers[ref], e.ref())
	}
}

// annotation returns what depgraph's export noted under "depgraph/KEY", or "".
func (e *entity) annotation(key string) string {
	return text(get(e.root, "metadata", "annotations", "depgraph/"+key))
}

// orDefault is a namespace as Backstage compares it.
func orDefault(namespace string) string {
	if namespace == "" {
		return "default"
	}
	return strings.ToLower(namespace)
}

// list returns the references in a field of an entity. What is no list, a single
// reference for example, is left out with a warning.
//
// A field that is absent or null is an empty list.
func (b *backstage) list(e *entity, field string) []*yaml.Node {
	n := get(e.spec, field)
	if n != nil && n.Kind != yaml.SequenceNode && !isNull(n) {
		b.warnf("%s: %s: expected a list; it is left out", e.doc.at(n), field)
	}
	return items(n)
}

// parseRef completes "[kind:][namespace/]name" and puts it in lower case. As in
// Backstage, the namespace is that of the entity which holds the reference; kind is the
// one that the field implies, "" where none does.
//
// See "Entity references" in Backstage's documentation.
func parseRef(s, kind, namespace string) string {
	s = strings.ToLower(s)
	if k, rest, ok := strings.Cut(s, ":"); ok {
		kind, s = k, rest
	}
	if n, rest, ok := strings.Cut(s, "/"); ok {
		namespace, s = n, rest
	}
	return kind + ":" + namespace + "/" + s
}

// assignNames gives each entity a service: by its bare name where that is unique, else
// by the full reference. Of an entity that is declared twice the first description
// counts, and the relations of both. What depgraph noted comes before what the type
// suggests.
func (b *backstage) assignNames() {
	count := map[string]int{}
	for _, e := range b.entities {
		count[e.own]++
	}
	for i := range b.entities {
		e := &b.entities[i]
		name := e.own
		if count[name] > 1 {
			name = e.ref()
		}
		if _, twice := b.names[e.ref()]; twice {
			b.warnf("%s: %s is declared twice; the first one counts for its description", e.doc.at(e.root), e.ref())
			continue
		}
		b.names[e.ref()] = name
		s := b.service(name, e.doc.at(e.root))
		_, owner, _ := strings.Cut(parseRef(text(get(e.spec, "owner")), "group", e.namespace), "/")
		if owner != "unknown" { // what a catalog says that must have an owner
			s.Owner = owner
		}
		s.Kind = backstageKind(e.kind, strings.ToLower(text(get(e.spec, "type"))))
		b.noted(e, s)
		if lifecycle := text(get(e.spec, "lifecycle")); lifecycle != "" {
			s.Note = "lifecycle " + lifecycle
		}
	}
}

// noted reads what depgraph's export notes of a service.
//
// A word that depgraph does not know is a warning with the words that it knows.
func (b *backstage) noted(e *entity, s *depgraph.Service) {
	var err error
	if kind := e.annotation("kind"); kind != "" {
		if s.Kind, err = depgraph.ParseKind(kind); err != nil {
			b.warnf("%s: depgraph/kind: %s", e.doc.at(e.root), err)
		}
	}
	if criticality := e.annotation("criticality"); criticality != "" {
		if s.Criticality, err = depgraph.ParseCriticality(criticality); err != nil {
			b.warnf("%s: depgraph/criticality: %s", e.doc.at(e.root), err)
		}
	}
}

// senses says which references of an entity are soft, weak or hard, and which are
// members of groups of alternatives, by what depgraph's export noted; the groups are
// claimed on the spot. "2 of component:a,component:b,component:c" is one group, a
// semicolon stands between two. A group that makes no sense is a warning, and its
// members stay hard: a note of ours that somebody edited must not make an edge soft by
// mistake.
func (b *backstage) senses(e *entity) (claims map[string]claim, groups map[string]bool) {
	claims, groups = map[string]claim{}, map[string]bool{}
	for _, noted := range []struct { // what is noted twice is what stands further down: hard outweighs all
		key string
		claim
	}{
		{"weak", claim{start: depgraph.Serving, weak: true}},
		{"soft", claim{start: depgraph.Serving, runtime: true, soft: true}},
		{"hard", hardBoth},
	} {
		for _, ref := range strings.Split(e.annotation(noted.key), ",") {
			if ref != "" {
				claims[parseRef(ref, "", e.namespace)] = noted.claim
			}
		}
	}
	anyOf := e.annotation("any-of")
	if anyOf == "" {
		return claims, groups
	}
	own := b.names[e.ref()]
	for _, group := range strings.Split(anyOf, ";") {
		number, list, ok := strings.Cut(strings.TrimSpace(group), " of ")
		need, err := strconv.Atoi(number)
		var names []string
		for _, ref := range strings.Split(list, ",") {
			name, known := b.names[parseRef(strings.TrimSpace(ref), "", e.namespace)]
			ok = ok && known
			names = append(names, name)
		}
		if !ok || err != nil || need < 1 || need > len(names) {
			b.warnf("%s: depgraph/any-of: expected \"1 of component:a,component:b\", found %q; these are hard", e.doc.at(e.root), strings.TrimSpace(group))
			continue
		}
		if edge := b.dependAny(own, names, hardBoth, "any-of", group, e.doc.at(e.root)); edge != nil {
			edge.need = max(edge.need, need) // of the same ones twice, the more counts
		}
		for _, ref := range strings.Split(list, ",") {
			groups[parseRef(strings.TrimSpace(ref), "", e.namespace)] = true
		}
	}
	return claims, groups
}

// backstageKind guesses the kind of a service from its type in lower case, which is
// free text in Backstage: a word in it is enough, and of several the first one here
// counts. What a component is called does not matter; it is a program.
//
// What depgraph noted overrides it.
func backstageKind(kind, typ string) depgraph.Kind {
	switch {
	case kind == "component":
		return depgraph.App
	case strings.Contains(typ, "database"), strings.Contains(typ, "bucket"), strings.Contains(typ, "cache"), strings.Contains(typ, "storage"):
		return depgraph.Datastore
	case strings.Contains(typ, "queue"), strings.Contains(typ, "topic"), strings.Contains(typ, "kafka"):
		return depgraph.Queue
	case strings.Contains(typ, "cluster"):
		return depgraph.Infra
	}
	return depgraph.KindUnknown
}

// relations claims the edges of one entity: dependsOn with the sense that was noted for
// it, dependencyOf the other way round, and consumesApis to every component that
// provides the API. An API call is needed at run time; nothing is said about the start.
func (b *backstage) relations(e *entity) {
	own := b.names[e.ref()]
	claims, groups := b.senses(e)
	for _, n := range b.list(e, "dependsOn") {
		target, ref := b.target(e, n), parseRef(text(n), "", e.namespace)
		// What is a member of a noted group needs no edge of its own, unless it was
		// noted as one as well.
		c, noted := claims[ref]
		if target == "" || groups[ref] && !noted {
			continue
		}
		if !noted {
			c = hardBoth
		}
		b.depend(own, target, c, "dependsOn", text(n), e.doc.at(n))
	}
	for _, n := range b.list(e, "dependencyOf") {
		if from := b.target(e, n); from != "" {
			b.depend(from, own, hardBoth, "dependencyOf", text(n), e.doc.at(n))
		}
	}
	for _, n := range b.list(e, "consumesApis") {
		providers := slices.Clone(b.providers[parseRef(text(n), "api", e.namespace)])
		slices.Sort(providers)
		if len(providers) == 0 {
			b.warnf("%s: nobody provides the API %s that %s consumes", e.doc.at(n), text(n), own)
		}
		for _, p := range providers {
			b.depend(own, b.names[p], hardRuntime, "consumesApis", text(n), e.doc.at(n))
		}
	}
}

// target resolves a reference to the name of a service, or to "" with a warning. One to
// a component or resource that is not in these files becomes a service of its own, so
// that the edge is not lost.
//
// Its name is the bare one, or the complete reference if another service has that.
func (b *backstage) target(e *entity, n *yaml.Node) string {
	if !strings.Contains(text(n), ":") {
		b.warnf("%s: the reference %q needs a kind, such as component:%s; the edge is left out", e.doc.at(n), text(n), text(n))
		return ""
	}
	ref := parseRef(text(n), "", e.namespace)
	if name, ok := b.names[ref]; ok {
		return name
	}
	kind, rest, _ := strings.Cut(ref, ":")
	if kind != "component" && kind != "resource" {
		b.warnf("%s: %s is neither a component nor a resource; the edge is left out", e.doc.at(n), text(n))
		return ""
	}
	_, name, _ := strings.Cut(rest, "/")
	if name == "" {
		b.warnf("%s: the reference %q has no name; the edge is left out", e.doc.at(n), text(n))
		return ""
	}
	if b.services[name] != nil {
		name = ref
	}
	b.names[ref] = name
	b.service(name, e.doc.at(n)).Note = "named by others, not in the catalog files"
	return name
}
