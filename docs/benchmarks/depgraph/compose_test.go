package depgraph

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/importer"
)

// The import of compose files against compose-go, which docker compose reads
// them with.

// composeFiles writes random files that use what people use: merge keys,
// overrides, resets, lists and mappings, extends, include, env files, shared
// namespaces and links.
func composeFiles(t *testing.T, r *rand.Rand) (dir string, files []string) {
	t.Helper()
	dir = t.TempDir()
	n := 3 + r.IntN(5)
	put := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	conditions := []string{"service_started", "service_healthy", "service_completed_successfully"}
	depends := func(v int, pad string) string { // on earlier services only: compose refuses circles
		if v == 0 {
			return ""
		}
		some := r.Perm(v)[:1+r.IntN(min(v, 2))]
		if r.IntN(2) == 0 {
			names := make([]string, len(some))
			for i, w := range some {
				names[i] = fmt.Sprintf("s%d", w)
			}
			return pad + "depends_on: [" + strings.Join(names, ", ") + "]\n"
		}
		text := pad + "depends_on:\n"
		for _, w := range some {
			text += fmt.Sprintf("%s  s%d: {condition: %s, required: %v}\n", pad, w, conditions[r.IntN(3)], r.IntN(4) > 0)
		}
		return text
	}
	environment := func(pad string) string {
		w, x := r.IntN(n), r.IntN(n)
		switch r.IntN(4) {
		case 0:
			return fmt.Sprintf("%senvironment: [\"A_URL=http://s%d:80\", \"B_URL=http://$${NOPE}s%d\", \"C_URL=http://${HOST_C:-s%d}:80\"]\n", pad, w, x, x)
		case 1:
			return fmt.Sprintf("%senvironment: {A_URL: \"http://s%d:80\", D_URL: \"http://${HOST_D}:80\"}\n", pad, w)
		case 2:
			return fmt.Sprintf("%senvironment:\n%s  <<: *env\n%s  A_URL: \"http://s%d:80\"\n", pad, pad, pad, w)
		}
		return pad + "environment: {}\n"
	}
	put(".env", fmt.Sprintf("HOST_D=s%d\n", r.IntN(n)))
	put("one.env", fmt.Sprintf("A_URL=http://s%d:80\nE_URL=http://s%d:80\n", r.IntN(n), r.IntN(n)))
	put("two.env", fmt.Sprintf("E_URL=http://s%d:80\n", r.IntN(n)))
	put("inc/more.yaml", fmt.Sprintf("services:\n  inc: {image: x, environment: {F_URL: \"http://s%d:80\"}}\n", r.IntN(n)))
	put("sub/base.yaml", fmt.Sprintf("services:\n  base: {image: x, environment: {G_URL: \"http://s%d:80\", A_URL: \"http://s%d:80\"}}\n", r.IntN(n), r.IntN(n)))
	var b strings.Builder
	fmt.Fprintf(&b, "x-env: &env {H_URL: \"http://s%d:80\", A_URL: \"http://s%d:80\"}\n", r.IntN(n), r.IntN(n))
	if r.IntN(2) == 0 {
		b.WriteString("include: [inc/more.yaml]\n")
	}
	b.WriteString("services:\n")
	for v := range n {
		fmt.Fprintf(&b, "  s%d:\n    image: x\n%s%s", v, depends(v, "    "), environment("    "))
		switch r.IntN(8) {
		case 5:
			if v > 0 {
				fmt.Fprintf(&b, "    extends: s%d\n", r.IntN(v))
			}
		case 4:
			if v > 0 {
				fmt.Fprintf(&b, "    links: [\"s%d:other\"]\n", r.IntN(v))
			}
		case 0:
			b.WriteString("    env_file: [one.env, two.env]\n")
		case 1:
			b.WriteString("    extends: {file: sub/base.yaml, service: base}\n")
		case 2:
			if v > 0 {
				fmt.Fprintf(&b, "    network_mode: \"service:s%d\"\n", r.IntN(v))
			}
		case 3:
			if v > 0 {
				fmt.Fprintf(&b, "    volumes_from: [\"s%d:ro\"]\n", r.IntN(v))
			}
		}
	}
	put("compose.yaml", b.String())
	files = []string{filepath.Join(dir, "compose.yaml")}
	if r.IntN(2) == 0 {
		b.Reset()
		fmt.Fprintf(&b, "x-env: &env {H_URL: \"http://s%d:80\"}\nservices:\n", r.IntN(n))
		v := r.IntN(n)
		fmt.Fprintf(&b, "  s%d:\n", v)
		switch r.IntN(4) {
		case 0:
			b.WriteString("    depends_on: !reset []\n")
		case 1:
			fmt.Fprintf(&b, "    environment: !override {A_URL: \"http://s%d:80\"}\n", r.IntN(n))
		case 2:
			b.WriteString(environment("    "))
		default:
			b.WriteString("    image: y\n" + depends(v, "    "))
		}
		put("more.yaml", b.String())
		files = append(files, filepath.Join(dir, "more.yaml"))
	}
	return dir, files
}

