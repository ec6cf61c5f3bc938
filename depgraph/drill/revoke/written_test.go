package revoke_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/failopen/failopen/depgraph/drill/revoke"
)

// The operator's policies, to the letter: what is reviewed is what is granted.
func TestPlan_OperatorPolicy(t *testing.T) {
	for via, want := range map[revoke.Via][2]string{
		revoke.TablePolicy: {
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["dynamodb:GetResourcePolicy","dynamodb:PutResourcePolicy","dynamodb:DeleteResourcePolicy","dynamodb:ListTagsOfResource"],"Resource":"` + table + `","Condition":{"StringEquals":{"aws:ResourceTag/failopen-drill":"allowed"}}}]}`,
			"with it one can allow any principal of the account to use the table, or deny it to all, as long as the table has the tag",
		},
		revoke.RolePolicy: {
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:GetRole","iam:ListRolePolicies","iam:GetRolePolicy","iam:PutRolePolicy","iam:DeleteRolePolicy"],"Resource":"` + role + `","Condition":{"StringEquals":{"aws:ResourceTag/failopen-drill":"allowed"}}}]}`,
			"with it one can give the role any permission: use a role that exists for drills only",
		},
		revoke.Session: {
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"` + role + `"}]}`,
			"with it one can act as the role, with no more than the role may do",
		},
	} {
		p := plan(t, revoke.Options{Via: via, Role: role, Table: table})
		if got := p.OperatorPolicy(); got != want[0] {
			t.Errorf("%s: %s; want\n%s", via, got, want[0])
		}
		if got := p.Leak(); got != want[1] {
			t.Errorf("%s: %s; want\n%s", via, got, want[1])
		}
	}
}

// The documents, to the letter.
func TestPlan_Document(t *testing.T) {
	const (
		actions = `["dynamodb:BatchGetItem","dynamodb:BatchWriteItem","dynamodb:ConditionCheckItem","dynamodb:DeleteItem","dynamodb:GetItem","dynamodb:PartiQLDelete","dynamodb:PartiQLInsert","dynamodb:PartiQLSelect","dynamodb:PartiQLUpdate","dynamodb:PutItem","dynamodb:Query","dynamodb:Scan","dynamodb:UpdateItem"]`
		deny    = `"Effect":"Deny","Action":` + actions + `,"Resource":["` + table + `","` + table + `/index/*"]`
		from    = `"DateGreaterThanEquals":{"aws:CurrentTime":"2026-11-23T09:42:30Z"}`
		until   = `"DateLessThan":{"aws:CurrentTime":"2026-11-23T09:47:30Z"}`
		who     = `"ArnEquals":{"aws:PrincipalArn":"` + role + `"}`
	)
	for via, want := range map[revoke.Via]string{
		revoke.TablePolicy: `{"Sid":"FailOpenDrill7f3a",` + strings.Replace(deny, `"Action"`, `"Principal":"*","Action"`, 1) + `,"Condition":{` + who + `,` + from + `,` + until + `}},` +
			`{"Sid":"FailOpenDrill7f3aSentinel","Effect":"Deny","Principal":"*","Action":"dynamodb:DescribeTimeToLive","Resource":"` + table + `","Condition":{` + who + `,` + until + `}}`,
		revoke.RolePolicy: `{"Sid":"FailOpenDrill7f3a",` + deny + `,"Condition":{` + from + `,` + until + `}},` +
			`{"Sid":"FailOpenDrill7f3aSentinel","Effect":"Deny","Action":"dynamodb:DescribeTimeToLive","Resource":"` + table + `","Condition":{` + until + `}}`,
		revoke.Session: `{"Sid":"FailOpenDrill7f3aRest","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"FailOpenDrill7f3a",` + deny + `}`,
	} {
		p, err := revoke.NewPlan(revoke.Options{Via: via, Role: role, Table: table, ID: "7f3a"}, time.Date(2026, 11, 23, 10, 42, 0, 999, time.FixedZone("CET", 3600)))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Document(); got != `{"Version":"2012-10-17","Statement":[`+want+`]}` {
			t.Errorf("%s:\n%s\nwant\n%s", via, got, want)
		}
	}
	// A table's name may be long enough for a session's policy to have no room.
	_, err := revoke.NewPlan(revoke.Options{Via: revoke.Session, Role: role, Table: table + strings.Repeat("x", 240)}, time.Now())
	if err != nil {
		t.Errorf("%v; want room for the longest name", err)
	}
}

func TestFISTemplate(t *testing.T) {
	got, err := revoke.FISTemplate("arn:aws-cn:dynamodb:cn-north-1:123456789012:table/sessions", 90*time.Minute)
	const want = `{
  "actions": {
    "cut": {
      "actionId": "aws:network:disrupt-connectivity",
      "parameters": {
        "duration": "PT90M",
        "scope": "dynamodb"
      },
      "targets": {
        "Subnets": "subnets"
      }
    }
  },
  "description": "subnets tagged failopen-drill=allowed without DynamoDB, for 1h30m",
  "roleArn": "arn:aws-cn:iam::123456789012:role/NAME-OF-THE-ROLE-OF-FIS",
  "stopConditions": [
    {
      "source": "aws:cloudwatch:alarm",
      "value": "arn:aws-cn:cloudwatch:cn-north-1:123456789012:alarm:NAME-OF-YOUR-ALARM"
    }
  ],
  "targets": {
    "subnets": {
      "resourceTags": {
        "failopen-drill": "allowed"
      },
      "resourceType": "aws:ec2:subnet",
      "selectionMode": "ALL"
    }
  }
}`
	if err != nil || got != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
	for length, want := range map[time.Duration]string{
		0: "0s", 59 * time.Second: "59s", 90 * time.Second: "1m30s", 12*time.Hour + time.Minute: "12h1m0s", -time.Minute: "-1m0s",
	} {
		if _, err := revoke.FISTemplate(table, length); err == nil || err.Error() != "revoke: For is "+want+"; want whole minutes, 1m to 12h" {
			t.Errorf("%v: %v", length, err)
		}
	}
	for _, length := range []time.Duration{time.Minute, 12 * time.Hour} {
		if _, err := revoke.FISTemplate(table, length); err != nil {
			t.Errorf("%v: %v", length, err)
		}
	}
	if _, err := revoke.FISTemplate("sessions", time.Minute); err == nil || err.Error() != `revoke: Table is "sessions"; want the ARN of one table` {
		t.Errorf("%v", err)
	}
}

