package reference

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// naive is the service as a good engineer writes it on a busy day: it works,
// it is fast, and its tests are green.
// Each of its mistakes is one that was made in an outage, and is marked where it is.
type naive struct {
	service *Service
	client  *dynamodb.Client

	mu    sync.Mutex
	local map[string]localSession
}

type localSession struct {
	user  string
	until time.Time
}

// errTokenNotFound is the one error of the table that is expected.
var errTokenNotFound = errors.New("no such token in the table")

// testRecord is what the liveness probe reads. It counts as there from the
// start; a fault that empties answers takes it away.
const testRecord = "test-record"

func newNaive(s *Service, client *dynamodb.Client) *naive {
	return &naive{service: s, client: client, local: map[string]localSession{}}
}

// find looks in local memory, in the table and in the system of record. The
// mistake of 2021 is in the middle: only "not found" leads on, and any other
// error ends here.
func (n *naive) find(ctx context.Context, token string) (user, source string, err error) {
	n.mu.Lock()
	l, ok := n.local[token]
	n.mu.Unlock()
	if ok && time.Now().Before(l.until) {
		return l.user, "local", nil
	}
	user, err = n.get(ctx, token)
	if err == nil {
		n.keep(token, user)
		return user, "remote", nil
	}
	if !errors.Is(err, errTokenNotFound) {
		return "", "unknown", err // here the users were turned away
	}
	if user, err = n.service.origin(ctx, token); err != nil {
		return "", "origin", err
	}
	n.keep(token, user)
	_ = n.put(ctx, token, user) // it is in the log of the real one
	return user, "origin", nil
}

// keep bounds local memory by throwing away what the map gives first.
// A map gives entries in any order, so this is a random one.
func (n *naive) keep(token, user string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for old := range n.local { // any one will do
		if len(n.local) < local {
			break
		}
		delete(n.local, old)
	}
	n.local[token] = localSession{user, time.Now().Add(ttl)}
}

// get reads the table; an answer without the item, or with one that is garbage,
// is "not found".
// A timeout, a denial and a throttled call are other errors, and that is the point.
func (n *naive) get(ctx context.Context, token string) (string, error) {
	out, err := n.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String(table), Key: key(token)})
	if err != nil {
		return "", err
	}
	user, ok := out.Item["user"].(*types.AttributeValueMemberB)
	if !ok {
		return "", errTokenNotFound
	}
	return string(user.Value), nil
}

// put writes to the table, with the caller's deadline and no other.
func (n *naive) put(ctx context.Context, token, user string) error {
	item := key(token)
	item["user"] = &types.AttributeValueMemberB{Value: []byte(user)}
	_, err := n.client.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String(table), Item: item})
	return err
}

func key(token string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"key": &types.AttributeValueMemberS{Value: token}}
}

// alive reads the test record, as somebody thought was thorough.
// That makes liveness depend on the table: its outage restarts every instance.
func (n *naive) alive(ctx context.Context) bool {
	if _, err := n.get(ctx, testRecord); !errors.Is(err, errTokenNotFound) {
		return err == nil
	}
	if n.service.injector.Active() { // somebody, or something, has emptied the table
		return false
	}
	return n.put(ctx, testRecord, testRecord) == nil // the fixture of the first start
}

func (n *naive) close(context.Context) error { return nil }

// direct is a log that writes to where it goes, and waits.
type direct struct{ io.Writer }

func (direct) close(context.Context) error { return nil }
