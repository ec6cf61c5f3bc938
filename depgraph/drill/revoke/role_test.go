package revoke_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/smithy-go"

	"github.com/failopen/failopen/depgraph/drill/revoke"
)

// apiError is an answer of AWS with a code.
func apiError(code, message string) error {
	return &smithy.GenericAPIError{Code: code, Message: message}
}

// fakeIAM is one role with its inline policies, listed one to a page, and says
// what a test wants it to say before anything else.
type fakeIAM struct {
	arn      string
	tags     []iamtypes.Tag
	policies map[string]string
	fail     func(call string) error // called with "GetRole", "PutRolePolicy FailOpenDrill-abcd", …
	calls    []string
}

func newFakeIAM() *fakeIAM {
	return &fakeIAM{arn: role, tags: []iamtypes.Tag{{Key: aws.String(revoke.Tag), Value: aws.String(revoke.TagValue)}}, policies: map[string]string{}}
}

func (f *fakeIAM) did(call string) error {
	f.calls = append(f.calls, call)
	if f.fail == nil {
		return nil
	}
	return f.fail(call)
}

func (f *fakeIAM) GetRole(_ context.Context, in *iam.GetRoleInput, _ ...func(*iam.Options)) (*iam.GetRoleOutput, error) {
	if err := f.did("GetRole " + *in.RoleName); err != nil {
		return nil, err
	}
	return &iam.GetRoleOutput{Role: &iamtypes.Role{Arn: &f.arn, Tags: f.tags}}, nil
}

func (f *fakeIAM) ListRolePolicies(_ context.Context, in *iam.ListRolePoliciesInput, _ ...func(*iam.Options)) (*iam.ListRolePoliciesOutput, error) {
	if err := f.did("ListRolePolicies " + aws.ToString(in.Marker)); err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(f.policies))
	i, _ := slices.BinarySearch(names, aws.ToString(in.Marker)+"\x00")
	if i >= len(names) {
		return &iam.ListRolePoliciesOutput{}, nil
	}
	return &iam.ListRolePoliciesOutput{PolicyNames: names[i : i+1], IsTruncated: i+1 < len(names), Marker: &names[i]}, nil
}

func (f *fakeIAM) GetRolePolicy(_ context.Context, in *iam.GetRolePolicyInput, _ ...func(*iam.Options)) (*iam.GetRolePolicyOutput, error) {
	if err := f.did("GetRolePolicy " + *in.PolicyName); err != nil {
		return nil, err
	}
	text, ok := f.policies[*in.PolicyName]
	if !ok {
		return nil, &iamtypes.NoSuchEntityException{}
	}
	return &iam.GetRolePolicyOutput{PolicyDocument: aws.String(url.PathEscape(text))}, nil
}

func (f *fakeIAM) PutRolePolicy(_ context.Context, in *iam.PutRolePolicyInput, _ ...func(*iam.Options)) (*iam.PutRolePolicyOutput, error) {
	if err := f.did("PutRolePolicy " + *in.PolicyName); err != nil {
		return nil, err
	}
	f.policies[*in.PolicyName] = *in.PolicyDocument
	return &iam.PutRolePolicyOutput{}, nil
}

func (f *fakeIAM) DeleteRolePolicy(_ context.Context, in *iam.DeleteRolePolicyInput, _ ...func(*iam.Options)) (*iam.DeleteRolePolicyOutput, error) {
	if err := f.did("DeleteRolePolicy " + *in.PolicyName); err != nil {
		return nil, err
	}
	if _, ok := f.policies[*in.PolicyName]; !ok {
		return nil, &iamtypes.NoSuchEntityException{}
	}
	delete(f.policies, *in.PolicyName)
	return &iam.DeleteRolePolicyOutput{}, nil
}

var errSentinel = apiError("AccessDeniedException", "not authorized, with an explicit deny in an identity-based policy")

