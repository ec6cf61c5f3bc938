package depgraph

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Running says how far each service is. What it does not name is down.
type Running map[string]RunState

// RunState is how far a service is in its start, in order.
type RunState uint8

// The states of a service.
const (
	IsDown    RunState = iota
	IsStarted          // launched; its own start is not over
	IsReady            // its own start is over: its health check passes
	IsServing          // and all that it needs at run time serves
	IsDone             // a job that has ended well; more than which nobody waits for
)

var runStateNames = []string{"down", "started", "ready", "serving", "done"}

// String returns down, started, ready, serving or done.
func (s RunState) String() string { return nameOf(runStateNames, int(s)) }

// ParseRunState is the inverse of RunState.String.
func ParseRunState(s string) (RunState, error) {
	for i, n := range runStateNames {
		if s == n {
			return RunState(i), nil
		}
	}
	return IsDown, notOneOf("state", runStateNames, s)
}

// ParseRunning reads who is up, in one of three forms: a list of names, each
// as far as anyone can wait for it; an object of names and states, where true
// means the same and false means down; or what "docker compose ps --all
// --format json" prints, one object a line. A container without a health check
// counts as serving once it runs.
func ParseRunning(data []byte) (Running, error) {
	r := Running{}
	dec := json.NewDecoder(bytes.NewReader(data))
	for documents := 0; ; documents++ {
		var raw json.RawMessage
		if err := dec.Decode(&raw); errors.Is(err, io.EOF) && documents > 0 {
			return r, nil
		} else if err != nil {
			return nil, fmt.Errorf("depgraph: who is running: line %d: %w", lineAt(data, dec.InputOffset(), err), cmp.Or(emptyIs(err), err))
		}
		if err := r.document(raw); err != nil {
			return nil, fmt.Errorf("depgraph: who is running: line %d: %w", lineAt(data, dec.InputOffset()-int64(len(raw)), nil), err)
		}
	}
}

// lineAt counts lines up to an offset, or to where the syntax is wrong.
func lineAt(data []byte, offset int64, err error) int {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		offset = max(offset, syntax.Offset)
	}
	return 1 + bytes.Count(data[:min(max(offset, 0), int64(len(data)))], []byte("\n"))
}

func emptyIs(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the input is empty")
	}
	return nil
}

var errRunning = errors.New("expected a list of names, an object of names and states, or the containers of docker compose ps")

func (r Running) document(raw json.RawMessage) error {
	if string(raw) == "null" {
		return errRunning
	}
	var names []string
	if json.Unmarshal(raw, &names) == nil {
		for _, n := range names {
			if err := r.set(n, IsDone); err != nil {
				return err
			}
		}
		return nil
	}
	var containers []composeContainer
	if json.Unmarshal(raw, &containers) == nil {
		for _, c := range containers {
			if err := r.container(c); err != nil {
				return err
			}
		}
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return errRunning
	}
	if _, ok := fields["Service"]; ok {
		var c composeContainer
		if err := json.Unmarshal(raw, &c); err != nil {
			return err
		}
		return r.container(c)
	}
	return r.object(raw)
}

// object reads names and states one by one: a map would hide a name that is
// there twice.
func (r Running) object(raw json.RawMessage) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		var value any
		if err := dec.Decode(&value); err != nil {
			return err
		}
		name, _ := key.(string)
		state := IsDown
		switch v := value.(type) {
		case bool:
			if v {
				state = IsDone
			}
		case string:
			if state, err = ParseRunState(v); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		default:
			return fmt.Errorf("%s: expected true, false, or one of %s", name, strings.Join(runStateNames, ", "))
		}
		if err := r.set(name, state); err != nil {
			return err
		}
	}
	return nil
}

// set notes one that is named: it cannot be in two states.
func (r Running) set(name string, s RunState) error {
	if strings.TrimSpace(name) == "" {
		return errors.New("a name is empty")
	}
	if old, ok := r[name]; ok && old != s {
		return fmt.Errorf("%s is %s and %s", name, old, s)
	}
	r[name] = s
	return nil
}

type composeContainer struct {
	Service, State, Health string
	ExitCode               int
}

