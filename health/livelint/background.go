package livelint

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/types/typeutil"
)

// An answer that a handler remembers is no better than one that it asks for:
// a check in the background stores what the dependency said, and the handler
// fails because of it.

// write is an assignment to a variable or a field, or a Store of an atomic or a
// sync.Map.
// It holds for all values of the type if to is a field: see told.go for one of them.
type write struct {
	to    ast.Expr
	value ast.Expr   // nil if it is a constant
	stack []ast.Node // what the assignment is in
}

// noteWrites finds what is assigned where.
// Increments, sends and close count, too: failures++ after a ping, close(s.down). What
// is done with the stack is up to conditions: it says under which the write happens.
func (c *checker) noteWrites() {
	c.writes, c.told = make(map[types.Object][]write), make(map[fieldOf][]write)
	for _, f := range c.pass.Files {
		var stack []ast.Node
		ast.Inspect(f, func(n ast.Node) bool {
			if n == nil {
				stack = stack[:len(stack)-1]
				return true
			}
			stack = append(stack, n)
			note := func(to, value ast.Expr) {
				if obj := c.place(to); obj != nil {
					c.writes[obj] = append(c.writes[obj], write{to, value, append([]ast.Node(nil), stack...)})
				}
			}
			switch n := n.(type) {
			case *ast.AssignStmt:
				for i, to := range n.Lhs {
					note(to, n.Rhs[min(i, len(n.Rhs)-1)])
				}
			case *ast.IncDecStmt:
				note(n.X, nil)
			case *ast.SendStmt:
				note(n.Chan, n.Value)
			case *ast.CallExpr:
				if b, ok := typeutil.Callee(c.pass.TypesInfo, n).(*types.Builtin); ok && b.Name() == "close" && len(n.Args) == 1 {
					note(n.Args[0], nil)
				}
				switch f := c.atomic(n); {
				// both ways to write: up.Store(true) of a type, StoreInt32(&up, 1) of the package. The
				// last argument is the new value, or what is added, in all of them.
				case f == nil || !hasPrefix(f.Name(), "Store", "Swap", "CompareAndSwap", "Add", "LoadOrStore"):
				case f.Signature().Recv() != nil && len(n.Args) > 0:
					note(ast.Unparen(n.Fun).(*ast.SelectorExpr).X, n.Args[len(n.Args)-1])
				case f.Signature().Recv() == nil && len(n.Args) > 1:
					note(n.Args[0], n.Args[len(n.Args)-1])
				}
			}
			return true
		})
	}
	c.noteCalls()
}

// atomic is the function of sync/atomic, or the method of a sync.Map, that a call
// calls.
// Nil for any other call, and for one through a dot import, which has no selector.
func (c *checker) atomic(call *ast.CallExpr) *types.Func {
	f, _ := typeutil.Callee(c.pass.TypesInfo, call).(*types.Func)
	if f == nil || f.Pkg() == nil || f.Pkg().Path() != "sync/atomic" && (f.Pkg().Path() != "sync" || receiver(f) != "Map") {
		return nil
	}
	if _, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); !ok {
		return nil
	}
	return f
}

// place is the field, or the variable outside of functions, or shared by closures,
// that an expression names.
// &s.up, *p and s.up["db"] are the places s.up, p and s.up: elements are not told
// apart. Nil if it names no variable.
func (c *checker) place(e ast.Expr) types.Object {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		if v, ok := c.pass.TypesInfo.ObjectOf(e).(*types.Var); ok {
			return v
		}
	case *ast.SelectorExpr:
		if v, ok := c.pass.TypesInfo.ObjectOf(e.Sel).(*types.Var); ok {
			return v
		}
	case *ast.UnaryExpr:
		return c.place(e.X)
	case *ast.StarExpr:
		return c.place(e.X)
	case *ast.IndexExpr:
		return c.place(e.X)
	}
	return nil
}

