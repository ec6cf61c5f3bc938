package livelint

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"

	"golang.org/x/tools/go/types/typeutil"
)

// This library's own API: four patterns that turn an outage into a restart although no
// route is involved (docs/guide/livelint.md has the table). fatal, onChange and loop are
// the patterns; conditions and origin say what a call depends on, and background.go
// uses them as well.

// ourselves is the package whose own ways back to the fault are looked for.
const ourselves = "github.com/failopen/failopen/health"

// isOurs reports whether a call is one of a method of package health.
// typ is the receiver's name without a star, "" for functions.
func (c *checker) isOurs(call *ast.CallExpr, typ string, methods ...string) bool {
	f, _ := typeutil.Callee(c.pass.TypesInfo, call).(*types.Func)
	return f != nil && f.Pkg() != nil && f.Pkg().Path() == ourselves && receiver(f) == typ && slices.Contains(methods, f.Name())
}

// isWatch reports whether a call is one of a watch, or of health.Wait.
func (c *checker) isWatch(call *ast.CallExpr, methods ...string) bool {
	return c.isOurs(call, "Watch", methods...) || c.isOurs(call, "", methods...)
}

// fatal finds p.Fatal(err) whose err comes from a call of a dependency, and a
// Fatal that is called because such a call failed. stack is what the call is in.
// if err == nil { p.Fatal(x) } is no such case: there the dependency works.
func (c *checker) fatal(call *ast.CallExpr, stack []ast.Node) {
	if !c.isOurs(call, "Process", "Fatal") || len(call.Args) != 1 {
		return
	}
	c.report(call.Pos(), "the error given to Fatal comes from code that calls", c.origin(call.Args[0], mostResolve))
	for _, cond := range conditions(c, stack) {
		if cond.failed >= 0 {
			c.report(call.Pos(), "whether Fatal is called depends on code that calls", c.origins(cond.expr))
		}
	}
}

// onChange finds OnChange whose function calls Fatal: the state is that of the
// dependencies, too.
func (c *checker) onChange(call *ast.CallExpr) {
	if !c.isOurs(call, "Process", "OnChange") || len(call.Args) != 1 {
		return
	}
	if c.callsFatal(call.Args[0], mostResolve) {
		c.say(call.Pos(), "", "the function given to OnChange calls Fatal; the state follows the dependencies, so that an outage of one restarts this process, which does not help")
	}
}

// callsFatal reports whether a function calls Fatal, itself or by way of others
// of the package.
// depth bounds recursion of the code that is looked at; 0 is "no".
func (c *checker) callsFatal(e ast.Expr, depth int) (found bool) {
	if depth == 0 {
		return false
	}
	var id *ast.Ident
	switch e := ast.Unparen(e).(type) {
	case *ast.FuncLit:
		return c.fatalIn(e.Body, depth)
	case *ast.Ident:
		id = e
	case *ast.SelectorExpr:
		id = e.Sel
	default:
		return false
	}
	obj := c.pass.TypesInfo.ObjectOf(id)
	if f, ok := obj.(*types.Func); ok && c.decls[f] != nil {
		return c.fatalIn(c.decls[f].Body, depth)
	}
	return slices.ContainsFunc(c.values[obj], func(v ast.Expr) bool { return c.callsFatal(v, depth-1) })
}

// fatalIn reports whether body calls Process.Fatal, directly or through
// functions of this package, up to depth calls away.
func (c *checker) fatalIn(body ast.Node, depth int) (found bool) {
	ast.Inspect(body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && !found {
			found = c.isOurs(call, "Process", "Fatal") || c.callsFatal(call.Fun, depth-1)
		}
		return !found
	})
	return found
}

// loop looks at a loop that a watch guards: calls of dependencies outside of
// Wait, and a Beat that only a successful call leads to. In both the loop falls
// silent in an outage, and is restarted for it.
// A loop without a Beat is not one of a watch. Calls count with the view outsideWait:
// a function that asks only inside its own Wait is harmless here.
func (c *checker) loop(body *ast.BlockStmt, stack []ast.Node) {
	c.view = outsideWait
	defer func() { c.view = everything }()

	type event struct {
		call *ast.CallExpr
		path []string // nil: of the watch
	}
	var events []event
	// with a second sign of life the loop is not silent without this Beat
	signs := 0 // Beat, Idle and Wait
	inner := slices.Clone(stack)
	var beat *ast.CallExpr
	var beatStack []ast.Node
	ast.Inspect(body, func(n ast.Node) bool {
		if n == nil {
			inner = inner[:len(inner)-1]
			return true
		}
		switch n := n.(type) {
		case *ast.GoStmt:
			return false
		case *ast.FuncLit:
			if len(inner) == 0 {
				return false
			}
			// func() { … }() is; a function that is given away runs elsewhere, if at all
			if call, ok := inner[len(inner)-1].(*ast.CallExpr); !ok || ast.Unparen(call.Fun) != n {
				return false // it is not called here
			}
		case *ast.CallExpr:
			switch {
			case c.isWatch(n, "Wait"):
				signs++
				return false
			case c.isWatch(n, "Beat", "Idle"):
				signs++
				if c.isWatch(n, "Beat") {
					beat, beatStack = n, slices.Clone(inner)
				}
				events = append(events, event{n, nil})
			default:
				if path := c.call(n); path != nil {
					events = append(events, event{n, path})
				}
			}
		}
		inner = append(inner, n)
		return true
	})
	if beat == nil {
		return
	}
	if signs == 1 {
		for _, cond := range conditions(c, beatStack) {
			// A Beat that only a failed call leads to falls silent when all is well, which is seen
			// at once; conditions outside the loop are decided before it.
			if path := c.origins(cond.expr); path != nil && cond.failed <= 0 && cond.expr.Pos() >= body.Pos() {
				c.report(beat.Pos(), "whether Beat is called depends on code that calls", path)
				return
			}
		}
	}
	// Two passes: the last sign of a round holds until the first one of the next, as
	// for { ask(); w.Beat(); work(); w.Idle() } asks while idle.
	idle := false // from the end of the round before
	for _, e := range events {
		if e.path == nil {
			idle = c.isWatch(e.call, "Idle")
		}
	}
	for _, e := range events {
		switch {
		case e.path == nil:
			idle = c.isWatch(e.call, "Idle")
		case !idle:
			c.report(e.call.Pos(), "a loop that a watch guards calls, outside of Wait,", e.path)
		}
	}
}

