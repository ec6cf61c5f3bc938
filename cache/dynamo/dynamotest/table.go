package dynamotest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A table holds items by the encoding of their primary key. Items are never
// changed after they were stored, so that an answer can be encoded after the
// server's lock was released.
type table struct {
	name string
	hash keyAttribute
	sort *keyAttribute
	// billing is PAY_PER_REQUEST, or something else for provisioned.
	billing string
	settings
	created time.Time
	ttl     string // attribute, "" while disabled
	// items are by keyOf of their primary key, in no order; reads sort.
	items map[string]item
	// history is there only while the server is unlucky with Stale set.
	history map[string][]version // states before, of an unlucky server
	indexes map[string]*index    // global secondary indexes, by name
	// tags are what aws:ResourceTag conditions see.
	tags map[string]string

	policy, policyBefore tablePolicy // the newest, and what is in force until it is
}

// keyAttribute is an attribute of a key, with its kind: S, N or B.
type keyAttribute struct{ name, kind string }

// Limits of the service.
const (
	maxItem    = 400 << 10
	maxHashKey = 2048
	maxSortKey = 1024
)

// keyOf encodes the primary key of an item, or (keyOnly) a key that must be
// nothing else.
// The encoding is LENGTH:TEXT for each attribute, so that no two keys are the
// same; numbers are in their normal form, so 1 and 1.0 are one key. Its order
// is an order for Scan and no more: it is not that of the values. keyOnly is
// for parameters named Key, whose error is another one than that of an item.
func (t *table) keyOf(it item, keyOnly bool) (string, *apiError) {
	attrs := []keyAttribute{t.hash}
	if t.sort != nil {
		attrs = append(attrs, *t.sort)
	}
	if keyOnly && len(it) != len(attrs) {
		return "", errKeySchema()
	}
	key := ""
	for i, a := range attrs {
		v := it[a.name]
		switch {
		case keyOnly && (v == nil || v.kind != a.kind):
			return "", errKeySchema()
		case v == nil:
			return "", invalid("Missing the key %s in the item", a.name)
		case v.kind != a.kind:
			return "", invalid("Type mismatch for key %s expected: %s actual: %s", a.name, a.kind, v.kind)
		}
		if err := checkKeySize(a.name, v, i == 0); err != nil {
			return "", err
		}
		text := string(v.appendScalar(nil))
		key += fmt.Sprintf("%d:%s", len(text), text)
	}
	return key, nil
}

// errKeySchema is for a Key with too few or too many attributes, or of other
// kinds.
func errKeySchema() *apiError {
	return validation("The provided key element does not match the schema")
}

// checkKeySize refuses what the service does: an empty value of a key
// attribute, and one of more than 2,048 bytes (partition key) or 1,024 (sort
// key).
// The missing space in "limit of2048" is the service's.
func checkKeySize(name string, v *value, hash bool) *apiError {
	switch size := v.size(); {
	case v.kind == "S" && size == 0:
		return validation("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: %s", name)
	case v.kind == "B" && size == 0:
		return validation("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty binary value. Key: %s", name)
	case hash && size > maxHashKey:
		return invalid("Size of hashkey has exceeded the maximum size limit of2048 bytes")
	case !hash && size > maxSortKey:
		return invalid("Aggregated size of all range keys has exceeded the size limit of 1024 bytes")
	}
	return nil
}

// check returns the key of an item that may be stored. The lock is held.
// The order of the errors is the service's: the key, the whole item, the keys
// of indexes.
func (t *table) check(it item) (string, *apiError) {
	key, err := t.keyOf(it, false)
	if err != nil {
		return "", err
	}
	if err := it.fits(); err != nil {
		return "", err
	}
	return key, t.checkIndexes(it)
}

// fits refuses an item that no table can hold.
// It needs no table, and is asked before one is looked for.
func (it item) fits() *apiError {
	if _, ok := it[""]; ok {
		return invalid("an attribute name may not be empty")
	}
	if it.size() > maxItem {
		return validation("Item size has exceeded the maximum allowed size")
	}
	return nil
}

// store replaces the item under a key, with nil by nothing. The lock is held.
// All changes of items go through here, but Sweep's, so that stale reads find
// what was before. It never changes an item: next is a new one, and must not be
// changed by the caller any more.
func (t *table) store(c *call, key string, next item) {
	t.remember(c.server.luck, key, c.now)
	if next == nil {
		delete(t.items, key)
	} else {
		t.items[key] = next
	}
}

