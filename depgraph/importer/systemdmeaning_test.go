package importer

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// units imports a folder of unit files; links are NAME: TARGET.
func units(t *testing.T, files, links map[string]string) string {
	t.Helper()
	dir := write(t, files)
	for name, to := range links {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, path); err != nil {
			t.Skip(err)
		}
	}
	r, err := Systemd(dir)
	if err != nil {
		return "error " + strings.ReplaceAll(err.Error(), filepath.ToSlash(dir)+"/", "")
	}
	return describe(dir, r)
}

// bare is a unit without default dependencies.
const bare = "[Unit]\nDefaultDependencies=no\n"

func TestSystemd_every_setting_that_is_read(t *testing.T) {
	other := func(names ...string) map[string]string {
		files := map[string]string{}
		for _, name := range names {
			files[name] = bare
		}
		return files
	}
	for name, c := range map[string]struct {
		unit   string // of a.service
		others []string
		want   string // of a.service alone
	}{
		"nothing":                     {"", nil, ""},
		"Requires":                    {"Requires=b.service", []string{"b.service"}, "-> b.service, hard runtime (a.service:3 Requires b.service)"},
		"Requisite":                   {"Requisite=b.service", []string{"b.service"}, "-> b.service, hard runtime (a.service:3 Requires b.service)"},
		"BindsTo":                     {"BindsTo=b.service", []string{"b.service"}, "-> b.service, hard runtime (a.service:3 Requires b.service)"},
		"Wants":                       {"Wants=b.service", []string{"b.service"}, "-> b.service, soft runtime (a.service:3 Wants b.service)"},
		"Upholds":                     {"Upholds=b.service", []string{"b.service"}, "-> b.service, soft runtime (a.service:3 Wants b.service)"},
		"After":                       {"After=b.service", []string{"b.service"}, "-> b.service, weak startup until ready (a.service:3 After b.service)"},
		"After and Requires":          {"After=b.service\nRequires=b.service", []string{"b.service"}, "-> b.service, hard startup until ready (a.service:3 After b.service)\n-> b.service, hard runtime (a.service:4 Requires b.service)"},
		"After and Wants":             {"After=b.service\nWants=b.service", []string{"b.service"}, "-> b.service, weak startup until ready (a.service:3 After b.service)\n-> b.service, soft runtime (a.service:4 Wants b.service)"},
		"Requires over Wants":         {"Wants=b.service\nRequires=b.service", []string{"b.service"}, "-> b.service, hard runtime (a.service:4 Requires b.service)"},
		"several, and again":          {"Wants=b.service c.socket\nWants=d.target", []string{"b.service", "c.socket", "d.target"}, "-> b.service, soft runtime (a.service:3 Wants b.service)\n-> c.socket, soft runtime (a.service:3 Wants c.socket)\n-> d.target, soft runtime (a.service:4 Wants d.target)"},
		"what is not there":           {"Requires=gone.service\nWants=gone.service\nAfter=gone.service", nil, "warning: a.service:3: a.service requires gone.service, which no file declares"},
		"no unit":                     {"Requires=nonsense b.conf", nil, ""},
		"Conflicts":                   {"Conflicts=b.service", []string{"b.service"}, ""},
		"Sockets":                     {"[Service]\nSockets=b.socket", []string{"b.socket"}, "-> b.socket, weak startup until ready (a.service:4 After b.socket)\n-> b.socket, soft runtime (a.service:4 Wants b.socket)"},
		"another section":             {"[Install]\nWantedBy=b.target\nRequires=b.target", []string{"b.target"}, ""},
		"names are exact":             {"requires=b.service", []string{"b.service"}, ""},
		"spaces around":               {"  Requires  =  b.service  ", []string{"b.service"}, "-> b.service, hard runtime (a.service:3 Requires b.service)"},
		"quotes":                      {`Requires="b.service" 'c.service'`, []string{"b.service", "c.service"}, "-> b.service, hard runtime (a.service:3 Requires b.service)\n-> c.service, hard runtime (a.service:3 Requires c.service)"},
		"specifiers":                  {"Requires=%N.socket %p-x.service", []string{"a.socket", "a-x.service"}, "-> a-x.service, hard runtime (a.service:3 Requires a-x.service)\n-> a.socket, hard startup until ready (a.socket:1 After a.socket)\n-> a.socket, hard runtime (a.service:3 Requires a.socket)"},
		"comments":                    {"# Requires=b.service\n; Requires=b.service\n\nWants=b.service", []string{"b.service"}, "-> b.service, soft runtime (a.service:6 Wants b.service)"},
		"a continued line":            {"Requires=\\\n# a comment within\n  b.service \\\n  c.service\nWants=d.service", []string{"b.service", "c.service", "d.service"}, "-> b.service, hard runtime (a.service:3 Requires b.service)\n-> c.service, hard runtime (a.service:3 Requires c.service)\n-> d.service, soft runtime (a.service:7 Wants d.service)"},
		"a continued line at the end": {"Requires=b.service \\", []string{"b.service"}, "-> b.service, hard runtime (a.service:3 Requires b.service)"},
		"a line without value":        {"nonsense\n[Unit", nil, "warning: a.service:3: expected NAME=VALUE; systemd leaves this line out"},
		"mounts":                      {"RequiresMountsFor=/srv/data /var", []string{"srv.mount", "var.mount", "srv-data.mount", "srv-datas.mount", "-.mount"}, "-> -.mount, hard startup until ready (a.service:3 After -.mount)\n-> -.mount, hard runtime (a.service:3 Requires -.mount)\n-> srv-data.mount, hard startup until ready (a.service:3 After srv-data.mount)\n-> srv-data.mount, hard runtime (a.service:3 Requires srv-data.mount)\n-> srv.mount, hard startup until ready (a.service:3 After srv.mount)\n-> srv.mount, hard runtime (a.service:3 Requires srv.mount)\n-> var.mount, hard startup until ready (a.service:3 After var.mount)\n-> var.mount, hard runtime (a.service:3 Requires var.mount)"},
		"itself":                      {"Requires=a.service\nAfter=a.service", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			files := other(c.others...)
			files["a.service"] = bare + c.unit
			if slices.Contains(c.others, "a.socket") {
				files["a.socket"] += "[Socket]\n"
			}
			all := units(t, files, nil)
			_, rest, _ := strings.Cut(all, "a.service, app\n")
			own := ""
			for _, line := range strings.Split(rest, "\n") {
				if !strings.HasPrefix(line, "  ") {
					break
				}
				own += strings.TrimPrefix(line, "  ") + "\n"
			}
			for _, line := range strings.Split(all, "\n") {
				if strings.HasPrefix(line, "warning") {
					own += line + "\n"
				}
			}
			same(t, own, c.want)
		})
	}
}

