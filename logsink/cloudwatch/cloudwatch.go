package cloudwatch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/failopen/failopen/logsink"
)

// Client is the part of *cloudwatchlogs.Client that this package calls. The
// role needs logs:PutLogEvents and logs:CreateLogStream, and with
// Options.CreateGroup logs:CreateLogGroup.
type Client interface {
	PutLogEvents(context.Context, *cloudwatchlogs.PutLogEventsInput, ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.PutLogEventsOutput, error)
	CreateLogStream(context.Context, *cloudwatchlogs.CreateLogStreamInput, ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.CreateLogStreamOutput, error)
	CreateLogGroup(context.Context, *cloudwatchlogs.CreateLogGroupInput, ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.CreateLogGroupOutput, error)
}

// Options of a [Dest].
type Options struct {
	// Client makes the calls; see NewClient. Required.
	Client Client
	// Group and Stream are the names of the log group and the log stream.
	// Required. A stream has one writer best: the name of the host or task.
	Group, Stream string
	// CreateGroup makes the group if it is missing. The default is not to: a
	// group made in passing has no retention and no tags. The stream is always
	// made.
	CreateGroup bool
	// MaxEvent is the longest message in bytes; longer ones are rejected. Default
	// 1,048,550, the limit of the service; the regions in China take 262,118.
	MaxEvent int
	// Timeout bounds every call. Default 5 s.
	Timeout time.Duration
	// PauseMin and PauseMax bound the pause after an error: it is chosen at
	// random up to a bound that doubles from the one to the other. Defaults
	// 200 ms and 60 s.
	PauseMin, PauseMax time.Duration
}

// Dest is a [logsink.BatchDest] that sends to one log stream. Make it with
// [New] and use it for one Sink. Stats may be called at any time.
//
// A failed call is an error with its pause, which the Sink waits for (logsink.RetryAfter):
// a Dest sleeps nowhere, and has no goroutine.
type Dest struct {
	opt Options

	// Of WriteBatch, which one goroutine calls.
	limit  int // events a request: less after an invalid one, until it is found
	poison int // records rejected as invalid since the last success
	pause  time.Duration
	token  *string
	offset time.Duration // how far the service's clock is ahead, if that is much

	mu    sync.Mutex
	stats Stats
}

// Stats says how a Dest fares. What became of the records is in the Sink's own.
type Stats struct {
	Calls    int64 `json:"calls"`    // of PutLogEvents
	Failures int64 `json:"failures"` // of them, errors of all kinds
	Rejected int64 `json:"rejected"` // records refused for good
	// Rejections is Rejected by reason.
	Rejections Rejections `json:"rejections"`
	// ClockOffset is how far the service's clock is ahead of this machine's, if
	// it is more than a minute. The times of records are corrected by it.
	ClockOffset time.Duration `json:"clock_offset_ns"`
	Skipped     int64         `json:"skipped"` // records without a message, which count as delivered
	// Denied: the last call failed for lack of a permission or of valid
	// credentials. It is tried again; someone has to restore them.
	Denied    bool   `json:"denied"`
	LastError string `json:"last_error,omitempty"` // kept after recovery
}

var (
	groupName  = regexp.MustCompile(`^[\.\-_/#A-Za-z0-9]{1,512}$`)
	streamName = regexp.MustCompile(`^[^:*]{1,512}$`)
)

// poisonLimit is how many records in a row are believed to be invalid. More
// than that, and the fault is in the configuration: they are kept and retried.
const poisonLimit = 100

