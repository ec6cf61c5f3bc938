package dynamotest

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"
)

// An index is a global secondary index: another order of those items of the
// table that have its key attributes. It is read from the items themselves, so
// it is never behind; DynamoDB's is, mostly by little.
type index struct {
	// name is unique in the table.
	name string
	// The key's attributes may be any of the items', the table's own
	// included, and need not be unique.
	hash       keyAttribute
	sort       *keyAttribute
	projection string   // ALL, KEYS_ONLY or INCLUDE
	include    []string // with INCLUDE
}

// maxIndexes is the service's default quota.
const maxIndexes = 20

// indexInput is a member of GlobalSecondaryIndexes, and the Create of an
// update.
type indexInput struct {
	IndexName  string
	KeySchema  []keyElement
	Projection *struct {
		ProjectionType   string
		NonKeyAttributes []string
	}
	// Accepted and without effect here.
	ProvisionedThroughput any
	OnDemandThroughput    any
	WarmThroughput        any
}

// addIndex makes an index. The lock is held, or nobody knows the table yet.
//
// kinds are the defined attributes, used those that some key has used so far;
// addIndex adds its own. An error leaves the table as it was. The index has all
// the items that have its key at once: nothing is copied, so nothing is
// back-filled.
func (t *table) addIndex(in indexInput, kinds map[string]string, used map[string]bool) *apiError {
	i := &index{name: in.IndexName}
	switch {
	case !isIndexName(i.name):
		return errIndexName(i.name)
	case len(in.KeySchema) == 0 || len(in.KeySchema) > 2:
		return validation("1 validation error detected: Value at 'keySchema' of the index %s failed to satisfy constraint: Member must have length 1 or 2", i.name)
	case t.indexes[i.name] != nil:
		return invalid("Duplicate index name: %s", i.name)
	case len(t.indexes) == maxIndexes:
		return invalid("GlobalSecondaryIndex count exceeds the per-table limit of %d", maxIndexes)
	case in.Projection == nil:
		return invalid("Unknown ProjectionType: null")
	}
	var err *apiError
	if i.hash, i.sort, err = keySchema(in.KeySchema, kinds, used); err != nil {
		return err
	}
	i.projection, i.include = in.Projection.ProjectionType, in.Projection.NonKeyAttributes
	switch {
	case i.projection != "ALL" && i.projection != "KEYS_ONLY" && i.projection != "INCLUDE":
		return invalid("Unknown ProjectionType: %s", i.projection)
	case i.projection == "INCLUDE" && len(i.include) == 0:
		return invalid("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
	case i.projection != "INCLUDE" && len(i.include) > 0:
		return invalid("ProjectionType is %s, but NonKeyAttributes is specified", i.projection)
	}
	if t.indexes == nil {
		t.indexes = map[string]*index{}
	}
	t.indexes[i.name] = i
	return nil
}

// keyElement is a member of KeySchema; KeyType is HASH or RANGE.
type keyElement struct{ AttributeName, KeyType string }

// keySchema reads the key of a table or of an index, and notes the attributes
// that it uses.
// Of one or two elements the first has to be HASH and the second RANGE. The
// errors are in the service's order.
func keySchema(in []keyElement, kinds map[string]string, used map[string]bool) (hash keyAttribute, sort *keyAttribute, err *apiError) {
	var names []string
	for _, k := range in {
		names = append(names, k.AttributeName)
	}
	switch {
	case slices.ContainsFunc(names, func(name string) bool { return kinds[name] == "" }):
		err = invalid("Some index key attributes are not defined in AttributeDefinitions. Keys: [%s], AttributeDefinitions: [%s]",
			strings.Join(names, ", "), strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
	case len(in) == 2 && names[0] == names[1]:
		err = validation("Both the Hash Key and the Range Key element in the KeySchema have the same name")
	case in[0].KeyType != "HASH":
		err = validation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
	case len(in) == 2 && in[1].KeyType != "RANGE":
		err = validation("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")
	}
	if err != nil {
		return hash, nil, err
	}
	for _, name := range names {
		used[name] = true
	}
	if len(in) == 2 {
		sort = &keyAttribute{names[1], kinds[names[1]]}
	}
	return keyAttribute{names[0], kinds[names[0]]}, sort, nil
}

// isIndexName reports whether DynamoDB takes s for the name of an index.
// The rule is the same as for tables.
func isIndexName(name string) bool {
	return len(name) >= 3 && len(name) <= 255 && tableName.MatchString(name)
}

// errIndexName is for names that could not be an index's, before any is looked
// for.
func errIndexName(name string) *apiError {
	return validation("1 validation error detected: Value '%s' at 'indexName' failed to satisfy constraint: Member must have 3 to 255 letters, digits and _.-", name)
}

// checkIndexes refuses an item whose attribute of an index's key is of another
// kind; one that lacks it is just not in the index.
//
// The indexes are looked at in the order of their names, so that the first
// error is always the same. The lock is held.
func (t *table) checkIndexes(it item) *apiError {
	for _, name := range slices.Sorted(maps.Keys(t.indexes)) {
		i := t.indexes[name]
		for n, a := range i.attributes() {
			v := it[a.name]
			if v == nil {
				continue
			}
			if v.kind != a.kind {
				return invalid("Type mismatch for Index Key %s Expected: %s Actual: %s IndexName: %s", a.name, a.kind, v.kind, i.name)
			}
			if err := checkKeySize(a.name, v, n == 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// attributes are those of the index's key, the partition key first.
func (i *index) attributes() []keyAttribute {
	if i.sort == nil {
		return []keyAttribute{i.hash}
	}
	return []keyAttribute{i.hash, *i.sort}
}

// has reports whether an item is in the index. One from before the index, whose
// attribute is of another kind, is not.
func (i *index) has(it item) bool {
	for _, a := range i.attributes() {
		if v := it[a.name]; v == nil || v.kind != a.kind {
			return false
		}
	}
	return true
}

// only is what the index shows of an item; nil for all of it.
//
// An index has always the keys of the table besides its own and what it
// includes.
func (i *index) only(t *table) []path {
	if i.projection == "ALL" {
		return nil
	}
	names := append([]string{}, i.include...)
	for _, a := range append(i.attributes(), t.attributes()...) {
		names = append(names, a.name)
	}
	slices.Sort(names)
	var paths []path
	for _, name := range slices.Compact(names) {
		paths = append(paths, path{{name: name}})
	}
	return paths
}

// attributes are those of the primary key, the partition key first.
func (t *table) attributes() []keyAttribute {
	if t.sort == nil {
		return []keyAttribute{t.hash}
	}
	return []keyAttribute{t.hash, *t.sort}
}

// describe is a GlobalSecondaryIndexDescription. The lock is held.
//
// Sizes are those of what the index shows. It notes the kinds of its key's
// attributes in kinds, for the table's AttributeDefinitions.
func (i *index) describe(t *table, c *call, kinds map[string]string) map[string]any {
	count, size := 0, 0
	for _, it := range t.items {
		if i.has(it) {
			count, size = count+1, size+it.project(i.only(t)).size()
		}
	}
	projection := map[string]any{"ProjectionType": i.projection}
	if i.include != nil {
		projection["NonKeyAttributes"] = i.include
	}
	return map[string]any{
		"IndexName": i.name, "IndexArn": tableARN(c.region, t.name) + "/index/" + i.name, "IndexStatus": "ACTIVE",
		"KeySchema": describeKey(i.hash, i.sort, kinds), "Projection": projection, "ItemCount": count, "IndexSizeBytes": size,
		"ProvisionedThroughput": map[string]any{"NumberOfDecreasesToday": 0, "ReadCapacityUnits": 0, "WriteCapacityUnits": 0},
	}
}

// A view is what a Query or a Scan reads: a table, or one of its indexes.
//
// A view is valid while the lock is held under which it was made.
type view struct {
	t    *table
	i    *index // nil: the table itself
	hash keyAttribute
	sort *keyAttribute
}

// view finds what is read. The lock is held.
//
// A consistent read of a global index is refused, as the service could not do
// it.
func (t *table) view(name *string, consistent bool) (view, *apiError) {
	if name == nil {
		return view{t: t, hash: t.hash, sort: t.sort}, nil
	}
	i := t.indexes[*name]
	switch {
	case i == nil:
		return view{}, validation("The table does not have the specified index: %s", *name)
	case consistent:
		return view{}, validation("Consistent reads are not supported on global secondary indexes")
	}
	return view{t: t, i: i, hash: i.hash, sort: i.sort}, nil
}

// read is what a read finds in the view, by the encoding of the items' primary
// keys. On an unlucky server it is in their order, or the draws would not be
// the same each time.
//
// It yields each key once. Without luck the order is that of a map, so callers
// sort what they find. The lock is held; a stale state may be one that the
// index has and the item now has not.
func (v view) read(c *call, consistent bool) iter.Seq2[string, item] {
	return func(yield func(string, item) bool) {
		if c.server.luck == nil {
			for key, it := range v.t.items {
				if (v.i == nil || v.i.has(it)) && !yield(key, it) {
					return
				}
			}
			return
		}
		keys := slices.Collect(maps.Keys(v.t.items))
		for key := range v.t.history { // what was there a moment ago
			if v.t.items[key] == nil {
				keys = append(keys, key)
			}
		}
		slices.Sort(keys)
		for _, key := range keys {
			it := c.read(v.t, key, consistent)
			if it != nil && (v.i == nil || v.i.has(it)) && !yield(key, it) {
				return
			}
		}
	}
}

// keys are the attributes of the view's own key.
//
// checkKeyCondition and the filter's check look at these.
func (v view) keys() []keyAttribute {
	if v.i != nil {
		return v.i.attributes()
	}
	return v.t.attributes()
}

// checkProjected refuses to show what the index does not have.
//
// Only the first name of a path counts: an index has an attribute whole or not
// at all. The service could fetch the rest from the table for local indexes
// only.
func (v view) checkProjected(only []path) *apiError {
	if v.i == nil || v.i.projection == "ALL" {
		return nil
	}
	has := v.i.only(v.t)
	for _, p := range only {
		if !slices.ContainsFunc(has, func(h path) bool { return h[0] == p[0] }) {
			return invalid("Global secondary index %s does not project [%s]", v.i.name, p[0].name)
		}
	}
	return nil
}

// order compares two items by the view's sort key, and in an index, where that
// may be the same, by their primary key.
//
// Two items of one partition are never equal in it, which is what lets a
// page go on from a key. The lock is held.
func (v view) order(a, b item) int {
	o := 0
	if v.sort != nil {
		o, _ = a[v.sort.name].compare(b[v.sort.name]) // of one kind: the table has seen to it
	}
	if o == 0 && v.i != nil {
		ka, _ := v.t.keyOf(v.t.primaryKey(a), true) // they are stored
		kb, _ := v.t.keyOf(v.t.primaryKey(b), true)
		o = cmp.Compare(ka, kb)
	}
	return o
}

// position is the key of an item in the view: where to go on from.
//
// It is what LastEvaluatedKey shows; for an index it has the index's key and
// the table's.
func (v view) position(it item) item {
	key := v.t.primaryKey(it)
	if v.i != nil {
		for _, a := range v.i.attributes() {
			key[a.name] = it[a.name]
		}
	}
	return key
}

// checkStart refuses a start key that no item of the view could have.
//
// It need not be the key of an item that is still there: paging goes on from
// its place in the order.
func (v view) checkStart(start item) *apiError {
	const bad = "The provided starting key is invalid"
	want := v.t.attributes()
	if v.i != nil {
		for _, a := range v.i.attributes() {
			if !slices.Contains(want, a) {
				want = append(want, a)
			}
		}
	}
	fits := len(start) == len(want)
	for _, a := range want {
		fits = fits && start[a.name] != nil && start[a.name].kind == a.kind
	}
	if !fits && v.i != nil {
		return validation(bad) // the service says no more of an index
	}
	if !fits {
		return validation("%s: %s", bad, errKeySchema().message)
	}
	if _, err := v.t.keyOf(v.t.primaryKey(start), true); err != nil {
		return validation("%s: %s", bad, err.message)
	}
	return nil
}
