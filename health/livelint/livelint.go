// Package livelint is an analyzer that finds liveness checks that call a
// dependency: handlers of /livez and its like, liveness checks of health
// libraries, and calls of health.Process.Fatal, whose callees reach the
// network. Such a check turns an outage of a dependency into an endless
// restart of the service.
//
// It follows static calls, across packages by facts, and calls of interfaces
// that are declared outside the standard library, to the types that this
// package and its imports have for them. Calls of function values are not
// followed.
package livelint

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/types/typeutil"
)

// Analyzer is the check. Its flags are -paths, a regular expression of the
// paths that probes of liveness ask, and -sinks, import paths of packages whose
// functions that take a context call a dependency, separated by commas.
var Analyzer = newAnalyzer()

// defaultPaths are what liveness is called on the platforms.
const defaultPaths = `^/(livez|healthz|live|liveness|livenessz|alive|health/live|health/liveness|health/alive|actuator/health/liveness|-/healthy)/?$`

func newAnalyzer() *analysis.Analyzer {
	a := &analysis.Analyzer{
		Name:      "livelint",
		Doc:       "find liveness checks that reach the network\n\nA liveness check that asks a dependency restarts the service for as long as the dependency is down. A line with \"//livelint:allow REASON\" is let through.",
		URL:       "https://github.com/failopen/failopen/blob/main/docs/guide/livelint.md",
		Run:       run,
		FactTypes: []analysis.Fact{(*Reaches)(nil)},
	}
	a.Flags.String("paths", defaultPaths, "regular expression of the `paths` that probes of liveness ask")
	a.Flags.String("sinks", "", "import `paths` of packages whose functions with a context call a dependency, separated by commas")
	return a
}

// Reaches is the fact that a function reaches the network: the calls on the
// shortest way there, itself not among them.
type Reaches struct{ Path []string }

// AFact makes it a fact.
func (*Reaches) AFact() {}

func (r *Reaches) String() string { return "reaches " + r.Path[len(r.Path)-1] }

// checker looks at one package.
type checker struct {
	pass    *analysis.Pass
	live    *regexp.Regexp
	sinks   []string
	reach   map[*types.Func][]string
	values  map[types.Object][]ast.Expr // what is assigned to variables
	allowed map[string]map[int]bool     // lines by file
	said    map[token.Pos]bool
}

func run(pass *analysis.Pass) (any, error) {
	if isStandard(pass) {
		return nil, nil
	}
	live, err := regexp.Compile(pass.Analyzer.Flags.Lookup("paths").Value.String())
	if err != nil {
		return nil, fmt.Errorf("livelint: -paths: %w", err)
	}
	c := &checker{
		pass: pass, live: live, sinks: sinkPackages(pass.Analyzer.Flags.Lookup("sinks").Value.String()),
		reach: make(map[*types.Func][]string), values: make(map[types.Object][]ast.Expr),
		allowed: make(map[string]map[int]bool), said: make(map[token.Pos]bool),
	}
	c.index()
	c.solve()
	c.look()
	return nil, nil
}

// isStandard reports whether a package is of the standard library, by where its
// files are: what reaches the network there is a list.
func isStandard(pass *analysis.Pass) bool {
	if len(pass.Files) == 0 {
		return true
	}
	path := pass.Pkg.Path()
	dir := filepath.ToSlash(filepath.Dir(pass.Fset.Position(pass.Files[0].Package).Filename))
	return !strings.Contains(firstElement(path), ".") && strings.HasSuffix(dir, "/src/"+path) && !strings.Contains(dir, "/testdata/")
}

// index finds assignments and lines that are let through.
func (c *checker) index() {
	assign := func(to, from ast.Expr) {
		if id, ok := ast.Unparen(to).(*ast.Ident); ok {
			if obj := c.pass.TypesInfo.ObjectOf(id); obj != nil {
				c.values[obj] = append(c.values[obj], from)
			}
		}
		if sel, ok := ast.Unparen(to).(*ast.SelectorExpr); ok {
			if obj := c.pass.TypesInfo.ObjectOf(sel.Sel); obj != nil {
				c.values[obj] = append(c.values[obj], from)
			}
		}
	}
	for _, f := range c.pass.Files {
		code := make(map[int]bool) // lines on which a statement begins
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(ast.Stmt); ok {
				code[c.pass.Fset.Position(s.Pos()).Line] = true
			}
			return true
		})
		for _, group := range f.Comments {
			for _, comment := range group.List {
				if reason, ok := strings.CutPrefix(comment.Text, "//livelint:allow "); ok && strings.TrimSpace(reason) != "" {
					at := c.pass.Fset.Position(comment.Pos())
					if c.allowed[at.Filename] == nil {
						c.allowed[at.Filename] = make(map[int]bool)
					}
					line := at.Line
					if !code[line] { // it stands alone, above what it is about
						line++
					}
					c.allowed[at.Filename][line] = true
				}
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for i, to := range n.Lhs {
					assign(to, n.Rhs[min(i, len(n.Rhs)-1)])
				}
			case *ast.ValueSpec:
				for i, to := range n.Names {
					if len(n.Values) > 0 {
						assign(to, n.Values[min(i, len(n.Values)-1)])
					}
				}
			}
			return true
		})
	}
}

