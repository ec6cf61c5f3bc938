package auth

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/failopen/failopen/examples/tokenservice/record"
)

// Naive validates tokens with a cache as a good engineer writes it on a busy
// day: it works, it is fast, its tests are green. It expects one error of the
// table, its own "not found", and uses the SDK as it comes.
type Naive struct {
	origin *record.Client
	table  *sessionTable
	log    *slog.Logger

	mu    sync.Mutex
	local map[string]localSession
	limit int
}

// localSession is a session with the time until which memory may answer for it.
type localSession struct {
	record.Session
	until time.Time
}

// naiveTTL is FailOpen's TTL, so that the two can be compared.
const naiveTTL = time.Minute

// NewNaive returns the naive authenticator, with room for limit sessions in
// memory.
func NewNaive(origin *record.Client, client *dynamodb.Client, table string, limit int, log *slog.Logger) *Naive {
	return &Naive{
		origin: origin, log: log, limit: limit,
		table: &sessionTable{client: client, name: table},
		local: make(map[string]localSession),
	}
}

// Middleware implements Authenticator.
//
// Every fault becomes 500, and is a user who is turned away.
func (n *Naive) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, source, err := n.session(r.Context(), record.Bearer(r))
		w.Header().Set(SourceHeader, source)
		switch {
		case err == nil && time.Now().Before(s.Expires):
			pass(next, w, r, s)
		case err == nil, errors.Is(err, record.ErrNoSession):
			http.Error(w, "please log in", http.StatusUnauthorized)
		default:
			n.log.Error("session lookup failed", "err", err)
			http.Error(w, "internal error", http.StatusInternalServerError)
		}
	})
}

// session looks in memory, in the table, and at the system of record.
//
// It is right as long as the table is there: three tiers, each filled from the
// next. What is missing is what to do when the second one fails in a way that
// nobody has thought of. No time-out of its own, either: it waits for the SDK's
// retries.
func (n *Naive) session(ctx context.Context, token string) (s record.Session, source string, err error) {
	if s, ok := n.fromLocal(token); ok {
		return s, "local", nil
	}
	s, err = n.table.get(ctx, token)
	if err == nil {
		n.keep(token, s)
		return s, "remote", nil
	}
	if !errors.Is(err, errTokenNotFound) {
		return s, "unknown", err // here the users were turned away
	}
	s, err = n.origin.Session(ctx, token)
	if err != nil {
		return s, "origin", err
	}
	n.keep(token, s)
	if err := n.table.put(ctx, token, s); err != nil {
		n.log.Error("session not cached", "err", err)
	}
	return s, "origin", nil
}

// fromLocal looks in memory; the lock is held for a map access only.
func (n *Naive) fromLocal(token string) (record.Session, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s, ok := n.local[token]
	return s.Session, ok && time.Now().Before(s.until)
}

// keep makes room for one more, by throwing out whichever sessions the map
// happens to give first: fine on average, and bad luck for a busy user.
func (n *Naive) keep(token string, s record.Session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for old := range n.local { // any one will do
		if len(n.local) < n.limit {
			break
		}
		delete(n.local, old)
	}
	n.local[token] = localSession{s, time.Now().Add(naiveTTL)}
}

// Logout implements Authenticator.
//
// Its error is the table's, too: with the table gone, nobody can log out,
// although the session is over.
func (n *Naive) Logout(ctx context.Context, token string) error {
	if err := n.origin.Logout(ctx, token); err != nil {
		return err
	}
	n.mu.Lock()
	delete(n.local, token)
	n.mu.Unlock()
	return n.table.delete(ctx, token)
}

// Close implements Authenticator.
func (n *Naive) Close(context.Context) error { return nil }

// errTokenNotFound is the one exception that was caught.
var errTokenNotFound = errors.New("auth: token not found")

// sessionTable keeps sessions in DynamoDB.
type sessionTable struct {
	client *dynamodb.Client
	name   string
}

// get is the line that mattered. A denial, a time-out, a throttled call, a
// broken answer: all of them come back as an error that is not
// errTokenNotFound.
func (t *sessionTable) get(ctx context.Context, token string) (s record.Session, err error) {
	out, err := t.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &t.name, Key: t.key(token)})
	if err != nil {
		return s, err
	}
	data, ok := out.Item["session"].(*types.AttributeValueMemberB)
	if !ok {
		return s, errTokenNotFound
	}
	err = json.Unmarshal(data.Value, &s)
	return s, err
}

// put writes a session under the token as it is: whoever can read the table can
// log in as anybody. FailOpen's KeySecret is for that.
func (t *sessionTable) put(ctx context.Context, token string, s record.Session) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	item := t.key(token)
	item["session"] = &types.AttributeValueMemberB{Value: data}
	_, err = t.client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &t.name, Item: item})
	return err
}

func (t *sessionTable) delete(ctx context.Context, token string) error {
	_, err := t.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: aws.String(t.name), Key: t.key(token)})
	return err
}

// key is the item's only key; the item has no expiry, so the table grows for
// ever.
func (t *sessionTable) key(token string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"key": &types.AttributeValueMemberS{Value: token}}
}
