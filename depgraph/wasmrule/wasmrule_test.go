package wasmrule_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/wasmrule"
)

func TestMain(m *testing.M) {
	wasmrule.Child()
	os.Exit(m.Run())
}

func graph(t *testing.T) *depgraph.Graph {
	t.Helper()
	g, err := depgraph.Compile([]depgraph.Service{
		{Name: "web", Owner: "x", At: depgraph.Position{File: "m.yaml", Line: 1}, Depends: []depgraph.Dependency{{On: "db", At: depgraph.Position{File: "m.yaml", Line: 3}}}},
		{Name: "db", Owner: "x", At: depgraph.Position{File: "m.yaml", Line: 9}},
	}, depgraph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// graphJSON stands for report.GraphJSON; the modules here read nothing.
func graphJSON(w io.Writer, _ *depgraph.Graph) error {
	_, err := io.WriteString(w, `{"version": 1, "services": [], "edges": []}`)
	return err
}

func file(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// check runs one rule over a graph and returns its findings, in words.
func check(t *testing.T, path string, o wasmrule.Options) []string {
	t.Helper()
	o.Graph = graphJSON
	if o.CacheDir == "" {
		o.CacheDir = "-"
	}
	r, err := wasmrule.Load(path, o)
	if err != nil {
		return []string{err.Error()}
	}
	found, err := graph(t).Check(t.Context(), depgraph.CheckOptions{Rules: []depgraph.Rule{r}})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range found {
		lines = append(lines, fmt.Sprintf("%s %s %s at %s", f.Severity, f.Rule, f.Message, f.At))
	}
	return lines
}

func TestRule_findings(t *testing.T) {
	for text, want := range map[string]string{
		`{"interface":1,"findings":[]}`: "",
		`{"interface":1}`:               "",
		`{"interface":1,"findings":[{"service":"web","message":"no"}]}`:                                                                     "warn r no at m.yaml:1",
		`{"interface":1,"findings":[{"service":"web","message":"no","severity":"error","fix":"f","edges":[{"from":"web","to":"db"}]}]}`:     "error r no at m.yaml:3",
		`{"interface":1,"findings":[{"service":"nobody","message":"no"}]}`:                                                                  `the rule r: finding 1: there is no service "nobody"`,
		`{"interface":1,"findings":[{"service":"web","message":" "}]}`:                                                                      "finding 1: the message is empty",
		`{"interface":1,"findings":[{"service":"web","message":"no"},{"service":"web","message":"no","edges":[{"from":"db","to":"web"}]}]}`: `finding 2: there is no dependency "db" -> "web"`,
		`{"interface":1,"findings":[{"service":"web","message":"no","severity":"off"}]}`:                                                    `severity "off" is not one of info, warn, error`,
		`{"interface":1,"findings":[{"service":"web","message":"no","severty":"warn"}]}`:                                                    `unknown field "severty"`,
		`{"interface":1,"findings":[{"service":"web","message":"` + strings.Repeat("x", 3000) + `"}]}`:                                      "a text is longer than 2000 bytes",
		`{"interface":2,"findings":[]}`:   "its output is of interface 2; this program reads 1",
		`{"findings":[]}`:                 `its output does not say "interface": 1`,
		`{"interface":1,"findings":[]} x`: "its output continues after the end",
		`hello`:                           "its output is not of interface 1: invalid character",
		``:                                "wrote nothing",
	} {
		got := strings.Join(check(t, file(t, "r.wasm", says(text)), wasmrule.Options{}), "\n")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%.100s: %q, want %q", text, got, want)
		}
		if strings.Contains(want, " at ") == strings.Contains(got, "DG020") && want != "" {
			t.Errorf("%.100s: %q", text, got)
		}
	}
}

// bomb is a function that is slow to compile: thousands of variables that live
// through thousands of nested loops, each of which may leave any of them.
func bomb(locals, loops int) []byte {
	var code []byte
	get := func(op byte, i int) { code = append(append(code, op), leb(uint64(1+i%locals))...) }
	for i := range loops {
		code = append(code, 0x03, 0x40) // loop
		get(0x20, i*7)
		get(0x21, i*13)
		get(0x20, i*31)
		code = append(code, 0x0d, 0) // br_if
	}
	for i := range loops {
		get(0x20, i*5)
		get(0x21, i*3)
		code = append(code, 0x0b)
	}
	return module{typ: tExit, locals: uint64(locals), more: [][]byte{code}}.bytes()
}

// TestRule_hostile is a corpus of rules that mean harm. Each costs a finding
// that names what it did, in time, and the check goes on.
func TestRule_hostile(t *testing.T) {
	const deadline = 2 * time.Second          // of those that never end; they are not waited for one by one
	loop := []byte{0x03, 0x40, 0x0c, 0, 0x0b} // loop br 0 end
	flood := append(append([]byte{0x03, 0x40}, write...), 0x0c, 0, 0x0b)
	// memory.grow of 10 GB; if it fails, say so by exit code 12.
	grow := append([]byte{0x41}, append(signed(160_000), 0x40, 0, 0x41, 0x7f, 0x46, 0x04, 0x40, 0x41, 12, 0x10, procExit, 0x0b)...)
	// path_open(3, 0, 64, 11, 0, 0, 0, 0, 32): its error is the exit code.
	open := []byte{0x41, 3, 0x41, 0, 0x41, 0xc0, 0, 0x41, 10, 0x41, 0, 0x42, 0, 0x42, 0, 0x41, 0, 0x41, 32, 0x10, pathOpen, 0x10, procExit}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"endless":       {module{code: loop}.bytes(), "did not end within 2s"},
		"ten-gigabyte":  {module{code: grow}.bytes(), "ended with exit code 12"},
		"four-declared": {module{pages: 65536}.bytes(), "cannot be compiled: "},
		"garbage":       {says("\x00\xff{]garbage"), "its output is not of interface 1"},
		"exit-one":      {module{code: []byte{0x41, 1, 0x10, procExit}}.bytes(), "ended with exit code 1"},
		"reads-a-file":  {module{code: open, data: "etc/passwd"}.bytes(), "ended with exit code 8"}, // EBADF: there is no folder
		"bomb":          {bomb(20_000, 20_000), "did not end within 2s"},
		"flood":         {module{code: flood, data: strings.Repeat("x", 60_000)}.bytes(), "wrote more than 16 MiB"},
		"traps":         {module{code: []byte{0x00}}.bytes(), "trapped: unreachable"},
		"tables":        {module{tables: 40, elements: 130_000_000}.bytes(), "memory"},
		"recursion":     {module{code: []byte{0x10, start}}.bytes(), "trapped: stack overflow"},
		"imports":       {module{imports: []imported{{"env", "socket", tNone}}}.bytes(), "needs more than WASI preview 1: module[env] not instantiated"},
		"unknown-wasi":  {module{imports: []imported{{"wasi_snapshot_preview1", "sock_connect", tNone}}}.bytes(), "needs more than WASI preview 1"},
		"a-library":     {module{export: "run"}.bytes(), "exports no _start"},
		"cut-off":       {says("x")[:40], "cannot be compiled: "},
		"component":     {[]byte("\x00asm\x0d\x00\x01\x00"), "is a WebAssembly component"},
		"text":          {[]byte("#!/bin/sh\nrm -rf /\n"), "is not a WebAssembly module"},
		"empty":         {nil, "is not a WebAssembly module"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "tables" && runtime.GOOS != "linux" {
				t.Skip("only on Linux the memory of the whole process is bounded")
			}
			t.Parallel()
			o := wasmrule.Options{Memory: 64 << 20}
			if strings.HasPrefix(c.want, "did not end") {
				o.Timeout = deadline // the others end by themselves, however slow the machine is
			}
			begin := time.Now()
			got := check(t, file(t, name+".wasm", c.data), o)
			// To compile a bomb takes all the time there is, or all the memory, whichever ends first.
			exhausted := name == "bomb" && len(got) == 1 && strings.Contains(got[0], "ran out of memory (compiling)")
			if len(got) != 1 || !strings.Contains(got[0], c.want) && !exhausted {
				t.Errorf("%q, want %q", got, c.want)
			}
			if len(got) == 1 && strings.HasPrefix(got[0], "error") && !strings.HasPrefix(got[0], "error DG020 the rule "+name+": ") {
				t.Errorf("%q does not name the rule", got)
			}
			t.Logf("%s: %v", time.Since(begin).Round(time.Millisecond), got)
		})
	}
}

