package depgraph

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Options changes how declarations are compiled.
type Options struct {
	// AllowUndeclared turns a dependency on an unknown service into a service
	// with Undeclared set, instead of an error. Rule DG008 then names it.
	AllowUndeclared bool
}

// Compile checks services and builds the graph. The order of the services and
// of their dependencies does not matter. The slices are not kept or changed.
//
// The error, if any, is a Problems that lists every fault: empty names,
// duplicates, dependencies on nobody, on oneself, or twice in one phase, and
// numbers out of range.
//
// It costs a sort of the names, unless they are sorted already, and else time in
// proportion to services and dependencies.
func Compile(services []Service, o Options) (*Graph, error) {
	c := compiler{
		g:       &Graph{index: make(map[string]int32, len(services)), files: []string{""}, texts: []edgeText{{}}},
		opts:    o,
		fileIDs: map[string]int32{"": 0},
		textIDs: map[edgeText]int32{{}: 0},
	}
	// Each step stands on the one before: names get their numbers, so that the look-ups
	// have something to find; look-ups come before edges, which need all of them; and
	// rows are turned round once they are complete.
	c.vertices(services)
	c.lookUp()
	c.edges()
	// All faults are collected before any is returned: who mends a manifest wants the
	// whole list, not the next one on each run.
	if err := c.problems.err(); err != nil {
		return nil, err
	}
	c.g.reverse()
	return c.g, nil
}

// compiler builds one graph. Faults are collected in problems; after any, the graph is
// thrown away.
type compiler struct {
	g        *Graph
	opts     Options
	deps     [][]Dependency // of each vertex
	problems Problems
	dangling int
	fileIDs  map[string]int32
	textIDs  map[edgeText]int32
	resolved []int32   // vertices of all names in deps, in order; -1 if unknown
	firstOf  []int32   // offsets into resolved, by vertex
	raw      []rawEdge // edges of one service, before they are sorted
	order    []int32   // dependencies of one service, in canonical order
}

// rawEdge is an edge of the service at hand, before its row is sorted.
type rawEdge struct {
	to, group, file, line, text int32
	flags                       flag
}

// vertices numbers the services by name.
func (c *compiler) vertices(services []Service) {
	// Indices are sorted in place of services: a Service is large, and the caller's
	// slice must stay as it is.
	order := make([]int32, 0, len(services))
	for i := range services {
		s := &services[i]
		if strings.TrimSpace(s.Name) == "" {
			c.problems.addf(s.At, "a service has an empty name")
			continue
		}
		c.checkService(s)
		order = append(order, int32(i))
	}
	byName := func(a, b int32) int {
		return cmp.Or(strings.Compare(services[a].Name, services[b].Name), comparePositions(services[a].At, services[b].At))
	}
	// What was generated or exported is in order of name already, and one pass finds
	// that out.
	if !slices.IsSortedFunc(order, byName) {
		slices.SortFunc(order, byName)
	}
	edges := 0
	c.g.services = make([]Service, 0, len(order))
	c.deps = make([][]Dependency, 0, len(order))
	for _, i := range order {
		s := &services[i]
		// Of equal names the first by place stays, so that the message does not depend
		// on the order of the input either.
		if first, ok := c.g.index[s.Name]; ok {
			c.problems.addf(s.At, "service %q is declared twice; the other declaration is at %s", s.Name, c.g.services[first].At)
			continue
		}
		c.add(s)
		for d := range s.Depends {
			edges += max(1, len(s.Depends[d].AnyOf))
		}
	}
	if c.opts.AllowUndeclared {
		c.addUndeclared()
	}
	c.g.names = make([]string, len(c.g.services))
	for v := range c.g.services {
		c.g.names[v] = c.g.services[v].Name
	}
	c.reserve(edges)
}

// add gives a service the next vertex. Its dependencies are kept beside, not copied.
func (c *compiler) add(s *Service) {
	c.g.index[s.Name] = int32(len(c.g.services))
	c.g.services = append(c.g.services, *s)
	c.deps = append(c.deps, s.Depends)
	c.g.services[len(c.g.services)-1].Depends = nil
}

