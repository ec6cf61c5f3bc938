package livelint

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// Analyzer is the check. Its flags are -paths, a regular expression of the
// paths that probes of liveness ask, and -sinks, import paths of packages whose
// functions that take a context call a dependency, separated by commas.
var Analyzer = newAnalyzer()

// defaultPaths are what liveness is called on the platforms, below any prefix
// where the name is plain, and the paths that a service has if it has only one.
const defaultPaths = `^(.*/)?(livez|healthz|liveness|livenessz|healthcheck|health-check|health_check|_?health)(/(live|liveness|livez|alive))?/?$` +
	`|^/(live|alive|ping|-/healthy|actuator/health/liveness)/?$`

// newAnalyzer is the analyzer with flags of its own, so that a test can set
// them without another one seeing it.
func newAnalyzer() *analysis.Analyzer {
	a := &analysis.Analyzer{
		Name:      "livelint",
		Doc:       "find liveness checks that reach the network\n\nA liveness check that asks a dependency restarts the service for as long as the dependency is down. A line with \"//livelint:allow REASON\" is let through.",
		URL:       "https://github.com/failopen/failopen/blob/main/docs/guide/livelint.md",
		Run:       run,
		FactTypes: []analysis.Fact{(*Reaches)(nil)},
		// A package that does not compile is no reason to keep quiet about the rest.
		RunDespiteErrors: true,
	}
	a.Flags.String("paths", defaultPaths, "regular expression of the `paths` that probes of liveness ask")
	a.Flags.String("sinks", "", "import `paths` of packages whose functions with a context call a dependency, separated by commas")
	return a
}

// Reaches is the fact that a function reaches the network: the calls on the
// shortest way there, itself not among them.
type Reaches struct {
	Path    []string // by calling it
	Outside []string // by calling it, outside of health.Wait
	Made    []string // by calling the function, or the handler, that it returns
}

// AFact makes it a fact.
func (*Reaches) AFact() {}

func (r *Reaches) String() string {
	if r.Path == nil {
		return "makes what reaches " + r.Made[len(r.Made)-1]
	}
	return "reaches " + r.Path[len(r.Path)-1]
}

// checker looks at one package.
// Its maps are filled by index, noteWrites and solve, in that order, and only read
// afterwards, but for busy, self and view, which belong to the search that is under
// way. A checker is used by one goroutine; program is shared, and locked for look.
type checker struct {
	// what is asked for, and what is known of the package
	pass   *analysis.Pass
	live   *regexp.Regexp
	sinks  []string
	decls  map[*types.Func]*ast.FuncDecl
	values map[types.Object][]ast.Expr // what is assigned to variables and fields
	groups map[types.Object]*ast.CallExpr
	// what solve found, and how much of it counts at the moment: view is outsideWait
	// only while solve computes it, and inside loop
	ways    [2]ways // by view
	view    view
	methods map[*types.Func][]*types.Func // of types, by the method of an interface
	busy    map[types.Object]bool         // variables that are being followed
	allowed map[string]map[int]bool       // lines by file
	said    map[token.Pos]bool
	// What is remembered: writes is by place, for all values of a type; told is for one
	// of them, since one flag may be that of liveness and its neighbour of readiness.
	writes  map[types.Object][]write
	told    map[fieldOf][]write         // by calls of setters
	ranged  map[types.Object][]ast.Expr // what a variable goes over
	program *program                    // nil in vet mode

	receivers map[types.Object]bool // of methods
	self      types.Object          // what the receiver is, in the method that is looked at; nil: not known
}

func run(pass *analysis.Pass) (any, error) { return analyze(pass, nil) }

// analyze looks at one package; with the whole program, if there is one.
func analyze(pass *analysis.Pass, whole *program) (result any, err error) {
	if len(pass.Files) == 0 || isStandard(pass.Pkg.Path(), pass.Fset.Position(pass.Files[0].Package).Filename) {
		return nil, nil
	}
	live, err := regexp.Compile(pass.Analyzer.Flags.Lookup("paths").Value.String())
	if err != nil {
		return nil, fmt.Errorf("livelint: -paths: %w", err)
	}
	c := &checker{
		pass: pass, live: live, sinks: sinkPackages(pass.Analyzer.Flags.Lookup("sinks").Value.String()),
		decls: make(map[*types.Func]*ast.FuncDecl), values: make(map[types.Object][]ast.Expr),
		groups: make(map[types.Object]*ast.CallExpr), busy: make(map[types.Object]bool),
		methods: make(map[*types.Func][]*types.Func),
		ranged:  make(map[types.Object][]ast.Expr), receivers: make(map[types.Object]bool),
		allowed: make(map[string]map[int]bool), said: make(map[token.Pos]bool),
	}
	defer func() {
		// go/types leaves holes in what it could not check, and RunDespiteErrors lets such
		// packages in. A panic in one package would end the run for all others.
		// Only code that does not compile can be as strange as that.
		if v := recover(); v != nil {
			result, err = nil, fmt.Errorf("livelint: %s cannot be analysed: %v", pass.Pkg.Path(), v)
		}
	}()
	c.index()
	c.noteWrites()
	c.solve()
	if whole != nil && whole.packages[pass.Pkg] != nil {
		// checker.Analyze runs the packages at the same time. What is above touches this
		// package only; from here on the program's memory of answers is shared, and
		// holding the lock to the end is simpler than a lock for each of its maps.
		whole.mu.Lock() // packages are analysed at the same time
		defer whole.mu.Unlock()
		c.program, whole.sinks = whole, c.sinks
	}
	c.look()
	return nil, nil
}

