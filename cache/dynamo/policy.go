package dynamo

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// PolicyScope names the table that a [Policy] is about. Region, Account and
// Table are required.
type PolicyScope struct {
	Partition string // default: the region's, such as aws
	Region    string // such as eu-central-1
	Account   string // twelve digits
	Table     string // the name, not the ARN
}

// scopePatterns are those of the parts of a scope.
// Patterns of what may go into an ARN. Anything else could widen it: a * or a
// / in a name would.
var scopePatterns = []struct {
	field   string
	get     func(PolicyScope) string
	pattern *regexp.Regexp
}{
	{"Partition", func(s PolicyScope) string { return s.Partition }, regexp.MustCompile(`^aws(-[a-z]+)*$`)},
	{"Region", func(s PolicyScope) string { return s.Region }, regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$`)},
	{"Account", func(s PolicyScope) string { return s.Account }, regexp.MustCompile(`^[0-9]{12}$`)},
	{"Table", func(s PolicyScope) string { return s.Table }, regexp.MustCompile(`^[A-Za-z0-9_.-]{3,255}$`)},
}

type policyDocument struct {
	Version   string
	Statement []policyStatement
}

type policyStatement struct {
	Sid      string
	Effect   string
	Action   []string
	Resource string
}

// partition is that of a region: IAM refuses, in China and for governments, an ARN
// of any other.
func partition(region string) string {
	for prefix, name := range map[string]string{"cn-": "aws-cn", "us-gov-": "aws-us-gov", "us-iso-": "aws-iso", "us-isob-": "aws-iso-b", "eu-isoe-": "aws-iso-e", "us-isof-": "aws-iso-f", "eusc-": "aws-eusc"} {
		if strings.HasPrefix(region, prefix) {
			return name
		}
	}
	return "aws"
}

// Policy returns the least IAM policy that a [Store] needs, as an indented
// JSON document: reads and writes are separate statements, so that either can
// be revoked alone. Names that do not belong into an ARN are refused.
func Policy(scope PolicyScope) (string, error) {
	scope.Partition = cmp.Or(scope.Partition, partition(scope.Region))
	for _, p := range scopePatterns {
		if v := p.get(scope); !p.pattern.MatchString(v) {
			return "", fmt.Errorf("dynamo: PolicyScope.%s is %q; want %s", p.field, v, p.pattern)
		}
	}
	arn := fmt.Sprintf("arn:%s:dynamodb:%s:%s:table/%s", scope.Partition, scope.Region, scope.Account, scope.Table)
	doc, err := json.MarshalIndent(policyDocument{
		Version: "2012-10-17",
		Statement: []policyStatement{
			{"FailOpenCacheRead", "Allow", []string{"dynamodb:GetItem", "dynamodb:BatchGetItem"}, arn},
			{"FailOpenCacheWrite", "Allow", []string{"dynamodb:PutItem"}, arn},
		},
	}, "", "  ")
	return string(doc), err
}
