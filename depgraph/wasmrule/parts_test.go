package wasmrule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/depgraph"
)

func pair(t *testing.T) *depgraph.Graph {
	t.Helper()
	g, err := depgraph.Compile([]depgraph.Service{
		{Name: "web", At: depgraph.Position{File: "m.yaml", Line: 1}, Depends: []depgraph.Dependency{{On: "db", At: depgraph.Position{File: "m.yaml", Line: 3}}}},
		{Name: "db"},
	}, depgraph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// What a process leaves behind is judged in one order: what it says itself, then the
// deadline, then the caller's context, then how it died.
func TestJudge_in_full(t *testing.T) {
	failed := errors.New("exit status 2")
	late, cancelLate := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancelLate()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	said := func(a answer) string {
		line, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		return string(line) + "\n"
	}
	found := said(answer{Output: []byte(`{"interface":1,"findings":[{"service":"web","message":"no"}]}`)})
	for name, c := range map[string]struct {
		ctx       context.Context
		err       error
		out, errs string
		want      string
	}{
		"an answer":                        {t.Context(), nil, "compiling\nrunning\n" + found, "", "1 found"},
		"an answer, in time all the same":  {late, nil, found, "", "1 found"},
		"an answer, and then it died":      {t.Context(), failed, found, "", "the process of the rule failed (starting): exit status 2"},
		"a reason":                         {t.Context(), failed, "compiling\n" + said(answer{Error: "cannot be compiled: x"}), "fatal error: out of memory", "cannot be compiled: x"},
		"a reason, too late":               {late, failed, said(answer{Error: "trapped: x"}), "", "trapped: x"},
		"too late, before it began":        {late, failed, "", "", "did not end within 3s (starting)"},
		"too late, compiling":              {late, failed, "compiling\n", "", "did not end within 3s (compiling)"},
		"too late, running":                {late, failed, "compiling\nrunning\n", "out of memory", "did not end within 3s (running)"},
		"the caller has gone":              {gone, failed, "compiling\n", "", "context canceled"},
		"no memory, by Go":                 {t.Context(), failed, "compiling\n", "x\nfatal error: runtime: out of memory\n", "the process ran out of memory (compiling); the rule may have 64 MiB"},
		"no memory, by the system":         {t.Context(), failed, "running\n", "mmap: cannot allocate memory", "the process ran out of memory (running); the rule may have 64 MiB"},
		"no memory, by the race detector":  {t.Context(), failed, "", "ThreadSanitizer failed to allocate 0x8000", "the process ran out of memory (starting); the rule may have 64 MiB"},
		"a crash":                          {t.Context(), failed, "running\n", "\nSIGSEGV: segmentation violation\nPC=0x1", "the process crashed (running), as one does that gets no memory; the rule may have 64 MiB: SIGSEGV: segmentation violation"},
		"a death with words":               {t.Context(), failed, "running\n", " panic: no\n\ngoroutine 1", "the process of the rule failed (running): exit status 2: panic: no"},
		"a death with many words":          {t.Context(), failed, "", strings.Repeat("ü", 400), "the process of the rule failed (starting): exit status 2: " + strings.Repeat("ü", 150)},
		"nothing":                          {t.Context(), nil, "", "", "the process of the rule gave no answer; does the program call wasmrule.Child first?"},
		"stages alone":                     {t.Context(), nil, "compiling\nrunning\n", "", "the process of the rule gave no answer; does the program call wasmrule.Child first?"},
		"something else":                   {t.Context(), nil, "hello\n", "", "the process of the rule gave no answer; does the program call wasmrule.Child first?"},
		"an answer before another program": {t.Context(), nil, found + "bye\n", "", "the process of the rule gave no answer; does the program call wasmrule.Child first?"},
		"no output of the rule":            {t.Context(), nil, said(answer{}), "", `wrote nothing; a rule without findings writes {"interface": 1, "findings": []}`},
	} {
		out, errs := &bounded{}, &bounded{}
		out.WriteString(c.out)
		errs.WriteString(c.errs)
		all, err := judge(c.ctx, c.err, out, errs, Options{Timeout: 3 * time.Second, Memory: 64 << 20}, pair(t))
		got := fmt.Sprintf("%d found", len(all))
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, c.want)
		}
	}
}

