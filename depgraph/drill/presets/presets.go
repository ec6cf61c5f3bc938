// Package presets has the outages of history, and the faults of every week, as
// data: what happened, where that is told, and the rules that make it happen
// again.
//
// A preset is a small JSON file, and Parse reads one of your own. A drill of it
// runs at full length in virtual time, or scaled down in real time.
package presets

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/failopen/failopen/depgraph/drill/fault"
)

// A Preset is an outage that can be had again.
type Preset struct {
	// Name is that of the file and on the command line, such as
	// "iam-revoked".
	Name string
	// Title says in a few words what happens.
	Title string
	// Facts are what is known; Sources where that is told.
	Facts, Sources []string
	// Dependency is what is cut, by the name that Rules use as Service.
	Dependency string
	// Clock is when it happened, if it did.
	Clock Clock
	// Watch is how long the fault lasts, Recovery how long the service may
	// take when it is over.
	Watch, Recovery time.Duration
	// Rules are the fault. Their windows are counted from its beginning.
	Rules []fault.Rule
}

// Clock is the time of day when an outage began and ended, as its account
// gives it.
type Clock struct {
	Date  string `json:"date"`  // as in 2021-12-07
	Began string `json:"began"` // as in 07:30
	Ended string `json:"ended"` // as in 14:22
	Zone  string `json:"zone"`  // as in PST
}

// file is the JSON form. Rules are read by package fault, whose errors name the
// rule and its member; durations are text, as Go writes them.
type file struct {
	Version    int             `json:"version"`
	Name       string          `json:"name"`
	Title      string          `json:"title"`
	Facts      []string        `json:"facts"`
	Sources    []string        `json:"sources"`
	Dependency string          `json:"dependency"`
	Clock      *Clock          `json:"clock,omitempty"`
	Watch      string          `json:"watch"`
	Recovery   string          `json:"recovery"`
	Rules      json.RawMessage `json:"rules"`
}

var nameForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// Parse reads a preset. An unknown member is an error, since a misspelt "until"
// would make an outage of another length. All that is wrong is said at once; the
// error names the field, its value and what was expected, or the line of text that
// is not JSON.
func Parse(data []byte) (Preset, error) {
	var f file
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		at := dec.InputOffset()
		var syntax *json.SyntaxError
		switch {
		case errors.As(err, &syntax): // the decoder stands before the value then
			at = syntax.Offset
		case errors.Is(err, io.ErrUnexpectedEOF):
			at = int64(len(data))
		}
		line := 1 + bytes.Count(data[:min(int(at), len(data))], []byte("\n"))
		return Preset{}, fmt.Errorf("preset: line %d: %w", line, err)
	}
	if rest := bytes.TrimSpace(data[dec.InputOffset():]); len(rest) > 0 {
		return Preset{}, errors.New("preset: there is text after the JSON value")
	}
	p := Preset{Name: f.Name, Title: f.Title, Facts: f.Facts, Sources: f.Sources, Dependency: f.Dependency}
	if f.Clock != nil {
		p.Clock = *f.Clock
	}
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("preset %q: "+format, append([]any{f.Name}, args...)...))
		}
	}
	check(f.Version == 1, "version is %d; want 1", f.Version)
	check(nameForm.MatchString(f.Name), "name: want lower-case words joined by -")
	check(f.Title != "", "title is missing")
	check(len(f.Facts) > 0, "facts are missing: say what happens")
	check(f.Dependency != "", "dependency is missing: say what is cut")
	p.Watch = duration(f.Watch, "watch", 24*time.Hour, check)
	p.Recovery = duration(f.Recovery, "recovery", time.Hour, check)
	rules, err := fault.ParseRules(f.Rules)
	check(err == nil, "%v", err)
	check(err != nil || len(rules) > 0, "rules are missing")
	for i, r := range rules {
		check(r.From < p.Watch, "rule %d: from: %v is not before the end of the watch, %v", i+1, r.From, p.Watch)
		check(!r.Off, "rule %d: it is off, and would hit nothing", i+1)
	}
	p.Rules = rules
	return p, errors.Join(errs...)
}

// duration reads one that must be there, more than zero, and at most most: a watch
// of zero would be the default of an experiment, not of the outage.
func duration(s, field string, most time.Duration, check func(bool, string, ...any)) time.Duration {
	d, err := time.ParseDuration(s)
	check(err == nil && d > 0 && d <= most, "%s is %q; want a duration such as \"7h\", at most %v", field, s, most)
	return d
}

// data are the presets of the library. To add one, add a file: its name is the
// preset's, and TestPresets then runs it through both reference services.
//
//go:embed data/*.json
var data embed.FS

// load reads all presets anew, by name: what a caller does to the rules of one, or
// to what they point to, is then done to nobody else's.
func load() ([]Preset, error) {
	names, err := fs.Glob(data, "data/*.json")
	if err != nil {
		return nil, err
	}
	var all []Preset
	for _, name := range names {
		text, err := data.ReadFile(name)
		if err != nil {
			return nil, err
		}
		p, err := Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Preset) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// All are the presets that come with the library, by name. They are the caller's,
// to change. It panics if a file of this package cannot be read, which its tests
// keep from happening.
func All() []Preset {
	all, err := load()
	if err != nil {
		panic(err)
	}
	return all
}

// ByName finds a preset that comes with the library. The error lists the names.
func ByName(name string) (Preset, error) {
	var names []string
	for _, p := range All() {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Preset{}, fmt.Errorf("there is no preset %q; want one of %s", name, strings.Join(names, ", "))
}

// Scaled is the preset with its watch shortened to d, and the windows of its
// rules with it, each of at least a nanosecond, so that no rule is lost. What a
// single call takes stays as it was: a client's timeouts do not shrink either. A d
// that is not shorter, or not positive, changes nothing.
func (p Preset) Scaled(d time.Duration) Preset {
	if d >= p.Watch || d <= 0 {
		return p
	}
	factor := float64(d) / float64(p.Watch)
	scale := func(t time.Duration) time.Duration { return time.Duration(float64(t) * factor) }
	p.Watch = d
	p.Rules = slices.Clone(p.Rules)
	for i := range p.Rules {
		r := &p.Rules[i]
		if r.From > 0 {
			r.From = max(1, scale(r.From))
		}
		if r.Until > 0 {
			r.Until = max(r.From+1, scale(r.Until))
		}
	}
	return p
}
