package dynamotest

import "slices"

// target is what the operations on one item have in common.
type target struct {
	// TableName is a name or an ARN.
	TableName                string
	ExpressionAttributeNames map[string]string
	ReturnConsumedCapacity   string
}

type getInput struct {
	target
	// ConsistentRead makes no difference but the price, unless the server
	// is unlucky.
	Key                  item
	ConsistentRead       bool
	ProjectionExpression *string
	AttributesToGet      []string // legacy
}

// getItem checks everything that does not need the table first, as the service
// does: a wrong expression is refused also for a table that is not there.
//
// The order after that: name, permission, table (all in itemTable); the key;
// capacity, which is taken for an item that is not there, too. Consumed is what
// the whole item costs, whatever the projection leaves of it.
func (c *call) getItem(in *getInput) (any, *apiError) {
	x := expression{names: in.ExpressionAttributeNames, used: map[string]bool{}}
	var only []path
	if in.ProjectionExpression != nil {
		var err error
		if only, err = x.parseProjection(*in.ProjectionExpression); err != nil {
			return nil, asAPI(err)
		}
	}
	if err := x.check(in.ProjectionExpression != nil); err != nil {
		return nil, err
	}
	t, err := c.itemTable(in.TableName)
	if err != nil {
		return nil, err
	}
	defer c.server.mu.Unlock()
	key, err := t.keyOf(in.Key, true)
	if err != nil {
		return nil, err
	}
	found := c.read(t, key, in.ConsistentRead)
	units := readUnits(found.size(), in.ConsistentRead)
	if c.server.luck.throttled() || !c.server.read.take(units, c.now) {
		return nil, c.throttled(t)
	}
	out := map[string]any{}
	if found != nil {
		out["Item"] = c.shown(t, found.project(only))
	}
	in.consumed(out, units)
	return out, nil
}

// conditional is what PutItem and DeleteItem have in common.
//
// UpdateItem has it, too, and the writes of a transaction.
type conditional struct {
	target
	ConditionExpression                 *string
	ExpressionAttributeValues           item
	ReturnValues                        string
	ReturnValuesOnConditionCheckFailure string
	ReturnItemCollectionMetrics         string // there are no collections without local indexes

	// Expected is in place of ConditionExpression, never beside it;
	// modernize translates it.
	Expected            map[string]legacyCondition // legacy, as is
	ConditionalOperator string
}

// putItem replaces the whole item.
//
// There is no difference between a new item and one that replaces another, but
// for ReturnValues.
func (c *call) putItem(in *struct {
	conditional
	Item item
},
) (any, *apiError) {
	if err := in.Item.fits(); err != nil {
		return nil, err // before it is known whether there is a table
	}
	return c.write(&in.conditional, func(t *table) (string, item, *apiError) {
		key, err := t.check(in.Item)
		return key, in.Item, err
	})
}

// deleteItem works as well without an item, unless a condition wants one.
//
// It costs at least one write unit also if there was nothing.
func (c *call) deleteItem(in *struct {
	conditional
	Key item
},
) (any, *apiError) {
	return c.write(&in.conditional, func(t *table) (string, item, *apiError) {
		key, err := t.keyOf(in.Key, true)
		return key, nil, err
	})
}

// write replaces the item under a key with another, or with nothing, if the
// condition holds for what is there.
//
// The order is the service's: the expressions, ReturnValues, the table, the key
// and the item, capacity, and then the condition. So a condition that fails has
// been paid for. resolve is called with the lock held, and says what the key is
// and what is to be there afterwards (nil: nothing).
func (c *call) write(in *conditional, resolve func(*table) (string, item, *apiError)) (any, *apiError) {
	holds, err := in.condition()
	if err != nil {
		return nil, err
	}
	if in.ReturnValues != "" && in.ReturnValues != "NONE" && in.ReturnValues != "ALL_OLD" {
		return nil, validation("ReturnValues can only be ALL_OLD or NONE")
	}
	t, err := c.itemTable(in.TableName)
	if err != nil {
		return nil, err
	}
	defer c.server.mu.Unlock()
	key, next, err := resolve(t)
	if err != nil {
		return nil, err
	}
	old := c.read(t, key, true)
	units := writeUnits(max(old.size(), next.size()))
	if c.server.luck.throttled() || !c.server.write.take(units, c.now) {
		return nil, c.throttled(t)
	}
	if !holds(old) {
		return nil, in.failed(old)
	}
	t.store(c, key, next)
	out := map[string]any{}
	if in.ReturnValues == "ALL_OLD" && old != nil {
		out["Attributes"] = old
	}
	in.consumed(out, units)
	return out, nil
}

// failed is the answer to a condition that does not hold for what is there.
//
// With ALL_OLD the item stands in the error, without a read of its own.
func (in *conditional) failed(old item) *apiError {
	err := dynamo("ConditionalCheckFailedException", "The conditional request failed")
	if in.ReturnValuesOnConditionCheckFailure == "ALL_OLD" && old != nil {
		err.extra = map[string]any{"Item": old}
	}
	return err
}

// condition compiles the condition of a write; without one, it holds always.
//
// What it returns is a function of the item alone and can be called for each of
// several states.
func (in *conditional) condition() (condition, *apiError) {
	always := func(item) bool { return true }
	x := expression{names: in.ExpressionAttributeNames, values: in.ExpressionAttributeValues, used: map[string]bool{}}
	if in.ConditionExpression == nil {
		return always, x.check(false)
	}
	holds, err := x.parseCondition(*in.ConditionExpression)
	if err != nil {
		return nil, asAPI(err)
	}
	return holds, x.check(true)
}

// check refuses placeholders that nothing uses, as the service does: most often
// one of them is misspelt.
//
// hasExpression is whether the request has any expression at all, which makes
// it another error.
func (x *expression) check(hasExpression bool) *apiError {
	switch {
	case !hasExpression && x.names != nil:
		return validation("ExpressionAttributeNames can only be specified when using expressions")
	case !hasExpression && x.values != nil:
		return validation("ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null")
	}
	if err := x.unused(); err != nil {
		return asAPI(err)
	}
	return nil
}

func asAPI(err error) *apiError { return err.(*apiError) } // parsers return nothing else

// itemTable finds the table of an operation on items. The lock is held on
// success.
//
// The text for a table that is not there is another one than named's, as with
// the service.
func (c *call) itemTable(name string) (*table, *apiError) {
	t, err := c.named(name)
	if err != nil && err.code == "ResourceNotFoundException" {
		return nil, noTable()
	}
	return t, err
}

// shown is an item as it is answered: as it is, or with garbage in the binary
// attributes. The lock is held.
//
// Keys stay as they are, or a client could not tell which item it has got. What
// is stored is not touched.
func (c *call) shown(t *table, it item) item {
	if !c.server.corrupt {
		return it
	}
	out := item{}
	for name, v := range it {
		if v.kind == "B" && name != t.hash.name && (t.sort == nil || name != t.sort.name) {
			v = &value{kind: "B", bin: garbage(v.bin)}
			c.server.spoilt = c.server.spoilt || len(v.bin) > 0
		}
		out[name] = v
	}
	return out
}

// garbage has the length of b and every byte wrong.
func garbage(b []byte) []byte {
	out := slices.Clone(b)
	for i := range out {
		out[i] = ^out[i]
	}
	return out
}
