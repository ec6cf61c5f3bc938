package dynamotest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/failopen/failopen/cache/dynamo/internal/iam"
)

// A Request is what a fault hook sees.
type Request struct {
	Operation string   // such as "GetItem"
	Tables    []string // named by the request, sorted
	AccessKey string   // as claimed: the signature has not been checked yet
}

// A Fault is what goes wrong with one request. The fields add up: first
// Delay passes, then the request fails with Code or breaks as Kind says. With
// neither it is answered as usual, late.
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

// Kind says how a connection or an answer breaks.
type Kind int

const (
	// Intact is the zero Kind: nothing breaks.
	Intact Kind = iota

	// Hang never answers. The operation does not happen, and neither does
	// it with Reset, Close, Empty and HTML.
	Hang
	// Reset breaks the connection with a TCP reset.
	Reset
	// Close ends the connection without an answer.
	Close
	// Empty is a success with an empty body, which the AWS SDK for Go
	// takes for "no item".
	Empty
	// HTML is a success with a web page for a body, as from a captive
	// portal or a proxy.
	HTML

	// Truncate ends the connection after half of the answer's body. The
	// operation happens, as with the following kinds.
	Truncate
	// Drip sends the answer's body one byte every DripInterval.
	Drip
	// BadChecksum answers with a wrong X-Amz-Crc32, which the AWS SDK for
	// Go logs and otherwise ignores.
	BadChecksum
)

// DripInterval is the time between two bytes of a dripping answer.
const DripInterval = 100 * time.Millisecond

// SetFault replaces the fault hook: a function that is asked about each
// request, on the request's own goroutine, and must be safe for concurrent
// use. nil removes it.
func (s *Server) SetFault(hook func(*Request) *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = hook
}

// SetLatency makes each request wait before it is handled.
func (s *Server) SetLatency(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latency = d
}

// SetCorrupt makes reads answer with garbage in binary attributes: valid
// JSON, a right checksum, wrong bytes. What is stored stays as it is.
func (s *Server) SetCorrupt(corrupt bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.corrupt = corrupt
}

// faultFor asks the hook. It returns nil or the fault of this request.
func (s *Server) faultFor(op string, r *http.Request, body []byte) *Fault {
	s.mu.Lock()
	hook := s.fault
	s.mu.Unlock()
	if hook == nil {
		return nil
	}
	sig, _ := iam.ParseSignature(r) // an unsigned request has no access key
	return hook(&Request{Operation: op, Tables: tablesOf(body), AccessKey: sig.AccessKey})
}

func tablesOf(body []byte) []string {
	var in struct {
		TableName     string
		RequestItems  map[string]json.RawMessage
		TransactItems []map[string]struct{ TableName string }
	}
	if json.Unmarshal(body, &in) != nil {
		return nil // the operation will complain
	}
	if in.TableName != "" {
		return []string{in.TableName}
	}
	names := slices.Collect(maps.Keys(in.RequestItems))
	for _, one := range in.TransactItems {
		for _, part := range one {
			names = append(names, part.TableName)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// pause waits out the latency and the fault's delay. It reports false if the
// client gave up in the meantime.
func (s *Server) pause(r *http.Request, f *Fault) bool {
	s.mu.Lock()
	d := s.latency
	s.mu.Unlock()
	if f != nil {
		d += f.Delay
	}
	return d <= 0 || sleep(r, d)
}

func sleep(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// instead answers, or fails to, for the faults that replace the operation. It
// reports whether it did.
func (f *Fault) instead(s *Server, w http.ResponseWriter, r *http.Request) bool {
	switch {
	case f == nil:
		return false
	case f.Code != "":
		s.answer(w, r, nil, f.apiError())
		return true
	}
	switch f.Kind {
	case Hang:
		<-r.Context().Done()
	case Reset:
		sever(w, errReset, nil)
	case Close:
		sever(w, io.EOF, nil)
	case Empty:
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(http.StatusOK)
	case HTML:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!doctype html><title>Sign in</title><p>Please accept the terms of use.</p>")
	default:
		return false
	}
	return true
}

func (f *Fault) apiError() *apiError {
	status := f.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	space := spaceDynamo
	if bytes.ContainsRune([]byte(f.Code), '#') {
		space = ""
	}
	return &apiError{status, space, f.Code, f.Message, nil}
}

// around wraps w for the faults that spoil the operation's own answer.
func (f *Fault) around(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	if f == nil || f.Kind < Truncate {
		return w
	}
	return &spoiler{ResponseWriter: w, kind: f.Kind, r: r}
}

// spoiler breaks an answer while it is written: the header at once, the body
// in one Write.
type spoiler struct {
	http.ResponseWriter
	kind   Kind
	r      *http.Request
	status int
}

func (s *spoiler) WriteHeader(status int) {
	s.status = status
	switch s.kind {
	case Truncate:
		return // the whole answer goes over the bare connection
	case BadChecksum:
		crc, _ := strconv.ParseUint(s.Header().Get("X-Amz-Crc32"), 10, 32) // our own header
		s.Header().Set("X-Amz-Crc32", strconv.FormatUint(crc^1, 10))
	}
	s.ResponseWriter.WriteHeader(status)
}

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
	}
	return s.ResponseWriter.Write(body)
}

func (s *spoiler) drip(body []byte) (int, error) {
	flush := http.NewResponseController(s.ResponseWriter)
	for i := range body {
		if _, err := s.ResponseWriter.Write(body[i : i+1]); err != nil {
			return i, err
		}
		if err := flush.Flush(); err != nil {
			return i, err
		}
		if !sleep(s.r, DripInterval) {
			return i, s.r.Context().Err()
		}
	}
	return len(body), nil
}

// partial is what goes out before a connection is severed.
type partial struct {
	status int
	head   []byte
	body   []byte
}

// severer is a response writer that can play a broken connection itself: the
// in-memory one.
type severer interface {
	sever(err error, sent *partial)
}

// sever ends the connection below w, after what was sent: with a reset if err
// is errReset, else in order.
func sever(w http.ResponseWriter, err error, sent *partial) {
	if m, ok := w.(severer); ok {
		m.sever(err, sent)
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