// isStandard reports whether a package is of the standard library, by where one
// of its files is: what reaches the network there is a list.
func isStandard(path, file string) bool {
	dir := filepath.ToSlash(filepath.Dir(file))
	return !strings.Contains(firstElement(path), ".") && strings.HasSuffix(dir, "/src/"+path) && !strings.Contains(dir, "/testdata/")
}

// index finds assignments and lines that are let through.
func (c *checker) index() {
	// By object, and not by place in the code: a field of a struct is one object for all
	// its values, which takes two values of a type for each other but finds
	// s.live = func… whichever method has it.
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
		// All declarations of the package come first, since a group of routes may be given
		// to a function that a later file declares.
		for _, d := range f.Decls {
			if fd, ok := d.(*ast.FuncDecl); ok && fd.Body != nil {
				if obj, ok := c.pass.TypesInfo.Defs[fd.Name].(*types.Func); ok {
					c.decls[obj] = fd
					if r := obj.Signature().Recv(); r != nil {
						c.receivers[r] = true
					}
				}
			}
		}
	}
	for _, f := range c.pass.Files {
		// A comment behind code is about that line, one that stands alone is about the
		// next one. Rows of a table and arguments have lines of their own, too.
		code := make(map[int]bool) // lines on which something begins or ends
		ast.Inspect(f, func(n ast.Node) bool {
			switch n.(type) {
			case nil, *ast.File, *ast.CommentGroup, *ast.Comment:
			default:
				code[c.pass.Fset.Position(n.Pos()).Line] = true
				code[c.pass.Fset.Position(n.End()-1).Line] = true
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
				// a, err := f() has one value for two variables: the call is the value of each
				for i, to := range n.Lhs {
					assign(to, n.Rhs[min(i, len(n.Rhs)-1)])
				}
			case *ast.RangeStmt:
				if id, ok := n.Value.(*ast.Ident); ok {
					c.noteRange(id, n.X)
				}
			case *ast.ValueSpec:
				for i, to := range n.Names {
					if len(n.Values) > 0 {
						assign(to, n.Values[min(i, len(n.Values)-1)])
					}
				}
			case *ast.KeyValueExpr: // a field of a literal
				if id, ok := n.Key.(*ast.Ident); ok {
					if field, ok := c.pass.TypesInfo.ObjectOf(id).(*types.Var); ok && field.IsField() {
						c.values[field] = append(c.values[field], n.Value)
					}
				}
			case *ast.CompositeLit: // fields without names
				if typ, ok := typeOf(c, n).(*types.Struct); ok {
					for i, element := range n.Elts {
						if _, named := element.(*ast.KeyValueExpr); !named && i < typ.NumFields() {
							c.values[typ.Field(i)] = append(c.values[typ.Field(i)], element)
						}
					}
				}
			case *ast.CallExpr:
				c.group(n)
				c.noteMapRange(n)
			}
			return true
		})
	}
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

// report says that a liveness check reaches the network. what is the subject of
// the sentence, and its verb, as in "the liveness handler calls".
func (c *checker) report(pos token.Pos, what string, path []string) {
	if path != nil {
		c.say(pos, "", what+" a dependency: "+outcome(path))
	}
}

// reportRoute says that the handler of a liveness path reaches the network.
func (c *checker) reportRoute(pos token.Pos, route string, path []string) {
	if path != nil {
		c.say(pos, route, fmt.Sprintf("the liveness handler of %q calls a dependency: %s", route, outcome(path)))
	}
}

// outcome is the rest of the sentence: the way, and what it leads to. It says what
// the platform does, because a reader who sees only "calls a dependency" takes that
// for the purpose of the check.
func outcome(path []string) string {
	return strings.Join(path, " -> ") + "; while that is down, this process is restarted, which does not help"
}

// say reports at most one fault of a place, and none that is let through. The
// category of what it reports is the route, if there is one.
func (c *checker) say(pos token.Pos, route, message string) {
	// as index has it for comments, //line directives of generated code included
	at := c.pass.Fset.Position(pos)
	if !c.said[pos] && !c.allowed[at.Filename][at.Line] {
		c.said[pos] = true
		c.pass.Report(analysis.Diagnostic{Pos: pos, Category: route, Message: message})
	}
}

// sinkPackages are the clients that livelint knows, and those of the flag
// -sinks.
func sinkPackages(flag string) []string {
	all := slices.Clone(knownClients)
	for p := range strings.SplitSeq(flag, ",") {
		if p = strings.TrimSpace(p); p != "" {
			all = append(all, p)
		}
	}
	return all
}
