package dynamotest

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// violations are the constraints of the service's API model that a request
// breaks. The service looks at them before anything else, and tells of all of
// them at once.
type violations []string

// add notes one. member is the path to the parameter, value what it is: "" for
// a value that is not shown.
func (v *violations) add(value, member, must string) {
	if value != "" {
		value += " "
	}
	*v = append(*v, fmt.Sprintf("Value %sat '%s' failed to satisfy constraint: Member must %s", value, member, must))
}

// enum notes a value that is none of those allowed; "" is a parameter that was
// not given. The order of allowed is the service's, as the message shows it.
func (v *violations) enum(member, value string, allowed ...string) {
	if value != "" && !slices.Contains(allowed, value) {
		v.add("'"+value+"'", member, "satisfy enum value set: ["+strings.Join(allowed, ", ")+"]")
	}
}

// atLeast notes a number that is too small; nil was not given.
func (v *violations) atLeast(member string, value *int64, least int64) {
	if value != nil && *value < least {
		v.add(fmt.Sprintf("'%d'", *value), member, fmt.Sprintf("have value greater than or equal to %d", least))
	}
}

// err names all that was wrong with a request, as the service does.
//
// It is nil if nothing was.
func (v violations) err() *apiError {
	switch len(v) {
	case 0:
		return nil
	case 1:
		return validation("1 validation error detected: %s", v[0])
	}
	return validation("%d validation errors detected: %s", len(v), strings.Join(v, "; "))
}

// tableNamer is an input with the name of a table.
type tableNamer interface{ tableName() string }

func (in *target) tableName() string { return in.TableName }

// checkTableGiven sees that there is a name at all, which the service asks
// before it looks at anything else.
//
// body is looked at, since an empty name and a missing one have two messages.
func checkTableGiven(in tableNamer, body []byte) *apiError {
	if in.tableName() != "" {
		return nil
	}
	var members map[string]json.RawMessage
	_ = json.Unmarshal(body, &members) // it was an object a moment ago
	var v violations
	if given, ok := members["TableName"]; ok && string(given) != "null" {
		v.add("''", "tableName", "have length greater than or equal to 1")
	} else {
		v.add("null", "tableName", "not be null")
	}
	return v.err()
}

// A limited input has constraints of the model.
type limited interface{ limits(*violations) }

// consumedEnum has the values of ReturnConsumedCapacity.
func consumedEnum(v *violations, value string) {
	v.enum("returnConsumedCapacity", value, "INDEXES", "TOTAL", "NONE")
}

// limits of an operation on one item.
func (in *target) limits(v *violations) { consumedEnum(v, in.ReturnConsumedCapacity) }

// limits of a write. Which of the ReturnValues an operation knows is found
// later.
func (in *conditional) limits(v *violations) {
	in.target.limits(v)
	v.enum("returnItemCollectionMetrics", in.ReturnItemCollectionMetrics, "SIZE", "NONE")
	v.enum("returnValues", in.ReturnValues, "ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW")
	v.enum("returnValuesOnConditionCheckFailure", in.ReturnValuesOnConditionCheckFailure, "ALL_OLD", "NONE")
	v.enum("conditionalOperator", in.ConditionalOperator, "OR", "AND")
}

// limits of Query and Scan; those of Limit differ.
func (in *reading) limits(v *violations) {
	in.target.limits(v)
	v.enum("select", in.Select, "SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES")
	v.enum("conditionalOperator", in.ConditionalOperator, "OR", "AND")
}

// limits of a request for many items.
func (in *batchOptions) limits(v *violations) {
	consumedEnum(v, in.ReturnConsumedCapacity)
	v.enum("returnItemCollectionMetrics", in.ReturnItemCollectionMetrics, "SIZE", "NONE")
}

// member is the path to a field of the i-th element of a list.
func member(list string, i int, field string) string {
	return fmt.Sprintf("%s.%d.member.%s", list, i+1, field)
}

// nameLimits are those of an attribute's name in a key.
func nameLimits(v *violations, list string, i int, name string) {
	switch {
	case name == "":
		v.add("''", member(list, i, "attributeName"), "have length greater than or equal to 1")
	case len(name) > 255:
		v.add("'"+name+"'", member(list, i, "attributeName"), "have length less than or equal to 255")
	}
}

// batchOptions are those of a request for many items.
type batchOptions struct {
	ReturnConsumedCapacity      string
	ReturnItemCollectionMetrics string // there are no collections without local indexes
}

// consumed is what the batch has taken of each table, or nil if nobody has asked
// for it.
func (in *batchOptions) consumed(tables []any) []any {
	if !wantsCapacity(in.ReturnConsumedCapacity) {
		return nil
	}
	return tables
}

