package ststest_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/failopen/failopen/cache/dynamo/ststest"
)

// tb is a test whose failures are counted.
type tb struct {
	cleanup []func()
	failed  int
}

func (t *tb) Helper()               {}
func (t *tb) Cleanup(f func())      { t.cleanup = append(t.cleanup, f) }
func (t *tb) Errorf(string, ...any) { t.failed++ }

// A fault hook that has broken nothing fails the test, also if it was replaced.
func TestServer_MustHit(t *testing.T) {
	on := func(action string, f ststest.Fault) func(*ststest.Request) *ststest.Fault {
		return func(r *ststest.Request) *ststest.Fault {
			if r.Action == action {
				return &f
			}
			return nil
		}
	}
	throttled := ststest.Fault{Code: "Throttling"}
	for name, c := range map[string]struct {
		hook, then func(*ststest.Request) *ststest.Fault
		failed     int
	}{
		"none":                      {nil, nil, 0},
		"hit":                       {on("GetCallerIdentity", throttled), nil, 0},
		"misspelt":                  {on("GetCallerIdentify", throttled), nil, 1},
		"a fault of nothing":        {on("GetCallerIdentity", ststest.Fault{}), nil, 1},
		"the second one is not hit": {on("GetCallerIdentity", throttled), on("AssumeRole", throttled), 1},
	} {
		s, test := ststest.New(ststest.Options{}), new(tb)
		s.MustHit(test)
		s.SetFault(c.hook)
		_, _ = sts.NewFromConfig(root(s)).GetCallerIdentity(t.Context(), nil)
		s.SetFault(c.then)
		for _, f := range test.cleanup {
			f()
		}
		if test.failed != c.failed {
			t.Errorf("%s: %d failures, want %d", name, test.failed, c.failed)
		}
	}
}

func TestServer_impossible_faults(t *testing.T) {
	for text, f := range map[string]ststest.Fault{
		"Code is":     {Code: "X\r\nY"},
		"Status is":   {Code: "X", Status: 200},
		"Delay is":    {Delay: -1},
		"there is no": {Message: "m"},
	} {
		s := ststest.New(ststest.Options{Fault: func(*ststest.Request) *ststest.Fault { return &f }})
		_, err := sts.NewFromConfig(root(s)).GetCallerIdentity(t.Context(), nil)
		if want(t, text, err, "ValidationError"); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%+v: %v; want %q", f, err, text)
		}
	}
}
