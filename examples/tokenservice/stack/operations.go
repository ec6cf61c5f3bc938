package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/health"
	"github.com/failopen/failopen/logsink"
)

// The work itself is in package auth; here are the two things beside it by
// which an outage of somebody else stops a service: a log that blocks, and a
// liveness probe that asks a dependency. Both are here twice, the right way
// first.

// operations is what a service has besides its work: an access log, and an
// answer to the platform's liveness probe.
type operations interface {
	handler(service http.Handler) http.Handler
	close(ctx context.Context) error
}

// failOpenOperations logs through a sink, which never waits for the driver, and
// answers the probe from package health, which calls no dependency.
type failOpenOperations struct {
	sink   *logsink.Sink
	health health.Process
	stop   context.CancelFunc
	done   chan struct{}
}

// newFailOpenOperations is the part to copy. The sink is given to whatever
// logs; the dependency is declared soft, so it shows in /healthz and in no
// probe; Run does the checks in the background, so that a probe reads state and
// calls nobody.
func newFailOpenOperations(driver io.Writer, table string, store cache.Store) (*failOpenOperations, error) {
	sink, err := logsink.New(logsink.Options{Dest: driver})
	if err != nil {
		return nil, err
	}
	o := &failOpenOperations{sink: sink, done: make(chan struct{})}
	// A soft dependency: while it fails, the report says so. No probe does.
	err = o.health.Depend(health.Dependency{Name: table, Soft: true, Check: func(ctx context.Context) error {
		_, err := store.Get(ctx, "a record that need not exist")
		return err
	}})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	o.stop = stop
	go func() { defer close(o.done); _ = o.health.Run(ctx) }() // its only error is a second Run
	o.health.Started()
	return o, nil
}

// handler puts the probes beside the service. In a real one they have a port of
// their own, which is not public.
func (o *failOpenOperations) handler(service http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", logged(service, o.sink))
	mux.HandleFunc("GET /livez", o.health.ServeLive)
	mux.HandleFunc("GET /healthz", o.health.ServeReport)
	return mux
}

// close ends the checks, and then gives the sink until ctx ends to deliver what
// it has. What is left is counted, and not waited for.
func (o *failOpenOperations) close(ctx context.Context) error {
	o.stop()
	<-o.done
	return o.sink.Shutdown(ctx)
}

// naiveOperations logs straight to the driver, and answers the probe by reading
// a test record, which seemed thorough at the time.
type naiveOperations struct {
	driver io.Writer
	client *dynamodb.Client
	table  string
}

// testRecord is the record that the naive probe reads. Whoever deletes it takes
// every instance down, which examples/fleet has as a scenario.
const testRecord = "test-record"

// newNaiveOperations writes the record that its probe is going to read.
func newNaiveOperations(ctx context.Context, driver io.Writer, table string, client *dynamodb.Client) (*naiveOperations, error) {
	o := &naiveOperations{driver: driver, client: client, table: table}
	session, err := json.Marshal(map[string]string{"user": testRecord})
	if err != nil {
		return nil, err
	}
	item := o.key()
	item["session"] = &types.AttributeValueMemberB{Value: session}
	_, err = client.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String(table), Item: item})
	return o, err
}

// key is that of the record, in the same table as the sessions.
func (o *naiveOperations) key() map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"key": &types.AttributeValueMemberS{Value: testRecord}}
}

// handler has a probe with a deadline, which is more than most have, and still
// takes the service down with the table.
func (o *naiveOperations) handler(service http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", logged(service, o.driver))
	//livelint:allow the mistake that this example shows
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 250*time.Millisecond)
		defer cancel()
		out, err := o.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String(o.table), Key: o.key()})
		if err != nil || len(out.Item) == 0 {
			http.Error(w, "the test record cannot be read", http.StatusServiceUnavailable)
		}
	})
	return mux
}

func (o *naiveOperations) close(context.Context) error { return nil }

// logged writes a line for each request before its answer is complete.
func logged(next http.Handler, log io.Writer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		next.ServeHTTP(w, r)
		fmt.Fprintf(log, "%s %s %s\n", r.Method, r.URL.Path, time.Since(began))
	})
}

// logDriver stands for the log driver of a container platform: a pipe that
// something reads, or, while it is blocked, a full pipe that nothing reads.
type logDriver struct {
	held atomic.Int64

	mu      sync.Mutex
	blocked chan struct{} // closed when it reads again; nil: it reads
}

// newLogDriver is a driver that reads.
func newLogDriver() *logDriver { return new(logDriver) }

// Write blocks while the driver is blocked, as a write to a full pipe does. It
// counts the lines that found it so: a fault that nobody ran into proves
// nothing.
func (d *logDriver) Write(p []byte) (int, error) {
	d.mu.Lock()
	blocked := d.blocked
	d.mu.Unlock()
	if blocked != nil {
		d.held.Add(1)
		<-blocked
	}
	return len(p), nil
}

// set blocks the driver, or lets all who wait go on. It may be called twice.
func (d *logDriver) set(blocked bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case blocked && d.blocked == nil:
		d.blocked = make(chan struct{})
	case !blocked && d.blocked != nil:
		close(d.blocked)
		d.blocked = nil
	}
}
