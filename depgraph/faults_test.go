package depgraph

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"go.yaml.in/yaml/v3"
)

// Each is one mistake in one line, and one message with file, line, field and what was
// expected.
func TestParseManifest_one_mistake_is_one_fault(t *testing.T) {
	const fields = "service, owner, kind, criticality, availability, start, verify, note, source, waivers, depends"
	for text, want := range map[string]string{
		"":                                      `f.yaml:1: no service here; a manifest begins with "service: NAME"`,
		"---\n---\n# none\n":                    `f.yaml:1: no service here; a manifest begins with "service: NAME"`,
		"null":                                  `f.yaml:1: no service here; a manifest begins with "service: NAME"`,
		"5":                                     "f.yaml:1: service: expected a mapping with " + fields + ", found the number 5",
		"service: true":                         "f.yaml:1: service: expected a string (put it in quotes), found the boolean true",
		"service: ~":                            "f.yaml:1: service: expected a string, found nothing",
		"service: ''":                           "f.yaml:1: service: the name is empty",
		"owner: x":                              `f.yaml:1: service: the field "service" with the name is missing`,
		"- service: a\n- owner: x":              `f.yaml:2: service: the field "service" with the name is missing`,
		"service: a\nnote: 1.5":                 "f.yaml:2: note: expected a string (put it in quotes), found the number 1.5",
		"service: a\nkind: 5":                   "f.yaml:2: kind: expected a string (put it in quotes), found the number 5",
		"service: a\nkind: [app]":               "f.yaml:2: kind: expected a string, found a list",
		"service: a\nkind: ap":                  `f.yaml:2: kind "ap" is not one of app, cloud, datastore, queue, external, observer, infra; did you mean "app"?`,
		"service: a\ncriticality: urgent":       `f.yaml:2: criticality "urgent" is not one of low, medium, high, critical`,
		"service: a\navailability: 99":          "f.yaml:2: availability: expected a mapping with target, own, found the number 99",
		"service: a\navailability: {target: x}": `f.yaml:2: availability.target: expected a percentage such as 99.95, found "x"`,
		"service: a\navailability: {own: 0}":    "f.yaml:2: availability.own is 0; it is a percentage above 0, up to 100",
		"service: a\navailability: {own: .nan}": "f.yaml:2: availability.own: expected a percentage such as 99.95, found the number .nan",
		"service: a\navailability: {own: 100.001}":                "f.yaml:2: availability.own is 100.001; it is a percentage above 0, up to 100",
		"service: a\navailability: {owm: 99}":                     `f.yaml:2: availability: unknown field "owm"; did you mean "own"?`,
		"service: a\nstart: 12":                                   "f.yaml:2: start: expected a duration with a unit, such as 12s or 1m30s, found the number 12",
		"service: a\nstart: -1s":                                  "f.yaml:2: start is -1s; it is a duration between 0 and 720h0m0s",
		"service: a\nstart: 720h1s":                               "f.yaml:2: start is 720h1s; it is a duration between 0 and 720h0m0s",
		"service: a\nstart: {}":                                   "f.yaml:2: start: expected a duration with a unit, such as 12s or 1m30s, found a mapping",
		"service: a\nowner: x\nowner: y":                          `f.yaml:3: service: field "owner" appears twice`,
		"service: a\n<<: {owner: x}":                              `f.yaml:2: service: unknown field "<<"; merge keys are not supported`,
		"service: a\nxyzzy: 1":                                    `f.yaml:2: service: unknown field "xyzzy"; it takes ` + fields,
		"service: a\n? [x]\n: 1":                                  `f.yaml:2: service: a field has a list for a name; it takes ` + fields,
		"service: a\n? {service: b}\n: 1":                         `f.yaml:2: service: a field has a mapping for a name; it takes ` + fields,
		"service: a\ndepends:\n- on: b\n  to: c":                  `f.yaml:4: depends: "on" and "to" mean the same; it takes one of them`,
		"service: a\ndepends:\n- soft: true":                      `f.yaml:3: depends: "on" or "any-of" is missing`,
		"service: a\ndepends:\n- on: b\n  any-of: [c]":            `f.yaml:4: depends: "on" and "any-of" exclude each other`,
		"service: a\ndepends:\n- any-of: b":                       `f.yaml:3: any-of: expected a list of names, found "b"`,
		"service: a\ndepends:\n- any-of: []":                      "f.yaml:3: any-of: the list is empty",
		"service: a\ndepends:\n- any-of: [b, 5]":                  "f.yaml:3: any-of: expected a string (put it in quotes), found the number 5",
		"service: a\ndepends:\n- any-of: [b]\n  need: 0":          "f.yaml:4: need: expected a number from 1 to the size of any-of, found 0",
		"service: a\ndepends:\n- any-of: [b]\n  need: 1.5":        "f.yaml:4: need: expected a whole number, found the number 1.5",
		"service: a\ndepends:\n- on: b\n  soft: yes":              `f.yaml:4: soft: expected true or false, found "yes"`,
		"service: a\ndepends:\n- on: b\n  soft: [true]":           "f.yaml:4: soft: expected true or false, found a list",
		"service: a\ndepends:\n- on: b\n  phase: {}":              "f.yaml:4: phase: expected startup, runtime, deploy, or a list of them, found a mapping",
		"service: a\ndepends:\n- on: b\n  phase: [runtime, boot]": `f.yaml:4: phase "boot" is not one of startup, runtime, deploy`,
		"service: a\nwaivers:\n- 5":                               "f.yaml:3: waivers: expected a mapping with rule, on, reason, until, found the number 5",
		"service: a\nwaivers:\n- {rule: 5}":                       "f.yaml:3: rule: expected a string (put it in quotes), found the number 5",
		"service: a\nowner: &x [*x]":                              "f.yaml:2: owner: expected a string, found a list",
	} {
		if _, err := ParseManifest("f.yaml", []byte(text)); err == nil || err.Error() != want || !errors.Is(err, ErrInvalid) {
			t.Errorf("%q:\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// What is left out, by null or an empty list, is as if it was not there; true has the
// spellings of YAML 1.2, and aliases stand for what they name.
func TestParseManifest_what_is_allowed_at_the_edges(t *testing.T) {
	const text = `
- &a
  service: a
  depends: ~
- service: b
  depends: []
- service: c
  depends:
  - {to: a, soft: True}
  - {on: b, soft: TRUE, phase: [startup, deploy]}
  - &d {on: d, soft: FALSE}
- service: e
  depends: [*d, {any-of: &list [a, b]}]
- service: f
  depends: [{any-of: *list, need: 2}]
`
	services, err := ParseManifest("f.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range services {
		line := s.Name + ":"
		for _, d := range s.Depends {
			line += fmt.Sprintf(" %s%v/%d %v %s line %d;", d.On, d.AnyOf, d.Need, d.Soft, d.phases(), d.At.Line)
		}
		got = append(got, line)
	}
	want := []string{
		"a:",
		"b:",
		"c: a[]/0 true startup+runtime line 9; b[]/0 true startup+deploy line 10; d[]/0 false startup+runtime line 11;",
		"e: d[]/0 false startup+runtime line 11; [a b]/0 false startup+runtime line 13;",
		"f: [a b]/2 false startup+runtime line 15;",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// The numbers of JSON are read as they were written, and null is nothing.
func TestParseManifest_JSON_values(t *testing.T) {
	for text, want := range map[string]string{
		`{"service": "a", "note": null}`:                           "x.json:1: note: expected a string, found nothing",
		`{"service": "a", "note": 12345678901234567890}`:           "x.json:1: note: expected a string (put it in quotes), found the number 12345678901234567890",
		`{"service": "a", "note": true}`:                           "x.json:1: note: expected a string (put it in quotes), found the boolean true",
		`{"service": "a", "availability": {"own": 1e2}}`:           "",
		`{"service": "a", "availability": {"own": 1e3}}`:           "x.json:1: availability.own is 1e3; it is a percentage above 0, up to 100",
		`{"service": "a", "depends": null}`:                        "",
		"{\"service\": \"a\",\n\"depends\": [{\"on\": \"b\",\n}]}": "x.json:3: cannot parse: invalid character '}'",
		"{\"service\": \"a\"}\n{\"service\": \"b\"\n":              "x.json:2: cannot parse: unexpected EOF",
		"[{\"service\": \"a\"}\n{\"service\": \"b\"}]":             "x.json:2: cannot parse: invalid character '{' after array element",
		`{"service": "a", "service": "b"}`:                         `x.json:1: service: field "service" appears twice`,
		"{\"service\":\n\"a":                                       "x.json:2: cannot parse: unexpected EOF",
		"{\"service\":\n\"a\n\"}":                                  "x.json:2: cannot parse: invalid character '\\n' in string literal",
		"{\"service\": \"a\"}\n\n  }":                              "x.json:3: cannot parse: invalid character '}' looking for beginning of value",
		"null":                                                     `x.json:1: no service here; a manifest begins with "service: NAME"`,
		"\n\n" + strings.Repeat("[", 66) + strings.Repeat("]", 66): "x.json:3: cannot parse: nested deeper than 64",
	} {
		got := ""
		if _, err := ParseManifest("x.json", []byte(text)); err != nil {
			got = err.Error()
		}
		if got != want && (want == "" || !strings.HasPrefix(got, want)) {
			t.Errorf("%s:\ngot  %s\nwant %s", text, got, want)
		}
	}
}

// The parser has panicked before; that is a fault of the file, and what was read before
// is refused with it.
func TestParseManifest_a_parser_that_panics(t *testing.T) {
	d := decoder{file: "f.yaml", budget: maxAliasNodes}
	func() {
		defer func() {
			if p := recover(); p != nil {
				t.Errorf("it came through: %v", p)
			}
		}()
		d.guard(func() {
			d.document(&yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: "service"}, nil}})
		})
	}()
	if err := d.problems.err(); err == nil || err.Error() != "f.yaml: the parser failed: runtime error: invalid memory address or nil pointer dereference" {
		t.Error(err)
	}
}

// Every field of an exported service comes back.
func TestParseManifest_reads_every_field_of_an_export(t *testing.T) {
	services, err := ParseManifest("x.yaml", []byte(`
version: 1
services:
  - service: a
    owner: team
    kind: queue
    criticality: high
    target: 99.9
    own: 99.99
    start_seconds: 2
    verify: look
    note: words
    source: compose.yaml:3
    undeclared: true
    waivers: [{rule: DG009, reason: later, until: 2026-12-31}]
    file: m.yaml
    line: 7
  - {service: a}
edges:
  - {from: a, to: a, file: m.yaml, line: 9}
`))
	if err != nil {
		t.Fatal(err)
	}
	a := services[0]
	want := Service{
		Name: "a", Owner: "team", Kind: Queue, Criticality: High, Availability: Availability{99.9, 99.99}, Start: 2 * time.Second,
		Verify: "look", Note: "words", Source: "compose.yaml:3", Undeclared: true, At: Position{"m.yaml", 7},
		Waivers: []Waiver{{Rule: "DG009", Reason: "later", Until: time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC), At: Position{"x.yaml", 15}}},
		Depends: []Dependency{{On: "a", At: Position{"m.yaml", 9}}},
	}
	if got, want := fmt.Sprintf("%+v", a), fmt.Sprintf("%+v", want); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// Of two with one name the first has the edges; Compile says that there are two.
	if len(services[1].Depends) != 0 || services[1].At != (Position{"x.yaml", 18}) {
		t.Errorf("%+v", services[1])
	}
}

func TestLoad_says_what_cannot_be_read(t *testing.T) {
	folder := writeTree(t, map[string]string{"folder/x.txt": "", "ok/depgraph.yaml": "service: a\n", "skipped/depgraph.yaml": "service: ["})
	for link, to := range map[string]string{"gone/depgraph.yaml": "nothing", "links/a.depgraph.yaml": folder + "/folder"} {
		name := filepath.Join(folder, link)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, name); err != nil {
			t.Skip(err)
		}
	}
	at := func(s string) string { return filepath.ToSlash(filepath.Join(folder, s)) }
	const none = `: no depgraph.yaml or depgraph.json below this folder; "depgraph init" writes a first one`
	for name, c := range map[string]struct {
		o    LoadOptions
		want string
	}{
		"nothing":                 {LoadOptions{Paths: []string{at("none")}}, at("none") + ": cannot read: no such file or directory"},
		"a link to nothing":       {LoadOptions{Paths: []string{at("gone")}}, at("gone/depgraph.yaml") + ": cannot read: no such file or directory"},
		"a link to a folder":      {LoadOptions{Paths: []string{at("links")}}, at("links/a.depgraph.yaml") + ": is not a regular file"},
		"a folder without any":    {LoadOptions{Paths: []string{at("folder")}}, at("folder") + none},
		"two folders, one fault":  {LoadOptions{Paths: []string{at("folder"), at("ok")}}, at("folder") + none},
		"standard input, unread":  {LoadOptions{Paths: []string{"-"}, Stdin: iotest.ErrReader(errors.New("gone"))}, "standard input: cannot read: gone"},
		"standard input, absent":  {LoadOptions{Paths: []string{"-"}}, "-: cannot read: no such file or directory"},
		"standard input, faulty":  {LoadOptions{Paths: []string{"-"}, Stdin: strings.NewReader("service: 5")}, "standard input:1: service: expected a string (put it in quotes), found the number 5"},
		"all that there is":       {LoadOptions{Paths: []string{at("skipped")}}, at("skipped/depgraph.yaml") + ":1: cannot parse: did not find expected node content"},
		"all but what is skipped": {LoadOptions{Paths: []string{at("skipped"), at("ok")}, Skip: func(file string) bool { return strings.Contains(file, "skipped") }}, ""},
	} {
		got := ""
		if _, err := Load(t.Context(), c.o); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, c.want)
		}
	}
	// No path at all is the folder that is current, and a file is read once, however
	// often it is named.
	t.Chdir(filepath.Join(folder, "ok"))
	for _, paths := range [][]string{nil, {".", "depgraph.yaml", "./depgraph.yaml", "../ok"}} {
		services, err := LoadServices(t.Context(), LoadOptions{Paths: paths[:min(3, len(paths))]})
		if err != nil || len(services) != 1 || services[0].At.String() != "depgraph.yaml:1" {
			t.Errorf("%v: %v, %v", paths, services, err)
		}
	}
	if got := reason(&fs.PathError{Op: "open", Path: "secret", Err: errors.New("why")}); got != "why" {
		t.Error(got)
	}
	if got := reason(errors.New("why")); got != "why" {
		t.Error(got)
	}
}

