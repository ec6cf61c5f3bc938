package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/failopen/failopen/health/livelint"
)

const deployment = `apiVersion: v1
kind: ConfigMap
metadata: {name: other}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
spec:
  template:
    spec:
      containers:
      - name: web
        livenessProbe:
          httpGet: {path: "/up?full=0", port: 8080}
          periodSeconds: 5
        readinessProbe:
          httpGet: {path: /ready, port: 8080}
      - name: worker
        startupProbe:
          failureThreshold: 30
          exec:
            command: [sh, -c, "curl -fs http://localhost:8080/started || exit 1"]
      - name: proxy
        livenessProbe:
          tcpSocket: {port: 80}
`

const task = `{"family": "shop", "containerDefinitions": [
  {"name": "web", "healthCheck": {"command": ["CMD-SHELL", "wget -qO- http://127.0.0.1:8080/healthy || exit 1"], "interval": 15, "retries": 2}},
  {"name": "sidecar"}]}`

const template = `Resources:
  Task:
    Type: AWS::ECS::TaskDefinition
    Properties:
      Family: !Sub "${AWS::StackName}-shop"
      ContainerDefinitions:
        - Name: web
          HealthCheck:
            Command: [CMD-SHELL, "curl -f http://localhost/cf"]
`

func write(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.Mkdir("deploy", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestProbers(t *testing.T) {
	write(t, map[string]string{"deploy/shop.yaml": deployment, "deploy/notes.txt": "livenessProbe: {httpGet: {path: /no}}", "task.json": task, "deploy/cf.yml": template})
	pods, err := probers("deploy", kubernetes)
	if err != nil {
		t.Error(err)
	}
	tasks, err := probers("task.json", ecs)
	if err != nil {
		t.Error(err)
	}
	stacks, err := probers("deploy/cf.yml", ecs)
	if err != nil {
		t.Error(err)
	}
	all := append(append(pods, tasks...), stacks...)
	var got []string
	for _, p := range all {
		got = append(got, p.String())
	}
	want := []string{
		"deploy/shop.yaml:15: Deployment shop, container web is asked for /up, and restarted after 3 failures, 5 s apart",
		"deploy/shop.yaml:21: Deployment shop, container worker is asked for /started, and restarted after 30 failures, 10 s apart",
		"task.json:2: task shop, container web is asked for /healthy, and replaced after 2 failures, 15 s apart, if it is essential",
		"deploy/cf.yml:9: task ${AWS::StackName}-shop, container web is asked for /cf, and replaced after 3 failures, 30 s apart, if it is essential",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := patterns(all); got != `^(/up|/started|/healthy|/cf)/?$` {
		t.Error(got)
	}
	for route, want := range map[string]int{"/up": 1, "GET /up/": 1, "/livez": 0, "": 0} {
		if got := len(asking(all, route)); got != want {
			t.Errorf("%q: asked for by %d, want %d", route, got, want)
		}
	}
}

// What a platform makes of a path that is not written as usual.
func TestProbers_paths(t *testing.T) {
	command := func(words string) string {
		return `{containerDefinitions: [{healthCheck: {command: [` + words + `]}}]}`
	}
	for _, c := range []struct {
		manifest string
		read     func(string, *yaml.Node) []prober
		want     string
	}{
		{"livenessProbe: {httpGet: {port: 80}}", kubernetes, "/"},
		{"livenessProbe: {httpGet: {path: null}}", kubernetes, "/"},
		{"livenessProbe: {httpGet: {path: \"up?full=1\"}}", kubernetes, "/up"},
		{"livenessProbe: {httpGet: null}", kubernetes, ""},
		{"livenessProbe: {tcpSocket: {port: 80}}", kubernetes, ""},
		{command(`CMD-SHELL, "curl -f localhost:8080/up || exit 1"`), ecs, "/up"},
		{command(`CMD, wget, --spider, "127.0.0.1/up?full=1"`), ecs, "/up"},
		{command(`CMD-SHELL, "curl -f http://localhost:8080 || exit 1"`), ecs, "/"},
		{command(`CMD-SHELL, "curl -f http://localhost:8080?x=/y"`), ecs, "/"},
		{command(`CMD-SHELL, "test -S /run/localhost/x"`), ecs, ""},
		{`[{name: web, healthCheck: {command: [CMD, curl, "http://localhost/up"]}}]`, ecs, "/up"}, // of Terraform
	} {
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(c.manifest), &doc); err != nil {
			t.Fatalf("%s: %v", c.manifest, err)
		}
		got := ""
		for _, p := range c.read("f", &doc) {
			got += p.path
		}
		if got != c.want {
			t.Errorf("%s\nis asked for %q, want %q", c.manifest, got, c.want)
		}
	}
	if got := patterns([]prober{{path: "/"}, {path: "/up/"}}); got != `^(/|/up)/?$` {
		t.Error(got)
	}
}

func TestProbers_wrong(t *testing.T) {
	write(t, map[string]string{
		"deploy/a.yaml": "{{- if .Values.on }}\nkind: x\n{{- end }}\n", "deploy/b.yaml": "a: [\n", "deploy/shop.yaml": deployment, "deploy/c.json": "null",
		"deploy/d.yaml": "livenessProbe: [1]\n---\nlivenessProbe: {httpGet: {path: [x]}, exec: {command: {a: b}}}\n---\ncontainerDefinitions: [1, {healthCheck: 2}]\n",
	})
	all, err := probers("deploy", kubernetes)
	if len(all) != 2 || err == nil || !strings.Contains(err.Error(), "a.yaml: is a template") || !strings.Contains(err.Error(), "b.yaml: yaml: line") {
		t.Errorf("%v, %v", all, err)
	}
	if all, _ := probers("deploy", ecs); len(all) != 0 {
		t.Error(all)
	}
	if _, err := probers("nowhere", kubernetes); err == nil {
		t.Error("a folder that is not there: no error")
	}
}

// The platform's configuration says which path is liveness, and the finding says
// what the platform will do.
func TestRun_probers(t *testing.T) {
	paths := livelint.Analyzer.Flags.Lookup("paths")
	defer paths.Value.Set(paths.DefValue)
	service(t)
	for name, content := range map[string]string{"up.yaml": strings.ReplaceAll(deployment, "/up", "/readyz"), "none.yaml": "kind: Service\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, errs bytes.Buffer
	code := run([]string{"-k8s", "up.yaml", "./..."}, &out, &errs)
	if code != exitFound || strings.Contains(out.String(), "/livez") ||
		!strings.Contains(out.String(), `the liveness handler of "/readyz" calls`) || !strings.Contains(out.String(), "(up.yaml:15: Deployment shop, container web, restarted after 3 failures, 5 s apart)") {
		t.Errorf("exit code %d\n%s%s", code, &out, &errs)
	}
	out.Reset()
	errs.Reset()
	paths.Value.Set(paths.DefValue)
	if code := run([]string{"-k8s", "none.yaml", "./..."}, &out, &errs); code != exitFailed || !strings.Contains(out.String(), "/livez") || !strings.Contains(errs.String(), "no liveness probe that asks for a path is in none.yaml") {
		t.Errorf("without a probe: exit code %d\n%s%s", code, &out, &errs)
	}
	errs.Reset()
	if code := run([]string{"-k8s", "", "./..."}, &out, &errs); code != exitFailed || !strings.Contains(errs.String(), "-k8s is empty") {
		t.Errorf("an empty -k8s: exit code %d\n%s", code, &errs)
	}
}
