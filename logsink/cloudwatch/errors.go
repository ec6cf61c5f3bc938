package cloudwatch

import (
	"errors"
	"net/http"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// kind is what to do about an error.
type kind int

const (
	retry    kind = iota // it may end by itself: everything that is not below
	denied               // it ends when someone restores a permission
	missing              // the group or the stream is not there
	invalid              // the request will never be taken as it is
	accepted             // the request had been taken already
	sequence             // an emulator that still wants the sequence token
)

// kinds are the codes that are no case for patience alone. A code that is not here is
// retried: a mistake costs a delay then, and not a record. A new row is a code of the
// service's API reference, and what helps.
var kinds = map[string]kind{
	"AccessDeniedException":               denied,
	"AccessDenied":                        denied,
	"UnauthorizedException":               denied,
	"UnrecognizedClientException":         denied,
	"InvalidClientTokenId":                denied,
	"ExpiredToken":                        denied,
	"ExpiredTokenException":               denied,
	"InvalidSignatureException":           denied,
	"SignatureDoesNotMatch":               denied,
	"IncompleteSignatureException":        denied,
	"MissingAuthenticationToken":          denied,
	"MissingAuthenticationTokenException": denied,
	"OptInRequired":                       denied,
	"ResourceNotFoundException":           missing,
	"InvalidParameterException":           invalid,
	"ValidationException":                 invalid,
	"SerializationException":              invalid,
	"RequestEntityTooLarge":               invalid,
	"DataAlreadyAcceptedException":        accepted,
	"InvalidSequenceTokenException":       sequence,
}

// classify goes by the error's code: the SDK has no types for most of them.
// A body that a proxy in front of the service refuses has a status, and no code.
func classify(err error) kind {
	var api smithy.APIError
	if errors.As(err, &api) {
		if k, ok := kinds[api.ErrorCode()]; ok {
			return k
		}
	}
	var resp *smithyhttp.ResponseError
	if errors.As(err, &resp) && resp.HTTPStatusCode() == http.StatusRequestEntityTooLarge {
		return invalid
	}
	return retry
}

// code is the error's code, or "".
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// waitError is an error with the pause that should follow it.
type waitError struct {
	err  error
	wait time.Duration
}

func (e waitError) Error() string             { return e.err.Error() }
func (e waitError) Unwrap() error             { return e.err }
func (e waitError) RetryAfter() time.Duration { return e.wait }