func TestProblems_of_a_generated_file_are_counted(t *testing.T) {
	for _, n := range []int{0, 1, maxShown, maxShown + 1, 1000} {
		var ps Problems
		for i := range n {
			ps.addf(Position{"f.yaml", n - i}, "wrong")
		}
		err := ps.err()
		if n == 0 {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		lines := strings.Split(err.Error(), "\n")
		want := min(n, maxShown)
		if n > maxShown {
			if last := fmt.Sprintf("... and %d more", n-maxShown); lines[len(lines)-1] != last {
				t.Errorf("%d: the last line is %s", n, lines[len(lines)-1])
			}
			lines = lines[:len(lines)-1]
		}
		if len(lines) != want || lines[0] != "f.yaml:1: wrong" || lines[want-1] != fmt.Sprintf("f.yaml:%d: wrong", want) {
			t.Errorf("%d: %d lines, from %s to %s", n, len(lines), lines[0], lines[len(lines)-1])
		}
	}
}

func TestNearest_is_what_a_typing_mistake_makes(t *testing.T) {
	words := []string{"owner", "kind", "criticality", "start", "on", "soft"}
	for got, want := range map[string]string{
		"ownr": "owner", "onwer": "owner", "owners": "owner", "owmer": "owner", "wner": "owner",
		"critcality": "criticality", "kritikality": "criticality", "kritikalyty": "criticality", "kritikalyte": "",
		"o": "", "no": "on", "": "", "xx": "", "ox": "on", "sotf": "soft", "stfo": "", "strat": "start", "kidn": "kind",
	} {
		if near := nearest(got, words); near != want {
			t.Errorf("%q: %q, want %q", got, near, want)
		}
	}
	// Of two that are as near the first stays.
	if near := nearest("cat", []string{"bat", "car"}); near != "bat" {
		t.Error(near)
	}
}

func TestWriteManifest_refuses_what_YAML_cannot_hold(t *testing.T) {
	bad := "x\xff"
	for name, s := range map[string]Service{
		"name":     {Name: bad},
		"owner":    {Name: "a", Owner: bad},
		"verify":   {Name: "a", Verify: bad},
		"note":     {Name: "a", Note: bad},
		"source":   {Name: "a", Source: bad},
		"rule":     {Name: "a", Waivers: []Waiver{{Rule: bad}}},
		"reason":   {Name: "a", Waivers: []Waiver{{Rule: "r", Reason: bad}}},
		"on":       {Name: "a", Depends: []Dependency{{On: bad}}},
		"any-of":   {Name: "a", Depends: []Dependency{{AnyOf: []string{"b", bad}}}},
		"evidence": {Name: "a", Depends: []Dependency{{On: "b", Evidence: bad}}},
	} {
		var b bytes.Buffer
		if err := WriteManifest(&b, Service{Name: "before"}, s); err == nil || err.Error() != `depgraph: "x\xff" is not valid UTF-8` || b.Len() != 0 {
			t.Errorf("%s: %v, and %q was written", name, err, b.String())
		}
	}
	full := errors.New("disk full")
	if err := WriteManifest(failingWriter{full}, Service{Name: "a"}); !errors.Is(err, full) {
		t.Error(err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// Whatever a name is, it comes back from YAML as that text.
func TestQuoteYAML_is_read_back(t *testing.T) {
	for s, want := range map[string]string{
		"a": "a", "a b": "a b", "a/b.c@d+e-f": "a/b.c@d+e-f", "a (b)": "a (b)",
		"": `""`, "1": `"1"`, "true": `"true"`, "No": `"No"`, "~": `"~"`, "a: b": `"a: b"`, "a #b": `"a #b"`, "-": `"-"`, "- a": `"- a"`,
		"a, b": `"a, b"`, "[a]": `"[a]"`, "a\nb": `"a\U0000000Ab"`, `a"b\c`: `"a\"b\\c"`, "ü": `"ü"`, "a\u202eb": `"a\U0000202Eb"`, "*a": `"*a"`, "&a": `"&a"`,
		"a ": `"a "`, " a": `" a"`, "a  b": `"a  b"`, "(a": `"(a"`, "a\x00b": `"a\U00000000b"`, "a\u2028b": `"a\U00002028b"`, "\U0001F600": `"😀"`, "!a": `"!a"`, "a%": `"a%"`,
	} {
		got, err := QuoteYAML(s)
		if err != nil || got != want {
			t.Errorf("%q: %s, %v; want %s", s, got, err, want)
		}
		for _, place := range []string{"%s", "[%s, x]", "{k: %s}"} {
			var n yaml.Node
			if err := yaml.Unmarshal(fmt.Appendf(nil, place, got), &n); err != nil {
				t.Errorf("%q in %s: %v", s, place, err)
				continue
			}
			v := n.Content[0]
			if len(v.Content) > 0 {
				v = v.Content[min(1, len(v.Content)-1)*btoi(v.Kind == yaml.MappingNode)]
			}
			if v.Value != s || v.Tag != "!!str" {
				t.Errorf("%q in %s: read back as %s %q", s, place, v.Tag, v.Value)
			}
		}
	}
	if _, err := QuoteYAML("\xc3"); err == nil {
		t.Error("half a letter was written")
	}
}

func TestParseRunning_says_where_and_what(t *testing.T) {
	const forms = "expected a list of names, an object of names and states, or the containers of docker compose ps"
	for text, want := range map[string]string{
		"":                        "line 1: the input is empty",
		" \n\n":                   "line 1: the input is empty",
		"null":                    "line 1: " + forms,
		"5":                       "line 1: " + forms,
		`"a"`:                     "line 1: " + forms,
		"[5]":                     "line 1: " + forms,
		`["a", ""]`:               "line 1: a name is empty",
		`["a", null]`:             "line 1: a name is empty",
		"{}\n\n{\"a\": 5}":        "line 3: a: expected true, false, or one of down, started, ready, serving, done",
		`{"a": "up"}`:             `line 1: a: state "up" is not one of down, started, ready, serving, done`,
		`{"a": "redy"}`:           `line 1: a: state "redy" is not one of down, started, ready, serving, done; did you mean "ready"?`,
		`{"a": true, "a": false}`: "line 1: a is done and down",
		"[\"a\"]\n{\"a\": false}": "line 2: a is done and down",
		`{" ": true}`:             "line 1: a name is empty",
		`[{"State": "running"}]`:  "line 1: a container has no Service",
		`{"Service": 5}`:          "line 1: json: cannot unmarshal number into Go struct field composeContainer.Service of type string",
		`{"Service": ""}`:         "line 1: a container has no Service",
		"{\"a\":\n true,\n oops":  "line 3: invalid character 'o' looking for beginning of object key string",
		"[\"a\"":                  "line 1: unexpected EOF",
	} {
		if _, err := ParseRunning([]byte(text)); err == nil || err.Error() != "depgraph: who is running: "+want {
			t.Errorf("%q:\ngot  %v\nwant depgraph: who is running: %s", text, err, want)
		}
	}
	got, err := ParseRunning([]byte(`[] {} ["a"] {"b": true, "c": "ready", "a": true} [{"Service": "d", "State": "running", "Health": "starting"}]` + "\n" +
		`{"Service": "d", "State": "exited"} {"Service": "e", "State": "exited", "ExitCode": 0} {"Service": "e", "State": "dead"} {"Service": "f", "State": "exited", "ExitCode": 1}`))
	if want := "map[a:done b:done c:ready d:started e:done f:down]"; err != nil || fmt.Sprint(map[string]RunState(got)) != want {
		t.Errorf("%v, %v; want %s", got, err, want)
	}
}

func TestAppendProof_refuses_to_lose_anything(t *testing.T) {
	locked, made := proofFile(t, held(2))
	if err := os.WriteFile(locked+".lock", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), ProofFile)
	if err := os.WriteFile(broken, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	future := held(0)
	future.At = time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		path  string
		proof Proof
		want  string
	}{
		"another drill writes":     {locked, held(1), "the proof file is being written by another drill, or one has died (then remove the lock): open " + locked + ".lock: file exists"},
		"a file that is broken":    {broken, held(1), broken + ":1: the proof has version 0; this program reads 1"},
		"a folder":                 {folder, held(1), "read " + folder + ": is a directory"},
		"no such folder":           {filepath.Join(folder, "x", "y"), held(1), "the proof file cannot be locked: open " + filepath.Join(folder, "x", "y.lock") + ": no such file or directory"},
		"a year that JSON has not": {filepath.Join(folder, "z"), future, "json: error calling MarshalJSON for type time.Time: Time.MarshalJSON: year outside of range [0,9999]"},
	} {
		synctest.Test(t, func(t *testing.T) { // it waits for the lock
			if _, err := AppendProof(c.path, c.proof); err == nil || err.Error() != c.want {
				t.Errorf("%s:\ngot  %v\nwant %s", name, err, c.want)
			}
		})
	}
	// Nothing is left behind, and nothing is lost.
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}
	proofs, err := LoadProofs(locked)
	if err != nil || proofs.Status("checkout", "sessions", made[0].ID, proofNow, 0).State != Proven {
		t.Errorf("%v", err)
	}
	if _, err := LoadProofs(filepath.Join(folder, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if err := replaceFile(filepath.Join(folder, "none", "x"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if err := replaceFile(folder, []byte("x")); err == nil {
		t.Error("a folder was replaced")
	}
	if names, _ := filepath.Glob(filepath.Join(filepath.Dir(folder), ".proof-*")); len(names) != 0 {
		t.Errorf("%v are left", names)
	}
}

func TestProofState_is_a_word_in_JSON(t *testing.T) {
	text, err := json.Marshal([]ProofState{Untested, Proven, Disproved, Stale, Forged, 99})
	if want := `["untested","proven","disproved","stale","forged","unknown"]`; err != nil || string(text) != want {
		t.Errorf("%s, %v; want %s", text, err, want)
	}
}

func TestJSONError_is_what_it_wraps(t *testing.T) {
	if err := (&jsonError{line: 3, err: io.ErrUnexpectedEOF}); !errors.Is(err, io.ErrUnexpectedEOF) || err.Error() != "unexpected EOF" {
		t.Error(err)
	}
}