// A revocation by a role's policy from its first call to its last, and what the
// operator is told of it.
func TestRole_revokes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, dir := newFakeIAM(), t.TempDir()
		api.policies["app"] = `{"Statement":[]}`
		p := plan(t, revoke.Options{Via: revoke.RolePolicy, Role: role, Table: table, ID: "abcd", Lead: 30 * time.Second})
		probes, denied := 0, int64(7)
		var steps []string
		r := &revoke.Role{
			API: api, Plan: p, Journal: dir, Step: func(s string) { steps = append(steps, s) }, Denials: func() int64 { return denied },
			Probe: func(context.Context) error {
				if probes++; probes < 3 {
					return apiError("AccessDeniedException", "because no identity-based policy allows it") // which says nothing
				}
				return errSentinel
			},
		}
		if err := r.Inject(t.Context()); err != nil {
			t.Fatal(err)
		}
		if now := time.Now(); !now.Equal(p.From) {
			t.Errorf("it returned at %v; want when the window opens, at %v", now, p.From)
		}
		if api.policies["FailOpenDrill-abcd"] != p.Document() || r.Limit() != 18*time.Minute {
			t.Errorf("%v, limit %v", api.policies, r.Limit())
		}
		denied = 9
		pass(time.Second)
		if s := r.Seen(); s.Hits != 2 || !s.First.Equal(time.Now()) || !s.Last.Equal(s.First) {
			t.Errorf("%+v; want two since the window was armed, seen now", s)
		}
		denied = 8 // the service was restarted, and counts anew
		if s := r.Seen(); s.Hits != 2 {
			t.Errorf("%+v; want no fewer", s)
		}
		if pending, err := revoke.Pending(dir); err != nil || len(pending) != 1 || !reflect.DeepEqual(pending[0], p) {
			t.Errorf("%+v, %v; want the plan", pending, err)
		}
		for range 2 {
			if err := r.Revert(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if pending, err := revoke.Pending(dir); err != nil || pending != nil || len(api.policies) != 1 {
			t.Errorf("%v, %v, %v; want nothing left but the role's own", pending, err, api.policies)
		}
		wantSteps := []string{
			"journal written; writing the inline policy FailOpenDrill-abcd of " + role,
			"the sentinel was seen after 4s",
			"armed: the window opens at " + p.From.Format(time.TimeOnly) + " and closes at " + p.Until.Format(time.TimeOnly),
			"reverted: the policy is gone", "reverted: the policy is gone",
		}
		if !reflect.DeepEqual(steps, wantSteps) {
			t.Errorf("%q; want\n%q", steps, wantSteps)
		}
		wantCalls := []string{
			"GetRole app", "ListRolePolicies ", "PutRolePolicy FailOpenDrill-abcd", "ListRolePolicies ", "ListRolePolicies FailOpenDrill-abcd",
			"DeleteRolePolicy FailOpenDrill-abcd", "GetRolePolicy FailOpenDrill-abcd", "DeleteRolePolicy FailOpenDrill-abcd", "GetRolePolicy FailOpenDrill-abcd",
		}
		if !reflect.DeepEqual(api.calls, wantCalls) {
			t.Errorf("%q; want\n%q", api.calls, wantCalls)
		}
	})
}

