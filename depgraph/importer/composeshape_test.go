package importer

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestCompose_refuses_what_says_nothing(t *testing.T) {
	for text, want := range map[string]string{
		"a: 5":                                ":2: a: expected a mapping",
		"a: [x]":                              ":2: a: expected a mapping",
		"a: {depends_on: b}":                  ":2: a: depends_on: expected a list of texts or a mapping to mappings",
		"a: {depends_on: {b: 5}}":             ":2: a: depends_on: expected",
		"a: {depends_on: [{b: c}]}":           ":2: a: depends_on: expected",
		"a: {environment: 5}":                 ":2: a: environment: expected a list of texts or a mapping to texts",
		"a: {environment: [[x]]}":             ":2: a: environment: expected",
		"a: {environment: {X: [http://b]}}":   ":2: a: environment: expected",
		"a: {links: b}":                       ":2: a: links: expected a list of texts",
		"a: {env_file: {x: y}}":               ":2: a: env_file: expected a text or a list of files",
		"a: {env_file: [{x: y}]}":             ":2: a: env_file: expected",
		"a: {extends: [b]}":                   ":2: a: extends: expected a text or a mapping",
		"a: {network_mode: [b]}":              ":2: a: network_mode: expected a text",
		"a:\n    image: x\n    links: {b: c}": ":4: a: links: expected a list of texts",
	} {
		dir := write(t, map[string]string{"compose.yaml": "services:\n  " + text + "\n  b: {image: x}\n"})
		if _, err := Compose(filepath.Join(dir, "compose.yaml")); err == nil || !strings.Contains(err.Error(), "compose.yaml"+want) {
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
	dir := write(t, map[string]string{
		"a.yaml": `services:
  a: {depends_on: {b: , c: {condition: service_started}}, environment: {X: , N: 5}, networks: [n], env_file: [{path: x, required: false}], profiles: , healthcheck: {disable: true}}
  b: null
  c:
    extends: {service: b}
    networks: {n: , m: {aliases: [z]}}
`,
		"b.yaml": "services:\n  a: {depends_on: !reset null, links: !reset [], environment: !override [X=http://b]}\n  c: !reset null\n",
	})
	if _, err := Compose(filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml")); err != nil {
		t.Error(err)
	}
}

func TestCompose_hosts_have_no_case(t *testing.T) {
	dir := write(t, map[string]string{"compose.yaml": "services:\n  a: {environment: {UP: \"HTTP://WEB:80\", CONN: \"Server=tcp:sql,1433;User=x\"}}\n  web: {image: x}\n  sql: {image: x}\n"})
	r, err := Compose(filepath.Join(dir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, lines(t, r), "a -> sql hard runtime", "a -> web hard runtime")
}
