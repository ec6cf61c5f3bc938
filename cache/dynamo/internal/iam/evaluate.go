package iam

import (
	"fmt"
	"slices"
	"strings"
)

// Access is a request as policies see it.
type Access struct {
	Action   string
	Resource string
	Keys     map[string]string // condition keys, in lower case; what is not there is absent

	// Caller is the ARN by which a resource's policy may name who asks, and
	// Role that of the role whose session asks, if it is one.
	Caller, Role string
}

// Policies are all that have a say in a request.
type Policies struct {
	Identity []*Policy
	Session  []*Policy // nil: not a session with a policy of its own
	Resource *Policy   // nil: the resource has none
}

// A Decision says whether a request may go on, and which statement decided.
type Decision struct {
	Allowed  bool
	Explicit bool   // a statement denies it
	Identity bool   // an identity-based policy allows it
	Why      string // "an explicit deny in a resource-based policy (Sid …)"
}

// Reason is Why without the statement that decided, as AWS tells it.
func (d Decision) Reason() string {
	why, _, _ := strings.Cut(d.Why, " (statement")
	return why
}

// Evaluate decides about a request inside one account: a deny anywhere wins;
// else the identity's policies or the resource's must allow it; and a session
// with a policy of its own gets no more than that allows.
//
// The order is that of "Policy evaluation logic" in the IAM user guide, without
// organizations and permissions boundaries, of which there are none here:
//
//  1. a Deny that applies, in any of the policies, wins;
//  2. else nothing allows it: denied by default;
//  3. else the session has policies and none allows it: denied;
//  4. else allowed, by the identity's policies or the resource's.
//
// A resource-based policy that allows a session is limited by the session's
// policies too. AWS makes an exception where the policy names the session's own
// ARN; this does not.
//
// It is O(statements × patterns) and takes no lock: policies never change once
// they are parsed.
func Evaluate(p Policies, a Access) Decision {
	groups := []struct {
		name     string
		policies []*Policy
	}{
		{"an identity-based policy", p.Identity},
		{"a session policy", p.Session},
		{"a resource-based policy", one(p.Resource)},
	}
	// Denials return at once, allowances are only noted: a deny may still
	// follow.
	allows := make([]string, len(groups)) // by whom, if at all
	for i, g := range groups {
		for _, doc := range g.policies {
			for n := range doc.statements {
				s := &doc.statements[n]
				if !s.applies(a) {
					continue
				}
				where := fmt.Sprintf("%s (statement %d, Sid %q)", g.name, n+1, s.sid)
				if s.deny {
					return Decision{Explicit: true, Why: "with an explicit deny in " + where}
				}
				allows[i] = where
			}
		}
	}
	identity, session, resource := allows[0], allows[1], allows[2]
	switch {
	case identity == "" && resource == "":
		return Decision{Why: "because no identity-based policy allows the " + a.Action + " action"}
	case p.Session != nil && session == "":
		return Decision{Why: "because no session policy allows the " + a.Action + " action"}
	case identity != "":
		return Decision{Allowed: true, Identity: true, Why: "allowed by " + identity}
	}
	return Decision{Allowed: true, Why: "allowed by " + resource}
}

// EvaluateOwned decides about a resource whose own policy must allow whatever is
// done to it, as a role's trust policy and a key's do. A statement that names
// the caller, or everybody, is enough; one that names the account leaves it to
// the account's identity policies.
//
// Where only the account is named, the identity's own policies have to allow
// it: the account delegates to them. A Deny wins as it does in Evaluate.
// Sources: "How IAM roles trust policies work" and "Key policies in AWS KMS",
// default key policy.
func EvaluateOwned(p Policies, a Access) Decision {
	d := Evaluate(p, a)
	if d.Explicit {
		return d
	}
	// Which kind of allowance is there: one by name, or one that delegates
	// to the account?
	named, account := false, false
	for n := range p.Resource.statements {
		if s := &p.Resource.statements[n]; !s.deny && s.applies(a) {
			byAccount := !slices.ContainsFunc(s.principals, func(p string) bool { return p == "*" || p == a.Caller || p == a.Role })
			named, account = named || !byAccount, account || byAccount
		}
	}
	switch {
	case named, account && d.Allowed && d.Identity:
		return d
	case account && !d.Allowed: // a session's policy does not, and Why says so
		return d
	case account:
		return Decision{Why: "because no identity-based policy allows the " + a.Action + " action"}
	}
	return Decision{Why: "because no resource-based policy allows the " + a.Action + " action"}
}

// one is a list of p, without it if there is none.
func one(p *Policy) []*Policy {
	if p == nil {
		return nil
	}
	return []*Policy{p}
}

// applies reports whether the statement is about this access: action, resource,
// principal and all conditions.
//
// Actions are compared without regard to case, resources with it. The
// conditions come last, since they cost the most.
func (s *statement) applies(a Access) bool {
	action := strings.ToLower(a.Action)
	return s.notAction != slices.ContainsFunc(s.actions, func(p string) bool { return Glob(p, action) }) &&
		s.notResource != slices.ContainsFunc(s.resources, func(p string) bool { return p == "*" || MatchARN(p, a.Resource) }) &&
		s.concerns(a) &&
		hold(s.conditions, a.Keys)
}

// concerns reports whether a statement of a resource's policy is about who
// asks. Those of other policies have no principals.
//
// A principal matches by the caller's own ARN, by that of the role whose
// session it is, or by the account's root. Only the partition aws is known.
func (s *statement) concerns(a Access) bool {
	if s.principals == nil {
		return true
	}
	return slices.ContainsFunc(s.principals, func(p string) bool {
		account, root := strings.CutSuffix(p, ":root")
		return p == "*" || p == a.Caller || p == a.Role && p != "" ||
			root && strings.HasPrefix(account, "arn:aws:iam::") && account == "arn:aws:iam::"+accountOf(a.Caller)
	})
}

// accountOf is the account in an ARN; empty for what is no ARN.
func accountOf(arn string) string {
	if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 {
		return parts[4]
	}
	return ""
}

// MatchARN compares an ARN with a pattern, part by part: a wildcard does not
// reach across a colon, but in the last part, the resource's own. Parts that
// the pattern does not have match anything.
//
// An ARN with fewer than six parts is matched by "*" alone.
func MatchARN(pattern, arn string) bool {
	want, got := strings.SplitN(pattern, ":", 6), strings.SplitN(arn, ":", 6)
	if pattern == "*" {
		return true
	}
	if len(got) < 6 {
		return false
	}
	for i, p := range want {
		if !Glob(p, got[i]) {
			return false
		}
	}
	return true
}

// Glob matches * (any run) and ? (any one character). It goes back to the last
// star only, so that no pattern takes exponential time.
//
// Matching is by bytes, hence ? is one byte of a longer character. Time is
// O(len(pattern) × len(s)) at worst, memory O(1). Both sides are taken as they
// are: who compares without regard to case lowers them first.
func Glob(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
