package dynamotest

import (
	"slices"
	"strings"
)

// maxPage is how much one answer may hold. The service goes on with the next
// page; this one refuses.
const maxPage = 1 << 20

// query answers with the items of one partition, in the order of their sort
// keys: KeyConditionExpression can be "name = :value" only.
func (c *call) query(in *struct {
	target
	KeyConditionExpression    string
	ExpressionAttributeValues item
	ConsistentRead            bool
},
) (any, *apiError) {
	x := expression{names: in.ExpressionAttributeNames, values: in.ExpressionAttributeValues, used: map[string]bool{}}
	holds, err := x.parseCondition(in.KeyConditionExpression)
	if err != nil {
		return nil, asAPI(err)
	}
	if err := x.check(true); err != nil {
		return nil, err
	}
	t, apiErr := c.itemTable(in.TableName)
	if apiErr != nil {
		return nil, apiErr
	}
	defer c.server.mu.Unlock()
	tokens := tokenize(in.KeyConditionExpression)
	name := tokens[0]
	if full, ok := in.ExpressionAttributeNames[name]; ok {
		name = full
	}
	switch {
	case len(tokens) != 3 || tokens[1] != "=" || !strings.HasPrefix(tokens[2], ":"):
		return nil, validation("dynamotest implements KeyConditionExpression as \"name = :value\" only")
	case name != t.hash.name:
		return nil, validation("Query condition missed key schema element: %s", t.hash.name)
	case t.sort != nil && t.sort.kind != "S":
		return nil, validation("dynamotest queries tables whose sort key is a string")
	}
	found := []item{}
	size := 0
	for _, it := range t.items {
		if holds(it) {
			found = append(found, it)
			size += it.size()
		}
	}
	if size > maxPage {
		return nil, validation("dynamotest answers a Query with at most 1 MB")
	}
	units := readUnits(size, in.ConsistentRead)
	if !c.server.read.take(units, c.now) {
		return nil, c.throttled(t)
	}
	if t.sort != nil {
		slices.SortFunc(found, func(a, b item) int {
			return strings.Compare(string(a[t.sort.name].appendScalar(nil)), string(b[t.sort.name].appendScalar(nil)))
		})
	}
	shown := make([]item, len(found))
	for i, it := range found {
		shown[i] = c.shown(t, it)
	}
	out := map[string]any{"Items": shown, "Count": len(shown), "ScannedCount": len(shown)}
	in.consumed(out, units)
	return out, nil
}
