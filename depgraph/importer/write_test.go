package importer

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
)

func TestWriteDir_never_overwrites_without_force(t *testing.T) {
	dir := write(t, map[string]string{"compose.yaml": "services: {'a/../b': {}, c: {depends_on: ['a/../b']}}"})
	r, err := Compose(filepath.Join(dir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	files, err := r.WriteDir(out, false)
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if filepath.Dir(f) != out {
			t.Errorf("%s is outside of the folder", f)
		}
	}
	if _, err := r.WriteDir(out, false); err == nil {
		t.Error("written twice without force")
	}
	if _, err := r.WriteDir(out, true); err != nil {
		t.Error(err)
	}
	g, err := depgraph.Load(context.Background(), depgraph.LoadOptions{Paths: []string{out}})
	if err != nil || g.Len() != 2 || g.EdgeCount() != 2 {
		t.Errorf("read back: %v, %v", g, err)
	}
}

func TestWriteDir_has_a_file_for_every_name(t *testing.T) {
	long := strings.Repeat("n", 300)
	r := &Result{}
	for _, name := range []string{"A", "a", "a b", "a/b", "a_b", long + "1", long + "2", "é", "ü", "plain"} {
		r.Services = append(r.Services, depgraph.Service{Name: name, Source: "x:1"})
	}
	check := func(dir string, files []string) {
		t.Helper()
		seen := map[string]bool{}
		for _, f := range files {
			seen[strings.ToLower(filepath.Base(f))] = true
		}
		g, err := depgraph.Load(context.Background(), depgraph.LoadOptions{Paths: []string{dir}})
		if err != nil || g.Len() != len(r.Services) || len(seen) != len(r.Services) || !seen["plain.depgraph.yaml"] {
			t.Errorf("%d services in %d files, of %d: %v", g.Len(), len(seen), len(r.Services), err)
		}
	}
	dir := t.TempDir()
	files, err := r.WriteDir(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	check(dir, files)

	// One that comes later finds its file, although its neighbour has the plain name.
	all, later := r.Services, filepath.Join(t.TempDir(), "later")
	r.Services = []depgraph.Service{all[3]}
	if _, err := r.WriteDir(later, false); err != nil {
		t.Fatal(err)
	}
	r.Services = all
	u, err := r.Compare(context.Background(), later)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Write(); err != nil || u.Kept != 1 {
		t.Fatal(u.Kept, err)
	}
	check(later, append(u.New, filepath.Join(later, "a_b.depgraph.yaml")))
}

func TestWriteDir_declares_nothing_twice(t *testing.T) {
	dir := write(t, map[string]string{
		"depgraph.yaml":      "service: mine\n---\nservice: a\nowner: me\n",
		"gone.depgraph.yaml": "service: gone\nsource: \"compose.yaml:9\"\n",
	})
	r := &Result{Services: []depgraph.Service{{Name: "a"}, {Name: "b"}}}
	_, err := r.WriteDir(dir, true)
	if err == nil || !strings.Contains(err.Error(), "depgraph.yaml:3: declares a already") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "b.depgraph.yaml")); err == nil {
		t.Error("something was written all the same")
	}
	r.Services = r.Services[1:]
	// A file that is overwritten may be broken.
	if err := os.WriteFile(filepath.Join(dir, "b.depgraph.yaml"), []byte("service: ["), 0o644); err != nil {
		t.Fatal(err)
	}
	gone, err := r.Leftover(context.Background(), dir)
	if err != nil || len(gone) != 1 || !strings.HasSuffix(gone[0], "gone.depgraph.yaml:1: gone is no longer in the source") {
		t.Errorf("%q, %v", gone, err)
	}
	if _, err := r.WriteDir(dir, true); err != nil {
		t.Error(err)
	}
}
