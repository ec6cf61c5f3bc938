package importer

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
)

// data returns a folder of real inputs, or skips the test.
func data(t *testing.T, name string) string {
	t.Helper()
	root := os.Getenv("FAILOPEN_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	dir := filepath.Join(root, name)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no real input: %v (set FAILOPEN_DATA)", err)
	}
	return dir
}

// write makes files below a temporary folder.
func write(t *testing.T, files map[string]string) string {
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

// lines describes edges as "a -> b hard startup", sorted.
func lines(t *testing.T, r *Result) []string {
	t.Helper()
	g, err := r.Graph()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for e := range g.Edges() {
		all = append(all, fmt.Sprintf("%s -> %s %s %s", e.From, e.To, e.Strength(), e.Phase))
	}
	return all
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestCompose_opentelemetry_demo_has_the_known_counts(t *testing.T) {
	dir := data(t, "otel-demo")
	r, err := Compose(filepath.Join(dir, "compose.yaml"), filepath.Join(dir, "compose.full.yaml"), filepath.Join(dir, "compose.observability.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	both, onlyEnv, onlyDeclared := 0, 0, 0
	for _, s := range r.Services {
		for _, d := range s.Depends {
			declared, env := strings.Contains(d.Source, " depends_on "), strings.Contains(d.Source, " environment ")
			switch {
			case declared && env:
				both++
			case env:
				onlyEnv++
			case declared:
				onlyDeclared++
			}
		}
	}
	got := fmt.Sprint(len(r.Services), r.Sources["depends_on"], r.Sources["environment"], both, onlyEnv, onlyDeclared, r.Sources["connection-string"])
	if want := "28 58 66 50 16 8 2"; got != want {
		t.Errorf("services, depends_on, environment, both, only environment, only declared, connection strings: %s, want %s", got, want)
	}
	g, err := r.Graph()
	if err != nil {
		t.Fatal(err)
	}
	declared, err := g.Cycles(context.Background(), depgraph.CyclesOptions{Phase: depgraph.Startup})
	if err != nil || len(declared) != 0 {
		t.Errorf("depends_on has cycles: %v, %v", declared, err)
	}
	env, err := g.Cycles(context.Background(), depgraph.CyclesOptions{Phase: depgraph.Runtime})
	if err != nil || len(env) != 1 || len(env[0].Services) != 19 || len(env[0].Soften) != 3 || !env[0].ProvenMinimum {
		t.Errorf("addresses: %d components, %+v, %v; want one of 19 with 3 edges to soften", len(env), env, err)
	}
}

func TestKubernetes_online_boutique_has_the_known_counts(t *testing.T) {
	r, err := Kubernetes(data(t, "online-boutique"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := r.Graph()
	if err != nil {
		t.Fatal(err)
	}
	waves, blocked := g.Waves()
	if len(r.Services) != 13 || r.Edges() != 17 || len(waves) != 5 || len(blocked) != 0 {
		t.Errorf("%d workloads, %d edges, %d waves, blocked %v; want 13, 17, 5, none", len(r.Services), r.Edges(), len(waves), blocked)
	}
}

func TestCompose_reads_conditions_and_addresses(t *testing.T) {
	dir := write(t, map[string]string{
		".env": "DB_HOST=db # the database\nBASE='http://api'\nURL=${BASE}:8080\n",
		"compose.yaml": `
x-common: &common
  environment: {CACHE_URL: "redis://cache:6379"}
services:
  web:
    <<: *common
    container_name: the-web
    depends_on:
      api: {condition: service_healthy}
      mailer: {condition: service_started, required: false}
  api:
    environment:
      - DB_HOST
      - DSN=postgres://user:secret@${DB_HOST}/x
      - FALLBACK_ADDR=${NOT_SET:-queue:9092}
      - PARTNER_URL=https://api.partner.example/v1
      - OTEL_RESOURCE_ATTRIBUTES=service.criticality=critical
      - SELF_URL=http://api:80
      - GREETING=hello queue
  mailer: {depends_on: [queue], environment: {API: $URL, WEB_HOST: the-web}}
  db: {image: "library/postgres:16"}
  cache: {image: redis}
  queue: {image: "rabbitmq:3"}
`,
	})
	r, err := Compose(filepath.Join(dir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, lines(t, r),
		"api -> api.partner.example hard runtime", "api -> db hard runtime", "api -> queue hard runtime",
		"mailer -> api hard runtime", "mailer -> queue hard startup", "mailer -> web hard runtime",
		"web -> api hard startup", "web -> cache hard runtime", "web -> mailer soft startup")
	var b bytes.Buffer
	if _, err := r.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "secret") {
		t.Error("a password from a connection string was written")
	}
	again, err := depgraph.ParseManifest("x.yaml", b.Bytes())
	if err != nil || len(again) != len(r.Services) {
		t.Errorf("the manifest reads back as %d services, %v", len(again), err)
	}
	for _, s := range again {
		if s.Name == "api" && s.Criticality != depgraph.Critical || s.Name == "db" && s.Kind != depgraph.Datastore {
			t.Errorf("%+v", s)
		}
	}
}

func TestCompose_refuses_what_it_cannot_read(t *testing.T) {
	for name, text := range map[string]string{
		"unknown dependency": "services: {a: {depends_on: [b]}}",
		"no services":        "version: '3'",
		"broken":             "services: [",
	} {
		dir := write(t, map[string]string{"compose.yaml": text})
		if _, err := Compose(filepath.Join(dir, "compose.yaml")); err == nil || !strings.Contains(err.Error(), "compose.yaml") {
			t.Errorf("%s: %v; want an error that names the file", name, err)
		}
	}
}

func TestKubernetes_resolves_services_config_maps_and_init_containers(t *testing.T) {
	dir := write(t, map[string]string{"all.yaml": `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web-v2, namespace: shop}
spec:
  template:
    metadata: {labels: {app: web}}
    spec:
      initContainers:
      - {name: wait, env: [{name: DB_HOST, value: db}]}
      containers:
      - name: main
        env:
        - {name: API_URL, value: "http://api.shop.svc.cluster.local:80/v1"}
        - {name: BILLING, valueFrom: {configMapKeyRef: {name: conf, key: billing}}}
        - {name: PW, valueFrom: {secretKeyRef: {name: s, key: k}}}
        livenessProbe: {httpGet: {host: api, port: 80}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: conf, namespace: shop}
data: {billing: "billing.example.com:443"}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {selector: {app: api}}
---
apiVersion: v1
kind: List
items:
- apiVersion: apps/v1
  kind: StatefulSet
  metadata: {name: db, namespace: shop}
  spec: {template: {metadata: {labels: {app: db}}, spec: {containers: [{image: "postgres:16"}]}}}
- apiVersion: batch/v1
  kind: CronJob
  metadata: {name: api-server, namespace: shop}
  spec: {jobTemplate: {spec: {template: {metadata: {labels: {app: api}}, spec: {containers: []}}}}}
`})
	r, err := Kubernetes(dir)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, lines(t, r), "web-v2 -> api-server hard startup+runtime", "web-v2 -> billing.example.com hard startup+runtime", "web-v2 -> db hard startup")
	g, err := r.Graph()
	if err != nil {
		t.Fatal(err)
	}
	found, err := g.Check(context.Background(), depgraph.CheckOptions{Only: []string{"DG006"}})
	if err != nil || len(found) != 1 {
		t.Errorf("DG006: %v, %v; want the liveness probe on api", found, err)
	}
}

func TestBackstage_follows_references(t *testing.T) {
	dir := write(t, map[string]string{"catalog-info.yaml": `
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: web}
spec: {type: website, owner: "group:default/team-web", dependsOn: ["resource:db", "component:legacy"], consumesApis: [orders-api, lost-api]}
---
kind: Component
metadata: {name: Orders}
spec: {owner: team-orders, providesApis: [orders-api]}
---
kind: Resource
metadata: {name: db}
spec: {type: database, owner: team-db, dependencyOf: ["component:orders"]}
---
kind: Group
metadata: {name: team-db}
`})
	r, err := Backstage(dir)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, lines(t, r), "orders -> db hard startup+runtime", "web -> db hard startup+runtime", "web -> legacy hard startup+runtime", "web -> orders hard runtime")
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "lost-api") {
		t.Errorf("warnings %q; want one about lost-api", r.Warnings)
	}
	if r.Services[3].Owner != "team-web" || r.Services[0].Kind != depgraph.Datastore {
		t.Errorf("services %+v", r.Services)
	}
	bad := write(t, map[string]string{"c.yaml": "kind: Component\nmetadata: {name: a}\nspec: {dependsOn: [b]}\n"})
	if _, err := Backstage(bad); err == nil || !strings.Contains(err.Error(), "c.yaml:3") {
		t.Errorf("a reference without a kind: %v", err)
	}
}

func TestSystemd_keeps_order_and_requirement_apart(t *testing.T) {
	dir := write(t, map[string]string{
		"a.service":                "[Unit]\nDefaultDependencies=no\nRequires=b.service c.service\nAfter=b.service \\\n d.service missing.service\n",
		"a.service.d/add.conf":     "[Unit]\nWants=d.service\nBefore=e.target\n",
		"b.service":                "[Unit]\nDefaultDependencies=no\n",
		"c.service":                "[Unit]\nDefaultDependencies=no\n",
		"d.service":                "[Unit]\nDefaultDependencies=no\n# After=a.service\n",
		"e.target":                 "[Unit]\nDefaultDependencies=no\n",
		"e.target.wants/b.service": "",
		"x@.service":               "[Unit]\nAfter=a.service\n",
	})
	r, err := Systemd(dir)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, lines(t, r),
		"a.service -> b.service hard startup+runtime", "a.service -> c.service hard runtime",
		"a.service -> d.service soft startup+runtime", "e.target -> a.service soft startup", "e.target -> b.service soft runtime")
}

// orderingCycles counts cycles of After and Before, whatever is required.
func orderingCycles(t *testing.T, r *Result) int {
	t.Helper()
	g, err := r.Graph()
	if err != nil {
		t.Fatal(err)
	}
	c, err := g.Cycles(context.Background(), depgraph.CyclesOptions{Phase: depgraph.Startup})
	if err != nil {
		t.Fatal(err)
	}
	return len(c)
}

func TestSystemd_units_of_this_machine_have_no_ordering_cycle(t *testing.T) {
	const dir = "/lib/systemd/system"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no systemd units here")
	}
	r, err := Systemd(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Services) < 50 {
		t.Errorf("only %d units", len(r.Services))
	}
	if n := orderingCycles(t, r); n != 0 {
		t.Errorf("%d ordering cycles; systemd boots this machine", n)
	}
	t.Logf("%d units, %d edges", len(r.Services), r.Edges())
}

func TestSystemd_agrees_with_systemd_analyze(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze here")
	}
	sets := 40
	if testing.Short() {
		sets = 5
	}
	cyclic := 0
	for seed := range uint64(sets) {
		dir := write(t, randomUnits(rand.New(rand.NewPCG(seed, 7))))
		r, err := Systemd(dir)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(analyze, "verify", "--man=no", filepath.Join(dir, "all.target"))
		cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir, "SYSTEMD_LOG_LEVEL=info")
		out, _ := cmd.CombinedOutput() // its exit code does not tell
		theirs := strings.Contains(string(out), "ordering cycle")
		if ours := orderingCycles(t, r) > 0; ours != theirs {
			t.Errorf("seed %d: we find a cycle: %v, systemd: %v\n%s", seed, ours, theirs, out)
		}
		if theirs {
			cyclic++
		}
	}
	if cyclic == 0 || cyclic == sets {
		t.Errorf("%d of %d sets have cycles; the comparison shows nothing", cyclic, sets)
	}
}

