package iam

import (
	"fmt"
	"strings"
	"testing"
)

const (
	documentShape = `{"Version":"2012-10-17","Statement":[%s]}`
	allowAll      = `{"Effect":"Allow","Action":"*","Resource":"*"}`
	tableARN      = "arn:aws:dynamodb:us-east-1:123456789012:table/sessions"
)

func parse(t *testing.T, kind Kind, statements string) *Policy {
	t.Helper()
	p, err := Parse(kind, fmt.Sprintf(documentShape, statements), 0)
	if err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
	return p
}

// request is a session of the role app, on the table.
func request() Access {
	return Access{
		Action: "dynamodb:GetItem", Resource: tableARN,
		Caller: "arn:aws:sts::123456789012:assumed-role/app/i-1", Role: "arn:aws:iam::123456789012:role/app",
		Keys: map[string]string{
			"aws:currenttime": "2026-11-23T09:45:00Z", "aws:epochtime": "1795427100", "aws:tokenissuetime": "2026-11-23T09:00:00Z",
			"aws:principalarn": "arn:aws:iam::123456789012:role/app", "aws:principalaccount": "123456789012", "aws:principaltag/team": "pay",
			"aws:userid": "AROA1:i-1", "aws:requestedregion": "us-east-1", "aws:securetransport": "false", "aws:sourceip": "10.1.2.3",
		},
	}
}

