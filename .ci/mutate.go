// Command mutate breaks promises on purpose, and fails when no test notices.
//
//	go run .ci/mutate.go -check                  every number in the comment of an option has its mutant
//	go run .ci/mutate.go -changed HEAD~1         the mutants of packages that changed since then, or all
//	go run .ci/mutate.go -changed HEAD~1 -most 12
//	go run .ci/mutate.go cache.Options           the mutants whose names begin so
//	go run .ci/mutate.go                         all of them: 15 minutes
//
// .ci/mutants.txt lists them. A mutant is one text of one file, replaced: the
// working tree stays as it is, the compiler reads the other text as an overlay.
//
// Exit codes: 0 all died, 1 some survived or a promise has none, 2 usage, or a
// list that does not fit the code.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"hash/fnv"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const list = ".ci/mutants.txt"

// A promise is a name, and the mutants that would break it.
type promise struct {
	name    string
	line    int
	argued  string // why there is no mutant
	test    string // of the package of each mutant; "" all of them
	mutants []mutant
}

type mutant struct {
	promise  string
	line     int // in the list
	file     string
	old, new string
	test     string
}

func (m mutant) String() string {
	return fmt.Sprintf("%s:%d: %s: %s: %s => %s", list, m.line, m.promise, m.file, m.old, m.new)
}

func main() {
	check := flag.Bool("check", false, "run nothing: compare the list with the code")
	changed := flag.String("changed", "", "only the mutants of packages that changed since this `commit`")
	most := flag.Int("most", 0, "at most so many, of all parts of the list; 0 is all")
	limit := flag.Duration("limit", 2*time.Minute, "for the tests of one mutant")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	promises, err := read(list)
	if err == nil {
		err = fits(promises)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if *check {
		if err := complete(promises); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	mutants, err := choose(promises, flag.Args(), *changed, *most)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	survived := 0
	for i, m := range mutants {
		began := time.Now()
		died, err := try(ctx, m, *limit)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%v: %v\n", m, err)
			os.Exit(2)
		}
		verdict := "died"
		if !died {
			verdict = "SURVIVED"
			survived++
		}
		fmt.Printf("%3d/%d %s, %.1fs: %v\n", i+1, len(mutants), verdict, time.Since(began).Seconds(), m)
	}
	fmt.Printf("mutants: %d tried, %d survived\n", len(mutants), survived)
	if survived > 0 {
		os.Exit(1)
	}
}

// read takes the list apart: a name at the margin, below it what breaks it.
func read(name string) ([]*promise, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []*promise
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		if lines.Text()[0] != '\t' {
			all = append(all, &promise{name: text, line: n})
			continue
		}
		if len(all) == 0 {
			return nil, fmt.Errorf("%s:%d: the name of the promise comes first", name, n)
		}
		p := all[len(all)-1]
		key, rest, ok := strings.Cut(text, ": ")
		switch {
		case !ok:
			return nil, fmt.Errorf("%s:%d: want FILE: OLD => NEW, test: REGEXP or argued: REASON", name, n)
		case key == "test":
			p.test = rest
		case key == "argued":
			p.argued = rest
		default:
			old, new, ok := strings.Cut(rest, " => ")
			if !ok {
				return nil, fmt.Errorf("%s:%d: want FILE: OLD => NEW", name, n)
			}
			p.mutants = append(p.mutants, mutant{promise: p.name, line: n, file: key, old: old, new: new})
		}
	}
	for _, p := range all {
		if (len(p.mutants) == 0) == (p.argued == "") {
			return nil, fmt.Errorf("%s:%d: %s needs a mutant, or a reason why it has none", name, p.line, p.name)
		}
		for i := range p.mutants {
			p.mutants[i].test = p.test
		}
	}
	return all, lines.Err()
}

// fits reports mutants whose text is not in their file, or is there twice.
func fits(promises []*promise) error {
	var errs []error
	for _, p := range promises {
		for _, m := range p.mutants {
			text, err := os.ReadFile(m.file)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s:%d: %w", list, m.line, err))
			} else if n := bytes.Count(text, []byte(m.old)); n != 1 {
				errs = append(errs, fmt.Errorf("%s:%d: %s has %q %d times, want once", list, m.line, m.file, m.old, n))
			}
		}
	}
	return errors.Join(errs...)
}

// number is a number in a sentence, other than nought.
var number = regexp.MustCompile(`[1-9]`)