var tableName = regexp.MustCompile(`^[a-zA-Z0-9_.-]+$`)

// checkTableName has the service's rule: 3 to 255 characters of a to z, A to Z,
// 0 to 9, "_", "-" and ".".
// The two messages for "too short" differ as the service's do: an empty name
// breaks the model's own minimum.
func checkTableName(name string) *apiError {
	bad := func(constraint string) *apiError {
		return validation("1 validation error detected: Value '%s' at 'tableName' failed to satisfy constraint: Member must %s", name, constraint)
	}
	switch {
	case name == "":
		return validation("1 validation error detected: Value '' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 1")
	case len(name) < 3:
		return bad("have length greater than or equal to 3")
	case len(name) > 255:
		return bad("have length less than or equal to 255")
	case !tableName.MatchString(name):
		return bad("satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
	}
	return nil
}

type createTableInput struct {
	// AttributeDefinitions are the kinds of all key attributes, of the
	// table and of its indexes, and of no others.
	TableName            string
	AttributeDefinitions []struct{ AttributeName, AttributeType string }
	KeySchema            []keyElement
	BillingMode          string
	Tags                 []tag

	settings

	GlobalSecondaryIndexes []indexInput
}

// createTable makes a table that is active at once. Tags given with it need
// their own permission, as with the service.
// TableStatus is ACTIVE from the beginning; a client that waits for it finds it
// at once. The check of the name's being free comes last, under the lock.
func (c *call) createTable(in *createTableInput) (any, *apiError) {
	if err := checkTableName(in.TableName); err != nil {
		return nil, err
	}
	if err := c.authorize(in.TableName); err != nil {
		return nil, err
	}
	if len(in.Tags) > 0 {
		tagging := *c
		tagging.op = "TagResource"
		if err := tagging.authorize(in.TableName); err != nil {
			return nil, err
		}
	}
	t := &table{name: in.TableName, billing: in.BillingMode, settings: in.settings, created: c.now, items: map[string]item{}}
	if err := t.schema(in); err != nil {
		return nil, err
	}
	t.tag(in.Tags)
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tables[t.name] != nil {
		return nil, dynamo("ResourceInUseException", "Table already exists: %s", t.name)
	}
	s.tables[t.name] = t
	return map[string]any{"TableDescription": t.describe(c, "ACTIVE")}, nil
}

// schema checks and takes over the keys of table and indexes. Each attribute
// that is defined has to be part of a key, and the other way round.
// Nobody else knows the table yet, so the lock is not needed.
func (t *table) schema(in *createTableInput) *apiError {
	switch {
	case in.BillingMode != "PAY_PER_REQUEST" && in.ProvisionedThroughput == nil:
		return invalid("ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")
	case in.BillingMode == "PAY_PER_REQUEST" && in.ProvisionedThroughput != nil:
		return invalid("Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
	case in.KeySchema == nil:
		return validation("1 validation error detected: Value null at 'keySchema' failed to satisfy constraint: Member must not be null")
	case len(in.KeySchema) == 0:
		return validation("1 validation error detected: Value '[]' at 'keySchema' failed to satisfy constraint: Member must have length greater than or equal to 1")
	case len(in.KeySchema) > 2:
		return validation("1 validation error detected: Value at 'keySchema' failed to satisfy constraint: Member must have length less than or equal to 2")
	}
	if len(in.KeySchema) > len(in.AttributeDefinitions) {
		return validation("Invalid KeySchema: Some index key attribute have no definition")
	}
	kinds := map[string]string{}
	for _, d := range in.AttributeDefinitions {
		kinds[d.AttributeName] = d.AttributeType
	}
	used := map[string]bool{}
	var err *apiError
	if t.hash, t.sort, err = keySchema(in.KeySchema, kinds, used); err != nil {
		return err
	}
	for _, i := range in.GlobalSecondaryIndexes {
		if err := t.addIndex(i, kinds, used); err != nil {
			return err
		}
	}
	if len(kinds) != len(used) {
		return invalid("Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions")
	}
	return nil
}

// kinds are those of all attributes in keys. The lock is held.
// updateTable checks new definitions against them.
func (t *table) kinds() map[string]string {
	kinds := map[string]string{}
	describeKey(t.hash, t.sort, kinds)
	for _, i := range t.indexes {
		describeKey(i.hash, i.sort, kinds)
	}
	return kinds
}

// describe is a TableDescription. The lock is held.
// It counts items and bytes anew, O(items × indexes), while the service's
// counts are up to six hours old.
func (t *table) describe(c *call, status string) map[string]any {
	kinds := map[string]string{}
	keys := describeKey(t.hash, t.sort, kinds)
	var indexes []map[string]any
	for _, name := range slices.Sorted(maps.Keys(t.indexes)) {
		indexes = append(indexes, t.indexes[name].describe(t, c, kinds))
	}
	definitions := []map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		definitions = append(definitions, map[string]string{"AttributeName": name, "AttributeType": kinds[name]})
	}
	size := 0
	for _, it := range t.items {
		size += it.size()
	}
	d := map[string]any{
		"TableName":            t.name,
		"TableArn":             tableARN(c.region, t.name),
		"TableStatus":          status,
		"AttributeDefinitions": definitions,
		"KeySchema":            keys,
		"CreationDateTime":     float64(t.created.UnixMilli()) / 1000,
		"ItemCount":            len(t.items),
		"TableSizeBytes":       size,
	}
	t.settings.describe(d, "arn:aws:kms:"+c.region+":"+accountID+":alias/aws/dynamodb")
	if indexes != nil {
		d["GlobalSecondaryIndexes"] = indexes
	}
	if t.billing == "PAY_PER_REQUEST" {
		d["BillingModeSummary"] = map[string]any{"BillingMode": t.billing}
	}
	return d
}

// describeKey is a KeySchema, and notes the kinds of its attributes.
func describeKey(hash keyAttribute, sort *keyAttribute, kinds map[string]string) []map[string]string {
	kinds[hash.name] = hash.kind
	keys := []map[string]string{{"AttributeName": hash.name, "KeyType": "HASH"}}
	if sort != nil {
		kinds[sort.name] = sort.kind
		keys = append(keys, map[string]string{"AttributeName": sort.name, "KeyType": "RANGE"})
	}
	return keys
}

// tableNamed is a table's name, be it given as such or as its ARN.
// Item operations may have the ARN for TableName as well. ARNs of other
// accounts and regions are refused by name, as no such table could be here.
func (c *call) tableNamed(name string) (string, *apiError) {
	if !strings.HasPrefix(name, "arn:") {
		return name, nil
	}
	short, ok := strings.CutPrefix(name, tableARN(c.region, ""))
	if !ok || strings.Contains(short, "/") {
		return "", validation("Invalid TableArn: %q; dynamotest knows tables of the account %s and the region of the request", name, accountID)
	}
	return short, nil
}

// named finds the table of an operation on tables, after the checks that come
// before. The lock is held on success.
// The order is name, permission, existence: who may not look does not learn
// whether there is a table. The caller unlocks on success, and must not on an
// error.
func (c *call) named(name string) (*table, *apiError) {
	name, err := c.tableNamed(name)
	if err != nil {
		return nil, err
	}
	if err := checkTableName(name); err != nil {
		return nil, err
	}
	if err := c.authorize(name); err != nil {
		return nil, err
	}
	c.server.mu.Lock()
	if t := c.server.tables[name]; t != nil {
		return t, nil
	}
	c.server.mu.Unlock()
	return nil, noTableNamed(name)
}

// describeTable shows the table as it is at this moment.
func (c *call) describeTable(in *struct{ TableName string }) (any, *apiError) {
	t, err := c.named(in.TableName)
	if err != nil {
		return nil, err
	}
	defer c.server.mu.Unlock()
	return map[string]any{"Table": t.describe(c, "ACTIVE")}, nil
}

// indexUpdate has exactly one of its members; Update (of throughput) is not
// implemented.
type indexUpdate struct {
	Create *indexInput
	Delete *struct{ IndexName string }
}

// updateTableInput is what may be changed; streams and replicas are not
// implemented.
type updateTableInput struct {
	TableName                   string
	AttributeDefinitions        []struct{ AttributeName, AttributeType string }
	BillingMode                 string
	GlobalSecondaryIndexUpdates []indexUpdate
	settings
}

// updateTable changes a table at once, its indexes included.
// All is checked before anything is changed, but for the index, which is the
// last that can fail. AttributeDefinitions may repeat what is defined and must
// not contradict it.
func (c *call) updateTable(in *updateTableInput) (any, *apiError) {
	t, err := c.named(in.TableName)
	if err != nil {
		return nil, err
	}
	defer c.server.mu.Unlock()
	if in.BillingMode == "" && len(in.GlobalSecondaryIndexUpdates) == 0 && in.ProvisionedThroughput == nil && in.OnDemandThroughput == nil &&
		in.SSESpecification == nil && in.TableClass == "" && in.DeletionProtectionEnabled == nil {
		return nil, validation("At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required")
	}
	switch {
	case in.BillingMode == "PROVISIONED" && in.ProvisionedThroughput == nil && t.billing == "PAY_PER_REQUEST":
		return nil, invalid("ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")
	case in.BillingMode == "PAY_PER_REQUEST" && in.ProvisionedThroughput != nil:
		return nil, invalid("Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
	case in.ProvisionedThroughput != nil:
		if err := in.ProvisionedThroughput.same(t.ProvisionedThroughput); err != nil {
			return nil, err
		}
	}
	kinds, have := map[string]string{}, t.kinds()
	for _, d := range in.AttributeDefinitions {
		if was := have[d.AttributeName]; was != "" && was != d.AttributeType {
			return nil, invalid("the attribute %s is of type %s in a key, and %s in AttributeDefinitions", d.AttributeName, was, d.AttributeType)
		}
		kinds[d.AttributeName] = d.AttributeType
	}
	if len(in.GlobalSecondaryIndexUpdates) > 1 {
		return nil, validation("Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table")
	}
	for _, u := range in.GlobalSecondaryIndexUpdates {
		switch {
		case u.Create != nil && u.Delete == nil:
			if err := t.addIndex(*u.Create, kinds, map[string]bool{}); err != nil {
				return nil, err
			}
		case u.Delete != nil && u.Create == nil:
			if t.indexes[u.Delete.IndexName] == nil {
				return nil, dynamo("ResourceNotFoundException", "Requested resource not found")
			}
			delete(t.indexes, u.Delete.IndexName)
		default:
			return nil, validation("an update of an index is either Create or Delete")
		}
	}
	if in.BillingMode != "" {
		t.billing = in.BillingMode
	}
	if t.billing == "PAY_PER_REQUEST" {
		t.ProvisionedThroughput = nil
	}
	t.set(in.settings)
	return map[string]any{"TableDescription": t.describe(c, "ACTIVE")}, nil
}

// deleteTable takes the table away at once; the answer still describes it.
// A client that goes on using it gets ResourceNotFoundException from the next
// request on. Calls that have its lock are over by then.
func (c *call) deleteTable(in *struct{ TableName string }) (any, *apiError) {
	t, err := c.named(in.TableName)
	if err != nil {
		return nil, err
	}
	defer c.server.mu.Unlock()
	if t.protected() {
		return nil, validation("Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
	}
	delete(c.server.tables, t.name)
	return map[string]any{"TableDescription": t.describe(c, "DELETING")}, nil
}

// listTables pages by name, 100 at most.
// Names are sorted by bytes. ExclusiveStartTableName need not be the name of a
// table. The permission is on "*", as the operation is about none in
// particular.
func (c *call) listTables(in *struct {
	ExclusiveStartTableName string
	Limit                   *int
},
) (any, *apiError) {
	if err := c.authorize("*"); err != nil {
		return nil, err
	}
	limit := 100
	if in.Limit != nil {
		limit = *in.Limit
	}
	if limit < 1 || limit > 100 {
		return nil, validation("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must have value between 1 and 100", limit)
	}
	c.server.mu.Lock()
	names := slices.Sorted(maps.Keys(c.server.tables))
	c.server.mu.Unlock()
	names = slices.DeleteFunc(names, func(n string) bool { return n <= in.ExclusiveStartTableName })
	out := map[string]any{"TableNames": append([]string{}, names...)}
	if len(names) > limit {
		out["TableNames"], out["LastEvaluatedTableName"] = names[:limit], names[limit-1]
	}
	return out, nil
}
