package livelint

import (
	"container/heap"
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/packages"
	"golang.org/x/tools/go/ssa"
)

// Whole is the analyzer for programs that are in memory as a whole, as
// packages.Load reads them with LoadAllSyntax. It finds what Analyzer finds, and
// follows function values and interfaces through parameters, slices, maps,
// channels and other packages, too: each value back to what it may be, in the
// calls that lead to it, so that what wraps every handler passes nothing on from
// one to the other. It is of no use to go vet, which sees one package at a time.
//
// Packages that do not compile are looked at as Analyzer does. If code is so
// broken that nothing can be made of it, the error says so, and the analyzer is
// like Analyzer.
func Whole(pkgs []*packages.Package) (a *analysis.Analyzer, err error) {
	whole := *Analyzer // and its flags
	defer func() {
		if v := recover(); v != nil {
			a, err = Analyzer, fmt.Errorf("livelint: the program cannot be read as a whole: %v", v)
		}
	}()
	p := newProgram(pkgs)
	whole.Run = func(pass *analysis.Pass) (any, error) { return analyze(pass, p) }
	return &whole, nil
}

// A state is a function in a frame.
type state struct {
	fn   *ssa.Function
	fr   *frame
	view view
}

// node is what a state calls: other states, and the network.
type node struct {
	calls []state
	sink  string // the name of what calls the network, "" if nothing here does
}

// Limits of one search.
// a service beyond them has ways that nobody would read
const (
	mostStates = 5_000
	mostVisits = 16 // of one function, in different frames
	mostCalls  = 24 // the longest way
)

// node finds what a function calls, in a frame.
func (p *program) node(s state) *node {
	if n := p.nodes[s]; n != nil {
		return n
	}
	n := &node{}
	p.nodes[s] = n
	// O(instructions), once for each state: p.nodes remembers
	waits := waitsFor(s.fn)
	for _, b := range s.fn.Blocks {
		for _, instr := range b.Instrs {
			call, ok := instr.(ssa.CallInstruction)
			if _, background := instr.(*ssa.Go); !ok || background && !waits {
				continue
			}
			steps := 0
			p.follow(n, s, call, &steps)
		}
	}
	return n
}

// follow adds what one call leads to.
func (p *program) follow(n *node, s state, call ssa.CallInstruction, steps *int) {
	common := call.Common()
	if f := called(common); f != nil {
		if isSink(f, p.sinks) {
			if n.sink == "" && !slices.ContainsFunc(common.Args, isLocalValue) {
				n.sink = name(f)
			}
			return
		}
		if s.view == outsideWait && f.Name() == "Wait" && f.Pkg() != nil && f.Pkg().Path() == ourselves {
			return
		}
	}
	for _, c := range p.callees(call, s.fr, steps, 0) {
		if obj := object(c.fn); obj != nil && isSink(obj, p.sinks) {
			if n.sink == "" {
				n.sink = name(obj)
			}
			continue
		}
		if p.analysed(c.fn) {
			n.calls = append(n.calls, state{c.fn, c.frame, s.view})
			continue
		}
		if background(c.fn) {
			continue
		}
		for _, arg := range common.Args { // what a function of the standard library is given, it calls
			if _, ok := arg.Type().Underlying().(*types.Signature); !ok || isHandler(arg.Type()) {
				continue
			}
			targets, _ := p.evalNested(arg, s.fr, steps, 0)
			for _, t := range targets {
				if t.fn != nil && p.analysed(t.fn) {
					made, _ := t.at.(*ssa.MakeClosure)
					n.calls = append(n.calls, state{t.fn, p.enter(frameKey{fn: t.fn, made: made, outer: t.fr}, nil), s.view})
				}
			}
		}
	}
}

// analysed reports whether a function is looked into.
func (p *program) analysed(fn *ssa.Function) bool {
	if len(fn.Blocks) == 0 {
		return false
	}
	pkg := packageOf(fn)
	return pkg == nil || p.inside[pkg]
}

// packageOf is where fn was written: for a function literal that of its
// outermost function, for an instance of a generic function that of the generic
// one. Nil for what the compiler has made.
func packageOf(fn *ssa.Function) *types.Package {
	fn = outermost(fn)
	if fn.Origin() != nil {
		fn = fn.Origin()
	}
	if fn.Pkg != nil {
		return fn.Pkg.Pkg
	}
	if fn.Object() != nil {
		return fn.Object().Pkg()
	}
	return nil
}

// background reports whether a function of a library calls what it is given
// later, if at all.
func background(fn *ssa.Function) bool {
	pkg := packageOf(fn)
	if pkg == nil {
		return false
	}
	switch pkg.Path() {
	case "net/http", "runtime", "expvar":
		return true
	}
	return fn.Name() == "AfterFunc"
}

// called is the function or method that a call names, if it names one.
func called(common *ssa.CallCommon) *types.Func {
	if common.IsInvoke() {
		return common.Method
	}
	if f := common.StaticCallee(); f != nil {
		return object(f)
	}
	return nil
}

