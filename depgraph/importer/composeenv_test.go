package importer

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestExpandVars_as_docker_compose_does(t *testing.T) {
	env := map[string]string{"SET": "x", "EMPTY": "", "N1": "y", "_AZaz09": "all"}
	for text, want := range map[string]string{
		"":                        "",
		"plain":                   "plain",
		"$SET":                    "x",
		"a$SET.b":                 "ax.b",
		"$SETS":                   "",     // the longest name counts
		"$_AZaz09.":               "all.", // every letter and digit at its ends
		"$N1$SET":                 "yx",
		"${SET}s":                 "xs",
		"$GONE":                   "",
		"${GONE}":                 "",
		"$$SET":                   "$SET",
		"$$$SET":                  "$x",
		"$":                       "$",
		"a$":                      "a$",
		"$1":                      "$1", // no name begins with a digit
		"$-":                      "$-",
		"$.x":                     "$.x",
		"${GONE:-d}":              "d",
		"${GONE-d}":               "d",
		"${SET:-d}":               "x",
		"${EMPTY:-d}":             "d",
		"${EMPTY-d}":              "",
		"${SET:+o}":               "o",
		"${SET+o}":                "o",
		"${EMPTY:+o}":             "",
		"${EMPTY+o}":              "o",
		"${GONE+o}":               "",
		"${SET:?needed}":          "x",
		"${SET?needed}":           "x",
		"${GONE:?needed}":         "", // compose stops; an import reads on
		"${GONE:-${SET}}":         "x",
		"${GONE:-${GONE:-$N1}}":   "y",
		"${GONE:-http://$SET:80}": "http://x:80",
		"${GONE:-}":               "",
		"${":                      "${",
		"${SET":                   "${SET",
		"a${SET:-{":               "a${SET:-{",
		"${}":                     "",
		"${SET:}":                 "x",
		"${SET!}":                 "x",
		strings.Repeat("${G:-", 50) + "x" + strings.Repeat("}", 50): strings.Repeat("${G:-", 50-maxDepth-1) + "x" + strings.Repeat("}", 50-maxDepth-1),
	} {
		if got := expandVars(text, env, newAllowance(), 0); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestCompose_variables_that_explode took gigabytes once: each line doubles the
// one before it.
func TestCompose_variables_that_explode_are_refused(t *testing.T) {
	var b strings.Builder
	b.WriteString("V0=" + strings.Repeat("x", 1<<19) + "\n")
	for i := 1; i < 40; i++ {
		fmt.Fprintf(&b, "V%d=$V%d$V%d\n", i, i-1, i-1)
	}
	const want = "variables grow to more than 67108864 bytes"
	dir := write(t, map[string]string{
		".env": b.String(), "compose.yaml": "services: {a: {image: x}}\n",
		"sub/c.yaml": "include: [{path: d.yaml, env_file: big.env}]\n", "sub/d.yaml": "services:\n  a:\n    command: " + strings.Repeat("$B", 200) + "\n",
		"sub/big.env": "B=" + strings.Repeat("x", 1<<19) + "\n",
	})
	_, err := Compose(filepath.Join(dir, "compose.yaml"))
	failure(t, dir, err, ".env:8: "+want)
	_, err = Compose(filepath.Join(dir, "sub", "c.yaml"))
	failure(t, dir, err, "sub/c.yaml:1: include: sub/d.yaml:3: "+want)
}

// FuzzExpandVars ends, and leaves a text without a dollar sign alone.
func FuzzExpandVars(f *testing.F) {
	for _, seed := range []string{"${A:-${B}}", "$A$B$$", "${A:-$A}", "${", "$}", "${A:+{}}"} {
		f.Add(seed)
	}
	env := map[string]string{"A": "$A", "B": "${B:-$B}"} // values are not expanded again
	f.Fuzz(func(t *testing.T, text string) {
		got := expandVars(text, env, newAllowance(), 0)
		if !strings.Contains(text, "$") && got != text {
			t.Errorf("%q became %q", text, got)
		}
	})
}

func TestReadEnv_lines(t *testing.T) {
	dir := write(t, map[string]string{".env": strings.Join([]string{
		"# a comment", "", "A=1", "export B=2", "  C = spaced  ", "D=with # comment", "E=with#none", "F='single $A # kept'", `G="double $A"`,
		"H=${A}x", "I", "J=", "K=a=b", `L="open`, "M=''", "A=again", "N=$A", "O=later $P", "P=1", "#Q=1", "=nameless",
	}, "\n")})
	env, at, err := (&project{left: newAllowance()}).readEnvAt(filepath.Join(dir, ".env"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, key := range slices.Sorted(maps.Keys(env)) {
		got = append(got, fmt.Sprintf("%d %s=%s", at[key].Line, key, env[key]))
	}
	same(t, strings.Join(got, "\n"), `
21 =nameless
16 A=again
4 B=2
5 C=spaced
6 D=with
7 E=with#none
8 F=single $A # kept
9 G=double 1
10 H=1x
12 J=
13 K=a=b
14 L="open
15 M=
17 N=again
18 O=later `+""+`
19 P=1`)
}

func TestReadEnv_a_line_without_end_is_an_error(t *testing.T) {
	dir := write(t, map[string]string{
		".env":         "# long\nA=" + strings.Repeat("x", 2<<20),
		"compose.yaml": "services: {a: {image: x}}",
		"c.yaml":       "services: {a: {env_file: .env}}",
		"sub/c.yaml":   "services: {a: {env_file: ../.env}}",
		"sub/i.yaml":   "include: [{path: c.yaml, env_file: ../.env}]",
		"sub/j.yaml":   "include: [../compose.yaml]",
	})
	const want = "a line is longer than 1048576 bytes"
	_, err := Compose(filepath.Join(dir, "compose.yaml"))
	failure(t, dir, err, ".env:2: "+want)
	_, err = Compose(filepath.Join(dir, "sub", "c.yaml"))
	failure(t, dir, err, ".env:2: "+want)
	_, err = Compose(filepath.Join(dir, "sub", "i.yaml"))
	failure(t, dir, err, ".env:2: "+want)
	_, err = Compose(filepath.Join(dir, "sub", "j.yaml"))
	failure(t, dir, err, ".env:2: "+want)
}

// TestCompose_takes_nothing_from_the_environment_of_this_process: the same
// files give the same manifests on every machine.
func TestCompose_takes_nothing_from_the_environment_of_this_process(t *testing.T) {
	t.Setenv("STORE", "other")
	dir := write(t, map[string]string{"compose.yaml": "services:\n  app: {environment: [STORE, 'S_URL=http://${STORE:-store}:80']}\n  store: {image: x}\n  other: {image: x}\n"})
	r, err := Compose(filepath.Join(dir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	same(t, describe(dir, r), `
app
  -> store, hard runtime (compose.yaml:2 environment S_URL)
other
store`)
}

func TestCompose_variables_named_without_a_value_come_from_the_env_file(t *testing.T) {
	dir := write(t, map[string]string{
		".env":         "S_URL=http://store:80\nT_URL=http://third:80\n",
		"compose.yaml": "services:\n  a: {environment: [S_URL]}\n  b: {environment: {T_URL: , N: 5}}\n  c: {environment: {T_URL: ''}}\n  store: {image: x}\n  third: {image: x}\n",
	})
	r, err := Compose(filepath.Join(dir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	same(t, describe(dir, r), `
a
  -> store, hard runtime (compose.yaml:2 environment S_URL)
b
  -> third, hard runtime (compose.yaml:3 environment T_URL)
c
store
third`)
}

func TestCompose_an_env_file_that_is_absent(t *testing.T) {
	dir := write(t, map[string]string{
		"compose.yaml": "include: [{path: inc.yaml, env_file: none.env}]\nservices:\n  a: {env_file: [gone.env, {path: maybe.env, required: false}, {path: must.env}]}\n",
		"inc.yaml":     "services: {b: {image: x}}",
	})
	r, err := Compose(filepath.Join(dir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	same(t, describe(dir, r), `
a
b
warning: compose.yaml:1: the env_file none.env of an include is absent
warning: compose.yaml:3: the env_file gone.env of a is absent
warning: compose.yaml:3: the env_file must.env of a is absent`)
}
