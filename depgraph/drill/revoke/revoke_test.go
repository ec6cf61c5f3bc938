package revoke_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/revoke"
)

const (
	table = "arn:aws:dynamodb:us-east-1:123456789012:table/sessions"
	role  = "arn:aws:iam::123456789012:role/app"
	all   = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
)

// world is a table that a service uses in a role, and an operator may revoke.
type world struct {
	server        *dynamotest.Server
	app, operator *dynamodb.Client
	dir           string
}

func newWorld(t *testing.T, delay time.Duration) *world {
	t.Helper()
	w := &world{server: dynamotest.New(dynamotest.Options{PolicyDelay: delay}), dir: t.TempDir()}
	for _, p := range []dynamotest.Principal{
		{AccessKey: "APP", SecretKey: "s", SessionToken: "t", ARN: "arn:aws:sts::123456789012:assumed-role/app/i-1", Policies: []string{all}},
		{AccessKey: "OTHER", SecretKey: "s", SessionToken: "t", ARN: "arn:aws:sts::123456789012:assumed-role/other/i-1", Policies: []string{all}},
		{AccessKey: "OPERATOR", SecretKey: "s", Policies: []string{plan(t, revoke.Options{}).OperatorPolicy()}},
		{AccessKey: "ADMIN", SecretKey: "s", Policies: []string{all}},
	} {
		if err := w.server.SetPrincipal(p); err != nil {
			t.Fatal(err)
		}
	}
	w.app, w.operator = w.client("APP"), w.client("OPERATOR")
	_, err := w.client("ADMIN").CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("sessions"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("key"), AttributeType: "S"}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("key"), KeyType: "HASH"}},
		Tags:                 []types.Tag{{Key: aws.String(revoke.Tag), Value: aws.String(revoke.TagValue)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) client(key string) *dynamodb.Client {
	token := "t"
	if key == "OPERATOR" || key == "ADMIN" {
		token = ""
	}
	return dynamodb.New(dynamodb.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(dynamotest.MemoryURL), HTTPClient: w.server.HTTPClient(), Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: key, SecretAccessKey: "s", SessionToken: token}, nil
		}),
	})
}

// works reports whether a read of the table is answered.
func works(ctx context.Context, c *dynamodb.Client) bool {
	_, err := c.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("sessions"), Key: map[string]types.AttributeValue{"key": &types.AttributeValueMemberS{Value: "k"}}})
	return err == nil
}

func (w *world) policy(ctx context.Context, t *testing.T) string {
	t.Helper()
	out, err := w.client("ADMIN").GetResourcePolicy(ctx, &dynamodb.GetResourcePolicyInput{ResourceArn: aws.String(table)})
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() == "PolicyNotFoundException" {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return *out.Policy
}

func (w *world) put(ctx context.Context, t *testing.T, policy string) {
	t.Helper()
	if _, err := w.client("ADMIN").PutResourcePolicy(ctx, &dynamodb.PutResourcePolicyInput{ResourceArn: aws.String(table), Policy: &policy}); err != nil {
		t.Fatal(err)
	}
	pass(time.Minute)
}

func (w *world) table(p revoke.Plan, api revoke.API) *revoke.Table {
	return &revoke.Table{API: api, Plan: p, Journal: w.dir, Probe: func(ctx context.Context) error {
		_, err := w.app.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: aws.String("sessions")})
		return err
	}}
}

