package depgraph

import (
	"context"
	"strings"
)

// Severity is how bad a finding is.
//
// The numbers are in order, so that min and max of two severities mean what they say.
type Severity uint8

// The severities, from none to worst.
const (
	// Off: a rule that is not run; on a finding, the rule's own severity.
	Off Severity = iota
	// Info: worth knowing, nothing to do at once.
	Info
	// Warn: an outage will be worse than it has to be. "depgraph check" passes, unless
	// told otherwise.
	Warn
	// Error: the check fails.
	Error
)

var severityNames = []string{"off", "info", "warn", "error"}

// String returns off, info, warn or error.
func (s Severity) String() string { return nameOf(severityNames, int(s)) }

// ParseSeverity is the inverse of Severity.String.
func ParseSeverity(s string) (Severity, error) {
	for i, n := range severityNames {
		if s == n {
			return Severity(i), nil
		}
	}
	return Off, notOneOf("severity", severityNames, s)
}

// Rule is one of the built-in checks, or one of a user's own in
// CheckOptions.Rules.
type Rule struct {
	// ID is that of a built-in rule, such as "DG002", whose Name is
	// "runtime-cycle"; a rule of one's own has only a name, of lower-case
	// letters, digits and dashes.
	ID       string
	Name     string
	Severity Severity // unless a policy, or a finding itself, says otherwise
	// Summary says in one line what is found, Why what happens if it stays,
	// and Fix what to do.
	Summary, Why, Fix string
	// Check finds what a rule of one's own is about. It gets the graph, which it
	// may share among goroutines, and stops when the context ends. Its findings
	// need a Service of the graph and a Message; the rule's name, and its
	// severity and fix where there are none, are filled in. An error, a panic or
	// a finding about nothing makes a finding of DG020, and the check goes on.
	Check func(context.Context, *Graph) ([]Finding, error)
	// Drift says that the rule judges what was seen: package drift has it, and a
	// check does not run it.
	Drift bool
	// run is nil for those of Drift, and for rules about the check itself.
	run func(*checker, *Rule) error
}

