package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/failopen/failopen/health"
)

// The snippets for Kubernetes are checked here: this module has a parser.
const folder = "../../docs/guide/health-snippets"

// read decodes a snippet into v, and refuses fields that v does not know.
func read(t *testing.T, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// answered sees that a started process answers the path with 200.
func answered(t *testing.T, path string) {
	t.Helper()
	p := new(health.Process)
	p.Started()
	w := httptest.NewRecorder()
	p.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	if w.Code != http.StatusOK {
		t.Errorf("%s is answered with %d", path, w.Code)
	}
}

// probe is a Probe of Kubernetes (core/v1), as far as it is used.
type probe struct {
	HTTPGet *struct {
		Path string `yaml:"path"`
		Port string `yaml:"port"`
	} `yaml:"httpGet"`
	GRPC *struct {
		Port    int    `yaml:"port"`
		Service string `yaml:"service"`
	} `yaml:"grpc"`
	Period    int `yaml:"periodSeconds"`
	Timeout   int `yaml:"timeoutSeconds"`
	Threshold int `yaml:"failureThreshold"`
}

func TestKubernetes(t *testing.T) {
	var d struct {
		APIVersion string         `yaml:"apiVersion"`
		Kind       string         `yaml:"kind"`
		Metadata   map[string]any `yaml:"metadata"`
		Spec       struct {
			Replicas int            `yaml:"replicas"`
			Selector map[string]any `yaml:"selector"`
			Template struct {
				Metadata map[string]any `yaml:"metadata"`
				Spec     struct {
					Grace      int `yaml:"terminationGracePeriodSeconds"`
					Containers []struct {
						Name      string           `yaml:"name"`
						Image     string           `yaml:"image"`
						Ports     []map[string]any `yaml:"ports"`
						Startup   probe            `yaml:"startupProbe"`
						Liveness  probe            `yaml:"livenessProbe"`
						Readiness probe            `yaml:"readinessProbe"`
					} `yaml:"containers"`
				} `yaml:"spec"`
			} `yaml:"template"`
		} `yaml:"spec"`
	}
	read(t, folder+"/kubernetes.yaml", &d)
	c := d.Spec.Template.Spec.Containers[0]
	for want, p := range map[string]probe{"/startupz": c.Startup, "/livez": c.Liveness, "/readyz": c.Readiness} {
		if p.HTTPGet.Path != want || p.HTTPGet.Port != "http" {
			t.Errorf("%+v; want %s", p.HTTPGet, want)
		}
		answered(t, p.HTTPGet.Path)
	}
	if drain := c.Readiness.Period*c.Readiness.Threshold + 5; d.Spec.Template.Spec.Grace <= drain {
		t.Errorf("the grace period is %d s, less than a drain of %d s", d.Spec.Template.Spec.Grace, drain)
	}
	var g struct {
		Liveness  probe `yaml:"livenessProbe"`
		Readiness probe `yaml:"readinessProbe"`
	}
	read(t, folder+"/kubernetes-grpc.yaml", &g)
	if g.Liveness.GRPC.Service != liveness || g.Readiness.GRPC.Service != readiness {
		t.Errorf("%+v", g)
	}
}
