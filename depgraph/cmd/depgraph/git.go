package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/failopen/failopen/depgraph"
)

// gitDeadline bounds each call of git. Reading a revision of a repository with
// 100,000 files takes well under a second.
const gitDeadline = 60 * time.Second

// maxRevisionBytes bounds the manifests of one revision, of which all are in
// memory at once, as text and then as services.
const maxRevisionBytes = 512 << 20

// repository reads manifests out of commits. Git runs as a child with a
// deadline, reads only what is there already (no network, no prompt, no hook),
// and gets names of the user only where it cannot take them for options.
//
// The path of a read is: resolve the name to a hash, list its tree (ls-tree),
// pick the manifests and follow their links (manifests), and read them all with
// one more child (cat-file --batch): three processes, however many files there
// are.
type repository struct {
	ctx    context.Context
	folder string
}

// git runs one command of git and returns what it prints, at most
// maxRevisionBytes. Replacement objects and the file system monitor are off,
// since both would run or read what a repository of somebody else has
// configured; path arguments are taken literally. An error is git's own first
// line, without its "fatal:".
func (r repository) git(stdin io.Reader, args ...string) ([]byte, error) {
	// An end of the parent is told apart from the deadline below.
	ctx, cancel := context.WithTimeout(r.ctx, gitDeadline)
	defer cancel()
	what := args[0]
	args = append([]string{"--no-pager", "--no-replace-objects", "-c", "core.fsmonitor=false", "-C", r.folder}, args...)
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_NO_LAZY_FETCH=1", "GIT_OPTIONAL_LOCKS=0", "GIT_LITERAL_PATHSPECS=1", "LC_ALL=C")
	cmd.Stdin, cmd.WaitDelay = stdin, time.Second
	out, errs := limitedBuffer{left: maxRevisionBytes}, limitedBuffer{left: 4096}
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, errors.New("git is not installed; diff reads folders and exported graphs without it")
	case r.ctx.Err() != nil:
		return nil, r.ctx.Err()
	case ctx.Err() != nil:
		return nil, fmt.Errorf("git %s did not end within %s", what, gitDeadline)
	case out.full:
		return nil, fmt.Errorf("git: more than %d MiB of manifests", maxRevisionBytes>>20)
	case err != nil:
		if line, _, _ := strings.Cut(strings.TrimSpace(errs.String()), "\n"); line != "" {
			return nil, fmt.Errorf("git: %s", strings.TrimPrefix(line, "fatal: "))
		}
		return nil, fmt.Errorf("git: %w", err)
	}
	return out.Bytes(), nil
}

// limitedBuffer keeps the first bytes, and fails the writer beyond them, which
// ends the child: it gets a broken pipe, and we do not read on.
type limitedBuffer struct {
	bytes.Buffer
	left int
	full bool
}

// Write takes all of p or nothing of it.
func (b *limitedBuffer) Write(p []byte) (int, error) {
	if len(p) > b.left {
		b.full = true
		return 0, errors.New("too much output")
	}
	b.left -= len(p)
	return b.Buffer.Write(p)
}

// errNoRevision is what resolve returns for a name that git does not know.
var errNoRevision = errors.New("no such revision")

// resolve turns the name of a revision into the hash of its commit. A name with
// a dash before it would be an option in older versions of git, which do not
// know --end-of-options; one with control characters would be printed.
func (r repository) resolve(rev string) (string, error) {
	if rev == "" || rev[0] == '-' || strings.ContainsFunc(rev, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return "", usagef("%q is not a revision: it begins with a dash, or holds a control character", rev)
	}
	out, err := r.git(nil, "rev-parse", "--verify", "--quiet", "--end-of-options", rev+"^{commit}")
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return "", fmt.Errorf("%w %q", errNoRevision, rev)
		}
		return "", err
	}
	hash := strings.TrimSpace(string(out))
	if short(hash) == "" {
		return "", fmt.Errorf("%w %q", errNoRevision, rev)
	}
	return hash, nil
}

