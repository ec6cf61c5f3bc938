package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The doctor on answers that an emulator does not give: what is not allowed, old,
// half made, or no answer at all. Each case changes some operations of a table
// that is well, and the output is what the operator reads, but for the two lines
// that depend on the clock and on how fast this machine is.
func TestDoctor_answers_of_AWS(t *testing.T) {
	well := map[string]string{
		"DescribeTable":      `{"Table":{"TableName":"sessions","TableStatus":"ACTIVE","BillingModeSummary":{"BillingMode":"PAY_PER_REQUEST"},"AttributeDefinitions":[{"AttributeName":"id","AttributeType":"N"},{"AttributeName":"part","AttributeType":"B"}],"KeySchema":[{"AttributeName":"id","KeyType":"HASH"},{"AttributeName":"part","KeyType":"RANGE"}]}}`,
		"DescribeTimeToLive": `{"TimeToLiveDescription":{"AttributeName":"expires","TimeToLiveStatus":"ENABLED"}}`,
		"GetResourcePolicy":  `{"Policy":"{}"}`,
		"ListTagsOfResource": `{"Tags":[{"Key":"failopen-drill","Value":"allowed"}]}`,
		"GetItem":            `{}`,
		"GetCallerIdentity":  `<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/op</Arn><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`,
	}
	const refused = `!{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"no"}`
	const good = `ok    identity       arn:aws:iam::123456789012:user/op
ok    region         us-east-1
ok    table          it is active, and billed on demand
ok    time to live   on "expires"
ok    policy         no drill has left anything in the table's policy
ok    drill tag      the table may be drilled
ok    read           
`
	swap := func(line, with string) string { return strings.Replace(good, line, with, 1) }
	for name, c := range map[string]struct {
		answers map[string]string
		region  string
		code    int
		want    string
	}{
		"well": {nil, "us-east-1", 0, good},
		"another region": {nil, "eu-west-1", 0, swap("ok    region         us-east-1\n",
			"warn  region         AWS_REGION is eu-west-1, and the table is in us-east-1: each call crosses regions\n                       -> keep a cache's table beside the service\n")},
		"no region": {nil, "", 0, swap("ok    region         us-east-1\n",
			"warn  region         AWS_REGION is not set; the table is in us-east-1\n                       -> set AWS_REGION to the region that the service is in\n")},
		"provisioned": {map[string]string{"DescribeTable": strings.Replace(well["DescribeTable"], `"BillingModeSummary":{"BillingMode":"PAY_PER_REQUEST"},`, "", 1)}, "us-east-1", 0, swap("ok    table          it is active, and billed on demand\n",
			"warn  table          it has provisioned capacity\n                       -> billing on demand, or enough units and auto scaling: after an outage every instance fills its cache again\n")},
		"being made": {map[string]string{"DescribeTable": strings.Replace(well["DescribeTable"], "ACTIVE", "CREATING", 1)}, "us-east-1", 1, swap("ok    table          it is active, and billed on demand\n",
			"fail  table          it is CREATING\n                       -> wait until it is ACTIVE\n")},
		"an old global table": {map[string]string{"DescribeTable": strings.Replace(well["DescribeTable"], `"ACTIVE"`, `"ACTIVE","GlobalTableVersion":"2017.11.29"`, 1)}, "us-east-1", 1, swap("ok    table          it is active, and billed on demand\n",
			"fail  table          it is a global table of version 2017.11.29\n                       -> upgrade it to version 2019.11.21 before it is drilled\n")},
		"no table in the answer": {map[string]string{"DescribeTable": `{}`}, "us-east-1", 1, `ok    identity       arn:aws:iam::123456789012:user/op
ok    region         us-east-1
fail  table          DynamoDB has answered without a table
`},
		"time to live that is being enabled": {map[string]string{"DescribeTimeToLive": `{"TimeToLiveDescription":{"TimeToLiveStatus":"ENABLING"}}`}, "us-east-1", 0, swap("ok    time to live   on \"expires\"\n",
			"warn  time to live   it is not enabled\n                       -> enable it on the attribute that the service writes, or the table grows for ever\n")},
		"a drill's policy": {map[string]string{"GetResourcePolicy": `{"Policy":"{\"Statement\":{\"Sid\":\"FailOpenDrill1\"}}"}`}, "us-east-1", 0, swap("ok    policy         no drill has left anything in the table's policy\n",
			"warn  policy         a drill has left its statements in the table's policy\n                       -> if no drill is going on: drill sweep --table "+revokedTable+"\n")},
		"another tag": {map[string]string{"ListTagsOfResource": `{"Tags":[{"Key":"failopen-drill","Value":"forbidden"}]}`}, "us-east-1", 0, swap("ok    drill tag      the table may be drilled\n",
			"warn  drill tag      the table is not tagged\n                       -> tag it failopen-drill=allowed if it may be drilled; drill revoke refuses it without\n")},
		"of another account": {map[string]string{"GetCallerIdentity": strings.ReplaceAll(well["GetCallerIdentity"], "123456789012", "999999999999")}, "us-east-1", 1, swap("ok    identity       arn:aws:iam::123456789012:user/op\n",
			"fail  identity       arn:aws:iam::999999999999:user/op is of the account 999999999999, the table of 123456789012\n                       -> use credentials of the table's account\n")},
	} {
		t.Run(name, func(t *testing.T) {
			fakeAWS(t, well, c.answers)
			t.Setenv("AWS_REGION", c.region)
			code, out, errs := here(t, "doctor", "--table", revokedTable, "--ttl", "expires")
			if got := withoutClocks(out); code != c.code || got != c.want || errs != "" {
				t.Errorf("exit code %d, want %d, %s\n%s\nwant\n%s", code, c.code, errs, got, c.want)
			}
		})
	}
	// What is not allowed is said with the action to allow.
	for operation, want := range map[string]string{
		"DescribeTable": "-> allow dynamodb:DescribeTable, or see whether the endpoint can be reached", "DescribeTimeToLive": "-> allow dynamodb:DescribeTimeToLive, unless a drill denies it now",
		"GetResourcePolicy": "-> allow dynamodb:GetResourcePolicy", "ListTagsOfResource": "-> allow dynamodb:ListTagsOfResource", "GetItem": "-> allow the service's role dynamodb:GetItem, unless a drill denies it now",
	} {
		t.Run("denied "+operation, func(t *testing.T) {
			fakeAWS(t, well, map[string]string{operation: refused})
			if _, out, _ := here(t, "doctor", "--table", revokedTable); !strings.Contains(out, want) || !strings.Contains(out, "AccessDeniedException: no") {
				t.Errorf("no %q in\n%s", want, out)
			}
		})
	}
}