func TestSystemd_default_dependencies(t *testing.T) {
	for _, no := range []string{"no", "No", "false", "0", "off"} {
		same(t, units(t, map[string]string{"a.service": "[Unit]\nDefaultDependencies=" + no + "\n"}, nil), "a.service, app")
	}
	// Without the early targets among the files, the built-in ones are shown.
	same(t, units(t, map[string]string{"a.service": "", "b.mount": bare, "shutdown.target": bare}, nil), `
a.service, app
  -> basic.target, weak startup until ready (a.service:1 After basic.target)
  -> sysinit.target, hard startup until ready (a.service:1 After sysinit.target)
  -> sysinit.target, hard runtime (a.service:1 Requires sysinit.target)
b.mount, infra
basic.target, infra, built into systemd, not among the files
  -> sysinit.target, hard startup until ready (a.service:1 After sysinit.target)
  -> sysinit.target, hard runtime (a.service:1 Requires sysinit.target)
shutdown.target, infra
  -> a.service, weak startup until ready (a.service:1 After a.service)
sysinit.target, infra, built into systemd, not among the files`)
}

func TestSystemd_what_activates_comes_before_what_it_starts(t *testing.T) {
	for file, c := range map[string]struct{ text, service string }{
		"a.socket": {bare, "a.service"}, "a.timer": {bare, "a.service"}, "a.path": {bare, "a.service"},
		"b.socket": {bare + "[Socket]\nService=a.service\n", "a.service"},
		"b.timer":  {bare + "[Timer]\nUnit=a.service\n", "a.service"},
		"b.path":   {bare + "[Path]\nUnit=a.service\n", "a.service"},
	} {
		got := units(t, map[string]string{c.service: bare, file: c.text}, nil)
		if want := "a.service, app\n  -> " + file + ", weak startup until ready (" + file + ":1 After " + file + ")\n"; !strings.Contains(got, want) || strings.Count(got, "->") != 1 {
			t.Errorf("%s:\n%s", file, got)
		}
	}
	// Nothing is started that is not there.
	same(t, units(t, map[string]string{"b.socket": bare + "[Socket]\nService=gone.service\n"}, nil), "b.socket, infra")
	// With default dependencies, they come before the target of their sort.
	got := units(t, map[string]string{"a.timer": "", "timers.target": bare, "sysinit.target": bare, "basic.target": bare}, nil)
	if !strings.Contains(got, "timers.target, infra\n  -> a.timer, weak startup until ready (a.timer:1 After a.timer)\n") {
		t.Error(got)
	}
}

