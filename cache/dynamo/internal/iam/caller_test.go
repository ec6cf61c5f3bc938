package iam

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const identityAll = `{"Version":"2012-10-17","Statement":` + allowAll + `}`

func caller(t *testing.T, p Principal) *Caller {
	t.Helper()
	if p.AccessKey == "" {
		p.AccessKey, p.SecretKey = "AKIA1", "secret"
	}
	c, err := NewCaller(p, noon)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNewCaller_refuses(t *testing.T) {
	for _, c := range []struct {
		name string
		p    Principal
		want string
	}{
		{"no key", Principal{SecretKey: "s"}, `a principal needs AccessKey and SecretKey`},
		{"no secret", Principal{AccessKey: "A"}, `a principal needs AccessKey and SecretKey`},
		{"a key that would end the credential", Principal{AccessKey: "A/B", SecretKey: "hush"}, `access key "A/B" cannot be part of a signature`},
		{"no ARN", Principal{AccessKey: "A", SecretKey: "hush", ARN: "ann"}, `principal A: ARN is "ann"; want one of six parts, arn:aws:iam::123456789012:user/NAME`},
		{"another scheme", Principal{AccessKey: "A", SecretKey: "hush", ARN: "urn:aws:iam::1:user/x"}, `principal A: ARN is "urn:aws:iam::1:user/x"; want one of six parts, arn:aws:iam::123456789012:user/NAME`},
		{"five parts", Principal{AccessKey: "A", SecretKey: "hush", ARN: "arn:aws:iam:1:user/x"}, `principal A: ARN is "arn:aws:iam:1:user/x"; want one of six parts, arn:aws:iam::123456789012:user/NAME`},
		{"a bucket", Principal{AccessKey: "A", SecretKey: "hush", ARN: "arn:aws:s3:::b/x"}, `principal A: ARN is "arn:aws:s3:::b/x"; want a user, a role, an assumed-role or root`},
		{"a policy", Principal{AccessKey: "A", SecretKey: "hush", Policies: []string{identityAll, `{}`}}, `principal A: policy 2: policy: Version is missing; IAM knows "2012-10-17" and "2008-10-17"`},
		{"a session's policy", Principal{AccessKey: "A", SecretKey: "hush", SessionPolicies: []string{identityAll + strings.Repeat(" ", 2048)}}, `principal A: session policy 1: policy: 2131 bytes, the limit is 2048`},
	} {
		if _, err := NewCaller(c.p, noon); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.want)
		}
	}
}

func TestNewCaller_knows_what_the_ARN_says(t *testing.T) {
	for _, c := range []struct {
		p    Principal
		want map[string]string
	}{
		{Principal{}, map[string]string{
			"aws:principaltype": "User", "aws:username": "AKIA1", "aws:userid": "AKIA1", "aws:principalarn": "arn:aws:iam::123456789012:user/AKIA1",
		}},
		{Principal{ARN: "arn:aws:iam::123456789012:user/ops/ann", UserID: "AIDA1", Tags: map[string]string{"Team": "pay"}}, map[string]string{
			"aws:principaltype": "User", "aws:username": "ann", "aws:userid": "AIDA1", "aws:principaltag/team": "pay",
			"aws:principalarn": "arn:aws:iam::123456789012:user/ops/ann",
		}},
		{Principal{ARN: "arn:aws:sts::123456789012:assumed-role/app/i-1", SessionToken: "t"}, map[string]string{
			"aws:principaltype": "AssumedRole", "aws:userid": "AKIA1:i-1", "aws:tokenissuetime": "2026-11-23T12:00:00Z",
			"aws:principalarn": "arn:aws:iam::123456789012:role/app",
		}},
		{Principal{ARN: "arn:aws:iam::123456789012:role/x/app", Issued: noon.Add(-time.Hour)}, map[string]string{
			"aws:principaltype": "AssumedRole", "aws:userid": "AKIA1", "aws:tokenissuetime": "2026-11-23T11:00:00Z",
			"aws:principalarn": "arn:aws:iam::123456789012:role/x/app",
		}},
		{Principal{ARN: "arn:aws:iam::123456789012:root"}, map[string]string{
			"aws:principaltype": "Account", "aws:userid": "AKIA1", "aws:principalarn": "arn:aws:iam::123456789012:root",
		}},
	} {
		c.want["aws:principalaccount"] = Account
		if got := caller(t, c.p).keys; !maps.Equal(got, c.want) {
			t.Errorf("%s: %v\nwant %v", c.p.ARN, got, c.want)
		}
	}
}