// object is the declaration of a function, nil for a closure.
func object(fn *ssa.Function) *types.Func {
	if f, ok := fn.Object().(*types.Func); ok {
		return f.Origin()
	}
	return nil
}

// isLocalValue is isLocalAddress for a constant string, also as an any. What is
// not constant may be anywhere.
func isLocalValue(v ssa.Value) bool {
	value := constantOf(v)
	if mi, ok := v.(*ssa.MakeInterface); ok {
		value = constantOf(mi.X)
	}
	return value != nil && value.Kind() == constant.String && isLocalAddress(constant.StringVal(value))
}

// waitsFor reports whether a function waits for what it started.
func waitsFor(fn *ssa.Function) bool {
	for _, b := range fn.Blocks {
		for _, instr := range b.Instrs {
			switch instr := instr.(type) {
			case *ssa.UnOp:
				if instr.Op == token.ARROW {
					return true
				}
			case *ssa.Select:
				return true
			case *ssa.Call:
				if f := called(instr.Common()); f != nil && f.Name() == "Wait" {
					return true
				}
			}
		}
	}
	return false
}

// way is the shortest way from some states to the network, nil if there is none:
// first without regard to who calls, which says what can lead there at all, and
// then in frames among these.
func (p *program) way(starts []state) []string {
	path, _ := p.wayFrom(starts)
	return path
}

// wayFrom also returns where the way begins.
func (p *program) wayFrom(starts []state) ([]string, state) {
	// A*: distances never overestimate, so the first sink that is taken off the queue is
	// the nearest one. What is not in left leads nowhere, and is not entered.
	left := p.distances(starts)
	var queue states
	best := make(map[state]int)
	visits := make(map[*ssa.Function]int)
	push := func(s state, steps int, from *step) {
		d, ok := left[state{s.fn, nil, s.view}]
		if old, seen := best[s]; !ok || seen && old <= steps || steps+d > mostCalls {
			return
		}
		best[s] = steps
		heap.Push(&queue, &step{state: s, from: from, steps: steps, least: steps + d, order: len(best)})
	}
	for _, s := range starts {
		push(s, length(s.fn), nil)
	}
	for done := 0; len(queue) > 0 && done < mostStates; done++ {
		at := heap.Pop(&queue).(*step)
		if at.sink != "" {
			return at.path()
		}
		if visits[at.fn]++; visits[at.fn] > mostVisits {
			continue // what wraps its own kind has no end of contexts
		}
		n := p.node(at.state)
		if n.sink != "" {
			heap.Push(&queue, &step{sink: n.sink, from: at, steps: at.steps + 1, least: at.steps + 1})
		}
		for _, next := range n.calls {
			push(next, at.steps+length(next.fn), at)
		}
	}
	return nil, state{}
}

// length is what a function adds to a way: closures and wrappers are not named.
func length(fn *ssa.Function) int {
	if fn.Synthetic == "" && fn.Object() != nil {
		return 1
	}
	return 0
}

// distances are how many calls the network is away, at least, for each function
// that is reached from some and leads there.
func (p *program) distances(starts []state) map[state]int {
	back := make(map[state][]state)
	seen := make(map[state]bool)
	var queue, sinks []state
	for _, s := range starts {
		queue = append(queue, state{s.fn, nil, s.view})
	}
	for i := 0; i < len(queue); i++ {
		s := queue[i]
		if seen[s] || len(seen) > 20*mostStates {
			continue
		}
		seen[s] = true
		n := p.node(s)
		if n.sink != "" {
			sinks = append(sinks, s)
		}
		for _, next := range n.calls {
			next.fr = nil
			back[next] = append(back[next], s)
			queue = append(queue, next)
		}
	}
	left := make(map[state]int)
	queue = sinks
	for _, s := range sinks {
		left[s] = 0
	}
	for i := 0; i < len(queue); i++ {
		s := queue[i]
		for _, before := range back[s] {
			d := left[s] + length(s.fn)
			if old, ok := left[before]; !ok || d < old {
				left[before] = d
				queue = append(queue, before)
			}
		}
	}
	return left
}

// step is a state that was reached, and from where.
type step struct {
	state
	sink  string
	from  *step
	steps int
	least int // the whole way's length, at least
	order int
}

// path names the functions on the way to this step, for the finding, and the
// state in which it began.
func (s *step) path() (names []string, start state) {
	for at := s; at != nil; at = at.from {
		start = at.state
		if at.sink != "" {
			names = append(names, at.sink)
		} else if length(at.fn) > 0 {
			names = append(names, name(object(at.fn)))
		}
	}
	slices.Reverse(names)
	return names, start
}

// states is a heap, the nearest first.
type states []*step

