package dynamotest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The legacy parameters, from before there were expressions, are read as the
// expressions that they mean. See "Legacy conditional parameters" in the
// developer guide.

// legacyCondition is a member of KeyConditions, QueryFilter, ScanFilter or, with
// Exists and Value, Expected.
//
// With Exists and Value it is the older form of the two that Expected has.
type legacyCondition struct {
	ComparisonOperator string
	AttributeValueList []*value
	Exists             *bool
	Value              *value
}

// legacyUpdate is a member of AttributeUpdates.
//
// Action is PUT (the default), ADD or DELETE.
type legacyUpdate struct {
	Action string
	Value  *value
}

// translation collects the placeholders of expressions.
type translation struct {
	// Both become the request's placeholders; their names cannot clash with
	// a client's, which a legacy request has not.
	names  map[string]string
	values map[string]*value
}

// name is a new placeholder for the attribute; the legacy parameters have no
// reserved words.
func (t *translation) name(attribute string) string {
	if t.names == nil {
		t.names = map[string]string{}
	}
	n := fmt.Sprintf("#legacy_%d", len(t.names))
	t.names[n] = attribute
	return n
}

// value is a new placeholder for v.
func (t *translation) value(v *value) string {
	if t.values == nil {
		t.values = map[string]*value{}
	}
	n := fmt.Sprintf(":legacy_%d", len(t.values))
	t.values[n] = v
	return n
}

// comparisons are the operators that take one value.
var comparisons = map[string]string{
	"EQ": "%s = %s", "NE": "%s <> %s", "LT": "%s < %s", "LE": "%s <= %s", "GT": "%s > %s", "GE": "%s >= %s",
	"CONTAINS": "contains(%s, %s)", "NOT_CONTAINS": "NOT contains(%s, %s)", "BEGINS_WITH": "begins_with(%s, %s)",
}

// conditions is the expression that a map of conditions means.
//
// The attributes are in the order of their names, so that errors are always the
// same. operator is AND or OR, checked by the model's limits; nil in, or
// nothing in it, is no expression.
func (t *translation) conditions(in map[string]legacyCondition, operator string) (*string, *apiError) {
	if in == nil {
		return nil, nil
	}
	var parts []string
	for _, attribute := range sortedKeys(in) {
		part, err := t.condition(attribute, in[attribute])
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	if operator == "" {
		operator = "AND"
	}
	if len(parts) == 0 {
		return nil, nil
	}
	text := strings.Join(parts, " "+operator+" ")
	return &text, nil
}

// condition translates one member of Expected, of a filter or of a key's
// conditions to an expression. Expected has two forms, with Exists and Value or
// with an operator, which exclude each other.
func (t *translation) condition(attribute string, c legacyCondition) (string, *apiError) {
	values, op := c.AttributeValueList, c.ComparisonOperator
	switch {
	case op == "" && values != nil:
		return "", invalid("AttributeValueList can only be used with a ComparisonOperator for Attribute: %s", attribute)
	case op != "" && c.Exists != nil:
		return "", invalid("Exists and ComparisonOperator cannot be used together for Attribute: %s", attribute)
	case values != nil && c.Value != nil:
		return "", invalid("Value and AttributeValueList cannot be used together for Attribute: %s", attribute)
	case op == "" && c.Exists != nil && !*c.Exists && c.Value != nil:
		return "", invalid("Value cannot be used when Exists is false for Attribute: %s", attribute)
	case op == "" && c.Exists != nil && !*c.Exists:
		op = "NULL"
	case op == "" && c.Value == nil && c.Exists == nil:
		return "", invalid("Value must be provided when Exists is null for Attribute: %s", attribute)
	case op == "" && c.Value == nil:
		return "", invalid("Value must be provided when Exists is true for Attribute: %s", attribute)
	case op == "":
		op = "EQ"
	}
	if c.Value != nil {
		values = []*value{c.Value}
	}
	for _, v := range values {
		if v == nil {
			return "", validation("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
		}
	}
	return t.compare(attribute, op, values)
}

// compare translates an operator with its arguments.
//
// The number of values is checked here, their types by the expression.
// Operators are those of the API's enum, in the order in which its error has
// them.
func (t *translation) compare(attribute, op string, values []*value) (string, *apiError) {
	format, one := comparisons[op]
	n := len(values)
	switch {
	case !one && !slices.Contains([]string{"NULL", "NOT_NULL", "BETWEEN", "IN"}, op):
		return "", validation("1 validation error detected: Value '%s' at 'comparisonOperator' failed to satisfy constraint: Member must satisfy enum value set: [IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, GT, NOT_NULL, NE, LE, BEGINS_WITH, GE, CONTAINS]", op)
	case one && n != 1, op == "BETWEEN" && n != 2, op == "IN" && n == 0, (op == "NULL" || op == "NOT_NULL") && n != 0:
		return "", invalid("Invalid number of argument(s) for the %s ComparisonOperator", op)
	}
	name := t.name(attribute)
	var given []string
	for _, v := range values {
		given = append(given, t.value(v))
	}
	switch op {
	case "NULL":
		return "attribute_not_exists(" + name + ")", nil
	case "NOT_NULL":
		return "attribute_exists(" + name + ")", nil
	case "BETWEEN":
		return name + " BETWEEN " + given[0] + " AND " + given[1], nil
	case "IN":
		return name + " IN (" + strings.Join(given, ", ") + ")", nil
	}
	return fmt.Sprintf(format, name, given[0]), nil
}

// attributes is the projection that AttributesToGet means.
//
// A name in it is taken as it is: a dot is part of the name, and there are no
// paths.
func (t *translation) attributes(names []string) (*string, *apiError) {
	if names == nil {
		return nil, nil
	}
	var parts []string
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return nil, invalid("Duplicate value in attribute name: %s", name)
		}
		parts = append(parts, t.name(name))
	}
	text := strings.Join(parts, ", ")
	return &text, nil
}

