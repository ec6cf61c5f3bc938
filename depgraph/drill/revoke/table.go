package revoke

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go"

	"github.com/failopen/failopen/depgraph/drill"
)

// API is what a revocation needs of a DynamoDB client.
// *dynamodb.Client has them all.
type API interface {
	GetResourcePolicy(context.Context, *dynamodb.GetResourcePolicyInput, ...func(*dynamodb.Options)) (*dynamodb.GetResourcePolicyOutput, error)
	PutResourcePolicy(context.Context, *dynamodb.PutResourcePolicyInput, ...func(*dynamodb.Options)) (*dynamodb.PutResourcePolicyOutput, error)
	DeleteResourcePolicy(context.Context, *dynamodb.DeleteResourcePolicyInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteResourcePolicyOutput, error)
	ListTagsOfResource(context.Context, *dynamodb.ListTagsOfResourceInput, ...func(*dynamodb.Options)) (*dynamodb.ListTagsOfResourceOutput, error)
}

// Tag is what a table must be tagged with, and its value.
const (
	Tag      = "failopen-drill"
	TagValue = "allowed"
)

// Times of the work with AWS. A sentinel that is not seen within five minutes is
// taken for one that never comes. A call that takes longer than callTimeout is left
// to the loop around it to try again.
const (
	arriveWithin = 5 * time.Minute  // of the sentinel
	pollEvery    = 2 * time.Second  // for it, and for the end of a revocation
	tryFor       = 90 * time.Second // one change: DynamoDB pauses 15 s after each
	callTimeout  = 10 * time.Second
)

// Errors of a revocation that did not begin.
// All of them mean that the service was not touched, and that Revert is still to be
// called: the statements may be there.
var (
	ErrNotTagged  = errors.New("revoke: the table is not tagged failopen-drill=allowed")
	ErrOther      = errors.New("revoke: another drill is in the table's policy")
	ErrNotArrived = errors.New("revoke: the sentinel was not seen: nothing is armed")
	ErrTooLate    = errors.New("revoke: the window had opened before the sentinel was seen")
)

// A Table is one revocation by a table's resource policy. It is a drill.Fault:
// Inject returns when the window is open.
type Table struct {
	API  API  // the client; required
	Plan Plan // what is written; required

	// Journal is a folder. The plan is written there, and on disk, before
	// anything is written to AWS, and removed when it is undone. Required.
	Journal string

	// Probe makes one DescribeTimeToLive of the table under the role, and
	// returns its error. Required: without it nobody knows whether the
	// Deny has arrived.
	Probe func(context.Context) error

	// Denials counts the denials that the service has had, if it can tell.
	// Without it a drill cannot say that the fault was observed, and is
	// void.
	Denials func() int64

	// Step, if set, is told what happens.
	Step func(string)

	denials denials
}

// say tells Step, if there is one.
func (t *Table) say(format string, args ...any) {
	if t.Step != nil {
		t.Step(fmt.Sprintf(format, args...))
	}
}

// Inject writes the statements, sees them arrive, and waits for the window.
// The order is: the tag, the policy as it is, the journal, the policy with the
// statements, the sentinel, the window. An error after the journal was written
// leaves what was written: the drill calls Revert next, and [Pending] knows of it.
func (t *Table) Inject(ctx context.Context) error {
	switch {
	case t.Plan.Via != TablePolicy:
		return fmt.Errorf("revoke: the plan is for %s, not for a table's policy", t.Plan.Via)
	case t.API == nil, t.Journal == "", t.Probe == nil:
		return errors.New("revoke: API, Journal and Probe are required")
	}
	if err := t.tagged(ctx); err != nil {
		return err
	}
	if err := t.write(ctx); err != nil {
		return err
	}
	if err := arrived(ctx, t.Plan, t.Probe, t.say); err != nil {
		return err
	}
	t.denials.begin(t.Denials)
	return sleep(ctx, time.Until(t.Plan.From))
}

