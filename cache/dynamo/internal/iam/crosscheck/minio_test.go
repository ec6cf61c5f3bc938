// Package crosscheck weighs random policies and requests with an evaluator that
// was not written here: MinIO's. It is a module of its own, so that nobody
// inherits that.
//
// MinIO knows S3's actions and resources, so the policies are about those; ours
// does not care what they are about.
package crosscheck_test

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/minio/pkg/v3/policy"

	"github.com/failopen/failopen/cache/dynamo/internal/iam"
)

var (
	actions   = []string{"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:GetObjectTagging", "s3:PutObjectTagging"}
	patterns  = []string{"s3:*", "s3:Get*", "s3:GetObject", "s3:PutObject", "s3:*Tagging", "s3:?etObject", "s3:DeleteObject"}
	resources = []string{"arn:aws:s3:::*", "arn:aws:s3:::tables/*", "arn:aws:s3:::tables/a*", "arn:aws:s3:::tables/a?c", "arn:aws:s3:::other/*", "arn:aws:s3:::tables/abc", "arn:aws:s3:::t*/*c"}
	objects   = []string{"tables/abc", "tables/ab", "tables/x", "other/abc", "tables/a/c"}
)

// conditions are pairs of an operator and a key with values that both know.
var conditions = []struct {
	operator, key string
	values        []string
}{
	{"StringEquals", "aws:username", []string{"ann", "bob"}},
	{"StringNotEquals", "aws:username", []string{"ann"}},
	{"StringEqualsIgnoreCase", "aws:username", []string{"ANN"}},
	{"StringNotEqualsIgnoreCase", "aws:username", []string{"ANN", "Carl"}},
	{"StringLike", "aws:username", []string{"a*", "?ob"}},
	{"StringNotLike", "aws:username", []string{"a*"}},
	{"StringLike", "aws:UserAgent", []string{"curl/*"}},
	{"StringEquals", "aws:userid", []string{"id-1"}},
	{"IpAddress", "aws:SourceIp", []string{"10.0.0.0/8", "192.0.2.7/32"}},
	{"NotIpAddress", "aws:SourceIp", []string{"10.1.0.0/16"}},
	{"Bool", "aws:SecureTransport", []string{"true"}},
	{"DateLessThan", "aws:CurrentTime", []string{"2026-06-01T00:00:00Z"}},
	{"DateGreaterThanEquals", "aws:CurrentTime", []string{"2026-01-01T00:00:00Z"}},
	{"DateNotEquals", "aws:CurrentTime", []string{"2026-06-01T00:00:00Z"}},
	{"Null", "aws:username", []string{"true"}},
	{"Null", "aws:SourceIp", []string{"false"}},
}

// values of the condition keys; "" is absence.
var values = map[string][]string{
	"username":        {"ann", "Ann", "bob", "carl", ""},
	"UserAgent":       {"curl/8", "Go-http-client/1.1", ""},
	"userid":          {"id-1", "id-2", ""},
	"SourceIp":        {"10.1.2.3", "10.9.9.9", "192.0.2.7", "203.0.113.1"},
	"SecureTransport": {"true", "false"},
	"CurrentTime":     {"2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z", "2026-11-25T12:00:00Z"},
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func some(r *rand.Rand, list []string) []string {
	var out []string
	for range 1 + r.IntN(2) {
		out = append(out, pick(r, list))
	}
	return out
}

func document(r *rand.Rand) string {
	var statements []map[string]any
	for range 1 + r.IntN(3) {
		s := map[string]any{"Effect": pick(r, []string{"Allow", "Allow", "Deny"}), "Action": some(r, patterns), "Resource": some(r, resources)}
		with := map[string]map[string][]string{}
		for range r.IntN(3) {
			c := pick(r, conditions)
			if with[c.operator] == nil {
				with[c.operator] = map[string][]string{}
			}
			with[c.operator][c.key] = c.values
		}
		if len(with) > 0 {
			s["Condition"] = with
		}
		statements = append(statements, s)
	}
	text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	if err != nil {
		panic(err)
	}
	return string(text)
}

func TestMinIO(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	allowed, compared := 0, 0
	for range 4000 {
		text := document(r)
		ours, err := iam.Parse(iam.Identity, text, 0)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		theirs, err := policy.ParseConfig(strings.NewReader(text))
		if err != nil {
			t.Fatalf("MinIO: %s: %v", text, err)
		}
		for range 10 {
			action, object := pick(r, actions), pick(r, objects)
			keys, their := map[string]string{}, map[string][]string{}
			for name, list := range values {
				if v := pick(r, list); v != "" {
					keys["aws:"+strings.ToLower(name)] = v
					their[name] = []string{v}
				}
			}
			d := iam.Evaluate(iam.Policies{Identity: []*iam.Policy{ours}}, iam.Access{Action: action, Resource: "arn:aws:s3:::" + object, Keys: keys})
			bucket, name, _ := strings.Cut(object, "/")
			want := theirs.IsAllowed(policy.Args{Action: policy.Action(action), BucketName: bucket, ObjectName: name, ConditionValues: their})
			compared++
			if d.Allowed {
				allowed++
			}
			if d.Allowed != want {
				t.Fatalf("%s\n%s on %s with %v: %v (%s), MinIO says %v", text, action, object, keys, d.Allowed, d.Why, want)
			}
		}
	}
	if allowed < compared/10 || allowed > compared*9/10 {
		t.Errorf("%d of %d are allowed: the policies are not worth a comparison", allowed, compared)
	}
}
