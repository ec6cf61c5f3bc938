package livelint

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"regexp"
	"strings"

	"golang.org/x/tools/go/types/typeutil"
)

// text is the value of a constant string.
// Constants by name and constant expressions (base + "/livez") are values to
// go/types already; path is for what is put together at run time.
func (c *checker) text(e ast.Expr) (string, bool) {
	tv := c.pass.TypesInfo.Types[e]
	if tv.Value == nil || tv.Value.Kind() != constant.String {
		return "", false
	}
	return constant.StringVal(tv.Value), true
}

// check is the shortest way from a handler, or a check, to the network.
// It is where the two modes part: the whole program is asked first, and the syntax if
// there is none, or if that does not know what e is. Nil: no way was found.
func (c *checker) check(e ast.Expr) []string {
	if path, ok := c.wholeValue(e); ok {
		return path
	}
	return c.value(e, mostResolve)
}

// unknown stands for a part of a path that is not in the code.
const unknown = "{}"

// path is what the code says about a string: a constant, one that was put
// together, or its end. ok is false if nothing of it is known.
// A part that is not known becomes "{}": prefix + "/livez" is "{}/livez", which
// the default pattern matches below any prefix. depth bounds variables that are
// assigned from each other.
func (c *checker) path(e ast.Expr, depth int) (s string, ok bool) {
	if s, ok = c.text(e); ok || depth == 0 {
		return s, ok
	}
	// most arguments of most calls are no strings: the cheap question first
	if t, isBasic := typeOf(c, e).(*types.Basic); !isBasic || t.Info()&types.IsString == 0 {
		return "", false
	}
	switch e := ast.Unparen(e).(type) {
	case *ast.BinaryExpr:
		if e.Op != token.ADD {
			return "", false
		}
		left, okLeft := c.path(e.X, depth-1)
		right, okRight := c.path(e.Y, depth-1)
		return orUnknown(left, okLeft) + orUnknown(right, okRight), okLeft || okRight
	case *ast.Ident:
		return c.assigned(c.pass.TypesInfo.ObjectOf(e), depth)
	case *ast.CallExpr:
		return c.computed(e, depth)
	}
	return "", false
}

// typeOf is the underlying type of e; nil in code that does not compile.
func typeOf(c *checker, e ast.Expr) types.Type {
	if t := c.pass.TypesInfo.TypeOf(e); t != nil {
		return t.Underlying()
	}
	return nil
}

// orUnknown makes of a part of a path that is not constant one that matches
// anything.
func orUnknown(s string, ok bool) string {
	if !ok {
		return unknown
	}
	return s
}

// assigned is the string that a variable has, if there is only one.
// Of two values neither is more right than the other: a path that depends on a flag
// is not guessed.
func (c *checker) assigned(obj types.Object, depth int) (string, bool) {
	if values := c.values[obj]; obj != nil && len(values) == 1 {
		return c.path(values[0], depth-1)
	}
	return "", false
}

// verb is a verb of package fmt without flags, which paths do not use: %s, %d, %v.
var verb = regexp.MustCompile(`%[a-z]`)

// computed is the string that a call returns: Sprintf, Join, or a function of
// this package that does nothing but return one.
func (c *checker) computed(call *ast.CallExpr, depth int) (string, bool) {
	f, _ := typeutil.Callee(c.pass.TypesInfo, call).(*types.Func)
	if f == nil || f.Pkg() == nil {
		return "", false
	}
	switch f.Pkg().Path() + "." + f.Name() {
	// known as long as the format is; each verb takes its argument in turn, and one that
	// has none, or one that is not constant, matches anything
	case "fmt.Sprintf", "fmt.Sprint":
		if len(call.Args) == 0 {
			return "", false
		}
		format, ok := c.text(call.Args[0])
		if !ok || call.Ellipsis.IsValid() {
			return "", false
		}
		i := 0
		return verb.ReplaceAllStringFunc(format, func(string) string {
			if i++; i < len(call.Args) {
				return orUnknown(c.path(call.Args[i], depth-1))
			}
			return unknown
		}), true
	// slashes are put once between the parts, as Join does; of .. nothing is made
	case "path.Join", "net/url.JoinPath":
		var parts []string
		known := false
		for _, arg := range call.Args {
			s, ok := c.path(arg, depth-1)
			parts, known = append(parts, strings.Trim(orUnknown(s, ok), "/")), known || ok
		}
		return "/" + strings.Join(parts, "/"), known
	}
	// func livePath() string { return base + "/livez" }
	if fd := c.decls[f]; fd != nil && len(fd.Body.List) == 1 {
		if ret, ok := fd.Body.List[0].(*ast.ReturnStmt); ok && len(ret.Results) == 1 {
			return c.path(ret.Results[0], depth-1)
		}
	}
	return "", false
}