// New makes a Dest. It makes no call and fails only for Options that can never
// work.
func New(o Options) (*Dest, error) {
	switch {
	case o.Client == nil:
		return nil, errors.New("cloudwatch: Options.Client must be set")
	case !groupName.MatchString(o.Group):
		return nil, fmt.Errorf("cloudwatch: Options.Group is %q; a name has 1 to 512 of the characters A-Z a-z 0-9 . - _ / #", o.Group)
	case !streamName.MatchString(o.Stream):
		return nil, fmt.Errorf("cloudwatch: Options.Stream is %q; a name has 1 to 512 characters, without : and *", o.Stream)
	}
	if o.MaxEvent == 0 {
		o.MaxEvent = maxMessage
	}
	if o.MaxEvent < 1 || o.MaxEvent > maxMessage {
		return nil, fmt.Errorf("cloudwatch: Options.MaxEvent is %d, the most is %d", o.MaxEvent, maxMessage)
	}
	for _, d := range []struct {
		name string
		d    *time.Duration
		or   time.Duration
	}{
		{"Timeout", &o.Timeout, 5 * time.Second},
		{"PauseMin", &o.PauseMin, 200 * time.Millisecond},
		{"PauseMax", &o.PauseMax, time.Minute},
	} {
		if *d.d == 0 {
			*d.d = d.or
		}
		if *d.d < 0 {
			return nil, fmt.Errorf("cloudwatch: Options.%s is %v", d.name, *d.d)
		}
	}
	if o.PauseMin > o.PauseMax {
		return nil, fmt.Errorf("cloudwatch: Options.PauseMin is %v and Options.PauseMax %v", o.PauseMin, o.PauseMax)
	}
	return &Dest{opt: o, limit: maxEvents}, nil
}

// NewClient returns a client made for a Dest: without retries of its own, and
// with request bodies that net/http does not mistake for broken ones (the SDK
// closes a body as soon as the answer begins, and its WriteTo fails then; the
// connection is lost, which on a fast network happens often).
func NewClient(cfg aws.Config, with ...func(*cloudwatchlogs.Options)) *cloudwatchlogs.Client {
	ours := func(o *cloudwatchlogs.Options) {
		if o.HTTPClient == nil {
			o.HTTPClient = awshttp.NewBuildableClient()
		}
		o.HTTPClient = plainBody{o.HTTPClient}
		o.Retryer = aws.NopRetryer{}
	}
	return cloudwatchlogs.NewFromConfig(cfg, append([]func(*cloudwatchlogs.Options){ours}, with...)...)
}

// plainBody hides the WriteTo of request bodies.
type plainBody struct{ cloudwatchlogs.HTTPClient }

// Do passes the request on with a body that can only be read and closed.
func (c plainBody) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return c.HTTPClient.Do(r)
}

// Stats returns a snapshot.
func (d *Dest) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stats
}

// WriteBatch sends the front of recs, as much as one request may have. It is
// for the Sink.
//
// It calls until a request has gone through or has failed for a reason that only time
// mends. In between it makes the stream, takes the token that an emulator wants, corrects
// the clock, and halves a request that is invalid until the record that makes it so is
// alone. Every round ends or makes one of these better, so that it cannot go on forever.
func (d *Dest) WriteBatch(ctx context.Context, recs []logsink.Record) (logsink.BatchResult, error) {
	for created := false; ; {
		b := cut(recs, d.limit, d.opt.MaxEvent, d.offset)
		if len(b.events) == 0 {
			return d.done(b), nil
		}
		was := d.offset
		info, err := d.put(ctx, b.events)
		if err == nil {
			if young := tooNew(info); young >= 0 && young < len(b.events) && d.offset < was {
				// This machine's clock is ahead, which the answer has told. They
				// were not taken, and come again with the right time.
				if b.before(young); b.taken == 0 {
					continue
				}
				info.TooNewLogEventStartIndex = nil
			}
			b.refuse(info)
			d.poison, d.pause, d.limit = 0, 0, min(2*d.limit, maxEvents)
			return d.done(b), nil
		}
		// What to do about each kind of error. The order matters: what can be mended at once first,
		// and at the end what the Sink tries again after a pause.
		switch k := classify(err); {
		case k == accepted:
			return d.done(b), nil
		case k == missing && !created:
			created = true
			if err = d.create(ctx); err != nil {
				return d.failed(err)
			}
		case k == sequence && d.newToken(err):
		case k == invalid && len(b.events) > 1:
			d.limit = len(b.events) / 2
		case k == invalid && d.poison < poisonLimit:
			d.poison++
			d.limit = 1 // the next may be one as well; success doubles it
			b.rejected = append(b.rejected, b.index[0])
			b.why.Invalid++
			slices.Sort(b.rejected)
			return d.done(b), nil
		default:
			return d.failed(err)
		}
		if ctx.Err() != nil {
			return d.failed(err)
		}
	}
}

