package dynamotest

import (
	"maps"
	"slices"
	"strings"
)

// maxPage is how much one answer may hold; the next page goes on from there.
const maxPage = 1 << 20

type queryInput struct {
	target
	KeyConditionExpression    string
	FilterExpression          *string
	ExpressionAttributeValues item
	ConsistentRead            bool
	ScanIndexForward          *bool
	Limit                     *int
	ExclusiveStartKey         item
}

// query answers with the items of one partition, in the order of their sort
// keys.
func (c *call) query(in *queryInput) (any, *apiError) {
	x := expression{names: in.ExpressionAttributeNames, values: in.ExpressionAttributeValues, used: map[string]bool{}}
	holds, err := x.parseCondition(in.KeyConditionExpression)
	if err != nil {
		return nil, asAPI(err)
	}
	filter := func(item) bool { return true }
	if in.FilterExpression != nil {
		if filter, err = x.parseCondition(*in.FilterExpression); err != nil {
			return nil, asAPI(err)
		}
	}
	if err := x.check(true); err != nil {
		return nil, err
	}
	if in.Limit != nil && *in.Limit < 1 {
		return nil, badLimit(*in.Limit)
	}
	t, apiErr := c.itemTable(in.TableName)
	if apiErr != nil {
		return nil, apiErr
	}
	defer c.server.mu.Unlock()
	if err := t.checkKeyCondition(in); err != nil {
		return nil, err
	}
	found, err2 := t.partition(in, holds)
	if err2 != nil {
		return nil, err2
	}
	return c.page(t, found, in.Limit, in.ConsistentRead, filter, in.consumed)
}

// scan answers with the items of a table, in an order of its own that stays the
// same.
func (c *call) scan(in *struct {
	target
	FilterExpression          *string
	ExpressionAttributeValues item
	ConsistentRead            bool
	Limit                     *int
	ExclusiveStartKey         item
},
) (any, *apiError) {
	x := expression{names: in.ExpressionAttributeNames, values: in.ExpressionAttributeValues, used: map[string]bool{}}
	filter := func(item) bool { return true }
	if in.FilterExpression != nil {
		var err error
		if filter, err = x.parseCondition(*in.FilterExpression); err != nil {
			return nil, asAPI(err)
		}
	}
	if err := x.check(in.FilterExpression != nil); err != nil {
		return nil, err
	}
	if in.Limit != nil && *in.Limit < 1 {
		return nil, badLimit(*in.Limit)
	}
	t, apiErr := c.itemTable(in.TableName)
	if apiErr != nil {
		return nil, apiErr
	}
	defer c.server.mu.Unlock()
	after := ""
	if in.ExclusiveStartKey != nil {
		if after, apiErr = t.keyOf(in.ExclusiveStartKey, true); apiErr != nil {
			return nil, validation("The provided starting key is invalid")
		}
	}
	found := []item{}
	for _, key := range slices.Sorted(maps.Keys(t.items)) {
		if key > after {
			found = append(found, t.items[key])
		}
	}
	return c.page(t, found, in.Limit, in.ConsistentRead, filter, in.consumed)
}

func badLimit(limit int) *apiError {
	return validation("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1", limit)
}

// page answers with as many of the items as fit, those that the filter lets
// through. The lock is held.
func (c *call) page(t *table, found []item, limit *int, consistent bool, filter condition, consumed func(map[string]any, float64)) (any, *apiError) {
	page, size, last := pageOf(found, limit)
	units := readUnits(size, consistent)
	if !c.server.read.take(units, c.now) {
		return nil, c.throttled(t)
	}
	shown := []item{}
	for _, it := range page {
		if filter(it) {
			shown = append(shown, c.shown(t, it))
		}
	}
	out := map[string]any{"Items": shown, "Count": len(shown), "ScannedCount": len(page)}
	if last != nil {
		out["LastEvaluatedKey"] = t.primaryKey(last)
	}
	consumed(out, units)
	return out, nil
}

