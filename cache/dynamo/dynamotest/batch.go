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
// Tables are read in the order of their names, each under the lock on its own:
// a batch is not one moment, as the service's is not either. If nothing at all
// was read for want of capacity, the answer is an error.
func (c *call) batchGetItem(in *struct {
	batchOptions
	RequestItems map[string]*keysAndAttributes
},
) (any, *apiError) {
	if err := c.checkBatchGet(in.RequestItems); err != nil {
		return nil, err
	}
	responses := map[string][]item{}
	unprocessed := map[string]*keysAndAttributes{}
	var consumed []any
	size, done := 0, 0
	for _, name := range slices.Sorted(maps.Keys(in.RequestItems)) {
		want := in.RequestItems[name]
		t, err := c.itemTable(name)
		if err != nil {
			return nil, err
		}
		responses[name] = []item{}
		rest := *want
		rest.Keys = nil
		used := 0.0
		for _, k := range want.Keys {
			key, _ := t.keyOf(k, true) // checked above
			found := c.read(t, key, want.ConsistentRead)
			units := readUnits(found.size(), want.ConsistentRead)
			if size+found.size() > maxBatchAnswer || c.server.luck.unprocessed() || !c.server.read.take(units, c.now) {
				rest.Keys = append(rest.Keys, k)
				continue
			}
			done++
			size += found.size()
			used += units
			if found != nil {
				only, _ := want.projection()
				responses[name] = append(responses[name], c.shown(t, found.project(only)))
			}
		}
		if rest.Keys != nil {
			unprocessed[name] = &rest
		}
		consumed = append(consumed, capacity(name, used, in.ReturnConsumedCapacity))
		c.server.mu.Unlock()
	}
	if len(unprocessed) > 0 {
		c.server.throttled.Add(1)
	}
	if done == 0 && c.server.capped() {
		return nil, overCapacity(c, slices.Sorted(maps.Keys(in.RequestItems))[0])
	}
	out := map[string]any{"Responses": responses, "UnprocessedKeys": unprocessed}
	if wantsCapacity(in.ReturnConsumedCapacity) {
		out["ConsumedCapacity"] = consumed
	}
	return out, nil
}

// projection is what of each item is asked for, from either of the two ways to
// say it; nil is all. It uses the table's own placeholders, as DynamoDB reads
// the tables of a batch one by one.
//
// Its errors are *apiError.
func (k *keysAndAttributes) projection() ([]path, error) {
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
		names = t.names
	}
	if text == nil {
		return nil, nil
	}
	x := expression{names: names, used: map[string]bool{}}
	paths, err := x.parseProjection(*text)
	if err == nil {
		err = x.unused()
	}
	return paths, err
}

// checkBatchGet refuses the whole batch for any wrong part of it.
//
// Two keys are the same if their encodings are, so 1 and 1.0 are duplicates. It
// needs each table, and thus finds missing ones and missing permissions before
// anything is read.
func (c *call) checkBatchGet(requests map[string]*keysAndAttributes) *apiError {
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
			return asAPI(err)
		}
		seen := map[string]bool{}
		err := c.eachKey(name, want.Keys, func(key string) *apiError {
			if seen[key] {
				return validation("Provided list of item keys contains duplicates")
			}
			seen[key] = true
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachKey calls visit for each key of a table, with the server's lock held,
// until one fails.
//
// It authorizes the call for the table.
func (c *call) eachKey(name string, keys []item, visit func(string) *apiError) *apiError {
	t, err := c.itemTable(name)
	if err != nil {
		return err
	}
	defer c.server.mu.Unlock()
	for _, k := range keys {
		key, err := t.keyOf(k, true)
		if err != nil {
			return err
		}
		if err := visit(key); err != nil {
			return err
		}
	}
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
// Each write is atomic, the batch is not; there are no conditions in it. What
// has no capacity goes back as unprocessed, and if that is all, the answer is
// an error.
func (c *call) batchWriteItem(in *struct {
	batchOptions
	RequestItems map[string][]writeRequest
},
) (any, *apiError) {
	if err := c.checkBatchWrite(in.RequestItems); err != nil {
		return nil, err
	}
	unprocessed := map[string][]writeRequest{}
	var consumed []any
	done := 0
	for _, name := range slices.Sorted(maps.Keys(in.RequestItems)) {
		t, err := c.itemTable(name)
		if err != nil {
			return nil, err
		}
		used := 0.0
		for _, w := range in.RequestItems[name] {
			key, next, _ := w.resolve(t) // checked above
			units := writeUnits(max(t.items[key].size(), next.size()))
			if c.server.luck.unprocessed() || !c.server.write.take(units, c.now) {
				unprocessed[name] = append(unprocessed[name], w)
				continue
			}
			done++
			used += units
			t.store(c, key, next)
		}
		consumed = append(consumed, capacity(name, used, in.ReturnConsumedCapacity))
		c.server.mu.Unlock()
	}
	if len(unprocessed) > 0 {
		c.server.throttled.Add(1)
	}
	if done == 0 && c.server.capped() {
		return nil, overCapacity(c, slices.Sorted(maps.Keys(in.RequestItems))[0])
	}
	out := map[string]any{"UnprocessedItems": unprocessed}
	if wantsCapacity(in.ReturnConsumedCapacity) {
		out["ConsumedCapacity"] = consumed
	}
	return out, nil
}

// checkBatchWrite refuses the whole batch before any of it is written, in the
// order of the tables' names so that the message does not depend on a map.
func (c *call) checkBatchWrite(requests map[string][]writeRequest) *apiError {
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
		if err := c.checkWrites(name, requests[name]); err != nil {
			return err
		}
	}
	return nil
}

// checkWrites checks what a batch wants of one table. DynamoDB does not say in
// which order a batch is done, hence two writes of one key are refused.
func (c *call) checkWrites(name string, writes []writeRequest) *apiError {
	t, err := c.itemTable(name)
	if err != nil {
		return err
	}
	defer c.server.mu.Unlock()
	seen := map[string]bool{}
	for _, w := range writes {
		key, _, err := w.resolve(t)
		switch {
		case err != nil:
			return err
		case seen[key]:
			return validation("Provided list of item keys contains duplicates")
		}
		seen[key] = true
	}
	return nil
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
