package importer

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/internal/rounds"
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

// lines describes edges as "a -> b hard startup until ready", sorted.
func lines(t *testing.T, r *Result) []string {
	t.Helper()
	g, err := r.Graph()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for e := range g.Edges() {
		line := fmt.Sprintf("%s -> %s %s %s", e.From, e.To, e.Strength(), e.Phase)
		if e.Until != depgraph.UntilUnknown {
			line += " until " + e.Until.String()
		}
		if e.Assumed {
			line += " assumed"
		}
		all = append(all, line)
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
			if d.Phase&depgraph.Runtime == 0 && d.Until != depgraph.Done {
				continue // the start of an edge that is needed at run time as well
			}
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
	if err != nil || len(env) != 1 || len(env[0].Services) != 19 || env[0].Kind != depgraph.SoftCycle {
		t.Errorf("addresses: %d components, %v; want one of 19, open because telemetry is soft", len(env), err)
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
		"api -> api.partner.example soft runtime assumed", "api -> db hard runtime", "api -> queue hard runtime",
		"mailer -> api hard runtime", "mailer -> queue hard runtime assumed", "mailer -> queue hard startup until started", "mailer -> web hard runtime",
		"web -> api hard runtime assumed", "web -> api hard startup until ready", "web -> cache hard runtime",
		"web -> mailer soft runtime assumed", "web -> mailer soft startup until started")
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
	expect(t, lines(t, r), "web-v2 -> api-server hard runtime", "web-v2 -> api-server weak startup assumed", "web-v2 -> billing.example.com soft runtime assumed", "web-v2 -> db hard startup")
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
	r, err = Backstage(bad)
	if err != nil || len(r.Services) != 1 || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "c.yaml:3") {
		t.Errorf("a reference without a kind: %+v, %v", r, err)
	}
	mixed := write(t, map[string]string{"c.yaml": "kind: Component\nmetadata: {name: a}\n---\nkind: [\n---\nkind: Component\nmetadata: {name: b}\nspec: {dependsOn: [\"component:a\"]}\n"})
	r, err = Backstage(mixed)
	if err != nil || len(r.Services) != 2 || len(r.Warnings) != 1 || len(r.Services[1].Depends) != 1 || r.Services[1].Depends[0].At.Line != 8 {
		t.Errorf("one bad entity among three: %+v, %v", r, err)
	}
}

func TestCompose_a_stack_that_starts_is_no_deadlock(t *testing.T) {
	// The collector has to be launched before the shop, and calls it later; the
	// job ends before the shop is launched, and needs what the shop has.
	dir := write(t, map[string]string{"compose.yaml": `
services:
  shop:
    image: shop
    depends_on:
      agent: {condition: service_started}
      store: {condition: service_healthy}
      migrate: {condition: service_completed_successfully}
    environment: {STORE_URL: "http://store:80"}
  agent: {image: agent, environment: {TARGET_URL: "http://shop:80/"}}
  store: {image: store, environment: {HOOK_URL: "http://shop:80/hook"}}
  migrate: {image: migrate, environment: {SHOP_URL: "http://shop:80", STORE_URL: "http://store:80"}}
`})
	r, err := Compose(filepath.Join(dir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := r.Graph()
	if err != nil {
		t.Fatal(err)
	}
	waves, blocked := g.Waves()
	if got := fmt.Sprint(waves, blocked); got != "[[agent migrate store] [shop]] []" {
		t.Errorf("waves and blocked: %s", got)
	}
}

func TestCompose_no_accepted_file_is_a_deadlock(t *testing.T) {
	conditions := []string{"service_started", "service_healthy", "service_completed_successfully"}
	for seed := range uint64(rounds.Of(500)) {
		r := rand.New(rand.NewPCG(seed, 3))
		n := 2 + r.IntN(10)
		var b strings.Builder
		b.WriteString("services:\n")
		for v := range n {
			fmt.Fprintf(&b, "  s%d:\n    image: %s\n", v, []string{"x", "redis", "prom/prometheus", "kafka"}[r.IntN(4)])
			if v > 0 { // compose refuses circles: only earlier services
				b.WriteString("    depends_on:\n")
				for _, w := range r.Perm(v)[:1+r.IntN(min(v, 3))] {
					fmt.Fprintf(&b, "      s%d: {condition: %s, required: %v}\n", w, conditions[r.IntN(3)], r.IntN(4) > 0)
				}
			}
			b.WriteString("    environment:\n      MODE: x\n")
			for range r.IntN(4) { // addresses lead anywhere
				w := r.IntN(n)
				fmt.Fprintf(&b, "      %s_%d_%d: \"http://s%d:80\"\n", []string{"API_URL", "OTEL_EXPORTER_OTLP_ENDPOINT"}[r.IntN(2)], r.IntN(1000), v, w)
			}
		}
		dir := write(t, map[string]string{"compose.yaml": b.String()})
		res, err := Compose(filepath.Join(dir, "compose.yaml"))
		if err != nil {
			continue // the same variable twice
		}
		g, err := res.Graph()
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, b.String())
		}
		if _, blocked := g.Waves(); len(blocked) > 0 {
			t.Fatalf("seed %d: blocked %v\n%s", seed, blocked, b.String())
		}
	}
}

