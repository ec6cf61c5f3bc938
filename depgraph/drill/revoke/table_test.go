package revoke_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/failopen/failopen/depgraph/drill/revoke"
)

// fakeTable is a table's policy with a revision, and says what a test wants it to.
type fakeTable struct {
	policy   string
	revision int
	tags     [][]types.Tag // by page
	fail     func(call string) error
	calls    []string
}

func (f *fakeTable) did(call string) error {
	f.calls = append(f.calls, call)
	if f.fail == nil {
		return nil
	}
	return f.fail(call)
}

func (f *fakeTable) GetResourcePolicy(context.Context, *dynamodb.GetResourcePolicyInput, ...func(*dynamodb.Options)) (*dynamodb.GetResourcePolicyOutput, error) {
	if err := f.did("Get"); err != nil {
		return nil, err
	}
	if f.policy == "" {
		return nil, &types.PolicyNotFoundException{}
	}
	return &dynamodb.GetResourcePolicyOutput{Policy: aws.String(f.policy), RevisionId: aws.String(fmt.Sprint(f.revision))}, nil
}

func (f *fakeTable) changes(call string, expected *string, policy string) error {
	if err := f.did(call + " at " + aws.ToString(expected)); err != nil {
		return err
	}
	if have := map[bool]string{true: "NO_POLICY", false: fmt.Sprint(f.revision)}[f.policy == ""]; aws.ToString(expected) != have {
		return apiError("PolicyNotFoundException", "the revision is "+have)
	}
	f.policy, f.revision = policy, f.revision+1
	return nil
}

func (f *fakeTable) PutResourcePolicy(_ context.Context, in *dynamodb.PutResourcePolicyInput, _ ...func(*dynamodb.Options)) (*dynamodb.PutResourcePolicyOutput, error) {
	return &dynamodb.PutResourcePolicyOutput{}, f.changes("Put", in.ExpectedRevisionId, *in.Policy)
}

func (f *fakeTable) DeleteResourcePolicy(_ context.Context, in *dynamodb.DeleteResourcePolicyInput, _ ...func(*dynamodb.Options)) (*dynamodb.DeleteResourcePolicyOutput, error) {
	return &dynamodb.DeleteResourcePolicyOutput{}, f.changes("Delete", in.ExpectedRevisionId, "")
}

func (f *fakeTable) ListTagsOfResource(_ context.Context, in *dynamodb.ListTagsOfResourceInput, _ ...func(*dynamodb.Options)) (*dynamodb.ListTagsOfResourceOutput, error) {
	if err := f.did("Tags " + aws.ToString(in.NextToken)); err != nil {
		return nil, err
	}
	page := len(aws.ToString(in.NextToken))
	out := &dynamodb.ListTagsOfResourceOutput{Tags: f.tags[page]}
	if page+1 < len(f.tags) {
		out.NextToken = aws.String(strings.Repeat("n", page+1))
	}
	return out, nil
}

var (
	allowed     = types.Tag{Key: aws.String(revoke.Tag), Value: aws.String(revoke.TagValue)}
	another     = types.Tag{Key: aws.String("team"), Value: aws.String("shop")}
	errInPolicy = apiError("AccessDeniedException", "not authorized, with an explicit deny in a resource-based policy")
)

