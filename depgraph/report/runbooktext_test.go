package report_test

import (
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/report"
)

// plant has everything that a runbook says: owners and none, durations, verify
// steps, notes, groups, soft and weak edges, fallbacks, evidence, a deadlock
// with a way past it and one without.
const plant = `
service: web
owner: shop
criticality: critical
start: 30s
verify: curl -f web
note: the front
depends:
  - {on: db, fallback: the cached catalogue}
  - {on: ads, soft: true}
  - {on: search, soft: true, evidence: drill-7, fallback: plain lists}
  - {any-of: [east, west]}
  - {on: log, order: weak}
---
{service: db, owner: data, start: 90s, verify: "psql -c 'select 1'", depends: [{on: disk}, {on: vault, phase: startup}]}
---
{service: disk, owner: data}
---
{service: vault, owner: sec, start: 5s, depends: [{on: consul, break-glass: unseal with the paper key}]}
---
{service: consul, owner: sec, depends: [{on: vault}]}
---
{service: dns, depends: [{on: ntp}]}
---
{service: ntp, depends: [{on: dns}]}
---
{service: ads}
---
{service: search, owner: find}
---
{service: east}
---
{service: west}
---
{service: log}
---
{service: batch, owner: data, depends: [{on: db, phase: startup}]}
`

