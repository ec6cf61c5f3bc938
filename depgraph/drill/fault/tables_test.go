package fault_test

import (
	"slices"
	"testing"

	"github.com/failopen/failopen/depgraph/drill/fault"
)

func TestTablesOf(t *testing.T) {
	for body, want := range map[string][]string{
		`{"TableName":"sessions"}`: {"sessions"},
		`{"TableName":"arn:aws:dynamodb:eu-west-1:123456789012:table/sessions"}`:                                       {"sessions"},
		`{"TableName":"arn:aws:dynamodb:eu-west-1:123456789012:table/sessions/index/by-user"}`:                         {"sessions"},
		`{"RequestItems":{"b":{},"a":{},"arn:aws:dynamodb:eu-west-1:123456789012:table/b":{}}}`:                        {"a", "b"},
		`{"TransactItems":[{"Put":{"TableName":"b"}},{"ConditionCheck":{"TableName":"a"}},{"Get":{"TableName":"b"}}]}`: {"a", "b"},
		`{"TableName":"arn:aws:sns:eu-west-1:123456789012:topic"}`:                                                     nil,
		`{}`: nil, `[]`: nil, `<xml/>`: nil, ``: nil, `{"TableName":7}`: nil,
	} {
		if got := fault.TablesOf([]byte(body)); !slices.Equal(got, want) {
			t.Errorf("%s: %v; want %v", body, got, want)
		}
	}
}
