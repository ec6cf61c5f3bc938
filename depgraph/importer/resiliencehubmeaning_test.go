package importer

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
)

func TestReadResilienceHub_says_what_is_wrong_and_where(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no list":              {"{}", `c.json:1: no dependencySummaries here, as "aws resiliencehubv2 list-dependencies" prints them`},
		"broken":               {"\n\n{", "c.json:3: unexpected EOF"},
		"broken behind a page": {"{\"dependencySummaries\":[]}\nx", "c.json:2: invalid character 'x' looking for beginning of value"},
		"no service":           {`{"dependencySummaries":[{"dependencyName":"db","criticality":"HARD"}]}`, "c.json:1: dependency 1: serviceArn or dependencyName is missing"},
		"an ARN without name":  {`{"dependencySummaries":[{"serviceArn":"arn:aws:x:service/","dependencyName":"db","criticality":"HARD"}]}`, "c.json:1: dependency 1: serviceArn or dependencyName is missing"},
		"no dependency": {`{"dependencySummaries":[{"serviceArn":"a","dependencyName":"db","criticality":"HARD"},
{"serviceArn":"a","criticality":"HARD"}]}`, "c.json:2: dependency 2: serviceArn or dependencyName is missing"},
		"a criticality": {`{"dependencySummaries":[{"serviceArn":"a","dependencyName":"db","criticality":"hard"}]}`, `c.json:1: dependency db: criticality "hard" is not one of HARD, SOFT, UNKNOWN`},
		"empty":         {"", "<nil>"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string]string{"c.json": c.text})
			_, err := ReadResilienceHub(filepath.Join(dir, "c.json"))
			failure(t, dir, err, c.want)
			if _, again := ResilienceHub(filepath.Join(dir, "c.json")); (again == nil) != (err == nil) {
				t.Errorf("the import says %v", again)
			}
		})
	}
}

const hub = `{"dependencySummaries":[
 {"serviceArn":"arn:aws:resiliencehub:eu-west-1:1:service/web","dependencyId":"d1","dependencyName":"DynamoDB","dnsName":"dynamodb.eu-west-1.amazonaws.com","criticality":"HARD","location":"eu-west-1","provider":"AWS"},
 {"serviceArn":"arn:aws:resiliencehub:eu-west-1:1:service/web","dependencyId":"d2","dnsName":"api.partner.example","criticality":"SOFT","provider":"Partner"},
 {"serviceArn":"arn:aws:resiliencehub:eu-west-1:1:service/web","dependencyName":"S3","criticality":"UNKNOWN","provider":"Amazon Web Services"},
 {"serviceArn":"arn:aws:resiliencehub:eu-west-1:1:service:api","dependencyName":"web","criticality":"HARD","provider":"AWS"}
]}`

func TestResilienceHub_every_field_that_is_read(t *testing.T) {
	dir := write(t, map[string]string{"c.json": hub})
	r, err := ResilienceHub(filepath.Join(dir, "c.json"))
	if err != nil {
		t.Fatal(err)
	}
	same(t, describe(dir, r), `
DynamoDB, cloud, dynamodb.eu-west-1.amazonaws.com eu-west-1
S3, cloud
api, app
  -> web, hard runtime (c.json resilience-hub HARD)
api.partner.example, external, api.partner.example
web, app
  -> DynamoDB, hard runtime (c.json resilience-hub HARD d1)
  -> S3, hard runtime assumed (c.json resilience-hub UNKNOWN)
  -> api.partner.example, soft runtime (c.json resilience-hub SOFT d2)`)
	if r.Read != 1 || r.Guessed != 1 || r.Sources["resilience-hub"] != 4 {
		t.Errorf("read %d, guessed %d, sources %v", r.Read, r.Guessed, r.Sources)
	}
}

func TestClassify_asks_for_what_is_declared(t *testing.T) {
	dir := write(t, map[string]string{"c.json": hub})
	found, err := ReadResilienceHub(filepath.Join(dir, "c.json"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		web  []depgraph.Dependency
		want string
	}{
		"nothing declared": {nil, "missing web -> DynamoDB\nmissing web -> S3\nmissing web -> api.partner.example"},
		"as classified": {
			[]depgraph.Dependency{{On: "DynamoDB"}, {On: "api.partner.example", Soft: true}, {On: "S3"}},
			"update S3  HARD depgraph: m.yaml:1",
		},
		"otherwise": {
			[]depgraph.Dependency{{On: "DynamoDB", Soft: true, Evidence: "drill 7"}, {On: "api.partner.example"}, {On: "S3", Weak: true, Phase: depgraph.Startup}},
			"update DynamoDB d1 SOFT depgraph: drill 7\nupdate api.partner.example d2 HARD depgraph: m.yaml:1\nupdate S3  SOFT depgraph: m.yaml:1",
		},
		"soft once and hard once is hard": {
			[]depgraph.Dependency{{On: "DynamoDB", Soft: true, Phase: depgraph.Runtime}, {On: "DynamoDB", Phase: depgraph.Startup}, {On: "api.partner.example", Soft: true}, {On: "S3", Soft: true}},
			"update S3  SOFT depgraph: m.yaml:1",
		},
		"one of several that is enough is soft; all of them are hard": {
			[]depgraph.Dependency{{AnyOf: []string{"DynamoDB", "S3"}}, {AnyOf: []string{"api.partner.example", "other"}, Need: 2}},
			"update DynamoDB d1 SOFT depgraph: m.yaml:1\nupdate api.partner.example d2 HARD depgraph: m.yaml:1\nupdate S3  SOFT depgraph: m.yaml:1",
		},
	} {
		for i := range c.web {
			c.web[i].At = depgraph.Position{File: "m.yaml", Line: 1}
		}
		services := []depgraph.Service{{Name: "web", Depends: c.web}, {Name: "api", Depends: []depgraph.Dependency{{On: "web"}}}}
		for _, name := range []string{"DynamoDB", "S3", "api.partner.example", "other"} {
			services = append(services, depgraph.Service{Name: name})
		}
		g, err := depgraph.Compile(services, depgraph.Options{})
		if err != nil {
			t.Fatal(err)
		}
		updates, missing := Classify(g, found)
		var got []string
		for _, u := range updates {
			name := "S3"
			if i := slices.IndexFunc(found, func(d Discovered) bool {
				return d.ID == u.ID && d.Criticality != "HARD" || u.ID == "d1" && d.ID == "d1"
			}); i >= 0 {
				name = found[i].On()
			}
			if !strings.HasSuffix(u.ServiceARN, "service/web") {
				t.Errorf("%s: %+v", name, u)
			}
			got = append(got, strings.Join([]string{"update", name, u.ID, u.Criticality, u.Comment}, " "))
		}
		for _, m := range missing {
			got = append(got, "missing "+m)
		}
		if s := strings.Join(got, "\n"); s != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, s, c.want)
		}
	}
	if _, missing := Classify(mustCompile(t), append(found, found...)); len(missing) != 4 {
		t.Errorf("in an empty graph: missing %q, want each once", missing)
	}
}

// mustCompile compiles no services.
func mustCompile(t *testing.T) *depgraph.Graph {
	t.Helper()
	g, err := depgraph.Compile(nil, depgraph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}
