package faultaws_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/encoding/cbor"

	"github.com/failopen/failopen/cache/dynamo/ststest"
	"github.com/failopen/failopen/depgraph/drill/fault"
	"github.com/failopen/failopen/depgraph/drill/faultaws"
)

// STS and IAM answer in XML, with names of their own for the errors that all
// services share. What is injected is what package ststest answers.
func TestMiddleware_refuses_in_XML(t *testing.T) {
	for _, c := range []struct {
		rule   fault.Rule
		code   string
		status int
	}{
		{fault.Denied("*"), "AccessDenied", 403},
		{fault.Expired("*"), "ExpiredToken", 403},
		{fault.InternalError("*"), "InternalFailure", 500},
		{fault.Unavailable("*"), "ServiceUnavailable", 503},
		{fault.Rule{Error: &fault.APIError{Code: "Throttling"}}, "Throttling", 400},
	} {
		for service, call := range map[string]func(aws.Config) error{
			"sts": func(cfg aws.Config) error {
				_, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil)
				return err
			},
			"sts, unsigned": func(cfg aws.Config) error {
				_, err := sts.NewFromConfig(cfg).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
					RoleArn: aws.String("arn:aws:iam::123456789012:role/app"), RoleSessionName: aws.String("app"), WebIdentityToken: aws.String("token"),
				})
				return err
			},
			"iam": func(cfg aws.Config) error {
				_, err := iam.NewFromConfig(cfg).ListRoles(t.Context(), nil)
				return err
			},
		} {
			c.rule.Error.Message = "m <b>"
			inj := fault.New(fault.Options{})
			if err := inj.Set(c.rule); err != nil {
				t.Fatal(err)
			}
			cfg := awsConfig(ststest.MemoryURL)
			cfg.RetryMaxAttempts = 1
			cfg.HTTPClient = ststest.New(ststest.Options{Fault: func(*ststest.Request) *ststest.Fault {
				return &ststest.Fault{Code: c.code, Status: c.status, Message: c.rule.Error.Message}
			}}).HTTPClient()
			wire := call(cfg)
			cfg.APIOptions = append(cfg.APIOptions, faultaws.Middleware(inj))
			injected := call(cfg)
			var api smithy.APIError
			if !errors.As(injected, &api) || api.ErrorCode() != c.code || api.ErrorMessage() != c.rule.Error.Message {
				t.Errorf("%s: %v; want %s", service, injected, c.code)
			}
			if i, w := fmt.Sprint(chain(injected)), fmt.Sprint(chain(wire)); i != w || withoutID(injected) != withoutID(wire) {
				t.Errorf("%s: over the wire: %s %v\ninjected: %s %v", service, w, wire, i, injected)
			}
		}
	}
}

// Newer SDKs speak CBOR with some services; this is how they read an error there.
func TestFault_refuses_in_CBOR(t *testing.T) {
	inj := fault.New(fault.Options{})
	if err := inj.Set(fault.Rule{Error: &fault.APIError{Code: "AccessDeniedException", Message: strings.Repeat("é", 500)}}); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://monitoring.invalid/service/X/operation/Y", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
	resp, err := inj.RoundTripper("monitoring", nil).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	got, err := cbor.Decode(body)
	m, ok := got.(cbor.Map)
	if err != nil || !ok || resp.StatusCode != 400 || resp.Header.Get("Smithy-Protocol") != "rpc-v2-cbor" {
		t.Fatalf("%d %v: %v, %v", resp.StatusCode, resp.Header, got, err)
	}
	if typ, msg := fmt.Sprint(m["__type"]), fmt.Sprint(m["message"]); !strings.HasSuffix(typ, "#AccessDeniedException") || msg != strings.Repeat("é", 500) {
		t.Errorf("%s: %s", typ, msg)
	}
}

// withoutID is an error's text without the request's.
func withoutID(err error) string {
	before, rest, _ := strings.Cut(fmt.Sprint(err), "RequestID: ")
	_, after, _ := strings.Cut(rest, ",")
	return before + after
}

type httpClient func(*http.Request) (*http.Response, error)

func (f httpClient) Do(r *http.Request) (*http.Response, error) { return f(r) }

// An HTTP client of one's own that does not say what its answer is to: it stalls
// until the caller gives up all the same.
func TestMiddleware_stalls_for_the_caller(t *testing.T) {
	for _, k := range []fault.Kind{fault.Stall, fault.Drip} {
		synctest.Test(t, func(t *testing.T) {
			inj := fault.New(fault.Options{})
			if err := inj.Set(fault.Network("dynamodb", k)); err != nil {
				t.Fatal(err)
			}
			cfg := awsConfig("http://dynamodb.invalid")
			cfg.RetryMaxAttempts = 1
			cfg.HTTPClient = httpClient(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(make([]byte, 1000)))}, nil
			})
			cfg.APIOptions = append(cfg.APIOptions, faultaws.Middleware(inj))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			began := time.Now()
			_, err := dynamodb.NewFromConfig(cfg).ListTables(ctx, nil)
			if err == nil || time.Since(began) != time.Second {
				t.Errorf("%s: %v after %v; want an error after a second", k, err, time.Since(began))
			}
		})
	}
}

// forgetful can be told to forget its credentials, as aws.CredentialsCache can.
type forgetful struct {
	aws.CredentialsProvider
	forgot int
}

func (f *forgetful) Invalidate() { f.forgot++ }

func TestCredentials_can_be_invalidated(t *testing.T) {
	inj := fault.New(fault.Options{})
	next := &forgetful{CredentialsProvider: awsConfig("").Credentials}
	able, ok := faultaws.Credentials(inj, next).(interface{ Invalidate() })
	if !ok {
		t.Fatal("with the wrapper, credentials that are refused are kept until they expire")
	}
	if able.Invalidate(); next.forgot != 1 {
		t.Error("the provider has not heard of it")
	}
	if _, ok := faultaws.Credentials(inj, next.CredentialsProvider).(interface{ Invalidate() }); ok {
		t.Error("a provider that cannot forget is given out as one that can")
	}
}

func TestCredentials_without_a_provider(t *testing.T) {
	if _, err := faultaws.Credentials(fault.New(fault.Options{}), nil).Retrieve(t.Context()); err == nil {
		t.Error("there are credentials from nowhere")
	}
}

// What cannot be done to credentials is not counted as done, and not done
// uncounted.
func TestCredentials_passes_over_other_rules(t *testing.T) {
	for _, r := range []fault.Rule{
		fault.Network(faultaws.CredentialsService, fault.Stall),
		fault.Network(faultaws.CredentialsService, fault.Drip),
		fault.Network(faultaws.CredentialsService, fault.Corrupt),
		{Service: faultaws.CredentialsService, Bandwidth: 1},
	} {
		inj := fault.New(fault.Options{})
		if err := inj.Set(r); err != nil {
			t.Fatal(err)
		}
		if _, err := faultaws.Credentials(inj, awsConfig("").Credentials).Retrieve(t.Context()); err != nil || inj.Unhit() == nil {
			t.Errorf("%+v: %v, unhit: %v", r, err, inj.Unhit())
		}
	}
}