// theirs lists what compose-go makes of the files: "a waits for b started", and
// "a calls b" for every address.
func theirs(t *testing.T, dir string, files []string) ([]string, error) {
	t.Helper()
	o, err := cli.NewProjectOptions(files, cli.WithWorkingDirectory(dir), cli.WithName("p"), cli.WithEnvFiles(), cli.WithDotEnv, cli.WithResolvedPaths(true))
	if err != nil {
		return nil, err
	}
	p, err := o.LoadProject(context.Background())
	if err != nil {
		return nil, err
	}
	words := map[string]string{types.ServiceConditionStarted: "started", types.ServiceConditionHealthy: "ready", types.ServiceConditionCompletedSuccessfully: "done"}
	var all []string
	for name, s := range p.Services {
		for other, d := range s.DependsOn {
			strength := "hard"
			if !d.Required {
				strength = "soft"
			}
			all = append(all, fmt.Sprintf("%s waits %s for %s %s", name, strength, other, words[d.Condition]))
		}
		for _, value := range s.Environment {
			if value == nil {
				continue
			}
			if host, ok := strings.CutPrefix(strings.TrimSuffix(*value, ":80"), "http://"); ok && host != name {
				if _, known := p.Services[host]; known {
					all = append(all, name+" calls "+host)
				}
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

func oursOf(t *testing.T, files []string) []string {
	t.Helper()
	r, err := importer.Compose(files...)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, s := range r.Services {
		for _, d := range s.Depends {
			strength := "hard"
			if d.Soft {
				strength = "soft"
			}
			if d.Phase == depgraph.Startup || d.Until == depgraph.Done {
				all = append(all, fmt.Sprintf("%s waits %s for %s %s", s.Name, strength, d.On, d.Until))
			} else if strings.Contains(d.Source, " environment ") || strings.Contains(d.Source, " connection-string ") {
				all = append(all, s.Name+" calls "+d.On)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestCompose_agrees_with_compose_go(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 30
	}
	if times, err := strconv.Atoi(os.Getenv("FAILOPEN_ROUNDS")); err == nil {
		rounds *= times
	}
	compared := 0
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 11))
		dir, files := composeFiles(t, r)
		want, err := theirs(t, dir, files)
		if err != nil {
			if seed < 3 {
				t.Logf("seed %d: compose-go refuses: %v", seed, err)
			}
			continue // it checks more than we need
		}
		compared++
		if got := oursOf(t, files); !slices.Equal(got, want) {
			text := ""
			for _, f := range files {
				data, _ := os.ReadFile(f)
				text += f + "\n" + string(data)
			}
			t.Fatalf("seed %d\nours   %s\ntheirs %s\n%s", seed, strings.Join(got, "\n       "), strings.Join(want, "\n       "), text)
		}
	}
	if compared < rounds/2 {
		t.Errorf("compose-go accepted %d of %d", compared, rounds)
	}
	t.Logf("%d of %d sets of files compared", compared, rounds)
}