// container notes one. Of several of a service the furthest counts, and one
// that runs counts more than one that has ended: a job is not done while it
// runs again.
func (r Running) container(c composeContainer) error {
	if c.Service == "" {
		return errors.New("a container has no Service")
	}
	s := IsDown
	switch {
	case c.State == "running" && (c.Health == "" || c.Health == "healthy"):
		s = IsServing
	case c.State == "running":
		s = IsStarted
	case c.State == "exited" && c.ExitCode == 0:
		s = IsDone
	}
	rank := func(s RunState) int {
		return slices.Index([]RunState{IsDown, IsDone, IsStarted, IsReady, IsServing}, s)
	}
	if old, ok := r[c.Service]; !ok || rank(s) > rank(old) {
		r[c.Service] = s
	}
	return nil
}

// Hold is one step of what holds a service: it waits for an edge.
type Hold struct {
	Edge Edge // the edge that holds it up
	// State is how far the service at the end of the edge is, and Wanted how far
	// it must be.
	State, Wanted RunState
}

// Blocked says what keeps a service from serving.
type Blocked struct {
	Service string   // its name
	State   RunState // how far it comes
	// Chain is a shortest way from the service to something that holds it and is
	// not held itself; to where a circle closes if there is no such thing.
	Chain []Hold
	// Root is what has to be looked at first, and RootState how far it is. It is
	// "" if there is nothing but services that wait for each other.
	Root      string
	RootState RunState
	// Circle are the edges of services that wait for each other, if the service
	// will not serve although all Roots do.
	Circle []Edge
	// Roots are all services that hold it and are not held themselves, by name.
	Roots []string
	// Unknown are names in the state that the graph does not have.
	Unknown []string
}

// WhyBlocked finds what keeps a service from serving, given who is up.
func (g *Graph) WhyBlocked(name string, running Running) (*Blocked, error) {
	v, ok := g.index[name]
	if !ok {
		return nil, g.unknown(name)
	}
	b := &Blocked{Service: name, State: running[name]}
	for n := range running {
		if !g.Has(n) {
			b.Unknown = append(b.Unknown, n)
		}
	}
	slices.Sort(b.Unknown)
	if b.State >= IsServing {
		return b, nil
	}
	w := waiting{g: g, running: running, from: map[goal]step{}}
	w.search(goal{v, IsServing}, b)
	return b, nil
}

// goal is how far a service must be.
type goal struct {
	v    int32
	want RunState
}

type step struct {
	prev goal
	edge int32
}

type waiting struct {
	g       *Graph
	running Running
	from    map[goal]step
	order   []goal
	stuck   map[goal]bool
}

func (w *waiting) state(v int32) RunState { return w.running[w.g.names[v]] }

// search goes breadth first from what is wanted over unmet needs.
func (w *waiting) search(first goal, b *Blocked) {
	w.from[first] = step{edge: -1}
	roots := map[string]bool{}
	w.order = []goal{first}
	var nearest *goal
	for i := 0; i < len(w.order); i++ {
		at := w.order[i]
		unmet := w.unmet(at)
		if len(unmet) == 0 {
			roots[w.g.names[at.v]] = true
			if nearest == nil {
				nearest = &at
			}
		}
		for _, e := range unmet {
			next := goal{w.g.to[e], w.wants(e, at)}
			if _, seen := w.from[next]; !seen {
				w.from[next] = step{at, e}
				w.order = append(w.order, next)
			}
		}
	}
	for n := range roots {
		b.Roots = append(b.Roots, n)
	}
	slices.Sort(b.Roots)
	if nearest != nil {
		b.Root, b.RootState = w.g.names[nearest.v], w.state(nearest.v)
		b.Chain = w.chain(*nearest)
	}
	w.stuck = w.deadlocked()
	if w.stuck[first] {
		w.circle(b)
	}
}

// deadlocked are the goals that are not reached although every root is.
func (w *waiting) deadlocked() map[goal]bool {
	stuck := make(map[goal]bool, len(w.order))
	waiters := make(map[goal][]goal, len(w.order))
	for _, at := range w.order {
		stuck[at] = true
		for _, e := range w.unmet(at) {
			next := goal{w.g.to[e], w.wants(e, at)}
			waiters[next] = append(waiters[next], at)
		}
	}
	queue := slices.Clone(w.order)
	for len(queue) > 0 {
		at := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if stuck[at] && w.comes(at, stuck) {
			delete(stuck, at)
			queue = append(queue, waiters[at]...)
		}
	}
	return stuck
}

// comes reports whether nothing that is stuck holds a goal.
func (w *waiting) comes(at goal, stuck map[goal]bool) bool {
	missing := map[int32]int32{} // of groups, how many members
	for _, e := range w.unmet(at) {
		free := !stuck[goal{w.g.to[e], w.wants(e, at)}]
		switch i := w.g.group[e]; {
		case i < 0 && !free:
			return false
		case i >= 0:
			if _, ok := missing[i]; !ok {
				missing[i] = w.missing(e, at)
			}
			if free {
				missing[i]--
			}
		}
	}
	for _, n := range missing {
		if n > 0 {
			return false
		}
	}
	return true
}

