package depgraph_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/failopen/failopen/depgraph"
)

// liar is an error and a value whose methods panic.
type liar struct{}

func (liar) Error() string  { panic("no text") }
func (liar) String() string { panic("no text") }

func TestOwnRule(t *testing.T) {
	g := graphOf(t, "service: a\nowner: x\ndepends: [{on: b}]\n---\nservice: b\nowner: x\n")
	edge := g.EdgesFrom("a")[0]
	finding := func(f depgraph.Finding) func(context.Context, *depgraph.Graph) ([]depgraph.Finding, error) {
		return func(context.Context, *depgraph.Graph) ([]depgraph.Finding, error) { return []depgraph.Finding{f}, nil }
	}
	for name, c := range map[string]struct {
		check func(context.Context, *depgraph.Graph) ([]depgraph.Finding, error)
		want  string
	}{
		"a finding":     {finding(depgraph.Finding{Service: "b", Message: "no"}), "warn own m.yaml:5 no; mend it"},
		"about an edge": {finding(depgraph.Finding{Service: "a", Message: "no", Fix: "f", Severity: depgraph.Error, Edges: []depgraph.Edge{edge}}), "error own m.yaml:3 no; f"},
		"of another":    {finding(depgraph.Finding{Rule: "DG001", Service: "a", Message: "no"}), "warn own m.yaml:1 no; mend it"},
		"no service":    {finding(depgraph.Finding{Service: "c", Message: "no"}), `error DG020  the rule own: finding 1: there is no service "c"; Fix the rule, or leave it out.`},
		"no message":    {finding(depgraph.Finding{Service: "a"}), "error DG020  the rule own: finding 1: the message is empty; Fix the rule, or leave it out."},
		"an error": {func(context.Context, *depgraph.Graph) ([]depgraph.Finding, error) {
			return []depgraph.Finding{{Service: "a", Message: "no"}}, errors.New("lost its way")
		}, "error DG020  the rule own: lost its way; Fix the rule, or leave it out."},
		"a lying error": {func(context.Context, *depgraph.Graph) ([]depgraph.Finding, error) { return nil, liar{} }, "error DG020  the rule own: failed with an error that cannot be formatted; Fix the rule, or leave it out."},
		"a panic":       {func(context.Context, *depgraph.Graph) ([]depgraph.Finding, error) { panic("boom") }, "error DG020  the rule own: panicked: boom; Fix the rule, or leave it out."},
		"a Goexit":      {func(context.Context, *depgraph.Graph) ([]depgraph.Finding, error) { runtime.Goexit(); return nil, nil }, "error DG020  the rule own: ended its goroutine (runtime.Goexit); Fix the rule, or leave it out."},
		"nothing":       {func(context.Context, *depgraph.Graph) ([]depgraph.Finding, error) { return nil, nil }, ""},
	} {
		found, err := g.Check(t.Context(), depgraph.CheckOptions{Rules: []depgraph.Rule{{Name: "own", Severity: depgraph.Warn, Fix: "mend it", Check: c.check}}})
		if err != nil {
			t.Fatal(name, err)
		}
		var lines []string
		for _, f := range found {
			lines = append(lines, fmt.Sprintf("%s %s %s %s; %s", f.Severity, f.Rule, f.At, f.Message, f.Fix))
		}
		if got := strings.Join(lines, "\n"); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestOwnRule_that_blocks_ends_with_the_context(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := graphOf(t, "service: a\nowner: x\n")
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		go cancel()
		_, err := g.Check(ctx, depgraph.CheckOptions{Rules: []depgraph.Rule{{Name: "own", Check: func(context.Context, *depgraph.Graph) ([]depgraph.Finding, error) {
			<-release
			return nil, nil
		}}}})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want the context's error", err)
		}
		close(release)
	})
}

func TestOwnRule_names(t *testing.T) {
	g := graphOf(t, "service: a\nowner: x\n")
	none := func(context.Context, *depgraph.Graph) ([]depgraph.Finding, error) { return nil, nil }
	for want, rules := range map[string][]depgraph.Rule{
		`a rule is named ""`:          {{Check: none}},
		`a rule is named "My Rule"`:   {{Name: "My Rule", Check: none}},
		`two rules named "no-owner"`:  {{Name: "no-owner", Check: none}},
		`two rules named "own"`:       {{Name: "own", Check: none}, {Name: "own", Check: none}},
		`the rule "own" has no Check`: {{Name: "own"}},
	} {
		if _, err := g.Check(t.Context(), depgraph.CheckOptions{Rules: rules}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	ran := false
	own := depgraph.Rule{Name: "own", Check: func(context.Context, *depgraph.Graph) ([]depgraph.Finding, error) { ran = true; return nil, nil }}
	if _, err := g.Check(t.Context(), depgraph.CheckOptions{Rules: []depgraph.Rule{own}, Skip: []string{"own"}}); err != nil || ran {
		t.Errorf("%v; a rule that is left out ran: %v", err, ran)
	}
	if _, err := g.Check(t.Context(), depgraph.CheckOptions{Rules: []depgraph.Rule{own}, Only: []string{"onw"}}); err == nil || !strings.Contains(err.Error(), `did you mean "own"`) {
		t.Errorf("a misspelt name: %v", err)
	}
}
