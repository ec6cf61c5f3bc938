package iam

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// Kind says what a policy is attached to: what it may contain depends on that.
type Kind int

const (
	// Identity is a policy of a user or a role, or of a session.
	Identity Kind = iota
	// Resource is a policy of a table or a key: its statements name
	// principals.
	Resource
	// Trust is a role's trust policy: it names principals and no resource,
	// since that is the role itself.
	Trust
)

// A Policy is a document that has been read and can be evaluated as a whole.
type Policy struct {
	statements []statement
}

// Principals are the ARNs that the policy names, each once, in its order.
func (p *Policy) Principals() (arns []string) {
	for _, s := range p.statements {
		for _, name := range s.principals {
			if strings.HasPrefix(name, "arn:") && !slices.Contains(arns, name) {
				arns = append(arns, name)
			}
		}
	}
	return arns
}

type statement struct {
	// sid is unique in the document; "" if the statement has none. It is
	// shown in Decision.Why.
	sid        string
	deny       bool
	principals []string // of a resource policy: * or ARNs
	// actions and resources are patterns. With notAction or notResource the
	// statement is about all that none of them matches, which is broader
	// than it looks.
	actions     []string // in lower case
	notAction   bool
	resources   []string
	notResource bool
	// conditions must all hold.
	conditions []condition
}

// Parse reads a document of at most limit bytes (0: any length). The error
// says which statement and member it is about, and what is implemented.
//
// Everything is checked now and nothing while a request waits: the result is
// immutable, safe for concurrent use, and evaluated without errors. The JSON is
// read by decode, which is stricter than encoding/json about members that come
// twice.
//
// The limits of length belong to the caller, as each service has its own: 2,048
// bytes for session policies, 4,096 for trust policies, 20 KiB for a table's,
// 32 KiB for a key's.
func Parse(kind Kind, document string, limit int) (*Policy, error) {
	if limit > 0 && len(document) > limit {
		return nil, fmt.Errorf("policy: %d bytes, the limit is %d", len(document), limit)
	}
	// First the shape: one object, with members that are known.
	root, err := decode(document)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	doc, err := object(root, "the document", "Version", "Id", "Statement")
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	if v, _ := doc["Version"].(string); v != "2012-10-17" && v != "2008-10-17" {
		return nil, fmt.Errorf("policy: Version is %s; IAM knows \"2012-10-17\" and \"2008-10-17\"", show(doc["Version"]))
	}
	if id, ok := doc["Id"]; ok {
		if _, isText := id.(string); !isText {
			return nil, fmt.Errorf("policy: Id is %s; want text", show(id))
		}
	}
	// A single statement may stand without a list around it.
	list, isList := doc["Statement"].([]any)
	if one, ok := doc["Statement"].(map[string]any); ok {
		list, isList = []any{one}, true
	}
	if !isList || len(list) == 0 {
		return nil, fmt.Errorf("policy: Statement is %s; want one statement or a list of them", show(doc["Statement"]))
	}
	p := new(Policy)
	sids := map[string]bool{}
	for i, raw := range list {
		s, err := parseStatement(kind, raw)
		if err == nil && s.sid != "" && sids[s.sid] {
			err = errors.New("the Sid is taken by a statement before it")
		}
		if err != nil {
			return nil, fmt.Errorf("policy: statement %d (Sid %q): %w", i+1, s.sid, err)
		}
		sids[s.sid] = true
		p.statements = append(p.statements, s)
	}
	return p, nil
}

var (
	// IAM takes letters and digits; resource policies, spaces and two signs
	// as well.
	identitySid = regexp.MustCompile(`^[A-Za-z0-9]*$`)
	resourceSid = regexp.MustCompile(`^[A-Za-z0-9 _-]*$`)
	service     = regexp.MustCompile(`^[A-Za-z0-9-]+$`)
	actionName  = regexp.MustCompile(`^[A-Za-z0-9*?]+$`)
)

