package dynamotest

import (
	"cmp"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// An action is one part of an update expression: what becomes of a path,
// given the item as it was. nil removes the attribute; an absent operand is an
// error.
type action struct {
	path path
	next func(old item) (*value, *apiError)
}

// parseUpdate follows the grammar of the developer guide, "Using update
// expressions in DynamoDB".
// The clauses SET, REMOVE, ADD and DELETE may come in any order, each once. Two
// actions whose paths overlap, or take one attribute for a list and a map, are
// refused: there would be an order among them. O(actions²), at most 4 KiB of
// text.
func (x *expression) parseUpdate(text string) (actions []action, err error) {
	p := parser{x: x, what: "UpdateExpression"}
	err = p.run(text, func() {
		seen := map[string]bool{}
		for {
			clause := strings.ToUpper(p.next())
			parse, ok := map[string]func() action{"SET": p.set, "REMOVE": p.remove, "ADD": p.add, "DELETE": p.subtract}[clause]
			if !ok {
				p.pos--
				p.fail()
			}
			if seen[clause] {
				panic(syntaxError("The \"" + clause + "\" section can only be used once in an update expression;"))
			}
			seen[clause] = true
			for {
				actions = append(actions, parse())
				if !p.accept(",") {
					break
				}
			}
			if p.pos >= len(p.tokens) {
				return
			}
		}
	})
	if err != nil {
		return nil, err
	}
	for i, a := range actions {
		for _, b := range actions[:i] {
			if clash := b.path.clash(a.path); clash != "" {
				return nil, validation("Invalid UpdateExpression: %s", clash)
			}
		}
	}
	return actions, nil
}

// String is the path as an error shows it.
func (p path) String() string {
	var names []string
	for _, s := range p {
		if s.name == "" {
			names = append(names, "["+strconv.Itoa(s.index)+"]")
		} else {
			names = append(names, s.name)
		}
	}
	return strings.Join(names, ", ")
}

func (p *parser) set() action {
	to := p.path()
	p.expect("=")
	return action{to, p.setValue()}
}

// setValue is an operand, or the sum or difference of two, all of it or each
// in brackets.
// A bracket may begin the whole value or its first operand: what follows the
// closing one decides.
func (p *parser) setValue() func(item) (*value, *apiError) {
	if p.peek() == "(" {
		after := closing(p.tokens, p.pos) + 1
		if after == 0 || after >= len(p.tokens) || p.tokens[after] != "+" && p.tokens[after] != "-" {
			p.nest()
			p.pos++
			v := p.setValue()
			p.expect(")")
			return v
		}
	}
	a := p.setOperand()
	switch op := p.peek(); op {
	case "+", "-":
		p.pos++
		p.operator()
		b := p.setOperand()
		return func(old item) (*value, *apiError) {
			x, err := a(old)
			if err != nil {
				return nil, err
			}
			y, err := b(old)
			if err != nil {
				return nil, err
			}
			return sum(x, y, op == "-")
		}
	}
	return a
}

// nest counts a bracket inside of others.
func (p *parser) nest() {
	if p.depth++; p.depth > 300 {
		panic(syntaxError("The expression has too many levels of nesting;"))
	}
}

// setOperand is a value, a path that must be there, or a function.
func (p *parser) setOperand() func(item) (*value, *apiError) {
	if p.peek() == "(" {
		p.nest()
		p.pos++
		v := p.setOperand()
		p.expect(")")
		return v
	}
	if p.pos+1 < len(p.tokens) && p.tokens[p.pos+1] == "(" {
		return p.setFunction()
	}
	o := p.operand()
	return func(old item) (*value, *apiError) {
		if v := o(old); v != nil {
			return v, nil
		}
		return nil, validation("The provided expression refers to an attribute that does not exist in the item")
	}
}

// setFunction = "if_not_exists" "(" path "," operand ")" / "list_append" "("
// operand "," operand ")".
func (p *parser) setFunction() func(item) (*value, *apiError) {
	name := p.next()
	p.expect("(")
	switch name {
	case "if_not_exists":
		have := p.path()
		p.expect(",")
		other := p.setOperand()
		p.expect(")")
		return func(old item) (*value, *apiError) {
			if v := have.find(old); v != nil {
				return v, nil
			}
			return other(old)
		}
	case "list_append":
		a := p.setOperand()
		p.expect(",")
		b := p.setOperand()
		p.expect(")")
		return func(old item) (*value, *apiError) {
			x, err := a(old)
			if err != nil {
				return nil, err
			}
			y, err := b(old)
			if err != nil {
				return nil, err
			}
			if x.kind != "L" || y.kind != "L" {
				return nil, errOperand()
			}
			return &value{kind: "L", list: slices.Concat(x.list, y.list)}, nil
		}
	}
	panic(syntaxError("Invalid function name; function: " + name))
}

func (p *parser) remove() action {
	return action{p.path(), func(item) (*value, *apiError) { return nil, nil }}
}

// add is one action of ADD: a number is added, the elements of a set are united
// with it, and what is not there begins with the value.
// The value is the request's own and never a path. A set keeps its order and
// gets the new elements at its end.
func (p *parser) add() action {
	to := p.path()
	with := p.constant()
	return action{to, func(old item) (*value, *apiError) {
		have := to.find(old)
		switch {
		case with.kind != "N" && !isSet(with):
			return nil, validation("Invalid UpdateExpression: Incorrect operand type for operator or function; operator: ADD, operand type: %s", longKind(with.kind))
		case have == nil:
			return with, nil
		case have.kind != with.kind:
			return nil, errOperand()
		case with.kind == "N":
			return sum(have, with, false)
		}
		union := slices.Clone(have.list)
		for _, e := range with.list {
			if !slices.ContainsFunc(union, func(o value) bool { return o.equal(&e) }) {
				union = append(union, e)
			}
		}
		return &value{kind: have.kind, list: union}, nil
	}}
}

// subtract is one action of DELETE, which takes elements out of a set. There is
// no empty set: with its last element the attribute goes.
func (p *parser) subtract() action {
	from := p.path()
	what := p.constant()
	return action{from, func(old item) (*value, *apiError) {
		have := from.find(old)
		switch {
		case !isSet(what):
			return nil, validation("Invalid UpdateExpression: Incorrect operand type for operator or function; operator: DELETE, operand type: %s", longKind(what.kind))
		case have == nil:
			return nil, nil
		case have.kind != what.kind:
			return nil, errOperand()
		}
		left := slices.DeleteFunc(slices.Clone(have.list), func(e value) bool {
			return slices.ContainsFunc(what.list, func(o value) bool { return o.equal(&e) })
		})
		if len(left) == 0 {
			return nil, nil // there are no empty sets
		}
		return &value{kind: have.kind, list: left}, nil
	}}
}

// constant is a value of the request.
func (p *parser) constant() *value {
	if !strings.HasPrefix(p.peek(), ":") {
		p.fail()
	}
	return p.operand()(nil)
}

func isSet(v *value) bool { return v.kind == "SS" || v.kind == "NS" || v.kind == "BS" }

func errOperand() *apiError {
	return validation("An operand in the update expression has an incorrect data type")
}

// sum adds or subtracts two numbers, with all their digits.
// Both numbers are scaled to integers and added as such: 38 digits are more
// than a float64 has. More digits than 38, or a magnitude out of range, are the
// errors of parseDecimal.
func sum(a, b *value, minus bool) (*value, *apiError) {
	if a.kind != "N" || b.kind != "N" {
		return nil, errOperand()
	}
	scale := max(len(a.num.digits)-a.num.exp, len(b.num.digits)-b.num.exp, 0)
	x, y := a.num.scaled(scale), b.num.scaled(scale)
	if minus {
		y.Neg(y)
	}
	x.Add(x, y)
	text := x.String()
	if scale > 0 {
		text += "e-" + big.NewInt(int64(scale)).String()
	}
	d, err := parseDecimal(text)
	if err != nil {
		return nil, validation("%s", err)
	}
	return &value{kind: "N", num: d}, nil
}

// scaled is d × 10^scale, which is an integer.
func (d decimal) scaled(scale int) *big.Int {
	n := new(big.Int)
	if d.digits == "" {
		return n
	}
	n.SetString(d.digits, 10)
	n.Mul(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.exp-len(d.digits)+scale)), nil))
	if d.neg {
		n.Neg(n)
	}
	return n
}

