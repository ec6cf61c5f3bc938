package importer

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
)

// composeText imports one file, or says what is wrong with it.
func composeText(t *testing.T, text string) string {
	t.Helper()
	dir := write(t, map[string]string{"compose.yaml": text})
	r, err := Compose(filepath.Join(dir, "compose.yaml"))
	if err != nil {
		return "error " + strings.ReplaceAll(err.Error(), filepath.ToSlash(dir)+"/", "")
	}
	return describe(dir, r)
}

func TestCompose_every_field_that_is_read(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"image": {"services: {a: {image: 'library/postgres:16'}, b: {image: 'own/web'}}", "a, datastore\nb"},
		"profiles": {"services: {a: {profiles: [debug]}, b: {profiles: [x, y]}, c: {profiles: []}}", `
a, only started with profile debug
b, only started with profile x or y
c`},
		"depends_on as a list": {"services:\n  a: {depends_on: [b]}\n  b: {}\n", `
a
  -> b, hard startup until started (compose.yaml:2 depends_on service_started)
  -> b, hard runtime assumed (compose.yaml:2 depends_on service_started)
b`},
		"a healthy service": {"services:\n  a:\n    depends_on:\n      b: {condition: service_healthy}\n  b: {}\n", `
a
  -> b, hard startup until ready (compose.yaml:4 depends_on service_healthy)
  -> b, hard runtime assumed (compose.yaml:4 depends_on service_healthy)
b`},
		"a job": {"services:\n  a: {depends_on: {b: {condition: service_completed_successfully}}}\n  b: {}\n", `
a
  -> b, hard startup until done (compose.yaml:2 depends_on service_completed_successfully)
b`},
		"required: false": {"services:\n  a: {depends_on: {b: {condition: service_started, required: false}, c: {required: false}}}\n  b: {}\n", `
a
  -> b, soft startup until started (compose.yaml:2 depends_on service_started)
  -> b, soft runtime assumed (compose.yaml:2 depends_on service_started)
b
warning: compose.yaml:2: a depends on "c", which is not in these files and not required`},
		"an observer is never needed at run time": {"services:\n  a: {depends_on: [o]}\n  o: {image: jaeger, depends_on: [a2]}\n  a2: {}\n", `
a
  -> o, hard startup until started (compose.yaml:2 depends_on service_started)
  -> o, soft runtime assumed (compose.yaml:2 depends_on service_started)
a2
o, observer
  -> a2, hard startup until started (compose.yaml:3 depends_on service_started)
  -> a2, soft runtime assumed (compose.yaml:3 depends_on service_started)`},
		"an address says more than a wait": {"services:\n  a: {depends_on: [b], environment: {B_URL: 'http://b:80'}}\n  b: {}\n", `
a
  -> b, hard startup until started (compose.yaml:2 depends_on service_started)
  -> b, hard runtime (compose.yaml:2 depends_on service_started; compose.yaml:2 environment B_URL)
b`},
		"that it is telemetry, too": {"services:\n  a: {depends_on: [b], environment: {OTEL_EXPORTER_OTLP_ENDPOINT: 'http://b:80'}}\n  b: {}\n", `
a
  -> b, hard startup until started (compose.yaml:2 depends_on service_started)
  -> b, soft runtime assumed (compose.yaml:2 depends_on service_started; compose.yaml:2 environment OTEL_EXPORTER_OTLP_ENDPOINT)
b`},
		"links": {"services:\n  a: {links: ['b', 'c:db'], environment: {DB_URL: 'http://db:1', HERE: a}}\n  b: {}\n  c: {}\n", `
a
  -> b, hard startup until started (compose.yaml:2 links b)
  -> b, hard runtime (compose.yaml:2 links b)
  -> c, hard startup until started (compose.yaml:2 links c)
  -> c, hard runtime (compose.yaml:2 environment DB_URL; compose.yaml:2 links c)
b
c`},
		"links beside depends_on, which says when": {"services:\n  a: {links: [b], depends_on: {b: {condition: service_healthy}}}\n  b: {}\n", `
a
  -> b, hard startup until ready (compose.yaml:2 depends_on service_healthy)
  -> b, hard runtime (compose.yaml:2 depends_on service_healthy; compose.yaml:2 links b)
b`},
		"the namespaces of others": {"services:\n  a: {network_mode: 'service:b'}\n  b: {ipc: 'service:c', network_mode: host}\n  c: {pid: 'service:d', ipc: shareable}\n  d: {pid: 'container:x'}\n", `
a
  -> b, hard startup until started (compose.yaml:2 network_mode b)
  -> b, hard runtime (compose.yaml:2 network_mode b)
b
  -> c, hard startup until started (compose.yaml:3 ipc c)
  -> c, hard runtime (compose.yaml:3 ipc c)
c
  -> d, hard startup until started (compose.yaml:4 pid d)
  -> d, hard runtime (compose.yaml:4 pid d)
d
skipped containers outside of these files: pid of d`},
		"volumes_from orders the start alone": {"services:\n  a: {volumes_from: ['b:ro', 'container:c']}\n  b: {}\n", `
a
  -> b, hard startup until started (compose.yaml:2 volumes_from b)
b
skipped containers outside of these files: volumes_from of a`},
		"names of all sorts": {"services:\n  a: {environment: {N1_HOST: c-name, N2_HOST: h-name, N3_HOST: alias, N4_HOST: B}}\n  b: {container_name: c-name}\n  c: {hostname: h-name}\n  d: {networks: {n: {aliases: [alias, b]}, m: }}\n", `
a
  -> b, hard runtime (compose.yaml:2 environment N1_HOST; compose.yaml:2 environment N4_HOST)
  -> c, hard runtime (compose.yaml:2 environment N2_HOST)
  -> d, hard runtime (compose.yaml:2 environment N3_HOST)
b
c
d`},
		"a health check": {"services:\n  a: {healthcheck: {test: [CMD, curl, 'http://b:80']}, environment: {B_URL: 'http://b:80'}}\n  b: {healthcheck: {test: 'curl http://b:80'}}\n", `
a
  -> b, hard runtime liveness (compose.yaml:2 environment B_URL; compose.yaml:2 healthcheck b)
b`},
		"a health check alone is a guess": {"services:\n  a: {healthcheck: {test: 'nc -z b:80'}}\n  b: {}\n", `
a
  -> b, hard runtime assumed liveness (compose.yaml:2 healthcheck b)
b`},
		"a health check that names no port asks nobody": {"services:\n  a: {healthcheck: {test: [CMD, ping, b]}}\n  b: {}\n", "a\nb"},
		"criticality": {"services:\n  a: {environment: {OTEL_RESOURCE_ATTRIBUTES: 'service.name=x,service.criticality=high'}}\n  b: {environment: {OTEL_RESOURCE_ATTRIBUTES: 'x=http://a:80'}}\n", "a, high\nb"},
		"addresses elsewhere": {`services:
  a:
    environment:
      PARTNER_URL: https://api.partner.example/v1
      DB_DSN: postgres://u:secret@db.partner.example/x
      PUBLIC_URL: https://shop.example.org
      SEARCH_URL: http://search:9200
      LOCAL_URL: http://localhost:80
      NUMBER_URL: http://10.0.0.1:80
      HOST_URL: http://host.docker.internal:80
      MAIL: someone@example.com
`, `
a
  -> api.partner.example, soft runtime assumed (compose.yaml:4 environment PARTNER_URL)
  -> db.partner.example, soft runtime assumed (compose.yaml:5 connection-string DB_DSN)
api.partner.example, external
db.partner.example, external
skipped addresses of one word that nothing here is called: SEARCH_URL of a
skipped addresses that look like one's own or a page for people: PUBLIC_URL of a`},
		"one address elsewhere that two use": {"services:\n  a: {environment: {X_URL: 'http://x.example'}}\n  b: {environment: {X_URL: 'http://x.example'}}\n", `
a
  -> x.example, soft runtime assumed (compose.yaml:2 environment X_URL)
b
  -> x.example, soft runtime assumed (compose.yaml:3 environment X_URL)
x.example, external`},
		"many variables for one service": {"services:\n  a:\n    environment:\n      A_URL: http://b:1\n      B_URL: http://b:2\n      C_URL: http://b:3\n      D_URL: http://b:4\n      E_URL: http://b:5\n      F_URL: http://b:6\n  b: {}\n", `
a
  -> b, hard runtime (compose.yaml:4 environment A_URL; compose.yaml:5 environment B_URL; compose.yaml:6 environment C_URL; compose.yaml:7 environment D_URL; and 2 more)
b`},
		"fields that say nothing":     {"services: {a: {ports: ['80:80'], volumes: ['x:/y'], build: ., command: 'x http://b:80', deploy: {replicas: 2}, labels: {u: 'http://b:80'}}, b: {}}", "a\nb"},
		"a service that is null":      {"services: {a: , b: {depends_on: [a]}}", "a\nb\n  -> a, hard startup until started (compose.yaml:1 depends_on service_started)\n  -> a, hard runtime assumed (compose.yaml:1 depends_on service_started)"},
		"no service at all":           {"services: {}", ""},
		"an unknown condition":        {"services:\n  a:\n    depends_on:\n      b: {condition: healthy}\n  b: {}\n", `error compose.yaml:4: a: condition "healthy" is not one of service_started, service_healthy, service_completed_successfully`},
		"an unknown service":          {"services:\n  a:\n    depends_on: [x, y]\n", `error compose.yaml:3: a depends on "x", which is not in these files`},
		"the first of several errors": {"services:\n  b: {depends_on: [x]}\n  a: {depends_on: [y]}\n", `error compose.yaml:3: a depends on "y", which is not in these files`},
		"itself":                      {"services:\n  a: {depends_on: [a], links: [a], environment: {A_URL: 'http://a:80'}}\n", "a\nwarning: compose.yaml:2: a depends on itself, which docker compose refuses; the edge is left out"},
	} {
		t.Run(name, func(t *testing.T) {
			same(t, composeText(t, c.text), c.want)
		})
	}
}