// parseStatement reads one statement. Which members there may be depends on the
// kind of the document: an identity policy has no Principal, a trust policy no
// Resource. An unknown member is refused, as a misspelt Condition would make
// the statement broader than it was meant.
func parseStatement(kind Kind, raw any) (s statement, err error) {
	members := []string{"Sid", "Effect", "Action", "NotAction", "Condition"}
	if kind != Trust {
		members = append(members, "Resource", "NotResource")
	}
	if kind != Identity {
		members = append(members, "Principal")
	}
	m, err := object(raw, "the statement", members...)
	if err != nil {
		return s, err
	}
	if sid, ok := m["Sid"]; ok {
		text, isText := sid.(string)
		s.sid = text
		form := identitySid
		if kind == Resource {
			form = resourceSid
		}
		if !isText || !form.MatchString(text) {
			return s, fmt.Errorf("Sid is %s; want text of the form %s", show(sid), form)
		}
	}
	switch m["Effect"] {
	case "Allow":
	case "Deny":
		s.deny = true
	default:
		return s, fmt.Errorf("Effect is %s; want \"Allow\" or \"Deny\"", show(m["Effect"]))
	}
	if s.actions, s.notAction, err = either(m, "Action", "NotAction", checkAction); err != nil {
		return s, err
	}
	for i, a := range s.actions {
		s.actions[i] = strings.ToLower(a)
	}
	s.resources = []string{"*"}
	if kind != Trust {
		if s.resources, s.notResource, err = either(m, "Resource", "NotResource", checkARN); err != nil {
			return s, err
		}
	}
	if kind != Identity {
		if s.principals, err = parsePrincipals(kind, m["Principal"]); err != nil {
			return s, err
		}
	}
	// Conditions are optional; an empty object of them holds always.
	if c, ok := m["Condition"]; ok {
		s.conditions, err = parseConditions(c)
	}
	return s, err
}

// either reads a member or its negation: exactly one must be there.
//
// The values are checked one by one, in their order, by check; the first error
// wins. A NotAction that was read as an Action would turn the policy's meaning
// around, hence a document with both is refused.
func either(m map[string]any, name, not string, check func(string) error) (list []string, negated bool, err error) {
	one, has := m[name]
	other, hasNot := m[not]
	if has == hasNot {
		return nil, false, fmt.Errorf("want exactly one of %s and %s", name, not)
	}
	if hasNot {
		name, one = not, other
	}
	list, err = texts(one, name)
	for _, text := range list {
		if err == nil {
			err = noVariable(name, text)
		}
		if err == nil {
			err = check(text)
		}
	}
	return list, hasNot, err
}

// texts reads text or a list of it that is not empty.
func texts(v any, what string) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var all []string
	for _, e := range list {
		text, ok := e.(string)
		if !ok || text == "" {
			return nil, fmt.Errorf("%s has %s; want text", what, show(e))
		}
		all = append(all, text)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s is an empty list", what)
	}
	return all, nil
}

// noVariable refuses policy variables (${aws:username}), which are not
// implemented.
func noVariable(what, text string) error {
	if i := strings.Index(text, "${"); i >= 0 {
		return fmt.Errorf("%s %q: policy variables are not implemented, and this has %s", what, text, text[i:])
	}
	return nil
}

// checkAction wants * or service:Name, and of DynamoDB's actions one that
// exists.
func checkAction(a string) error {
	prefix, name, ok := strings.Cut(a, ":")
	if a == "*" || ok && actionName.MatchString(name) && service.MatchString(prefix) {
		return checkKnown(a)
	}
	return fmt.Errorf("action %.80q is neither * nor of the form service:Name (letters and digits; wildcards in Name only)", a)
}

// checkARN wants * or an ARN, and for DynamoDB one that can be a table's.
//
// Something else than a table in an ARN of DynamoDB is a mistake that would
// make the statement silent. ARNs of other services pass: a role's policy is
// about more than tables.
func checkARN(r string) error {
	if i := strings.IndexFunc(r, func(c rune) bool { return c <= ' ' || c > '~' }); i >= 0 {
		return fmt.Errorf("resource %.200q has a character at %d that is in no ARN", r, i)
	}
	if r == "*" || strings.HasPrefix(r, "arn:") {
		parts := strings.SplitN(r, ":", 6)
		if len(parts) == 6 && parts[2] == "dynamodb" {
			kind, name, _ := strings.Cut(parts[5], "/")
			known := name != "" && (Glob(kind, "table") || Glob(kind, "global-table"))
			if !known && !strings.Contains(kind, "*") {
				return fmt.Errorf("resource %.200q is none of DynamoDB's, table/NAME or global-table/NAME, so the statement would never apply", r)
			}
		}
		return nil
	}
	return fmt.Errorf("resource %.200q is neither * nor an ARN", r)
}

