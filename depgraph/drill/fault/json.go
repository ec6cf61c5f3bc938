package fault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ParseRules reads a JSON array of rules. Durations are text, such as "1m30s".
// The error names the rule, counted from 1, and the field, or the line of text
// that is not JSON. Names of members are as they are written here, and each
// comes once.
func ParseRules(data []byte) ([]Rule, error) {
	var raw []json.RawMessage
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("fault: rules: there is nothing; want a list, [] for no rules")
	}
	if err := decode(data, &raw); err != nil {
		if kind := new(json.UnmarshalTypeError); errors.As(err, &kind) {
			err = fmt.Errorf("want a list of rules, [{…}, …], and this is: %s", kind.Value)
		}
		return nil, fmt.Errorf("fault: rules: %w", located(data, err))
	}
	if raw == nil {
		return nil, errors.New("fault: rules: null is no list; want [] for no rules")
	}
	rules := make([]Rule, len(raw))
	for i, text := range raw {
		if err := rules[i].UnmarshalJSON(text); err != nil {
			return nil, fmt.Errorf("fault: rule %d: %w", i+1, err)
		}
		if err := rules[i].Validate(); err != nil {
			return nil, fmt.Errorf("fault: rule %d: %w", i+1, err)
		}
	}
	return rules, nil
}

// ruleJSON is a rule's wire form.
type ruleJSON struct {
	Service     string       `json:"service,omitempty"`
	Region      string       `json:"region,omitempty"`
	Operation   string       `json:"operation,omitempty"`
	Table       string       `json:"table,omitempty"`
	Probability *float64     `json:"probability,omitempty"`
	After       int          `json:"after,omitempty"`
	First       int          `json:"first,omitempty"`
	Every       int          `json:"every,omitempty"`
	From        duration     `json:"from,omitzero"`
	Until       duration     `json:"until,omitzero"`
	Error       *errorJSON   `json:"error,omitempty"`
	Latency     *latencyJSON `json:"latency,omitempty"`
	Net         Kind         `json:"net,omitempty"`
	Bytes       int64        `json:"bytes,omitempty"`
	Bandwidth   int64        `json:"bandwidth,omitempty"`
}

// errorJSON and latencyJSON are APIError and Latency with the names of the wire form.
type errorJSON struct {
	StatusCode int    `json:"statusCode,omitempty"`
	Code       string `json:"code"`
	Message    string `json:"message,omitempty"`
}

type latencyJSON struct {
	Base   duration `json:"base,omitzero"`
	Jitter duration `json:"jitter,omitzero"`
}

// MarshalJSON writes the form that [ParseRules] reads.
func (r Rule) MarshalJSON() ([]byte, error) {
	out := ruleJSON{
		Service: r.Service, Region: r.Region, Operation: r.Operation, Table: r.Table,
		After: r.After, First: r.First, Every: r.Every,
		From: duration(r.From), Until: duration(r.Until),
		Error: (*errorJSON)(r.Error), Latency: latencyToJSON(r.Latency), Net: r.Net, Bytes: r.Bytes, Bandwidth: r.Bandwidth,
	}
	if r.Off || r.Probability != 0 {
		out.Probability = &r.Probability
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads one rule and does not validate it. A field that no rule
// has is an error: it is most likely misspelt.
func (r *Rule) UnmarshalJSON(data []byte) error {
	var in ruleJSON
	if err := decode(data, &in); err != nil {
		return err
	}
	if err := checkMembers(json.NewDecoder(bytes.NewReader(data))); err != nil {
		return err
	}
	*r = Rule{
		Service: in.Service, Region: in.Region, Operation: in.Operation, Table: in.Table,
		After: in.After, First: in.First, Every: in.Every,
		From: time.Duration(in.From), Until: time.Duration(in.Until), Error: (*APIError)(in.Error), Net: in.Net,
		Bytes: in.Bytes, Bandwidth: in.Bandwidth,
	}
	if in.Probability != nil {
		r.Probability, r.Off = *in.Probability, *in.Probability == 0
	}
	if in.Latency != nil {
		r.Latency = &Latency{time.Duration(in.Latency.Base), time.Duration(in.Latency.Jitter)}
	}
	return nil
}

// latencyToJSON keeps a latency that is missing missing.
func latencyToJSON(l *Latency) *latencyJSON {
	if l == nil {
		return nil
	}
	return &latencyJSON{duration(l.Base), duration(l.Jitter)}
}

// duration is text in JSON, such as "1m30s": a bare number would be read as
// nanoseconds by one and as seconds by another.
type duration time.Duration

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalJSON takes what time.ParseDuration does; a number is an error that says so.
func (d *duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf(`%s is not a duration; want text such as "1m30s"`, data)
	}
	parsed, err := time.ParseDuration(text)
	*d = duration(parsed)
	return err
}

// decode reads one value and nothing after it, and refuses members that into does
// not have.
func decode(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if rest := bytes.TrimSpace(data[dec.InputOffset():]); len(rest) > 0 {
		return errors.New("there is text after the JSON value")
	}
	return nil
}

// memberNames are those of rules, errors and latencies, as they are written:
// encoding/json alone would take any case.
var memberNames = []string{
	"service", "region", "operation", "table", "probability", "after", "first", "every", "from", "until", "net",
	"bytes", "bandwidth", "error", "statusCode", "code", "message", "latency", "base", "jitter",
}

// checkMembers reads one value, which must be valid, and refuses a member whose
// name is in another case, or comes twice: the reader would see one of two
// meanings.
func checkMembers(dec *json.Decoder) error {
	t, err := dec.Token()
	if err != nil {
		return err
	}
	open, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	for dec.More() {
		if open == '{' {
			t, err := dec.Token()
			if err != nil {
				return err
			}
			name, _ := t.(string)
			switch {
			case !slices.Contains(memberNames, name):
				return fmt.Errorf("unknown field %q; want one of %s", name, strings.Join(memberNames, ", "))
			case seen[name]:
				return fmt.Errorf("the field %q comes twice", name)
			}
			seen[name] = true
		}
		if err := checkMembers(dec); err != nil {
			return err
		}
	}
	_, err = dec.Token() // the end of open
	return err
}

// located adds the line to an error of JSON's syntax.
func located(data []byte, err error) error {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return err
	}
	before := data[:min(int(syntax.Offset), len(data))]
	return fmt.Errorf("line %d: %w", 1+bytes.Count(before, []byte("\n")), err)
}
