// Fleet shows, in virtual time, what a platform does to a fleet whose health
// checks look at a dependency, and to one whose checks do not: ten instances, an
// outage, a row each 30 seconds.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/failopen/failopen/examples/fleet/sim"
)

var policies = []sim.Policy{sim.Naive, sim.Ours, sim.OursGuard, sim.OursBeatOnly, sim.OursNoDrain}

func main() {
	scenario := flag.String("scenario", sim.Scenarios[0].Name, "what goes wrong; -list shows all")
	platform := flag.String("platform", sim.ECS.Name, "who asks")
	policy := flag.String("policies", "naive,ours", "how instances answer, separated by semicolons or commas")
	speed := flag.Float64("speed", 300, "virtual seconds a second; 0: as fast as possible")
	list := flag.Bool("list", false, "list scenarios, platforms and policies")
	flag.Usage = func() {
		fmt.Fprint(os.Stderr, `Usage: fleet [flags]

Simulates a fleet of ten behind a platform with real health handlers, in virtual
time: the fault begins in minute 5 and ends in minute 35 of 60.

  #  in service   o  runs, without traffic   .  booting

  fleet                                        naive and ours, on ECS, an outage of DynamoDB
  fleet -scenario "one bad instance" -policies "ours;ours, Guard" -platform "k8s readiness"
  fleet -list

`)
		flag.PrintDefaults()
	}
	flag.Parse()
	if *list {
		show(os.Stdout)
		return
	}
	configs, err := configure(*scenario, *platform, *policy)
	if err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(2)
	}
	pace := pacer(*speed) // real time: made outside of the simulation
	sim.Main(func() int {
		if err := run(context.Background(), configs, os.Stdout, pace); err != nil {
			fmt.Fprintln(os.Stderr, "fleet:", err)
			return 1
		}
		return 0
	})
}

func show(w io.Writer) {
	fmt.Fprintln(w, "scenarios:")
	for _, s := range sim.Scenarios {
		fmt.Fprintf(w, "  %-22s %s\n", s.Name, s.About)
	}
	fmt.Fprintln(w, "platforms:")
	for _, p := range sim.Platforms {
		fmt.Fprintf(w, "  %s\n", p.Name)
	}
	fmt.Fprintln(w, "policies:")
	for _, p := range policies {
		fmt.Fprintf(w, "  %s\n", p.Name)
	}
}

// configure finds what was asked for, by name.
func configure(scenario, platform, list string) (configs []sim.Config, err error) {
	s, err := find("scenario", scenario, sim.Scenarios, func(s sim.Scenario) string { return s.Name })
	if err != nil {
		return nil, err
	}
	p, err := find("platform", platform, sim.Platforms, func(p sim.Platform) string { return p.Name })
	if err != nil {
		return nil, err
	}
	separator := ","
	if strings.Contains(list, ";") || slices.ContainsFunc(policies, func(p sim.Policy) bool { return p.Name == list }) {
		separator = ";" // some names have a comma
	}
	for name := range strings.SplitSeq(list, separator) {
		policy, err := find("policy", strings.TrimSpace(name), policies, func(p sim.Policy) string { return p.Name })
		if err != nil {
			return nil, err
		}
		configs = append(configs, sim.Config{Scenario: s, Platform: p, Policy: policy})
	}
	return configs, nil
}

func find[T any](what, name string, all []T, of func(T) string) (found T, err error) {
	var names []string
	for _, t := range all {
		if of(t) == name {
			return t, nil
		}
		names = append(names, fmt.Sprintf("%q", of(t)))
	}
	return found, fmt.Errorf("there is no %s %q; there are %s", what, name, strings.Join(names, ", "))
}

// step is how much virtual time a row shows.
const step = 30 * time.Second

// pacer returns a function that waits for the real time of a row.
func pacer(speed float64) func() {
	if speed <= 0 {
		return func() {}
	}
	ticks := make(chan struct{})
	go func() {
		for range time.Tick(time.Duration(float64(step) / speed)) {
			ticks <- struct{}{}
		}
	}()
	return func() { <-ticks }
}

// run simulates one fleet after the other. It must be called in virtual time.
func run(ctx context.Context, configs []sim.Config, w io.Writer, pace func()) error {
	for _, c := range configs {
		fmt.Fprintf(w, "\n%s on %s: %s\n\n", c.Policy.Name, c.Platform.Name, c.Scenario.About)
		served, n := 0.0, 0
		c.Observe = func(s sim.Second) {
			served, n = served+s.Served, n+1
			if s.At%step != 0 {
				return
			}
			fmt.Fprintln(w, line(s, 100*served/float64(n)))
			served, n = 0, 0
			pace()
		}
		r, err := sim.Run(ctx, c)
		if err != nil {
			return err
		}
		recovery := r.Recovery.Round(time.Second).String()
		if r.Never {
			recovery = "never"
		}
		fmt.Fprintf(w, "\n%s: %.2f %% served during the fault, %d restarts, recovery %s\n", c.Policy.Name, r.Served, r.Restarts, recovery)
	}
	return nil
}

var glyphs = map[sim.State]string{sim.Booting: ".", sim.InService: "#", sim.OutOfService: "o"}

func line(s sim.Second, served float64) string {
	var states strings.Builder
	for _, state := range s.States {
		states.WriteString(glyphs[state])
	}
	fault := ""
	if s.Fault {
		fault = "  fault"
	}
	bar := strings.Repeat("=", int(served/2.5))
	return fmt.Sprintf("%5s  %s  %6.2f %% %-40s%s", fmt.Sprintf("%02d:%02d", int(s.At.Minutes()), int(s.At.Seconds())%60), states.String(), served, bar, fault)
}