// complete reports the fields of option types whose comments promise a number
// that no line of the list is about.
func complete(promises []*promise) error {
	known := map[string]bool{}
	for _, p := range promises {
		known[p.name] = true
	}
	out, err := exec.Command("git", "ls-files", "cache/*.go", "depgraph/*.go", "health/*.go", "logsink/*.go").Output()
	if err != nil {
		return err
	}
	var errs []error
	fields := 0
	for _, file := range strings.Fields(string(out)) {
		if strings.HasSuffix(file, "_test.go") || strings.Contains(file, "testdata/") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			t, ok := n.(*ast.TypeSpec)
			if !ok || !t.Name.IsExported() || !strings.HasSuffix(t.Name.Name, "Options") && t.Name.Name != "Experiment" {
				return true
			}
			s, ok := t.Type.(*ast.StructType)
			if !ok {
				return true
			}
			for _, f := range s.Fields.List {
				if !number.MatchString(f.Doc.Text() + f.Comment.Text()) {
					continue
				}
				for _, field := range f.Names {
					fields++
					name := strings.Join([]string{path.Base(path.Dir(file)), t.Name.Name, field.Name}, ".")
					if !known[name] {
						errs = append(errs, fmt.Errorf("%s: the comment of %s promises a number, and %s has no mutant of it", file, name, list))
					}
				}
			}
			return false
		})
	}
	fmt.Printf("mutants: %d options promise a number\n", fields)
	return errors.Join(errs...)
}

// choose returns the mutants of the promises with one of the prefixes, of what
// changed, and no more than most of them: which, the commit decides.
func choose(promises []*promise, prefixes []string, changed string, most int) ([]mutant, error) {
	dirs := map[string]bool{}
	if changed != "" {
		out, err := exec.Command("git", "diff", "--name-only", changed, "--", "*.go", list).Output()
		if err != nil {
			return nil, fmt.Errorf("git diff %s: %w", changed, err)
		}
		for _, file := range strings.Fields(string(out)) {
			dirs[path.Dir(file)] = true
		}
	}
	var chosen, rest []mutant
	for _, p := range promises {
		if len(prefixes) > 0 && !slices.ContainsFunc(prefixes, func(s string) bool { return strings.HasPrefix(p.name, s) }) {
			continue
		}
		for _, m := range p.mutants {
			if changed == "" || dirs[path.Dir(m.file)] {
				chosen = append(chosen, m)
			} else {
				rest = append(rest, m)
			}
		}
	}
	if len(chosen) == 0 {
		chosen = rest
	}
	if most <= 0 || len(chosen) <= most {
		return chosen, nil
	}
	head, err := exec.Command("git", "rev-parse", "HEAD").Output()
	if err != nil {
		return nil, err
	}
	h := fnv.New32a()
	h.Write(head)
	first := int(h.Sum32() % uint32(len(chosen)))
	var some []mutant
	for i := range most {
		some = append(some, chosen[(first+i*len(chosen)/most)%len(chosen)])
	}
	fmt.Printf("mutants: %d of %d\n", most, len(chosen))
	return some, nil
}

// try runs the tests over the mutant and reports whether one failed.
func try(ctx context.Context, m mutant, limit time.Duration) (died bool, err error) {
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	text, err := os.ReadFile(m.file)
	if err != nil {
		return false, err
	}
	mutated := filepath.Join(dir, "mutant.go")
	if err := os.WriteFile(mutated, bytes.Replace(text, []byte(m.old), []byte(m.new), 1), 0o600); err != nil {
		return false, err
	}
	file, err := filepath.Abs(m.file)
	if err != nil {
		return false, err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{file: mutated}})
	if err != nil {
		return false, err
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		return false, err
	}
	// The promises of a package may be tested from one below it: "test: ./x Y".
	where, test := ".", m.test
	if rest, ok := strings.CutPrefix(m.test, "./"); ok {
		where, test, _ = strings.Cut(rest, " ")
		where = "./" + where
	}
	ctx, cancel := context.WithTimeout(ctx, limit+time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-failfast", "-vet=off", "-timeout="+limit.String(),
		"-overlay="+filepath.Join(dir, "overlay.json"), "-run="+test, where)
	cmd.Dir = filepath.Dir(m.file)
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case bytes.Contains(out, []byte("[build failed]")) || bytes.Contains(out, []byte("[setup failed]")):
		return false, fmt.Errorf("does not build:\n%s", out)
	case bytes.Contains(out, []byte("no tests to run")) || bytes.Contains(out, []byte("[no test files]")):
		return false, fmt.Errorf("no test has the name %q", m.test)
	case err != nil && !bytes.Contains(out, []byte("FAIL")):
		return false, fmt.Errorf("%w:\n%s", err, out)
	}
	return err != nil, nil
}
