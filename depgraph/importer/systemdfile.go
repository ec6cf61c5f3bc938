package importer

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/failopen/failopen/depgraph"
)

// This file reads single unit files; what they mean together is in systemd.go.

// file reads one unit file or drop-in into the unit of that name. A link to another
// unit is an alias; one to /dev/null masks the unit, which is then not there. A line
// that is no setting is a warning, as in systemd's own log; one that is too long is an
// error.
//
// A backslash at the end of a line continues it (systemd.syntax(7)); comments may stand
// between the parts.
func (s *systemd) file(path, name string) error {
	if target, err := os.Readlink(path); err == nil {
		if target == "/dev/null" {
			return nil
		}
		if base := filepath.Base(target); base != name && isUnit(base) {
			s.aliases[name] = base
			return nil // the unit itself is read under its own name
		}
	}
	data, err := readFile(path)
	if err != nil {
		return err
	}
	s.result.Read++
	at := depgraph.Position{File: filepath.ToSlash(path), Line: 1}
	// A drop-in may be read before its unit; the unit's own file is its place all the
	// same.
	u := s.get(name, at)
	if !strings.HasSuffix(path, ".conf") {
		u.at = at
	}
	section, pending, begin := "", "", 0
	take := func(line string) { // one line, however many it was written in
		at.Line = begin
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[]")
		} else if key, value, ok := strings.Cut(line, "="); ok {
			u.set(section, strings.TrimSpace(key), strings.TrimSpace(value), name, at)
		} else {
			s.warnf("%s: expected NAME=VALUE; systemd leaves this line out", at)
		}
	}
	err = eachLine(path, bytes.NewReader(data), func(n int, line string) {
		if line == "" || line[0] == '#' || line[0] == ';' { // between the parts of a line, too
			return
		}
		if pending == "" {
			begin = n
		}
		if rest, more := strings.CutSuffix(line, "\\"); more {
			pending += rest + " "
			return
		}
		line, pending = pending+line, ""
		take(line)
	})
	if pending = strings.TrimSpace(pending); pending != "" && err == nil { // the file ends within a line
		take(pending)
	}
	return err
}

// set takes one setting. Sections and names are exact, as in systemd; those that say
// nothing about starting or needing are left out. Names of units are taken out of
// quotes and specifiers are replaced; what is no unit's name then is left out.
//
// at is the line where the setting begins.
func (u *unit) set(section, key, value, name string, at depgraph.Position) {
	add := func(m map[string]depgraph.Position) {
		// An empty value resets other lists, but no dependencies: see systemd.unit(5).
		for _, other := range strings.Fields(value) {
			if other = specifiers(strings.Trim(other, `"'`), name); isUnit(other) {
				m[other] = at
			}
		}
	}
	switch section + "." + key {
	case "Unit.Requires", "Unit.Requisite", "Unit.BindsTo":
		add(u.requires)
	case "Unit.Wants", "Unit.Upholds":
		add(u.wants)
	case "Unit.After":
		add(u.after)
	case "Service.Sockets":
		add(u.wants)
		add(u.after)
	case "Unit.Before":
		add(u.before)
	case "Unit.DefaultDependencies":
		u.defaults = !slices.Contains([]string{"no", "false", "0", "off"}, strings.ToLower(value))
	case "Unit.RequiresMountsFor":
		for _, path := range strings.Fields(value) {
			u.paths[filepath.Clean(specifiers(strings.Trim(path, `"'`), name))] = at
		}
	case "Mount.Where":
		u.where = value
	case "Socket.Service", "Timer.Unit", "Path.Unit":
		u.triggers = value
	}
}

// specifiers replaces %p, %i, %I, %n and %N for a unit of that name, all that
// dependencies use, and %% by %. %I is the instance with its escapes undone in systemd;
// names in dependencies need them, so they stay. Other specifiers stay as well: they
// depend on the machine.
//
// See "Specifiers" in systemd.unit(5).
func specifiers(value, name string) string {
	if !strings.Contains(value, "%") {
		return value
	}
	bare := strings.TrimSuffix(name, filepath.Ext(name))
	prefix, instance, _ := strings.Cut(bare, "@")
	return strings.NewReplacer("%p", prefix, "%i", instance, "%I", instance, "%n", name, "%N", bare, "%%", "%").Replace(value)
}

// resolveAliases puts the units in the place of the links that lead to them: in what
// others name, and for folders such as ALIAS.wants. A unit that names both is taken to
// say so once.
//
// Aliases are taken in order of name, so that of two claims the same one stays each time.
func (s *systemd) resolveAliases() {
	for _, alias := range slices.Sorted(maps.Keys(s.aliases)) {
		name := s.aliased(alias)
		if from, to := s.units[alias], s.units[name]; from != nil && to != nil && from != to { // a folder such as ALIAS.wants
			for i, m := range from.lists() {
				maps.Copy(to.lists()[i], m)
			}
			delete(s.units, alias)
		}
	}
	for _, u := range s.units {
		for _, m := range u.lists() {
			for _, other := range slices.Sorted(maps.Keys(m)) {
				name := s.aliased(other)
				if _, twice := m[name]; !twice {
					m[name] = m[other]
				}
				if name != other {
					delete(m, other)
				}
			}
		}
	}
}

// aliased follows links to a unit that is there; without one, the name stays. Links
// that go round in a circle end after maxDepth steps.
func (s *systemd) aliased(name string) string {
	to := name
	for range maxDepth {
		next, ok := s.aliases[to]
		if !ok {
			break
		}
		to = next
	}
	if s.units[to] == nil {
		return name
	}
	return to
}

// lists are the dependencies of a unit on others, in one order: resolveAliases copies
// list by list.
func (u *unit) lists() []map[string]depgraph.Position {
	return []map[string]depgraph.Position{u.requires, u.wants, u.after, u.before}
}
