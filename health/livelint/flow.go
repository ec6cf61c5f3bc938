package livelint

import (
	"go/token"
	"go/types"
	"slices"

	"golang.org/x/tools/go/ssa"
)

// What a value may be, by the whole program: eval is the question, and the cases of
// value are the answer, one for each kind of SSA value. Fields and elements are in
// cells.go, calls in callees.go. It goes backwards from the use to where the value was
// made, only for values that somebody asks about; a call graph of everything (RTA, VTA)
// would have one answer for each place, whoever calls, and a wrapper around all
// handlers would hand the fault of one to all.

// A frame is a call that is being looked into: what its parameters and captured
// variables are. The nil frame knows nothing, so that a parameter is what any
// caller gives.
type frame struct {
	frameKey
	// of the call, receiver first; nil if it is not known who called, which is not the
	// same as a call without arguments. depth counts frames up to the nil one.
	args  []bound
	depth int
}

// frameKey is what tells frames apart.
// Two calls with equal keys are the same frame, and what was found in it is found.
type frameKey struct {
	fn    *ssa.Function
	site  ssa.CallInstruction // what called it, nil if that is not known
	from  *frame              // of the caller
	recv  bound               // of a method of an interface
	made  *ssa.MakeClosure    // the closure that fn is the body of
	outer *frame              // where that was made
}

// bound is a value in a frame.
type bound struct {
	v  ssa.Value
	fr *frame
}

// A target is what a value may be: a function, a value in an interface, or what
// was allocated: a variable, a map, a channel, a slice.
// Exactly one of the three is the case: fn is set for a function; typ for what is in an
// interface; neither for an allocation. fr is the frame in which at was made, so that
// what a closure captured is looked for where it was captured.
type target struct {
	fn  *ssa.Function
	typ types.Type // in an interface
	at  ssa.Value  // the closure, the content of the interface, or the allocation
	fr  *frame
}

// Limits of one evaluation.
const (
	// calls within calls that are kept apart. Middleware is three or four deep; each level
	// multiplies the frames by the number of callers.
	mostFrames = 8
	mostNested = 6 // loads of loads
	// values and stores that one question looks at, nested questions included, so that
	// one strange handler does not decide how long a run takes
	mostSteps = 20_000
)

// evaluation follows one value back to what it may be.
type evaluation struct {
	p *program
	// what was followed already: values, cells (by evaluation.cell and field), and results
	seen    map[bound]bool
	cells   map[cellAt]bool
	targets map[target]bool
	all     []target // in the order of finding
	// shared by nested evaluations, so that the bound is one of the whole question. nested
	// is how many evaluations are around this one.
	steps   *int
	nested  int
	unknown bool // something was not followed
}

// eval returns what a value may be, and whether that is all.
// The targets are in the order of finding, which is the same in each run. The nil
// frame asks for any caller. The caller holds p.mu.
func (p *program) eval(v ssa.Value, fr *frame) ([]target, bool) {
	steps := 0
	return p.evalNested(v, fr, &steps, 0)
}

func (p *program) evalNested(v ssa.Value, fr *frame, steps *int, nested int) ([]target, bool) {
	e := &evaluation{p: p, seen: make(map[bound]bool), cells: make(map[cellAt]bool), targets: make(map[target]bool), steps: steps, nested: nested}
	e.value(v, fr)
	return e.all, !e.unknown
}

// add keeps the order in which targets were found, so that findings come in the
// same order each time.
func (e *evaluation) add(t target) {
	if !e.targets[t] {
		e.targets[t] = true
		e.all = append(e.all, t)
	}
}

