package drift

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/failopen/failopen/depgraph/internal/glob"
)

// Names maps observed names to declared ones. A name that is not mapped is
// looked up as it is; without regard to case, if only one service fits; without
// a port; and without what follows the first label of a name inside a
// Kubernetes cluster, such as "db.shop.svc.cluster.local".
//
// The zero value maps nothing. It is not for use by several goroutines while it is changed.
type Names struct {
	exact    map[string]string
	patterns []pattern
}

// pattern is a text with *, and the name for what it fits.
type pattern struct{ text, to string }

// Drop is the declared name that leaves an observed one out: addresses of load
// tests, of monitoring, of what nobody declares.
const Drop = "-"

// Set maps a name, or a pattern in which * stands for any text, to a declared
// name, or to Drop. An exact name that is mapped to two is an error; patterns
// are tried in the order of Set, and the first that fits counts.
func (n *Names) Set(observed, declared string) error {
	observed, declared = strings.TrimSpace(observed), strings.TrimSpace(declared)
	switch {
	case observed == "" || declared == "":
		return errors.New(`a name is empty; write "observed: declared", or "observed: -" to leave it out`)
	case strings.Contains(observed, "*"):
		n.patterns = append(n.patterns, pattern{observed, declared})
		return nil
	}
	if n.exact == nil {
		n.exact = map[string]string{}
	}
	if old, ok := n.exact[observed]; ok && old != declared {
		return fmt.Errorf("%q is mapped to %q and to %q", observed, old, declared)
	}
	n.exact[observed] = declared
	return nil
}

// Read adds the lines of a file, each "observed: declared"; # begins a comment,
// and a name with a colon or a # goes in double quotes, with the escapes of Go.
// The form is a subset of YAML. Exact names go before patterns, and patterns in
// order. Errors name the file and the line; the lines before it have been
// added.
func (n *Names) Read(file string, r io.Reader) error {
	sc, line := bufio.NewScanner(r), 0
	for sc.Scan() {
		line++
		text := strings.TrimSpace(sc.Text())
		if line == 1 {
			text = strings.TrimSpace(strings.TrimPrefix(text, "\ufeff")) // a byte order mark
		}
		if text == "" || text[0] == '#' || text == "---" {
			continue
		}
		observed, rest, err := word(text, ':')
		if err != nil {
			return fmt.Errorf("%s:%d: %w", file, line, err)
		}
		declared, _, err := word(strings.TrimSpace(rest), '#')
		if err != nil {
			return fmt.Errorf("%s:%d: %w", file, line, err)
		}
		if i := strings.LastIndex(declared, ": "); i >= 0 && text[0] != '"' && strings.HasPrefix(rest, declared) {
			// Two colons, and no space behind the first: to YAML, that one is
			// part of the name.
			return fmt.Errorf("%s:%d: a name with a colon goes in double quotes, as in %q: %s", file, line, observed+":"+declared[:i], strings.TrimSpace(declared[i+1:]))
		}
		if err := n.Set(observed, declared); err != nil {
			return fmt.Errorf("%s:%d: %w", file, line, err)
		}
	}
	if err := sc.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("%s:%d: the line is longer than %d bytes", file, line+1, bufio.MaxScanTokenSize)
	} else if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// word reads a name up to a sign, in quotes or without, and returns what
// follows the sign. Behind the closing quote only the sign or a comment may
// follow.
//
// end is the colon of the first name, and the # of a comment behind the second.
func word(s string, end byte) (text, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		text, rest, found := strings.Cut(s, string(end))
		if !found && end == ':' {
			return "", "", errors.New(`expected "observed: declared"`)
		}
		return strings.TrimSpace(text), rest, nil
	}
	quoted, err := strconv.QuotedPrefix(s)
	if err == nil {
		text, err = strconv.Unquote(quoted)
	}
	if err != nil {
		return "", "", errors.New("a quoted name does not end")
	}
	rest = strings.TrimSpace(s[len(quoted):])
	if rest != "" && rest[0] != end && rest[0] != '#' || rest == "" && end == ':' {
		return "", "", errors.New(`expected "observed: declared"`)
	}
	return text, strings.TrimPrefix(rest, string(end)), nil
}

// resolver looks observed names up, each once. It lives for one Compare.
//
// It belongs to one goroutine.
type resolver struct {
	names *Names
	// declared are the names of the graph, and folded the same by their lower
	// case, to see which of them fit without regard to case; known remembers
	// answers.
	declared map[string]bool
	folded   map[string][]string
	known    map[string]string
	inside   map[string][]string // names inside a cluster, by the declared name that they are taken for
}

// newResolver indexes the declared names; nil Names map nothing.
func newResolver(n *Names, declared []string) *resolver {
	r := &resolver{names: n, declared: map[string]bool{}, folded: map[string][]string{}, known: map[string]string{}, inside: map[string][]string{}}
	if n == nil {
		r.names = &Names{}
	}
	for _, name := range declared {
		r.declared[name] = true
		r.folded[strings.ToLower(name)] = append(r.folded[strings.ToLower(name)], name)
	}
	return r
}

// of returns the declared name, the observed one if there is none, or Drop. It
// notes names inside a cluster that were taken for the service of their first
// label, for mixed.
func (r *resolver) of(observed string) string {
	name, ok := r.known[observed]
	if !ok {
		name = r.find(observed)
		r.known[observed] = name
		if all := spellings(observed); strings.EqualFold(all[len(all)-1], name) && strings.Contains(all[0], ".svc") {
			r.inside[name] = append(r.inside[name], observed)
		}
	}
	return name
}

// find tries what the user has mapped, then the spellings of the name, the
// surest first: each as it is, then without regard to case if that fits one
// service only. Two services whose names differ in case alone are not guessed
// between.
func (r *resolver) find(observed string) string {
	// What the user says wins over what fits by itself.
	if to, ok := r.names.exact[observed]; ok {
		return to
	}
	for _, p := range r.names.patterns {
		if glob.Match(p.text, observed) {
			return p.to
		}
	}
	for _, name := range spellings(observed) {
		if r.declared[name] {
			return name
		}
		if all := r.folded[strings.ToLower(name)]; len(all) == 1 {
			return all[0]
		}
	}
	return observed
}

// mixed lists declared names that stand for names of several namespaces, with
// those names: they may be services of their own, and one of them would hide
// the other's dependencies.
func (r *resolver) mixed() (names []string) {
	for name, all := range r.inside {
		namespaces := map[string]bool{}
		for _, observed := range all {
			namespaces[strings.Split(observed, ".")[1]] = true
		}
		if len(namespaces) > 1 {
			slices.Sort(all)
			names = append(names, name+" ("+strings.Join(all, ", ")+")")
		}
	}
	slices.Sort(names)
	return names
}

// spellings are the ways to read an address as a name, the surest first: as it
// is, without a port, and the first label of a name inside a Kubernetes cluster
// (service.namespace.svc, with or without the cluster's domain).
func spellings(s string) []string {
	all := []string{s}
	// A port is a number of 16 bits; anything else is part of the name.
	if host, port, ok := strings.Cut(s, ":"); ok {
		if _, err := strconv.ParseUint(port, 10, 16); err == nil {
			s = host
			all = append(all, s)
		}
	}
	// service.namespace.svc, and what follows is the domain of the cluster.
	if first, rest, ok := strings.Cut(s, "."); ok {
		if labels := strings.Split(rest, "."); len(labels) >= 2 && labels[1] == "svc" {
			all = append(all, first)
		}
	}
	return all
}
