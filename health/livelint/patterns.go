package livelint

import (
	"go/ast"
	"go/types"
	"regexp"
	"strings"

	"golang.org/x/tools/go/types/typeutil"
)

// What a liveness check looks like: look tries each pattern on each node. Routes are in
// routes.go and this library's own API in watches.go; here are other health libraries
// and gRPC.

// libraries are those for health checks, by the beginning of their import paths: what is registered with
// them decides their handlers' answer, now or from the background.
var libraries = []string{
	"github.com/hellofresh/health-go", "github.com/alexliesenfeld/health", "github.com/AppsFlyer/go-sundheit",
	"github.com/InVisionApp/go-health", "github.com/dimiro1/health", "github.com/etherlabsio/healthcheck",
	"github.com/nelkinda/health-go", "github.com/tavsec/gin-healthcheck", "github.com/heptiolabs/healthcheck",
	"github.com/distribution/distribution/v3/health", "github.com/docker/distribution/health",
}

const grpcHealth = "google.golang.org/grpc/health/grpc_health_v1"

// libraryOf is the health library that a function belongs to.
// "" for anything else. Major versions and sub-packages belong to their library.
func libraryOf(f *types.Func) string {
	if f == nil || f.Pkg() == nil {
		return ""
	}
	for _, lib := range libraries {
		if strings.HasPrefix(f.Pkg().Path(), lib) {
			return lib
		}
	}
	return ""
}

// look finds liveness checks.
// Patterns do not exclude each other: the same call may be a route and a registration,
// and say keeps the first finding. stack is the way down to the node, which is the
// last of it; conditions needs it, since go/ast knows no parents.
func (c *checker) look() {
	for _, f := range c.pass.Files {
		var stack []ast.Node
		ast.Inspect(f, func(n ast.Node) bool {
			// the end of the node that was entered last
			if n == nil {
				stack = stack[:len(stack)-1]
				return true
			}
			stack = append(stack, n)
			switch n := n.(type) {
			case *ast.CallExpr:
				c.mount(n)
				c.register(n)
				c.fatal(n, stack)
				c.onChange(n)
			case *ast.CompositeLit:
				c.table(n)
			case *ast.SwitchStmt, *ast.IfStmt:
				c.byPath(n)
			case *ast.ForStmt:
				c.loop(n.Body, stack)
			case *ast.RangeStmt:
				c.loop(n.Body, stack)
			case *ast.FuncDecl:
				c.grpc(n)
			}
			return true
		})
	}
}

// registering are the names of functions that take liveness checks:
// AddLivenessCheck of heptiolabs/healthcheck and moov-io/base, AddHealthzCheck of
// controller-runtime, InstallLivezHandler of k8s.io/apiserver.
var registering = regexp.MustCompile(`^(Add|Register|Install|Set|With|New)[A-Za-z]*(Liveness|Livez|LiveCheck|LiveProbe|Healthz)`)

// register finds liveness checks that are given to a library.
// The name is enough, whichever library has it; package health itself is left out,
// because a check that is given to it is a Dependency and restarts nothing.
func (c *checker) register(call *ast.CallExpr) {
	f, _ := typeutil.Callee(c.pass.TypesInfo, call).(*types.Func)
	if f == nil || f.Pkg() == nil || len(call.Args) == 0 {
		return
	}
	if f.Pkg().Path() == ourselves || !registering.MatchString(f.Name()) {
		return
	}
	for _, arg := range call.Args {
		// each argument is asked: most are names and options, which lead nowhere
		path := c.check(arg)
		if path == nil {
			path = c.client(arg)
		}
		c.report(call.Pos(), "the liveness check of "+f.Name()+" calls", path)
	}
}

// client is the call that a client is made for, in place of a check:
// runtime.WithHealthzEndpoint(grpc_health_v1.NewHealthClient(conn)).
// Any method that calls a service will do: what is given a whole client will use it.
func (c *checker) client(e ast.Expr) []string {
	t := c.pass.TypesInfo.TypeOf(e)
	if t == nil {
		return nil
	}
	for method := range types.NewMethodSet(t).Methods() {
		if f, ok := method.Obj().(*types.Func); ok && callsService(f) {
			return []string{name(f)}
		}
	}
	return nil
}

// grpc finds implementations of the gRPC health service.
// Kubernetes asks Check (grpc probes); Watch is for clients that stream. The method is
// known by its request, so that neither embedding nor the receiver's name matters.
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
			path := c.ways[everything].calls[f]
			if c.program != nil {
				path = c.program.way([]state{{c.program.prog.FuncValue(f), nil, everything}})
			}
			c.report(fd.Name.Pos(), "the gRPC health service calls", path)
		}
	}
}

// library is the health library that made a handler: h.Handler(),
// NewHandler(checker), h.HandlerFunc.
// "" if it is somebody else's. A function of the library counts by its name, which
// has Handle in it; below wrappers and variables it is looked for in the arguments.
func (c *checker) library(e ast.Expr, depth int) string {
	if depth == 0 {
		return ""
	}
	of := func(id *ast.Ident) string {
		f, ok := c.pass.TypesInfo.ObjectOf(id).(*types.Func)
		if ok && strings.Contains(f.Name(), "Handle") {
			return libraryOf(f)
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

// registered is the shortest way through a check that this package, or the whole
// program, gives to a library: in a field of its types, or as an argument of its
// functions.
// In vet mode only this package is looked at: a service that registers its checks in
// one package and mounts the handler in another is found by -whole. Which of several
// checkers of one library a handler is of is not told apart.
func (c *checker) registered(lib string) (best []string) {
	if c.program != nil {
		return c.program.registered(lib)
	}
	for _, f := range c.pass.Files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				named, ok := types.Unalias(c.pass.TypesInfo.TypeOf(n)).(*types.Named)
				if !ok || named.Obj().Pkg() == nil || !strings.HasPrefix(named.Obj().Pkg().Path(), lib) {
					return true
				}
				for _, element := range n.Elts {
					if kv, ok := element.(*ast.KeyValueExpr); ok {
						element = kv.Value
					}
					best = shorter(best, c.asCheck(element))
				}
			case *ast.CallExpr:
				if f, _ := typeutil.Callee(c.pass.TypesInfo, n).(*types.Func); libraryOf(f) == lib {
					for _, arg := range n.Args {
						best = shorter(best, c.asCheck(arg))
					}
				}
			}
			return true
		})
	}
	return best
}

// asCheck is the way through a function that is given to a library.
// Nil for what is no function, as names, timeouts and options are.
func (c *checker) asCheck(e ast.Expr) []string {
	if _, ok := typeOf(c, e).(*types.Signature); !ok {
		return nil
	}
	return c.value(e, mostResolve)
}
