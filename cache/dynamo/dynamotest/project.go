package dynamotest

import (
	"maps"
	"slices"
)

// project is what paths select of an item; nil selects everything. Of a list,
// the selected elements stand one after another, in their order.
//
// Values are shared with it, containers are new where something was left out.
func (it item) project(only []path) item {
	if only == nil {
		return it
	}
	selected := &value{kind: "M", m: it}
	out := selected.project(only)
	if out == nil {
		return item{}
	}
	return out.m
}

// project is what paths select of a document, and nil if there is nothing.
//
// It groups the paths by their first step and goes down once for each, O(size
// of what is selected). A path that leads nowhere selects nothing, and is no
// error; a document of which nothing is left is left out.
func (v *value) project(only []path) *value {
	if v == nil || slices.ContainsFunc(only, func(p path) bool { return len(p) == 0 }) {
		return v
	}
	deeper := map[step][]path{} // what is selected below each member
	for _, p := range only {
		deeper[p[0]] = append(deeper[p[0]], p[1:])
	}
	switch v.kind {
	case "M":
		m := map[string]*value{}
		for s, rest := range deeper {
			if inner := v.m[s.name].project(rest); s.name != "" && inner != nil {
				m[s.name] = inner
			}
		}
		if len(m) > 0 {
			return &value{kind: "M", m: m}
		}
	case "L":
		var list []value
		steps := slices.SortedFunc(maps.Keys(deeper), func(a, b step) int { return a.index - b.index })
		for _, s := range steps {
			if s.name != "" || s.index >= len(v.list) {
				continue
			}
			if inner := v.list[s.index].project(deeper[s]); inner != nil {
				list = append(list, *inner)
			}
		}
		if list != nil {
			return &value{kind: "L", list: list}
		}
	}
	return nil
}