func plan(t *testing.T, o revoke.Options) revoke.Plan {
	t.Helper()
	if o.Role == "" {
		o.Role, o.Table = role, table
	}
	p, err := revoke.NewPlan(o, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func pass(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
}

// policies that a table may have before the drill; each has to be there again
// afterwards, byte for byte.
var policies = map[string]string{
	"none":             "",
	"one statement":    `{"Version":"2012-10-17","Statement":{"Sid":"A b","Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"dynamodb:GetItem","Resource":"` + table + `"}}`,
	"a list, in lines": "{\n  \"Version\": \"2012-10-17\",\n  \"Id\": \"x\",\n  \"Statement\": [\n    {\"Sid\":\"a\",\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":[\"dynamodb:Query\"],\"Resource\":\"" + table + "\"} ,\n    {\"Sid\":\"b\",\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"dynamodb:DeleteTable\",\"Resource\":\"" + table + "\"}\n  ]\n}\n",
	"Statement first":  `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"dynamodb:Scan","Resource":"` + table + `"}],"Version":"2012-10-17"}`,
}

// The role is denied while the window is open, nobody else ever, and the policy
// is what it was when it is over.
func TestTable_revokes(t *testing.T) {
	for name, before := range policies {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 4*time.Second)
				if before != "" {
					w.put(t.Context(), t, before)
				}
				p := plan(t, revoke.Options{For: 2 * time.Minute})
				r := w.table(p, w.operator)
				other := w.client("OTHER")
				if err := r.Inject(t.Context()); err != nil {
					t.Fatal(err)
				}
				if during := w.policy(t.Context(), t); !strings.Contains(during, "FailOpenDrill"+p.ID) || before != "" && !strings.Contains(during, `"Version"`) {
					t.Errorf("the policy is %s", during)
				}
				if works(t.Context(), w.app) || !works(t.Context(), other) {
					t.Error("want the role denied, and nobody else")
				}
				pass(time.Until(p.Until) - time.Second)
				if works(t.Context(), w.app) {
					t.Error("the window closed early")
				}
				pass(time.Second)
				if !works(t.Context(), w.app) {
					t.Error("the window does not close by itself")
				}
				if pending, err := revoke.Pending(w.dir); err != nil || len(pending) != 1 || pending[0].ID != p.ID {
					t.Errorf("pending: %+v, %v", pending, err)
				}
				if err := r.Revert(t.Context()); err != nil {
					t.Fatal(err)
				}
				if after := w.policy(t.Context(), t); after != before {
					t.Errorf("the policy is\n%s\nwant\n%s", after, before)
				}
				if pending, err := revoke.Pending(w.dir); err != nil || len(pending) != 0 {
					t.Errorf("pending: %+v, %v", pending, err)
				}
				if err := r.Revert(t.Context()); err != nil {
					t.Errorf("again: %v", err)
				}
			})
		})
	}
}

// mortal dies after some calls: nothing it is asked for happens any more.
type mortal struct {
	*dynamodb.Client
	mu   sync.Mutex
	left int
}

var errDead = errors.New("the process was killed")

func (m *mortal) dies() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left--; m.left < 0 {
		return errDead
	}
	return nil
}

func (m *mortal) GetResourcePolicy(ctx context.Context, in *dynamodb.GetResourcePolicyInput, f ...func(*dynamodb.Options)) (*dynamodb.GetResourcePolicyOutput, error) {
	if err := m.dies(); err != nil {
		return nil, err
	}
	return m.Client.GetResourcePolicy(ctx, in, f...)
}

func (m *mortal) PutResourcePolicy(ctx context.Context, in *dynamodb.PutResourcePolicyInput, f ...func(*dynamodb.Options)) (*dynamodb.PutResourcePolicyOutput, error) {
	if err := m.dies(); err != nil {
		return nil, err
	}
	return m.Client.PutResourcePolicy(ctx, in, f...)
}

// Whenever the program dies, nothing denies after the window, and a later one
// finds and removes what is left.
func TestTable_dies_at_any_time(t *testing.T) {
	for instant := range 200 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, time.Duration(instant%7)*time.Second)
			p := plan(t, revoke.Options{For: time.Minute})
			api := &mortal{Client: w.operator, left: instant % 4}
			ctx, kill := context.WithTimeout(t.Context(), time.Duration(instant)*700*time.Millisecond)
			defer kill()
			r := w.table(p, api)
			_ = r.Inject(ctx) // whatever it says: the process is gone, and with it the deferred Revert
			pass(time.Until(p.Until) + time.Second)
			if !works(t.Context(), w.app) {
				t.Fatalf("instant %d: denied after the window", instant)
			}
			pending, err := revoke.Pending(w.dir)
			if err != nil {
				t.Fatal(err)
			}
			if left := w.policy(t.Context(), t); left != "" && len(pending) != 1 {
				t.Fatalf("instant %d: %s is there, and the journal knows nothing of it", instant, left)
			}
			for _, p := range pending {
				if err := revoke.Revert(t.Context(), w.operator, p, w.dir); err != nil {
					t.Fatalf("instant %d: %v", instant, err)
				}
			}
			if left := w.policy(t.Context(), t); left != "" {
				t.Fatalf("instant %d: %s is left", instant, left)
			}
		})
	}
}