// remembered is the way to the network of what a handler remembers, and fails
// because of; nil if there is none.
// Only what decides about a failure counts: a handler that prints when it last saw the
// database, and answers 200, is harmless. So each case looks for a condition whose
// branch fails, and asks recalled what the condition is made of.
func (c *checker) remembered(body ast.Node) (best []string) {
	if body == nil {
		return nil
	}
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IfStmt:
			// if up { … 200; return }; … 503: the failure is behind the statement
			if c.fails(n.Body) || n.Else != nil && c.fails(n.Else) || leaves(n.Body) && c.failsAfter(body, n) {
				best = shorter(best, c.recalled(n.Cond, mostRecalled))
				if assign, ok := n.Init.(*ast.AssignStmt); ok {
					for _, e := range assign.Rhs {
						best = shorter(best, c.recalled(e, mostRecalled))
					}
				}
			}
		case *ast.SwitchStmt:
			if n.Tag != nil && c.fails(n.Body) {
				best = shorter(best, c.recalled(n.Tag, mostRecalled))
			}
		case *ast.CaseClause: // of a switch without a tag
			for _, e := range n.List {
				if isBoolean(typeOf(c, e)) && c.fails(n) {
					best = shorter(best, c.recalled(e, mostRecalled))
				}
			}
		case *ast.CommClause: // case <-s.down:
			if ch := received(n.Comm); ch != nil && c.fails(n) {
				best = shorter(best, c.recalled(ch, mostRecalled))
			}
		case *ast.ReturnStmt:
			if e := c.failing(n); e != nil {
				best = shorter(best, c.recalled(e, mostRecalled))
			}
		}
		return true
	})
	return best
}

// received is the channel that a case of a select receives from.
func received(s ast.Stmt) ast.Expr {
	var e ast.Expr
	switch s := s.(type) {
	case *ast.ExprStmt:
		e = s.X
	case *ast.AssignStmt:
		e = s.Rhs[0]
	default:
		return nil
	}
	if u, ok := ast.Unparen(e).(*ast.UnaryExpr); ok && u.Op == token.ARROW {
		return u.X
	}
	return nil
}

// isBoolean also holds for named types of booleans; not for nil.
func isBoolean(t types.Type) bool {
	b, ok := t.(*types.Basic)
	return ok && b.Info()&types.IsBoolean != 0
}

// failing is the error that a handler of the kind that returns one fails with: a
// variable, or what a function of this package returns that does not answer by
// itself. return c.JSON(200, x) is an error as well, by its type, and no failure.
func (c *checker) failing(ret *ast.ReturnStmt) ast.Expr {
	if len(ret.Results) != 1 || !types.Identical(c.pass.TypesInfo.TypeOf(ret.Results[0]), types.Universe.Lookup("error").Type()) {
		return nil
	}
	switch e := ast.Unparen(ret.Results[0]).(type) {
	case *ast.Ident, *ast.SelectorExpr:
		return e
	case *ast.CallExpr:
		f, _ := typeutil.Callee(c.pass.TypesInfo, e).(*types.Func)
		if f != nil && (c.decls[f.Origin()] != nil && !isHandler(f.Signature()) || name(f) == "errors.New" || name(f) == "fmt.Errorf") {
			return e
		}
	}
	return nil
}

// mostRecalled is through how many functions and variables a condition is followed
// to what it remembers.
// A handler that is further from what it remembers is a program, whose conditions have
// many reasons.
const mostRecalled = 3

// fails reports whether a status from 400 to 599 is somewhere among the arguments
// of a call in a block, or assigned there, or an error is returned.
// Any call will do: w.WriteHeader(503), http.Error(w, s, 503), c.JSON(503, x). Closures
// inside are not run here.
func (c *checker) fails(n ast.Node) (found bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.CallExpr:
			found = found || slices.ContainsFunc(n.Args, c.isFailure)
		case *ast.AssignStmt:
			found = found || slices.ContainsFunc(n.Rhs, c.isFailure)
		case *ast.ReturnStmt:
			found = found || c.failing(n) != nil
		}
		return !found
	})
	return found
}

