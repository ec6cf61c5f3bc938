package depgraph

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// DefaultMaxFileBytes is the size above which a manifest is refused. A
// hand-written one has a few hundred bytes; a generated one with 20,000
// services has about 8 MiB.
const DefaultMaxFileBytes = 16 << 20

// LoadOptions says what to load.
type LoadOptions struct {
	// Paths are files and folders; none means the current folder. A folder is
	// searched for depgraph.yaml, depgraph.yml, depgraph.json, and names that
	// end in .depgraph.yaml and so on. Hidden folders, node_modules, vendor
	// and testdata are left out; symbolic links to folders are not followed.
	Paths []string
	// Skip, if set, leaves out files below a folder; it gets their cleaned path.
	Skip func(file string) bool
	// Stdin is what the path "-" stands for; nil: there is no such path.
	Stdin io.Reader
	// MaxFileBytes limits each file; zero means DefaultMaxFileBytes.
	MaxFileBytes int64
	// AllowUndeclared is passed to Compile.
	AllowUndeclared bool
	// Progress, if set, is called now and then, as everywhere in this package by the
	// goroutine that asked, one call at a time.
	Progress func(Progress)
}

// Progress is the state of a long operation.
type Progress struct {
	Stage string // what is being done
	Done  int    // how many files of it are done
	Total int    // 0 if not known
}

// Load finds, reads and compiles manifests. It is all or nothing: if any file
// cannot be read or is at fault, there is no graph, and the error is a
// Problems with every fault. On cancellation the error is the context's.
//
// A path without any manifest is a fault, too: nothing to check must not look like nothing
// found.
func Load(ctx context.Context, o LoadOptions) (*Graph, error) {
	services, err := LoadServices(ctx, o)
	if err != nil {
		return nil, err
	}
	return Compile(services, Options{AllowUndeclared: o.AllowUndeclared})
}

// LoadServices is Load without the compilation.
//
// Files are read on all cores. The services are in order of file, and of place inside one.
func LoadServices(ctx context.Context, o LoadOptions) ([]Service, error) {
	files, err := findManifests(ctx, o)
	if err != nil {
		return nil, err
	}
	type result struct {
		services []Service
		err      error
	}
	// Each worker writes into the places of its own files, so the order of the results
	// is that of the names, whichever worker was first. next hands out files one by one, since
	// they differ much in size.
	results := make([]result, len(files))
	var next atomic.Int64
	finished := make(chan struct{}, len(files))
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(files)) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(files) {
					return
				}
				results[i].services, results[i].err = readManifest(files[i], o)
				finished <- struct{}{} // there is room for every file
			}
		})
	}
	go func() {
		wg.Wait()
		close(finished)
	}()
	done := 0
	for range finished {
		if done++; o.Progress != nil && (done%256 == 0 || done == len(files)) {
			o.Progress(Progress{Stage: "reading manifests", Done: done, Total: len(files)})
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// Faults of all files are told together, in order of file.
	var problems Problems
	var services []Service
	for i := range results {
		var ps Problems
		if errors.As(results[i].err, &ps) {
			problems = append(problems, ps...)
		}
		services = append(services, results[i].services...)
	}
	return services, problems.err()
}

// readManifest reads one file, or the standard input. Whatever is wrong is a Problems
// with the file as its place.
func readManifest(name string, o LoadOptions) ([]Service, error) {
	limit := cmp.Or(o.MaxFileBytes, DefaultMaxFileBytes)
	if name == "-" && o.Stdin != nil {
		return readStdin(o.Stdin, limit)
	}
	at := Position{File: filepath.ToSlash(name)}
	// Asked before reading: a named pipe would block, and a device may have no end.
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, Problems{{At: at, Message: "cannot read: " + reason(err)}}
	case !info.Mode().IsRegular():
		return nil, Problems{{At: at, Message: "is not a regular file"}}
	case info.Size() > limit:
		return nil, Problems{{At: at, Message: fmt.Sprintf("is too large: %d bytes, and a manifest may have %d; split it", info.Size(), limit)}}
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, Problems{{At: at, Message: "cannot read: " + reason(err)}}
	}
	return ParseManifest(at.File, data)
}