func TestTable_does_not_start(t *testing.T) {
	for name, c := range map[string]struct {
		change func(context.Context, *testing.T, *world, *revoke.Table)
		want   error
	}{
		"not tagged": {func(ctx context.Context, t *testing.T, w *world, r *revoke.Table) {
			r.API = w.client("ADMIN") // the operator's own policy demands the tag, too
			if _, err := w.client("ADMIN").TagResource(ctx, &dynamodb.TagResourceInput{ResourceArn: aws.String(table), Tags: []types.Tag{{Key: aws.String(revoke.Tag), Value: aws.String("no")}}}); err != nil {
				t.Fatal(err)
			}
		}, revoke.ErrNotTagged},
		"another drill": {func(ctx context.Context, t *testing.T, w *world, _ *revoke.Table) {
			w.put(ctx, t, `{"Version":"2012-10-17","Statement":{"Sid":"FailOpenDrillother","Effect":"Deny","Principal":"*","Action":"dynamodb:Scan","Resource":"`+table+`","Condition":{"DateLessThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}}}`)
		}, revoke.ErrOther},
		"never arrives": {func(_ context.Context, _ *testing.T, _ *world, r *revoke.Table) {
			r.Probe = func(context.Context) error { return nil }
		}, revoke.ErrNotArrived},
		"arrives too late": {func(_ context.Context, _ *testing.T, _ *world, r *revoke.Table) {
			probe := r.Probe
			r.Probe = func(ctx context.Context) error {
				pass(5 * time.Second)
				if time.Now().Before(r.Plan.From) {
					return nil
				}
				return probe(ctx)
			}
		}, revoke.ErrTooLate},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, time.Second)
				r := w.table(revoke.Plan{}, w.operator)
				c.change(t.Context(), t, w, r)
				r.Plan = plan(t, revoke.Options{})
				before := w.policy(t.Context(), t)
				err := r.Inject(t.Context())
				if !errors.Is(err, c.want) {
					t.Errorf("%v; want %v", err, c.want)
				}
				if err := r.Revert(t.Context()); err != nil {
					t.Error(err)
				}
				if after := w.policy(t.Context(), t); after != before {
					t.Errorf("%s; want %s", after, before)
				}
			})
		})
	}
}

// A sweep removes what is over, and only that.
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, time.Second)
		keep := policies["a list, in lines"]
		w.put(t.Context(), t, keep)
		p := plan(t, revoke.Options{})
		if err := w.table(p, w.operator).Inject(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := revoke.Sweep(t.Context(), w.operator, table, time.Now()); err != nil || w.policy(t.Context(), t) == keep {
			t.Errorf("a drill that goes on was swept away: %v", err)
		}
		pass(time.Until(p.Until) + time.Second)
		if err := revoke.Sweep(t.Context(), w.operator, table, time.Now()); err != nil || w.policy(t.Context(), t) != keep {
			t.Errorf("%v: %s", err, w.policy(t.Context(), t))
		}
	})
}

// A drill by revocation: the service that survives the denials holds.
func TestTable_in_a_drill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4*time.Second)
		r := w.table(plan(t, revoke.Options{}), w.operator)
		r.Denials = func() int64 { return w.server.Stats().Denied }
		report := drill.Test(t, drill.Experiment{
			Service: "checkout", Dependency: "sessions", Fault: r, Rules: r.Plan, Watch: time.Minute, Recovery: time.Minute,
			Target: drill.Answers(func(ctx context.Context, _ int64) drill.Answer {
				if works(ctx, w.app) {
					return drill.Answer{Source: "table"}
				}
				return drill.Answer{Source: "origin"}
			}),
			Recovered: func(ctx context.Context) error {
				if !works(ctx, w.app) {
					return errors.New("denied")
				}
				return nil
			},
		})
		if report.Fault.Hits < 1000 || w.policy(t.Context(), t) != "" {
			t.Errorf("%d denials; %s is left", report.Fault.Hits, w.policy(t.Context(), t))
		}
	})
}

