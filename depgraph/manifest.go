package depgraph

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/failopen/failopen/depgraph/internal/yamlfault"
)

// ParseManifest reads the services of one manifest: YAML with any number of
// documents, or, if the name ends in .json, any number of JSON values. A
// document is one service, a list of them, or a whole graph as "depgraph
// export -f json" writes it. The name appears in positions.
//
// The error is a Problems with every fault of the file. Nothing is skipped:
// an unknown field, a wrong type or a duplicate key is a fault.
//
// What is read is one file's view: that names lead anywhere, and that nothing is declared
// twice, is checked by Compile. Escapes, aliases and anchors of YAML work; merge keys do not.
func ParseManifest(name string, data []byte) ([]Service, error) {
	d := decoder{file: name, budget: maxAliasNodes}
	d.parse(data)
	if err := d.problems.err(); err != nil {
		return nil, err
	}
	return d.services, nil
}

// maxAliasNodes bounds how many nodes a file may reach through YAML aliases,
// which can otherwise unfold a few lines into billions of nodes.
const maxAliasNodes = 10_000

// decoder turns the nodes of one file into services. It keeps going after a
// fault, to report all of them in one run.
//
// Each method reads one node, reports what is wrong with it in problems, and returns the
// zero value then. Policies are read by the same methods.
type decoder struct {
	file string
	// What has been read, in order of the file.
	services []Service
	problems Problems
	budget   int
	exported bool // a graph was read, which may be empty
}

// parse reads all documents of the file in the form that its name says. A file without
// any service is at fault: it is probably not the one that was meant.
func (d *decoder) parse(data []byte) {
	d.guard(func() {
		var err error
		if strings.EqualFold(filepath.Ext(d.file), ".json") {
			err = jsonDocuments(data, d.document)
		} else {
			err = yamlDocuments(data, d.document)
		}
		if err != nil {
			d.syntax(data, err)
		} else if len(d.services) == 0 && len(d.problems) == 0 && !d.exported {
			d.problems.addf(Position{File: d.file, Line: 1}, "no service here; a manifest begins with \"service: NAME\"")
		}
	})
}

// guard makes a panic a fault of the file: the YAML parser has panicked on hostile input
// before. What has been read by then is refused with the rest.
func (d *decoder) guard(read func()) {
	defer func() {
		if p := recover(); p != nil {
			d.problems.addf(Position{File: d.file}, "the parser failed: %v", p)
		}
	}()
	read()
}

// yamlDocuments calls each with the root of every document; one without content is left
// out.
func yamlDocuments(data []byte, each func(*yaml.Node)) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if len(doc.Content) > 0 {
			each(doc.Content[0])
		}
	}
}

// syntax reports an error of a parser with its line. The position says where, so the
// message does not.
func (d *decoder) syntax(data []byte, err error) {
	line, msg := yamlfault.Place(data, err)
	var j *jsonError
	if errors.As(err, &j) {
		line = j.line
	}
	d.problems.addf(Position{File: d.file, Line: line}, "cannot parse: %s", msg)
}

// document takes one document in whichever form it has: a list of services, an export
// of a whole graph, or a service.
//
// An empty one, as a "---" at the end leaves it, is passed over.
func (d *decoder) document(n *yaml.Node) {
	switch n = d.follow(n); {
	case n == nil, n.Kind == yaml.ScalarNode && n.Tag == "!!null":
	case n.Kind == yaml.SequenceNode:
		for _, item := range n.Content {
			d.service(item)
		}
	case isExport(n):
		d.export(n)
	default:
		d.service(n)
	}
}

// follow resolves an alias, within the budget.
//
// nil means that there is nothing to be read here, and that a fault has been reported.
func (d *decoder) follow(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		// Told once, when the budget is met; from then on every alias is as good as
		// absent, and the file is refused anyway.
		d.budget--
		if d.budget == 0 {
			d.problems.addf(d.at(n), "the file's aliases unfold to more than %d nodes", maxAliasNodes)
		}
		if d.budget <= 0 || n.Alias == nil {
			return nil
		}
		n = n.Alias
	}
	return n
}

// at is the place of a node.
func (d *decoder) at(n *yaml.Node) Position { return Position{File: d.file, Line: n.Line} }

// fields calls set for every key of a mapping.
//
// set gets known keys alone, each once, with aliases resolved. what names the mapping in
// faults. The result is false if n is no mapping at all.
func (d *decoder) fields(n *yaml.Node, what string, known []string, set func(key string, value *yaml.Node)) bool {
	if n.Kind != yaml.MappingNode {
		d.wrongType(n, what, "a mapping with "+strings.Join(known, ", "))
		return false
	}
	// An array on the stack that the fields of any mapping here fit into: this is
	// called for every service and dependency, and a map would be most of its cost.
	var seen [24]string
	used := seen[:0]
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], d.follow(n.Content[i+1])
		if value == nil {
			continue
		}
		if !slices.Contains(known, key.Value) || key.Kind != yaml.ScalarNode {
			d.unknownField(key, what, known)
			continue
		}
		if slices.Contains(used, key.Value) {
			d.problems.addf(d.at(key), "%s: field %q appears twice", what, key.Value)
			continue
		}
		used = append(used, key.Value)
		set(key.Value, value)
	}
	return true
}

