package importer

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/failopen/failopen/depgraph"
	"go.yaml.in/yaml/v3"
)

// This file reads compose files into projects, as docker compose does: later
// files override earlier ones, variables are replaced, include and extends are
// followed. What the services mean is in compose.go.

// project is one compose project: its services by name, overridden, extended
// and with variables replaced.
type project struct {
	dir      string // of the first file; "" for the standard input
	env      map[string]string
	services map[string]*yaml.Node
	keyAt    map[string]depgraph.Position // of services
	files    map[*yaml.Node]string        // where nodes come from
	base     map[string]string            // files -> folders that their paths start from
	read     []string
	unread   []string // compose files beside, which docker compose does not read
	warnings []string
}

// at is the place of a node, which may come from any file of the project.
func (p *project) at(n *yaml.Node) depgraph.Position {
	return depgraph.Position{File: p.files[n], Line: n.Line}
}

// composeNames are the names that docker compose looks for, the first one first.
var composeNames = []string{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"}

// composeProjects groups what was named: files are one project, of which later
// ones override earlier ones; below a folder, every folder with a compose file
// is a project of its own, with its override file.
func composeProjects(paths []string) ([][]string, error) {
	var projects [][]string
	var named []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if path == "-" || err == nil && !info.IsDir() {
			named = append(named, path)
			continue
		} else if err != nil {
			return nil, err
		}
		below, err := composeFolders(path)
		if err != nil {
			return nil, err
		}
		if len(below) == 0 {
			return nil, fmt.Errorf("%s: no compose file below this folder", filepath.ToSlash(path))
		}
		projects = append(projects, below...)
	}
	if named != nil {
		projects = append(projects, named)
	}
	return projects, nil
}

func composeFolders(root string) (projects [][]string, err error) {
	err = filepath.WalkDir(root, func(dir string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		if name := e.Name(); dir != root && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "vendor") {
			return fs.SkipDir
		}
		for _, name := range composeNames {
			file := filepath.Join(dir, name)
			if info, err := os.Stat(file); err != nil || info.IsDir() {
				continue
			}
			files := []string{file}
			base := strings.TrimSuffix(name, filepath.Ext(name))
			for _, ext := range []string{".yaml", ".yml"} {
				if over := filepath.Join(dir, base+".override"+ext); exists(over) {
					files = append(files, over)
					break
				}
			}
			projects = append(projects, files)
			break
		}
		return nil
	})
	return projects, err
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func isCompose(name string) bool {
	base := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(name), ".yml"), ".yaml")
	return isYAML(name) && (strings.HasPrefix(base, "compose") || strings.HasPrefix(base, "docker-compose"))
}

