package revoke

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Via is where the Deny is written.
// The names are those of the command's flag and of the journal; see [ParseVia].
type Via string

// The ways.
const (
	// TablePolicy appends to the table's resource policy: one table, one
	// role. It is the default.
	TablePolicy Via = "table-policy"

	// RolePolicy is an inline policy of the role. It takes
	// iam:PutRolePolicy, which amounts to whatever a role may be given.
	RolePolicy Via = "role-policy"

	// Session is a session's own policy, for sts:AssumeRole: one process,
	// and nothing is written. It is the canary.
	Session Via = "session"
)

// refused are ways that are not offered, and why.
// To add one, add a row: the reason follows "is not offered: " in the error.
var refused = map[string]string{
	"kms":                 "disabling a key takes the whole table away, from everybody, its backups included, and for good after seven days",
	"permission-boundary": "it replaces the boundary that is there, which would have to be put back",
	"scp":                 "it concerns a whole account, and takes an administrator of the organisation to end",
	"rcp":                 "it concerns a whole organisation",
	"revoke-sessions":     "it denies everything to every session, and a process recovers only with new credentials",
	"vpc-endpoint":        "it concerns everybody behind the endpoint; AWS FIS has an experiment for it, aws:network:disrupt-connectivity with scope dynamodb",
}

// Limits of a revocation. A window is at least a minute, since the clocks of a
// fleet differ by seconds; a lead of 30 s is more than policies usually take to
// arrive. The two sizes are in bytes and are quotas of AWS: 20 KB for a resource
// policy of DynamoDB, and 2048 characters for a session policy of STS.
const (
	DefaultFor  = 5 * time.Minute
	MaxFor      = time.Hour
	DefaultLead = 30 * time.Second
	MaxLead     = 10 * time.Minute

	maxTablePolicy   = 20 << 10
	maxSessionPolicy = 2048
)

// sidPrefix begins the Sid of every statement that this package writes.
// It is how statements are known again, so it must never change: a statement of an
// older version would be taken for the user's own.
const sidPrefix = "FailOpenDrill"

// Options of a Plan. Role and Table are required.
type Options struct {
	Via Via // default TablePolicy

	// Role and Table are ARNs, without wildcards. A role without a path, of
	// the table's account, may be given by its name.
	Role, Table string

	// For is the length of the window, default 5 min, at most 1 h. Lead is
	// how far ahead it is written, so that it has arrived when it opens;
	// default 30 s, at most 10 min.
	For, Lead time.Duration

	// Accounts, if not empty, are the only ones that may be touched.
	Accounts []string

	// ID names the drill. Default: random.
	ID string
}

// A Plan is exactly what is going to be written, and when it is in force.
// The JSON form is what the journal has; members are only ever added. A plan from
// there may have been edited: see own.
type Plan struct {
	Via        Via       `json:"via"`                   // what is written
	ID         string    `json:"id"`                    // of the drill, in the Sid of each statement
	Role       string    `json:"role"`                  // its ARN
	Table      string    `json:"table"`                 // its ARN
	From       time.Time `json:"from"`                  // when the denial begins, by the clock of AWS
	Until      time.Time `json:"until"`                 // when it ends by itself
	Statements []string  `json:"statements"`            // JSON, one each
	PolicyName string    `json:"policy_name,omitempty"` // of an inline policy

	// Wrapped says that the policy had a single statement, which is in a
	// list while the drill's are beside it.
	Wrapped bool `json:"wrapped,omitempty"`
}

// Three partitions, and no wildcard in any part: a Deny for a role named app* would
// be one for roles that nobody has thought of.
var (
	roleARN  = regexp.MustCompile(`^arn:(aws|aws-cn|aws-us-gov):iam::([0-9]{12}):role/([A-Za-z0-9+=,.@_/-]+)$`)
	tableARN = regexp.MustCompile(`^arn:(aws|aws-cn|aws-us-gov):dynamodb:([a-z0-9-]+):([0-9]{12}):table/([A-Za-z0-9_.-]{3,255})$`)
	roleName = regexp.MustCompile(`^[A-Za-z0-9+=,.@_-]{1,64}$`)
	idForm   = regexp.MustCompile(`^[A-Za-z0-9]{4,32}$`)
)