// fakeAWS answers each operation by its name: a body, or an error after "!".
func fakeAWS(t *testing.T, well, changed map[string]string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, operation, ok := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		if !ok {
			operation = r.FormValue("Action") // STS says it in its body
		}
		body, ok := changed[operation]
		if !ok {
			body = well[operation]
		}
		if text, bad := strings.CutPrefix(body, "!"); bad {
			w.WriteHeader(http.StatusBadRequest)
			body = text
		}
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_DYNAMODB": server.URL, "AWS_ENDPOINT_URL_STS": server.URL, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "",
		"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "", "DRILL_CONTROL": "", "DRILL_TOKEN_FILE": "",
	} {
		t.Setenv(name, value)
	}
}

// withoutClocks leaves out the check of the clock, how long a read took with the
// advice on a slow one, and the sum.
func withoutClocks(out string) string {
	var b strings.Builder
	for line := range strings.Lines(out) {
		switch {
		case strings.Contains(line, "  clock  "), strings.Contains(line, "start NTP"), strings.Contains(line, "VPC endpoint used?"), strings.HasSuffix(line, " failed\n"), line == "\n":
		case strings.HasPrefix(line, "ok    read  "), strings.HasPrefix(line, "warn  read  "):
			b.WriteString("ok    read           \n")
		default:
			b.WriteString(line)
		}
	}
	return b.String()
}
