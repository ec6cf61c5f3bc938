package dynamo

import (
	"errors"
	"fmt"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/failopen/failopen/cache"
)

// ErrKeySchema is in the chain of a fault whose cause is a table with another
// primary key than the store's; it comes with [cache.ErrPermanent].
var ErrKeySchema = errors.New("dynamo: the table has another primary key")

// permanent are the error codes that waiting a moment does not heal. Most of
// them have no type in the SDK. The list decides only how fast a breaker
// opens, never whether an error is a fault.
var permanent = map[string]bool{
	"AccessDeniedException":               true, // IAM, or the table's KMS key
	"ResourceNotFoundException":           true,
	"ExpiredTokenException":               true,
	"UnrecognizedClientException":         true,
	"InvalidSignatureException":           true,
	"MissingAuthenticationTokenException": true,
	"IncompleteSignatureException":        true,
	"InvalidClientTokenId":                true,
	"OptInRequired":                       true,
	"SubscriptionRequiredException":       true,
	"UnknownOperationException":           true,
}

// schemaMessages are the parts of a ValidationException's text that tell a
// wrong table from a wrong item. There is no code for it.
var schemaMessages = []string{
	"does not match the schema", // the key of a read
	"Missing the key",           // an item without the table's key
	"Type mismatch for key",     // an item with a key of another type
}

// fault wraps a failed call, and marks what is permanent or about the item
// alone.
func (s *Store) fault(op string, err error) error {
	code, message := "", ""
	if api := smithy.APIError(nil); errors.As(err, &api) {
		code, message = api.ErrorCode(), api.ErrorMessage()
	}
	switch {
	case permanent[code]:
		s.stats.faults.Add(1)
		return fmt.Errorf("dynamo: %s on table %q: %w: %w", op, s.opts.Table, cache.ErrPermanent, err)
	case code != "ValidationException":
		s.stats.faults.Add(1)
		return fmt.Errorf("dynamo: %s on table %q: %w", op, s.opts.Table, err)
	}
	for _, part := range schemaMessages {
		if strings.Contains(message, part) {
			s.stats.faults.Add(1)
			return fmt.Errorf("%w: %s on table %q needs a partition key %q of type S and no sort key: %w: %w",
				ErrKeySchema, op, s.opts.Table, s.opts.KeyAttribute, cache.ErrPermanent, err)
		}
	}
	s.stats.rejected.Add(1)
	return fmt.Errorf("dynamo: %s on table %q: %w: %w", op, s.opts.Table, cache.ErrRejected, err)
}