// tagged looks for the tag that allows drills in all pages of the table's tags.
// A tag that cannot be read is one that is not there: nothing is written then.
func (t *Table) tagged(ctx context.Context) error {
	var token *string
	for {
		out, err := call(ctx, func(ctx context.Context) (*dynamodb.ListTagsOfResourceOutput, error) {
			return t.API.ListTagsOfResource(ctx, &dynamodb.ListTagsOfResourceInput{ResourceArn: &t.Plan.Table, NextToken: token})
		})
		if err != nil {
			return fmt.Errorf("revoke: the table's tags: %w", err)
		}
		for _, tag := range out.Tags {
			if aws.ToString(tag.Key) == Tag && aws.ToString(tag.Value) == TagValue {
				return nil
			}
		}
		if token = out.NextToken; token == nil {
			return fmt.Errorf("%w (%s)", ErrNotTagged, t.Plan.Table)
		}
	}
}

// write appends the statements, locked by the policy's revision.
// A policy that somebody has changed since it was read is refused by DynamoDB, and
// that is the end of it: what it says now is not what the plan was made for.
func (t *Table) write(ctx context.Context) error {
	document, revision, err := current(ctx, t.API, t.Plan.Table)
	if err != nil {
		return err
	}
	next := t.Plan.Document()
	if document != "" {
		p, err := parseDocument(document)
		if err != nil {
			return fmt.Errorf("revoke: %w", err)
		}
		for _, e := range p.elements {
			if e.ours("") {
				return fmt.Errorf("%w (Sid %s); drill sweep removes those that are over", ErrOther, e.sid)
			}
		}
		if next, err = p.with(t.Plan.Statements); err != nil {
			return fmt.Errorf("revoke: %w", err)
		}
		t.Plan.Wrapped = !p.list
	}
	if err := keep(t.Journal, entry{Version: 1, Plan: t.Plan}); err != nil {
		return fmt.Errorf("revoke: the journal: %w", err)
	}
	t.say("journal written; appending two statements to the policy of %s", t.Plan.Table)
	_, err = call(ctx, func(ctx context.Context) (*dynamodb.PutResourcePolicyOutput, error) {
		return t.API.PutResourcePolicy(ctx, &dynamodb.PutResourcePolicyInput{ResourceArn: &t.Plan.Table, Policy: &next, ExpectedRevisionId: &revision})
	})
	if err != nil {
		return fmt.Errorf("revoke: writing the policy: %w", err)
	}
	return nil
}

// Revert takes the statements out again, and sees that they are gone.
// The denials are counted once more before: afterwards there are none to count.
func (t *Table) Revert(ctx context.Context) error {
	t.Seen()
	if err := Revert(ctx, t.API, t.Plan, t.Journal); err != nil {
		return err
	}
	t.say("reverted: the statements are gone")
	return nil
}

// Limit tells a drill how long Inject and Revert may take.
// That is the arrival of the sentinel, the longest lead, and two changes.
func (t *Table) Limit() time.Duration { return arriveWithin + MaxLead + 2*tryFor }

// Seen implements drill.Fault.
func (t *Table) Seen() drill.Seen { return t.denials.seen(t.Denials) }

// Revert undoes what a plan has written, whatever is left of it, and removes it
// from the journal. It is safe to call at any time, and again.
// Only statements with this plan's Sids are taken out, wherever they stand now. The
// journal's entry goes last. The error says when it ends by itself.
func Revert(ctx context.Context, api API, p Plan, journal string) error {
	if api == nil {
		return errNoAPI
	}
	if err := p.own(); err != nil {
		return err
	}
	if err := remove(ctx, api, p.Table, p.Wrapped, func(e element) bool { return e.ours(p.ID) }); err != nil {
		return fmt.Errorf("revoke: %s is not undone; it ends by itself at %s: %w", p.ID, p.Until.Format(time.RFC3339), err)
	}
	return forget(journal, p.ID)
}

// Sweep removes the statements of all drills that are over by now.
// now is AWS's clock or the machine's. A statement without an end that can be read
// is left, since nobody knows whether it is over. The journal is not touched.
func Sweep(ctx context.Context, api API, table string, now time.Time) error {
	if api == nil {
		return errNoAPI
	}
	if !tableARN.MatchString(table) {
		return fmt.Errorf("revoke: Table is %q; want the ARN of one table", table)
	}
	return remove(ctx, api, table, false, func(e element) bool { return e.ours("") && !e.until.IsZero() && now.After(e.until) })
}

