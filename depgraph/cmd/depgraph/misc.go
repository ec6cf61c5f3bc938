package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/internal/cli"
)

// The verbs that need no graph: they are about the program and its rules, and
// work in a folder without a manifest.

// explain prints the rule that is named in full, or all in a line each.
//
// As JSON it is always a list, so that one rule needs no other reader than all.
func (c *command) explain() error {
	rules := depgraph.Rules()
	if len(c.args) > 0 {
		r, ok := depgraph.FindRule(c.args[0])
		if !ok {
			return usagef("unknown rule %q; \"depgraph explain\" lists them", c.args[0])
		}
		rules = []depgraph.Rule{r}
	}
	return c.write(func(w io.Writer) error {
		var b bytes.Buffer
		if c.format == "json" {
			type rule struct {
				ID       string `json:"id"`
				Name     string `json:"name"`
				Severity string `json:"severity"`
				Summary  string `json:"summary"`
				Why      string `json:"why"`
				Fix      string `json:"fix"`
			}
			all := make([]rule, len(rules))
			for i, r := range rules {
				all[i] = rule{r.ID, r.Name, r.Severity.String(), r.Summary, r.Why, r.Fix}
			}
			enc := json.NewEncoder(&b)
			enc.SetIndent("", " ")
			if err := enc.Encode(all); err != nil {
				return err
			}
		} else if len(rules) == 1 {
			r := rules[0]
			fmt.Fprintf(&b, "%s %s (%s)\n\n%s.\n\nWhy: %s\n\nFix: %s\n", r.ID, r.Name, r.Severity, upperFirst(r.Summary), r.Why, r.Fix)
		} else {
			for _, r := range rules {
				fmt.Fprintf(&b, "%s  %-5s  %-30s  %s\n", r.ID, r.Severity, r.Name, r.Summary)
			}
		}
		_, err := w.Write(b.Bytes())
		return err
	})
}

// upperFirst makes a sentence of a summary, which begins with an ASCII letter.
func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// schema prints the schema as it is embedded, byte for byte: what editors get
// here and from the repository is the same.
func (c *command) schema() error {
	return c.write(func(w io.Writer) error {
		_, err := w.Write(depgraph.Schema())
		return err
	})
}

// completion prints a script for a shell. It honours -o, as all that prints
// does.
func (c *command) completion() error {
	return c.write(func(w io.Writer) error { return table().Completion(w, c.args[0]) })
}

// version is the module's, as "go install" has noted it: "(devel)" for a build
// in a work tree, "unknown" for one without module information.
//
// It writes to the standard output whatever -o says: it is one line.
func (c *command) version() error {
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
	}
	_, err := fmt.Fprintf(c.stdout, "depgraph %s\n", version)
	return err
}

// firstManifest is what init writes: all that most services need, as comments
// where a guess would be wrong. The service's name is put in as YAML quotes it.
const firstManifest = `# yaml-language-server: $schema=https://raw.githubusercontent.com/failopen/failopen/main/depgraph/depgraph.schema.json
service: %s
owner: ""                            # the team that is called at night
kind: app                            # app cloud datastore queue external observer infra
criticality: medium                  # critical high medium low
# availability: {target: 99.9, own: 99.95}
# start: 10s                         # 95th percentile of the time to ready
# verify: curl -fsS localhost:8080/ready
depends:
#  - on: database                    # hard: this service is down without it
#  - on: recommendations
#    soft: true                      # fails open: this service works without it
#    phase: [runtime]                # startup and runtime unless said; also: deploy
#  - any-of: [provider-a, provider-b]
#    need: 1
`

// firstPolicy is what init writes beside it. It turns nothing off.
const firstPolicy = `# What "depgraph check" enforces. "depgraph explain" lists the rules.
rules:
  DG012: info                        # off, info, warn or error
  DG013: {severity: info, percent: 50}
#forbidden:
#  - name: no-legacy
#    comment: The legacy systems are switched off next year; use the new API.
#    from: {owner: "team-*"}
#    to: {service: "legacy-*"}
`

// initialize writes a first manifest and policy into a folder, which is made if
// it is not there, and never overwrites: a file that exists is left as it is
// and said to be, also if it was made by somebody else in the meantime. The
// service has the folder's name unless another is given.
//
// Both files are written with cli.WriteNew, which cannot replace one, rather
// than after a look that could be out of date.
func (c *command) initialize() error {
	dir := "."
	if len(c.paths) > 1 {
		return usagef("init takes one folder")
	} else if len(c.paths) == 1 {
		dir = c.paths[0]
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	// The folder's own name, also for ".".
	name := filepath.Base(abs)
	if len(c.args) == 1 {
		name = c.args[0]
	}
	// Before anything is made: a name that no manifest can have leaves no
	// folder behind.
	quoted, err := depgraph.QuoteYAML(name)
	if err != nil {
		return usagef("init: %s", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, f := range []struct{ name, text string }{
		{"depgraph.yaml", fmt.Sprintf(firstManifest, quoted)},
		{".depgraph.yaml", firstPolicy},
	} {
		path := filepath.Join(dir, f.name)
		if err := cli.WriteNew(path, []byte(f.text)); errors.Is(err, os.ErrExist) {
			fmt.Fprintf(c.said, "%s exists already; left as it is\n", path)
			continue
		} else if err != nil {
			return err
		}
		fmt.Fprintf(c.said, "wrote %s\n", path)
	}
	return nil
}
