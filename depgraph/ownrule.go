package depgraph

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// ownRuleName is what a name may be: it is printed, compared and typed on a command
// line, so it has nothing that a shell or a report would have to escape. IDs of
// built-in rules do not fit it.
var ownRuleName = regexp.MustCompile(`^[a-z][a-z0-9._-]*$`)

// ruleFailed is the rule about rules that could not be run.
const ruleFailed = "DG020"

// ownNames checks rules of one's own, before anything is run.
//
// A mistake in how a rule was registered is an error of the program, so it ends the
// check; a rule that fails when it is run is a finding.
func ownNames(p *Policy, rules []Rule) (names []string, err error) {
	for i := range rules {
		r := &rules[i]
		_, builtIn := FindRule(r.Name)
		switch {
		case !ownRuleName.MatchString(r.Name):
			return nil, fmt.Errorf("depgraph: a rule is named %q; a name has lower-case letters, digits and . _ -", r.Name)
		case builtIn, slices.Contains(names, r.Name), slices.ContainsFunc(p.Custom, func(c CustomRule) bool { return c.Name == r.Name }):
			return nil, fmt.Errorf("depgraph: there are two rules named %q", r.Name)
		case r.Check == nil:
			return nil, fmt.Errorf("depgraph: the rule %q has no Check", r.Name)
		}
		names = append(names, r.Name)
	}
	return names, nil
}

// own runs one rule of a user. Whatever it does, the check goes on.
func (c *checker) own(r *Rule) {
	// One bad finding refuses all of a rule's: it is not known what else the rule got
	// wrong, and half of its results would look like all of them.
	found, err := c.contained(r)
	if err == nil {
		for i := range found {
			if err = c.accept(&found[i]); err != nil {
				err = fmt.Errorf("finding %d: %w", i+1, err)
				break
			}
		}
	}
	if err != nil {
		c.failed(r, err)
		return
	}
	for i := range found {
		f := &found[i]
		f.Rule, f.Name = r.Name, r.Name
		// What the rule left open is filled in. Off would hide the finding and is what
		// a zero value gives, so it means the rule's own, and Info at least.
		if f.Severity == Off {
			f.Severity = max(r.Severity, Info)
		}
		if f.Fix == "" {
			f.Fix = r.Fix
		}
		// Components belong to cycles, and reports draw conclusions from one being
		// there.
		f.Component = nil
		// Every finding has a place: that of its first edge, or of its service.
		if f.At == (Position{}) && len(f.Edges) > 0 {
			f.At = f.Edges[0].At
		} else if f.At == (Position{}) {
			f.At = c.g.services[c.g.index[f.Service]].At
		}
		c.found = append(c.found, *f)
	}
}

// contained calls Check on a goroutine of its own, so that a panic, a Goexit,
// and a rule that does not look at its context cost a finding and no more. The
// goroutine of such a rule is left behind.
func (c *checker) contained(r *Rule) (found []Finding, err error) {
	type result struct {
		found []Finding
		err   error
	}
	// The buffer lets a goroutine that was left behind end, whenever that is.
	done := make(chan result, 1)
	go func() {
		// This is what a Goexit leaves; a panic and a return replace it. The deferred
		// function runs in all three cases.
		res := result{err: errors.New("ended its goroutine (runtime.Goexit)")}
		defer func() {
			if p := recover(); p != nil {
				res = result{err: fmt.Errorf("panicked: %s", panicText(p))}
			}
			done <- res
		}()
		found, err := r.Check(c.ctx, c.g)
		// A copy: a rule that goes on writing to its slice must not race with the
		// check.
		res = result{slices.Clone(found), err}
	}()
	select {
	case res := <-done:
		return res.found, res.err
	case <-c.ctx.Done():
		select { // it may have been quick enough to say why
		case res := <-done:
			return res.found, res.err
		default:
		}
		return nil, context.Cause(c.ctx)
	}
}

// panicText formats what a rule panicked with, even if formatting panics.
func panicText(p any) (text string) {
	defer func() {
		if recover() != nil {
			text = "a value that cannot be formatted"
		}
	}()
	return fmt.Sprint(p)
}

// accept reports a finding that is about nothing.
func (c *checker) accept(f *Finding) error {
	switch {
	case !c.g.Has(f.Service):
		return fmt.Errorf("there is no service %q", f.Service)
	case strings.TrimSpace(f.Message) == "":
		return errors.New("the message is empty")
	case f.Severity > Error:
		return fmt.Errorf("unknown severity %d", f.Severity)
	}
	return nil
}

// failed reports a rule that did not come to its end.
func (c *checker) failed(r *Rule, err error) {
	// The policy can make it a warning or switch it off. With Only, the user has asked
	// for this very rule: that it failed is then the answer, though DG020 was not
	// named.
	broken, _ := FindRule(ruleFailed)
	if s := c.o.Policy.Rules[broken.ID]; s.Set {
		broken.Severity = s.Severity
	}
	if broken.Severity == Off || !c.o.wants(broken.ID, broken.Name) && len(c.o.Only) == 0 {
		return
	}
	c.found = append(c.found, Finding{
		Rule: broken.ID, Name: broken.Name, Severity: broken.Severity, Service: r.Name,
		Message: fmt.Sprintf("the rule %s: %s", r.Name, errorText(err)), Fix: broken.Fix,
	})
}

// errorText is the text of an error of a user, whose methods may panic.
func errorText(err error) (text string) {
	defer func() {
		if recover() != nil {
			text = "failed with an error that cannot be formatted"
		}
	}()
	return err.Error()
}