// TestCompose_hostile_names_read_back imports names that would end a line, a
// quote, a comment or a folder, and reads the manifest back.
func TestCompose_hostile_names_read_back(t *testing.T) {
	names := []string{"a\n# x: y", "a\x00b", `"<b>"`, "../../etc", "a\u2028b", "'; rm -rf /", "null", "1", "- a", "{{x}}", "a\tb", "é", strings.Repeat("n", 900)}
	var text strings.Builder
	text.WriteString("services:\n")
	for i, name := range names {
		fmt.Fprintf(&text, "  %q: {depends_on: [%q]}\n", name, names[(i+1)%len(names)])
	}
	dir := write(t, map[string]string{"compose.yaml": text.String()})
	r, err := Compose(filepath.Join(dir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if _, err := r.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	services, err := depgraph.ParseManifest("x.yaml", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range services {
		if len(s.Depends) != 2 || s.Depends[0].On != names[(slices.Index(names, s.Name)+1)%len(names)] {
			t.Errorf("%q: %+v", s.Name, s.Depends)
		}
		got = append(got, s.Name)
	}
	slices.Sort(names)
	if !slices.Equal(got, names) {
		t.Errorf("got %.40q, want %.40q", got, names)
	}
}

// TestWriteTo_a_path_cannot_leave_its_comment: the paths of an import stand at
// the head of every manifest, where a line break would begin another document.
func TestWriteTo_a_path_cannot_leave_its_comment(t *testing.T) {
	for _, folder := range []string{"x\nservice: evil", "x\rservice: evil", "x\u2028service: evil", "x\u0085service: evil", "x\x07", "x\ufeff"} {
		dir := write(t, map[string]string{folder + "/compose.yaml": "services: {a: {image: x}}"})
		r, err := Compose(filepath.Join(dir, folder, "compose.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if _, err := r.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		services, err := depgraph.ParseManifest("x.yaml", []byte(b.String()))
		if err != nil || len(services) != 1 || services[0].Name != "a" {
			t.Errorf("%q: %d services, %v\n%s", folder, len(services), err, b.String())
		}
	}
}

func TestCompose_projects_that_share_no_name_are_one_system(t *testing.T) {
	dir := write(t, map[string]string{
		"front/compose.yaml": "services:\n  web: {environment: {API_URL: 'http://api:80', OWN_HOST: alias}}\n",
		"back/compose.yaml":  "services:\n  api: {environment: {WEB_URL: 'http://web:80'}, container_name: alias}\n",
	})
	r, err := Compose(dir)
	if err != nil {
		t.Fatal(err)
	}
	same(t, describe(dir, r), `
api
  -> web, hard runtime (back/compose.yaml:2 environment WEB_URL)
web
  -> api, hard runtime (front/compose.yaml:2 environment API_URL; front/compose.yaml:2 environment OWN_HOST)`)
}

func TestCompose_projects_that_share_a_name_stay_apart(t *testing.T) {
	dir := write(t, map[string]string{
		"red/compose.yaml":  "services:\n  web: {environment: {API_URL: 'http://api:80'}}\n  api: {}\n",
		"blue/compose.yaml": "services:\n  web: {environment: {API_URL: 'http://api:80'}}\n",
	})
	r, err := Compose(dir)
	if err != nil {
		t.Fatal(err)
	}
	same(t, describe(dir, r), `
blue/web
red/api
red/web
  -> red/api, hard runtime (red/compose.yaml:2 environment API_URL)
warning: these folders hold 2 projects that use the same names of services; each name has its folder in front
skipped addresses of one word that nothing here is called: API_URL of blue/web`)
}

func TestCompose_says_that_few_addresses_were_found(t *testing.T) {
	hint := "There are few addresses in these files; they are probably in the code or in"
	for text, want := range map[string]bool{
		"services: {a: {}, b: {}, c: {}, d: {}}":                                          false, // too few services to tell
		"services: {a: {}, b: {}, c: {}, d: {}, e: {}}":                                   true,
		"services: {a: {environment: {B_URL: 'http://b:1'}}, b: {}, c: {}, d: {}, e: {}}": false, // one in five
	} {
		dir := write(t, map[string]string{"compose.yaml": text})
		r, err := Compose(filepath.Join(dir, "compose.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(strings.Join(r.Unknown, "\n"), hint); got != want {
			t.Errorf("%s: said so: %v, want %v", text, got, want)
		}
	}
}

// TestCompose_the_head_of_a_manifest is what a person reads first.
func TestCompose_the_head_of_a_manifest(t *testing.T) {
	dir := write(t, map[string]string{"compose.yaml": "services:\n  a: {depends_on: [b]}\n  b: {image: redis}\n"})
	r, err := Compose(filepath.Join(dir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	n, err := r.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Errorf("%d of %d bytes, %v", n, b.Len(), err)
	}
	same(t, strings.ReplaceAll(b.String(), filepath.ToSlash(dir)+"/", ""), `
# Imported from compose.yaml. Compose does not know which
# dependencies are soft: every one is hard until you say "soft: true". What is
# needed at run time was guessed from depends_on where it says "assumed". Nor does
# it know owners, availability, start durations, or calls whose address is not in
# the environment. Criticality is taken from service.criticality where it is set.
service: a
source: "compose.yaml:2"
depends:
  - on: b
    until: started
    phase: [startup]
    source: "compose.yaml:2 depends_on service_started"
  - on: b
    phase: [runtime]
    assumed: true
    source: "compose.yaml:2 depends_on service_started"
---
service: b
kind: datastore
source: "compose.yaml:3"
`)
}