// loadProject reads the files of one project.
func loadProject(files []string) (*project, error) {
	p := &project{services: map[string]*yaml.Node{}, keyAt: map[string]depgraph.Position{}, files: map[*yaml.Node]string{}, base: map[string]string{}, env: map[string]string{}}
	if files[0] != "-" {
		p.dir = filepath.Dir(files[0])
	}
	env, err := readEnv(filepath.Join(p.dir, ".env"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	p.env = env
	for _, file := range files {
		if err := p.load(file, p.dir, p.env, nil); err != nil {
			return nil, err
		}
	}
	if p.dir != "" {
		entries, err := os.ReadDir(p.dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if name := filepath.ToSlash(filepath.Join(p.dir, e.Name())); isCompose(name) && !slices.Contains(p.read, name) {
				p.unread = append(p.unread, name)
			}
		}
	}
	return p, nil
}

// load reads one file over what is there. Its paths start from base, the folder
// of the first file; trail holds the files that include it.
func (p *project) load(file, base string, env map[string]string, trail []string) error {
	if slices.Contains(trail, file) {
		return fmt.Errorf("%s: includes itself, by way of %s", filepath.ToSlash(file), strings.Join(trail, ", "))
	}
	root, err := p.parse(file, env)
	if err != nil {
		return err
	}
	p.base[p.files[root]] = base
	services := get(root, "services")
	if services == nil && get(root, "include") == nil {
		return fmt.Errorf("%s:%d: no services here; is it a compose file?", p.files[root], root.Line)
	}
	if services != nil && services.Kind != yaml.MappingNode && services.Tag != "!!null" {
		return fmt.Errorf("%s: services: expected a mapping", p.at(services))
	}
	for _, inc := range items(get(root, "include")) {
		if err := p.include(inc, base, env, append(slices.Clone(trail), file)); err != nil {
			return err
		}
	}
	return p.add(services)
}

// add lays the services of one file over those that are there. What they
// extend is looked up in their own file first, as it was before any override.
func (p *project) add(services *yaml.Node) error {
	among := maps.Clone(p.services)
	if err := p.normalAll(services, among); err != nil {
		return err
	}
	done := map[string]*yaml.Node{}
	var first error
	pairs(services, func(key, _ *yaml.Node) {
		name := key.Value
		s, err := p.extend(among[name], name, "", among, done, nil)
		if err != nil && first == nil {
			first = err
		}
		if err != nil {
			return
		}
		if p.services[name] == nil {
			p.keyAt[name] = p.at(key)
		}
		p.services[name] = p.override(p.services[name], s)
	})
	return first
}

// include reads what an item of include names, which has its own folder and
// its own variables.
func (p *project) include(inc *yaml.Node, base string, env map[string]string, trail []string) error {
	named, paths := texts(get(inc, "path")), []string(nil)
	if inc.Kind == yaml.ScalarNode {
		named = []string{text(inc)}
	}
	for _, path := range named {
		if strings.Contains(path, "://") || strings.HasPrefix(path, "oci:") {
			p.warnings = append(p.warnings, fmt.Sprintf("%s: %s is not on this machine; the include is left out", p.at(inc), path))
			continue
		}
		paths = append(paths, below(base, path))
	}
	if len(paths) == 0 {
		return nil
	}
	dir := filepath.Dir(paths[0])
	if d := text(get(inc, "project_directory")); d != "" {
		dir = below(base, d)
	}
	own, err := p.includeEnv(inc, base, dir, env)
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := p.load(path, dir, own, trail); err != nil {
			return fmt.Errorf("%s: include: %w", p.at(inc), err)
		}
	}
	return nil
}

// includeEnv returns the variables for what is included: those of env_file, or
// of the .env in its folder, and over them those of the including file.
func (p *project) includeEnv(inc *yaml.Node, base, dir string, env map[string]string) (map[string]string, error) {
	named := envFiles(get(inc, "env_file"))
	own := map[string]string{}
	if named == nil {
		more, err := readEnv(filepath.Join(dir, ".env"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		own = more
	}
	for _, file := range named {
		more, err := readEnv(below(base, file.name))
		if errors.Is(err, os.ErrNotExist) {
			p.warnings = append(p.warnings, fmt.Sprintf("%s: the env_file %s of an include is absent", p.at(file.at), file.name))
		} else if err != nil {
			return nil, err
		}
		own = join2(own, more)
	}
	return join2(own, env), nil
}

// below returns a path as seen from a folder.
func below(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// join2 returns both maps; over wins.
func join2(base, over map[string]string) map[string]string {
	all := map[string]string{}
	for k, v := range base {
		all[k] = v
	}
	for k, v := range over {
		all[k] = v
	}
	return all
}

// parse reads one file and replaces the variables in its values.
func (p *project) parse(file string, env map[string]string) (*yaml.Node, error) {
	data, err := readFile(file)
	if err != nil {
		return nil, err
	}
	docs, err := parseYAML(file, data)
	if err != nil {
		return nil, err
	}
	if len(docs) == 0 {
		return nil, fmt.Errorf("%s: the file is empty", shown(file))
	}
	p.read = append(p.read, docs[0].file)
	root := docs[0].root
	for _, doc := range docs[1:] { // several documents in a file are merged, too
		root = p.override(root, doc.root)
	}
	p.own(root, docs[0].file, env)
	return root, nil
}

// own notes where nodes come from, and replaces variables.
func (p *project) own(n *yaml.Node, file string, env map[string]string) {
	p.files[n] = file
	if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "$") {
		n.Value = expandVars(n.Value, env, 0)
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			p.files[child] = file
			continue
		}
		p.own(child, file, env)
	}
	if n.Kind == yaml.MappingNode {
		if e := get(n, "environment"); e != nil {
			p.passThrough(e, env)
		}
	}
}

// passThrough fills in variables that are named without a value.
func (p *project) passThrough(n *yaml.Node, env map[string]string) {
	for _, item := range items(n) {
		if value, ok := env[item.Value]; ok && !strings.Contains(item.Value, "=") {
			item.Value += "=" + value
		}
	}
	pairs(n, func(key, value *yaml.Node) {
		if v, ok := env[key.Value]; ok && value.Kind == yaml.ScalarNode && value.Tag == "!!null" {
			value.Tag, value.Value = "!!str", v
		}
	})
}

// normalAll checks services and notes them by name, in their normal form.
func (p *project) normalAll(services *yaml.Node, among map[string]*yaml.Node) (first error) {
	pairs(services, func(key, s *yaml.Node) {
		if err := p.checkShapes(key.Value, s); err != nil && first == nil {
			first = err
		}
		among[key.Value] = p.normal(s)
	})
	return first
}

// normal brings the two lists that can be mappings into that form, so that
// they can be overridden by key.
func (p *project) normal(s *yaml.Node) *yaml.Node {
	if s.Kind != yaml.MappingNode {
		return s
	}
	c := *s
	c.Content = slices.Clone(s.Content)
	p.files[&c] = p.files[s]
	for i := 0; i+1 < len(c.Content); i += 2 {
		value := c.Content[i+1]
		if value.Kind != yaml.SequenceNode {
			continue
		}
		switch c.Content[i].Value {
		case "environment":
			c.Content[i+1] = p.mapping(value, func(item string) (string, string) {
				key, v, _ := strings.Cut(item, "=")
				return key, v
			})
		case "depends_on":
			c.Content[i+1] = p.mapping(value, func(item string) (string, string) { return item, "" })
		}
	}
	return &c
}

// mapping turns a list of scalars into a mapping.
func (p *project) mapping(list *yaml.Node, split func(string) (key, value string)) *yaml.Node {
	m := &yaml.Node{Kind: yaml.MappingNode, Tag: list.Tag, Line: list.Line}
	if !strings.HasPrefix(m.Tag, "!re") && m.Tag != "!override" {
		m.Tag = "!!map"
	}
	p.files[m] = p.files[list]
	for _, item := range list.Content {
		key, value := split(text(item))
		k := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key, Line: item.Line}
		v := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value, Line: item.Line}
		p.files[k], p.files[v] = p.files[item], p.files[item]
		m.Content = append(m.Content, k, v)
	}
	return m
}

