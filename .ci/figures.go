// Command figures measures Go code: how much of it is comment, how long its
// functions and files are, how much of it is tests, and what is documented.
//
//	go run .ci/figures.go                  this repository, a row for each area
//	go run .ci/figures.go DIR...           a row for each folder, with what is below it
//
// It prints a table in Markdown, for comparing like with like: a folder of the
// module cache is as good as one of ours. Blank lines, generated files, and folders
// named testdata or vendor do not count. A function's length is its lines from
// "func" to "}".
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// areas are the rows for this repository.
var areas = []string{
	".", "cache", "cache/dynamo", "logsink", "health", "health/livelint", "depgraph", "depgraph/report",
	"depgraph/importer", "depgraph/cmd", "depgraph/drill", "depgraph/drift", "examples",
}

// figures are what has been counted in one area.
type figures struct {
	code, comment    int // lines of code that is no test
	test             int // lines of tests, without their comments
	funcs, files     []int
	exported, doc    int
	examples, fuzzes int
	sleeps           int // calls of time.Sleep in tests
}

func main() {
	dirs := os.Args[1:]
	if len(dirs) == 0 {
		dirs = areas
	}
	fmt.Println("| | code | comments | functions p50/p90/max | files p50/p90/max | tests : code | examples / fuzz targets | exported (documented) | sleeps in tests |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|")
	for _, dir := range dirs {
		var f figures
		if err := f.walk(dir); err != nil {
			fmt.Fprintln(os.Stderr, "figures:", err)
			os.Exit(1)
		}
		if f.code == 0 {
			fmt.Fprintf(os.Stderr, "figures: there is no Go in %s\n", dir)
			os.Exit(1)
		}
		fmt.Println(f.row(dir))
	}
}

// walk adds all Go files below dir.
func (f *figures) walk(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != dir && (d.Name() == "testdata" || d.Name() == "vendor" || strings.HasPrefix(d.Name(), ".")):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		return f.file(path)
	})
}

// file adds one file.
func (f *figures) file(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, text, parser.ParseComments)
	if err != nil {
		return err
	}
	if ast.IsGenerated(file) {
		return nil
	}
	code, comment := lines(text)
	if strings.HasSuffix(path, "_test.go") {
		f.test += code
		f.tests(file)
		return nil
	}
	f.code += code
	f.comment += comment
	f.files = append(f.files, bytes.Count(text, []byte("\n")))
	for _, d := range file.Decls {
		f.declaration(set, d)
	}
	return nil
}

// lines counts those of code and those that are nothing but comment.
func lines(text []byte) (code, comment int) {
	inside := false // of a /* */
	for in := bufio.NewScanner(bytes.NewReader(text)); in.Scan(); {
		line := strings.TrimSpace(in.Text())
		switch {
		case line == "":
		case inside, strings.HasPrefix(line, "/*"):
			comment++
			inside = !strings.Contains(line, "*/")
		case strings.HasPrefix(line, "//"):
			comment++
		default:
			code++
		}
	}
	return code, comment
}

// tests counts what is worth counting in a file of tests.
func (f *figures) tests(file *ast.File) {
	for _, d := range file.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
			switch {
			case strings.HasPrefix(fn.Name.Name, "Example"):
				f.examples++
			case strings.HasPrefix(fn.Name.Name, "Fuzz"):
				f.fuzzes++
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sleep" {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" {
				f.sleeps++
			}
		}
		return true
	})
}

// declaration counts a function's lines, and whether what is exported has a
// comment. Of a group of constants or variables one comment is enough.
func (f *figures) declaration(set *token.FileSet, d ast.Decl) {
	count := func(name string, documented bool) {
		if ast.IsExported(name) {
			f.exported++
			if documented {
				f.doc++
			}
		}
	}
	switch d := d.(type) {
	case *ast.FuncDecl:
		f.funcs = append(f.funcs, set.Position(d.End()).Line-set.Position(d.Pos()).Line+1)
		if d.Recv == nil || ast.IsExported(receiver(d.Recv.List[0].Type)) {
			count(d.Name.Name, d.Doc != nil)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				count(s.Name.Name, s.Doc != nil || d.Doc != nil)
			case *ast.ValueSpec:
				for _, n := range s.Names {
					count(n.Name, s.Doc != nil || s.Comment != nil || d.Doc != nil)
				}
			}
		}
	}
}

// receiver is the name of a method's type.
func receiver(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.StarExpr:
		return receiver(x.X)
	case *ast.IndexExpr:
		return receiver(x.X)
	case *ast.IndexListExpr:
		return receiver(x.X)
	case *ast.Ident:
		return x.Name
	}
	return ""
}

// row is the line of the table.
func (f *figures) row(name string) string {
	return fmt.Sprintf("| %s | %d | %.0f %% | %s | %s | %.2f | %d / %d | %d (%.0f %%) | %d |",
		name, f.code, share(f.comment, f.code+f.comment), spread(f.funcs), spread(f.files),
		float64(f.test)/float64(f.code), f.examples, f.fuzzes, f.exported, share(f.doc, f.exported), f.sleeps)
}

func share(part, whole int) float64 { return 100 * float64(part) / float64(cmp.Or(whole, 1)) }

// spread is the median, the ninth decile and the largest.
func spread(all []int) string {
	if len(all) == 0 {
		return "–"
	}
	slices.Sort(all)
	return fmt.Sprintf("%d/%d/%d", all[len(all)/2], all[len(all)*9/10], all[len(all)-1])
}