func TestEvaluate_identity(t *testing.T) {
	const (
		window = `"Condition":{"DateGreaterThanEquals":{"aws:CurrentTime":"2026-11-23T09:42:27Z"},"DateLessThan":{"aws:CurrentTime":"2026-11-23T09:47:27Z"}}`
		deny   = `{"Effect":"Deny","Action":["dynamodb:*"],"Resource":["` + tableARN + `","` + tableARN + `/*"],`
	)
	at := func(now string) func(*Access) { return func(a *Access) { a.Keys["aws:currenttime"] = now } }
	user := func(a *Access) {
		delete(a.Keys, "aws:tokenissuetime")
		a.Keys["aws:username"] = "ann"
	}
	allowIf := func(condition string) string {
		return `{"Effect":"Allow","Action":"*","Resource":"*","Condition":` + condition + `}`
	}
	for _, c := range []struct {
		name      string
		statement string
		change    func(*Access)
		want      string // allow, deny (by a statement), none
	}{
		{"nothing fits", `{"Effect":"Allow","Action":"dynamodb:PutItem","Resource":"*"}`, nil, "none"},
		{"another table", `{"Effect":"Allow","Action":"dynamodb:*","Resource":"` + tableARN + `s"}`, nil, "none"},
		{"exact", `{"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"` + tableARN + `"}`, nil, "allow"},
		{"action in another case", `{"Effect":"Allow","Action":"DynamoDB:getitem","Resource":"*"}`, nil, "allow"},
		{"resource in another case", `{"Effect":"Allow","Action":"*","Resource":"arn:aws:dynamodb:us-east-1:123456789012:table/Sessions"}`, nil, "none"},
		{"wildcards", `{"Effect":"Allow","Action":"dynamodb:Get*","Resource":"arn:*:dynamodb:*:*:table/sess?ons"}`, nil, "allow"},
		{"a wildcard does not reach across a colon", `{"Effect":"Allow","Action":"*","Resource":"arn:aws:*:table/sessions"}`, nil, "none"},
		{"but inside the resource it does", `{"Effect":"Allow","Action":"*","Resource":"arn:aws:logs:us-east-1:123456789012:*"}`, func(a *Access) { a.Resource = "arn:aws:logs:us-east-1:123456789012:log-group:a:log-stream:b" }, "allow"},
		{"missing parts are completed", `{"Effect":"Allow","Action":"*","Resource":"arn:aws:dynamodb"}`, nil, "allow"},
		{"a list", `{"Effect":"Allow","Action":["s3:*","dynamodb:GetItem"],"Resource":["*"]}`, nil, "allow"},
		{"NotAction", `{"Effect":"Allow","NotAction":"dynamodb:PutItem","Resource":"*"}`, nil, "allow"},
		{"NotAction, excluded", `{"Effect":"Allow","NotAction":"dynamodb:Get*","Resource":"*"}`, nil, "none"},
		{"NotResource", `{"Effect":"Allow","Action":"*","NotResource":"` + tableARN + `"}`, nil, "none"},
		{"deny beats allow", allowAll + `,{"Effect":"Deny","Action":"dynamodb:GetItem","Resource":"*"}`, nil, "deny"},
		{"deny first", `{"Effect":"Deny","Action":"dynamodb:GetItem","Resource":"*"},` + allowAll, nil, "deny"},
		{"a revocation's window is open", allowAll + "," + deny + window + "}", nil, "deny"},
		{"opens at its first second", allowAll + "," + deny + window + "}", at("2026-11-23T09:42:27Z"), "deny"},
		{"not a second earlier", allowAll + "," + deny + window + "}", at("2026-11-23T09:42:26Z"), "allow"},
		{"closes by itself", allowAll + "," + deny + window + "}", at("2026-11-23T09:47:27Z"), "allow"},
		{"without a time it does not deny", allowAll + "," + deny + window + "}", func(a *Access) { a.Keys = nil }, "allow"},
		{"IfExists without a time does", allowAll + "," + deny + `"Condition":{"DateLessThanIfExists":{"aws:CurrentTime":"2026-01-01"}}}`, func(a *Access) { a.Keys = nil }, "deny"},
		{"all sessions revoked", allowAll + `,{"Effect":"Deny","Action":["*"],"Resource":["*"],"Condition":{"DateLessThan":{"aws:TokenIssueTime":"2026-11-23T09:30:00Z"}}}`, nil, "deny"},
		{"but not the later ones", allowAll + `,{"Effect":"Deny","Action":["*"],"Resource":["*"],"Condition":{"DateLessThan":{"aws:TokenIssueTime":"2026-11-23T08:30:00Z"}}}`, nil, "allow"},
		{"nor a user's keys", allowAll + `,{"Effect":"Deny","Action":["*"],"Resource":["*"],"Condition":{"DateLessThan":{"aws:TokenIssueTime":"2026-11-23T09:30:00Z"}}}`, user, "allow"},
		{"epoch seconds", allowIf(`{"DateLessThan":{"aws:EpochTime":1795427101}}`), nil, "allow"},
		{"a month", allowIf(`{"DateGreaterThan":{"aws:CurrentTime":"2026-11"}}`), nil, "allow"},
		{"a year", allowIf(`{"DateLessThan":{"aws:CurrentTime":"2026"}}`), nil, "none"},
		{"a fraction of a second", allowIf(`{"DateGreaterThan":{"aws:CurrentTime":"2026-11-23T09:44:59.999Z"}}`), nil, "allow"},
		{"a string's values are alternatives", allowIf(`{"StringLike":{"aws:PrincipalArn":["x","arn:*:role/app"]}}`), nil, "allow"},
		{"a negated string's are not", allowIf(`{"StringNotLike":{"aws:PrincipalArn":["x","arn:*:role/app"]}}`), nil, "none"},
		{"an ARN's wildcards stay in their part", allowIf(`{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam:*/app"}}`), nil, "none"},
		{"ArnEquals takes wildcards, too", allowIf(`{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::123456789012:role/a*"}}`), nil, "allow"},
		{"a negated key that is absent", allowIf(`{"StringNotEquals":{"aws:username":"x"}}`), nil, "allow"},
		{"a user's name", allowIf(`{"StringLike":{"aws:username":"a*"}}`), user, "allow"},
		{"the account", allowIf(`{"StringEquals":{"aws:PrincipalAccount":"123456789012"}}`), nil, "allow"},
		{"a tag", allowIf(`{"StringEquals":{"aws:PrincipalTag/Team":"pay"}}`), nil, "allow"},
		{"a tag that is absent", allowIf(`{"StringEquals":{"aws:PrincipalTag/stage":"pay"}}`), nil, "none"},
		{"an address range", allowIf(`{"IpAddress":{"aws:SourceIp":["192.0.2.0/24","10.0.0.0/8"]}}`), nil, "allow"},
		{"outside of it", allowIf(`{"NotIpAddress":{"aws:SourceIp":"10.1.2.3"}}`), nil, "none"},
		{"not through the endpoint", allowAll + `,{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringNotEquals":{"aws:SourceVpce":"vpce-1"}}}`, nil, "deny"},
		{"Bool", `{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`, nil, "deny"},
		{"Bool without quotes", `{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":false}}}`, nil, "deny"},
		{"Null of an absent key", allowIf(`{"Null":{"aws:username":"true"}}`), nil, "allow"},
		{"Null of a present key", allowIf(`{"Null":{"aws:userid":"false"}}`), nil, "allow"},
		{"Null, wrong", allowIf(`{"Null":{"aws:userid":"true"}}`), nil, "none"},
		{"a key in another case", allowIf(`{"StringEquals":{"AWS:requestedREGION":"us-east-1"}}`), nil, "allow"},
		{"two operators are joined", allowIf(`{"Bool":{"aws:SecureTransport":"false"},"StringEquals":{"aws:PrincipalArn":"x"}}`), nil, "none"},
		{"two keys are joined", allowIf(`{"StringEquals":{"aws:PrincipalAccount":"123456789012","aws:userid":"x"}}`), nil, "none"},
	} {
		a := request()
		if c.change != nil {
			c.change(&a)
		}
		if got := word(Evaluate(Policies{Identity: []*Policy{parse(t, Identity, c.statement)}}, a)); got != c.want {
			t.Errorf("%s: %s; want %s", c.name, got, c.want)
		}
	}
}

