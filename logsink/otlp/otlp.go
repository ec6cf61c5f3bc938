// Package otlp is a destination for a logsink.Sink: an OpenTelemetry collector,
// spoken to in OTLP over HTTP with JSON. It needs nothing but the standard
// library.
//
//	dest, err := otlp.New(otlp.Options{URL: "http://localhost:4318/v1/logs", Resource: map[string]string{"service.name": "orders"}})
//	sink, err := logsink.New(logsink.Options{Batch: dest})
//
// WriteBatch is the way through: cut makes a request of the front of the records, post sends
// it, judge reads the answer. The format is OTLP 1.x, ExportLogsServiceRequest in its JSON
// form; encoding/json escapes all text, and bytes that are not UTF-8 become U+FFFD, so that
// no line can break out of its string.
package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/failopen/failopen/logsink"
)

// Options of a [Dest].
type Options struct {
	// URL is the collector's address for logs, which ends with /v1/logs as a
	// rule. Required.
	URL string
	// Header is sent with every request: authorization and the like. It is in no
	// error and no statistic.
	Header http.Header
	// Resource are the attributes of the source of the records; service.name is
	// the one to have.
	Resource map[string]string
	// Severity is the SeverityNumber of a record, 1 to 24, of the data model of
	// OpenTelemetry. Default 13, WARN, for the high lane and 9, INFO, for the
	// normal one.
	Severity func(logsink.Record) int
	// Gzip compresses the requests.
	Gzip bool
	// MaxBytes is how much text a request has at most, beside one record.
	// Default 512 KiB.
	MaxBytes int
	// MaxRecord is the longest text; longer ones are rejected. Default 1 MiB.
	MaxRecord int
	// Timeout bounds every request. Default 5 s.
	Timeout time.Duration
	// Client makes the requests. Default: one of its own, without redirects.
	Client *http.Client
}

// Dest is a [logsink.BatchDest]. Make it with [New] and use it for one Sink.
//
// Whatever may end is retried without limit: no connection, time-outs, 401, 403,
// 404, 408, 429, 5xx, as long as Retry-After says if the collector sends it. A
// request that is invalid (400, 413, 422) is cut in halves until the record that
// makes it so is found and rejected. Delivery is at-least-once.
type Dest struct {
	opt      Options
	resource json.RawMessage
	limit    int // records a request: less after an invalid one, until it is found
	poison   int // records rejected as invalid since the last success

	mu    sync.Mutex
	stats Stats
}

// Stats says how a Dest fares. What became of the records is in the Sink's own.
type Stats struct {
	Requests  int64  `json:"requests"`             // that were sent, retries included
	Failures  int64  `json:"failures"`             // of them, errors of all kinds
	Rejected  int64  `json:"rejected"`             // records refused for good
	LastError string `json:"last_error,omitempty"` // kept after recovery
}

const (
	maxRecords  = 10_000
	poisonLimit = 100 // more in a row, and the fault is in the configuration
	answerLimit = 64 << 10
)

// New makes a Dest. It makes no request and fails only for Options that can
// never work.
func New(o Options) (*Dest, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("otlp: Options.URL must be an address such as http://localhost:4318/v1/logs")
	}
	if o.MaxBytes < 0 || o.MaxRecord < 0 || o.Timeout < 0 {
		return nil, fmt.Errorf("otlp: Options.MaxBytes is %d, MaxRecord %d and Timeout %v; none can be negative", o.MaxBytes, o.MaxRecord, o.Timeout)
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 512 << 10
	}
	if o.MaxRecord == 0 {
		o.MaxRecord = 1 << 20
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Severity == nil {
		o.Severity = severity
	}
	if o.Client == nil {
		o.Client = &http.Client{
			Transport:     http.DefaultTransport.(*http.Transport).Clone(),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	o.Header = o.Header.Clone()
	resource, err := json.Marshal(map[string]any{"attributes": attributes(o.Resource)})
	if err != nil {
		return nil, fmt.Errorf("otlp: Options.Resource: %w", err)
	}
	return &Dest{opt: o, resource: resource, limit: maxRecords}, nil
}

// severity is INFO, or WARN for the high lane, in the numbers of the data
// model. A record's own level is in its text, which nobody parses here.
func severity(r logsink.Record) int {
	if r.Priority == logsink.High {
		return 13
	}
	return 9
}

type value struct {
	StringValue string `json:"stringValue"`
}

type attribute struct {
	Key   string `json:"key"`
	Value value  `json:"value"`
}

// attributes are in the order of their keys, so that equal requests are equal
// bytes.
// An empty map is an empty list, and not null, which some collectors refuse.
func attributes(m map[string]string) []attribute {
	list := []attribute{}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		list = append(list, attribute{k, value{m[k]}})
	}
	return list
}

// logRecord is a LogRecord of opentelemetry/proto/logs/v1 in its JSON form, in
// which numbers of 64 bits are strings.
type logRecord struct {
	Time     string `json:"timeUnixNano"`
	Observed string `json:"observedTimeUnixNano"`
	Severity int    `json:"severityNumber"`
	Text     string `json:"severityText"`
	Body     value  `json:"body"`
}

var severities = []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}

