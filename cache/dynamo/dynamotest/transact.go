package dynamotest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Limits of transactions.
const (
	maxTransaction     = 100
	maxTransactionSize = 4 << 20
	tokenLife          = 10 * time.Minute // of a client's request token
	maxTokens          = 10_000
)

// idempotent is a transaction that was made under a client's token.
type idempotent struct {
	// digest is SHA-256 of the parts as this server encodes them; at is
	// when it was made.
	digest [32]byte
	at     time.Time
}

// reason is why one part of a transaction has cancelled it.
//
// Code is None, ConditionalCheckFailed, ValidationError or ThrottlingError
// here; the service has TransactionConflict as well, which one lock makes
// impossible.
type reason struct {
	Code    string
	Message string `json:",omitempty"`
	Item    item   `json:",omitempty"`
}

// cancelled is the error of a transaction, with a reason for each part, in
// order; those that would have worked have the code None.
//
// Clients parse the list in the message, as old SDKs have nothing else;
// CancellationReasons has the same codes in the same order.
func cancelled(reasons []reason) *apiError {
	codes := make([]string, len(reasons))
	for i, r := range reasons {
		codes[i] = r.Code
	}
	e := dynamo("TransactionCanceledException", "Transaction cancelled, please refer cancellation reasons for specific reasons [%s]", strings.Join(codes, ", "))
	e.extra = map[string]any{"CancellationReasons": reasons}
	return e
}

// lockTables authorizes each part of a transaction as the operation that it is,
// and finds its table. The lock is held on success.
//
// A ConditionCheck has its own permission, dynamodb:ConditionCheckItem, and
// there is none for transactions themselves. The first part that is denied
// denies the whole. Permissions are all asked before the lock is taken, once.
func (c *call) lockTables(parts []part) ([]*table, *apiError) {
	for _, p := range parts {
		name, err := c.tableNamed(p.table)
		if err == nil {
			err = checkTableName(name)
		}
		if err == nil {
			own := *c
			own.op = p.op
			err = own.authorize(name)
		}
		if err != nil {
			return nil, err
		}
	}
	c.server.mu.Lock()
	tables := make([]*table, len(parts))
	for i, p := range parts {
		name, _ := c.tableNamed(p.table) // checked above
		if tables[i] = c.server.tables[name]; tables[i] == nil {
			c.server.mu.Unlock()
			return nil, noTable()
		}
	}
	return tables, nil
}

// A part is one action of a transaction.
type part struct {
	// table is a name or an ARN, as given.
	table string
	op    string // whose permission it needs
	// run says what the part would change and changes nothing. r is why it
	// cancels; err fails the request as a whole. It is nil for reads.
	run func(t *table) (key string, old, next item, r *reason, err *apiError)
}

// apart refuses a transaction with two actions on one item.
//
// Keys are compared by their encoding, tables by name, so an ARN and a name are
// the same table.
func apart(tables []*table, keys []string) *apiError {
	seen := map[string]bool{}
	for i, key := range keys {
		id := tables[i].name + "\x00" + key
		if seen[id] {
			return validation("Transaction request cannot include multiple operations on one item")
		}
		seen[id] = true
	}
	return nil
}

