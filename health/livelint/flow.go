package livelint

import (
	"go/token"
	"go/types"
	"slices"

	"golang.org/x/tools/go/ssa"
)

// A frame is a call that is being looked into: what its parameters and captured
// variables are. The nil frame knows nothing, so that a parameter is what any
// caller gives.
type frame struct {
	frameKey
	args  []bound
	depth int
}

// frameKey is what tells frames apart.
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
type target struct {
	fn  *ssa.Function
	typ types.Type // in an interface
	at  ssa.Value  // the closure, the content of the interface, or the allocation
	fr  *frame
}

// Limits of one evaluation.
const (
	mostFrames = 8
	mostNested = 6 // loads of loads
	mostSteps  = 20_000
)

// evaluation follows one value back to what it may be.
type evaluation struct {
	p       *program
	seen    map[bound]bool
	cells   map[cellAt]bool
	targets map[target]bool
	all     []target // in the order of finding
	steps   *int
	nested  int
	unknown bool // something was not followed
}

// eval returns what a value may be, and whether that is all.
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
	case *ssa.MakeClosure:
		e.add(target{fn: v.Fn.(*ssa.Function), at: v, fr: fr})
	case *ssa.MakeInterface:
		e.add(target{typ: v.X.Type(), at: v.X, fr: fr})
	case *ssa.Alloc, *ssa.MakeMap, *ssa.MakeChan, *ssa.MakeSlice:
		e.add(target{at: v, fr: fr})
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
		e.cell(v.X, v.X.Type(), element, nil, fr)
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
	case *ssa.Const:
	default:
		e.unknown = true
	}
}

// asserted is what a type assertion lets through.
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
