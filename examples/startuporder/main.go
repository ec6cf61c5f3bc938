// Startuporder tells stories of outages with package depgraph: what the
// dependencies looked like, what a check would have said before, what went
// down, in which order the system comes up, and what the fix changes.
//
// It is also an example of the package's use from Go: see story.
//
// What it shows: that the shape of an outage is often in the dependencies, and
// that five questions to a graph find it. Each story is a manifest
// (stories/NAME) that was written from the public account, and an answer that
// is kept beside it (stories/NAME/report.txt), so that nobody has to run
// anything to read one.
//
// What to copy: story.load is how a program gets a graph; story.tell asks it
// the five questions, with Check (what is wrong with the shape), Blast (what
// goes down), WithSoft (the same system with one edge softened), Availability
// (what a target can be) and Order (how it comes up again). report renders any
// of these answers.
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
	"strings"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/report"
)

//go:embed stories/*/depgraph.yaml
var manifests embed.FS

// story is one outage and the questions that it answers.
//
// A new one is a row in stories and a folder with its manifest; the test says
// how to write the report beside it.
type story struct {
	name, title string
	plot        []string           // what happened, in three lines or so
	source      string             // the public account
	lost        string             // what failed
	service     string             // whose availability is asked; "" for none
	fix         []depgraph.EdgeRef // what would have helped
	parallel    int                // how many services are started at once
}

// stories are in the order of time, the newest first; the last one is no outage
// of record.
var stories = []story{
	{
		name: "datadog-2023", title: "regions that share one update channel", lost: "os-update-channel", service: "platform", parallel: 1,
		plot: []string{
			"8 March 2023. An automatic update of the operating system takes the network of",
			"tens of thousands of hosts away, in every region at once. The regions were meant to",
			"be independent, but they shared one update channel.",
		},
		source: "https://www.datadoghq.com/blog/2023-03-08-multiregion-infrastructure-connectivity-issue/",
	},
	{
		name: "roblox-2021", title: "telemetry that needs what it should show", lost: "consul", fix: []depgraph.EdgeRef{{From: "telemetry", To: "consul"}},
		plot: []string{
			"28 to 31 October 2021. Consul is overloaded, and everything finds everything else",
			"through Consul: so does the telemetry that would have shown the cause. Seventy-three",
			"hours pass until the game is back.",
		},
		source: "https://about.roblox.com/newsroom/2022/01/roblox-return-to-service-10-28-10-31-2021",
	},
	{
		name: "kinesis-2020", title: "a log driver that blocks", lost: "kinesis", service: "checkout", fix: []depgraph.EdgeRef{{From: "docker-log-driver", To: "cloudwatch-logs"}},
		plot: []string{
			"25 November 2020. Kinesis fails, and CloudWatch Logs needs Kinesis. A log driver that",
			"waits for CloudWatch Logs blocks every service that writes a log line, although",
			"none of them uses either.",
		},
		source: "https://aws.amazon.com/message/11201/",
	},
	{
		name: "dynamodb-2021", title: "a cache that was meant to fail open", lost: "vpc-endpoints", service: "token-checker", fix: []depgraph.EdgeRef{{From: "token-checker", To: "dynamodb-sessions"}},
		plot: []string{
			"7 December 2021. DynamoDB cannot be reached through VPC endpoints. A token service",
			"keeps sessions there, as a cache in front of a system of record that is fine; it",
			"handles one exception, its own \"not found\", and another one comes.",
		},
		source: "https://aws.amazon.com/message/12721/",
	},
	{
		name: "mutual", title: "two services that call each other", lost: "inventory", fix: []depgraph.EdgeRef{{From: "orders", To: "inventory"}},
		plot: []string{
			"Not an outage of record, but a common shape: each service asks the other before it",
			"answers. They start together, fail together, and multiply each other's retries.",
		},
	},
}

// main ends with 2 for whatever is wrong: there is no verdict here that 1 could
// mean.
func main() {
	err := run(context.Background(), os.Args[1:], os.Stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "startuporder:", err)
		os.Exit(2)
	}
}

// run tells the stories that were asked for: in short, in full (-full), and as
// pages (-html), one after the other, so that the output is the same each time.
func run(ctx context.Context, args []string, w io.Writer) error {
	flags := flag.NewFlagSet("startuporder", flag.ContinueOnError)
	only := flags.String("story", "", "tell only the story of this `name`: datadog-2023, roblox-2021, kinesis-2020, dynamodb-2021 or mutual")
	full := flags.Bool("full", false, "print the whole reports: the check, the blast radius, the start order")
	pages := flags.String("html", "", "also write each report as a page into this `folder`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; a story is chosen with -story", flags.Arg(0))
	}
	told, names := 0, make([]string, 0, len(stories))
	for _, s := range stories {
		names = append(names, s.name)
		if *only != "" && s.name != *only {
			continue
		}
		told++
		tell := s.tell
		if *full {
			tell = s.report
		}
		if err := tell(ctx, w); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if *pages != "" {
			if err := s.page(ctx, *pages); err != nil {
				return err
			}
		}
	}
	switch {
	case told == 0:
		return fmt.Errorf("there is no story %q; there are %s", *only, strings.Join(names, ", "))
	case !*full:
		fmt.Fprintln(w, "-full prints the whole reports, and -html FOLDER writes them as pages.")
	}
	return nil
}