func word(d Decision) string {
	switch {
	case d.Allowed:
		return "allow"
	case d.Explicit:
		return "deny"
	}
	return "none"
}

// Who gets what when more than one policy has a say.
func TestEvaluate_together(t *testing.T) {
	const nobody = `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`
	resource := func(effect, principal string) string {
		return `{"Effect":"` + effect + `","Principal":` + principal + `,"Action":"dynamodb:GetItem","Resource":"` + tableARN + `"}`
	}
	for _, c := range []struct {
		name, identity, session, resource string
		want                              string
	}{
		{"identity alone", allowAll, "", "", "allow"},
		{"a session's policy limits", allowAll, nobody, "", "none"},
		{"a session's policy gives nothing", nobody, allowAll, "", "none"},
		{"both of them", allowAll, allowAll, "", "allow"},
		{"a session's policy denies", allowAll, allowAll + `,{"Effect":"Deny","Action":"dynamodb:*","Resource":"*"}`, "", "deny"},
		{"the table allows", nobody, "", resource("Allow", `"*"`), "allow"},
		{"the table allows the role", nobody, "", resource("Allow", `{"AWS":"arn:aws:iam::123456789012:role/app"}`), "allow"},
		{"the table allows the account", nobody, "", resource("Allow", `{"AWS":"123456789012"}`), "allow"},
		{"the table allows another role", nobody, "", resource("Allow", `{"AWS":["arn:aws:iam::123456789012:role/other"]}`), "none"},
		{"the table allows another account", nobody, "", resource("Allow", `{"AWS":"arn:aws:iam::210987654321:root"}`), "none"},
		{"the table denies", allowAll, "", resource("Deny", `"*"`), "deny"},
		{"the table denies another role", allowAll, "", resource("Deny", `{"AWS":"arn:aws:iam::123456789012:role/other"}`), "allow"},
		{"the table allows, the session's policy does not", nobody, nobody, resource("Allow", `"*"`), "none"},
	} {
		p := Policies{Identity: []*Policy{parse(t, Identity, c.identity)}}
		if c.session != "" {
			p.Session = []*Policy{parse(t, Identity, c.session)}
		}
		if c.resource != "" {
			p.Resource = parse(t, Resource, c.resource)
		}
		if d := Evaluate(p, request()); word(d) != c.want {
			t.Errorf("%s: %+v; want %s", c.name, d, c.want)
		}
	}
}

