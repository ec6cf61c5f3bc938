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

// project is one compose project: its services by name, overridden, extended and with
// variables replaced. Maps from nodes to files are how an error can name the right one
// of several files: nodes know their line alone.
type project struct {
	dir      string // of the first file; "" for the standard input
	env      map[string]string
	left     *allowance // for variables of all files
	grown    error      // where they became too large
	services map[string]*yaml.Node
	keyAt    map[string]depgraph.Position // of services
	files    map[*yaml.Node]string        // where nodes come from
	base     map[string]string            // files -> folders that their paths start from
	read     []string
	unread   []string // compose files beside, which docker compose does not read
	warnings []string
}

// at is the place of a node, which may come from any file of the project.
//
// Every node that parse has returned, and every copy that override has made, has a file.
func (p *project) at(n *yaml.Node) depgraph.Position {
	return depgraph.Position{File: p.files[n], Line: n.Line}
}

// composeNames are the names that docker compose looks for, the first one first.
var composeNames = []string{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"}

// composeProjects groups what was named: files are one project, of which later
// ones override earlier ones; below a folder, every folder with a compose file
// is a project of its own, with its override file.
//
// "-" counts as a file. Projects below folders come first, in order of paths, and the one
// of the named files last.
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

// composeFolders finds the projects below a folder, in order of path: in each folder
// the first of composeNames that is there, and with it the override file of the same
// name. Hidden folders and those that package managers fill (node_modules, vendor) hold
// examples of others.
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

// exists reports whether there is something by that name, which a load will then read
// or fail at.
func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// isCompose reports whether docker compose users would take the file for a compose
// file: compose.prod.yaml, docker-compose.test.yml. It serves to name the files that
// were not read.
func isCompose(name string) bool {
	base := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(name), ".yml"), ".yaml")
	return isYAML(name) && (strings.HasPrefix(base, "compose") || strings.HasPrefix(base, "docker-compose"))
}

// loadProject reads the files of one project, each over those before it. Paths in all
// of them start from the folder of the first one, as does the .env file: that is docker
// compose's project directory. Compose files beside it that were not named are listed
// in unread.
func loadProject(files []string) (*project, error) {
	p := &project{left: newAllowance(), services: map[string]*yaml.Node{}, keyAt: map[string]depgraph.Position{}, files: map[*yaml.Node]string{}, base: map[string]string{}, env: map[string]string{}}
	if files[0] != "-" {
		p.dir = filepath.Dir(files[0])
	}
	env, err := p.readEnv(filepath.Join(p.dir, ".env"))
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

// load reads one file over what is there. Its paths start from base, the folder of the
// first file; env holds its variables, and trail the files that include it, since one
// that includes itself would never end.
//
// What a file includes is added first, so that its own services override that.
//
// A file without services and includes is an error: it is probably another tool's.
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
//
// Of several errors the first in the file is returned.
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

// include reads what an item of include names, which has its own folder and its own
// variables. The item is a path, or a mapping with path (one, or several that override
// each other), project_directory and env_file. An include from another machine is left
// out with a warning: an import asks no network.
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
//
// An env_file that is absent is a warning, an absent .env is none.
func (p *project) includeEnv(inc *yaml.Node, base, dir string, env map[string]string) (map[string]string, error) {
	named := envFiles(get(inc, "env_file"))
	own := map[string]string{}
	if named == nil {
		more, err := p.readEnv(filepath.Join(dir, ".env"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		own = more
	}
	for _, file := range named {
		more, err := p.readEnv(below(base, file.name))
		if errors.Is(err, os.ErrNotExist) {
			p.warnings = append(p.warnings, fmt.Sprintf("%s: the env_file %s of an include is absent", p.at(file.at), file.name))
		} else if err != nil {
			return nil, err
		}
		own = join2(own, more)
	}
	return join2(own, env), nil
}

// below returns a path as seen from a folder; one that is absolute stays.
func below(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// join2 returns both maps in a new one; over wins.
func join2(base, over map[string]string) map[string]string {
	all := make(map[string]string, len(base)+len(over))
	maps.Copy(all, base)
	maps.Copy(all, over)
	return all
}

// parse reads one file and replaces the variables in its values. Several documents in a
// file override each other, as docker compose does it. A file without a document is an
// error, since an empty file is a mistake more often than a wish.
//
// The file is noted among those that were read, under its name for people.
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
	return root, p.grown
}

// own notes where nodes come from, and replaces variables in values, never in keys:
// that is what docker compose does, and a key with a dollar sign is a name like others.
// Afterwards the place of every node below is known.
//
// It writes into the nodes, which nobody else holds. What variables may grow to is bounded
// over all files of the project; the place where they grew too large is kept in p.grown.
func (p *project) own(n *yaml.Node, file string, env map[string]string) {
	p.files[n] = file
	if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "$") {
		n.Value = expandVars(n.Value, env, p.left, 0)
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
	if p.grown == nil {
		p.grown = p.left.exceeded(p.at(n))
	}
}

// passThrough fills in variables that are named without a value: docker compose takes
// them from its own environment, an import from the .env file alone.
func (p *project) passThrough(n *yaml.Node, env map[string]string) {
	for _, item := range items(n) {
		if value, ok := env[item.Value]; ok && !strings.Contains(item.Value, "=") && p.left.take(value) {
			item.Value += "=" + value
		}
	}
	pairs(n, func(key, value *yaml.Node) {
		if v, ok := env[key.Value]; ok && value.Kind == yaml.ScalarNode && value.Tag == "!!null" {
			value.Tag, value.Value = "!!str", v
		}
	})
}
