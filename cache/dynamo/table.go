package dynamo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// TableClient is what [CreateTable] needs of a DynamoDB client.
type TableClient interface {
	CreateTable(context.Context, *dynamodb.CreateTableInput, ...func(*dynamodb.Options)) (*dynamodb.CreateTableOutput, error)
	DescribeTable(context.Context, *dynamodb.DescribeTableInput, ...func(*dynamodb.Options)) (*dynamodb.DescribeTableOutput, error)
	UpdateTimeToLive(context.Context, *dynamodb.UpdateTimeToLiveInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateTimeToLiveOutput, error)
	DescribeTimeToLive(context.Context, *dynamodb.DescribeTimeToLiveInput, ...func(*dynamodb.Options)) (*dynamodb.DescribeTimeToLiveOutput, error)
}

// pollInterval is how often CreateTable looks whether the table is there.
const pollInterval = 200 * time.Millisecond

// CreateTable makes the table of a store with these options, billed per
// request, with time to live, and waits until it can be used. A table that is
// there already is left as it is, but gets its time to live; if its key is
// another one, the error wraps [ErrKeySchema].
//
// It is for development and tests. In production a table belongs to the
// infrastructure's code, and the service should not have the right to make
// one.
func CreateTable(ctx context.Context, client TableClient, opts Options) error {
	if opts.Table == "" {
		return errors.New("dynamo: Options.Table is empty")
	}
	opts.KeyAttribute = cmp.Or(opts.KeyAttribute, "key")
	opts.TTLAttribute = cmp.Or(opts.TTLAttribute, "ttl")
	if err := opts.checkAttributes(); err != nil {
		return err
	}
	_, err := client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName:            &opts.Table,
		BillingMode:          types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: &opts.KeyAttribute, AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: &opts.KeyAttribute, KeyType: types.KeyTypeHash}},
	})
	if exists := (*types.ResourceInUseException)(nil); err != nil && !errors.As(err, &exists) {
		return fmt.Errorf("dynamo: create table %q: %w", opts.Table, err)
	}
	if err := waitActive(ctx, client, opts); err != nil {
		return err
	}
	return enableTTL(ctx, client, opts)
}

// waitActive polls until the table takes requests. One that is not there yet
// was created a moment ago, as control planes are eventually consistent; ctx
// bounds the wait.
func waitActive(ctx context.Context, client TableClient, opts Options) error {
	for {
		out, err := client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &opts.Table})
		if missing := (*types.ResourceNotFoundException)(nil); err != nil && !errors.As(err, &missing) {
			return fmt.Errorf("dynamo: describe table %q: %w", opts.Table, err)
		}
		if err == nil && out.Table != nil {
			if err := opts.checkSchema(out.Table); err != nil {
				return err
			}
			if out.Table.TableStatus == types.TableStatusActive {
				return nil
			}
		}
		if !sleep(ctx, pollInterval) {
			return fmt.Errorf("dynamo: table %q is not active yet: %w", opts.Table, ctx.Err())
		}
	}
}

// checkSchema refuses a table that has another key: each call would fail, with
// a message that does not say why.
func (o Options) checkSchema(t *types.TableDescription) error {
	ok := len(t.KeySchema) == 1 && aws.ToString(t.KeySchema[0].AttributeName) == o.KeyAttribute
	for _, d := range t.AttributeDefinitions {
		if aws.ToString(d.AttributeName) == o.KeyAttribute {
			ok = ok && d.AttributeType == types.ScalarAttributeTypeS
		}
	}
	if !ok {
		return fmt.Errorf("%w: table %q needs a partition key %q of type S and no sort key", ErrKeySchema, o.Table, o.KeyAttribute)
	}
	return nil
}

// enableTTL makes DynamoDB delete what has expired. It is asked first, since
// switching on what is on is an error, and since there can be one attribute
// only: that of somebody else is not replaced.
func enableTTL(ctx context.Context, client TableClient, opts Options) error {
	out, err := client.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &opts.Table})
	if err != nil {
		return fmt.Errorf("dynamo: describe the time to live of table %q: %w", opts.Table, err)
	}
	if d := out.TimeToLiveDescription; d != nil && (d.TimeToLiveStatus == types.TimeToLiveStatusEnabled || d.TimeToLiveStatus == types.TimeToLiveStatusEnabling) {
		if name := aws.ToString(d.AttributeName); name != opts.TTLAttribute {
			return fmt.Errorf("dynamo: the time to live of table %q is attribute %q, and Options.TTLAttribute is %q", opts.Table, name, opts.TTLAttribute)
		}
		return nil
	}
	_, err = client.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
		TableName:               &opts.Table,
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: &opts.TTLAttribute, Enabled: aws.Bool(true)},
	})
	if err != nil {
		return fmt.Errorf("dynamo: enable the time to live of table %q: %w", opts.Table, err)
	}
	return nil
}
