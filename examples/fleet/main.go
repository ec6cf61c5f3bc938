// Fleet shows, in virtual time, what a platform does to a fleet whose health
// checks call a dependency, and to one whose checks do not: ten instances, an
// outage of half an hour, the policies side by side.
//
// What it shows: a health check that asks a dependency turns the dependency's
// outage into the service's own, since the platform does what it was told and
// stops the instances. The simulation has real handlers, of package health and
// of the kind that most services begin with, behind a model of ECS or
// Kubernetes. Where to read:
//
//	sim/policy.go    the two ways to answer a probe: ours is the part to copy, Naive the one to avoid
//	sim/scenario.go  what goes wrong
//	sim/platform.go  what the platform does about it
//	sim/sim.go       the fleet, second by second
//	show.go          how it is drawn
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/failopen/failopen/examples/fleet/sim"
	"github.com/failopen/failopen/examples/internal/screen"
)

// policies are those that can be named; the first two are shown if none is.
var policies = []sim.Policy{sim.Naive, sim.Ours, sim.OursGuard, sim.OursBeatOnly, sim.OursNoDrain}

// main checks the flags before it enters virtual time, which ends the process.
func main() {
	scenario := flag.String("scenario", sim.Scenarios[0].Name, "what goes wrong; -list shows all")
	platform := flag.String("platform", sim.ECS.Name, "which platform sends the probes")
	policy := flag.String("policies", "naive,failopen", "how instances answer probes, separated by semicolons or commas")
	speed := flag.Float64("speed", 300, "on a terminal: virtual seconds per second; 0: as fast as possible")
	list := flag.Bool("list", false, "list scenarios, platforms and policies")
	flag.Usage = func() {
		fmt.Fprint(os.Stderr, `Usage: fleet [flags]

Simulates a fleet of ten behind a platform with real health handlers, in virtual
time: the fault begins in minute 5 and ends in minute 35 of 60. On a terminal
the fleets are drawn as they go; elsewhere a row is printed every two minutes.

  fleet                                        naive and failopen, on ECS, an outage of DynamoDB
  fleet -scenario "one bad instance" -policies "failopen;failopen, Guard" -platform "k8s readiness"
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
	out := screen.New(os.Stdout)
	pace := pacer(*speed) // real time: made outside of the simulation
	sim.Main(func() int {
		if err := run(context.Background(), configs, out, pace); err != nil {
			fmt.Fprintln(os.Stderr, "fleet:", err)
			return 1
		}
		return 0
	})
}

// show lists what the flags take.
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

// find looks a thing up by its name; the error lists all names there are.
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
