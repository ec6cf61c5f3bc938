package importer

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// This file lays one service over another, for files that override and for
// extends. All of it copies: a service that two others extend, and the base of an
// override, must stay as they are. A copy keeps its place in p.files, without which
// errors would name no file.

// normalAll checks the services of one file and notes them by name, in their normal
// form. Of several errors the first in the file is returned; the others show up once
// that one is mended.
func (p *project) normalAll(services *yaml.Node, among map[string]*yaml.Node) (first error) {
	pairs(services, func(key, s *yaml.Node) {
		if err := p.checkShapes(key.Value, s); err != nil && first == nil {
			first = err
		}
		among[key.Value] = p.normal(s)
	})
	return first
}

// normal brings the two lists that can be mappings into that form, so that they can be
// overridden by key. What is no mapping, a service that is null or reset, stays as it
// is.
func (p *project) normal(s *yaml.Node) *yaml.Node {
	if s.Kind != yaml.MappingNode {
		return s
	}
	c := *s
	c.Content = slices.Clone(s.Content)
	p.files[&c] = p.files[s]
	for i := 0; i+1 < len(c.Content); i += 2 {
		value := c.Content[i+1]
		if value.Kind != yaml.SequenceNode {
			continue
		}
		switch c.Content[i].Value {
		case "environment":
			c.Content[i+1] = p.mapping(value, func(item string) (string, string) {
				key, v, _ := strings.Cut(item, "=")
				return key, v
			})
		case "depends_on":
			c.Content[i+1] = p.mapping(value, func(item string) (string, string) { return item, "" })
		}
	}
	return &c
}

// mapping turns a list of scalars into a mapping. Each key keeps the line of its item;
// a tag that resets or overrides the list does so to the mapping. A key that the list
// has twice is there twice, and the readers take the last, as in a shell.
func (p *project) mapping(list *yaml.Node, split func(string) (key, value string)) *yaml.Node {
	m := &yaml.Node{Kind: yaml.MappingNode, Tag: list.Tag, Line: list.Line}
	if !strings.HasPrefix(m.Tag, "!re") && m.Tag != "!override" {
		m.Tag = "!!map"
	}
	p.files[m] = p.files[list]
	for _, item := range list.Content {
		key, value := split(text(item))
		k := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key, Line: item.Line}
		v := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value, Line: item.Line}
		p.files[k], p.files[v] = p.files[item], p.files[item]
		m.Content = append(m.Content, k, v)
	}
	return m
}

// replaced are sequences that an override replaces; others grow. A command of which
// half came from another file would be no command.
var replaced = []string{"command", "entrypoint", "test"}

// override lays over on top of base: mappings by key, lists one behind the other, and
// everything else replaced; !reset removes, !override replaces. See "Merge Compose
// files" in docker's documentation. base may be nil. What comes of it shares nodes with
// both, and neither is changed. O(keys of base × keys of over) for each mapping.
//
// That it copies costs memory in proportion to the files, not to their product: unchanged
// values are shared.
func (p *project) override(base, over *yaml.Node) *yaml.Node {
	if base == nil || base.Kind != yaml.MappingNode || over.Kind != yaml.MappingNode || over.Tag == "!override" {
		return p.withoutReset(over)
	}
	c := *base
	c.Content = slices.Clone(base.Content)
	p.files[&c] = p.files[base]
	// Keys keep their places; new ones go to the end, so that the order of services in
	// messages is that of the files.
	pairs(over, func(key, value *yaml.Node) {
		at := -1
		for i := 0; i+1 < len(c.Content); i += 2 {
			if c.Content[i].Value == key.Value {
				at = i
			}
		}
		switch {
		case value.Tag == "!reset":
			if at >= 0 {
				c.Content = slices.Delete(c.Content, at, at+2)
			}
		case at < 0:
			c.Content = append(c.Content, key, p.withoutReset(value))
		default:
			old := c.Content[at+1]
			if old.Kind == yaml.SequenceNode && value.Kind == yaml.SequenceNode && value.Tag != "!override" && !slices.Contains(replaced, key.Value) {
				list := *old
				list.Content = append(slices.Clone(old.Content), value.Content...)
				p.files[&list] = p.files[old]
				value = &list
			} else {
				value = p.override(old, value)
			}
			c.Content[at], c.Content[at+1] = key, value
		}
	})
	return &c
}

// withoutReset drops the keys that are reset where there is nothing to reset, at any
// depth: such a key means "whatever was here, it is gone", and without anything here it
// must not become a null.
func (p *project) withoutReset(n *yaml.Node) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return n
	}
	c := *n
	c.Content = nil
	p.files[&c] = p.files[n]
	pairs(n, func(key, value *yaml.Node) {
		if value.Tag != "!reset" {
			c.Content = append(c.Content, key, p.withoutReset(value))
		}
	})
	return &c
}

// extend lays a service over the one that it extends, from this file set or from
// another file.
//
// among holds the services that a name may mean: those of the file set as they were
// before any override, or those of the one other file; file is "" or that file, and
// keeps names of the two apart. done remembers what is extended already, trail the
// services on the way here: one that is on it extends itself.
//
// An error names the place of the field extends, and what is missing there.
func (p *project) extend(s *yaml.Node, name, file string, among map[string]*yaml.Node, done map[string]*yaml.Node, trail []string) (*yaml.Node, error) {
	key := file + "\x00" + name
	if d := done[key]; d != nil {
		return d, nil
	}
	ext := get(s, "extends")
	if ext == nil {
		done[key] = s
		return s, nil
	}
	if slices.Contains(trail, key) {
		return nil, fmt.Errorf("%s: %s extends itself", p.at(ext), name)
	}
	trail = append(slices.Clone(trail), key)
	base, other := text(get(ext, "service")), text(get(ext, "file"))
	if ext.Kind == yaml.ScalarNode {
		base = text(ext)
	}
	// Paths of extends start from the file that holds it, not from the project.
	if other != "" {
		from := p.files[ext]
		if !filepath.IsAbs(other) && from != stdin {
			other = filepath.Join(filepath.Dir(from), other)
		}
		root, err := p.parse(other, p.env)
		if err != nil {
			return nil, fmt.Errorf("%s: extends: %w", p.at(ext), err)
		}
		among, file = map[string]*yaml.Node{}, other
		if err := p.normalAll(get(root, "services"), among); err != nil {
			return nil, fmt.Errorf("%s: extends: %w", p.at(ext), err)
		}
	}
	if among[base] == nil {
		return nil, fmt.Errorf("%s: %s extends %q, which is not in %s", p.at(ext), name, base, orHere(file))
	}
	// The other service may extend a third one; it is complete before this one is laid
	// over it.
	parent, err := p.extend(among[base], base, file, among, done, trail)
	if err != nil {
		return nil, err
	}
	result := p.override(parent, s)
	done[key] = result
	return result, nil
}

// orHere names a file for an error; "" stands for the files of the project.
func orHere(file string) string {
	if file == "" {
		return "these files"
	}
	return filepath.ToSlash(file)
}
