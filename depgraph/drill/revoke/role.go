package revoke

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/failopen/failopen/depgraph/drill"
)

// RoleAPI is what a revocation by a role's policy needs of an IAM client.
// *iam.Client has them all.
type RoleAPI interface {
	GetRole(context.Context, *iam.GetRoleInput, ...func(*iam.Options)) (*iam.GetRoleOutput, error)
	ListRolePolicies(context.Context, *iam.ListRolePoliciesInput, ...func(*iam.Options)) (*iam.ListRolePoliciesOutput, error)
	GetRolePolicy(context.Context, *iam.GetRolePolicyInput, ...func(*iam.Options)) (*iam.GetRolePolicyOutput, error)
	PutRolePolicy(context.Context, *iam.PutRolePolicyInput, ...func(*iam.Options)) (*iam.PutRolePolicyOutput, error)
	DeleteRolePolicy(context.Context, *iam.DeleteRolePolicyInput, ...func(*iam.Options)) (*iam.DeleteRolePolicyOutput, error)
}

// ErrRoleNotTagged is a role that nobody has released for drills.
var ErrRoleNotTagged = errors.New("revoke: the role is not tagged failopen-drill=allowed")

// A Role is one revocation by an inline policy of the role. It is a drill.Fault:
// Inject returns when the window is open. Every process of the role loses the
// table.
// API, Plan, Journal and Probe are required and are not changed while it is in use.
type Role struct {
	API  RoleAPI // the client; required
	Plan Plan    // what is written; required

	// Journal, Probe, Denials and Step are as in [Table].
	Journal string
	Probe   func(context.Context) error
	Denials func() int64
	Step    func(string)

	denials denials
}

// say tells Step, if there is one.
func (r *Role) say(format string, args ...any) {
	if r.Step != nil {
		r.Step(fmt.Sprintf(format, args...))
	}
}

// name is the role's, without its path.
func (p Plan) name() *string { return aws.String(p.Role[strings.LastIndexByte(p.Role, '/')+1:]) }

// Inject writes the policy, sees it arrive, and waits for the window.
// The order is: the tag, no other drill, the journal, the policy, no other drill
// again, the sentinel, the window. An error after the journal was written leaves
// the policy where it is: the drill calls Revert next, and [Pending] knows of it.
func (r *Role) Inject(ctx context.Context) error {
	switch {
	case r.Plan.Via != RolePolicy:
		return fmt.Errorf("revoke: the plan is for %s, not for a role's policy", r.Plan.Via)
	case r.API == nil, r.Journal == "", r.Probe == nil:
		return errors.New("revoke: API, Journal and Probe are required")
	}
	if err := r.released(ctx); err != nil {
		return err
	}
	if err := r.alone(ctx); err != nil {
		return err
	}
	if err := keep(r.Journal, entry{Version: 1, Plan: r.Plan}); err != nil {
		return fmt.Errorf("revoke: the journal: %w", err)
	}
	r.say("journal written; writing the inline policy %s of %s", r.Plan.PolicyName, r.Plan.Role)
	_, err := call(ctx, func(ctx context.Context) (*iam.PutRolePolicyOutput, error) {
		return r.API.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: r.Plan.name(), PolicyName: &r.Plan.PolicyName, PolicyDocument: aws.String(r.Plan.Document())})
	})
	if err != nil {
		return fmt.Errorf("revoke: writing the policy: %w", err)
	}
	if err := r.alone(ctx); err != nil { // one that began at the same moment: one of the two, or both, give way
		return err
	}
	if err := arrived(ctx, r.Plan, r.Probe, r.say); err != nil {
		return err
	}
	r.denials.begin(r.Denials)
	return sleep(ctx, time.Until(r.Plan.From))
}

// released sees that the role may be drilled.
// The ARN must be the plan's to the letter: IAM finds a role by its name, and one of
// another path, or account, has the same name.
func (r *Role) released(ctx context.Context) error {
	out, err := call(ctx, func(ctx context.Context) (*iam.GetRoleOutput, error) {
		return r.API.GetRole(ctx, &iam.GetRoleInput{RoleName: r.Plan.name()})
	})
	if err != nil {
		return fmt.Errorf("revoke: the role: %w", err)
	}
	if out.Role == nil || aws.ToString(out.Role.Arn) != r.Plan.Role {
		return fmt.Errorf("revoke: IAM knows the role %s by another ARN", r.Plan.Role)
	}
	tagged := false
	for _, tag := range out.Role.Tags {
		tagged = tagged || aws.ToString(tag.Key) == Tag && aws.ToString(tag.Value) == TagValue
	}
	if !tagged {
		return fmt.Errorf("%w (%s)", ErrRoleNotTagged, r.Plan.Role)
	}
	return nil
}

