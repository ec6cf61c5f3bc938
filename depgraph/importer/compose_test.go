package importer

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
)

// runtimeEdges are the edges that are needed at run time, without the word.
func runtimeEdges(t *testing.T, r *Result) []string {
	t.Helper()
	var all []string
	for _, line := range lines(t, r) {
		if before, ok := strings.CutSuffix(strings.TrimSuffix(line, " assumed"), " runtime"); ok {
			all = append(all, before)
		}
	}
	return all
}

func TestCompose_reads_what_docker_compose_reads(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		args  []string
		want  []string // run-time edges
	}{
		"merge keys in depends_on and environment": {map[string]string{"compose.yaml": `
x-deps: &deps
  store: {condition: service_healthy}
x-env: &env {QUEUE_URL: "amqp://queue:5672", STORE_URL: "http://old:80"}
services:
  app: {image: x, depends_on: {<<: *deps, job: {condition: service_completed_successfully}}, environment: {<<: [*env], STORE_URL: "http://store:80"}}
  job: {image: x}
  old: {image: x}
  store: {image: postgres}
  queue: {image: rabbitmq}
`}, nil, []string{"app -> queue hard", "app -> store hard"}},
		"a later file overrides": {
			map[string]string{
				"a.yaml": "services:\n  app: {environment: [\"STORE_URL=http://old:80\"], depends_on: [opt, gone]}\n  old: {image: x}\n  new: {image: x}\n  opt: {image: x}\n  gone: {image: x}\n",
				"b.yaml": "services:\n  app: {environment: {STORE_URL: \"http://new:80\"}, depends_on: {opt: {condition: service_started, required: false}, gone: !reset null}}\n",
			},
			[]string{"a.yaml", "b.yaml"},
			[]string{"app -> new hard", "app -> opt soft"},
		},
		"reset and override": {
			map[string]string{
				"a.yaml": "services:\n  app: {environment: {A_URL: \"http://one:80\", B_URL: \"http://two:80\"}, depends_on: [one, two], links: [two]}\n  one: {image: x}\n  two: {image: x}\n",
				"b.yaml": "services:\n  app: {environment: !override {A_URL: \"http://one:80\"}, depends_on: !reset [], links: !reset []}\n",
			},
			[]string{"a.yaml", "b.yaml"},
			[]string{"app -> one hard"},
		},
		"environment over env_file": {map[string]string{
			"compose.yaml": "services:\n  app: {env_file: [a.env, {path: b.env, required: false}, {path: none.env, required: false}], environment: {X_URL: \"http://three:80\"}}\n  one: {image: x}\n  two: {image: x}\n  three: {image: x}\n",
			"a.env":        "X_URL=http://one:80\nY_URL=http://one:80\n", "b.env": "Y_URL=http://two:80\n",
		}, nil, []string{"app -> three hard", "app -> two hard"}},
		"extends, here and in another file": {map[string]string{
			"compose.yaml":     "services:\n  base: {image: redis, environment: {S_URL: \"http://store:80\"}, depends_on: [store]}\n  app: {extends: base, environment: {T_URL: \"http://other:80\"}}\n  far: {extends: {file: sub/common.yaml, service: proto}}\n  store: {image: x}\n  other: {image: x}\n",
			"sub/common.yaml":  "services:\n  proto: {extends: {service: deeper}}\n  deeper: {env_file: deep.env, image: kafka}\n",
			"sub/deep.env":     "Q_URL=http://store:80\n",
			"sub/ignored.yaml": "services: {}",
		}, nil, []string{"app -> other hard", "app -> store hard", "base -> store hard", "far -> store hard"}},
		"include, with its own variables": {map[string]string{
			"compose.yaml":  "include: [inc/db.yaml, {path: [inc/q.yaml]}]\nservices:\n  app: {depends_on: [store, queue]}\n",
			"inc/db.yaml":   "services:\n  store: {environment: {MAIN_URL: \"http://${MAIN}:80\"}}\n",
			"inc/q.yaml":    "services:\n  queue: {image: x}\n",
			"inc/.env":      "MAIN=queue\n",
			"inc/else.yaml": "nothing",
		}, nil, []string{"app -> queue hard", "app -> store hard", "store -> queue hard"}},
		"shared namespaces and volumes": {map[string]string{"compose.yaml": `
services:
  vpn: {image: x}
  data: {image: x}
  a: {network_mode: "service:vpn"}
  b: {ipc: "service:vpn", pid: "service:a", network_mode: host}
  c: {volumes_from: ["data:ro", "container:other"]}
`}, nil, []string{"a -> vpn hard", "b -> a hard", "b -> vpn hard"}},
		"names for links, containers and networks": {map[string]string{"compose.yaml": `
services:
  store: {image: x, container_name: big-store, networks: {net: {aliases: [database]}}}
  a: {links: ["store:db"], environment: {DB_URL: "http://db:80"}}
  b: {environment: {DB_URL: "http://db:80", OTHER_URL: "http://big-store:80"}}
  c: {environment: {DATABASE_HOST: database}}
`}, nil, []string{"a -> store hard", "b -> store hard", "c -> store hard"}},
		"lists of hosts": {map[string]string{"compose.yaml": `
services:
  n1: {image: x}
  n2: {image: x}
  app: {environment: {CASSANDRA_SEEDS: "n1,n2", MODE: n1, GREETING: "hello n2"}}
`}, nil, []string{"app -> n1 hard", "app -> n2 hard"}},
		"telemetry is soft, and so is what is elsewhere": {map[string]string{"compose.yaml": `
services:
  agent: {image: own/agent}
  app:
    depends_on: [agent]
    environment:
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://agent:4317"
      STATSD_HOST: agent
      PARTNER_URL: "https://api.partner.example/v1"
      PUBLIC_URL: "https://shop.example.org"
      DOCS_LINK: "https://docs.example.org/help"
      WEBHOOK_URL: "https://${DOMAIN:-hooks.example.org}"
`}, nil, []string{"app -> agent soft", "app -> api.partner.example soft"}},
	} {
		dir := write(t, c.files)
		args := []string{filepath.Join(dir, "compose.yaml")}
		if c.args != nil {
			args = nil
			for _, a := range c.args {
				args = append(args, filepath.Join(dir, a))
			}
		}
		r, err := Compose(args...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		t.Run(name, func(t *testing.T) { expect(t, runtimeEdges(t, r), c.want...) })
	}
}