func TestFindings_are_all_or_nothing(t *testing.T) {
	many := func(n int) string {
		return `{"interface":1,"findings":[` + strings.Repeat(`{"service":"web","message":"no"},`, n-1) + `{"service":"db","message":"no"}]}`
	}
	for output, want := range map[string]string{
		" \n":                 `wrote nothing; a rule without findings writes {"interface": 1, "findings": []}`,
		"null":                `its output does not say "interface": 1`,
		`{"interface":null}`:  `its output does not say "interface": 1`,
		`{"interface":"1"}`:   "its output is not of interface 1: json: cannot unmarshal string into Go struct field reply.interface of type int",
		`{"interface":1}{}`:   "its output continues after the end of the JSON object",
		`{"interface":0}`:     "its output is of interface 0; this program reads 1",
		many(maxFindings):     fmt.Sprintf("%d found, the last on db", maxFindings),
		many(maxFindings + 1): "wrote 10001 findings; at most 10000 are taken",
		`{"interface":1,"findings":[{"message":"no"}]}`:                                                           `finding 1: there is no service ""`,
		`{"interface":1,"findings":[{"service":"web"}]}`:                                                          "finding 1: the message is empty",
		`{"interface":1,"findings":[{"service":"web","message":"m","fix":"` + strings.Repeat("x", 2001) + `"}]}`:  "finding 1: a text is longer than 2000 bytes",
		`{"interface":1,"findings":[{"service":"web","message":"` + strings.Repeat("x", 2000) + `"}]}`:            "1 found, the last on web",
		`{"interface":1,"findings":[{"service":"` + strings.Repeat("x", 200) + `","message":"m"}]}`:               `finding 1: there is no service "` + strings.Repeat("x", 100) + `"`,
		`{"interface":1,"findings":[{"service":"web","message":"m","severity":"WARN"}]}`:                          `finding 1: severity "WARN" is not one of info, warn, error`,
		`{"interface":1,"findings":[{"service":"web","message":"m","edges":[{"from":"web"}]}]}`:                   `finding 1: there is no dependency "web" -> ""`,
		`{"interface":1,"findings":[{"service":"web","message":"m","edges":[{"from":"\u001b[31m","to":"<b>"}]}]}`: `finding 1: there is no dependency "\x1b[31m" -> "<b>"`,
	} {
		found, err := findings([]byte(output), pair(t))
		got := ""
		switch {
		case err != nil:
			got = err.Error()
		case len(found) > 0:
			got = fmt.Sprintf("%d found, the last on %s", len(found), found[len(found)-1].Service)
		}
		if got != want || err != nil && found != nil {
			t.Errorf("%.120s:\ngot  %s\nwant %s", output, got, want)
		}
	}
}

func TestBounded_keeps_the_beginning(t *testing.T) {
	loud, quiet := &bounded{left: 5}, &bounded{left: 5, quiet: true}
	for i, c := range []struct {
		text      string
		loud      string // number and error
		keptLoud  string
		keptQuiet string
	}{
		{"abc", "3 <nil>", "abc", "abc"},
		{"", "0 <nil>", "abc", "abc"},
		{"def", "2 too much output", "abcde", "abcde"},
		{"g", "0 too much output", "abcde", "abcde"},
	} {
		n, err := loud.Write([]byte(c.text))
		if got := fmt.Sprint(n, " ", err); got != c.loud || loud.String() != c.keptLoud || loud.full != (i > 1) {
			t.Errorf("%d: %s, kept %q", i, got, loud.String())
		}
		n, err = quiet.Write([]byte(c.text))
		if n != len(c.text) || err != nil || quiet.String() != c.keptQuiet || quiet.full != (i > 1) {
			t.Errorf("%d: %d, %v, kept %q", i, n, err, quiet.String())
		}
	}
	over := 0
	c := &capped{left: 5, over: func() { over++ }}
	for i, want := range []string{"3 <nil>", "2 <nil>", "0 too much output", "0 too much output"} {
		n, err := c.Write([]byte("abcdefg")[:[]int{3, 2, 1, 1}[i]])
		if got := fmt.Sprint(n, " ", err); got != want || over != max(0, i-1) {
			t.Errorf("%d: %s, over %d times; want %s", i, got, over, want)
		}
	}
	if c.String() != "abcab" {
		t.Errorf("%q", c.String())
	}
}

func TestLines_of_a_rule_are_short(t *testing.T) {
	long := strings.Repeat("ü", 200)
	for s, want := range map[string][3]string{ // the first, the last, and that of an error
		"":                           {"", "", ""},
		"\n\n":                       {"", "", ""},
		"a":                          {": a", ": a", "a"},
		"a\nb\n\n":                   {": a", ": b", "a"},
		"a\npanic: why\ngoroutine 1": {": a", ": panic: why", "a"},
		"fatal error: stack\n\nx\n":  {": fatal error: stack", ": fatal error: stack", "fatal error: stack"},
		"wasm error: unreachable":    {": wasm error: unreachable", ": wasm error: unreachable", "wasm error: unreachable"},
		"x" + long:                   {": x" + long[:298], ": x" + long[:298], "x" + long[:298]},
		long:                         {": " + long[:300], ": " + long[:300], long[:300]},
		"trap (recovered by wazero)": {": trap (recovered by wazero)", ": trap (recovered by wazero)", "trap"},
		"module[] function[_start] failed: wasm error: unreachable\nstack": {": module[] function[_start] failed: wasm error: unreachable", ": stack", "unreachable"},
	} {
		if got := [3]string{firstLine(s), lastLine(s), oneLine(errors.New(s))}; got != want {
			t.Errorf("%.40q: %q, want %q", s, got, want)
		}
	}
}

