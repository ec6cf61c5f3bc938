package iam

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// hexSum is SHA-256 as signatures have it.
func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func TestMatchARN(t *testing.T) {
	const table = "arn:aws:dynamodb:us-east-1:1:table/a/index/b"
	for pattern, want := range map[string]bool{
		"*":                            true,
		"arn:*":                        true, // what is missing matches anything
		"arn:aws:dynamodb":             true,
		"arn:aws:s3":                   false,
		table:                          true,
		table + "c":                    false,
		"arn:aws:dynamodb:*:*:table":   false,
		"arn:aws:dynamodb:*:*:table/*": true,
		"arn:aws:dynamodb:us-*-1:?:table/?/index/?":      true,
		"arn:aws:dynamodb:us-*-1:?:table/?/index/":       false,
		"arn:aws:*:table/a/index/b":                      false, // a star stays in its part
		"arn:aws:dynamodb:us-east-1:1:*b":                true,
		"arn:aws:dynamodb:us-east-1:1:table/a/index/B":   false,
		"arn:aws:dynamodb:us-east-1:1:table/a/index/b*":  true,
		"arn:aws:dynamodb:us-east-1:1:table/a/index/b?":  false,
		"arn:aws:dynamodb:us-east-1:1:table/a/index/b:*": false,
		"":    false,
		"arn": true,
	} {
		if got := MatchARN(pattern, table); got != want {
			t.Errorf("MatchARN(%q): %t; want %t", pattern, got, want)
		}
	}
	for _, short := range []string{"", "*", "arn", "arn:aws:s3:::"} {
		if got, want := MatchARN("arn:*", short), short == "arn:aws:s3:::"; got != want {
			t.Errorf("MatchARN of %q: %t; want %t", short, got, want)
		}
		if !MatchARN("*", short) {
			t.Errorf("* does not match %q", short)
		}
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, match, other string // lists
	}{
		{"", "", "a"},
		{"a", "a", ",b,aa"},
		{"*", ",a,ab", ""},
		{"**", ",a,ab", ""},
		{"?", "a", ",ab"},
		{"a*", "a,ab,aab", ",ba"},
		{"*a", "a,ba,aa,aba", ",ab"},
		{"a*b", "ab,axb,abb,abab", ",a,b,abc"},
		{"a?b*", "axb,axbc", "ab,abx"},
		{"*ab*", "ab,xab,abx,aab", "a,ba,axb"},
		{"a*?", "ab,abc", "a"},
	} {
		for want, list := range map[bool]string{true: c.match, false: c.other} {
			if !want && list == "" {
				continue
			}
			for s := range strings.SplitSeq(list, ",") {
				if Glob(c.pattern, s) != want {
					t.Errorf("Glob(%q, %q): %t; want %t", c.pattern, s, !want, want)
				}
			}
		}
	}
}

// Where a key's or a role's policy leaves the decision to the account, a denial
// says which of the caller's policies it lacks.
func TestCaller_DecideOwned_says_which_policy_is_missing(t *testing.T) {
	const (
		all      = `{"Version":"2012-10-17","Statement":` + allowAll + `}`
		nothing  = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`
		account  = `{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"*","Resource":"*"}`
		byName   = `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:role/app"},"Action":"*","Resource":"*"}`
		identity = "because no identity-based policy allows the kms:Sign action"
		session  = "because no session policy allows the kms:Sign action"
	)
	for _, c := range []struct{ own, identity, session, want string }{
		{account, all, all, `allowed by an identity-based policy (statement 1, Sid "")`},
		{account, all, "", `allowed by an identity-based policy (statement 1, Sid "")`},
		{account, all, nothing, session},
		{account, nothing, all, identity},
		{account, nothing, "", identity},
		{byName, nothing, "", `allowed by a resource-based policy (statement 1, Sid "")`},
		{byName, nothing, all, `allowed by a resource-based policy (statement 1, Sid "")`},
		{byName, all, nothing, session},
	} {
		p := Principal{AccessKey: "A", SecretKey: "s", ARN: "arn:aws:sts::123456789012:assumed-role/app/i-1", Policies: []string{c.identity}}
		if c.session != "" {
			p.SessionPolicies = []string{c.session}
		}
		d := caller(t, p).DecideOwned(parse(t, Resource, c.own), Access{Action: "kms:Sign", Resource: "arn:aws:kms:us-east-1:123456789012:key/1", Keys: map[string]string{}})
		if d.Why != c.want || d.Allowed != strings.HasPrefix(c.want, "allowed") {
			t.Errorf("%+v\nwant %s", d, c.want)
		}
	}
}

func TestDecision_Reason_names_no_statement(t *testing.T) {
	for why, want := range map[string]string{
		`with an explicit deny in an identity-based policy (statement 2, Sid "x")`: "with an explicit deny in an identity-based policy",
		"because no identity-based policy allows the s3:GetObject action":          "because no identity-based policy allows the s3:GetObject action",
		"": "",
	} {
		if got := (Decision{Why: why}).Reason(); got != want {
			t.Errorf("%q; want %q", got, want)
		}
	}
}