// stdinName stands for the standard input in positions.
const stdinName = "standard input"

// readStdin reads at most limit bytes, and is at fault with one more.
func readStdin(r io.Reader, limit int64) ([]Service, error) {
	// One byte more than allowed tells too much from just enough.
	data, err := io.ReadAll(io.LimitReader(r, max(limit, limit+1)))
	switch at := (Position{File: stdinName}); {
	case err != nil:
		return nil, Problems{{At: at, Message: "cannot read: " + reason(err)}}
	case int64(len(data)) > limit:
		return nil, Problems{{At: at, Message: fmt.Sprintf("is too large: a manifest may have %d bytes; split it", limit)}}
	}
	return ParseManifest(stdinName, data)
}

// findManifests lists the files to read, each once, sorted.
//
// A folder that cannot be read is a fault of its own, and the rest is still searched.
func findManifests(ctx context.Context, o LoadOptions) ([]string, error) {
	paths := o.Paths
	if len(paths) == 0 {
		paths = []string{"."}
	}
	var files []string
	var problems Problems
	for _, p := range paths {
		if p == "-" && o.Stdin != nil {
			files = append(files, p)
			continue
		}
		// A path that was named is read whatever its name is; names decide only below
		// folders.
		info, err := os.Stat(p)
		if err != nil {
			problems.addf(Position{File: filepath.ToSlash(p)}, "cannot read: %s", reason(err))
			continue
		}
		if !info.IsDir() {
			files = append(files, filepath.Clean(p))
			continue
		}
		found := false
		err = filepath.WalkDir(p, func(name string, e fs.DirEntry, err error) error {
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil:
				problems.addf(Position{File: filepath.ToSlash(name)}, "cannot read: %s", reason(err))
			// The folder that was named is searched, even if it is a hidden one.
			case e.IsDir() && name != p && skippedFolder(e.Name()):
				return fs.SkipDir
			case !e.IsDir() && isManifest(e.Name()):
				// A folder in which all manifests are skipped is not without manifests.
				found = true
				if o.Skip != nil && o.Skip(filepath.Clean(name)) {
					return nil
				}
				files = append(files, name)
				if o.Progress != nil && len(files)%1024 == 0 {
					o.Progress(Progress{Stage: "finding manifests", Done: len(files)})
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if !found && len(problems) == 0 {
			problems.addf(Position{File: filepath.ToSlash(p)}, "no depgraph.yaml or depgraph.json below this folder; \"depgraph init\" writes a first one")
		}
	}
	// Folders may overlap, and one file may be named twice: each is read once.
	slices.Sort(files)
	return slices.Compact(files), problems.err()
}

// skippedFolder reports whether a folder is left out by its name: it holds what others
// wrote, or what is no part of the system.
func skippedFolder(name string) bool {
	return strings.HasPrefix(name, ".") || name == "node_modules" || name == "vendor" || name == "testdata"
}

// IsManifest reports whether LoadServices would read a file that it finds
// below a folder; path is relative to that folder, with slashes. It is for
// those who find files elsewhere, in a commit for example.
//
// Only names are looked at, nothing is opened.
func IsManifest(path string) bool {
	folders := strings.Split(path, "/")
	for _, f := range folders[:len(folders)-1] {
		if skippedFolder(f) {
			return false
		}
	}
	return isManifest(folders[len(folders)-1])
}

// isManifest goes by the name of the file alone: depgraph, or anything that ends in
// .depgraph, with one of the extensions.
func isManifest(name string) bool {
	for _, ext := range []string{".yaml", ".yml", ".json"} {
		if stem, ok := strings.CutSuffix(name, ext); ok {
			return stem == "depgraph" || strings.HasSuffix(stem, ".depgraph") && stem != ".depgraph"
		}
	}
	return false
}

// reason is the part of an operating system's error that does not repeat the path.
func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}
