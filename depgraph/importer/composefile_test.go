package importer

import (
	"path/filepath"
	"strings"
	"testing"
)

// composed reads the named files below dir, compose.yaml without any, and writes
// out the services as they are after overrides, one a line.
func composed(t *testing.T, dir string, names ...string) string {
	t.Helper()
	if names == nil {
		names = []string{"compose.yaml"}
	}
	var files []string
	for _, name := range names {
		files = append(files, filepath.Join(dir, name))
	}
	p, err := loadProject(files)
	if err != nil {
		return "error " + strings.ReplaceAll(err.Error(), filepath.ToSlash(dir)+"/", "")
	}
	var all []string
	for _, name := range (&compose{p: p}).names() {
		all = append(all, name+" "+flow(p.services[name]))
	}
	for _, w := range p.warnings {
		all = append(all, "warning: "+strings.ReplaceAll(w, filepath.ToSlash(dir)+"/", ""))
	}
	return strings.Join(all, "\n")
}

// TestCompose_override_by_kind_of_field lays b.yaml over a.yaml, as docker
// compose does: see "Merge Compose files" in its documentation.
func TestCompose_override_by_kind_of_field(t *testing.T) {
	for name, c := range map[string]struct{ a, b, want string }{
		"a text is replaced":              {"{image: one}", "{image: two}", "{image: two}"},
		"a new field is added":            {"{image: one}", "{hostname: h}", "{image: one, hostname: h}"},
		"lists grow":                      {"{links: [b]}", "{links: [c]}", "{links: [b, c]}"},
		"a command is replaced":           {"{command: [a, b]}", "{command: [c]}", "{command: [c]}"},
		"an entrypoint is replaced":       {"{entrypoint: [a, b]}", "{entrypoint: [c]}", "{entrypoint: [c]}"},
		"a health check's test, too":      {"{healthcheck: {test: [a], timeout: 1s}}", "{healthcheck: {test: [b]}}", "{healthcheck: {test: [b], timeout: 1s}}"},
		"mappings by key":                 {"{environment: {A: 1, B: 2}}", "{environment: {B: 3, C: 4}}", "{environment: {A: 1, B: 3, C: 4}}"},
		"a list over a mapping":           {"{environment: {A: 1, B: 2}}", "{environment: [B=3, C]}", "{environment: {A: 1, B: 3, C: }}"},
		"a mapping over a list":           {"{environment: [A=1, B=x=y]}", "{environment: {A: 2}}", "{environment: {A: 2, B: x=y}}"},
		"depends_on as lists":             {"{depends_on: [b]}", "{depends_on: [c]}", "{depends_on: {b: , c: }}"},
		"depends_on in both forms":        {"{depends_on: [b]}", "{depends_on: {b: {condition: service_healthy}}}", "{depends_on: {b: {condition: service_healthy}}}"},
		"a mapping over a text":           {"{extends: b}", "{extends: {service: c}}", "{extends: {service: c}}"},
		"reset of a field":                {"{image: one, links: [b]}", "{links: !reset []}", "{image: one}"},
		"reset of a key":                  {"{environment: {A: 1, B: 2}}", "{environment: {A: !reset null}}", "{environment: {B: 2}}"},
		"reset of what is not there":      {"{image: one}", "{links: !reset null, networks: {n: {aliases: !reset []}}}", "{image: one, networks: {n: {}}}"},
		"override of a list":              {"{links: [b]}", "{links: !override [c]}", "{links: [c]}"},
		"override of a mapping":           {"{environment: {A: 1}}", "{environment: !override {B: 2}}", "{environment: {B: 2}}"},
		"override of a list as a mapping": {"{environment: {A: 1}}", "{environment: !override [B=2]}", "{environment: {B: 2}}"},
		"reset of a list as a mapping":    {"{environment: {A: 1}}", "{environment: !reset [B=2]}", "{}"},
		"nothing over something":          {"{image: one}", "", "{image: one}"},
		"something over nothing":          {"", "{image: one}", "{image: one}"},
	} {
		if c.a == "" {
			c.a = "{}"
		}
		if c.b == "" {
			c.b = "{}"
		}
		dir := write(t, map[string]string{"a.yaml": "services: {x: " + strings.Replace(c.a, "extends", "x-extends", 1) + "}", "b.yaml": "services: {x: " + strings.Replace(c.b, "extends", "x-extends", 1) + "}"})
		if got, want := composed(t, dir, "a.yaml", "b.yaml"), "x "+strings.Replace(c.want, "extends", "x-extends", 1); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, want)
		}
	}
}

