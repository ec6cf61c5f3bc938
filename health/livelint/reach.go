package livelint

import (
	"go/ast"
	"go/token"
	"go/types"
	"net"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/tools/go/types/typeutil"
)

// A view says which calls count.
type view int

const (
	everything  view = iota
	outsideWait      // not what is called inside of health.Wait: the watch stands still there
)

// ways are the shortest ways to the network, by function.
type ways struct {
	calls map[*types.Func][]string
	makes map[*types.Func][]string // through what the function returns
}

// mostResolve is how far a value is followed.
const mostResolve = 8

// solve finds the shortest ways to the network of each function of the package,
// and exports them as facts.
func (c *checker) solve() {
	all := make([]*types.Func, 0, len(c.decls))
	for _, f := range c.pass.Files { // in order of the source, so that of two ways of the same length it is always the same
		for _, d := range f.Decls {
			if fd, ok := d.(*ast.FuncDecl); ok {
				if obj, ok := c.pass.TypesInfo.Defs[fd.Name].(*types.Func); ok && c.decls[obj] != nil {
					all = append(all, obj)
				}
			}
		}
	}
	for v := range c.ways {
		if view(v) == outsideWait && !imports(c.pass.Pkg, ourselves, make(map[*types.Package]bool)) {
			c.ways[v] = c.ways[everything]
			continue
		}
		c.view = view(v)
		c.ways[v] = ways{make(map[*types.Func][]string), make(map[*types.Func][]string)}
		for changed := true; changed; {
			changed = false
			better := func(known map[*types.Func][]string, f *types.Func, path []string) {
				if old := known[f]; path != nil && (old == nil || len(path) < len(old)) {
					known[f], changed = path, true
				}
			}
			for _, f := range all {
				better(c.ways[v].calls, f, c.body(c.decls[f].Body))
				better(c.ways[v].makes, f, c.returned(c.decls[f].Body))
			}
		}
	}
	c.view = everything
	for _, f := range all {
		fact := Reaches{Path: c.ways[everything].calls[f], Outside: c.ways[outsideWait].calls[f], Made: c.ways[everything].makes[f]}
		if fact.Path != nil || fact.Made != nil {
			c.pass.ExportObjectFact(f, &fact)
		}
	}
}

// imports reports whether a package is another one, or imports it, directly or not.
func imports(pkg *types.Package, path string, seen map[*types.Package]bool) bool {
	if seen[pkg] {
		return false
	}
	seen[pkg] = true
	return pkg.Path() == path || slices.ContainsFunc(pkg.Imports(), func(p *types.Package) bool { return imports(p, path, seen) })
}

// body returns the shortest way from inside a node to the network, or nil:
// handlers that are made there are not called there, and what is started in the
// background counts if something is waited for.
func (c *checker) body(n ast.Node) (best []string) {
	background := !waits(n)
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			if background {
				for _, arg := range n.Call.Args {
					best = shorter(best, c.body(arg))
				}
				return false
			}
		case *ast.ReturnStmt:
			for _, result := range n.Results {
				if c.literal(result) == nil {
					best = shorter(best, c.body(result))
				}
			}
			return false
		case *ast.FuncLit:
			return !isHandler(c.pass.TypesInfo.TypeOf(n))
		case *ast.CallExpr:
			if f, ok := typeutil.Callee(c.pass.TypesInfo, n).(*types.Func); ok && f.Name() == "AfterFunc" {
				return false // in the background
			}
			if c.view == outsideWait && c.isWatch(n, "Wait") {
				return false
			}
			if lit, ok := ast.Unparen(n.Fun).(*ast.FuncLit); ok { // called at once
				best = shorter(best, c.body(lit.Body))
			}
			best = shorter(best, c.call(n))
		}
		return true
	})
	return best
}

// waits reports whether a body waits for what it started: by a channel, or a
// method Wait.
func waits(n ast.Node) (found bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			return false
		case *ast.UnaryExpr:
			found = found || n.Op == token.ARROW
		case *ast.SelectStmt:
			found = true
		case *ast.CallExpr:
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Wait" {
				found = true
			}
		}
		return true
	})
	return found
}

