package depgraphtest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/depgraphtest"
)

// runBroken makes TestBroken run: it fails, and TestSuites_notice reads how.
const runBroken = "DEPGRAPHTEST_BROKEN"

// rule is one that finds fault with the services for which is holds.
func rule(check func(context.Context, *depgraph.Graph) ([]depgraph.Finding, error)) depgraph.Rule {
	return depgraph.Rule{Name: "own", Summary: "finds something", Check: check}
}

// imported is a small input as an importer should give it.
func imported() []depgraph.Service {
	return []depgraph.Service{
		{Name: "a", Source: "f:1", Depends: []depgraph.Dependency{{On: "b", Source: "f:2"}, {AnyOf: []string{"b", "c"}, Phase: depgraph.Deploy, Source: "f:3"}}},
		{Name: "b", Source: "f:4"},
		{Name: "c", Source: "f:5"},
	}
}

// reads is an importer that gives the input, changed, each time anew.
func reads(change func(s []depgraph.Service) []depgraph.Service) func() ([]depgraph.Service, error) {
	return func() ([]depgraph.Service, error) { return change(imported()), nil }
}

// broken holds rules and importers that are at fault, and what a suite says of them:
// the first line of each report.
var broken = map[string]struct {
	run  func(t *testing.T)
	want []string
}{
	"a rule without a check": {
		func(t *testing.T) { depgraphtest.TestRule(t, depgraph.Rule{Name: "own", Summary: "x"}) },
		[]string{"the rule has no Check"},
	},
	"a rule without a summary": {
		func(t *testing.T) {
			r := rule(func(context.Context, *depgraph.Graph) ([]depgraph.Finding, error) { return nil, nil })
			r.Summary = ""
			depgraphtest.TestRule(t, r)
		},
		[]string{`the rule has no Summary; "depgraph explain" would have nothing to say`},
	},
	"a rule without a name": {
		func(t *testing.T) {
			r := rule(func(context.Context, *depgraph.Graph) ([]depgraph.Finding, error) { return nil, nil })
			r.Name = ""
			depgraphtest.TestRule(t, r)
		},
		[]string{`seed 0: depgraph: a rule is named ""; a name has lower-case letters, digits and . _ -`},
	},
	"a rule that fails on an empty graph": {
		func(t *testing.T) {
			depgraphtest.TestRule(t, rule(func(_ context.Context, g *depgraph.Graph) ([]depgraph.Finding, error) {
				return []depgraph.Finding{{Service: g.Names()[0], Message: "is the first"}}, nil
			}))
		},
		[]string{"seed 0: the rule own: panicked: runtime error: index out of range [0] with length 0; the manifests:"},
	},
	"a rule that returns an error": {
		func(t *testing.T) {
			depgraphtest.TestRule(t, rule(func(_ context.Context, g *depgraph.Graph) ([]depgraph.Finding, error) {
				if g.Len() == 3 {
					return nil, errors.New("three is too much")
				}
				return nil, nil
			}))
		},
		[]string{"seed 3: the rule own: three is too much; the manifests:"},
	},
	"a finding about nobody": {
		func(t *testing.T) {
			depgraphtest.TestRule(t, rule(func(context.Context, *depgraph.Graph) ([]depgraph.Finding, error) {
				return []depgraph.Finding{{Service: "nobody", Message: "is not there"}}, nil
			}))
		},
		[]string{`seed 0: the rule own: finding 1: there is no service "nobody"; the manifests:`},
	},
	"another answer for the same graph": {
		func(t *testing.T) {
			calls := 0
			depgraphtest.TestRule(t, rule(func(_ context.Context, g *depgraph.Graph) (found []depgraph.Finding, err error) {
				calls++
				for _, n := range g.Names() {
					found = append(found, depgraph.Finding{Service: n, Message: fmt.Sprint("call ", calls)})
				}
				return found, nil
			}))
		},
		[]string{"seed 1: two answers for one graph:"},
	},
	"an error that is not the context's": {
		func(t *testing.T) {
			depgraphtest.TestRule(t, rule(func(ctx context.Context, _ *depgraph.Graph) ([]depgraph.Finding, error) {
				if ctx.Err() != nil {
					return nil, errors.New("gave up")
				}
				return nil, nil
			}))
		},
		[]string{"after its context has ended, the rule returns gave up; want nil or the context's error"},
	},
	"a rule that goes on for ever": {
		func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				defer close(release)
				depgraphtest.TestRule(t, rule(func(ctx context.Context, _ *depgraph.Graph) ([]depgraph.Finding, error) {
					if ctx.Err() != nil {
						<-release
					}
					return nil, nil
				}))
			})
		},
		[]string{"the rule does not end with its context"},
	},
	"an importer that fails": {
		func(t *testing.T) {
			depgraphtest.TestImporter(t, func() ([]depgraph.Service, error) { return nil, errors.New("no such file") })
		},
		[]string{"no such file"},
	},
	"an importer that fails at the second time": {
		func(t *testing.T) {
			calls := 0
			depgraphtest.TestImporter(t, func() ([]depgraph.Service, error) {
				if calls++; calls == 2 {
					return nil, errors.New("the reader is at its end")
				}
				return imported(), nil
			})
		},
		[]string{"the reader is at its end"},
	},
	"an input of nothing": {
		func(t *testing.T) {
			depgraphtest.TestImporter(t, reads(func([]depgraph.Service) []depgraph.Service { return nil }))
		},
		[]string{"nothing was imported; the suite needs an input with services"},
	},
	"an order that changes": {
		func(t *testing.T) {
			calls := 0
			depgraphtest.TestImporter(t, reads(func(s []depgraph.Service) []depgraph.Service {
				if calls++; calls == 2 {
					s[1], s[2] = s[2], s[1]
				}
				return s
			}))
		},
		[]string{"two results for one input"},
	},
	"no graph": {
		func(t *testing.T) {
			depgraphtest.TestImporter(t, reads(func(s []depgraph.Service) []depgraph.Service { return s[:2] }))
		},
		[]string{`what was imported is not a graph: a: depends on "c", which is not declared`},
	},
	"no sources": {
		func(t *testing.T) {
			depgraphtest.TestImporter(t, reads(func(s []depgraph.Service) []depgraph.Service {
				s[0].Depends[0].Source, s[0].Depends[1].Source, s[1].Source = "", "", ""
				return s
			}))
		},
		[]string{"a -> b[]: no source", "a -> [b c]: no source", "b: no source; nobody can tell where it comes from"},
	},
	"no dependencies": {
		func(t *testing.T) {
			depgraphtest.TestImporter(t, reads(func(s []depgraph.Service) []depgraph.Service { return s[1:] }))
		},
		[]string{"no dependency was imported; the suite needs an input with some"},
	},
	"what manifests cannot hold": {
		func(t *testing.T) {
			depgraphtest.TestImporter(t, reads(func(s []depgraph.Service) []depgraph.Service {
				s[0].Note = "\xff"
				return s
			}))
		},
		[]string{"the manifests cannot be read: imported.yaml:1: cannot parse: did not find expected key"}, // the reason is in the next line
	},
	"nothing is wrong": {
		func(t *testing.T) {
			depgraphtest.TestImporter(t, reads(func(s []depgraph.Service) []depgraph.Service { return s }))
		},
		nil,
	},
}

