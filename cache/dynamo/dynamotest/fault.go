package dynamotest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/failopen/failopen/cache/dynamo/internal/hook"
	"github.com/failopen/failopen/cache/dynamo/internal/iam"
	"github.com/failopen/failopen/cache/dynamo/internal/inmemory"
)

// A Request is what a fault hook sees.
type Request struct {
	Operation string   // such as "GetItem"
	Tables    []string // that the request is about, by name, sorted
	AccessKey string   // as claimed: the signature has not been checked yet
}

// A Fault is what goes wrong with one request: first Delay passes, then the
// request fails with Code or breaks as Kind says. With neither it is answered
// as usual, late. A Fault that cannot be done (both, a Kind that is none of a
// single request, a Status that is no error) is answered with a
// ValidationException that says so.
type Fault struct {
	// Delay before the answer, cut short if the client gives up.
	Delay time.Duration

	// Code of an error answer such as "InternalServerError"; the operation
	// does not happen. A code without a namespace gets DynamoDB's.
	Code    string
	Message string
	Status  int // default 400

	// Kind of a broken connection or answer.
	Kind Kind
}

// A Kind is a way in which a request, an answer or the network breaks. The
// words are those of docs/guide/faults.md, where each means the same in all
// packages.
type Kind string

const (
	// Intact is the zero Kind: nothing breaks.
	Intact Kind = ""

	// Hang never answers; the operation does not happen, as with Reset, EOF,
	// Empty, HTML and ErrorPage. As a state of the network it accepts
	// connections, live ones fall silent as well, and what was sent into them
	// is handled when the network is intact again.
	Hang Kind = "hang"

	// Reset breaks the connection with a TCP reset; as a state of the
	// network, each new one and the live ones.
	Reset Kind = "reset"

	// Refuse refuses new connections and resets live ones, as when the
	// process behind an address is gone. It is a state of the network, as are
	// the next two.
	Refuse Kind = "refuse"

	// BlackHole drops the packets: a new connection is not even refused,
	// and live ones fall silent, as when a VPC endpoint fails. Over TCP it
	// needs an operating system that drops SYNs to a full queue (Linux);
	// elsewhere [Server.SetNetwork] returns an error.
	BlackHole Kind = "blackhole"

	// Backlog completes connections in the kernel but never accepts them;
	// live connections work. In memory it is Hang.
	Backlog Kind = "backlog"

	// EOF ends the connection in order, without an answer.
	EOF Kind = "eof"

	// Empty is a success with an empty body, which the AWS SDK for Go
	// takes for "no item".
	Empty Kind = "empty"

	// HTML is a success with a web page for a body, as from a captive
	// portal or a proxy.
	HTML Kind = "html"

	// ErrorPage is a web page with status 503, as from a load balancer
	// without a backend.
	ErrorPage Kind = "errorpage"

	// Truncate ends the connection after half of the answer's body. The
	// operation happens, as with the following kinds.
	Truncate Kind = "truncate"

	// Stall sends half of the answer's body, and then nothing more; the
	// connection stays open until the client gives up.
	Stall Kind = "stall"

	// Drip sends the answer's body one byte every DripInterval.
	Drip Kind = "drip"

	// Checksum answers with a wrong X-Amz-Crc32, which the AWS SDK for
	// Go logs and otherwise ignores.
	Checksum Kind = "checksum"
)

var (
	// networkKinds are those of SetNetwork; Kinds lists all three in this
	// order.
	networkKinds = []Kind{Refuse, BlackHole, Backlog, Hang, Reset}
	insteadKinds = []Kind{Hang, Reset, EOF, Empty, HTML, ErrorPage} // of the operation
	spoilKinds   = []Kind{Truncate, Stall, Drip, Checksum}          // of its answer
)

// Kinds are all of them but Intact.
func Kinds() []Kind {
	all := slices.Clone(networkKinds)
	for _, k := range slices.Concat(insteadKinds, spoilKinds) {
		if !slices.Contains(all, k) {
			all = append(all, k)
		}
	}
	return all
}

// DripInterval is the time between two bytes of a dripping answer.
const DripInterval = 100 * time.Millisecond

// SetFault replaces the fault hook: a function that is asked about each
// request, on the request's own goroutine, and must be safe for concurrent
// use. nil removes it.
//
// A hook that was set before and has broken nothing is remembered for MustHit.
func (s *Server) SetFault(hook func(*Request) *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.missed = append(s.missed, s.unhitHook()...)
	s.fault, s.hit = hook, false
}

