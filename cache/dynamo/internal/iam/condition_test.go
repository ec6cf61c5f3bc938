package iam

import (
	"strings"
	"testing"
)

// Each operator, of values that a request may have: y and n for those that it
// holds of and does not, in the order of the row, and at the end for a request
// without the key.
func TestCondition_operators(t *testing.T) {
	for _, c := range []struct{ operator, key, want, got, holds string }{
		{"StringEquals", "aws:userid", `"a*"`, "a*|A*|ab|", "ynnnn"},
		{"StringEquals", "aws:userid", `["b","a"]`, "a|b|c|", "yynnn"},
		{"StringEqualsIfExists", "aws:userid", `"a"`, "a|b|", "ynny"},
		{"StringNotEquals", "aws:userid", `"a"`, "a|A|", "nyyy"},
		{"StringNotEquals", "aws:userid", `["a","b"]`, "a|b|c|", "nnyyy"},
		{"StringEqualsIgnoreCase", "aws:userid", `"aB"`, "AB|ab|b|", "yynnn"},
		{"StringNotEqualsIgnoreCase", "aws:userid", `"aB"`, "AB|ab|b|", "nnyyy"},
		{"StringLike", "aws:userid", `"a?c*"`, "abc|abcd|ac|Abc|", "yynnnn"},
		{"StringNotLike", "aws:userid", `"a*"`, "a|b|", "nyyy"},
		{"StringNotLikeIfExists", "aws:userid", `"a*"`, "a|b|", "nyyy"},
		{"ArnLike", "aws:PrincipalArn", `"arn:aws:iam::*:role/a*"`, "arn:aws:iam::1:role/ab|arn:aws:iam::1:role/x/ab|arn:aws:iam::1:user/ab|arn|", "ynnnnn"},
		{"ArnEquals", "aws:PrincipalArn", `"arn:aws:iam::1:role/a"`, "arn:aws:iam::1:role/a|arn:aws:iam::1:role/ab|", "ynnn"},
		{"ArnNotLike", "aws:PrincipalArn", `"arn:aws:iam::1:role/*"`, "arn:aws:iam::1:role/a|arn:aws:iam::2:role/a|", "nyyy"},
		{"ArnNotEquals", "aws:PrincipalArn", `"*"`, "arn:aws:iam::1:role/a|", "nny"},
		{"Bool", "aws:SecureTransport", `"TRUE"`, "true|false|", "ynnn"},
		{"BoolIfExists", "aws:SecureTransport", `false`, "true|false|", "nyny"},
		{"Null", "aws:userid", `"true"`, "a|", "nny"},
		{"Null", "aws:userid", `"False"`, "a|", "yyn"},
		{"Null", "aws:userid", `["true","false"]`, "a|", "yyy"},
		{"IpAddress", "aws:SourceIp", `["10.0.0.0/30","2001:db8::/32"]`, "10.0.0.3|10.0.0.4|::ffff:10.0.0.1|2001:db8::1|2001:db9::1|x|", "ynyynnnn"},
		{"NotIpAddress", "aws:SourceIp", `"10.0.0.1"`, "10.0.0.1|10.0.0.2|", "nyyy"},
		{"NumericEquals", "sts:DurationSeconds", `"1e2"`, "100|100.0|101|x|", "yynnnn"},
		{"NumericNotEquals", "sts:DurationSeconds", `100`, "100|101|x|", "nyyyy"},
		{"NumericLessThan", "sts:DurationSeconds", `100`, "99.5|100|x|", "ynnnn"},
		{"DateEquals", "aws:CurrentTime", `"2026-11-23T12:00:00Z"`, "2026-11-23T12:00:00Z|2026-11-23T13:00:00+01:00|1795435200|2026-11-23|soon|", "yyynnnn"},
		{"DateNotEquals", "aws:CurrentTime", `"2026-11-23"`, "2026-11-23T00:00:00Z|2026-11-23T00:00:01Z|", "nyyy"},
		{"DateLessThan", "aws:CurrentTime", `"2026-11-23T12:00Z"`, "2026-11-23T11:59:59Z|2026-11-23T12:00:00Z|2026-11-23T12:00:01Z|", "ynnnn"},
		{"DateLessThanEquals", "aws:CurrentTime", `"2026-11-23T12:00Z"`, "2026-11-23T11:59:59Z|2026-11-23T12:00:00Z|2026-11-23T12:00:01Z|", "yynnn"},
		{"DateGreaterThan", "aws:CurrentTime", `"2026-11"`, "2026-10-31T23:59:59Z|2026-11-01T00:00:00Z|2026-11-01T00:00:01Z|", "nnynn"},
		{"DateGreaterThanEquals", "aws:EpochTime", `1795435200`, "1795435199|1795435200|1795435201|", "nyynn"},
		{"DateGreaterThanEquals", "aws:EpochTime", `-10000`, "-10001|-10000|", "nynn"},
	} {
		p := parse(t, Identity, `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"`+c.operator+`":{"`+c.key+`":`+c.want+`}}}`)
		holds := func(keys map[string]string) string {
			if Evaluate(Policies{Identity: []*Policy{p}}, Access{Action: "s3:GetObject", Resource: "*", Keys: keys}).Allowed {
				return "y"
			}
			return "n"
		}
		text := ""
		for got := range strings.SplitSeq(c.got, "|") {
			text += holds(map[string]string{strings.ToLower(c.key): got})
		}
		if text += holds(nil); text != c.holds {
			t.Errorf("%s %s of %s and none: %s; want %s", c.operator, c.want, c.got, text, c.holds)
		}
	}
}

