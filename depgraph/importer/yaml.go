package importer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/internal/yamlfault"
	"go.yaml.in/yaml/v3"
)

// document is one YAML document with its file. Its tree has neither aliases nor merge
// keys left, no mapping has a key twice, and nobody else holds its nodes: importers may
// write into them.
type document struct {
	file string
	root *yaml.Node
}

// at is the place of a node, in words that every message and source uses.
func (d document) at(n *yaml.Node) depgraph.Position {
	return depgraph.Position{File: d.file, Line: n.Line}
}

const (
	// What a file may be at most. Files are generated, so the bounds are far above what
	// a person writes, and below what would take the memory of a machine.
	maxFile  = 64 << 20  // bytes above which a file is refused
	maxNodes = 2_000_000 // of one document, with its aliases unfolded
	maxDepth = 32        // of aliases in aliases, and of variables in variables
	stdin    = "standard input"
)

// readYAML reads all documents of the files; folders are searched for names
// that end in .yaml or .yml and for which match holds. A file that cannot be
// parsed is an error, unless it stands below a folder and skip says why it may
// be left out.
//
// Documents come in the order of paths, and of names within a folder. skip may be nil.
func readYAML(paths []string, match func(name string) bool, skip func(name string, data []byte) bool) ([]document, error) {
	files, err := expand(paths, func(name string) bool { return isYAML(name) && match(name) })
	if err != nil {
		return nil, err
	}
	var docs []document
	for _, name := range files {
		data, err := readFile(name)
		if err != nil {
			return nil, err
		}
		if skip != nil && skip(name, data) {
			continue
		}
		more, err := parseYAML(name, data)
		if err != nil {
			return nil, err
		}
		docs = append(docs, more...)
	}
	return docs, nil
}

// isYAML reports whether a file below a folder may be YAML, by its name alone. Files
// that are named themselves are read whatever they are called.
func isYAML(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".yaml" || ext == ".yml"
}

// shown is a file's name for people.
func shown(name string) string {
	if name == "-" {
		return stdin
	}
	return filepath.ToSlash(name)
}

// allShown joins the names of an import's arguments.
func allShown(paths []string) string {
	names := make([]string, len(paths))
	for i, p := range paths {
		names[i] = shown(p)
	}
	return strings.Join(names, ", ")
}

// parseYAML reads the documents of one file; documents without content are left out.
// Its errors name the file as shown, and the line. The parser is known to panic on some
// inputs that are no YAML, so that is an error as well: an import never ends the program.
func parseYAML(name string, data []byte) (docs []document, err error) {
	shown := shown(name)
	defer func() {
		if p := recover(); p != nil {
			docs, err = nil, fmt.Errorf("%s: the parser failed: %v", shown, p)
		}
	}()
	dec := yaml.NewDecoder(strings.NewReader(string(data)))
	for {
		var n yaml.Node
		if err := dec.Decode(&n); errors.Is(err, io.EOF) {
			return docs, nil
		} else if err != nil {
			line, msg := yamlfault.Place(data, err)
			return nil, fmt.Errorf("%s:%d: cannot parse: %s", shown, line, msg)
		}
		if len(n.Content) == 0 {
			continue
		}
		f := flattener{budget: maxNodes}
		root := f.flat(n.Content[0], 0)
		if f.budget <= 0 {
			return nil, fmt.Errorf("%s:%d: the aliases of this document unfold to more than %d nodes", shown, n.Content[0].Line, maxNodes)
		}
		if n := f.deep; n != nil {
			return nil, fmt.Errorf("%s:%d: aliases within aliases are more than %d deep here, or one contains itself", shown, n.Line, maxDepth)
		}
		if d := f.twice; d != nil {
			return nil, fmt.Errorf("%s:%d: the key %q appears twice in a mapping; the first one is in line %d", shown, d.again.Line, d.again.Value, d.first.Line)
		}
		docs = append(docs, document{shown, root})
	}
}

// split cuts a file at the lines that begin a document. Each part has as many
// lines in front as it had, so that places stay right.
//
// Only a line of dashes alone counts: what follows "---" on its line, a tag or a text, stays
// with its document, and the parser sees to it.
func split(data []byte) (parts [][]byte) {
	line, start, startLine := 0, 0, 0
	cut := func(end int) {
		if strings.TrimSpace(string(data[start:end])) != "" {
			parts = append(parts, append(bytes.Repeat([]byte("\n"), startLine), data[start:end]...))
		}
	}
	for at := 0; at < len(data); line++ {
		end := len(data)
		if i := bytes.IndexByte(data[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		if text := data[at:end]; bytes.HasPrefix(text, []byte("---")) && strings.Trim(string(text), "- \t\r\n") == "" {
			cut(at)
			start, startLine = end, line+1
		}
		at = end
	}
	cut(len(data))
	return parts
}

// flattener unfolds aliases and merge keys into a tree that holds neither, so
// that no importer has to know about them. It copies: the parser's nodes are
// shared by every alias, and importers write into theirs.
type flattener struct {
	budget int        // nodes that may still be made; at 0 the rest is cut, and the document refused
	deep   *yaml.Node // the first node below more than maxDepth aliases; refused, too
	twice  *duplicate // the first key that a mapping has twice; refused, too
}

// duplicate is the first key that a mapping has twice: the parser keeps both,
// and whichever is taken, the other one would be lost.
type duplicate struct{ first, again *yaml.Node }

// flat copies a node with all that is below it. depth counts the aliases that lead
// here, not nesting: real files nest deep, but an alias inside an alias inside an alias
// is rare, and one inside itself never ends. What is cut off at a bound becomes a null,
// and the bound is noted in f for parseYAML, which refuses the document.
func (f *flattener) flat(n *yaml.Node, depth int) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
		depth++
	}
	if depth > maxDepth && f.deep == nil {
		f.deep = n
	}
	if f.budget--; n == nil || depth > maxDepth || f.budget <= 0 {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	}
	c := *n
	c.Content, c.Alias, c.Anchor = nil, nil, ""
	switch n.Kind {
	case yaml.SequenceNode:
		for _, item := range n.Content {
			c.Content = append(c.Content, f.flat(item, depth))
		}
	case yaml.MappingNode:
		f.mapping(&c, n, depth)
	}
	return &c
}