// record makes a record of OTLP from one of the sink's.
// A severity that is none is brought into 1 to 24. A time before 1970 is 0, "unknown".
func (d *Dest) record(r logsink.Record, text []byte) logRecord {
	n := min(max(d.opt.Severity(r), 1), 24)
	at := strconv.FormatInt(max(r.Time.UnixNano(), 0), 10)
	return logRecord{at, at, n, severities[(n-1)/4], value{strings.ToValidUTF8(string(text), "\uFFFD")}}
}

// batch is the front of some records as one request.
type batch struct {
	records  []logRecord
	index    []int // of the record that is records[i]
	taken    int
	rejected []int // too long
}

// cut takes as many records from the front as one request may have.
//
// The first text goes in whatever its size, up to MaxRecord. An empty one is done and not
// sent. The sizes are those of the text, to which JSON adds; MaxBytes leaves room for that.
func (d *Dest) cut(recs []logsink.Record) (b batch) {
	size := 0
	for i, r := range recs {
		text := bytes.TrimRight(r.Data, "\r\n")
		switch {
		case len(text) == 0: // nothing to send
		case len(text) > d.opt.MaxRecord:
			b.rejected = append(b.rejected, i)
		case len(b.records) >= d.limit || size > 0 && size+len(text) > d.opt.MaxBytes:
			return b
		default:
			size += len(text)
			b.records = append(b.records, d.record(r, text))
			b.index = append(b.index, i)
		}
		b.taken = i + 1
	}
	return b
}

// WriteBatch sends the front of recs. It is for the Sink.
//
// An invalid request is cut in halves until one record is left, which is rejected; after
// poisonLimit of those in a row it is believed that the fault is not in the records, and
// they are kept. Every round halves, so that it ends after a dozen calls.
func (d *Dest) WriteBatch(ctx context.Context, recs []logsink.Record) (logsink.BatchResult, error) {
	for {
		b := d.cut(recs)
		if len(b.records) == 0 {
			return d.done(b, errTooLong), nil
		}
		refused, err := d.post(ctx, b.records)
		var answer *statusError
		switch {
		case err == nil:
			d.poison, d.limit = 0, min(2*d.limit, maxRecords)
			// The collector says how many it has refused, and not which.
			why := errTooLong
			if n := min(refused.n, len(b.index)); n > 0 {
				b.rejected = append(b.rejected, b.index[len(b.index)-n:]...)
				slices.Sort(b.rejected)
				why = refused
			}
			return d.done(b, why), nil
		case ctx.Err() != nil || !errors.As(err, &answer) || !answer.invalid():
			return logsink.BatchResult{}, err
		case len(b.records) > 1:
			d.limit = len(b.records) / 2
		case d.poison < poisonLimit:
			d.poison++
			d.limit = 1 // the next may be one as well; success doubles it
			b.rejected = append(b.rejected, b.index[0])
			slices.Sort(b.rejected)
			return d.done(b, err), nil
		default:
			return logsink.BatchResult{}, err
		}
	}
}

var errTooLong error = errors.New("otlp: records longer than Options.MaxRecord")

// done counts a batch, and tells the sink which of its records will never be
// taken, and why.
func (d *Dest) done(b batch, why error) logsink.BatchResult {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.Rejected += int64(len(b.rejected))
	res := logsink.BatchResult{Done: b.taken, Rejected: b.rejected}
	if len(b.rejected) > 0 {
		res.Why = why
	}
	return res
}

