package dynamotest

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Development credentials. A Server to which nobody has added a principal
// accepts them for everything, and accepts nothing else.
const (
	AccessKey = "DYNAMOTEST"
	SecretKey = "dynamotest-secret"
)

// accountID is the account that all tables and users belong to: one of those
// that AWS uses in its documentation.
const accountID = "123456789012"

// A Principal is somebody who may sign requests: an IAM user, or a role's
// session. Its identity policies are IAM policy documents in JSON; with none
// it may do nothing.
//
// Evaluated are Effect, Action and NotAction, Resource and NotResource with
// their wildcards, and Condition with the string, ARN, date, Bool and Null
// operators on aws:CurrentTime, aws:EpochTime, aws:PrincipalArn,
// aws:RequestedRegion and aws:SecureTransport. A document with anything else
// is refused, not half understood.
type Principal struct {
	AccessKey string
	SecretKey string

	// SessionToken, if set, must come with each request, as with
	// credentials from STS.
	SessionToken string

	// ARN appears in denials. Default: a user named like the access key.
	ARN string

	// Policies are the identity policies.
	Policies []string

	// Expires is when the credentials end; afterwards requests are answered
	// with ExpiredTokenException. Zero: never.
	Expires time.Time
}

type principal struct {
	Principal
	policies []*policy
}

// SetPrincipal adds a principal, or replaces the one with the same access key:
// its policies, secret and expiry change from the next request on. From the
// first principal on, the development credentials are no longer accepted.
func (s *Server) SetPrincipal(p Principal) error {
	if p.AccessKey == "" || p.SecretKey == "" {
		return errors.New("dynamotest: a principal needs AccessKey and SecretKey")
	}
	if strings.ContainsAny(p.AccessKey, "/, =") {
		return fmt.Errorf("dynamotest: access key %q cannot be part of a signature", p.AccessKey)
	}
	p.ARN = cmp.Or(p.ARN, "arn:aws:iam::"+accountID+":user/"+p.AccessKey)
	full := &principal{Principal: p}
	for i, text := range p.Policies {
		parsed, err := parsePolicy(text)
		if err != nil {
			return fmt.Errorf("dynamotest: principal %s, policy %d: %w", p.AccessKey, i+1, err)
		}
		full.policies = append(full.policies, parsed)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.principals == nil {
		s.principals = map[string]*principal{}
	}
	s.principals[p.AccessKey] = full
	return nil
}

// AddUser is [Server.SetPrincipal] for a user with nothing but keys and
// policies.
func (s *Server) AddUser(accessKey, secretKey string, policies ...string) error {
	return s.SetPrincipal(Principal{AccessKey: accessKey, SecretKey: secretKey, Policies: policies})
}

// DeletePrincipal makes an access key unknown: its requests are answered with
// UnrecognizedClientException.
func (s *Server) DeletePrincipal(accessKey string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.principals == nil {
		s.principals = map[string]*principal{}
	}
	delete(s.principals, accessKey)
}

// A Revocation names access that is taken away. An empty field means any.
type Revocation struct {
	AccessKey string
	Table     string
	Action    string // with wildcards, such as "dynamodb:Put*"
}

func (v Revocation) matches(accessKey, table, action string) bool {
	return (v.AccessKey == "" || v.AccessKey == accessKey) &&
		(v.Table == "" || v.Table == table) &&
		(v.Action == "" || glob(strings.ToLower(v.Action), strings.ToLower(action)))
}

// Revoke takes access away, whatever the policies say, as when somebody
// removes a policy from a role: from the next request on the answer is
// AccessDeniedException. Without arguments it takes away all access. Further
// calls add to what is revoked.
func (s *Server) Revoke(revocations ...Revocation) {
	if len(revocations) == 0 {
		revocations = []Revocation{{}}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked = append(s.revoked, revocations...)
}

// Restore ends all revocations.
func (s *Server) Restore() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked = nil
}

// authenticate finds out who signed the request, and whether they did.
func (s *Server) authenticate(r *http.Request, body []byte, sig signature, now time.Time) (*principal, *apiError) {
	s.mu.Lock()
	p := s.principals[sig.accessKey]
	if s.principals == nil && sig.accessKey == AccessKey {
		p = developer
	}
	s.mu.Unlock()
	unknown := coral("UnrecognizedClientException", "The security token included in the request is invalid.")
	if p == nil {
		return nil, unknown
	}
	if err := sig.verify(r, body, p.SecretKey, now); err != nil {
		return nil, err
	}
	if r.Header.Get("X-Amz-Security-Token") != p.SessionToken {
		return nil, unknown
	}
	if !p.Expires.IsZero() && !now.Before(p.Expires) {
		return nil, coral("ExpiredTokenException", "The security token included in the request is expired")
	}
	return p, nil
}

var developer = &principal{
	Principal: Principal{AccessKey: AccessKey, SecretKey: SecretKey, ARN: "arn:aws:iam::" + accountID + ":user/" + AccessKey},
	policies: []*policy{{Statement: oneOrMore[statement]{{
		Effect: "Allow", Action: oneOrMore[string]{"*"}, Resource: oneOrMore[string]{"*"},
	}}}},
}

// authorize decides whether the call's principal may do what it asks for on
// a table ("*" for none in particular).
func (c *call) authorize(table string) *apiError {
	action := "dynamodb:" + c.op
	resource := tableARN(c.region, table)
	why := ""
	switch evaluate(c.principal.policies, access{action, resource, map[string]string{
		"aws:currenttime":     c.now.UTC().Format(time.RFC3339),
		"aws:epochtime":       strconv.FormatInt(c.now.Unix(), 10),
		"aws:principalarn":    c.principal.ARN,
		"aws:requestedregion": c.region,
		"aws:securetransport": strconv.FormatBool(c.secure),
	}}) {
	case explicitDeny:
		why = "with an explicit deny in an identity-based policy"
	case implicitDeny:
		why = "because no identity-based policy allows the " + action + " action"
	}
	if why == "" && c.server.isRevoked(c.principal.AccessKey, table, action) {
		why = "because no identity-based policy allows the " + action + " action"
	}
	if why == "" {
		return nil
	}
	c.server.denied.Add(1)
	return coral("AccessDeniedException", "User: %s is not authorized to perform: %s on resource: %s %s", c.principal.ARN, action, resource, why)
}

func (s *Server) isRevoked(accessKey, table, action string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.revoked {
		if v.matches(accessKey, table, action) {
			return true
		}
	}
	return false
}

func tableARN(region, table string) string {
	return "arn:aws:dynamodb:" + region + ":" + accountID + ":table/" + table
}