// alone sees that no other drill has a policy in the role.
// It reads all pages. IAM has no revision to lock by, as a table's policy has, so
// Inject asks before and after it writes: of two that begin at once, at least one
// sees the other, if IAM's list is up to date.
func (r *Role) alone(ctx context.Context) error {
	var marker *string
	for {
		names, err := call(ctx, func(ctx context.Context) (*iam.ListRolePoliciesOutput, error) {
			return r.API.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: r.Plan.name(), Marker: marker})
		})
		if err != nil {
			return fmt.Errorf("revoke: the role's policies: %w", err)
		}
		for _, name := range names.PolicyNames {
			if strings.HasPrefix(name, sidPrefix) && name != r.Plan.PolicyName {
				return fmt.Errorf("revoke: another drill is in the role's policy %s; drill revert and drill sweep remove what is over", name)
			}
		}
		if marker = names.Marker; !names.IsTruncated || marker == nil {
			return nil
		}
	}
}

// Revert takes the policy away again, and sees that it is gone.
// The denials are counted once more before: afterwards there are none to count.
func (r *Role) Revert(ctx context.Context) error {
	r.Seen()
	if err := RevertRole(ctx, r.API, r.Plan, r.Journal); err != nil {
		return err
	}
	r.say("reverted: the policy is gone")
	return nil
}

// Limit tells a drill how long Inject and Revert may take.
// That is the arrival of the sentinel, the longest lead, and two changes.
func (r *Role) Limit() time.Duration { return arriveWithin + MaxLead + 2*tryFor }

// Seen implements drill.Fault.
func (r *Role) Seen() drill.Seen { return r.denials.seen(r.Denials) }

// RevertRole undoes what a plan has written to a role, and removes it from the
// journal. It is safe to call at any time, and again.
// IAM is eventually consistent: a delete that was answered may still be read, so it
// is done again every 2 s, for 90 s at most, until a read says that it is gone. Only
// then is the journal's entry removed. The error says when it ends by itself.
func RevertRole(ctx context.Context, api RoleAPI, p Plan, journal string) error {
	if api == nil {
		return errNoAPI
	}
	if p.Via != RolePolicy || p.PolicyName == "" {
		return fmt.Errorf("revoke: the plan is for %s, not for a role's policy", p.Via)
	}
	if err := p.own(); err != nil {
		return err
	}
	deadline := time.Now().Add(tryFor)
	for {
		_, err := call(ctx, func(ctx context.Context) (*iam.DeleteRolePolicyOutput, error) {
			return api.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: p.name(), PolicyName: &p.PolicyName})
		})
		if err == nil || code(err) == noSuchEntity {
			_, err = call(ctx, func(ctx context.Context) (*iam.GetRolePolicyOutput, error) {
				return api.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: p.name(), PolicyName: &p.PolicyName})
			})
			if code(err) == noSuchEntity {
				return forget(journal, p.ID)
			}
			if err == nil {
				err = errors.New("the role still has it")
			}
		}
		if !time.Now().Before(deadline) {
			return fmt.Errorf("revoke: %s is not undone; it ends by itself at %s: %w", p.ID, p.Until.Format(time.RFC3339), err)
		}
		if sleepErr := sleep(ctx, pollEvery); sleepErr != nil {
			return fmt.Errorf("revoke: %s is not undone; it ends by itself at %s: %w", p.ID, p.Until.Format(time.RFC3339), errors.Join(sleepErr, err))
		}
	}
}

// noSuchEntity is IAM's code for a role or a policy that is not there.
const noSuchEntity = "NoSuchEntity"

// denials count those that the service has had since the window was armed.
// Whatever is counted before begin, by the sentinel's probe for one, is not of the
// service.
type denials struct {
	mu     sync.Mutex
	before int64
	last   drill.Seen
}

