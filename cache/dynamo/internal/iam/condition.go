package iam

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// form is what values of a condition key look like.
type form int

const (
	// text is compared as it is, with or without regard to case.
	text form = iota
	// arn is compared part by part with wildcards; see MatchARN.
	arn
	// boolean is true or false in any case.
	boolean
	// instant is a date of the W3C's profile of ISO 8601, or seconds since
	// 1970.
	instant
	// address is an IPv4 or IPv6 address; a condition gives a range.
	address
	// number is a decimal, compared as a float64 is.
	number
)

// keys are the condition keys that are implemented, by their names in lower
// case: IAM does not tell cases apart. Keys with a part of one's own end in a
// slash.
//
// To add one, give its row here and put its value, by the same name in lower
// case, into what RequestKeys or the calling operation collects. A key with a
// row and without a value is absent from every request: that must be true, or
// never must say so. A key that no row names is refused when a policy is
// parsed.
var keys = map[string]struct {
	name string
	form form

	// never: no request here has the key, since none comes through a VPC
	// endpoint. It is known all the same, for conditions that hold without
	// it.
	never bool
}{
	"aws:currenttime":      {name: "aws:CurrentTime", form: instant},
	"aws:epochtime":        {name: "aws:EpochTime", form: instant},
	"aws:tokenissuetime":   {name: "aws:TokenIssueTime", form: instant},
	"aws:principalarn":     {name: "aws:PrincipalArn", form: arn},
	"aws:principalaccount": {name: "aws:PrincipalAccount"},
	"aws:principaltag/":    {name: "aws:PrincipalTag/NAME"},
	"aws:principaltype":    {name: "aws:PrincipalType"},
	"aws:resourceaccount":  {name: "aws:ResourceAccount"},
	"aws:resourcetag/":     {name: "aws:ResourceTag/NAME"},
	"aws:userid":           {name: "aws:userid"},
	"aws:username":         {name: "aws:username"},
	"aws:requestedregion":  {name: "aws:RequestedRegion"},
	"aws:securetransport":  {name: "aws:SecureTransport", form: boolean},
	"aws:sourceip":         {name: "aws:SourceIp", form: address},
	"aws:useragent":        {name: "aws:UserAgent"},
	"aws:viaawsservice":    {name: "aws:ViaAWSService", form: boolean},
	"aws:sourcevpc":        {name: "aws:SourceVpc", never: true},
	"aws:sourcevpce":       {name: "aws:SourceVpce", never: true},
	"aws:requesttag/":      {name: "aws:RequestTag/NAME"},

	"sts:rolesessionname":       {name: "sts:RoleSessionName"},
	"sts:externalid":            {name: "sts:ExternalId"},
	"sts:identitytokenaudience": {name: "sts:IdentityTokenAudience"},
	"sts:durationseconds":       {name: "sts:DurationSeconds", form: number},
	"sts:signingalgorithm":      {name: "sts:SigningAlgorithm"},
	"kms:signingalgorithm":      {name: "kms:SigningAlgorithm"},
	"kms:messagetype":           {name: "kms:MessageType"},
	"kms:requestalias":          {name: "kms:RequestAlias"},
}

// lookup finds a key's row. The part after a slash is the caller's: a tag's
// name.
func lookup(key string) (row struct {
	name  string
	form  form
	never bool
}, ok bool,
) {
	head, tag, slash := strings.Cut(strings.ToLower(key), "/")
	if slash && tag == "" {
		return row, false
	}
	if slash {
		head += "/"
	}
	row, ok = keys[head]
	return row, ok
}