// literal is the function that an expression is, below conversions.
func (c *checker) literal(e ast.Expr) *ast.FuncLit {
	switch e := ast.Unparen(e).(type) {
	case *ast.FuncLit:
		return e
	case *ast.CallExpr:
		if tv, ok := c.pass.TypesInfo.Types[e.Fun]; ok && tv.IsType() && len(e.Args) == 1 {
			return c.literal(e.Args[0])
		}
	}
	return nil
}

// returned returns the shortest way through a function, or a handler, that a body
// returns.
func (c *checker) returned(body ast.Node) (best []string) {
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.ReturnStmt:
			for _, result := range n.Results {
				best = shorter(best, c.value(result, mostResolve))
			}
		}
		return true
	})
	return best
}

// shorter prefers the way that is easier to read, and the first of two that are
// as long. Nil is no way.
func shorter(a, b []string) []string {
	if a == nil || b != nil && len(b) < len(a) {
		return b
	}
	return a
}

// call returns the shortest way through a call, the callee being first.
func (c *checker) call(call *ast.CallExpr) []string {
	if path, ok := c.wholeCall(call); ok {
		return path
	}
	switch f := typeutil.Callee(c.pass.TypesInfo, call).(type) {
	case *types.Func:
		if isSink(f, c.sinks) && c.isLocal(call) {
			return nil
		}
		return c.through(f)
	case *types.Var:
		return c.object(f, mostResolve)
	}
	return nil
}

// isLocal reports whether a call of the network is one of this host: a socket of
// Unix, or an address of loopback, by a constant.
func (c *checker) isLocal(call *ast.CallExpr) bool {
	for _, arg := range call.Args {
		if s, ok := c.text(arg); ok && isLocalAddress(s) {
			return true
		}
	}
	return false
}

// isLocalAddress reports whether s, an address or a URL, is of this machine:
// loopback or a Unix socket. A question to oneself does not leave the process's
// fate to anybody else.
func isLocalAddress(s string) bool {
	if strings.HasPrefix(s, "unix") {
		return true
	}
	host, _, err := net.SplitHostPort(s)
	if u, urlErr := url.Parse(s); urlErr == nil && u.Host != "" {
		host, err = u.Hostname(), nil
	}
	return err == nil && (host == "localhost" || host != "" && net.ParseIP(host).IsLoopback())
}

// through returns the shortest way that begins with f.
func (c *checker) through(f *types.Func) []string {
	f = f.Origin()
	if isSink(f, c.sinks) {
		return []string{name(f)}
	}
	if path := c.known(f); path != nil {
		return append([]string{name(f)}, path...)
	}
	if r := f.Signature().Recv(); r != nil && types.IsInterface(r.Type()) {
		return c.implementations(f)
	}
	return nil
}

// known is the way from f on.
func (c *checker) known(f *types.Func) []string {
	if path := c.ways[c.view].calls[f]; path != nil {
		return path
	}
	fact := c.fact(f)
	if c.view == outsideWait {
		return fact.Outside
	}
	return fact.Path
}

// made is the way through what f returns.
func (c *checker) made(f *types.Func) []string {
	f = f.Origin()
	path := c.ways[c.view].makes[f]
	if path == nil {
		path = c.fact(f).Made
	}
	if path == nil {
		return nil
	}
	return append([]string{name(f)}, path...)
}

// fact is what is known of a function of another package.
func (c *checker) fact(f *types.Func) (fact Reaches) {
	if f.Pkg() != nil && f.Pkg() != c.pass.Pkg {
		c.pass.ImportObjectFact(f, &fact)
	}
	return fact
}

