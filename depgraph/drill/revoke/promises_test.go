package revoke_test

import (
	"testing"
	"time"

	"github.com/failopen/failopen/depgraph/drill/revoke"
)

// What the comments of Options promise in numbers, literally. .ci/mutants.txt
// changes each of them, and a test has to notice.

func TestOptions_defaults(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p, err := revoke.NewPlan(revoke.Options{Role: role, Table: table}, now)
	if err != nil {
		t.Fatal(err)
	}
	if lead, length := p.From.Sub(now), p.Until.Sub(p.From); lead != 30*time.Second || length != 5*time.Minute {
		t.Errorf("a window of %v in %v", length, lead)
	}
	for length, ok := range map[time.Duration]bool{time.Hour: true, time.Hour + time.Second: false, time.Minute: true, 59 * time.Second: false} {
		if _, err := revoke.NewPlan(revoke.Options{Role: role, Table: table, For: length}, now); (err == nil) != ok {
			t.Errorf("For %v: %v", length, err)
		}
	}
	for lead, ok := range map[time.Duration]bool{10 * time.Minute: true, 10*time.Minute + time.Second: false} {
		if _, err := revoke.NewPlan(revoke.Options{Role: role, Table: table, Lead: lead}, now); (err == nil) != ok {
			t.Errorf("Lead %v: %v", lead, err)
		}
	}
}