// transactGetItems reads all parts under one lock, so that they are of one
// moment.
//
// A part costs twice what a consistent read costs. Unlucky is not asked:
// a stale state is not within the contract of a transaction.
func (c *call) transactGetItems(in *struct {
	TransactItems []struct {
		Get *struct {
			target
			Key                  item
			ProjectionExpression *string
		}
	}
	ReturnConsumedCapacity string
},
) (any, *apiError) {
	if err := checkCount(len(in.TransactItems)); err != nil {
		return nil, err
	}
	parts := make([]part, len(in.TransactItems))
	only := make([][]path, len(in.TransactItems))
	for i, one := range in.TransactItems {
		if one.Get == nil {
			return nil, validation("TransactItems has a member without Get")
		}
		x := expression{names: one.Get.ExpressionAttributeNames, used: map[string]bool{}}
		if text := one.Get.ProjectionExpression; text != nil {
			var err error
			if only[i], err = x.parseProjection(*text); err != nil {
				return nil, asAPI(err)
			}
		}
		if err := x.check(one.Get.ProjectionExpression != nil); err != nil {
			return nil, err
		}
		parts[i] = part{table: one.Get.TableName, op: "GetItem"}
	}
	tables, err := c.lockTables(parts)
	if err != nil {
		return nil, err
	}
	defer c.server.mu.Unlock()
	keys, units := make([]string, len(parts)), make([]float64, len(parts))
	for i, one := range in.TransactItems {
		if keys[i], err = tables[i].keyOf(one.Get.Key, true); err != nil {
			reasons := make([]reason, len(parts))
			for j := range reasons {
				reasons[j].Code = "None"
			}
			reasons[i] = reason{Code: "ValidationError", Message: err.message}
			return nil, cancelled(reasons)
		}
		units[i] = 2 * readUnits(tables[i].items[keys[i]].size(), true)
	}
	if err := apart(tables, keys); err != nil {
		return nil, err
	}
	if !c.server.read.take(total(units), c.now) {
		return nil, c.overTransaction(len(parts))
	}
	responses := make([]map[string]any, len(parts))
	for i, t := range tables {
		responses[i] = map[string]any{}
		if found := t.items[keys[i]]; found != nil {
			responses[i]["Item"] = c.shown(t, found.project(only[i]))
		}
	}
	out := map[string]any{"Responses": responses}
	if wantsCapacity(in.ReturnConsumedCapacity) {
		out["ConsumedCapacity"] = consumedOf(tables, units, in.ReturnConsumedCapacity)
	}
	return out, nil
}

// checkCount refuses an empty transaction, and one of more than 100 parts.
//
// The service's limit was 25 until 2022.
func checkCount(n int) *apiError {
	var v violations
	switch {
	case n == 0:
		v.add("'[]'", "transactItems", "have length greater than or equal to 1")
	case n > maxTransaction:
		v.add(fmt.Sprintf("'[%d members]'", n), "transactItems", fmt.Sprintf("have length less than or equal to %d", maxTransaction))
	}
	return v.err()
}

// overTransaction is a transaction that capacity does not allow.
//
// It counts once in Stats.Throttled.
func (c *call) overTransaction(parts int) *apiError {
	c.server.throttled.Add(1)
	reasons := make([]reason, parts)
	for i := range reasons {
		reasons[i] = reason{Code: "ThrottlingError", Message: "Throughput exceeds the current capacity of your table or index."}
	}
	return cancelled(reasons)
}

// transactWrite is a member of TransactItems.
type transactWrite struct {
	ConditionCheck *struct {
		conditional
		Key item
	}
	Put *struct {
		conditional
		Item item
	}
	Delete *struct {
		conditional
		Key item
	}
	Update *updateInput
}

// part reads one action, the i-th of the transaction. Exactly one member must be
// there.
//
// The permission that it needs is that of the operation which it stands for.
func (w *transactWrite) part(i int) (p part, err *apiError) {
	n := 0
	if one := w.ConditionCheck; one != nil {
		n++
		if err := one.inTransaction(i, "conditionCheck"); err != nil {
			return p, err
		}
		if one.ConditionExpression == nil {
			return p, validation("1 validation error detected: Value null at 'transactItems.conditionCheck.conditionExpression' failed to satisfy constraint: Member must not be null")
		}
		p, err = one.part("ConditionCheckItem", func(t *table) (string, item, *apiError) {
			key, err := t.keyOf(one.Key, true)
			return key, t.items[key], err
		})
	}
	if one := w.Put; one != nil {
		n++
		if err := one.inTransaction(i, "put"); err != nil {
			return p, err
		}
		p, err = one.part("PutItem", func(t *table) (string, item, *apiError) {
			key, err := t.check(one.Item)
			return key, one.Item, err
		})
	}
	if one := w.Delete; one != nil {
		n++
		if err := one.inTransaction(i, "delete"); err != nil {
			return p, err
		}
		p, err = one.part("DeleteItem", func(t *table) (string, item, *apiError) {
			key, err := t.keyOf(one.Key, true)
			return key, nil, err
		})
	}
	if one := w.Update; one != nil {
		n++
		if one.AttributeUpdates != nil {
			return p, notInTransaction("AttributeUpdates", i, "update")
		}
		if err := one.inTransaction(i, "update"); err != nil {
			return p, err
		}
		p, err = one.transactPart()
	}
	if n != 1 {
		return p, validation("TransactItems can only contain one of Check, Put, Update or Delete")
	}
	return p, err
}

