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
	AccessKey       string
	SecretKey       string
	SessionToken    string
	ARN             string
	Role            string
	UserID          string
	Tags            map[string]string
	Policies        []string
	SessionPolicies []string
	Issued          time.Time
	Expires         time.Time
}

// A Caller is a principal whose policies have been read.
type Caller struct {
	Principal
	identity []*Policy
	session  []*Policy // nil: no policies of the session
	keys     map[string]string
}

// NewCaller fills in what a principal leaves to its defaults, and reads its
// policies. It shares nothing with p.
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
func (c *Caller) Expired(now time.Time) bool {
	return !c.Expires.IsZero() && !now.Before(c.Expires)
}

// Decide weighs the caller's policies and, if there is one, the resource's.
// keys are those of the request; Decide adds the caller's.
func (c *Caller) Decide(resource *Policy, a Access) Decision {
	return Evaluate(c.policies(resource, &a), a)
}

// DecideOwned is Decide for a resource whose own policy must allow it.
func (c *Caller) DecideOwned(resource *Policy, a Access) Decision {
	return EvaluateOwned(c.policies(resource, &a), a)
}

func (c *Caller) policies(resource *Policy, a *Access) Policies {
	maps.Copy(a.Keys, c.keys)
	a.Caller, a.Role = c.ARN, c.Role
	return Policies{Identity: c.identity, Session: c.session, Resource: resource}
}

// RequestKeys are the condition keys that any request has.
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