// signed is a number for i32.const.
func signed(n int64) (out []byte) {
	for {
		b := byte(n & 0x7f)
		n >>= 7
		if n == 0 && b&0x40 == 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}

// TestRule_hundred_megabytes is refused before anything is started.
func TestRule_hundred_megabytes(t *testing.T) {
	path := file(t, "large.wasm", []byte("\x00asm\x01\x00\x00\x00"))
	if err := os.Truncate(path, 100<<20); err != nil {
		t.Fatal(err)
	}
	if got := check(t, path, wasmrule.Options{Command: []string{"/nowhere"}}); len(got) != 1 || got[0] != "error DG020 the rule large: is too large: 100 MiB, and a rule may have 16 at " {
		t.Errorf("%q", got)
	}
}

func TestLoad_refuses(t *testing.T) {
	large := file(t, "large.wasm", []byte("\x00asm\x01\x00\x00\x00"))
	folder := filepath.Join(t.TempDir(), "folder.wasm")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(t.TempDir(), "gone.wasm"): "gone.wasm: cannot read: no such file",
		folder:                                  "is not a regular file",
		file(t, "a rule.wasm", says("")):        "the name of the file becomes that of the rule",
	} {
		if _, err := wasmrule.Load(path, wasmrule.Options{Graph: graphJSON}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	for want, o := range map[string]wasmrule.Options{
		"Options.Graph is missing": {}, "Options.Memory is 5 bytes": {Memory: 5, Graph: graphJSON}, "Options.Timeout is -1ns": {Timeout: -1, Graph: graphJSON},
	} {
		if _, err := wasmrule.Load(large, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestRule_is_compiled_once(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	path := file(t, "r.wasm", says(`{"interface":1}`))
	files := func() (n int) {
		filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				n++
			}
			return nil
		})
		return n
	}
	for range 2 {
		if got := check(t, path, wasmrule.Options{CacheDir: dir}); len(got) != 0 {
			t.Fatal(got)
		}
		if files() != 1 {
			t.Errorf("%d files in the cache, want 1", files())
		}
	}
	// A file of the cache that is broken is thrown away, wherever it is broken.
	for name, spoil := range map[string]func(data []byte) []byte{
		"cut off": func(data []byte) []byte { return data[:len(data)/2] },
		"empty":   func([]byte) []byte { return nil },
		"other":   func([]byte) []byte { return []byte("something else") },
		"zeros":   func(data []byte) []byte { return append(data[:min(60, len(data))], make([]byte, len(data))...) },
	} {
		filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, spoil(data), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			return nil
		})
		for range 2 { // without the cache, then with a new one
			if got := check(t, path, wasmrule.Options{CacheDir: dir}); len(got) != 0 {
				t.Errorf("%s: %q", name, got)
			}
		}
	}
	// What is in the way of a cache costs time and nothing else.
	if got := check(t, path, wasmrule.Options{CacheDir: filepath.Join(path, "no-folder")}); len(got) != 0 {
		t.Error(got)
	}
}

func TestRule_ends_with_the_context(t *testing.T) {
	r, err := wasmrule.Load(file(t, "r.wasm", module{code: []byte{0x03, 0x40, 0x0c, 0, 0x0b}}.bytes()), wasmrule.Options{Graph: graphJSON, CacheDir: "-"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := graph(t).Check(ctx, depgraph.CheckOptions{Rules: []depgraph.Rule{r}, Only: []string{"r"}}); err != context.DeadlineExceeded {
		t.Errorf("%v, want the context's error", err)
	}
}

func TestRule_a_program_that_is_no_child(t *testing.T) {
	got := check(t, file(t, "r.wasm", says(`{"interface":1}`)), wasmrule.Options{Command: []string{"true"}})
	if len(got) != 1 || !strings.Contains(got[0], "gave no answer; does the program call wasmrule.Child first?") {
		t.Errorf("%q", got)
	}
	if got = check(t, file(t, "r.wasm", says(`{"interface":1}`)), wasmrule.Options{Command: []string{"/nowhere/program"}}); len(got) != 1 || !strings.Contains(got[0], "the process of the rule failed (starting)") {
		t.Errorf("%q", got)
	}
}