// remove takes statements out of a table's policy until none is left that drop
// selects, trying again while DynamoDB pauses or somebody else writes.
// It goes on until a read finds nothing to remove, for 90 s at most, and gives the
// last error: one that is repaired in the meantime, such as a throttled call, does
// not end it.
func remove(ctx context.Context, api API, table string, wrapped bool, drop func(element) bool) error {
	deadline := time.Now().Add(tryFor)
	for {
		done, err := removeOnce(ctx, api, table, wrapped, drop)
		if done {
			return nil
		}
		if !time.Now().Before(deadline) {
			if err == nil {
				err = errors.New("the policy still has them")
			}
			return err
		}
		if err := sleep(ctx, pollEvery); err != nil {
			return err
		}
	}
}

// removeOnce reports true when a read says that there is nothing to remove.
// A change is never reported as the end: the next read must say so. It is bound to
// the revision that was read, so what somebody else writes in between is not lost:
// the call fails and the next round reads again.
func removeOnce(ctx context.Context, api API, table string, wrapped bool, drop func(element) bool) (bool, error) {
	document, revision, err := current(ctx, api, table)
	if err != nil || document == "" {
		return err == nil, err
	}
	p, err := parseDocument(document)
	if err != nil {
		return false, err
	}
	text, dropped, left := p.without(drop)
	if wrapped && left == 1 {
		text = unwrap(text)
	}
	switch {
	case dropped == 0:
		return true, nil
	case left == 0:
		_, err = call(ctx, func(ctx context.Context) (*dynamodb.DeleteResourcePolicyOutput, error) {
			return api.DeleteResourcePolicy(ctx, &dynamodb.DeleteResourcePolicyInput{ResourceArn: &table, ExpectedRevisionId: &revision})
		})
	default:
		_, err = call(ctx, func(ctx context.Context) (*dynamodb.PutResourcePolicyOutput, error) {
			return api.PutResourcePolicy(ctx, &dynamodb.PutResourcePolicyInput{ResourceArn: &table, Policy: &text, ExpectedRevisionId: &revision})
		})
	}
	return false, err
}

// noPolicy is the revision of a table without a policy.
const noPolicy = "NO_POLICY"

// current reads a table's policy; "" if there is none.
// The revision for no policy is NO_POLICY, which DynamoDB takes as "only if there is
// none".
func current(ctx context.Context, api API, table string) (document, revision string, err error) {
	out, err := call(ctx, func(ctx context.Context) (*dynamodb.GetResourcePolicyOutput, error) {
		return api.GetResourcePolicy(ctx, &dynamodb.GetResourcePolicyInput{ResourceArn: &table})
	})
	if code(err) == "PolicyNotFoundException" {
		return "", noPolicy, nil
	}
	if err != nil {
		return "", "", fmt.Errorf("revoke: reading the policy: %w", err)
	}
	return aws.ToString(out.Policy), aws.ToString(out.RevisionId), nil
}

// call bounds one call.
// The SDK's own retries are within that time.
func call[T any](ctx context.Context, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return f(ctx)
}

// code is an AWS error's, or "".
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// denied reports whether an answer says that access is denied.
func denied(err error) bool {
	c := code(err)
	return c == "AccessDeniedException" || c == "AccessDenied"
}

// reasons are how AWS says, at the end of a denial's message, that it comes from
// the policy that a drill has written. Source: "Troubleshoot access denied error
// messages" in the IAM User Guide. An explicit deny is named before anything
// else, so a role that may not make the call in the first place is told of it
// as well.
var reasons = map[Via]string{
	TablePolicy: "with an explicit deny in a resource-based policy",
	RolePolicy:  "with an explicit deny in an identity-based policy",
	Session:     "with an explicit deny in a session policy",
}

// deniedBy reports whether an answer says that access is denied by what is
// written in that way, and not by something else.
func deniedBy(err error, via Via) bool {
	var api smithy.APIError
	return denied(err) && errors.As(err, &api) && strings.Contains(api.ErrorMessage(), reasons[via])
}

// sleep waits for d or for the end of the context, whichever comes first, and
// says which. What is over already still sees the context.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