// What a statement may contain depends on what the policy is attached to, and
// the errors say it in full.
func TestParse_by_the_kind_of_the_policy(t *testing.T) {
	const unknown = `the statement has the member %q, which is not implemented; want %s`
	const rest = "Sid, Effect, Action, NotAction, Condition"
	for _, c := range []struct {
		kind            Kind
		statement, want string
	}{
		{Identity, `{"Effect":"Allow","Action":"*","NotResource":"arn:aws:s3:::a"}`, ""},
		{Identity, `{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}`, fmt.Sprintf(unknown, "Principal", rest+", Resource, NotResource")},
		{Identity, `{"Sid":"a-b","Effect":"Allow","Action":"*","Resource":"*"}`, `Sid is "a-b"; want text of the form ^[A-Za-z0-9]*$`},
		{Identity, `{"Sid":1,"Effect":"Allow","Action":"*","Resource":"*"}`, "Sid is 1; want text of the form ^[A-Za-z0-9]*$"},
		{Resource, `{"Sid":"a-b c_d","Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}`, ""},
		{Resource, `{"Sid":"a.b","Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}`, `Sid is "a.b"; want text of the form ^[A-Za-z0-9 _-]*$`},
		{Resource, `{"Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"*","Resource":"*"}`, `Principal has the member "Service", which is not implemented; want AWS`},
		{Resource, `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::1:role/?"},"Action":"*","Resource":"*"}`, `Principal AWS has "arn:aws:iam::1:role/?"; want *, an account or an ARN without wildcards`},
		{Resource, `{"Effect":"Allow","Principal":{"AWS":"12345678901x"},"Action":"*","Resource":"*"}`, `Principal AWS has "12345678901x"; want *, an account or an ARN without wildcards`},
		{Resource, `{"Effect":"Allow","Principal":"ann","Action":"*","Resource":"*"}`, `Principal is "ann"; want an object`},
		{Trust, `{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}`, ""},
		{Trust, `{"Effect":"Allow","Principal":{"Service":["ec2.amazonaws.com","ecs.amazonaws.com"]},"Action":"sts:AssumeRole"}`, ""},
		{Trust, `{"Effect":"Allow","Principal":{"Service":"ec2"},"Action":"sts:AssumeRole"}`, `Principal Service has "ec2"; want the name of a service such as ec2.amazonaws.com`},
		{Trust, `{"Effect":"Allow","Principal":{"Service":[]},"Action":"sts:AssumeRole"}`, "Principal Service is an empty list"},
		{Trust, `{"Effect":"Allow","Principal":{"AWS":"*","Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}`, "Principal has AWS and Service, which is not implemented; want a statement for each"},
		{Trust, `{"Effect":"Allow","Principal":{"Federated":"x"},"Action":"sts:AssumeRole"}`, `Principal has the member "Federated", which is not implemented; want AWS, Service`},
		{Trust, `{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}`, fmt.Sprintf(unknown, "Resource", rest+", Principal")},
	} {
		_, err := Parse(c.kind, fmt.Sprintf(documentShape, c.statement), 0)
		got := ""
		if err != nil {
			_, got, _ = strings.Cut(err.Error(), "): ")
		}
		if got != c.want {
			t.Errorf("%s: %v\nwant %s", c.statement, err, c.want)
		}
	}
	const twice = `policy: statement 2 (Sid "a"): the Sid is taken by a statement before it`
	sid := `{"Sid":"a",` + allowAll[1:]
	if _, err := Parse(Identity, fmt.Sprintf(documentShape, sid+","+sid), 0); err == nil || err.Error() != twice {
		t.Errorf("%v\nwant %s", err, twice)
	}
	if _, err := Parse(Identity, fmt.Sprintf(documentShape, allowAll+","+allowAll), 0); err != nil {
		t.Errorf("two statements without a Sid: %v", err)
	}
}

// The limits of length and depth: the last that is allowed, and the first that
// is not.
func TestParse_limits(t *testing.T) {
	document := fmt.Sprintf(documentShape, allowAll)
	for limit, want := range map[int]string{
		0: "", len(document): "", len(document) - 1: fmt.Sprintf("policy: %d bytes, the limit is %d", len(document), len(document)-1),
	} {
		_, err := Parse(Identity, document, limit)
		if got := fmt.Sprint(err); got != want && (err != nil || want != "") {
			t.Errorf("limit %d: %v; want %q", limit, err, want)
		}
	}
	nested := func(levels int) string {
		return `{"Version":"2012-10-17","Id":` + strings.Repeat("[", levels) + strings.Repeat("]", levels) + `}`
	}
	for levels, want := range map[int]string{14: "policy: Id is [[[[[[[[[[[[[[]]]]]]]]]]]]]]; want text", 15: "policy: Id is [[[[[[[[[[[[[[[]]]]]]]]]]]]]]]; want text", 16: "policy: it is nested deeper than 16 levels"} {
		if _, err := Parse(Identity, nested(levels), 0); err == nil || err.Error() != want {
			t.Errorf("%d levels: %v; want %s", levels, err, want)
		}
	}
}

// DynamoDB's ARNs can be those of tables, and of nothing else.
func TestParse_resources(t *testing.T) {
	for resource, good := range map[string]bool{
		"*": true, "arn:aws:s3:::bucket": true, "arn:aws:dynamodb": true, "arn:aws:dynamodb:us-east-1:1:table/a": true, "arn:aws:dynamodb:*:*:tab*": true,
		"arn:aws:dynamodb:us-east-1:1:global-table/a": true, "arn:aws:dynamodb:us-east-1:1:*": true,
		"arn:aws:dynamodb:us-east-1:1:tables/a": false, "arn:aws:dynamodb:us-east-1:1:table/": false, "arn:aws:dynamodb:us-east-1:1:table": false, "arn:aws:dynamodb:us-east-1:1:a": false,
	} {
		_, err := Parse(Identity, fmt.Sprintf(documentShape, `{"Effect":"Deny","Action":"*","Resource":"`+resource+`"}`), 0)
		want := fmt.Sprintf(`policy: statement 1 (Sid ""): resource %q is none of DynamoDB's, table/NAME or global-table/NAME, so the statement would never apply`, resource)
		if good != (err == nil) || err != nil && err.Error() != want {
			t.Errorf("%s: %v", resource, err)
		}
	}
}