func TestSystemd_targets_wait_for_what_they_pull_in(t *testing.T) {
	same(t, units(t, map[string]string{
		"all.target": "[Unit]\nWants=a.mount b.mount c.mount d.mount\nRequires=e.mount\nBefore=c.mount\n",
		"a.mount":    "", "b.mount": "[Unit]\nAfter=all.target\n", "c.mount": "", "d.mount": bare, "e.mount": "",
	}, nil), `
a.mount, infra
all.target, infra
  -> a.mount, weak startup until ready (all.target:2 After a.mount)
  -> a.mount, soft runtime (all.target:2 Wants a.mount)
  -> b.mount, soft runtime (all.target:2 Wants b.mount)
  -> c.mount, soft runtime (all.target:2 Wants c.mount)
  -> d.mount, soft runtime (all.target:2 Wants d.mount)
  -> e.mount, hard startup until ready (all.target:3 After e.mount)
  -> e.mount, hard runtime (all.target:3 Requires e.mount)
b.mount, infra
  -> all.target, weak startup until ready (b.mount:2 After all.target)
c.mount, infra
  -> all.target, weak startup until ready (all.target:4 After all.target)
d.mount, infra
e.mount, infra`)
}

func TestSystemd_links_folders_and_drop_ins(t *testing.T) {
	same(t, units(t, map[string]string{
		"a.service": bare, "b.service": bare, "c.service": bare, "d.service": bare, "e@.service": bare,
		"a.service.wants/readme":       "x",
		"a.service.d/1.conf":           "[Unit]\nWants=c.service\n",
		"a.service.d/2.conf":           "[Unit]\nRequires=d.service\n",
		"a.service.d/notes.txt":        "[Unit]\nRequires=gone.service\n",
		"other.d/1.conf":               "[Unit]\nRequires=gone.service\n",
		"e@.service.d/1.conf":          "[Unit]\nWants=b.service\n",
		"a.service.requires/readme.md": "x",
	}, map[string]string{
		"a.service.wants/b.service": "../b.service", "a.service.requires/e@1.service": "../e@.service", "c-again.service": "c.service",
		"masked.service": "/dev/null", "b.service.wants/c-again.service": "../c.service",
	}), `
a.service, app
  -> b.service, soft runtime (a.service.wants Wants b.service)
  -> c.service, soft runtime (a.service.d/1.conf:2 Wants c.service)
  -> d.service, hard runtime (a.service.d/2.conf:2 Requires d.service)
  -> e@1.service, hard runtime (a.service.requires Requires e@1.service)
b.service, app
  -> c.service, soft runtime (b.service.wants Wants c.service)
c.service, app
d.service, app
e@1.service, app
  -> b.service, soft runtime (e@.service.d/1.conf:2 Wants b.service)`)
}