// rules returns the built-in rules in order of ID.
//
// A row is a rule: its words, its default severity, and run, which finds. To add one,
// append a row with the next ID, which is never used again, write run as a method of
// checker, and describe it in docs/guide; Why and Fix are printed as they are by
// explain. A table is made for each call, so that callers may change what they get.
func rules() []Rule {
	return []Rule{
		{
			ID: "DG001", Name: "bootstrap-deadlock", Severity: Error, run: (*checker).deadlocks,
			Summary: "services wait for each other at startup",
			Why:     "After a full stop none of them becomes ready, so the system cannot come back without someone who knows a workaround. Nobody notices while something is still running.",
			Fix:     "Make the edges of the printed set soft: start with a default, a cached copy or a retry. If an edge can be bypassed by hand, write the procedure into break-glass; the finding becomes a warning.",
		},
		{
			ID: "DG002", Name: "runtime-cycle", Severity: Warn, run: (*checker).runtimeCycles,
			Summary: "services need each other to serve",
			Why:     "They can be started together, but when one is down all are, and each waits for the other to recover. Retries between them amplify each other.",
			Fix:     "Make the edges of the printed set soft, or move what both need into a third service.",
		},
		{
			ID: "DG003", Name: "deploy-cycle", Severity: Warn, run: (*checker).deployCycles,
			Summary: "a fix cannot be shipped while the service is down",
			Why:     "The tools that deploy the fix depend on what is broken.",
			Fix:     "Give the deploy path a way around: a second registry, credentials that do not come from the service, a binary on disk.",
		},
		{
			ID: "DG004", Name: "tier-inversion", Severity: Warn, run: (*checker).tierInversion,
			Summary: "a service has a hard dependency on a less critical one",
			Why:     "A less critical service gets less care, and its failures page nobody at night.",
			Fix:     "Make the edge soft, or raise the criticality of the dependency.",
		},
		{
			ID: "DG005", Name: "slo-inversion", Severity: Warn, run: (*checker).sloInversion,
			Summary: "a dependency does not promise enough for the service's target",
			Why:     "A service cannot be more available than what it needs. As a rule, each hard dependency needs one nine more than the service (Treynor et al., The Calculus of Service Availability).",
			Fix:     "Make the edge soft, add an alternative with any-of, or lower the target to what can be met.",
		},
		{
			ID: "DG006", Name: "liveness-depends-on-dependency", Severity: Error, run: (*checker).liveness,
			Summary: "a liveness check calls a dependency",
			Why:     "When the dependency fails, the platform restarts every healthy instance at once, over and over: one outage becomes an outage of everything.",
			Fix:     "Let liveness check the process alone. A dependency belongs in readiness, if anywhere.",
		},
		{
			ID: "DG007", Name: "control-plane-at-startup", Severity: Warn, run: (*checker).controlPlane,
			Summary: "a service needs a control plane to start",
			Why:     "Control planes fail first and recover last, and in a large outage everyone calls them at once. Recovery must not need them.",
			Fix:     "Use what was provisioned before (static stability): keep the last answer on disk, create resources ahead of time.",
		},
		{
			ID: "DG008", Name: "dangling", Severity: Error, run: (*checker).dangling,
			Summary: "something depends on a service that is not declared",
			Why:     "What is behind it is invisible: cycles, blast radius and availability end there.",
			Fix:     "Correct the name, or declare the service; for a third party's, a manifest with \"kind: external\" is enough.",
		},
		{
			ID: "DG009", Name: "no-owner", Severity: Warn, run: (*checker).noOwner,
			Summary: "a service has no owner",
			Why:     "At 3 a.m. nobody knows who to call.",
			Fix:     "Write the team into owner.",
		},
		{
			ID: "DG010", Name: "false-redundancy", Severity: Warn, run: (*checker).falseRedundancy,
			Summary: "the alternatives of an any-of group fail together",
			Why:     "They share a dependency, so the second one is down when it is needed. Availability is that of the shared part.",
			Fix:     "Remove what is shared from all but one alternative, or make it soft there.",
		},
		{
			ID: "DG011", Name: "observer-depends-on-observed", Severity: Warn, run: (*checker).observers,
			Summary: "monitoring needs what it should watch",
			Why:     "In the outage that matters, the dashboards are dark and nobody can see the cause.",
			Fix:     "Run observers on infrastructure of their own, or make the edge soft.",
		},
		{
			ID: "DG012", Name: "soft-unverified", Severity: Info, run: (*checker).softUnverified,
			Summary: "no drill has proven that a dependency is soft",
			Why:     "An untested claim to fail open is usually wrong: an unexpected exception, a client without a deadline, a full queue.",
			Fix:     "Cut it in a drill: drill plan writes one, and drill run --proof records the verdict, which evidence refers to.",
		},
		{
			ID: "DG013", Name: "spof", Severity: Info, run: (*checker).singlePoints,
			Summary: "one service takes a large share of all others down",
			Why:     "The next large outage is likely to start there.",
			Fix:     "Soften edges to it, split it into cells, or add an alternative. The percentage is set by the policy.",
		},
		{
			ID: "DG014", Name: "external-hard-without-fallback", Severity: Warn, run: (*checker).externals,
			Summary: "a hard run-time dependency on a third party's service has no fallback",
			Why:     "It will go down without warning, and you cannot repair it.",
			Fix:     "Make it soft, add an alternative with any-of, or describe in fallback what happens meanwhile.",
		},
		{
			ID: "DG015", Name: "drift-undeclared", Severity: Warn, Drift: true,
			Summary: "an undeclared dependency was seen (depgraph drift)",
			Why:     "Cycles, order and blast radius are computed without it, and are wrong. The next outage may well come through it.",
			Fix:     "Declare it, and say whether it is soft; or map the observed name to the declared one.",
		},
		{
			ID: "DG016", Name: "drift-unobserved", Severity: Info, Drift: true,
			Summary: "a declared dependency was not seen in what was recorded (depgraph drift)",
			Why:     "It may be gone, in which case it hides what really matters. It may also be rare, or not traced: a record cannot prove absence.",
			Fix:     "Ask the owner. If it is rare, say so in a note; if it is gone, delete it.",
		},
		{
			ID: "DG017", Name: "ordering-cycle", Severity: Warn, run: (*checker).orderingCycles,
			Summary: "weak orders contradict each other, or a need",
			Why:     "Nothing is blocked, but one of the orders is ignored at every start, and which one may differ from tool to tool: systemd deletes a job, often an innocent one.",
			Fix:     "Remove the order that is wrong, or make it strict if it is a need.",
		},
		{
			ID: "DG018", Name: "implausible-availability", Severity: Warn, run: (*checker).implausible,
			Summary: "a declared availability is below 50 percent",
			Why:     "It was probably written as a fraction. Every number that is computed from it is wrong.",
			Fix:     "Write a percentage: 99.9, not 0.999.",
		},
		{
			ID: "DG019", Name: "harder-than-declared", Severity: Error, Drift: true,
			Summary: "a dependency is declared soft, but its errors become errors of the caller (depgraph drift)",
			Why:     "Every answer relies on the caller working without it. It does not: requests failed when the dependency did, and more often than they fail anyway.",
			Fix:     "Fix the fallback and prove it with a drill, or declare the dependency hard until then.",
		},
		{
			ID: "DG020", Name: "rule-failed", Severity: Error,
			Summary: "a custom rule could not be run to completion",
			Why:     "What it would have found is unknown, so the check cannot pass.",
			Fix:     "Fix the rule, or leave it out.",
		},
		{
			ID: "DG021", Name: "idle-waiver", Severity: Warn,
			Summary: "a waiver names an unknown rule, or matches no finding",
			Why:     "What it was meant to tolerate is either not tolerated, or gone; and the next finding of that rule would be tolerated unseen.",
			Fix:     "Correct the name of the rule, or delete the waiver.",
		},
	}
}

// Rules returns the built-in rules in order of ID.
func Rules() []Rule { return rules() }

// FindRule looks a rule up by ID or name, in any case.
//
// It does not know rules of a policy or of one's own; Policy.Knows does.
func FindRule(name string) (Rule, bool) {
	for _, r := range rules() {
		if strings.EqualFold(r.ID, name) || strings.EqualFold(r.Name, name) {
			return r, true
		}
	}
	return Rule{}, false
}
