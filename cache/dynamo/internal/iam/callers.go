package iam

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

// The development credentials may do everything, until somebody is set.
const (
	DeveloperAccessKey = "DYNAMOTEST"
	DeveloperSecretKey = "dynamotest-secret"
)

// Callers are the principals of a server, by access key. The zero value knows
// the development credentials alone. It is safe for concurrent use.
type Callers struct {
	// mu is held for one look-up at a time, never while a policy is parsed
	// or a signature verified.
	mu   sync.Mutex
	byID map[string]*Caller // nil until somebody is set, or the developer deleted
}

// Set adds a principal, or replaces the one with the same access key.
//
// The policies are parsed before the lock is taken, and an error leaves what
// was there as it is. The first call makes the development credentials unknown,
// also when the principal is later deleted: a server that was once given a list
// has a list for good.
func (c *Callers) Set(p Principal, now time.Time) error {
	caller, err := NewCaller(p, now)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID == nil {
		c.byID = map[string]*Caller{}
	}
	c.byID[p.AccessKey] = caller
	return nil
}

// Delete makes an access key unknown. The development credentials stay known
// unless it is theirs: an endpoint deletes sessions as well, which were never set
// here.
//
// Requests of theirs that have been authenticated already go on with the
// policies they were given.
func (c *Callers) Delete(accessKey string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID == nil && accessKey == DeveloperAccessKey {
		c.byID = map[string]*Caller{}
	}
	delete(c.byID, accessKey)
}

// Get returns who has an access key, or nil.
//
// What it returns is never changed afterwards (Set replaces it), so it is used
// without the lock.
func (c *Callers) Get(accessKey string) *Caller {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID == nil && accessKey == DeveloperAccessKey {
		return developer
	}
	return c.byID[accessKey]
}

// Known reports whether an access key was set: the development credentials were
// not.
//
// dynamotest asks it to find out whether Options.Principals has to be asked as
// well.
func (c *Callers) Known(accessKey string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byID[accessKey] != nil
}

// Named reports whether a principal has an ARN.
//
// It is O(n) in the principals: only a change of a policy that names principals
// asks.
func (c *Callers) Named(arn string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID == nil {
		return arn == developer.ARN
	}
	for _, caller := range c.byID {
		if caller.ARN == arn {
			return true
		}
	}
	return false
}

// developer is who the development credentials belong to: a user whose only
// policy allows everything, with no session and no expiry.
var developer = func() *Caller {
	c, err := NewCaller(Principal{
		AccessKey: DeveloperAccessKey, SecretKey: DeveloperSecretKey,
		Policies: []string{`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`},
	}, time.Time{})
	if err != nil {
		panic(err) // all of it is constant
	}
	return c
}()

// Authenticate finds out who signed a request to a service, and whether they
// did. caller is who has the signature's access key: nil for nobody. The error's
// code is that of the JSON protocol.
//
// The order is that of the services and a client can tell: an unknown key is
// reported before a wrong signature, and both before a wrong token or the end
// of the credentials. So nobody without the secret learns whether a session has
// expired. Authenticate decides about identity only; what the caller may do is
// for Decide.
func Authenticate(r *http.Request, body []byte, sig Signature, service string, caller *Caller, now time.Time) *SignatureError {
	unknown := &SignatureError{"UnrecognizedClientException", "The security token included in the request is invalid."}
	if caller == nil {
		return unknown
	}
	if err := sig.Verify(r, body, service, caller.SecretKey, now); err != nil {
		return err
	}
	switch {
	case sig.Token != caller.SessionToken:
		return unknown
	case caller.Expired(now):
		return &SignatureError{"ExpiredTokenException", "The security token included in the request is expired"}
	}
	return nil
}

// Denial is the text of a refusal. AWS does not say which statement decided.
//
// The form is that of the "access denied error messages" page of the IAM user
// guide: principal, action, resource, and which kind of policy was decisive.
// The SDKs hand it on as the message of AccessDeniedException or AccessDenied.
func (c *Caller) Denial(action, resource string, d Decision) string {
	return fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s %s", c.ARN, action, resource, d.Reason())
}