// TestSystemd_errors name the file that cannot be read.
func TestSystemd_errors_name_the_file(t *testing.T) {
	long := "[Unit]\nWants=" + strings.Repeat("x", 2<<20) + "\n"
	for name, files := range map[string]map[string]string{
		"a.service":           {"a.service": long},
		"a.service.d/x.conf":  {"a.service": bare, "a.service.d/x.conf": long},
		"b@.service":          {"a.service": bare + "Wants=b@1.service\n", "b@.service": long},
		"b@.service.d/x.conf": {"a.service": bare + "Wants=b@1.service\n", "b@.service": bare, "b@.service.d/x.conf": long},
	} {
		same(t, units(t, files, nil), "error "+name+":2: a line is longer than 1048576 bytes")
	}
	for name, text := range map[string]string{"a.service.wants": "", "a.service.requires": "", "a.service.d": ""} { // files where folders belong
		if got := units(t, map[string]string{name: text}, nil); name != "a.service.d" && !strings.HasPrefix(got, "error ") || strings.Contains(got, "a.service,") {
			t.Errorf("%s: %s", name, got)
		}
	}
	dir := write(t, map[string]string{"a.service": bare + "Wants=b.service\n", "b.service": bare})
	r, err := Systemd(filepath.Join(dir, "a.service"), filepath.Join(dir, "b.service")) // files, too
	if err != nil {
		t.Fatal(err)
	}
	same(t, describe(dir, r), "a.service, app\n  -> b.service, soft runtime (a.service:3 Wants b.service)\nb.service, app")
}

// TestSystemd_instances_that_name_further_instances had no end once.
func TestSystemd_instances_that_name_further_instances_end(t *testing.T) {
	// In a line: names get longer, and systemd takes 255 bytes.
	got := units(t, map[string]string{"a@.service": bare + "Wants=a@%ix.service\n", "b.service": bare + "Wants=a@.service a@x.service\n"}, nil)
	if n := strings.Count(got, "-> a@"); n != 245 {
		t.Errorf("%d instances, want 245: from a@x.service to one of 255 bytes", n)
	}
	// Each names two more.
	same(t, units(t, map[string]string{"a@.service": bare + "Wants=a@%i0.service a@%i1.service\n", "b.service": bare + "Wants=a@0.service\n"}, nil),
		"error a@.service:1: this template has more than 10000 instances, as they name each other")
}

