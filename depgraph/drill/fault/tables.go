package fault

import (
	"encoding/json"
	"slices"
	"strings"
)

// TablesOf are the tables that the body of a request to DynamoDB names, each
// once, sorted, and by its name also where the request has its ARN. It is for
// those who write an adapter: Call.Tables. A request of another service names
// none.
func TablesOf(body []byte) []string {
	var in struct {
		TableName     string
		RequestItems  map[string]json.RawMessage
		TransactItems []map[string]struct{ TableName string }
	}
	if json.Unmarshal(body, &in) != nil {
		return nil // not DynamoDB's
	}
	var names []string
	add := func(name string) {
		if strings.HasPrefix(name, "arn:") {
			_, name, _ = strings.Cut(name, ":table/")
			name, _, _ = strings.Cut(name, "/") // of an index or a stream
		}
		if name != "" {
			names = append(names, name)
		}
	}
	add(in.TableName)
	for name := range in.RequestItems {
		add(name)
	}
	for _, item := range in.TransactItems {
		for _, part := range item {
			add(part.TableName)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
