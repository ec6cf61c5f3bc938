// Package importer reads what other tools know about dependencies (docker
// compose, Kubernetes, Backstage, systemd) and writes manifests for people to
// edit.
//
// Every service and edge keeps where it was found, as its source. No tool says
// which dependency is soft, so every edge is hard unless the source says
// otherwise; each Result lists what its source could not know.
package importer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/failopen/failopen/depgraph"
	"go.yaml.in/yaml/v3"
)

// Result is what was found.
type Result struct {
	// Services are in order of name.
	Services []depgraph.Service
	// Unknown says what the source could not tell. It becomes a comment at the
	// head of every manifest.
	Unknown []string
	// Warnings name what was seen and not understood, with its place.
	Warnings []string
	// Sources counts edges by what they were derived from. An edge with two
	// sources counts in both.
	Sources map[string]int
}

// Graph compiles the services.
func (r *Result) Graph() (*depgraph.Graph, error) {
	return depgraph.Compile(r.Services, depgraph.Options{})
}

// Edges counts the pairs of services that depend on each other.
func (r *Result) Edges() int {
	n := 0
	for _, s := range r.Services {
		seen := map[string]bool{}
		for _, d := range s.Depends {
			for _, to := range append(d.AnyOf, d.On) {
				if to != "" {
					seen[to] = true
				}
			}
		}
		n += len(seen)
	}
	return n
}

// WriteTo writes one manifest with all services.
func (r *Result) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	b.WriteString(r.header())
	if err := depgraph.WriteManifest(&b, r.Services...); err != nil {
		return 0, err
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

func (r *Result) header() string {
	var b strings.Builder
	for _, line := range r.Unknown {
		fmt.Fprintf(&b, "# %s\n", line)
	}
	return b.String()
}

// WriteDir writes a manifest for each service as NAME.depgraph.yaml into dir
// and returns the names. If one of the files exists already, nothing is
// written, unless force is set.
func (r *Result) WriteDir(dir string, force bool) ([]string, error) {
	names := make([]string, len(r.Services))
	taken := map[string]string{}
	for i, s := range r.Services {
		names[i] = filepath.Join(dir, fileName(s.Name)+".depgraph.yaml")
		if other, ok := taken[names[i]]; ok {
			return nil, fmt.Errorf("services %q and %q would share the file %s", other, s.Name, names[i])
		}
		taken[names[i]] = s.Name
		if _, err := os.Lstat(names[i]); err == nil && !force {
			return nil, fmt.Errorf("%s exists already; nothing was written (--force overwrites)", names[i])
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for i, s := range r.Services {
		var b strings.Builder
		b.WriteString(r.header())
		if err := depgraph.WriteManifest(&b, s); err != nil {
			return names[:i], err
		}
		if err := os.WriteFile(names[i], []byte(b.String()), 0o644); err != nil {
			return names[:i], err
		}
	}
	return names, nil
}

// fileName turns a service's name into one that is safe in every folder.
func fileName(name string) string {
	safe := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.@", r) {
			return r
		}
		return '_'
	}, name)
	return strings.TrimLeft(safe, ".")
}

// document is one YAML document with its file.
type document struct {
	file string
	root *yaml.Node
}

func (d document) at(n *yaml.Node) depgraph.Position {
	return depgraph.Position{File: d.file, Line: n.Line}
}

// maxFile is the size above which a file is refused.
const maxFile = 64 << 20

// readYAML reads all documents of the files; folders are searched for names
// that end in .yaml or .yml and for which match holds.
func readYAML(paths []string, match func(name string) bool) ([]document, error) {
	files, err := expand(paths, func(name string) bool {
		ext := filepath.Ext(name)
		return (ext == ".yaml" || ext == ".yml") && match(name)
	})
	if err != nil {
		return nil, err
	}
	var docs []document
	for _, name := range files {
		data, err := readFile(name)
		if err != nil {
			return nil, err
		}
		dec := yaml.NewDecoder(strings.NewReader(string(data)))
		for {
			var n yaml.Node
			if err := dec.Decode(&n); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("%s: %w", filepath.ToSlash(name), err)
			}
			if len(n.Content) > 0 {
				docs = append(docs, document{filepath.ToSlash(name), n.Content[0]})
			}
		}
	}
	return docs, nil
}

func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: %d bytes are too many; the limit is %d", filepath.ToSlash(name), info.Size(), maxFile)
	}
	return os.ReadFile(name)
}

// expand lists files, and those below folders for which match holds.
func expand(paths []string, match func(name string) bool) ([]string, error) {
	if len(paths) == 0 {
		return nil, errors.New("no file was given")
	}
	var files []string
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, p)
			continue
		}
		before := len(files)
		err = filepath.WalkDir(p, func(name string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() && match(name) {
				files = append(files, name)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(files) == before {
			return nil, fmt.Errorf("%s: no file to import below this folder", filepath.ToSlash(p))
		}
	}
	return files, nil
}

// maxDepth bounds chains of aliases and merge keys.
const maxDepth = 32

// get returns the value of a key, over merge keys, or nil.
func get(n *yaml.Node, path ...string) *yaml.Node {
	for _, key := range path {
		if n = getOne(n, key, 0); n == nil {
			return nil
		}
	}
	return n
}

func getOne(n *yaml.Node, key string, depth int) *yaml.Node {
	if n = follow(n); n == nil || n.Kind != yaml.MappingNode || depth > maxDepth {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return follow(n.Content[i+1])
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value != "<<" {
			continue
		}
		merged := follow(n.Content[i+1])
		for _, m := range append(items(merged), merged) {
			if found := getOne(m, key, depth+1); found != nil {
				return found
			}
		}
	}
	return nil
}

func follow(n *yaml.Node) *yaml.Node {
	for i := 0; n != nil && n.Kind == yaml.AliasNode; i++ {
		if i > maxDepth {
			return nil
		}
		n = n.Alias
	}
	return n
}

// items returns the items of a list.
func items(n *yaml.Node) []*yaml.Node {
	if n = follow(n); n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	all := make([]*yaml.Node, 0, len(n.Content))
	for _, item := range n.Content {
		if item = follow(item); item != nil {
			all = append(all, item)
		}
	}
	return all
}

// pairs calls each for every key and value of a mapping.
func pairs(n *yaml.Node, each func(key, value *yaml.Node)) {
	if n = follow(n); n == nil || n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if value := follow(n.Content[i+1]); value != nil {
			each(n.Content[i], value)
		}
	}
}

// text returns the value of a scalar, or "".
func text(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return ""
	}
	return n.Value
}
