package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/report"
)

// Two verbs for the night itself. runbook is written before, and kept where it
// can be read without the systems that are down; why-blocked is asked during a
// start, again and again, with what is up so far.

// runbook writes a procedure for people. It has neither date nor commit, so
// that it changes if and only if the procedure does, and can be kept in git.
// Names that nothing declares are part of it: they have to be started as well.
func (c *command) runbook() error {
	if c.cold == (c.down != "") {
		return usagef("runbook: say --cold, for a start from nothing, or --down SERVICE")
	}
	if c.down != "" && c.maxParallel != 0 {
		return usagef("runbook: --max-parallel goes with --cold")
	}
	g, err := c.load(true)
	if err != nil {
		return err
	}
	title := c.heading
	if abs, err := filepath.Abs(c.folder()); title == "" && err == nil {
		title = "of " + filepath.Base(abs)
	}
	b, err := report.NewRunbook(c.ctx, g, report.RunbookOptions{Title: title, Down: c.down, MaxParallel: c.maxParallel})
	if err != nil {
		return lookup(err)
	}
	if c.format == "html" {
		return c.write(b.HTML)
	}
	return c.write(b.Markdown)
}

// maxStateBytes bounds the list of what is running: some hundred bytes for each
// of 100,000 services.
const maxStateBytes = 64 << 20

// whyBlocked says what holds a service, given who is up. It exits with 1 until
// the service serves, so that a script can wait for it; --fail-on none only
// asks.
func (c *command) whyBlocked() error {
	if c.state == "" {
		return usagef("why-blocked: --state names a file that says who is up, or - for the standard input")
	}
	if err := c.sparesFiles(c.state); err != nil {
		return err
	}
	running, err := c.running()
	if err != nil {
		return err
	}
	g, err := c.load(true)
	if err != nil {
		return err
	}
	b, err := g.WhyBlocked(c.args[0], running)
	if err != nil {
		return lookup(err)
	}
	err = c.show(func(w io.Writer) error { return report.BlockedText(w, g, b, c.textOptions()) }, func(w io.Writer) error { return report.BlockedJSON(w, b) })
	if err == nil && b.State < depgraph.IsServing && c.failOn != "none" {
		return errFindings
	}
	return err
}

// running reads --state: a list, an object, or what docker compose prints.
// With "-" it is piped in.
//
// The forms, and which state means what, are depgraph.ParseRunning's. A list
// that is too large is refused rather than cut: a service that is missing from
// it would count as down.
func (c *command) running() (depgraph.Running, error) {
	in, name := c.stdin, "standard input"
	if c.state != "-" {
		f, err := os.Open(c.state)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in, name = f, c.state
	}
	data, err := io.ReadAll(io.LimitReader(in, maxStateBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxStateBytes {
		return nil, errors.New(name + ": is too large for a list of services")
	}
	running, err := depgraph.ParseRunning(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "depgraph: "))
	}
	return running, nil
}