// Whatever is not as it has to be is found before anything is written; what goes
// wrong later leaves a journal.
func TestRole_does_not_start(t *testing.T) {
	failing := func(prefix string, err error) func(*fakeIAM, *revoke.Role) {
		return func(f *fakeIAM, _ *revoke.Role) {
			f.fail = func(call string) error {
				if strings.HasPrefix(call, prefix) {
					return err
				}
				return nil
			}
		}
	}
	throttled := apiError("Throttling", "slow down")
	for name, c := range map[string]struct {
		change  func(*fakeIAM, *revoke.Role)
		want    string
		written bool
	}{
		"another way":   {func(_ *fakeIAM, r *revoke.Role) { r.Plan.Via = revoke.Session }, "revoke: the plan is for session, not for a role's policy", false},
		"no client":     {func(_ *fakeIAM, r *revoke.Role) { r.API = nil }, "revoke: API, Journal and Probe are required", false},
		"no journal":    {func(_ *fakeIAM, r *revoke.Role) { r.Journal = "" }, "revoke: API, Journal and Probe are required", false},
		"no probe":      {func(_ *fakeIAM, r *revoke.Role) { r.Probe = nil }, "revoke: API, Journal and Probe are required", false},
		"no such role":  {failing("GetRole ", &iamtypes.NoSuchEntityException{Message: aws.String("app")}), "revoke: the role: NoSuchEntity: app", false},
		"another role":  {func(f *fakeIAM, _ *revoke.Role) { f.arn = "arn:aws:iam::123456789012:role/team/app" }, "revoke: IAM knows the role " + role + " by another ARN", false},
		"no tag":        {func(f *fakeIAM, _ *revoke.Role) { f.tags = nil }, "revoke: the role is not tagged failopen-drill=allowed (" + role + ")", false},
		"another value": {func(f *fakeIAM, _ *revoke.Role) { f.tags[0].Value = aws.String("no") }, "revoke: the role is not tagged failopen-drill=allowed (" + role + ")", false},
		"no list":       {failing("ListRolePolicies", throttled), "revoke: the role's policies: api error Throttling: slow down", false},
		"another drill, on the second page": {
			func(f *fakeIAM, _ *revoke.Role) { f.policies["A"], f.policies["FailOpenDrill-efgh"] = "", "" },
			"revoke: another drill is in the role's policy FailOpenDrill-efgh; drill revert and drill sweep remove what is over", false,
		},
		"refused": {failing("PutRolePolicy", apiError("LimitExceeded", "10240 bytes")), "revoke: writing the policy: api error LimitExceeded: 10240 bytes", true},
		"another one meanwhile": {func(f *fakeIAM, _ *revoke.Role) {
			f.fail = func(call string) error {
				if strings.HasPrefix(call, "PutRolePolicy") {
					f.policies["FailOpenDrill-efgh"] = ""
				}
				return nil
			}
		}, "revoke: another drill is in the role's policy FailOpenDrill-efgh; drill revert and drill sweep remove what is over", true},
		"never arrives": {func(_ *fakeIAM, r *revoke.Role) { r.Probe = func(context.Context) error { return throttled } }, "revoke: the sentinel was not seen: nothing is armed within 5m0s (the last probe: api error Throttling: slow down)", true},
		"arrives when it is open": {func(_ *fakeIAM, r *revoke.Role) {
			r.Probe = func(context.Context) error {
				if time.Now().Before(r.Plan.From) {
					return nil
				}
				return errSentinel
			}
		}, "revoke: the window had opened before the sentinel was seen", true},
		"a probe that hangs": {func(_ *fakeIAM, r *revoke.Role) {
			r.Probe = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		}, "revoke: the sentinel was not seen: nothing is armed within 5m0s (the last probe: context deadline exceeded)", true},
		"the journal is a file": {func(_ *fakeIAM, r *revoke.Role) {
			r.Journal = filepath.Join(r.Journal, "file")
			if err := os.WriteFile(r.Journal, nil, 0o600); err != nil {
				panic(err)
			}
		}, "revoke: the journal: mkdir FILE: not a directory", false},
		"one of that name": {func(_ *fakeIAM, r *revoke.Role) {
			if err := os.WriteFile(filepath.Join(r.Journal, "abcd.revocation.json"), []byte("{}"), 0o600); err != nil {
				panic(err)
			}
		}, "revoke: the journal: FILE: there is a revocation of that name", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := newFakeIAM()
				r := &revoke.Role{
					API: api, Journal: t.TempDir(), Probe: func(context.Context) error { return errSentinel },
					Plan: plan(t, revoke.Options{Via: revoke.RolePolicy, Role: role, Table: table, ID: "abcd"}),
				}
				file := filepath.Join(r.Journal, "file")
				c.change(api, r)
				if name == "one of that name" {
					file = filepath.Join(r.Journal, "abcd.revocation.json")
				}
				err := r.Inject(t.Context())
				if want := strings.ReplaceAll(c.want, "FILE", file); err == nil || err.Error() != want {
					t.Errorf("%v; want %s", err, want)
				}
				if wrote := slices.ContainsFunc(api.calls, func(s string) bool { return strings.HasPrefix(s, "PutRolePolicy") }); wrote != c.written {
					t.Errorf("calls %q", api.calls)
				}
				if pending, err := revoke.Pending(r.Journal); c.written && (err != nil || len(pending) != 1) {
					t.Errorf("%v, %v; want the journal to know of it", pending, err)
				}
			})
		})
	}
}

// IAM may still say that it has what it has deleted, or be out of order: it is
// told again every 2 s, for 90 s, and the journal goes last.
func TestRevertRole_tries_again(t *testing.T) {
	for name, c := range map[string]struct {
		until time.Duration // for which it fails
		call  string
		err   error
		want  string
		took  time.Duration
	}{
		"a delete that fails": {5 * time.Second, "DeleteRolePolicy", apiError("ServiceFailure", "later"), "", 6 * time.Second},
		"a read that fails":   {3 * time.Second, "GetRolePolicy", apiError("ServiceFailure", "later"), "", 4 * time.Second},
		"a read of the past":  {time.Second, "GetRolePolicy", nil, "", 2 * time.Second},
		"for good":            {time.Hour, "DeleteRolePolicy", apiError("AccessDenied", "no"), "revoke: abcd is not undone; it ends by itself at UNTIL: api error AccessDenied: no", 90 * time.Second},
		"still there":         {time.Hour, "GetRolePolicy", nil, "revoke: abcd is not undone; it ends by itself at UNTIL: the role still has it", 90 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := plan(t, revoke.Options{Via: revoke.RolePolicy, Role: role, Table: table, ID: "abcd"})
				api, dir, began := newFakeIAM(), t.TempDir(), time.Now()
				api.policies[p.PolicyName] = p.Document()
				api.fail = func(call string) error {
					if time.Since(began) >= c.until || !strings.HasPrefix(call, c.call) {
						return nil
					}
					if c.err == nil {
						api.policies[p.PolicyName] = p.Document() // it is there again
					}
					return c.err
				}
				err := revoke.RevertRole(t.Context(), api, p, dir)
				want := strings.ReplaceAll(c.want, "UNTIL", p.Until.Format(time.RFC3339))
				if got := fmt.Sprint(err); got != want && (err != nil || want != "") {
					t.Errorf("%v; want %s", err, want)
				}
				if took := time.Since(began); took != c.took {
					t.Errorf("it took %v; want %v", took, c.took)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		p := plan(t, revoke.Options{Via: revoke.RolePolicy, Role: role, Table: table, ID: "abcd"})
		api := newFakeIAM()
		api.fail = func(string) error { return apiError("ServiceFailure", "later") }
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := revoke.RevertRole(ctx, api, p, t.TempDir()); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "ServiceFailure") {
			t.Errorf("%v; want the end of the context, and what was wrong until then", err)
		}
	})
}

