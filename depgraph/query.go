package depgraph

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/failopen/failopen/depgraph/internal/glob"
)

// ErrQuery is matched by the error for a query that cannot be understood. The
// error itself is a *QueryError.
var ErrQuery = errors.New("depgraph: query")

// QueryError says what is wrong with a query, and where.
//
// Offset is where the word begins that is not understood, or the end of the query.
type QueryError struct {
	Query   string // as it was given
	Offset  int    // in bytes
	Message string // what is wrong, and what was expected
}

// Error returns the message and the query with a mark below the place.
func (e *QueryError) Error() string {
	// At most 60 bytes on either side, so that the mark stays on the screen, counted in
	// runes. A rune that is cut in two is shown as a question mark.
	at := min(e.Offset, len(e.Query))
	before, after := onOneLine(e.Query[max(0, at-60):at]), onOneLine(e.Query[at:min(len(e.Query), at+60)])
	return fmt.Sprintf("query: %s\n  %s%s\n  %s^", e.Message, before, after, strings.Repeat(" ", len([]rune(before))))
}

// onOneLine replaces what moves the cursor, and bytes that are no text.
//
// The mark would otherwise stand below another character, or a query would move the cursor
// of the terminal that prints it.
func onOneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r):
			return ' '
		case r == utf8.RuneError:
			return '?'
		}
		return r
	}, s)
}

// Is makes errors.Is(err, ErrQuery) true.
func (e *QueryError) Is(target error) bool { return target == ErrQuery }

// What a query may be at most.
const (
	// Queries come from a command line or a URL. The depth bounds the recursion; a set is
	// a bool for each service, and one is made for each level and each term at hand.
	maxQueryBytes = 64 << 10
	maxQueryDepth = 200
)

// Query returns the names of the services that an expression selects, sorted.
// The language is in the spirit of Bazel's query:
//
//	checkout               the service of that name
//	"my service", pay-*    a name in quotes; a pattern, in which * stands for any text
//	deps(X), rdeps(X)      what X needs, what needs X, both with X; bounded and
//	                       limited by further arguments: deps(X, 2, hard, runtime)
//	somepath(A, B)         a shortest path from A to B
//	allpaths(A, B)         everything on any path from A to B; with a number of
//	                       steps, on a path that is no longer
//	down(X)                X and what goes down with it
//	owner(P), kind(P), tier(P), name(P)  services by a pattern; tier is the criticality
//	cycles(), roots(), leaves(), undeclared()
//	X & Y, X | Y, X - Y    both, either, X without Y; & binds tighter
//
// Limits of deps, rdeps and paths are a number of steps, hard, soft, startup,
// runtime, deploy, data and control. A service that an any-of group does not
// need alone counts as neither hard nor soft.
//
// An error is a *QueryError, or that of ctx. Each function costs one walk over the graph at
// most, and cycles() one search for them.
func (g *Graph) Query(ctx context.Context, expr string) ([]string, error) {
	p := queryParser{g: g, ctx: ctx, text: expr}
	if len(expr) > maxQueryBytes {
		return nil, &QueryError{expr[:60], 0, fmt.Sprintf("the query is longer than %d bytes", maxQueryBytes)}
	}
	set, err := p.whole()
	if err != nil {
		return nil, err
	}
	return g.sortedNames(func(v int32) bool { return set[v] }), ctx.Err()
}

// vertexSet has one entry for each service, by vertex. Operators write into their left
// operand: each set is made by one term and used once.
type vertexSet []bool

// queryParser reads an expression and computes it on the way.
//
// The grammar, by its functions; a set is computed as soon as its text has been read,
// so there is no tree:
//
//	whole        = union end
//	union        = intersection {("|" | "-") intersection}
//	intersection = term {"&" term}
//	term         = "(" union ")" | NAME | PATTERN | FUNCTION "(" arguments ")"
type queryParser struct {
	g     *Graph
	ctx   context.Context
	text  string
	pos   int
	depth int

	// The token at hand.
	at    int
	kind  rune // 'w' a word, 'q' a word in quotes, 0 the end, or the sign itself
	token string
}

// failf is the error for what begins at an offset.
func (p *queryParser) failf(at int, format string, args ...any) error {
	return &QueryError{p.text, at, fmt.Sprintf(format, args...)}
}

