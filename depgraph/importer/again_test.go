package importer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
)

// imported is a result as an importer gives it: every edge has a source.
func imported(services ...depgraph.Service) *Result {
	for i := range services {
		services[i].Source = "compose.yaml:1"
		for j := range services[i].Depends {
			services[i].Depends[j].Source = "compose.yaml:2 depends_on"
		}
	}
	return &Result{Services: services, Unknown: []string{"Imported."}}
}

func TestCompare_says_what_only_one_side_has(t *testing.T) {
	on := func(names ...string) (all []depgraph.Dependency) {
		for _, name := range names {
			all = append(all, depgraph.Dependency{On: name})
		}
		return all
	}
	for name, c := range map[string]struct {
		manifest string
		result   *Result
		want     string
	}{
		"nothing yet":                        {"", imported(depgraph.Service{Name: "a"}), "new a.depgraph.yaml"},
		"the same":                           {"service: a\nsource: s\ndepends: [{on: b, source: s}]\n---\nservice: b\nsource: s\n", imported(depgraph.Service{Name: "a", Depends: on("b")}, depgraph.Service{Name: "b"}), "kept 2"},
		"an edge that people changed":        {"service: a\nsource: s\ndepends: [{on: b, soft: true, phase: [runtime], source: s}]\n---\nservice: b\nsource: s\n", imported(depgraph.Service{Name: "a", Depends: on("b")}, depgraph.Service{Name: "b"}), "kept 2"},
		"an edge that became one of a group": {"service: a\nsource: s\ndepends: [{any-of: [b, c], source: s}]\n---\nservice: b\nsource: s\n---\nservice: c\n", imported(depgraph.Service{Name: "a", Depends: on("b", "c")}, depgraph.Service{Name: "b"}), "kept 2"},
		"a group that became edges":          {"service: a\nsource: s\ndepends: [{on: b, source: s}, {on: c, source: s}]\n---\nservice: b\n---\nservice: c\n", imported(depgraph.Service{Name: "a", Depends: []depgraph.Dependency{{AnyOf: []string{"b", "c"}}}}), "kept 1"},
		"an edge that is missing":            {"service: a\nsource: s\n---\nservice: b\n", imported(depgraph.Service{Name: "a", Depends: on("b", "b")}), "kept 1\nhave.depgraph.yaml:1: a needs b (compose.yaml:2 depends_on), and the manifest does not say so"},
		"members of a group that are missing": {
			"service: a\nsource: s\n---\nservice: b\n", imported(depgraph.Service{Name: "a", Depends: []depgraph.Dependency{{AnyOf: []string{"x", "y"}}}}),
			"kept 1\nhave.depgraph.yaml:1: a needs x (compose.yaml:2 depends_on), and the manifest does not say so\nhave.depgraph.yaml:1: a needs y (compose.yaml:2 depends_on), and the manifest does not say so",
		},
		"an edge that is gone":          {"service: a\nsource: s\ndepends:\n  - {on: b, source: s}\n  - {on: b, phase: [deploy], source: s}\n---\nservice: b\n", imported(depgraph.Service{Name: "a"}), "kept 1\nhave.depgraph.yaml:4: a needs b, which the source no longer says"},
		"a group that is gone":          {"service: a\nsource: s\ndepends: [{any-of: [b, c], source: s}]\n---\nservice: b\n---\nservice: c\n", imported(depgraph.Service{Name: "a"}), "kept 1\nhave.depgraph.yaml:3: a needs b, which the source no longer says\nhave.depgraph.yaml:3: a needs c, which the source no longer says"},
		"an edge that people added":     {"service: a\nsource: s\ndepends: [{on: b}]\n---\nservice: b\n", imported(depgraph.Service{Name: "a"}), "kept 1"},
		"a service that is gone":        {"service: a\nsource: s\n", imported(depgraph.Service{Name: "b"}), "new b.depgraph.yaml\nhave.depgraph.yaml:1: a is no longer in the source"},
		"a service that people added":   {"service: a\n", imported(depgraph.Service{Name: "b"}), "new b.depgraph.yaml"},
		"a manifest that does not load": {"service: [\n", imported(depgraph.Service{Name: "b"}), "error have.depgraph.yaml:1: cannot parse: did not find expected node content"},
	} {
		files := map[string]string{}
		if c.manifest != "" {
			files["have.depgraph.yaml"] = c.manifest
		}
		dir := write(t, files)
		var got []string
		u, err := c.result.Compare(t.Context(), dir)
		if err != nil {
			got = []string{"error " + err.Error()}
		} else {
			for _, file := range u.New {
				got = append(got, "new "+file)
			}
			if u.Kept > 0 {
				got = append(got, "kept "+string(rune('0'+u.Kept)))
			}
			got = append(got, u.Differences...)
		}
		if s := strings.ReplaceAll(filepath.ToSlash(strings.Join(got, "\n")), filepath.ToSlash(dir)+"/", ""); s != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, s, c.want)
		}
	}
}