func TestNewPlan_refuses(t *testing.T) {
	for want, o := range map[string]revoke.Options{
		`Role is ""`:                  {Table: table},
		`Role is "*"`:                 {Role: "*", Table: table},
		"without wildcards":           {Role: "arn:aws:iam::123456789012:role/*", Table: table},
		`want the ARN of one table`:   {Role: role, Table: table + "*"},
		`Table is "sessions"`:         {Role: role, Table: "sessions"},
		"/index/i":                    {Role: role, Table: table + "/index/i"},
		"service-linked role":         {Role: "arn:aws:iam::123456789012:role/aws-service-role/replication.dynamodb.amazonaws.com/AWSServiceRoleForDynamoDBReplication", Table: table},
		"IAM Identity Center":         {Role: "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_0123", Table: table},
		"For is 2h0m0s":               {Role: role, Table: table, For: 2 * time.Hour},
		"For is 1s":                   {Role: role, Table: table, For: time.Second},
		"Lead is 1h0m0s":              {Role: role, Table: table, Lead: time.Hour},
		`ID is "a b"`:                 {Role: role, Table: table, ID: "a b"},
		"not among those that may be": {Role: role, Table: table, Accounts: []string{"210987654321"}},
		"disabling a key":             {Role: role, Table: table, Via: "kms"},
		"AWS FIS":                     {Role: role, Table: table, Via: "vpc-endpoint"},
		"the boundary that is there":  {Role: role, Table: table, Via: "permission-boundary"},
		"a whole account":             {Role: role, Table: table, Via: "scp"},
		"unknown way":                 {Role: role, Table: table, Via: "magic"},
		`"ARN\" , \"Resource`:         {Role: `ARN" , "Resource`, Table: table},
	} {
		if _, err := revoke.NewPlan(o, time.Now()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want an error with %q", err, want)
		}
	}
}

// Each document is what AWS's grammar allows, and as narrow as the drill.
func TestNewPlan_documents(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 42, 0, 0, time.UTC)
	for _, via := range []revoke.Via{revoke.TablePolicy, revoke.RolePolicy, revoke.Session} {
		p, err := revoke.NewPlan(revoke.Options{Via: via, Role: role, Table: table, ID: "7f3a"}, now)
		if err != nil {
			t.Fatal(err)
		}
		var d struct{ Statement []map[string]any }
		if err := json.Unmarshal([]byte(p.Document()), &d); err != nil || len(d.Statement) != 2 || strings.Contains(p.Document(), "IfExists") {
			t.Errorf("%s: %s, %v", via, p.Document(), err)
		}
		window := strings.Contains(p.Document(), `"DateGreaterThanEquals":{"aws:CurrentTime":"2026-11-23T09:42:30Z"},"DateLessThan":{"aws:CurrentTime":"2026-11-23T09:47:30Z"}`)
		if window != (via != revoke.Session) {
			t.Errorf("%s: %s", via, p.Document())
		}
		if strings.Contains(p.Document(), "aws:PrincipalArn") != (via == revoke.TablePolicy) {
			t.Errorf("%s: %s", via, p.Document())
		}
		if !json.Valid([]byte(p.OperatorPolicy())) || p.Leak() == "" {
			t.Errorf("%s: %s, %s", via, p.OperatorPolicy(), p.Leak())
		}
	}
}

func TestNewPlan_takes_a_roles_name(t *testing.T) {
	p, err := revoke.NewPlan(revoke.Options{Role: "app", Table: table}, time.Now())
	if err != nil || p.Role != role {
		t.Errorf("%+v, %v; want %s", p, err, role)
	}
}

func TestPending_refuses(t *testing.T) {
	dir := t.TempDir()
	if p, err := revoke.Pending(filepath.Join(dir, "none")); err != nil || p != nil {
		t.Errorf("%v, %v", p, err)
	}
	for i, text := range []string{"{", `{"version":2}`, `{"version":1,"plan":{"id":"other","table":"` + table + `"}}`} {
		name := filepath.Join(dir, fmt.Sprintf("x%d.revocation.json", i))
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := revoke.Pending(dir); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", text, err)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}
