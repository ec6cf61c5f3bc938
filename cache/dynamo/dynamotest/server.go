package dynamotest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/failopen/failopen/cache/dynamo/internal/iam"
)

// Options for a [Server]. The zero value works.
type Options struct {
	// Now is the server's clock: for signatures, dates in policies, time to
	// live and the Date header. Default: time.Now.
	Now func() time.Time

	// Fault is asked about each request before anything else happens to
	// it; nil, or an answer of nil, lets it pass. See [Server.SetFault].
	Fault func(*Request) *Fault

	// Addr is where Start listens. Default: a free port of 127.0.0.1. With
	// a port, the server has the same address after each Start.
	Addr string

	// Principals, if set, is asked on each request for the principal of an
	// access key that SetPrincipal has not set: for credentials that live
	// elsewhere, such as in package ststest. The development credentials are
	// then accepted only if it knows them. It may be called from many
	// goroutines.
	Principals func(accessKey string) (Principal, bool)

	// PolicyDelay is how long a change of a table's resource policy takes
	// to be in force; AWS says that it may take a while. Default: none.
	PolicyDelay time.Duration
}

// A Server is an embedded DynamoDB endpoint. Serve it with [Server.Start],
// reach it in memory with [Server.HTTPClient], or mount it as an
// http.Handler. It keeps its tables in memory until it is garbage.
//
// All methods are safe for concurrent use, and all switches act from the next
// request on.
type Server struct {
	// The first group is set by New and never changed.
	now         func() time.Time
	addr        string
	policyDelay time.Duration
	lookup      func(accessKey string) (Principal, bool)

	// principals are those of SetPrincipal; iam.Callers has its own lock.
	principals iam.Callers

	// mu is held for a whole operation on items, from the look-up of the
	// table (named, itemTable, find, lockTables, lockBatch) to the answer's content,
	// which makes each operation atomic. It is not held while a policy is
	// evaluated, a hook runs, an answer is encoded, or anybody waits for
	// latency or the network.
	mu sync.Mutex // guards what follows
	// tables are by name. A table that was deleted is no longer changed,
	// but an answer may still be encoded from its items.
	tables    map[string]*table
	revoked   []*revocation
	hit       bool                  // fault has broken something
	spoilt    bool                  // corrupt has changed something
	missed    []string              // faults that have ended without a hit
	requested map[string]idempotent // transactions by their client's token
	fault     func(*Request) *Fault
	latency   time.Duration
	corrupt   bool
	// luck draws under the lock, in the order in which requests get it.
	luck *luck // nil: good
	// read and write are the capacity of all tables together.
	read     bucket
	write    bucket
	requests map[string]int64

	// These are counted where they happen, with or without the lock.
	denied    atomic.Int64
	throttled atomic.Int64
	serial    atomic.Int64 // of request ids

	// network is the state that both ways to the server look at; transport
	// has the TCP side of it, with a lock that may be taken before the
	// listener's and the network's, and never after mu.
	network   network
	transport transport
}

// New returns a server without tables that listens nowhere yet.
//
// What is not in Options is switched by Set methods, at any time and from any
// goroutine.
func New(opts Options) *Server {
	s := &Server{
		now: opts.Now,

		addr:        cmp.Or(opts.Addr, "127.0.0.1:0"),
		policyDelay: opts.PolicyDelay,
		lookup:      opts.Principals,

		tables:   map[string]*table{},
		fault:    opts.Fault,
		read:     unlimited(),
		write:    unlimited(),
		requests: map[string]int64{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.network.changed = make(chan struct{})
	return s
}

// Stats counts what a server has done since it was made.
type Stats struct {
	Requests    map[string]int64 `json:"requests"`    // by operation, as they came in
	Denied      int64            `json:"denied"`      // answered with AccessDeniedException
	Throttled   int64            `json:"throttled"`   // answered as over capacity, batches in part or whole
	Connections int64            `json:"connections"` // accepted by Start's listener
}

// Total is the number of requests of all operations.
func (s Stats) Total() int64 {
	var n int64
	for _, c := range s.Requests {
		n += c
	}
	return n
}

// Stats returns a snapshot.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{
		Requests:    maps.Clone(s.requests),
		Denied:      s.denied.Load(),
		Throttled:   s.throttled.Load(),
		Connections: s.network.connections.Load(),
	}
}

// A call is one request on its way through the server.
type call struct {
	server *Server
	op     string
	// region is the one that the signature is scoped to: it appears in ARNs
	// and in aws:RequestedRegion. Tables are the same in all regions.
	region    string
	now       time.Time
	principal *iam.Caller
	// keys are copied for each decision, since a call may be authorized
	// more than once: a transaction asks for each of its parts.
	keys  map[string]string // condition keys of the request
	index string            // that Query or Scan reads; "": the table itself
}

// maxBody is the largest request that the service reads.
const maxBody = 16 << 20

