package importer

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// shape says what the value of a field may be; several bits are alternatives.
// A value of another shape would say nothing, and what it means would be lost.
//
// Docker refuses the same values, by a JSON Schema; this is the small part of it that the
// import relies on.
type shape int

const (
	word      shape = 1 << iota // a scalar
	words                       // a list of scalars
	pathList                    // a list of scalars, or of mappings with a path
	wordMap                     // a mapping to scalars
	objectMap                   // a mapping to mappings, or to nothing
	object                      // any mapping
)

// String names the shapes for the error about another one.
func (s shape) String() string {
	var all []string
	for i, name := range []string{"a text", "a list of texts", "a list of files", "a mapping to texts", "a mapping to mappings", "a mapping"} {
		if s&(1<<i) != 0 {
			all = append(all, name)
		}
	}
	return strings.Join(all, " or ")
}

// composeShapes are the fields of a service that the import looks at; what is not here
// is ignored in any shape. A new field that compose.go reads needs a row: without one,
// a value of the wrong shape would silently be no edge.
var composeShapes = map[string]shape{
	"image": word, "container_name": word, "hostname": word, "network_mode": word, "ipc": word, "pid": word,
	"links": words, "external_links": words, "volumes_from": words, "profiles": words,
	"depends_on": words | objectMap, "environment": words | wordMap, "env_file": word | pathList,
	"networks": words | objectMap, "extends": word | object, "healthcheck": object,
}

// checkShapes returns an error for the first field of a service that has a
// shape which docker compose refuses as well.
//
// The error names file, line, service and field, and what was expected.
func (p *project) checkShapes(name string, s *yaml.Node) (err error) {
	if isNull(s) || strings.HasPrefix(s.Tag, "!reset") {
		return nil
	}
	if s.Kind != yaml.MappingNode {
		return fmt.Errorf("%s: %s: expected a mapping", p.at(s), name)
	}
	pairs(s, func(key, value *yaml.Node) {
		want, ok := composeShapes[key.Value]
		if ok && err == nil && !isNull(value) && value.Tag != "!reset" && !want.fits(value) {
			err = fmt.Errorf("%s: %s: %s: expected %s", p.at(value), name, key.Value, want)
		}
	})
	return err
}

// fits reports whether a node has one of the shapes. Within lists and mappings one
// level is looked at, which is as deep as these fields go.
//
// An empty list or mapping fits every shape of its sort.
func (s shape) fits(n *yaml.Node) bool {
	switch n.Kind {
	case yaml.ScalarNode:
		return s&word != 0
	case yaml.SequenceNode:
		return s&(words|pathList) != 0 && each(n.Content, func(item *yaml.Node) bool {
			return item.Kind == yaml.ScalarNode || s&pathList != 0 && get(item, "path") != nil
		})
	}
	// It is a mapping: what its values are decides which kind of mapping.
	var values []*yaml.Node
	pairs(n, func(_, value *yaml.Node) { values = append(values, value) })
	return s&object != 0 ||
		s&wordMap != 0 && each(values, func(v *yaml.Node) bool { return v.Kind == yaml.ScalarNode }) ||
		s&objectMap != 0 && each(values, func(v *yaml.Node) bool { return v.Kind == yaml.MappingNode || isNull(v) || v.Tag == "!reset" })
}

// each reports whether ok holds for all of them; for none it does.
func each(all []*yaml.Node, ok func(*yaml.Node) bool) bool {
	for _, n := range all {
		if !ok(n) {
			return false
		}
	}
	return true
}

// isNull reports whether a node says nothing: null, "~", nothing behind the colon, or a
// reset, which takes away what an earlier file says.
func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && (n.Tag == "!!null" || n.Tag == "!reset")
}
