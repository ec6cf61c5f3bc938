package fault

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Rule says which calls fail, and how. The first four fields choose calls;
// empty means any, case does not matter, and * stands for any text. Error, Net,
// Latency and Bandwidth say what happens: at least one of them is set, and not
// both Error and Net. Latency and Bandwidth alone let the call pass, late.
//
// In JSON a rule looks like one of LocalStack's chaos rules, and more:
//
//	{"service": "dynamodb", "operation": "GetItem", "probability": 0.5,
//	 "error": {"statusCode": 500, "code": "InternalServerError"},
//	 "from": "30s", "until": "5m"}
type Rule struct {
	// Service is the name of the dependency: "dynamodb", "sts", or what
	// was given to RoundTripper and Dialer. Blanks in it do not matter.
	Service   string
	Region    string
	Operation string
	Table     string // its name; a call that has its ARN is meant as well

	// Probability that a call which matches is hit; else the next rules
	// are tried. 0 means 1; in JSON an explicit 0 is Off.
	Probability float64

	// Off keeps the rule from hitting anything: the low end of a
	// probability that is turned down step by step.
	Off bool

	// After, First and Every choose by count among the calls that match,
	// inside the window of time: After lets so many pass first, First hits
	// only that many of those that follow, Every only each n-th of them.
	// 0 each: no choice. Probability then decides among the chosen.
	After, First, Every int

	// From and Until bound the rule in time, counted from the moment when
	// the rules were set. Until 0 means for ever.
	From, Until time.Duration

	// Error is an answer of the service.
	Error *APIError

	// Latency passes before whatever happens next.
	Latency *Latency

	// Net is a fault of the network, or of the answer on its way.
	Net Kind

	// Bytes is how much of an answer arrives before Truncate ends the
	// connection. 0: half of it.
	Bytes int64

	// Bandwidth is the rate, in bytes a second, at which an answer arrives
	// that the service has given. 0: no limit.
	Bandwidth int64
}

// An APIError is an answer by which a service refuses a call, in the form that
// the service's answers have. Services that answer in XML, such as STS, IAM and
// S3, have other names for what Denied, Expired, InternalError and Unavailable
// say, such as AccessDenied: they are given those.
type APIError struct {
	// StatusCode of HTTP. Default: 400, where DynamoDB puts nearly all of
	// its errors.
	StatusCode int

	// Code such as "AccessDeniedException". Required.
	Code string

	// Message of the error. {service}, {region}, {operation} and {table}
	// stand for the call's own. Default: the service's text, where it is
	// known.
	Message string
}

// Latency is Base, plus up to Jitter more at random.
type Latency struct {
	Base, Jitter time.Duration // Base, and up to Jitter more, evenly distributed
}

// Kind is a fault of the network, or of an answer on its way. The words are
// those of docs/guide/faults.md, where each means the same in all packages.
type Kind string

const (
	// Reset breaks the connection after the request was sent.
	Reset Kind = "reset"

	// EOF ends the connection in order after the request was sent, and
	// without an answer.
	EOF Kind = "eof"

	// BlackHole lets the packets vanish: a call ends with its context, and
	// without a deadline not at all.
	BlackHole Kind = "blackhole"

	// Timeout is an answer that takes longer than http.Client.Timeout,
	// which Latency gives (default 1 s): errors.Is(err,
	// context.DeadlineExceeded) is true while the caller's own context is
	// fine.
	Timeout Kind = "timeout"

	// DialTimeout is a connection attempt that nobody answers, not even
	// with a refusal, given up after Latency (default 30 s, as the AWS SDK
	// does).
	DialTimeout Kind = "dialtimeout"

	// Refuse refuses the connection.
	Refuse Kind = "refuse"

	// NXDomain is a host name that is no longer there.
	NXDomain Kind = "nxdomain"

	// TLS is a handshake that fails: the service's certificate has run out.
	TLS Kind = "tls"

	// CutRequest ends the connection in the middle of the request. Where an
	// adapter can, the service gets the first half.
	CutRequest Kind = "cutrequest"

	// Truncate ends the connection after half of the answer, or after Bytes.
	Truncate Kind = "truncate"

	// Stall lets half of the answer through, and then nothing more; the
	// connection stays open until the caller gives up. The service does its
	// work, as with Drip and Truncate.
	Stall Kind = "stall"

	// Drip lets the answer through at ten bytes a second.
	Drip Kind = "drip"

	// Corrupt changes the data in the answer and keeps its form: in JSON
	// the values, not the names (in DynamoDB's, the binary values if there
	// are any), elsewhere the text between tags, or every byte. The service
	// does its work, as with Truncate. An answer in which there is nothing
	// to change passes, and counts no hit.
	Corrupt Kind = "corrupt"

	// Empty is a success without a body.
	Empty Kind = "empty"

	// HTML is a success whose body is a web page, as from a captive portal.
	HTML Kind = "html"

	// ErrorPage is a web page with status 503, as from a load balancer
	// without a backend: no client of the service can read it.
	ErrorPage Kind = "errorpage"
)

// Kinds are all of them, in the order of the documentation.
func Kinds() []Kind {
	return []Kind{Reset, EOF, BlackHole, Timeout, DialTimeout, Refuse, NXDomain, TLS, CutRequest, Truncate, Stall, Drip, Corrupt, Empty, HTML, ErrorPage}
}

