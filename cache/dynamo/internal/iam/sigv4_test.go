package iam

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const notTheSame = "InvalidSignatureException: The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."

// The answers are those of AWS's own test suite for Signature Version 4.
func TestSignature_Verify_known_answers(t *testing.T) {
	for _, c := range []struct{ name, method, url, signature string }{
		{"get-vanilla", "GET", "https://example.amazonaws.com/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"get-vanilla, no path", "GET", "https://example.amazonaws.com", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"get-vanilla-query-order-key-case", "GET", "https://example.amazonaws.com/?Param2=value2&Param1=value1", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{"post-vanilla", "POST", "https://example.amazonaws.com/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
	} {
		r, err := http.NewRequest(c.method, c.url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Date", "20150830T123600Z")
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature="+c.signature)
		sig, sigErr := ParseSignature(r)
		if sigErr != nil {
			t.Fatal(sigErr)
		}
		at := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
		if err := sig.Verify(r, nil, "service", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", at); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if err := sig.Verify(r, []byte("x"), "service", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", at); err == nil || err.Error() != notTheSame {
			t.Errorf("%s, with a body: %v", c.name, err)
		}
	}
}

// sign puts a right signature of the headers into r, whatever they are.
func sign(r *http.Request, headers, scope, stamp string, body []byte) {
	key := []byte("AWS4secret")
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	canonical := canonicalRequest(r, strings.Split(headers, ";"), body)
	text := "AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n" + hexSum(canonical)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIA1/"+scope+", SignedHeaders="+headers+", Signature="+hex.EncodeToString(mac(key, text)))
}

// What a signature covers, and in which form it has to come. All of these are
// signed with the right secret.
func TestSignature_Verify_what_has_to_be_signed(t *testing.T) {
	const (
		scope   = "20261123/us-east-1/dynamodb/aws4_request"
		order   = "InvalidSignatureException: 'SignedHeaders' must be in lower case, sorted, and each once."
		needed  = "InvalidSignatureException: 'Host' and 'X-Amz-Date' must be 'SignedHeaders' in the AWS Authorization."
		scoped  = "InvalidSignatureException: Credential should be scoped to a valid region, to the correct service, dynamodb, and to the date of the request."
		undated = "IncompleteSignatureException: Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
	)
	for _, c := range []struct {
		name, headers, scope string
		set                  map[string]string
		change               func(*http.Request) // after signing
		want                 string
	}{
		{"the least", "host;x-amz-date", scope, nil, nil, ""},
		{"another header as well", "host;x-amz-date;x-amz-target;x-other", scope, map[string]string{"X-Amz-Target": "a", "X-Other": " a  b "}, nil, ""},
		{"white space in a header is one space", "host;x-amz-date;x-other", scope, map[string]string{"X-Other": "a b"}, func(r *http.Request) { r.Header.Set("X-Other", "  a \t b") }, ""},
		{"a header was changed", "host;x-amz-date;x-other", scope, map[string]string{"X-Other": "a"}, func(r *http.Request) { r.Header.Set("X-Other", "b") }, notTheSame},
		{"a header came twice", "host;x-amz-date;x-other", scope, map[string]string{"X-Other": "a"}, func(r *http.Request) { r.Header.Add("X-Other", "b") }, notTheSame},
		{"the length", "content-length;host;x-amz-date", scope, nil, nil, ""},
		{"the length was changed", "content-length;host;x-amz-date", scope, nil, func(r *http.Request) { r.ContentLength = 7 }, notTheSame},
		{"no host", "x-amz-date", scope, nil, nil, needed},
		{"no date", "host", scope, nil, nil, needed},
		{"in another order", "x-amz-date;host", scope, nil, nil, order},
		{"in capitals", "Host;x-amz-date", scope, nil, nil, order},
		{"twice", "host;host;x-amz-date", scope, nil, nil, order},
		{"with a gap", "host;;x-amz-date", scope, nil, nil, order},
		{"the first of those that are not signed", "host;x-amz-date", scope, map[string]string{"X-Amz-Target": "a", "X-Amz-Security-Token": "t", "X-Amz-User-Agent": "u"}, nil, "InvalidSignatureException: 'X-Amz-Security-Token' must be a 'SignedHeader' in the AWS Authorization."},
		{"another service", "host;x-amz-date", "20261123/us-east-1/s3/aws4_request", nil, nil, scoped},
		{"another day", "host;x-amz-date", "20261122/us-east-1/dynamodb/aws4_request", nil, nil, scoped},
		{"no region", "host;x-amz-date", "20261123//dynamodb/aws4_request", nil, nil, scoped},
		{"a region that is none", "host;x-amz-date", "20261123/here/dynamodb/aws4_request", nil, nil, scoped},
		{"a region of four parts", "host;x-amz-date", "20261123/us-gov-west-1/dynamodb/aws4_request", nil, nil, ""},
		{"another method", "host;x-amz-date", scope, nil, func(r *http.Request) { r.Method = "PUT" }, notTheSame},
		{"another path", "host;x-amz-date", scope, nil, func(r *http.Request) { r.URL.Path = "/b" }, notTheSame},
		{"another query", "host;x-amz-date", scope, nil, func(r *http.Request) { r.URL.RawQuery = "q=2" }, notTheSame},
		{"a signature that is not hexadecimal", "host;x-amz-date", scope, nil, func(r *http.Request) { r.Header.Set("Authorization", r.Header.Get("Authorization")+"x") }, notTheSame},
		{"Date in place of X-Amz-Date", "date;host", scope, map[string]string{"X-Amz-Date": "", "Date": "Mon, 23 Nov 2026 12:00:00 GMT"}, nil, ""},
		{"Date in the short form", "date;host", scope, map[string]string{"X-Amz-Date": "", "Date": "20261123T120000Z"}, nil, ""},
		{"Date that is not signed", "host", scope, map[string]string{"X-Amz-Date": "", "Date": "20261123T120000Z"}, nil, needed},
		{"Date that is none", "date;host", scope, map[string]string{"X-Amz-Date": "", "Date": "noon"}, nil, undated},
		{"X-Amz-Date that is none", "host;x-amz-date", scope, map[string]string{"X-Amz-Date": "noon"}, nil, undated},
	} {
		r, err := http.NewRequest(http.MethodPost, "http://db.example/a?q=1", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Date", "20261123T120000Z")
		for name, text := range c.set {
			if r.Header.Set(name, text); text == "" {
				r.Header.Del(name)
			}
		}
		sign(r, c.headers, c.scope, "20261123T120000Z", nil)
		if c.change != nil {
			c.change(r)
		}
		sig, sigErr := ParseSignature(r)
		if sigErr != nil {
			t.Fatalf("%s: %v", c.name, sigErr)
		}
		got := ""
		if err := sig.Verify(r, nil, "dynamodb", "secret", noon); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
	}
}

// A clock may be off by as much as each service allows, in both directions.
func TestSignature_Verify_the_clock(t *testing.T) {
	for service, limit := range map[string]time.Duration{"dynamodb": 5 * time.Minute, "kms": 5 * time.Minute, "sts": 15 * time.Minute, "iam": 15 * time.Minute} {
		for _, off := range []time.Duration{-limit - time.Second, -limit, 0, limit, limit + time.Second} {
			r, _ := http.NewRequest(http.MethodPost, "http://db.example/", http.NoBody)
			at := noon.Add(off)
			stamp := at.Format(amzDate)
			r.Header.Set("X-Amz-Date", stamp)
			sign(r, "host;x-amz-date", stamp[:8]+"/us-east-1/"+service+"/aws4_request", stamp, nil)
			sig, _ := ParseSignature(r)
			if err := sig.Verify(r, nil, service, "secret", noon); (err == nil) != (off.Abs() <= limit) {
				t.Errorf("%s, %v off: %v", service, off, err)
			}
		}
	}
}

// presigned is a URL that carries its signature.
func presigned(change func(url.Values)) *http.Request {
	q := url.Values{
		"Action": {"Get Caller"}, "X-Amz-Algorithm": {"AWS4-HMAC-SHA256"}, "X-Amz-Credential": {"AKIA1/20261123/us-east-1/sts/aws4_request"},
		"X-Amz-Date": {"20261123T120000Z"}, "X-Amz-SignedHeaders": {"host"}, "X-Amz-Security-Token": {"t"},
	}
	r, _ := http.NewRequest(http.MethodGet, "http://sts.example/?"+q.Encode(), http.NoBody)
	key := []byte("AWS4secret")
	for part := range strings.SplitSeq("20261123/us-east-1/sts/aws4_request", "/") {
		key = mac(key, part)
	}
	text := "AWS4-HMAC-SHA256\n20261123T120000Z\n20261123/us-east-1/sts/aws4_request\n" + hexSum(canonicalRequest(r, []string{"host"}, nil))
	q.Set("X-Amz-Signature", hex.EncodeToString(mac(key, text)))
	if change != nil {
		change(q)
	}
	r.URL.RawQuery = q.Encode()
	return r
}

func TestSignature_of_a_presigned_URL(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(url.Values)
		want   string
	}{
		{"right", nil, ""},
		{"another action", func(q url.Values) { q.Set("Action", "AssumeRole") }, notTheSame},
		{"one parameter more", func(q url.Values) { q.Set("Zeta", "1") }, notTheSame},
		{"another token", func(q url.Values) { q.Set("X-Amz-Security-Token", "u") }, notTheSame},
		{"another algorithm", func(q url.Values) { q.Set("X-Amz-Algorithm", "AWS4-HMAC-SHA1") }, "IncompleteSignatureException: X-Amz-Algorithm is not AWS4-HMAC-SHA256"},
		{"no headers", func(q url.Values) { q.Del("X-Amz-SignedHeaders") }, "IncompleteSignatureException: Authorization header requires 'SignedHeaders' parameter."},
		{"no date", func(q url.Values) { q.Del("X-Amz-Date") }, "IncompleteSignatureException: Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."},
		{"an old date", func(q url.Values) { q.Set("X-Amz-Date", "20261123T114459Z") }, "InvalidSignatureException: Signature expired: 20261123T114459Z is now earlier than 20261123T114500Z (20261123T120000Z - 15 min.)"},
		{"no signature", func(q url.Values) { q.Del("X-Amz-Signature") }, "MissingAuthenticationTokenException: Request is missing Authentication Token"},
	} {
		r, got := presigned(c.change), ""
		sig, err := ParseSignature(r)
		if err == nil {
			err = sig.Verify(r, nil, "sts", "secret", noon)
		}
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
		if c.want == "" && (sig.AccessKey != "AKIA1" || sig.Region != "us-east-1" || sig.Service != "sts" || sig.Token != "t") {
			t.Errorf("%+v", sig)
		}
	}
}
