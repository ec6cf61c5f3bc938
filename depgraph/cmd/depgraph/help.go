package main

import (
	"flag"
	"fmt"
	"strings"

	"github.com/failopen/failopen/depgraph/internal/cli"
)

// The order is that of usefulness to somebody new: check first, then the
// questions, then what writes files, then the program's own.

// verbs lists everything the program does, in the order of help. Help,
// completion, suggestions and the checks of arguments, formats and flags all
// come from here. A new verb is a row: see the fields of verb. The last one
// must be help.
//
// It is a function, not a variable, since the rows have methods that need the
// table themselves. A call costs some allocations and happens a few times in a
// run.
func verbs() []verb {
	return []verb{
		{
			name: "check", usage: "[PATH...]", paths: true, summary: "run all rules; the verb for CI", formats: []string{"text", "json", "sarif", "junit", "github", "markdown"},
			failOn: "error", run: (*command).check,
			flags: func(c *command, fs *flag.FlagSet) {
				fs.BoolVar(&c.all, "all", false, "whole lists of names")
				c.proofFlags(fs)
				c.ruleFlags(fs)
			},
			about: `Runs the built-in rules ("depgraph explain" lists them) and those of the policy file.

  depgraph check                               the current folder
  depgraph check services/ extra.yaml -        folders, files, standard input
  depgraph check services -f github            annotations in a pull request
  depgraph check -f markdown >> "$GITHUB_STEP_SUMMARY"
  depgraph check -f sarif -o depgraph.sarif    for code scanning
  depgraph check --fail-on warn --skip DG012
  depgraph check --baseline known.json         only what is new
  depgraph check --require-proof 90d           each soft dependency was cut in a drill
  depgraph check --rule rules/runbook.wasm     a rule of your own, in any language`,
		},
		{
			name: "cycles", usage: "[PATH...]", paths: true, summary: "every cycle, the shortest way round, and the fewest edges to soften", formats: textJSON(),
			failOn: "warn", run: (*command).cycles,
			flags: func(c *command, fs *flag.FlagSet) {
				fs.StringVar(&c.phase, "phase", "", "only these `phases`: startup, runtime, or deploy")
				fs.BoolVar(&c.noSoft, "hard", false, "leave out cycles that are open because an edge is soft")
			},
			about: `A bootstrap deadlock never comes up after a full stop. A runtime cycle can be
started together, but fails together. A soft cycle is harmless as long as its
soft edges really are soft.

  depgraph cycles
  depgraph cycles --phase runtime -f json
  depgraph cycles --phase deploy               can the fix be shipped?`,
		},
		{
			name: "order", usage: "[PATH...]", paths: true, summary: "the order in which a stopped system starts", formats: textJSON(), failOn: "warn", run: (*command).order,
			flags: func(c *command, fs *flag.FlagSet) {
				fs.BoolVar(&c.cold, "cold", false, "black start: break-glass edges are bypassed by hand")
				fs.StringVar(&c.restart, "restart", "", "only what must be up before this `service`")
				fs.BoolVar(&c.shutdown, "shutdown", false, "the order of a full stop")
				fs.IntVar(&c.maxParallel, "max-parallel", 0, "start at most `N` services at the same time")
				fs.BoolVar(&c.all, "all", false, "do not shorten lists")
			},
			about: `Prints waves: all services of a wave can be started at the same time. If the
manifests have start durations, it also prints when each one is up, and the
critical path. The exit code is 1 if a cycle keeps something from starting.

  depgraph order
  depgraph order --cold --max-parallel 4
  depgraph order --restart checkout
  depgraph order --shutdown`,
		},
		{
			name: "blast", usage: "SERVICE... | --all", summary: "what goes down with a service", maxArgs: -1, formats: textJSON(), run: (*command).blast,
			flags: func(c *command, fs *flag.FlagSet) {
				fs.BoolVar(&c.all, "all", false, "for every service: how many others go down; with services: do not shorten lists")
				fs.StringVar(&c.plane, "plane", "", "only this `plane` is lost: data or control")
			},
			about: `  depgraph blast dynamodb
  depgraph blast zone-a-db zone-a-cache        both at the same time
  depgraph blast ec2 --plane control           its API is gone, instances keep running
  depgraph blast --all`,
		},
		{
			name: "avail", usage: "SERVICE", summary: "how available a service can be, and what costs it", minArgs: 1, maxArgs: 1, formats: textJSON(), run: (*command).avail,
			flags: func(c *command, fs *flag.FlagSet) {
				fs.BoolVar(&c.all, "all", false, "do not shorten lists")
				fs.Var(&c.whatIf, "what-if", "`change` to try: \"soften A:B\" or \"own SERVICE=PERCENT\"; can be repeated")
			},
			about: `Exact, with each shared dependency counted once.

  depgraph avail checkout
  depgraph avail checkout --what-if "soften checkout:fraud"
  depgraph avail checkout --what-if "own dns=99.999"`,
		},
		{
			name: "why", usage: "A B", summary: "how A depends on B", minArgs: 2, maxArgs: 2, formats: textJSON(), run: (*command).why,
			flags: func(c *command, fs *flag.FlagSet) {
				fs.BoolVar(&c.all, "all", false, "every path, the shortest first, at most 100")
				fs.BoolVar(&c.hard, "hard", false, "over hard edges only")
			},
			about: `  depgraph why checkout iam
  depgraph why checkout iam --all`,
		},
		{
			name: "diff", usage: "REV1 [REV2]", summary: "what a change does: edges, cycles, answers, new findings", minArgs: 1, maxArgs: 2,
			formats: []string{"text", "markdown", "json", "github"}, failOn: "error", run: (*command).diff,
			flags: func(c *command, fs *flag.FlagSet) {
				fs.BoolVar(&c.all, "all", false, "do not shorten lists")
				c.proofFlags(fs)
				c.ruleFlags(fs)
			},
			about: `Each side is a git revision, a folder, a manifest or an exported graph; without
REV2 the second side is the work tree. Only new findings affect the exit code: a
new cycle fails, an existing one does not. Both sides use the policy of the work
tree.

  depgraph diff main                           the work tree against main
  depgraph diff main...HEAD                    a branch against its merge base with main
  depgraph diff v1.4 v1.5 -d services          only that folder, in both
  depgraph diff old.json new.json              written by "depgraph export -f json"
  depgraph diff origin/main...HEAD -f markdown a comment for the pull request
  depgraph diff git:services                   the branch, not the folder of that name`,
		},
		{
			name: "drift", usage: "--observed FILE...", summary: "compare what is declared with what was seen",
			formats: []string{"text", "markdown", "json", "sarif", "github", "yaml"}, failOn: "warn", run: (*command).drift,
			flags: func(c *command, fs *flag.FlagSet) {
				fs.Var(&c.observed, "observed", "`file` with what was recorded; can be repeated")
				fs.StringVar(&c.names, "names", "", "`file` with lines \"observed: declared\"; \"-\" excludes a name, * matches any text")
				fs.Var(&c.mapped, "map", "`OBSERVED=DECLARED`, as a line of --names; can be repeated")
				fs.BoolVar(&c.nothing, "no-declaration", false, "do not compare: list everything that was seen")
				fs.BoolVar(&c.all, "all", false, "do not shorten lists")
			},
			about: `Finds dependencies that are undeclared (DG015), declared but not seen (DG016), or
declared soft although their errors become errors of the caller (DG019). Reads
Zipkin and Jaeger dependencies, spans as JSON from Zipkin (v2), Jaeger, Tempo and
OTLP, OpenTelemetry service graph metrics in the Prometheus text format,
recordings of package observe (gzip is unpacked), and addresses in compose and
Kubernetes files.

  curl -s zipkin:9411/api/v2/traces?limit=1000 | depgraph drift --observed -
  depgraph drift -d services --observed spans.json --observed more.json.gz
  depgraph drift --observed spans.json --names names.txt
  depgraph drift --observed spans.json --map frontend-v2=frontend --map '10.*=-'
  depgraph drift --observed spans.json --no-declaration
  depgraph drift --observed spans.json --no-declaration -f yaml   a first manifest

A record is a sample: the output says what cannot be concluded from it.`,
		},
		{
			name: "why-blocked", usage: "SERVICE --state FILE", summary: "what a service is waiting for, given what is up", minArgs: 1, maxArgs: 1, formats: textJSON(), run: (*command).whyBlocked,
			flags: func(c *command, fs *flag.FlagSet) {
				fs.StringVar(&c.state, "state", "", "`file` that says what is up, or - for the standard input")
			},
			about: `Prints the shortest chain from the service to one that is down and waits for
nothing else, or the cycle of services that wait for each other. The exit code is
1 while the service is not serving.

  depgraph why-blocked checkout --state running.json
  docker compose ps --all --format json | depgraph why-blocked checkout --state -

The state is a list of names that are up, an object of names and states (down,
started, ready, serving, done; or true and false), or the output of docker compose
ps.`,
		},
		{
			name: "runbook", usage: "--cold | --down SERVICE", summary: "a procedure for operators: waves, verify steps, owners", formats: []string{"markdown", "html"}, run: (*command).runbook,
			flags: func(c *command, fs *flag.FlagSet) {
				fs.BoolVar(&c.cold, "cold", false, "everything is down and has to be started")
				fs.StringVar(&c.down, "down", "", "this `service` is down")
				fs.IntVar(&c.maxParallel, "max-parallel", 0, "start at most `N` services at the same time")
				fs.StringVar(&c.heading, "title", "", "the heading of the page")
			},
			about: `The runbook is generated, never edited. It holds no date and no commit: two
runbooks differ only if the procedure does, so it can be committed and compared
in CI.

  depgraph runbook --cold -o BLACK-START.md
  depgraph runbook --cold -f html -o black-start.html     print it
  depgraph runbook --down dynamodb`,
		},
		{
			name: "report", usage: "[PATH...]", paths: true, summary: "one HTML page with everything; needs no network", formats: []string{"html"}, run: (*command).report,
			flags: func(c *command, fs *flag.FlagSet) {
				fs.StringVar(&c.heading, "title", "", "the heading of the page")
				c.proofFlags(fs)
				c.ruleFlags(fs)
			},
			about: `  depgraph report -o report.html
  depgraph report services --title "Shop" -o report.html`,
		},
		{
			name: "query", usage: "EXPRESSION", summary: "the services that an expression selects", minArgs: 1, maxArgs: 1, run: (*command).query,
			formats: []string{"text", "json", "dot", "mermaid", "markdown", "csv", "svg", "html", "yaml"},
			about: `In the spirit of Bazel's query:

  depgraph query 'rdeps(dynamodb) & owner(pay)'      who in our team is affected?
  depgraph query 'deps(checkout, hard, runtime) - deps(cart)'
  depgraph query 'deps(checkout, 2)' -f mermaid      what it needs, up to two steps away
  depgraph query 'allpaths(web, iam)' -f svg -o why.svg
  depgraph query 'down("zone a") & tier(critical)'

  NAME, "a name", pay-*      services, by name or pattern
  deps(X), rdeps(X)          what X needs, what needs X, both with X
  somepath(A, B), allpaths(A, B)
  down(X)                    X and what goes down with it
  owner(P) kind(P) tier(P) name(P) cycles() roots() leaves() undeclared() all()
  X & Y, X | Y, X - Y, (X)   & binds tighter; a dash needs spaces around it

deps, rdeps and the paths take limits: a number of steps, hard, soft, startup,
runtime, deploy, data, control. Formats other than text include the
edges between the selected services.`,
		},
		{
			name: "export", usage: "[PATH...]", paths: true, summary: "the graph for other programs", run: (*command).export,
			formats: []string{"json", "dot", "mermaid", "markdown", "csv", "svg", "html", "yaml", "backstage", "resilience-hub"},
			flags: func(c *command, fs *flag.FlagSet) {
				c.viewFlags(fs)
				fs.Var(&c.listed, "list", "for resilience-hub: `file` with what list-dependencies printed; can be repeated")
			},
			about: `  depgraph export -f dot | dot -Tsvg > graph.svg
  depgraph export -f mermaid -o graph.mmd
  depgraph export -f markdown > DEPENDENCIES.md
  depgraph export -f yaml                      one manifest with everything
  depgraph export -f svg --focus checkout --depth 2
  depgraph export -f mermaid --reaches 'kind(datastore)' --collapse owner
  depgraph export -f backstage > catalog-info.yaml
  depgraph export -f resilience-hub --list deps.json > updates.jsonl
  while read -r u; do aws resiliencehubv2 update-dependency --cli-input-json "$u"; done < updates.jsonl`,
		},
		{
			name: "import", usage: strings.Join(importNames(), "|") + " FILE...", words: importNames(), summary: "write manifests from other tools' files",
			minArgs: 2, maxArgs: -1, run: (*command).importFrom,
			flags: func(c *command, fs *flag.FlagSet) {
				fs.BoolVar(&c.force, "force", false, "overwrite existing manifests, edits included")
				fs.BoolVar(&c.checkOnly, "check", false, "write nothing; exit code 1 if the manifests in -o differ")
			},
			about: `Writes one manifest for each service into the folder given with -o, for you to
edit: add what the source does not say, above all which edges are soft. A second
import keeps every edit, adds new services and prints the differences.

  docker compose config | depgraph import compose - -o services
  depgraph import compose compose.yaml -o services --check     for CI

  depgraph import compose compose.yaml compose.prod.yaml -o services
  depgraph import kubernetes manifests/ -o services
  depgraph import backstage catalog-info.yaml -o services
  depgraph import systemd /lib/systemd/system -o services
  depgraph import resilience-hub deps.json -o services     output of list-dependencies`,
		},
		{
			name: "baseline", usage: "[PATH...]", paths: true, summary: "write today's findings to a file that check tolerates", run: (*command).writeBaseline,
			flags: func(c *command, fs *flag.FlagSet) { c.ruleFlags(fs) },
			about: `  depgraph baseline -o known.json
  depgraph check --baseline known.json`,
		},
		{
			name: "explain", usage: "[RULE]", summary: "what a rule finds, why it matters, and how to fix it", maxArgs: 1, formats: textJSON(), run: (*command).explain,
			about: `  depgraph explain
  depgraph explain DG005`,
		},
		{
			name: "init", usage: "[SERVICE]", summary: "write a first depgraph.yaml and .depgraph.yaml", maxArgs: 1, run: (*command).initialize,
			about: `  cd services/checkout && depgraph init
  depgraph -d services/checkout init checkout`,
		},
		{
			name: "schema", summary: "print the JSON Schema of manifests", run: (*command).schema,
			about: `  depgraph schema -o depgraph.schema.json

Then, as the first line of a manifest, for editors:

  # yaml-language-server: $schema=depgraph.schema.json`,
		},
		{
			name: "completion", usage: strings.Join(cli.Shells(), "|"), words: cli.Shells(), summary: "print a completion script", minArgs: 1, maxArgs: 1, run: (*command).completion,
			about: `  source <(depgraph completion bash)
  depgraph completion zsh > "${fpath[1]}/_depgraph"
  depgraph completion fish > ~/.config/fish/completions/depgraph.fish`,
		},
		{name: "version", summary: "print the version", run: (*command).version},
		{name: "help", usage: "[VERB]", summary: "print this, or more about a verb", maxArgs: 1, run: func(c *command) error { return c.help(c.args) }},
	}
}

