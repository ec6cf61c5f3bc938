package ststest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/failopen/failopen/cache/dynamo/internal/iam"
)

// maxSessions bounds what AssumeRole may leave behind.
const maxSessions = 100_000

// A session is what AssumeRole has handed out. It never changes.
type session struct {
	// These name the role as it was; principalOf compares the id.
	role, roleID, roleARN string
	name                  string
	// All three are random. The access key begins with ASIA, as temporary
	// ones do.
	accessKey, secret, token string
	// Both are whole seconds of the server's clock.
	issued, expires time.Time
	policies        []string // of the session; nil: none
	tags            map[string]string
	// chained: made by a session, and thus limited to an hour.
	chained bool
}

// arn is that of the assumed role: in the service sts, without the role's path.
func (h *session) arn() string {
	return "arn:aws:sts::" + iam.Account + ":assumed-role/" + h.role + "/" + h.name
}

// principalOf is a session as a principal, with the policies that its role has
// now. A role that was deleted has none, and a new one of the same name is not
// the same role. The lock is held.
//
// It is made anew for each request, which is how a changed role policy reaches
// sessions that are out, as at AWS. The role's tags count as principal tags.
func (s *Server) principalOf(h *session, now time.Time) iam.Principal {
	p := iam.Principal{
		AccessKey: h.accessKey, SecretKey: h.secret, SessionToken: h.token,
		ARN: h.arn(), Role: h.roleARN, UserID: h.roleID + ":" + h.name,
		SessionPolicies: h.policies, Issued: h.issued, Expires: h.expires, Tags: map[string]string{},
	}
	if r := s.roles[h.role]; r != nil && r.id == h.roleID {
		policies := r.policies.at(now)
		for _, name := range slices.Sorted(maps.Keys(policies)) {
			p.Policies = append(p.Policies, policies[name])
		}
		maps.Copy(p.Tags, r.tags)
	}
	maps.Copy(p.Tags, h.tags) // a session's tag wins over the role's
	return p
}

// expire forgets sessions that ended a while ago, so that their credentials are
// called expired, and not unknown, for as long as anybody may look. The lock is
// held.
//
// O(sessions), called by Stats and AssumeRole only.
func (s *Server) expire(now time.Time) {
	for key, h := range s.sessions {
		if now.Sub(h.expires) > 12*time.Hour {
			delete(s.sessions, key)
		}
	}
}

// getCallerIdentity tells who calls. No policy can deny it.
func getCallerIdentity(c *call, p *params) (any, *apiError) {
	if !p.done() { // it needs no permission, and cannot be denied
		return nil, p.err
	}
	return struct {
		Arn     string
		UserID  string `xml:"UserId" json:"UserId"`
		Account string
	}{c.caller.ARN, c.caller.UserID, iam.Account}, nil
}

var (
	sessionName = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
	externalID  = regexp.MustCompile(`^[\w+=,.@:/-]+$`)
)

// assumeRoleResult is the element AssumeRoleResult. PackedPolicySize is a
// percentage; AWS packs the policy and tags in a way of its own, so the number
// here is only an estimate.
type assumeRoleResult struct {
	Credentials struct {
		AccessKeyID     string `xml:"AccessKeyId" json:"AccessKeyId"`
		SecretAccessKey string
		SessionToken    string
		Expiration      string
	}
	AssumedRoleUser struct {
		AssumedRoleID string `xml:"AssumedRoleId" json:"AssumedRoleId"`
		Arn           string
	}
	PackedPolicySize int `xml:",omitempty"`
}