// value follows v back to where it was made, within the frame fr of calls in
// which it is asked for, and adds what it may be to the targets. Each pair of
// value and frame is followed once, and mostSteps bounds the whole question:
// beyond it the answer is "not known", and nothing is reported for it.
func (e *evaluation) value(v ssa.Value, fr *frame) {
	if v == nil || e.seen[bound{v, fr}] {
		return
	}
	if *e.steps++; *e.steps > mostSteps {
		e.unknown = true
		return
	}
	e.seen[bound{v, fr}] = true
	switch v := v.(type) {
	case *ssa.Function:
		e.add(target{fn: v})
	// with its frame: what it captured is asked for there
	case *ssa.MakeClosure:
		e.add(target{fn: v.Fn.(*ssa.Function), at: v, fr: fr})
	case *ssa.MakeInterface:
		e.add(target{typ: v.X.Type(), at: v.X, fr: fr})
	case *ssa.Alloc, *ssa.MakeMap, *ssa.MakeChan, *ssa.MakeSlice:
		e.add(target{at: v, fr: fr})
	// Conversions and slices are the same thing by another name.
	case *ssa.ChangeType:
		e.value(v.X, fr)
	case *ssa.Convert:
		e.value(v.X, fr)
	case *ssa.ChangeInterface:
		e.value(v.X, fr)
	case *ssa.SliceToArrayPointer:
		e.value(v.X, fr)
	case *ssa.Slice:
		e.value(v.X, fr)
	case *ssa.TypeAssert:
		e.asserted(v, fr)
	case *ssa.Phi:
		for _, edge := range v.Edges {
			e.value(edge, fr)
		}
	case *ssa.UnOp:
		e.unary(v, fr)
	case *ssa.Extract:
		e.extract(v, fr)
	case *ssa.Lookup:
		e.cell(v.X, v.X.Type(), element, constantOf(v.Index), fr)
	case *ssa.Index:
		// An array that is a value is a copy of the variable that it was loaded from, and
		// its elements are what is stored into that.
		array := v.X
		if load, ok := array.(*ssa.UnOp); ok && load.Op == token.MUL {
			array = load.X
		}
		e.cell(array, v.X.Type(), element, nil, fr)
	case *ssa.Field:
		e.field(v.X, v.X.Type(), selector(v.Field), fr)
	case *ssa.Parameter:
		e.parameter(v, fr)
	case *ssa.FreeVar:
		e.captured(v, fr, func(b bound) { e.value(b.v, b.fr) })
	case *ssa.Call:
		e.result(v, 0, fr)
	case *ssa.FieldAddr: // a pointer into something stands for all of it: fields have the type of their struct
		e.value(v.X, fr)
	case *ssa.IndexAddr:
		e.value(v.X, fr)
	case *ssa.Global:
		e.add(target{at: v})
	// nil, or a number: nothing to call
	case *ssa.Const:
	default:
		e.unknown = true
	}
}

// asserted is what a type assertion lets through.
// To an interface, it stays what it was, if it fits; to a type, it is what was put
// into the interface. What is in an interface with another type is left out: that is
// how a type switch tells its cases apart.
func (e *evaluation) asserted(v *ssa.TypeAssert, fr *frame) {
	targets, all := e.p.evalNested(v.X, fr, e.steps, e.nested+1)
	e.unknown = e.unknown || !all
	for _, t := range targets {
		switch {
		case t.typ == nil:
			e.add(t)
		case types.IsInterface(v.AssertedType):
			if types.AssignableTo(t.typ, v.AssertedType) {
				e.add(t)
			}
		case types.Identical(t.typ, v.AssertedType):
			e.value(t.at, t.fr)
		}
	}
}

// unary follows a load through a pointer, or a receive from a channel.
func (e *evaluation) unary(v *ssa.UnOp, fr *frame) {
	switch v.Op {
	case token.MUL:
		e.load(v.X, fr)
	case token.ARROW:
		e.cell(v.X, v.X.Type(), element, nil, fr)
	}
}

// extract follows one of several results: of a call, of a range over a map or
// string, of a select, or the value before an ok.
func (e *evaluation) extract(v *ssa.Extract, fr *frame) {
	switch tuple := v.Tuple.(type) {
	case *ssa.Call:
		e.result(tuple, v.Index, fr)
	case *ssa.Next:
		// 0 is ok, 1 the key, 2 the value
		if r, ok := tuple.Iter.(*ssa.Range); ok && v.Index == 2 {
			e.cell(r.X, r.X.Type(), element, nil, fr)
		}
	case *ssa.Select:
		for _, state := range tuple.States {
			if state.Send == nil {
				e.cell(state.Chan, state.Chan.Type(), element, nil, fr)
			}
		}
	case ssa.Value: // TypeAssert, Lookup or receive, with an ok
		if v.Index == 0 {
			e.value(tuple, fr)
		}
	}
}

// load is what is at an address.
// For a variable whose address is known it is what is stored there, whatever the order:
// the evaluation knows no time.
func (e *evaluation) load(addr ssa.Value, fr *frame) {
	if *e.steps++; *e.steps > mostSteps {
		e.unknown = true
		return
	}
	switch a := addr.(type) {
	case *ssa.Global:
		for _, s := range e.p.globals[a] {
			e.value(s.val, nil)
		}
	case *ssa.FieldAddr:
		e.cell(a.X, a.X.Type(), selector(a.Field), nil, fr)
	case *ssa.IndexAddr:
		e.cell(a.X, a.X.Type(), element, nil, fr)
	case *ssa.Alloc:
		e.stored(a, fr)
	case *ssa.FreeVar:
		e.captured(a, fr, func(b bound) { e.load(b.v, b.fr) })
	default: // a pointer that came from elsewhere
		key := bound{addr, &loads}
		if e.seen[key] {
			return
		}
		e.seen[key] = true
		targets, all := e.p.evalNested(addr, fr, e.steps, e.nested+1)
		e.unknown = e.unknown || !all
		for _, t := range targets {
			if t.fn == nil && t.typ == nil && t.at != addr {
				e.load(t.at, t.fr)
			}
		}
	}
}

// loads marks addresses among what was seen.
var loads frame