// unknownField reports a field that there is not, with the likeliest reason: a typing
// error, or a habit from elsewhere.
func (d *decoder) unknownField(key *yaml.Node, what string, known []string) {
	msg := fmt.Sprintf("%s: unknown field %q", what, key.Value)
	switch {
	case key.Kind != yaml.ScalarNode: // YAML allows anything for a key
		msg = fmt.Sprintf("%s: a field has %s for a name; it takes %s", what, describe(key), strings.Join(known, ", "))
	case key.Value == "<<":
		msg += "; merge keys are not supported"
	case key.Value == "hard":
		msg += `; a dependency is hard unless it says "soft: true"`
	default:
		if near := nearest(key.Value, known); near != "" {
			msg += fmt.Sprintf("; did you mean %q?", near)
		} else {
			msg += "; it takes " + strings.Join(known, ", ")
		}
	}
	d.problems.addf(d.at(key), "%s", msg)
}

// wrongType reports a value of another type than the field has.
func (d *decoder) wrongType(n *yaml.Node, field, want string) {
	d.problems.addf(d.at(n), "%s: expected %s, found %s", field, want, describe(n))
}

// maxShownValue is how many bytes of a value a message shows.
const maxShownValue = 40

// describe says what was found instead, in words and not too long. A value is cut between
// two letters: half of one would be shown as an escape.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	value := n.Value
	if len(value) > maxShownValue {
		cut := maxShownValue
		for cut > 0 && !utf8.RuneStart(value[cut]) {
			cut--
		}
		value = value[:cut] + "..."
	}
	switch n.Tag {
	case "!!null":
		return "nothing"
	case "!!int", "!!float":
		return "the number " + value
	case "!!bool":
		return "the boolean " + value
	}
	return strconv.Quote(value)
}

// The fields of a manifest; the JSON Schema is tested against them.
var (
	serviceFields      = []string{"service", "owner", "kind", "criticality", "availability", "start", "verify", "note", "source", "waivers", "depends"}
	availabilityFields = []string{"target", "own"}
)

// service reads one service. After a fault it reads on, and the service is kept as far
// as it goes: the error will refuse the file, and more of its faults are found.
//
// The place of a service is that of its name, not of the first line of its document.
func (d *decoder) service(n *yaml.Node) {
	if n = d.follow(n); n == nil {
		return
	}
	s := Service{At: d.at(n)}
	named := false
	ok := d.fields(n, "service", serviceFields, func(key string, v *yaml.Node) {
		switch key {
		case "service":
			s.Name, named = d.str(v, key), true
			// The line of the name, which is where a reader looks.
			s.At = d.at(v)
			if strings.TrimSpace(s.Name) == "" && v.Kind == yaml.ScalarNode && v.Tag == "!!str" {
				d.problems.addf(d.at(v), "service: the name is empty")
			}
		case "owner":
			s.Owner = d.str(v, key)
		case "kind":
			s.Kind = enum(d, v, key, ParseKind)
		case "criticality":
			s.Criticality = enum(d, v, key, ParseCriticality)
		case "availability":
			s.Availability = d.availability(v)
		case "start":
			s.Start = d.duration(v, key)
		case "verify":
			s.Verify = d.str(v, key)
		case "note":
			s.Note = d.str(v, key)
		case "source":
			s.Source = d.str(v, key)
		case "waivers":
			s.Waivers = d.waivers(v)
		case "depends":
			s.Depends = d.dependencies(v)
		}
	})
	if ok && !named {
		d.problems.addf(d.at(n), "service: the field \"service\" with the name is missing")
	}
	d.services = append(d.services, s)
}

// availability reads both percentages; faults carry the name of the whole field.
func (d *decoder) availability(n *yaml.Node) (a Availability) {
	d.fields(n, "availability", availabilityFields, func(key string, v *yaml.Node) {
		percent := d.percent(v, "availability."+key)
		if key == "target" {
			a.Target = percent
		} else {
			a.Own = percent
		}
	})
	return a
}

// dependencies reads the list of them. Each is read in its place in the slice: a large
// system has far more dependencies than services.
func (d *decoder) dependencies(n *yaml.Node) []Dependency {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		d.wrongType(n, "depends", `a list of dependencies, each "- on: NAME"`)
		return nil
	}
	// The capacity is exact, so the pointer to the last one stays valid.
	deps := make([]Dependency, 0, len(n.Content))
	for _, item := range n.Content {
		if item = d.follow(item); item != nil {
			deps = append(deps, Dependency{At: d.at(item)})
			d.dependency(item, &deps[len(deps)-1])
		}
	}
	return deps
}