// parsePrincipals reads "*", {"AWS": "*"} or {"AWS": ARN...}, and in a trust
// policy {"Service": NAME...}.
//
// An account (twelve digits) is the same as its root, and stands for everybody
// in it whom identity policies let in. A wildcard within an ARN is refused, as
// IAM does: only "*" alone is one. Services are kept with a prefix that no ARN
// has, so that they match nobody.
func parsePrincipals(kind Kind, v any) ([]string, error) {
	if v == "*" {
		return []string{"*"}, nil
	}
	if v == nil {
		return nil, errors.New("Principal is missing: a resource's policy names who it is about")
	}
	known := []string{"AWS"}
	if kind == Trust {
		known = append(known, "Service")
	}
	m, err := object(v, "Principal", known...)
	if err != nil {
		return nil, err
	}
	if len(m) > 1 {
		return nil, errors.New("Principal has AWS and Service, which is not implemented; want a statement for each")
	}
	if _, ok := m["Service"]; ok {
		services, err := texts(m["Service"], "Principal Service")
		for i, s := range services {
			if services[i] = "service " + s; !strings.HasSuffix(s, ".amazonaws.com") {
				return nil, fmt.Errorf("Principal Service has %q; want the name of a service such as ec2.amazonaws.com", s)
			}
		}
		return services, err // no service calls here: this concerns nobody
	}
	list, err := texts(m["AWS"], "Principal AWS")
	for i, p := range list {
		switch {
		case len(p) == 12 && strings.Trim(p, "0123456789") == "":
			list[i] = "arn:aws:iam::" + p + ":root"
		case p == "*":
		case strings.HasPrefix(p, "arn:") && strings.Count(p, ":") >= 5 && !strings.ContainsAny(p, "*?"):
		default:
			return nil, fmt.Errorf("Principal AWS has %q; want *, an account or an ARN without wildcards", p)
		}
	}
	return list, err
}

// object is v as an object with no members but those that are known. Names are
// compared exactly, as IAM does.
func object(v any, what string, known ...string) (map[string]any, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s is %s; want an object", what, show(v))
	}
	var odd []string
	for name := range m {
		if !slices.Contains(known, name) {
			odd = append(odd, name)
		}
	}
	if len(odd) > 0 {
		slices.Sort(odd)
		return nil, fmt.Errorf("%s has the member %q, which is not implemented; want %s", what, odd[0], strings.Join(known, ", "))
	}
	return m, nil
}

// show is a value for an error message, cut to a length that can be read.
func show(v any) string {
	b, err := json.Marshal(v)
	if err != nil || v == nil {
		return "missing"
	}
	if len(b) > 60 {
		return strings.ToValidUTF8(string(b[:60]), "") + "…"
	}
	return string(b)
}

// maxDepth bounds how deep a document may nest: IAM's own need four levels.
const maxDepth = 16

// decode reads exactly one JSON value. Unlike encoding/json it refuses an
// object with a member twice.
func decode(document string) (any, error) {
	dec := json.NewDecoder(strings.NewReader(document))
	dec.UseNumber()
	v, err := decodeValue(dec, maxDepth)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if rest := strings.TrimSpace(document[dec.InputOffset():]); rest != "" {
		return nil, errors.New("there is text after the JSON value")
	}
	return v, nil
}

// decodeValue decodes as encoding/json does into an any, but refuses members
// that come twice, of which that would keep the last, and deep nesting.
//
// depth is what may still be nested; at 0 the document is refused, so that a
// hostile one cannot exhaust the stack. Numbers stay as text (json.Number), for
// conditions are compared as text first.
func decodeValue(dec *json.Decoder, depth int) (any, error) {
	t, err := dec.Token()
	if err != nil {
		return nil, err
	}
	if depth == 0 {
		return nil, fmt.Errorf("it is nested deeper than %d levels", maxDepth)
	}
	switch t {
	case json.Delim('{'):
		m := map[string]any{}
		for dec.More() {
			t, err := dec.Token()
			if err != nil {
				return nil, err
			}
			name, _ := t.(string) // the decoder lets nothing else pass
			if _, twice := m[name]; twice {
				return nil, fmt.Errorf("the member %q comes twice", name)
			}
			if m[name], err = decodeValue(dec, depth-1); err != nil {
				return nil, err
			}
		}
		_, err = dec.Token()
		return m, err
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := decodeValue(dec, depth-1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = dec.Token()
		return list, err
	}
	return t, nil
}
