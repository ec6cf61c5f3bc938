package dynamotest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A condition decides about an item; nil is an item that does not exist.
//
// It must not change the item, does not need the lock by itself, and gives the
// same answer each time.
type condition func(item) bool

// An operand is a side of a comparison: the value that a path or a function
// has in an item, or nil.
type operand func(item) *value

// expression is what the members of a request that hold a ConditionExpression
// or a ProjectionExpression have in common.
type expression struct {
	// names are ExpressionAttributeNames, values ExpressionAttributeValues.
	names  map[string]string
	values map[string]*value
	// used names and values: the service refuses a request with others.
	used map[string]bool
	// top collects the attributes that paths begin with, if it is set.
	top map[string]bool
}

// parseCondition follows the grammar of the developer guide,
// "Condition and filter expressions, operators, and functions".
func (x *expression) parseCondition(text string) (condition, error) {
	return x.parseConditionOf("ConditionExpression", text)
}

// parseConditionOf is parseCondition for a parameter of another name.
//
// what appears in errors: "Invalid FilterExpression: …". The result is closures
// over the placeholders' values; nothing is parsed while an item is looked at.
func (x *expression) parseConditionOf(what, text string) (condition, error) {
	p := parser{x: x, what: what}
	var c condition
	err := p.run(text, func() { c = p.or() })
	return c, err
}

// parseProjection reads a list of paths, none of which leads into another.
//
// An empty expression is an error, as in all the others.
func (x *expression) parseProjection(text string) ([]path, error) {
	p := parser{x: x, what: "ProjectionExpression"}
	var paths []path
	err := p.run(text, func() {
		for {
			next := p.path()
			for _, other := range paths {
				if clash := other.clash(next); clash != "" {
					panic(syntaxError(clash))
				}
			}
			paths = append(paths, next)
			if !p.accept(",") {
				return
			}
		}
	})
	return paths, err
}

// unused names the placeholders that no expression used.
//
// It is asked when all expressions of the request have been read.
func (x *expression) unused() error {
	for _, kind := range []struct {
		member string
		names  []string
	}{
		{"ExpressionAttributeNames", slices.Sorted(maps.Keys(x.names))},
		{"ExpressionAttributeValues", slices.Sorted(maps.Keys(x.values))},
	} {
		unused := slices.DeleteFunc(kind.names, func(name string) bool { return x.used[name] })
		if len(unused) > 0 {
			return validation("Value provided in %s unused in expressions: keys: {%s}", kind.member, strings.Join(unused, ", "))
		}
	}
	return nil
}

// or = and { "OR" and }. Both sides are evaluated on the item when the
// condition runs; here they are only compiled.
func (p *parser) or() condition {
	c := p.and()
	for p.accept("OR") {
		p.operator()
		a, b := c, p.and()
		c = func(it item) bool { return a(it) || b(it) }
	}
	return c
}

// and = not { "AND" not }.
func (p *parser) and() condition {
	c := p.not()
	for p.accept("AND") {
		p.operator()
		a, b := c, p.not()
		c = func(it item) bool { return a(it) && b(it) }
	}
	return c
}

// not = "NOT" not / "(" or ")" / function / comparison. Its depth is bounded,
// as it is the one rule through which the grammar comes back to itself.
//
// Its result is short-circuited like all others: an absent attribute is no
// error.
func (p *parser) not() condition {
	if p.depth++; p.depth > 300 {
		panic(syntaxError("The expression has too many levels of nesting;"))
	}
	defer func() { p.depth-- }()
	if p.accept("NOT") {
		p.operator()
		c := p.not()
		return func(it item) bool { return !c(it) }
	}
	if p.accept("(") {
		return p.group()
	}
	if p.pos+1 < len(p.tokens) && p.tokens[p.pos+1] == "(" && p.peek() != "size" {
		return p.function()
	}
	return p.comparison()
}

