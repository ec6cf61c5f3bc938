package dynamo

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// checkKey is a key that no cache has: those of a cache go on with "=", "#" or "!"
// and more.
const checkKey = "!check"

// never is a condition that no item meets, so a write with it is judged, and
// billed, but never made.
const never = "attribute_exists(#n) AND attribute_not_exists(#n)"

// Check asks whether the store may and can be used: it reads an item that is not
// there, and makes a write whose condition never holds. It is for a service's start,
// to say in its log what is wrong with table, key schema, credentials or
// permissions; not to keep it from starting. It costs half a read unit and a write
// unit. The errors are those of Get and Set, joined; ctx bounds it.
func (s *Store) Check(ctx context.Context) error {
	if ctx == nil {
		ctx = context.Background()
	}
	return errors.Join(s.checkRead(ctx), s.checkWrite(ctx))
}

// checkRead reads an item that nobody writes: the table answers "not there" if
// it may be read, and a denial if not. It costs half a read unit.
func (s *Store) checkRead(ctx context.Context) error {
	key, err := s.key(checkKey)
	if err != nil {
		return err
	}
	began := time.Now()
	out, err := answered(s.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.opts.Table, Key: key}, readOptions))
	if err != nil {
		return s.fault("GetItem", err)
	}
	s.stats.readHalves.Add(1)
	return s.noteAnswer("GetItem", out.ResultMetadata, began)
}

// checkWrite makes a put whose condition cannot hold: permissions, the table
// and the key's schema are judged first, so that the failed condition is the
// good answer.
func (s *Store) checkWrite(ctx context.Context) error {
	key, err := s.key(checkKey)
	if err != nil {
		return err
	}
	_, err = s.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &s.opts.Table, Item: key,
		ConditionExpression:      aws.String(never),
		ExpressionAttributeNames: map[string]string{"#n": versionAttribute},
	}, s.writeOptions)
	return s.checked("PutItem", err)
}

// checked judges a write whose condition never holds.
func (s *Store) checked(op string, err error) error {
	if failed := (*types.ConditionalCheckFailedException)(nil); errors.As(err, &failed) {
		s.stats.writeUnits.Add(1)
		return nil
	}
	if err == nil {
		err = errEmpty // or whatever it was: nothing that knows conditions
	}
	return s.fault(op, err)
}

// Check is that of the Store, and asks for dynamodb:UpdateItem, too.
func (b *Bulletin) Check(ctx context.Context) error {
	if ctx == nil {
		ctx = context.Background()
	}
	return errors.Join(b.Store.Check(ctx), b.checkUpdate(ctx))
}

// checkUpdate does for UpdateItem, which is a permission of its own, what
// checkWrite does for PutItem.
func (b *Bulletin) checkUpdate(ctx context.Context) error {
	key, err := b.key(checkKey)
	if err != nil {
		return err
	}
	_, err = b.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &b.opts.Table, Key: key,
		UpdateExpression:    aws.String("ADD #e :notes"),
		ConditionExpression: aws.String(never),
		ExpressionAttributeNames: map[string]string{
			"#e": notesAttribute, "#n": versionAttribute,
		},
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":notes": &types.AttributeValueMemberBS{Value: [][]byte{{0}}},
		},
	}, b.writeOptions)
	return b.checked("UpdateItem", err)
}