// refusal is the partial success of an answer.
type refusal struct {
	n   int
	why string
}

func (r refusal) Error() string {
	return fmt.Sprintf("otlp: the collector refused %d records: %s", r.n, r.why)
}

// statusError is an answer that is no success.
type statusError struct {
	status int
	text   string
	after  time.Duration
}

func (e *statusError) Error() string {
	return fmt.Sprintf("otlp: the collector answers %d: %s", e.status, e.text)
}

// RetryAfter is what the collector asks for; 0: it does not.
func (e *statusError) RetryAfter() time.Duration { return e.after }

// invalid reports whether the collector will not take the request however often it comes.
func (e *statusError) invalid() bool {
	return e.status == http.StatusBadRequest || e.status == http.StatusRequestEntityTooLarge || e.status == http.StatusUnprocessableEntity
}

// post is one request.
// It counts, and keeps the last error for Stats.
func (d *Dest) post(ctx context.Context, records []logRecord) (refusal, error) {
	refused, err := d.try(ctx, records)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.Requests++
	if err != nil {
		d.stats.Failures++
		d.stats.LastError = err.Error()
	}
	return refused, err
}

// try makes one request, within the Timeout. What the service said is judged
// elsewhere; an error here is worth another try.
// No more than answerLimit of the answer is read, whatever is at the other end.
func (d *Dest) try(ctx context.Context, records []logRecord) (refusal, error) {
	ctx, cancel := context.WithTimeout(ctx, d.opt.Timeout)
	defer cancel()
	body, err := d.body(records)
	if err != nil {
		return refusal{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.opt.URL, bytes.NewReader(body))
	if err != nil {
		return refusal{}, fmt.Errorf("otlp: %w", err)
	}
	maps.Copy(req.Header, d.opt.Header)
	req.Header.Set("Content-Type", "application/json")
	if d.opt.Gzip {
		req.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := d.opt.Client.Do(req)
	if err != nil {
		return refusal{}, fmt.Errorf("otlp: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	if err != nil {
		return refusal{}, fmt.Errorf("otlp: %w", err)
	}
	return judge(resp, text)
}

// judge reads an answer.
//
// 2xx is success, with what the collector refused of it (partial success), which must not
// come again. Everything else is an error with a piece of its text, quoted, so that it
// cannot break a log line, and with the Retry-After in seconds, if there is one.
func judge(resp *http.Response, text []byte) (refusal, error) {
	if resp.StatusCode/100 != 2 {
		e := &statusError{status: resp.StatusCode, text: fmt.Sprintf("%.200q", text)}
		if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
			e.after = min(time.Duration(s)*time.Second, time.Hour)
		}
		return refusal{}, e
	}
	var answer struct {
		PartialSuccess struct {
			Rejected json.Number `json:"rejectedLogRecords"` // a string or a number
			Message  string      `json:"errorMessage"`
		} `json:"partialSuccess"`
	}
	if len(bytes.TrimSpace(text)) > 0 {
		if err := json.Unmarshal(text, &answer); err != nil {
			// A portal's page, for instance: nobody has taken the records.
			return refusal{}, fmt.Errorf("otlp: the answer is no OTLP: %.200q", text)
		}
	}
	n, _ := answer.PartialSuccess.Rejected.Int64() // none is 0
	return refusal{int(min(max(n, 0), maxRecords)), answer.PartialSuccess.Message}, nil
}

// body is an ExportLogsServiceRequest in JSON, compressed if wanted.
// The fields are in the order of their names, as encoding/json has those of maps.
func (d *Dest) body(records []logRecord) ([]byte, error) {
	b, err := json.Marshal(map[string]any{"resourceLogs": []any{map[string]any{
		"resource":  d.resource,
		"scopeLogs": []any{map[string]any{"scope": map[string]string{"name": "logsink"}, "logRecords": records}},
	}}})
	if err != nil || !d.opt.Gzip {
		return b, err
	}
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, err = w.Write(b)
	err = errors.Join(err, w.Close())
	return z.Bytes(), err
}

// Stats returns a snapshot.
func (d *Dest) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stats
}