// inTransaction checks what a part of a transaction has otherwise than an
// operation of its own: fewer parameters, and limits with its place in the
// request.
func (in *conditional) inTransaction(i int, action string) *apiError {
	for _, p := range []parameter{
		{"ReturnValues", in.ReturnValues != ""},
		{"ReturnConsumedCapacity", in.ReturnConsumedCapacity != ""},
		{"ReturnItemCollectionMetrics", in.ReturnItemCollectionMetrics != ""},
		{"Expected", in.Expected != nil},
		{"ConditionalOperator", in.ConditionalOperator != ""},
	} {
		if p.there {
			return notInTransaction(p.name, i, action)
		}
	}
	var v violations
	v.enum(member("transactItems", i, action)+".returnValuesOnConditionCheckFailure", in.ReturnValuesOnConditionCheckFailure, "ALL_OLD", "NONE")
	return v.err()
}

// notInTransaction refuses a parameter that the service would ignore there: a
// test that gives it means something by it.
func notInTransaction(parameter string, i int, action string) *apiError {
	return validation("%s has no parameter %s", member("transactItems", i, action), parameter)
}

// part is an action whose outcome does not depend on what was there, but for
// its condition.
//
// resolve is as in write: key, and what is there afterwards.
func (in *conditional) part(op string, resolve func(*table) (string, item, *apiError)) (part, *apiError) {
	holds, err := in.condition()
	return part{in.TableName, op, func(t *table) (string, item, item, *reason, *apiError) {
		key, next, err := resolve(t)
		if err != nil {
			return "", nil, nil, nil, err
		}
		old := t.items[key]
		if !holds(old) {
			return key, old, old, in.reason(old), nil
		}
		return key, old, next, nil, nil
	}}, err
}

// transactPart is the update as a part of a transaction: a function of the
// table that says what would be there afterwards, or why not, and changes
// nothing.
//
// An error of the update itself (a type, a path that is not there) is a reason
// with the code ValidationError, as with the service; one of the key fails the
// request.
func (in *updateInput) transactPart() (part, *apiError) {
	actions, holds, err := in.parse()
	return part{in.TableName, "UpdateItem", func(t *table) (string, item, item, *reason, *apiError) {
		key, err := t.keyOf(in.Key, true)
		if err != nil {
			return "", nil, nil, nil, err
		}
		old := t.items[key]
		if !holds(old) {
			return key, old, old, in.reason(old), nil
		}
		next, err := t.updated(old, in.Key, actions)
		if err != nil { // about the item, so it cancels
			return key, old, old, &reason{Code: "ValidationError", Message: err.message}, nil
		}
		return key, old, next, nil, nil
	}}, err
}

// reason is that the condition does not hold.
//
// With ALL_OLD the item that is there stands in it.
func (in *conditional) reason(old item) *reason {
	r := &reason{Code: "ConditionalCheckFailed", Message: "The conditional request failed"}
	if in.ReturnValuesOnConditionCheckFailure == "ALL_OLD" {
		r.Item = old
	}
	return r
}

// clientToken checks a token: "" if there is none.
//
// SDKs send one of 36 characters by themselves; an empty one is refused.
func clientToken(given *string) (string, *apiError) {
	if given == nil {
		return "", nil
	}
	var v violations
	switch n := len(*given); {
	case n == 0:
		v.add("''", "clientRequestToken", "have length greater than or equal to 1")
	case n > 36:
		v.add("", "clientRequestToken", "have length less than or equal to 36")
	}
	return *given, v.err()
}

