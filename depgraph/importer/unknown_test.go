package importer

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestImporters_say_what_their_source_cannot_know, at the head of every manifest;
// that of compose is in TestCompose_the_head_of_a_manifest.
func TestImporters_say_what_their_source_cannot_know(t *testing.T) {
	dir := write(t, map[string]string{
		"k.yaml": "{kind: Pod, metadata: {name: p}, spec: {}}", "c.yaml": "{kind: Component, metadata: {name: a}}", "a.service": bare, "h.json": `{"dependencySummaries":[]}`,
	})
	for file, c := range map[string]struct {
		read func(...string) (*Result, error)
		want string
	}{
		"k.yaml": {Kubernetes, `
Imported from k.yaml. Kubernetes does not know which
dependencies are soft, nor how critical a service is: every dependency is hard
until you say "soft: true". Nor does it know owners, availability, start
durations, phases, or addresses that are in code.`},
		"c.yaml": {Backstage, `
Imported from c.yaml. Backstage does not know which
dependencies are soft, when they are needed, or how critical a service is: every
dependency is hard until you say "soft: true", unless depgraph wrote the catalog.
Nor does it know availability or start durations.`},
		"a.service": {Systemd, `
Imported from a.service. systemd does not know how critical
a unit is, who owns it, or what it talks to while it runs. Wants is soft, Requires
is hard; whether a unit really fails open is for you to say.`},
		"h.json": {ResilienceHub, `
Imported from h.json. AWS Resilience Hub sees names that are looked up:
no addresses that are used directly, no rare calls, and nothing about the start.
Hard and soft are as classified there; prove them with a drill.`},
	} {
		t.Run(file, func(t *testing.T) {
			r, err := c.read(filepath.Join(dir, file))
			if err != nil {
				t.Fatal(err)
			}
			same(t, strings.ReplaceAll(strings.Join(r.Unknown, "\n"), filepath.ToSlash(dir)+"/", ""), c.want)
			if r.Read != 1 {
				t.Errorf("read %d files", r.Read)
			}
		})
	}
}
