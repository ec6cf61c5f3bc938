package ststest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/failopen/failopen/cache/dynamo/internal/iam"
)

// Limits of roles, from "IAM and AWS STS quotas".
const (
	maxRoles       = 1000
	maxTrustPolicy = 4096  // bytes; 2,048 unless raised, up to 4,096
	maxRolePolicy  = 10240 // characters over all inline policies of a role
)

// delayed is a value whose changes take a while to be in force.
//
// The changes are in the order in which they were made; those that a later one
// has overtaken are dropped by set. With a delay of 0 there is one. It is
// guarded by the lock of what it is in.
type delayed[T any] struct{ changes []change[T] }

// change is a value and when it begins to be in force.
type change[T any] struct {
	value T
	since time.Time
}

// set makes v the value from then on.
//
// The slice is copied, as one that was handed out may still be looked through.
// Memory is bounded by the changes within one delay.
func (d *delayed[T]) set(v T, now time.Time, delay time.Duration) {
	keep := d.changes
	for len(keep) > 1 && !keep[1].since.After(now) {
		keep = keep[1:]
	}
	d.changes = append(slices.Clone(keep), change[T]{v, now.Add(delay)})
}

// at is the value in force.
//
// Before the first change it is the zero value. The last change whose time has
// come wins, so two within the delay arrive one after the other.
func (d *delayed[T]) at(now time.Time) (v T) {
	for _, c := range d.changes {
		if !c.since.After(now) {
			v = c.value
		}
	}
	return v
}

// newest is the value last set.
func (d *delayed[T]) newest() (v T) {
	if n := len(d.changes); n > 0 {
		v = d.changes[n-1].value
	}
	return v
}

// A role is guarded by the server's lock. The maps are replaced, not changed:
// what has been handed out stays as it is.
type role struct {
	name, path, id, description string
	created                     time.Time
	maxSession                  time.Duration
	// trustText is the newest trust policy as it was given, for GetRole;
	// trust is what it means, when it is in force.
	trustText string
	trust     delayed[*iam.Policy]
	policies  delayed[map[string]string] // by name
	// tags are in force at once, unlike at AWS, where they take as long as
	// policies.
	tags map[string]string
}

// arn has the path between "role" and the name; a role's name alone is unique
// in the account.
func (r *role) arn() string { return "arn:aws:iam::" + iam.Account + ":role" + r.path + r.name }

var (
	roleName   = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)
	policyName = regexp.MustCompile(`^[\w+=,.@-]{1,128}$`)
	rolePath   = regexp.MustCompile(`^/([!-.0-~]+/)*$`)
)

// roleElement is a role as IAM shows it.
//
// The document is URL-encoded, as IAM has it (RFC 3986); SDKs hand it on like
// that.
type roleElement struct {
	Path                     string
	RoleName                 string
	RoleID                   string `xml:"RoleId"`
	Arn                      string
	CreateDate               string
	AssumeRolePolicyDocument string
	Description              string       `xml:",omitempty"`
	MaxSessionDuration       int          `xml:",omitempty"`
	Tags                     *tagElements `xml:",omitempty"`
}

// tagElements is a list of tags in XML.
type tagElements struct {
	Member []tagElement `xml:"member"`
}

type tagElement struct{ Key, Value string }

// element is the role in an answer, with the newest trust policy. The caller
// holds the lock.
func (r *role) element() roleElement {
	e := roleElement{
		Path: r.path, RoleName: r.name, RoleID: r.id, Arn: r.arn(), CreateDate: stamp(r.created),
		AssumeRolePolicyDocument: url.QueryEscape(r.trustText), Description: r.description,
		MaxSessionDuration: int(r.maxSession / time.Second),
	}
	if len(r.tags) > 0 {
		e.Tags = elements(r.tags)
	}
	return e
}

// elements are tags in the order of their names.
func elements(tags map[string]string) *tagElements {
	list := new(tagElements)
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		list.Member = append(list.Member, tagElement{name, tags[name]})
	}
	return list
}

// A Role is what [Server.AddRole] makes.
type Role struct {
	// Name of the role, and Path before it in its ARN, such as
	// "/service/"; default "/".
	Name, Path string

	// Trust is the trust policy. Default: the whole account may assume it,
	// as far as callers' own policies allow.
	Trust string

	// Policies are the inline policies, by name.
	Policies map[string]string

	Tags map[string]string // the role's tags, by key

	// MaxSession is the longest session; default one hour, at most twelve.
	MaxSession time.Duration
}

const trustAccount = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + iam.Account + `"},"Action":["sts:AssumeRole","sts:TagSession"]}}`

