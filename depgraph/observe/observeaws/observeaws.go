// Package observeaws lets a Recorder of package observe see the calls of AWS
// clients: one for each operation, retries included, under the name of the
// service ("DynamoDB", "SQS"), which Options.Names may map to a declared one. A
// table, a queue, a topic, a bucket, a stream or a function can have a name of
// its own: "DynamoDB/sessions", or "S3/*" for all of them.
package observeaws

import (
	"context"
	"errors"
	"slices"
	"strings"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"github.com/failopen/failopen/depgraph/observe"
)

// Middleware returns what goes into the APIOptions of an aws.Config or of a
// single client:
//
//	cfg.APIOptions = append(cfg.APIOptions, observeaws.Middleware(rec))
//
// An operation has failed if it has an error, but for errors that are answers:
// a condition that does not hold, something that is not there. A denial is a
// failure, as are a DynamoDB table that is gone from under its items, and one by
// the caller's own deadline; that the caller gave up is none.
func Middleware(r *observe.Recorder) func(*middleware.Stack) error {
	m := recorded{r: r, resources: newResources(r)}
	return func(stack *middleware.Stack) error { return stack.Initialize.Add(m, middleware.After) }
}

// recorded is the middleware. It is first in the stack, so that an operation is one call
// however often it is tried.
type recorded struct {
	r         *observe.Recorder
	resources *resources
}

// ID implements middleware.InitializeMiddleware.
func (recorded) ID() string { return "FailopenObserve" }

// HandleInitialize implements middleware.InitializeMiddleware.
func (m recorded) HandleInitialize(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
	s := m.r.Start(ctx, m.resources.name(awsmiddleware.GetServiceID(ctx), in.Parameters))
	out, metadata, err := next.HandleInitialize(ctx, in)
	if err != nil && isAnswer(ctx, err) {
		s.Done(false)
	} else {
		s.Err(err)
	}
	return out, metadata, err
}

// answers are the codes of errors by which a healthy service answers.
var answers = []string{
	"ConditionalCheckFailedException", "TransactionCanceledException", "ResourceNotFoundException", "ResourceInUseException",
	"DuplicateItemException", "NoSuchKey", "NotFound", "NoSuchEntity", "NoSuchEntityException", "PreconditionFailed", "NotModified",
	"ParameterNotFound", "EntityAlreadyExists", "EntityAlreadyExistsException", "ResourceAlreadyExistsException",
}

// isAnswer reports whether an error is what a healthy service says. What is not known here
// counts as a failure: a drift that is reported can be looked at, one that is not cannot.
func isAnswer(ctx context.Context, err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && slices.Contains(answers, api.ErrorCode()) && !isOverload(api) && !lostTable(ctx, api)
}

// lostTable reports whether an operation on items found no table. Of an item that
// is not there DynamoDB makes no error.
func lostTable(ctx context.Context, api smithy.APIError) bool {
	if awsmiddleware.GetServiceID(ctx) != "DynamoDB" || api.ErrorCode() != "ResourceNotFoundException" {
		return false
	}
	op := awsmiddleware.GetOperationName(ctx)
	return strings.HasSuffix(op, "Item") || strings.HasSuffix(op, "Items") || op == "Query" || op == "Scan"
}

// isOverload reports whether a transaction was cancelled because a table could not
// take it: its text has the reason of each part, "[None, ThrottlingError]".
func isOverload(api smithy.APIError) bool {
	return api.ErrorCode() == "TransactionCanceledException" &&
		(strings.Contains(api.ErrorMessage(), "ThrottlingError") || strings.Contains(api.ErrorMessage(), "ProvisionedThroughputExceeded"))
}
