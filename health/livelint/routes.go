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
func (c *checker) text(e ast.Expr) (string, bool) {
	tv := c.pass.TypesInfo.Types[e]
	if tv.Value == nil || tv.Value.Kind() != constant.String {
		return "", false
	}
	return constant.StringVal(tv.Value), true
}

// check is the shortest way from a handler, or a check, to the network.
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
func (c *checker) path(e ast.Expr, depth int) (s string, ok bool) {
	if s, ok = c.text(e); ok || depth == 0 {
		return s, ok
	}
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
func (c *checker) assigned(obj types.Object, depth int) (string, bool) {
	if values := c.values[obj]; obj != nil && len(values) == 1 {
		return c.path(values[0], depth-1)
	}
	return "", false
}

var verb = regexp.MustCompile(`%[a-z]`)

// computed is the string that a call returns: Sprintf, Join, or a function of
// this package that does nothing but return one.
func (c *checker) computed(call *ast.CallExpr, depth int) (string, bool) {
	f, _ := typeutil.Callee(c.pass.TypesInfo, call).(*types.Func)
	if f == nil || f.Pkg() == nil {
		return "", false
	}
	switch f.Pkg().Path() + "." + f.Name() {
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
	case "path.Join", "net/url.JoinPath":
		var parts []string
		known := false
		for _, arg := range call.Args {
			s, ok := c.path(arg, depth-1)
			parts, known = append(parts, strings.Trim(orUnknown(s, ok), "/")), known || ok
		}
		return "/" + strings.Join(parts, "/"), known
	}
	if fd := c.decls[f]; fd != nil && len(fd.Body.List) == 1 {
		if ret, ok := fd.Body.List[0].(*ast.ReturnStmt); ok && len(ret.Results) == 1 {
			return c.path(ret.Results[0], depth-1)
		}
	}
	return "", false
}

// isLivePath reports whether a pattern of a router is a liveness path: "/livez",
// "GET /livez", "example.com/livez". An address is none: it belongs to a client.
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
	grouping = regexp.MustCompile(`^(Group|Route|Mount|PathPrefix|Path|Party|Namespace|GET|Get)$`)
	handing  = regexp.MustCompile(`^(Handler|HandlerFunc|Handle|HandleFunc|To|ThenFunc|Then)$`)
)

// prefix is the path of a group of routes, "" for a router:
// r.PathPrefix("/health").Subrouter(), g := e.Group("/health").
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
	if !named && handing.MatchString(method) && prefix != "" && c.isLivePath(prefix) {
		for _, h := range call.Args {
			c.mounted(call.Pos(), prefix, h)
		}
	}
}

// described is the path in a literal that describes a route, whose handler stands
// beside it: huma.Register(api, huma.Operation{Path: "/livez"}, h).
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

// byPath finds handlers that look at the path themselves: switch r.URL.Path and
// if r.URL.Path == "/livez".
func (c *checker) byPath(n ast.Node) {
	isPath := func(e ast.Expr) bool {
		sel, ok := ast.Unparen(e).(*ast.SelectorExpr)
		return ok && sel.Sel.Name == "Path"
	}
	answers := func(pos token.Pos, e ast.Expr, body ast.Node) {
		if s, ok := c.path(e, mostResolve); ok && c.isLivePath(s) {
			c.reportRoute(pos, s, c.body(body))
			c.reportRoute(pos, s, c.remembered(body))
		}
	}
	switch n := n.(type) {
	case *ast.SwitchStmt:
		if n.Tag == nil || !isPath(n.Tag) {
			return
		}
		for _, clause := range n.Body.List {
			if clause, ok := clause.(*ast.CaseClause); ok {
				for _, e := range clause.List {
					answers(clause.Pos(), e, &ast.BlockStmt{List: clause.Body})
				}
			}
		}
	case *ast.IfStmt:
		if cmp, ok := ast.Unparen(n.Cond).(*ast.BinaryExpr); ok && cmp.Op == token.EQL && isPath(cmp.X) {
			answers(n.Pos(), cmp.Y, n.Body)
		}
	}
}

// isHandler reports whether values of a type answer requests: http.Handler,
// functions of net/http, and those of gin, echo, fiber and their like, which
// take a Context of their own.
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