// assumeRole makes a session: credentials of their own, that may do what the
// role may and the session policy allows, until they expire. Lifetimes count in
// whole seconds, as the answer shows them.
//
// The order of the checks: the parameters' form, the session policy, the
// permission, and then the lengths that the role and chaining allow, which only
// somebody who may assume the role is told. Sources: "AssumeRole" in the STS
// API reference, "Role chaining".
func assumeRole(c *call, p *params) (any, *apiError) {
	arn, name, external := p.required("RoleArn"), p.required("RoleSessionName"), p.text("ExternalId")
	life := time.Duration(p.number("DurationSeconds", 3600, 900, 43200)) * time.Second
	hasPolicy, policy, tags := p.form.Has("Policy"), p.text("Policy"), p.tags()
	switch {
	case !p.done():
		return nil, p.err
	case !sessionName.MatchString(name):
		return nil, invalid("RoleSessionName is %q; want 2 to 64 letters, digits and _+=,.@-", name)
	case external != "" && (len(external) < 2 || len(external) > 1224 || !externalID.MatchString(external)):
		return nil, invalid("ExternalId has a form that STS does not take")
	}
	held := &session{name: name, tags: tags, issued: c.now.Truncate(time.Second), expires: c.now.Truncate(time.Second).Add(life), chained: c.session != nil}
	if hasPolicy {
		if len(policy) > 2048 {
			return nil, invalid("the session policy has %d characters, the limit is 2048", len(policy))
		}
		if _, err := iam.Parse(iam.Identity, policy, 0); err != nil {
			return nil, &apiError{400, "MalformedPolicyDocument", err.Error()}
		}
		held.policies = []string{policy}
	}
	longest, err := c.mayAssume(arn, name, external, tags, held)
	if err != nil {
		return nil, err
	}
	if life > longest {
		return nil, invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	if held.chained && life > time.Hour {
		return nil, invalid("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	}
	held.accessKey, held.secret, held.token = "ASIA"+random(16), random(40), "ststest-"+random(64)
	if err := c.server.insertSession(held, c.now); err != nil {
		return nil, err
	}
	var out assumeRoleResult
	out.Credentials.AccessKeyID, out.Credentials.SecretAccessKey, out.Credentials.SessionToken = held.accessKey, held.secret, held.token
	out.Credentials.Expiration = stamp(held.expires)
	out.AssumedRoleUser.AssumedRoleID, out.AssumedRoleUser.Arn = held.roleID+":"+name, held.arn()
	if hasPolicy || len(tags) > 0 {
		out.PackedPolicySize = max(1, 100*len(policy)/2048)
	}
	return out, nil
}

// mayAssume asks the role's trust policy and the caller's own, and completes
// the session. A role that does not exist is answered as one that may not be
// assumed.
//
// The trust policy must allow it, by itself if it names the caller, or together
// with the caller's own policies if it names the account (iam.EvaluateOwned).
// With tags, sts:TagSession must be allowed in the same way. An ARN with
// another path or account is another role, so it is nobody's.
func (c *call) mayAssume(arn, name, external string, tags map[string]string, held *session) (longest time.Duration, err *apiError) {
	short := arn[strings.LastIndexByte(arn, '/')+1:]
	c.server.mu.Lock()
	r := c.server.roles[short]
	var trust *iam.Policy
	if r != nil && r.arn() == arn {
		trust = r.trust.at(c.now)
		longest = r.maxSession
		held.role, held.roleID, held.roleARN = r.name, r.id, r.arn()
	}
	c.server.mu.Unlock()
	if trust == nil {
		c.server.denied.Add(1)
		return 0, &apiError{403, "AccessDenied", fmt.Sprintf("User: %s is not authorized to perform: sts:AssumeRole on resource: %s", c.caller.ARN, arn)}
	}
	keys := requestTags(tags)
	keys["sts:rolesessionname"] = name
	if external != "" {
		keys["sts:externalid"] = external
	}
	err = c.authorizeOwned(trust, arn, keys)
	if err == nil && len(tags) > 0 {
		tagging := *c
		tagging.action = "sts:TagSession"
		err = tagging.authorizeOwned(trust, arn, keys)
	}
	return longest, err
}

// insertSession keeps the session until it expires. There is a limit, so that a
// loop in a test does not eat the memory.
//
// The error is STS's throttling: a client sees what it would see of a busy
// service.
func (s *Server) insertSession(h *session, now time.Time) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	if len(s.sessions) >= maxSessions {
		return &apiError{400, "Throttling", "Rate exceeded"}
	}
	s.sessions[h.accessKey] = h
	return nil
}