// SetLatency makes each request wait before it is handled.
//
// It is added to a fault's Delay; 0 ends it. A client that gives up meanwhile
// has done nothing.
func (s *Server) SetLatency(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latency = d
}

// SetCorrupt makes reads answer with garbage in binary attributes: valid
// JSON, a right checksum, wrong bytes. What is stored stays as it is.
//
// Key attributes are left alone, so that a client still knows which item it
// has.
func (s *Server) SetCorrupt(corrupt bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.missed = append(s.missed, s.unhitCorrupt()...)
	s.corrupt, s.spoilt = corrupt, false
}

// faultFor asks the hook. It returns nil or the fault of this request.
//
// The hook runs without the lock, so it may call the server. An empty Fault
// counts as none.
func (s *Server) faultFor(op string, r *http.Request, body []byte) *Fault {
	s.mu.Lock()
	ask := s.fault
	s.mu.Unlock()
	if ask == nil {
		return nil
	}
	sig, _ := iam.ParseSignature(r) // an unsigned request has no access key
	f := ask(&Request{Operation: op, Tables: tablesOf(body), AccessKey: sig.AccessKey})
	if f != nil && *f != (Fault{}) { // else nothing goes wrong
		s.mu.Lock()
		s.hit = true
		s.mu.Unlock()
	}
	return f
}

