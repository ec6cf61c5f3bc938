package dynamo

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/failopen/failopen/cache"
)

// ErrKeySchema is in the chain of a fault whose cause is a table with another
// primary key than the store's; it comes with [cache.ErrPermanent].
var ErrKeySchema = errors.New("dynamo: the table has another primary key")

// transientCodes are the refusals that a moment may heal, beside those that
// the SDK retries. Any other answer that blames the request says that table,
// credentials, permissions or endpoint are not what they should be: the store
// checks keys and items itself. Which it is decides how fast a breaker opens,
// never whether an error is a fault.
var transientCodes = map[string]bool{
	"InternalServerError":              true,
	"InternalFailure":                  true,
	"ServiceUnavailable":               true,
	"ServiceUnavailableException":      true,
	"ReplicatedWriteConflictException": true,
	"TransactionConflictException":     true,
	"ResourceInUseException":           true, // the table is being created or changed
	"KMSThrottlingException":           true,

	// The SDK corrects its clock by the answer.
	"RequestExpired":                true,
	"RequestTimeTooSkewed":          true,
	"RequestInTheFuture":            true,
	"RequestTimeTooSkewedException": true,
}

// transient are the SDK's own reasons to try again: throttling by its codes,
// status 500 and above, connections.
var transient = retry.IsErrorRetryables(retry.DefaultRetryables)

// itemMessages are the parts of a ValidationException's text by which a write
// is refused because of the item. There is no code for it.
var itemMessages = []string{
	"Item size",       // … has exceeded the maximum allowed size; … to update …
	"Nesting Levels",  // … have exceeded supported limits
	"Number overflow", // and the two other limits of numbers
	"Number underflow",
	"more than 38 significant digits",
	"cannot be converted to a numeric value",
}

// schemaMessages are the parts of a ValidationException's text that tell a
// table with another key. The last two are DynamoDB Local's.
var schemaMessages = []string{
	"does not match the schema", // the key of a read
	"Missing the key",           // an item without the table's key
	"Type mismatch for key",     // an item with a key of another type
	"number of conditions on the keys is invalid",
	"required keys was not given a value",
}

// fault wraps a failed call, and marks what is permanent or about the item
// alone. A read has no item, so that what it is refused for is permanent.
func (s *Store) fault(op string, err error) error {
	api := smithy.APIError(nil)
	if errors.As(err, &api) {
		s.renew.after(api.ErrorCode(), time.Now())
	}
	if api == nil || isTransient(api, err) {
		s.stats.faults.Add(1)
		return fmt.Errorf("dynamo: %s on table %q: %w", op, s.opts.Table, err)
	}
	switch {
	case op == "PutItem" && (api.ErrorCode() == "ItemCollectionSizeLimitExceededException" ||
		api.ErrorCode() == "ValidationException" && mentions(api, itemMessages)):
		s.stats.rejected.Add(1)
		return fmt.Errorf("dynamo: %s on table %q: %w: %w", op, s.opts.Table, cache.ErrRejected, err)
	case mentions(api, schemaMessages):
		s.stats.faults.Add(1)
		return fmt.Errorf("%w: %s on table %q needs a partition key %q of type S and no sort key: %w: %w",
			ErrKeySchema, op, s.opts.Table, s.opts.KeyAttribute, cache.ErrPermanent, err)
	}
	s.stats.faults.Add(1)
	return fmt.Errorf("dynamo: %s on table %q: %w: %w", op, s.opts.Table, cache.ErrPermanent, err)
}

// isTransient reports whether the same call may work in a moment: throttling,
// errors of the service's own, and what the SDK would retry, by code or else by
// status. It decides the kind of the fault, not whether it is retried.
func isTransient(api smithy.APIError, err error) bool {
	if transientCodes[api.ErrorCode()] || api.ErrorFault() == smithy.FaultServer || transient.IsErrorRetryable(err) == aws.TrueTernary {
		return true
	}
	resp := (*smithyhttp.ResponseError)(nil)
	if !errors.As(err, &resp) {
		return false
	}
	status := resp.HTTPStatusCode()
	return status >= 500 || status == http.StatusRequestTimeout || status == http.StatusTooManyRequests
}

// mentions looks for one of the parts in the message: DynamoDB answers with one
// code, ValidationException, to what is wrong with an item and to what is wrong
// with the table.
func mentions(api smithy.APIError, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(api.ErrorMessage(), part) {
			return true
		}
	}
	return false
}