// put returns a document with v at the path, nil for nothing; what is not on
// the way is shared with the old one. ok is false if the way does not exist.
// Maps and lists on the way are copied, O(their size), which is what keeps
// stored items unchanged. An index at or beyond the end of a list appends.
func (p path) put(doc *value, v *value) (_ *value, ok bool) {
	if len(p) == 0 {
		return v, true
	}
	s, last := p[0], len(p) == 1
	switch {
	case doc == nil:
		return nil, false
	case s.name != "" && doc.kind == "M":
		inner, ok := p[1:].put(doc.m[s.name], v)
		if !ok && !last {
			return nil, false
		}
		m := maps.Clone(doc.m)
		if m == nil {
			m = map[string]*value{}
		}
		if inner == nil {
			delete(m, s.name)
		} else {
			m[s.name] = inner
		}
		return &value{kind: "M", m: m}, true
	case s.name == "" && doc.kind == "L":
		list := slices.Clone(doc.list)
		if s.index >= len(list) {
			if last && v != nil {
				return &value{kind: "L", list: append(list, *v)}, true
			}
			return doc, last // nothing to remove
		}
		inner, ok := p[1:].put(&list[s.index], v)
		if !ok {
			return nil, false
		}
		if inner == nil {
			return &value{kind: "L", list: slices.Delete(list, s.index, s.index+1)}, true
		}
		list[s.index] = *inner
		return &value{kind: "L", list: list}, true
	}
	return nil, false
}

