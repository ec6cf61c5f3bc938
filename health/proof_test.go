package health

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestDeps_are_standard is "go list -deps" in a test.
func TestDeps_are_standard(t *testing.T) {
	for path, pkg := range deps(t) {
		if !pkg.Standard && path != "github.com/failopen/failopen/health" {
			t.Errorf("health needs %s, which is not in the standard library", path)
		}
	}
}

type listed struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
	Standard                bool
}

func deps(t *testing.T) map[string]listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", "-export", "-json=ImportPath,Dir,Export,GoFiles,Standard", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := make(map[string]listed)
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
}

// program is this package, type-checked, with who calls whom.
type program struct {
	pkg    *types.Package
	info   *types.Info
	bodies map[*types.Func]*ast.FuncDecl
}

func load(t *testing.T) *program {
	t.Helper()
	all := deps(t)
	self := all["github.com/failopen/failopen/health"]
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range self.GoFiles {
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	p := &program{bodies: make(map[*types.Func]*ast.FuncDecl), info: &types.Info{
		Defs: make(map[*ast.Ident]types.Object), Uses: make(map[*ast.Ident]types.Object),
		Selections: make(map[*ast.SelectorExpr]*types.Selection), Types: make(map[ast.Expr]types.TypeAndValue),
	}}
	conf := types.Config{Importer: importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(all[path].Export)
	})}
	var err error
	if p.pkg, err = conf.Check(self.ImportPath, fset, files, p.info); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		for _, d := range f.Decls {
			if fd, ok := d.(*ast.FuncDecl); ok && fd.Body != nil {
				p.bodies[p.info.Defs[fd.Name].(*types.Func)] = fd
			}
		}
	}
	return p
}

// callee is the function that a call names; nil if that is only known when the
// program runs. ok is false for conversions and built-in functions.
func (p *program) callee(call *ast.CallExpr) (f *types.Func, ok bool) {
	fun := ast.Unparen(call.Fun)
	if index, isIndex := fun.(*ast.IndexExpr); isIndex {
		fun = index.X
	}
	if tv := p.info.Types[fun]; tv.IsType() || tv.IsBuiltin() {
		return nil, false
	}
	var id *ast.Ident
	switch fun := fun.(type) {
	case *ast.Ident:
		id = fun
	case *ast.SelectorExpr:
		id = fun.Sel
	default:
		return nil, true
	}
	f, _ = p.info.Uses[id].(*types.Func)
	if f != nil && types.IsInterface(recv(f)) {
		return nil, true
	}
	return f, true
}

func recv(f *types.Func) types.Type {
	if r := f.Signature().Recv(); r != nil {
		return r.Type()
	}
	return types.Typ[types.Invalid]
}

// reach returns the package's functions that f can call, and itself. dynamic
// is told of each call whose callee is not known.
func (p *program) reach(f *types.Func, dynamic func(*types.Func, *ast.CallExpr)) map[*types.Func]bool {
	seen := make(map[*types.Func]bool)
	var walk func(*types.Func)
	walk = func(f *types.Func) {
		f = f.Origin()
		body := p.bodies[f]
		if body == nil || seen[f] {
			return
		}
		seen[f] = true
		ast.Inspect(body, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if callee, ok := p.callee(call); ok && callee == nil {
					dynamic(f, call)
				} else if callee != nil {
					walk(callee)
				}
			}
			return true
		})
	}
	walk(f)
	return seen
}

func (p *program) method(t *testing.T, typ, name string) *types.Func {
	t.Helper()
	obj, _, _ := types.LookupFieldOrMethod(types.NewPointer(p.pkg.Scope().Lookup(typ).Type()), true, p.pkg, name)
	f, ok := obj.(*types.Func)
	if !ok {
		t.Fatalf("there is no method %s.%s", typ, name)
	}
	return f
}

// fields returns the struct fields of this package that the functions name.
func (p *program) fields(fs map[*types.Func]bool) map[*types.Var]bool {
	found := make(map[*types.Var]bool)
	for f := range fs {
		ast.Inspect(p.bodies[f], func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if s := p.info.Selections[sel]; s != nil && s.Kind() == types.FieldVal {
					found[s.Obj().(*types.Var)] = true
				}
			}
			return true
		})
	}
	return found
}

