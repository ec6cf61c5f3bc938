package dynamotest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A value is one attribute value. kind is the type descriptor of the wire:
// S, N, B, BOOL, NULL, L, M, SS, NS or BS.
type value struct {
	// One of the following is set, as kind says; a value is never changed
	// once it is part of an item that was stored.
	kind string
	str  string            // S
	num  decimal           // N
	bin  []byte            // B
	flag bool              // BOOL
	list []value           // L, and the members of SS, NS and BS as S, N and B
	m    map[string]*value // M
}

// An item is a row: attribute values by name.
type item map[string]*value

// maxDepth is how deep documents may nest: the service's own limit.
const maxDepth = 32

var errNesting = errors.New("Nesting Levels have exceeded supported limits")

// UnmarshalJSON reads a value at the top of a document.
func (v *value) UnmarshalJSON(data []byte) error { return v.decode(data, 1) }

// UnmarshalJSON refuses an attribute that is null: it would be a value of no
// type, which nothing expects.
//
// null is a nil item, {} an empty one: expressions tell the two apart.
func (it *item) UnmarshalJSON(data []byte) error {
	var members map[string]json.RawMessage
	if err := scalar(data, &members); err != nil {
		return err
	}
	if members == nil {
		*it = nil
		return nil
	}
	*it = make(item, len(members))
	for name, raw := range members {
		v := new(value)
		if err := v.decode(raw, 1); err != nil {
			return err
		}
		(*it)[name] = v
	}
	return nil
}