// addUndeclared gives every unknown name a vertex of its own.
func (c *compiler) addUndeclared() {
	// The first place that names it, by file and line, stands for the declaration that
	// is missing.
	unknown := map[string]Position{}
	for _, deps := range c.deps {
		for i := range deps {
			for _, name := range targets(&deps[i]) {
				if _, ok := c.g.index[name]; ok || name == "" {
					continue
				}
				if at, seen := unknown[name]; !seen || comparePositions(deps[i].At, at) < 0 {
					unknown[name] = deps[i].At
				}
			}
		}
	}
	if len(unknown) == 0 {
		return
	}
	for name, at := range unknown {
		c.add(&Service{Name: name, Undeclared: true, At: at})
	}
	// Vertices must be in order of name, and the new ones were appended in a map's
	// order. No two names are equal, so the result is the same each time.
	order := make([]int32, len(c.g.services))
	for i := range order {
		order[i] = int32(i)
	}
	old, oldDeps := c.g.services, c.deps
	slices.SortFunc(order, func(a, b int32) int { return strings.Compare(old[a].Name, old[b].Name) })
	c.g.services, c.deps = make([]Service, len(old)), make([][]Dependency, len(old))
	for v, i := range order {
		c.g.services[v], c.deps[v] = old[i], oldDeps[i]
		c.g.index[old[i].Name] = int32(v)
	}
}

// reserve makes room for as many edges as the declarations can give; a dependency that
// becomes two is the exception.
func (c *compiler) reserve(edges int) {
	g, n := c.g, len(c.g.services)
	g.out, g.ownGroup = make([]int32, n+1), make([]int32, n+1)
	g.to, g.flags, g.group = make([]int32, 0, edges), make([]flag, 0, edges), make([]int32, 0, edges)
	g.file, g.line, g.text = make([]int32, 0, edges), make([]int32, 0, edges), make([]int32, 0, edges)
}

// lookUp finds the vertex of every name, on all cores: in a large graph nearly
// every look-up misses the processor's caches, and nothing else takes as long.
func (c *compiler) lookUp() {
	n := len(c.deps)
	// Where each vertex's names begin has to be known before workers can write in
	// parallel: firstOf is the running sum of their numbers.
	c.firstOf = make([]int32, n+1)
	for v, deps := range c.deps {
		c.firstOf[v+1] = c.firstOf[v]
		for i := range deps {
			c.firstOf[v+1] += int32(max(1, len(deps[i].AnyOf)))
		}
	}
	c.resolved = make([]int32, c.firstOf[n])
	workers := 1
	if n >= minParallel {
		workers = runtime.GOMAXPROCS(0)
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { c.lookUpRange(n*w/workers, n*(w+1)/workers) })
	}
	wg.Wait()
}

// minParallel is the number of services from which more cores pay.
const minParallel = 5000

// lookUpRange looks up the names of the vertices from one to below another; it writes
// into its own part of resolved, so no lock is needed.
func (c *compiler) lookUpRange(from, to int) {
	// at moves through resolved in the order in which service takes the numbers out
	// again: by dependency, then by position in its any-of.
	at := c.firstOf[from]
	find := func(name string) {
		id, ok := c.g.index[name]
		if !ok {
			id = -1
		}
		c.resolved[at] = id
		at++
	}
	for v := from; v < to; v++ {
		for i := range c.deps[v] {
			d := &c.deps[v][i]
			if len(d.AnyOf) == 0 {
				find(d.On)
			}
			for _, name := range d.AnyOf {
				find(name)
			}
		}
	}
}

// edges checks the dependencies and writes the rows.
func (c *compiler) edges() {
	g := c.g
	for v := range g.services {
		// A row is complete before the next one begins, so where it begins is how much
		// there is now. raw is used again for each.
		g.out[v], g.ownGroup[v] = int32(len(g.to)), int32(len(g.groups))
		c.raw = c.raw[:0]
		c.service(int32(v))
		c.checkWaivers(int32(v))
		sortRaw(c.raw)
		c.checkRepeats(int32(v))
		for i := range c.raw {
			r := &c.raw[i]
			g.to, g.flags, g.group = append(g.to, r.to), append(g.flags, r.flags), append(g.group, r.group)
			g.file, g.line, g.text = append(g.file, r.file), append(g.line, r.line), append(g.text, r.text)
		}
	}
	// One offset more than rows ends the last one.
	g.out[len(g.services)], g.ownGroup[len(g.services)] = int32(len(g.to)), int32(len(g.groups))
}

