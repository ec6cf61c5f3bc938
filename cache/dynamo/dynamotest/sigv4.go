package dynamotest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// maxClockSkew is how far a request's date may be from the server's clock.
const maxClockSkew = 5 * time.Minute

const amzDate = "20060102T150405Z"

// signature is what an Authorization header says.
type signature struct {
	accessKey string
	scope     string // date/region/service/aws4_request
	region    string
	headers   []string
	hex       string
}

// parseAuthorization reads the header's three parts.
func parseAuthorization(r *http.Request) (signature, *apiError) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return signature{}, coral("MissingAuthenticationTokenException", "Request is missing Authentication Token")
	}
	list, ok := strings.CutPrefix(header, "AWS4-HMAC-SHA256")
	if !ok {
		return signature{}, coral("IncompleteSignatureException", "Authorization header is not of the form AWS4-HMAC-SHA256 Credential=, SignedHeaders=, Signature=")
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(list, ",") {
		name, text, _ := strings.Cut(strings.TrimSpace(part), "=")
		parts[name] = text
	}
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if parts[name] == "" {
			return signature{}, coral("IncompleteSignatureException", "Authorization header requires '%s' parameter.", name)
		}
	}
	cred := strings.Split(parts["Credential"], "/")
	if len(cred) != 5 || cred[4] != "aws4_request" {
		return signature{}, coral("IncompleteSignatureException", "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term")
	}
	return signature{
		accessKey: cred[0],
		scope:     strings.Join(cred[1:], "/"),
		region:    cred[2],
		headers:   strings.Split(parts["SignedHeaders"], ";"),
		hex:       parts["Signature"],
	}, nil
}

// verify recomputes the signature with the principal's secret ("Create a
// signed AWS API request" in the IAM user guide).
func (sig signature) verify(r *http.Request, body []byte, secret string, now time.Time) *apiError {
	stamp := r.Header.Get("X-Amz-Date")
	signed, err := time.Parse(amzDate, stamp)
	if err != nil {
		return coral("IncompleteSignatureException", "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	if skew := now.Sub(signed); skew > maxClockSkew {
		return coral("InvalidSignatureException", "Signature expired: %s is now earlier than %s (%s - 5 min.)",
			stamp, now.Add(-maxClockSkew).UTC().Format(amzDate), now.UTC().Format(amzDate))
	} else if skew < -maxClockSkew {
		return coral("InvalidSignatureException", "Signature not yet current: %s is still later than %s (%s + 5 min.)",
			stamp, now.Add(maxClockSkew).UTC().Format(amzDate), now.UTC().Format(amzDate))
	}
	if !slices.Contains(sig.headers, "host") || !slices.Contains(sig.headers, "x-amz-date") {
		return coral("InvalidSignatureException", "'Host' and 'X-Amz-Date' must be 'SignedHeaders' in the AWS Authorization.")
	}
	parts := strings.Split(sig.scope, "/")
	if parts[0] != stamp[:8] || parts[2] != "dynamodb" {
		return coral("InvalidSignatureException", "Credential should be scoped to correct service and to the date of the request.")
	}
	key := []byte("AWS4" + secret)
	for _, part := range parts {
		key = mac(key, part)
	}
	canonical := sha256.Sum256(canonicalRequest(r, sig.headers, body))
	want := mac(key, "AWS4-HMAC-SHA256\n"+stamp+"\n"+sig.scope+"\n"+hex.EncodeToString(canonical[:]))
	got, err := hex.DecodeString(sig.hex)
	if err != nil || !hmac.Equal(got, want) {
		return coral("InvalidSignatureException", "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	return nil
}

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

func canonicalQuery(q url.Values) string {
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

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