// operators are those that are implemented, with the forms of the keys that
// they go with and how to read and compare a value. Each negated one is the
// opposite of the one that it names.
//
// A row is: the forms of keys that it takes, whether it is negated, what a
// value in the policy has to look like (checked when the policy is parsed, so
// that holds never meets another), and the comparison of a request's value with
// one of the policy's. Negation is applied by condition.holds and not by the
// row, because it turns the OR of several values into an AND.
//
// The operators on sets (ForAllValues:, ForAnyValue:) and BinaryEquals are not
// implemented, and thus refused by name.
var operators = map[string]struct {
	forms []form
	not   bool
	check func(want string) error
	holds func(got, want string) bool
}{
	"StringEquals":              {textual, false, noCheck, func(got, want string) bool { return got == want }},
	"StringNotEquals":           {textual, true, noCheck, func(got, want string) bool { return got == want }},
	"StringEqualsIgnoreCase":    {textual, false, noCheck, strings.EqualFold},
	"StringNotEqualsIgnoreCase": {textual, true, noCheck, strings.EqualFold},
	"StringLike":                {textual, false, noCheck, func(got, want string) bool { return Glob(want, got) }},
	"StringNotLike":             {textual, true, noCheck, func(got, want string) bool { return Glob(want, got) }},
	"ArnEquals":                 {[]form{arn}, false, checkPattern, func(got, want string) bool { return MatchARN(want, got) }},
	"ArnNotEquals":              {[]form{arn}, true, checkPattern, func(got, want string) bool { return MatchARN(want, got) }},
	"ArnLike":                   {[]form{arn}, false, checkPattern, func(got, want string) bool { return MatchARN(want, got) }},
	"ArnNotLike":                {[]form{arn}, true, checkPattern, func(got, want string) bool { return MatchARN(want, got) }},
	"Bool":                      {[]form{boolean}, false, checkBool, strings.EqualFold},
	"Null":                      {anyForm, false, checkBool, nil},
	"IpAddress":                 {[]form{address}, false, checkPrefix, inPrefix},
	"NotIpAddress":              {[]form{address}, true, checkPrefix, inPrefix},
	"NumericEquals":             {[]form{number}, false, checkNumber, numeric(func(c int) bool { return c == 0 })},
	"NumericNotEquals":          {[]form{number}, true, checkNumber, numeric(func(c int) bool { return c == 0 })},
	"NumericLessThan":           {[]form{number}, false, checkNumber, numeric(func(c int) bool { return c < 0 })},
	"NumericLessThanEquals":     {[]form{number}, false, checkNumber, numeric(func(c int) bool { return c <= 0 })},
	"NumericGreaterThan":        {[]form{number}, false, checkNumber, numeric(func(c int) bool { return c > 0 })},
	"NumericGreaterThanEquals":  {[]form{number}, false, checkNumber, numeric(func(c int) bool { return c >= 0 })},
	"DateEquals":                {[]form{instant}, false, checkDate, date(func(c int) bool { return c == 0 })},
	"DateNotEquals":             {[]form{instant}, true, checkDate, date(func(c int) bool { return c == 0 })},
	"DateLessThan":              {[]form{instant}, false, checkDate, date(func(c int) bool { return c < 0 })},
	"DateLessThanEquals":        {[]form{instant}, false, checkDate, date(func(c int) bool { return c <= 0 })},
	"DateGreaterThan":           {[]form{instant}, false, checkDate, date(func(c int) bool { return c > 0 })},
	"DateGreaterThanEquals":     {[]form{instant}, false, checkDate, date(func(c int) bool { return c >= 0 })},
}

var (
	textual = []form{text, arn, boolean, address}
	anyForm = []form{text, arn, boolean, instant, address, number}
)

// condition is one operator on one key.
type condition struct {
	operator string // without IfExists
	ifExists bool
	key      string // in lower case
	// wants are the values as text, each checked by the operator's row; at
	// least one.
	wants []string
}

// parseConditions reads a Condition: operators, each with keys, each with
// values. They are sorted, so that the first error is always the same. A key
// that comes twice, in two cases, is refused: JSON would keep one of them.
func parseConditions(v any) (all []condition, err error) {
	ops, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("Condition is %s; want an object", show(v))
	}
	for _, op := range slices.Sorted(maps.Keys(ops)) {
		pairs, ok := ops[op].(map[string]any)
		if !ok || len(pairs) == 0 {
			return nil, fmt.Errorf("condition %s is %s; want an object of keys", op, show(ops[op]))
		}
		seen := map[string]bool{}
		for _, key := range slices.Sorted(maps.Keys(pairs)) {
			c, err := parseCondition(op, key, pairs[key])
			if err == nil && seen[c.key] {
				err = errors.New("the key comes twice, in two cases")
			}
			if err != nil {
				return nil, fmt.Errorf("condition %s on %s: %w", op, key, err)
			}
			seen[c.key] = true
			all = append(all, c)
		}
	}
	return all, nil
}

// parseCondition refuses what it cannot evaluate, an operator, a key or a
// policy variable: a condition that is ignored would make a Deny that never
// applies.
func parseCondition(op, key string, v any) (condition, error) {
	name, ifExists := strings.CutSuffix(op, "IfExists")
	row, ok := operators[name]
	if !ok || ifExists && name == "Null" {
		return condition{}, fmt.Errorf("the operator is not implemented; want one of %s", strings.Join(slices.Sorted(maps.Keys(operators)), ", "))
	}
	known, ok := lookup(key)
	if !ok {
		return condition{}, fmt.Errorf("the key is not implemented; want one of %s", strings.Join(keyNames(), ", "))
	}
	if !slices.Contains(row.forms, known.form) {
		return condition{}, errors.New("the operator does not go with the values of this key")
	}
	if known.never && !row.not && !ifExists && name != "Null" {
		return condition{}, errors.New("no request here comes through a VPC endpoint, so this could never hold")
	}
	wants, err := scalars(v)
	if err != nil {
		return condition{}, err
	}
	for _, want := range wants {
		if err := noVariable("the value", want); err != nil {
			return condition{}, err
		}
		if err := row.check(want); err != nil {
			return condition{}, err
		}
	}
	return condition{name, ifExists, strings.ToLower(key), wants}, nil
}

// keyNames are the condition keys that can be evaluated, for error messages.
func keyNames() []string {
	var names []string
	for _, k := range keys {
		names = append(names, k.name)
	}
	slices.Sort(names)
	return names
}