// next reads a token. A dash inside a word belongs to it, as in names.
//
// Afterwards at is where the token begins, pos where the next one is looked for. A
// quote of one kind may hold the other, and nothing is escaped: a name with both needs
// a pattern.
func (p *queryParser) next() error {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
	p.at = p.pos
	if p.pos == len(p.text) {
		p.kind, p.token = 0, ""
		return nil
	}
	c := p.text[p.pos]
	if c == '"' || c == '\'' {
		end := strings.IndexByte(p.text[p.pos+1:], c)
		if end < 0 {
			return p.failf(p.at, "the quote does not end")
		}
		p.kind, p.token = 'q', p.text[p.pos+1:p.pos+1+end]
		p.pos += end + 2
		return nil
	}
	if strings.IndexByte("()&|,", c) >= 0 {
		p.kind, p.token = rune(c), string(c)
		p.pos++
		return nil
	}
	end := strings.IndexAny(p.text[p.pos:], " \t\r\n()&|,\"'")
	if end < 0 {
		end = len(p.text) - p.pos
	}
	p.kind, p.token = 'w', p.text[p.pos:p.pos+end]
	p.pos += end
	if p.token == "-" {
		p.kind = '-'
	}
	return nil
}

// whole is the entry: an expression, and nothing behind it.
//
// A query without any word would select nothing, which is hardly what was meant, so it is
// refused.
func (p *queryParser) whole() (vertexSet, error) {
	if err := p.next(); err != nil {
		return nil, err
	}
	if p.kind == 0 {
		return nil, p.failf(0, `the query is empty; try "deps(NAME)"`)
	}
	set, err := p.union()
	if err != nil {
		return nil, err
	}
	if p.kind != 0 {
		return nil, p.failf(p.at, "expected &, |, - or the end, found %q", p.token)
	}
	return set, nil
}

// union reads terms joined by | and -, from left to right.
//
// Both bind equally: a - b | c is what is in a and not in b, and all of c.
func (p *queryParser) union() (vertexSet, error) {
	// Only union calls itself, through parentheses and arguments, so the bound here is
	// one on the whole recursion.
	if p.depth++; p.depth > maxQueryDepth {
		return nil, p.failf(p.at, "nested deeper than %d", maxQueryDepth)
	}
	defer func() { p.depth-- }()
	set, err := p.intersection()
	for err == nil && (p.kind == '|' || p.kind == '-') {
		op := p.kind
		var right vertexSet
		if err = p.next(); err == nil {
			right, err = p.intersection()
		}
		if err != nil {
			break
		}
		for v := range set {
			if op == '|' {
				set[v] = set[v] || right[v]
			} else {
				set[v] = set[v] && !right[v]
			}
		}
	}
	return set, err
}

// intersection binds tighter than the operators of union.
func (p *queryParser) intersection() (vertexSet, error) {
	set, err := p.term()
	for err == nil && p.kind == '&' {
		var right vertexSet
		if err = p.next(); err == nil {
			right, err = p.term()
		}
		if err != nil {
			break
		}
		for v := range set {
			set[v] = set[v] && right[v]
		}
	}
	return set, err
}

// term reads a name, a pattern, a function or something in parentheses. It asks the
// context, as every function can walk the whole graph.
//
// A word in quotes is always a name, also with a *, so that every service can be named.
func (p *queryParser) term() (vertexSet, error) {
	if err := p.ctx.Err(); err != nil {
		return nil, err
	}
	at, word := p.at, p.token
	switch p.kind {
	case '(':
		if err := p.next(); err != nil {
			return nil, err
		}
		set, err := p.union()
		if err != nil {
			return nil, err
		}
		return set, p.expect(')')
	case 'q':
		if err := p.next(); err != nil {
			return nil, err
		}
		return p.named(word, at)
	case 'w':
		if err := p.next(); err != nil {
			return nil, err
		}
		if p.kind == '(' {
			return p.call(word, at)
		}
		if strings.Contains(word, "*") {
			return p.match(func(s *Service) bool { return glob.Match(word, s.Name) }), nil
		}
		return p.named(word, at)
	case 0:
		return nil, p.failf(at, "the query ends too early; expected a name, a function or (")
	}
	return nil, p.failf(at, "expected a name, a function or (, found %q", word)
}

// expect takes one sign.
func (p *queryParser) expect(kind rune) error {
	if p.kind == kind {
		return p.next()
	}
	if p.kind == 0 {
		return p.failf(p.at, "the query ends too early; expected %q", string(kind))
	}
	return p.failf(p.at, "expected %q, found %q", string(kind), p.token)
}