func TestSystemd_names_of_units(t *testing.T) {
	for name, want := range map[string]string{
		"a.service": "unit", "a@1.service": "unit", "a@.service": "template", "a@.conf": "", "a": "", "a.d": "", ".service": "unit", "a.slice": "unit", "a.scope": "unit",
		strings.Repeat("x", 247) + ".service": "unit", strings.Repeat("x", 248) + ".service": "",
	} {
		got := ""
		switch {
		case isUnit(name):
			got = "unit"
		case isTemplate(name):
			got = "template"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{"a@1.service": "a@.service", "a@x.y.service": "a@.service", "a.service": "", "a@.service": "", "a@b@c.timer": "a@.timer"} {
		if got := templateOf(name); got != want {
			t.Errorf("template of %q: %q, want %q", name, got, want)
		}
	}
	for value, want := range map[string]string{"x": "x", "%i": "one", "%I": "one", "%p": "a", "%n": "a@one.service", "%N": "a@one", "100%%": "100%", "%x": "%x"} {
		if got := specifiers(value, "a@one.service"); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

func TestSystemd_where_a_mount_is(t *testing.T) {
	for name, want := range map[string]string{
		"srv.mount": "/srv", "srv-data.mount": "/srv/data", "-.mount": "/", `srv-a\x2db.mount`: "/srv/a-b", `srv-a\xzz.mount`: `/srv/a\xzz`,
		`media-f\xc3\xbcr-uns.mount`: "/media/für/uns", `srv-\xe2\x82\xac.mount`: "/srv/€", // a letter may have several bytes
	} {
		if got := where(name, &unit{}); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got := where("x.mount", &unit{where: "/srv//data/"}); got != "/srv/data" {
		t.Errorf("%s", got)
	}
	for _, c := range []struct {
		path, mount string
		want        bool
	}{{"/srv", "/srv", true}, {"/srv/a", "/srv", true}, {"/srv", "/", true}, {"/srvs", "/srv", false}, {"/", "/srv", false}} {
		if got := within(c.path, c.mount); got != c.want {
			t.Errorf("%s within %s: %v", c.path, c.mount, got)
		}
	}
}

func TestSystemd_aliases_of_aliases_and_circles(t *testing.T) {
	s := systemd{
		units:   map[string]*unit{"real.service": {}},
		aliases: map[string]string{"a.service": "b.service", "b.service": "real.service", "x.service": "y.service", "y.service": "x.service", "z.service": "gone.service"},
	}
	for name, want := range map[string]string{"a.service": "real.service", "b.service": "real.service", "real.service": "real.service", "x.service": "x.service", "z.service": "z.service", "other.service": "other.service"} {
		if got := s.aliased(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestSystemd_folders_have_a_rank(t *testing.T) {
	for path, want := range map[string]int{"/etc/systemd/system/a.service": 0, "/run/systemd/system/a.service": 1, "/lib/systemd/system/a.service": 2, "/usr/lib/systemd/system/a.service": 2, "a.service": 2} {
		if got := folderRank(path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
}

// TestSystemd_of_two_folders_without_a_rank: neither is /etc nor /run.
func TestSystemd_of_two_folders_without_a_rank_the_first_counts(t *testing.T) {
	dir := write(t, map[string]string{
		"one/a.service": bare + "Wants=b.service\n", "two/a.service": bare + "Wants=c.service\n", "two/b.service": bare, "two/c.service": bare,
	})
	for _, c := range []struct{ first, second, want string }{
		{"one", "two", "a.service, app\n  -> b.service, soft runtime (one/a.service:3 Wants b.service)\nb.service, app\nc.service, app\nskipped units that another folder overrides: two/a.service"},
		{"two", "one", "a.service, app\n  -> c.service, soft runtime (two/a.service:3 Wants c.service)\nb.service, app\nc.service, app\nskipped units that another folder overrides: one/a.service"},
	} {
		r, err := Systemd(filepath.Join(dir, c.first), filepath.Join(dir, c.second))
		if err != nil {
			t.Fatal(err)
		}
		same(t, describe(dir, r), c.want)
	}
}

// TestSystemd_the_same_each_time: units are kept in maps.
func TestSystemd_the_same_each_time(t *testing.T) {
	files := map[string]string{}
	for _, name := range []string{"a", "b", "c", "d"} {
		files[name+".service"] = "[Unit]\nAfter=a.service b.service\nBefore=c.service\nRequires=b.service d.service\nWants=a.service gone.service\n"
	}
	files["all.target"] = "[Unit]\nWants=a.service b.service c.service\nRequires=a.service\n"
	dir := write(t, files)
	first := ""
	for range 20 {
		r, err := Systemd(dir)
		if err != nil {
			t.Fatal(err)
		}
		got := describe(dir, r)
		if first == "" {
			first = got
		}
		if got != first {
			t.Fatalf("%s\nbefore\n%s", got, first)
		}
	}
	if kept := slices.Sorted(maps.Keys(files)); !strings.Contains(first, kept[0]+", app") {
		t.Error(first)
	}
}
