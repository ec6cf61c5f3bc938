package probes

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/health"
)

const folder = "../../docs/guide/health-snippets"

// read decodes a snippet into v, and refuses what v does not know: a field that
// the platform does not have would be ignored there, or refused.
func read(t *testing.T, name string, v any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// answered reports whether a started process answers the path with 200.
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

func TestECS(t *testing.T) {
	// The members of RegisterTaskDefinition that are used.
	var task struct {
		Family, NetworkMode, CPU, Memory string
		RequiresCompatibilities          []string
		ContainerDefinitions             []struct {
			Name, Image  string
			Essential    bool
			PortMappings []struct {
				ContainerPort int
				Protocol      string
			}
			HealthCheck struct {
				Command                                 []string
				Interval, Timeout, Retries, StartPeriod int
			}
			StopTimeout int
		}
	}
	read(t, "ecs-task-definition.json", &task)
	h := task.ContainerDefinitions[0].HealthCheck
	u, err := url.Parse(h.Command[len(h.Command)-1])
	if err != nil || u.Path != "/livez" {
		t.Fatalf("%v, %v: the container health check must ask /livez", u, err)
	}
	answered(t, u.Path)
	if h.Interval < 5 || h.Interval > 300 || h.Timeout < 2 || h.Timeout > 60 || h.Retries < 1 || h.Retries > 10 || h.StartPeriod > 300 {
		t.Errorf("%+v is outside of what ECS accepts", h)
	}
	if stop := task.ContainerDefinitions[0].StopTimeout; stop > 120 {
		t.Errorf("stopTimeout %d: Fargate accepts 120", stop)
	}
}

func TestALB(t *testing.T) {
	// The members of CreateTargetGroup that are used.
	var group struct {
		Name, Protocol, VpcID, TargetType                     string `json:",omitempty"`
		Port                                                  int
		HealthCheckProtocol, HealthCheckPort, HealthCheckPath string
		HealthCheckIntervalSeconds, HealthCheckTimeoutSeconds int
		HealthyThresholdCount, UnhealthyThresholdCount        int
		Matcher                                               struct{ HTTPCode string }
	}
	read(t, "alb-target-group.json", &group)
	if group.HealthCheckPath != "/readyz" {
		t.Errorf("the target group asks %s", group.HealthCheckPath)
	}
	answered(t, group.HealthCheckPath)
	if group.HealthCheckTimeoutSeconds >= group.HealthCheckIntervalSeconds {
		t.Error("the time-out must be less than the interval")
	}
	for _, n := range []int{group.HealthyThresholdCount, group.UnhealthyThresholdCount} {
		if n < 2 || n > 10 {
			t.Errorf("a threshold of %d; an ALB accepts 2 to 10", n)
		}
	}
}

func TestRoute53(t *testing.T) {
	// The members of CreateHealthCheck that are used.
	var check struct {
		CallerReference   string
		HealthCheckConfig struct {
			Type, FullyQualifiedDomainName, ResourcePath string
			Port, RequestInterval, FailureThreshold      int
			EnableSNI                                    bool
		}
	}
	read(t, "route53-health-check.json", &check)
	answered(t, check.HealthCheckConfig.ResourcePath)
	if i := check.HealthCheckConfig.RequestInterval; i != 10 && i != 30 {
		t.Errorf("an interval of %d; Route 53 accepts 10 and 30", i)
	}
}

// TestDeclare reads one manifest with both packages: health says which declared
// dependency has no check, depgraph which liveness looks at one.
func TestDeclare(t *testing.T) {
	const good = `{"service": "checkout", "owner": "team-pay", "depends": [{"on": "ledger"}, {"on": "sessions", "soft": true}]}`
	bad := strings.Replace(good, `{"on": "ledger"}`, `{"on": "ledger", "liveness": true}`, 1)
	findings := func(manifest string) (ids []string) {
		t.Helper()
		var all []depgraph.Service
		for _, text := range []string{manifest, `{"service": "ledger", "owner": "team-pay"}`, `{"service": "sessions", "owner": "team-pay"}`} {
			services, err := depgraph.ParseManifest("depgraph.json", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, services...)
		}
		g, err := depgraph.Compile(all, depgraph.Options{})
		if err != nil {
			t.Fatal(err)
		}
		found, err := g.Check(t.Context(), depgraph.CheckOptions{Only: []string{"DG006"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			ids = append(ids, f.Rule)
		}
		return ids
	}
	p := new(health.Process)
	if err := p.Declare([]byte(good)); err != nil {
		t.Fatal(err)
	}
	if r := p.Report(); strings.Join(r.Unchecked, " ") != "ledger sessions" {
		t.Errorf("declared and not checked: %q", r.Unchecked)
	}
	if ids := findings(good); len(ids) > 0 {
		t.Errorf("depgraph finds %q in a manifest that is fine", ids)
	}
	if err := p.Declare([]byte(bad)); err == nil || !strings.Contains(err.Error(), "liveness") {
		t.Errorf("health accepts a liveness that touches a dependency: %v", err)
	}
	if ids := findings(bad); len(ids) != 1 || ids[0] != "DG006" {
		t.Errorf("depgraph finds %q; want DG006", ids)
	}
}