// missing is how many more members the group of e needs.
func (w *waiting) missing(e int32, at goal) int32 {
	i := w.g.group[e]
	n := w.g.groups[i].need
	for other := w.g.out[at.v]; other < w.g.out[at.v+1]; other++ {
		if w.g.group[other] == i && w.reached(other, at) {
			n--
		}
	}
	return n
}

// wants is how far the end of an edge must be for the owner's next step.
func (w *waiting) wants(e int32, at goal) RunState {
	if w.state(at.v) >= IsStarted {
		return IsServing // a need of run time
	}
	switch untilOf(w.g.flags[e]) {
	case Started:
		return IsStarted
	case Ready:
		return IsReady
	case Done:
		return IsDone
	}
	return IsServing
}

// unmet lists the edges that hold a service on its way to a goal; none if
// nothing but itself does. A group that lacks its quorum holds with every
// member that is not far enough.
func (w *waiting) unmet(at goal) (edges []int32) {
	g, state := w.g, w.state(at.v)
	needs := hardStartup
	switch {
	case state >= at.want || state >= IsServing:
		return nil
	case state == IsStarted: // its own start is not over
		return nil
	case state == IsReady:
		needs = hardRuntime
	}
	needs.none &^= fGroup
	short := map[int32]int32{} // groups, and how many of their members are there
	for e := g.out[at.v]; e < g.out[at.v+1]; e++ {
		if needs.has(g.flags[e]) && g.group[e] >= 0 && w.reached(e, at) {
			short[g.group[e]]++
		}
	}
	for e := g.out[at.v]; e < g.out[at.v+1]; e++ {
		if !needs.has(g.flags[e]) || w.reached(e, at) {
			continue
		}
		if i := g.group[e]; i < 0 || short[i] < g.groups[i].need {
			edges = append(edges, e)
		}
	}
	return edges
}

// reached reports whether the end of an edge is far enough.
func (w *waiting) reached(e int32, at goal) bool { return w.state(w.g.to[e]) >= w.wants(e, at) }

func (w *waiting) chain(end goal) (holds []Hold) {
	for at := end; ; {
		s := w.from[at]
		if s.edge < 0 {
			slices.Reverse(holds)
			return holds
		}
		holds = append(holds, Hold{Edge: w.g.edgeOf(s.edge), State: w.state(at.v), Wanted: at.want})
		at = s.prev
	}
}

// maxCircleSearch is how many goals are tried for a shortest circle.
const maxCircleSearch = 2000

// circle finds a service that waits for itself, the nearest one unless very
// many wait: what is stuck waits for something that is, so every walk closes.
func (w *waiting) circle(b *Blocked) {
	var starts []goal
	for _, at := range w.order {
		if w.stuck[at] {
			starts = append(starts, at)
		}
	}
	if len(starts) > maxCircleSearch {
		starts = []goal{w.walk()}
	}
	for _, at := range starts {
		path := w.loop(at)
		if path == nil {
			continue
		}
		if b.Root == "" {
			b.Chain = w.chain(at)
		}
		for _, e := range path {
			b.Circle = append(b.Circle, w.g.edgeOf(e))
		}
		return
	}
}

// walk follows the first needs that are stuck until it comes to a goal for the second time.
func (w *waiting) walk() goal {
	seen := map[goal]bool{}
	at := w.order[0]
	for !seen[at] {
		seen[at] = true
		for _, e := range w.unmet(at) {
			if next := (goal{w.g.to[e], w.wants(e, at)}); w.stuck[next] {
				at = next
				break
			}
		}
	}
	return at
}

// loop is a shortest way from a goal over unmet needs back to it.
func (w *waiting) loop(start goal) []int32 {
	from := map[goal]step{}
	for queue := []goal{start}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for _, e := range w.unmet(at) {
			next := goal{w.g.to[e], w.wants(e, at)}
			if _, seen := from[next]; seen || !w.stuck[next] {
				continue
			}
			from[next] = step{at, e}
			if next == start {
				var path []int32
				for {
					s := from[next]
					path = append(path, s.edge)
					if next = s.prev; next == start {
						slices.Reverse(path)
						return path
					}
				}
			}
			queue = append(queue, next)
		}
	}
	return nil
}