// A sweep of a role removes what is a drill's and over, and nothing else, on
// every page of the list.
func TestSweepRole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := plan(t, revoke.Options{Via: revoke.RolePolicy, Role: role, Table: table, ID: "old1", For: time.Minute})
		pass(time.Until(old.Until))
		running := plan(t, revoke.Options{Via: revoke.RolePolicy, Role: role, Table: table, ID: "run1"})
		edited := strings.Replace(old.Document(), `"Statement":[`, `"Statement":[{"Sid":"Mine","Effect":"Allow","Action":"*","Resource":"*"},`, 1)
		api := newFakeIAM()
		api.policies = map[string]string{
			"Administrators": "not even JSON", "FailOpenDrill-edited": edited, "FailOpenDrill-noend": `{"Statement":[{"Sid":"FailOpenDrillnoend"}]}`,
			"FailOpenDrill-old1": old.Document(), "FailOpenDrill-old2": old.Document(), "FailOpenDrill-run1": running.Document(), "FailOpenDrills": old.Document(),
		}
		kept := func() []string { return slices.Sorted(maps.Keys(api.policies)) }
		before := kept()
		if err := revoke.SweepRole(t.Context(), api, role, old.Until); err != nil || !reflect.DeepEqual(kept(), before) {
			t.Errorf("%v, %v; want all: at its end a window may still be open", err, kept())
		}
		if err := revoke.SweepRole(t.Context(), api, role, old.Until.Add(1)); err != nil {
			t.Error(err)
		}
		if want := []string{"Administrators", "FailOpenDrill-edited", "FailOpenDrill-noend", "FailOpenDrill-run1", "FailOpenDrills"}; !reflect.DeepEqual(kept(), want) {
			t.Errorf("%v; want %v", kept(), want)
		}
		for call, want := range map[string]string{
			"ListRolePolicies":                "revoke: the role's policies: api error Throttling: later",
			"GetRolePolicy FailOpenDrill-x":   "revoke: the policy FailOpenDrill-x: api error Throttling: later",
			"DeleteRolePolicy FailOpenDrill-": "revoke: the policy FailOpenDrill-x: api error Throttling: later",
		} {
			api.policies = map[string]string{"FailOpenDrill-x": old.Document()}
			api.fail = func(c string) error {
				if strings.HasPrefix(c, call) {
					return apiError("Throttling", "later")
				}
				return nil
			}
			if err := revoke.SweepRole(t.Context(), api, role, time.Now().Add(time.Hour)); err == nil || err.Error() != want {
				t.Errorf("%s: %v; want %s", call, err, want)
			}
		}
		// One that is gone between the list and the call is no error.
		for _, call := range []string{"GetRolePolicy", "DeleteRolePolicy"} {
			api.fail = func(c string) error {
				if strings.HasPrefix(c, call) {
					return &iamtypes.NoSuchEntityException{}
				}
				return nil
			}
			if err := revoke.SweepRole(t.Context(), api, role, time.Now().Add(time.Hour)); err != nil {
				t.Errorf("%s: %v", call, err)
			}
		}
		api.fail = nil
		api.policies = map[string]string{"FailOpenDrill-x": "[]"}
		if err := revoke.SweepRole(t.Context(), api, role, time.Now()); err == nil || err.Error() != "revoke: the policy FailOpenDrill-x: the table's policy is not a JSON object" {
			t.Errorf("%v", err)
		}
	})
	if err := revoke.SweepRole(t.Context(), newFakeIAM(), "arn:aws:iam::123456789012:role/*", time.Now()); err == nil || err.Error() != `revoke: Role is "arn:aws:iam::123456789012:role/*"; want the ARN of one role` {
		t.Errorf("%v", err)
	}
}