// mapping copies the keys of n, and behind them those of its merge keys that it
// does not have itself; of several, the first one counts.
//
// That is the order of YAML's merge type (yaml.org/type/merge). O(keys).
func (f *flattener) mapping(c, n *yaml.Node, depth int) {
	// Own keys first, since they count before merged ones; a key twice among these is a
	// mistake, a merged one that is there already is not.
	seen := map[string]*yaml.Node{}
	add := func(key, value *yaml.Node) {
		if seen[key.Value] == nil {
			seen[key.Value] = key
			c.Content = append(c.Content, key, value)
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if isMerge(n.Content[i]) {
			continue
		}
		key := f.flat(n.Content[i], depth)
		if first := seen[key.Value]; first != nil && key.Kind == yaml.ScalarNode && f.twice == nil {
			f.twice = &duplicate{first, key}
		}
		add(key, f.flat(n.Content[i+1], depth))
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !isMerge(n.Content[i]) {
			continue
		}
		// A merge key holds a mapping, or a list of them.
		merged := f.flat(n.Content[i+1], depth)
		sources := []*yaml.Node{merged}
		if merged.Kind == yaml.SequenceNode {
			sources = merged.Content
		}
		for _, m := range sources {
			pairs(m, add)
		}
	}
}

// isMerge reports whether a key is YAML's merge key: "<<", and not in quotes.
func isMerge(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.Value == "<<" && key.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0
}

// readFile reads a file, or the standard input under the name "-". Both are bounded by
// maxFile, since the parser takes many times the size of a file: a file is refused by
// its size alone, the standard input after so many bytes.
func readFile(name string) ([]byte, error) {
	if name == "-" {
		data, err := io.ReadAll(io.LimitReader(os.Stdin, maxFile+1))
		if err == nil && len(data) > maxFile {
			err = fmt.Errorf("%s: more than %d bytes are too many", stdin, maxFile)
		}
		return data, err
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: %d bytes are too many; the limit is %d", filepath.ToSlash(name), info.Size(), maxFile)
	}
	return os.ReadFile(name)
}

// maxLine bounds a line of a unit or of a file with variables.
const maxLine = 1 << 20

// eachLine calls each for every line of a file, counted from 1 and without the
// blanks around it. A line above maxLine is an error with its number: what
// stands behind it would be lost.
func eachLine(name string, r io.Reader, each func(n int, line string)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	n := 1
	for ; lines.Scan(); n++ {
		each(n, strings.TrimSpace(lines.Text()))
	}
	err := lines.Err()
	if errors.Is(err, bufio.ErrTooLong) {
		err = fmt.Errorf("a line is longer than %d bytes", maxLine)
	}
	if err != nil {
		return fmt.Errorf("%s:%d: %w", filepath.ToSlash(name), n, err)
	}
	return nil
}

// expand lists files, and those below folders for which match holds, in order of name
// within a folder: the order of paths is the caller's, and some importers (compose
// files that override each other) depend on it. A folder without a match is an error,
// as the wrong folder is a common mistake and an empty graph would look like a result.
func expand(paths []string, match func(name string) bool) ([]string, error) {
	if len(paths) == 0 {
		return nil, errors.New("no file was given")
	}
	var files []string
	for _, p := range paths {
		if p == "-" {
			files = append(files, p)
			continue
		}
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

// get returns the value at a path of keys, or nil.
//
// nil may be passed on, so paths can be put together.
func get(n *yaml.Node, path ...string) *yaml.Node {
	for _, key := range path {
		if n = getOne(n, key); n == nil {
			return nil
		}
	}
	return n
}

// getOne is get for one key. Keys are compared as text, whatever their tag: in YAML
// "80" and 80 differ, in these files nobody means that. O(keys).
func getOne(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// items returns the items of a list; nothing for whatever is no list. Importers of
// formats that a tool has checked already lean on that: what has the wrong shape says
// nothing. Compose files are checked for shapes first.
func items(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

// pairs calls each for every key and value of a mapping, in the order of the file, and
// does nothing for whatever is no mapping.
func pairs(n *yaml.Node, each func(key, value *yaml.Node)) {
	if n == nil || n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		each(n.Content[i], n.Content[i+1])
	}
}

// text returns the value of a scalar as it is written, or "" for null and for what is
// no scalar: "yes", "5" and "0x10" stay what they are.
func text(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return ""
	}
	return n.Value
}

// texts returns every scalar below a node, keys left out: the words of a command that
// may be a text, a list, or a list of lists.
//
// They come in the order of the file.
func texts(n *yaml.Node) (all []string) {
	switch {
	case n == nil:
	case n.Kind == yaml.ScalarNode:
		all = append(all, text(n))
	case n.Kind == yaml.MappingNode:
		pairs(n, func(_, value *yaml.Node) { all = append(all, texts(value)...) })
	default:
		for _, item := range n.Content {
			all = append(all, texts(item)...)
		}
	}
	return all
}
