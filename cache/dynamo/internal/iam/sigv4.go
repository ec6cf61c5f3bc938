package iam

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// clockSkew is how far a request's date may be from a service's clock. A
// presigned request to STS lives as long, whatever its X-Amz-Expires says.
func clockSkew(service string) time.Duration {
	if service == "sts" || service == "iam" {
		return 15 * time.Minute
	}
	return 5 * time.Minute
}

const amzDate = "20060102T150405Z"

// A SignatureError is why a request's signature is not accepted, in the words
// of the services.
//
// Code is the exception's name in the JSON protocols; ststest has the query
// protocol's names for them. Message goes to the client as it is and never
// contains a secret or an expected signature.
type SignatureError struct{ Code, Message string }

// Error has both, for logs and tests.
func (e *SignatureError) Error() string { return e.Code + ": " + e.Message }

// incomplete is a signature of which a part is missing or has no form.
func incomplete(format string, args ...any) *SignatureError {
	return &SignatureError{"IncompleteSignatureException", fmt.Sprintf(format, args...)}
}

// mismatch is one that has all of its parts and is not right.
func mismatch(format string, args ...any) *SignatureError {
	return &SignatureError{"InvalidSignatureException", fmt.Sprintf(format, args...)}
}

// A Signature is what an Authorization header or a presigned URL says. Nothing
// of it is true until Verify has returned nil.
type Signature struct {
	// These four are as claimed: faults are chosen by AccessKey before
	// anybody has verified it.
	AccessKey string
	Region    string
	Service   string
	Token     string // X-Amz-Security-Token

	// presigned says that the query has it, where X-Amz-Date stands, too.
	presigned bool
	scope     string // date/region/service/aws4_request
	// headers are the names in SignedHeaders, which Verify wants sorted and
	// in lower case.
	headers []string
	// hex is the signature itself, still as text.
	hex string
}