func TestCompose_opentelemetry_demo_comes_up(t *testing.T) {
	r, err := Compose(filepath.Join(data(t, "otel-demo"), "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := r.Graph()
	if err != nil {
		t.Fatal(err)
	}
	if _, blocked := g.Waves(); g.Len() != 20 || len(blocked) > 0 {
		t.Errorf("%d services, blocked %v; want 20, and none", g.Len(), blocked)
	}
	// The frontend shows ads, the proxy stands before the frontend, and the load
	// generator calls the proxy. The collector scrapes the proxy.
	b, err := g.Blast(depgraph.BlastOptions{}, "ad")
	if err != nil || fmt.Sprint(b.Down, b.Degraded) != "[frontend frontend-proxy load-generator] [otel-collector]" {
		t.Errorf("without ad: down %v, degraded %v, %v", b.Down, b.Degraded, err)
	}
}

func TestKubernetes_short_names_stay_in_their_namespace(t *testing.T) {
	workload := func(namespace, name, env string) string {
		return fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: %s, namespace: %s}\nspec: {template: {metadata: {labels: {app: %s}}, spec: {containers: [{image: x, env: [%s]}]}}}\n---\n", name, namespace, name, env)
	}
	service := func(namespace, name string) string {
		return fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: %s}\nspec: {selector: {app: %s}}\n---\n", name, namespace, name)
	}
	parts := []string{
		workload("east", "store", ""), service("east", "store"), workload("west", "store", ""), service("west", "store"),
		workload("east", "app", "{name: STORE_HOST, value: store}"),
		workload("west", "web", `{name: STORE_URL, value: "http://store:80"}, {name: OTHER_URL, value: "http://store.east.svc.cluster.local:80"}`),
		workload("north", "lost", "{name: STORE_HOST, value: store}"),
		workload("north", "far", "{name: STORE_HOST, value: store.west}"),
	}
	for seed := range uint64(6) { // in any order of documents
		r := rand.New(rand.NewPCG(seed, 1))
		r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		res, err := Kubernetes(write(t, map[string]string{"all.yaml": strings.Join(parts, "")}))
		if err != nil {
			t.Fatal(err)
		}
		got := slices.DeleteFunc(lines(t, res), func(s string) bool { return strings.Contains(s, " weak ") })
		expect(t, got, "app -> east/store hard runtime", "far -> west/store hard runtime", "web -> east/store hard runtime", "web -> west/store hard runtime")
	}
}

func TestKubernetes_several_backends_of_a_service_are_alternatives(t *testing.T) {
	dir := write(t, map[string]string{"all.yaml": `
apiVersion: apps/v1
kind: Deployment
metadata: {name: blue, namespace: n}
spec: {template: {metadata: {labels: {app: api, color: blue}}, spec: {containers: [{image: x}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: green, namespace: n}
spec: {template: {metadata: {labels: {app: api, color: green}}, spec: {containers: [{image: x, env: [{name: SELF_URL, value: "http://api"}]}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: n}
spec: {selector: {app: api}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: n}
spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{image: x, env: [{name: API_URL, value: "http://api"}]}]}}}
`})
	r, err := Kubernetes(dir)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, lines(t, r), "web -> blue any 1 of 2 runtime", "web -> blue weak any 1 of 2 startup assumed", "web -> green any 1 of 2 runtime", "web -> green weak any 1 of 2 startup assumed")
}

func TestImport_a_key_that_stands_twice_is_an_error(t *testing.T) {
	dir := write(t, map[string]string{"compose.yaml": "services:\n  a: {depends_on: [b]}\n  b: {image: x}\n  a: {image: y}\n"})
	if _, err := Compose(filepath.Join(dir, "compose.yaml")); err == nil || !strings.Contains(err.Error(), `compose.yaml:4: the key "a" appears twice in a mapping; the first one is in line 2`) {
		t.Errorf("%v", err)
	}
	k := write(t, map[string]string{"k.yaml": "kind: Pod\nmetadata: {name: a, name: b}\n"})
	if _, err := Kubernetes(filepath.Join(k, "k.yaml")); err == nil || !strings.Contains(err.Error(), `k.yaml:2: the key "name"`) {
		t.Errorf("%v", err)
	}
	// What a merge brings in, even by several of them, is no second time.
	merged := write(t, map[string]string{"compose.yaml": "x: &x {image: x}\ny: &y {image: y}\nservices:\n  a:\n    <<: *x\n    <<: *y\n    image: z\n"})
	if _, err := Compose(filepath.Join(merged, "compose.yaml")); err != nil {
		t.Error(err)
	}
}