// dependency reads one item of depends into its place. What it leads to is checked
// here, since only the nodes tell "need: 0" from no need at all; the rest is in the
// table of fields.go.
//
// dep.At is set already.
func (d *decoder) dependency(n *yaml.Node, dep *Dependency) {
	var on, anyOf, need *yaml.Node
	ok := d.fields(n, "depends", dependencyFields, func(key string, v *yaml.Node) {
		switch key {
		case "on", "to": // YAML 1.1 reads the key "on" as a boolean
			if on != nil {
				d.problems.addf(d.at(v), `depends: "on" and "to" mean the same; it takes one of them`)
			}
			dep.On, on = d.str(v, key), v
		case "any-of":
			dep.AnyOf, anyOf = d.strs(v, "any-of"), v
		case "need":
			dep.Need, need = d.integer(v, key), v
		default:
			d.dependencyField(dep, key, v, false)
		}
	})
	if !ok {
		return
	}
	switch {
	case on == nil && anyOf == nil:
		d.problems.addf(dep.At, `depends: "on" or "any-of" is missing`)
	case on != nil && anyOf != nil:
		d.problems.addf(d.at(anyOf), `depends: "on" and "any-of" exclude each other`)
	case anyOf != nil && anyOf.Kind == yaml.SequenceNode && len(dep.AnyOf) == 0:
		d.problems.addf(d.at(anyOf), "any-of: the list is empty")
	case need != nil && dep.Need < 1 && need.Kind == yaml.ScalarNode:
		d.problems.addf(d.at(need), "need: expected a number from 1 to the size of any-of, found %s", need.Value)
	}
}

// phase reads one name or a list of them; an empty list would mean the default, which
// nobody who writes it means.
func (d *decoder) phase(n *yaml.Node) (all Phase) {
	if n.Kind == yaml.ScalarNode {
		return enum(d, n, "phase", ParsePhase)
	}
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		d.problems.addf(d.at(n), "phase: the list is empty; expected startup, runtime, deploy, or a list of them")
		return 0
	}
	if n.Kind != yaml.SequenceNode {
		d.wrongType(n, "phase", "startup, runtime, deploy, or a list of them")
		return 0
	}
	for _, item := range n.Content {
		if item = d.follow(item); item != nil {
			all |= enum(d, item, "phase", ParsePhase)
		}
	}
	return all
}

// str reads a text. A number or a boolean is refused, since YAML may have changed it
// already: 010 is 8.
func (d *decoder) str(n *yaml.Node, field string) string {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		want := "a string"
		if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
			want = "a string (put it in quotes)"
		}
		d.wrongType(n, field, want)
		return ""
	}
	return n.Value
}

// strs reads a list of texts.
//
// Texts that cannot be read are in the list as "", so that its length stays right.
func (d *decoder) strs(n *yaml.Node, field string) []string {
	if n.Kind != yaml.SequenceNode {
		d.wrongType(n, field, "a list of names")
		return nil
	}
	all := make([]string, 0, len(n.Content))
	for _, item := range n.Content {
		if item = d.follow(item); item != nil {
			all = append(all, d.str(item, field))
		}
	}
	return all
}

// boolean reads true or false, in the spellings of YAML 1.2.
//
// yes and no, which YAML 1.1 takes for booleans, are refused as the texts that they are.
func (d *decoder) boolean(n *yaml.Node, field string) bool {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
		d.wrongType(n, field, "true or false")
	}
	return n.Value == "true" || n.Value == "True" || n.Value == "TRUE"
}

// integer reads a whole number; after a fault it returns 1, so that a quorum that could
// not be read is no second fault.
func (d *decoder) integer(n *yaml.Node, field string) int {
	i, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || err != nil {
		d.wrongType(n, field, "a whole number")
		return 1
	}
	return i
}

// percent reads a number above 0, up to 100. The condition is written so that NaN fails
// it.
//
// 0 is refused, since it would mean "not said".
func (d *decoder) percent(n *yaml.Node, field string) float64 {
	f, err := strconv.ParseFloat(n.Value, 64)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" && n.Tag != "!!float" || err != nil {
		d.wrongType(n, field, "a percentage such as 99.95")
		return 0
	}
	if !(f > 0 && f <= 100) {
		d.problems.addf(d.at(n), "%s is %s; it is a percentage above 0, up to 100", field, n.Value)
		return 0
	}
	return f
}

// duration reads a Go duration, up to maxStart: sums over long paths must not overflow.
func (d *decoder) duration(n *yaml.Node, field string) time.Duration {
	t, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		d.wrongType(n, field, "a duration with a unit, such as 12s or 1m30s")
		return 0
	}
	if t < 0 || t > maxStart {
		d.problems.addf(d.at(n), "%s is %s; it is a duration between 0 and %s", field, n.Value, maxStart)
		return 0
	}
	return t
}

// enum parses a scalar with one of the Parse functions.
//
// parse has the words of its error, a hint at the nearest name included.
func enum[T any](d *decoder, n *yaml.Node, field string, parse func(string) (T, error)) T {
	var zero T
	s := d.str(n, field)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		return zero
	}
	v, err := parse(s)
	if err != nil {
		d.problems.addf(d.at(n), "%s", err)
		return zero
	}
	return v
}
