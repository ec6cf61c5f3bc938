package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What people see, to the letter, of all that asks nobody and takes no time. A
// change of these texts is a change of the program.

// theFiles are those of the folder that the tests below run in. Some have names
// that would draw on a terminal, or give commands to a pipeline.
var theFiles = map[string]string{
	"depgraph.yaml": `service: shop
owner: x
depends:
  - on: prices
    soft: true
  - on: stock
  - on: "a b/c"
    soft: true
---
{service: prices, owner: x}
---
{service: stock, owner: x}
---
{service: "a b/c", owner: x}
`,
	"rules.json":  `[{"service":"dynamodb","net":"reset"}]`,
	"broken.json": `{`,
	"norule.json": `[{"service":"dynamodb"}]`,
	"mine.json":   `{"version":1,"name":"mine","title":"\n::error::\u001b[2Jmine","facts":["f\r\u202eg"],"dependency":"dynamodb","watch":"90m","recovery":"30s","rules":[{"net":"reset","service":"dynamodb"}]}`,
	"empty/x":     "",
	"token": `x
`,
	"journal.json": `{"version": 1, "title": "throttled: \r\u001b[2Jthe table", "service": "naive", "dependency": "dynamodb", "began": "2026-11-26T06:00:00Z", "seconds": 9.5, "verdict": "deviated", "reasons": ["3 of 40 requests were wrong"], "phases": [{"name": "steady", "from_s": 0, "until_s": 1, "requests": 10, "success": 1, "wrong": 0, "slow": 0, "failed": 0, "excused": 0, "p50_ms": 0.4, "p99_ms": 1.25, "max_ms": 2}, {"name": "watch", "from_s": 1, "until_s": 5, "requests": 40, "success": 0.475, "wrong": 3, "slow": 2, "failed": 16, "excused": 0, "p50_ms": 1, "p99_ms": 250, "max_ms": 300}, {"name": "recovery", "from_s": 5, "until_s": 9.5, "requests": 45, "success": 0.02, "wrong": 0, "slow": 0, "failed": 44, "excused": 0, "p50_ms": 1, "p99_ms": 10, "max_ms": 11}], "invariants": [{"name": "no wrong answer", "held": false, "detail": "3 of 40: \u202ea session of\n::error::somebody else"}, {"name": "answers in time", "held": true}], "fault_observed": true, "fault": {"rules": [{"service": "dynamodb", "net": "reset"}], "from_s": 1, "until_s": 5, "hits": 38, "first_hit_s": 1.1, "last_hit_s": 4.9, "first_success_s": 5.2, "recovered_s": -1}, "timeline": [{"at_s": 0, "requests": 10, "ok": 10, "failed": 0, "slow": 0, "wrong": 0}], "budget_ms": 250, "least_success": 1, "environment": {}}`,
}