func TestCompose_one_folder_is_one_project_and_many_are_many(t *testing.T) {
	one := map[string]string{
		"compose.yaml": "services:\n  app: {environment: {S_URL: \"http://store:80\"}}\n  store: {image: x}\n", "compose.override.yaml": "services:\n  extra: {image: x}\n",
		"compose.full.yaml": "services:\n  left-out: {image: x}\n",
	}
	r, err := Compose(write(t, one))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Services) != 3 || len(r.Skipped) != 1 || r.Read != 2 {
		t.Errorf("%d services from %d files, skipped %v; want app, extra and store", len(r.Services), r.Read, r.Skipped)
	}
	dir := write(t, map[string]string{
		"red/compose.yaml":         "services:\n  app: {environment: {S_URL: \"http://store:80\"}}\n  store: {image: x}\n",
		"blue/docker-compose.yml":  "services:\n  web: {environment: {S_URL: \"http://store:80\"}, depends_on: [store]}\n  store: {image: x}\n",
		"green/node_modules/x.yml": "services: [",
	})
	r, err = Compose(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Services {
		for _, d := range s.Depends {
			if filepath.Dir(d.On) != filepath.Dir(s.Name) {
				t.Errorf("%s depends on %s, of another project", s.Name, d.On)
			}
		}
	}
	if len(r.Services) != 4 || len(r.Warnings) != 1 {
		t.Errorf("%d services, warnings %q; want 4, each with its folder, and a word about it", len(r.Services), r.Warnings)
	}
}

