package drill

import (
	"context"
	"testing"
	"time"
)

// What the comments of Experiment promise in numbers, literally.
// .ci/mutants.txt changes each of them, and a test has to notice.

func promised(change func(*Experiment)) (Experiment, error) {
	nothing := func(context.Context) error { return nil }
	e := Experiment{
		Target: Answers(func(context.Context, int64) Answer { return Answer{} }),
		Fault:  Switch(nothing, nothing, nil),
	}
	change(&e)
	return e.withDefaults()
}

func TestExperiment_defaults(t *testing.T) {
	e, err := promised(func(*Experiment) {})
	if err != nil {
		t.Fatal(err)
	}
	if e.Rate != 20 || e.Budget != time.Second || e.Least != 1 || e.Steady != 3*time.Second || e.Watch != 10*time.Second || e.Recovery != 30*time.Second {
		t.Errorf("defaults: %+v", e)
	}
	for rate, ok := range map[float64]bool{10_000: true, 10_001: false, -1: false} {
		if _, err := promised(func(e *Experiment) {
			e.Rate, e.Steady, e.Watch, e.Recovery = rate, time.Second, time.Second, time.Second
		}); (err == nil) != ok {
			t.Errorf("Rate %v: %v", rate, err)
		}
	}
}