// mergeBase is the last commit that two revisions have in common. In CI the
// usual reason for having none is a shallow clone, which the error says.
//
// Of several, as after a criss-cross merge, git chooses one.
func (r repository) mergeBase(a, b string) (string, error) {
	out, err := r.git(nil, "merge-base", a, b)
	if err != nil {
		return "", fmt.Errorf("the revisions have no commit in common (a shallow clone? in CI, fetch the whole history): %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// blob is a file of a commit; name is where it would be on disk, path where it
// is in the tree, and mode what git says it is: 120000 is a symbolic link.
//
// Its content is not here: all are read together, by parse.
type blob struct{ name, path, hash, mode string }

// services reads the manifests of a commit below a folder, or in a file: the
// same files that would be read there now. ls-tree runs in that folder, so its
// paths are relative to it.
func (r repository) services(hash, where string) ([]depgraph.Service, error) {
	folder, file := where, ""
	if info, err := os.Stat(where); err == nil && !info.IsDir() {
		folder, file = filepath.Dir(where), filepath.Base(where)
	}
	r.folder = folder
	args := []string{"ls-tree", "-r", "-z", hash}
	if file != "" {
		args = append(args, "--", file)
	}
	out, err := r.git(nil, args...)
	if err != nil {
		return nil, err
	}
	blobs, err := r.manifests(out, folder, file)
	if err != nil {
		return nil, err
	}
	return r.parse(blobs)
}

// manifests picks the files to read out of the output of ls-tree -z: entries of
// "MODE blob HASH\tPATH" with NUL between them, so that no name can end one. A
// symbolic link is followed once, within the folder and the revision: one that
// leads elsewhere is an error, since git has no content for it and reading the
// disk would mix two states.
func (r repository) manifests(list []byte, folder, file string) ([]blob, error) {
	all := map[string]blob{}
	var picked []blob
	for _, entry := range strings.Split(string(list), "\x00") {
		meta, p, ok := strings.Cut(entry, "\t")
		fields := strings.Fields(meta)
		if !ok || len(fields) != 3 || fields[1] != "blob" {
			continue // the end of the list, or a submodule
		}
		b := blob{name: filepath.ToSlash(filepath.Join(folder, filepath.FromSlash(p))), path: p, hash: fields[2], mode: fields[0]}
		all[p] = b
		if p == file || file == "" && depgraph.IsManifest(p) {
			picked = append(picked, b)
		}
	}
	// Git stores the target of a link as the content of its blob.
	for i, b := range picked {
		if b.mode != "120000" {
			continue
		}
		target, err := r.git(nil, "cat-file", "blob", b.hash)
		if err != nil {
			return nil, err
		}
		to, ok := all[path.Join(path.Dir(b.path), string(target))]
		if !ok || to.mode == "120000" {
			return nil, fmt.Errorf("%s: is a symbolic link to %q, which this revision does not have below %s", b.name, target, folder)
		}
		picked[i].hash = to.hash
	}
	return picked, nil
}

// parse reads all blobs with one child. All problems of all files are reported
// together, as they are for files on disk.
func (r repository) parse(blobs []blob) ([]depgraph.Service, error) {
	if len(blobs) == 0 {
		return nil, nil
	}
	// All names go in at once, and all answers come out in their order.
	var ids bytes.Buffer
	for _, b := range blobs {
		ids.WriteString(b.hash + "\n")
	}
	out, err := r.git(&ids, "cat-file", "--batch")
	if err != nil {
		return nil, err
	}
	var services []depgraph.Service
	var problems depgraph.Problems
	rd := bufio.NewReader(bytes.NewReader(out))
	for _, b := range blobs {
		data, err := nextBlob(rd)
		if err != nil {
			return nil, fmt.Errorf("%s: git: %w", b.name, err)
		}
		found, err := depgraph.ParseManifest(b.name, data)
		var ps depgraph.Problems
		if errors.As(err, &ps) {
			problems = append(problems, ps...)
		}
		services = append(services, found...)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return services, nil
}

// nextBlob reads one answer of cat-file: "HASH blob SIZE", the bytes, a
// newline. A manifest may be as large as one on disk; the size is checked
// before memory is taken for it.
func nextBlob(rd *bufio.Reader) ([]byte, error) {
	head, err := rd.ReadString('\n')
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(head)
	if len(fields) != 3 || fields[1] != "blob" {
		return nil, fmt.Errorf("the object is not there: %s", strings.TrimSpace(head))
	}
	size, err := strconv.Atoi(fields[2])
	if err != nil || size < 0 || size > depgraph.DefaultMaxFileBytes {
		return nil, fmt.Errorf("is too large: %s bytes, and a manifest may have %d", fields[2], depgraph.DefaultMaxFileBytes)
	}
	data := make([]byte, size+1)
	if _, err := io.ReadFull(rd, data); err != nil {
		return nil, err
	}
	return data[:size], nil
}
