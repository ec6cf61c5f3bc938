package livelint

import (
	"go/types"

	"golang.org/x/tools/go/ssa"
)

// What a call may call, by the whole program. Three kinds: a function by its name, a
// function value, and a method of an interface.

// A callee is what a call may call.
// The frame is that of the call, nil if nothing is known of it.
type callee struct {
	fn    *ssa.Function
	frame *frame
}

// callees are the functions that a call may call, in a frame.
// None for builtins, and for what cannot be followed. steps and nested are those of the
// question that asks (see evaluation); the caller holds p.mu.
func (p *program) callees(call ssa.CallInstruction, fr *frame, steps *int, nested int) (all []callee) {
	common := call.Common()
	if common.IsInvoke() {
		return p.invoked(call, fr, steps, nested)
	}
	if f := common.StaticCallee(); f != nil {
		k := frameKey{fn: f, site: call, from: fr}
		// func() { … }(): what it captured is here
		if made, ok := common.Value.(*ssa.MakeClosure); ok {
			k.made, k.outer = made, fr
		}
		return []callee{{f, p.enter(k, common.Args)}}
	}
	if _, ok := common.Value.(*ssa.Builtin); ok {
		return nil
	}
	targets, _ := p.evalNested(common.Value, fr, steps, nested)
	for _, t := range targets {
		if t.fn != nil {
			k := frameKey{fn: t.fn, site: call, from: fr, outer: t.fr}
			k.made, _ = t.at.(*ssa.MakeClosure)
			all = append(all, callee{t.fn, p.enter(k, common.Args)})
		}
	}
	return all
}

// mostImplied is how many types are taken for what is in an interface whose
// content cannot be followed: more say nothing.
const mostImplied = 12

// invoked are the methods that a call of an interface's method may call. Those of
// the standard library's interfaces are not looked at, but for handlers:
// everything implements them.
// What was seen to be put into the interface counts. Only if nothing was, and it is not
// sure that this is all, are the types taken that implement it.
func (p *program) invoked(call ssa.CallInstruction, fr *frame, steps *int, nested int) (all []callee) {
	common := call.Common()
	m := common.Method
	if m.Pkg() == nil || !p.inside[m.Pkg()] && m.Name() != "ServeHTTP" {
		return nil
	}
	targets, known := p.evalNested(common.Value, fr, steps, nested)
	for _, t := range targets {
		if t.typ != nil {
			all = append(all, p.method(t, m, call, common.Args, fr)...)
		}
	}
	if len(all) > 0 || known || !p.inside[m.Pkg()] {
		return all
	}
	for _, typ := range p.implementers(m) {
		all = append(all, p.method(target{typ: typ}, m, call, common.Args, fr)...)
	}
	return all
}

// method is a method of what is in an interface; of http.HandlerFunc and its
// like, the function.
// None if the type does not have it. call and from may be nil: any caller then. t.at is
// the receiver of the frame, so that fields of this value are told from those of others
// of its type.
func (p *program) method(t target, m *types.Func, call ssa.CallInstruction, args []ssa.Value, from *frame) []callee {
	sel := p.prog.MethodSets.MethodSet(t.typ).Lookup(m.Pkg(), m.Name())
	if sel == nil {
		return nil
	}
	f := p.prog.MethodValue(sel)
	if f == nil {
		return nil
	}
	// Without code: a method of the standard library or a listed package. If the type is a
	// function (http.HandlerFunc) its method calls it, which is known without the code.
	if len(f.Blocks) == 0 {
		if _, ok := t.typ.Underlying().(*types.Signature); !ok || t.at == nil {
			return []callee{{f, nil}}
		}
		var all []callee
		targets, _ := p.eval(t.at, t.fr)
		for _, of := range targets {
			if of.fn != nil {
				k := frameKey{fn: of.fn, site: call, from: from, outer: of.fr}
				k.made, _ = of.at.(*ssa.MakeClosure)
				all = append(all, callee{of.fn, p.enter(k, args)})
			}
		}
		return all
	}
	k := frameKey{fn: f, from: from}
	if t.at != nil {
		k.site, k.recv = call, bound{t.at, t.fr}
	}
	return []callee{{f, p.enter(k, args)}}
}

// implementers are the types that an interface may hold: of the modules that
// were asked for, or of all if there are none.
// The service's own types come first, since a library's mocks and adapters implement
// its interfaces as well. The answer is remembered by method.
func (p *program) implementers(m *types.Func) []types.Type {
	if all, ok := p.implied[m]; ok {
		return all
	}
	iface, ok := m.Signature().Recv().Type().Underlying().(*types.Interface)
	if !ok {
		return nil
	}
	var own, others []types.Type
	for _, t := range p.types {
		for _, typ := range []types.Type{t, types.NewPointer(t)} {
			if types.Implements(typ, iface) {
				if p.own[t.(*types.Named).Obj().Pkg()] {
					own = append(own, typ)
				} else {
					others = append(others, typ)
				}
				break
			}
		}
	}
	if len(own) == 0 {
		own = others
	}
	if len(own) > mostImplied {
		own = nil
	}
	p.implied[m] = own
	return own
}