// updates is the update expression that AttributeUpdates means.
//
// One difference between the ages is kept: ADD to a list appends.
func (t *translation) updates(in map[string]legacyUpdate) (*string, *apiError) {
	if in == nil {
		return nil, nil
	}
	sections := map[string][]string{}
	for _, attribute := range sortedKeys(in) {
		u := in[attribute]
		name := t.name(attribute)
		switch action := u.Action; {
		case action == "DELETE" && u.Value == nil:
			sections["REMOVE"] = append(sections["REMOVE"], name)
		case u.Value == nil:
			return nil, invalid("Only DELETE action is allowed when no attribute value is specified")
		case action == "" || action == "PUT":
			sections["SET"] = append(sections["SET"], name+" = "+t.value(u.Value))
		case action == "ADD" && u.Value.kind == "L": // appends; the expression's ADD does not
			sections["SET"] = append(sections["SET"], fmt.Sprintf("%s = list_append(if_not_exists(%[1]s, %s), %s)", name, t.value(&value{kind: "L"}), t.value(u.Value)))
		case action == "ADD" || action == "DELETE":
			sections[action] = append(sections[action], name+" "+t.value(u.Value))
		default:
			return nil, validation("1 validation error detected: Value '%s' at 'attributeUpdates.%s.member.action' failed to satisfy constraint: Member must satisfy enum value set: [DELETE, PUT, ADD]", action, attribute)
		}
	}
	text := ""
	for _, name := range sortedKeys(sections) {
		text += name + " " + strings.Join(sections[name], ", ") + " "
	}
	if text == "" {
		return nil, nil
	}
	return &text, nil
}

// A dated input may have legacy parameters, and turns them into expressions.
//
// modernize is called by operation, before run, and changes the input.
type dated interface{ modernize() *apiError }

// A parameter of a request, and whether it is there.
//
// Order in lists of parameters is the order in which an error names them.
type parameter struct {
	name  string
	there bool
}

// given are the names of those that are there.
func given(params []parameter) []string {
	var names []string
	for _, p := range params {
		if p.there {
			names = append(names, p.name)
		}
	}
	return names
}

// mixed refuses a request that has parameters of both ages.
func mixed(legacy, modern []parameter) *apiError {
	old, expressions := given(legacy), given(modern)
	if len(old) == 0 || len(expressions) == 0 {
		return nil
	}
	return validation("Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {%s} Expression parameters: {%s}",
		strings.Join(old, ", "), strings.Join(expressions, ", "))
}