func TestCompare_a_file_in_the_way_is_not_overwritten(t *testing.T) {
	dir := write(t, map[string]string{"a.depgraph.yaml": "service: other\n"})
	_, err := imported(depgraph.Service{Name: "a"}).Compare(t.Context(), dir)
	failure(t, dir, err, `a.depgraph.yaml exists already, and declares no service "a"; nothing was written`)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := imported().Compare(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := imported().Leftover(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestUpdate_Write_adds_and_touches_nothing_else(t *testing.T) {
	dir := write(t, map[string]string{"a.depgraph.yaml": "service: a # mine\n"})
	r := imported(depgraph.Service{Name: "a"}, depgraph.Service{Name: "b"})
	u, err := r.Compare(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Write(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a.depgraph.yaml": "service: a # mine\n", "b.depgraph.yaml": "# Imported.\nservice: b\nsource: \"compose.yaml:1\"\n"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	// Somebody wrote one meanwhile: it stays.
	if err := u.Write(); !errors.Is(err, os.ErrExist) {
		t.Errorf("written twice: %v", err)
	}
	// A service that cannot be written leaves no half file.
	bad := imported(depgraph.Service{Name: "c\xff"})
	if u, err = bad.Compare(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if err := u.Write(); err == nil || !strings.Contains(err.Error(), "is not valid UTF-8") {
		t.Errorf("%v", err)
	}
	if files, err := filepath.Glob(filepath.Join(dir, "c*")); err != nil || len(files) != 0 {
		t.Errorf("left behind: %q, %v", files, err)
	}
	blocked := filepath.Join(dir, "a.depgraph.yaml", "sub")
	if u, err = r.Compare(t.Context(), filepath.Join(dir, "none")); err != nil {
		t.Fatal(err)
	}
	u.dir = blocked
	if err := u.Write(); err == nil {
		t.Error("written below a file")
	}
}

// full is a writer that takes n bytes.
type full struct{ n int }

var errFull = errors.New("no space left")

func (f *full) Write(p []byte) (int, error) {
	if len(p) > f.n {
		return f.n, errFull
	}
	f.n -= len(p)
	return len(p), nil
}

func TestWriteTo_reports_what_was_written(t *testing.T) {
	r := imported(depgraph.Service{Name: "a"})
	if n, err := r.WriteTo(&full{n: 5}); n != 5 || !errors.Is(err, errFull) {
		t.Errorf("%d, %v; want 5 bytes and the writer's error", n, err)
	}
	r = imported(depgraph.Service{Name: "a\xff"})
	if n, err := r.WriteTo(&full{n: 1000}); n != 0 || err == nil || !strings.Contains(err.Error(), "is not valid UTF-8") {
		t.Errorf("%d, %v; want nothing, and an error", n, err)
	}
}

func TestWriteDir_says_how_far_it_came(t *testing.T) {
	dir := t.TempDir()
	files, err := imported(depgraph.Service{Name: "a"}, depgraph.Service{Name: "b\xff"}).WriteDir(dir, false)
	if len(files) != 1 || err == nil {
		t.Errorf("%q, %v; want the first file, and an error", files, err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "c.depgraph.yaml"), 0o755); err != nil {
		t.Fatal(err)
	}
	if files, err = imported(depgraph.Service{Name: "c"}).WriteDir(dir, true); len(files) != 0 || err == nil {
		t.Errorf("%q, %v; want no file, and an error", files, err)
	}
	if files, err = imported(depgraph.Service{Name: "d"}).WriteDir(filepath.Join(dir, "a.depgraph.yaml", "x"), false); len(files) != 0 || err == nil {
		t.Errorf("%q, %v; want no file, and an error", files, err)
	}
	_, err = imported(depgraph.Service{Name: "a"}).WriteDir(dir, false)
	failure(t, dir, err, "a.depgraph.yaml exists already; nothing was written (--force overwrites)")
}

func TestResult_Edges_counts_pairs(t *testing.T) {
	r := &Result{Services: []depgraph.Service{
		{Name: "a", Depends: []depgraph.Dependency{{On: "b", Phase: depgraph.Startup}, {On: "b", Phase: depgraph.Runtime}, {AnyOf: []string{"b", "c"}}}},
		{Name: "b", Depends: []depgraph.Dependency{{On: "a"}}},
		{Name: "c"},
	}}
	if n := r.Edges(); n != 3 {
		t.Errorf("%d pairs, want 3", n)
	}
	if n := (&Result{}).Edges(); n != 0 {
		t.Errorf("%d pairs in nothing", n)
	}
}