func TestCaller_Expired_at_its_last_moment(t *testing.T) {
	c := caller(t, Principal{Expires: noon})
	if c.Expired(noon.Add(-1)) || !c.Expired(noon) || caller(t, Principal{}).Expired(noon) {
		t.Error("credentials end at Expires, and without one never")
	}
}

func TestCaller_Decide_gives_a_session_no_more_than_its_policy(t *testing.T) {
	get := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"*"}}`
	c := caller(t, Principal{Policies: []string{identityAll}, SessionPolicies: []string{get}})
	for action, want := range map[string]string{
		"dynamodb:GetItem": `allowed by an identity-based policy (statement 1, Sid "")`,
		"dynamodb:PutItem": "because no session policy allows the dynamodb:PutItem action",
	} {
		d := c.Decide(nil, Access{Action: action, Resource: tableARN, Keys: map[string]string{}})
		if d.Why != want || d.Allowed != (action == "dynamodb:GetItem") {
			t.Errorf("%s: %+v\nwant %s", action, d, want)
		}
	}
	want := "User: arn:aws:iam::123456789012:user/AKIA1 is not authorized to perform: dynamodb:PutItem on resource: " + tableARN + " with an explicit deny in a session policy"
	if got := c.Denial("dynamodb:PutItem", tableARN, Decision{Why: `with an explicit deny in a session policy (statement 2, Sid "x")`}); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestCaller_DecideOwned_needs_the_resource_to_agree(t *testing.T) {
	const none, identity = "because no resource-based policy allows the dynamodb:GetItem action", "because no identity-based policy allows the dynamodb:GetItem action"
	trust := func(effect, who string) string {
		return `{"Effect":"` + effect + `","Principal":` + who + `,"Action":"*","Resource":"*"}`
	}
	const account, named, other = `{"AWS":"123456789012"}`, `{"AWS":"arn:aws:iam::123456789012:user/AKIA1"}`, `{"AWS":"arn:aws:iam::123456789012:user/bob"}`
	for _, c := range []struct {
		name, own string
		policies  []string
		want      string // "": allowed
	}{
		{"named is enough", trust("Allow", named), nil, ""},
		{"everybody is enough", trust("Allow", `"*"`), nil, ""},
		{"the account leaves it to the identity, which says nothing", trust("Allow", account), nil, identity},
		{"and which allows it", trust("Allow", account), []string{identityAll}, ""},
		{"the identity alone is not enough", trust("Allow", other), []string{identityAll}, none},
		{"a deny wins", trust("Allow", named) + "," + trust("Deny", named), []string{identityAll}, `with an explicit deny in a resource-based policy (statement 2, Sid "")`},
		{"the identity's own deny is told", trust("Allow", other), []string{`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`}, `with an explicit deny in an identity-based policy (statement 1, Sid "")`},
		{"a condition on the caller", trust("Allow", account), []string{`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:username":"AKIA1"}}}}`}, ""},
		{"an account and a name", trust("Allow", account) + "," + trust("Allow", named), nil, ""},
	} {
		who := caller(t, Principal{Policies: c.policies})
		d := who.DecideOwned(parse(t, Resource, c.own), Access{Action: "dynamodb:GetItem", Resource: tableARN, Keys: map[string]string{}})
		if d.Allowed != (c.want == "") || !d.Allowed && d.Why != c.want {
			t.Errorf("%s: %+v\nwant %s", c.name, d, c.want)
		}
	}
}

func TestEvaluate_numbers(t *testing.T) {
	for operator, want := range map[string]string{ // of 899, 900, 900.0, 901
		"NumericEquals": "nyyn", "NumericNotEquals": "ynny", "NumericLessThan": "ynnn",
		"NumericLessThanEquals": "yyyn", "NumericGreaterThan": "nnny", "NumericGreaterThanEquals": "nyyy",
	} {
		p := parse(t, Identity, `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"`+operator+`":{"sts:DurationSeconds":900}}}`)
		got := ""
		for _, seconds := range []string{"899", "900", "900.0", "901"} {
			d := Evaluate(Policies{Identity: []*Policy{p}}, Access{Action: "sts:AssumeRole", Resource: "*", Keys: map[string]string{"sts:durationseconds": seconds}})
			got += map[bool]string{true: "y", false: "n"}[d.Allowed]
		}
		if got != want {
			t.Errorf("%s 900: %s for 899, 900, 900.0, 901; want %s", operator, got, want)
		}
	}
}

