package importer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/failopen/failopen/depgraph"
)

// Result is what an import found: services with their dependencies, and what a person
// has to know before trusting them. Compile it with Graph, or write it with WriteTo,
// WriteDir, or Compare and Update.Write. It is not safe for use by several goroutines
// that change it.
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
	// Read counts files, or units. Skipped names what was seen and left out, by
	// sort. Guessed counts dependencies that are assumed.
	Read    int
	Skipped map[string][]string
	Guessed int
}

// Graph compiles the services.
//
// An error is a depgraph.Problems; what an importer makes compiles, so it is a fault of the
// importer.
func (r *Result) Graph() (*depgraph.Graph, error) {
	return depgraph.Compile(r.Services, depgraph.Options{})
}

// Edges counts the pairs of services that depend on each other.
//
// A group counts one for each alternative.
func (r *Result) Edges() int {
	n := 0
	for _, s := range r.Services {
		seen := map[string]bool{}
		for _, d := range s.Depends {
			for _, to := range append(slices.Clip(d.AnyOf), d.On) {
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
//
// It implements io.WriterTo. Nothing is written if a text cannot be, such as one that is no
// UTF-8.
func (r *Result) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	b.WriteString(r.header())
	if err := depgraph.WriteManifest(&b, r.Services...); err != nil {
		return 0, err
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// header is the comment at the head of each manifest: what the source could not
// know. The lines hold the paths of the import, and a path may hold anything: a
// line break in it would end the comment and begin a field, so all that cannot
// be seen is replaced.
func (r *Result) header() string {
	var b strings.Builder
	for _, line := range r.Unknown {
		visible := strings.Map(func(r rune) rune {
			if unicode.IsPrint(r) {
				return r
			}
			return '_'
		}, line)
		fmt.Fprintf(&b, "# %s\n", visible)
	}
	return b.String()
}

// WriteDir writes a manifest for each service as NAME.depgraph.yaml into dir
// and returns the names. If one of the files exists already, nothing is
// written, unless force is set; nor is it if another manifest in dir declares
// one of the services, which would then be declared twice.
func (r *Result) WriteDir(dir string, force bool) ([]string, error) {
	// All checks come before the first write: nothing is written, or nothing stood in
	// the way.
	names := r.fileNames(dir)
	for i := range names {
		if _, err := os.Lstat(names[i]); err == nil && !force {
			return nil, fmt.Errorf("%s exists already; nothing was written (--force overwrites)", names[i])
		}
	}
	if _, err := r.Leftover(context.Background(), dir); err != nil {
		return nil, err
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

// maxName is how long the name of a service may be in the name of a file, in bytes:
// most file systems take 255, and the digest and the extension need some of them.
const maxName = 200

// fileNames names the file of each service in dir. Those that would share one,
// on a file system that ignores case as well, and those that are too long get a
// digest of their name, which does not depend on the others.
func (r *Result) fileNames(dir string) []string {
	sharing := map[string]int{}
	for _, s := range r.Services {
		sharing[strings.ToLower(fileName(s.Name))]++
	}
	names := make([]string, len(r.Services))
	for i, s := range r.Services {
		name := fileName(s.Name)
		if sharing[strings.ToLower(name)] > 1 || len(name) > maxName {
			digest := sha256.Sum256([]byte(s.Name))
			name = fmt.Sprintf("%s-%x", name[:min(len(name), maxName)], digest[:6])
		}
		names[i] = filepath.Join(dir, name+".depgraph.yaml")
	}
	return names
}

// fileName turns a service's name into one that is safe in every folder: no
// separators, no shell words, no hidden file. It is never empty; different
// names may come out the same, which fileNames sees to.
func fileName(name string) string {
	safe := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.@", r) {
			return r
		}
		return '_'
	}, name)
	return cmp.Or(strings.TrimLeft(safe, "."), "_") // a load looks for no file called ".depgraph.yaml"
}
