package importer

import (
	"slices"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
)

// strict leaves the weak orders of an import out.
func strict(all []string) []string {
	return slices.DeleteFunc(all, func(line string) bool { return strings.Contains(line, " weak ") })
}

const podOfStore = `
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store}
spec: {template: {metadata: {labels: {app: store}}, spec: {containers: [{image: own/store}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: store}
spec: {clusterIP: None, selector: {app: store}}
`

// withSpec is a Deployment with a pod, beside the store.
func withSpec(spec string) map[string]string {
	return map[string]string{"a.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {metadata: {labels: {app: web}}, spec: " + spec + "}}\n" + podOfStore}
}

func TestKubernetes_finds_addresses_wherever_a_pod_is_given_them(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"an init container that waits":    {withSpec(`{initContainers: [{image: busybox, command: [sh, -c, "until nc -z store 5432; do sleep 1; done"]}], containers: [{image: x}]}`), []string{"web -> store hard startup"}},
		"an init container that does not": {withSpec(`{initContainers: [{image: x, command: [store, web]}], containers: [{image: x}]}`), nil},
		"a sidecar":                       {withSpec(`{initContainers: [{image: x, restartPolicy: Always, env: [{name: S_URL, value: "http://store:80"}]}], containers: [{image: x}]}`), []string{"web -> store hard runtime"}},
		"arguments":                       {withSpec(`{containers: [{image: x, args: ["--store-addr=store:80", "--mode=store"]}]}`), []string{"web -> store hard runtime"}},
		"a flag and its value":            {withSpec(`{containers: [{image: x, command: [app, --store, "store.default:80"]}]}`), []string{"web -> store hard runtime"}},
		"references between variables":    {withSpec(`{containers: [{image: x, env: [{name: H, value: store}, {name: S_URL, value: "http://$(H):80"}]}]}`), []string{"web -> store hard runtime"}},
		"a pod of a stateful set":         {withSpec(`{containers: [{image: x, env: [{name: S_URL, value: "http://store-0.store.default.svc.cluster.local:80"}, {name: T_HOST, value: "store-1.store"}]}]}`), []string{"web -> store hard runtime"}},
		"a trailing dot":                  {withSpec(`{containers: [{image: x, env: [{name: S_URL, value: "http://store.default.svc.:80"}]}]}`), []string{"web -> store hard runtime"}},
		"telemetry":                       {withSpec(`{containers: [{image: x, env: [{name: OTEL_EXPORTER_OTLP_ENDPOINT, value: "http://store:4317"}]}]}`), []string{"web -> store soft runtime assumed"}},
		"elsewhere":                       {withSpec(`{containers: [{image: x, env: [{name: S_URL, value: "https://api.example.com"}, {name: PUBLIC_URL, value: "https://me.example.com"}]}]}`), []string{"web -> api.example.com soft runtime assumed"}},
		"not among the manifests":         {withSpec(`{containers: [{image: x, env: [{name: S_URL, value: "http://ghost:80"}]}]}`), []string{"web -> ghost hard runtime"}},
		"config maps and secrets": {map[string]string{"a.yaml": `
kind: ConfigMap
metadata: {name: c}
data: {A_URL: "http://store:80"}
---
kind: Secret
metadata: {name: s}
data: {B_URL: aHR0cDovL3N0b3JlOjgw}
stringData: {C_URL: "http://u:hunter2@third:80"}
---
kind: Deployment
metadata: {name: one}
spec: {template: {spec: {containers: [{image: x, envFrom: [{configMapRef: {name: c}}]}]}}}
---
kind: Deployment
metadata: {name: two}
spec: {template: {spec: {containers: [{image: x, env: [{name: B, valueFrom: {secretKeyRef: {name: s, key: B_URL}}}]}]}}}
---
kind: Deployment
metadata: {name: third}
spec: {template: {spec: {containers: [{image: x, envFrom: [{prefix: P_, secretRef: {name: s}}]}]}}}
` + podOfStore}, []string{"one -> store hard runtime", "third -> store hard runtime", "two -> store hard runtime"}},
		"whatever runs pods": {map[string]string{"a.yaml": `
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: fn}
spec: {template: {spec: {containers: [{image: x, env: [{name: S_URL, value: "http://store:80"}]}]}}}
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: shop}
spec: {template: {spec: {containers: [{image: x, env: [{name: F_URL, value: "http://fn"}]}]}}}
---
apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata: {name: dc}
spec: {template: {spec: {containers: [{image: x, env: [{name: B_URL, value: "http://bucket:80"}]}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: bucket}
spec: {type: ExternalName, externalName: b.s3.example.com}
` + podOfStore}, []string{"dc -> b.s3.example.com hard runtime", "fn -> store hard runtime", "shop -> fn hard runtime"}},
		"Flux": {map[string]string{"a.yaml": `
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec: {dependsOn: [{name: infra}, {name: certs, namespace: other}]}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: infra, namespace: flux-system}
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: db, namespace: other}
spec: {dependsOn: [{name: operator}]}
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: operator, namespace: other}
`}, []string{"apps -> infra hard startup until ready", "apps -> other/certs (Kustomization) hard startup until ready", "db -> operator hard startup until ready"}},
	} {
		r, err := Kubernetes(write(t, c.files))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		t.Run(name, func(t *testing.T) { expect(t, strict(lines(t, r)), c.want...) })
		var b strings.Builder
		if _, err := r.WriteTo(&b); err != nil || strings.Contains(b.String(), "hunter2") {
			t.Errorf("%s: a password was written, or %v", name, err)
		}
	}
}