// The errors of conditions in full: what is wrong, and what is known.
func TestParse_conditions_say_what_is_implemented(t *testing.T) {
	const (
		head = `policy: statement 1 (Sid "s"): `
		ops  = "ArnEquals, ArnLike, ArnNotEquals, ArnNotLike, Bool, DateEquals, DateGreaterThan, DateGreaterThanEquals, DateLessThan, DateLessThanEquals, DateNotEquals, IpAddress, NotIpAddress, Null, " +
			"NumericEquals, NumericGreaterThan, NumericGreaterThanEquals, NumericLessThan, NumericLessThanEquals, NumericNotEquals, StringEquals, StringEqualsIgnoreCase, StringLike, StringNotEquals, StringNotEqualsIgnoreCase, StringNotLike"
		names = "aws:CurrentTime, aws:EpochTime, aws:PrincipalAccount, aws:PrincipalArn, aws:PrincipalTag/NAME, aws:PrincipalType, aws:RequestTag/NAME, aws:RequestedRegion, aws:ResourceAccount, aws:ResourceTag/NAME, " +
			"aws:SecureTransport, aws:SourceIp, aws:SourceVpc, aws:SourceVpce, aws:TokenIssueTime, aws:UserAgent, aws:ViaAWSService, aws:userid, aws:username, " +
			"kms:MessageType, kms:RequestAlias, kms:SigningAlgorithm, sts:DurationSeconds, sts:ExternalId, sts:IdentityTokenAudience, sts:RoleSessionName, sts:SigningAlgorithm"
	)
	for condition, want := range map[string]string{
		`"x"`:                                              `Condition is "x"; want an object`,
		`{"Bool":{"aws:SecureTransport":"yes"}}`:           `condition Bool on aws:SecureTransport: "yes" is neither true nor false`,
		`{"BinaryEquals":{"aws:userid":"x"}}`:              "condition BinaryEquals on aws:userid: the operator is not implemented; want one of " + ops,
		`{"NullIfExists":{"aws:userid":"x"}}`:              "condition NullIfExists on aws:userid: the operator is not implemented; want one of " + ops,
		`{"StringEquals":{"aws:user":"x"}}`:                "condition StringEquals on aws:user: the key is not implemented; want one of " + names,
		`{"StringEquals":{"aws:userid":{}}}`:               "condition StringEquals on aws:userid: the value is {}; want text",
		`{"StringLike":{"aws:SourceVpce":"x"}}`:            "condition StringLike on aws:SourceVpce: no request here comes through a VPC endpoint, so this could never hold",
		`{"NumericEquals":{"sts:DurationSeconds":"long"}}`: `condition NumericEquals on sts:DurationSeconds: "long" is not a number`,
		`{"DateEquals":{"aws:CurrentTime":"1234"},"Bool":{"aws:ViaAWSService":"maybe"}}`:      `condition Bool on aws:ViaAWSService: "maybe" is neither true nor false`,
		`{"StringEquals":{"aws:userid":"a","aws:UserId":"b"}}`:                                "condition StringEquals on aws:userid: the key comes twice, in two cases",
		`{"IpAddress":{"aws:SourceIp":"10.0.0"}}`:                                             `condition IpAddress on aws:SourceIp: "10.0.0" is neither an address nor a range like 203.0.113.0/24`,
		`{"ArnLike":{"aws:PrincipalArn":"` + strings.Repeat("x", 200) + `"}}`:                 `condition ArnLike on aws:PrincipalArn: "` + strings.Repeat("x", 100) + `" is not an ARN`,
		`{"StringEquals":{"aws:userid":["a",["` + strings.Repeat("ü", 60) + `"]]}}`:           `condition StringEquals on aws:userid: the value is ["` + strings.Repeat("ü", 29) + "…; want text",
		`{"StringEquals":{"aws:userid":"a"},"DateEquals":{"aws:CurrentTime":"99999999999Z"}}`: `condition DateEquals on aws:CurrentTime: "99999999999Z" is not a date like 2026-11-23T09:42:27Z`,
	} {
		_, err := Parse(Identity, `{"Version":"2012-10-17","Statement":{"Sid":"s","Effect":"Deny","Action":"*","Resource":"*","Condition":`+condition+`}}`, 0)
		if err == nil || err.Error() != head+want {
			t.Errorf("%s: %v\nwant %s", condition, err, head+want)
		}
	}
}

// Keys that no request here has are known to negated operators and to Null.
func TestCondition_on_a_VPC_endpoint(t *testing.T) {
	for condition, want := range map[string]string{
		`{"StringNotEquals":{"aws:SourceVpce":"vpce-1"}}`:      "allow",
		`{"StringEqualsIfExists":{"aws:SourceVpce":"vpce-1"}}`: "allow",
		`{"Null":{"aws:SourceVpc":"true"}}`:                    "allow",
		`{"Null":{"aws:SourceVpc":"false"}}`:                   "none",
	} {
		p := parse(t, Identity, `{"Effect":"Allow","Action":"*","Resource":"*","Condition":`+condition+`}`)
		if got := word(Evaluate(Policies{Identity: []*Policy{p}}, request())); got != want {
			t.Errorf("%s: %s; want %s", condition, got, want)
		}
	}
}
