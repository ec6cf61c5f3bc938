package importer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
)

func TestSystemd_keeps_order_and_requirement_apart(t *testing.T) {
	dir := write(t, map[string]string{
		"a.service":                "[Unit]\nDefaultDependencies=no\nRequires=b.service c.service\nAfter=b.service \\\n d.service missing.service\n",
		"a.service.d/add.conf":     "[Unit]\nWants=d.service\nBefore=e.target\n",
		"b.service":                "[Unit]\nDefaultDependencies=no\n",
		"c.service":                "[Unit]\nDefaultDependencies=no\n",
		"d.service":                "[Unit]\nDefaultDependencies=no\n# After=a.service\n",
		"e.target":                 "[Unit]\nDefaultDependencies=no\n",
		"e.target.wants/b.service": "",
		"x@.service":               "[Unit]\nAfter=a.service\n",
	})
	r, err := Systemd(dir)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, lines(t, r),
		"a.service -> b.service hard runtime", "a.service -> b.service hard startup until ready", "a.service -> c.service hard runtime",
		"a.service -> d.service soft runtime", "a.service -> d.service weak startup until ready", "e.target -> a.service weak startup until ready", "e.target -> b.service soft runtime")
}

// orderingCycles counts the circles of After and Before, whatever is required,
// that the rules report.
func orderingCycles(t *testing.T, r *Result) int {
	t.Helper()
	g, err := r.Graph()
	if err != nil {
		t.Fatal(err)
	}
	found, err := g.Check(context.Background(), depgraph.CheckOptions{Only: []string{"DG001", "DG017"}})
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

func TestSystemd_units_of_this_machine_have_no_ordering_cycle(t *testing.T) {
	const dir = "/lib/systemd/system"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no systemd units here")
	}
	r, err := Systemd(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Services) < 50 {
		t.Errorf("only %d units", len(r.Services))
	}
	if n := orderingCycles(t, r); n != 0 {
		t.Errorf("%d ordering cycles; systemd boots this machine", n)
	}
	t.Logf("%d units, %d edges", len(r.Services), r.Edges())
}

func TestSystemd_agrees_with_systemd_analyze(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze here")
	}
	sets := 40
	if testing.Short() {
		sets = 5
	}
	cyclic := 0
	for seed := range uint64(sets) {
		dir := write(t, randomUnits(rand.New(rand.NewPCG(seed, 7))))
		r, err := Systemd(dir)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(analyze, "verify", "--man=no", filepath.Join(dir, "all.target"))
		cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir, "SYSTEMD_LOG_LEVEL=info")
		out, _ := cmd.CombinedOutput() // its exit code does not tell
		theirs := strings.Contains(string(out), "ordering cycle")
		if ours := orderingCycles(t, r) > 0; ours != theirs {
			t.Errorf("seed %d: we find a cycle: %v, systemd: %v\n%s", seed, ours, theirs, out)
		}
		if theirs {
			cyclic++
		}
	}
	if cyclic == 0 || cyclic == sets {
		t.Errorf("%d of %d sets have cycles; the comparison shows nothing", cyclic, sets)
	}
}

// randomUnits makes services with random orders, all of them wanted by one target.
func randomUnits(r *rand.Rand) map[string]string {
	n := 3 + r.IntN(6)
	files := map[string]string{}
	all := "[Unit]\nDefaultDependencies=no\nWants="
	for i := range n {
		text := "[Unit]\nDefaultDependencies=no\n"
		for range 1 + r.IntN(2) {
			other := fmt.Sprintf("u%d.service", r.IntN(n))
			if other == fmt.Sprintf("u%d.service", i) {
				continue
			}
			text += []string{"After=", "Before=", "After=", "Requires="}[r.IntN(4)] + other + "\n"
		}
		name := fmt.Sprintf("u%d.service", i)
		files[name] = text + "[Service]\nType=oneshot\nExecStart=/bin/true\n"
		all += name + " "
	}
	files["all.target"] = all + "\n"
	return files
}

func TestSystemd_an_order_that_contradicts_itself_is_found(t *testing.T) {
	for name, units := range map[string]map[string]string{
		"three orders": {
			"x.service": "[Unit]\nAfter=y.service\n", "y.service": "[Unit]\nRequires=z.service\nAfter=z.service\n",
			"z.service": "[Unit]\nWants=x.service\nAfter=x.service\n", "all.target": "[Unit]\nWants=x.service y.service z.service\n",
		},
		"early, before a unit of the early boot": {
			"first.service": "[Unit]\nBefore=names.service\n[Service]\nType=oneshot\n",
			"names.service": "[Unit]\nDefaultDependencies=no\nBefore=sysinit.target\n",
		},
	} {
		r, err := Systemd(write(t, units))
		if err != nil {
			t.Fatal(err)
		}
		g, err := r.Graph()
		if err != nil {
			t.Fatal(err)
		}
		found, err := g.Check(context.Background(), depgraph.CheckOptions{Only: []string{"DG017"}})
		if err != nil || len(found) != 1 || !strings.Contains(found[0].Fix, "a start does not keep") {
			t.Errorf("%s: %+v, %v; want one ordering cycle", name, found, err)
		}
		if waves, blocked := g.Waves(); len(blocked) > 0 || len(waves) < 3 {
			t.Errorf("%s: waves %v, blocked %v", name, waves, blocked)
		}
	}
}

