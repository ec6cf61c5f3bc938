// Startuporder tells stories of outages with package depgraph: what the
// dependencies looked like, what a check would have said before, what went
// down, in which order the system comes up, and what the fix changes.
//
// It is also an example of the package's use from Go: see story.
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/report"
)

//go:embed stories/*/depgraph.yaml
var manifests embed.FS

// story is one outage and the questions that it answers.
type story struct {
	name, title string
	lost        string             // what failed
	service     string             // whose availability is asked; "" for none
	fix         []depgraph.EdgeRef // what would have helped
	parallel    int                // how many services are started at once
}

var stories = []story{
	{name: "datadog-2023", title: "Regions that share one update channel", lost: "os-update-channel", service: "platform", parallel: 1},
	{name: "roblox-2021", title: "Telemetry that needs what it should show", lost: "consul", fix: []depgraph.EdgeRef{{From: "telemetry", To: "consul"}}},
	{name: "kinesis-2020", title: "A log driver that blocks", lost: "kinesis", service: "checkout", fix: []depgraph.EdgeRef{{From: "docker-log-driver", To: "cloudwatch-logs"}}},
	{name: "dynamodb-2021", title: "A cache that was meant to fail open", lost: "vpc-endpoints", service: "token-service", fix: []depgraph.EdgeRef{{From: "token-service", To: "dynamodb-sessions"}}},
	{name: "mutual", title: "Two services that call each other for ever", lost: "inventory", fix: []depgraph.EdgeRef{{From: "orders", To: "inventory"}}},
}

func main() {
	err := run(context.Background(), os.Args[1:], os.Stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "startuporder:", err)
		os.Exit(2)
	}
}

func run(ctx context.Context, args []string, w io.Writer) error {
	flags := flag.NewFlagSet("startuporder", flag.ContinueOnError)
	only := flags.String("story", "", "tell only the story of this `name`: datadog-2023, roblox-2021, kinesis-2020, dynamodb-2021 or mutual")
	pages := flags.String("html", "", "also write each report as a page into this `folder`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	told := 0
	for _, s := range stories {
		if *only != "" && s.name != *only {
			continue
		}
		told++
		if err := s.tell(ctx, w); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if *pages != "" {
			if err := s.page(ctx, *pages); err != nil {
				return err
			}
		}
	}
	if told == 0 {
		return fmt.Errorf("there is no story named %q", *only)
	}
	return nil
}

// load compiles the manifest of the story.
func (s story) load() (*depgraph.Graph, error) {
	name := "stories/" + s.name + "/depgraph.yaml"
	data, err := manifests.ReadFile(name)
	if err != nil {
		return nil, err
	}
	services, err := depgraph.ParseManifest(name, data)
	if err != nil {
		return nil, err
	}
	return depgraph.Compile(services, depgraph.Options{})
}

// tell writes the report of one story.
func (s story) tell(ctx context.Context, w io.Writer) error {
	g, err := s.load()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "== %s: %s\n\n-- what a check says before\n\n", s.name, s.title)
	findings, err := g.Check(ctx, depgraph.CheckOptions{})
	if err != nil {
		return err
	}
	if err := report.CheckText(w, g, report.Summarize(g, findings), findings); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n-- what happens\n\n")
	if err := s.consequences(ctx, w, g); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n-- how it comes up again\n\n")
	order, err := g.Order(ctx, depgraph.OrderOptions{Cold: true, MaxParallel: s.parallel})
	if err != nil {
		return err
	}
	if err := report.OrderText(w, g, order); err != nil {
		return err
	}
	if len(s.fix) > 0 {
		fixed, err := g.WithSoft(s.fix...)
		if err != nil {
			return err
		}
		for _, e := range s.fix {
			fmt.Fprintf(w, "\n-- the same day, had %s failed open without %s\n\n", e.From, e.To)
		}
		if err := s.consequences(ctx, w, fixed); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(w)
	return err
}

// consequences writes the blast radius and the availability.
func (s story) consequences(ctx context.Context, w io.Writer, g *depgraph.Graph) error {
	blast, err := g.Blast(depgraph.BlastOptions{}, s.lost)
	if err != nil {
		return err
	}
	if err := report.BlastText(w, blast); err != nil || s.service == "" {
		return err
	}
	a, err := g.Availability(ctx, s.service, depgraph.AvailOptions{})
	if err != nil {
		return err
	}
	verdict := "kept"
	if a.Availability < a.Target {
		verdict = "missed"
	}
	_, err = fmt.Fprintf(w, "  availability of %s: %s, target %s: %s\n", s.service, report.Percent(a.Availability), report.Percent(a.Target), verdict)
	return err
}

// page writes the interactive report.
func (s story) page(ctx context.Context, dir string) (err error) {
	g, err := s.load()
	if err != nil {
		return err
	}
	findings, err := g.Check(ctx, depgraph.CheckOptions{})
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, s.name+".html"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return report.HTML(ctx, f, g, report.HTMLOptions{Title: s.title, Findings: findings})
}
