package revoke_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/failopen/failopen/depgraph/drill/revoke"
)

// A journal is a file that may have been edited, and what it names is deleted:
// nothing but a drill's own is. One bad entry does not keep the others in force.
func TestPending_only_what_is_ours(t *testing.T) {
	const good = `{"version":1,"plan":{"via":"role-policy","id":"abcd","role":"` + role + `","table":"` + table + `","policy_name":"FailOpenDrill-abcd"}}`
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name+".revocation.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("abcd", good)
	for name, swap := range map[string][2]string{
		"a policy of the role's own": {"FailOpenDrill-efgh", "Administrators"},
		"one of another drill":       {"FailOpenDrill-efgh", "FailOpenDrill-abcd"},
		"no role":                    {role, ""},
		"a role with a wildcard":     {":role/app", ":role/*"},
		"no table":                   {table, "sessions"},
		"no way":                     {"role-policy", "scp"},
		"half of it":                 {`"table"`, ``},
	} {
		write("efgh", strings.Replace(strings.ReplaceAll(good, "abcd", "efgh"), swap[0], swap[1], 1))
		all, err := revoke.Pending(dir)
		if err == nil || !strings.Contains(err.Error(), "efgh.revocation.json") || len(all) != 1 || all[0].ID != "abcd" {
			t.Errorf("%s: %v, %v; want the other entry, and an error that names this one", name, all, err)
		}
	}
}

// deleter is a client that must not be called.
type deleter struct {
	revoke.RoleAPI
	t *testing.T
}

func (d deleter) DeleteRolePolicy(_ context.Context, in *iam.DeleteRolePolicyInput, _ ...func(*iam.Options)) (*iam.DeleteRolePolicyOutput, error) {
	d.t.Errorf("%s was deleted", *in.PolicyName)
	return nil, nil
}

func TestRevert_only_what_is_ours(t *testing.T) {
	p, err := revoke.NewPlan(revoke.Options{Via: revoke.RolePolicy, Role: role, Table: table}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*revoke.Plan){
		"a policy of the role's own": func(p *revoke.Plan) { p.PolicyName = "Administrators" },
		"no policy":                  func(p *revoke.Plan) { p.PolicyName = "" },
		"another way":                func(p *revoke.Plan) { p.Via = revoke.TablePolicy },
		"a path for an ID":           func(p *revoke.Plan) { p.ID = "../x"; p.PolicyName = "FailOpenDrill-../x" },
		"nothing":                    func(p *revoke.Plan) { *p = revoke.Plan{} },
	} {
		q := p
		change(&q)
		if err := revoke.RevertRole(t.Context(), deleter{t: t}, q, t.TempDir()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// rival is a role in which another drill begins at the same moment.
type rival struct {
	revoke.RoleAPI
	policies []string
}

func (r *rival) GetRole(context.Context, *iam.GetRoleInput, ...func(*iam.Options)) (*iam.GetRoleOutput, error) {
	return &iam.GetRoleOutput{Role: &iamtypes.Role{Arn: aws.String(role), Tags: []iamtypes.Tag{{Key: aws.String(revoke.Tag), Value: aws.String(revoke.TagValue)}}}}, nil
}

func (r *rival) ListRolePolicies(context.Context, *iam.ListRolePoliciesInput, ...func(*iam.Options)) (*iam.ListRolePoliciesOutput, error) {
	return &iam.ListRolePoliciesOutput{PolicyNames: r.policies}, nil
}

func (r *rival) PutRolePolicy(_ context.Context, in *iam.PutRolePolicyInput, _ ...func(*iam.Options)) (*iam.PutRolePolicyOutput, error) {
	r.policies = append(r.policies, "FailOpenDrill-rival", *in.PolicyName)
	return &iam.PutRolePolicyOutput{}, nil
}

func (r *rival) DeleteRolePolicy(_ context.Context, in *iam.DeleteRolePolicyInput, _ ...func(*iam.Options)) (*iam.DeleteRolePolicyOutput, error) {
	r.policies = slices.DeleteFunc(r.policies, func(name string) bool { return name == *in.PolicyName })
	return &iam.DeleteRolePolicyOutput{}, nil
}

func (r *rival) GetRolePolicy(_ context.Context, in *iam.GetRolePolicyInput, _ ...func(*iam.Options)) (*iam.GetRolePolicyOutput, error) {
	if slices.Contains(r.policies, *in.PolicyName) {
		return &iam.GetRolePolicyOutput{}, nil
	}
	return nil, &iamtypes.NoSuchEntityException{}
}

// Two drills of a role that have both seen it free do not both begin.
func TestRole_one_drill_at_a_time(t *testing.T) {
	p, err := revoke.NewPlan(revoke.Options{Via: revoke.RolePolicy, Role: role, Table: table}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	api, dir := new(rival), t.TempDir()
	r := &revoke.Role{API: api, Plan: p, Journal: dir, Probe: func(context.Context) error { t.Error("it goes on"); return nil }}
	if err := r.Inject(t.Context()); err == nil || !strings.Contains(err.Error(), "FailOpenDrill-rival") {
		t.Errorf("%v; want that another drill is in the role", err)
	}
	if err := r.Revert(t.Context()); err != nil || !slices.Equal(api.policies, []string{"FailOpenDrill-rival"}) {
		t.Errorf("%v, %v; want the other's policy alone", err, api.policies)
	}
	if pending, err := revoke.Pending(dir); err != nil || len(pending) != 0 {
		t.Errorf("%v, %v; want nothing in the journal", pending, err)
	}
}

// Without a client there is an error, and no panic in the middle of an outage.
func TestWithoutAClient(t *testing.T) {
	p, err := revoke.NewPlan(revoke.Options{Via: revoke.Session, Role: role, Table: table}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	_, session := revoke.SessionCredentials(t.Context(), nil, p)
	for name, err := range map[string]error{
		"Revert":             revoke.Revert(t.Context(), nil, p, t.TempDir()),
		"RevertRole":         revoke.RevertRole(t.Context(), nil, p, t.TempDir()),
		"Sweep":              revoke.Sweep(t.Context(), nil, table, time.Now()),
		"SweepRole":          revoke.SweepRole(t.Context(), nil, role, time.Now()),
		"SessionCredentials": session,
		"Table.Revert":       (&revoke.Table{Plan: p}).Revert(t.Context()),
		"Role.Revert":        (&revoke.Role{Plan: p}).Revert(t.Context()),
	} {
		if err == nil || !strings.Contains(err.Error(), "API is nil") {
			t.Errorf("%s: %v; want that there is no client", name, err)
		}
	}
}
