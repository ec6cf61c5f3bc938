package importer

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
)

// k8s imports documents of one file, or says what is wrong with them.
func k8s(t *testing.T, text string) string {
	t.Helper()
	dir := write(t, map[string]string{"k.yaml": text})
	r, err := Kubernetes(filepath.Join(dir, "k.yaml"))
	if err != nil {
		return "error " + strings.ReplaceAll(err.Error(), filepath.ToSlash(dir)+"/", "")
	}
	return describe(dir, r)
}

// deployment is one with a container of its own, in one line.
func deployment(name, container string) string {
	return fmt.Sprintf("---\n{kind: Deployment, metadata: {name: %s}, spec: {template: {metadata: {labels: {app: %s}}, spec: {containers: [%s]}}}}\n", name, name, container)
}

func TestKubernetes_every_field_that_is_read(t *testing.T) {
	store := deployment("store", "{image: 'postgres:16'}")
	for name, c := range map[string]struct{ text, want string }{
		"a workload by its own name, without a Service": {deployment("web", "{env: [{name: S_URL, value: 'http://store:80'}]}") + store, `
store, datastore, Deployment
web, Deployment
  -> store, weak startup assumed (k.yaml:2 env S_URL)
  -> store, hard runtime (k.yaml:2 env S_URL)`},
		"a kind of the second container": {"---\n{kind: Pod, metadata: {name: p}, spec: {containers: [{image: own/x}, {image: redis}]}}", "p, datastore, Pod"},
		"a Job, a CronJob and a Pod without containers": {`---
{kind: Job, metadata: {name: j}, spec: {template: {spec: {containers: [{image: x}]}}}}
---
{kind: CronJob, metadata: {name: c}, spec: {jobTemplate: {spec: {template: {spec: {containers: [{image: x}]}}}}}}
---
{kind: Pod, metadata: {name: p}, spec: {}}`, "c, CronJob\nj, Job\np, Pod"},
		"lists, in lists": {`---
kind: List
items:
- kind: DeploymentList
  items:
  - {kind: Pod, metadata: {name: p}, spec: {containers: []}}
- {kind: Role, metadata: {name: r}}`, "p, Pod\nskipped objects of kind Role: r"},
		"no kind, no name": {"---\n{a: 1}\n---\n{kind: Pod, spec: {containers: []}}\n---\n{kind: Role}\n", `
warning: k.yaml:4: a Pod without a name; skipped
skipped documents without a kind: k.yaml:2
skipped objects of kind Role: k.yaml:6`},
		"two of one name in two namespaces, and of two kinds in one": {`---
{kind: Pod, metadata: {name: p}, spec: {containers: []}}
---
{kind: Pod, metadata: {name: p, namespace: n}, spec: {containers: []}}
---
{kind: Job, metadata: {name: p, namespace: n}, spec: {template: {spec: {containers: [{image: x}]}}}}`, "default/p, Pod\nn/p, Pod\nn/p (Job), Job"},
		"one object twice, in a chart and beside it": {deployment("web", "{env: [{name: S_HOST, value: store}]}") + deployment("web", "{env: [{name: Q_URL, value: 'http://queue.x.svc:80'}]}") + store, `
queue.x.svc, named by others, not among the manifests
store, datastore, Deployment
web, Deployment
  -> queue.x.svc, weak startup assumed (k.yaml:4 env Q_URL)
  -> queue.x.svc, hard runtime (k.yaml:4 env Q_URL)
  -> store, weak startup assumed (k.yaml:2 env S_HOST)
  -> store, hard runtime (k.yaml:2 env S_HOST)
warning: k.yaml:4: the Deployment default/web is declared again, first at k.yaml:2; both are one service, with the dependencies of both`},
		"one object three times, beside others of its name": {`---
{kind: Pod, metadata: {name: p, namespace: n}, spec: {containers: []}}
---
{kind: Job, metadata: {name: p, namespace: n}, spec: {template: {spec: {containers: [{image: x}]}}}}
---
{kind: Pod, metadata: {name: p, namespace: n}, spec: {containers: [{image: redis}]}}
---
{kind: Pod, metadata: {name: p, namespace: n}, spec: {containers: []}}
---
{kind: Job, metadata: {name: p, namespace: n}, spec: {template: {spec: {containers: [{image: x}]}}}}`, `
n/p, datastore, Pod
n/p (Job), Job
warning: k.yaml:10: the Job n/p is declared again, first at k.yaml:4; both are one service, with the dependencies of both
warning: k.yaml:6: the Pod n/p is declared again, first at k.yaml:2; both are one service, with the dependencies of both
warning: k.yaml:8: the Pod n/p is declared again, first at k.yaml:2; both are one service, with the dependencies of both`},
		"one object twice, in one sync wave and in two": {`---
{apiVersion: argoproj.io/v1alpha1, kind: Application, metadata: {name: a, annotations: {argocd.argoproj.io/sync-wave: '1'}}}
---
{apiVersion: argoproj.io/v1alpha1, kind: Application, metadata: {name: a, annotations: {argocd.argoproj.io/sync-wave: '1'}}}
---
{apiVersion: argoproj.io/v1alpha1, kind: Application, metadata: {name: a, annotations: {argocd.argoproj.io/sync-wave: '2'}}}
---
{apiVersion: argoproj.io/v1alpha1, kind: Application, metadata: {name: b, annotations: {argocd.argoproj.io/sync-wave: '2'}}}`, `
a, infra, Application
b, infra, Application
  -> a, weak startup until ready (k.yaml:8 sync-wave 2)
warning: k.yaml:4: the Application default/a is declared again, first at k.yaml:2; both are one service, with the dependencies of both
warning: k.yaml:6: the Application default/a is declared again, first at k.yaml:2; both are one service, with the dependencies of both`},
		"one object twice behind a Service": {deployment("web", "{env: [{name: S_HOST, value: api}]}") + deployment("store", "{}") + deployment("store", "{}") + "---\n{apiVersion: v1, kind: Service, metadata: {name: api}, spec: {selector: {app: store}}}", `
store, Deployment
web, Deployment
  -> store, weak startup assumed (k.yaml:2 env S_HOST)
  -> store, hard runtime (k.yaml:2 env S_HOST)
warning: k.yaml:6: the Deployment default/store is declared again, first at k.yaml:4; both are one service, with the dependencies of both`},
		"a name outside": {deployment("web", "{env: [{name: B_URL, value: 'http://bucket'}]}") + "---\n{apiVersion: v1, kind: Service, metadata: {name: bucket}, spec: {type: ExternalName, externalName: b.example.com}}", `
b.example.com, external
web, Deployment
  -> b.example.com, hard runtime (k.yaml:2 env B_URL)`},
		"a Service that selects nothing, named as a workload": {deployment("web", "{env: [{name: S_HOST, value: store.other}]}") + store + "---\n{apiVersion: v1, kind: Service, metadata: {name: store, namespace: other}}", `
other/store, Service whose pods are not among the manifests
store, datastore, Deployment
web, Deployment
  -> other/store, weak startup assumed (k.yaml:2 env S_HOST)
  -> other/store, hard runtime (k.yaml:2 env S_HOST)`},
		"an empty selector selects nothing": {deployment("web", "{env: [{name: S_HOST, value: all}]}") + store + "---\n{apiVersion: v1, kind: Service, metadata: {name: all}, spec: {selector: {}}}", `
all, Service whose pods are not among the manifests
store, datastore, Deployment
web, Deployment
  -> all, weak startup assumed (k.yaml:2 env S_HOST)
  -> all, hard runtime (k.yaml:2 env S_HOST)`},
		"one name that is not here": {deployment("web", "{env: [{name: S_URL, value: 'http://ghost.n.svc:80'}, {name: T_HOST, value: ghost}, {name: U_URL, value: 'http://localhost:1'}]}"), `
ghost.n.svc, named by others, not among the manifests
web, Deployment
  -> ghost.n.svc, weak startup assumed (k.yaml:2 env S_URL)
  -> ghost.n.svc, hard runtime (k.yaml:2 env S_URL)`},
		"criticality": {deployment("web", "{env: [{name: OTEL_RESOURCE_ATTRIBUTES, value: 'service.criticality=medium'}]}, {env: [{name: OTEL_RESOURCE_ATTRIBUTES, value: 'service.criticality=low'}]}"), "web, medium, Deployment"},
		"telemetry is soft, and weak at the start": {deployment("web", "{env: [{name: OTEL_EXPORTER_OTLP_ENDPOINT, value: 'http://store:4317'}]}") + store, `
store, datastore, Deployment
web, Deployment
  -> store, weak startup assumed (k.yaml:2 env OTEL_EXPORTER_OTLP_ENDPOINT)
  -> store, soft runtime assumed (k.yaml:2 env OTEL_EXPORTER_OTLP_ENDPOINT)`},
		"arguments, and references between variables": {deployment("web", "{env: [{name: H, value: store}, {name: G, value: $(GONE)}], args: ['--store-url=http://$(H):80', $(G), 'x=store:1']}") + store, `
store, datastore, Deployment
web, Deployment
  -> store, weak startup assumed (k.yaml:2 env args; k.yaml:2 env store_url)
  -> store, hard runtime (k.yaml:2 env args; k.yaml:2 env store_url)`},
		"a secret that is not base64": {deployment("web", "{env: [{name: X, valueFrom: {secretKeyRef: {name: s, key: k}}}]}") + "---\n{kind: Secret, metadata: {name: s}, data: {k: '%%%'}}", `
web, Deployment
warning: a value of Secret/default/s is not base64; it is left out`},
		"an init container that waits, beside one that does not": {"---\n{kind: Pod, metadata: {name: p}, spec: {initContainers: [{command: [sh, -c, 'until nc -z store; do :; done']}, {command: [migrate, store]}], containers: []}}\n" + store, `
p, Pod
  -> store, hard startup (k.yaml:2 initContainer store)
store, datastore, Deployment`},
		"a liveness probe": {deployment("web", "{livenessProbe: {tcpSocket: {host: store}}, readinessProbe: {tcpSocket: {host: web}}}") + store, `
store, datastore, Deployment
web, Deployment
  -> store, hard runtime liveness (k.yaml:2 livenessProbe store)`},
		"Argo CD": {`---
{apiVersion: argoproj.io/v1alpha1, kind: Application, metadata: {name: a, annotations: {argocd.argoproj.io/sync-wave: '1'}}}
---
{apiVersion: argoproj.io/v1alpha1, kind: Application, metadata: {name: b, annotations: {argocd.argoproj.io/sync-wave: ' 2 '}}}
---
{apiVersion: other/v1, kind: Application, metadata: {name: c}}
---
{apiVersion: argoproj.io/v1alpha1, kind: Application, metadata: {}}`, `
a, infra, Application
b, infra, Application
  -> a, weak startup until ready (k.yaml:4 sync-wave 2)
skipped objects of kind Application: c, k.yaml:8`},
		"Flux": {`---
{apiVersion: helm.toolkit.fluxcd.io/v2, kind: HelmRelease, metadata: {name: a, namespace: n}, spec: {dependsOn: [{name: b}, {name: b, namespace: m}, {}]}}
---
{apiVersion: helm.toolkit.fluxcd.io/v2, kind: HelmRelease, metadata: {name: b, namespace: n}}
---
{apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, metadata: {name: b, namespace: m}}`, `
a, infra, HelmRelease
  -> m/b (HelmRelease), hard startup until ready (k.yaml:2 dependsOn b)
  -> n/b, hard startup until ready (k.yaml:2 dependsOn b)
m/b, infra, Kustomization
m/b (HelmRelease), named by others, not among the manifests
n/b, infra, HelmRelease
warning: k.yaml:2: a depends on the HelmRelease m/b, which is not in these files; Flux waits for it forever
warning: k.yaml:2: dependsOn of a: expected a mapping with a name; it is left out`},
		"an address elsewhere": {deployment("web", "{env: [{name: P_URL, value: 'https://p.example.com'}, {name: CALLBACK_URL, value: 'https://me.example.com'}, {name: M, value: 'x@y.example'}], args: ['https://q.example.com']}"), `
p.example.com, external
web, Deployment
  -> p.example.com, soft runtime assumed (k.yaml:2 environment P_URL)
skipped addresses that look like one's own or a page for people: CALLBACK_URL of web`},
		"both a ConfigMap and a Secret, which is one too many": {deployment("web", "{envFrom: [{configMapRef: {name: c}, secretRef: {name: s}}], env: [{name: X, valueFrom: {configMapKeyRef: {name: c, key: k}, secretKeyRef: {name: s, key: k}}}]}"), `
web, Deployment
skipped references to a ConfigMap or Secret that is not among the manifests: ConfigMap c of web, Secret s of web, ConfigMap c of web, Secret s of web`},
		"an empty file": {"", ""},
		"a broken file": {"---\na: [\n", "error k.yaml:2: cannot parse: did not find expected node content"},
		"a double key":  {"---\nkind: Pod\nkind: Job\n", `error k.yaml:3: the key "kind" appears twice in a mapping; the first one is in line 2`},
		"nameless": {
			"{apiVersion: v1, kind: Service, spec: {selector: {app: web}}}\n---\n{kind: ConfigMap, data: {A: b}}\n---\n{kind: Deployment, metadata: {name: web}, spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web}]}}}}\n",
			"web, Deployment\nwarning: k.yaml:1: a Service without a name; skipped\nwarning: k.yaml:3: a ConfigMap without a name; skipped",
		},
		"other shapes":   {"---\n{kind: Pod, metadata: [x], spec: {containers: []}}\n---\n{kind: Pod, metadata: {name: p}, spec: {containers: {a: b}, initContainers: 5}}\n---\n[kind]\n", "p, Pod\nwarning: k.yaml:2: a Pod without a name; skipped\nskipped documents without a kind: k.yaml:6"},
		"hostile values": {deployment("\"a\\nb\"", "{env: [{name: \"x\\ny\", value: 'http://store:80'}]}") + store, "a\nb, Deployment\n  -> store, weak startup assumed (k.yaml:2 env x\ny)\n  -> store, hard runtime (k.yaml:2 env x\ny)\nstore, datastore, Deployment"},
	} {
		t.Run(name, func(t *testing.T) {
			for range 5 { // the same each time
				same(t, k8s(t, c.text), c.want)
			}
		})
	}
}