func bookOf(t *testing.T, g *depgraph.Graph, o report.RunbookOptions) *report.Runbook {
	t.Helper()
	b, err := report.NewRunbook(t.Context(), g, o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRunbook_black_start_in_full(t *testing.T) {
	g := compiled(t, "p.yaml", plant)
	same(t, written(t, bookOf(t, g, report.RunbookOptions{Title: "of the shop"}).Markdown), `
# Black start of the shop

Generated from the manifests by depgraph; change those, not this.

Everything is down. Start a wave, verify each service of it, then start the next wave.

13 services in 3 waves, about 2m5s; the longest chain is vault → db → web.

## Get past by hand

The waves below work only if these services start without waiting:

- [ ] **vault without consul**: break-glass: unseal with the paper key; declared at p.yaml:19
- [ ] **ntp without dns**: the manifests do not say how; try a cached copy, a static configuration, or a flag that skips the check; declared at p.yaml:25

## Wave 1

Begins after 0s; all of it is expected to be ready after 5s.

- [ ] **ads**
- [ ] **disk**: owner data
- [ ] **east**
- [ ] **log**
- [ ] **ntp**
- [ ] **search**: owner find
- [ ] **vault**: owner sec, ready after 5s
- [ ] **west**

## Wave 2

Begins after 0s; all of it is expected to be ready after 1m35s.

- [ ] **consul**: owner sec; waits for vault
- [ ] **db**: owner data, ready after 1m30s; waits for disk, vault
  - verify: `+"`"+`psql -c 'select 1'`+"`"+`
- [ ] **dns**: waits for ntp

## Wave 3

Begins after 1m35s; all of it is expected to be ready after 2m5s.

- [ ] **batch**: owner data; waits for db
- [ ] **web**: owner shop, critical, ready after 30s; waits for db, 1 of east or west; the front
  - verify: `+"`"+`curl -f web`+"`"+`

## Who to call

- **data**: batch, db, disk
- **find**: search
- **sec**: consul, vault
- **shop**: web

## What this runbook lacks

Add it to the manifests now; at night it is too late.

- **no owner**: ads, dns, east, log, ntp, west
- **no start duration**: ads, batch, consul, disk, dns, east, log, ntp, search, west
- **no verify step**: ads, batch, consul, disk, dns, east, log, ntp, search, vault, west
`)
}

func TestRunbook_loss_of_a_service_in_full(t *testing.T) {
	g := compiled(t, "p.yaml", plant)
	b := bookOf(t, g, report.RunbookOptions{Down: "db"})
	same(t, written(t, b.Markdown), `
# db is down

Generated from the manifests by depgraph; change those, not this.

Call data.

Down with it: 1. Degraded: 0. Still up, but would not come back from a restart: 1.

## Do not restart

These still work, and would not come back as long as it is down. Stop deployments and automatic restarts of them:

- **batch**

## Look at what it needs

The cause may lie below. In this order:

- [ ] **disk**: hard startup\+runtime, declared at p.yaml:15; owner data
- [ ] **vault**: hard startup, declared at p.yaml:15; owner sec

## What it does to others

- **web**: down; owner shop; meanwhile: the cached catalogue

## Bring it back

Only what is down has to be started. The service itself is in the last waves.

## Get past by hand

The waves below work only if these services start without waiting:

- [ ] **vault without consul**: break-glass: unseal with the paper key; declared at p.yaml:19

## Wave 1

Begins after 0s; all of it is expected to be ready after 5s.

- [ ] **disk**: owner data
- [ ] **vault**: owner sec, ready after 5s

## Wave 2

Begins after 5s; all of it is expected to be ready after 1m35s.

- [ ] **db**: owner data, ready after 1m30s; waits for disk, vault
  - verify: `+"`"+`psql -c 'select 1'`+"`"+`

## Afterwards

These went down with it. They serve again by themselves; verify it:

- [ ] **web**
  - verify: `+"`"+`curl -f web`+"`"+`

## Who to call

- **data**: db
- **shop**: web
`)
	b = bookOf(t, g, report.RunbookOptions{Down: "search"})
	same(t, written(t, b.Markdown), `
# search is down

Generated from the manifests by depgraph; change those, not this.

Call find.

Down with it: 0. Degraded: 1. Still up, but would not come back from a restart: 0.

## What it does to others

- **web**: degraded, works without it; owner shop; meanwhile: plain lists

## Bring it back

Only what is down has to be started. The service itself is in the last waves.

## Wave 1

- [ ] **search**: owner find

## Who to call

- **find**: search

## What this runbook lacks

Add it to the manifests now; at night it is too late.

- **no start duration**: search
- **no verify step**: search
`)
}

func TestRunbook_HTML_in_full(t *testing.T) {
	g := compiled(t, "p.yaml", "{service: a, owner: team-a, verify: \"curl <a> | grep `ok`\", start: 2s, depends: [{on: b}]}\n---\n{service: b, note: x & y}")
	got := written(t, bookOf(t, g, report.RunbookOptions{Title: "<all>"}).HTML)
	style := got[strings.Index(got, "<style>"):strings.Index(got, "</style>")]
	same(t, strings.Replace(got, style, "<style>", 1), `
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width"><title>Black start &lt;all&gt;</title>
<style></style></head><body>
<h1>Black start &lt;all&gt;</h1>
<p>Everything is down. Start a wave, verify each service of it, then start the next wave.</p>
<p>2 services in 2 waves, about 2s; the longest chain is b → a.</p>
<section><h2>Wave 1</h2>
<p>Begins after 0s; all of it is expected to be ready after 0s.</p>
<ul>
<li><label><input type="checkbox"> <strong>b</strong></label> <span class="facts">x &amp; y</span></li>
</ul>
</section>
<section><h2>Wave 2</h2>
<p>Begins after 0s; all of it is expected to be ready after 2s.</p>
<ul>
<li><label><input type="checkbox"> <strong>a</strong></label> <span class="facts">owner team-a, ready after 2s; waits for b</span><br>verify: <code>curl &lt;a&gt; | grep `+"`"+`ok`+"`"+`</code></li>
</ul>
</section>
<section><h2>Who to call</h2>
<ul>
<li><strong>team-a</strong> <span class="facts">a</span></li>
</ul>
</section>
<section><h2>What this runbook lacks</h2>
<p>Add it to the manifests now; at night it is too late.</p>
<ul>
<li><strong>no owner</strong> <span class="facts">b</span></li>
<li><strong>no start duration</strong> <span class="facts">b</span></li>
<li><strong>no verify step</strong> <span class="facts">b</span></li>
</ul>
</section>
</body></html>
`)
	if strings.Contains(got, "<script") || strings.Contains(got, "http://") || strings.Contains(got, "https://") {
		t.Error("the page runs or loads something")
	}
}

func TestRunbook_of_nothing_and_of_one(t *testing.T) {
	same(t, written(t, bookOf(t, compile(t, nil), report.RunbookOptions{}).Markdown), `
# Black start

Generated from the manifests by depgraph; change those, not this.

Everything is down. Start a wave, verify each service of it, then start the next wave.

0 services in 0 waves.
`)
	same(t, written(t, bookOf(t, compile(t, []depgraph.Service{{Name: "only", Owner: "me", Verify: "ok", Start: 1e9}}), report.RunbookOptions{}).Markdown), `
# Black start

Generated from the manifests by depgraph; change those, not this.

Everything is down. Start a wave, verify each service of it, then start the next wave.

1 service in 1 wave, about 1s; the longest chain is only.

## Wave 1

Begins after 0s; all of it is expected to be ready after 1s.

- [ ] **only**: owner me, ready after 1s
  - verify: `+"`ok`"+`

## Who to call

- **me**: only
`)
}

// With a limit on how many start at once, waves are smaller and times longer.
func TestRunbook_respects_MaxParallel(t *testing.T) {
	g := compile(t, []depgraph.Service{{Name: "a", Start: 1e9}, {Name: "b", Start: 1e9}, {Name: "c", Start: 1e9}})
	for parallel, want := range map[int]string{0: "3 services in 1 wave, about 1s;", 1: "about 3s;", 2: "about 2s;"} {
		if text := written(t, bookOf(t, g, report.RunbookOptions{MaxParallel: parallel}).Markdown); !strings.Contains(text, want) {
			t.Errorf("MaxParallel %d: no %q in\n%s", parallel, want, text)
		}
	}
}

func TestNewRunbook_errors(t *testing.T) {
	g := compiled(t, "p.yaml", plant)
	for what, c := range map[string]struct {
		o    report.RunbookOptions
		want string
	}{
		"a service that is not there": {report.RunbookOptions{Down: "dbb"}, `depgraph: unknown service: "dbb"; did you mean "db"?`},
		"a negative limit":            {report.RunbookOptions{MaxParallel: -1}, "depgraph: OrderOptions.MaxParallel is -1"},
	} {
		b, err := report.NewRunbook(t.Context(), g, c.o)
		if err == nil || b != nil {
			t.Fatalf("%s: %v, %v", what, b, err)
		}
		same(t, err.Error(), c.want)
	}
}