// A condition decides whether something is called. failed is 1 if it is called
// when an error is not nil, -1 if when it is nil, and 0 if that is not known.
type condition struct {
	expr   ast.Expr
	failed int
}

// conditions are what has to hold for the call at the end of a stack, in its
// function and its innermost loop.
// From the inside out, the innermost first. A statement before that leaves the block
// is a condition like the if around it.
func conditions(c *checker, stack []ast.Node) (all []condition) {
	for i := len(stack) - 1; i > 0; i-- {
		child := stack[i]
		switch parent := stack[i-1].(type) {
		case *ast.FuncLit, *ast.FuncDecl, *ast.ForStmt, *ast.RangeStmt:
			return all
		case *ast.IfStmt:
			failed := c.failure(parent.Cond)
			switch child {
			case parent.Body:
				all = append(all, condition{parent.Cond, failed})
			case parent.Else:
				all = append(all, condition{parent.Cond, -failed})
			}
		case *ast.CaseClause:
			for _, e := range parent.List {
				all = append(all, condition{e, c.failure(e)})
			}
			all = append(all, c.before(parent.Body, child)...)
		case *ast.SwitchStmt:
			if parent.Tag != nil && child == parent.Body {
				all = append(all, condition{parent.Tag, 0})
			}
		case *ast.BlockStmt:
			all = append(all, c.before(parent.List, child)...)
		}
	}
	return all
}

// before are the conditions that left the block before a statement.
// if err != nil { return }: what follows needs err == nil, hence the minus. Only an if
// without an else, whose last statement leaves, is one.
func (c *checker) before(list []ast.Stmt, child ast.Node) (all []condition) {
	for _, s := range list {
		if s == child {
			break
		}
		n, ok := s.(*ast.IfStmt)
		if !ok || n.Else != nil || len(n.Body.List) == 0 {
			continue
		}
		switch n.Body.List[len(n.Body.List)-1].(type) {
		case *ast.ReturnStmt, *ast.BranchStmt:
			all = append(all, condition{n.Cond, -c.failure(n.Cond)})
		}
	}
	return all
}

// failure is 1 for err != nil, -1 for err == nil, and 0 for anything else.
// Only errors, by their type: p == nil of a pointer says nothing of a call.
func (c *checker) failure(e ast.Expr) int {
	cmp, ok := ast.Unparen(e).(*ast.BinaryExpr)
	if !ok || cmp.Op != token.NEQ && cmp.Op != token.EQL {
		return 0
	}
	if id, ok := ast.Unparen(cmp.Y).(*ast.Ident); !ok || id.Name != "nil" {
		return 0
	}
	if t := c.pass.TypesInfo.TypeOf(cmp.X); t == nil || t.String() != "error" {
		return 0
	}
	if cmp.Op == token.NEQ {
		return 1
	}
	return -1
}

// origins is the shortest way to the network of what a condition is made of.
// Each variable and each call in it is asked: in ok && err == nil any of them may have
// decided. Nil: none of them is known to come from the network.
func (c *checker) origins(e ast.Expr) (best []string) {
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.Ident:
			best = shorter(best, c.origin(n, mostResolve))
		case *ast.CallExpr:
			best = shorter(best, c.call(n))
		}
		return true
	})
	return best
}

// origin is the way to the network of the call that a value comes from.
// A value that health.Wait returned has waited in a way that the watch knows of.
func (c *checker) origin(e ast.Expr, depth int) (best []string) {
	if depth == 0 {
		return nil
	}
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		for _, v := range c.nearest(e) {
			best = shorter(best, c.origin(v, depth-1))
		}
	case *ast.CallExpr:
		if c.view == outsideWait && c.isWatch(e, "Wait") {
			return nil
		}
		best = c.call(e)
		for _, arg := range e.Args { // fmt.Errorf("...: %w", err)
			best = shorter(best, c.origin(arg, depth-1))
		}
	}
	return best
}

// nearest is what was last assigned to a variable above a place, and everything
// that is assigned to it if there is nothing above.
// err is reused all over a function, so all its values would be too many. By position,
// and not by flow: the order of the source is the order of the code nearly always.
func (c *checker) nearest(use *ast.Ident) []ast.Expr {
	obj := c.pass.TypesInfo.ObjectOf(use)
	if _, ok := obj.(*types.Var); !ok {
		return nil
	}
	var last ast.Expr
	for _, v := range c.values[obj] {
		if v.End() <= use.Pos() && (last == nil || v.Pos() > last.Pos()) {
			last = v
		}
	}
	if last == nil {
		return c.values[obj]
	}
	return []ast.Expr{last}
}