func TestSystemd_a_link_that_leads_nowhere_costs_one_unit(t *testing.T) {
	dir := write(t, map[string]string{
		"a.service": "[Unit]\nRequires=b.service gone.service\nAfter=b.service\nDefaultDependencies=no\n", "b.service": "[Unit]\nDefaultDependencies=no\n",
		"folder.service/x": "",
	})
	for name, to := range map[string]string{"gone.service": "nowhere", "gone@.service": "nowhere", "masked.service": os.DevNull} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Skip(err)
		}
	}
	r, err := Systemd(dir)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, lines(t, r), "a.service -> b.service hard startup until ready", "a.service -> b.service hard runtime")
	all := strings.Join(r.Warnings, "\n")
	for _, want := range []string{"folder.service: a folder with the name of a unit", "gone.service: a link that leads nowhere", "gone@.service: a link that leads nowhere", "a.service requires gone.service, which no file declares"} {
		if !strings.Contains(all, want) {
			t.Errorf("warnings %s; want %s", all, want)
		}
	}
}

func TestSystemd_reads_units_as_systemd_does(t *testing.T) {
	const plain = "[Unit]\nDefaultDependencies=no\n"
	dir := write(t, map[string]string{
		// Lists of dependencies cannot be reset; quotes and aliases are no part of a name.
		"a.service":               plain + "Requires=b.service\nRequires=\nWants='c.service' \\\n  \"d.service\"\nAfter=alias.service\nno sense\n",
		"b.service":               plain,
		"c.service":               plain + "[Service]\nSockets=x.socket\n",
		"d.service":               plain,
		"x.socket":                plain + "[Socket]\nListenStream=1\nService=other.service\n",
		"alias.service.wants/foo": "",
	})
	for link, to := range map[string]string{"alias.service": "again.service", "again.service": "b.service", "alias.service.wants/d.service": "../d.service", "outside.service": "/elsewhere/e.service"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Skip(err)
		}
	}
	r, err := Systemd(dir)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, lines(t, r),
		"a.service -> b.service hard startup until ready", "a.service -> b.service hard runtime",
		"a.service -> c.service soft runtime", "a.service -> d.service soft runtime",
		"b.service -> d.service soft runtime",
		"c.service -> x.socket soft runtime", "c.service -> x.socket weak startup until ready")
	for _, s := range r.Services {
		for _, d := range s.Depends {
			if s.Name == "a.service" && d.On == "d.service" && d.At.Line != 5 {
				t.Errorf("a continued line is named by its end: %s", d.At)
			}
		}
	}
	if all := strings.Join(r.Warnings, "\n"); !strings.Contains(all, "a.service:8: expected NAME=VALUE") {
		t.Errorf("warnings %s", all)
	}
}

// TestSystemd_etc_overrides_lib reads units of one name in two folders: systemd
// reads one of them, with the drop-ins of both.
func TestSystemd_etc_overrides_lib(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"lib/systemd/system/app.service":               "[Unit]\nRequires=old.service\n[Service]\nType=simple\n",
		"lib/systemd/system/app.service.d/more.conf":   "[Unit]\nWants=extra.service\n",
		"lib/systemd/system/old.service":               "[Service]\nType=simple\n",
		"lib/systemd/system/extra.service":             "[Service]\nType=simple\n",
		"lib/systemd/system/gone.service":              "[Unit]\nRequires=old.service\n",
		"etc/systemd/system/app.service":               "[Unit]\nRequires=new.service\n[Service]\nType=simple\n",
		"etc/systemd/system/new.service":               "[Service]\nType=simple\n",
		"etc/systemd/system/app.service.wants/x.empty": "",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/dev/null", filepath.Join(root, "etc/systemd/system/gone.service")); err != nil {
		t.Fatal(err)
	}
	lib, etc := filepath.Join(root, "lib/systemd/system"), filepath.Join(root, "etc/systemd/system")
	for _, paths := range [][]string{{lib, etc}, {etc, lib}} {
		res, err := Systemd(paths...)
		if err != nil {
			t.Fatal(err)
		}
		var needs []string
		for _, s := range res.Services {
			if s.Name == "gone.service" {
				t.Error("a unit that is masked is there")
			}
			for _, d := range s.Depends {
				if s.Name == "app.service" && d.Phase&depgraph.Runtime != 0 && strings.HasSuffix(d.On, ".service") {
					needs = append(needs, d.On)
				}
			}
		}
		if got := strings.Join(needs, " "); got != "extra.service new.service" {
			t.Errorf("%v: app.service needs %q", paths, got)
		}
		if n := len(res.Skipped["units that another folder overrides"]); n != 2 {
			t.Errorf("%v: skipped %v", paths, res.Skipped)
		}
	}
}