// put is one call of PutLogEvents.
// The client does not retry: the pause, and the count, would be two then.
func (d *Dest) put(ctx context.Context, events []types.InputLogEvent) (*types.RejectedLogEventsInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, d.opt.Timeout)
	defer cancel()
	out, err := d.opt.Client.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{
		LogGroupName:  &d.opt.Group,
		LogStreamName: &d.opt.Stream,
		LogEvents:     events,
		SequenceToken: d.token,
	}, noRetries)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.Calls++
	d.stats.Denied = false
	if err != nil {
		d.stats.Failures++
		d.stats.LastError = err.Error()
		return nil, err
	}
	d.token = nil
	if at, ok := awsmiddleware.GetServerTime(out.ResultMetadata); ok {
		// Date has seconds, and the answer was on its way.
		if d.offset = time.Until(at); d.offset.Abs() < minOffset {
			d.offset = 0
		}
		d.stats.ClockOffset = d.offset
	}
	return out.RejectedLogEventsInfo, nil
}

// minOffset is how wrong a clock must be to be corrected.
const minOffset = time.Minute

// tooNew is the first event that was refused for its time in the future, or -1.
func tooNew(info *types.RejectedLogEventsInfo) int {
	if info == nil || info.TooNewLogEventStartIndex == nil {
		return -1
	}
	return int(*info.TooNewLogEventStartIndex)
}

// noRetries leaves one back-off: the sink's.
func noRetries(o *cloudwatchlogs.Options) { o.Retryer = aws.NopRetryer{} }

// create makes the stream, and the group if it is to.
// Someone else may make them at the same time, which is as good.
func (d *Dest) create(ctx context.Context) error {
	err := d.createStream(ctx)
	if classify(err) != missing || !d.opt.CreateGroup {
		return err
	}
	ctx2, cancel := context.WithTimeout(ctx, d.opt.Timeout)
	defer cancel()
	_, err = d.opt.Client.CreateLogGroup(ctx2, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &d.opt.Group}, noRetries)
	if err != nil && code(err) != "ResourceAlreadyExistsException" {
		return err
	}
	return d.createStream(ctx)
}

// createStream is one call of CreateLogStream, within the Timeout.
func (d *Dest) createStream(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, d.opt.Timeout)
	defer cancel()
	_, err := d.opt.Client.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &d.opt.Group, LogStreamName: &d.opt.Stream}, noRetries)
	if code(err) == "ResourceAlreadyExistsException" {
		return nil
	}
	return err
}

// newToken takes the token that an emulator expects, once a request.
// The service has ignored the token since 2023; some emulators still check it.
func (d *Dest) newToken(err error) bool {
	var e *types.InvalidSequenceTokenException
	if !errors.As(err, &e) || e.ExpectedSequenceToken == nil || d.token != nil && *d.token == *e.ExpectedSequenceToken {
		return false
	}
	d.token = e.ExpectedSequenceToken
	return true
}

// done is the result of a batch that needs not come again.
func (d *Dest) done(b batch) logsink.BatchResult {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.Rejected += int64(len(b.rejected))
	d.stats.Rejections.add(b.why)
	d.stats.Skipped += int64(b.skipped)
	res := logsink.BatchResult{Done: b.taken, Rejected: b.rejected}
	if b.why.total() > 0 {
		res.Why = b.why
	}
	return res
}

// failed is the result of a batch that must come again, after a pause with
// full jitter (Brooker, "Exponential Backoff And Jitter", AWS 2015).
//
// The pause is random between nothing and its bound, so that a thousand hosts that were cut
// off together do not come back together.
func (d *Dest) failed(err error) (logsink.BatchResult, error) {
	isDenied := classify(err) == denied
	if isDenied {
		d.renewCredentials()
	}
	d.mu.Lock()
	d.stats.Denied = isDenied
	d.stats.LastError = err.Error()
	d.mu.Unlock()
	bound := min(max(d.pause, d.opt.PauseMin), d.opt.PauseMax)
	d.pause = min(2*bound, d.opt.PauseMax)
	return logsink.BatchResult{}, waitError{fmt.Errorf("cloudwatch: %w", err), rand.N(bound) + 1}
}

// renewCredentials has the client ask for new ones: expired credentials stay
// in its cache otherwise, as long as their own date says that they are good.
// A client that is not the SDK's, as in tests, has nothing to renew.
func (d *Dest) renewCredentials() {
	c, ok := d.opt.Client.(interface{ Options() cloudwatchlogs.Options })
	if !ok {
		return
	}
	if cache, ok := c.Options().Credentials.(*aws.CredentialsCache); ok {
		cache.Invalidate()
	}
}