func TestKubernetes_sync_waves_order_and_require_nothing(t *testing.T) {
	app := func(name, wave string) string {
		return "kind: Deployment\nmetadata: {name: " + name + ", annotations: {argocd.argoproj.io/sync-wave: \"" + wave + "\"}}\nspec: {template: {spec: {containers: [{image: x}]}}}\n---\n"
	}
	r, err := Kubernetes(write(t, map[string]string{"a.yaml": app("late", "5") + app("first", "-1") + app("mid", "0") + app("odd", "x")}))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, lines(t, r), "late -> mid weak startup until ready", "mid -> first weak startup until ready")
	if len(r.Warnings) != 1 {
		t.Errorf("warnings %q; want one about the wave x", r.Warnings)
	}
}

func TestKubernetes_counts_what_it_leaves_out(t *testing.T) {
	r, err := Kubernetes(write(t, map[string]string{
		"a.yaml":                       "kind: Namespace\nmetadata: {name: n}\n---\nkind: Role\nmetadata: {name: r}\n---\nresources: [a.yaml]\n",
		"chart/templates/deploy.yaml":  "{{- if .Values.x }}\nkind: Deployment\n{{- end }}\n",
		"chart/templates/service.yaml": "kind: Service\nmetadata: {name: \"{{ .Values.name }}\"}\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, names := range r.Skipped {
		n += len(names)
	}
	if len(r.Services) != 0 || n != 5 || r.Read != 1 {
		t.Errorf("%d services, read %d, skipped %v; want none, 1 and five", len(r.Services), r.Read, r.Skipped)
	}
}

func TestKubernetes_liveness_probes_that_ask_others(t *testing.T) {
	for probe, want := range map[string]int{
		`{httpGet: {host: store, port: 80}}`:                   1,
		`{tcpSocket: {host: store.default, port: 80}}`:         1,
		`{exec: {command: [curl, -f, "http://store:80/up"]}}`:  1,
		`{exec: {command: [curl, -f, "http://localhost:80"]}}`: 0,
		`{httpGet: {port: 80}}`:                                0,
	} {
		r, err := Kubernetes(write(t, withSpec("{containers: [{image: x, livenessProbe: "+probe+"}]}")))
		if err != nil {
			t.Fatal(err)
		}
		g, err := r.Graph()
		if err != nil {
			t.Fatal(err)
		}
		found, err := g.Check(t.Context(), depgraph.CheckOptions{Only: []string{"DG006"}})
		if err != nil || len(found) != want {
			t.Errorf("%s: %+v, %v; want %d", probe, found, err, want)
		}
	}
}

func TestSystemd_instances_and_mounts(t *testing.T) {
	r, err := Systemd(write(t, map[string]string{
		"app@.service":            "[Unit]\nDefaultDependencies=no\nAfter=db-%i.service\nRequires=db-%i.service\nRequiresMountsFor=/srv/%i/files\n",
		"app@.service.d/x.conf":   "[Unit]\nWants=log.service\n",
		"all.target":              "[Unit]\nDefaultDependencies=no\nWants=app@one.service app@two.service\n",
		"db-one.service":          "[Unit]\nDefaultDependencies=no\n",
		"db-two.service":          "[Unit]\nDefaultDependencies=no\n",
		"log.service":             "[Unit]\nDefaultDependencies=no\n",
		"srv.mount":               "[Unit]\nDefaultDependencies=no\n[Mount]\nWhere=/srv\n",
		"srv-one.mount":           "[Unit]\nDefaultDependencies=no\n",
		"unused@.service":         "[Unit]\nAfter=nothing.service\n",
		"srv-other\\x2done.mount": "[Unit]\nDefaultDependencies=no\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	got := slices.DeleteFunc(lines(t, r), func(s string) bool { return !strings.HasPrefix(s, "app@") && !strings.HasPrefix(s, "srv") })
	expect(t, got,
		"app@one.service -> db-one.service hard runtime", "app@one.service -> db-one.service hard startup until ready", "app@one.service -> log.service soft runtime",
		"app@one.service -> srv-one.mount hard runtime", "app@one.service -> srv-one.mount hard startup until ready",
		"app@one.service -> srv.mount hard runtime", "app@one.service -> srv.mount hard startup until ready",
		"app@two.service -> db-two.service hard runtime", "app@two.service -> db-two.service hard startup until ready", "app@two.service -> log.service soft runtime",
		"app@two.service -> srv.mount hard runtime", "app@two.service -> srv.mount hard startup until ready",
		"srv-one.mount -> srv.mount hard runtime", "srv-one.mount -> srv.mount hard startup until ready",
		"srv-other\\x2done.mount -> srv.mount hard runtime", "srv-other\\x2done.mount -> srv.mount hard startup until ready")
}

func TestKubernetes_a_Service_without_pods_is_needed_all_the_same(t *testing.T) {
	// The pods of pg-rw belong to an operator, the endpoints of old to nobody here.
	dir := write(t, map[string]string{"k.yaml": `apiVersion: v1
kind: Service
metadata: {name: pg-rw}
spec: {selector: {role: primary}}
---
apiVersion: v1
kind: Service
metadata: {name: old, namespace: legacy}
---
apiVersion: v1
kind: Service
metadata: {name: unused}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      initContainers: [{name: w, command: [pg_isready, -h, pg-rw]}]
      containers: [{name: c, env: [{name: OLD_HOST, value: old.legacy}]}]
`})
	r, err := Kubernetes(dir)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, lines(t, r), "web -> old hard runtime", "web -> old weak startup assumed", "web -> pg-rw hard startup")
	for _, s := range r.Services {
		if s.Name == "unused" {
			t.Error("a Service that nobody needs became a service")
		}
	}
}

func TestKubernetes_says_what_it_leaves_out(t *testing.T) {
	dir := write(t, map[string]string{"k.yaml": `apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: a}
spec: {dependsOn: [b, {namespace: y}, {name: a}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec: {template: {spec: {containers: [{name: c, envFrom: [{configMapRef: {name: cfg}}, {secretRef: {name: here}}], env: [{name: S_URL, valueFrom: {secretKeyRef: {name: sec, key: u}}}]}]}}}
---
apiVersion: v1
kind: Secret
metadata: {name: here}
`})
	r, err := Kubernetes(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Services) != 2 || len(lines(t, r)) != 0 {
		t.Errorf("services %+v", r.Services)
	}
	all := strings.Join(r.Warnings, "\n")
	if strings.Count(all, "k.yaml:4: dependsOn of a: expected a mapping with a name") != 1 || !strings.Contains(all, "k.yaml:4: a depends on itself") {
		t.Errorf("warnings %s", all)
	}
	expect(t, r.Skipped["references to a ConfigMap or Secret that is not among the manifests"], "ConfigMap cfg of d", "Secret sec of d")
}
