package dynamotest

import (
	"fmt"
	"strings"
	"testing"
)

const statementShape = `{"Version":"2012-10-17","Statement":[%s]}`

func TestPolicy_evaluates(t *testing.T) {
	const (
		allowAll = `{"Effect":"Allow","Action":"*","Resource":"*"}`
		arn      = "arn:aws:dynamodb:us-east-1:123456789012:table/sessions"
		window   = `"Condition":{"DateGreaterThanEquals":{"aws:CurrentTime":"2026-11-23T09:42:27Z"},"DateLessThan":{"aws:CurrentTime":"2026-11-23T09:47:27Z"}}`
		deny     = `{"Effect":"Deny","Action":["dynamodb:*"],"Resource":["` + arn + `","` + arn + `/*"],`
	)
	request := access{"dynamodb:GetItem", arn, map[string]string{
		"aws:currenttime": "2026-11-23T09:45:00Z", "aws:epochtime": "1795427100", "aws:principalarn": "arn:aws:iam::123456789012:user/APP", "aws:securetransport": "false",
	}}
	at := func(now string) access {
		r := request
		r.keys = map[string]string{"aws:currenttime": now}
		return r
	}
	without := request
	without.keys = nil
	for _, c := range []struct {
		name      string
		statement string
		access    access
		want      verdict
	}{
		{"nothing fits", `{"Effect":"Allow","Action":"dynamodb:PutItem","Resource":"*"}`, request, implicitDeny},
		{"another table", `{"Effect":"Allow","Action":"dynamodb:*","Resource":"` + arn + `s"}`, request, implicitDeny},
		{"exact", `{"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"` + arn + `"}`, request, allow},
		{"action in another case", `{"Effect":"Allow","Action":"DynamoDB:getitem","Resource":"*"}`, request, allow},
		{"resource in another case", `{"Effect":"Allow","Action":"*","Resource":"` + strings.ToUpper(arn) + `"}`, request, implicitDeny},
		{"wildcards", `{"Effect":"Allow","Action":"dynamodb:Get*","Resource":"arn:aws:dynamodb:*:*:table/sess?ons"}`, request, allow},
		{"a list", `{"Effect":"Allow","Action":["s3:*","dynamodb:GetItem"],"Resource":["*"]}`, request, allow},
		{"NotAction", `{"Effect":"Allow","NotAction":"dynamodb:PutItem","Resource":"*"}`, request, allow},
		{"NotAction, excluded", `{"Effect":"Allow","NotAction":"dynamodb:Get*","Resource":"*"}`, request, implicitDeny},
		{"NotResource", `{"Effect":"Allow","Action":"*","NotResource":"` + arn + `"}`, request, implicitDeny},
		{"deny beats allow", allowAll + `,{"Effect":"Deny","Action":"dynamodb:GetItem","Resource":"*"}`, request, explicitDeny},
		{"deny first", `{"Effect":"Deny","Action":"dynamodb:GetItem","Resource":"*"},` + allowAll, request, explicitDeny},
		{"a revocation's window is open", allowAll + "," + deny + window + "}", request, explicitDeny},
		{"opens at its first second", allowAll + "," + deny + window + "}", at("2026-11-23T09:42:27Z"), explicitDeny},
		{"not a second earlier", allowAll + "," + deny + window + "}", at("2026-11-23T09:42:26Z"), allow},
		{"closes by itself", allowAll + "," + deny + window + "}", at("2026-11-23T09:47:27Z"), allow},
		{"without a time it does not deny", allowAll + "," + deny + window + "}", without, allow},
		{"IfExists without a time does", allowAll + "," + deny + `"Condition":{"DateLessThanIfExists":{"aws:CurrentTime":"2026-01-01"}}}`, without, explicitDeny},
		{"epoch seconds", `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:EpochTime":1795427101}}}`, request, allow},
		{"a string's values are alternatives", `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringLike":{"aws:PrincipalArn":["x","arn:*:user/APP"]}}}`, request, allow},
		{"a negated string's are not", `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringNotLike":{"aws:PrincipalArn":["x","arn:*:user/APP"]}}}`, request, implicitDeny},
		{"a negated key that is absent", `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringNotEquals":{"aws:userid":"x"}}}`, request, allow},
		{"Bool", `{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`, request, explicitDeny},
		{"Null", `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Null":{"aws:userid":"true"}}}`, request, allow},
		{"two operators are joined", `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"},"StringEquals":{"aws:PrincipalArn":"x"}}}`, request, implicitDeny},
	} {
		p, err := parsePolicy(fmt.Sprintf(statementShape, c.statement))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := evaluate([]*policy{p}, c.access); got != c.want {
			t.Errorf("%s: %v; want %v", c.name, got, c.want)
		}
	}
	one, err := parsePolicy(`{"Version":"2012-10-17","Statement":` + allowAll + `}`)
	if err != nil || evaluate([]*policy{one}, request) != allow {
		t.Errorf("a single statement that is not in a list: %v", err)
	}
}

