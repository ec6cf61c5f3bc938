package dynamotest

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/failopen/failopen/cache/dynamo/internal/iam"
)

// Development credentials. A Server to which nobody has added a principal
// accepts them for everything, and accepts nothing else.
const (
	AccessKey = iam.DeveloperAccessKey
	SecretKey = iam.DeveloperSecretKey
)

const accountID = iam.Account // of all tables and users

// A Principal is somebody who may sign requests: an IAM user, or a role's
// session. Its identity policies are IAM policy documents in JSON; with none
// it may do nothing.
//
// Evaluated are Effect, Action and NotAction, Resource and NotResource with
// their wildcards, and Condition with the string, ARN, date, IP address, Bool
// and Null operators, IfExists included, on aws:CurrentTime, aws:EpochTime,
// aws:TokenIssueTime, aws:PrincipalArn, aws:PrincipalAccount,
// aws:PrincipalType, aws:PrincipalTag/NAME, aws:userid, aws:username,
// aws:ResourceAccount, aws:RequestedRegion, aws:SecureTransport, aws:SourceIp,
// aws:UserAgent, aws:ViaAWSService, aws:SourceVpc and aws:SourceVpce (the last
// two are never there). A document with anything else (another key or
// operator, a policy variable, a member in another case or twice) is refused
// with an error that names it, not half understood.
type Principal struct {
	AccessKey string // the access key ID, which names the principal; required
	SecretKey string // what its requests are signed with; required

	// SessionToken, if set, must come with each request, as with
	// credentials from STS.
	SessionToken string

	// ARN appears in denials. Default: a user named like the access key.
	ARN string

	// Role is the ARN of the role whose session this is: what
	// aws:PrincipalArn says of a session. Default: made from an ARN of the
	// form arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION, for a role
	// without a path.
	Role string

	// UserID is aws:userid. Default: the access key, which for a session is
	// followed by a colon and the session's name.
	UserID string

	// Tags are aws:PrincipalTag/NAME, by name.
	Tags map[string]string

	// Policies are the identity policies.
	Policies []string

	// SessionPolicies limit a session: it gets no more than what they and
	// Policies both allow. Nil: none.
	SessionPolicies []string

	// Issued is aws:TokenIssueTime of a session. Zero: the condition key is
	// absent, as for a user's long-term credentials; with a SessionToken,
	// when the principal was set.
	Issued time.Time

	// Expires is when the credentials end; afterwards requests are answered
	// with ExpiredTokenException. Zero: never.
	Expires time.Time
}

// SetPrincipal adds a principal, or replaces the one with the same access key:
// its policies, secret and expiry change from the next request on. From the
// first principal on, the development credentials are no longer accepted. With
// Options.Principals it is an error for a principal that is known there: each
// lives in one place.
func (s *Server) SetPrincipal(p Principal) error {
	if s.lookup != nil {
		if _, taken := s.lookup(p.AccessKey); taken {
			return fmt.Errorf("dynamotest: Options.Principals knows the access key %q already; change it there", p.AccessKey)
		}
	}
	if err := s.principals.Set(iam.Principal(p), s.now()); err != nil {
		return fmt.Errorf("dynamotest: %w", err)
	}
	return nil
}

// AddUser is [Server.SetPrincipal] for a user with nothing but keys and
// policies.
func (s *Server) AddUser(accessKey, secretKey string, policies ...string) error {
	return s.SetPrincipal(Principal{AccessKey: accessKey, SecretKey: secretKey, Policies: policies})
}

// DeletePrincipal makes an access key unknown: its requests are answered with
// UnrecognizedClientException.
func (s *Server) DeletePrincipal(accessKey string) { s.principals.Delete(accessKey) }

// A Revocation names access that is taken away. An empty field means any.
type Revocation struct {
	AccessKey string // of the principal; "": every one
	Table     string // its name; "": every one
	Action    string // with wildcards, such as "dynamodb:Put*"
}

// matches reports whether v revokes an action on a table from an access key.
// Names are compared exactly, actions with wildcards and without regard to
// case.
func (v Revocation) matches(accessKey, table, action string) bool {
	return (v.AccessKey == "" || v.AccessKey == accessKey) &&
		(v.Table == "" || v.Table == table) &&
		(v.Action == "" || iam.Glob(strings.ToLower(v.Action), strings.ToLower(action)))
}

// Revoke takes access away, whatever the policies say, as when somebody
// removes a policy from a role: from the next request on the answer is
// AccessDeniedException. Without arguments it takes away all access. Further
// calls add to what is revoked. One that denies nothing, most likely because
// of a misspelt name, is told of by MustHit.
//
// It acts after the policies have allowed something, so a denial that a policy
// has made already does not count as a hit.
func (s *Server) Revoke(revocations ...Revocation) {
	if len(revocations) == 0 {
		revocations = []Revocation{{}}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range revocations {
		s.revoked = append(s.revoked, &revocation{Revocation: r})
	}
}

// Restore ends all revocations.
//
// Those that have denied nothing are remembered for MustHit.
func (s *Server) Restore() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.missed = append(s.missed, s.unhitRevocations()...)
	s.revoked = nil
}

