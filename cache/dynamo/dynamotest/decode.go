package dynamotest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
)

// strictJSON decodes exactly one value and refuses members that into has not.
//
// It is how a parameter that is not implemented becomes an error. Names are
// compared as encoding/json does, without regard to case.
func strictJSON(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if rest := bytes.TrimSpace(data[dec.InputOffset():]); len(rest) > 0 {
		return serializationError{"there is text after the JSON value"}
	}
	return nil
}

// serializationError is an answer that JSON itself, or the type of a member,
// was wrong: the service has a different exception for that.
type serializationError struct{ text string }

func (e serializationError) Error() string { return e.text }

// decodeError makes of an error of encoding/json what the service says: a
// parameter that this server lacks is named, so that nobody takes it for
// ignored; a wrong type is a SerializationException, as it is found before the
// request is looked at.
//
// body is the whole request, in which offsets of err count.
func (c *call) decodeError(err error, body []byte) *apiError {
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return validation("dynamotest does not implement the parameter %s of %s", name, c.op)
	}
	var syntax *json.SyntaxError
	var shape *json.UnmarshalTypeError
	var wrong serializationError
	switch {
	case errors.As(err, &shape):
		return coral("SerializationException", "%s", conversion(shape, body))
	case errors.As(err, &wrong):
		return coral("SerializationException", "%s", wrong)
	case errors.As(err, &syntax) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return coral("SerializationException", "Unexpected end or character in the JSON of the request: %s", err)
	}
	return validation("%s", err)
}

// conversion says, as the service does, that a member's value is of the wrong
// type.
//
// The texts are those of the service's Java front end, whose types' names are
// not JSON's. What cannot be told apart gets "Unexpected field type".
func conversion(err *json.UnmarshalTypeError, body []byte) string {
	kind := reflect.Invalid
	if err.Type != nil {
		kind = err.Type.Kind()
	}
	names := map[reflect.Kind]string{reflect.String: "String", reflect.Bool: "Boolean", reflect.Int: "Integer", reflect.Int64: "Long"}
	want := names[kind]
	value, _, _ := strings.Cut(err.Value, " ")
	switch {
	case want == "" && value == "array":
		return "Unrecognized collection type java.util.Map"
	case want == "" && value == "object":
		return "Start of structure or map found where not expected"
	case want == "":
		return "Unexpected field type"
	case value == "array":
		return "Unrecognized collection type class java.lang." + want
	case value == "object":
		return "Start of structure or map found where not expected"
	case value == "string" && want == "Boolean":
		return "Unexpected token received from parser"
	}
	token := map[string]string{"string": "STRING_VALUE", "number": "NUMBER_VALUE"}[value]
	read := body[:min(max(err.Offset, 0), int64(len(body)))]
	switch {
	case value == "bool" && bytes.HasSuffix(read, []byte("true")):
		token = "TRUE_VALUE"
	case value == "bool":
		token = "FALSE_VALUE"
	case value == "number" && strings.ContainsAny(lastNumber(read), ".eE"):
		token = "DECIMAL_VALUE"
	}
	return token + " cannot be converted to " + want
}

// lastNumber is the number with which text ends.
//
// It is the token at which the decoder stopped, to tell 1 from 1.5.
func lastNumber(text []byte) string {
	i := len(text)
	for i > 0 && bytes.IndexByte([]byte("+-.0123456789eE"), text[i-1]) >= 0 {
		i--
	}
	return string(text[i:])
}
