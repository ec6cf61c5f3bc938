package fault_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/depgraph/drill/fault"
)

// tb is a test whose failures are kept.
type tb struct {
	cleanup []func()
	failed  []string
}

func (t *tb) Helper()          {}
func (t *tb) Cleanup(f func()) { t.cleanup = append(t.cleanup, f) }
func (t *tb) Errorf(format string, args ...any) {
	t.failed = append(t.failed, fmt.Sprintf(format, args...))
}

func (t *tb) end() string {
	for _, f := range t.cleanup {
		f()
	}
	return strings.Join(t.failed, "\n")
}

func TestMustHit(t *testing.T) {
	right, misspelt := []fault.Rule{fault.Denied("dynamodb")}, []fault.Rule{fault.Denied("dynamobd")}
	for name, c := range map[string]struct {
		rules [][]fault.Rule // set one after the other, each before a call; empty: cleared
		want  string         // in the failure; "": none
	}{
		"hit":                 {[][]fault.Rule{right}, ""},
		"hit, cleared":        {[][]fault.Rule{right, nil}, ""},
		"misspelt":            {[][]fault.Rule{misspelt}, "dynamobd"},
		"misspelt, cleared":   {[][]fault.Rule{misspelt, nil}, "dynamobd"},
		"misspelt, replaced":  {[][]fault.Rule{misspelt, right}, "dynamobd"},
		"off":                 {[][]fault.Rule{{{Off: true, Net: fault.Reset}}}, ""},
		"a window not opened": {[][]fault.Rule{{{From: time.Hour, Net: fault.Reset}}}, "1h0m0s"},
		"no rules":            {nil, ""},
	} {
		i, test := fault.New(fault.Options{}), new(tb)
		i.MustHit(test)
		for _, rules := range c.rules {
			if err := i.Set(rules...); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			i.Next(context.Background(), fault.Call{Service: "dynamodb"})
		}
		if got := test.end(); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: the test failed with %q; want %q", name, got, c.want)
		}
	}
}

// A rule that no call can reach is refused when it is set.
func TestSet_refuses_rules_that_cannot_match(t *testing.T) {
	slow, half := fault.Slow("", time.Second, 0), fault.Rule{Service: "dynamodb", Net: fault.Reset, Probability: 0.5}
	denied := fault.Denied("dynamodb")
	for name, c := range map[string]struct {
		rules []fault.Rule
		bad   bool
	}{
		"all are slow, then one is denied":   {[]fault.Rule{slow, denied}, true},
		"one is denied, all others are slow": {[]fault.Rule{denied, slow}, false},
		"the same twice":                     {[]fault.Rule{denied, denied}, true},
		"a wider one first":                  {[]fault.Rule{fault.Denied("dyna*"), {Service: "DynamoDB", Operation: "GetItem", Error: denied.Error}}, true},
		"a narrower one first":               {[]fault.Rule{{Service: "dynamodb", Operation: "GetItem", Error: denied.Error}, denied}, false},
		"half of them first":                 {[]fault.Rule{half, {Service: "dynamodb", Net: fault.Reset}}, false},
		"three of them first":                {[]fault.Rule{{Net: fault.Reset, First: 3}, fault.Network("", fault.Reset)}, false},
		"a window first":                     {[]fault.Rule{{Net: fault.Reset, Until: time.Minute}, {Net: fault.Reset, From: time.Minute}}, false},
		"inside of the window of another":    {[]fault.Rule{{Net: fault.Reset, Until: time.Hour}, {Net: fault.Reset, From: time.Minute, Until: time.Hour}}, true},
		"one that a dialer passes over":      {[]fault.Rule{fault.Network("", fault.HTML), fault.Network("", fault.Refuse)}, false},
		"off":                                {[]fault.Rule{{Off: true, Net: fault.Reset}, fault.Network("", fault.Reset)}, false},
	} {
		err := fault.New(fault.Options{}).Set(c.rules...)
		if (err != nil) != c.bad || c.bad && !strings.Contains(err.Error(), "rule 2 can match nothing: rule 1 takes every call") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