func TestCompose_extends(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a text": {map[string]string{"compose.yaml": "services:\n  a: {extends: b, image: x}\n  b: {image: y, hostname: h}\n"}, "a {image: x, hostname: h, extends: b}\nb {image: y, hostname: h}"},
		"three in a row": {
			map[string]string{"compose.yaml": "services:\n  a: {extends: {service: b}}\n  b: {extends: {service: c}, image: y}\n  c: {image: z, hostname: h}\n"},
			"a {image: y, hostname: h, extends: {service: b}}\nb {image: y, hostname: h, extends: {service: c}}\nc {image: z, hostname: h}",
		},
		"two of one": {
			map[string]string{"compose.yaml": "services:\n  a: {extends: c, image: x}\n  b: {extends: c, image: y}\n  c: {hostname: h}\n"},
			"a {hostname: h, extends: c, image: x}\nb {hostname: h, extends: c, image: y}\nc {hostname: h}",
		},
		"of a file beside": {
			map[string]string{"compose.yaml": "services:\n  a: {extends: {file: sub/f.yaml, service: b}}\n", "sub/f.yaml": "services: {b: {image: y}, c: {image: z}}\n"},
			"a {image: y, extends: {file: sub/f.yaml, service: b}}",
		},
		"of a file, which extends another file, from its own folder": {
			map[string]string{
				"compose.yaml": "services:\n  a: {extends: {file: sub/f.yaml, service: b}}\n",
				"sub/f.yaml":   "services: {b: {extends: {file: g.yaml, service: c}}}\n", "sub/g.yaml": "services: {c: {image: z}}\n",
			},
			"a {image: z, extends: {file: sub/f.yaml, service: b}}",
		},
		"a circle": {
			map[string]string{"compose.yaml": "services:\n  a: {extends: b}\n  b: {extends: a}\n"}, "error compose.yaml:2: a extends itself",
		},
		"a circle over two files": {
			map[string]string{"compose.yaml": "services: {a: {extends: {file: f.yaml, service: b}}}", "f.yaml": "services: {b: {extends: {file: g.yaml, service: c}}}", "g.yaml": "services: {c: {extends: {file: f.yaml, service: b}}}"},
			"error f.yaml:1: b extends itself",
		},
		"a file that is absent": {
			map[string]string{"compose.yaml": "services:\n  a:\n    extends: {file: gone.yaml, service: b}\n"}, "error compose.yaml:3: extends: stat gone.yaml: no such file or directory",
		},
		"a file without the service": {
			map[string]string{"compose.yaml": "services:\n  a: {extends: {file: f.yaml, service: b}}\n", "f.yaml": "services: {c: {}}"}, `error compose.yaml:2: a extends "b", which is not in f.yaml`,
		},
		"a file with a bad service": {
			map[string]string{"compose.yaml": "services:\n  a: {extends: {file: f.yaml, service: b}}\n", "f.yaml": "services: {b: {links: 5}}"}, "error compose.yaml:2: extends: f.yaml:1: b: links: expected a list of texts",
		},
		"no name": {map[string]string{"compose.yaml": "services:\n  a: {extends: {}}\n"}, `error compose.yaml:2: a extends "", which is not in these files`},
	} {
		dir := write(t, c.files)
		if got := composed(t, dir); strings.ReplaceAll(got, dir+"/", "") != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, c.want)
		}
	}
}

// TestCompose_extends_what_was_there_before_any_override: "docker compose"
// looks up the other service in the file that extends it.
func TestCompose_extends_what_was_there_before_any_override(t *testing.T) {
	dir := write(t, map[string]string{
		"a.yaml": "services:\n  a: {extends: b}\n  b: {image: first}\n",
		"b.yaml": "services:\n  b: {image: second}\n",
	})
	same(t, composed(t, dir, "a.yaml", "b.yaml"), "a {image: first, extends: b}\nb {image: second}")
}