// What the calls of a revocation are, in order, with the revision of each change;
// the tag may be on a later page.
func TestTable_calls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeTable{tags: [][]types.Tag{{another}, {another, allowed}}}
		p := plan(t, revoke.Options{Role: role, Table: table, ID: "abcd"})
		var steps []string
		r := &revoke.Table{API: api, Plan: p, Journal: t.TempDir(), Probe: func(context.Context) error { return errInPolicy }, Step: func(s string) { steps = append(steps, s) }}
		if err := r.Inject(t.Context()); err != nil {
			t.Fatal(err)
		}
		if api.policy != p.Document() || r.Seen().Hits != 0 || r.Limit() != 18*time.Minute {
			t.Errorf("%s, %+v, %v", api.policy, r.Seen(), r.Limit())
		}
		if err := r.Revert(t.Context()); err != nil {
			t.Fatal(err)
		}
		if want := []string{"Tags ", "Tags n", "Get", "Put at NO_POLICY", "Get", "Delete at 1", "Get"}; !reflect.DeepEqual(api.calls, want) {
			t.Errorf("%q; want %q", api.calls, want)
		}
		want := []string{
			"journal written; appending two statements to the policy of " + table, "the sentinel was seen after 0s",
			"armed: the window opens at " + p.From.Format(time.TimeOnly) + " and closes at " + p.Until.Format(time.TimeOnly), "reverted: the statements are gone",
		}
		if !reflect.DeepEqual(steps, want) {
			t.Errorf("%q; want\n%q", steps, want)
		}
	})
}

func TestTable_says_why_it_does_not_start(t *testing.T) {
	later := apiError("ThrottlingException", "later")
	failing := func(prefix string) func(*fakeTable, *revoke.Table) {
		return func(f *fakeTable, _ *revoke.Table) {
			f.fail = func(call string) error {
				if strings.HasPrefix(call, prefix) {
					return later
				}
				return nil
			}
		}
	}
	for name, c := range map[string]struct {
		change func(*fakeTable, *revoke.Table)
		want   string
	}{
		"another way":     {func(_ *fakeTable, r *revoke.Table) { r.Plan.Via = revoke.RolePolicy }, "revoke: the plan is for role-policy, not for a table's policy"},
		"no client":       {func(_ *fakeTable, r *revoke.Table) { r.API = nil }, "revoke: API, Journal and Probe are required"},
		"no probe":        {func(_ *fakeTable, r *revoke.Table) { r.Probe = nil }, "revoke: API, Journal and Probe are required"},
		"no tags":         {failing("Tags"), "revoke: the table's tags: api error ThrottlingException: later"},
		"no tag":          {func(f *fakeTable, _ *revoke.Table) { f.tags = [][]types.Tag{{another}, {}} }, "revoke: the table is not tagged failopen-drill=allowed (" + table + ")"},
		"no policy read":  {failing("Get"), "revoke: reading the policy: api error ThrottlingException: later"},
		"no policy":       {func(f *fakeTable, _ *revoke.Table) { f.policy = "[]" }, "revoke: the table's policy is not a JSON object"},
		"an empty policy": {func(f *fakeTable, _ *revoke.Table) { f.policy = `{"Statement":[]}` }, "revoke: the table's policy has an empty list of statements"},
		"another drill": {
			func(f *fakeTable, _ *revoke.Table) { f.policy = `{"Statement":[{},{"Sid":"FailOpenDrillefgh"}]}` },
			"revoke: another drill is in the table's policy (Sid FailOpenDrillefgh); drill sweep removes those that are over",
		},
		"refused": {failing("Put"), "revoke: writing the policy: api error ThrottlingException: later"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &fakeTable{tags: [][]types.Tag{{allowed}}}
				r := &revoke.Table{API: api, Plan: plan(t, revoke.Options{Role: role, Table: table, ID: "abcd"}), Journal: t.TempDir(), Probe: func(context.Context) error { return errInPolicy }}
				c.change(api, r)
				before := api.policy
				if err := r.Inject(t.Context()); err == nil || err.Error() != c.want {
					t.Errorf("%v; want %s", err, c.want)
				}
				if pending, err := revoke.Pending(r.Journal); err != nil || len(pending) != map[bool]int{true: 1, false: 0}[name == "refused"] || api.policy != before {
					t.Errorf("%v, %v, %s; want no journal unless a change was tried", pending, err, api.policy)
				}
			})
		})
	}
}