// tell writes the story in a few lines: the plot, the finding, and the same day
// with one soft edge.
//
// It is the place to see the package at work; report asks the same, and leaves
// the words to package report.
func (s story) tell(ctx context.Context, w io.Writer) error {
	g, err := s.load()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s: %s\n\n", s.name, s.title)
	for _, line := range s.plot {
		fmt.Fprintf(w, "  %s\n", line)
	}
	if s.source != "" {
		fmt.Fprintf(w, "  %s\n", s.source)
	}
	row := func(label, text string) {
		for _, line := range wrap(text, 80) {
			fmt.Fprintf(w, "  %-14s %s\n", label, line)
			label = ""
		}
	}
	// First question: what would a check have said the day before?
	findings, err := g.Check(ctx, depgraph.CheckOptions{})
	if err != nil {
		return err
	}
	fmt.Fprintln(w)
	if len(findings) == 0 {
		row("the check", "finds nothing wrong: no cycle, no contradiction; only the blast radius shows it")
	}
	for i, f := range findings {
		row([]string{"the check", ""}[min(i, 1)], f.Rule+" "+f.Message)
	}
	// Second: what goes down with what failed that day?
	before, err := s.loss(ctx, g)
	if err != nil {
		return err
	}
	row("that day", fmt.Sprintf("%s is lost: %s", s.lost, before))
	// Third: the same day with one edge made soft, which means that somebody
	// has built and proven a fallback for it. WithSoft is a copy; the graph
	// stays as declared.
	if len(s.fix) > 0 {
		fixed, err := g.WithSoft(s.fix...)
		if err != nil {
			return err
		}
		after, err := s.loss(ctx, fixed)
		if err != nil {
			return err
		}
		row("one soft edge", fmt.Sprintf("%s -> %s", s.fix[0].From, s.fix[0].To))
		row("the same day", after)
	} else {
		row("one soft edge", "would not have helped: each region needs a channel of its own")
	}
	// Last: from a full stop, in which order does all of it come up? Cold takes
	// break-glass edges for bypassed, as people do on such a day.
	order, err := g.Order(ctx, depgraph.OrderOptions{Cold: true, MaxParallel: s.parallel})
	if err != nil {
		return err
	}
	waves := fmt.Sprintf("in %d waves", len(order.Waves))
	if len(order.Waves) == 1 {
		waves = "together"
	}
	row("from a stop", fmt.Sprintf("%d services come up %s", g.Len(), waves))
	_, err = fmt.Fprintln(w)
	return err
}

// wrap breaks text into lines of at most so many characters.
//
// A word that is longer than a line gets one of its own.
func wrap(text string, cells int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > cells {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimLeft(line+" "+word, " ")
	}
	return append(lines, line)
}

// loss is what becomes of everything when something is lost, in a few words.
//
// Blast says who goes down for certain; Availability says, for one service,
// whether its target can be met with what it depends on.
func (s story) loss(ctx context.Context, g *depgraph.Graph) (string, error) {
	blast, err := g.Blast(depgraph.BlastOptions{}, s.lost)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("%d of %d others down", len(blast.Down), g.Len()-1)
	if len(blast.Down) == g.Len()-1 {
		text = "everything else is down"
	}
	if n := len(blast.Degraded); n > 0 {
		text += fmt.Sprintf(", %d degraded", n)
	}
	if s.service == "" {
		return text, nil
	}
	a, err := g.Availability(ctx, s.service, depgraph.AvailOptions{})
	if err != nil {
		return "", err
	}
	kept := "keeps"
	if a.Availability < a.Target {
		kept = "misses"
	}
	return text + fmt.Sprintf("; %s %s its %s", s.service, kept, report.Percent(a.Target)), nil
}

// load compiles the manifest of the story.
//
// ParseManifest reports problems with file and line, Compile those between
// services; a program with manifests on disk would call depgraph.Load instead,
// which does both.
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

// report writes the whole report of one story.
//
// It is what "depgraph check", "blast" and "order" print for the same manifest.
func (s story) report(ctx context.Context, w io.Writer) error {
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
//
// It is called twice for a story with a fix: before and after.
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
//
// The folder must be there; a page that is in it is replaced.
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