// dataPlane are the actions of a table that a service uses. The control plane,
// and what AWS's own roles do to replicate and scale a table, are left alone.
// Source: "Actions defined by Amazon DynamoDB" in the Service Authorization
// Reference. The names of transactions are not in it: AWS checks them as their
// single operations.
var dataPlane = []string{
	"BatchGetItem", "BatchWriteItem", "ConditionCheckItem", "DeleteItem", "GetItem", "PartiQLDelete", "PartiQLInsert",
	"PartiQLSelect", "PartiQLUpdate", "PutItem", "Query", "Scan", "UpdateItem",
}

// sentinelAction is a harmless read that services do not use.
const sentinelAction = "dynamodb:DescribeTimeToLive"

// ParseVia reads a way by its name. The error of one that is not offered says
// why.
func ParseVia(s string) (Via, error) {
	switch v := Via(s); v {
	case TablePolicy, RolePolicy, Session:
		return v, nil
	}
	if why, ok := refused[s]; ok {
		return "", fmt.Errorf("revoke: %s is not offered: %s", s, why)
	}
	return "", fmt.Errorf("revoke: unknown way %q; want table-policy, role-policy or session", s)
}

// NewPlan checks the options and makes the documents. It makes no call. now is
// AWS's clock, as an answer of AWS gives it, or the machine's own.
// The error joins all that is wrong, each with the option and its value. Times are
// in whole seconds, since the policy's dates have no fractions.
func NewPlan(o Options, now time.Time) (Plan, error) {
	if o.Via == "" {
		o.Via = TablePolicy
	}
	if o.For == 0 {
		o.For = DefaultFor
	}
	if o.Lead == 0 {
		o.Lead = DefaultLead
	}
	table := tableARN.FindStringSubmatch(o.Table)
	if table != nil && roleName.MatchString(o.Role) {
		o.Role = "arn:" + table[1] + ":iam::" + table[3] + ":role/" + o.Role
	}
	role := roleARN.FindStringSubmatch(o.Role)
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("revoke: "+format, args...))
		}
	}
	_, viaErr := ParseVia(string(o.Via))
	check(viaErr == nil, "%v", viaErr)
	check(role != nil, "Role is %q; want the ARN of one role, arn:aws:iam::ACCOUNT:role/NAME, without wildcards", o.Role)
	check(table != nil, "Table is %q; want the ARN of one table, arn:aws:dynamodb:REGION:ACCOUNT:table/NAME, without wildcards", o.Table)
	check(o.For >= time.Minute && o.For <= MaxFor, "For is %v; want 1m to %v", o.For, MaxFor)
	check(o.Lead >= time.Second && o.Lead <= MaxLead, "Lead is %v; want 1s to %v", o.Lead, MaxLead)
	check(o.ID == "" || idForm.MatchString(o.ID), "ID is %q; want 4 to 32 letters and digits", o.ID)
	if role != nil {
		check(!strings.HasPrefix(role[3], "aws-service-role/"), "Role %s is a service-linked role: AWS needs it to run the table (a replica that it cannot reach for 20 h is lost for good)", o.Role)
		check(!strings.Contains(role[3], "AWSReservedSSO_"), "Role %s belongs to IAM Identity Center and is a person's", o.Role)
		check(len(o.Accounts) == 0 || slices.Contains(o.Accounts, role[2]), "the account of the role, %s, is not among those that may be touched", role[2])
	}
	if table != nil {
		check(len(o.Accounts) == 0 || slices.Contains(o.Accounts, table[3]), "the account of the table, %s, is not among those that may be touched", table[3])
	}
	if len(errs) > 0 {
		return Plan{}, errors.Join(errs...)
	}
	if o.ID == "" {
		random := make([]byte, 4)
		_, _ = rand.Read(random) // never fails
		o.ID = hex.EncodeToString(random)
	}
	from := now.UTC().Add(o.Lead).Truncate(time.Second)
	p := Plan{Via: o.Via, ID: o.ID, Role: o.Role, Table: o.Table, From: from, Until: from.Add(o.For)}
	return p, p.build()
}

// statement is one of a policy, in the order of its members.
// That order is the one in AWS's own examples; a reader of the policy will know it.
type statement struct {
	Sid       string
	Effect    string
	Principal string `json:",omitempty"`
	Action    any
	Resource  any
	Condition map[string]map[string]string `json:",omitempty"`
}

