package depgraph

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const fullManifest = `# a comment
service: checkout
owner: team-pay
kind: app
criticality: critical
availability: {target: 99.95, own: 99.99}
start: 12s
verify: curl -fsS localhost/ready
note: the till
source: compose.yaml:3
depends:
  - on: sessions
    soft: true
    phase: [runtime]
    plane: control
    evidence: drill/iam-revoked@2026-11-20
  - on: ledger
    pinned: true
    liveness: true
    fallback: queue orders
    break-glass: use the envelope
    note: by contract
    source: by hand
  - any-of: [card-a, card-b]
    need: 1
    phase: runtime
`

func TestParseManifest_reads_every_field_with_its_line(t *testing.T) {
	got, err := ParseManifest("a/depgraph.yaml", []byte(fullManifest))
	if err != nil {
		t.Fatal(err)
	}
	at := func(line int) Position { return Position{"a/depgraph.yaml", line} }
	want := []Service{{
		Name: "checkout", Owner: "team-pay", Kind: App, Criticality: Critical, Availability: Availability{99.95, 99.99},
		Start: 12 * time.Second, Verify: "curl -fsS localhost/ready", Note: "the till", Source: "compose.yaml:3", At: at(2),
		Depends: []Dependency{
			{On: "sessions", Soft: true, Phase: Runtime, Plane: Control, Evidence: "drill/iam-revoked@2026-11-20", At: at(12)},
			{On: "ledger", Pinned: true, Liveness: true, Fallback: "queue orders", BreakGlass: "use the envelope", Note: "by contract", Source: "by hand", At: at(17)},
			{AnyOf: []string{"card-a", "card-b"}, Need: 1, Phase: Runtime, At: at(24)},
		},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestParseManifest_reads_JSON_like_YAML(t *testing.T) {
	text := "{\n\t\"service\": \"a\", \"start\": \"1m\",\n\t\"depends\": [{\"on\": \"b\", \"soft\": true},\n\t\t{\"any-of\": [\"c\", \"d\"], \"need\": 2}]\n}\n[{\"service\": \"b\"},\n {\"service\": \"c\", \"availability\": {\"own\": 99}}]\n{\"service\": \"d\"}"
	got, err := ParseManifest("x.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, s := range got {
		lines = append(lines, s.At.String())
		for _, d := range s.Depends {
			lines = append(lines, d.At.String())
		}
	}
	if want := "x.json:2 x.json:3 x.json:4 x.json:6 x.json:7 x.json:8"; strings.Join(lines, " ") != want {
		t.Errorf("positions %v, want %s", lines, want)
	}
	if got[0].Depends[1].Need != 2 || got[2].Availability.Own != 99 {
		t.Errorf("%+v", got)
	}
}

// badInputs maps a manifest to what its error must say, place included.
var badInputs = map[string]struct{ text, want string }{
	"unknown field":           {"service: a\nownr: x\n", `f.yaml:2: service: unknown field "ownr"; did you mean "owner"?`},
	"unknown edge field":      {"service: a\ndepends:\n  - on: b\n    sotf: true\n", `f.yaml:4: depends: unknown field "sotf"; did you mean "soft"?`},
	"field hard":              {"service: a\ndepends:\n  - on: b\n    hard: false\n", `f.yaml:4: depends: unknown field "hard"; a dependency is hard unless it says "soft: true"`},
	"wrong type, number":      {"service: 12\n", `f.yaml:1: service: expected a string (put it in quotes), found the number 12`},
	"wrong type, list":        {"service: a\nowner: [x]\n", `f.yaml:2: owner: expected a string, found a list`},
	"wrong type, depends":     {"service: a\ndepends: b\n", `f.yaml:2: depends: expected a list of dependencies, each "- on: NAME", found "b"`},
	"no phase":                {"service: a\ndepends:\n  - on: b\n    phase: []\n", `f.yaml:4: phase: the list is empty`},
	"wrong type, edge":        {"service: a\ndepends: [b]\n", `f.yaml:2: depends: expected a mapping with on, any-of`},
	"wrong type, soft":        {"service: a\ndepends: [{on: b, soft: 1}]\n", `f.yaml:2: soft: expected true or false, found the number 1`},
	"wrong type, document":    {"- a\n", `f.yaml:1: service: expected a mapping`},
	"duplicate field":         {"service: a\nowner: x\nowner: y\n", `f.yaml:3: service: field "owner" appears twice`},
	"empty name":              {"service: \" \"\n", `f.yaml:1: service: the name is empty`},
	"an export of null":       {"services:\n", `f.yaml:1: services: is empty; want a list of services`},
	"empty file":              {"# nothing\n", `f.yaml:1: no service here`},
	"missing name":            {"owner: x\n", `f.yaml:1: service: the field "service" with the name is missing`},
	"unknown kind":            {"service: a\nkind: ap\n", `f.yaml:2: kind "ap" is not one of app, cloud, datastore, queue, external, observer, infra; did you mean "app"?`},
	"unknown phase":           {"service: a\ndepends:\n  - on: b\n    phase: [startup, runtme]\n", `f.yaml:4: phase "runtme" is not one of startup, runtime, deploy; did you mean "runtime"?`},
	"negative duration":       {"service: a\nstart: -3s\n", `f.yaml:2: start is -3s; it is a duration between 0 and 720h0m0s`},
	"duration without a unit": {"service: a\nstart: 12\n", `f.yaml:2: start: expected a duration with a unit, such as 12s or 1m30s, found the number 12`},
	"availability 101":        {"service: a\navailability: {target: 101}\n", `f.yaml:2: availability.target is 101; it is a percentage above 0, up to 100`},
	"availability NaN":        {"service: a\navailability: {own: .nan}\n", `f.yaml:2: availability.own`},
	"need 0":                  {"service: a\ndepends:\n  - any-of: [b]\n    need: 0\n", `f.yaml:4: need: expected a number from 1 to the size of any-of, found 0`},
	"on and any-of":           {"service: a\ndepends:\n  - on: b\n    any-of: [c]\n", `f.yaml:4: depends: "on" and "any-of" exclude each other`},
	"neither":                 {"service: a\ndepends:\n  - soft: true\n", `f.yaml:3: depends: "on" or "any-of" is missing`},
	"empty any-of":            {"service: a\ndepends:\n  - any-of: []\n", `f.yaml:3: any-of: the list is empty`},
	"syntax":                  {"service: a\ndepends: [\n", `f.yaml:`},
	"merge key":               {"x: &x {owner: a}\nservice: a\n<<: *x\n", `merge keys are not supported`},
	"null name":               {"service:\n", `f.yaml:1: service: expected a string, found nothing`},
}

func TestParseManifest_names_the_place_of_every_fault(t *testing.T) {
	for name, c := range badInputs {
		_, err := ParseManifest("f.yaml", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v\nwant %s", name, err, c.want)
		}
	}
	for name, c := range map[string]struct{ text, want string }{
		"json field":  {"{\n \"service\": \"a\",\n \"ownr\": 1}", `f.json:3: service: unknown field "ownr"; did you mean "owner"?`},
		"json syntax": {"{\n \"service\": \"a\",\n oops}", `f.json:3: cannot parse`},
		"json cut":    {"{\n \"service\": \"a\"", `f.json:2: cannot parse: unexpected EOF`},
		"json deep":   {strings.Repeat("[", 100), `f.json:1: cannot parse: nested deeper than 64`},
	} {
		if _, err := ParseManifest("f.json", []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v\nwant %s", name, err, c.want)
		}
	}
}

func TestParseManifest_survives_aliases_that_explode(t *testing.T) {
	text := "service: a\nnote: &a [x,x,x,x,x,x,x,x,x]\n"
	prev := "a"
	for _, n := range []string{"b", "c", "d", "e", "f", "g", "h", "i"} {
		text += fmt.Sprintf("%s: &%s [*%s,*%s,*%s,*%s,*%s,*%s,*%s,*%s]\n", n, n, prev, prev, prev, prev, prev, prev, prev, prev)
		prev = n
	}
	text += "depends:\n"
	for range 20_000 {
		text += "  - *i\n"
	}
	_, err := ParseManifest("bomb.yaml", []byte(text))
	var ps Problems
	if !errors.As(err, &ps) || !slices.ContainsFunc(ps, func(p Problem) bool { return strings.Contains(p.Message, "aliases unfold to more than") }) {
		t.Errorf("got %.300v", err)
	}
	// Each list that an alias leads to is one fault: the file has 20,000 of
	// them, and the parser must not look at more than the budget allows.
	if n := len(ps); n > maxAliasNodes+10 {
		t.Errorf("%d faults: more aliases were followed than %d", n, maxAliasNodes)
	}
}

func TestCompile_reports_what_does_not_fit_together(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"duplicate":     {"service: a\n---\nservice: a\n", `f.yaml:3: service "a" is declared twice; the other declaration is at f.yaml:1`},
		"dangling":      {"service: payments\n---\nservice: web\ndepends:\n  - on: paymets\n", `f.yaml:5: web: depends on "paymets", which is not declared; did you mean "payments"?`},
		"dangling any":  {"service: a1\n---\nservice: web\ndepends:\n  - any-of: [a1, zz]\n", `f.yaml:5: web: depends on "zz", which is not declared`},
		"self-loop":     {"service: a\ndepends:\n  - on: a\n", `f.yaml:3: a: depends on itself`},
		"large quorum":  {"service: a\ndepends:\n  - any-of: [b, c]\n    need: 3\n---\nservice: b\n---\nservice: c\n", `f.yaml:3: a: need is 3, but any-of has 2 members`},
		"member twice":  {"service: a\ndepends:\n  - any-of: [b, b]\n---\nservice: b\n", `f.yaml:3: a: any-of names "b" twice`},
		"edge twice":    {"service: a\ndepends:\n  - on: b\n  - on: b\n    soft: true\n---\nservice: b\n", `f.yaml:4: a: depends on "b" twice in phase startup+runtime; the other place is f.yaml:3`},
		"need alone":    {"service: a\ndepends:\n  - on: b\n    need: 1\n---\nservice: b\n", `f.yaml:3: a: need goes with any-of`},
		"soft, pinned":  {"service: a\ndepends:\n  - on: b\n    soft: true\n    pinned: true\n---\nservice: b\n", `f.yaml:3: a: a soft dependency is pinned`},
		"empty depends": {"service: a\ndepends:\n  - on: \"\"\n", `f.yaml:3: a: depends on an empty name`},
	} {
		services, err := ParseManifest("f.yaml", []byte(c.text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		g, err := Compile(services, Options{})
		if g != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v\nwant %s", name, err, c.want)
		}
	}
	both := []Dependency{{On: "b", Phase: Startup}, {On: "b", Soft: true, Phase: Runtime}}
	if _, err := Compile([]Service{{Name: "a", Depends: both}, {Name: "b"}}, Options{}); err != nil {
		t.Errorf("hard at startup and soft at run time: %v", err)
	}
}

func TestCompile_reports_everything_at_once(t *testing.T) {
	services, err := ParseManifest("f.yaml", []byte("service: a\ndepends: [{on: a}, {on: x}]\n---\nservice: a\n"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Compile(services, Options{})
	var ps Problems
	if !errors.As(err, &ps) || len(ps) != 3 {
		t.Errorf("%d problems: %v; want 3", len(ps), err)
	}
}

func writeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLoad_finds_manifests_and_nothing_else(t *testing.T) {
	dir := writeTree(t, map[string]string{
		"a/depgraph.yaml": "service: a\n", "b/depgraph.json": `{"service": "b"}`, "c/x.depgraph.yml": "service: c\n",
		".depgraph.yaml": "rules: {}\n", "other.yaml": "x: 1\n", ".git/depgraph.yaml": "broken: [", "node_modules/m/depgraph.yaml": "broken: [",
	})
	g, err := Load(context.Background(), LoadOptions{Paths: []string{dir, filepath.Join(dir, "a")}})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(g.Names(), " "); got != "a b c" {
		t.Errorf("services %s", got)
	}
}

func TestLoad_is_all_or_nothing(t *testing.T) {
	dir := writeTree(t, map[string]string{"a/depgraph.yaml": "service: a\n", "b/depgraph.yaml": "service: b\nx: 1\n"})
	for name, o := range map[string]LoadOptions{
		"one bad file": {Paths: []string{dir}},
		"absent":       {Paths: []string{filepath.Join(dir, "nowhere")}},
		"no manifest":  {Paths: []string{t.TempDir()}},
		"too large":    {Paths: []string{filepath.Join(dir, "a")}, MaxFileBytes: 3},
	} {
		g, err := Load(context.Background(), o)
		if g != nil || !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), ": ") {
			t.Errorf("%s: %v, %v", name, g, err)
		}
	}
	big := filepath.Join(dir, "big.yaml")
	if err := os.WriteFile(big, bytes.Repeat([]byte("# fifty megabytes\n"), 50<<20/18), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(context.Background(), LoadOptions{Paths: []string{big}}); err == nil || !strings.Contains(err.Error(), "is too large") {
		t.Errorf("50 MB: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Load(ctx, LoadOptions{Paths: []string{filepath.Join(dir, "a")}}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestWriteManifest_reads_back_the_same(t *testing.T) {
	systems(t, 300, 8, true, func(t *testing.T, r *rand.Rand, services []Service) {
		names := []string{"plain", "yes", "12", "a: b", "- x", "#x", "ünïcode", "tab\there", "new\nline", `q"uote`, "\u2028", "a b", "*x", "[x]", "~"}
		services[0].Note, services[0].Owner = names[r.IntN(len(names))], names[r.IntN(len(names))]
		var b bytes.Buffer
		if err := WriteManifest(&b, services...); err != nil {
			t.Fatal(err)
		}
		back, err := ParseManifest("x.yaml", b.Bytes())
		if err != nil {
			t.Fatalf("%v in\n%s", err, b.String())
		}
		if got, want := strip(back), strip(services); !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
}

// strip removes positions, and fills in defaults, which are not written.
func strip(services []Service) []Service {
	out := slices.Clone(services)
	for i := range out {
		out[i].At = Position{}
		out[i].Depends = slices.Clone(out[i].Depends)
		for j := range out[i].Depends {
			d := &out[i].Depends[j]
			d.At, d.Phase = Position{}, d.phases()
			if d.Until == Serving {
				d.Until = UntilUnknown
			}
			if d.Plane == PlaneUnknown {
				d.Plane = Data
			}
			if len(d.AnyOf) > 0 {
				d.Need = d.need()
			}
		}
		if len(out[i].Depends) == 0 {
			out[i].Depends = nil
		}
	}
	return out
}

func TestSchema_knows_the_same_fields_as_the_loader(t *testing.T) {
	var s struct {
		Defs map[string]struct {
			Properties map[string]struct {
				Enum       []string
				Properties map[string]any
			}
			Enum []string
		} `json:"$defs"`
	}
	if err := json.Unmarshal(Schema(), &s); err != nil {
		t.Fatal(err)
	}
	keys := func(m any) []string {
		var all []string
		for _, k := range reflect.ValueOf(m).MapKeys() {
			all = append(all, k.String())
		}
		slices.Sort(all)
		return all
	}
	sorted := func(s []string) []string { return slices.Sorted(slices.Values(s)) }
	equal(t, "service", keys(s.Defs["service"].Properties), sorted(serviceFields))
	equal(t, "dependency", keys(s.Defs["dependency"].Properties), sorted(dependencyFields))
	equal(t, "availability", keys(s.Defs["service"].Properties["availability"].Properties), sorted(availabilityFields))
	equal(t, "kind", sorted(s.Defs["service"].Properties["kind"].Enum), sorted(kindNames[1:]))
	equal(t, "criticality", sorted(s.Defs["service"].Properties["criticality"].Enum), sorted(criticalityNames[1:]))
	equal(t, "plane", sorted(s.Defs["dependency"].Properties["plane"].Enum), sorted(planeNames[1:]))
	equal(t, "phase", sorted(s.Defs["phase"].Enum), sorted(phaseNames))
}

func TestDeclare_records_the_line(t *testing.T) {
	s := Declare(Service{Name: "a", Depends: []Dependency{
		Hard("b"),
		Soft("c", Runtime).ProvedBy("drill/x").OnControlPlane(),
		AnyOf(1, "b", "c").In(Startup),
	}})
	if !strings.HasSuffix(s.At.File, "manifest_test.go") || s.At.Line == 0 {
		t.Errorf("service at %s", s.At)
	}
	for i, d := range s.Depends {
		if d.At.Line != s.At.Line+1+i {
			t.Errorf("dependency %d at %s, the service is at %s", i, d.At, s.At)
		}
	}
	if d := s.Depends[1]; !d.Soft || d.Phase != Runtime || d.Plane != Control || d.Evidence != "drill/x" {
		t.Errorf("%+v", d)
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add("x.yaml", []byte(fullManifest))
	for _, name := range slices.Sorted(maps.Keys(badInputs)) {
		f.Add("x.yaml", []byte(badInputs[name].text))
	}
	f.Add("x.json", []byte(`{"service": "a", "depends": [{"on": "b"}]}`))
	f.Add("x.yaml", []byte("a: &a [*a]\nservice: *a\n"))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		services, err := ParseManifest(name, data)
		if err != nil {
			if !errors.Is(err, ErrInvalid) || services != nil {
				t.Fatalf("%v, %v", services, err)
			}
			if strings.Contains(err.Error(), "the parser failed") {
				t.Logf("contained: %v", err)
			}
			return
		}
		if len(services) == 0 { // the export of a graph without services: there is no manifest of that
			return
		}
		g, err := Compile(services, Options{AllowUndeclared: true})
		if err != nil {
			return
		}
		if _, err := g.Check(context.Background(), CheckOptions{}); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := WriteManifest(&b, services...); err != nil {
			t.Fatal(err)
		}
		if _, err := ParseManifest("again.yaml", b.Bytes()); err != nil {
			t.Fatalf("does not read back: %v\n%s", err, b.String())
		}
	})
}
