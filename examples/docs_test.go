// Package examples_test checks what the documentation shows: each block of Go
// is part of a program that compiles and runs, and each link leads somewhere.
package examples_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/logsink"
)

const root = ".."

// files returns the contents of the repository's files with this ending, by
// path.
func files(t *testing.T, ending string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." && d.Name() != ".github" {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ending) || d.IsDir() {
			return nil
		}
		data, err := os.ReadFile(path)
		found[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// tokens is code without comments, layout and line breaks, each token between
// blanks. It takes fragments, too.
func tokens(code string) string {
	var scan scanner.Scanner
	set := token.NewFileSet()
	scan.Init(set.AddFile("", -1, len(code)), []byte(code), func(token.Position, string) {}, 0)
	b := strings.Builder{}
	b.WriteByte(' ')
	for {
		_, tok, lit := scan.Scan()
		switch {
		case tok == token.EOF:
			return b.String()
		case tok == token.SEMICOLON && lit == "\n":
			continue // a line break
		case lit == "":
			lit = tok.String()
		}
		b.WriteString(lit + " ")
	}
}

// source is a Go file: all of it, its functions, and those that do not run.
type source struct {
	all           string
	runs, doesNot []string
}

// parse reads a file. An example without an Output comment is compiled and
// never run.
func parse(t *testing.T, path, code string) (s source) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, code, parser.ParseComments)
	if err != nil {
		return s // testdata that is not meant to be Go
	}
	s.all = tokens(code)
	silent := make(map[string]bool)
	if strings.HasSuffix(path, "_test.go") {
		for _, e := range doc.Examples(file) {
			silent["Example"+e.Name] = e.Output == "" && !e.EmptyOutput
		}
	}
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		text := tokens(code[set.Position(f.Pos()).Offset:set.Position(f.End()).Offset])
		if silent[f.Name.Name] {
			s.doesNot = append(s.doesNot, text)
		} else {
			s.runs = append(s.runs, text)
		}
	}
	return s
}

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// TestDocs_blocks_run finds each block of Go in a program, a test, or an example
// whose output is checked: in its code, not in a comment.
func TestDocs_blocks_run(t *testing.T) {
	var sources []source
	for path, code := range files(t, ".go") {
		sources = append(sources, parse(t, path, code))
	}
	blocks := 0
	for path, text := range files(t, ".md") {
		for _, m := range goBlock.FindAllStringSubmatch(text, -1) {
			blocks++
			switch block := tokens(m[1]); {
			case contained(sources, block):
			case slices.ContainsFunc(sources, func(s source) bool { return within(s.doesNot, block) }):
				t.Errorf("%s: this block is part of an example without an Output comment, which never runs:\n%s", path, m[1])
			default:
				t.Errorf("%s: this block is not part of the code of any Go file:\n%s", path, m[1])
			}
		}
	}
	if blocks == 0 {
		t.Error("there is no block of Go in the documentation: nothing was checked")
	}
}

// contained reports whether some file has the block in a function that runs, or
// across declarations.
func contained(sources []source, block string) bool {
	return slices.ContainsFunc(sources, func(s source) bool {
		return within(s.runs, block) || strings.Contains(s.all, block) && !within(s.doesNot, block)
	})
}

func within(texts []string, block string) bool {
	return slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(s, block) })
}

func TestTokens(t *testing.T) {
	const code = "package p\n\n/*\n\tpanic(\"in a comment\")\n*/\nfunc f() {\n\tg() // why\n}\n\nfunc ExampleF() {\n\th()\n}\n"
	all := []source{parse(t, "x_test.go", code)}
	for block, want := range map[string]bool{"g()\n": true, "func f() { g() }": true, "panic(\"in a comment\")": false, "h()": false, "g": true} {
		if contained(all, tokens(block)) != want {
			t.Errorf("%q: want %t", block, want)
		}
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.*?) *$`)
	fenced  = regexp.MustCompile("(?s)```.*?```")
)

// anchors are the names that GitHub gives to the headings of a page: lower case,
// without punctuation, with hyphens for blanks.
func anchors(page string) map[string]bool {
	found := make(map[string]bool)
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(page, ""), -1) {
		text := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(m[1], "$1")
		found[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, text)] = true
	}
	return found
}

// TestDocs_links_lead_somewhere follows the links inside the repository, and
// looks for the headings that they name.
func TestDocs_links_lead_somewhere(t *testing.T) {
	pages := files(t, ".md")
	for path, text := range pages {
		for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			file := path
			if target != "" {
				file = filepath.Join(filepath.Dir(path), filepath.FromSlash(target))
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: link to %s: %v", path, target, err)
			} else if page, ok := pages[file]; ok && anchor != "" && !anchors(page)[anchor] {
				t.Errorf("%s: link to %s: there is no heading #%s", path, m[1], anchor)
			}
		}
	}
}

// TestRunbooks_name_what_there_is compares the names in the runbooks' filters of
// /debug/vars with what the packages publish.
func TestRunbooks_name_what_there_is(t *testing.T) {
	types := map[string]reflect.Type{"sessions": reflect.TypeFor[cache.Stats](), "logsink": reflect.TypeFor[logsink.Stats]()}
	filter := regexp.MustCompile(`jq '\.(\w+) \| \{([^}]*)\}`)
	names := 0
	for path, text := range files(t, ".md") {
		if !strings.Contains(filepath.ToSlash(path), "docs/runbooks/") {
			continue
		}
		for _, m := range filter.FindAllStringSubmatch(text, -1) {
			for _, entry := range strings.Split(m[2], ",") {
				_, source, renamed := strings.Cut(entry, ":")
				if !renamed {
					source = entry
				}
				for _, name := range regexp.MustCompile(`[a-z_]{2,}(\.[a-z_]+)*`).FindAllString(source, -1) {
					names++
					if !published(types[m[1]], strings.Split(name, ".")) {
						t.Errorf("%s: %s publishes no %s", path, m[1], name)
					}
				}
			}
		}
	}
	if names < 10 {
		t.Errorf("only %d names were checked", names)
	}
}

// published reports whether a type has a JSON member of that path.
func published(typ reflect.Type, path []string) bool {
	if len(path) == 0 {
		return true
	}
	if typ == nil || typ.Kind() != reflect.Struct {
		return false
	}
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == path[0] || f.Anonymous && published(f.Type, path) {
			return f.Anonymous || published(f.Type, path[1:])
		}
	}
	return false
}

// TestDocs_are_listed finds pages that no index leads to.
func TestDocs_are_listed(t *testing.T) {
	for index, pages := range map[string]string{
		"docs/README.md":           "docs/guide/*.md docs/runbooks/*.md docs/tutorials/*.md docs/migrate/*.md docs/benchmarks/*/README.md docs/*.md",
		"docs/decisions/README.md": "docs/decisions/*.md",
	} {
		text, err := os.ReadFile(filepath.Join(root, index))
		if err != nil {
			t.Fatal(err)
		}
		for pattern := range strings.FieldsSeq(pages) {
			found, err := filepath.Glob(filepath.Join(root, pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, page := range found {
				rel, err := filepath.Rel(filepath.Join(root, filepath.Dir(index)), page)
				if err != nil {
					t.Fatal(err)
				}
				if rel != filepath.Base(index) && !strings.Contains(string(text), "("+filepath.ToSlash(rel)+")") {
					t.Errorf("%s does not list %s", index, rel)
				}
			}
		}
	}
}
