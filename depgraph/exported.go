package depgraph

import (
	"math"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// ExportVersion is the version of the JSON form of a graph, which "depgraph
// export -f json" writes and ParseManifest reads. A field that is added does
// not change it; one that is removed or means something else does.
const ExportVersion = 1

// The fields of an export; a test keeps them together with those that are
// written.
var (
	exportFields        = []string{"version", "services", "edges"}
	exportServiceFields = []string{"service", "owner", "kind", "criticality", "target", "own", "start_seconds", "verify", "note", "source", "undeclared", "waivers", "file", "line"}
)

// isExport reports whether a document is a whole graph, not one service.
//
// It decides before anything is read, by the names of fields alone; what is wrong inside is
// told in the terms of the form that it looks like.
func isExport(n *yaml.Node) bool {
	if n.Kind != yaml.MappingNode {
		return false
	}
	// A manifest may one day have a field "services"; what has "service" is a service.
	services, service := false, false
	for i := 0; i+1 < len(n.Content); i += 2 {
		services = services || n.Content[i].Value == "services"
		service = service || n.Content[i].Value == "service"
	}
	return services && !service
}

// exportReader turns the services and edges of an export into declarations.
// They keep the places that the export names, so that a finding points to the
// manifest and not to the copy.
type exportReader struct {
	*decoder
	// By name, the place of a service among those of the decoder; by number, the group
	// that is being put together; and the numbers in order of their first edges.
	index  map[string]int
	groups map[exportGroup]*Dependency
	order  []exportGroup
}

// exportGroup names a group of alternatives: its number, counted for each service.
type exportGroup struct {
	from  string
	group int
}

// exportEdge is one edge as it is read, before it is added to its owner.
type exportEdge struct {
	from, to string
	group    int // from 1 among those of from; 0: it is no member
	dep      Dependency
}

// export reads a whole graph. Services come first whatever the order in the file, as
// edges are added to them; groups are put together last, once all their members have
// been seen.
func (d *decoder) export(n *yaml.Node) {
	r := exportReader{decoder: d, index: map[string]int{}, groups: map[exportGroup]*Dependency{}}
	d.exported = true
	// The fields are only noted: edges need the services of their owners, which a
	// hand-made file may have further down.
	var services, edges *yaml.Node
	d.fields(n, "export", exportFields, func(key string, v *yaml.Node) {
		switch key {
		case "version":
			if got := d.integer(v, key); got != ExportVersion {
				d.problems.addf(d.at(v), "version: this program reads version %d of an exported graph, and found %s", ExportVersion, v.Value)
			}
		case "services":
			services = v
		case "edges":
			edges = v
		}
	})
	if services != nil && services.Kind == yaml.ScalarNode && services.Tag == "!!null" {
		d.problems.addf(d.at(services), "services: is empty; want a list of services, or a manifest that begins with \"service: NAME\"")
	}
	for _, item := range r.list(services, "services") {
		r.service(item)
	}
	for _, item := range r.list(edges, "edges") {
		r.edge(item)
	}
	// In order of their first edges; Compile numbers them anew.
	for _, k := range r.order {
		s := &d.services[r.index[k.from]]
		s.Depends = append(s.Depends, *r.groups[k])
	}
}

// list returns the items of a field; null is a list without any, as some languages
// write it.
func (r *exportReader) list(n *yaml.Node, field string) []*yaml.Node {
	if n == nil || n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.wrongType(n, field, "a list")
		return nil
	}
	return n.Content
}

// place reads one half of a position.
//
// Lines beyond 2^30 are refused, so that positions fit everywhere.
func (r *exportReader) place(at *Position, key string, v *yaml.Node) {
	if key == "file" {
		at.File = r.str(v, key)
		return
	}
	line, err := strconv.Atoi(v.Value)
	if v.Kind != yaml.ScalarNode || v.Tag != "!!int" || err != nil || line < 0 || line > 1<<30 {
		r.wrongType(v, key, "the number of a line")
		return
	}
	at.Line = line
}

