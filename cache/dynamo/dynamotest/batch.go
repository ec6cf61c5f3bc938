package dynamotest

import (
	"fmt"
	"maps"
	"slices"
)

const (
	// Limits of the service: keys of a BatchGetItem, writes of a
	// BatchWriteItem, bytes of an answer.
	maxBatchGet    = 100
	maxBatchWrite  = 25
	maxBatchAnswer = 16 << 20
)

// keysAndAttributes is what is asked of one table; it goes back as it came in
// UnprocessedKeys.
type keysAndAttributes struct {
	Keys                     []item
	AttributesToGet          []string          `json:",omitempty"` // legacy
	ConsistentRead           bool              `json:",omitempty"`
	ProjectionExpression     *string           `json:",omitempty"`
	ExpressionAttributeNames map[string]string `json:",omitempty"`
}

// batchGetItem reads what capacity and the size of an answer allow, and hands
// the other keys back as unprocessed.
//
// The order is the service's: what needs no table, permissions, tables, keys,
// and then capacity, key by key in the order of the tables' names. Tables are
// looked up once and the lock is held from there on, so that a key that was
// checked is a key of the table that is read. If nothing at all was read for
// want of capacity, the answer is an error.
func (c *call) batchGetItem(in *struct {
	batchOptions
	RequestItems map[string]*keysAndAttributes
},
) (any, *apiError) {
	if err := checkBatchGet(in.RequestItems); err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(in.RequestItems))
	tables, err := c.lockBatch(names)
	if err != nil {
		return nil, err
	}
	defer c.server.mu.Unlock()
	keys, err := batchKeys(tables, names, in.RequestItems)
	if err != nil {
		return nil, err
	}
	responses := map[string][]item{}
	unprocessed := map[string]*keysAndAttributes{}
	var consumed []any
	var b batch
	size := 0
	for i, name := range names {
		t, want := tables[i], in.RequestItems[name]
		only, _ := want.projection() // checked above
		responses[name] = []item{}
		rest := *want
		rest.Keys = nil
		used := 0.0
		for j, k := range want.Keys {
			found := c.read(t, keys[i][j], want.ConsistentRead)
			units := readUnits(found.size(), want.ConsistentRead)
			if size+found.size() > maxBatchAnswer || !b.may(c, &c.server.read, units) {
				rest.Keys = append(rest.Keys, k)
				continue
			}
			size += found.size()
			used += units
			if found != nil {
				responses[name] = append(responses[name], c.shown(t, found.project(only)))
			}
		}
		if rest.Keys != nil {
			unprocessed[name] = &rest
		}
		consumed = append(consumed, capacity(name, used, in.ReturnConsumedCapacity))
	}
	return b.answer(c, tables[0], map[string]any{"Responses": responses, "UnprocessedKeys": unprocessed}, len(unprocessed), in.consumed(consumed))
}

// lockBatch is lockTables for a batch, all of whose tables need the permission
// for the batch itself.
func (c *call) lockBatch(names []string) ([]*table, *apiError) {
	parts := make([]part, len(names))
	for i, name := range names {
		parts[i] = part{table: name, op: c.op}
	}
	return c.lockTables(parts)
}

// batch counts what capacity has let through and what it has not. The lock is
// held in its methods.
type batch struct {
	done  int
	short bool // of capacity, at least once: bad luck is something else
}

// may takes capacity for one key or item, and reports whether there was any.
func (b *batch) may(c *call, from *bucket, units float64) bool {
	switch {
	case c.server.luck.unprocessed():
	case !from.take(units, c.now):
		b.short = true
	default:
		b.done++
		return true
	}
	return false
}

// answer completes an answer with ConsumedCapacity, if it was asked for.
//
// A batch of which something was left is one throttled request, however much it
// is. If nothing was done and capacity was short, it is an error that names the
// first of the tables, as with the service.
func (b *batch) answer(c *call, first *table, out map[string]any, left int, consumed []any) (any, *apiError) {
	if left > 0 {
		c.server.throttled.Add(1)
	}
	if b.done == 0 && b.short {
		return nil, overCapacity(c, first.name)
	}
	if consumed != nil {
		out["ConsumedCapacity"] = consumed
	}
	return out, nil
}

// projection is what of each item is asked for, from either of the two ways to
// say it; nil is all. The placeholders are those of the one table: each table of
// a batch has its own, and all of them have to be used.
func (k *keysAndAttributes) projection() ([]path, *apiError) {
	names, text := k.ExpressionAttributeNames, k.ProjectionExpression
	if k.AttributesToGet != nil {
		if err := mixed([]parameter{{"AttributesToGet", true}}, []parameter{{"ProjectionExpression", text != nil}}); err != nil {
			return nil, err
		}
		var t translation
		var err *apiError
		if text, err = t.attributes(k.AttributesToGet); err != nil {
			return nil, err
		}
		if names != nil {
			return nil, validation("ExpressionAttributeNames can only be specified when using expressions")
		}
		names = t.names
	}
	x := expression{names: names, used: map[string]bool{}}
	if text == nil {
		return nil, x.check(false)
	}
	paths, err := x.parseProjection(*text)
	if err != nil {
		return nil, asAPI(err)
	}
	return paths, x.check(true)
}