// A document that is not understood in full is refused, with the thing that is
// not by its name.
func TestParse_refuses(t *testing.T) {
	statement := func(s string) string { return fmt.Sprintf(documentShape, s) }
	condition := func(s string) string {
		return statement(allowAll + `,{"Effect":"Deny","Action":"*","Resource":"*","Condition":` + s + `}`)
	}
	for text, want := range map[string]string{
		``:                        "unexpected EOF",
		`{`:                       "unexpected EOF",
		`{} x`:                    "text after",
		statement(allowAll) + "}": "text after",
		statement(allowAll) + "]": "text after",
		`[]`:                      "want an object",
		`{"Statement":[]}`:        "Version is missing",
		`{"Version":"2012-10-18","Statement":[]}`:                                              "Version is",
		`{"Version":"2012-10-17"}`:                                                             "Statement is missing",
		`{"Version":"2012-10-17","Statement":[]}`:                                              "Statement is []",
		`{"Version":"2012-10-17","Statement":[[]]}`:                                            "want an object",
		`{"Version":"2012-10-17","Statement":"all"}`:                                           "Statement is",
		`{"Version":"2012-10-17","Statment":[]}`:                                               `member "Statment"`,
		`{"version":"2012-10-17","Statement":[]}`:                                              `member "version"`,
		`{"Version":"2012-10-17","Id":1,"Statement":[` + allowAll + `]}`:                       "Id is 1",
		`{"Version":"2012-10-17","Version":"2012-10-17","Statement":[]}`:                       `member "Version" comes twice`,
		statement(`{"Sid":"a","Effect":"Permit","Action":"*","Resource":"*"}`):                 `statement 1 (Sid "a"): Effect`,
		statement(`{"Sid":"a b","Effect":"Allow","Action":"*","Resource":"*"}`):                "Sid is",
		statement(`{"effect":"Allow","action":"*","resource":"*"}`):                            `member "action"`,
		statement(`{"Effect":"Deny","Action":"*","Resource":"*","Effect":"Allow"}`):            `"Effect" comes twice`,
		statement(`{"Effect":"Allow","Resource":"*"}`):                                         "exactly one of Action and NotAction",
		statement(`{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}`):            "exactly one of Action and NotAction",
		statement(`{"Effect":"Allow","Action":"*"}`):                                           "exactly one of Resource and NotResource",
		statement(`{"Effect":"Allow","Action":[],"Resource":"*"}`):                             "Action is an empty list",
		statement(`{"Effect":"Allow","Action":null,"Resource":"*"}`):                           "Action has missing",
		statement(`{"Effect":"Allow","Action":["*",1],"Resource":"*"}`):                        "Action has 1",
		statement(`{"Effect":"Allow","Action":"GetItem","Resource":"*"}`):                      `action "GetItem"`,
		statement(`{"Effect":"Allow","Action":"*:GetItem","Resource":"*"}`):                    `action "*:GetItem"`,
		statement(`{"Effect":"Allow","Action":"dynamodb:","Resource":"*"}`):                    `action "dynamodb:"`,
		statement(`{"Effect":"Deny","Action":"dynamodb:GetItem ","Resource":"*"}`):             `action "dynamodb:GetItem "`,
		statement(`{"Effect":"Deny","Action":"dynamodb:Get:Item","Resource":"*"}`):             `action "dynamodb:Get:Item"`,
		statement(`{"Effect":"Deny","Action":"dynamodb:GetItem\u200b","Resource":"*"}`):        "action",
		statement(`{"Effect":"Deny","Action":"*","Resource":"arn:aws:s3:::a\u0000"}`):          "that is in no ARN",
		statement(`{"Effect":"Deny","Action":"*","Resource":"arn:aws:s3:::a "}`):               "that is in no ARN",
		statement(`{"Effect":"Allow","Action":"*","Resource":"sessions"}`):                     "neither * nor an ARN",
		statement(`{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}`):            `member "Principal"`,
		statement(`{"Effect":"Deny","Action":"*","Resource":"arn:aws:s3:::${aws:username}*"}`): "${aws:username}",
		condition(`[]`):                                                                    "Condition is []",
		condition(`{"StringEquals":{}}`):                                                   "want an object of keys",
		condition(`{"StringEquals":"x"}`):                                                  "want an object of keys",
		condition(`{"NumericLessThan":{"aws:EpochTime":"5"}}`):                             "NumericLessThan",
		condition(`{"stringequals":{"aws:RequestedRegion":"us-east-1"}}`):                  "stringequals",
		condition(`{"ForAllValues:StringLike":{"dynamodb:LeadingKeys":["a*"]}}`):           "ForAllValues",
		condition(`{"NullIfExists":{"aws:SourceIp":"true"}}`):                              "NullIfExists",
		condition(`{"Null":{"aws:CurentTime":"true"}}`):                                    "aws:CurentTime",
		condition(`{"DateGreaterThan":{"aws:CurentTime":"2020-01-01T00:00:00Z"}}`):         "aws:CurentTime",
		condition(`{"StringEquals":{"dynamodb:Attributes":["v"]}}`):                        "dynamodb:Attributes",
		condition(`{"StringEqualsIfExists":{"aws:MultiFactorAuthPresent":"true"}}`):        "aws:MultiFactorAuthPresent",
		condition(`{"StringEquals":{"aws:PrincipalTag/":"x"}}`):                            "aws:PrincipalTag/",
		condition(`{"StringEquals":{"aws:PrincipalTag":"x"}}`):                             "aws:PrincipalTag",
		condition(`{"StringEquals":{"aws:SourceVpc":"vpc-1"}}`):                            "could never hold",
		condition(`{"Bool":{"aws:SecureTransport":"no"}}`):                                 `"no" is neither`,
		condition(`{"Bool":{"aws:CurrentTime":"true"}}`):                                   "does not go with",
		condition(`{"DateLessThan":{"aws:userid":"2020-01-01"}}`):                          "does not go with",
		condition(`{"StringEquals":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}`):           "does not go with",
		condition(`{"DateLessThan":{"aws:CurrentTime":"soon"}}`):                           `"soon" is not a date`,
		condition(`{"IpAddress":{"aws:SourceIp":"10.0.0.0/99"}}`):                          "neither an address nor a range",
		condition(`{"ArnLike":{"aws:PrincipalArn":"role/app"}}`):                           "is not an ARN",
		condition(`{"StringEquals":{"aws:RequestedRegion":[]}}`):                           "empty",
		condition(`{"StringNotEquals":{"aws:RequestedRegion":[]}}`):                        "empty",
		condition(`{"StringEquals":{"aws:RequestedRegion":null}}`):                         "the value is missing",
		condition(`{"StringEquals":{"aws:userid":"${aws:username}"}}`):                     "policy variables",
		condition(`{"StringEquals":{"aws:userid":"a"},"StringEquals":{"aws:userid":"b"}}`): "comes twice",
		condition(`{"StringEquals":{"aws:userid":"a","AWS:UserId":"b"}}`):                  "two cases",
		strings.Repeat("[", 100):                                                           "nested deeper",
	} {
		if _, err := Parse(Identity, text, 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want an error with %q", text, err, want)
		}
	}
	for text, want := range map[string]string{
		allowAll: "Principal is missing",
		`{"Effect":"Allow","Principal":{"Service":"x"},"Action":"*","Resource":"*"}`:            `member "Service"`,
		`{"Effect":"Allow","Principal":{"AWS":[]},"Action":"*","Resource":"*"}`:                 "empty",
		`{"Effect":"Allow","Principal":{"AWS":"ann"},"Action":"*","Resource":"*"}`:              `"ann"`,
		`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::1:*"},"Action":"*","Resource":"*"}`: "without wildcards",
		`{"Effect":"Allow","NotPrincipal":"*","Action":"*","Resource":"*"}`:                     `member "NotPrincipal"`,
	} {
		if _, err := Parse(Resource, statement(text), 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want an error with %q", text, err, want)
		}
	}
	if _, err := Parse(Identity, statement(allowAll), 20); err == nil || !strings.Contains(err.Error(), "the limit is 20") {
		t.Errorf("too long: %v", err)
	}
}

func TestGlob_takes_no_exponential_time(t *testing.T) {
	if Glob(strings.Repeat("*a", 50)+"b", strings.Repeat("a", 10_000)) {
		t.Error("it matched")
	}
}

// A document is either refused, or can be evaluated on anything.
func FuzzParse(f *testing.F) {
	f.Add(fmt.Sprintf(documentShape, allowAll))
	f.Add(fmt.Sprintf(documentShape, `{"Effect":"Deny","NotAction":"s3:*","Resource":"arn:aws","Condition":{"DateLessThanIfExists":{"aws:EpochTime":1}}}`))
	f.Add(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"*"},"Action":["a:b"],"NotResource":"*"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, kind := range []Kind{Identity, Resource} {
			if p, err := Parse(kind, text, 1000); err == nil {
				Evaluate(Policies{Identity: []*Policy{p}, Resource: p}, request())
				Evaluate(Policies{Session: []*Policy{p}}, Access{})
			}
		}
	})
}
