package importer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// flow writes a tree in one line, with the tags of its own.
func flow(n *yaml.Node) string {
	var b strings.Builder
	switch n.Kind {
	case yaml.ScalarNode:
		return n.Value
	case yaml.SequenceNode:
		for i, item := range n.Content {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(flow(item))
		}
		return "[" + b.String() + "]"
	}
	for i := 0; i < len(n.Content); i += 2 {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(flow(n.Content[i]) + ": " + flow(n.Content[i+1]))
	}
	return "{" + b.String() + "}"
}

func TestParseYAML_unfolds_aliases_and_merges(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "",
		"# only a comment\n":        "",
		"---\n---\n":                " | ", // an empty document is a null
		"a: 1\n---\nb: 2\n":         "{a: 1} | {b: 2}",
		"a: &x [1, 2]\nb: *x\n":     "{a: [1, 2], b: [1, 2]}",
		"a: &x {k: 1}\nb: {<<: *x}": "{a: {k: 1}, b: {k: 1}}",
		// A key of one's own comes before a merged one, wherever the merge stands.
		"a: &x {k: 1, l: 2}\nb: {<<: *x, k: 3}": "{a: {k: 1, l: 2}, b: {k: 3, l: 2}}",
		"a: &x {k: 1, l: 2}\nb: {k: 3, <<: *x}": "{a: {k: 1, l: 2}, b: {k: 3, l: 2}}",
		// Of several, the first one counts.
		"a: &x {k: 1}\nb: &y {k: 2, m: 4}\nc: {<<: [*x, *y]}": "{a: {k: 1}, b: {k: 2, m: 4}, c: {k: 1, m: 4}}",
		"a: {\"<<\": 1}":                        "{a: {<<: 1}}", // in quotes it is a key like others
		"a: {<<: text}":                         "{a: {}}",
		"a: &x {k: &y v}\nb: [*x, *y]":          "{a: {k: v}, b: [{k: v}, v]}",
		"a: &x {<<: {k: 1}}\nb: {<<: *x, l: 2}": "{a: {k: 1}, b: {l: 2, k: 1}}",
		"a: !reset null\nb: !override [x]":      "{a: null, b: [x]}",
		"\ufeffa: 1\n":                          "{a: 1}",
		"a: &x [*x]\n":                          "error f.yaml:1: aliases within aliases are more than 32 deep here, or one contains itself",
		"a: *gone\n":                            "error f.yaml:1: cannot parse: unknown anchor 'gone' referenced",
		"a: [\n":                                "error f.yaml:1: cannot parse: did not find expected node content",
		"a: 1\n b: 2\n":                         "error f.yaml:2: cannot parse: mapping values are not allowed in this context",
		"a: \"\\q\"\n":                          "error f.yaml:1: cannot parse: found unknown escape character",
		"a: \x00\n":                             "error f.yaml:1: cannot parse: control characters are not allowed",
		"a: \xff\n":                             "error f.yaml:1: cannot parse: invalid leading UTF-8 octet",
		"\ta: 1\n":                              "error f.yaml:1: cannot parse: found character that cannot start any token",
		"a: 1\nb: {c: 1, d: 2, c: 3}\n":         "error f.yaml:2: the key \"c\" appears twice in a mapping; the first one is in line 2",
		"a: 1\nb: 2\na: 3\n":                    "error f.yaml:3: the key \"a\" appears twice in a mapping; the first one is in line 1",
		"ok: 1\n---\na: [\n":                    "error f.yaml:3: cannot parse: did not find expected node content",
	} {
		docs, err := parseYAML("f.yaml", []byte(text))
		var all []string
		for _, d := range docs {
			all = append(all, flow(d.root))
		}
		got := strings.Join(all, " | ")
		if err != nil {
			got = "error " + err.Error()
		}
		if got != want {
			t.Errorf("%q:\ngot  %s\nwant %s", text, got, want)
		}
	}
}

// TestParseYAML_refuses_aliases_that_are_too_deep: what lies deeper was cut off
// without a word once.
func TestParseYAML_refuses_aliases_that_are_too_deep(t *testing.T) {
	chain := func(n int) string {
		var b strings.Builder
		b.WriteString("l0: &l0 x\n")
		for i := 1; i <= n; i++ {
			fmt.Fprintf(&b, "l%d: &l%d [*l%d]\n", i, i, i-1)
		}
		return b.String()
	}
	docs, err := parseYAML("f.yaml", []byte(chain(maxDepth)))
	if err != nil {
		t.Fatal(err)
	}
	if last := docs[0].root.Content[2*maxDepth+1]; flow(last) != strings.Repeat("[", maxDepth)+"x"+strings.Repeat("]", maxDepth) {
		t.Errorf("the last level is %s", flow(last))
	}
	_, err = parseYAML("f.yaml", []byte(chain(maxDepth+2)))
	failure(t, "", err, "f.yaml:1: aliases within aliases are more than 32 deep here, or one contains itself")
	_, err = parseYAML("f.yaml", []byte("# mine\na: &x [*x]\n"))
	failure(t, "", err, "f.yaml:2: aliases within aliases are more than 32 deep here, or one contains itself")
}

