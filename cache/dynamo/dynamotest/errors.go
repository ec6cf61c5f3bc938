package dynamotest

import "fmt"

// An apiError is an answer that is not a success, as the service words it.
type apiError struct {
	// status is of HTTP: 400 for nearly all, and 413 for a body that is too
	// large.
	status  int
	space   string // namespace of __type
	code    string
	message string
	extra   map[string]any // members of the body beside __type and message
}

// Namespaces of __type. The SDKs strip them; other clients match on them.
const (
	spaceDynamo   = "com.amazonaws.dynamodb.v20120810#"
	spaceCoral    = "com.amazon.coral.service#"
	spaceValidate = "com.amazon.coral.validate#"
)

// Error is the code and the message.
// An apiError is an error, so that parsers can return it as one; see asAPI.
func (e *apiError) Error() string { return e.code + ": " + e.message }

// body is the error in the protocol's JSON: __type has the name space that SDKs
// cut off.
func (e *apiError) body() map[string]any {
	b := map[string]any{"__type": e.space + e.code}
	for k, v := range e.extra {
		b[k] = v
	}
	switch {
	case e.message == "":
	case e.code == "AccessDeniedException", e.code == "SerializationException":
		b["Message"] = e.message // the service's own capital
	default:
		b["message"] = e.message
	}
	return b
}

// validation is what a request gets that could never succeed.
func validation(format string, args ...any) *apiError {
	return &apiError{400, spaceValidate, "ValidationException", fmt.Sprintf(format, args...), nil}
}

// invalid is a ValidationException with the service's usual beginning.
func invalid(format string, args ...any) *apiError {
	return validation("One or more parameter values were invalid: "+format, args...)
}

// coral is an error of the front end that all services share: signatures,
// permissions, serialization.
func coral(code, format string, args ...any) *apiError {
	return &apiError{400, spaceCoral, code, fmt.Sprintf(format, args...), nil}
}

// dynamo is an error of DynamoDB's own.
func dynamo(code, format string, args ...any) *apiError {
	return &apiError{400, spaceDynamo, code, fmt.Sprintf(format, args...), nil}
}

// noTable is the answer of the item operations, noTableNamed of the others.
func noTable() *apiError {
	return dynamo("ResourceNotFoundException", "Requested resource not found")
}

// noTableNamed is the refusal of a table that does not exist.
// It shows the name, and not the ARN that may have been given.
func noTableNamed(name string) *apiError {
	return dynamo("ResourceNotFoundException", "Requested resource not found: Table: %s not found", name)
}