// fakeSTS answers with what it is given, and keeps what it was asked.
type fakeSTS struct {
	in  *sts.AssumeRoleInput
	out *ststypes.Credentials
	err error
}

func (f *fakeSTS) AssumeRole(_ context.Context, in *sts.AssumeRoleInput, _ ...func(*sts.Options)) (*sts.AssumeRoleOutput, error) {
	f.in = in
	return &sts.AssumeRoleOutput{Credentials: f.out}, f.err
}

func TestSessionCredentials(t *testing.T) {
	end := time.Date(2026, 11, 25, 15, 0, 0, 0, time.UTC)
	full := ststypes.Credentials{AccessKeyId: aws.String("AKID"), SecretAccessKey: aws.String("SECRET"), SessionToken: aws.String("TOKEN"), Expiration: &end}
	for window, seconds := range map[time.Duration]int32{5 * time.Minute: 900, 15 * time.Minute: 900, time.Hour: 3600} {
		p := plan(t, revoke.Options{Via: revoke.Session, Role: role, Table: table, ID: "abcd", For: window})
		api := &fakeSTS{out: &full}
		got, err := revoke.SessionCredentials(t.Context(), api, p)
		want := aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "SECRET", SessionToken: "TOKEN", CanExpire: true, Expires: end, Source: "drill"}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
		if in := api.in; *in.RoleArn != role || *in.RoleSessionName != "FailOpenDrill-abcd" || *in.Policy != p.Document() || *in.DurationSeconds != seconds {
			t.Errorf("%v: asked for %s, %s, %d s", window, *in.RoleArn, *in.RoleSessionName, *in.DurationSeconds)
		}
	}
	without := func(change func(*ststypes.Credentials)) *ststypes.Credentials {
		c := full
		change(&c)
		return &c
	}
	session := plan(t, revoke.Options{Via: revoke.Session, Role: role, Table: table})
	for name, c := range map[string]struct {
		api  fakeSTS
		plan revoke.Plan
		want string
	}{
		"another way": {fakeSTS{}, plan(t, revoke.Options{}), "revoke: the plan is for table-policy, not for a session"},
		"refused":     {fakeSTS{err: apiError("AccessDenied", "no")}, session, "revoke: assuming the role: api error AccessDenied: no"},
		"nothing":     {fakeSTS{}, session, "revoke: STS has answered without credentials"},
		"no key":      {fakeSTS{out: without(func(c *ststypes.Credentials) { c.AccessKeyId = nil })}, session, "revoke: STS has answered without credentials"},
		"no secret":   {fakeSTS{out: without(func(c *ststypes.Credentials) { c.SecretAccessKey = aws.String("") })}, session, "revoke: STS has answered without credentials"},
		"no token":    {fakeSTS{out: without(func(c *ststypes.Credentials) { c.SessionToken = nil })}, session, "revoke: STS has answered without credentials"},
	} {
		if got, err := revoke.SessionCredentials(t.Context(), &c.api, c.plan); err == nil || err.Error() != c.want || got.HasKeys() {
			t.Errorf("%s: %+v, %v; want %s", name, got, err, c.want)
		}
	}
}

// Revocations are in the order in which they end, other files are not looked at,
// and what cannot be read is named.
func TestPending_in_order(t *testing.T) {
	dir := t.TempDir()
	for id, minute := range map[string]int{"aaaa": 3, "bbbb": 1, "cccc": 2} {
		text := fmt.Sprintf(`{"version":1,"plan":{"via":"table-policy","id":%q,"role":%q,"table":%q,"until":"2026-11-25T14:0%d:00Z"}}`, id, role, table, minute)
		if err := os.WriteFile(filepath.Join(dir, id+".revocation.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, other := range []string{".aaaa-123", "notes.txt", "x.revocation.json.bak"} {
		if err := os.WriteFile(filepath.Join(dir, other), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pending, err := revoke.Pending(dir)
	var got []string
	for _, p := range pending {
		got = append(got, p.ID)
	}
	if want := []string{"bbbb", "cccc", "aaaa"}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	folder := filepath.Join(dir, "dddd.revocation.json")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if pending, err := revoke.Pending(dir); err == nil || err.Error() != "read "+folder+": is a directory" || len(pending) != 3 {
		t.Errorf("%d, %v; want the others, and this one named", len(pending), err)
	}
	if _, err := revoke.Pending(filepath.Join(dir, "notes.txt")); err == nil {
		t.Error("a file is no journal")
	}
}
