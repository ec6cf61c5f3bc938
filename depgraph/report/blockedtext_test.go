package report_test

import (
	"io"
	"testing"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/report"
)

// stuck is a system for every way to be blocked: a chain, alternatives, a
// circle with and without a way past it.
const stuck = `
{service: web, depends: [{on: app}, {on: audit}]}
---
{service: app, depends: [{any-of: [east, west, south]}]}
---
{service: audit}
---
{service: east, owner: team-e, verify: curl east, depends: [{on: disk}]}
---
{service: west}
---
{service: south}
---
{service: disk, owner: "team\u001b[1m", verify: "lsblk\n-f"}
---
{service: consul, depends: [{on: vault, break-glass: start it with -dev}]}
---
{service: vault, depends: [{on: consul}, {on: disk}]}
`

func TestBlockedText_each_answer_in_full(t *testing.T) {
	g := compiled(t, "s.yaml", stuck)
	up := func(names ...string) depgraph.Running {
		r := depgraph.Running{}
		for _, n := range names {
			r[n] = depgraph.IsServing
		}
		return r
	}
	with := func(r depgraph.Running, name string, s depgraph.RunState) depgraph.Running {
		r[name] = s
		return r
	}
	for _, c := range []struct {
		what, service string
		running       depgraph.Running
		want          string
	}{
		{"it is up", "web", up("web"), "web is up; nothing blocks it\n"},
		{"a job that is done", "web", with(up(), "web", depgraph.IsDone), "web is up or done; nothing blocks it\n"},
		{"nothing holds it", "disk", up(), "disk is down, and nothing blocks it: start it\n"},
		{"it was launched", "disk", with(up(), "disk", depgraph.IsStarted), "disk is started, and nothing blocks it: it was launched and is not ready; look at its health check and its log\n"},
		{"it is ready", "disk", with(up(), "disk", depgraph.IsReady), "disk is ready, and nothing blocks it: it is ready, all that it needs serves, and it does not; look at its log\n"},
		{"a chain to a root with an owner", "east", up(), `
east is down, blocked by disk
  east waits for disk to be serving, and it is down   hard startup+runtime   s.yaml:8
next: disk is down: start it (owner team\u001b[1m); verify: lsblk\u000a-f
`},
		{"alternatives and others in the way", "web", up("disk"), `
web is down, blocked by audit
  web waits for audit to be serving, and it is down   hard startup+runtime   s.yaml:2
next: audit is down: start it
also in the way: east, south, west
`},
		{"a circle behind a root", "vault", up(), `
vault is down, blocked by disk
  vault waits for disk to be serving, and it is down   hard startup+runtime   s.yaml:18
next: disk is down: start it (owner team\u001b[1m); verify: lsblk\u000a-f
and then these wait for each other:
  vault needs consul   hard startup+runtime   s.yaml:18   the manifests do not say how to get past it
  consul needs vault   hard startup+runtime   s.yaml:16   by hand: start it with -dev
`},
		{"nothing but a circle", "vault", up("disk"), `
vault is down, blocked by services that wait for each other
  vault needs consul   hard startup+runtime   s.yaml:18   the manifests do not say how to get past it
  consul needs vault   hard startup+runtime   s.yaml:16   by hand: start it with -dev
`},
		{"a state of somebody else", "audit", up("nobody", "else\n"), "audit is down, and nothing blocks it: start it\nin the state, but in no manifest: else\\u000a, nobody\n"},
	} {
		t.Run(c.what, func(t *testing.T) {
			b, err := g.WhyBlocked(c.service, c.running)
			if err != nil {
				t.Fatal(err)
			}
			same(t, written(t, func(w io.Writer) error { return report.BlockedText(w, g, b) }), c.want)
		})
	}
}

func TestBlockedText_wraps_long_lists(t *testing.T) {
	g := compiled(t, "s.yaml", stuck)
	b := &depgraph.Blocked{Service: "web", Root: "disk", Roots: []string{"disk", "east", "south", "west"}}
	same(t, written(t, func(w io.Writer) error { return report.BlockedText(w, g, b, report.TextOptions{Width: 30}) }), `
web is down, blocked by disk
next: disk is down: start it (owner team\u001b[1m); verify: lsblk\u000a-f
also in the way: east, south,
    west
`)
}

func TestBlockedJSON_has_lists_and_no_null(t *testing.T) {
	g := compiled(t, "s.yaml", stuck)
	b, err := g.WhyBlocked("disk", depgraph.Running{"disk": depgraph.IsServing})
	if err != nil {
		t.Fatal(err)
	}
	same(t, written(t, func(w io.Writer) error { return report.BlockedJSON(w, b) }), `
{
 "service": "disk",
 "state": "serving",
 "chain": [],
 "roots": [],
 "circle": [],
 "unknown": []
}
`)
}
