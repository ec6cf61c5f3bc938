package main

import (
	"strings"
	"testing"
)

func TestRunbook_and_why_blocked(t *testing.T) {
	dir := tree(t, map[string]string{
		"shop/depgraph.yaml": `service: web
owner: team-web
start: 10s
verify: "curl <x> | grep ` + "`ok`" + `"
depends:
  - {on: api, fallback: static page}
  - {on: ads, soft: true}
---
service: api
start: 5s
depends: [{on: db, phase: startup}, {on: vault, break-glass: open the envelope}]
---
{service: db, owner: dba, start: 30s, verify: pg_isready}
---
{service: ads}
---
{service: vault, depends: [{on: api}]}
`,
		"up.json": `{"db": "serving", "ads": true, "gone": true}`, "all.json": `["web"]`, "bad.json": `{"db": 1}`,
	})
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"runbook shop", 2, "usage"},
		{"runbook -d shop", 2, "say --cold, for a start from nothing, or --down SERVICE"},
		{"runbook -d shop --cold --down db", 2, "say --cold"},
		{"runbook -d shop --cold", 0, "# Black start of shop\n"},
		{"runbook -d shop --cold", 0, "5 services in 3 waves, about 45s; the longest chain is db → api → web."},
		{"runbook -d shop --cold", 0, "- [ ] **api without vault**: break-glass: open the envelope"},
		{"runbook -d shop --cold", 0, "Begins after 30s; all of it is expected to be ready after 35s."},
		{"runbook -d shop --cold", 0, "  - verify: `` curl <x> | grep `ok` ``"},
		{"runbook -d shop --cold", 0, "- **no owner**: ads, api, vault"},
		{"runbook -d shop --cold -f html", 0, "verify: <code>curl &lt;x&gt; | grep `ok`</code>"},
		{"runbook -d shop --down db", 0, "## Do not restart\n\nThese still work, and would not come back as long as it is down. Stop deployments and automatic restarts of them:\n\n- **api**"},
		{"runbook -d shop --down api", 0, "- **web**: down; owner team-web; meanwhile: static page"},
		{"runbook -d shop --down ads", 0, "- **web**: degraded, works without it; owner team-web; declared soft, and no drill is named as proof"},
		{"runbook -d shop --down dbb", 2, "did you mean"},
		{"why-blocked web -d shop --state up.json", 1, "web is down, blocked by services that wait for each other"},
		{"why-blocked web -d shop --state up.json", 1, "by hand: open the envelope"},
		{"why-blocked web -d shop --state up.json", 1, "in the state, but in no manifest: gone"},
		{"why-blocked web -d shop --state all.json", 0, "web is up or done; nothing blocks it"},
		{"why-blocked api -d shop --state all.json -f json", 1, `"root": "db"`},
		{"why-blocked web -d shop", 2, "--state names a file"},
		{"why-blocked wbe -d shop --state up.json", 2, "did you mean"},
		{"why-blocked web -d shop --state bad.json", 3, "db: expected true, false"},
		{"why-blocked web -d shop --state gone.json", 3, "no such file"},
	} {
		code, out, errs := in(t, dir, "", strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out+errs, c.want) {
			t.Errorf("%s: exit code %d, want %d and %q in\n%s%s", c.args, code, c.code, c.want, out, errs)
		}
	}
}