// begin starts to count at the service's present number; nil counts nothing,
// and the drill is void.
func (d *denials) begin(count func() int64) {
	if count == nil {
		return
	}
	n := count()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.before, d.last = n, drill.Seen{}
}

// seen is the count since begin, dated by when it was first seen: the counter is
// read once a second by a drill, so dates are late by up to that. It never goes
// down. The user's function is called without the lock.
func (d *denials) seen(count func() int64) drill.Seen {
	n := int64(0)
	if count != nil {
		n = count()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if hits := n - d.before; count != nil && hits > d.last.Hits {
		d.last.Hits, d.last.Last = hits, time.Now()
		if d.last.First.IsZero() {
			d.last.First = d.last.Last
		}
	}
	return d.last
}

// arrived waits until the probe is denied by the plan's own statement: one that
// was denied before says nothing.
// It asks every 2 s, up to five minutes. Policies arrive in one part of AWS before
// another; the probe is one of them, so the lead goes on after it. A sentinel that
// is seen when the window is open already is [ErrTooLate]: the steady state was not
// steady then.
func arrived(ctx context.Context, p Plan, probe func(context.Context) error, say func(string, ...any)) error {
	began := time.Now()
	for {
		_, err := call(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, probe(ctx) })
		if deniedBy(err, p.Via) {
			say("the sentinel was seen after %v", time.Since(began).Round(time.Millisecond))
			if !time.Now().Before(p.From) {
				return ErrTooLate
			}
			say("armed: the window opens at %s and closes at %s", p.From.Format(time.TimeOnly), p.Until.Format(time.TimeOnly))
			return nil
		}
		if time.Since(began) > arriveWithin {
			return fmt.Errorf("%w within %v (the last probe: %v)", ErrNotArrived, arriveWithin, err)
		}
		if err := sleep(ctx, pollEvery); err != nil {
			return err
		}
	}
}

// SweepRole removes the policies of all drills of a role that are over by now.
// It ends at the first error, since each of them needs somebody to look; those
// before it are gone.
func SweepRole(ctx context.Context, api RoleAPI, role string, now time.Time) error {
	if api == nil {
		return errNoAPI
	}
	if !roleARN.MatchString(role) {
		return fmt.Errorf("revoke: Role is %q; want the ARN of one role", role)
	}
	p := Plan{Role: role}
	var marker *string
	for {
		names, err := call(ctx, func(ctx context.Context) (*iam.ListRolePoliciesOutput, error) {
			return api.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: p.name(), Marker: marker})
		})
		if err != nil {
			return fmt.Errorf("revoke: the role's policies: %w", err)
		}
		for _, name := range names.PolicyNames {
			if err := sweepPolicy(ctx, api, p, name, now); err != nil {
				return err
			}
		}
		if marker = names.Marker; !names.IsTruncated || marker == nil {
			return nil
		}
	}
}

// sweepPolicy removes one policy if it is a drill's, and all of it is over.
// A policy with the name of a drill's and something else in it was edited, and is
// left alone, as is one without an end. One that is gone meanwhile is no error.
func sweepPolicy(ctx context.Context, api RoleAPI, p Plan, name string, now time.Time) error {
	if !strings.HasPrefix(name, sidPrefix+"-") {
		return nil
	}
	out, err := call(ctx, func(ctx context.Context) (*iam.GetRolePolicyOutput, error) {
		return api.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: p.name(), PolicyName: &name})
	})
	if code(err) == noSuchEntity {
		return nil
	}
	if err != nil {
		return fmt.Errorf("revoke: the policy %s: %w", name, err)
	}
	text, err := url.PathUnescape(aws.ToString(out.PolicyDocument)) // as IAM writes it
	if err != nil {
		return fmt.Errorf("revoke: the policy %s: %w", name, err)
	}
	document, err := parseDocument(text)
	if err != nil {
		return fmt.Errorf("revoke: the policy %s: %w", name, err)
	}
	for _, e := range document.elements {
		if !e.ours("") || e.until.IsZero() || !now.After(e.until) {
			return nil
		}
	}
	_, err = call(ctx, func(ctx context.Context) (*iam.DeleteRolePolicyOutput, error) {
		return api.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: p.name(), PolicyName: &name})
	})
	if err != nil && code(err) != noSuchEntity {
		return fmt.Errorf("revoke: the policy %s: %w", name, err)
	}
	return nil
}