// isLivePath reports whether a pattern of a router is a liveness path: "/livez",
// "GET /livez", "example.com/livez". An address is none: it belongs to a client.
// What routers add is taken off first: the method and a space, a host before the first
// slash, and {$} for "exactly this path" (net/http.ServeMux). A pattern that begins
// with an unknown part has no host that could be told from it.
func (c *checker) isLivePath(pattern string) bool {
	if strings.Contains(pattern, "://") {
		return false
	}
	if _, rest, ok := strings.Cut(pattern, " "); ok {
		pattern = strings.TrimSpace(rest)
	}
	if i := strings.Index(pattern, "/"); i > 0 && !strings.HasPrefix(pattern, unknown) {
		pattern = pattern[i:]
	}
	return c.live.MatchString(strings.TrimSuffix(pattern, "{$}"))
}

// group notes what a call gives its path to: r.Route("/health", func(r Router) {...}).
// The parameters of the function are what the routes below are given to, so each is
// mapped to the call, and prefix finds the path there. Whether the call is one of a
// router is asked by prefix, by its name: here nothing is known yet.
func (c *checker) group(call *ast.CallExpr) {
	if len(call.Args) < 2 {
		return
	}
	for _, arg := range call.Args[1:] {
		var params *ast.FieldList
		switch arg := ast.Unparen(arg).(type) {
		case *ast.FuncLit:
			params = arg.Type.Params
		case *ast.Ident:
			if f, ok := c.pass.TypesInfo.ObjectOf(arg).(*types.Func); ok && c.decls[f] != nil {
				params = c.decls[f].Type.Params
			}
		case *ast.SelectorExpr:
			if f, ok := c.pass.TypesInfo.ObjectOf(arg.Sel).(*types.Func); ok && c.decls[f] != nil {
				params = c.decls[f].Type.Params
			}
		}
		if params == nil {
			continue
		}
		for _, field := range params.List {
			for _, id := range field.Names {
				if obj := c.pass.TypesInfo.ObjectOf(id); obj != nil {
					c.groups[obj] = call
				}
			}
		}
	}
}

// Names of methods.
var (
	// whose first argument is a path that counts for what follows in the chain, or in
	// the function beside it: chi, echo, gin, gorilla/mux, iris; GET of go-restful
	grouping = regexp.MustCompile(`^(Group|Route|Mount|PathPrefix|Path|Party|Namespace|GET|Get)$`)
	// which take a handler, and no path, since that was given before: gorilla/mux's
	// HandlerFunc, go-restful's To, alice's Then
	handing = regexp.MustCompile(`^(Handler|HandlerFunc|Handle|HandleFunc|To|ThenFunc|Then)$`)
)

// prefix is the path of a group of routes, "" for a router:
// r.PathPrefix("/health").Subrouter(), g := e.Group("/health").
// It goes from the inside out: v1.Group("/health") is the prefix of v1, then
// "/health". A variable with two values, or a router that comes from elsewhere, has
// no prefix, so that its routes are looked at by themselves.
func (c *checker) prefix(e ast.Expr, depth int) string {
	if depth == 0 {
		return ""
	}
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		obj := c.pass.TypesInfo.ObjectOf(e)
		if call := c.groups[obj]; call != nil {
			return c.prefix(call, depth-1)
		}
		if values := c.values[obj]; obj != nil && len(values) == 1 {
			return c.prefix(values[0], depth-1)
		}
	case *ast.CallExpr:
		sel, ok := ast.Unparen(e.Fun).(*ast.SelectorExpr)
		if !ok {
			return ""
		}
		before := c.prefix(sel.X, depth-1)
		if grouping.MatchString(sel.Sel.Name) && len(e.Args) > 0 {
			if s, ok := c.path(e.Args[0], mostResolve); ok {
				return strings.TrimSuffix(before, "/") + s
			}
		}
		return before
	}
	return ""
}