// service reads one service of the export, with the place that it had in its manifest.
//
// Fields of availability are flat here, and start is a number of seconds: JSON for programs
// has no durations.
func (r *exportReader) service(n *yaml.Node) {
	if n = r.follow(n); n == nil {
		return
	}
	var s Service
	ok := r.fields(n, "services", exportServiceFields, func(key string, v *yaml.Node) {
		switch key {
		case "service":
			s.Name = r.str(v, key)
		case "owner":
			s.Owner = r.str(v, key)
		case "kind":
			s.Kind = enum(r.decoder, v, key, ParseKind)
		case "criticality":
			s.Criticality = enum(r.decoder, v, key, ParseCriticality)
		case "target":
			s.Availability.Target = r.percent(v, key)
		case "own":
			s.Availability.Own = r.percent(v, key)
		case "start_seconds":
			s.Start = r.seconds(v, key)
		case "verify":
			s.Verify = r.str(v, key)
		case "note":
			s.Note = r.str(v, key)
		case "source":
			s.Source = r.str(v, key)
		case "undeclared":
			s.Undeclared = r.boolean(v, key)
		case "waivers":
			s.Waivers = r.waivers(v)
		case "file", "line":
			r.place(&s.At, key, v)
		}
	})
	// Without the place of a manifest, the place is that in the export.
	if s.At.File == "" {
		s.At = r.at(n)
	}
	if ok && s.Name == "" {
		r.problems.addf(r.at(n), "services: the field \"service\" with the name is missing")
	}
	// Of two with one name the first gets the edges; Compile will report both.
	if _, ok := r.index[s.Name]; !ok {
		r.index[s.Name] = len(r.services)
	}
	r.services = append(r.services, s)
}

// seconds reads a duration as a number of seconds, rounded to the nanosecond.
func (r *exportReader) seconds(v *yaml.Node, field string) time.Duration {
	f, err := strconv.ParseFloat(v.Value, 64)
	if v.Kind != yaml.ScalarNode || v.Tag != "!!int" && v.Tag != "!!float" || err != nil {
		r.wrongType(v, field, "a number of seconds")
		return 0
	}
	if !(f >= 0 && f <= maxStart.Seconds()) {
		r.problems.addf(r.at(v), "%s is %s; it is a number of seconds between 0 and %v", field, v.Value, maxStart.Seconds())
		return 0
	}
	return time.Duration(math.Round(f * float64(time.Second)))
}

// edge reads one edge and adds it to its owner's dependencies, or to its group.
//
// Only the owner must be there; where an edge leads is checked by Compile.
func (r *exportReader) edge(n *yaml.Node) {
	if n = r.follow(n); n == nil {
		return
	}
	var e exportEdge
	ok := r.fields(n, "edges", exportEdgeFields, func(key string, v *yaml.Node) { r.edgeField(&e, key, v) })
	if !ok {
		return
	}
	if e.dep.At.File == "" {
		e.dep.At = r.at(n)
	}
	i, known := r.index[e.from]
	switch {
	case e.from == "" || e.to == "":
		r.problems.addf(r.at(n), `edges: "from" or "to" is missing`)
	case !known:
		r.problems.addf(r.at(n), "edges: %q is not among the services of this export", e.from)
	// "need" is written for members of groups, and without a group means nothing.
	case e.group == 0:
		e.dep.On, e.dep.Need = e.to, 0
		r.services[i].Depends = append(r.services[i].Depends, e.dep)
	default:
		k := exportGroup{e.from, e.group}
		if r.groups[k] == nil {
			// Members share everything but their ends, so the first one stands for the
			// group.
			r.groups[k] = &e.dep
			r.order = append(r.order, k)
		}
		r.groups[k].AnyOf = append(r.groups[k].AnyOf, e.to)
	}
}

// edgeField reads one field of an edge: where it leads and stands here, the rest by the
// table of fields.go.
func (r *exportReader) edgeField(e *exportEdge, key string, v *yaml.Node) {
	switch key {
	case "from":
		e.from = r.str(v, key)
	case "to":
		e.to = r.str(v, key)
	case "group":
		e.group = r.integer(v, key)
	case "of":
		r.integer(v, key) // the members that are there are counted; this one is for other readers
	case "need":
		e.dep.Need = r.integer(v, key)
	case "file", "line":
		r.place(&e.dep.At, key, v)
	default:
		if key == "plane" && v.Value == "" { // the export writes every plane; "" is the default
			return
		}
		r.dependencyField(&e.dep, key, v, true)
	}
}