// solve finds the shortest way to the network for each function of the
// package, and exports it as a fact.
func (c *checker) solve() {
	type function struct {
		obj  *types.Func
		body ast.Node
	}
	var all []function
	for _, f := range c.pass.Files {
		for _, d := range f.Decls {
			if fd, ok := d.(*ast.FuncDecl); ok && fd.Body != nil {
				if obj, ok := c.pass.TypesInfo.Defs[fd.Name].(*types.Func); ok {
					all = append(all, function{obj, fd.Body})
				}
			}
		}
	}
	for changed := true; changed; {
		changed = false
		for _, f := range all {
			path := c.body(f.body)
			if old := c.reach[f.obj]; path != nil && (old == nil || len(path) < len(old)) {
				c.reach[f.obj] = path
				changed = true
			}
		}
	}
	for _, f := range all {
		if path := c.reach[f.obj]; path != nil {
			c.pass.ExportObjectFact(f.obj, &Reaches{path})
		}
	}
}

// body returns the shortest way from inside a node to the network, or nil.
func (c *checker) body(n ast.Node) (best []string) {
	ast.Inspect(n, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			best = shorter(best, c.call(call))
		}
		return true
	})
	return best
}

func shorter(a, b []string) []string {
	if a == nil || b != nil && len(b) < len(a) {
		return b
	}
	return a
}

// call returns the shortest way through a call, the callee being first.
func (c *checker) call(call *ast.CallExpr) []string {
	f, _ := typeutil.Callee(c.pass.TypesInfo, call).(*types.Func)
	if f == nil {
		return nil
	}
	return c.through(f)
}

// through returns the shortest way that begins with f.
func (c *checker) through(f *types.Func) []string {
	f = f.Origin()
	if c.isSink(f) {
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
	if path := c.reach[f]; path != nil {
		return path
	}
	var fact Reaches
	if f.Pkg() != nil && f.Pkg() != c.pass.Pkg && c.pass.ImportObjectFact(f, &fact) {
		return fact.Path
	}
	return nil
}

// implementations is the shortest way through a method of an interface, by the
// types of this package and of its imports.
func (c *checker) implementations(f *types.Func) (best []string) {
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
				if c.isSink(m) {
					best = shorter(best, []string{name(m)})
				} else if path := c.known(m); path != nil {
					best = shorter(best, append([]string{name(m)}, path...))
				}
			}
		}
	}
	return best
}

func firstElement(path string) string {
	first, _, _ := strings.Cut(path, "/")
	return first
}

// name is how a function is called in messages: (*sql.DB).PingContext.
func name(f *types.Func) string {
	r := f.Signature().Recv()
	if r == nil {
		if f.Pkg() == nil {
			return f.Name()
		}
		return f.Pkg().Name() + "." + f.Name()
	}
	typ := types.TypeString(r.Type(), func(p *types.Package) string { return p.Name() })
	if strings.HasPrefix(typ, "*") {
		typ = "(" + typ + ")"
	}
	return typ + "." + f.Name()
}

// report says that a liveness check reaches the network.
func (c *checker) report(pos token.Pos, what string, path []string) {
	at := c.pass.Fset.Position(pos)
	if path == nil || c.said[pos] || c.allowed[at.Filename][at.Line] {
		return
	}
	c.said[pos] = true
	c.pass.Reportf(pos, "%s calls a dependency: %s; while that is down, this process is restarted, which does not help", what, strings.Join(path, " -> "))
}

// text is the value of a constant string.
func (c *checker) text(e ast.Expr) (string, bool) {
	tv := c.pass.TypesInfo.Types[e]
	if tv.Value == nil || tv.Value.Kind() != constant.String {
		return "", false
	}
	return constant.StringVal(tv.Value), true
}

// isLivePath reports whether a pattern of a router is a liveness path: "/livez",
// "GET /livez", "example.com/livez".
func (c *checker) isLivePath(pattern string) bool {
	if _, rest, ok := strings.Cut(pattern, " "); ok {
		pattern = strings.TrimSpace(rest)
	}
	if i := strings.Index(pattern, "/"); i > 0 {
		pattern = pattern[i:]
	}
	return c.live.MatchString(pattern)
}

func sinkPackages(flag string) []string {
	all := slices.Clone(knownClients)
	for p := range strings.SplitSeq(flag, ",") {
		if p = strings.TrimSpace(p); p != "" {
			all = append(all, p)
		}
	}
	return all
}