func TestPolicy_refusesWhatItCannotEvaluate(t *testing.T) {
	for text, want := range map[string]string{
		`{`:                                      "unexpected EOF",
		`{} x`:                                   "text after",
		`{"Statement":[]}`:                       "Version",
		`{"Version":"2012-10-17"}`:               "no Statement",
		`{"Version":"2012-10-17","Statment":[]}`: `unknown field "Statment"`,
		fmt.Sprintf(statementShape, `{"Sid":"a","Effect":"Permit","Action":"*","Resource":"*"}`):                                                              `statement 1 (Sid "a"): Effect`,
		fmt.Sprintf(statementShape, `{"Effect":"Allow","Resource":"*"}`):                                                                                      "Action",
		fmt.Sprintf(statementShape, `{"Effect":"Allow","Action":"*"}`):                                                                                        "Resource",
		fmt.Sprintf(statementShape, `{"Effect":"Allow","Action":"GetItem","Resource":"*"}`):                                                                   "no service prefix",
		fmt.Sprintf(statementShape, `{"Effect":"Allow","Action":"*","Resource":"sessions"}`):                                                                  "neither * nor an ARN",
		fmt.Sprintf(statementShape, `{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}`):                                                         `unknown field "Principal"`,
		fmt.Sprintf(statementShape, `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}`):                 "IpAddress",
		fmt.Sprintf(statementShape, `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"soon"}}}`):                 `"soon" is not a date`,
		fmt.Sprintf(statementShape, `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ForAllValues:StringLike":{"dynamodb:LeadingKeys":["a*"]}}}`): "ForAllValues",
	} {
		if _, err := parsePolicy(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want an error with %q", text, err, want)
		}
	}
}

func TestGlob_takesNoExponentialTime(t *testing.T) {
	if glob(strings.Repeat("*a", 50)+"b", strings.Repeat("a", 10_000)) {
		t.Error("it matched")
	}
}

func TestDecimal(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "-0.00": "0", "+1": "1", "10": "10", "0.10": "0.1", "1e-3": "0.001", "12.34E2": "1234", ".5": "0.5", "5.": "5",
		"9.9999999999999999999999999999999999999E+125": "99999999999999999999999999999999999999" + strings.Repeat("0", 88),
		"1e-130": "0." + strings.Repeat("0", 129) + "1",
	} {
		if d, err := parseDecimal(in); err != nil || d.String() != want {
			t.Errorf("%s: %s, %v; want %s", in, d, err, want)
		}
	}
	ordered := []string{"-1e10", "-10", "-9.5", "-0.1", "0", "0.09", "0.1", "0.11", "9", "9.5", "10", "1e10"}
	for i, a := range ordered {
		for j, b := range ordered {
			x, errX := parseDecimal(a)
			y, errY := parseDecimal(b)
			if got := x.compare(y); errX != nil || errY != nil || (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%s against %s: %d", a, b, got)
			}
		}
	}
}

// A condition is either refused, or can be evaluated on anything.
func FuzzCondition(f *testing.F) {
	for _, s := range []string{
		"attribute_not_exists(#n) OR #n <= :n OR #n > :n", "NOT (a = :n AND b[0].c <> :n)", "a BETWEEN :n AND :n", "size(a) > :n",
		"a IN (:n, :n)", "begins_with(a, :n)", "((((", "a.b[", "contains(a.b.c[1][2], :n)", "attribute_type(a, :n)",
	} {
		f.Add(s)
	}
	one := &value{kind: "N", num: decimal{digits: "1", exp: 1}}
	list := &value{kind: "L", list: []value{*one, {kind: "M", m: map[string]*value{"c": one}}}}
	f.Fuzz(func(t *testing.T, text string) {
		x := expression{names: map[string]string{"#n": "a"}, values: map[string]*value{":n": one}, used: map[string]bool{}}
		c, err := x.parseCondition(text)
		if err != nil {
			return
		}
		for _, it := range []item{nil, {"a": one}, {"a": list, "b": list}, {"a": {kind: "S", str: "x"}}} {
			c(it)
		}
	})
}

// What a value reads, it writes, and reads again as the same.
func FuzzValue(f *testing.F) {
	for _, s := range []string{
		`{"S":"a"}`, `{"N":"-1.50e3"}`, `{"B":"AP8="}`, `{"BOOL":true}`, `{"NULL":true}`, `{"L":[{"S":""}]}`, `{"M":{"x":{"N":"0"}}}`,
		`{"SS":["a","b"]}`, `{"NS":["1","1.0"]}`, `{"BS":[""]}`, `{"S":"\ud800"}`, `{"M":null}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v, again value
		if v.decode(data, 1) != nil {
			return
		}
		text := v.append(nil)
		if err := again.decode(text, 1); err != nil || !v.equal(&again) || v.size() != again.size() {
			t.Fatalf("%s became %s: %v", data, text, err)
		}
	})
}
