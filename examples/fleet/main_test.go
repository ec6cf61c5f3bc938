package main

import (
	"strings"
	"testing"
	"testing/synctest"
)

func TestRun(t *testing.T) {
	configs, err := configure("dependency errors", "ECS+ALB", "naive,ours")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	synctest.Test(t, func(t *testing.T) {
		if err := run(t.Context(), configs, &out, func() {}); err != nil {
			t.Fatal(err)
		}
	})
	for _, want := range []string{
		"00:30  ##########  100.00 %", "ours: 100.00 % served during the fault, 0 restarts, recovery 0s\n", "naive: ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output does not contain %q", want)
		}
	}
	if n := strings.Count(out.String(), "  fault"); n < 118 {
		t.Errorf("%d rows show the fault", n)
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

func TestConfigure(t *testing.T) {
	if c, err := configure("flaky check", "k8s liveness", "ours, Guard;ours"); err != nil || len(c) != 2 {
		t.Errorf("%v, %v", c, err)
	}
	for _, args := range [][3]string{{"x", "ECS+ALB", "ours"}, {"flaky check", "x", "ours"}, {"flaky check", "ECS+ALB", "x"}} {
		if _, err := configure(args[0], args[1], args[2]); err == nil || !strings.Contains(err.Error(), `"x"; there are`) {
			t.Errorf("%v: %v", args, err)
		}
	}
	var out strings.Builder
	show(&out)
	if strings.Count(out.String(), "\n") != 3+10+3+5 {
		t.Errorf("%s", &out)
	}
}