// stored is what is assigned to a local variable, also by closures that share it.
// In a closure the variable has another name, its FreeVar; who calls the closure is
// not known there, hence the nil frame.
func (e *evaluation) stored(cell ssa.Value, fr *frame) {
	refs := cell.Referrers()
	if refs == nil {
		return
	}
	for _, ref := range *refs {
		switch ref := ref.(type) {
		case *ssa.Store:
			if ref.Addr == cell {
				e.value(ref.Val, fr)
			}
		case *ssa.MakeClosure:
			for i, b := range ref.Bindings {
				if b == cell {
					e.stored(ref.Fn.(*ssa.Function).FreeVars[i], nil)
				}
			}
		}
	}
}

// parameter is what callers give.
// In a frame it is the one argument; without, those of all calls. A function that is a
// value, or a method, may have callers that are not known: what is found counts, and
// unknown says that it need not be all.
func (e *evaluation) parameter(v *ssa.Parameter, fr *frame) {
	fn := v.Parent()
	i := slices.Index(fn.Params, v)
	if fr != nil && fr.fn == fn && fr.args != nil {
		if i < len(fr.args) {
			e.value(fr.args[i].v, fr.args[i].fr)
		}
		return
	}
	args := e.p.given(fn, i)
	if len(args) == 0 {
		e.add(target{at: v}) // something of its own
		e.unknown = true
	}
	for _, arg := range args {
		e.value(arg, nil)
	}
	e.unknown = e.unknown || e.p.taken[fn] || fn.Signature.Recv() != nil // by way of an interface
}

// captured is what a closure holds.
// f is called with each binding, and the frame that it was made in; nil without
// a frame of this closure. In Go a closure captures variables, so a binding is mostly an
// address, and f then loads from it.
func (e *evaluation) captured(v *ssa.FreeVar, fr *frame, f func(bound)) {
	fn := v.Parent()
	i := 0
	for i < len(fn.FreeVars) && fn.FreeVars[i] != v {
		i++
	}
	if fr != nil && fr.fn == fn && fr.made != nil {
		f(bound{fr.made.Bindings[i], fr.outer})
		return
	}
	for _, made := range e.p.closures[fn] {
		f(bound{made.Bindings[i], nil})
	}
}

// result is what a call returns.
// index is which of several results. Of append it is the slice as an allocation of its
// own, whose elements cell looks for in the arguments; other builtins return nothing
// that can be called.
func (e *evaluation) result(call *ssa.Call, index int, fr *frame) {
	common := call.Common()
	if b, ok := common.Value.(*ssa.Builtin); ok {
		if b.Name() == "append" {
			e.add(target{at: call, fr: fr})
		}
		return
	}
	if e.nested >= mostNested {
		e.unknown = true
		return
	}
	callees := e.p.callees(call, fr, e.steps, e.nested+1)
	if len(callees) == 0 {
		e.unknown = true
	}
	for _, c := range callees {
		if callsOnce(c.fn) {
			e.value(common.Args[0], fr)
			continue
		}
		// http.TimeoutHandler, http.StripPrefix: what they return answers by what they were
		// given
		if len(c.fn.Blocks) == 0 { // a wrapper of the standard library, perhaps
			for _, arg := range common.Args {
				if isHandler(arg.Type()) {
					e.value(arg, fr)
				}
			}
			e.unknown = true
			continue
		}
		for _, ret := range returns(c.fn) {
			if index < len(ret.Results) {
				e.value(ret.Results[index], c.frame)
			}
		}
	}
}

// callsOnce reports whether a function makes one that calls what it is given, and
// remembers the answer.
func callsOnce(fn *ssa.Function) bool {
	f := object(fn)
	return f != nil && f.Pkg() != nil && f.Pkg().Path() == "sync" && hasPrefix(f.Name(), "OnceFunc", "OnceValue")
}

// enter is the frame of a call. If there are too many already it forgets who
// called, and knows only what is captured; nil, if even these are too many.
// args are those of the call, without the receiver if that is k.recv. The same key gives
// the same pointer.
func (p *program) enter(k frameKey, args []ssa.Value) *frame {
	depth := 1
	if k.outer != nil {
		depth = k.outer.depth + 1
	}
	switch {
	case depth > mostFrames:
		return nil
	case k.from != nil && k.from.depth >= mostFrames:
		k.site, k.from = nil, nil
	case k.from != nil:
		depth = max(depth, k.from.depth+1)
	}
	if fr := p.frames[k]; fr != nil {
		return fr
	}
	fr := &frame{frameKey: k, depth: depth}
	// otherwise args stays nil: any caller
	if k.site != nil || k.recv.v != nil {
		fr.args = make([]bound, 0, len(args)+1)
		if k.recv.v != nil {
			fr.args = append(fr.args, k.recv)
		}
		for _, a := range args {
			fr.args = append(fr.args, bound{a, k.from})
		}
	}
	p.frames[k] = fr
	return fr
}