// TestBroken fails, in the process that TestSuites_notice starts.
func TestBroken(t *testing.T) {
	if os.Getenv(runBroken) == "" {
		return
	}
	for name, c := range broken {
		t.Run(name, c.run)
	}
}

// reported is the first line of a report of the suite, and the test that it belongs to
// begins with a line of its own.
var (
	began    = regexp.MustCompile(`^=== RUN   TestBroken/(.*)$`)
	reported = regexp.MustCompile(`^    (?:broken_test|depgraphtest|synctest|run)\.go:\d+: (.*)$`)
)

// A suite that cannot fail proves nothing: each fault is reported, in these words, and
// no other one is.
func TestSuites_notice(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBroken$", "-test.v")
	cmd.Env = append(os.Environ(), runBroken+"=1")
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
		t.Fatalf("the broken ones passed: %v\n%s", err, out)
	}
	got, name := map[string][]string{}, ""
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSuffix(line, "\n")
		if m := began.FindStringSubmatch(line); m != nil {
			name = strings.ReplaceAll(m[1], "_", " ")
		} else if m := reported.FindStringSubmatch(line); m != nil {
			got[name] = append(got[name], m[1])
		}
	}
	for name, c := range broken {
		if fmt.Sprint(got[name]) != fmt.Sprint(c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got[name], c.want)
		}
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}