func TestCompose_include(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a text and a mapping": {
			map[string]string{"compose.yaml": "include: [one.yaml, {path: two.yaml}]", "one.yaml": "services: {a: {}}", "two.yaml": "services: {b: {}}"}, "a {}\nb {}",
		},
		"several paths override each other": {
			map[string]string{"compose.yaml": "include: [{path: [one.yaml, two.yaml]}]", "one.yaml": "services: {a: {image: x, hostname: h}}", "two.yaml": "services: {a: {image: y}}"}, "a {image: y, hostname: h}",
		},
		"what includes overrides": {
			map[string]string{"compose.yaml": "include: [one.yaml]\nservices: {a: {image: mine}}", "one.yaml": "services: {a: {image: x}}"}, "a {image: mine}",
		},
		"from another machine": {
			map[string]string{"compose.yaml": "include: ['https://example.com/c.yaml', {path: 'oci://example.com/c'}, 'oci:x', one.yaml]", "one.yaml": "services: {a: {}}"},
			"a {}\nwarning: compose.yaml:1: https://example.com/c.yaml is not on this machine; the include is left out\nwarning: compose.yaml:1: oci://example.com/c is not on this machine; the include is left out\nwarning: compose.yaml:1: oci:x is not on this machine; the include is left out",
		},
		"within what is included": {
			map[string]string{"compose.yaml": "include: [sub/one.yaml]", "sub/one.yaml": "include: [two.yaml]", "sub/two.yaml": "services: {a: {image: '${V}'}}", "sub/.env": "V=sub"}, "a {image: sub}",
		},
		"variables of the including file win": {
			map[string]string{"compose.yaml": "include: [sub/one.yaml]", "sub/one.yaml": "services: {a: {image: '${V}${W}'}}", "sub/.env": "V=sub\nW=sub", ".env": "V=top"}, "a {image: topsub}",
		},
		"two env_files": {
			map[string]string{"compose.yaml": "include: [{path: one.yaml, env_file: [x.env, y.env]}]", "one.yaml": "services: {a: {image: '${V}${W}'}}", "x.env": "V=x\nW=x", "y.env": "W=y"}, "a {image: xy}",
		},
		"a file that is absent": {map[string]string{"compose.yaml": "include:\n- gone.yaml\n"}, "error compose.yaml:2: include: stat gone.yaml: no such file or directory"},
		"a circle": {
			map[string]string{"compose.yaml": "include: [one.yaml]", "one.yaml": "include: [compose.yaml]"},
			"error compose.yaml:1: include: one.yaml:1: include: compose.yaml: includes itself, by way of compose.yaml, one.yaml",
		},
		"a file with an error": {
			map[string]string{"compose.yaml": "include: [one.yaml]", "one.yaml": "services:\n  a: 5\n"}, "error compose.yaml:1: include: one.yaml:2: a: expected a mapping",
		},
		"nothing":             {map[string]string{"compose.yaml": "include: []\nservices: {a: {}}"}, "a {}"},
		"no path":             {map[string]string{"compose.yaml": "include: [{}]\nservices: {a: {}}"}, "a {}"},
		"no services":         {map[string]string{"compose.yaml": "name: x\nversion: '3'\n"}, "error compose.yaml:1: no services here; is it a compose file?"},
		"services are null":   {map[string]string{"compose.yaml": "services:\n"}, ""},
		"services are a list": {map[string]string{"compose.yaml": "services:\n- a\n"}, "error compose.yaml:2: services: expected a mapping"},
		"several documents":   {map[string]string{"compose.yaml": "services: {a: {image: x}}\n---\nservices: {a: {hostname: h}, b: {}}\n"}, "a {image: x, hostname: h}\nb {}"},
		"only comments":       {map[string]string{"compose.yaml": "# later\n"}, "error compose.yaml: the file is empty"},
	} {
		dir := write(t, c.files)
		if got := composed(t, dir); strings.ReplaceAll(got, dir+"/", "") != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, c.want)
		}
	}
}

func TestCompose_finds_projects_below_a_folder(t *testing.T) {
	dir := write(t, map[string]string{
		"compose.yml": "", "docker-compose.yaml": "", "compose.override.yaml": "", "compose.override.yml": "", // the first name of each counts
		"a/docker-compose.yml": "", "a/docker-compose.override.yml": "", "a/compose.override.yaml": "", // that of the same name
		"b/c/d/compose.yaml": "", "e/compose.prod.yaml": "", "f/other.yaml": "",
		".git/compose.yaml": "", "node_modules/x/compose.yaml": "", "a/vendor/compose.yaml": "",
	})
	projects, err := composeProjects([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, files := range projects {
		all = append(all, strings.ReplaceAll(filepath.ToSlash(strings.Join(files, " + ")), filepath.ToSlash(dir)+"/", ""))
	}
	same(t, strings.Join(all, "\n"), `
compose.yml + compose.override.yaml
a/docker-compose.yml + a/docker-compose.override.yml
b/c/d/compose.yaml`)

	// A file that is named is a project with all others that are named.
	projects, err = composeProjects([]string{filepath.Join(dir, "e", "compose.prod.yaml"), filepath.Join(dir, "b"), filepath.Join(dir, "f", "other.yaml")})
	if err != nil || len(projects) != 2 || len(projects[1]) != 2 {
		t.Errorf("%q, %v; want the project below b, and one of two files", projects, err)
	}
}
