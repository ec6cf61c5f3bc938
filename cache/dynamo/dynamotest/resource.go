package dynamotest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/failopen/failopen/cache/dynamo/internal/iam"
)

// Limits of resource policies.
const (
	// In bytes, white space included ("Quotas" in the developer guide).
	maxResourcePolicy = 20 << 10
	policyBlock       = 15 * time.Second // after each change
)

// tablePolicy is one state of a table's resource policy.
type tablePolicy struct {
	document string // "": there is none
	parsed   *iam.Policy
	// revision changes with each change of the policy; changed is when that
	// was made, from which the block of 15 seconds counts.
	revision string
	changed  time.Time
	since    time.Time // when it is in force, and seen by GetResourcePolicy
}

// policyAt is the resource policy that is in force. The lock is held.
//
// Without a delay there is no time in which the one before is in force.
func (t *table) policyAt(now time.Time) tablePolicy {
	if now.Before(t.policy.since) {
		return t.policyBefore
	}
	return t.policy
}

// setPolicy replaces the resource policy. The lock is held.
//
// A change within the delay of another one keeps what is in force now, and
// drops the one that never came into force.
func (t *table) setPolicy(c *call, document string, parsed *iam.Policy) {
	t.policyBefore = t.policyAt(c.now)
	t.policy = tablePolicy{
		document: document, parsed: parsed, changed: c.now, since: c.now.Add(c.server.policyDelay),
		revision: fmt.Sprintf("%d-%d", c.now.UnixMilli(), c.server.serial.Add(1)),
	}
}

// arnNamed finds a table by its ARN, as named does by its name. The lock is
// held on success.
//
// Indexes and streams have no policies and tags of their own here.
func (c *call) arnNamed(arn string) (*table, *apiError) {
	prefix := tableARN(c.region, "")
	name, ok := strings.CutPrefix(arn, prefix)
	if !ok || strings.Contains(name, "/") {
		return nil, validation("Invalid ResourceArn: %q; dynamotest knows tables, %sNAME", arn, prefix)
	}
	return c.named(name)
}

// resourcePolicyInput are the parameters of the operations on a resource policy.
// ExpectedRevisionID, if given, is the revision that must be the newest;
// NO_POLICY wants none to be there.
type resourcePolicyInput struct {
	ResourceArn        string
	ExpectedRevisionID *string `json:"ExpectedRevisionId"`
}

// errNoPolicy is also the answer to a revision that is another one.
func errNoPolicy(arn string) *apiError {
	return dynamo("PolicyNotFoundException", "Resource-based policy not found for the provided ResourceArn: Requested policy update on %s was not found or its revision did not match", arn)
}

// getResourcePolicy shows the policy that is in force, which for PolicyDelay is
// the one before.
func (c *call) getResourcePolicy(in *struct{ ResourceArn string }) (any, *apiError) {
	t, err := c.arnNamed(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	defer c.server.mu.Unlock()
	p := t.policyAt(c.now)
	if p.document == "" {
		return nil, errNoPolicy(in.ResourceArn)
	}
	return map[string]any{"Policy": p.document, "RevisionId": p.revision}, nil
}

// checkChange refuses a change that expects another revision, or comes too soon
// after the one before. The lock is held.
//
// It compares with the newest revision, also while that is not in force yet.
func (t *table) checkChange(c *call, in resourcePolicyInput) *apiError {
	if want := in.ExpectedRevisionID; want != nil {
		if *want == "NO_POLICY" && t.policy.document != "" || *want != "NO_POLICY" && (*want != t.policy.revision || t.policy.document == "") {
			return errNoPolicy(in.ResourceArn)
		}
	}
	if wait := policyBlock - c.now.Sub(t.policy.changed); !t.policy.changed.IsZero() && wait > 0 {
		return dynamo("ResourceInUseException", "The resource-based policy of %s was changed less than 15 seconds ago", in.ResourceArn)
	}
	return nil
}

// putResourcePolicy replaces the table's own policy. It is parsed now: a policy
// that cannot apply is refused, not stored.
//
// A principal may lock itself out here: ConfirmRemoveSelfResourceAccess is
// taken and not looked at.
func (c *call) putResourcePolicy(in *struct {
	resourcePolicyInput
	Policy                          string
	ConfirmRemoveSelfResourceAccess bool
},
) (any, *apiError) {
	parsed, parseErr := iam.Parse(iam.Resource, in.Policy, maxResourcePolicy)
	if parseErr != nil {
		return nil, validation("Invalid policy document: %s", parseErr)
	}
	t, err := c.arnNamed(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	defer c.server.mu.Unlock()
	if err := t.checkChange(c, in.resourcePolicyInput); err != nil {
		return nil, err
	}
	t.setPolicy(c, in.Policy, parsed)
	return map[string]any{"RevisionId": t.policy.revision}, nil
}

// deleteResourcePolicy works as well without a policy.
//
// It returns the revision that was deleted, or an empty one.
func (c *call) deleteResourcePolicy(in *resourcePolicyInput) (any, *apiError) {
	t, err := c.arnNamed(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	defer c.server.mu.Unlock()
	if err := t.checkChange(c, *in); err != nil {
		return nil, err
	}
	if t.policy.document == "" {
		return map[string]any{"RevisionId": ""}, nil
	}
	revision := t.policy.revision
	t.setPolicy(c, "", nil)
	return map[string]any{"RevisionId": revision}, nil
}

// tag is a tag as DynamoDB writes it.
type tag struct{ Key, Value string }

// tagResource adds tags to a table, where policies can ask for them
// (aws:ResourceTag).
func (c *call) tagResource(in *struct {
	ResourceArn string
	Tags        []tag
},
) (any, *apiError) {
	t, err := c.arnNamed(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	defer c.server.mu.Unlock()
	t.tag(in.Tags)
	return map[string]any{}, nil
}

// tag sets tags; a key that is there gets the new value. The caller holds the
// server's lock, or has the table alone.
func (t *table) tag(tags []tag) {
	if t.tags == nil {
		t.tags = map[string]string{}
	}
	for _, g := range tags {
		t.tags[g.Key] = g.Value
	}
}

// untagResource takes tags away; one that is not there is no error.
func (c *call) untagResource(in *struct {
	ResourceArn string
	TagKeys     []string
},
) (any, *apiError) {
	t, err := c.arnNamed(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	defer c.server.mu.Unlock()
	for _, key := range in.TagKeys {
		delete(t.tags, key)
	}
	return map[string]any{}, nil
}

// listTagsOfResource returns all tags at once: a table has few, and the service
// would page them.
func (c *call) listTagsOfResource(in *struct{ ResourceArn, NextToken string }) (any, *apiError) {
	t, err := c.arnNamed(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	defer c.server.mu.Unlock()
	tags := []tag{}
	for _, key := range slices.Sorted(maps.Keys(t.tags)) {
		tags = append(tags, tag{key, t.tags[key]})
	}
	return map[string]any{"Tags": tags}, nil
}