// function reads the functions that are conditions of their own. Their names
// are case-sensitive.
//
// Argument types are checked as far as the request itself shows them; an item's
// attribute of another type makes the function false.
func (p *parser) function() condition {
	name := p.next()
	p.operator()
	p.expect("(")
	var c condition
	switch name {
	case "attribute_exists":
		path := p.path()
		c = func(it item) bool { return path.find(it) != nil }
	case "attribute_not_exists":
		path := p.path()
		c = func(it item) bool { return path.find(it) == nil }
	case "attribute_type":
		path := p.path()
		p.expect(",")
		want := p.typeName()
		c = func(it item) bool {
			v := path.find(it)
			return v != nil && v.kind == want
		}
	case "begins_with":
		a := p.term()
		p.expect(",")
		b := p.term()
		distinct(name, a, b)
		for _, v := range []*value{a.value, b.value} {
			if v != nil && v.kind != "S" && v.kind != "B" {
				panic(syntaxError("Incorrect operand type for operator or function; operator or function: begins_with, operand type: " + v.kind))
			}
		}
		c = func(it item) bool { return beginsWith(a.operand(it), b.operand(it)) }
	case "contains":
		a := p.term()
		p.expect(",")
		b := p.term()
		distinct(name, a, b)
		c = func(it item) bool { return contains(a.operand(it), b.operand(it)) }
	default:
		panic(syntaxError("Invalid function name; function: " + name))
	}
	p.expect(")")
	return c
}

// comparison = term operator term / term "BETWEEN" term "AND" term / term "IN"
// "(" term { "," term } ")". What can be seen to be wrong without an item is
// refused here: a comparison of an attribute with itself, and an order of
// values that have none.
func (p *parser) comparison() condition {
	t := p.term()
	a := t.operand
	p.operator()
	switch op := strings.ToUpper(p.next()); op {
	case "=", "<>", "<", "<=", ">", ">=":
		b := p.term()
		distinct(op, t, b)
		if op[0] != '=' && op != "<>" {
			ordered(op, t, b)
		}
		return func(it item) bool { return holds(a(it), op, b.operand(it)) }
	case "BETWEEN":
		lo := p.term()
		p.expect("AND")
		hi := p.term()
		ordered(op, t, lo, hi)
		checkBounds(lo.value, hi.value)
		return func(it item) bool {
			return holds(a(it), ">=", lo.operand(it)) && holds(a(it), "<=", hi.operand(it))
		}
	case "IN":
		p.expect("(")
		list := []operand{p.operand()}
		for p.accept(",") {
			list = append(list, p.operand())
		}
		p.expect(")")
		if len(list) > maxIn {
			panic(syntaxError(fmt.Sprintf("Incorrect number of operands for operator or function; operator or function: IN, number of operands: %d", len(list))))
		}
		return func(it item) bool {
			return slices.ContainsFunc(list, func(b operand) bool { return holds(a(it), "=", b(it)) })
		}
	}
	p.pos--
	p.fail()
	return nil
}

// checkBounds refuses a BETWEEN of two values that nothing can be between.
//
// Both bounds have to be values of the request.
func checkBounds(lo, hi *value) {
	if lo == nil || hi == nil {
		return // an attribute's value is not known yet
	}
	if c, ok := lo.compare(hi); lo.kind != hi.kind {
		panic(syntaxError("The BETWEEN operator requires same data type for lower and upper bounds"))
	} else if ok && c > 0 {
		panic(syntaxError(fmt.Sprintf("The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {%s:%s}, upper bound operand: AttributeValue: {%s:%s}",
			lo.kind, strings.Trim(string(lo.appendScalar(nil)), `"`), hi.kind, strings.Trim(string(hi.appendScalar(nil)), `"`))))
	}
}

// operand is a term where nothing has to be checked beforehand.
func (p *parser) operand() operand { return p.term().operand }

// term = "size" "(" path ")" / ":" value / path. A value, unlike the others, is
// known now, and kept for the checks.
func (p *parser) term() term {
	if p.peek() == "size" && p.pos+1 < len(p.tokens) && p.tokens[p.pos+1] == "(" {
		p.pos += 2
		path := p.path()
		p.expect(")")
		p.operator()
		return term{operand: func(it item) *value { return sizeOf(path.find(it)) }}
	}
	if strings.HasPrefix(p.peek(), ":") {
		name := p.next()
		v := p.x.values[name]
		if v == nil {
			panic(syntaxError("An expression attribute value used in expression is not defined; attribute value: " + name))
		}
		p.x.used[name] = true
		return term{operand: func(item) *value { return v }, value: v}
	}
	path := p.path()
	return term{operand: func(it item) *value { return path.find(it) }, path: path}
}