func TestCompose_a_health_check_that_asks_another_service_is_found(t *testing.T) {
	dir := write(t, map[string]string{"compose.yaml": `
services:
  app: {image: x, healthcheck: {test: ["CMD", "curl", "-f", "http://store:80/health"]}}
  own: {image: x, healthcheck: {test: "curl -f http://localhost:80 && nc -z own 80"}}
  store: {image: x, profiles: [big, huge]}
`})
	r, err := Compose(filepath.Join(dir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := r.Graph()
	if err != nil {
		t.Fatal(err)
	}
	found, err := g.Check(t.Context(), depgraph.CheckOptions{Only: []string{"DG006"}})
	if err != nil || len(found) != 1 || found[0].Service != "app" || found[0].Severity != depgraph.Warn {
		t.Errorf("DG006: %+v, %v; want app alone", found, err)
	}
	if s, _ := g.Service("store"); s.Note != "only started with profile big or huge" {
		t.Errorf("note %q", s.Note)
	}
}

func TestCompose_says_what_is_wrong_and_where(t *testing.T) {
	for text, want := range map[string]string{
		"services: {a: {depends_on: [b]}}":                                    `compose.yaml:1: a depends on "b", which is not in these files`,
		"services: {a: {depends_on: {b: {condition: ready}}}, b: {image: x}}": `condition "ready" is not one of`,
		"version: '3'":                   "no services here",
		"services: [":                    "compose.yaml:1: cannot parse: ",
		"services: [a]":                  "services: expected a mapping",
		"services: {a: {extends: a}}":    "a extends itself",
		"services: {a: {extends: nope}}": `a extends "nope", which is not in these files`,
		"services: {a: {extends: {file: nope.yaml, service: b}}}": "nope.yaml",
		"include: [compose.yaml]\nservices: {}":                   "includes itself",
		"a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f]\nservices: {}": "unfold",
		"": "the file is empty",
	} {
		dir := write(t, map[string]string{"compose.yaml": text})
		if _, err := Compose(filepath.Join(dir, "compose.yaml")); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "compose.yaml") {
			t.Errorf("%.60q: %v; want %q", text, err, want)
		}
	}
}

// TestCompose_standard_input runs itself with a pipe.
func TestCompose_standard_input(t *testing.T) {
	if os.Getenv("FAILOPEN_TEST_STDIN") != "" {
		r, err := Compose("-")
		fmt.Println(err)
		if err == nil {
			fmt.Println(strings.Join(lines(t, r), "\n"))
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestCompose_standard_input$")
	cmd.Env = append(os.Environ(), "FAILOPEN_TEST_STDIN=1")
	cmd.Stdin = strings.NewReader(`name: shop
services:
  app:
    depends_on: {store: {condition: service_healthy, required: true}}
    environment: {STORE_URL: http://store:80}
    networks: {default: null}
  store: {image: postgres}
`)
	out, err := cmd.Output()
	if want := "app -> store hard runtime\napp -> store hard startup until ready\n"; err != nil || !strings.Contains(string(out), "<nil>\n") || !strings.Contains(string(out), want) {
		t.Errorf("%s, %v; want\n%s", out, err, want)
	}
}

func TestCompose_says_what_it_leaves_out(t *testing.T) {
	dir := write(t, map[string]string{"compose.yaml": `services:
  a:
    depends_on: [a, b]
    links: [ghost]
    external_links: ["old_1:old"]
    volumes_from: ["container:box", nobody]
    network_mode: service:vpn
    pid: container:box
    environment: {SEARCH: "http://search:9200", HERE: "http://localhost:1"}
  b: {image: x}
`})
	r, err := Compose(filepath.Join(dir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, lines(t, r), "a -> b hard startup until started", "a -> b hard runtime assumed")
	for i, want := range []string{
		"compose.yaml:3: a depends on itself, which docker compose refuses; the edge is left out",
		`compose.yaml:4: links of a names "ghost", which is not in these files`,
		`compose.yaml:6: volumes_from of a names "nobody", which is not in these files`,
		`compose.yaml:7: network_mode of a names "vpn", which is not in these files`,
	} {
		if i >= len(r.Warnings) || !strings.HasSuffix(r.Warnings[i], want) {
			t.Errorf("warnings %q; want %q", r.Warnings, want)
		}
	}
	expect(t, r.Skipped["containers outside of these files"], "old_1:old of a", "volumes_from of a", "pid of a")
	expect(t, r.Skipped["addresses of one word that nothing here is called"], "SEARCH of a")
}

func TestCompose_names_the_line_of_an_env_file(t *testing.T) {
	dir := write(t, map[string]string{
		"compose.yaml": "services:\n  a: {image: x, env_file: a.env}\n  b: {image: x}\n",
		"a.env":        "# addresses\nOTHER=1\nB_URL=http://b:80\n",
	})
	r, err := Compose(filepath.Join(dir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if d := r.Services[0].Depends; len(d) != 1 || d[0].At.Line != 3 || !strings.HasSuffix(d[0].Source, "a.env:3 environment B_URL") {
		t.Errorf("%+v", d)
	}
}

func TestCompose_paths_start_from_the_first_file(t *testing.T) {
	dir := write(t, map[string]string{
		"compose.yaml":    "include:\n  - {path: [part/one.yaml, part/more/two.yaml], env_file: [vars/x.env]}\n  - {path: part/three.yaml, project_directory: vars}\nservices:\n  a: {image: x}\n  b: {image: x}\n  c: {image: x}\n",
		"prod/over.yaml":  "services:\n  a: {env_file: a.env}\n",
		"a.env":           "B_URL=http://b:80\n",
		"vars/x.env":      "H=b\n",
		"vars/.env":       "H=c\n",
		"vars/t.env":      "A_URL=http://a:80\n",
		"part/.env":       "H=wrong\n",
		"part/one.yaml":   "services:\n  one: {environment: {U_URL: \"http://${H}:80\"}}\n",
		"part/t.env":      "C_URL=http://c:80\n",
		"part/more/t.env": "WRONG_URL=http://a:80\n", "part/more/two.yaml": "services:\n  two: {env_file: t.env}\n",
		"part/three.yaml": "services:\n  three: {env_file: t.env, environment: {U_URL: \"http://${H}:80\"}}\n",
	})
	r, err := Compose(filepath.Join(dir, "compose.yaml"), filepath.Join(dir, "prod/over.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, lines(t, r), "a -> b hard runtime", "one -> b hard runtime", "three -> a hard runtime", "three -> c hard runtime", "two -> c hard runtime")
}
