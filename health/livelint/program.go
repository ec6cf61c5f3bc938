package livelint

import (
	"go/constant"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/tools/go/packages"
	"golang.org/x/tools/go/ssa"
	"golang.org/x/tools/go/ssa/ssautil"
)

// program is the code of a service and of everything that it imports, without
// the bodies of the standard library, and what its functions store where.
// It is built once by newProgram and not changed by the searches, but for the
// answers that they remember; these are guarded by mu, which analyze holds for the
// whole of look.
type program struct {
	mu       sync.Mutex // of what follows: answers are remembered
	prog     *ssa.Program
	packages map[*types.Package]*ssa.Package // those that were asked for
	inside   map[*types.Package]bool         // with code
	own      map[*types.Package]bool         // of the modules that were asked for
	ordered  []*types.Package                // those with code

	// The indexes that functions fills: each question "who…?" is one look-up. Types are
	// kept by their string where equal types may be different objects.
	callers  map[*ssa.Function][]ssa.CallInstruction
	invokes  map[string][]ssa.CallInstruction // by the name of an interface's method
	dynamic  map[string][]ssa.CallInstruction // of function values, by their signature
	taken    map[*ssa.Function]bool           // functions that are values
	closures map[*ssa.Function][]*ssa.MakeClosure
	boxed    map[string][]ssa.Value // what is put into interfaces, by its type
	stores   map[cellKey][]store
	globals  map[*ssa.Global][]store
	gifts    []gift       // to health libraries
	types    []types.Type // concrete ones with methods, of packages with code

	// Answers that are remembered. frames makes equal frames the same pointer, so that a
	// state can be the key of a map; implied, nodes and libraries save searches.
	frames  map[frameKey]*frame
	names   map[types.Type]any
	implied map[*types.Func][]types.Type // by the method of an interface
	nodes   map[state]*node
	sinks   []string

	libraries map[string][]string // ways through what was given to them
}

// gift is a value that was given to a health library, by its path.
type gift struct {
	to string
	v  ssa.Value
}

// A cellKey is a field of a type of structs, or the elements of a type.
type cellKey struct {
	of  any
	sel selector
}

// store is an assignment to a field or an element. key is that of a map, if it
// is constant.
type store struct {
	base, val ssa.Value
	key       constant.Value
}

// newProgram reads packages that were loaded with all that they import.
func newProgram(pkgs []*packages.Package) *program {
	// Instances of generic functions get bodies of their own: a handler that a generic
	// wrapper is given is then known by its type.
	prog, roots := ssautil.AllPackages(pkgs, ssa.InstantiateGenerics)
	p := &program{
		prog: prog, packages: make(map[*types.Package]*ssa.Package), inside: make(map[*types.Package]bool), own: make(map[*types.Package]bool),
		callers: make(map[*ssa.Function][]ssa.CallInstruction), invokes: make(map[string][]ssa.CallInstruction),
		dynamic: make(map[string][]ssa.CallInstruction), taken: make(map[*ssa.Function]bool), closures: make(map[*ssa.Function][]*ssa.MakeClosure),
		boxed: make(map[string][]ssa.Value), stores: make(map[cellKey][]store), globals: make(map[*ssa.Global][]store),
		frames: make(map[frameKey]*frame), names: make(map[types.Type]any), implied: make(map[*types.Func][]types.Type), nodes: make(map[state]*node),
		libraries: make(map[string][]string),
	}
	modules := make(map[string]bool)
	for i, root := range roots {
		if root != nil {
			// without it ValueForExpr does not find the SSA value of an expression
			root.SetDebugMode(true)
			p.packages[root.Pkg] = root
		}
		if m := pkgs[i].Module; m != nil {
			modules[m.Path] = true
		}
	}
	// Only what can hide a check is built. The standard library and the packages in
	// listed would be most of the memory; what they do is known by name (sinks.go).
	packages.Visit(pkgs, nil, func(pkg *packages.Package) {
		built := prog.Package(pkg.Types)
		if built == nil || len(pkg.Syntax) == 0 || isStandard(pkg.PkgPath, prog.Fset.Position(pkg.Syntax[0].Package).Filename) || isListed(pkg.PkgPath) {
			return
		}
		built.Build()
		p.inside[pkg.Types] = true
		p.own[pkg.Types] = p.packages[pkg.Types] != nil || pkg.Module != nil && modules[pkg.Module.Path]
	})
	p.order()
	p.functions()
	return p
}

// functions looks at each function with code: those that are declared, and what
// these refer to: closures, wrappers and instances. It does so by name and by
// source, and not by position, which differs from run to run for files that are
// read at the same time: of two ways of the same length it is always the same one
// that is printed.
func (p *program) functions() {
	seen := make(map[*ssa.Function]bool)
	var look func(*ssa.Function)
	look = func(fn *ssa.Function) {
		if fn == nil || seen[fn] {
			return
		}
		// before the calls below: functions refer to each other in circles
		seen[fn] = true
		p.function(fn)
		for _, inner := range fn.AnonFuncs {
			look(inner)
		}
		for _, b := range fn.Blocks {
			for _, instr := range b.Instrs {
				for _, op := range instr.Operands(nil) {
					if f, ok := (*op).(*ssa.Function); ok {
						look(f)
					}
				}
			}
		}
	}
	for _, pkg := range p.ordered {
		built := p.prog.Package(pkg)
		for _, name := range slices.Sorted(maps.Keys(built.Members)) {
			if f, ok := built.Members[name].(*ssa.Function); ok {
				look(f)
			}
		}
		for _, f := range p.methodsOf(built) {
			look(f)
		}
	}
}

