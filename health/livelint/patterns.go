package livelint

import (
	"fmt"
	"go/ast"
	"go/types"
	"strings"

	"golang.org/x/tools/go/types/typeutil"
)

// Health libraries, by the beginning of their import paths.
const (
	healthGo    = "github.com/hellofresh/health-go"
	alex        = "github.com/alexliesenfeld/health"
	heptio      = "github.com/heptiolabs/healthcheck"
	controller  = "sigs.k8s.io/controller-runtime"
	grpcHealth  = "google.golang.org/grpc/health/grpc_health_v1"
	ourselves   = "github.com/failopen/failopen/health"
	mostResolve = 8 // how far a value is followed
)

// look finds liveness checks.
func (c *checker) look() {
	for _, f := range c.pass.Files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				c.mount(n)
				c.register(n)
				c.fatal(n)
			case *ast.FuncDecl:
				c.grpc(n)
			}
			return true
		})
	}
}

// mount finds any call that gives a handler to a liveness path:
// mux.HandleFunc("/livez", h), r.GET("/livez", h), mux.Handle("GET /livez", h).
func (c *checker) mount(call *ast.CallExpr) {
	for i, arg := range call.Args {
		path, ok := c.text(arg)
		if !ok || !c.isLivePath(path) {
			continue
		}
		for _, h := range call.Args[i+1:] {
			what := fmt.Sprintf("the liveness handler of %q", path)
			if lib := c.library(h, mostResolve); lib != "" {
				c.report(call.Pos(), what, c.registered(lib))
			}
			c.report(call.Pos(), what, c.value(h, mostResolve))
		}
	}
}

// register finds liveness checks that are given to a library.
func (c *checker) register(call *ast.CallExpr) {
	f, _ := typeutil.Callee(c.pass.TypesInfo, call).(*types.Func)
	if f == nil || f.Pkg() == nil || len(call.Args) < 2 {
		return
	}
	heptioLive := f.Name() == "AddLivenessCheck" && strings.HasPrefix(f.Pkg().Path(), heptio)
	controllerLive := f.Name() == "AddHealthzCheck" && strings.HasPrefix(f.Pkg().Path(), controller)
	if heptioLive || controllerLive {
		c.report(call.Pos(), "the liveness check of "+f.Name(), c.value(call.Args[1], mostResolve))
	}
}

// fatal finds p.Fatal(err) whose err comes from a call to a dependency.
func (c *checker) fatal(call *ast.CallExpr) {
	f, _ := typeutil.Callee(c.pass.TypesInfo, call).(*types.Func)
	if f == nil || f.Name() != "Fatal" || f.Pkg() == nil || f.Pkg().Path() != ourselves || receiver(f) != "Process" || len(call.Args) != 1 {
		return
	}
	c.report(call.Pos(), "the error given to Fatal comes from code that", c.origin(call.Args[0], mostResolve))
}

// grpc finds implementations of the gRPC health service.
func (c *checker) grpc(fd *ast.FuncDecl) {
	if fd.Name.Name != "Check" && fd.Name.Name != "Watch" || fd.Recv == nil || fd.Body == nil {
		return
	}
	f, _ := c.pass.TypesInfo.Defs[fd.Name].(*types.Func)
	if f == nil {
		return
	}
	for v := range f.Signature().Params().Variables() {
		if isNamed(v.Type(), grpcHealth, "HealthCheckRequest") {
			c.report(fd.Name.Pos(), "the gRPC health service", c.reach[f])
		}
	}
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
		best = c.call(e)
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
		for _, e := range c.values[obj] {
			best = shorter(best, c.value(e, depth-1))
		}
	}
	return best
}

// handler is the way through the ServeHTTP of a type, or its Check, as in
// controller-runtime.
func (c *checker) handler(typ types.Type) []string {
	obj, _, _ := types.LookupFieldOrMethod(typ, true, c.pass.Pkg, "ServeHTTP")
	f, ok := obj.(*types.Func)
	if !ok || types.IsInterface(typ) || f.Pkg() != nil && f.Pkg().Path() == "net/http" {
		return nil
	}
	return c.through(f)
}

// library is the health library that made a handler: h.Handler(),
// NewHandler(checker), h.HandlerFunc.
func (c *checker) library(e ast.Expr, depth int) string {
	if depth == 0 {
		return ""
	}
	of := func(id *ast.Ident) string {
		f, ok := c.pass.TypesInfo.ObjectOf(id).(*types.Func)
		if !ok || f.Pkg() == nil {
			return ""
		}
		for _, lib := range []string{healthGo, alex} {
			if strings.HasPrefix(f.Pkg().Path(), lib) && strings.Contains(f.Name(), "Handler") {
				return lib
			}
		}
		return ""
	}
	switch e := ast.Unparen(e).(type) {
	case *ast.SelectorExpr:
		return of(e.Sel)
	case *ast.Ident:
		if lib := of(e); lib != "" {
			return lib
		}
		for _, v := range c.values[c.pass.TypesInfo.ObjectOf(e)] {
			if lib := c.library(v, depth-1); lib != "" {
				return lib
			}
		}
	case *ast.CallExpr:
		if lib := c.library(e.Fun, depth-1); lib != "" {
			return lib
		}
		for _, arg := range e.Args {
			if lib := c.library(arg, depth-1); lib != "" {
				return lib
			}
		}
	}
	return ""
}

// registered is the shortest way through a check that this package gives to a
// library: the field Check of its configuration.
func (c *checker) registered(lib string) (best []string) {
	for _, f := range c.pass.Files {
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			named, ok := types.Unalias(c.pass.TypesInfo.TypeOf(lit)).(*types.Named)
			if !ok || named.Obj().Pkg() == nil || !strings.HasPrefix(named.Obj().Pkg().Path(), lib) {
				return true
			}
			for _, element := range lit.Elts {
				kv, ok := element.(*ast.KeyValueExpr)
				if !ok {
					continue
				}
				if key, ok := kv.Key.(*ast.Ident); ok && key.Name == "Check" {
					best = shorter(best, c.value(kv.Value, mostResolve))
				}
			}
			return true
		})
	}
	return best
}

// origin is the way to the network of the call that an error comes from.
func (c *checker) origin(e ast.Expr, depth int) (best []string) {
	if depth == 0 {
		return nil
	}
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		for _, v := range c.values[c.pass.TypesInfo.ObjectOf(e)] {
			best = shorter(best, c.origin(v, depth-1))
		}
	case *ast.CallExpr:
		best = c.call(e)
		for _, arg := range e.Args { // fmt.Errorf("...: %w", err)
			best = shorter(best, c.origin(arg, depth-1))
		}
	}
	return best
}