// inFolder runs the program in that folder.
func inFolder(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range theFiles {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for _, name := range []string{"DRILL_CONTROL", "DRILL_TOKEN_FILE", "AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_IAM", "AWS_ENDPOINT_URL_STS"} {
		t.Setenv(name, "")
	}
	return here(t, args...)
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		args   string
		code   int
		stdout string
		stderr string
	}{
		{"help", 0, `drill cuts a dependency on purpose, watches the service that has declared it
soft, and says whether the claim holds.

    drill presets                          the outages that can be had again
    drill run --preset iam-revoked --short cut it now, in a few seconds
    drill replay 2021-12-07-dynamodb       all seven hours of it, in virtual time

Verbs:

    run                    Cut a dependency now, and say whether the service kept serving
    replay PRESET|FILE     Run a preset at its full length, in virtual time
    presets [NAME]         List the outages that can be had again, or tell all about one
    matrix                 Every soft dependency of the service, with every fault, in virtual time
    infer                  Find out which dependencies are soft, by cutting each, and what the manifests say otherwise
    plan                   Write an experiment for every dependency that was declared soft
    proxy                  Break the dependencies of a program that is not changed, from a proxy on loopback
    exec [FLAGS] -- PROGRAM [ARGS…] Run a program whose dependencies are broken, without changing it
    revoke                 Take a role's access to a DynamoDB table away for a few minutes, for real
    revert                 Undo every revocation that the journal knows
    sweep                  Remove what drills that are over have left in a table's or a role's policy
    report FILE            Render a journal that a drill has written
    doctor                 Check a service's table, clock, log and probes before a drill, and say what to do
    completion bash|zsh|fish Print a completion script for a shell

"drill help VERB" says more. The exit code of a drill is its verdict: 0 held,
1 deviated, 2 aborted, 3 not-started, 4 void (the fault was never seen to hit:
nothing is proven). 64 is wrong usage, 65 an input that could not be read.
`, ""},
		{"help plan", 0, `drill plan

Write an experiment for every dependency that was declared soft.

Reads the manifests of depgraph and the proof file beside them, and lists the
edges of the run time: soft ones must hold, hard ones are expected to deviate.
With -o each soft edge gets a file that drill run --file and drill replay take,
and that a test of the service reads with presets.Parse. Examples:

    drill plan -d services/
    drill plan -d services/ -o drills/

Flags:

  -d string
    	a folder or file with manifests (default ".")
  -max-age days
    	for how many days a proof counts, at most 3650; 0: whatever its age (default 90)
  -o string
    	a folder that gets an experiment for each soft edge
`, ""},
		{"presets", 0, `2020-11-25-logs           17h8m  the log pipeline is blocked for seventeen hours
2021-12-07-dynamodb       6h52m  DynamoDB behind VPC endpoints is slow, then fails, for seven hours
2025-10-20-dns            2h52m  the name of DynamoDB has no address for three hours
corrupt-items                1h  items come back as garbage, in valid answers
credentials-expired          1h  the service's credentials have run out, and are not renewed
dev-table-emptied            1h  somebody empties the table, and the health check's test record is gone
iam-revoked                  1h  somebody removes the service's access to its table
sessions-revoked             6h  the role's sessions are revoked: denied until the credentials run out
slow-drip                    1h  every call of the table takes seconds, and succeeds
throttled                   30m  the table is over its capacity
`, ""},
		{"presets throttled", 0, `throttled: the table is over its capacity

- Every call is answered with ProvisionedThroughputExceededException, after the SDK has tried again with growing pauses.

cuts dynamodb for 30m; the service may take 30s to recover

  {"service":"dynamodb","error":{"code":"ProvisionedThroughputExceededException"}}

source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
`, ""},
		{"presets iam-revoked", 0, `iam-revoked: somebody removes the service's access to its table

- Every call is answered with AccessDeniedException, from one moment to the next, and works again as suddenly.
- The SDK has no type for that error in DynamoDB, so that a list of the errors one expects does not have it.

cuts dynamodb for 1h; the service may take 30s to recover

  {"service":"dynamodb","error":{"code":"AccessDeniedException"}}

source: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_general.html
`, ""},
		{"plan", 0, `must hold     shop -> a b/c  (depgraph.yaml:7)  untested: there is no evidence
must hold     shop -> prices  (depgraph.yaml:4)  untested: there is no evidence
must deviate  shop -> stock  (depgraph.yaml:6)

2 soft dependencies to prove, 1 hard ones
`, ""},
		{"plan -d depgraph.yaml -o drills", 0, `must hold     shop -> a b/c  (depgraph.yaml:7)  untested: there is no evidence
must hold     shop -> prices  (depgraph.yaml:4)  untested: there is no evidence
must deviate  shop -> stock  (depgraph.yaml:6)

2 soft dependencies to prove, 1 hard ones
`, ""},
		{"plan -d . --max-age 1", 0, `must hold     shop -> a b/c  (depgraph.yaml:7)  untested: there is no evidence
must hold     shop -> prices  (depgraph.yaml:4)  untested: there is no evidence
must deviate  shop -> stock  (depgraph.yaml:6)

2 soft dependencies to prove, 1 hard ones
`, ""},
		{"matrix -d .", 4, `| fault |
|---|

`, `depgraph.yaml:7: shop -> a b/c is declared soft, and no drill has tried it
depgraph.yaml:4: shop -> prices is declared soft, and no drill has tried it
0 verdicts on 2 soft dependencies, 2 without any, of depgraph.proof.jsonl; to try them now: drill matrix -d . -- go test -count=1 ./...
`},
		{"matrix -d depgraph.yaml -f json", 4, `null
`, `depgraph.yaml:7: shop -> a b/c is declared soft, and no drill has tried it
depgraph.yaml:4: shop -> prices is declared soft, and no drill has tried it
0 verdicts on 2 soft dependencies, 2 without any, of depgraph.proof.jsonl; to try them now: drill matrix -d depgraph.yaml -- go test -count=1 ./...
`},
		{"report journal.json", 0, `throttled: \u000d\u001b[2Jthe table

  phase       seconds  requests    served  wrong   late failed    p99 ms
  steady          1.0        10   100.00%      0      0      0       1.2  ████████████████████
  watch           4.0        40    47.50%      3      2     16     250.0  ██████████··········
  recovery        4.5        45     2.00%      0      0     44      10.0  ····················

  NO   no wrong answer                            3 of 40: \u202ea session of
> ::error::somebody else
  yes  answers in time                            

deviated: 3 of 40 requests were wrong.
`, ""},
		{"report -f markdown journal.json", 0, `## throttled:  \u001b\[2Jthe table: deviated

deviated: 3 of 40 requests were wrong.

| phase | seconds | requests | success | wrong | slow | failed | p50 ms | p99 ms | max ms | from |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|
| steady | 1.0 | 10 | 100.00 % | 0 | 0 | 0 | 0.4 | 1.2 | 2.0 |  |
| watch | 4.0 | 40 | 47.50 % | 3 | 2 | 16 | 1.0 | 250.0 | 300.0 |  |
| recovery | 4.5 | 45 | 2.00 % | 0 | 0 | 44 | 1.0 | 10.0 | 11.0 |  |

| invariant | held | |
|---|---|---|
| no wrong answer | **no** | 3 of 40: \u202ea session of ::error::somebody else |
| answers in time | yes |  |

Fault: planned 1.0 s to 5.0 s, hit 38 times, first at 1.1 s, last at 4.9 s; first success after it at 5.2 s, as before at never.

- 3 of 40 requests were wrong

` + "```" + `json
[
  {
    "net": "reset",
    "service": "dynamodb"
  }
]
` + "```" + `

 /, 0 CPUs; began 2026-11-26T06:00:00Z; budget 250 ms a request.
`, ""},
		{"revert --journal empty", 0, `0 revocations undone
`, ""},
		{"doctor --log rules.json/x", 1, `fail  log            stat rules.json/x: not a directory
                       -> let this user see it

0 ok, 0 warnings, 1 failed
`, ""},
		{"doctor --log gone", 1, `fail  log            gone is not there
                       -> is this where the service writes?

0 ok, 0 warnings, 1 failed
`, ""},
		{"doctor --log empty -f json", 1, `{
  "checks": [
    {
      "check": "log",
      "status": "fail",
      "detail": "empty is a folder",
      "do": "name the file"
    }
  ],
  "failed": true
}
`, ""},
		{"exec -- true", 0, "", ""},
		{"exec -- false", 1, "", ""},
		{"exec -- gone-program", 127, "", `drill exec: exec: "gone-program": executable file not found in $PATH
`},
		{"exec -- ./token", 126, "", `drill exec: exec: "./token": permission denied
`},
	} {
		t.Run(c.args, func(t *testing.T) {
			code, stdout, stderr := inFolder(t, strings.Fields(c.args)...)
			if code != c.code || stdout != c.stdout || stderr != c.stderr {
				t.Errorf("drill %s: exit code %d, want %d\n%s\nwant\n%s\nand on the standard error\n%s\nwant\n%s", c.args, code, c.code, stdout, c.stdout, stderr, c.stderr)
			}
		})
	}
}
