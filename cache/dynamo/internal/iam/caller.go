package iam

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Account is the account that everything belongs to: one of those that AWS
// uses in its documentation.
const Account = "123456789012"

// maxSessionPolicy is how long a session's policy may be, in bytes.
const maxSessionPolicy = 2048

// A Principal has the fields of dynamotest.Principal, which documents them.
type Principal struct {
	// The first three are the credentials; a request is theirs if the key
	// is named in its signature, the secret made it, and the token came
	// with it.
	AccessKey    string
	SecretKey    string
	SessionToken string
	// ARN, Role, UserID and Tags are what conditions can ask for; describe
	// turns them into keys.
	ARN    string
	Role   string
	UserID string
	Tags   map[string]string
	// Policies are what the identity may do. Not nil SessionPolicies limit
	// that: a session gets the intersection.
	Policies        []string
	SessionPolicies []string
	// Both are instants of the server's clock, not of the machine's.
	Issued  time.Time
	Expires time.Time
}

// A Caller is a principal whose policies have been read.
type Caller struct {
	Principal
	// identity are Principal.Policies in their order, which Decision.Why
	// counts from 1.
	identity []*Policy
	session  []*Policy // nil: no policies of the session
	// keys are the condition keys that are the same for all of the caller's
	// requests, by their names in lower case. They are copied into each
	// Access and win over the request's.
	keys map[string]string
}

// NewCaller fills in what a principal leaves to its defaults, and reads its
// policies. It shares nothing with p.
//
// now is used for one thing: a principal with a session token and without an
// issue time was issued now. The error names the access key and, for a policy,
// its number, statement and member; it never shows the secret.
func NewCaller(p Principal, now time.Time) (*Caller, error) {
	if p.AccessKey == "" || p.SecretKey == "" {
		return nil, errors.New("a principal needs AccessKey and SecretKey")
	}
	if strings.ContainsAny(p.AccessKey, "/, =") {
		return nil, fmt.Errorf("access key %q cannot be part of a signature", p.AccessKey)
	}
	p.ARN = cmp.Or(p.ARN, "arn:aws:iam::"+Account+":user/"+p.AccessKey)
	p.Policies, p.SessionPolicies, p.Tags = slices.Clone(p.Policies), slices.Clone(p.SessionPolicies), maps.Clone(p.Tags)
	c := &Caller{Principal: p}
	err := c.describe(now)
	if err == nil {
		c.identity, err = parseAll("policy", p.Policies, 0)
	}
	if err == nil {
		c.session, err = parseAll("session policy", p.SessionPolicies, maxSessionPolicy)
	}
	if err != nil {
		return nil, fmt.Errorf("principal %s: %w", p.AccessKey, err)
	}
	return c, nil
}

// parseAll reads identity policies; the error names the one that is wrong by
// its number.
func parseAll(what string, documents []string, limit int) (all []*Policy, err error) {
	for i, text := range documents {
		p, err := Parse(Identity, text, limit)
		if err != nil {
			return nil, fmt.Errorf("%s %d: %w", what, i+1, err)
		}
		all = append(all, p)
	}
	return all, nil
}

