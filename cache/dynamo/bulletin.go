package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/failopen/failopen/cache"
)

// BulletinClient is what a [Bulletin] needs of a DynamoDB client. *dynamodb.Client
// and the DAX client have it.
type BulletinClient interface {
	Client
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
}

// A Bulletin is a [Store] that is a [cache.BulletinStore], too: instances tell
// each other of endings through items of the same table, one a second while
// there are any. It needs dynamodb:UpdateItem on the table beside what [Policy]
// allows (see BulletinActions), and at rest each instance uses up to two read
// units a second.
type Bulletin struct {
	*Store
	client BulletinClient
}

// BulletinActions are the IAM actions that a Bulletin needs beside those of a
// Store.
var BulletinActions = []string{"dynamodb:UpdateItem"}

var _ cache.BulletinStore = (*Bulletin)(nil)

// notesAttribute is a set of binary values, to which DynamoDB adds without
// reading first.
const notesAttribute = "e"

// NewBulletin returns a Bulletin on opts.Table. It does not call DynamoDB.
func NewBulletin(client BulletinClient, opts Options) (*Bulletin, error) {
	if client == nil {
		return nil, errors.New("dynamo: no client")
	}
	store, err := NewStore(client, opts)
	if err != nil {
		return nil, err
	}
	if o := store.opts; o.KeyAttribute == notesAttribute || o.TTLAttribute == notesAttribute {
		return nil, fmt.Errorf("dynamo: an attribute is named %q, which is the name of the notes", notesAttribute)
	}
	return &Bulletin{store, client}, nil
}

// Append implements [cache.BulletinStore] with one UpdateItem.
func (b *Bulletin) Append(ctx context.Context, key string, notes [][]byte, expires time.Time) error {
	full, err := b.key(key)
	if err != nil {
		b.stats.rejected.Add(1)
		return err
	}
	if len(notes) == 0 {
		return nil
	}
	if err := b.start.wait(ctx); err != nil {
		return b.fault("UpdateItem", err)
	}
	began := time.Now()
	out, err := answered(b.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                &b.opts.Table,
		Key:                      full,
		UpdateExpression:         aws.String("ADD #e :notes SET #ttl = :ttl"),
		ExpressionAttributeNames: map[string]string{"#e": notesAttribute, "#ttl": b.opts.TTLAttribute},
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":notes": &types.AttributeValueMemberBS{Value: notes},
			":ttl":   number(expires.Unix()),
		},
		ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	}, b.writeOptions))
	if err != nil {
		return b.fault("UpdateItem", err)
	}
	if err := b.noteAnswer("UpdateItem", out.ResultMetadata, began); err != nil {
		return err
	}
	b.wrote(out.ConsumedCapacity, full)
	return nil
}

// Notes implements [cache.BulletinStore] with BatchGetItem. A set that DynamoDB
// does not process is an error, since nothing may be missed.
func (b *Bulletin) Notes(ctx context.Context, keys []string) (map[string][][]byte, error) {
	if err := b.start.wait(ctx); err != nil {
		return nil, b.fault("BatchGetItem", err)
	}
	found := make(map[string][][]byte)
	for len(keys) > 0 {
		n := min(len(keys), maxBatchGet)
		batch := make([]map[string]types.AttributeValue, n)
		for i, key := range keys[:n] {
			full, err := b.key(key)
			if err != nil {
				return nil, err
			}
			batch[i] = full
		}
		keys = keys[n:]
		began := time.Now()
		out, err := answered(b.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{
			RequestItems: map[string]types.KeysAndAttributes{b.opts.Table: {Keys: batch}},
		}, readOptions))
		if err != nil {
			return nil, b.fault("BatchGetItem", err)
		}
		if err := b.noteAnswer("BatchGetItem", out.ResultMetadata, began); err != nil {
			return nil, err
		}
		if len(out.UnprocessedKeys) > 0 {
			b.stats.unprocessed.Add(1)
			return nil, fmt.Errorf("dynamo: BatchGetItem on table %q did not process every key", b.opts.Table)
		}
		answered := 0
		for _, items := range out.Responses {
			for _, attrs := range items {
				answered++
				b.stats.readHalves.Add(int64((itemBytes(attrs) + 4095) / 4096))
				key, isKey := attrs[b.opts.KeyAttribute].(*types.AttributeValueMemberS)
				notes, isSet := attrs[notesAttribute].(*types.AttributeValueMemberBS)
				if isKey && isSet {
					found[key.Value] = notes.Value
				}
			}
		}
		b.stats.readHalves.Add(int64(n - answered))
	}
	return found, nil
}
