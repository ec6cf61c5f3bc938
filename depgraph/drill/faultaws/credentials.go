package faultaws

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"

	"github.com/failopen/failopen/depgraph/drill/fault"
)

// CredentialsService is the Service by which rules name what [Credentials]
// wraps. The Operation is "Retrieve".
const CredentialsService = "credentials"

// Credentials faults a provider of credentials, as if it were the instance
// metadata service (IMDS) that failed. With Net [fault.BlackHole] IMDS hangs,
// which takes the SDK 5 s to notice, for each call; with [fault.Refuse] it is
// gone, 4 to 10 s; Latency alone delays. The error is neither an API error nor
// a response error. It takes effect at once, even while next holds valid
// credentials.
//
// As in the SDK, a refresh that nobody waits for any more goes on, for up to
// 5 s with a black hole. A testing/synctest bubble must last that long.
//
// Rules that spoil an answer ([fault.Stall], [fault.Drip], [fault.Corrupt],
// Bandwidth) are passed over, and count nothing: there is none.
//
// Wrap the outermost provider, the one that goes into aws.Config.Credentials.
// That it can be told to forget its credentials, as an aws.CredentialsCache can,
// stays so.
func Credentials(i *fault.Injector, next aws.CredentialsProvider) aws.CredentialsProvider {
	if next == nil {
		next = none // what the caller has not set is no reason to panic in a call
	}
	c := &credentials{injector: i, next: next}
	client := imds.New(imds.Options{
		ClientEnableState: imds.ClientEnabled,
		HTTPClient:        &http.Client{Transport: roundTripper(c.metadata)},
	})
	// The SDK's own parts, down to the HTTP client, make time and text of
	// the failure. The cache never holds anything: nothing succeeds.
	c.lost = aws.NewCredentialsCache(ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = client }))
	if forgetful, ok := next.(invalidator); ok {
		return &struct {
			*credentials
			invalidator
		}{c, forgetful}
	}
	return c
}

// invalidator is a provider that can be told that its credentials are of no use.
// Those who ask for it, such as dynamo.Store, shall find it here as well.
type invalidator interface{ Invalidate() }

var none = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
	return aws.Credentials{}, errors.New("faultaws: there is no provider of credentials")
})

type credentials struct {
	injector *fault.Injector
	next     aws.CredentialsProvider
	lost     aws.CredentialsProvider
	fault    atomic.Pointer[fault.Fault] // of the latest call that was hit
}

func (c *credentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	if !c.injector.Active() {
		return c.next.Retrieve(ctx)
	}
	f := c.injector.NextIf(ctx, fault.Call{Service: CredentialsService, Operation: "Retrieve"}, concernsCredentials)
	switch {
	case f == nil:
		return c.next.Retrieve(ctx)
	case f.Error != nil || f.Kind != "":
		c.fault.Store(f)
		return c.lost.Retrieve(ctx)
	}
	if err := f.Wait(ctx); err != nil {
		return aws.Credentials{}, &aws.RequestCanceledError{Err: err}
	}
	return c.next.Retrieve(ctx)
}

// concernsCredentials reports whether r can be done to credentials.
func concernsCredentials(r fault.Rule) bool {
	switch r.Net {
	case fault.Stall, fault.Drip, fault.Corrupt:
		return false
	}
	return r.Error != nil || r.Net != "" || r.Latency != nil
}

// metadata is IMDS under the latest fault.
func (c *credentials) metadata(req *http.Request) (*http.Response, error) {
	f := *c.fault.Load()
	if f.Passes() { // Truncate: half of nothing
		f.Kind = fault.Empty
	}
	return f.RoundTrip(req)
}
