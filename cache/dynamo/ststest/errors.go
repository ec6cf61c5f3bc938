package ststest

import (
	"fmt"

	"github.com/failopen/failopen/cache/dynamo/internal/iam"
)

// An apiError is an answer that is not a success, as STS and IAM name it; the
// JSON protocol has names of its own for some, see jsonCodes.
type apiError struct {
	// status is that of the query protocol; the JSON protocol has 400 for
	// all but the service's own faults.
	status  int
	code    string
	message string
}

// invalid is a parameter that is wrong. Texts that begin with "ststest" are
// about what is not implemented, and are not AWS's.
func invalid(format string, args ...any) *apiError {
	return &apiError{400, "ValidationError", fmt.Sprintf(format, args...)}
}

// noSuchEntity is IAM's answer for a role or policy that is not there.
func noSuchEntity(format string, args ...any) *apiError {
	return &apiError{404, "NoSuchEntity", fmt.Sprintf(format, args...)}
}

// signatureError words what package iam says as STS and IAM do.
//
// Package iam has the names of the JSON protocols, as DynamoDB has them.
func signatureError(err *iam.SignatureError) *apiError {
	switch err.Code {
	case "MissingAuthenticationTokenException":
		return &apiError{403, "MissingAuthenticationToken", err.Message}
	case "UnrecognizedClientException":
		return &apiError{403, "InvalidClientTokenId", err.Message}
	case "ExpiredTokenException":
		return &apiError{403, "ExpiredToken", err.Message}
	case "IncompleteSignatureException":
		return &apiError{400, "IncompleteSignature", err.Message}
	}
	return &apiError{403, "SignatureDoesNotMatch", err.Message}
}

// jsonCodes are the names of errors in the JSON protocol. Its status is 400 for
// all of them.
var jsonCodes = map[string]string{
	"AccessDenied":               "AccessDeniedException",
	"ExpiredToken":               "ExpiredTokenException",
	"IncompleteSignature":        "IncompleteSignatureException",
	"InvalidClientTokenId":       "UnrecognizedClientException",
	"MissingAuthenticationToken": "MissingAuthenticationTokenException",
	"SignatureDoesNotMatch":      "InvalidSignatureException",
	"ValidationError":            "ValidationException",
	"MalformedPolicyDocument":    "MalformedPolicyDocumentException",
}