// AddRole makes a role, and returns its ARN. It is in force at once.
//
// It does what CreateRole, PutRolePolicy and TagRole do, without a caller and
// without a permission: for what a test takes as given. Its error names the
// role and says what IAM would.
func (s *Server) AddRole(r Role) (arn string, err error) {
	if r.Path == "" {
		r.Path = "/"
	}
	if r.Trust == "" {
		r.Trust = trustAccount
	}
	if r.MaxSession == 0 {
		r.MaxSession = time.Hour
	}
	made, apiErr := newRole(r)
	if apiErr == nil {
		for name, text := range r.Policies {
			if apiErr = checkRolePolicy(name, text, nil); apiErr != nil {
				break
			}
		}
	}
	if apiErr == nil {
		apiErr = s.insertRole(made, r.Policies, func() {})
	}
	if apiErr != nil {
		return "", fmt.Errorf("ststest: role %q: %w", r.Name, errors.New(apiErr.message))
	}
	return made.arn(), nil
}

// newRole checks what IAM checks of a role, its trust policy included. The role
// belongs to no server yet.
//
// Everything is checked that can be without the server, so that no error comes
// after the name was taken.
func newRole(r Role) (*role, *apiError) {
	switch {
	case !roleName.MatchString(r.Name):
		return nil, invalid("RoleName is %q; want 1 to 64 letters, digits and _+=,.@-", r.Name)
	case len(r.Path) > 512 || !rolePath.MatchString(r.Path):
		return nil, invalid("Path is %q; want one that begins and ends with /", r.Path)
	case r.MaxSession < time.Hour || r.MaxSession > 12*time.Hour:
		return nil, invalid("MaxSessionDuration is %v; want one hour to twelve", r.MaxSession)
	}
	trust, err := parseTrust(r.Trust)
	if err != nil {
		return nil, err
	}
	// A new id each time: a role that was deleted and made again is another
	// one, and sessions of the first do not come back to life.
	made := &role{name: r.Name, path: r.Path, id: "AROA" + random(17), maxSession: r.MaxSession, trustText: r.Trust, tags: maps.Clone(r.Tags)}
	made.trust.set(trust, time.Time{}, 0)
	return made, nil
}

// parseTrust reads a trust policy, with the service's limit of length.
func parseTrust(text string) (*iam.Policy, *apiError) {
	p, err := iam.Parse(iam.Trust, text, maxTrustPolicy)
	if err != nil {
		return nil, &apiError{400, "MalformedPolicyDocument", err.Error()}
	}
	return p, nil
}

// taken reports whether a role has a name, be it in another case: IAM keeps the
// case and does not go by it. The lock is held.
func (s *Server) taken(name string) bool {
	for other := range s.roles {
		if strings.EqualFold(other, name) {
			return true
		}
	}
	return false
}

// insertRole adds a new role, unless its name is taken (in any case of its
// letters), there are too many, or its trust policy names somebody who is not
// there.
//
// policies are those of AddRole; CreateRole has none. It takes the lock.
//
// Added is called with the lock, before anybody else can change the role.
func (s *Server) insertRole(r *role, policies map[string]string, added func()) *apiError {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken(r.name) {
		return &apiError{409, "EntityAlreadyExists", "Role with name " + r.name + " already exists."}
	}
	if len(s.roles) >= maxRoles {
		return &apiError{409, "LimitExceeded", fmt.Sprintf("Cannot exceed quota for RolesPerAccount: %d", maxRoles)}
	}
	if err := s.checkPrincipals(r.trust.newest()); err != nil {
		return err
	}
	r.created = now
	if len(policies) > 0 {
		r.policies.set(maps.Clone(policies), now, 0)
	}
	s.roles[r.name] = r
	added()
	return nil
}