func TestPolicy_Principals_each_once(t *testing.T) {
	p := parse(t, Resource, `{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::123456789012:role/b","*","arn:aws:iam::123456789012:role/a"]},"Action":"*","Resource":"*"},
		{"Effect":"Deny","Principal":{"AWS":["123456789012","arn:aws:iam::123456789012:role/b"]},"Action":"*","Resource":"*"}`)
	want := "arn:aws:iam::123456789012:role/b arn:aws:iam::123456789012:role/a arn:aws:iam::123456789012:root"
	if got := strings.Join(p.Principals(), " "); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestCallers_developer_until_somebody_is_set(t *testing.T) {
	var gone Callers
	if gone.Delete("A"); gone.Get(DeveloperAccessKey) == nil {
		t.Error("that somebody else was deleted has taken the development credentials along")
	}
	if gone.Delete(DeveloperAccessKey); gone.Get(DeveloperAccessKey) != nil {
		t.Error("the development credentials are known after they were deleted")
	}
	var c Callers
	arn := "arn:aws:iam::123456789012:user/DYNAMOTEST"
	if c.Get(DeveloperAccessKey) == nil || !c.Named(arn) || c.Known(DeveloperAccessKey) {
		t.Error("the zero value does not know the development credentials, or takes them for set")
	}
	if err := c.Set(Principal{AccessKey: "A"}, noon); err == nil || c.Get(DeveloperAccessKey) == nil {
		t.Errorf("an error (%v) has changed something", err)
	}
	if err := c.Set(Principal{AccessKey: "A", SecretKey: "s"}, noon); err != nil {
		t.Fatal(err)
	}
	if c.Get(DeveloperAccessKey) != nil || c.Named(arn) || !c.Known("A") || !c.Named("arn:aws:iam::123456789012:user/A") {
		t.Error("the development credentials are still known, or A is not")
	}
	c.Delete("A")
	if c.Get("A") != nil || c.Known("A") || c.Get(DeveloperAccessKey) != nil {
		t.Error("A is still known, or the development credentials are again")
	}
}

// signedAt is a request to DynamoDB with a signature by a secret.
func signedAt(at time.Time, secret string) *http.Request {
	r, err := http.NewRequest(http.MethodPost, "http://db.example/", http.NoBody)
	if err != nil {
		panic(err)
	}
	stamp := at.Format(amzDate)
	r.Header.Set("X-Amz-Date", stamp)
	scope := []string{stamp[:8], "us-east-1", "dynamodb", "aws4_request"}
	key := []byte("AWS4" + secret)
	for _, part := range scope {
		key = mac(key, part)
	}
	sum := sha256.Sum256(canonicalRequest(r, []string{"host", "x-amz-date"}, nil))
	signature := hex.EncodeToString(mac(key, "AWS4-HMAC-SHA256\n"+stamp+"\n"+strings.Join(scope, "/")+"\n"+hex.EncodeToString(sum[:])))
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIA1/"+strings.Join(scope, "/")+", SignedHeaders=host;x-amz-date, Signature="+signature)
	return r
}

func TestAuthenticate_in_the_words_of_the_service(t *testing.T) {
	const invalid = "UnrecognizedClientException: The security token included in the request is invalid."
	for _, c := range []struct {
		name   string
		change func(*http.Request)
		at     time.Duration // of the signature
		who    *Principal
		want   string
	}{
		{"right", nil, 0, &Principal{}, ""},
		{"nobody", nil, 0, nil, invalid},
		{"another secret", nil, 0, &Principal{AccessKey: "AKIA1", SecretKey: "other"}, "InvalidSignatureException: The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."},
		{"no token", nil, 0, &Principal{SessionToken: "t"}, invalid},
		{"expired", nil, 0, &Principal{Expires: noon}, "ExpiredTokenException: The security token included in the request is expired"},
		{"five minutes old", nil, -5 * time.Minute, &Principal{}, ""},
		{"older", nil, -301 * time.Second, &Principal{}, "InvalidSignatureException: Signature expired: 20261123T115459Z is now earlier than 20261123T115500Z (20261123T120000Z - 5 min.)"},
		{"newer", nil, 301 * time.Second, &Principal{}, "InvalidSignatureException: Signature not yet current: 20261123T120501Z is still later than 20261123T120500Z (20261123T120000Z + 5 min.)"},
		{"no date", func(r *http.Request) { r.Header.Del("X-Amz-Date") }, 0, &Principal{}, "IncompleteSignatureException: Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."},
		{"a header that is not signed", func(r *http.Request) { r.Header.Set("X-Amz-Target", "x") }, 0, &Principal{}, "InvalidSignatureException: 'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization."},
		{"another host", func(r *http.Request) { r.Host = "evil.example" }, 0, &Principal{AccessKey: "AKIA1", SecretKey: "secret"}, "InvalidSignatureException: The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."},
	} {
		r := signedAt(noon.Add(c.at), "secret")
		if c.change != nil {
			c.change(r)
		}
		sig, err := ParseSignature(r)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var who *Caller
		if c.who != nil {
			who = caller(t, *c.who)
		}
		got := ""
		if err := Authenticate(r, nil, sig, "dynamodb", who, noon); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestParseSignature_says_what_is_missing(t *testing.T) {
	for header, want := range map[string]string{
		"":                             "MissingAuthenticationTokenException: Request is missing Authentication Token",
		"Basic x":                      "IncompleteSignatureException: Authorization header is not of the form AWS4-HMAC-SHA256 Credential=, SignedHeaders=, Signature=",
		"AWS4-HMAC-SHA256 Signature=x": "IncompleteSignatureException: Authorization header requires 'Credential' parameter.",
		"AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host":               "IncompleteSignatureException: Authorization header requires 'Signature' parameter.",
		"AWS4-HMAC-SHA256 Credential=x/y, SignedHeaders=host, Signature=": "IncompleteSignatureException: Authorization header requires 'Signature' parameter.",
		"AWS4-HMAC-SHA256 Credential=x/y, SignedHeaders=host,Signature=0": "IncompleteSignatureException: Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term",
	} {
		r, _ := http.NewRequest(http.MethodPost, "http://db.example/", http.NoBody)
		r.Header.Set("Authorization", header)
		if _, err := ParseSignature(r); err == nil || err.Error() != want {
			t.Errorf("%q: %v\nwant %s", header, err, want)
		}
	}
}

func TestRequestKeys_take_no_address_from_a_header(t *testing.T) {
	r, _ := http.NewRequest(http.MethodPost, "https://db.example/", http.NoBody)
	r.RemoteAddr = "[2001:db8::1]:4711"
	r.Header.Set("X-Forwarded-For", "10.0.0.1")
	r.Header.Set("User-Agent", "me")
	want := map[string]string{
		"aws:currenttime": "2026-11-23T12:00:00Z", "aws:epochtime": "1795435200", "aws:requestedregion": "eu-west-1", "aws:resourceaccount": Account,
		"aws:securetransport": "true", "aws:sourceip": "2001:db8::1", "aws:useragent": "me", "aws:viaawsservice": "false",
	}
	if got := RequestKeys(r, "eu-west-1", noon); !maps.Equal(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
	if r.RemoteAddr = ""; RequestKeys(r, "", noon)["aws:sourceip"] != "127.0.0.1" {
		t.Error("in memory, the address is not this machine's")
	}
}

func TestIsAction_and_misspelt_ones(t *testing.T) {
	if !IsAction("getitem") || IsAction("GetItems") || IsAction("Get*") {
		t.Error("IsAction: want getitem and neither GetItems nor Get*")
	}
	for action, want := range map[string]string{
		"dynamodb:TransactGetItems": `"dynamodb:TransactGetItems" is no action: a transaction needs those of its parts, such as dynamodb:PutItem`,
		"dynamodb:GetItems":         `"dynamodb:GetItems" matches no action of DynamoDB, so it would never apply`,
		"get item":                  `action "get item" is neither * nor of the form service:Name (letters and digits; wildcards in Name only)`,
	} {
		_, err := Parse(Identity, `{"Version":"2012-10-17","Statement":{"Sid":"s","Effect":"Allow","Action":"`+action+`","Resource":"*"}}`, 0)
		if want = `policy: statement 1 (Sid "s"): ` + want; err == nil || err.Error() != want {
			t.Errorf("%s: %v\nwant %s", action, err, want)
		}
	}
}