// function notes what a function calls and stores.
// It is the only pass over all instructions: O(instructions), and what it leaves out
// here is not found by any search later.
func (p *program) function(fn *ssa.Function) {
	for _, b := range fn.Blocks {
		for _, instr := range b.Instrs {
			var called ssa.Value
			switch instr := instr.(type) {
			case ssa.CallInstruction:
				common := instr.Common()
				p.noteGifts(fn, common)
				// three kinds of calls, three indexes: of a known function, of a method of an
				// interface, and of a function value
				if f := common.StaticCallee(); f != nil {
					p.callers[f] = append(p.callers[f], instr)
					called = common.Value
				} else if common.IsInvoke() {
					p.invokes[common.Method.Name()] = append(p.invokes[common.Method.Name()], instr)
				} else if _, builtin := common.Value.(*ssa.Builtin); !builtin {
					sig := signature(common.Signature())
					p.dynamic[sig] = append(p.dynamic[sig], instr)
				}
			case *ssa.MakeClosure:
				f := instr.Fn.(*ssa.Function)
				p.closures[f] = append(p.closures[f], instr)
			case *ssa.MakeInterface:
				// what is in an interface may be called by a method; numbers and strings, which are
				// boxed for fmt all the time, have none worth following
				if _, basic := instr.X.Type().Underlying().(*types.Basic); !basic {
					name := instr.X.Type().String()
					p.boxed[name] = append(p.boxed[name], instr.X)
				}
			case *ssa.Store:
				p.store(instr.Addr, instr.Val)
			case *ssa.MapUpdate:
				p.put(instr.Map, element, instr.Value, constantOf(instr.Key))
			case *ssa.Send:
				p.put(instr.Chan, element, instr.X, nil)
			case *ssa.Select:
				for _, s := range instr.States {
					if s.Send != nil {
						p.put(s.Chan, element, s.Send, nil)
					}
				}
			}
			for _, op := range instr.Operands(nil) {
				// an operand that is not the callee: the function is a value from here on, and may
				// be called by any call of its signature
				if f, ok := (*op).(*ssa.Function); ok && *op != called {
					p.taken[f] = true
				}
			}
		}
	}
}

// noteGifts notes what others give to a function of a health library.
// The library's calls of itself are not gifts: its own helpers would make each of
// its users a finding.
func (p *program) noteGifts(from *ssa.Function, common *ssa.CallCommon) {
	f := called(common)
	lib := libraryOf(f)
	if pkg := packageOf(from); lib == "" || pkg != nil && strings.HasPrefix(pkg.Path(), lib) {
		return
	}
	for _, arg := range common.Args {
		p.gifts = append(p.gifts, gift{lib, arg})
	}
}

// store notes what is written where, for value to find it again: in a variable
// of a package, in a field, or in an element. What is put into a field of a
// library's type may be called by that library, and is kept as a gift to it.
func (p *program) store(addr, val ssa.Value) {
	if addr, ok := addr.(*ssa.FieldAddr); ok {
		if name, ok := p.key(addr.X.Type(), 0).of.(*types.TypeName); ok && name.Pkg() != nil {
			for _, lib := range libraries {
				if from := packageOf(addr.Parent()); strings.HasPrefix(name.Pkg().Path(), lib) && (from == nil || !strings.HasPrefix(from.Path(), lib)) {
					p.gifts = append(p.gifts, gift{lib, val})
				}
			}
		}
	}
	switch addr := addr.(type) {
	case *ssa.Global:
		p.globals[addr] = append(p.globals[addr], store{addr, val, nil})
	case *ssa.FieldAddr:
		p.put(addr.X, selector(addr.Field), val, nil)
	case *ssa.IndexAddr:
		p.put(addr.X, element, val, nil)
	}
}

// put notes a write to a part of what base points to. Numbers, strings and
// booleans cannot be called, so most writes of a program are not kept.
func (p *program) put(base ssa.Value, sel selector, val ssa.Value, key constant.Value) {
	if _, basic := val.Type().Underlying().(*types.Basic); !basic {
		k := p.key(base.Type(), sel)
		p.stores[k] = append(p.stores[k], store{base, val, key})
	}
}