// Limits of expressions.
const (
	// Bytes of an expression, operators and functions in it, and operands
	// of IN ("Quotas" in the developer guide).
	maxExpression = 4096
	maxOperators  = 300
	maxIn         = 100
)

var (
	nameKey  = regexp.MustCompile(`^#[0-9A-Za-z_]+$`)
	valueKey = regexp.MustCompile(`^:[0-9A-Za-z_]+$`)
)

// placeholders checks the names and values that expressions may use.
func (x *expression) placeholders() error {
	if x.names != nil && len(x.names) == 0 {
		return validation("ExpressionAttributeNames must not be empty")
	}
	for _, name := range sortedKeys(x.names) {
		switch {
		case !nameKey.MatchString(name):
			return validation("ExpressionAttributeNames contains invalid key: Syntax error; key: %q", name)
		case x.names[name] == "":
			return validation("ExpressionAttributeNames contains invalid value: an attribute name may not be empty; key: %q", name)
		}
	}
	if x.values != nil && len(x.values) == 0 {
		return validation("ExpressionAttributeValues must not be empty")
	}
	for _, name := range sortedKeys(x.values) {
		if !valueKey.MatchString(name) {
			return validation("ExpressionAttributeValues contains invalid key: Syntax error; key: %q", name)
		}
	}
	return nil
}

// operator counts one.
func (p *parser) operator() {
	if p.operators++; p.operators > maxOperators {
		panic(syntaxError(fmt.Sprintf("The expression contains too many operators and functions; the limit is %d", maxOperators)))
	}
}

// group is what follows a bracket, up to the closing one. The service refuses
// brackets directly inside of brackets.
func (p *parser) group() condition {
	first := p.pos
	c := p.or()
	if first < len(p.tokens) && p.tokens[first] == "(" && closing(p.tokens, first) == p.pos-1 {
		panic(syntaxError("The expression has redundant parentheses;"))
	}
	p.expect(")")
	return c
}

// closing is where the bracket at open closes.
func closing(tokens []string, open int) int {
	depth := 0
	for i := open; i < len(tokens); i++ {
		switch tokens[i] {
		case "(":
			depth++
		case ")":
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// A term is an operand, and what is known of it before there is an item.
type term struct {
	operand
	path  path   // of an attribute
	value *value // of the request
}

// distinct refuses an attribute that is compared with itself.
func distinct(operator string, a term, others ...term) {
	for _, b := range others {
		if a.path != nil && b.path != nil && slices.Equal(a.path, b.path) {
			panic(syntaxError(fmt.Sprintf("The first operand must be distinct from the remaining operands for this operator or function; operator: %s, first operand: [%s]", operator, a.path)))
		}
	}
}

// ordered refuses values of the request that have no order.
func ordered(operator string, terms ...term) {
	for _, t := range terms {
		if t.value != nil && t.value.kind != "S" && t.value.kind != "N" && t.value.kind != "B" {
			panic(syntaxError("Incorrect operand type for operator or function; operator: " + operator + ", operand type: " + t.value.kind))
		}
	}
}

// clash says why two paths cannot be in one expression, if they cannot: one
// leads into the other, or they take one attribute for a list and for a map.
func (p path) clash(q path) string {
	for i := range min(len(p), len(q)) {
		if p[i] == q[i] {
			continue
		}
		if i > 0 && (p[i].name == "") != (q[i].name == "") {
			return fmt.Sprintf("Two document paths conflict with each other; must remove or rewrite one of these paths; path one: [%s], path two: [%s]", p, q)
		}
		return ""
	}
	return fmt.Sprintf("Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [%s], path two: [%s]", p, q)
}

// typeName is the value of the request that names a type.
func (p *parser) typeName() string {
	t := p.term()
	switch {
	case t.value == nil:
		panic(syntaxError("Incorrect operand type for operator or function; operator or function: attribute_type, operand type: {NS,SS,L,BS,N,M,B,BOOL,NULL,S}"))
	case t.value.kind != "S":
		panic(syntaxError("Incorrect operand type for operator or function; operator or function: attribute_type, operand type: " + t.value.kind))
	case !slices.Contains(kinds, t.value.str):
		panic(syntaxError("Invalid attribute type name found; type: " + t.value.str + ", valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}"))
	}
	return t.value.str
}

var kinds = []string{"B", "NULL", "SS", "BOOL", "L", "BS", "N", "NS", "S", "M"}

// longKind is how errors of updates name the type of a value.
func longKind(kind string) string {
	long := map[string]string{"S": "STRING", "N": "NUMBER", "B": "BINARY", "BOOL": "BOOLEAN", "L": "LIST", "M": "MAP", "SS": "STRING_SET", "NS": "NUMBER_SET", "BS": "BINARY_SET"}[kind]
	if long == "" {
		return kind
	}
	return long
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