// passes reports whether the service sees the call although it is faulted.
func (k Kind) passes() bool {
	return k == "" || k == Truncate || k == Stall || k == Drip || k == Corrupt
}

// notInCodes are the characters that a code may not have: it becomes a part of
// headers and of XML.
func notInCodes(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("<>&\"'", c) }

// Validate says what is wrong with a rule, if anything: the field, its value
// and what was expected.
// It stops at the first: a rule is short, and what is wrong often follows from one
// thing. To add a field, add a case, a member in json.go and a name in memberNames.
func (r Rule) Validate() error {
	switch {
	case r.Error == nil && r.Net == "" && r.Latency == nil && r.Bandwidth == 0:
		return fmt.Errorf("nothing happens: want error, net, latency or bandwidth")
	case r.Error != nil && r.Net != "":
		return fmt.Errorf("error and net are both set: a call can fail in one way only")
	case r.Net != "" && !slices.Contains(Kinds(), r.Net):
		return fmt.Errorf("net: unknown kind %q; want one of %s", r.Net, join(Kinds()))
	case !(r.Probability >= 0 && r.Probability <= 1): // NaN too
		return fmt.Errorf("probability: %v is not between 0 and 1", r.Probability)
	case r.Off && r.Probability != 0:
		return fmt.Errorf("off: the rule is off and has a probability, %v", r.Probability)
	case r.After < 0, r.First < 0, r.Every < 0:
		return fmt.Errorf("after %d, first %d, every %d: a count is negative", r.After, r.First, r.Every)
	case r.Bytes < 0, r.Bandwidth < 0:
		return fmt.Errorf("bytes %d, bandwidth %d: want neither negative", r.Bytes, r.Bandwidth)
	case r.Bytes > 0 && r.Net != Truncate:
		return fmt.Errorf("bytes: it is for net %q only", Truncate)
	case r.Bandwidth > 0 && r.Net == Drip:
		return fmt.Errorf("bandwidth: net %q has one of its own, %d bytes a second", Drip, dripRate)
	case r.Bandwidth > 0 && (r.Error != nil || !r.Net.passes()):
		return fmt.Errorf("bandwidth: there is no answer of the service to slow down")
	case strings.HasPrefix(r.Table, "arn:"):
		return fmt.Errorf("table: %.200q is an ARN; want the table's name, which also those calls have that name it by its ARN", r.Table)
	case r.From < 0:
		return fmt.Errorf("from: %v is negative", r.From)
	case r.Until < 0:
		return fmt.Errorf("until: %v is negative", r.Until)
	case r.Until > 0 && r.Until <= r.From:
		return fmt.Errorf("until: %v is not after from, %v", r.Until, r.From)
	case r.Error != nil && r.Error.Code == "":
		return fmt.Errorf("error: code is missing")
	case r.Error != nil && strings.ContainsFunc(r.Error.Code, notInCodes):
		return fmt.Errorf("error: code is %.100q; want a word such as AccessDeniedException", r.Error.Code)
	case r.Error != nil && r.Error.StatusCode != 0 && (r.Error.StatusCode < 400 || r.Error.StatusCode > 599):
		return fmt.Errorf("error: statusCode: %d is not an HTTP error, 400 to 599", r.Error.StatusCode)
	case r.Latency != nil && (r.Latency.Base < 0 || r.Latency.Jitter < 0 || r.Latency.Base+r.Latency.Jitter <= 0):
		return fmt.Errorf("latency: base %v and jitter %v: want neither negative, and their sum above 0", r.Latency.Base, r.Latency.Jitter)
	}
	return nil
}

// join is the kinds in a sentence.
func join(kinds []Kind) string {
	var b strings.Builder
	for i, k := range kinds {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(k))
	}
	return b.String()
}

// Denied is the answer of a service to which the caller's access was revoked.
func Denied(service string) Rule {
	return Rule{Service: service, Error: &APIError{Code: "AccessDeniedException"}}
}

// Expired is the answer to credentials that have run out.
func Expired(service string) Rule {
	return Rule{Service: service, Error: &APIError{Code: "ExpiredTokenException"}}
}

// Throttled is a table over its provisioned capacity.
func Throttled(service string) Rule {
	return Rule{Service: service, Error: &APIError{Code: "ProvisionedThroughputExceededException"}}
}

// NoTable is a table that is gone.
func NoTable(service string) Rule {
	return Rule{Service: service, Error: &APIError{Code: "ResourceNotFoundException"}}
}

// InternalError is a service that fails with status 500.
func InternalError(service string) Rule {
	return Rule{Service: service, Error: &APIError{StatusCode: 500, Code: "InternalServerError"}}
}

// Unavailable is a service that fails with status 503.
func Unavailable(service string) Rule {
	return Rule{Service: service, Error: &APIError{StatusCode: 503, Code: "ServiceUnavailableException"}}
}

// Slow lets calls pass after base, and up to jitter more.
func Slow(service string, base, jitter time.Duration) Rule {
	return Rule{Service: service, Latency: &Latency{base, jitter}}
}

// Network breaks a service's connections or answers.
func Network(service string, kind Kind) Rule {
	return Rule{Service: service, Net: kind}
}
