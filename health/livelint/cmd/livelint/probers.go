package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A prober is what a platform asks whether a process lives.
type prober struct {
	file string
	line int
	who  string // "Deployment shop, container web"
	path string
	then string // what the platform does
}

func (p prober) String() string {
	return fmt.Sprintf("%s:%d: %s is asked for %s, and %s", p.file, p.line, p.who, p.path, p.then)
}

// mostManifest is the largest file that is read.
const mostManifest = 16 << 20

// probers reads the files of a folder, or one, with a platform's reader. What
// is wrong with one is in the error, and does not hide the others.
func probers(root string, read func(file string, doc *yaml.Node) []prober) (all []prober, err error) {
	var wrong []error
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != root && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		}
		if ext := strings.ToLower(filepath.Ext(name)); !d.Type().IsRegular() || name != root && ext != ".yaml" && ext != ".yml" && ext != ".json" {
			return nil
		}
		found, err := readManifest(name, read)
		if err != nil {
			wrong = append(wrong, err)
		}
		all = append(all, found...)
		return nil
	})
	return all, errors.Join(append(wrong, err)...)
}

// readManifest reads the YAML documents of a file, up to mostManifest. It
// returns what it has found before an error, too.
func readManifest(name string, read func(string, *yaml.Node) []prober) (all []prober, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, mostManifest+1))
	if err != nil {
		return nil, err
	}
	if len(text) > mostManifest {
		return nil, fmt.Errorf("%s: is larger than %d MB", name, mostManifest>>20)
	}
	documents := yaml.NewDecoder(strings.NewReader(string(text)))
	for {
		var doc yaml.Node
		switch err := documents.Decode(&doc); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil && strings.Contains(string(text), "{{"):
			return all, fmt.Errorf("%s: is a template: give what it renders to (helm template)", name)
		case err != nil:
			return all, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, read(filepath.ToSlash(name), &doc)...)
	}
}

// get is the value of a key, whatever its case: CloudFormation and the API of
// ECS write the same names differently.
func get(n *yaml.Node, keys ...string) *yaml.Node {
	for _, key := range keys {
		if n != nil && n.Kind == yaml.DocumentNode && len(n.Content) > 0 {
			n = n.Content[0]
		}
		if n == nil || n.Kind != yaml.MappingNode {
			return nil
		}
		i := 0
		for ; i+1 < len(n.Content); i += 2 {
			if strings.EqualFold(n.Content[i].Value, key) {
				break
			}
		}
		if i+1 >= len(n.Content) {
			return nil
		}
		n = n.Content[i+1]
	}
	return n
}

// text is the value of a scalar; empty for anything else.
func text(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// number is a value above 0, or what the platform does without one.
func number(n *yaml.Node, usual int) int {
	if i, err := strconv.Atoi(text(n)); err == nil && i > 0 {
		return i
	}
	return usual
}

// walk calls f with each mapping below a node.
func walk(n *yaml.Node, f func(*yaml.Node)) {
	if n.Kind == yaml.MappingNode {
		f(n)
	}
	for _, c := range n.Content { // not what an alias is for: it is somewhere itself
		walk(c, f)
	}
}

// address is what curl and wget ask: a URL, or this host without a scheme.
var address = regexp.MustCompile(`(?:https?://[^/\s'"?|;)]+|(?:^|[\s'"])(?:localhost|127\.0\.0\.1|\[::1\])(?::[^/\s'"?|;)]+)?)(/[^\s'"?|;)]*)?`)

// kubernetes finds the probes that restart a container.
func kubernetes(file string, doc *yaml.Node) (all []prober) {
	workload := strings.TrimSpace(text(get(doc, "kind")) + " " + text(get(doc, "metadata", "name")))
	walk(doc, func(container *yaml.Node) {
		for _, kind := range []string{"livenessProbe", "startupProbe"} {
			probe := get(container, kind)
			if probe == nil {
				continue
			}
			p := prober{
				file: file, line: probe.Line, who: workload + ", container " + text(get(container, "name")),
				then: fmt.Sprintf("restarted after %d failures, %d s apart", number(get(probe, "failureThreshold"), 3), number(get(probe, "periodSeconds"), 10)),
			}
			if ask := get(probe, "httpGet"); ask != nil && ask.Kind == yaml.MappingNode {
				if path := get(ask, "path"); path == nil || path.Kind == yaml.ScalarNode {
					p.path = askedPath(path)
					all = append(all, p)
				}
			}
			all = append(all, byCommand(p, get(probe, "exec", "command"))...)
		}
	})
	return all
}

// askedPath is what the kubelet makes of a probe's path: none is /, and a slash
// before it may be left out.
func askedPath(n *yaml.Node) string {
	if n == nil || n.Tag == "!!null" {
		return "/"
	}
	path, _, _ := strings.Cut(text(n), "?")
	return "/" + strings.TrimPrefix(path, "/")
}

// ecs finds the health checks of containers in task definitions, and in lists of
// containers, as Terraform has them in files of their own.
func ecs(file string, doc *yaml.Node) (all []prober) {
	list := func(n, definitions *yaml.Node) {
		if definitions == nil || definitions.Kind != yaml.SequenceNode {
			return
		}
		for _, container := range definitions.Content {
			check := get(container, "healthCheck")
			if check == nil {
				continue
			}
			all = append(all, byCommand(prober{
				file: file, line: check.Line, who: strings.TrimSpace("task "+text(get(n, "family"))) + ", container " + text(get(container, "name")),
				then: fmt.Sprintf("replaced after %d failures, %d s apart, if it is essential", number(get(check, "retries"), 3), number(get(check, "interval"), 30)),
			}, get(check, "command"))...)
		}
	}
	if doc.Kind == yaml.DocumentNode && len(doc.Content) > 0 {
		list(nil, doc.Content[0])
	}
	walk(doc, func(n *yaml.Node) { list(n, get(n, "containerDefinitions")) })
	return all
}

// byCommand are the paths that a command asks for: curl -f http://localhost:8080/up.
func byCommand(p prober, command *yaml.Node) (all []prober) {
	if command == nil {
		return nil
	}
	for _, word := range command.Content {
		for _, match := range address.FindAllStringSubmatch(text(word), -1) {
			p.path = "/" + strings.TrimPrefix(match[1], "/")
			all = append(all, p)
		}
	}
	return all
}

// patterns is the regular expression of what probers ask for, below any prefix
// that the code does not know.
func patterns(all []prober) string {
	var paths []string
	for _, p := range all {
		if path := regexp.QuoteMeta("/" + strings.Trim(p.path, "/")); !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	return "^(" + strings.Join(paths, "|") + ")/?$"
}

// asking are the probers that ask for a route.
func asking(all []prober, route string) (found []prober) {
	if i := strings.Index(route, "/"); i > 0 {
		route = route[i:] // "GET /up", "example.com/up"
	}
	for _, p := range all {
		if strings.TrimSuffix(p.path, "/") == strings.TrimSuffix(route, "/") {
			found = append(found, p)
		}
	}
	return found
}