// checkBatchGet refuses the whole batch for whatever is wrong with it that needs
// no table, in the order of the tables' names so that the message does not
// depend on a map.
func checkBatchGet(requests map[string]*keysAndAttributes) *apiError {
	if len(requests) == 0 {
		return emptyBatch()
	}
	keys := 0
	for _, name := range slices.Sorted(maps.Keys(requests)) {
		want := requests[name]
		if want == nil || len(want.Keys) == 0 {
			return validation("1 validation error detected: Value '[]' at 'requestItems.%s.member.keys' failed to satisfy constraint: Member must have length greater than or equal to 1", name)
		}
		if len(want.Keys) > maxBatchGet {
			var v violations
			v.add("", "RequestItems."+name+".member.Keys", fmt.Sprintf("have length less than or equal to %d", maxBatchGet))
			return v.err()
		}
		if keys += len(want.Keys); keys > maxBatchGet {
			return validation("Too many items requested for the BatchGetItem call")
		}
		if _, err := want.projection(); err != nil {
			return err
		}
	}
	return nil
}

// batchKeys encodes the keys of a BatchGetItem, in the order in which they are
// asked for. The lock is held.
//
// Two keys are the same if their encodings are, so 1 and 1.0 are duplicates.
func batchKeys(tables []*table, names []string, requests map[string]*keysAndAttributes) ([][]string, *apiError) {
	all := make([][]string, len(names))
	seen := map[tableKey]bool{}
	for i, name := range names {
		for _, k := range requests[name].Keys {
			key, err := tables[i].keyOf(k, true)
			if err == nil {
				err = once(seen, tables[i], key)
			}
			if err != nil {
				return nil, err
			}
			all[i] = append(all[i], key)
		}
	}
	return all, nil
}

// tableKey is an item's place in the whole server. A table has two names, its
// ARN is one, so the table itself stands here.
type tableKey struct {
	table *table
	key   string
}

// once refuses a key that the batch has named before: the service does not say
// in which order a batch is done.
func once(seen map[tableKey]bool, t *table, key string) *apiError {
	at := tableKey{t, key}
	if seen[at] {
		return validation("Provided list of item keys contains duplicates")
	}
	seen[at] = true
	return nil
}

// emptyBatch is a batch without any table.
func emptyBatch() *apiError {
	return validation("1 validation error detected: Value '{}' at 'requestItems' failed to satisfy constraint: Member must have length greater than or equal to 1")
}

// writeRequest has exactly one of both.
type writeRequest struct {
	PutRequest    *struct{ Item item } `json:",omitempty"`
	DeleteRequest *struct{ Key item }  `json:",omitempty"`
}

// batchWriteItem puts and deletes what capacity allows.
//
// There are no conditions in it, and what has no capacity goes back as
// unprocessed; if that is all, the answer is an error. Each write is atomic.
// That the batch is, too, as the lock is held all the while, is no promise of
// the service's.
func (c *call) batchWriteItem(in *struct {
	batchOptions
	RequestItems map[string][]writeRequest
},
) (any, *apiError) {
	if err := checkBatchWrite(in.RequestItems); err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(in.RequestItems))
	tables, err := c.lockBatch(names)
	if err != nil {
		return nil, err
	}
	defer c.server.mu.Unlock()
	writes, err := batchWrites(tables, names, in.RequestItems)
	if err != nil {
		return nil, err
	}
	unprocessed := map[string][]writeRequest{}
	var consumed []any
	var b batch
	for i, name := range names {
		t, used := tables[i], 0.0
		for j, w := range writes[i] {
			units := writeUnits(max(t.items[w.key].size(), w.next.size()))
			if !b.may(c, &c.server.write, units) {
				unprocessed[name] = append(unprocessed[name], in.RequestItems[name][j])
				continue
			}
			used += units
			t.store(c, w.key, w.next)
		}
		consumed = append(consumed, capacity(name, used, in.ReturnConsumedCapacity))
	}
	return b.answer(c, tables[0], map[string]any{"UnprocessedItems": unprocessed}, len(unprocessed), in.consumed(consumed))
}

// checkBatchWrite refuses the whole batch for whatever is wrong with it that
// needs no table, in the order of the tables' names.
func checkBatchWrite(requests map[string][]writeRequest) *apiError {
	if len(requests) == 0 {
		return emptyBatch()
	}
	writes := 0
	for _, name := range slices.Sorted(maps.Keys(requests)) {
		if len(requests[name]) == 0 {
			return validation("1 validation error detected: Value '[]' at 'requestItems.%s.member' failed to satisfy constraint: Member must have length greater than or equal to 1", name)
		}
		if n := len(requests[name]); n > maxBatchWrite {
			return validation("1 validation error detected: Value '{%s=[%d members]}' at 'requestItems' failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to %d, Member must have length greater than or equal to 1]", name, n, maxBatchWrite)
		}
		if writes += len(requests[name]); writes > maxBatchWrite {
			return validation("Too many items requested for the BatchWriteItem call")
		}
	}
	return nil
}

// keyed is a write whose key has been checked against its table.
type keyed struct {
	key  string
	next item // to be there afterwards; nil for a delete
}

// batchWrites checks each write of a BatchWriteItem against its table. The lock
// is held.
func batchWrites(tables []*table, names []string, requests map[string][]writeRequest) ([][]keyed, *apiError) {
	all := make([][]keyed, len(names))
	seen := map[tableKey]bool{}
	for i, name := range names {
		for _, w := range requests[name] {
			key, next, err := w.resolve(tables[i])
			if err == nil {
				err = once(seen, tables[i], key)
			}
			if err != nil {
				return nil, err
			}
			all[i] = append(all[i], keyed{key, next})
		}
	}
	return all, nil
}

// resolve is the key, and the item to be there afterwards; nil for a delete.
//
// The lock is held.
func (w writeRequest) resolve(t *table) (key string, next item, err *apiError) {
	switch {
	case (w.PutRequest == nil) == (w.DeleteRequest == nil):
		return "", nil, validation("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
	case w.PutRequest != nil:
		key, err = t.check(w.PutRequest.Item)
		return key, w.PutRequest.Item, err
	default:
		key, err = t.keyOf(w.DeleteRequest.Key, true)
		return key, nil, err
	}
}
