package livelint

import (
	"go/constant"
	"go/token"
	"go/types"
	"slices"

	"golang.org/x/tools/go/ssa"
)

// How it reads: cell is for what an address or a reference leads to, field for a struct
// that is a value, storedIn for one store that may be meant.
//
// What is stored in fields of structs, and in maps, channels, slices and arrays, is
// found by type, and narrowed to what is stored into the same allocations.

// selector is a field of a struct, or element.
type selector int

// element is what a map, a channel, a slice or an array holds.
const element selector = -1

// cellAt is a cell of what a value points to.
type cellAt struct {
	base bound
	sel  selector
}

// field is a field of a struct that is a value, and no variable.
// It goes back to the variable that the value is a copy of, and asks cell for that. If
// there is none to be found, any store to that field of that type counts.
func (e *evaluation) field(v ssa.Value, of types.Type, sel selector, fr *frame) {
	if e.cells[cellAt{bound{v, fr}, sel}] {
		return
	}
	e.cells[cellAt{bound{v, fr}, sel}] = true
	switch v := v.(type) {
	case *ssa.UnOp:
		if v.Op == token.MUL {
			e.cell(v.X, of, sel, nil, fr)
			return
		}
	case *ssa.Phi:
		for _, edge := range v.Edges {
			e.field(edge, of, sel, fr)
		}
		return
	case *ssa.ChangeType:
		e.field(v.X, of, sel, fr)
		return
	case *ssa.Parameter:
		if fr != nil && fr.fn == v.Parent() && fr.args != nil {
			if i := slices.Index(v.Parent().Params, v); i < len(fr.args) {
				e.field(fr.args[i].v, of, sel, fr.args[i].fr)
			}
			return
		}
	case *ssa.Call:
		if e.nested < mostNested {
			for _, c := range e.p.callees(v, fr, e.steps, e.nested+1) {
				for _, ret := range returns(c.fn) {
					if len(ret.Results) == 1 {
						e.field(ret.Results[0], of, sel, c.frame)
					}
				}
			}
			return
		}
	}
	for _, s := range e.p.stores[e.p.key(of, sel)] { // of any of these structs
		e.value(s.val, nil)
	}
}

// cell is what is stored in a field or an element of what base points to. If it
// is known which allocations these are, only what is stored into them counts.
// key is that of a map if it is constant, nil for any: checks["live"] is not
// checks["ready"]. Cost: O(stores of that field or element), each of which may be a
// question of its own; mostNested and mostSteps bound it.
func (e *evaluation) cell(base ssa.Value, of types.Type, sel selector, key constant.Value, fr *frame) {
	if e.nested >= mostNested || *e.steps > mostSteps {
		e.unknown = true
		return
	}
	if e.cells[cellAt{bound{base, fr}, sel}] {
		return
	}
	e.cells[cellAt{bound{base, fr}, sel}] = true
	objects, all := e.p.evalNested(base, fr, e.steps, e.nested+1)
	for _, o := range objects {
		switch at := o.at.(type) {
		case *ssa.Call: // append(a, b...)
			for _, arg := range at.Common().Args {
				e.cell(arg, of, sel, nil, o.fr)
			}
		case *ssa.Alloc:
			if sel != element { // a copy of another struct
				for _, ref := range *at.Referrers() {
					if s, ok := ref.(*ssa.Store); ok && s.Addr == at {
						e.field(s.Val, of, sel, o.fr)
					}
				}
			}
		}
	}
	// by type, and by allocation where that is known
	for _, s := range e.p.stores[e.p.key(of, sel)] {
		if key == nil || s.key == nil || constant.Compare(key, token.EQL, s.key) {
			e.storedIn(s, objects, all, e.value)
		}
	}
	if sel == element {
		return
	}
	copied := func(v ssa.Value, fr *frame) { e.field(v, of, sel, fr) }
	switch base := base.(type) { // a struct inside of another, or of a slice, that was assigned as a whole
	case *ssa.FieldAddr:
		for _, s := range e.p.stores[e.p.key(base.X.Type(), selector(base.Field))] {
			e.storedIn(s, objects, all, copied)
		}
	case *ssa.IndexAddr:
		for _, s := range e.p.stores[e.p.key(base.X.Type(), element)] {
			e.storedIn(s, objects, all, copied)
		}
	}
}

// storedIn calls add with what a store puts into some of the objects.
// all says that objects are all that there may be. A store to something unknown counts
// only if they are not: two unknowns may be the same.
func (e *evaluation) storedIn(s store, objects []target, all bool, add func(ssa.Value, *frame)) {
	if *e.steps++; *e.steps > mostSteps {
		e.unknown = true
		return
	}
	// Directly into what is allocated here: the usual literal.
	if root := rootOf(s.base); local(root) {
		found := among(objects, root, nil)
		for _, o := range found {
			add(s.val, o.fr)
		}
		if len(found) == 0 && !all {
			add(s.val, nil)
		}
		return
	}
	// no question is left to tell whose it is: it counts, which finds too much rather than
	// too little
	if e.nested >= mostNested-1 {
		add(s.val, nil)
		return
	}
	// By a method, or a function: for each of its callers.
	fn := s.base.Parent()
	var calls []ssa.CallInstruction
	if fn != nil {
		calls = e.p.calls(fn)
	}
	if len(calls) == 0 || len(calls) > mostCallers {
		// once, without a caller
		calls = []ssa.CallInstruction{nil}
	}
	for _, call := range calls {
		var fr *frame
		if call != nil {
			fr = e.p.enter(frameKey{fn: fn, site: call}, call.Common().Args)
		}
		into, known := e.p.evalNested(s.base, fr, e.steps, e.nested+2)
		match := !known && !all
		for _, o := range into {
			match = match || len(among(objects, o.at, o.fr)) > 0
		}
		if match {
			add(s.val, fr)
		}
	}
}

// local reports whether a value is an allocation.
func local(v ssa.Value) bool {
	switch v.(type) {
	case *ssa.Alloc, *ssa.MakeMap, *ssa.MakeChan, *ssa.MakeSlice, *ssa.Global:
		return true
	}
	return false
}

// rootOf is what an address is inside of.
// For &a.b[3].c it is a; a value that is no such address is its own root.
func rootOf(v ssa.Value) ssa.Value {
	for {
		switch a := v.(type) {
		case *ssa.FieldAddr:
			v = a.X
		case *ssa.IndexAddr:
			v = a.X
		case *ssa.Slice:
			v = a.X
		default:
			return v
		}
	}
}

// returns are the ends of fn that return; those that panic have no values.
func returns(fn *ssa.Function) (all []*ssa.Return) {
	for _, b := range fn.Blocks {
		if ret, ok := b.Instrs[len(b.Instrs)-1].(*ssa.Return); ok {
			all = append(all, ret)
		}
	}
	return all
}

// among finds an allocation in some, made by the same call if both are known.
// The same code allocates for each call; what tells two checkers apart that
// newChecker made is the call of newChecker.
func among(objects []target, at ssa.Value, fr *frame) (found []target) {
	for _, o := range objects {
		if o.at == at && (fr == nil || o.fr == nil || o.fr.site == fr.site) {
			found = append(found, o)
		}
	}
	return found
}
