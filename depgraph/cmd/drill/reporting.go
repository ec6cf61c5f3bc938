package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/presets"
)

// What a report looks like to people: on a terminal (summary), while it comes
// about (progress), again from its journal (reportVerb), and what presets there
// are. The other forms, and all escaping in them, are package drill's.

// write prints the report and fills the folder, with all of its forms before
// the first is written: one that cannot be rendered leaves the folder as it
// was.
// The folder is made if it is not there, and files in it are replaced. Whatever
// fails first is the error; what is printed then is nothing.
//
// The order is: render, then the folder, then the standard output. So a pipe
// that was closed loses the printed report and not the stored one.
func (c *command) write(d drillFlags, r *drill.Report) error {
	text, err := r.JSON()
	if err != nil {
		return err
	}
	page, err := r.HTML()
	if err != nil {
		return err
	}
	// The keys are what -f takes, and svg for the folder alone.
	forms := map[string][]byte{"json": text, "markdown": []byte(r.Markdown()), "html": page, "svg": []byte(r.SVG()), "text": []byte(summary(r))}
	if d.out != "" {
		err = os.MkdirAll(d.out, 0o755)
		// In a fixed order, so that the same error comes first each time.
		for _, file := range []struct{ name, form string }{{"drill.json", "json"}, {"drill.md", "markdown"}, {"drill.html", "html"}, {"drill.svg", "svg"}} {
			if err == nil {
				err = os.WriteFile(filepath.Join(d.out, file.name), forms[file.form], 0o644)
			}
		}
	}
	if err == nil {
		_, err = c.stdout.Write(forms[d.format])
	}
	return err
}

// summary is the report for a terminal, the verdict last, where the eye is.
// Columns are as wide as their heads, for numbers of up to nine digits.
//
// A row is a phase, with how many requests were asked for and what became of
// them, then the invariants with yes or NO, which stands out in a list of yes,
// then the sentence that says it all.
func summary(r *drill.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", r.Title)
	fmt.Fprintf(&b, "  %-9s %9s %9s %9s %6s %6s %6s %9s\n", "phase", "seconds", "requests", "served", "wrong", "late", "failed", "p99 ms")
	for _, p := range r.Phases {
		fmt.Fprintf(&b, "  %-9s %9.1f %9d %8.2f%% %6d %6d %6d %9.1f  %s\n", p.Name, p.Until-p.From, p.Asked, 100*p.Success, p.Wrong, p.Slow, p.Failed, p.P99, bar(p.Success))
	}
	b.WriteString("\n")
	for _, i := range r.Invariants {
		mark := "yes"
		if !i.Held {
			mark = "NO "
		}
		fmt.Fprintf(&b, "  %s  %-42s %s\n", mark, i.Name, i.Detail)
	}
	fmt.Fprintf(&b, "\n%s\n", r.Sentence())
	return b.String()
}

// bar is a part of twenty, for a part from 0 to 1.
// Any other number, which only a journal that was edited can have, is moved to the
// nearer end.
func bar(part float64) string {
	n := int(min(max(part, 0), 1)*20 + 0.5)
	return strings.Repeat("█", n) + strings.Repeat("·", 20-n)
}

// progress says on standard error what goes on: the name of each phase as it
// begins, and a line for each second of it.
// Its columns fit a terminal of 80; what does not fit moves the rest.
//
// It goes to the standard error, whatever -f is: a drill of minutes that says
// nothing looks as if it hung. Lines are not rewritten in place, so that a log
// of a pipeline keeps all of them.
func (c *command) progress() func(drill.Progress) {
	return func(p drill.Progress) {
		if p.Second == nil {
			fmt.Fprintf(c.stderr, "%s\n", p.Phase)
			return
		}
		s := p.Second
		fmt.Fprintf(c.stderr, "  %5.0f s  %4d asked  %4d served  %3d failed  %3d late  %3d wrong\n", s.At, s.Asked, s.OK, s.Failed, s.Slow, s.Wrong)
	}
}

// reportVerb is report. The exit code is 0 for any journal that can be read: the
// verdict in it is of another time.
var reportVerb = verb{
	name: "report", args: "FILE", most: 1, formats: drillFormats, about: "Render a journal that a drill has written",
	help: `
FILE is the JSON that drill run -f json prints. Example:

    drill run --preset throttled -f json > throttled.json
    drill report throttled.json -f html > throttled.html
`,
	run: func(c *command, args []string) error {
		// check wants a target that there is; a journal has its own.
		d := drillFlags{target: "failopen"}
		fs := c.flags()
		fs.StringVar(&d.format, "f", "text", "what is printed: text, json, markdown or html")
		fs.StringVar(&d.out, "o", "", "a folder that gets all forms")
		if err := c.parse(fs, args); err != nil {
			return err
		}
		if err := d.check(); err != nil {
			return err
		}
		if len(c.args) == 0 {
			return usagef("report: want the file of a journal")
		}
		file := c.args[0]
		text, err := readFile(file)
		if err != nil {
			return err
		}
		r, err := drill.ParseReport(text)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		return c.write(d, r)
	},
}

// presetsVerb is presets: a line for each, or all about one, with the rules as JSON
// that --rules takes.
var presetsVerb = verb{
	name: "presets", args: "[NAME]", most: 1, words: presetNames(), about: "List the outages that can be had again, or tell all about one",
	run: func(c *command, args []string) error {
		fs := c.flags()
		if err := c.parse(fs, args); err != nil {
			return err
		}
		if len(c.args) == 0 {
			for _, p := range presets.All() {
				fmt.Fprintf(c.stdout, "%-22s %8s  %s\n", p.Name, length(p.Watch), p.Title)
			}
			return nil
		}
		p, err := preset(c.args[0], "")
		if err != nil {
			return err
		}
		fmt.Fprintf(c.stdout, "%s: %s\n\n", p.Name, p.Title)
		if p.Clock.Date != "" {
			fmt.Fprintf(c.stdout, "%s, %s to %s %s\n\n", p.Clock.Date, p.Clock.Began, p.Clock.Ended, p.Clock.Zone)
		}
		for _, f := range p.Facts {
			fmt.Fprintf(c.stdout, "- %s\n", f)
		}
		fmt.Fprintf(c.stdout, "\ncuts %s for %s; the service may take %s to recover\n\n", p.Dependency, length(p.Watch), p.Recovery)
		for _, r := range p.Rules {
			text, err := r.MarshalJSON()
			if err != nil {
				return err
			}
			fmt.Fprintf(c.stdout, "  %s\n", text)
		}
		for _, s := range p.Sources {
			fmt.Fprintf(c.stdout, "\nsource: %s", s)
		}
		if len(p.Sources) > 0 {
			fmt.Fprintln(c.stdout)
		}
		return nil
	},
}

// presetNames lists the presets as presets.All does, by name.
//
// Completion, usage and errors all take their list from here.
func presetNames() (names []string) {
	for _, p := range presets.All() {
		names = append(names, p.Name)
	}
	return names
}

// length is a duration without the parts that are zero, as people write them:
// 7h22m and not 7h22m0s.
//
// It is for what is shown only: presets and JSON keep Go's own form, which
// parses again, though this one would, too.
func length(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} { // and not the end of 30s
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-len("0s")]
		}
	}
	return s
}
