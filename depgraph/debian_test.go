package depgraph

import (
	"bufio"
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/depgraph/internal/rounds"
)

// debian reads the package index of the machine as a service graph: a package
// is a service, Depends and Pre-Depends are hard edges, alternatives and
// virtual packages are groups. It is the largest real graph with groups that
// is always at hand.
func debian(t testing.TB) []Service {
	t.Helper()
	helper := "/usr/lib/apt/apt-helper"
	lists, _ := filepath.Glob("/var/lib/apt/lists/*_main_binary-*_Packages*")
	if len(lists) == 0 {
		t.Skip("no package index here (run apt-get update)")
	}
	out, err := exec.Command(helper, append([]string{"cat-file"}, lists...)...).Output()
	if err != nil {
		t.Skipf("cannot read the package index: %v", err)
	}
	providers, depends := map[string][]string{}, map[string]string{}
	var name string
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch key {
		case "Package":
			name = value
			if _, ok := depends[name]; !ok {
				providers[name] = append([]string{name}, providers[name]...)
			}
			depends[name] = ""
		case "Depends", "Pre-Depends":
			depends[name] += ", " + value
		case "Provides":
			for _, p := range strings.Split(value, ",") {
				p, _, _ := strings.Cut(strings.TrimSpace(p), " ")
				if !slices.Contains(providers[p], name) {
					providers[p] = append(providers[p], name)
				}
			}
		}
	}
	if len(depends) < 1000 {
		t.Skipf("the package index has only %d packages", len(depends))
	}
	services := make([]Service, 0, len(depends))
	for name, text := range depends {
		services = append(services, Service{Name: name, Depends: debianDepends(name, text, depends, providers)})
	}
	slices.SortFunc(services, func(a, b Service) int { return strings.Compare(a.Name, b.Name) })
	r := rand.New(rand.NewPCG(4, 4))
	for i := range services {
		services[i].Availability.Own = 99 + r.Float64()
	}
	return services
}

func debianDepends(name, text string, real map[string]string, providers map[string][]string) []Dependency {
	var deps []Dependency
	seen := map[string]bool{}
	for _, clause := range strings.Split(text, ",") {
		var any []string
		for _, alternative := range strings.Split(clause, "|") {
			p, _, _ := strings.Cut(strings.TrimSpace(alternative), " ")
			p, _, _ = strings.Cut(p, ":")
			for _, candidate := range providers[p] {
				if _, ok := real[candidate]; ok && !slices.Contains(any, candidate) {
					any = append(any, candidate)
				}
			}
		}
		slices.Sort(any)
		key := strings.Join(any, " ")
		if len(any) == 0 || slices.Contains(any, name) || seen[key] {
			continue // provided by itself, or by nothing in this index
		}
		seen[key] = true
		if len(any) == 1 {
			deps = append(deps, Dependency{On: any[0]})
		} else {
			deps = append(deps, Dependency{AnyOf: any})
		}
	}
	return deps
}

var debianRoots = []string{
	"gnome", "kde-full", "chromium", "libreoffice", "apache2", "postgresql", "systemd", "docker.io",
	"nginx", "git", "texlive-full", "build-essential", "python3", "openssh-server", "firefox-esr", "default-jdk",
}

func TestDebian_package_index(t *testing.T) {
	if rounds.Short() {
		t.Skip("takes seconds")
	}
	g := mustCompile(t, debian(t))
	t.Logf("%d packages, %d edges, %d groups", g.Len(), g.EdgeCount(), g.GroupCount())
	ctx := context.Background()
	began := time.Now()
	components, err := g.Cycles(ctx, CyclesOptions{HardOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	cyclesDone := time.Now()
	counts, err := g.BlastAll(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("cycles and minimum sets %s, all blast radii %s", cyclesDone.Sub(began), time.Since(cyclesDone))
	proven, largest := 0, 0
	for i := range components {
		checkComponent(t, &components[i])
		largest = max(largest, len(components[i].Services))
		if components[i].ProvenMinimum {
			proven++
		} else if len(components[i].Services) <= maxExact {
			t.Errorf("a component of %d is not proven", len(components[i].Services))
		}
	}
	t.Logf("%d components, the largest of %d, %d minimum sets proven", len(components), largest, proven)
	r := rand.New(rand.NewPCG(5, 5))
	for range 50 {
		v := r.IntN(g.Len())
		b, err := g.Blast(BlastOptions{}, g.services[v].Name)
		if err != nil || counts[v] != len(b.Down) {
			t.Errorf("%s: all at once %d, alone %d, %v", g.services[v].Name, counts[v], len(b.Down), err)
		}
	}
	for _, name := range debianRoots {
		if !g.Has(name) {
			continue
		}
		began := time.Now()
		a, err := g.Availability(ctx, name, AvailOptions{})
		if err != nil || !a.Exact {
			t.Errorf("%s: %+v, %v", name, a, err)
			continue
		}
		took := time.Since(began)
		est, err := g.Availability(ctx, name, AvailOptions{MaxNodes: 2, Samples: 20_000})
		if err != nil || math.Abs(est.Availability-a.Availability) > 5*est.StdErr+1e-12 {
			t.Errorf("%s: exact %v, sampled %v +- %v, %v", name, a.Availability, est.Availability, est.StdErr, err)
		}
		t.Logf("%-16s %5d packages  %.6f  %s", name, a.Needs, a.Availability, took)
	}
}
