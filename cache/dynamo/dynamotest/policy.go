package dynamotest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A policy is an IAM identity policy. Evaluation: an explicit deny wins over
// any allow, and what nothing allows is denied ("Policy evaluation logic" in
// the IAM user guide).
type policy struct {
	Version   string
	ID        string `json:"Id"`
	Statement oneOrMore[statement]
}

type statement struct {
	Sid         string
	Effect      string
	Action      oneOrMore[string]
	NotAction   oneOrMore[string]
	Resource    oneOrMore[string]
	NotResource oneOrMore[string]
	Condition   map[string]map[string]oneOrMore[scalarText]
}

// oneOrMore is a member that may be a single value or a list of them.
type oneOrMore[T any] []T

func (o *oneOrMore[T]) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		return strictJSON(data, (*[]T)(o))
	}
	var one T
	if err := strictJSON(data, &one); err != nil {
		return err
	}
	*o = []T{one}
	return nil
}

// scalarText is a condition's value: text, or a bare number or boolean.
type scalarText string

func (s *scalarText) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, (*string)(s))
	}
	*s = scalarText(data)
	return nil
}

func strictJSON(data []byte, into any) error {
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if dec.More() {
		return errors.New("there is text after the JSON value")
	}
	return nil
}

// parsePolicy refuses what it could not evaluate: a policy that means
// something else here than at AWS would be worse than none.
func parsePolicy(document string) (*policy, error) {
	p := new(policy)
	if err := strictJSON([]byte(document), p); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	if p.Version != "2012-10-17" && p.Version != "2008-10-17" {
		return nil, fmt.Errorf("policy: Version is %q; IAM knows 2012-10-17 and 2008-10-17", p.Version)
	}
	if len(p.Statement) == 0 {
		return nil, errors.New("policy: it has no Statement")
	}
	for i := range p.Statement {
		if err := p.Statement[i].check(); err != nil {
			return nil, fmt.Errorf("policy: statement %d (Sid %q): %w", i+1, p.Statement[i].Sid, err)
		}
	}
	return p, nil
}

func (s *statement) check() error {
	if s.Effect != "Allow" && s.Effect != "Deny" {
		return fmt.Errorf("Effect is %q; want Allow or Deny", s.Effect)
	}
	if (len(s.Action) == 0) == (len(s.NotAction) == 0) {
		return errors.New("want exactly one of Action and NotAction")
	}
	if (len(s.Resource) == 0) == (len(s.NotResource) == 0) {
		return errors.New("want exactly one of Resource and NotResource")
	}
	for _, a := range slices.Concat(s.Action, s.NotAction) {
		if a != "*" && !strings.Contains(a, ":") {
			return fmt.Errorf("action %q has no service prefix", a)
		}
	}
	for _, r := range slices.Concat(s.Resource, s.NotResource) {
		if r != "*" && strings.Count(r, ":") < 5 {
			return fmt.Errorf("resource %q is neither * nor an ARN", r)
		}
	}
	for op, keys := range s.Condition {
		test, ok := operators[strings.TrimSuffix(op, "IfExists")]
		if !ok {
			return fmt.Errorf("dynamotest does not evaluate the condition operator %q", op)
		}
		for key, wants := range keys {
			for _, want := range wants {
				if _, err := test("", string(want)); err != nil {
					return fmt.Errorf("condition %s %s: %w", op, key, err)
				}
			}
		}
	}
	return nil
}

// access is a request as policies see it.
type access struct {
	action   string
	resource string
	keys     map[string]string // condition keys, in lower case
}

type verdict int

const (
	implicitDeny verdict = iota
	allow
	explicitDeny
)

func evaluate(policies []*policy, a access) verdict {
	v := implicitDeny
	for _, p := range policies {
		for i := range p.Statement {
			switch s := &p.Statement[i]; {
			case !s.applies(a):
			case s.Effect == "Deny":
				return explicitDeny
			default:
				v = allow
			}
		}
	}
	return v
}

