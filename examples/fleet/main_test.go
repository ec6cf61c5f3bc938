package main

import (
	"math"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/failopen/failopen/examples/internal/screen"
)

func TestRun(t *testing.T) {
	configs, err := configure("dependency errors", "ECS+ALB", "naive,failopen")
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*screen.Screen{"file": {}, "terminal": {Terminal: true, Colour: true}} {
		var out strings.Builder
		s.Writer = &out
		frames := 0
		synctest.Test(t, func(t *testing.T) {
			if err := run(t.Context(), configs, s, func() { frames++ }); err != nil {
				t.Fatal(err)
			}
		})
		text := out.String()
		for _, want := range []string{"# in service", "failopen: 100.00% of the requests served during the fault, 0 restarts, recovered at once", "naive:    "} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: the output does not contain %q", name, want)
			}
		}
		if rows := strings.Count(text, "\n"); name == "file" && (rows > 40 || strings.Count(text, "  fault\n")+strings.Count(text, "fault\n") < 15 || strings.Contains(text, "\x1b")) {
			t.Errorf("%d rows, want at most 40, half of them with the fault, and no colours", rows)
		}
		if want := map[string]int{"file": 0, "terminal": 120}[name]; frames != want {
			t.Errorf("%s: %d frames, want %d", name, frames, want)
		}
		for line := range strings.Lines(text) {
			if i := strings.LastIndex(line, "\x1b[2K"); i >= 0 {
				line = line[i+4:]
			}
			if screen.Width(line) > 101 {
				t.Errorf("%s: a line of %d cells: %q", name, screen.Width(line), line)
			}
		}
	}
}

func TestConfigure(t *testing.T) {
	if c, err := configure("flaky check", "k8s liveness", "failopen, Guard;failopen"); err != nil || len(c) != 2 {
		t.Errorf("%v, %v", c, err)
	}
	for _, args := range [][3]string{{"x", "ECS+ALB", "failopen"}, {"flaky check", "x", "failopen"}, {"flaky check", "ECS+ALB", "x"}} {
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

// A speed that no ticker can have is the nearest that one can.
func TestPacer(t *testing.T) {
	for _, speed := range []float64{0, -1, 1e30, 1e-30, math.Inf(1), math.NaN(), 1e9} {
		if pace := pacer(speed); pace == nil {
			t.Errorf("%v: no pace", speed)
		}
	}
}
