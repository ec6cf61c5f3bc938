package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/revoke"
)

// This file and session.go are the only ones that change something at AWS. What
// is written, and how it ends by itself, is package revoke's; here is what
// surrounds it: the dry run, the word that has to be repeated, whose
// credentials, who must not call, and the order in which all of that happens
// (carryOut).

// revokeVerb is revoke: see [command.revoke]. Its help says what is not known to work.
var revokeVerb = verb{
	name: "revoke", most: -1, about: "Take a role's access to a DynamoDB table away for a few minutes, for real",
	help: `
Without --confirm nothing is changed and AWS is not called: the exact document
is printed, with what its operator has to be allowed. With --confirm, a Deny
for that role is appended to the table's resource policy. It has a window of
time that AWS's own clock opens and closes, so it ends even if this program
dies; a journal is on disk before anything is written.

Credentials come from the environment, AWS_ACCESS_KEY_ID and so on. A second
set, PROBE_AWS_ACCESS_KEY_ID and so on, belongs to a session of the role: with
it the program sees the Deny arrive before it says that it is armed. The table
must be tagged failopen-drill=allowed. Examples:

    drill revoke --role arn:aws:iam::111122223333:role/app \
                 --table arn:aws:dynamodb:eu-central-1:111122223333:table/sessions --for 5m

    eval "$(aws configure export-credentials --format env)"
    drill revoke --role … --table … --confirm app/sessions

--via role-policy writes an inline policy of the role instead, which must be
tagged failopen-drill=allowed, too: every process of the role loses the table.
--via session touches nobody else and writes nothing: it runs the program after
-- as the role, in a session that is denied the table. Do it first.

Before the other two write anything, the same denial is tried on a canary: one
session of the role, which nobody uses, must be denied a read of the table. The
role has to let the operator assume it; where it does not, --no-canary.

    drill revoke --via session --role … --table … --confirm app/sessions -- ./service

Endpoints other than AWS's come from AWS_ENDPOINT_URL_DYNAMODB, _IAM and _STS.
Nothing of this has been tried against AWS itself yet.
`,
	run: (*command).revoke,
}

// journalFlag adds the flag that says where revocations are noted before they
// are made. The function that it returns gives the folder, after the flags were
// read; it is the same for revoke and revert, or one would not find what the
// other has left.
func journalFlag(fs *flag.FlagSet) func() (string, error) {
	journal := fs.String("journal", "", "the `folder` of the journal (default: failopen-drill in the user's cache folder)")
	return func() (string, error) {
		if *journal != "" {
			return *journal, nil
		}
		dir, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("there is no folder for the journal (%w): name one with --journal", err)
		}
		return filepath.Join(dir, "failopen-drill"), nil
	}
}

// revoke plans a revocation, and carries it out if --confirm repeats the names
// of role and table: the words are in the dry run, so that who carries it out
// has seen it. The dry run makes no call of AWS and needs no credentials.
func (c *command) revoke(args []string) error {
	var o revoke.Options
	fs := c.flags()
	fs.StringVar(&o.Role, "role", "", "the `ARN` of the role that is denied, or its name if it is of the table's account and has no path")
	fs.StringVar(&o.Table, "table", "", "the `ARN` of the table")
	fs.DurationVar(&o.For, "for", revoke.DefaultFor, "the length of the window, at most 1h")
	fs.DurationVar(&o.Lead, "lead", revoke.DefaultLead, "how far ahead it is written, so that it has arrived when it opens")
	via := fs.String("via", string(revoke.TablePolicy), "table-policy, role-policy or session; vpc-endpoint prints a template for AWS FIS instead")
	accounts := fs.String("accounts", "", "the only accounts that may be touched, separated by commas")
	offline := fs.Bool("offline", false, "make no call of AWS, whatever else is said")
	noCanary := fs.Bool("no-canary", false, "do not try the denial in one session first")
	confirm := fs.String("confirm", "", "ROLE/TABLE, the names of both: carry it out")
	journal := journalFlag(fs)
	if err := c.parse(fs, args); err != nil {
		return err
	}
	if *via == vpcEndpoint {
		return c.printFIS(o)
	}
	var err error
	if o.Via, err = revoke.ParseVia(*via); err != nil {
		return usagef("%v", err)
	}
	if len(c.args) > 0 && o.Via != revoke.Session {
		return usagef("revoke: unexpected argument %q", c.args[0])
	}
	if *accounts != "" {
		o.Accounts = strings.Split(*accounts, ",")
	}
	p, err := revoke.NewPlan(o, time.Now())
	if err != nil {
		return usagef("%v", err)
	}
	// The short names are what people know, and what they must type again.
	want := p.Role[strings.LastIndexByte(p.Role, '/')+1:] + "/" + p.Table[strings.LastIndexByte(p.Table, '/')+1:]
	switch {
	case *confirm == "" || *offline:
		c.describe(p, want, *offline, !*noCanary)
		return nil
	case p.Via == revoke.Session && len(c.args) == 0:
		return usagef("revoke: --via session wants the program to run in it, after --")
	case *confirm != want:
		return usagef("revoke: --confirm is %q; to carry it out, it must be %q", *confirm, want)
	case p.Via == revoke.Session:
		return c.runInSession(p, c.args)
	}
	dir, err := journal()
	if err != nil {
		return err
	}
	return c.carryOut(o, p, dir, !*noCanary)
}