func (s *statement) applies(a access) bool {
	action := func(g string) bool { return glob(strings.ToLower(g), strings.ToLower(a.action)) }
	resource := func(g string) bool { return glob(g, a.resource) }
	return (slices.ContainsFunc(s.Action, action) || s.NotAction != nil && !slices.ContainsFunc(s.NotAction, action)) &&
		(slices.ContainsFunc(s.Resource, resource) || s.NotResource != nil && !slices.ContainsFunc(s.NotResource, resource)) &&
		s.conditionsHold(a)
}

// conditionsHold joins operators and keys with AND, a key's values with OR
// (with AND for the operators that negate).
func (s *statement) conditionsHold(a access) bool {
	for op, keys := range s.Condition {
		name, ifExists := strings.CutSuffix(op, "IfExists")
		for key, wants := range keys {
			if !conditionHolds(name, ifExists, wants, a, key) {
				return false
			}
		}
	}
	return true
}

func conditionHolds(op string, ifExists bool, wants []scalarText, a access, key string) bool {
	got, present := a.keys[strings.ToLower(key)]
	negated := strings.Contains(op, "Not")
	switch {
	case op == "Null":
		return slices.Contains(wants, scalarText(strconv.FormatBool(!present)))
	case !present:
		return ifExists || negated
	}
	test := func(want scalarText) bool {
		ok, _ := operators[op](got, string(want)) // check has refused bad values
		return ok
	}
	if negated {
		return !slices.ContainsFunc(wants, func(w scalarText) bool { return !test(w) })
	}
	return slices.ContainsFunc(wants, test)
}

// operators are the condition operators that are evaluated. Each must report
// a malformed want whatever got is.
var operators = map[string]func(got, want string) (bool, error){
	"StringEquals":              func(got, want string) (bool, error) { return got == want, nil },
	"StringNotEquals":           func(got, want string) (bool, error) { return got != want, nil },
	"StringEqualsIgnoreCase":    func(got, want string) (bool, error) { return strings.EqualFold(got, want), nil },
	"StringNotEqualsIgnoreCase": func(got, want string) (bool, error) { return !strings.EqualFold(got, want), nil },
	"StringLike":                func(got, want string) (bool, error) { return glob(want, got), nil },
	"StringNotLike":             func(got, want string) (bool, error) { return !glob(want, got), nil },
	"ArnEquals":                 func(got, want string) (bool, error) { return glob(want, got), nil },
	"ArnNotEquals":              func(got, want string) (bool, error) { return !glob(want, got), nil },
	"ArnLike":                   func(got, want string) (bool, error) { return glob(want, got), nil },
	"ArnNotLike":                func(got, want string) (bool, error) { return !glob(want, got), nil },
	"Bool":                      func(got, want string) (bool, error) { return strings.EqualFold(got, want), nil },
	"Null":                      func(_, want string) (bool, error) { _, err := strconv.ParseBool(want); return false, err },
	"DateEquals":                date(func(c int) bool { return c == 0 }),
	"DateNotEquals":             date(func(c int) bool { return c != 0 }),
	"DateLessThan":              date(func(c int) bool { return c < 0 }),
	"DateLessThanEquals":        date(func(c int) bool { return c <= 0 }),
	"DateGreaterThan":           date(func(c int) bool { return c > 0 }),
	"DateGreaterThanEquals":     date(func(c int) bool { return c >= 0 }),
}

func date(holds func(int) bool) func(got, want string) (bool, error) {
	return func(got, want string) (bool, error) {
		w, err := parseDate(want)
		if err != nil {
			return false, err
		}
		g, err := parseDate(got)
		return err == nil && holds(g.Compare(w)), nil
	}
}

// parseDate reads ISO 8601 in the forms that IAM takes, or epoch seconds.
func parseDate(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	if sec, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(sec, 0), nil
	}
	return time.Time{}, fmt.Errorf("%q is not a date like 2026-11-23T09:42:27Z", s)
}

// glob matches * (any run) and ? (any one character). It goes back to the last
// star only, so that no pattern takes exponential time.
func glob(pattern, s string) bool {
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