// regionName is the form of a region's name, such as us-east-1 or
// us-gov-west-1.
var regionName = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$`)

// ParseSignature reads the header's three parts, or the presigned URL's
// parameters of the same names.
//
// A request with both an Authorization header and a presigned URL is read by
// its header. The parts may come in any order and with or without spaces, as
// SDKs differ there.
func ParseSignature(r *http.Request) (Signature, *SignatureError) {
	header := r.Header.Get("Authorization")
	if query := r.URL.Query(); header == "" && query.Has("X-Amz-Signature") {
		parts := map[string]string{}
		for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
			parts[name] = query.Get("X-Amz-" + name)
		}
		if query.Get("X-Amz-Algorithm") != "AWS4-HMAC-SHA256" {
			return Signature{}, incomplete("X-Amz-Algorithm is not AWS4-HMAC-SHA256")
		}
		return newSignature(parts, query.Get("X-Amz-Security-Token"), true)
	}
	if header == "" {
		return Signature{}, &SignatureError{"MissingAuthenticationTokenException", "Request is missing Authentication Token"}
	}
	list, ok := strings.CutPrefix(header, "AWS4-HMAC-SHA256")
	if !ok {
		return Signature{}, incomplete("Authorization header is not of the form AWS4-HMAC-SHA256 Credential=, SignedHeaders=, Signature=")
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(list, ",") {
		name, text, _ := strings.Cut(strings.TrimSpace(part), "=")
		parts[name] = text
	}
	return newSignature(parts, r.Header.Get("X-Amz-Security-Token"), false)
}

// newSignature is a signature from its parts, which a header or a query has
// given. Errors are in the service's words.
func newSignature(parts map[string]string, token string, presigned bool) (Signature, *SignatureError) {
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if parts[name] == "" {
			return Signature{}, incomplete("Authorization header requires '%s' parameter.", name)
		}
	}
	cred := strings.Split(parts["Credential"], "/")
	if len(cred) != 5 || cred[4] != "aws4_request" {
		return Signature{}, incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term")
	}
	return Signature{
		AccessKey: cred[0],
		Region:    cred[2],
		Service:   cred[3],
		Token:     token,
		presigned: presigned,
		scope:     strings.Join(cred[1:], "/"),
		headers:   strings.Split(parts["SignedHeaders"], ";"),
		hex:       parts["Signature"],
	}, nil
}

// Verify recomputes the signature of a request to a service with the caller's
// secret ("Create a signed AWS API request" in the IAM user guide). Besides
// host and the date, every X-Amz header that is there must be signed: what is
// not could be exchanged on the way.
//
// The steps, and what a client is told when one fails: the date's presence, the
// clock's skew, the list of signed headers, the credential's scope, the
// signature. The comparison takes constant time. body is all of it, since its
// hash is part of what was signed; unsigned payloads and chunked signatures are
// not supported.
func (sig Signature) Verify(r *http.Request, body []byte, service, secret string, now time.Time) *SignatureError {
	signed, dateHeader, ok := sig.date(r)
	if !ok {
		return incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	stamp := signed.UTC().Format(amzDate)
	limit := clockSkew(service)
	if skew := now.Sub(signed); skew > limit {
		return mismatch("Signature expired: %s is now earlier than %s (%s - %.0f min.)",
			stamp, now.Add(-limit).UTC().Format(amzDate), now.UTC().Format(amzDate), limit.Minutes())
	} else if skew < -limit {
		return mismatch("Signature not yet current: %s is still later than %s (%s + %.0f min.)",
			stamp, now.Add(limit).UTC().Format(amzDate), now.UTC().Format(amzDate), limit.Minutes())
	}
	if err := sig.checkHeaders(r, dateHeader); err != nil {
		return err
	}
	parts := strings.Split(sig.scope, "/")
	if parts[0] != stamp[:8] || !regionName.MatchString(parts[1]) || parts[2] != service {
		return mismatch("Credential should be scoped to a valid region, to the correct service, %s, and to the date of the request.", service)
	}
	// The signing key is derived over date, region, service and
	// "aws4_request", each the message of an HMAC under the result before.
	key := []byte("AWS4" + secret)
	for _, part := range parts {
		key = mac(key, part)
	}
	canonical := sha256.Sum256(canonicalRequest(r, sig.headers, body))
	want := mac(key, "AWS4-HMAC-SHA256\n"+stamp+"\n"+sig.scope+"\n"+hex.EncodeToString(canonical[:]))
	got, err := hex.DecodeString(sig.hex)
	if err != nil || !hmac.Equal(got, want) {
		return mismatch("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	return nil
}

// date is when the request says that it was signed, and the header that
// says so; a presigned URL says it itself.
//
// The formats: X-Amz-Date is ISO 8601 basic; Date may be that, or RFC 1123 as
// HTTP has it.
func (sig Signature) date(r *http.Request) (at time.Time, header string, ok bool) {
	if sig.presigned {
		at, err := time.Parse(amzDate, r.URL.Query().Get("X-Amz-Date"))
		return at, "host", err == nil
	}
	if stamp := r.Header.Get("X-Amz-Date"); stamp != "" {
		at, err := time.Parse(amzDate, stamp)
		return at, "x-amz-date", err == nil
	}
	for _, layout := range []string{http.TimeFormat, amzDate} {
		if at, err := time.Parse(layout, r.Header.Get("Date")); err == nil {
			return at, "date", true
		}
	}
	return time.Time{}, "", false
}

// checkHeaders refuses a list of signed headers that is not in canonical form,
// or leaves out one that matters.
func (sig Signature) checkHeaders(r *http.Request, dateHeader string) *SignatureError {
	for i, h := range sig.headers {
		if h == "" || h != strings.ToLower(h) || i > 0 && h <= sig.headers[i-1] {
			return mismatch("'SignedHeaders' must be in lower case, sorted, and each once.")
		}
	}
	if !slices.Contains(sig.headers, "host") || !slices.Contains(sig.headers, dateHeader) {
		return mismatch("'Host' and 'X-Amz-Date' must be 'SignedHeaders' in the AWS Authorization.")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		if h := strings.ToLower(name); strings.HasPrefix(h, "x-amz-") && !slices.Contains(sig.headers, h) {
			return mismatch("'%s' must be a 'SignedHeader' in the AWS Authorization.", name)
		}
	}
	return nil
}

// canonicalRequest is what is signed: see "Create a signed AWS API request" in
// the IAM user guide. The payload's hash is computed and not taken from the
// request's header.
//
// The lines are: method, path, query, one for each signed header, an empty
// line, the names of the headers, the hash of the body in hex. The path is
// taken as it came on the wire. AWS encodes it once more for services other
// than S3, which changes nothing for the paths that there are here.
func canonicalRequest(r *http.Request, headers []string, body []byte) []byte {
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	payload := sha256.Sum256(body)
	var b []byte
	b = fmt.Appendf(b, "%s\n%s\n%s\n", r.Method, path, canonicalQuery(r.URL.Query()))
	for _, name := range headers {
		b = fmt.Appendf(b, "%s:%s\n", name, headerText(r, name))
	}
	return fmt.Appendf(b, "\n%s\n%x", strings.Join(headers, ";"), payload)
}

// canonicalQuery is the query sorted by name, escaped as RFC 3986 says: a space
// is %20 and not the form's +.
func canonicalQuery(q url.Values) string {
	q.Del("X-Amz-Signature")                          // of a presigned URL: it cannot sign itself
	return strings.ReplaceAll(q.Encode(), "+", "%20") // Encode sorts
}

// headerText is a header as it was signed. net/http moves two of them out of
// the header map.
func headerText(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return fmt.Sprint(r.ContentLength)
	}
	values := slices.Clone(r.Header.Values(name))
	for i, v := range values {
		values[i] = strings.Join(strings.Fields(v), " ")
	}
	return strings.Join(values, ",")
}

// mac is HMAC-SHA256 (RFC 2104).
func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
