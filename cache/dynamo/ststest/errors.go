package ststest

import (
	"fmt"

	"github.com/failopen/failopen/cache/dynamo/internal/iam"
)

// An apiError is an answer that is not a success, as STS and IAM name it; the
// JSON protocol has names of its own for some, see jsonCodes.
type apiError struct {
	status  int
	code    string
	message string
}

func invalid(format string, args ...any) *apiError {
	return &apiError{400, "ValidationError", fmt.Sprintf(format, args...)}
}

func noSuchEntity(format string, args ...any) *apiError {
	return &apiError{404, "NoSuchEntity", fmt.Sprintf(format, args...)}
}

// signatureError words what package iam says as STS and IAM do.
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
