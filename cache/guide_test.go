package cache_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	gotoken "go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The guide has a word for every exported thing of the package: a reader who looks for
// a name there finds it. Fields of Options and Stats and methods count; those that
// an interface asks for do not.
func TestGuide_mentions_everything(t *testing.T) {
	guide, err := os.ReadFile("../docs/guide/cache.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	fset := gotoken.NewFileSet()
	var parsed []*ast.File
	for _, name := range files {
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, f)
	}
	pkg, err := doc.NewFromFiles(fset, parsed, "cache")
	if err != nil {
		t.Fatal(err)
	}
	usual := map[string]bool{"Error": true, "Unwrap": true, "String": true, "Encode": true, "Decode": true}
	seen := 0
	want := func(what, name string) {
		seen++
		if !regexp.MustCompile(`\b` + name + `\b`).Match(guide) {
			t.Errorf("docs/guide/cache.md has nothing of %s", what)
		}
	}
	for _, typ := range pkg.Types {
		want(typ.Name, typ.Name)
		for _, m := range typ.Methods {
			if !usual[m.Name] {
				want(typ.Name+"."+m.Name, m.Name)
			}
		}
		for _, f := range append(typ.Funcs, &doc.Func{}) {
			if f.Name != "" {
				want(f.Name, f.Name)
			}
		}
		for _, v := range append(typ.Consts, typ.Vars...) {
			for _, name := range v.Names {
				if ast.IsExported(name) && !strings.HasSuffix(name, "Unknown") {
					want(name, name)
				}
			}
		}
		for _, field := range fieldsOf(typ) {
			want(typ.Name+"."+field, field)
		}
	}
	for _, f := range pkg.Funcs {
		want(f.Name, f.Name)
	}
	for _, v := range append(pkg.Consts, pkg.Vars...) {
		for _, name := range v.Names {
			if ast.IsExported(name) {
				want(name, name)
			}
		}
	}
	if seen < 100 {
		t.Errorf("%d names seen; the package has more", seen)
	}
}

// fieldsOf returns the exported fields of a struct, or the methods of an
// interface.
func fieldsOf(typ *doc.Type) (names []string) {
	for _, spec := range typ.Decl.Specs {
		spec, ok := spec.(*ast.TypeSpec)
		if !ok || spec.Name.Name != typ.Name {
			continue
		}
		var list *ast.FieldList
		switch s := spec.Type.(type) {
		case *ast.StructType:
			list = s.Fields
		case *ast.InterfaceType:
			list = s.Methods
		default:
			continue
		}
		for _, f := range list.List {
			for _, name := range f.Names {
				if name.IsExported() {
					names = append(names, name.Name)
				}
			}
		}
	}
	return names
}