// isFailure reports whether an expression is the constant of a status that fails
// for what the process knows of itself. 401, 403 and 405 are about who asks, and
// how.
func (c *checker) isFailure(e ast.Expr) bool {
	tv := c.pass.TypesInfo.Types[e]
	if tv.Value == nil || tv.Value.Kind() != constant.Int {
		return false
	}
	code, err := strconv.Atoi(tv.Value.ExactString())
	return err == nil && code >= 400 && code <= 599 && code != 401 && code != 403 && code != 405
}

// leaves reports whether a block ends with a return.
// A panic or a goto is no return.
func leaves(b *ast.BlockStmt) bool {
	if len(b.List) == 0 {
		return false
	}
	_, ok := b.List[len(b.List)-1].(*ast.ReturnStmt)
	return ok
}

// failsAfter reports whether what follows a statement fails: if ok { …; return }.
// Statements under another condition do not count, as they are that condition's
// failures.
func (c *checker) failsAfter(body, s ast.Node) (found bool) {
	ast.Inspect(body, func(n ast.Node) bool {
		b, ok := n.(*ast.BlockStmt)
		if !ok {
			return true
		}
		for i, other := range b.List {
			if other == s {
				for _, after := range b.List[i+1:] {
					if _, conditional := after.(*ast.IfStmt); !conditional {
						found = found || c.fails(after)
					}
				}
			}
		}
		return true
	})
	return found
}

// recalled is the way to the network of the values that a condition loads.
// A field or a variable of the package is what was stored in it anywhere; a local one
// is what was assigned above the condition, or decided about its assignment.
func (c *checker) recalled(cond ast.Expr, depth int) (best []string) {
	if depth == 0 {
		return nil
	}
	ast.Inspect(cond, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.CallExpr:
			best = shorter(best, c.recalledBy(n, depth))
			return c.atomic(n) == nil
		case *ast.SelectorExpr:
			if v, ok := c.pass.TypesInfo.ObjectOf(n.Sel).(*types.Var); ok && v.IsField() {
				best = shorter(best, c.setBy(v))
				best = shorter(best, c.toldTo(n.X, v))
			}
		case *ast.Ident:
			v, ok := c.pass.TypesInfo.ObjectOf(n).(*types.Var)
			if !ok || v.IsField() {
				break
			}
			if v.Parent() == c.pass.Pkg.Scope() {
				best = shorter(best, c.setBy(v))
				break
			}
			for _, value := range append(slices.Clip(c.values[v]), c.ranged[v]...) { // a local copy
				// assigned later: no reason for this condition
				if value.Pos() > cond.Pos() {
					continue
				}
				best = shorter(best, c.recalled(value, depth-1))
			}
			for _, w := range c.writes[v] { // if err != nil { ok = false }
				for _, when := range conditions(c, w.stack) {
					if when.expr.Pos() < cond.Pos() {
						best = shorter(best, c.recalled(when.expr, depth-1))
					}
				}
			}
		}
		return true
	})
	return best
}

// recalledBy is the way of what a call loads: an atomic, or what a function of this
// package returns.
// Other methods of atomics than Load* remember nothing for this condition. A method of
// this package is looked at with its receiver known, so that live.ok() and ready.ok()
// are two flags. The function's name is put in front of the way.
func (c *checker) recalledBy(call *ast.CallExpr, depth int) (best []string) {
	if f := c.atomic(call); f != nil {
		if !strings.HasPrefix(f.Name(), "Load") {
			return nil
		}
		if f.Signature().Recv() != nil {
			return c.setBy(c.place(call.Fun.(*ast.SelectorExpr).X))
		}
		if len(call.Args) > 0 {
			return c.setBy(c.place(call.Args[0]))
		}
		return nil
	}
	f, _ := typeutil.Callee(c.pass.TypesInfo, call).(*types.Func)
	if f == nil {
		return nil
	}
	if lib := libraryOf(f); lib != "" {
		return c.registered(lib)
	}
	fd := c.decls[f.Origin()]
	if fd == nil {
		return nil
	}
	var of ast.Expr
	if sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); ok {
		of = sel.X
	}
	c.inside(of, func() { best = c.recalledIn(fd.Body, depth) })
	if best != nil {
		best = append([]string{name(f)}, best...)
	}
	return best
}