// vpcEndpoint is not carried out: it concerns everybody behind the endpoint.
const vpcEndpoint = "vpc-endpoint"

// printFIS prints an experiment of AWS FIS, which does that with a revert of
// its own. On the standard output there is JSON alone, for the AWS CLI.
func (c *command) printFIS(o revoke.Options) error {
	text, err := revoke.FISTemplate(o.Table, o.For)
	if err != nil {
		return usagef("%v", err)
	}
	fmt.Fprintf(c.stderr, "This program does not change VPC endpoints: everybody behind one is concerned. AWS FIS cuts subnets off\n"+
		"from DynamoDB and undoes it; fill in the role and the alarm, then: aws fis create-experiment-template --cli-input-json file://FILE\n")
	fmt.Fprintf(c.stdout, "%s\n", text)
	return nil
}

// describe is the dry run: what would be written, to the byte, what its
// operator must be allowed and no more, and how to carry it out.
//
// Its text is long on purpose: it is what a second pair of eyes approves.
func (c *command) describe(p revoke.Plan, confirm string, offline, canary bool) {
	fmt.Fprintf(c.stdout, "Dry run: nothing is changed, and AWS is not called.\n\n")
	fmt.Fprintf(c.stdout, "  role    %s\n  table   %s\n  via     %s\n", p.Role, p.Table, p.Via)
	if p.Via == revoke.Session {
		fmt.Fprintf(c.stdout, "  window  as long as the session\n")
	} else {
		fmt.Fprintf(c.stdout, "  window  %s to %s, by AWS's clock\n", p.From.Format(time.RFC3339), p.Until.Format(time.RFC3339))
	}
	fmt.Fprintf(c.stdout, "\n%s\n\n%s\n", map[revoke.Via]string{
		revoke.TablePolicy: "These two statements would be appended to the table's resource policy:",
		revoke.RolePolicy:  "This would be the role's inline policy " + p.PolicyName + ":",
		revoke.Session:     "This would be the session policy for sts:AssumeRole:",
	}[p.Via], p.Document())
	fmt.Fprintf(c.stdout, "\nIts operator needs no more than this policy; %s:\n\n%s\n", p.Leak(), p.OperatorPolicy())
	if canary && p.Via != revoke.Session {
		fmt.Fprintf(c.stdout, "\nFirst the denial is tried on a canary, one session of the role, for which the operator must be allowed\nsts:AssumeRole on it, by the role's trust policy, too. --no-canary leaves that out.\n")
	}
	if !offline {
		program := ""
		if p.Via == revoke.Session {
			program = " -- PROGRAM"
		}
		fmt.Fprintf(c.stdout, "\nTo carry it out, add --confirm %s%s\n", confirm, program)
	}
}

