package fault_test

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/depgraph/drill/fault"
)

func TestParseRules(t *testing.T) {
	// The first is a rule as LocalStack's chaos API takes it.
	got, err := fault.ParseRules([]byte(`[
		{"region": "us-east-1", "service": "dynamodb", "operation": "GetItem", "probability": 0.5,
		 "error": {"statusCode": 503, "code": "ServiceUnavailableException"}},
		{"table": "sessions", "from": "30s", "until": "1h30m", "latency": {"base": "8s", "jitter": "250ms"}},
		{"net": "blackhole"}
	]`))
	want := []fault.Rule{
		{Region: "us-east-1", Service: "dynamodb", Operation: "GetItem", Probability: 0.5, Error: &fault.APIError{StatusCode: 503, Code: "ServiceUnavailableException"}},
		{Table: "sessions", From: 30 * time.Second, Until: 90 * time.Minute, Latency: &fault.Latency{Base: 8 * time.Second, Jitter: 250 * time.Millisecond}},
		{Net: fault.BlackHole},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, %v; want %+v", got, err, want)
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := fault.ParseRules(text); err != nil || !reflect.DeepEqual(again, want) {
		t.Errorf("%s reads as %+v, %v", text, again, err)
	}
}

func TestParseRules_says_what_is_wrong(t *testing.T) {
	for text, want := range map[string]string{
		`[{"net": "reset"},` + "\n" + `{"net": reset}]`: "line 2:",
		`{"net": "reset"}`:                            "rules:",
		`[{"net": "reset"}] x`:                        "text after",
		`[{"net": "reset"}, {"net": "blckhole"}]`:     `rule 2: net: unknown kind "blckhole"; want one of reset, eof, blackhole`,
		`[{"servce": "dynamodb", "net": "reset"}]`:    `rule 1: json: unknown field "servce"`,
		`[{"Service": "dynamodb", "net": "reset"}]`:   `rule 1: unknown field "Service"`,
		`[{"net": "reset", "net": "html"}]`:           `rule 1: the field "net" comes twice`,
		`[{"latency": {"base": "1s", "BASE": "2s"}}]`: `rule 1: unknown field "BASE"`,
		`null`:                            "null is no list",
		`[{"net": "reset", "first": -1}]`: "first -1",
		`[{"net": "reset", "table": "arn:aws:dynamodb:us-east-1:123456789012:table/sessions"}]`: "want the table's name",
		`[{"service": "dynamodb"}]`:                                 "rule 1: nothing happens: want error, net, latency or bandwidth",
		`[{"net": "reset", "error": {"code": "X"}}]`:                "both set",
		`[{"net": "reset", "probability": 1.5}]`:                    "probability: 1.5",
		`[{"net": "reset", "until": 30}]`:                           `30 is not a duration; want text such as "1m30s"`,
		`[{"net": "reset", "until": "soon"}]`:                       `"soon"`,
		`[{"net": "reset", "from": "10s", "until": "5s"}]`:          "until: 5s is not after from, 10s",
		`[{"net": "reset", "from": "-1s"}]`:                         "from: -1s",
		`[{"error": {"statusCode": 500}}]`:                          "error: code is missing",
		`[{"error": {"statusCode": 200, "code": "X"}}]`:             "statusCode: 200",
		`[{"latency": {"base": "-1s"}}]`:                            "latency: base -1s",
		`[{"latency": {}}]`:                                         "latency: base 0s",
		`[{"latency": {"base": "1s", "max": "2s"}, "net": "html"}]`: `unknown field "max"`,
	} {
		rules, err := fault.ParseRules([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v; want an error with %q", text, rules, err, want)
		}
	}
	if err := (fault.Rule{Net: fault.Reset, Probability: math.NaN()}).Validate(); err == nil {
		t.Error("a probability that is not a number was accepted")
	}
}

func FuzzParseRules(f *testing.F) {
	f.Add([]byte(`[{"net":"reset","from":"1s","until":"2s","probability":0.5}]`))
	f.Add([]byte(`[{"error":{"code":"X","statusCode":500,"message":"m"},"latency":{"base":"1ms"}}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		rules, err := fault.ParseRules(data)
		if err != nil {
			return
		}
		text, err := json.Marshal(rules)
		if err != nil {
			t.Fatalf("%+v: %v", rules, err)
		}
		again, err := fault.ParseRules(text)
		if err != nil || len(again) > 0 && !reflect.DeepEqual(again, rules) {
			t.Fatalf("%s became %+v, %v", text, again, err)
		}
		if err := fault.New(fault.Options{}).Set(rules...); err != nil {
			t.Fatal(err)
		}
	})
}

// A probability that a script turns down to 0 must end as never, not as always.
func TestParseRules_probability(t *testing.T) {
	for text, want := range map[string]fault.Rule{
		`[{"net": "reset"}]`:                        {Net: fault.Reset},
		`[{"net": "reset", "probability": 0}]`:      {Net: fault.Reset, Off: true},
		`[{"net": "reset", "probability": 0.0}]`:    {Net: fault.Reset, Off: true},
		`[{"net": "reset", "probability": -0}]`:     {Net: fault.Reset, Off: true},
		`[{"net": "reset", "probability": 1}]`:      {Net: fault.Reset, Probability: 1},
		`[{"net": "reset", "first": 2, "every":3}]`: {Net: fault.Reset, First: 2, Every: 3},
	} {
		rules, err := fault.ParseRules([]byte(text))
		if err != nil || len(rules) != 1 || !reflect.DeepEqual(rules[0], want) {
			t.Errorf("%s: %+v, %v; want %+v", text, rules, err, want)
			continue
		}
		again, err := json.Marshal(rules)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := fault.ParseRules(again); err != nil || !reflect.DeepEqual(back, rules) {
			t.Errorf("%s is written as %s, read as %+v, %v", text, again, back, err)
		}
	}
}
