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

// The configuration of platforms: which paths they ask for, and what they do if the
// answer is no. For another platform add a function like kubernetes and ecs, which
// takes a file's name and one YAML document, and a flag in main.go. JSON is YAML here.

// A prober is what a platform asks whether a process lives.
type prober struct {
	// relative to where livelint was called, with slashes; line is that of the probe
	file string
	line int
	who  string // "Deployment shop, container web"
	// with a slash in front, and without a query
	path string
	then string // what the platform does
}

// String is the line that is printed before the findings: who asks for what.
func (p prober) String() string {
	return fmt.Sprintf("%s:%d: %s is asked for %s, and %s", p.file, p.line, p.who, p.path, p.then)
}

// mostManifest is the largest file that is read.
// More is no manifest, but data that lies beside one.
const mostManifest = 16 << 20

// probers reads the files of a folder, or one, with a platform's reader. What
// is wrong with one is in the error, and does not hide the others.
// In a folder these are .yaml, .yml and .json files at any depth, not in hidden folders
// (.git, .terraform); a file that is named itself may be called anything. Links are not
// followed. The order is that of the names.
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
	// one byte more than may be, to tell a file that is cut off
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
		// the decoder's own words would point at a line that is right
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
// Several keys are a path from the outside in. Nil if one of them is missing, or n is
// nil or no mapping, so that calls can be chained without a check.
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
// What is not a plain number, as a parameter of a template is, counts as missing.
func number(n *yaml.Node, usual int) int {
	if i, err := strconv.Atoi(text(n)); err == nil && i > 0 {
		return i
	}
	return usual
}

// walk calls f with each mapping below a node.
// So a container is found whatever it is in: a Deployment, a CronJob, a List, or a
// resource of somebody's own.
func walk(n *yaml.Node, f func(*yaml.Node)) {
	if n.Kind == yaml.MappingNode {
		f(n)
	}
	for _, c := range n.Content { // not what an alias is for: it is somewhere itself
		walk(c, f)
	}
}

// address is what curl and wget ask: a URL, or this host without a scheme.
// The group is the path, up to a query, a quote, or the end of the shell's word. The
// host is not looked at: a command that asks another machine is a finding, too. A file
// /run/localhost/x is no address, since the name has to begin a word.
var address = regexp.MustCompile(`(?:https?://[^/\s'"?|;)]+|(?:^|[\s'"])(?:localhost|127\.0\.0\.1|\[::1\])(?::[^/\s'"?|;)]+)?)(/[^\s'"?|;)]*)?`)

// kubernetes finds the probes that restart a container.
// Readiness probes take a pod out of the traffic and restart nothing, so they are left
// out; so are tcpSocket and grpc probes, which ask for no path. The defaults are those
// of the API reference of Probe: failureThreshold 3, periodSeconds 10.
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
				// a path that is a list is refused by the platform, too
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
// Queries are taken off: they choose no handler.
func askedPath(n *yaml.Node) string {
	if n == nil || n.Tag == "!!null" {
		return "/"
	}
	path, _, _ := strings.Cut(text(n), "?")
	return "/" + strings.TrimPrefix(path, "/")
}

// ecs finds the health checks of containers in task definitions, and in lists of
// containers, as Terraform has them in files of their own.
// The defaults are those of the HealthCheck of a task definition: retries 3, interval
// 30 s. A container without a check is asked nothing.
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
// One prober for each address in the command, p with its path. Without a path curl
// asks for /. Nil for a command that asks for nothing.
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
// The value of -paths. What is in a path is taken literally; each path is there once.
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
// A slash at the end does not matter, as it does not in patterns. O(probers).
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
