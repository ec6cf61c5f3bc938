package faultaws

import (
	"context"
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
// Wrap the outermost provider, the one that goes into aws.Config.Credentials.
func Credentials(i *fault.Injector, next aws.CredentialsProvider) aws.CredentialsProvider {
	c := &credentials{injector: i, next: next}
	client := imds.New(imds.Options{
		ClientEnableState: imds.ClientEnabled,
		HTTPClient:        &http.Client{Transport: roundTripper(c.metadata)},
	})
	// The SDK's own parts, down to the HTTP client, make time and text of
	// the failure. The cache never holds anything: nothing succeeds.
	c.lost = aws.NewCredentialsCache(ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = client }))
	return c
}

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
	f := c.injector.Next(ctx, fault.Call{Service: CredentialsService, Operation: "Retrieve"})
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

// metadata is IMDS under the latest fault.
func (c *credentials) metadata(req *http.Request) (*http.Response, error) {
	f := *c.fault.Load()
	if f.Passes() { // Truncate and Corrupt: there is no answer to spoil
		f.Kind = fault.Empty
	}
	return f.RoundTrip(req)
}