// scalars reads text, a number or a boolean, or a list of these that is not
// empty.
func scalars(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var all []string
	for _, e := range list {
		switch e := e.(type) {
		case string:
			all = append(all, e)
		case fmt.Stringer: // json.Number
			all = append(all, e.String())
		case bool:
			all = append(all, fmt.Sprint(e))
		default:
			return nil, fmt.Errorf("the value is %s; want text", show(e))
		}
	}
	if len(all) == 0 {
		return nil, errors.New("the list of values is empty")
	}
	return all, nil
}

// hold joins operators and keys with AND, a key's values with OR; a negated
// operator holds if none of its values fits.
func hold(conditions []condition, keys map[string]string) bool {
	for _, c := range conditions {
		if !c.holds(keys) {
			return false
		}
	}
	return true
}

// holds follows IAM's rules for keys that a request lacks: a negated operator
// holds, …IfExists holds, others do not, and Null asks just that. Of several
// values one is enough, for a negated operator none may be met.
//
// The table, for a key that the request has: one value fits, and the operator
// is not negated; or none fits, and it is. For one that it has not: negated
// operators and …IfExists are met, Null with "true" is, all others are not.
// That is why a Deny with a plain operator on an absent key denies nothing,
// which surprises people.
func (c condition) holds(keys map[string]string) bool {
	got, present := keys[c.key]
	op := operators[c.operator]
	switch {
	case c.operator == "Null":
		return slices.ContainsFunc(c.wants, func(want string) bool { return strings.EqualFold(want, "true") != present })
	case !present:
		return c.ifExists || op.not
	}
	return op.not != slices.ContainsFunc(c.wants, func(want string) bool { return op.holds(got, want) })
}

func noCheck(string) error { return nil }

// checkPattern wants * or something that begins like an ARN: a pattern of
// another form would match nothing, for ever.
func checkPattern(want string) error {
	if want == "*" || strings.HasPrefix(want, "arn:") {
		return nil
	}
	return fmt.Errorf("%.100q is not an ARN", want)
}

// checkBool wants true or false, in any case.
func checkBool(want string) error {
	if strings.EqualFold(want, "true") || strings.EqualFold(want, "false") {
		return nil
	}
	return fmt.Errorf("%.100q is neither true nor false", want)
}

// checkDate wants what parseDate reads.
func checkDate(want string) error {
	_, err := parseDate(want)
	return err
}

// date compares times, given in RFC 3339 or as seconds since 1970, by the
// result of a comparison.
func date(holds func(int) bool) func(got, want string) bool {
	return func(got, want string) bool {
		w, err := parseDate(want)
		if err != nil { // Parse has refused it
			return false
		}
		g, err := parseDate(got)
		return err == nil && holds(g.Compare(w))
	}
}

// dateLayouts are the W3C profile of ISO 8601, which IAM takes. Parse reads a
// fraction of a second with each of them.
var dateLayouts = []string{time.RFC3339, "2006-01-02T15:04Z07:00", time.DateOnly, "2006-01", "2006"}

var epoch = regexp.MustCompile(`^-?[0-9]{5,12}$`)

// parseDate reads a date, or seconds since 1970.
//
// The layouts come first, as "2026" is a year; a number of five digits or more
// is an epoch. IAM says the same: dates have a four-digit year.
func parseDate(s string) (time.Time, error) {
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	if epoch.MatchString(s) {
		var sec int64
		_, err := fmt.Sscan(s, &sec)
		return time.Unix(sec, 0), err
	}
	return time.Time{}, fmt.Errorf("%.100q is not a date like 2026-11-23T09:42:27Z", s)
}

// checkNumber wants what strconv.ParseFloat reads; its NaN is taken, and is
// less than any number.
func checkNumber(want string) error {
	if _, err := strconv.ParseFloat(want, 64); err != nil {
		return fmt.Errorf("%.100q is not a number", want)
	}
	return nil
}

// numeric compares numbers by the result of a comparison.
func numeric(holds func(int) bool) func(got, want string) bool {
	return func(got, want string) bool {
		w, err := strconv.ParseFloat(want, 64)
		if err != nil { // Parse has refused it
			return false
		}
		g, err := strconv.ParseFloat(got, 64)
		return err == nil && holds(cmp.Compare(g, w))
	}
}

// checkPrefix wants an address or a range in CIDR notation, IPv4 or IPv6.
func checkPrefix(want string) error {
	if _, err := prefix(want); err != nil {
		return fmt.Errorf("%.100q is neither an address nor a range like 203.0.113.0/24", want)
	}
	return nil
}

// prefix is an address range; a single address is the range of itself.
func prefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.Prefix(addr.BitLen())
	}
	return netip.ParsePrefix(s)
}

// inPrefix reports whether an address is in a range, IPv4 also in its form in
// IPv6.
func inPrefix(got, want string) bool {
	p, err := prefix(want)
	if err != nil { // Parse has refused it
		return false
	}
	addr, err := netip.ParseAddr(got)
	return err == nil && p.Contains(addr.Unmap())
}