// undo reverts a plan that the journal knows.
// The plan says which client it takes; credentials are the operator's.
//
// Undoing what is undone already is no error, so revert may be repeated.
func undo(ctx context.Context, p revoke.Plan, journal string) error {
	if p.Via == revoke.RolePolicy {
		api, err := roles(p.Table)
		if err != nil {
			return err
		}
		return revoke.RevertRole(ctx, api, p, journal)
	}
	api, err := client("", p.Table)
	if err != nil {
		return err
	}
	return revoke.Revert(ctx, api, p, journal)
}

// revocation is one of the two that are written.
// It is what carryOut needs of revoke.Table and revoke.Role.
type revocation interface {
	Inject(context.Context) error
	Revert(context.Context) error
}

// prepare makes the revocation of a plan, with its probe under the role. It makes
// no call. The probe reads what the sentinel denies, DescribeTimeToLive: that is
// denied before the window opens, so that the policy is seen to have arrived.
//
// It is called twice by carryOut: once to find out what is missing before
// anything is called, and again with the plan whose window begins now.
func (c *command) prepare(p revoke.Plan, journal string) (revocation, error) {
	probe, err := client("PROBE_", p.Table)
	if err != nil {
		return nil, fmt.Errorf("the probe under the role: %w", err)
	}
	name := p.Table[strings.LastIndexByte(p.Table, '/')+1:]
	ask := func(ctx context.Context) error {
		_, err := probe.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &name})
		return err
	}
	step := func(s string) { fmt.Fprintln(c.stderr, s) }
	if p.Via == revoke.RolePolicy {
		api, err := roles(p.Table)
		if err != nil {
			return nil, err
		}
		return &revoke.Role{API: api, Plan: p, Journal: journal, Probe: ask, Step: step}, nil
	}
	api, err := client("", p.Table)
	if err != nil {
		return nil, err
	}
	return &revoke.Table{API: api, Plan: p, Journal: journal, Probe: ask, Step: step}, nil
}

// checkCaller refuses to take access away from the caller itself, who could not
// give it back, and from another account than the caller's.
func (c *command) checkCaller(p revoke.Plan) error {
	if emulatedWithoutSTS() {
		return nil
	}
	account, arn, err := caller(c.ctx, p.Table)
	if err != nil {
		return fmt.Errorf("who is calling? %w", err)
	}
	return refuseCaller(p, account, arn)
}

// refuseCaller says why a caller must not carry out a plan. The ARN of a
// session is arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION, without the role's
// path. A user of the same name as the role is another principal.
func refuseCaller(p revoke.Plan, account, arn string) error {
	parts := strings.Split(p.Role, ":")
	if account != parts[4] {
		return fmt.Errorf("the caller %s is of the account %s, the role of %s", arn, account, parts[4])
	}
	name := p.Role[strings.LastIndexByte(p.Role, '/')+1:]
	caller := strings.Split(arn, ":")
	if arn == p.Role || len(caller) == 6 && strings.HasPrefix(caller[5], "assumed-role/"+name+"/") {
		return fmt.Errorf("the caller %s is in the role itself, and could not undo it: use credentials of the operator", arn)
	}
	return nil
}

// notStarted ends a verb that has changed nothing.
func (c *command) notStarted(why error) error {
	fmt.Fprintf(c.stderr, "not started: %v\n", why)
	return exitCode(drill.NotStarted)
}

// carryOut revokes, waits, and undoes it, whatever happens. In order: what is
// missing on this side, who is calling, what an earlier run has left, the
// canary, and then the revocation. Up to Inject nothing is written, and the
// verdict is not-started; from then on Revert runs in any case, for up to three
// minutes after an interruption.
func (c *command) carryOut(o revoke.Options, p revoke.Plan, journal string, canary bool) (err error) {
	if _, err := c.prepare(p, journal); err != nil { // what is missing is said before anything is called
		return err
	}
	if err := c.checkCaller(p); err != nil {
		return c.notStarted(err)
	}
	if err := c.finishOthers(p, journal); err != nil {
		return err
	}
	if canary {
		if err := c.canary(o); err != nil {
			return c.notStarted(err)
		}
		if p, err = revoke.NewPlan(o, time.Now()); err != nil { // its window is counted from now
			return err
		}
	}
	t, err := c.prepare(p, journal)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), 3*time.Minute)
		defer cancel()
		err = errors.Join(err, t.Revert(ctx))
	}()
	if err := t.Inject(c.ctx); err != nil {
		return c.notStarted(err)
	}
	fmt.Fprintf(c.stderr, "revoked until %s; Ctrl-C ends it early\n", p.Until.Format(time.TimeOnly))
	// The window is closed by AWS's clock whatever happens here; waiting is for
	// the revert that tidies up, and for Ctrl-C.
	timer := time.NewTimer(time.Until(p.Until))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.ctx.Done():
		fmt.Fprintln(c.stderr, "interrupted: undoing it now")
		return exitCode(drill.Aborted)
	}
}