// mount finds any call that gives a handler to a liveness path:
// mux.HandleFunc("/livez", h), r.GET("/livez", h), mux.Handle("GET /livez", h),
// r.Path("/livez").HandlerFunc(h).
// It does not ask whose method it is. A call that is given a path and, after it, what
// reaches the network is a route in every router that we have seen, and a list of
// routers would be out of date. What is no handler leads nowhere and costs nothing.
func (c *checker) mount(call *ast.CallExpr) {
	var prefix, method string
	if sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); ok {
		prefix, method = c.prefix(sel.X, mostResolve), sel.Sel.Name
	}
	named := false
	for i, arg := range call.Args {
		s, ok := c.path(arg, mostResolve)
		if !ok {
			s, ok = c.described(arg)
		}
		if !ok {
			continue
		}
		named = true
		// a path below a group; what does not begin with a slash is no path of a route, but
		// a name or a method: r.Method("GET", "/livez", h)
		full := s
		if prefix != "" && (s == "" || strings.HasPrefix(s, "/")) {
			full = strings.TrimSuffix(prefix, "/") + s
		}
		if c.isLivePath(full) && c.call(call) == nil { // it is a router, not a client
			for _, h := range call.Args[i+1:] {
				c.mounted(call.Pos(), full, h)
			}
		}
	}
	// the path was in the chain before: r.Path("/livez").HandlerFunc(h)
	if !named && handing.MatchString(method) && prefix != "" && c.isLivePath(prefix) {
		for _, h := range call.Args {
			c.mounted(call.Pos(), prefix, h)
		}
	}
}

// described is the path in a literal that describes a route, whose handler stands
// beside it: huma.Register(api, huma.Operation{Path: "/livez"}, h).
// The literal may be behind a pointer. Its type does not matter, only the name of the
// field: Path, Pattern or Route.
func (c *checker) described(e ast.Expr) (string, bool) {
	if u, ok := ast.Unparen(e).(*ast.UnaryExpr); ok {
		e = u.X
	}
	lit, ok := ast.Unparen(e).(*ast.CompositeLit)
	if !ok {
		return "", false
	}
	for _, element := range lit.Elts {
		if kv, ok := element.(*ast.KeyValueExpr); ok {
			if key, ok := kv.Key.(*ast.Ident); ok && (key.Name == "Path" || key.Name == "Pattern" || key.Name == "Route") {
				return c.path(kv.Value, mostResolve)
			}
		}
	}
	return "", false
}

// mounted looks at a handler that answers on a liveness path.
// Three questions, and the first that finds something is reported, since say takes one
// fault of a place: is it a health library's handler, for which whatever was
// registered answers; does it ask; does it remember.
func (c *checker) mounted(pos token.Pos, path string, h ast.Expr) {
	if f, ok := typeOf(c, h).(*types.Signature); ok {
		for v := range f.Params().Variables() {
			if isNamed(v.Type(), "net/http", "Response") {
				return // it looks at an answer
			}
		}
	}
	if lib := c.library(h, mostResolve); lib != "" {
		c.reportRoute(pos, path, c.registered(lib))
	}
	c.reportRoute(pos, path, c.check(h))
	c.inside(c.answering(h), func() {
		for _, body := range c.handlerBodies(h, mostResolve) {
			c.reportRoute(pos, path, c.remembered(body))
		}
	})
}