// tablesOf are the tables that a request names, by their names also where it has
// their ARNs.
//
// A body that cannot be read names none. Each table is there once.
func tablesOf(body []byte) []string {
	var in struct {
		TableName     string
		ResourceArn   string
		RequestItems  map[string]json.RawMessage
		TransactItems []map[string]struct{ TableName string }
	}
	if json.Unmarshal(body, &in) != nil {
		return nil // the operation will complain
	}
	given := append(slices.Collect(maps.Keys(in.RequestItems)), in.TableName, in.ResourceArn)
	for _, one := range in.TransactItems {
		for _, part := range one {
			given = append(given, part.TableName)
		}
	}
	var names []string
	for _, name := range given {
		if strings.HasPrefix(name, "arn:") {
			_, name, _ = strings.Cut(name, ":table/")
			name, _, _ = strings.Cut(name, "/")
		}
		if name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// pause waits out the latency and the fault's delay. It reports false if the
// client gave up in the meantime.
//
// It happens before the signature is looked at: latency is the network's.
func (s *Server) pause(r *http.Request, f *Fault) bool {
	s.mu.Lock()
	d := s.latency
	s.mu.Unlock()
	if f != nil {
		d += f.Delay
	}
	return d <= 0 || hook.Sleep(r, d)
}

// instead answers, or fails to, for the faults that replace the operation. It
// reports whether it did.
//
// f may be nil. The mistakes of a test's hook come first, as an error that a
// client shows, and never as a panic in the server.
func (f *Fault) instead(s *Server, w http.ResponseWriter, r *http.Request) bool {
	switch {
	case f == nil:
		return false
	case f.wrong() != "":
		s.answer(w, r, nil, validation("dynamotest: the fault hook's answer is wrong: %s", f.wrong()))
		return true
	case f.Code != "":
		s.answer(w, r, nil, f.apiError())
		return true
	}
	switch f.Kind {
	case Hang:
		<-r.Context().Done()
	case Reset:
		sever(w, errReset, nil)
	case EOF:
		sever(w, io.EOF, nil)
	case Empty:
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(http.StatusOK)
	case HTML:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!doctype html><title>Sign in</title><p>Please accept the terms of use.</p>")
	case ErrorPage:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, "<!doctype html><title>503</title><h1>503 Service Temporarily Unavailable</h1>")
	default:
		return false
	}
	return true
}

// wrong says what cannot be done about a fault, if anything: it would be taken
// for one that happens.
func (f *Fault) wrong() string {
	possible := slices.Concat(insteadKinds, spoilKinds)
	switch {
	case f.Kind != Intact && !slices.Contains(possible, f.Kind):
		return fmt.Sprintf("Kind is %q; want one of %v", f.Kind, possible)
	case f.Kind != Intact && f.Code != "":
		return fmt.Sprintf("there are a Kind, %q, and a Code, %q: a request can fail in one way only", f.Kind, f.Code)
	}
	return hook.Answer{Delay: f.Delay, Code: f.Code, Message: f.Message, Status: f.Status}.Wrong("AccessDeniedException")
}

// apiError is the error that the hook asks for. A Code with a name space of its
// own keeps it.
//
// Status is 400 unless said, as nearly all of DynamoDB's are.
func (f *Fault) apiError() *apiError {
	space := spaceDynamo
	if strings.Contains(f.Code, "#") {
		space = ""
	}
	return &apiError{cmp.Or(f.Status, http.StatusBadRequest), space, f.Code, f.Message, nil}
}

// around wraps w for the faults that spoil the operation's own answer.
func (f *Fault) around(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	if f == nil || f.Kind == Intact {
		return w
	}
	return &spoiler{ResponseWriter: w, kind: f.Kind, r: r}
}

// spoiler breaks an answer while it is written: the header at once, the body
// in one Write.
type spoiler struct {
	http.ResponseWriter
	// status is kept for Truncate, which writes the header by hand.
	kind   Kind
	r      *http.Request
	status int
}

// WriteHeader spoils what belongs to the header: it holds a Truncate back,
// whose answer is written by hand, and makes a Checksum wrong.
func (s *spoiler) WriteHeader(status int) {
	s.status = status
	switch s.kind {
	case Truncate:
		return // the whole answer goes over the bare connection
	case Checksum:
		crc, _ := strconv.ParseUint(s.Header().Get("X-Amz-Crc32"), 10, 32) // our own header
		s.Header().Set("X-Amz-Crc32", strconv.FormatUint(crc^1, 10))
	}
	s.ResponseWriter.WriteHeader(status)
}

// Write spoils the body, which the handler writes in one piece.
//
// The length that it returns is the whole body's, also when half of it was
// sent: the handler has nothing else to do.
func (s *spoiler) Write(body []byte) (int, error) {
	switch s.kind {
	case Truncate:
		head := new(bytes.Buffer)
		fmt.Fprintf(head, "HTTP/1.1 %d %s\r\n", s.status, http.StatusText(s.status))
		_ = s.Header().Write(head) // a Buffer does not fail
		head.WriteString("\r\n")
		sever(s.ResponseWriter, io.ErrUnexpectedEOF, &partial{s.status, head.Bytes(), body[:len(body)/2]})
		return len(body), nil
	case Drip:
		return s.drip(body)
	case Stall:
		return s.stall(body)
	}
	return s.ResponseWriter.Write(body)
}

// stall sends half of the body, and nothing more for as long as the client
// waits.
func (s *spoiler) stall(body []byte) (int, error) {
	n, err := s.ResponseWriter.Write(body[:len(body)/2])
	if err == nil {
		err = http.NewResponseController(s.ResponseWriter).Flush()
	}
	if err == nil {
		<-s.r.Context().Done()
		err = s.r.Context().Err()
	}
	return n, err
}

// drip sends a byte, and another one after DripInterval: each read of the
// client makes progress, and the answer takes minutes.
func (s *spoiler) drip(body []byte) (int, error) {
	flush := http.NewResponseController(s.ResponseWriter)
	for i := range body {
		if _, err := s.ResponseWriter.Write(body[i : i+1]); err != nil {
			return i, err
		}
		if err := flush.Flush(); err != nil {
			return i, err
		}
		if !hook.Sleep(s.r, DripInterval) {
			return i, s.r.Context().Err()
		}
	}
	return len(body), nil
}

// partial is what goes out before a connection is severed.
type partial struct {
	status int
	// head is the header as it goes over a bare connection; in memory there
	// is none.
	head []byte
	body []byte
}

// sever ends the connection below w, after what was sent: with a reset if err
// is errReset, else in order.
//
// Over TCP the connection is hijacked from http.Server. In memory the client's
// RoundTrip, or its read of the body, fails with the same error that TCP gives.
// Without Hijack the handler aborts, which ends a stream of HTTP/2.
func sever(w http.ResponseWriter, err error, sent *partial) {
	if m, ok := w.(*inmemory.Recorder); ok {
		if err == errReset {
			err = errConnReset
		}
		if sent == nil {
			m.Break(err)
		} else {
			m.Cut(err, sent.status, sent.body)
		}
		return
	}
	conn, buf, hijackErr := http.NewResponseController(w).Hijack()
	if hijackErr != nil {
		panic(http.ErrAbortHandler) // HTTP/2: the best that can be had
	}
	if sent != nil {
		_, _ = buf.Write(append(sent.head, sent.body...)) // it is about to break anyway
		_ = buf.Flush()
	}
	if l, ok := conn.(interface{ SetLinger(int) error }); ok && err == errReset {
		_ = l.SetLinger(0)
	}
	_ = conn.Close()
}