// service appends the edges of one service to raw.
func (c *compiler) service(v int32) {
	// With one group at most, the order in which dependencies are resolved shows
	// nowhere: rows are sorted afterwards. That is nearly every service, and saves it
	// the keys of canonical.
	deps := c.deps[v]
	if c.groups(deps) < 2 {
		at := c.firstOf[v]
		for i := range deps {
			names := max(1, int32(len(deps[i].AnyOf)))
			c.resolve(v, &deps[i], c.resolved[at:at+names])
			at += names
		}
		return
	}
	// Names were looked up in the order of the declarations, so the place of each
	// dependency's numbers has to be counted. Quadratic in the dependencies of one
	// service that has several groups, which are few.
	for _, i := range c.canonical(deps) {
		at := c.firstOf[v]
		for j := range i {
			at += int32(max(1, len(deps[j].AnyOf)))
		}
		c.resolve(v, &deps[i], c.resolved[at:at+int32(max(1, len(deps[i].AnyOf)))])
	}
}

// groups counts the groups of alternatives among some dependencies.
func (c *compiler) groups(deps []Dependency) int {
	groups := 0
	for i := range deps {
		if len(deps[i].AnyOf) > 0 {
			groups++
		}
	}
	return groups
}

// canonical returns the indices of deps in an order that does not depend on
// the order of the input. Only several groups need it, as they are numbered;
// the rows are sorted anyway.
func (c *compiler) canonical(deps []Dependency) []int32 {
	c.order = c.order[:0]
	for i := range deps {
		c.order = append(c.order, int32(i))
	}
	// All that tells two groups apart in a graph: their members as a set, what is said
	// of them, and their places. Two that agree in all of it are interchangeable.
	key := func(d *Dependency) string {
		names, t := slices.Sorted(slices.Values(d.AnyOf)), textOf(d)
		return strings.Join(names, "\x00") + fmt.Sprintf("\x01%d %d %s", d.need(), d.phases(), d.At) +
			fmt.Sprintf("\x01%d", flagsOf(d)) + strings.Join([]string{t.evidence, t.breakGlass, t.fallback, t.note, t.source}, "\x00")
	}
	slices.SortStableFunc(c.order, func(a, b int32) int { return strings.Compare(key(&deps[a]), key(&deps[b])) })
	return c.order
}

// resolve appends the edges of one dependency to raw. One that says something
// about the order of starts becomes two, if it holds at another time as well:
// each edge is then either needed or only ordered, and ends at one event.
func (c *compiler) resolve(v int32, d *Dependency, ids []int32) {
	if !c.checkDependency(v, d) {
		return
	}
	// One edge is enough for what has nothing to do with the start, for what has to do
	// with nothing else, and for a need of the start that ends where one of the run
	// time does, at serving.
	rest := d.phases() &^ Startup
	if rest == d.phases() || rest == 0 || !d.Weak && d.until() == Serving {
		c.one(v, d, ids)
		return
	}
	first, second := *d, *d
	first.Phase, second.Phase = Startup, rest
	// How far the other must be, and that this only orders, are said of the start.
	second.Until, second.Weak = UntilUnknown, false
	c.one(v, &first, ids)
	c.one(v, &second, ids)
}