// introduction is the help without a verb, up to the list of them.
// It shows a manifest before any verb, since nothing works without one.
const introduction = `depgraph: know what depends on what, before an outage shows you.

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

`

// exitCodes ends each help, since scripts need them more than people do.
const exitCodes = `
Exit codes: 0 nothing found, 1 findings, 2 wrong usage, 3 could not read or analyse.
`

// help prints the introduction with all verbs, or all about one: what it is
// for, examples, formats, its own flags, and those of every verb. Each default
// is in the text of its flag. An unknown verb is an error of usage, with a
// suggestion.
//
// It is written in one call, so that a pipe that is closed early, as by head,
// cannot cut it within a line.
func (c *command) help(args []string) error {
	var b strings.Builder
	if len(args) == 1 {
		v, ok := findVerb(args[0])
		if !ok {
			return usagef("unknown verb %q%s", args[0], table().Suggest(", ", args[0]))
		}
		fmt.Fprintf(&b, "depgraph %s: %s\n\n  depgraph %s\n", v.name, v.summary, strings.TrimSpace(v.name+" [flags] "+v.usage))
		if v.about != "" {
			b.WriteString("\n" + v.about + "\n")
		}
		if len(v.formats) > 1 {
			fmt.Fprintf(&b, "\nFormats: %s\n", strings.Join(v.formats, ", "))
		}
		fs := flag.NewFlagSet("", flag.ContinueOnError)
		if v.flags != nil {
			v.flags(c, fs)
			b.WriteString("\nFlags of this verb:\n\n")
			flagTable(&b, fs)
		}
	} else {
		b.WriteString(introduction)
		for _, v := range verbs() {
			fmt.Fprintf(&b, "  %-11s %s\n", v.name, v.summary)
		}
	}
	b.WriteString("\nFlags, before or after the verb:\n\n")
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	c.globals(fs)
	flagTable(&b, fs)
	b.WriteString(exitCodes)
	_, err := c.stdout.Write([]byte(b.String()))
	return err
}

// flagTable writes a line for each flag, by name: with its dashes, and what it
// takes, which its text has between back quotes.
func flagTable(b *strings.Builder, fs *flag.FlagSet) {
	fs.VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		fmt.Fprintf(b, "  %-24s %s\n", strings.TrimSpace(cli.FlagName(f)+" "+value), usage)
	})
}
