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

// The search of the vet mode: which functions reach the network, by syntax and types.
// Start with solve, and read body for what counts as a call; value and object are for
// functions that are values. whole.go has the search of the other mode.

// A view says which calls count.
type view int

const (
	everything  view = iota
	outsideWait      // not what is called inside of health.Wait: the watch stands still there
)

// ways are the shortest ways to the network, by function.
// A function that is in neither map does not reach the network, as far as is known. A
// way does not name the function itself: through puts it in front.
type ways struct {
	calls map[*types.Func][]string
	makes map[*types.Func][]string // through what the function returns
}

// mostResolve is how far a value is followed.
const mostResolve = 8

// solve finds the shortest ways to the network of each function of the package,
// and exports them as facts.
// It repeats until nothing becomes shorter, so recursion and the order of declarations
// do not matter. Ways only shrink, and each round but the last one makes one shorter:
// it ends, in practice after as many rounds as the deepest chain within the package.
// The result depends on the facts of imports, which the driver has computed before.
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
		// most packages of the world have no Wait of ours: one view is enough
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
		// Outside is never set without Path: what is called outside Wait is called.
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
// Function literals count as called where they stand, since most are given to what
// calls them (retry, errgroup, sync.Once); the exceptions are handlers and what is
// returned.
func (c *checker) body(n ast.Node) (best []string) {
	background := !waits(n)
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			if background {
				// arguments of a go statement are evaluated before it starts: go log(db.Ping())
				for _, arg := range n.Call.Args {
					best = shorter(best, c.body(arg))
				}
				return false
			}
		case *ast.ReturnStmt:
			for _, result := range n.Results {
				// a closure that is returned is called by others: see returned
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
			// with everything inside its parentheses
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
// It does not match the wait to what was started. A function that waits for anything
// is taken to wait for its goroutines; nearly always it does, and to miss a check that
// asks three dependencies at the same time would be worse.
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
// nil for anything else: http.HandlerFunc(func…) is one, wrap(func…) is none.
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
// Returns of closures inside are theirs and do not count.
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
// Nil if the callee is a conversion, a builtin, or something that the mode does not
// follow. A sink that asks this host is none.
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
// It looks at every argument, since the address is not always the first one
// (net.Dial, http.NewRequest).
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
	// the network's name (unix, unixgram, unixpacket), or a scheme (unix:///run/x)
	if strings.HasPrefix(s, "unix") {
		return true
	}
	// host:port first; a URL, whose host is surer, replaces it. A bare host is no address:
	// any constant string could be one.
	host, _, err := net.SplitHostPort(s)
	if u, urlErr := url.Parse(s); urlErr == nil && u.Host != "" {
		host, err = u.Hostname(), nil
	}
	return err == nil && (host == "localhost" || host != "" && net.ParseIP(host).IsLoopback())
}

// through returns the shortest way that begins with f.
// Sinks end it, even if their code is known: what is printed is net.Dial, and not how
// package net does it. Instances of a generic function share its way.
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
// Of this package it is what solve has so far, of others a fact; of the standard
// library nothing.
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
// It is what a call means as a value: in HandleFunc("/livez", newLive(db)) the calls
// of newLive itself happen once, at start, and do not count.
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
// Arguments count as well, because a wrapper calls what it is given: logged(s.live).
// The price is a wrapper that keeps its argument and never calls it. The type counts last: a struct with a
// ServeHTTP is a handler, wherever the value came from. Depth 0 is "not known".
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
// All values that a variable has anywhere in the package count. busy keeps
// h = logged(h) from going on for ever.
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
// Nil for interfaces, whose content the type does not say, and for types of net/http:
// a ServeMux does not ask anything by itself.
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
// Which types these are does not change while solve repeats, but their ways do: so
// the methods are remembered, and the ways are not.
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
// Only types of this package and of its direct imports are known in vet mode; a type
// that main alone puts together with the interface is found by -whole. A pointer has
// the methods of its value, too, so one look-up serves both. Generic types are left
// out, since whether they implement it depends on the instance.
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

// firstElement is the part of an import path before the first slash. With a dot in it
// the path is a domain's, without one it is of the standard library, or of a module
// that has a name of its own.
func firstElement(path string) string {
	first, _, _ := strings.Cut(path, "/")
	return first
}