// one appends the edges of a dependency that needs no more splitting: one, or one for
// each member of its group, which share everything but their ends.
func (c *compiler) one(v int32, d *Dependency, ids []int32) {
	r := rawEdge{group: -1, file: c.fileID(d.At.File), line: int32(d.At.Line), text: c.textID(d), flags: flagsOf(d)}
	c.g.union |= r.flags
	if len(d.AnyOf) == 0 {
		if r.to = ids[0]; c.checkTarget(v, r.to, d, d.On) {
			c.raw = append(c.raw, r)
		}
		return
	}
	gr := group{owner: v, need: int32(d.need()), flags: r.flags, file: r.file, line: r.line, text: r.text}
	// A group that needs all of its members is as good as so many needs, and is
	// computed as such: without the flag its edges are plain. The number stays, so that
	// it is shown as it was declared.
	if d.need() < len(d.AnyOf) {
		r.flags |= fGroup
	}
	r.group = int32(len(c.g.groups))
	for i, name := range d.AnyOf {
		if r.to = ids[i]; c.checkTarget(v, r.to, d, name) {
			gr.members = append(gr.members, r.to)
			c.raw = append(c.raw, r)
		}
	}
	// Sorted for the binary searches of others, and here, since a name that is there
	// twice is then next to itself.
	slices.Sort(gr.members)
	for i := 1; i < len(gr.members); i++ {
		if gr.members[i] == gr.members[i-1] {
			c.problems.addf(d.At, "%s: any-of names %q twice", c.g.services[v].Name, c.g.services[gr.members[i]].Name)
		}
	}
	c.g.groups = append(c.g.groups, gr)
}

// sortRaw sorts a row. Most have a handful of edges, for which insertion beats
// everything with a function call for each comparison of a general sort.
func sortRaw(raw []rawEdge) {
	if len(raw) > 12 {
		slices.SortFunc(raw, compareRaw)
		return
	}
	for i := 1; i < len(raw); i++ {
		for j := i; j > 0 && compareRaw(raw[j], raw[j-1]) < 0; j-- {
			raw[j], raw[j-1] = raw[j-1], raw[j]
		}
	}
}

// compareRaw is the order of a row: by end, then group, then everything else that could
// depend on the order of the input.
func compareRaw(a, b rawEdge) int {
	if a.to != b.to {
		// Numbers of vertices are not negative, so the difference cannot overflow, and
		// this branch decides nearly always.
		return int(a.to) - int(b.to)
	}
	return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.flags, b.flags), cmp.Compare(a.line, b.line))
}

// fileID numbers the names of files, so that an edge holds a number.
func (c *compiler) fileID(name string) int32 {
	// Neighbours nearly always come from the same file.
	if last := len(c.g.files) - 1; c.g.files[last] == name {
		return int32(last)
	}
	id, ok := c.fileIDs[name]
	if !ok {
		id = int32(len(c.g.files))
		c.fileIDs[name] = id
		c.g.files = append(c.g.files, name)
	}
	return id
}

// textID numbers the texts of dependencies; 0, which most have, is none at all.
func (c *compiler) textID(d *Dependency) int32 {
	if !hasText(d) {
		return 0
	}
	t := textOf(d)
	id, ok := c.textIDs[t]
	if !ok {
		id = int32(len(c.g.texts))
		c.textIDs[t] = id
		c.g.texts = append(c.g.texts, t)
	}
	return id
}

// reverse builds the rows of incoming edges by counting.
func (g *Graph) reverse() {
	n := len(g.services)
	g.in, g.from, g.inEdge = make([]int32, n+1), make([]int32, len(g.to)), make([]int32, len(g.to))
	g.inFlags = make([]flag, len(g.to))
	// Three passes of counting, as in a counting sort: how many edges lead into each
	// vertex; where its row begins, as the sum of all before; and each edge into the
	// next free place of its row. Owners come in rising order, so every row is sorted
	// without a comparison.
	for _, w := range g.to {
		g.in[w+1]++
	}
	for v := range n {
		g.in[v+1] += g.in[v]
	}
	next := slices.Clone(g.in[:n])
	for v := range n {
		for e := g.out[v]; e < g.out[v+1]; e++ {
			i := next[g.to[e]]
			next[g.to[e]]++
			g.from[i], g.inEdge[i], g.inFlags[i] = int32(v), e, g.flags[e]
		}
	}
}

// targets are the names that a dependency leads to.
func targets(d *Dependency) []string {
	if len(d.AnyOf) > 0 {
		return d.AnyOf
	}
	return []string{d.On}
}

func itoa(n int) string { return strconv.Itoa(n) }