// named is the set of one service. The likeliest mistakes are a typing error, and a
// minus that became part of a name.
//
// A service that is not there is an error and no empty set: an answer about nobody would
// look like good news.
func (p *queryParser) named(name string, at int) (vertexSet, error) {
	v, ok := p.g.index[name]
	if !ok {
		// Only after the look-up failed: a service may have the name of a function, or
		// a dash.
		msg := fmt.Sprintf("there is no service %q", name)
		if near := nearest(name, p.g.names); near != "" {
			msg += fmt.Sprintf("; did you mean %q?", near)
		} else if strings.Contains(name, "-") {
			msg += `; to leave something out, put spaces around the dash`
		}
		return nil, p.failf(at, "%s", msg)
	}
	set := make(vertexSet, len(p.g.services))
	set[v] = true
	return set, nil
}

// match is the set of all services for which is holds.
func (p *queryParser) match(is func(*Service) bool) vertexSet {
	set := make(vertexSet, len(p.g.services))
	for v := range p.g.services {
		set[v] = is(&p.g.services[v])
	}
	return set
}

// queryFunctions are those of the language, with other spellings of some: path is somepath,
// criticality is tier, and all() selects everything.
var queryFunctions = []string{
	"deps", "rdeps", "somepath", "path", "allpaths", "down", "owner", "kind", "tier", "criticality", "name",
	"cycles", "roots", "leaves", "undeclared", "all",
}

// call reads the arguments of a function and computes it.
//
// The word and its opening parenthesis have been read.
func (p *queryParser) call(name string, at int) (set vertexSet, err error) {
	if !slices.Contains(queryFunctions, name) {
		msg := fmt.Sprintf("there is no function %q", name)
		if near := nearest(name, queryFunctions); near != "" {
			msg += fmt.Sprintf("; did you mean %q?", near)
		} else {
			msg += "; there are " + strings.Join(queryFunctions, ", ")
		}
		return nil, p.failf(at, "%s", msg)
	}
	if err := p.next(); err != nil {
		return nil, err
	}
	// The sign behind the last argument is checked once, at the end.
	switch name {
	case "owner", "kind", "tier", "criticality", "name":
		set, err = p.byField(name)
	case "cycles", "roots", "leaves", "undeclared", "all":
		set, err = p.noArguments(name)
	default:
		set, err = p.reach(name)
	}
	if err != nil {
		return nil, err
	}
	return set, p.expect(')')
}

// byField reads a pattern.
//
// Kinds and criticalities are checked, as a name that no service can have would match
// nothing. "" selects what says nothing.
func (p *queryParser) byField(name string) (vertexSet, error) {
	pattern, at := p.token, p.at
	if p.kind != 'w' && p.kind != 'q' {
		return nil, p.failf(p.at, `%s takes a pattern, such as %s(pay) or %s("")`, name, name, name)
	}
	if err := p.next(); err != nil {
		return nil, err
	}
	field := func(s *Service) string { return s.Name }
	var err error
	switch name {
	case "owner":
		field = func(s *Service) string { return s.Owner }
	case "kind":
		field = func(s *Service) string { return s.Kind.String() }
		if pattern != "" && !strings.Contains(pattern, "*") {
			_, err = ParseKind(pattern)
		}
	case "tier", "criticality":
		field = func(s *Service) string { return s.Criticality.String() }
		if pattern != "" && !strings.Contains(pattern, "*") {
			_, err = ParseCriticality(pattern)
		}
	}
	if err != nil {
		return nil, p.failf(at, "%s", err)
	}
	return p.match(func(s *Service) bool { return glob.Match(pattern, field(s)) }), nil
}

// noArguments computes the functions of the whole graph. Roots are what nothing needs,
// leaves what needs nothing, by edges of any sort.
//
// What stands between the parentheses is refused by call, which expects the closing one.
func (p *queryParser) noArguments(name string) (vertexSet, error) {
	g := p.g
	switch name {
	case "undeclared":
		return p.match(func(s *Service) bool { return s.Undeclared }), nil
	case "all":
		return p.match(func(*Service) bool { return true }), nil
	case "cycles":
		components, err := g.Cycles(p.ctx, CyclesOptions{HardOnly: true})
		if err != nil {
			return nil, err
		}
		set := make(vertexSet, len(g.services))
		for i := range components {
			for _, n := range components[i].Services {
				set[g.index[n]] = true
			}
		}
		return set, nil
	}
	// An empty row is all there is to ask.
	rows := g.in
	if name == "leaves" {
		rows = g.out
	}
	set := make(vertexSet, len(g.services))
	for v := range set {
		set[v] = rows[v] == rows[v+1]
	}
	return set, nil
}
