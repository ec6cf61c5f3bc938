package dynamotest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/failopen/failopen/cache/dynamo/internal/iam"
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

// maxSessionPolicy is how long a session's policy may be, in bytes.
const maxSessionPolicy = 2048

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
	AccessKey string
	SecretKey string

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

type principal struct {
	Principal
	policies []*iam.Policy
	session  []*iam.Policy // nil: no policies of the session
	keys     map[string]string
}

// access adds what policies may ask about the principal.
func (p *principal) access(a iam.Access) iam.Access {
	maps.Copy(a.Keys, p.keys)
	a.Caller, a.Role = p.ARN, p.Role
	return a
}

// describe fills in what the principal's ARN says about it, and the condition
// keys that stay the same for all of its requests.
func (p *principal) describe(now time.Time) error {
	parts := strings.SplitN(p.ARN, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" {
		return fmt.Errorf("ARN is %q; want one of six parts, arn:aws:iam::%s:user/NAME", p.ARN, accountID)
	}
	kind, rest, _ := strings.Cut(parts[5], "/")
	name := rest[strings.LastIndexByte(rest, '/')+1:]
	p.keys = map[string]string{"aws:principalaccount": parts[4]}
	id := p.AccessKey
	switch kind {
	case "assumed-role":
		role, _, _ := strings.Cut(rest, "/")
		p.Role = cmp.Or(p.Role, "arn:"+parts[1]+":iam::"+parts[4]+":role/"+role)
		p.keys["aws:principaltype"] = "AssumedRole"
		id += ":" + name
	case "user":
		p.keys["aws:principaltype"], p.keys["aws:username"] = "User", name
	case "role":
		p.Role = cmp.Or(p.Role, p.ARN)
		p.keys["aws:principaltype"] = "AssumedRole"
	case "root":
		p.keys["aws:principaltype"] = "Account"
	default:
		return fmt.Errorf("ARN is %q; want a user, a role, an assumed-role or root", p.ARN)
	}
	p.keys["aws:principalarn"] = cmp.Or(p.Role, p.ARN)
	p.keys["aws:userid"] = cmp.Or(p.UserID, id)
	if p.Issued.IsZero() && p.SessionToken != "" {
		p.Issued = now
	}
	if !p.Issued.IsZero() {
		p.keys["aws:tokenissuetime"] = p.Issued.UTC().Format(time.RFC3339)
	}
	for name, value := range p.Tags {
		p.keys["aws:principaltag/"+strings.ToLower(name)] = value
	}
	return nil
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
	p.Policies, p.SessionPolicies, p.Tags = slices.Clone(p.Policies), slices.Clone(p.SessionPolicies), maps.Clone(p.Tags)
	full := &principal{Principal: p}
	if err := full.describe(s.now()); err != nil {
		return fmt.Errorf("dynamotest: principal %s: %w", p.AccessKey, err)
	}
	for i, text := range p.Policies {
		parsed, err := iam.Parse(iam.Identity, text, 0)
		if err != nil {
			return fmt.Errorf("dynamotest: principal %s, policy %d: %w", p.AccessKey, i+1, err)
		}
		full.policies = append(full.policies, parsed)
	}
	for i, text := range p.SessionPolicies {
		parsed, err := iam.Parse(iam.Identity, text, maxSessionPolicy)
		if err != nil {
			return fmt.Errorf("dynamotest: principal %s, session policy %d: %w", p.AccessKey, i+1, err)
		}
		full.session = append(full.session, parsed)
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
		(v.Action == "" || iam.Glob(strings.ToLower(v.Action), strings.ToLower(action)))
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
func (s *Server) authenticate(r *http.Request, body []byte, sig iam.Signature, now time.Time) (*principal, *apiError) {
	s.mu.Lock()
	p := s.principals[sig.AccessKey]
	if s.principals == nil && sig.AccessKey == AccessKey {
		p = developer
	}
	s.mu.Unlock()
	unknown := coral("UnrecognizedClientException", "The security token included in the request is invalid.")
	if p == nil {
		return nil, unknown
	}
	if err := sig.Verify(r, body, "dynamodb", p.SecretKey, now); err != nil {
		return nil, coral(err.Code, "%s", err.Message)
	}
	if r.Header.Get("X-Amz-Security-Token") != p.SessionToken {
		return nil, unknown
	}
	if !p.Expires.IsZero() && !now.Before(p.Expires) {
		return nil, coral("ExpiredTokenException", "The security token included in the request is expired")
	}
	return p, nil
}

var developer = func() *principal {
	p := &principal{Principal: Principal{AccessKey: AccessKey, SecretKey: SecretKey, ARN: "arn:aws:iam::" + accountID + ":user/" + AccessKey}}
	all, err := iam.Parse(iam.Identity, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, 0)
	if err = cmp.Or(err, p.describe(time.Time{})); err != nil {
		panic(err) // both are constants
	}
	p.policies = []*iam.Policy{all}
	return p
}()

// authorize decides whether the call's principal may do what it asks for on
// a table ("*" for none in particular).
func (c *call) authorize(table string) *apiError {
	action := "dynamodb:" + c.op
	resource := tableARN(c.region, table)
	keys := map[string]string{
		"aws:currenttime":     c.now.UTC().Format(time.RFC3339),
		"aws:epochtime":       strconv.FormatInt(c.now.Unix(), 10),
		"aws:requestedregion": c.region,
		"aws:resourceaccount": accountID,
		"aws:securetransport": strconv.FormatBool(c.secure),
		"aws:sourceip":        c.sourceIP,
		"aws:useragent":       c.userAgent,
		"aws:viaawsservice":   "false",
	}
	policies := iam.Policies{Identity: c.principal.policies, Session: c.principal.session}
	c.server.mu.Lock()
	if t := c.server.tables[table]; t != nil {
		policies.Resource = t.policyAt(c.now).parsed
		for name, value := range t.tags {
			keys["aws:resourcetag/"+strings.ToLower(name)] = value
		}
	}
	c.server.mu.Unlock()
	d := iam.Evaluate(policies, c.principal.access(iam.Access{Action: action, Resource: resource, Keys: keys}))
	if d.Allowed && c.server.isRevoked(c.principal.AccessKey, table, action) {
		d = iam.Decision{Why: "because no identity-based policy allows the " + action + " action"}
	}
	if d.Allowed {
		return nil
	}
	why, _, _ := strings.Cut(d.Why, " (statement") // the service does not say which
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
