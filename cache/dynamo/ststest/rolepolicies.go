package ststest

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/failopen/failopen/cache/dynamo/internal/iam"
)

// checkRolePolicy looks at one policy that is to stand beside others.
//
// others are the role's policies; one of the same name is about to be replaced
// and does not count. White space does not count either ("IAM and AWS STS
// quotas", 10,240 characters over all inline policies).
func checkRolePolicy(name, text string, others map[string]string) *apiError {
	if !policyName.MatchString(name) {
		return invalid("PolicyName is %q; want 1 to 128 letters, digits and _+=,.@-", name)
	}
	if _, err := iam.Parse(iam.Identity, text, 0); err != nil {
		return &apiError{400, "MalformedPolicyDocument", err.Error()}
	}
	total := len(strings.Join(strings.Fields(text), ""))
	for other, t := range others {
		if other != name {
			total += len(strings.Join(strings.Fields(t), ""))
		}
	}
	if total > maxRolePolicy {
		return &apiError{409, "LimitExceeded", fmt.Sprintf("Maximum policy size of %d bytes exceeded for the role: %d", maxRolePolicy, total)}
	}
	return nil
}

// putRolePolicy adds an inline policy, or replaces the one of that name. The
// maps are copied, not changed: the set before may still be in force.
func putRolePolicy(c *call, p *params) (any, *apiError) {
	name, policy, text := p.required("RoleName"), p.required("PolicyName"), p.required("PolicyDocument")
	if !p.done() {
		return nil, p.err
	}
	return c.withRole(name, func(r *role) (any, *apiError) {
		all := r.policies.newest()
		if err := checkRolePolicy(policy, text, all); err != nil {
			return nil, err
		}
		all = maps.Clone(all)
		if all == nil {
			all = map[string]string{}
		}
		all[policy] = text
		r.policies.set(all, c.now, c.server.delay)
		return nil, nil
	})
}

// noPolicy is IAM's answer for an inline policy that is not there.
func noPolicy(role, policy string) *apiError {
	return noSuchEntity("The role policy with name %s cannot be found on role %s.", policy, role)
}

// getRolePolicy shows the newest document, URL-encoded, whether it is in force
// already or not.
func getRolePolicy(c *call, p *params) (any, *apiError) {
	name, policy := p.required("RoleName"), p.required("PolicyName")
	if !p.done() {
		return nil, p.err
	}
	return c.withRole(name, func(r *role) (any, *apiError) {
		text, ok := r.policies.newest()[policy]
		if !ok {
			return nil, noPolicy(name, policy)
		}
		return struct{ RoleName, PolicyName, PolicyDocument string }{name, policy, url.QueryEscape(text)}, nil
	})
}

// deleteRolePolicy takes an inline policy away, after the server's PolicyDelay.
//
// The error for one that is not there comes at once.
func deleteRolePolicy(c *call, p *params) (any, *apiError) {
	name, policy := p.required("RoleName"), p.required("PolicyName")
	if !p.done() {
		return nil, p.err
	}
	return c.withRole(name, func(r *role) (any, *apiError) {
		all := maps.Clone(r.policies.newest())
		if _, ok := all[policy]; !ok {
			return nil, noPolicy(name, policy)
		}
		delete(all, policy)
		r.policies.set(all, c.now, c.server.delay)
		return nil, nil
	})
}

// listRolePolicies returns all names at once, sorted.
func listRolePolicies(c *call, p *params) (any, *apiError) {
	name := p.required("RoleName")
	if !p.done() {
		return nil, p.err
	}
	return c.withRole(name, func(r *role) (any, *apiError) {
		var out struct {
			IsTruncated bool
			PolicyNames struct {
				Member []string `xml:"member"`
			}
		}
		out.PolicyNames.Member = slices.Sorted(maps.Keys(r.policies.newest()))
		return out, nil
	})
}