// recalledIn is the way of what the body of a function returns, or looks at.
// Both count, since a function often returns a constant, and looks at the flag before.
func (c *checker) recalledIn(body ast.Node, depth int) (best []string) {
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.ReturnStmt:
			for _, result := range n.Results {
				best = shorter(best, c.recalled(result, depth-1))
			}
		case *ast.IfStmt: // if !s.up { return err }
			best = shorter(best, c.recalled(n.Cond, depth-1))
		}
		return true
	})
	return best
}

// setBy is the way of what is stored in a place, or decides whether it is.
func (c *checker) setBy(obj types.Object) []string { return c.setTo(obj, c.writes[obj]) }

// setTo is the shortest way from what obj holds to a dependency: through a
// value written to it, or through a condition under which it is written, since
// "healthy = true" after a ping that worked is as good as the ping. busy breaks
// circles of variables that are set from each other.
func (c *checker) setTo(obj types.Object, writes []write) (best []string) {
	if obj == nil || c.busy[obj] {
		return nil
	}
	c.busy[obj] = true
	defer delete(c.busy, obj)
	for _, w := range writes {
		if w.value != nil {
			best = shorter(best, c.origins(w.value))
		}
		for _, cond := range conditions(c, w.stack) {
			best = shorter(best, c.origins(cond.expr))
		}
	}
	if best != nil {
		best = append([]string{"what is remembered in " + obj.Name()}, best...)
	}
	return best
}

// handlerBodies are the code of a handler: a literal, or a function or method of this
// package, below conversions and wrappers.
// Several, if a variable has several values, or a function returns one of several. A
// type with a ServeHTTP is the last resort. Empty if the code is in another package:
// what is remembered there is not looked for.
func (c *checker) handlerBodies(e ast.Expr, depth int) (all []ast.Node) {
	if depth == 0 {
		return nil
	}
	of := func(obj types.Object) {
		switch obj := obj.(type) {
		case *types.Func:
			if fd := c.decls[obj.Origin()]; fd != nil {
				all = append(all, fd.Body)
			}
		case *types.Var:
			for _, v := range c.values[obj] {
				all = append(all, c.handlerBodies(v, depth-1)...)
			}
		}
	}
	switch e := ast.Unparen(e).(type) {
	case *ast.FuncLit:
		return []ast.Node{e.Body}
	case *ast.Ident:
		of(c.pass.TypesInfo.ObjectOf(e))
	case *ast.SelectorExpr:
		of(c.pass.TypesInfo.ObjectOf(e.Sel))
	case *ast.CallExpr:
		if f, ok := typeutil.Callee(c.pass.TypesInfo, e).(*types.Func); ok && c.decls[f.Origin()] != nil && isHandler(c.pass.TypesInfo.TypeOf(e)) {
			ast.Inspect(c.decls[f.Origin()].Body, func(n ast.Node) bool {
				if ret, ok := n.(*ast.ReturnStmt); ok {
					for _, r := range ret.Results {
						all = append(all, c.handlerBodies(r, depth-1)...)
					}
				}
				return true
			})
		}
		for _, arg := range e.Args {
			if isHandler(c.pass.TypesInfo.TypeOf(arg)) {
				all = append(all, c.handlerBodies(arg, depth-1)...)
			}
		}
	case *ast.UnaryExpr:
		all = c.handlerBodies(e.X, depth-1)
	}
	if t := c.pass.TypesInfo.TypeOf(e); t != nil && len(all) == 0 {
		if obj, _, _ := types.LookupFieldOrMethod(t, true, c.pass.Pkg, "ServeHTTP"); obj != nil {
			of(obj)
		}
	}
	return all
}