// value returns the shortest way from a function, or a handler, to the network.
func (c *checker) value(e ast.Expr, depth int) (best []string) {
	if depth == 0 {
		return nil
	}
	switch e := ast.Unparen(e).(type) {
	case *ast.FuncLit:
		return c.body(e.Body)
	case *ast.Ident:
		best = c.object(c.pass.TypesInfo.ObjectOf(e), depth)
	case *ast.SelectorExpr:
		best = c.object(c.pass.TypesInfo.ObjectOf(e.Sel), depth)
	case *ast.CallExpr: // a conversion, a wrapper, or what makes a handler
		if f, ok := typeutil.Callee(c.pass.TypesInfo, e).(*types.Func); ok {
			best = c.made(f)
		}
		for _, arg := range e.Args {
			best = shorter(best, c.value(arg, depth-1))
		}
	case *ast.UnaryExpr:
		best = c.value(e.X, depth-1)
	case *ast.CompositeLit: // a table of checks
		for _, element := range e.Elts {
			if kv, ok := element.(*ast.KeyValueExpr); ok {
				element = kv.Value
			}
			best = shorter(best, c.value(element, depth-1))
		}
	}
	if tv, ok := c.pass.TypesInfo.Types[e]; ok && tv.Type != nil {
		best = shorter(best, c.handler(tv.Type))
	}
	return best
}

// object is a function, or a variable that one was assigned to.
func (c *checker) object(obj types.Object, depth int) (best []string) {
	switch obj := obj.(type) {
	case *types.Func:
		return c.through(obj)
	case *types.Var:
		if c.busy[obj] {
			return nil
		}
		c.busy[obj] = true
		for _, e := range c.values[obj] {
			best = shorter(best, c.value(e, depth-1))
		}
		delete(c.busy, obj)
	}
	return best
}

// handler is the way through the ServeHTTP of a type.
func (c *checker) handler(typ types.Type) []string {
	obj, _, _ := types.LookupFieldOrMethod(typ, true, c.pass.Pkg, "ServeHTTP")
	f, ok := obj.(*types.Func)
	if !ok || types.IsInterface(typ) || f.Pkg() != nil && f.Pkg().Path() == "net/http" {
		return nil
	}
	return c.through(f)
}

// implementations is the shortest way through a method of an interface, by the
// types of this package and of its imports.
func (c *checker) implementations(f *types.Func) (best []string) {
	methods, ok := c.methods[f]
	if !ok {
		methods = c.implementing(f)
		c.methods[f] = methods
	}
	for _, m := range methods {
		if isSink(m, c.sinks) {
			best = shorter(best, []string{name(m)})
		} else if path := c.known(m); path != nil {
			best = shorter(best, append([]string{name(m)}, path...))
		}
	}
	return best
}

// implementing finds the methods that a call of a method of an interface may be.
func (c *checker) implementing(f *types.Func) (methods []*types.Func) {
	if f.Pkg() == nil || !strings.Contains(firstElement(f.Pkg().Path()), ".") && f.Pkg() != c.pass.Pkg {
		return nil // of the standard library: everything implements it
	}
	iface, ok := f.Signature().Recv().Type().Underlying().(*types.Interface)
	if !ok {
		return nil
	}
	for _, pkg := range append([]*types.Package{c.pass.Pkg}, c.pass.Pkg.Imports()...) {
		for _, n := range pkg.Scope().Names() {
			tn, ok := pkg.Scope().Lookup(n).(*types.TypeName)
			if !ok || tn.IsAlias() || types.IsInterface(tn.Type()) {
				continue
			}
			if named, ok := tn.Type().(*types.Named); !ok || named.TypeParams().Len() > 0 {
				continue
			}
			ptr := types.NewPointer(tn.Type())
			if !types.Implements(ptr, iface) {
				continue
			}
			obj, _, _ := types.LookupFieldOrMethod(ptr, false, pkg, f.Name())
			if m, ok := obj.(*types.Func); ok && m != f {
				methods = append(methods, m)
			}
		}
	}
	return methods
}

func firstElement(path string) string {
	first, _, _ := strings.Cut(path, "/")
	return first
}
