package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// split makes words of a command line; single quotes keep some together.
func split(line string) (args []string) {
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			args = append(args, part)
		} else {
			args = append(args, strings.Fields(part)...)
		}
	}
	return args
}

func systems(t *testing.T) string {
	t.Helper()
	return tree(t, map[string]string{"shop/depgraph.yaml": theShop, "loop.yaml": theLoop})
}

// What is wrong, to the letter: of the command line (2), or of an input (3). Nothing
// goes to the standard output, and no file is written.
func TestAnswers_when_something_is_wrong(t *testing.T) {
	dir := systems(t)
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"nope", 2, `depgraph: unknown verb "nope"; "depgraph help" lists them`},
		{"chekc", 2, `depgraph: unknown verb "chekc", did you mean "check"?; "depgraph help" lists them`},
		{"help nope", 2, `depgraph: unknown verb "nope"`},
		{"help chekc", 2, `depgraph: unknown verb "chekc", did you mean "check"?`},
		{"--nope", 2, `depgraph: flag provided but not defined: -nope`},
		{"check --nope", 2, `depgraph: flag provided but not defined: -nope`},
		{"check shop -f xml", 2, `depgraph: check has no format "xml"; it takes text, json, sarif, junit, github, markdown`},
		{"version -f json", 2, `depgraph: version has no formats`},
		{"why a", 2, `depgraph: usage: depgraph why A B`},
		{"why a b c", 2, `depgraph: usage: depgraph why A B`},
		{"avail", 2, `depgraph: usage: depgraph avail SERVICE`},
		{"completion", 2, `depgraph: usage: depgraph completion bash|zsh|fish`},
		{"import compose", 2, `depgraph: usage: depgraph import compose|kubernetes|backstage|systemd|resilience-hub FILE...`},
		{"init a b", 2, `depgraph: usage: depgraph init [SERVICE]`},
		{"cycles loop.yaml --phase startup,deploy", 2, `depgraph: --phase: deploy cannot be combined`},
		{"cycles loop.yaml --phase nap", 2, `depgraph: --phase: phase "nap" is not one of startup, runtime, deploy`},
		{"order shop --shutdown --cold", 2, `depgraph: --shutdown goes with neither --cold nor --restart`},
		{"order shop --shutdown --restart db", 2, `depgraph: --shutdown goes with neither --cold nor --restart`},
		{"order shop --max-parallel -1", 2, `depgraph: --max-parallel: -1 is negative`},
		{"order shop --max-parallel x", 2, `depgraph: invalid value "x" for flag -max-parallel: parse error`},
		{"order shop --restart wbe", 2, `depgraph: unknown service: "wbe"; did you mean "web"?`},
		{"blast -d shop", 2, `depgraph: blast takes either services or --all`},
		{"blast db --plane sky -d shop", 2, `depgraph: --plane: plane "sky" is not one of data, control`},
		{"blast nobody -d shop", 2, `depgraph: unknown service: "nobody"`},
		{"blast dbb -d shop", 2, `depgraph: unknown service: "dbb"; did you mean "db"?`},
		{"avail web -d shop --what-if 'own db'", 2, `depgraph: --what-if: expected "own SERVICE=PERCENT", found "own db"`},
		{"avail web -d shop --what-if 'own =3'", 2, `depgraph: --what-if: expected "own SERVICE=PERCENT", found "own =3"`},
		{"avail web -d shop --what-if 'own db=0'", 2, `depgraph: --what-if: expected "own SERVICE=PERCENT", found "own db=0"`},
		{"avail web -d shop --what-if 'own db=100.1'", 2, `depgraph: --what-if: expected "own SERVICE=PERCENT", found "own db=100.1"`},
		{"avail web -d shop --what-if 'own db=NaN'", 2, `depgraph: --what-if: expected "own SERVICE=PERCENT", found "own db=NaN"`},
		{"avail web -d shop --what-if 'own nobody=99'", 2, `depgraph: unknown service: "nobody"`},
		{"avail web -d shop --what-if web:", 2, `depgraph: --what-if: expected "soften A:B" or "own SERVICE=PERCENT", found "web:"`},
		{"avail web -d shop --what-if :db", 2, `depgraph: --what-if: expected "soften A:B" or "own SERVICE=PERCENT", found ":db"`},
		{"avail web -d shop --what-if web:nobody", 2, `depgraph: --what-if: web does not depend on "nobody"`},
		{"avail web -d shop --what-if nobody:db", 2, `depgraph: unknown service: "nobody"`},
		{"avail web -d shop --what-if 'soften ads:web'", 2, `depgraph: --what-if: ads does not depend on "web"`},
		{"avail nobody -d shop", 2, `depgraph: unknown service: "nobody"`},
		{"why web nobody -d shop", 2, `depgraph: unknown service: "nobody"`},
		{"explain dg5", 2, `depgraph: unknown rule "dg5"; "depgraph explain" lists them`},
		{"query 'deps(web' -d shop", 2, `depgraph: query: the query ends too early; expected ")"
  deps(web
          ^`},
		{"query nobody -d shop", 2, `depgraph: query: there is no service "nobody"
  nobody
  ^`},
		{"query '' -d shop", 2, `depgraph: query: the query is empty; try "deps(NAME)"
  
  ^`},
		{"export shop --depth 2", 2, `depgraph: --depth goes with --focus`},
		{"export shop --depth -1", 2, `depgraph: --depth: -1 is below 0`},
		{"export shop --focus a --reaches b", 2, `depgraph: --focus and --reaches exclude each other; a query can say both, such as "deps(a) & rdeps(b)"`},
		{"export shop --collapse moon", 2, `depgraph: --collapse: collapse "moon" is not one of owner, kind, criticality, folder`},
		{"export shop --focus deps(", 2, `depgraph: query: the query ends too early; expected a name, a function or (
  deps(
       ^`},
		{"export shop -f resilience-hub", 2, `depgraph: export -f resilience-hub: --list names what "aws resiliencehubv2 list-dependencies" printed`},
		{"export shop -f resilience-hub --list gone.json", 3, `stat gone.json: no such file or directory`},
		{"export shop -f resilience-hub --list loop.yaml -o loop.yaml", 2, `depgraph: -o loop.yaml: is read by this command; write to another file`},
		{"runbook", 2, `depgraph: runbook: say --cold, for a start from nothing, or --down SERVICE`},
		{"runbook --cold --down db", 2, `depgraph: runbook: say --cold, for a start from nothing, or --down SERVICE`},
		{"runbook --down db --max-parallel 3", 2, `depgraph: runbook: --max-parallel goes with --cold`},
		{"runbook --down nobody -d shop", 2, `depgraph: unknown service: "nobody"`},
		{"why-blocked web -d shop", 2, `depgraph: why-blocked: --state names a file that says who is up, or - for the standard input`},
		{"why-blocked web -d shop --state gone.json", 3, `open gone.json: no such file or directory`},
		{"why-blocked nobody -d shop --state loop.yaml", 3, `loop.yaml: who is running: line 1: invalid character 's' looking for beginning of value`},
		{"why-blocked web -d shop --state shop/depgraph.yaml -o shop/depgraph.yaml", 2, `depgraph: -o shop/depgraph.yaml: is read by this command; write to another file`},
		{"schema -o gone/x", 3, `gone/x: cannot write: no such file or directory`},
		{"init -d x -d y", 2, `depgraph: init takes one folder`},
		{"import docker x", 2, `depgraph: import: "docker" is not one of compose, kubernetes, backstage, systemd, resilience-hub`},
		{"import compose gone.yaml", 3, `stat gone.yaml: no such file or directory`},
		{"import compose loop.yaml --check -o out", 3, `loop.yaml:1: no services here; is it a compose file?`},
		{"import kubernetes shop -o shop --check", 3, `read 1 file: 0 services, 0 dependencies, 0 of them guesses (assumed)
skipped 4 documents without a kind: shop/depgraph.yaml:1, shop/depgraph.yaml:16, shop/depgraph.yaml:18, shop/depgraph.yaml:20
skipped 1 objects of kind datastore: shop/depgraph.yaml:14
depgraph: nothing to import in shop: no service was found`},
		{"check shop --require-proof 90x", 2, `depgraph: invalid value "90x" for flag -require-proof: want days such as 90d, or a duration such as 36h`},
		{"check shop --require-proof 0d", 2, `depgraph: invalid value "0d" for flag -require-proof: want days such as 90d, at most 3650d`},
		{"check shop --require-proof 3651d", 2, `depgraph: invalid value "3651d" for flag -require-proof: want days such as 90d, at most 3650d`},
		{"check shop --require-proof -1h", 2, `depgraph: invalid value "-1h" for flag -require-proof: want days such as 90d, or a duration such as 36h`},
		{"check shop --require-proof d", 2, `depgraph: invalid value "d" for flag -require-proof: want days such as 90d, at most 3650d`},
		{"check shop --rule-memory 0 --rule x.wasm", 2, `depgraph: --rule-memory: 0 MiB is not between 1 and 4096`},
		{"check shop --rule-memory 4097 --rule x.wasm", 2, `depgraph: --rule-memory: 4097 MiB is not between 1 and 4096`},
		{"check shop --rule-timeout 0s --rule x.wasm", 2, `depgraph: --rule-timeout: 0s is not above 0`},
		{"check shop --rule gone.wasm", 3, `gone.wasm: cannot read: no such file or directory`},
		{"check shop --proof gone.jsonl", 3, `open gone.jsonl: no such file or directory`},
		{"check shop --config gone.yaml", 3, `depgraph: policy: open gone.yaml: no such file or directory`},
		{"check shop --config loop.yaml", 3, `loop.yaml:1: policy: unknown field "service"; it takes rules, forbidden, allowed, required
loop.yaml:2: policy: unknown field "owner"; it takes rules, forbidden, allowed, required
loop.yaml:3: policy: unknown field "start"; it takes rules, forbidden, allowed, required
loop.yaml:4: policy: unknown field "depends"; it takes rules, forbidden, allowed, required
loop.yaml:6: a policy file holds one document
loop.yaml:10: a policy file holds one document
loop.yaml:14: a policy file holds one document`},
		{"check shop --baseline gone.json", 3, `depgraph: baseline: open gone.json: no such file or directory`},
		{"check shop --baseline loop.yaml", 3, `depgraph: baseline loop.yaml: no baseline as "depgraph baseline" writes it: invalid character 's' looking for beginning of value`},
		{"check shop --fail-on bad", 2, `depgraph: --fail-on: "bad" is not one of error, warn, info, none`},
		{"check shop --only DG099", 2, `depgraph: unknown rule "DG099"; did you mean "DG009"?`},
		{"check shop --skip slo-inversoin", 2, `depgraph: unknown rule "slo-inversoin"; did you mean "slo-inversion"?`},
		{"check -o shop/depgraph.yaml shop", 2, `depgraph: -o shop/depgraph.yaml: declares ads; write to another file`},
		{"check loop.yaml shop/depgraph.yaml -o loop.yaml", 2, `depgraph: -o loop.yaml: declares consul; write to another file`},
		{"check shop -o gone/report.txt", 3, `gone/report.txt: cannot write: no such file or directory`},
		{"check gone", 3, `gone: cannot read: no such file or directory`},
		{"check gone*.yaml", 3, `gone*.yaml: no file matches the pattern`},
		{"check [", 2, `depgraph: the pattern "[": syntax error in pattern`},
		{"drift -d shop", 2, `depgraph: drift: --observed names what was recorded: dependencies of Zipkin or Jaeger, spans of Zipkin (v2), Jaeger or OTLP in JSON, metrics of OpenTelemetry's service graph as Prometheus has them (text, or the answer of a query), or a recording of package observe; or compose and Kubernetes files`},
		{"drift -d shop --observed gone.json", 3, `gone.json: cannot read: no such file or directory`},
		{"drift -d shop --observed loop.yaml --map web", 2, `depgraph: --map: expected "OBSERVED=DECLARED", found "web"`},
		{"drift -d shop --observed loop.yaml --names gone.txt", 3, `open gone.txt: no such file or directory`},
		{"drift -d shop --observed loop.yaml --no-declaration", 2, `depgraph: drift: --no-declaration reads no manifests, and -d names some`},
		{"drift -d shop --observed loop.yaml -o loop.yaml", 2, `depgraph: -o loop.yaml: is read by this command; write to another file`},
		{"diff gone shop", 2, `depgraph: diff: there is no file or folder of that name, and this is not a git repository`},
		{"diff --flag", 2, `depgraph: flag provided but not defined: -flag`},
		{"diff shop shop -o shop/depgraph.yaml", 2, `depgraph: -o shop/depgraph.yaml: declares ads; write to another file`},
		{"diff a b c", 2, `depgraph: usage: depgraph diff REV1 [REV2]`},
	} {
		code, out, errs := in(t, dir, "", split(c.args)...)
		if code != c.code || out != "" || errs != c.want+"\n" {
			t.Errorf("depgraph %s: exit code %d, %q\n%s\nwant %d\n%s", c.args, code, out, errs, c.code, c.want)
		}
	}
	for name, want := range map[string]string{"shop/depgraph.yaml": theShop, "loop.yaml": theLoop} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(text) != want {
			t.Errorf("%s is another file now: %v\n%s", name, err, text)
		}
	}
}
