package importer

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/failopen/failopen/depgraph"
	"go.yaml.in/yaml/v3"
)

// Compose reads docker compose files; later ones add to earlier ones, as with
// "docker compose -f A -f B". Variables come from the .env file beside the
// first one, never from the environment of this process, so that the result is
// the same everywhere.
//
// depends_on orders the start: until the other service is launched, healthy or
// done, as its condition says, soft with "required: false"; and it becomes an
// assumed run-time edge. An address in the environment of a service becomes a
// run-time edge. Edges from and to observers, and addresses for telemetry, are
// soft: no service is down because nobody watches it.
func Compose(files ...string) (*Result, error) {
	if len(files) == 0 {
		return nil, errors.New("no compose file was given")
	}
	docs, err := readYAML(files, isCompose)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(docs[0].file)
	env, err := readEnv(filepath.Join(dir, ".env"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	c := compose{builder: newBuilder(), env: env, dir: dir, alias: map[string]string{}}
	for _, doc := range docs {
		if get(doc.root, "services") == nil {
			return nil, fmt.Errorf("%s:%d: no services here; is it a compose file?", doc.file, doc.root.Line)
		}
		c.names(doc)
	}
	for _, doc := range docs {
		pairs(get(doc.root, "services"), func(key, s *yaml.Node) {
			if kind := guessKind(c.expand(text(get(s, "image")))); kind != depgraph.KindUnknown {
				c.services[key.Value].Kind = kind
			}
		})
	}
	for _, doc := range docs {
		if err := c.file(doc); err != nil {
			return nil, err
		}
	}
	c.result.Unknown = []string{
		"Imported from " + strings.Join(files, ", ") + ". Compose does not know which",
		"dependencies are soft: every one is hard until you say \"soft: true\". Nor does",
		"it know owners, availability, start durations, or calls whose address is not in",
		"the environment. Criticality is taken from service.criticality where it is set.",
	}
	return c.finish(), nil
}

func isCompose(name string) bool {
	base := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(name), ".yml"), ".yaml")
	return strings.HasPrefix(base, "compose") || strings.HasPrefix(base, "docker-compose")
}

type compose struct {
	*builder
	env   map[string]string
	dir   string
	alias map[string]string // other names of services
}

// names learns services and the other names they can be reached by.
func (c *compose) names(doc document) {
	pairs(get(doc.root, "services"), func(key, s *yaml.Node) {
		c.service(key.Value, doc.at(key))
		for _, other := range []string{text(get(s, "container_name")), text(get(s, "hostname"))} {
			if other = c.expand(other); other != "" {
				c.alias[other] = key.Value
			}
		}
		pairs(get(s, "networks"), func(_, network *yaml.Node) {
			for _, a := range items(get(network, "aliases")) {
				c.alias[c.expand(text(a))] = key.Value
			}
		})
	})
	if n := get(doc.root, "include"); n != nil {
		c.warnf("%s: include is not followed; give the files on the command line", doc.at(n))
	}
}

func (c *compose) file(doc document) (err error) {
	pairs(get(doc.root, "services"), func(key, s *yaml.Node) {
		if err == nil {
			err = c.one(doc, key.Value, s)
		}
	})
	return err
}

func (c *compose) one(doc document, name string, s *yaml.Node) error {
	if n := get(s, "extends"); n != nil {
		c.warnf("%s: extends of %s is not followed", doc.at(n), name)
	}
	if err := c.dependsOn(doc, name, get(s, "depends_on")); err != nil {
		return err
	}
	for _, link := range items(get(s, "links")) {
		target, _, _ := strings.Cut(text(link), ":")
		if c.services[target] != nil {
			c.depend(name, target, claim{start: depgraph.Started}, "links", target, doc.at(link))
			c.depend(name, target, hardRuntime, "links", target, doc.at(link))
		}
	}
	return c.environment(doc, name, s)
}

func (c *compose) dependsOn(doc document, name string, n *yaml.Node) error {
	add := func(target, condition string, soft bool, at *yaml.Node) error {
		if c.services[target] == nil {
			if soft {
				c.warnf("%s: %s depends on %q, which is not in these files and not required", doc.at(at), name, target)
				return nil
			}
			return fmt.Errorf("%s: %s depends on %q, which is not in these files", doc.at(at), name, target)
		}
		c.waitFor(name, target, condition, soft, doc.at(at))
		return nil
	}
	for _, item := range items(n) {
		if err := add(text(item), "service_started", false, item); err != nil {
			return err
		}
	}
	var first error
	pairs(n, func(key, value *yaml.Node) {
		condition := text(get(value, "condition"))
		if condition == "" {
			condition = "service_started"
		}
		if err := add(key.Value, condition, text(get(value, "required")) == "false", key); err != nil && first == nil {
			first = err
		}
	})
	return first
}

// waitFor adds what a condition of depends_on says about the start, and the
// guess that what is waited for is needed at run time too. Compose waits for a
// launch or a health check, never for what the other one needs at run time; as
// it refuses circles, no file that it accepts can be a deadlock.
func (c *compose) waitFor(name, target, condition string, soft bool, at depgraph.Position) {
	start := depgraph.Started
	switch condition {
	case "service_healthy":
		start = depgraph.Ready
	case "service_completed_successfully":
		start = depgraph.Done
	}
	c.depend(name, target, claim{start: start, soft: soft}, "depends_on", condition, at)
	if start != depgraph.Done {
		c.depend(name, target, claim{runtime: true, soft: soft || c.observes(name) || c.observes(target), assumed: true}, "depends_on", condition, at)
	}
}

