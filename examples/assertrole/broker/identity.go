package broker

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// An identity is what STS says about who signed a request.
type identity struct {
	arn, userID, account string
}

const stsNamespace = "https://sts.amazonaws.com/doc/2011-06-15/"

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 10

// parseIdentity reads STS's answer, and nothing that only looks like it: the
// root, the result and each of its three members must be where they belong, and
// once. An element of the same name elsewhere could be text that the caller has
// chosen.
func parseIdentity(r io.Reader) (identity, error) {
	d := xml.NewDecoder(io.LimitReader(r, maxAnswer))
	var id identity
	fields := map[string]*string{
		"GetCallerIdentityResponse/GetCallerIdentityResult/Arn":     &id.arn,
		"GetCallerIdentityResponse/GetCallerIdentityResult/UserId":  &id.userID,
		"GetCallerIdentityResponse/GetCallerIdentityResult/Account": &id.account,
	}
	known := map[string]bool{
		"GetCallerIdentityResponse":                            true,
		"GetCallerIdentityResponse/GetCallerIdentityResult":    true,
		"GetCallerIdentityResponse/ResponseMetadata":           true,
		"GetCallerIdentityResponse/ResponseMetadata/RequestId": true,
	}
	seen := map[string]bool{}
	var path []string
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) && len(path) == 0 && seen["GetCallerIdentityResponse"] {
			break
		}
		if err != nil {
			return identity{}, fmt.Errorf("the answer is not XML: %w", err)
		}
		at := strings.Join(path, "/")
		switch t := t.(type) {
		case xml.StartElement:
			path = append(path, t.Name.Local)
			at = strings.Join(path, "/")
			if t.Name.Space != stsNamespace || seen[at] || fields[at] == nil && !known[at] {
				return identity{}, fmt.Errorf("the answer has an element that does not belong there")
			}
			seen[at] = true
		case xml.EndElement:
			path = path[:len(path)-1]
		case xml.CharData:
			if into := fields[at]; into != nil {
				*into += string(t)
			}
		case xml.Directive:
			return identity{}, errors.New("the answer has a directive")
		}
	}
	if id.arn == "" || id.userID == "" || id.account == "" {
		return identity{}, errors.New("the answer says not who it was")
	}
	return id, nil
}

// A Role is one that tokens are issued for.
type Role struct {
	// ARN of the role, with its path: it becomes the subject of tokens.
	ARN string

	// UniqueID, if set, is the role's id (AROA...). Without it, a role that
	// was deleted and made again is the same role.
	UniqueID string
}

// parts are the account and the name in the ARN; "" if it is not a role's.
func (r Role) parts() (account, name string) {
	p := strings.SplitN(r.ARN, ":", 6)
	if len(p) != 6 || p[0] != "arn" || p[2] != "iam" || p[3] != "" || !strings.HasPrefix(p[5], "role/") || strings.ContainsAny(r.ARN, "*?") {
		return "", ""
	}
	return p[4], p[5][strings.LastIndexByte(p[5], '/')+1:]
}

// allowed finds the role that an identity is a session of. An assumed role's
// ARN has lost the path, but names are unique within an account; the session's
// name is the caller's own choice, and counts for nothing.
func allowed(roles []Role, id identity) (Role, error) {
	p := strings.SplitN(id.arn, ":", 6)
	if len(p) != 6 || p[0] != "arn" || p[2] != "sts" || p[3] != "" || p[4] != id.account {
		return Role{}, errors.New("the caller is not a role's session")
	}
	session := strings.Split(p[5], "/")
	unique, sessionName, ok := strings.Cut(id.userID, ":")
	if len(session) != 3 || session[0] != "assumed-role" || !ok || sessionName != session[2] || !strings.HasPrefix(unique, "AROA") {
		return Role{}, errors.New("the caller is not a role's session")
	}
	for _, r := range roles {
		account, name := r.parts()
		partition := strings.SplitN(r.ARN, ":", 3)[1]
		if partition == p[1] && account == id.account && name == session[1] {
			if r.UniqueID != "" && r.UniqueID != unique {
				return Role{}, errors.New("a role of that name, but not the same role")
			}
			return r, nil
		}
	}
	return Role{}, errors.New("the role is not on the list")
}