// caller is who has an access key, if anybody: nil for nobody.
//
// A principal of SetPrincipal wins over one of Options.Principals. An answer
// for another key than the one asked for is no answer. Policies of
// Options.Principals are parsed for each request: they may have changed.
func (s *Server) caller(accessKey string, now time.Time) (*iam.Caller, error) {
	if s.lookup == nil || s.principals.Known(accessKey) {
		return s.principals.Get(accessKey), nil
	}
	if p, ok := s.lookup(accessKey); ok && p.AccessKey == accessKey {
		return iam.NewCaller(iam.Principal(p), now)
	}
	return nil, nil
}

// authenticate finds out who signed the request, and whether they did.
//
// The order of the errors is iam.Authenticate's.
func (s *Server) authenticate(r *http.Request, body []byte, sig iam.Signature, now time.Time) (*iam.Caller, *apiError) {
	c, err := s.caller(sig.AccessKey, now)
	if err != nil {
		return nil, validation("dynamotest: Options.Principals: %s", err)
	}
	if err := iam.Authenticate(r, body, sig, "dynamodb", c, now); err != nil {
		return nil, coral(err.Code, "%s", err.Message)
	}
	return c, nil
}

// authorize decides whether the call's principal may do what it asks for on
// a table ("*" for none in particular), or on the index that it reads: IAM has
// its own ARN for that, and a policy about the table alone says nothing of it.
//
// The lock must not be held: Options.Principals and policies may take their
// time.
func (c *call) authorize(table string) *apiError {
	resource, d := c.decide(table, true)
	if d.Allowed {
		return nil
	}
	c.server.denied.Add(1)
	return coral("AccessDeniedException", "%s", c.principal.Denial("dynamodb:"+c.op, resource, d))
}

// decide evaluates the identity's policies, the table's own, and what Revoke
// has taken away, and returns the resource that it was about. count says that a
// denial is real and not asked for by Explain.
//
// Resource policy and tags are read under one lock and used after it; both are
// replaced or copied, so a change meanwhile is one of the next request. A table
// that does not exist has neither.
func (c *call) decide(table string, count bool) (resource string, d iam.Decision) {
	action := "dynamodb:" + c.op
	resource = tableARN(c.region, table)
	if c.index != "" {
		resource += "/index/" + c.index
	}
	keys := maps.Clone(c.keys)
	var own *iam.Policy
	c.server.mu.Lock()
	if t := c.server.tables[table]; t != nil {
		own = t.policyAt(c.now).parsed
		for name, value := range t.tags {
			keys["aws:resourcetag/"+strings.ToLower(name)] = value
		}
	}
	c.server.mu.Unlock()
	d = c.principal.Decide(own, iam.Access{Action: action, Resource: resource, Keys: keys})
	if d.Allowed && c.server.isRevoked(c.principal.AccessKey, table, action, count) {
		d = iam.Decision{Why: "because no identity-based policy allows the " + action + " action (statement: none; Server.Revoke took it away)"}
	}
	return resource, d
}

// Explain says whether a principal may do something to a table at this moment,
// and why: which statement of which policy decides, or that none does. action is
// one such as "dynamodb:GetItem", table a name or an ARN, or "*" for none in
// particular; an index is named like "sessions/index/by-user". The request that is asked
// about comes from this machine, now, to us-east-1.
func (s *Server) Explain(accessKey, action, table string) (allowed bool, why string) {
	now := s.now()
	who, err := s.caller(accessKey, now)
	op, ok := strings.CutPrefix(action, "dynamodb:")
	switch {
	case err != nil:
		return false, fmt.Sprintf("the principal of %s cannot be used: %v", accessKey, err)
	case who == nil:
		return false, "nobody has the access key " + accessKey
	case !ok || !iam.IsAction(op):
		return false, fmt.Sprintf("%q is no action of DynamoDB; want one such as dynamodb:GetItem", action)
	case who.Expired(now):
		return false, "the credentials have expired"
	}
	c := &call{server: s, op: op, region: "us-east-1", now: now, principal: who}
	if strings.HasPrefix(table, "arn:") {
		_, table, _ = strings.Cut(table, ":table/")
	}
	table, c.index, _ = strings.Cut(table, "/index/")
	c.keys = iam.RequestKeys(&http.Request{URL: &url.URL{Scheme: "http"}, Header: http.Header{}}, c.region, now)
	_, d := c.decide(table, false)
	return d.Allowed, d.Why
}

// isRevoked reports whether a revocation is about this call; count marks it as
// having hit something.
//
// The first that matches is the one that has hit.
func (s *Server) isRevoked(accessKey, table, action string, count bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.revoked {
		if v.matches(accessKey, table, action) {
			v.hit = v.hit || count
			return true
		}
	}
	return false
}

// tableARN is the ARN of a table; with "" for its name, the beginning of all of
// a region's.
func tableARN(region, table string) string {
	return "arn:aws:dynamodb:" + region + ":" + accountID + ":table/" + table
}