// writes reports whether f itself changes one of the fields: assigns to it,
// takes its address, or calls a method with a pointer receiver on it, other than
// an atomic's Load.
func (p *program) writes(f *types.Func, fields map[*types.Var]bool) bool {
	is := func(e ast.Expr) bool {
		sel, ok := ast.Unparen(e).(*ast.SelectorExpr)
		if !ok {
			return false
		}
		s := p.info.Selections[sel]
		return s != nil && s.Kind() == types.FieldVal && fields[s.Obj().(*types.Var)]
	}
	found := false
	ast.Inspect(p.bodies[f], func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			found = found || slices.ContainsFunc(n.Lhs, is)
		case *ast.UnaryExpr:
			found = found || n.Op == token.AND && is(n.X)
		case *ast.SelectorExpr:
			if f, ok := p.info.Uses[n.Sel].(*types.Func); ok && is(n.X) && f.Name() != "Load" {
				_, pointer := recv(f).(*types.Pointer)
				found = found || pointer
			}
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok {
				v, _ := p.info.Uses[key].(*types.Var)
				found = found || fields[v]
			}
		}
		return true
	})
	return found
}

// TestLiveness_accepts_no_check is the proof that nothing outside the process
// can end its liveness, from the types of this package:
//
//  1. Live calls nothing that is only known when the program runs: no check,
//     no callback, no interface.
//  2. What Live reads can be changed by the functions below only.
//  3. None of them takes something that could ask: no function with a result
//     or a parameter, no interface; but for an error, which Fatal keeps, and
//     for the context in which Wait finds a watch.
//  4. Run, and Serve which calls it, change nothing but what sets the clock of
//     the watches back after a freeze, and that cannot end liveness.
func TestLiveness_accepts_no_check(t *testing.T) {
	p := load(t)
	live := p.reach(p.method(t, "Process", "Live"), func(f *types.Func, call *ast.CallExpr) {
		t.Errorf("Live calls, in %s, what is not known: %s", f.Name(), types.ExprString(call.Fun))
	})
	reads := p.fields(live)
	quiet := make(map[*types.Var]bool)
	for v := range reads {
		if v.Name() == "heart" || v.Name() == "frozen" {
			quiet[v] = true
		}
	}
	for v := range quiet {
		delete(reads, v)
	}
	if len(quiet) != 2 {
		t.Fatal("Live does not read heart and frozen: the proof looks at the wrong thing")
	}
	for _, want := range []string{"fatal", "watches", "beat", "waiting", "limit"} {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(reads)), func(v *types.Var) bool { return v.Name() == want }) {
			t.Fatalf("Live does not read %s: the proof looks at the wrong thing", want)
		}
	}
	var got, sets []string
	for f := range p.bodies {
		if !f.Exported() {
			continue
		}
		changes, setsClock := false, false
		for g := range p.reach(f, func(*types.Func, *ast.CallExpr) {}) {
			changes = changes || p.writes(g, reads)
			setsClock = setsClock || p.writes(g, quiet)
		}
		if setsClock {
			sets = append(sets, f.Name())
		}
		if !changes {
			continue
		}
		got = append(got, f.FullName())
		params := f.Signature().Params()
		for v := range params.Variables() {
			if why := canAsk(v.Type()); why != "" && !(f.Name() == "Wait" && v.Type().String() == "context.Context") {
				t.Errorf("%s changes liveness, and its parameter %s is %s", f.FullName(), v.Name(), why)
			}
		}
	}
	slices.Sort(got)
	const pkg = "github.com/failopen/failopen/health"
	slices.Sort(sets)
	if want := []string{"Run", "Serve"}; !slices.Equal(sets, want) {
		t.Errorf("the clock of the watches is set by %v, want %v", sets, want)
	}
	want := []string{
		"(*" + pkg + ".Process).Fatal", "(*" + pkg + ".Process).Watch",
		"(*" + pkg + ".Watch).Beat", "(*" + pkg + ".Watch).Close", "(*" + pkg + ".Watch).Idle", "(*" + pkg + ".Watch).Wait",
		pkg + ".Wait",
	}
	if !slices.Equal(got, want) {
		t.Errorf("liveness is changed by\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// canAsk says why something of this type could call a dependency, or nothing.
func canAsk(typ types.Type) string {
	switch u := typ.Underlying().(type) {
	case *types.Signature:
		if u.Results().Len() > 0 || u.Params().Len() > 0 {
			return "a function with results or parameters"
		}
	case *types.Interface:
		if typ.String() != "error" {
			return "an interface"
		}
	case *types.Chan:
		return "a channel"
	}
	return ""
}
