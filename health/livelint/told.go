package livelint

import (
	"go/ast"
	"go/types"

	"golang.org/x/tools/go/types/typeutil"
)

// What a handler remembers is often set by a method: up.set(db.Ping() == nil),
// or up.down() because of an error. Which of several values of the type it is
// matters then: one may be the flag of liveness, and another one of readiness.

// A setter is an assignment that a function makes for its caller: to a field of
// its receiver, or to a variable of the package.
type setter struct {
	to    types.Object
	param int // that it stores, -1 for a constant
}

// A fieldOf is a field of what is in one variable, or in one field.
type fieldOf struct{ place, field types.Object }

// noteCalls finds calls of setters, which are assignments as well.
// It is the second pass of noteWrites, over the setters that the first one found; a
// setter that calls a setter is not one.
func (c *checker) noteCalls() {
	setters := c.setters()
	for _, f := range c.pass.Files {
		var stack []ast.Node
		ast.Inspect(f, func(n ast.Node) bool {
			if n == nil {
				stack = stack[:len(stack)-1]
				return true
			}
			stack = append(stack, n)
			if call, ok := n.(*ast.CallExpr); ok {
				if f, ok := typeutil.Callee(c.pass.TypesInfo, call).(*types.Func); ok {
					// the stack is copied: append would write over it at the next node
					for _, s := range setters[f.Origin()] {
						c.noteCall(call, s, append([]ast.Node(nil), stack...))
					}
				}
			}
			return true
		})
	}
}

// noteCall notes a call of a method that sets something. Called on the receiver
// itself it sets it for all values of the type; on a variable, for that one.
// The value is nil for a setter that stores a constant; the conditions around the call
// say the rest then.
func (c *checker) noteCall(call *ast.CallExpr, s setter, stack []ast.Node) {
	w := write{stack: stack}
	if s.param >= 0 && s.param < len(call.Args) {
		w.value = call.Args[s.param]
	}
	sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
	if s.to.Parent() == c.pass.Pkg.Scope() || !ok || c.isReceiver(sel.X) {
		c.writes[s.to] = append(c.writes[s.to], w)
	} else if place := c.place(sel.X); place != nil {
		key := fieldOf{place, s.to}
		c.told[key] = append(c.told[key], w)
	}
}

// setters finds the functions of this package that assign what they are given,
// or a constant.
// The order within a function's list is not fixed, and does not matter: noteCall adds
// each to a place of its own.
func (c *checker) setters() map[*types.Func][]setter {
	all := make(map[*types.Func][]setter)
	for to, writes := range c.writes {
		for _, w := range writes {
			fd := declaration(w.stack)
			// local variables, and fields of something else than the receiver, are not the caller's
			if fd == nil || to.Parent() != c.pass.Pkg.Scope() && !c.isReceiver(owner(w.to)) {
				continue
			}
			param := c.parameter(fd, w.value)
			if f, ok := c.pass.TypesInfo.Defs[fd.Name].(*types.Func); ok && (param >= 0 || c.isConstant(w.value)) {
				all[f] = append(all[f], setter{to, param})
			}
		}
	}
	return all
}

// declaration is the function that encloses the innermost node of stack; nil at
// package level.
func declaration(stack []ast.Node) *ast.FuncDecl {
	for _, n := range stack {
		if fd, ok := n.(*ast.FuncDecl); ok {
			return fd
		}
	}
	return nil
}

// owner is what an expression names a field of.
// s for s.up, &s.up, *s.up and s.up[i]; nil for a plain variable.
func owner(e ast.Expr) ast.Expr {
	switch e := ast.Unparen(e).(type) {
	case *ast.SelectorExpr:
		return e.X
	case *ast.UnaryExpr:
		return owner(e.X)
	case *ast.StarExpr:
		return owner(e.X)
	case *ast.IndexExpr:
		return owner(e.X)
	}
	return nil
}

// isReceiver reports whether an expression is the receiver of the method that it
// is in.
// False for nil.
func (c *checker) isReceiver(e ast.Expr) bool {
	if e == nil {
		return false
	}
	id, ok := ast.Unparen(e).(*ast.Ident)
	return ok && c.receivers[c.pass.TypesInfo.ObjectOf(id)]
}

// parameter is the number of the first parameter of a function in an expression,
// or -1.
// In err == nil it is that of err: a setter may store what follows from what it is
// given.
func (c *checker) parameter(fd *ast.FuncDecl, e ast.Expr) int {
	f, ok := c.pass.TypesInfo.Defs[fd.Name].(*types.Func)
	if !ok || e == nil {
		return -1
	}
	found := -1
	ast.Inspect(e, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		for i := 0; ok && found < 0 && i < f.Signature().Params().Len(); i++ {
			if c.pass.TypesInfo.ObjectOf(id) == f.Signature().Params().At(i) {
				found = i
			}
		}
		return found < 0
	})
	return found
}

// isConstant reports whether e says nothing about a dependency by itself; what
// decides is then under which condition it is reached.
func (c *checker) isConstant(e ast.Expr) bool {
	if e == nil {
		return true // ++
	}
	tv := c.pass.TypesInfo.Types[e]
	return tv.Value != nil || tv.IsNil()
}

// toldTo is the way of what methods stored in a field of what an expression names.
// Nil if it is not known which value e is: setBy has what holds for all.
func (c *checker) toldTo(e ast.Expr, field types.Object) []string {
	place := c.self
	if !c.isReceiver(e) {
		place = c.place(e)
	}
	if place == nil {
		return nil
	}
	return c.setTo(field, c.told[fieldOf{place, field}])
}

// inside calls f, in which the receiver of the method that is looked at is what
// an expression names.
// Nested calls restore what was before, so that a method that asks another value's
// method comes back to its own. e nil: not known.
func (c *checker) inside(e ast.Expr, f func()) {
	before := c.self
	defer func() { c.self = before }()
	if e == nil {
		c.self = nil
	} else if !c.isReceiver(e) {
		c.self = c.place(e)
	}
	f()
}

// answering is what a handler is a method of: x of x.live, or of x itself, below
// what wraps it.
// Nil if h is made by a function that is given no handler.
func (c *checker) answering(h ast.Expr) ast.Expr {
	switch h := ast.Unparen(h).(type) {
	case *ast.SelectorExpr:
		if _, ok := c.pass.TypesInfo.ObjectOf(h.Sel).(*types.Func); ok {
			return h.X
		}
	case *ast.CallExpr:
		for _, arg := range h.Args {
			if isHandler(c.pass.TypesInfo.TypeOf(arg)) {
				return c.answering(arg)
			}
		}
		return nil
	}
	return h
}

// noteRange notes what a variable goes over.
func (c *checker) noteRange(id *ast.Ident, over ast.Expr) {
	if obj := c.pass.TypesInfo.ObjectOf(id); obj != nil {
		c.ranged[obj] = append(c.ranged[obj], over)
	}
}

// noteMapRange does it for m.Range(func(k, v any) bool {...}) of a sync.Map.
func (c *checker) noteMapRange(call *ast.CallExpr) {
	f := c.atomic(call)
	if f == nil || f.Name() != "Range" || len(call.Args) != 1 {
		return
	}
	lit, ok := ast.Unparen(call.Args[0]).(*ast.FuncLit)
	sel, isSel := ast.Unparen(call.Fun).(*ast.SelectorExpr)
	if !ok || !isSel {
		return
	}
	for _, field := range lit.Type.Params.List {
		for _, id := range field.Names {
			c.noteRange(id, sel.X)
		}
	}
}
