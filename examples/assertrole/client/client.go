// Package client gets tokens that say which role a program has, by either door:
// from AWS itself (GetWebIdentityToken), or from a broker for accounts where
// that is off. It keeps a token for half of its life, and while a new one cannot
// be had, until shortly before its end.
package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/examples/assertrole/proof"
)

// A Door gets a token for an audience, and says when it ends.
type Door func(ctx context.Context, audience string) (token string, expires time.Time, err error)

// AWS is the door of accounts in which outbound identity federation is on.
// algorithm is RS256 or ES384.
func AWS(client *sts.Client, algorithm string) Door {
	return func(ctx context.Context, audience string) (string, time.Time, error) {
		out, err := client.GetWebIdentityToken(ctx, &sts.GetWebIdentityTokenInput{
			Audience: []string{audience}, SigningAlgorithm: aws.String(algorithm), DurationSeconds: aws.Int32(300),
		})
		if err != nil {
			return "", time.Time{}, err
		}
		return aws.ToString(out.WebIdentityToken), aws.ToTime(out.Expiration), nil
	}
}

// A Broker is where the other door is.
type Broker struct {
	URL         string                  // such as https://broker.example; http only on this machine
	Name        string                  // as the broker calls itself; default URL
	Region      string                  // whose STS the broker shall ask
	Credentials aws.CredentialsProvider // of a role's session
	Client      *http.Client            // default: one with a time-out of 10 s; redirects are never followed
	Now         func() time.Time        // default: time.Now
}

// Door is the door of that broker.
func (b Broker) Door() Door {
	name := cmp.Or(b.Name, b.URL)
	client := http.Client{Timeout: 10 * time.Second}
	if b.Client != nil {
		client = *b.Client
	}
	// Whoever gets a proof can turn it into a token.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if b.Now == nil {
		b.Now = time.Now
	}
	return func(ctx context.Context, audience string) (string, time.Time, error) {
		if u, err := url.Parse(b.URL); err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && local(u.Hostname())) {
			return "", time.Time{}, errors.New("client: the broker's URL is not https")
		}
		creds, err := b.Credentials.Retrieve(ctx)
		if err != nil {
			return "", time.Time{}, fmt.Errorf("client: credentials: %w", err)
		}
		p, err := proof.Sign(ctx, creds, b.Region, name, b.Now())
		if err != nil {
			return "", time.Time{}, err
		}
		body, err := json.Marshal(struct {
			proof.Proof
			Audience string `json:"audience"`
		}{p, audience})
		if err != nil {
			return "", time.Time{}, err
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(b.URL, "/")+"/v1/assert", bytes.NewReader(body))
		if err != nil {
			return "", time.Time{}, err
		}
		r.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(r)
		if err != nil {
			return "", time.Time{}, err
		}
		defer func() { _ = resp.Body.Close() }() // it was read
		text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		if err != nil {
			return "", time.Time{}, err
		}
		if resp.StatusCode != http.StatusOK {
			return "", time.Time{}, fmt.Errorf("client: the broker answers with status %d: %.200q", resp.StatusCode, strings.TrimSpace(string(text)))
		}
		var out struct {
			Token   string
			Expires time.Time
		}
		if err := json.Unmarshal(text, &out); err != nil || out.Token == "" {
			return "", time.Time{}, errors.New("client: the broker's answer has no token")
		}
		return out.Token, out.Expires, nil
	}
}

// local reports whether a host is this machine, or one of those that only a
// test's own client reaches.
func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".invalid") || ip != nil && ip.IsLoopback()
}

type held struct {
	token   string
	expires time.Time
}

// A Source keeps tokens. It is safe for concurrent use; Close it.
type Source struct{ tokens *cache.Cache[held] }

// margin is how long before its end a token is no longer handed out: it has to
// arrive.
const margin = 15 * time.Second

// NewSource keeps the tokens of a door, by audience.
func NewSource(door Door) (*Source, error) {
	tokens, err := cache.New(cache.Options[held]{
		Load: func(ctx context.Context, audience string) (held, error) {
			token, expires, err := door(ctx, audience)
			if err == nil && time.Until(expires) < margin {
				err = fmt.Errorf("client: the token that was issued ends at %s", expires.UTC().Format(time.RFC3339))
			}
			if err == nil {
				cache.SetTTL(ctx, time.Until(expires)/2)
			}
			return held{token, expires}, err
		},
		TTL:          time.Minute,
		MaxTTL:       time.Hour,
		StaleIfError: time.Hour, // cut by Expires
		Expires:      func(h held) time.Time { return h.expires.Add(-margin) },
		SoftTimeout:  time.Second,
		ErrorTTL:     time.Second,
		LoadTimeout:  15 * time.Second,
	})
	return &Source{tokens}, err
}

// Token is a token for an audience that lives for 15 seconds or more.
func (s *Source) Token(ctx context.Context, audience string) (string, error) {
	h, err := s.tokens.Get(ctx, audience)
	return h.token, err
}

// Close ends background work.
func (s *Source) Close(ctx context.Context) error { return s.tokens.Close(ctx) }

// Transport sends a token with each request, for a client of the service that is
// called audience. One that a redirect has led to another host, or from https to
// http, gets none: the token is not for that one.
func (s *Source) Transport(audience string, next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return transport{s, audience, next}
}

type transport struct {
	source   *Source
	audience string
	next     http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if ledAway(r) {
		return t.next.RoundTrip(r)
	}
	token, err := t.source.Token(r.Context(), t.audience)
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // as RoundTripper demands
		}
		return nil, fmt.Errorf("client: no token: %w", err)
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	return t.next.RoundTrip(r)
}

// ledAway reports whether a request is the outcome of redirects that began
// elsewhere: net/http keeps the answer that led to it.
func ledAway(r *http.Request) bool {
	first := r
	for first.Response != nil && first.Response.Request != nil {
		first = first.Response.Request
	}
	return first.URL.Host != r.URL.Host || first.URL.Scheme != r.URL.Scheme && r.URL.Scheme != "https"
}
