package main

import (
	"testing"
)

// What people see, to the letter: one command line of each kind on two small
// systems. A change of these texts is a change of the program.
//
// The words of a command line are separated by spaces; single quotes keep some
// together, as in a shell.

// theShop is a system that starts.
const theShop = `service: web
owner: team-web
start: 2s
verify: curl -fsS localhost/ready
availability: {target: 99.9, own: 99.99}
depends:
  - on: db
  - on: ads
    soft: true
    evidence: drill/ads
  - any-of: [east, west]
    phase: [runtime]
---
{service: db, owner: team-data, kind: datastore, start: 3s, availability: {own: 99.95}}
---
{service: ads, owner: team-ads}
---
{service: east, owner: team-net, availability: {own: 99}}
---
{service: west, owner: team-net, availability: {own: 99}}
`

// theLoop is one that does not.
const theLoop = `service: consul
owner: x
start: 10s
depends: [{on: nomad}]
---
service: nomad
owner: x
depends: [{on: vault}]
---
service: vault
owner: x
depends: [{on: consul}]
---
{service: disk, owner: x, start: 5s}
`

func TestAnswers(t *testing.T) {
	dir := systems(t)
	for _, c := range []struct {
		args, stdin string
		code        int
		want        string
	}{
		{"help", "", 0, `depgraph: know what depends on what, before an outage shows you.

Put a depgraph.yaml beside each service:

  service: checkout
  owner: team-pay
  depends:
    - on: inventory                  # hard: checkout is down without it
    - on: recommendations
      soft: true                     # fails open: checkout works without it

Then ask:

  depgraph check                     for CI
  depgraph blast inventory           what goes down with it?
  depgraph report -o report.html     everything on one page

Verbs:

  check       run all rules; the verb for CI
  cycles      every cycle, the shortest way round, and the fewest edges to soften
  order       the order in which a stopped system starts
  blast       what goes down with a service
  avail       how available a service can be, and what costs it
  why         how A depends on B
  diff        what a change does: edges, cycles, answers, new findings
  drift       compare what is declared with what was seen
  why-blocked what a service is waiting for, given what is up
  runbook     a procedure for operators: waves, verify steps, owners
  report      one HTML page with everything; needs no network
  query       the services that an expression selects
  export      the graph for other programs
  import      write manifests from other tools' files
  baseline    write today's findings to a file that check tolerates
  explain     what a rule finds, why it matters, and how to fix it
  init        write a first depgraph.yaml and .depgraph.yaml
  schema      print the JSON Schema of manifests
  completion  print a completion script
  version     print the version
  help        print this, or more about a verb

Flags, before or after the verb:

  --baseline file          tolerate the findings in this file
  --config file            policy file (default: .depgraph.yaml in the first folder, if there is one)
  -d file                  folder, file or pattern with manifests, or - for the standard input; can be repeated (default: the current folder)
  -f format                output format
  --fail-on severity       lowest severity that makes the exit code 1: error, warn, info or none
  --format string          same as -f
  -o file                  write to this file instead of the standard output
  --only rules             run only these rules, separated by commas
  --skip rules             leave these rules out
  -v                       same as --verbose
  --verbose                list every finding, not a few of each rule

Exit codes: 0 nothing found, 1 findings, 2 wrong usage, 3 could not read or analyse.
`},
		{"help order", "", 0, `depgraph order: the order in which a stopped system starts

  depgraph order [flags] [PATH...]

Prints waves: all services of a wave can be started at the same time. If the
manifests have start durations, it also prints when each one is up, and the
critical path. The exit code is 1 if a cycle keeps something from starting.

  depgraph order
  depgraph order --cold --max-parallel 4
  depgraph order --restart checkout
  depgraph order --shutdown

Formats: text, json

Flags of this verb:

  --all                    do not shorten lists
  --cold                   black start: break-glass edges are bypassed by hand
  --max-parallel N         start at most N services at the same time
  --restart service        only what must be up before this service
  --shutdown               the order of a full stop

Flags, before or after the verb:

  --baseline file          tolerate the findings in this file
  --config file            policy file (default: .depgraph.yaml in the first folder, if there is one)
  -d file                  folder, file or pattern with manifests, or - for the standard input; can be repeated (default: the current folder)
  -f format                output format
  --fail-on severity       lowest severity that makes the exit code 1: error, warn, info or none
  --format string          same as -f
  -o file                  write to this file instead of the standard output
  --only rules             run only these rules, separated by commas
  --skip rules             leave these rules out
  -v                       same as --verbose
  --verbose                list every finding, not a few of each rule

Exit codes: 0 nothing found, 1 findings, 2 wrong usage, 3 could not read or analyse.
`},
		{"explain DG005", "", 0, `DG005 slo-inversion (warn)

A dependency does not promise enough for the service's target.

Why: A service cannot be more available than what it needs. As a rule, each hard dependency needs one nine more than the service (Treynor et al., The Calculus of Service Availability).

Fix: Make the edge soft, add an alternative with any-of, or lower the target to what can be met.
`},
		{"check shop", "", 0, `! No errors, 1 warning, the first: web targets 99.9%, so db should promise 99.99% and promises 99.95%

warn DG005 web targets 99.9%, so db should promise 99.99% and promises 99.95%   shop/depgraph.yaml:7
info DG012 web says it fails open without ads; the evidence "drill/ads" cannot be looked up: there is no proof file   shop/depgraph.yaml:8

5 services, 4 edges: 0 errors, 1 warning, 1 note
`},
		{"check loop.yaml", "", 1, `✗ A full stop never comes back: 3 of 4 services wait for consul → nomad → vault → consul

error DG001 bootstrap deadlock: 3 services wait for each other at startup  (component of 3, 3 edges)
 .-> consul   needs nomad    hard startup+runtime   loop.yaml:4
 |   nomad    needs vault    hard startup+runtime   loop.yaml:8
 ` + "`" + `-- vault    needs consul   hard startup+runtime   loop.yaml:12
 fix: make 1 edge soft (proven minimum): vault -> consul   then a cold start is 3 waves, 10s

4 services, 3 edges: 1 error, 0 warnings, 0 notes
`},
		{"check loop.yaml --fail-on none --only DG001", "", 0, `✗ A full stop never comes back: 3 of 4 services wait for consul → nomad → vault → consul

error DG001 bootstrap deadlock: 3 services wait for each other at startup  (component of 3, 3 edges)
 .-> consul   needs nomad    hard startup+runtime   loop.yaml:4
 |   nomad    needs vault    hard startup+runtime   loop.yaml:8
 ` + "`" + `-- vault    needs consul   hard startup+runtime   loop.yaml:12
 fix: make 1 edge soft (proven minimum): vault -> consul   then a cold start is 3 waves, 10s

4 services, 3 edges: 1 error, 0 warnings, 0 notes
`},
		{"check --only DG012 shop -f github", "", 0, `::notice file=shop/depgraph.yaml,line=8,title=DG012 soft-unverified::web says it fails open without ads; the evidence "drill/ads" cannot be looked up: there is no proof file%0Afix: Cut it in a drill: drill plan writes one, and drill run --proof records the verdict, which evidence refers to.
`},
		{"check shop --require-proof 90d --only DG012", "", 1, `✗ 1 error, the first: web says it fails open without ads; the evidence "drill/ads" cannot be looked up: there is no proof file

error DG012 web says it fails open without ads; the evidence "drill/ads" cannot be looked up: there is no proof file   shop/depgraph.yaml:8

5 services, 4 edges: 1 error, 0 warnings, 0 notes
`},
		{"cycles loop.yaml --phase runtime", "", 1, `runtime cycle: 3 services need each other to serve  (component of 3, 3 edges)
 .-> consul   needs nomad    hard startup+runtime   loop.yaml:4
 |   nomad    needs vault    hard startup+runtime   loop.yaml:8
 ` + "`" + `-- vault    needs consul   hard startup+runtime   loop.yaml:12
 fix: make 1 edge soft (proven minimum): vault -> consul

`},
		{"cycles loop.yaml --phase startup,runtime", "", 1, `bootstrap deadlock: 3 services wait for each other at startup  (component of 3, 3 edges)
 .-> consul   needs nomad    hard startup+runtime   loop.yaml:4
 |   nomad    needs vault    hard startup+runtime   loop.yaml:8
 ` + "`" + `-- vault    needs consul   hard startup+runtime   loop.yaml:12
 fix: make 1 edge soft (proven minimum): vault -> consul   then a cold start is 3 waves, 10s

`},
		{"cycles loop.yaml --phase deploy", "", 0, `no cycles among 4 services and 3 edges
`},
		{"cycles shop --hard", "", 0, `no cycles among 5 services and 4 edges
`},
		{"order shop", "", 0, `wave 1
  ads    0s .. 0s
  db     0s .. 3s  critical path
  east   0s .. 0s
  west   0s .. 0s
wave 2
  web   3s .. 5s  critical path   verify: curl -fsS localhost/ready
critical path (5s): db -> web
`},
		{"order shop --shutdown", "", 0, `wave 1
  ads
  web   verify: curl -fsS localhost/ready
wave 2
  db
  east
  west
`},
		{"order shop --restart db", "", 0, `wave 1
  db   0s .. 3s  critical path
critical path (3s): db
`},
		{"order loop.yaml", "", 1, `blocked (3 of 4): consul, nomad, vault
  they wait for each other, or for others that do; see "depgraph cycles"
the waves below work only if 1 edge is out of the way (proven minimum):
  vault does not wait for consul   hard startup+runtime   loop.yaml:12
wave 1
  disk    0s .. 5s
  vault   0s .. 0s  critical path   does not wait for consul
wave 2
  nomad   0s .. 0s  critical path
wave 3
  consul   0s .. 10s  critical path
critical path (10s): vault -> nomad -> consul
`},
		{"order shop --max-parallel 2", "", 0, `wave 1
  ads   0s .. 0s
  db    0s .. 3s  critical path
wave 2
  east   0s .. 0s
  west   0s .. 0s
wave 3
  web   3s .. 5s  critical path   verify: curl -fsS localhost/ready
critical path (5s): db -> web
`},
		{"blast db -d shop", "", 0, `if db fails:
  down                1  web
  degraded            0
  redundancy lost     0
  cannot restart      0
`},
		{"blast --all -d shop", "", 0, `     1  db
     0  ads
     0  east
     0  web
     0  west
`},
		{"blast db --plane data -d shop", "", 0, `if db fails:
  down                1  web
  degraded            0
  redundancy lost     0
  cannot restart      0
`},
		{"blast east west -d shop -f json", "", 0, `{
 "of": [
  "east",
  "west"
 ],
 "down": [
  "web"
 ],
 "degraded": [],
 "redundancy_lost": [],
 "cannot_start": []
}
`},
		{"blast --all -d shop -f json", "", 0, `{
 "services": [
  {
   "service": "ads",
   "down": 0
  },
  {
   "service": "db",
   "down": 1
  },
  {
   "service": "east",
   "down": 0
  },
  {
   "service": "web",
   "down": 0
  },
  {
   "service": "west",
   "down": 0
  }
 ]
}
`},
		{"avail web -d shop --what-if 'own db=99.999' --what-if 'soften web:db'", "", 0, `web: 99.98% (exact), 105 min down a year
target 99.9%: kept
what costs it, a year:
      53 min  east
      53 min  web
      53 min  west
softening web -> east saves 53 min a year
softening web -> west saves 53 min a year
assumptions:
  - Services fail independently; what they share (region, DNS, credentials, one configuration channel) must be a service of the graph.
  - A published level of a provider already contains what the provider depends on.
  - Only hard dependencies of run time count, and each shared one counts once.
  - A service without a declared availability counts as always up.
`},
		{"why web west -d shop", "", 0, `web   needs west   any 1 of 2 runtime   shop/depgraph.yaml:11
`},
		{"why web db --all --hard -d shop", "", 0, `web   needs db   hard startup+runtime   shop/depgraph.yaml:7
`},
		{"why ads web -d shop", "", 0, `ads does not depend on web
`},
		{"why web db -d shop -f json", "", 0, `{
 "from": "web",
 "to": "db",
 "paths": [
  [
   {
    "from": "web",
    "to": "db",
    "file": "shop/depgraph.yaml",
    "line": 7,
    "soft": false,
    "phase": [
     "startup",
     "runtime"
    ],
    "plane": "data"
   }
  ]
 ],
 "truncated": false
}
`},
		{"query 'deps(web)' -d shop", "", 0, `ads
db
east
web
west
`},
		{"query 'rdeps(db) - db' -d shop -f csv", "", 0, `from,to,strength,phase,plane,evidence,owner,criticality,file,line
web,,,,,,team-web,,shop/depgraph.yaml,1
`},
		{"export shop -f dot --focus db", "", 0, `digraph depgraph {
  rankdir=RL;
  node [shape=box, style=rounded, fontname="sans-serif"];
  "db" [tooltip="shop/depgraph.yaml:14", shape=cylinder];
  "web" [tooltip="shop/depgraph.yaml:1"];
  { rank=same; /* wave 1 */ "db"; }
  { rank=same; /* wave 2 */ "web"; }
  "web" -> "db" [style=solid, tooltip="hard startup+runtime shop/depgraph.yaml:7"];
}
`},
		{"export shop -f mermaid --reaches db", "", 0, `flowchart RL
  n0["db"]
  n1["web"]
  n1 --> n0
`},
		{"export shop -f csv", "", 0, `from,to,strength,phase,plane,evidence,owner,criticality,file,line
ads,,,,,,team-ads,,shop/depgraph.yaml,16
db,,,,,,team-data,,shop/depgraph.yaml,14
east,,,,,,team-net,,shop/depgraph.yaml,18
web,ads,soft,startup+runtime,data,drill/ads,team-web,,shop/depgraph.yaml,8
web,db,hard,startup+runtime,data,,team-web,,shop/depgraph.yaml,7
web,east,any 1 of 2,runtime,data,,team-web,,shop/depgraph.yaml,11
web,west,any 1 of 2,runtime,data,,team-web,,shop/depgraph.yaml,11
west,,,,,,team-net,,shop/depgraph.yaml,20
`},
		{"export shop -f yaml --focus ads --depth 0", "", 0, `service: ads
owner: team-ads
`},
		{"runbook --down db -d shop", "", 0, `# db is down

Generated from the manifests by depgraph; change those, not this.

Call team-data.

Down with it: 1. Degraded: 0. Still up, but would not come back from a restart: 0.

## What it does to others

- **web**: down; owner team-web

## Bring it back

Only what is down has to be started. The service itself is in the last waves.

## Wave 1

Begins after 0s; all of it is expected to be ready after 3s.

- [ ] **db**: owner team-data, ready after 3s

## Afterwards

These went down with it. They serve again by themselves; verify it:

- [ ] **web**
  - verify: ` + "`" + `curl -fsS localhost/ready` + "`" + `

## Who to call

- **team-data**: db
- **team-web**: web

## What this runbook lacks

Add it to the manifests now; at night it is too late.

- **no verify step**: db
`},
		{"runbook --cold -d shop --max-parallel 2 --title 'the shop, from nothing'", "", 0, `# Black start the shop, from nothing

Generated from the manifests by depgraph; change those, not this.

Everything is down. Start a wave, verify each service of it, then start the next wave.

5 services in 3 waves, about 5s; the longest chain is db → web.

## Wave 1

Begins after 0s; all of it is expected to be ready after 3s.

- [ ] **ads**: owner team-ads
- [ ] **db**: owner team-data, ready after 3s

## Wave 2

Begins after 0s; all of it is expected to be ready after 0s.

- [ ] **east**: owner team-net
- [ ] **west**: owner team-net

## Wave 3

Begins after 3s; all of it is expected to be ready after 5s.

- [ ] **web**: owner team-web, ready after 2s; waits for db
  - verify: ` + "`" + `curl -fsS localhost/ready` + "`" + `

## Who to call

- **team-ads**: ads
- **team-data**: db
- **team-net**: east, west
- **team-web**: web

## What this runbook lacks

Add it to the manifests now; at night it is too late.

- **no start duration**: ads, east, west
- **no verify step**: ads, db, east, west
`},
		{"why-blocked web -d shop --state -", "[\"ads\"]", 1, `web is down, blocked by db
  web waits for db to be serving, and it is down   hard startup+runtime   shop/depgraph.yaml:7
next: db is down: start it (owner team-data)
`},
		{"why-blocked web -d shop --state -", "{\"web\":\"down\",\"east\":\"serving\",\"db\":\"serving\"}", 1, `web is down, and nothing blocks it: start it
`},
		{"why-blocked consul -d loop.yaml --state -", "[]", 1, `consul is down, blocked by services that wait for each other
  consul needs nomad   hard startup+runtime   loop.yaml:4   the manifests do not say how to get past it
  nomad needs vault   hard startup+runtime   loop.yaml:8   the manifests do not say how to get past it
  vault needs consul   hard startup+runtime   loop.yaml:12   the manifests do not say how to get past it
`},
		{"why-blocked web -d shop --state - --fail-on none", "[\"db\"]", 0, `web is down, and nothing blocks it: start it
`},
		{"order -", "service: a\ndepends: [{on: b}]\n---\nservice: b\n", 0, `wave 1
  b
wave 2
  a
longest chain (no start durations are declared): b -> a
`},
	} {
		code, out, errs := in(t, dir, c.stdin, split(c.args)...)
		if code != c.code || out != c.want || errs != "" {
			t.Errorf("depgraph %s: exit code %d, want %d, %q, got\n%s\nwant\n%s", c.args, code, c.code, errs, out, c.want)
		}
	}
}