// describe fills in what the ARN says about the principal, and the condition
// keys that stay the same for all of its requests.
//
// An ARN has six parts, arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE ("Amazon
// Resource Names" in the AWS general reference). The kind of the resource
// decides about aws:PrincipalType and aws:userid. Without a UserID that is the
// access key, for a session followed by a colon and the session's name; AWS has
// the id of the user or role in its place.
//
// The role of a session stands in a different service and without its path
// (arn:aws:sts::…:assumed-role/NAME/SESSION), so the role's ARN is made of its
// name unless Principal.Role says it.
func (c *Caller) describe(now time.Time) error {
	parts := strings.SplitN(c.ARN, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" {
		return fmt.Errorf("ARN is %q; want one of six parts, arn:aws:iam::%s:user/NAME", c.ARN, Account)
	}
	kind, rest, _ := strings.Cut(parts[5], "/")
	name := rest[strings.LastIndexByte(rest, '/')+1:]
	c.keys = map[string]string{"aws:principalaccount": parts[4]}
	id := c.AccessKey
	switch kind {
	case "assumed-role":
		role, _, _ := strings.Cut(rest, "/")
		c.Role = cmp.Or(c.Role, "arn:"+parts[1]+":iam::"+parts[4]+":role/"+role)
		c.keys["aws:principaltype"] = "AssumedRole"
		id += ":" + name
	case "user":
		c.keys["aws:principaltype"], c.keys["aws:username"] = "User", name
	case "role":
		c.Role = cmp.Or(c.Role, c.ARN)
		c.keys["aws:principaltype"] = "AssumedRole"
	case "root":
		c.keys["aws:principaltype"] = "Account"
	default:
		return fmt.Errorf("ARN is %q; want a user, a role, an assumed-role or root", c.ARN)
	}
	// A session's aws:PrincipalArn is the role: policies are written about
	// roles, and sessions come and go.
	c.keys["aws:principalarn"] = cmp.Or(c.Role, c.ARN)
	c.UserID = cmp.Or(c.UserID, id)
	c.keys["aws:userid"] = c.UserID
	if c.Issued.IsZero() && c.SessionToken != "" {
		c.Issued = now
	}
	if !c.Issued.IsZero() {
		c.keys["aws:tokenissuetime"] = c.Issued.UTC().Format(time.RFC3339)
	}
	for name, value := range c.Tags {
		c.keys["aws:principaltag/"+strings.ToLower(name)] = value
	}
	return nil
}

// Expired reports whether the credentials have ended.
//
// The end itself is outside: credentials that expire at noon are refused at
// noon. The zero time never comes.
func (c *Caller) Expired(now time.Time) bool {
	return !c.Expires.IsZero() && !now.Before(c.Expires)
}

// Decide weighs the caller's policies and, if there is one, the resource's.
// keys are those of the request; Decide adds the caller's.
//
// It is for resources whose policy may add to the identity's, as a table's
// does: either of the two is enough.
func (c *Caller) Decide(resource *Policy, a Access) Decision {
	return Evaluate(c.policies(resource, &a), a)
}

// DecideOwned is Decide for a resource whose own policy must allow it.
//
// It is for roles (trust policies) and for keys of KMS, where the identity's
// policies alone are not enough. resource must not be nil.
func (c *Caller) DecideOwned(resource *Policy, a Access) Decision {
	return EvaluateOwned(c.policies(resource, &a), a)
}

// policies are all that have a say in an access to the resource. It completes a
// with the caller's condition keys and names, which is why a.Keys has to belong
// to the call and may not be nil.
func (c *Caller) policies(resource *Policy, a *Access) Policies {
	maps.Copy(a.Keys, c.keys)
	a.Caller, a.Role = c.ARN, c.Role
	return Policies{Identity: c.identity, Session: c.session, Resource: resource}
}

// RequestKeys are the condition keys that any request has.
//
// They are new for each call, so the caller may add to the map. aws:SourceIp is
// what the connection says and never a header: X-Forwarded-For is whatever a
// client likes to write.
func RequestKeys(r *http.Request, region string, now time.Time) map[string]string {
	return map[string]string{
		"aws:currenttime":     now.UTC().Format(time.RFC3339),
		"aws:epochtime":       strconv.FormatInt(now.Unix(), 10),
		"aws:requestedregion": region,
		"aws:resourceaccount": Account,
		"aws:securetransport": strconv.FormatBool(r.TLS != nil || r.URL.Scheme == "https"),
		"aws:sourceip":        sourceIP(r),
		"aws:useragent":       r.UserAgent(),
		"aws:viaawsservice":   "false",
	}
}

// sourceIP is the caller's address; in memory, where it has none, that of this
// machine.
func sourceIP(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil && host != "" {
		return host
	}
	return "127.0.0.1"
}
