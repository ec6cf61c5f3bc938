package dynamotest

import (
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
)

// maxPage is how much one answer may hold; the next page goes on from there.
const maxPage = 1 << 20

// reading is what Query and Scan have in common.
//
// Limit counts the items that are looked at, not those that the filter lets
// through: a page may be empty and not be the last.
type reading struct {
	target
	IndexName                 *string
	FilterExpression          *string
	ProjectionExpression      *string
	ExpressionAttributeValues item
	ConsistentRead            bool
	Select                    string
	Limit                     *int64
	ExclusiveStartKey         item

	AttributesToGet     []string // legacy, as is
	ConditionalOperator string

	filtered map[string]bool // the attributes that the filter looks at
}

// parse reads the expressions. x has read those that come before.
//
// has is whether the request has an expression already (the key's condition).
// The results do not depend on the table: only is nil for all attributes.
// Select is checked here, as far as that needs no table.
func (in *reading) parse(x *expression, has bool) (filter condition, only []path, err *apiError) {
	filter = func(item) bool { return true }
	if in.FilterExpression != nil {
		var err error
		x.top = map[string]bool{}
		filter, err = x.parseConditionOf("FilterExpression", *in.FilterExpression)
		in.filtered, x.top = x.top, nil
		if err != nil {
			return nil, nil, asAPI(err)
		}
	}
	if in.ProjectionExpression != nil {
		var err error
		if only, err = x.parseProjection(*in.ProjectionExpression); err != nil {
			return nil, nil, asAPI(err)
		}
	}
	if err := x.check(has || in.FilterExpression != nil || in.ProjectionExpression != nil); err != nil {
		return nil, nil, err
	}
	switch in.Select {
	case "", "SPECIFIC_ATTRIBUTES":
		if in.Select != "" && only == nil {
			return nil, nil, validation("Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
		}
	default:
		if only != nil {
			return nil, nil, validation("Cannot specify the AttributesToGet when choosing to get %s", in.Select)
		}
		if in.Select == "ALL_PROJECTED_ATTRIBUTES" && in.IndexName == nil {
			return nil, nil, validation("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
		}
	}
	return filter, only, nil
}

// find locks the table, finds what is read of it, and checks the start key and
// what is to be shown.
//
// The lock is held on success, and the caller gives it up. The order is the
// service's: the index's name, the table, the index, the start key, Select, the
// projection.
func (c *call) find(in *reading, only []path) (view, *apiError) {
	if in.IndexName != nil {
		if c.index = *in.IndexName; !isIndexName(c.index) {
			return view{}, errIndexName(c.index)
		}
	}
	t, err := c.itemTable(in.TableName)
	if err != nil {
		return view{}, err
	}
	v, err := t.view(in.IndexName, in.ConsistentRead)
	if err == nil && in.ExclusiveStartKey != nil {
		err = v.checkStart(in.ExclusiveStartKey)
	}
	if err == nil && in.Select == "ALL_ATTRIBUTES" && v.i != nil && v.i.projection != "ALL" {
		err = validation("One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global secondary index %s because its projection type is not ALL", v.i.name)
	}
	if err == nil {
		err = v.checkProjected(only)
	}
	if err != nil {
		c.server.mu.Unlock()
	}
	return v, err
}

// queryInput are the parameters of Query.
// ScanIndexForward nil is true: ascending.
type queryInput struct {
	reading
	KeyConditionExpression *string
	ScanIndexForward       *bool

	KeyConditions, QueryFilter map[string]legacyCondition // legacy
}

// limits shows no value of Limit, and its name is another one than in a Scan, as
// with the service.
func (in *queryInput) limits(v *violations) {
	in.reading.limits(v)
	if in.Limit != nil && *in.Limit < 1 {
		v.add("", "Limit", "have value greater than or equal to 1")
	}
}

// query answers with the items of one partition, in the order of their sort
// keys.
//
// The grammar of conditions is read first, and then narrowed: checkKeyCondition
// wants one equality of the partition key and at most one comparison of the
// sort key. O(items) per page: partitions are found by looking at all items.
func (c *call) query(in *queryInput) (any, *apiError) {
	x := &expression{names: in.ExpressionAttributeNames, values: in.ExpressionAttributeValues, used: map[string]bool{}}
	if in.KeyConditionExpression == nil {
		return nil, validation("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	holds, parseErr := x.parseConditionOf("KeyConditionExpression", *in.KeyConditionExpression)
	if parseErr != nil {
		return nil, asAPI(parseErr)
	}
	tokens := tokenize(*in.KeyConditionExpression)
	if i := slices.IndexFunc(tokens, notForKeys); i >= 0 {
		return nil, validation("Invalid operator used in KeyConditionExpression: %s", tokens[i])
	}
	filter, only, err := in.parse(x, true)
	if err != nil {
		return nil, err
	}
	v, err := c.find(&in.reading, only)
	if err != nil {
		return nil, err
	}
	defer c.server.mu.Unlock()
	if err := v.checkKeyCondition(in); err != nil {
		return nil, err
	}
	for _, a := range v.keys() {
		if in.filtered[a.name] {
			return nil, validation("Filter Expression can only contain non-primary key attributes: Primary key attribute: %s", a.name)
		}
	}
	if in.ExclusiveStartKey != nil && !holds(in.ExclusiveStartKey) {
		return nil, validation("The provided starting key is outside query boundaries based on provided conditions")
	}
	return c.page(v, v.partition(c, in, holds), &in.reading, filter, only)
}

type scanInput struct {
	reading
	Segment, TotalSegments *int64

	ScanFilter map[string]legacyCondition // legacy
}

// limits has those of segments as well.
func (in *scanInput) limits(v *violations) {
	in.reading.limits(v)
	v.atLeast("limit", in.Limit, 1)
	v.atLeast("totalSegments", in.TotalSegments, 1)
	v.atLeast("segment", in.Segment, 0)
	if in.TotalSegments != nil && *in.TotalSegments > 1_000_000 {
		v.add(fmt.Sprintf("'%d'", *in.TotalSegments), "totalSegments", "have value less than or equal to 1000000")
	}
}

// scan answers with the items of a table or an index, in an order of its own
// that stays the same.
//
// The order is that of keyOf's encoding, which is as good as the service's hash
// of the key: stable, and of no meaning. A page goes on after its start key in
// that order, which belongs to one segment only.
func (c *call) scan(in *scanInput) (any, *apiError) {
	x := &expression{names: in.ExpressionAttributeNames, values: in.ExpressionAttributeValues, used: map[string]bool{}}
	filter, only, err := in.parse(x, false)
	if err != nil {
		return nil, err
	}
	segment, total := int64(0), int64(1)
	switch {
	case in.Segment != nil && in.TotalSegments == nil:
		return nil, validation("The TotalSegments parameter is required but was not present in the request when Segment parameter is present")
	case in.Segment == nil && in.TotalSegments != nil:
		return nil, validation("The Segment parameter is required but was not present in the request when parameter TotalSegments is present")
	case in.Segment != nil:
		if segment, total = *in.Segment, *in.TotalSegments; segment >= total {
			return nil, validation("The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: %d is not less than TotalSegments: %d", segment, total)
		}
	}
	v, err := c.find(&in.reading, only)
	if err != nil {
		return nil, err
	}
	defer c.server.mu.Unlock()
	after := ""
	if in.ExclusiveStartKey != nil {
		after, _ = v.t.keyOf(v.t.primaryKey(in.ExclusiveStartKey), true) // checked
		if segmentOf(after, total) != segment {
			return nil, validation("The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. TotalSegments: %d Segment: %d", total, segment)
		}
	}
	items, keys := map[string]item{}, []string{}
	for key, it := range v.read(c, in.ConsistentRead) {
		if key > after && segmentOf(key, total) == segment {
			items[key], keys = it, append(keys, key)
		}
	}
	slices.Sort(keys)
	found := make([]item, len(keys))
	for i, key := range keys {
		found[i] = items[key]
	}
	return c.page(v, found, &in.reading, filter, only)
}

// segmentOf is the one of so many segments that a key is in.
//
// Each key is in exactly one segment, whatever else there is.
func segmentOf(key string, total int64) int64 { return int64(crc32.ChecksumIEEE([]byte(key))) % total }

// page answers with as many of the items as fit, those that the filter lets
// through. The lock is held.
//
// Capacity is for what was looked at, before filter and projection. An index
// has what it projects: that is what is paid for and limited, and what the filter
// sees.
func (c *call) page(v view, found []item, in *reading, filter condition, only []path) (any, *apiError) {
	if v.i != nil {
		only := v.i.only(v.t)
		for i, it := range found { // a slice of our own
			found[i] = it.project(only)
		}
	}
	page, size, last := pageOf(found, in.Limit)
	units := readUnits(size, in.ConsistentRead)
	if !c.server.read.take(units, c.now) {
		return nil, c.throttled(v.t)
	}
	shown := []item{}
	for _, it := range page {
		if filter(it) {
			shown = append(shown, c.shown(v.t, it.project(only)))
		}
	}
	out := map[string]any{"Count": len(shown), "ScannedCount": len(page)}
	if in.Select != "COUNT" {
		out["Items"] = shown
	}
	if last != nil {
		out["LastEvaluatedKey"] = v.position(last)
	}
	in.consumed(out, units)
	if used, ok := out["ConsumedCapacity"].(map[string]any); ok && v.i != nil && in.ReturnConsumedCapacity == "INDEXES" {
		used["Table"] = map[string]any{"CapacityUnits": 0}
		used["GlobalSecondaryIndexes"] = map[string]any{v.i.name: map[string]any{"CapacityUnits": units}}
	}
	return out, nil
}

// partition is what the key condition selects, in order, from after the start
// key on. The lock is held.
//
// Descending order is the same comparison negated, for the start key, too. It
// is a new slice: the items in it are shared and never changed.
func (v view) partition(c *call, in *queryInput, holds condition) []item {
	found := []item{}
	for _, it := range v.read(c, in.ConsistentRead) {
		if holds(it) {
			found = append(found, it)
		}
	}
	order := func(a, b item) int {
		if in.ScanIndexForward != nil && !*in.ScanIndexForward {
			return -v.order(a, b)
		}
		return v.order(a, b)
	}
	slices.SortFunc(found, order)
	if in.ExclusiveStartKey == nil {
		return found
	}
	if v.i == nil && v.sort == nil {
		return nil // the partition has one item, and it was before
	}
	return slices.DeleteFunc(found, func(it item) bool { return order(it, in.ExclusiveStartKey) <= 0 })
}

// pageOf is what one answer looks at: at most limit items, and at most 1 MB.
// last is where it stopped before the end.
//
// The first item always fits. With a limit that is reached exactly at the end
// there is a last key all the same, and the next page is empty: clients must
// cope with it, as the service does the same.
func pageOf(found []item, limit *int64) (page []item, size int, last item) {
	for i, it := range found {
		if limit != nil && int64(i) == *limit || i > 0 && size+it.size() > maxPage {
			return page, size, page[i-1]
		}
		page, size = append(page, it), size+it.size()
	}
	if limit != nil && int64(len(page)) == *limit {
		last = page[len(page)-1] // the service does not look further
	}
	return page, size, last
}

// primaryKey is an item's key alone.
//
// It is a new map with the item's own values.
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
//
// It works on tokens rather than on a tree: the condition has been parsed, so
// its form is known to be right.
func (v view) checkKeyCondition(in *queryInput) *apiError {
	name := func(token string) string {
		if full, ok := in.ExpressionAttributeNames[token]; ok {
			return full
		}
		return token
	}
	hash, sort := false, false
	for _, clause := range clauses(tokenize(*in.KeyConditionExpression)) {
		if len(clause) == 0 {
			clause = []string{""}
		}
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
		case !v.fits(subject, clause, in.ExpressionAttributeValues):
			return invalid("Condition parameter type does not match schema type")
		case subject == v.hash.name && compares && clause[1] == "=" && !hash:
			hash = true
		case subject == v.hash.name:
			return validation("Query key condition not supported")
		case v.sort != nil && subject == v.sort.name && !sort:
			sort = true
		case v.sort != nil && subject == v.sort.name:
			return validation("KeyConditionExpressions must only contain one condition per key")
		default:
			return validation("Query condition missed key schema element: %s", v.hash.name)
		}
	}
	if !hash {
		return validation("Query condition missed key schema element: %s", v.hash.name)
	}
	return nil
}

// fits reports whether the values in a clause are of the kind that its key
// attribute has.
//
// Names of attributes and placeholders cannot be mixed up: values begin with a
// colon.
func (v view) fits(subject string, clause []string, values item) bool {
	for _, a := range v.keys() {
		for _, token := range clause {
			if value := values[token]; a.name == subject && value != nil && value.kind != a.kind {
				return false
			}
		}
	}
	return true
}

// notForKeys reports whether a key condition cannot have the token, although
// the grammar of conditions has it.
func notForKeys(token string) bool {
	switch strings.ToUpper(token) {
	case "OR", "NOT", "IN", "<>":
		return true
	}
	switch token {
	case "attribute_exists", "attribute_not_exists", "attribute_type", "contains", "size":
		return true
	}
	return false
}

// clauses are what AND joins, without brackets around them.
//
// The AND of BETWEEN does not join, and the brackets of begins_with belong to
// it.
func clauses(tokens []string) (all [][]string) {
	var clause []string
	between, function := false, false
	for i, token := range tokens {
		switch {
		case token == "(" && i > 0 && tokens[i-1] == "begins_with":
			function = true
		case token == ")" && function:
			function = false
		case token == "(", token == ")":
			continue
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
	return append(all, clause)
}