// withRole authorizes the call for a role and runs f under the lock.
//
// The lock is given up for the authorization, hence the role is looked up once
// more: it may have been deleted meanwhile. Authorization comes before
// existence, as with IAM, so that who may not look learns nothing. The ARN of a
// role that is not there has no path.
func (c *call) withRole(name string, f func(*role) (any, *apiError)) (any, *apiError) {
	c.server.mu.Lock()
	r := c.server.roles[name]
	arn := "arn:aws:iam::" + iam.Account + ":role/" + name
	keys := map[string]string{}
	if r != nil {
		arn = r.arn()
		for k, v := range r.tags {
			keys["aws:resourcetag/"+strings.ToLower(k)] = v
		}
	}
	c.server.mu.Unlock()
	if err := c.authorize(arn, keys); err != nil {
		return nil, err
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	if r = c.server.roles[name]; r == nil {
		return nil, noSuchEntity("The role with name %s cannot be found.", name)
	}
	return f(r)
}

// createRole needs iam:CreateRole on the role that is to be, and for tags
// iam:TagRole as well.
func createRole(c *call, p *params) (any, *apiError) {
	in := Role{
		Name: p.required("RoleName"), Path: p.text("Path"), Trust: p.required("AssumeRolePolicyDocument"), Tags: p.tags(),
		MaxSession: time.Duration(p.number("MaxSessionDuration", 3600, 3600, 43200)) * time.Second,
	}
	description := p.text("Description")
	if !p.done() {
		return nil, p.err
	}
	if in.Path == "" {
		in.Path = "/"
	}
	r, err := newRole(in)
	if err != nil {
		return nil, err
	}
	if err := c.authorize(r.arn(), requestTags(in.Tags)); err != nil {
		return nil, err
	}
	if err := c.authorizeTags("iam:TagRole", r.arn(), in.Tags); err != nil {
		return nil, err
	}
	r.description = description
	made := struct{ Role roleElement }{}
	if err := c.server.insertRole(r, nil, func() { made.Role = r.element() }); err != nil {
		return nil, err
	}
	return made, nil
}

// requestTags are the tags of a request as condition keys
// (aws:RequestTag/NAME).
func requestTags(tags map[string]string) map[string]string {
	keys := map[string]string{}
	for k, v := range tags {
		keys["aws:requesttag/"+strings.ToLower(k)] = v
	}
	return keys
}

// getRole shows the newest trust policy, also while the one before is in force.
func getRole(c *call, p *params) (any, *apiError) {
	name := p.required("RoleName")
	if !p.done() {
		return nil, p.err
	}
	return c.withRole(name, func(r *role) (any, *apiError) {
		return struct{ Role roleElement }{r.element()}, nil
	})
}

// listRoles returns all roles below a path at once, in the order of their
// names.
//
// IsTruncated is never true; Marker and MaxItems are refused as not
// implemented.
func listRoles(c *call, p *params) (any, *apiError) {
	prefix := p.text("PathPrefix")
	if !p.done() {
		return nil, p.err
	}
	if err := c.authorize("arn:aws:iam::"+iam.Account+":role"+cmp.Or(prefix, "/"), nil); err != nil {
		return nil, err
	}
	var out struct {
		IsTruncated bool
		Roles       struct {
			Member []roleElement `xml:"member"`
		}
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(c.server.roles)) {
		if r := c.server.roles[name]; strings.HasPrefix(r.path, prefix) {
			out.Roles.Member = append(out.Roles.Member, r.element())
		}
	}
	return out, nil
}

// deleteRole refuses to while the role has policies. Sessions of it go on until
// they end, as with IAM.
func deleteRole(c *call, p *params) (any, *apiError) {
	name := p.required("RoleName")
	if !p.done() {
		return nil, p.err
	}
	return c.withRole(name, func(r *role) (any, *apiError) {
		if len(r.policies.newest()) > 0 {
			return nil, &apiError{409, "DeleteConflict", "Cannot delete entity, must delete policies first."}
		}
		delete(c.server.roles, name)
		return nil, nil
	})
}

// updateAssumeRolePolicy replaces the trust policy, in force after the server's
// PolicyDelay. A principal of this account that does not exist is refused, as
// IAM does.
func updateAssumeRolePolicy(c *call, p *params) (any, *apiError) {
	name, text := p.required("RoleName"), p.required("PolicyDocument")
	if !p.done() {
		return nil, p.err
	}
	trust, err := parseTrust(text)
	if err != nil {
		return nil, err
	}
	return c.withRole(name, func(r *role) (any, *apiError) {
		if err := c.server.checkPrincipals(trust); err != nil {
			return nil, err
		}
		r.trustText = text
		r.trust.set(trust, c.now, c.server.delay)
		return nil, nil
	})
}

// tagRole adds tags, up to 50 in all.
func tagRole(c *call, p *params) (any, *apiError) {
	name, tags := p.required("RoleName"), p.tags()
	if !p.done() {
		return nil, p.err
	}
	return c.withRole(name, func(r *role) (any, *apiError) {
		all := map[string]string{}
		maps.Copy(all, r.tags)
		maps.Copy(all, tags)
		if len(all) > 50 {
			return nil, &apiError{409, "LimitExceeded", "Cannot exceed quota for TagsPerRole: 50"}
		}
		r.tags = all
		return nil, nil
	})
}

// untagRole takes tags away by their keys, with regard to case; one that is not
// there is no error.
func untagRole(c *call, p *params) (any, *apiError) {
	name, keys := p.required("RoleName"), p.list("TagKeys")
	if !p.done() {
		return nil, p.err
	}
	return c.withRole(name, func(r *role) (any, *apiError) {
		all := maps.Clone(r.tags)
		for _, k := range keys {
			delete(all, k)
		}
		r.tags = all
		return nil, nil
	})
}

// listRoleTags returns all tags at once, sorted by key.
func listRoleTags(c *call, p *params) (any, *apiError) {
	name := p.required("RoleName")
	if !p.done() {
		return nil, p.err
	}
	return c.withRole(name, func(r *role) (any, *apiError) {
		return struct {
			IsTruncated bool
			Tags        *tagElements
		}{false, elements(r.tags)}, nil
	})
}