// randomUnits makes services with random orders, all of them wanted by one target.
func randomUnits(r *rand.Rand) map[string]string {
	n := 3 + r.IntN(6)
	files := map[string]string{}
	all := "[Unit]\nDefaultDependencies=no\nWants="
	for i := range n {
		text := "[Unit]\nDefaultDependencies=no\n"
		for range 1 + r.IntN(2) {
			other := fmt.Sprintf("u%d.service", r.IntN(n))
			if other == fmt.Sprintf("u%d.service", i) {
				continue
			}
			text += []string{"After=", "Before=", "After=", "Requires="}[r.IntN(4)] + other + "\n"
		}
		name := fmt.Sprintf("u%d.service", i)
		files[name] = text + "[Service]\nType=oneshot\nExecStart=/bin/true\n"
		all += name + " "
	}
	files["all.target"] = all + "\n"
	return files
}

func TestWriteDir_never_overwrites_without_force(t *testing.T) {
	dir := write(t, map[string]string{"compose.yaml": "services: {'a/../b': {}, c: {depends_on: ['a/../b']}}"})
	r, err := Compose(filepath.Join(dir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	files, err := r.WriteDir(out, false)
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if filepath.Dir(f) != out {
			t.Errorf("%s is outside of the folder", f)
		}
	}
	if _, err := r.WriteDir(out, false); err == nil {
		t.Error("written twice without force")
	}
	if _, err := r.WriteDir(out, true); err != nil {
		t.Error(err)
	}
	g, err := depgraph.Load(context.Background(), depgraph.LoadOptions{Paths: []string{out}})
	if err != nil || g.Len() != 2 || g.EdgeCount() != 1 {
		t.Errorf("read back: %v, %v", g, err)
	}
}