// decode reads {"TYPE": value}. depth counts nested documents, which the
// service bounds as well.
//
// Exactly one type descriptor has to be there. Errors are in the service's
// words; those of JSON itself are serializationErrors, which come out as
// another exception.
func (v *value) decode(data []byte, depth int) error {
	if depth > maxDepth {
		return errNesting
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return serializationError{"Unexpected value type in payload"}
	}
	if len(members) != 1 {
		if len(members) == 0 {
			return errors.New("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
		}
		return errors.New("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
	}
	for kind, raw := range members {
		return v.decodeKind(kind, raw, depth)
	}
	return nil
}

// decodeKind reads the value of one type; errors are in the service's words.
func (v *value) decodeKind(kind string, raw json.RawMessage, depth int) error {
	v.kind = kind
	switch kind {
	case "S":
		return scalar(raw, &v.str)
	case "N":
		return v.decodeNumber(raw)
	case "B":
		return v.decodeBinary(raw)
	case "BOOL":
		return scalar(raw, &v.flag)
	case "NULL":
		if err := scalar(raw, &v.flag); err != nil {
			return err
		}
		if !v.flag {
			return errors.New("One or more parameter values were invalid: Null attribute value types must have the value of true")
		}
		return nil
	case "L":
		var elems []json.RawMessage
		if err := scalar(raw, &elems); err != nil {
			return err
		}
		v.list = make([]value, len(elems))
		for i, e := range elems {
			if err := v.list[i].decode(e, depth+1); err != nil {
				return err
			}
		}
		return nil
	case "M":
		var elems map[string]json.RawMessage
		if err := scalar(raw, &elems); err != nil {
			return err
		}
		v.m = make(map[string]*value, len(elems))
		for name, e := range elems {
			v.m[name] = new(value)
			if err := v.m[name].decode(e, depth+1); err != nil {
				return err
			}
		}
		return nil
	case "SS", "NS", "BS":
		return v.decodeSet(kind, raw)
	default:
		return errors.New("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
	}
}

// scalar decodes JSON of a fixed type. A wrong one is found in the service
// while it reads the request, hence the other kind of error.
func scalar(raw json.RawMessage, into any) error {
	if err := json.Unmarshal(raw, into); err != nil {
		var shape *json.UnmarshalTypeError
		if errors.As(err, &shape) {
			return serializationError{conversion(shape, raw)}
		}
		return serializationError{"Unexpected value type in payload"}
	}
	return nil
}

// decodeNumber reads a number, which travels as a string so that no JSON
// library rounds it.
//
// A JSON number in place of the string is a SerializationException.
func (v *value) decodeNumber(raw json.RawMessage) error {
	var s string
	if err := scalar(raw, &s); err != nil {
		return err
	}
	n, err := parseDecimal(s)
	v.num = n
	return err
}

// decodeBinary reads base64 with padding.
func (v *value) decodeBinary(raw json.RawMessage) error {
	var s string
	if err := scalar(raw, &s); err != nil {
		return err
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return serializationError{"Invalid Base64 in a value of type B"}
	}
	v.bin = b
	return nil
}

// decodeSet reads SS, NS or BS. A set is not empty and has no duplicates.
//
// O(members²) for duplicates: an item has at most 400 KB, and equality is not
// that of the bytes (1 and 1.0).
func (v *value) decodeSet(kind string, raw json.RawMessage) error {
	var elems []json.RawMessage
	if err := scalar(raw, &elems); err != nil {
		return err
	}
	if len(elems) == 0 {
		if kind == "BS" {
			return errors.New("One or more parameter values were invalid: Binary sets should not be empty")
		}
		names := map[string]string{"SS": "string", "NS": "number"}
		return fmt.Errorf("One or more parameter values were invalid: An %s set  may not be empty", names[kind])
	}
	v.list = make([]value, len(elems))
	for i, e := range elems {
		if err := v.list[i].decodeKind(kind[:1], e, 0); err != nil {
			return err
		}
		for j := range i {
			if v.list[i].equal(&v.list[j]) {
				return duplicates(kind, elems)
			}
		}
	}
	return nil
}

// duplicates is the error for a set with equal elements, which differs by the
// type of the set.
func duplicates(kind string, elems []json.RawMessage) error {
	if kind == "NS" {
		return errors.New("Input collection contains duplicates")
	}
	texts := make([]string, len(elems))
	for i, e := range elems {
		_ = json.Unmarshal(e, &texts[i]) // it was a string a moment ago
	}
	of := " "
	if kind == "BS" {
		of = "of type BS "
	}
	return fmt.Errorf("One or more parameter values were invalid: Input collection [%s]%scontains duplicates.", strings.Join(texts, ", "), of)
}

// MarshalJSON writes the wire form: map members in the order of their names.
func (v *value) MarshalJSON() ([]byte, error) { return v.append(nil), nil }

// append writes the value in the protocol's JSON. Maps are in the order of
// their keys, so that equal items are equal bytes.
//
// The lock need not be held, as stored values never change.
func (v *value) append(b []byte) []byte {
	b = append(b, '{', '"')
	b = append(b, v.kind...)
	b = append(b, '"', ':')
	switch v.kind {
	case "BOOL", "NULL":
		b = fmt.Appendf(b, "%t", v.flag)
	case "L":
		b = append(b, '[')
		for i := range v.list {
			if i > 0 {
				b = append(b, ',')
			}
			b = v.list[i].append(b)
		}
		b = append(b, ']')
	case "SS", "NS", "BS":
		b = append(b, '[')
		for i := range v.list {
			if i > 0 {
				b = append(b, ',')
			}
			b = v.list[i].appendScalar(b)
		}
		b = append(b, ']')
	case "M":
		b = item(v.m).append(b)
	default:
		b = v.appendScalar(b)
	}
	return append(b, '}')
}

// appendScalar writes a string, number or binary value, all of which are
// strings in JSON.
func (v *value) appendScalar(b []byte) []byte {
	switch v.kind {
	case "N":
		return append(append(append(b, '"'), v.num.String()...), '"')
	case "B":
		return append(base64.StdEncoding.AppendEncode(append(b, '"'), v.bin), '"')
	default:
		return appendString(b, v.str)
	}
}

// MarshalJSON writes the members in the order of their names.
func (it item) MarshalJSON() ([]byte, error) { return it.append(nil), nil }

// append is MarshalJSON into a buffer; nil is written as {}.
func (it item) append(b []byte) []byte {
	b = append(b, '{')
	for i, name := range slices.Sorted(maps.Keys(it)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, name), ':')
		b = it[name].append(b)
	}
	return append(b, '}')
}

// appendString writes a JSON string. encoding/json escapes <, > and & as well,
// which every client reads back.
func appendString(b []byte, s string) []byte {
	q, _ := json.Marshal(s) // a string cannot fail to marshal
	return append(b, q...)
}

// size is the number of bytes that the service bills and limits: names and
// values in UTF-8, numbers two digits to the byte, a little for nesting.
//
// The rules are those of "DynamoDB item sizes and formats" in the developer
// guide: 3 bytes for a list or map, and 1 for each element.
func (v *value) size() int {
	switch v.kind {
	case "S":
		return len(v.str)
	case "N":
		return v.num.size()
	case "B":
		return len(v.bin)
	case "BOOL", "NULL":
		return 1
	case "L":
		n := 3
		for i := range v.list {
			n += 1 + v.list[i].size()
		}
		return n
	case "M":
		n := 3
		for name, e := range v.m {
			n += 1 + len(name) + e.size()
		}
		return n
	default:
		n := 0
		for i := range v.list {
			n += v.list[i].size()
		}
		return n
	}
}

// size is what DynamoDB counts for the item: the bytes of its names and values.
func (it item) size() int {
	n := 0
	for name, v := range it {
		n += len(name) + v.size()
	}
	return n
}

// equal compares as DynamoDB does: numbers by value, sets without order,
// documents to their depth.
func (v *value) equal(w *value) bool {
	if v.kind != w.kind {
		return false
	}
	switch v.kind {
	case "SS", "NS", "BS": // order has no meaning
		return len(v.list) == len(w.list) && !slices.ContainsFunc(v.list, func(e value) bool {
			return !slices.ContainsFunc(w.list, func(f value) bool { return e.equal(&f) })
		})
	case "L":
		return slices.EqualFunc(v.list, w.list, func(e, f value) bool { return e.equal(&f) })
	case "M":
		return maps.EqualFunc(v.m, w.m, (*value).equal)
	case "BOOL", "NULL":
		return v.flag == w.flag
	default:
		c, ok := v.compare(w)
		return ok && c == 0
	}
}

// compare orders two strings, numbers or binaries of the same type; for other
// pairs ok is false.
//
// Strings are compared by their bytes in UTF-8, as DynamoDB does, and binaries
// by unsigned bytes.
func (v *value) compare(w *value) (c int, ok bool) {
	if v.kind != w.kind {
		return 0, false
	}
	switch v.kind {
	case "S":
		return strings.Compare(v.str, w.str), true
	case "N":
		return v.num.compare(w.num), true
	case "B":
		return bytes.Compare(v.bin, w.bin), true
	}
	return 0, false
}
