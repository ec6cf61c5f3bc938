package ststest

import (
	"strings"

	"github.com/failopen/failopen/cache/dynamo/internal/iam"
)

// checkPrincipals refuses a policy that names a role or a user of the account
// that is not there, as AWS does: a Deny for a misspelt role would concern
// nobody. The lock is held.
//
// It is asked when a policy is put. A role that is deleted later leaves the
// policy as it is; AWS then shows the role's id in its place.
func (s *Server) checkPrincipals(p *iam.Policy) *apiError {
	for _, arn := range p.Principals() {
		if !s.exists(arn) {
			return &apiError{400, "MalformedPolicyDocument", "Invalid principal in policy: \"AWS\":\"" + arn + "\""}
		}
	}
	return nil
}

// exists reports whether an ARN may be a principal's: what is in other accounts
// cannot be known.
//
// Of an assumed role only the role has to be there: sessions come and go. A
// role has to have the very same ARN, path included.
func (s *Server) exists(arn string) bool {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[4] != iam.Account || parts[5] == "root" {
		return true
	}
	kind, rest, _ := strings.Cut(parts[5], "/")
	switch kind {
	case "role":
		r := s.roles[rest[strings.LastIndexByte(rest, '/')+1:]]
		return r != nil && r.arn() == arn
	case "assumed-role":
		name, _, _ := strings.Cut(rest, "/")
		return s.roles[name] != nil
	}
	return s.principals.Named(arn)
}