// observes reports whether a service only watches others.
func (c *compose) observes(name string) bool { return c.services[name].Kind == depgraph.Observer }

// environment looks for addresses in the variables of a service.
func (c *compose) environment(doc document, name string, s *yaml.Node) error {
	variable := func(key, value string, at depgraph.Position) {
		if key == "OTEL_RESOURCE_ATTRIBUTES" {
			if level := criticalityOf(value); level != depgraph.CriticalityUnknown {
				c.services[name].Criticality = level
			}
			return
		}
		for _, a := range addresses(key, value) {
			c.address(name, key, a, at)
		}
	}
	for _, item := range items(get(s, "environment")) {
		key, value, given := strings.Cut(text(item), "=")
		if !given {
			value = c.env[key]
		}
		variable(key, c.expand(value), doc.at(item))
	}
	pairs(get(s, "environment"), func(key, value *yaml.Node) {
		v := text(value)
		if value.Tag == "!!null" {
			v = c.env[key.Value]
		}
		variable(key.Value, c.expand(v), doc.at(key))
	})
	for _, file := range envFiles(get(s, "env_file")) {
		env, err := readEnv(filepath.Join(c.dir, c.expand(file.name)))
		if errors.Is(err, os.ErrNotExist) {
			c.warnf("%s: the env_file %s of %s is absent", doc.at(file.at), file.name, name)
			continue
		} else if err != nil {
			return err
		}
		for _, key := range sortedKeys(env) {
			variable(key, env[key], doc.at(file.at))
		}
	}
	return nil
}

type envFile struct {
	name string
	at   *yaml.Node
}

func envFiles(n *yaml.Node) []envFile {
	if n == nil {
		return nil
	}
	if n.Kind == yaml.ScalarNode {
		return []envFile{{text(n), n}}
	}
	var all []envFile
	for _, item := range items(n) {
		if item.Kind == yaml.MappingNode {
			item = get(item, "path")
		}
		if item != nil {
			all = append(all, envFile{text(item), item})
		}
	}
	return all
}

func (c *compose) address(name, key string, a found, at depgraph.Position) {
	target := a.host
	if other, ok := c.alias[target]; ok && c.services[target] == nil {
		target = other
	}
	if c.services[target] == nil {
		// A single word may be anything; a full name in a URL is somebody's.
		if !a.sure || !foreign(target) || !strings.Contains(target, ".") {
			return
		}
		c.service(target, at).Kind = depgraph.External
	}
	watch := telemetryKey.MatchString(key) || c.observes(name) || c.observes(target)
	c.depend(name, target, claim{runtime: true, soft: watch, assumed: watch}, a.source("environment"), key, at)
}

// expand replaces variables as compose does: $V, ${V}, ${V:-default},
// ${V-default}, ${V:+other}, ${V:?error}, and $$ for a dollar sign.
func (c *compose) expand(s string) string { return expandVars(s, c.env, 0) }

func expandVars(s string, env map[string]string, depth int) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '$')
		if i < 0 || i+1 == len(s) || depth > maxDepth {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		s = s[i+1:]
		switch {
		case s[0] == '$':
			b.WriteByte('$')
			s = s[1:]
		case s[0] == '{':
			end := closing(s)
			if end < 0 {
				b.WriteString("$" + s)
				return b.String()
			}
			b.WriteString(substitute(s[1:end], env, depth))
			s = s[end+1:]
		default:
			n := nameLength(s)
			if n == 0 {
				b.WriteByte('$')
			} else {
				b.WriteString(env[s[:n]])
			}
			s = s[n:]
		}
	}
}

// closing finds the brace that ends a variable, over nested ones.
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

func nameLength(s string) int {
	n := 0
	for n < len(s) && (s[n] == '_' || s[n] >= 'A' && s[n] <= 'Z' || s[n] >= 'a' && s[n] <= 'z' || n > 0 && s[n] >= '0' && s[n] <= '9') {
		n++
	}
	return n
}

func substitute(expr string, env map[string]string, depth int) string {
	n := nameLength(expr)
	value, set := env[expr[:n]]
	op := expr[n:]
	colon := strings.HasPrefix(op, ":")
	if op = strings.TrimPrefix(op, ":"); op == "" {
		return value
	}
	present := set && (value != "" || !colon)
	other := expandVars(op[1:], env, depth+1)
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

// readEnv reads a .env file: NAME=value lines, comments, quotes, and
// references to variables defined above.
func readEnv(name string) (map[string]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	env := map[string]string{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		line = strings.TrimPrefix(line, "export ")
		key, value, ok := strings.Cut(line, "=")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		env[strings.TrimSpace(key)] = envValue(strings.TrimSpace(value), env)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return env, nil
}

func envValue(value string, env map[string]string) string {
	if len(value) > 0 && (value[0] == '"' || value[0] == '\'') {
		if end := strings.IndexByte(value[1:], value[0]); end >= 0 {
			inner := value[1 : 1+end]
			if value[0] == '\'' {
				return inner
			}
			return expandVars(inner, env, 0)
		}
	}
	if i := strings.Index(value, " #"); i >= 0 {
		value = strings.TrimSpace(value[:i])
	}
	return expandVars(value, env, 0)
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