// transactWriteItems makes all of the changes or none.
//
// The way to "all or none": each part is asked what it would change, under one
// lock; only if none fails, no item is named twice, and size and capacity allow
// it, everything is stored. Capacity is taken also by a transaction that is
// cancelled, as with the service. A part costs twice what the write alone
// costs.
//
// A token that was seen within ten minutes with the same parts is answered with
// success and changes nothing; with other parts it is an error.
func (c *call) transactWriteItems(in *struct {
	batchOptions
	TransactItems      []transactWrite
	ClientRequestToken *string
},
) (any, *apiError) {
	n := len(in.TransactItems)
	if err := checkCount(n); err != nil {
		return nil, err
	}
	token, err := clientToken(in.ClientRequestToken)
	if err != nil {
		return nil, err
	}
	parts := make([]part, n)
	for i := range in.TransactItems {
		var err *apiError
		if parts[i], err = in.TransactItems[i].part(i); err != nil {
			return nil, err
		}
	}
	var digest [32]byte // of what a token stands for; before the lock, as it may be 4 MB
	if token != "" {
		text, err := json.Marshal(in.TransactItems)
		if err != nil {
			return nil, coral("SerializationException", "%s", err)
		}
		digest = sha256.Sum256(text)
	}
	tables, err := c.lockTables(parts)
	if err != nil {
		return nil, err
	}
	defer c.server.mu.Unlock()
	out := map[string]any{}
	if again, err := c.repeated(token, digest); again || err != nil {
		return out, err // it was made before, and nothing is made twice
	}
	// First pass: look. Nothing has changed until the last loop.
	keys, nexts, reasons := make([]string, n), make([]item, n), make([]reason, n)
	units, size, failed := make([]float64, n), 0, false
	for i, p := range parts {
		key, old, next, r, err := p.run(tables[i])
		if err != nil {
			return nil, err
		}
		keys[i], nexts[i], reasons[i] = key, next, reason{Code: "None"}
		if r != nil {
			reasons[i], failed = *r, true
		}
		units[i] = 2 * writeUnits(max(old.size(), next.size()))
		size += next.size()
	}
	switch err := apart(tables, keys); {
	case err != nil:
		return nil, err
	case size > maxTransactionSize:
		return nil, validation("Transaction request size exceeds the limit of 4 MB")
	case !c.server.write.take(total(units), c.now):
		return nil, c.overTransaction(n)
	case failed:
		return nil, cancelled(reasons)
	}
	for i, t := range tables {
		t.store(c, keys[i], nexts[i])
	}
	if token != "" {
		c.server.requested[token] = idempotent{digest, c.now}
	}
	if wantsCapacity(in.ReturnConsumedCapacity) {
		out["ConsumedCapacity"] = consumedOf(tables, units, in.ReturnConsumedCapacity)
	}
	return out, nil
}

// repeated reports whether a transaction was made under this token within the
// last ten minutes. The lock is held.
//
// Old tokens are dropped only when there are too many, so the usual request
// costs one look-up.
func (c *call) repeated(token string, digest [32]byte) (bool, *apiError) {
	s := c.server
	if s.requested == nil {
		s.requested = map[string]idempotent{}
	}
	if len(s.requested) >= maxTokens {
		for t, r := range s.requested {
			if c.now.Sub(r.at) > tokenLife {
				delete(s.requested, t)
			}
		}
	}
	if len(s.requested) >= maxTokens {
		return false, coral("RequestLimitExceeded", "dynamotest remembers %d client tokens, and all of them are younger than ten minutes", maxTokens)
	}
	before, known := s.requested[token]
	if token == "" || !known || c.now.Sub(before.at) > tokenLife {
		return false, nil
	}
	if before.digest != digest {
		return false, dynamo("IdempotentParameterMismatchException", "The provided client token was used with a different request")
	}
	return true, nil
}
