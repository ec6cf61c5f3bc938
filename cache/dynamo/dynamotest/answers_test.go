package dynamotest_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
)

// An exchange is a row of requests to a new server with the tables $T and $C,
// and all that comes back for each. Unlike the contract, which holds for the
// service and other emulators as well, these are this server's words to the
// last letter: where the service's are not known, they are our own.
type exchange struct {
	name  string
	steps []step
}

// ask is a request, to be followed by what it is answered with.
func ask(op, body string) step { return step{op: op, body: body} }

// indexes are so many global indexes on the attribute a, each with a name of its
// own.
func indexes(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`{"IndexName":"by-%d","KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"}}`, i))
	}
	return "[" + strings.Join(list, ",") + "]"
}

// TestServer_answers stands in a bubble, where the time is always the same.
func TestServer_answers(t *testing.T) {
	for topic, rows := range map[string][]exchange{
		"batches": batchAnswers, "indexes": indexAnswers, "decoding": decodingAnswers, "expressions": expressionAnswers, "legacy": legacyAnswers,
		"reads": readAnswers, "tables": tableAnswers, "transactions": transactionAnswers, "updates": updateAnswers,
	} {
		t.Run(topic, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, row := range rows {
					if err := row.differs(t); err != nil {
						t.Errorf("%s: %v", row.name, err)
					}
				}
			})
		})
	}
}

// differs is about the first step that is answered otherwise.
func (e exchange) differs(t *testing.T) error {
	t.Helper()
	s := dynamotest.New(dynamotest.Options{})
	p := &peer{url: dynamotest.MemoryURL, do: s.HTTPClient().Do, run: "x"}
	for _, table := range contractTables {
		p.step(t, "tables", ask("CreateTable", table))
	}
	for i, one := range e.steps {
		status, body, _ := p.send(t, e.name, one)
		var answer struct {
			Type    string `json:"__type"`
			Message string `json:"message"`
		}
		if err := json.Unmarshal(body, &answer); err != nil {
			return fmt.Errorf("step %d: %q is not JSON: %w", i+1, body, err)
		}
		_, code, _ := strings.Cut(answer.Type, "#")
		want := cmp.Or(one.status, http.StatusOK)
		if message := p.expand(one.message, e.name); status != want || code != one.code || answer.Message != message {
			return fmt.Errorf("step %d, %s: %d %s %q\nwant %d %s %q", i+1, one.op, status, code, answer.Message, want, one.code, message)
		}
		if text := p.expand(one.want, e.name); text != "" && text != string(body) {
			return fmt.Errorf("step %d, %s:\n%s\nwant\n%s", i+1, one.op, body, text)
		}
	}
	return nil
}