func (q states) Len() int { return len(q) }
func (q states) Less(i, j int) bool {
	return q[i].least < q[j].least || q[i].least == q[j].least && q[i].order < q[j].order
}
func (q states) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *states) Push(x any)   { *q = append(*q, x.(*step)) }
func (q *states) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// wholeValue is the shortest way to the network of a handler, or of a check, by
// the whole program. ok is false if that does not know what the value is.
func (c *checker) wholeValue(e ast.Expr) (path []string, ok bool) {
	if c.program == nil {
		return nil, false
	}
	fn := c.program.enclosing(c.pass.Pkg, e.Pos())
	if fn == nil {
		return nil, false
	}
	v, isAddr := fn.ValueForExpr(e)
	if v == nil || isAddr {
		return nil, false
	}
	targets, _ := c.program.eval(v, nil)
	var starts []state
	for _, t := range targets {
		if t.fn != nil {
			made, _ := t.at.(*ssa.MakeClosure)
			starts = append(starts, state{t.fn, c.program.enter(frameKey{fn: t.fn, made: made, outer: t.fr}, nil), c.view})
			continue
		}
		if t.typ == nil {
			t = target{typ: v.Type(), at: v}
		}
		more, sink := c.program.answersOrSink(t, v.Type(), c.view)
		if sink != "" {
			return []string{sink}, true
		}
		starts = append(starts, more...)
	}
	path, start := c.program.wayFrom(starts)
	if maker := outermost(start.fn); path != nil && start.fn.Parent() != nil && maker != outermost(fn) && length(maker) > 0 {
		path = append([]string{name(object(maker))}, path...) // that returned a closure
	}
	return path, len(starts) > 0
}

// outermost is the declared function that a closure is in.
func outermost(fn *ssa.Function) *ssa.Function {
	for fn != nil && fn.Parent() != nil {
		fn = fn.Parent()
	}
	return fn
}

// answers are the methods of a handler, or of a check: ServeHTTP, or those of its
// interface.
func (p *program) answers(t target, iface types.Type, v view) (starts []state) {
	starts, _ = p.answersOrSink(t, iface, v)
	return starts
}

// answersOrSink also returns a method that calls the network by itself, as those of
// a generated client do.
func (p *program) answersOrSink(t target, iface types.Type, v view) (starts []state, sink string) {
	names := []string{"ServeHTTP"}
	if obj, _, _ := types.LookupFieldOrMethod(t.typ, true, nil, "ServeHTTP"); obj == nil {
		names = nil
		if u, ok := iface.Underlying().(*types.Interface); ok {
			for m := range u.Methods() {
				names = append(names, m.Name())
			}
		}
	}
	for _, n := range names {
		obj, _, _ := types.LookupFieldOrMethod(t.typ, true, nil, n)
		m, ok := obj.(*types.Func)
		if !ok {
			continue
		}
		if isSink(m, p.sinks) && sink == "" {
			sink = name(m)
		}
		for _, c := range p.method(t, m, nil, nil, nil) {
			if p.analysed(c.fn) {
				starts = append(starts, state{c.fn, c.frame, v})
			}
		}
	}
	return starts, sink
}

// registered is the shortest way through what the program gives to a library: in
// fields of its types, and as arguments of its functions.
func (p *program) registered(lib string) []string {
	if path, ok := p.libraries[lib]; ok {
		return path
	}
	p.libraries[lib] = nil
	var starts []state
	give := func(v ssa.Value) {
		sig, isFunc := v.Type().Underlying().(*types.Signature)
		named, isInterface := types.Unalias(v.Type()).(*types.Named)
		isInterface = isInterface && types.IsInterface(named) && named.Obj().Pkg() != nil && strings.HasPrefix(named.Obj().Pkg().Path(), lib)
		if !isFunc && !isInterface || isFunc && isHandler(sig) {
			return
		}
		targets, _ := p.eval(v, nil)
		for _, t := range targets {
			switch {
			case t.fn != nil:
				made, _ := t.at.(*ssa.MakeClosure)
				starts = append(starts, state{t.fn, p.enter(frameKey{fn: t.fn, made: made, outer: t.fr}, nil), everything})
			case t.typ != nil && isInterface:
				starts = append(starts, p.answers(t, v.Type(), everything)...)
			}
		}
	}
	for _, gift := range p.gifts {
		if strings.HasPrefix(gift.to, lib) {
			give(gift.v)
		}
	}
	p.libraries[lib] = p.way(starts)
	return p.libraries[lib]
}

// wholeCall is the shortest way through a call, by the whole program. ok is false
// if that does not know what is called.
func (c *checker) wholeCall(call *ast.CallExpr) (path []string, ok bool) {
	if c.program == nil {
		return nil, false
	}
	fn := c.program.enclosing(c.pass.Pkg, call.Pos())
	if fn == nil {
		return nil, false
	}
	for _, b := range fn.Blocks {
		for _, instr := range b.Instrs {
			if found, ok := instr.(ssa.CallInstruction); ok && found.Pos() == call.Lparen {
				n := &node{}
				steps := 0
				c.program.follow(n, state{fn, nil, c.view}, found, &steps)
				if n.sink != "" {
					return []string{n.sink}, true
				}
				return c.program.way(n.calls), len(n.calls) > 0
			}
		}
	}
	return nil, false
}