// key is the key of a field or an element of a type.
// Pointers are looked through, since a field is the same by value and by pointer. A
// named struct is known by its name, an unnamed one by how it is written. The
// answers are remembered in names: writing a type out is the expensive part.
func (p *program) key(of types.Type, sel selector) cellKey {
	if name, ok := p.names[of]; ok {
		return cellKey{name, sel}
	}
	t := of
	if ptr, ok := t.Underlying().(*types.Pointer); ok {
		t = ptr.Elem()
	}
	var name any
	switch u := t.Underlying().(type) {
	case *types.Struct:
		if n, ok := types.Unalias(t).(*types.Named); ok {
			name = n.Obj()
		} else {
			name = u.String()
		}
	case interface{ Elem() types.Type }: // all that hold the same: they are converted into each other
		name = u.Elem().String()
	default:
		name = u.String()
	}
	p.names[of] = name
	return cellKey{name, sel}
}

// constantOf is the constant value of v, or nil.
func constantOf(v ssa.Value) constant.Value {
	if c, ok := v.(*ssa.Const); ok {
		return c.Value
	}
	return nil
}

// order puts packages in order, and their types.
// The order is that of import paths and names, so that two runs look at candidates in
// the same order and print the same finding. Generic types are left out: only their
// instances can be in an interface.
func (p *program) order() {
	p.ordered = slices.SortedFunc(maps.Keys(p.inside), func(a, b *types.Package) int { return strings.Compare(a.Path(), b.Path()) })
	for _, pkg := range p.ordered {
		for _, n := range pkg.Scope().Names() {
			tn, ok := pkg.Scope().Lookup(n).(*types.TypeName)
			if !ok || tn.IsAlias() || types.IsInterface(tn.Type()) {
				continue
			}
			if named, ok := tn.Type().(*types.Named); ok && named.TypeParams().Len() == 0 {
				p.types = append(p.types, tn.Type())
			}
		}
	}
}

// calls are the calls that name a function, and those of a value that may be it.
// Of a function whose signature is too common, func() or
// func(http.ResponseWriter, *http.Request), the calls of values say nothing: see
// mostCallers.
func (p *program) calls(fn *ssa.Function) []ssa.CallInstruction {
	all := p.callers[fn]
	if p.taken[fn] && fn.Signature.Recv() == nil {
		// all is clipped first, so that append does not write into the index
		if more := p.dynamic[signature(fn.Signature)]; len(more) <= mostCallers {
			all = append(all[:len(all):len(all)], more...)
		}
	}
	return all
}

// signature is what two types of functions have in common that are the same:
// their types, without the names of parameters.
func signature(s *types.Signature) string {
	var b strings.Builder
	for _, tuple := range []*types.Tuple{s.Params(), s.Results()} {
		for v := range tuple.Variables() {
			b.WriteString(v.Type().String() + ",")
		}
		b.WriteString(";")
	}
	return b.String()
}

// mostCallers is how many calls are looked at for what they give to a function: of
// more, none, since they say nothing.
const mostCallers = 64

// given is what callers give for a parameter.
// i counts as ssa.Function.Params does: for a method the receiver is 0, and what was
// put into any interface as that type may be it. For calls by way of an interface
// the receiver is not among the arguments, hence i-1.
func (p *program) given(fn *ssa.Function, i int) (args []ssa.Value) {
	for _, call := range p.calls(fn) {
		if all := call.Common().Args; i < len(all) {
			args = append(args, all[i])
		}
	}
	recv := fn.Signature.Recv()
	if recv != nil && i == 0 {
		args = append(args, p.boxed[recv.Type().String()]...)
	}
	if recv != nil && i > 0 {
		for _, call := range p.invokes[fn.Name()] {
			iface, ok := call.Common().Value.Type().Underlying().(*types.Interface)
			if all := call.Common().Args; ok && i-1 < len(all) && types.Implements(recv.Type(), iface) {
				args = append(args, all[i-1])
			}
		}
	}
	return args
}

// enclosing is the innermost function of a package that a place is in.
// An expression at package level is in the package's init; nil for a package that
// was not asked for. Methods are no members of an ssa.Package and come second.
// O(functions of the package), once for each pattern that matched.
func (p *program) enclosing(pkg *types.Package, pos token.Pos) *ssa.Function {
	built := p.packages[pkg]
	if built == nil {
		return nil
	}
	var best *ssa.Function
	var look func(*ssa.Function)
	look = func(fn *ssa.Function) {
		if s := fn.Syntax(); s != nil && s.Pos() <= pos && pos < s.End() {
			best = fn
		} else if s != nil {
			return
		}
		for _, inner := range fn.AnonFuncs {
			look(inner)
		}
	}
	for _, m := range built.Members {
		if f, ok := m.(*ssa.Function); ok {
			look(f)
		}
	}
	if best == nil {
		for _, fn := range p.methodsOf(built) {
			look(fn)
		}
	}
	if best == nil {
		return built.Func("init")
	}
	return best
}

// methodsOf are the methods that a package declares.
func (p *program) methodsOf(pkg *ssa.Package) (all []*ssa.Function) {
	for _, n := range pkg.Pkg.Scope().Names() {
		tn, ok := pkg.Pkg.Scope().Lookup(n).(*types.TypeName)
		if !ok || tn.IsAlias() {
			continue
		}
		if named, ok := tn.Type().(*types.Named); ok {
			for f := range named.Methods() {
				if fn := p.prog.FuncValue(f); fn != nil {
					all = append(all, fn)
				}
			}
		}
	}
	return all
}