// A path leads to an attribute: names, and indexes into lists.
type path []step

// A step is one of both: a name, or an index.
type step struct {
	name  string
	index int // of a list, when name is empty
}

// path = name { "." name / "[" index "]" }.
//
// Names between dots may be placeholders, each of them for one name: "#a.#b",
// while "#ab" for "a.b" is one attribute with a dot in its name.
func (p *parser) path() path {
	out := path{{name: p.name()}}
	if p.x.top != nil {
		p.x.top[out[0].name] = true
	}
	for {
		switch {
		case p.accept("."):
			out = append(out, step{name: p.name()})
		case p.accept("["):
			i, err := strconv.Atoi(p.peek())
			if err != nil || i < 0 {
				p.fail()
			}
			p.pos++
			p.expect("]")
			out = append(out, step{index: i})
		default:
			return out
		}
	}
}

// name = "#" placeholder / a word that is not reserved. A name with other
// characters can only be given by a placeholder.
//
// Reserved words are refused in any case of their letters (reserved.go).
func (p *parser) name() string {
	t := p.peek()
	switch {
	case strings.HasPrefix(t, "#"):
		p.pos++
		name, ok := p.x.names[t]
		if !ok {
			panic(syntaxError("An expression attribute name used in the document path is not defined; attribute name: " + t))
		}
		p.x.used[t] = true
		return name
	case p.pos < len(p.tokens) && isWord(t[0]) && t[0] > '9':
		if reserved[strings.ToUpper(t)] {
			panic(syntaxError("Attribute name is a reserved keyword; reserved keyword: " + t))
		}
		p.pos++
		return t
	}
	p.fail()
	return ""
}

// find is the value at the path, or nil if a part of the way is not there, or
// is no document.
//
// It is O(steps), and points into the item: nobody may change what it returns.
func (p path) find(it item) *value {
	v := it[p[0].name]
	for _, s := range p[1:] {
		switch {
		case v == nil:
			return nil
		case s.name != "":
			v = v.m[s.name]
		case v.kind == "L" && s.index < len(v.list):
			v = &v.list[s.index]
		default:
			return nil
		}
	}
	return v
}

// holds compares two values. A comparison with an absent value, or of two
// types, is false, except that they are unequal.
//
// op is one of = <> < <= > >=. Types are never converted: the number 1 and the
// string "1" are unequal and have no order.
func holds(a *value, op string, b *value) bool {
	if a == nil || b == nil {
		return op == "<>" && a != b
	}
	switch op {
	case "=":
		return a.equal(b)
	case "<>":
		return !a.equal(b)
	}
	c, ok := a.compare(b)
	if !ok {
		return false
	}
	switch op {
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	default:
		return c >= 0
	}
}

// beginsWith is begins_with: for strings and binary values of one type.
func beginsWith(a, b *value) bool {
	if a == nil || b == nil || a.kind != b.kind {
		return false
	}
	return a.kind == "S" && strings.HasPrefix(a.str, b.str) ||
		a.kind == "B" && strings.HasPrefix(string(a.bin), string(b.bin))
}

// contains is contains: a part of a string or binary value, or an element of a
// set or list.
//
// For a list, b may be of any type; numbers are compared by value.
func contains(a, b *value) bool {
	switch {
	case a == nil || b == nil:
		return false
	case a.kind == "S" && b.kind == "S":
		return strings.Contains(a.str, b.str)
	case a.kind == "B" && b.kind == "B":
		return strings.Contains(string(a.bin), string(b.bin))
	}
	return slices.ContainsFunc(a.list, func(e value) bool { return e.equal(b) })
}

// sizeOf is size: bytes of a string or binary value, elements of the others;
// nil, which no comparison meets, for what has no size.
//
// For a string these are bytes in UTF-8 and not characters.
func sizeOf(v *value) *value {
	if v == nil {
		return nil
	}
	n := 0
	switch v.kind {
	case "S", "B":
		n = v.size()
	case "M":
		n = len(v.m)
	case "L", "SS", "NS", "BS":
		n = len(v.list)
	default:
		return nil
	}
	d, _ := parseDecimal(strconv.Itoa(n)) // an int is always a number
	return &value{kind: "N", num: d}
}