func TestPrune_keeps_the_newest(t *testing.T) {
	dir := t.TempDir()
	var want []string
	for i := range maxCached + 3 {
		name := filepath.Join(dir, fmt.Sprintf("v%d", i%2), fmt.Sprintf("m%02d", i))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(int64(1000+i), 0)
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
		if i >= 3 {
			want = append(want, name)
		}
	}
	list := func() []string {
		all, err := filepath.Glob(filepath.Join(dir, "*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	slices.Sort(want)
	for range 2 { // the second time there is nothing to do
		prune(dir)
		if got := list(); !slices.Equal(got, want) {
			t.Fatalf("%d are left: %v", len(got), got)
		}
	}
	prune("")                           // no cache
	prune(filepath.Join(dir, "nobody")) // nor one that is gone
}

func TestCacheDir_and_what_is_in_its_way(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", home)
	t.Setenv("HOME", home)
	t.Setenv("LocalAppData", home)
	base, err := os.UserCacheDir()
	if err != nil {
		t.Skip(err)
	}
	for dir, want := range map[string]string{
		"-": "", "": filepath.Join(base, "failopen", "wasm-rules"), "x": filepath.Join("x", "wasm-rules"),
	} {
		if got := cacheDir(dir); got != want {
			t.Errorf("%q: %q, want %q", dir, got, want)
		}
	}
	file := filepath.Join(home, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", filepath.Join(file, "below"), file} {
		if c := openCache(dir); c != nil {
			t.Errorf("%q is a cache", dir)
		}
	}
	c := openCache(filepath.Join(home, "new", "cache"))
	if c == nil {
		t.Fatal("no cache in a folder that can be made")
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// A child gets what a process needs to start, and nothing that could be a secret.
func TestChildEnv_has_no_secrets(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("PATH", "/bin")
	t.Setenv("HOME", "/root")
	t.Setenv("TMPDIR", "/var/tmp")
	t.Setenv("GORACE", "halt_on_error=1")
	for _, name := range []string{"SYSTEMROOT", "TMP", "TEMP"} {
		t.Setenv(name, "")
	}
	if got, want := childEnv(), []string{"TMPDIR=/var/tmp", "GORACE=halt_on_error=1"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestReadModule_at_its_limit(t *testing.T) {
	head := "\x00asm\x01\x00\x00\x00"
	for text, want := range map[string]string{
		head:                      "",
		head + "x":                "",
		head + "xx":               "refused: is too large: 0 MiB, and a rule may have 1",
		head[:7]:                  "refused: is not a WebAssembly module",
		head[:4]:                  "refused: is not a WebAssembly module",
		head[:3]:                  "refused: is not a WebAssembly module",
		"\x00asm\x0d\x00\x01\x00": "refused: is a WebAssembly component; a rule is a core module for WASI preview 1",
	} {
		name := filepath.Join(t.TempDir(), "r.wasm")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		module, refused, err := readModule(name, int64(len(head))+1)
		got := ""
		if refused != nil {
			got = "refused: " + refused.Error()
		}
		if got != want || err != nil || want == "" && string(module) != text {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
}

func TestLoad_bounds_of_options(t *testing.T) {
	path := filepath.Join(t.TempDir(), "My-Rule.WASM")
	if err := os.WriteFile(path, []byte("\x00asm\x01\x00\x00\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	for memory, want := range map[int64]string{
		0: "", 1 << 20: "", 4 << 30: "",
		1<<20 - 1: "wasmrule: Options.Memory is 1048575 bytes; it is between 1 MiB and 4 GiB",
		4<<30 + 1: "wasmrule: Options.Memory is 4294967297 bytes; it is between 1 MiB and 4 GiB",
		-1:        "wasmrule: Options.Memory is -1 bytes; it is between 1 MiB and 4 GiB",
	} {
		r, err := Load(path, Options{Memory: memory, Graph: noGraph})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want || want == "" && (r.Name != "my-rule" || r.Severity != depgraph.Warn || r.Summary != "a rule in WebAssembly, My-Rule.WASM") {
			t.Errorf("%d: %q, %+v; want %q", memory, got, r, want)
		}
	}
	// What the caller's function says of the graph is the reason of the finding.
	r, err := Load(path, Options{Graph: noGraph})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Check(t.Context(), pair(t)); !errors.Is(err, errNoGraph) {
		t.Error(err)
	}
}

var errNoGraph = errors.New("no graph")

func noGraph(io.Writer, *depgraph.Graph) error { return errNoGraph }