// TestKubernetes_resolve_as_the_DNS_of_a_cluster asks for hosts from the
// namespace "n", which holds db, a StatefulSet; "m" holds web.
func TestKubernetes_resolve_as_the_DNS_of_a_cluster(t *testing.T) {
	k := kubernetes{hosts: map[string][]string{"n/db": {"db"}, "m/web": {"web"}}}
	for host, want := range map[string]string{
		"db": "db", "DB": "db", "db.": "db", "db.n": "db", "db.n.svc": "db", "db.n.svc.cluster.local": "db", "db.n.svc.cluster.local.": "db", "db.n.svc.corp.example": "db",
		"web": "", "web.m": "web", "web.n": "", "web.m.svc": "web",
		"db-0": "", "db-0.db": "db", "db-12.db.n": "db", "db-0.db.n.svc": "db", "pod.db": "", "db-x.db": "",
		"db.n.example.com": "", "db.example.com": "", "": "", ".": "", "..": "", "svc": "", "db.n.svcs": "",
	} {
		if got := strings.Join(k.resolve("n", host), ","); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
	for host, want := range map[string]bool{"db": true, "db.n": false, "db.n.svc": true, "db.n.svc.cluster.local.": true, "api.example.com": false, "db-0.db.n.svc": true} {
		if got := inCluster(host); got != want {
			t.Errorf("in the cluster: %q: %v", host, got)
		}
	}
}

func TestKubernetes_waits_are_commands_that_ask_somebody(t *testing.T) {
	for command, want := range map[string]bool{
		"until nc -z db 1": true, "wait-for db": true, "wait4x tcp db": true, "curl http://db": true, "pg_isready -h db": true, "sh -c 'while ! ping db'": true,
		"migrate up": false, "await db": false, "curly": false, "cp a b": false, "func db": false,
	} {
		if got := waits.MatchString(command); got != want {
			t.Errorf("%q: %v, want %v", command, got, want)
		}
	}
}

// TestKubernetes_sync_waves_of_many would be orders of each with each.
func TestKubernetes_sync_waves_of_many_are_not_ordered_one_by_one(t *testing.T) {
	for before, want := range map[int]string{
		50: "2500 edges", // 50 times 50 is the bound
		51: "0 edges\nwarning: the sync waves 0 and 1 have too many members to be ordered one by one",
	} {
		var b strings.Builder
		for wave, n := range []int{before, 50} {
			for i := range n {
				fmt.Fprintf(&b, "---\n{kind: Pod, metadata: {name: w%d-%d, annotations: {argocd.argoproj.io/sync-wave: '%d'}}, spec: {containers: []}}\n", wave, i, wave)
			}
		}
		r, err := Kubernetes(filepath.Join(write(t, map[string]string{"k.yaml": b.String()}), "k.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%d edges", r.Edges())
		for _, w := range r.Warnings {
			got += "\nwarning: " + w
		}
		same(t, got, want)
	}
}

func TestKubernetes_templates_of_Helm_are_no_manifests(t *testing.T) {
	const pod = "{kind: Pod, metadata: {name: p}, spec: {containers: []}}\n"
	dir := write(t, map[string]string{
		"a.yaml":                  "# {{ only a comment }}\n" + pod,              // it parses, and stands nowhere special
		"b.yaml":                  "{{ if x }}\n" + pod,                          // it does not parse
		"charts/templates/c.yaml": "# {{ x }}\n" + pod,                           // it parses, but its values are templates
		"charts/templates/d.yaml": strings.Replace(pod, "name: p", "name: q", 1), // nothing is templated here
	})
	r, err := Kubernetes(dir)
	if err != nil {
		t.Fatal(err)
	}
	same(t, describe(dir, r), `
p, Pod
q, Pod
skipped templates of Helm ("helm template" renders them): b.yaml, charts/templates/c.yaml`)
	if r.Read != 2 {
		t.Errorf("read %d files", r.Read)
	}
}

// TestKubernetes_any_order_of_documents gives the same edges; only their lines
// differ, so each document is a file of its own.
func TestKubernetes_any_order_of_files_gives_the_same(t *testing.T) {
	files := map[string]string{
		"a.yaml": deployment("web", "{env: [{name: S_URL, value: 'http://store:80'}], envFrom: [{configMapRef: {name: c}}]}"),
		"b.yaml": deployment("store", "{image: postgres}"),
		"c.yaml": "{apiVersion: v1, kind: Service, metadata: {name: store}, spec: {selector: {app: store}}}",
		"d.yaml": "{kind: ConfigMap, metadata: {name: c}, data: {Q_URL: 'amqp://queue:5672'}}",
		"e.yaml": "{apiVersion: v1, kind: Service, metadata: {name: queue}}",
		"f.yaml": deployment("other", "{env: [{name: Q_URL, value: 'amqp://queue.default:5672'}]}"),
	}
	dir := write(t, files)
	var names []string
	for name := range files {
		names = append(names, filepath.Join(dir, name))
	}
	first := ""
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 1))
		r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		res, err := Kubernetes(names...)
		if err != nil {
			t.Fatal(err)
		}
		got := describe(dir, res)
		if first == "" {
			first = got
		}
		if got != first {
			t.Fatalf("%q:\n%s\nbefore\n%s", names, got, first)
		}
	}
	if !strings.Contains(first, "-> queue, hard runtime (a.yaml:2 env Q_URL)") {
		t.Error(first)
	}
}
