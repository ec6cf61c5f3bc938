package examples_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// standard are methods whose contract is that of the standard library.
var standard = map[string]bool{"String": true, "Error": true, "Unwrap": true}

// TestContracts finds exported identifiers of the public packages without a
// comment: types, functions, methods, variables, constants, fields, methods of
// interfaces. A group of constants, variables or fields may share one. What is
// as in the standard library (String, Error, Unwrap) or in the AWS SDK (methods
// with its optional functions) has its contract there. It runs in CI, not in
// each go test: a comment that is not written yet breaks nobody's program.
func TestContracts(t *testing.T) {
	if os.Getenv(docsEnv) == "" {
		t.Skipf("%s is not set", docsEnv)
	}
	packages := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		switch name := d.Name(); {
		case name != ".." && strings.HasPrefix(name, "."), name == "testdata", name == "internal", name == "cmd", name == "examples", name == "docs":
			return filepath.SkipDir
		}
		c := contracts{t: t, set: token.NewFileSet()}
		name, documented, err := c.folder(path)
		if err != nil || name == "" || name == "main" {
			return err
		}
		packages++
		if !documented {
			t.Errorf("package %s (%s) has no comment", name, path)
		}
		return nil
	})
	if err != nil || packages < 20 {
		t.Errorf("%d packages, %v", packages, err)
	}
}

var (
	testName  = regexp.MustCompile(`(?m)^func Test(\w+)\(t \*testing\.T\)`)
	functions = regexp.MustCompile(`(?m)^func (?:\([^)]*\) )?(\w+)[\[(]`)
	joined    = regexp.MustCompile(`^[a-z]+[A-Z]`)
)

// TestNames_of_tests finds names of tests in another form than TestType_behaviour_when,
// whose words are joined by underscores. Only what is the name of a function may have
// capitals within.
func TestNames_of_tests(t *testing.T) {
	code := files(t, ".go")
	known := map[string]bool{}
	for _, text := range code {
		for _, m := range functions.FindAllStringSubmatch(text, -1) {
			known[m[1]] = true
		}
	}
	tests := 0
	for path, text := range code {
		for _, m := range testName.FindAllStringSubmatch(text, -1) {
			tests++
			for _, part := range strings.Split(m[1], "_")[1:] {
				if joined.MatchString(part) && !known[part] {
					t.Errorf("%s: Test%s: write %q as words with _ between them", path, m[1], part)
				}
			}
		}
	}
	if tests < 1000 {
		t.Errorf("%d tests were found", tests)
	}
}

type contracts struct {
	t   *testing.T
	set *token.FileSet
}

// folder checks the files of a package, and says whether one has its comment.
func (c contracts) folder(path string) (name string, documented bool, err error) {
	names, err := filepath.Glob(filepath.Join(path, "*.go"))
	if err != nil {
		return "", false, err
	}
	for _, file := range names {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(c.set, file, nil, parser.ParseComments)
		if err != nil {
			return "", false, err
		}
		if name = parsed.Name.Name; name == "main" {
			return name, true, nil
		}
		documented = documented || parsed.Doc != nil
		for _, decl := range parsed.Decls {
			c.decl(decl)
		}
	}
	return name, documented, nil
}

func (c contracts) want(name *ast.Ident, of string, comments ...*ast.CommentGroup) {
	if !name.IsExported() {
		return
	}
	for _, comment := range comments {
		if comment != nil && strings.TrimSpace(comment.Text()) != "" {
			return
		}
	}
	c.t.Errorf("%s: %s%s has no comment", c.set.Position(name.Pos()), of, name.Name)
}

func (c contracts) decl(decl ast.Decl) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		of := ""
		if d.Recv != nil {
			if of = receiver(d.Recv.List[0].Type); !ast.IsExported(of) {
				return
			}
			of += "."
			if standard[d.Name.Name] {
				return
			}
		}
		c.want(d.Name, of, d.Doc)
	case *ast.GenDecl:
		commented := d.Doc
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				c.want(s.Name, "", d.Doc, s.Doc, s.Comment)
				// The comment of a type on one line is that of its members, too.
				if s.Name.IsExported() && c.set.Position(s.Pos()).Line != c.set.Position(s.End()).Line {
					c.members(s.Name.Name, s.Type, d.Doc.Text()+s.Doc.Text())
				}
			case *ast.ValueSpec:
				if s.Doc != nil {
					commented = s.Doc // of the group that begins here
				}
				for _, name := range s.Names {
					c.want(name, "", commented, s.Comment)
				}
			}
		}
	}
}

// members checks fields, and the methods of interfaces. A comment covers the
// fields that follow it on the next lines; that of an interface, the methods
// that it names.
func (c contracts) members(of string, typ ast.Expr, about string) {
	var list *ast.FieldList
	switch u := typ.(type) {
	case *ast.StructType:
		list = u.Fields
	case *ast.InterfaceType:
		list = u.Methods
	default:
		return
	}
	var comment *ast.CommentGroup
	last := 0
	for _, f := range list.List {
		line := c.set.Position(f.Pos()).Line
		switch {
		case f.Doc != nil:
			comment = f.Doc
		case line > last+1: // an empty line ends a group
			comment = nil
		}
		last = c.set.Position(f.End()).Line
		if m, ok := f.Type.(*ast.FuncType); ok && fromSDK(m) {
			continue
		}
		for _, name := range f.Names {
			if _, method := f.Type.(*ast.FuncType); method && strings.Contains(about, name.Name) {
				continue
			}
			c.want(name, of+".", comment, f.Comment)
			if strings.HasSuffix(of, "Stats") && name.IsExported() && (f.Tag == nil || !strings.Contains(f.Tag.Value, `json:"`)) {
				c.t.Errorf("%s: %s.%s has no JSON tag, as all statistics do", c.set.Position(name.Pos()), of, name.Name)
			}
			if inner, ok := f.Type.(*ast.StructType); ok && name.IsExported() {
				c.members(of+"."+name.Name, inner, "")
			}
		}
	}
}

// fromSDK reports whether a method takes functions that change Options, as the
// operations of AWS clients do.
func fromSDK(m *ast.FuncType) bool {
	if len(m.Params.List) == 0 {
		return false
	}
	variadic, ok := m.Params.List[len(m.Params.List)-1].Type.(*ast.Ellipsis)
	if !ok {
		return false
	}
	_, ok = variadic.Elt.(*ast.FuncType)
	return ok
}

func receiver(expr ast.Expr) string {
	switch e := expr.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}