// build makes the statements. A date operator never ends in IfExists: a request
// without the key would be denied for good.
// Table and Role differ in who is denied: a table's policy names the role in a
// condition, since a role as Principal would have to exist, and be one that the
// policy's owner may name; a role's policy is about the role in any case.
func (p *Plan) build() error {
	actions := make([]string, len(dataPlane))
	for i, a := range dataPlane {
		actions[i] = "dynamodb:" + a
	}
	resources := []string{p.Table, p.Table + "/index/*"}
	window := map[string]map[string]string{
		"DateGreaterThanEquals": {"aws:CurrentTime": p.From.Format(time.RFC3339)},
		"DateLessThan":          {"aws:CurrentTime": p.Until.Format(time.RFC3339)},
	}
	// The sentinel is in force from the moment it arrives until the window closes.
	open := map[string]map[string]string{"DateLessThan": {"aws:CurrentTime": p.Until.Format(time.RFC3339)}}
	deny := statement{Sid: sidPrefix + p.ID, Effect: "Deny", Action: actions, Resource: resources, Condition: window}
	sentinel := statement{Sid: sidPrefix + p.ID + "Sentinel", Effect: "Deny", Action: sentinelAction, Resource: p.Table, Condition: open}
	var all []statement
	switch p.Via {
	case TablePolicy:
		for _, s := range []*statement{&deny, &sentinel} {
			s.Principal = "*"
			s.Condition["ArnEquals"] = map[string]string{"aws:PrincipalArn": p.Role}
		}
		all = []statement{deny, sentinel}
	case RolePolicy:
		p.PolicyName = policyName(p.ID)
		all = []statement{deny, sentinel}
	case Session:
		deny.Condition = nil // it ends with the session
		all = []statement{{Sid: sidPrefix + p.ID + "Rest", Effect: "Allow", Action: "*", Resource: "*"}, deny}
	}
	for _, s := range all {
		text, err := json.Marshal(s)
		if err != nil {
			return fmt.Errorf("revoke: %w", err)
		}
		p.Statements = append(p.Statements, string(text))
	}
	if limit := map[Via]int{Session: maxSessionPolicy, TablePolicy: maxTablePolicy}[p.Via]; limit > 0 && len(p.Document()) > limit {
		return fmt.Errorf("revoke: the document has %d bytes, more than the %d that AWS takes", len(p.Document()), limit)
	}
	return nil
}

// Document is the plan as a policy of its own.
// It is what is written where there is no policy yet, and what a session gets.
func (p Plan) Document() string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(p.Statements, ",") + `]}`
}

// OperatorPolicy is the least that the operator of the revocation has to be
// allowed.
// It is JSON for an identity-based policy, with the tag as a condition, so that it
// is of no use on a table that nobody has released. What it allows all the same is
// in [Plan.Leak]. The ARNs are quoted as JSON, although NewPlan lets no quote in: a
// Plan can also be made by hand.
func (p Plan) OperatorPolicy() string {
	role, err := json.Marshal(p.Role)
	if err != nil {
		return "" // text does not fail
	}
	table, err := json.Marshal(p.Table)
	if err != nil {
		return ""
	}
	switch p.Via {
	case RolePolicy:
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:GetRole","iam:ListRolePolicies","iam:GetRolePolicy","iam:PutRolePolicy","iam:DeleteRolePolicy"],"Resource":` + string(role) + `,"Condition":{"StringEquals":{"aws:ResourceTag/failopen-drill":"allowed"}}}]}`
	case Session:
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":` + string(role) + `}]}`
	}
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["dynamodb:GetResourcePolicy","dynamodb:PutResourcePolicy","dynamodb:DeleteResourcePolicy","dynamodb:ListTagsOfResource"],"Resource":` + string(table) + `,"Condition":{"StringEquals":{"aws:ResourceTag/failopen-drill":"allowed"}}}]}`
}

// Leak says what somebody could do with the operator's policy alone.
// It is half a sentence, for the end of one.
func (p Plan) Leak() string {
	switch p.Via {
	case RolePolicy:
		return "with it one can give the role any permission: use a role that exists for drills only"
	case Session:
		return "with it one can act as the role, with no more than the role may do"
	}
	return "with it one can allow any principal of the account to use the table, or deny it to all, as long as the table has the tag"
}
