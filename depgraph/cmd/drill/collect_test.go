package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/fault"
	"github.com/failopen/failopen/depgraph/drill/presets"
)

// helperDrills is a service's test run: it drills what a manifest of
// TestMatrix_of_manifests declares, and records the verdicts.
func helperDrills(t drill.TB, dependency string) {
	injector := fault.New(fault.Options{})
	for _, f := range drill.Faults(dependency)[:3] {
		drill.Test(t, drill.Experiment{
			Service: "shop", Dependency: dependency, Rules: f.Rules, Fault: drill.Rules(injector, f.Rules...),
			Target: drill.Answers(func(ctx context.Context, _ int64) drill.Answer {
				hit := injector.Next(ctx, fault.Call{Service: dependency})
				if hit != nil && dependency == "stock" {
					return drill.Answer{Err: fmt.Errorf("no stock")}
				}
				return drill.Answer{}
			}),
			Steady: time.Second, Watch: time.Second, Recovery: 5 * time.Second,
		})
	}
}

func TestMatrix_of_manifests(t *testing.T) {
	dir := t.TempDir()
	manifest := filepath.Join(dir, "depgraph.yaml")
	write := func(text string) {
		if err := os.WriteFile(manifest, []byte("service: shop\ndepends:\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := func(drills string) (int, []drill.Cell, string) {
		t.Setenv("FAILOPEN_HELPER_DRILLS", drills)
		code, stdout, stderr := here(t, "matrix", "-d", dir, "-f", "json", "--", self, "-test.run", "^TestHelperDrills$")
		var cells []drill.Cell
		if err := json.Unmarshal([]byte(stdout), &cells); err != nil {
			t.Fatalf("%v\n%s%s", err, stdout, stderr)
		}
		return code, cells, stderr
	}
	write("  - on: prices\n    soft: true\n")
	code, cells, stderr := run("prices")
	if code != 0 || len(cells) != 3 || cells[0] != (drill.Cell{Dependency: "shop -> prices", Fault: "denied"}) || cells[2].Fault != "throttled" {
		t.Errorf("exit code %d, %+v\n%s", code, cells, stderr)
	}
	write("  - on: prices\n    soft: true\n  - on: stock\n    soft: true\n")
	if code, _, stderr = run("prices"); code != 4 || !strings.Contains(stderr, manifest+":5: shop -> stock is declared soft, and no drill has tried it") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	if code, cells, stderr = run("prices stock"); code != 1 || len(cells) != 6 || cells[3].Verdict != drill.Deviated || !strings.Contains(cells[3].Reason, manifest+":5") {
		t.Errorf("exit code %d, %+v\n%s", code, cells, stderr)
	}
	if code, _, stderr := here(t, "matrix", "-d", dir); code != 4 || !strings.Contains(stderr, "0 verdicts on 2 soft dependencies") || !strings.Contains(stderr, "-- go test") {
		t.Errorf("without a command or proofs: exit code %d, %s", code, stderr)
	}
	for dependency, hits := range map[string]int64{"prices": 7, "stock": 0} {
		proof := depgraph.Proof{Service: "shop", Dependency: dependency, Verdict: "held", Hits: hits, Rules: "sha256:" + strings.Repeat("0", 64), At: time.Now()}
		if _, err := depgraph.AppendProof(filepath.Join(dir, depgraph.ProofFile), proof); err != nil {
			t.Fatal(err)
		}
	}
	if code, stdout, stderr := here(t, "matrix", "-d", dir); code != 4 || !strings.Contains(stdout, "held") || !strings.Contains(stderr, "shop -> stock is declared soft, and no drill has tried it") {
		t.Errorf("with the proofs beside the manifests, of which one has hit nothing: exit code %d, %s%s", code, stdout, stderr)
	}
}

func TestHelperDrills(t *testing.T) {
	for _, dependency := range strings.Fields(os.Getenv("FAILOPEN_HELPER_DRILLS")) {
		if os.Getenv(drill.ProofEnv) == "" {
			t.Skip("it is for TestMatrix_of_manifests")
		}
		synctest.Test(t, func(t *testing.T) { helperDrills(t, dependency) })
	}
}

// No experiment takes the place of another one, however alike the names are.
func TestPlan_each_edge_has_its_file(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	services := map[string]string{"a.b": "c", "a-b": "c", "A-b": "c", "x-without-y": "z", "x": "y-without-z", "plain": "other"}
	var text strings.Builder
	for service, on := range services {
		fmt.Fprintf(&text, "---\nservice: %s\ndepends:\n  - on: %s\n    soft: true\n", service, on)
	}
	if err := os.WriteFile(filepath.Join(dir, "depgraph.yaml"), []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := here(t, "plan", "-d", dir, "-o", out); code != 0 {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	files, err := filepath.Glob(filepath.Join(out, "*.json"))
	if err != nil || len(files) != len(services) {
		t.Errorf("%q, %v; want one for each of %d edges", files, err, len(services))
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil {
			_, err = presets.Parse(text)
		}
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	if _, err := os.Stat(filepath.Join(out, "plain-without-other.json")); err != nil {
		t.Error(err)
	}
}
