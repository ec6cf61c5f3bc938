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
type Names struct {
	exact    map[string]string
	patterns []pattern
}

type pattern struct{ text, to string }

// Drop is the declared name that leaves an observed one out.
const Drop = "-"

// Set maps a name, or a pattern in which * stands for any text, to a declared
// name, or to Drop.
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
// and a name with a colon or a # goes in double quotes. The form is a subset of
// YAML. Exact names go before patterns, and patterns in order.
func (n *Names) Read(file string, r io.Reader) error {
	sc := bufio.NewScanner(r)
	for line := 1; sc.Scan(); line++ {
		text := strings.TrimSpace(sc.Text())
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
		if err := n.Set(observed, declared); err != nil {
			return fmt.Errorf("%s:%d: %w", file, line, err)
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// word reads a name up to a sign, in quotes or without.
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

// resolver looks observed names up, each once.
type resolver struct {
	names    *Names
	declared map[string]bool
	folded   map[string][]string
	known    map[string]string
	inside   map[string][]string // names inside a cluster, by the declared name that they are taken for
}

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

// of returns the declared name, the observed one if there is none, or Drop.
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

func (r *resolver) find(observed string) string {
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

// mixed lists declared names that stand for names of several namespaces: they
// may be services of their own.
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

// spellings are the ways to read an address as a name, the surest first.
func spellings(s string) []string {
	all := []string{s}
	if host, port, ok := strings.Cut(s, ":"); ok {
		if _, err := strconv.ParseUint(port, 10, 16); err == nil {
			s = host
			all = append(all, s)
		}
	}
	if first, rest, ok := strings.Cut(s, "."); ok {
		if labels := strings.Split(rest, "."); len(labels) >= 2 && labels[1] == "svc" {
			all = append(all, first)
		}
	}
	return all
}