// partition is what the key condition selects, in order, from after the start
// key on. The lock is held.
func (t *table) partition(in *queryInput, holds condition) ([]item, *apiError) {
	found := []item{}
	for _, it := range t.items {
		if holds(it) {
			found = append(found, it)
		}
	}
	order := func(a, b item) int {
		if t.sort == nil {
			return 0
		}
		o, _ := a[t.sort.name].compare(b[t.sort.name]) // of one kind: the table has seen to it
		if in.ScanIndexForward != nil && !*in.ScanIndexForward {
			o = -o
		}
		return o
	}
	slices.SortFunc(found, order)
	if in.ExclusiveStartKey == nil {
		return found, nil
	}
	if _, err := t.keyOf(in.ExclusiveStartKey, true); err != nil {
		return nil, validation("The provided starting key is invalid")
	}
	if t.sort == nil {
		return nil, nil // the partition has one item, and it was before
	}
	return slices.DeleteFunc(found, func(it item) bool { return order(it, in.ExclusiveStartKey) <= 0 }), nil
}

// pageOf is what one answer looks at: at most limit items, and at most 1 MB.
// last is where it stopped before the end.
func pageOf(found []item, limit *int) (page []item, size int, last item) {
	for i, it := range found {
		if limit != nil && i == *limit || i > 0 && size+it.size() > maxPage {
			return page, size, page[i-1]
		}
		page, size = append(page, it), size+it.size()
	}
	if limit != nil && len(page) == *limit {
		last = page[len(page)-1] // the service does not look further
	}
	return page, size, last
}

// primaryKey is an item's key alone.
func (t *table) primaryKey(it item) item {
	key := item{t.hash.name: it[t.hash.name]}
	if t.sort != nil {
		key[t.sort.name] = it[t.sort.name]
	}
	return key
}

// checkKeyCondition sees that a key condition is an equality of the partition
// key and at most one comparison of the sort key: the grammar of conditions
// allows more. The lock is held.
func (t *table) checkKeyCondition(in *queryInput) *apiError {
	name := func(token string) string {
		if full, ok := in.ExpressionAttributeNames[token]; ok {
			return full
		}
		return token
	}
	hash, sort := false, false
	for _, clause := range clauses(tokenize(in.KeyConditionExpression)) {
		begins := len(clause) == 6 && clause[0] == "begins_with" && clause[1] == "("
		subject := name(clause[0])
		if begins {
			subject = name(clause[2])
		}
		compares := len(clause) == 3 && slices.Contains([]string{"=", "<", "<=", ">", ">="}, clause[1]) && strings.HasPrefix(clause[2], ":")
		between := len(clause) == 5 && strings.EqualFold(clause[1], "BETWEEN")
		switch {
		case !begins && !compares && !between:
			return validation("Invalid operator used in KeyConditionExpression: want an equality of the partition key, and =, <, <=, >, >=, BETWEEN or begins_with of the sort key")
		case subject == t.hash.name && compares && clause[1] == "=" && !hash:
			hash = true
		case subject == t.hash.name:
			return validation("Query key condition not supported")
		case t.sort != nil && subject == t.sort.name && !sort:
			sort = true
		case t.sort != nil && subject == t.sort.name:
			return validation("KeyConditionExpressions must only contain one condition per key")
		default:
			return validation("Query condition missed key schema element: %s", t.hash.name)
		}
	}
	if !hash {
		return validation("Query condition missed key schema element: %s", t.hash.name)
	}
	return nil
}

// clauses are what AND joins, without brackets around them.
func clauses(tokens []string) (all [][]string) {
	var clause []string
	between := false
	for _, token := range tokens {
		switch {
		case strings.EqualFold(token, "AND") && !between:
			all, clause = append(all, clause), nil
			continue
		case strings.EqualFold(token, "AND"):
			between = false
		case strings.EqualFold(token, "BETWEEN"):
			between = true
		}
		clause = append(clause, token)
	}
	all = append(all, clause)
	for i, c := range all {
		for len(c) > 2 && c[0] == "(" && c[len(c)-1] == ")" {
			c = c[1 : len(c)-1]
		}
		if len(c) == 0 {
			c = []string{""}
		}
		all[i] = c
	}
	return all
}