// table finds routes in literals: {"/livez", s.live}, {Path: "/livez", Handler: h},
// map[string]http.HandlerFunc{"/livez": s.live}.
// A struct is a route if one of its fields is a liveness path and another one a
// handler, by their values and not by the fields' names. Findings stand at the row,
// not at the table.
func (c *checker) table(lit *ast.CompositeLit) {
	path := ""
	for _, element := range lit.Elts {
		kv, ok := element.(*ast.KeyValueExpr)
		if !ok {
			kv = &ast.KeyValueExpr{Value: element}
		} else if s, ok := c.path(kv.Key, mostResolve); ok && c.isLivePath(s) && isHandler(c.pass.TypesInfo.TypeOf(kv.Value)) {
			c.mounted(kv.Pos(), s, kv.Value) // of a map
		}
		if s, ok := c.path(kv.Value, mostResolve); ok && c.isLivePath(s) {
			path = s
		}
	}
	if path == "" {
		return
	}
	for _, element := range lit.Elts {
		value := element
		if kv, ok := element.(*ast.KeyValueExpr); ok {
			value = kv.Value
		}
		if isHandler(c.pass.TypesInfo.TypeOf(value)) {
			c.mounted(lit.Pos(), path, value)
		}
	}
}

// byPath finds handlers that look at the path themselves: switch r.URL.Path, a
// switch without a tag, and if r.URL.Path == "/livez", also together with other
// conditions.
func (c *checker) byPath(n ast.Node) {
	answers := func(pos token.Pos, e ast.Expr, body ast.Node) {
		if s, ok := c.path(e, mostResolve); ok && c.isLivePath(s) {
			c.reportRoute(pos, s, c.body(body))
			c.reportRoute(pos, s, c.remembered(body))
		}
	}
	switch n := n.(type) {
	case *ast.SwitchStmt:
		if n.Tag != nil && !isPath(n.Tag) {
			return
		}
		for _, clause := range n.Body.List {
			clause, ok := clause.(*ast.CaseClause)
			if !ok {
				continue
			}
			asked := clause.List
			if n.Tag == nil {
				asked = pathsIn(clause.List...)
			}
			for _, e := range asked {
				answers(clause.Pos(), e, &ast.BlockStmt{List: clause.Body})
			}
		}
	case *ast.IfStmt:
		for _, e := range pathsIn(n.Cond) {
			answers(n.Pos(), e, n.Body)
		}
	}
}

// isPath reports whether an expression is the path of a URL, or of what else has a
// field of that name: a finding needs a body that reaches the network, too.
func isPath(e ast.Expr) bool {
	sel, ok := ast.Unparen(e).(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "Path"
}

// pathsIn are what conditions compare a path with, on either side of ==, and below
// && and ||. What is below a negation is not answered there.
func pathsIn(conditions ...ast.Expr) (all []ast.Expr) {
	for _, cond := range conditions {
		cmp, ok := ast.Unparen(cond).(*ast.BinaryExpr)
		switch {
		case !ok:
		case cmp.Op == token.LAND || cmp.Op == token.LOR:
			all = append(all, pathsIn(cmp.X, cmp.Y)...)
		case cmp.Op == token.EQL && isPath(cmp.X):
			all = append(all, cmp.Y)
		case cmp.Op == token.EQL && isPath(cmp.Y):
			all = append(all, cmp.X)
		}
	}
	return all
}

// isHandler reports whether values of a type answer requests: http.Handler,
// functions of net/http, and those of gin, echo, fiber and their like, which
// take a Context of their own.
// Those frameworks are not named: any type Context, Ctx or RequestCtx counts but
// context.Context, which clients take.
func isHandler(t types.Type) bool {
	if t == nil {
		return false
	}
	if obj, _, _ := types.LookupFieldOrMethod(t, true, nil, "ServeHTTP"); obj != nil {
		return true
	}
	f, ok := t.Underlying().(*types.Signature)
	if !ok {
		return false
	}
	for v := range f.Params().Variables() {
		if isNamed(v.Type(), "net/http", "ResponseWriter") {
			return true
		}
		typ := v.Type()
		if p, ok := typ.(*types.Pointer); ok {
			typ = p.Elem()
		}
		n, ok := types.Unalias(typ).(*types.Named)
		if ok && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() != "context" {
			switch n.Obj().Name() {
			case "Context", "Ctx", "RequestCtx":
				return true
			}
		}
	}
	return false
}