// apply makes the new item. Every action sees the old one; removals from lists
// come last and backwards, so that indexes mean what they meant.
// An item that is not there begins as its key alone. Nothing of old is changed;
// the result may share what was not touched.
func apply(old item, key item, actions []action) (item, *apiError) {
	if old == nil {
		old = key
	}
	next := &value{kind: "M", m: maps.Clone(old)}
	type change struct {
		path path
		v    *value
	}
	var sets, removals []change
	for _, a := range actions {
		v, err := a.next(old)
		switch {
		case err != nil:
			return nil, err
		case v == nil:
			removals = append(removals, change{a.path, nil})
		default:
			sets = append(sets, change{a.path, v})
		}
	}
	slices.SortFunc(removals, func(a, b change) int { return b.path.compare(a.path) })
	for _, c := range append(sets, removals...) {
		changed, ok := c.path.put(next, c.v)
		if !ok {
			if c.v == nil {
				continue // what is not there need not be removed
			}
			return nil, validation("The document path provided in the update expression is invalid for update")
		}
		next = changed
	}
	return next.m, nil
}

// compare orders paths step by step, names by their bytes and indexes by their
// size. None of an update's paths begins with another.
func (p path) compare(q path) int {
	return slices.CompareFunc(p, q, func(a, b step) int {
		return cmp.Or(strings.Compare(a.name, b.name), a.index-b.index)
	})
}

// updateInput is one update, alone or in a transaction.
type updateInput struct {
	conditional
	Key              item
	UpdateExpression *string
	AttributeUpdates map[string]legacyUpdate // legacy
}

// parse reads both expressions.
// They share their placeholders, each of which has to be used by one of them.
// Without an update expression there are no actions: UpdateItem then makes the
// item with its key, or leaves it as it is.
func (in *updateInput) parse() (actions []action, holds condition, err *apiError) {
	x := expression{names: in.ExpressionAttributeNames, values: in.ExpressionAttributeValues, used: map[string]bool{}}
	holds = func(item) bool { return true }
	if in.UpdateExpression != nil {
		var err error
		if actions, err = x.parseUpdate(*in.UpdateExpression); err != nil {
			return nil, nil, asAPI(err)
		}
	}
	if in.ConditionExpression != nil {
		var err error
		if holds, err = x.parseCondition(*in.ConditionExpression); err != nil {
			return nil, nil, asAPI(err)
		}
	}
	return actions, holds, x.check(in.UpdateExpression != nil || in.ConditionExpression != nil)
}

// updated is what an update makes of an item. The lock is held.
func (t *table) updated(old, key item, actions []action) (item, *apiError) {
	for _, a := range actions {
		if name := a.path[0].name; name == t.hash.name || t.sort != nil && name == t.sort.name {
			return nil, invalid("Cannot update attribute %s. This attribute is part of the key", name)
		}
	}
	next, err := apply(old, key, actions)
	if err != nil {
		return nil, err
	}
	if next.size() > maxItem {
		return nil, validation("Item size to update has exceeded the maximum allowed size")
	}
	return next, t.checkIndexes(next)
}

// updateItem makes an item that is not there, with its key. Capacity is taken
// whether or not the condition holds, for the larger of both versions.
func (c *call) updateItem(in *updateInput) (any, *apiError) {
	actions, holds, err := in.parse()
	if err != nil {
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
	old := c.read(t, key, true)
	failed := !holds(old)
	var next item
	if !failed {
		if next, err = t.updated(old, in.Key, actions); err != nil {
			return nil, err
		}
	}
	units := writeUnits(max(old.size(), next.size()))
	if c.server.luck.throttled() || !c.server.write.take(units, c.now) {
		return nil, c.throttled(t)
	}
	if failed {
		return nil, in.failed(old)
	}
	t.store(c, key, next)
	out := map[string]any{}
	if shown := returned(in.ReturnValues, old, next, actions); len(shown) > 0 {
		out["Attributes"] = shown
	}
	in.consumed(out, units)
	return out, nil
}

// returned is what ReturnValues asks for.
func returned(which string, old, next item, actions []action) item {
	from := next
	if strings.HasSuffix(which, "_OLD") {
		from = old
	}
	switch which {
	case "ALL_OLD", "ALL_NEW":
		return from
	case "UPDATED_OLD", "UPDATED_NEW":
		var paths []path
		for _, a := range actions {
			paths = append(paths, a.path)
		}
		return from.project(paths) // only what the update names, also inside of documents
	}
	return nil
}