func TestSplit_keeps_lines_and_costs_one_document(t *testing.T) {
	for text, want := range map[string][]string{
		"":                        nil,
		" \n\n":                   nil,
		"a: 1":                    {"a: 1"},
		"---\na: 1\n":             {"\na: 1\n"},
		"a: 1\n---\nb: 2\n":       {"a: 1\n", "\n\nb: 2\n"},
		"a: 1\r\n---\r\nb: 2\r\n": {"a: 1\r\n", "\n\nb: 2\r\n"},
		"a: 1\n---  \n---\nb: 2":  {"a: 1\n", "\n\n\nb: 2"},
		"a: |\n  ---\n  x\n":      {"a: |\n  ---\n  x\n"}, // inside of a text
		"a: 1\n--- b\n":           {"a: 1\n--- b\n"},      // more on the line: left to the parser
		"a: 1\n----\nb: 2\n":      {"a: 1\n", "\n\nb: 2\n"},
	} {
		var got []string
		for _, part := range split([]byte(text)) {
			got = append(got, string(part))
		}
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestReadFile_refuses_what_is_too_large(t *testing.T) {
	name := filepath.Join(t.TempDir(), "big.yaml")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(maxFile + 1); err != nil { // a hole: it takes no room
		t.Skip(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for importer, read := range map[string]func(...string) (*Result, error){"Compose": Compose, "Kubernetes": Kubernetes, "Backstage": Backstage, "ResilienceHub": ResilienceHub} {
		t.Run(importer, func(t *testing.T) {
			_, err := read(name)
			failure(t, filepath.Dir(name), err, "big.yaml: 67108865 bytes are too many; the limit is 67108864")
		})
	}
	unit := filepath.Join(filepath.Dir(name), "big.service")
	if err := os.Rename(name, unit); err != nil {
		t.Fatal(err)
	}
	_, err = Systemd(unit)
	failure(t, filepath.Dir(name), err, "big.service: 67108865 bytes are too many; the limit is 67108864")
}

func TestImporters_say_which_path_is_wrong(t *testing.T) {
	dir := write(t, map[string]string{"empty/readme.txt": "x"})
	const none = "no such file or directory"
	for _, c := range []struct {
		name string
		read func(...string) (*Result, error)
		path []string
		want string
	}{
		{"Compose", Compose, nil, "no compose file was given"},
		{"Compose", Compose, []string{"gone"}, "stat gone: " + none},
		{"Compose", Compose, []string{"empty"}, "empty: no compose file below this folder"},
		{"Kubernetes", Kubernetes, nil, "no file was given"},
		{"Kubernetes", Kubernetes, []string{"gone"}, "stat gone: " + none},
		{"Kubernetes", Kubernetes, []string{"empty"}, "empty: no file to import below this folder"},
		{"Backstage", Backstage, nil, "no file was given"},
		{"Backstage", Backstage, []string{"gone"}, "stat gone: " + none},
		{"Backstage", Backstage, []string{"empty"}, "empty: no file to import below this folder"},
		{"Systemd", Systemd, []string{"gone"}, "stat gone: " + none},
		{"ResilienceHub", ResilienceHub, []string{"gone"}, "stat gone: " + none},
	} {
		t.Run(c.name, func(t *testing.T) {
			var paths []string
			for _, p := range c.path {
				paths = append(paths, filepath.Join(dir, p))
			}
			_, err := c.read(paths...)
			failure(t, dir, err, c.want)
		})
	}
}

func TestExpand_takes_files_as_they_are_and_searches_folders(t *testing.T) {
	dir := write(t, map[string]string{"a.yaml": "", "b.yml": "", "c.json": "", "sub/d.yaml": "", "sub/deep/e.yaml": "", "f.yaml.bak": ""})
	files, err := expand([]string{dir, "-", filepath.Join(dir, "c.json")}, isYAML)
	if err != nil {
		t.Fatal(err)
	}
	same(t, strings.ReplaceAll(filepath.ToSlash(strings.Join(files, "\n")), filepath.ToSlash(dir)+"/", ""), "a.yaml\nb.yml\nsub/d.yaml\nsub/deep/e.yaml\n-\nc.json")
}

func TestTexts_are_all_scalars_below(t *testing.T) {
	docs, err := parseYAML("f.yaml", []byte("a: x\nb: [y, {c: z, d: null}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(texts(docs[0].root), ","); got != "x,y,z," {
		t.Errorf("%q", got)
	}
	if texts(nil) != nil || get(nil, "a") != nil || items(nil) != nil || text(nil) != "" {
		t.Error("nothing is not empty")
	}
	if get(docs[0].root, "a", "b") != nil || text(get(docs[0].root, "b")) != "" {
		t.Error("a scalar has keys, or a list a text")
	}
}

// FuzzParseYAML: whatever a file holds, it is a tree without aliases, or an
// error that names the file.
func FuzzParseYAML(f *testing.F) {
	for _, seed := range []string{"a: &x [1]\nb: {<<: *x}\n", "? [a]: b\n", "a: [", "---\n- !reset x\n", "<<: {<<: {<<: 1}}\n", "a: &a {b: *a}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		docs, err := parseYAML("f.yaml", []byte(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f.yaml") {
				t.Errorf("the error names no file: %v", err)
			}
			return
		}
		var check func(n *yaml.Node)
		check = func(n *yaml.Node) {
			if n.Kind == yaml.AliasNode || n.Alias != nil {
				t.Fatalf("an alias is left in %q", text)
			}
			for _, c := range n.Content {
				check(c)
			}
		}
		for _, d := range docs {
			check(d.root)
		}
	})
}