// ServeHTTP answers one request of the DynamoDB protocol (JSON 1.0).
//
// The way of a request: the body is read, it is counted, the fault hook is
// asked, latency and delay pass, a fault that replaces the operation ends it
// here; then handle authenticates and runs the operation, the answer may get
// lost (Unlucky), and is written, perhaps through a spoiler.
// Anything but a POST is answered by a greeting, as health checks of load balancers expect.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		fmt.Fprintf(w, "healthy: %s ", r.Host) // the service's own greeting
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		s.answer(w, r, nil, &apiError{413, spaceCoral, "RequestEntityTooLargeException", "", nil})
		return
	} else if err != nil {
		return // the client is gone
	}
	op, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "DynamoDB_20120810.")
	if !ok {
		op = ""
	}
	s.count(op)
	fault := s.faultFor(op, r, body)
	if !s.pause(r, fault) || fault.instead(s, w, r) {
		return
	}
	out, apiErr := s.handle(op, r, body)
	// Only what has happened can be lost: an error would have changed
	// nothing.
	if apiErr == nil && s.lose(op) {
		sever(w, errReset, nil)
		return
	}
	s.answer(fault.around(w, r), r, out, apiErr)
}

// count counts a request, whether it is answered or not.
func (s *Server) count(op string) {
	if _, known := operations[op]; !known {
		op = "unknown" // the map must not grow with what clients send
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[op]++
}

// handle answers one request: the operation, the signature, the principal, then
// the operation's own function, which does authorization because it knows the
// table.
//
// The operation is looked up first: an unknown one is an error also for
// somebody without credentials, as with the service.
func (s *Server) handle(op string, r *http.Request, body []byte) (any, *apiError) {
	run := operations[op]
	if run == nil {
		return nil, coral("UnknownOperationException", "dynamotest does not implement the operation %q; see docs/guide/dynamotest.md", op)
	}
	sig, sigErr := iam.ParseSignature(r)
	if sigErr != nil {
		return nil, coral(sigErr.Code, "%s", sigErr.Message)
	}
	c := &call{server: s, op: op, region: sig.Region, now: s.now()}
	c.keys = iam.RequestKeys(r, c.region, c.now)
	var apiErr *apiError
	if c.principal, apiErr = s.authenticate(r, body, sig, c.now); apiErr != nil {
		return nil, apiErr
	}
	return run(c, body)
}

// answer writes a success or an error with the headers that the SDKs look at.
//
// The checksum is CRC-32 (IEEE) of the body, which SDKs compare; the request id
// counts, so that logs of a test are the same each time. It panics for what
// cannot be encoded, which only this package could have made. The lock must not
// be held.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, out any, apiErr *apiError) {
	status := http.StatusOK
	if apiErr != nil {
		status, out = apiErr.status, apiErr.body()
	}
	body, err := json.Marshal(out)
	if err != nil {
		panic(fmt.Sprintf("dynamotest: an answer to %s cannot be encoded: %v", r.Header.Get("X-Amz-Target"), err))
	}
	h := w.Header()
	h.Set("Content-Type", "application/x-amz-json-1.0")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Date", s.now().UTC().Format(http.TimeFormat))
	h.Set("X-Amzn-Requestid", fmt.Sprintf("DYNAMOTEST%016X", s.serial.Add(1)))
	h.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that is gone is its own business
}

// operations are the implemented ones, by name.
//
// To add an operation: a method on *call with a struct of the parameters that
// it implements, a row here, a row in the list of docs/guide/dynamotest.md, and
// its action in what Unlucky.LostAnswers is about if it writes.
var operations = map[string]func(*call, []byte) (any, *apiError){
	"CreateTable":        operation((*call).createTable),
	"DescribeTable":      operation((*call).describeTable),
	"UpdateTable":        operation((*call).updateTable),
	"DeleteTable":        operation((*call).deleteTable),
	"ListTables":         operation((*call).listTables),
	"UpdateTimeToLive":   operation((*call).updateTimeToLive),
	"DescribeTimeToLive": operation((*call).describeTimeToLive),
	"GetItem":            operation((*call).getItem),
	"PutItem":            operation((*call).putItem),
	"DeleteItem":         operation((*call).deleteItem),
	"UpdateItem":         operation((*call).updateItem),
	"Query":              operation((*call).query),
	"Scan":               operation((*call).scan),
	"BatchGetItem":       operation((*call).batchGetItem),
	"BatchWriteItem":     operation((*call).batchWriteItem),
	"TransactGetItems":   operation((*call).transactGetItems),
	"TransactWriteItems": operation((*call).transactWriteItems),

	"GetResourcePolicy":    operation((*call).getResourcePolicy),
	"PutResourcePolicy":    operation((*call).putResourcePolicy),
	"DeleteResourcePolicy": operation((*call).deleteResourcePolicy),
	"TagResource":          operation((*call).tagResource),
	"UntagResource":        operation((*call).untagResource),
	"ListTagsOfResource":   operation((*call).listTagsOfResource),
}

// operation decodes the request's body for run.
//
// The order of the checks is the service's, and clients can tell: JSON and
// types; the table's name is there; the constraints of the API model, all of
// them in one error (limited); legacy parameters are translated to expressions
// (dated); then run. An unknown parameter is refused by name.
func operation[In any](run func(*call, *In) (any, *apiError)) func(*call, []byte) (any, *apiError) {
	return func(c *call, body []byte) (any, *apiError) {
		in := new(In)
		if err := strictJSON(body, in); err != nil {
			return nil, c.decodeError(err, body)
		}
		if n, ok := any(in).(tableNamer); ok {
			if err := checkTableGiven(n, body); err != nil {
				return nil, err
			}
		}
		if l, ok := any(in).(limited); ok {
			var broken violations
			l.limits(&broken)
			if err := broken.err(); err != nil {
				return nil, err
			}
		}
		if d, ok := any(in).(dated); ok {
			if err := d.modernize(); err != nil {
				return nil, err
			}
		}
		return run(c, in)
	}
}