// Somebody else writes while the drill is undone: what they wrote stays, and the
// drill's statements go. One that was a single statement and has been reformatted
// since stays a list.
func TestRevert_beside_others(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan(t, revoke.Options{Role: role, Table: table, ID: "abcd"})
		ours := strings.Join(p.Statements, ", ")
		api := &fakeTable{policy: `{"Statement":[{"Sid":"a"},` + ours + `]}`, revision: 4}
		api.fail = func(call string) error {
			if call == "Put at 4" {
				api.policy, api.revision = `{"Statement": [{"Sid":"theirs"}, `+ours+` ]}`, 5
			}
			return nil
		}
		if err := revoke.Revert(t.Context(), api, p, t.TempDir()); err != nil {
			t.Fatal(err)
		}
		if want := []string{"Get", "Put at 4", "Get", "Put at 5", "Get"}; api.policy != `{"Statement": [{"Sid":"theirs"} ]}` || !reflect.DeepEqual(api.calls, want) {
			t.Errorf("%s after %q; want %q", api.policy, api.calls, want)
		}
		p.Wrapped = true
		api = &fakeTable{policy: `{"Statement": [ {"Sid":"a"}, ` + ours + `]}`}
		if err := revoke.Revert(t.Context(), api, p, t.TempDir()); err != nil || api.policy != `{"Statement": [ {"Sid":"a"}]}` {
			t.Errorf("%v, %s; want a list, in one piece", err, api.policy)
		}
	})
}

// A table that cannot be changed for 90 s is given up, with the last reason and
// the time at which the denial ends by itself; the journal keeps it.
func TestRevert_gives_up(t *testing.T) {
	for name, c := range map[string]struct {
		fail func(string) error
		want string
	}{
		"no answer": {func(string) error { return apiError("InternalServerError", "later") }, "revoke: reading the policy: api error InternalServerError: later"},
		"no change": {func(call string) error {
			return map[bool]error{true: apiError("LimitExceededException", "15 s")}[strings.HasPrefix(call, "Delete")]
		}, "api error LimitExceededException: 15 s"},
		"not a word":  {func(call string) error { return nil }, "the policy still has them"},
		"no document": {nil, "the table's policy is not a JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := plan(t, revoke.Options{Role: role, Table: table, ID: "abcd"})
				api := &fakeTable{policy: p.Document(), fail: c.fail}
				switch name {
				case "not a word":
					api.fail = func(call string) error {
						if call == "Get" {
							api.policy = p.Document() // whatever was answered to the change
						}
						return nil
					}
				case "no document":
					api.policy = "[]"
				}
				began := time.Now()
				err := revoke.Revert(t.Context(), api, p, t.TempDir())
				want := "revoke: abcd is not undone; it ends by itself at " + p.Until.Format(time.RFC3339) + ": " + c.want
				if err == nil || err.Error() != want || time.Since(began) != 90*time.Second {
					t.Errorf("%v after %v; want %s, after 90 s", err, time.Since(began), want)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p := plan(t, revoke.Options{Role: role, Table: table, ID: "abcd"})
		api := &fakeTable{policy: p.Document(), fail: func(string) error { return apiError("InternalServerError", "later") }}
		if err := revoke.Revert(ctx, api, p, t.TempDir()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if err := revoke.Sweep(t.Context(), api, "arn:aws:dynamodb:us-east-1:123456789012:table/*", time.Now()); err == nil || err.Error() != `revoke: Table is "arn:aws:dynamodb:us-east-1:123456789012:table/*"; want the ARN of one table` {
			t.Errorf("%v", err)
		}
	})
}

// A call that never returns is given up after ten seconds.
func TestTable_bounds_calls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		r := &revoke.Table{API: hanging{}, Plan: plan(t, revoke.Options{Role: role, Table: table}), Journal: t.TempDir(), Probe: func(context.Context) error { return nil }}
		if err := r.Inject(t.Context()); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 10*time.Second {
			t.Errorf("%v after %v; want ten seconds", err, time.Since(began))
		}
	})
}

// hanging does not answer.
type hanging struct{ revoke.API }

func (hanging) ListTagsOfResource(ctx context.Context, _ *dynamodb.ListTagsOfResourceInput, _ ...func(*dynamodb.Options)) (*dynamodb.ListTagsOfResourceOutput, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