// finishOthers undoes what an earlier run has left in the journal about the
// same table or role. One whose window is open is somebody's drill, and an
// error.
func (c *command) finishOthers(p revoke.Plan, journal string) error {
	pending, err := revoke.Pending(journal)
	if err != nil {
		return err
	}
	for _, old := range pending {
		if old.Table != p.Table && old.Role != p.Role {
			continue
		}
		if time.Now().Before(old.Until) {
			return fmt.Errorf("the revocation %s of %s goes on until %s; drill revert ends it", old.ID, old.Table, old.Until.Format(time.RFC3339))
		}
		fmt.Fprintf(c.stderr, "undoing %s, which an earlier run has left\n", old.ID)
		if err := undo(c.ctx, old, journal); err != nil {
			return err
		}
	}
	return nil
}

// revertVerb is revert. It goes by the journal, which is written before a
// policy is: there may be an entry without a policy, and never a policy without
// an entry. One that cannot be undone does not keep the others from it.
var revertVerb = verb{
	name: "revert", about: "Undo every revocation that the journal knows",
	help: `
A revocation ends by itself when its window does; this removes what is left of
it, or ends it early. Credentials come from the environment.
`,
	run: func(c *command, args []string) error {
		fs := c.flags()
		journal := journalFlag(fs)
		if err := c.parse(fs, args); err != nil {
			return err
		}
		dir, err := journal()
		if err != nil {
			return err
		}
		pending, failed := revoke.Pending(dir) // the others are undone all the same
		undone := 0
		for _, p := range pending {
			if err := undo(c.ctx, p, dir); err != nil {
				failed = errors.Join(failed, err)
				continue
			}
			undone++
			on := p.Table
			if p.Via == revoke.RolePolicy {
				on = p.Role
			}
			fmt.Fprintf(c.stdout, "%s: undone on %s\n", p.ID, on)
		}
		fmt.Fprintf(c.stdout, "%d revocations undone\n", undone)
		return failed
	},
}

// sweepVerb is sweep, for a table or a role whose journal is gone, such as that
// of a machine that is. It goes by the names of the statements and touches none
// whose window is still open. Both flags are checked before the first is acted
// on.
var sweepVerb = verb{
	name: "sweep", about: "Remove what drills that are over have left in a table's or a role's policy",
	help: `
What is over denies nothing any more; this tidies up after any drill.

    drill sweep --table arn:aws:dynamodb:eu-central-1:111122223333:table/sessions
    drill sweep --role arn:aws:iam::111122223333:role/app
`,
	run: func(c *command, args []string) error {
		fs := c.flags()
		table := fs.String("table", "", "the `ARN` of the table")
		role := fs.String("role", "", "the `ARN` of the role")
		if err := c.parse(fs, args); err != nil {
			return err
		}
		switch {
		case *role != "" && !isARN(*role, "iam", "role/"):
			return usagef("sweep: --role is %q; want the ARN of one role", *role)
		case (*table != "" || *role == "") && !isARN(*table, "dynamodb", "table/"):
			return usagef("sweep: --table is %q; want the ARN of one table", *table)
		}
		if *role != "" {
			api, err := roles(*role)
			if err == nil {
				err = revoke.SweepRole(c.ctx, api, *role, time.Now())
			}
			if err != nil || *table == "" {
				return err
			}
		}
		api, err := client("", *table)
		if err != nil {
			return err
		}
		return revoke.Sweep(c.ctx, api, *table, time.Now())
	},
}