// replaced are sequences that an override replaces; others grow.
var replaced = []string{"command", "entrypoint", "test"}

// override lays over on top of base: mappings by key, lists one behind the
// other, and everything else replaced; !reset removes, !override replaces.
func (p *project) override(base, over *yaml.Node) *yaml.Node {
	if base == nil || base.Kind != yaml.MappingNode || over.Kind != yaml.MappingNode || over.Tag == "!override" {
		return p.withoutReset(over)
	}
	c := *base
	c.Content = slices.Clone(base.Content)
	p.files[&c] = p.files[base]
	pairs(over, func(key, value *yaml.Node) {
		at := -1
		for i := 0; i+1 < len(c.Content); i += 2 {
			if c.Content[i].Value == key.Value {
				at = i
			}
		}
		switch {
		case value.Tag == "!reset":
			if at >= 0 {
				c.Content = slices.Delete(c.Content, at, at+2)
			}
		case at < 0:
			c.Content = append(c.Content, key, p.withoutReset(value))
		default:
			old := c.Content[at+1]
			if old.Kind == yaml.SequenceNode && value.Kind == yaml.SequenceNode && value.Tag != "!override" && !slices.Contains(replaced, key.Value) {
				list := *old
				list.Content = append(slices.Clone(old.Content), value.Content...)
				p.files[&list] = p.files[old]
				value = &list
			} else {
				value = p.override(old, value)
			}
			c.Content[at], c.Content[at+1] = key, value
		}
	})
	return &c
}

// withoutReset drops the keys that are reset where there is nothing to reset.
func (p *project) withoutReset(n *yaml.Node) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return n
	}
	c := *n
	c.Content = nil
	p.files[&c] = p.files[n]
	pairs(n, func(key, value *yaml.Node) {
		if value.Tag != "!reset" {
			c.Content = append(c.Content, key, p.withoutReset(value))
		}
	})
	return &c
}

// extend lays a service over the one that it extends, from this file set or
// from another file.
func (p *project) extend(s *yaml.Node, name, file string, among map[string]*yaml.Node, done map[string]*yaml.Node, trail []string) (*yaml.Node, error) {
	key := file + "\x00" + name
	if d := done[key]; d != nil {
		return d, nil
	}
	ext := get(s, "extends")
	if ext == nil {
		done[key] = s
		return s, nil
	}
	if slices.Contains(trail, key) {
		return nil, fmt.Errorf("%s: %s extends itself", p.at(ext), name)
	}
	trail = append(slices.Clone(trail), key)
	base, other := text(get(ext, "service")), text(get(ext, "file"))
	if ext.Kind == yaml.ScalarNode {
		base = text(ext)
	}
	if other != "" {
		from := p.files[ext]
		if !filepath.IsAbs(other) && from != stdin {
			other = filepath.Join(filepath.Dir(from), other)
		}
		root, err := p.parse(other, p.env)
		if err != nil {
			return nil, fmt.Errorf("%s: extends: %w", p.at(ext), err)
		}
		among, file = map[string]*yaml.Node{}, other
		if err := p.normalAll(get(root, "services"), among); err != nil {
			return nil, fmt.Errorf("%s: extends: %w", p.at(ext), err)
		}
	}
	if among[base] == nil {
		return nil, fmt.Errorf("%s: %s extends %q, which is not in %s", p.at(ext), name, base, orHere(file))
	}
	parent, err := p.extend(among[base], base, file, among, done, trail)
	if err != nil {
		return nil, err
	}
	result := p.override(parent, s)
	done[key] = result
	return result, nil
}

func orHere(file string) string {
	if file == "" {
		return "these files"
	}
	return filepath.ToSlash(file)
}
