package importer

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/failopen/failopen/depgraph"
	"go.yaml.in/yaml/v3"
)

// allowance bounds what the variables of one project may grow to, all values
// together: a variable of two, of two, of two others is soon larger than the machine.
type allowance int

// newAllowance is as much as the files themselves may be.
func newAllowance() *allowance {
	left := allowance(maxFile)
	return &left
}

// take reports whether a text may still be added. After the first one that may not,
// none may.
func (a *allowance) take(text string) bool {
	*a -= allowance(len(text))
	return *a >= 0
}

// exceeded is the error at the place where the variables became too large, or nil.
func (a *allowance) exceeded(at depgraph.Position) error {
	if *a >= 0 {
		return nil
	}
	return errorAt(at, "variables grow to more than %d bytes", maxFile)
}

// expandVars replaces variables as compose does: $V, ${V}, ${V:-default}, ${V-default},
// ${V:+other}, ${V:?error}, and $$ for a dollar sign. With a colon, an empty variable
// counts as unset. What is no variable stays as it is, an open brace for example; a
// variable that must be set and is not becomes "", as an import has to go on where a
// start would not.
//
// Values are not expanded again, defaults are: below maxDepth of them, which no person
// writes, the rest stays as it is. depth is 0 for callers.
//
// What is written counts against left; when that is used up the result is cut off, and
// the caller has to ask left about it.
//
// See "Interpolation" in docker's documentation of Compose files. O(length of the result).
func expandVars(s string, env map[string]string, left *allowance, depth int) string {
	var b strings.Builder
	write := func(text string) {
		if left.take(text) {
			b.WriteString(text)
		}
	}
	for {
		i := strings.IndexByte(s, '$')
		if i < 0 || i+1 == len(s) || depth > maxDepth {
			write(s)
			return b.String()
		}
		write(s[:i])
		s = s[i+1:]
		switch {
		case s[0] == '$':
			write("$")
			s = s[1:]
		case s[0] == '{':
			end := closing(s)
			if end < 0 {
				write("$" + s)
				return b.String()
			}
			write(substitute(s[1:end], env, left, depth))
			s = s[end+1:]
		default:
			n := nameLength(s)
			if n == 0 {
				write("$")
			} else {
				write(env[s[:n]])
			}
			s = s[n:]
		}
	}
}

// closing finds the brace that ends a variable, over nested ones; s begins with the one
// that opens it. -1: there is none.
func closing(s string) int {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// nameLength returns how many bytes at the beginning of s are the name of a variable:
// letters, digits and underscores, no digit first.
func nameLength(s string) int {
	n := 0
	for n < len(s) && (s[n] == '_' || s[n] >= 'A' && s[n] <= 'Z' || s[n] >= 'a' && s[n] <= 'z' || n > 0 && s[n] >= '0' && s[n] <= '9') {
		n++
	}
	return n
}

// substitute returns what stands for the inside of ${...}: a name, and after it an
// operator and a word. An operator that compose does not know is taken for none.
//
// The word is expanded in any case, so that it counts against left whether or not it is
// used.
func substitute(expr string, env map[string]string, left *allowance, depth int) string {
	n := nameLength(expr)
	value, set := env[expr[:n]]
	op := expr[n:]
	colon := strings.HasPrefix(op, ":")
	if op = strings.TrimPrefix(op, ":"); op == "" {
		return value
	}
	present := set && (value != "" || !colon)
	other := expandVars(op[1:], env, left, depth+1)
	switch {
	case op[0] == '-' && !present:
		return other
	case op[0] == '+' && present:
		return other
	case op[0] == '+':
		return ""
	}
	return value
}

// readEnv is readEnvAt without the places.
func (p *project) readEnv(name string) (map[string]string, error) {
	env, _, err := p.readEnvAt(name)
	return env, err
}

// readEnvAt reads a .env file: NAME=value lines, comments, quotes, "export " in front,
// and references to variables that stand further up. at holds the line of each
// variable, of the last one if there are several. A line that is none of these is left
// out, as docker compose does; a file that is absent is os.ErrNotExist, which callers
// let pass or not.
//
// The values stay in memory and are never written: they may be passwords.
func (p *project) readEnvAt(name string) (env map[string]string, at map[string]depgraph.Position, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	env, at = map[string]string{}, map[string]depgraph.Position{}
	var grown error
	err = eachLine(name, f, func(n int, line string) {
		line = strings.TrimPrefix(line, "export ")
		key, value, ok := strings.Cut(line, "=")
		if !ok || strings.HasPrefix(line, "#") {
			return
		}
		key = strings.TrimSpace(key)
		at[key] = depgraph.Position{File: filepath.ToSlash(name), Line: n}
		env[key] = envValue(strings.TrimSpace(value), env, p.left)
		grown = cmp.Or(grown, p.left.exceeded(at[key]))
	})
	if err = cmp.Or(err, grown); err != nil {
		return nil, nil, err
	}
	return env, at, nil
}

// envValue returns the value of one line: as it is between single quotes, expanded
// between double quotes or without any. Without quotes, a comment begins at " #". A
// quote that is never closed is a character like others.
func envValue(value string, env map[string]string, left *allowance) string {
	if len(value) > 0 && (value[0] == '"' || value[0] == '\'') {
		if end := strings.IndexByte(value[1:], value[0]); end >= 0 {
			inner := value[1 : 1+end]
			if value[0] == '\'' {
				return inner
			}
			return expandVars(inner, env, left, 0)
		}
	}
	if i := strings.Index(value, " #"); i >= 0 {
		value = strings.TrimSpace(value[:i])
	}
	return expandVars(value, env, left, 0)
}

// environment returns the variables of a service: those of its env_files, the
// later ones over the earlier ones, and over them those of environment. at says
// where each one stands.
//
// An env_file that is absent is a warning, unless it says "required: false".
func (p *project) environment(name string) (env map[string]string, at map[string]depgraph.Position, err error) {
	env, at = map[string]string{}, map[string]depgraph.Position{}
	s := p.services[name]
	for _, file := range envFiles(get(s, "env_file")) {
		base, ok := p.base[p.files[file.at]]
		if !ok { // of a file that is only extended
			base = filepath.Dir(p.files[file.at])
		}
		path := below(base, file.name)
		more, lines, err := p.readEnvAt(path)
		if errors.Is(err, os.ErrNotExist) {
			if file.required {
				p.warnings = append(p.warnings, fmt.Sprintf("%s: the env_file %s of %s is absent", p.at(file.at), file.name, name))
			}
			continue
		} else if err != nil {
			return nil, nil, err
		}
		for key, value := range more {
			env[key], at[key] = value, lines[key]
		}
	}
	pairs(get(s, "environment"), func(key, value *yaml.Node) { env[key.Value], at[key.Value] = text(value), p.at(key) })
	return env, at, nil
}

// envFile is one file of a field env_file, with the node that names it.
type envFile struct {
	name     string
	at       *yaml.Node
	required bool
}

// envFiles reads the field in its three forms: a text, a list of texts, a list of
// mappings with path and required. nil: there is no such field, or it names nothing.
func envFiles(n *yaml.Node) []envFile {
	if n == nil {
		return nil
	}
	if n.Kind == yaml.ScalarNode {
		return []envFile{{text(n), n, true}}
	}
	var all []envFile
	for _, item := range items(n) {
		required := true
		if item.Kind == yaml.MappingNode {
			required = text(get(item, "required")) != "false"
			item = get(item, "path")
		}
		if item != nil {
			all = append(all, envFile{text(item), item, required})
		}
	}
	return all
}
