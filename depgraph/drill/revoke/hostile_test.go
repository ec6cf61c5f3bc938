package revoke_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/failopen/failopen/depgraph/drill/revoke"
)

// A journal is a file that may have been edited, and what it names is deleted:
// nothing but a drill's own is. One bad entry does not keep the others in force.
func TestPending_onlyWhatIsOurs(t *testing.T) {
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

func TestRevert_onlyWhatIsOurs(t *testing.T) {
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
