package main

import (
	"os"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph/wasmrule"
)

func TestMain(m *testing.M) {
	wasmrule.Child()
	os.Exit(m.Run())
}

func TestCheck_with_a_rule(t *testing.T) {
	dir := tree(t, map[string]string{
		"s/depgraph.yaml": "service: a\nowner: x\n",
		"empty.wasm":      "\x00asm\x01\x00\x00\x00", // a module without anything
		"text.wasm":       "hello",
	})
	t.Setenv("XDG_CACHE_HOME", dir+"/cache")
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"check s --rule empty.wasm", 1, "error DG020 the rule empty: exports no _start; compile it as a WASI command, not as a library"},
		{"check s --rule empty.wasm --skip empty", 0, "0 errors"},
		{"check s --rule empty.wasm --rule empty.wasm", 3, `two rules named "empty"`},
		{"check s --rule text.wasm", 1, "error DG020 the rule text: is not a WebAssembly module"},
		{"check s --rule gone.wasm", 3, "gone.wasm: cannot read: no such file"},
		{"check s --rule empty.wasm --rule-timeout 0s", 2, "--rule-timeout: 0s is not above 0"},
		{"check s --rule empty.wasm --rule-memory 9999", 2, "--rule-memory: 9999 MiB is not between 1 and 4096"},
		{"diff s s --rule empty.wasm", 1, "1 new finding"},
	} {
		code, out, errs := in(t, dir, "", strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out+errs, c.want) {
			t.Errorf("%s: exit code %d, want %d and %q in\n%s%s", c.args, code, c.code, c.want, out, errs)
		}
	}
}