// translated adds the placeholders. A request without expressions of its own,
// as it came, has none.
//
// values is nil for inputs without ExpressionAttributeValues. expressions is
// whether the request has some of its own, beside legacy conditions of keys.
func (in *target) translated(t translation, values *item, expressions bool) *apiError {
	switch {
	case !expressions && in.ExpressionAttributeNames != nil:
		return validation("ExpressionAttributeNames can only be specified when using expressions")
	case !expressions && values != nil && *values != nil:
		return validation("ExpressionAttributeValues can only be specified when using expressions")
	}
	if in.ExpressionAttributeNames == nil {
		in.ExpressionAttributeNames = t.names
	} else {
		maps.Copy(in.ExpressionAttributeNames, t.names)
	}
	switch {
	case values == nil:
	case *values == nil:
		*values = t.values
	default:
		maps.Copy(*values, t.values)
	}
	return nil
}

// modernize translates AttributesToGet into a ProjectionExpression, so that the
// rest of the server knows one form only.
func (in *getInput) modernize() *apiError {
	if in.AttributesToGet == nil {
		return nil
	}
	if err := mixed([]parameter{{"AttributesToGet", true}}, []parameter{{"ProjectionExpression", in.ProjectionExpression != nil}}); err != nil {
		return err
	}
	var t translation
	var err *apiError
	if in.ProjectionExpression, err = t.attributes(in.AttributesToGet); err != nil {
		return err
	}
	return in.translated(t, nil, false)
}

// modernize translates Expected.
func (in *conditional) modernize() *apiError {
	return in.modernizeWith(nil, new(*string))
}

// modernizeWith is for a write, with an update or without.
func (in *conditional) modernizeWith(updates map[string]legacyUpdate, update **string) *apiError {
	if in.Expected == nil && updates == nil {
		return nil
	}
	err := mixed([]parameter{{"Expected", in.Expected != nil}, {"AttributeUpdates", updates != nil}, {"ConditionalOperator", in.ConditionalOperator != ""}},
		[]parameter{{"UpdateExpression", *update != nil}, {"ConditionExpression", in.ConditionExpression != nil}})
	if err != nil {
		return err
	}
	var t translation
	if in.ConditionExpression, err = t.conditions(in.Expected, in.ConditionalOperator); err != nil {
		return err
	}
	if *update, err = t.updates(updates); err != nil {
		return err
	}
	return in.translated(t, &in.ExpressionAttributeValues, false)
}

// modernize translates Expected and AttributeUpdates.
func (in *updateInput) modernize() *apiError {
	return in.modernizeWith(in.AttributeUpdates, &in.UpdateExpression)
}

func (in *queryInput) modernize() *apiError { return in.modernizeWith(in.QueryFilter, in) }

func (in *scanInput) modernize() *apiError { return in.modernizeWith(in.ScanFilter, nil) }

// modernizeWith is for a Query, or (q is nil) a Scan.
func (in *reading) modernizeWith(filter map[string]legacyCondition, q *queryInput) *apiError {
	legacy := []parameter{{"AttributesToGet", in.AttributesToGet != nil}, {"ScanFilter", q == nil && filter != nil}, {"QueryFilter", q != nil && filter != nil}, {"ConditionalOperator", in.ConditionalOperator != ""}}
	modern := []parameter{{"ProjectionExpression", in.ProjectionExpression != nil}, {"FilterExpression", in.FilterExpression != nil}}
	conditions := q != nil && q.KeyConditions != nil // which go with a modern filter
	if !conditions && len(given(legacy)) == 0 {
		return nil
	}
	expressions := len(given(modern)) > 0
	if q != nil && q.KeyConditionExpression != nil {
		legacy = append(legacy, parameter{"KeyConditions", conditions})
		modern = append(modern, parameter{"KeyConditionExpression", true})
	}
	err := mixed(legacy, modern)
	if err != nil {
		return err
	}
	var t translation
	if q != nil {
		if q.KeyConditionExpression, err = t.conditions(q.KeyConditions, ""); err != nil {
			return err
		}
	}
	if filter != nil {
		if in.FilterExpression, err = t.conditions(filter, in.ConditionalOperator); err != nil {
			return err
		}
	}
	if in.AttributesToGet != nil {
		if in.ProjectionExpression, err = t.attributes(in.AttributesToGet); err != nil {
			return err
		}
	}
	return in.translated(t, &in.ExpressionAttributeValues, expressions)
}
