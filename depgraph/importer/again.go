package importer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/failopen/failopen/depgraph"
)

// Update is what an import finds different from the manifests of a folder.
//
// An import is done once, and people edit what came of it; a second import must not undo
// that. So it adds what is new, and tells the rest in words.
type Update struct {
	// New are the files for services that no manifest has.
	New []string
	// Kept counts services whose manifests stay as they are, with every edit.
	Kept int
	// Differences are sentences: services and edges that only one side has.
	Differences []string

	missing []depgraph.Service
	dir     string
	header  string
}

// Compare looks at the manifests of a folder, which may be absent, and says what the
// import would change. What people changed about an edge is no difference: an edge is
// missing or gone only if nothing leads from the one service to the other, by itself or
// as one of several alternatives. Edges and services that a manifest has without a
// source were added by people and are not looked at.
//
// A manifest that does not load is an error, and so is a file in the way of a new one.
// Nothing is written; Update.Write does that.
func (r *Result) Compare(ctx context.Context, dir string) (*Update, error) {
	u := &Update{dir: dir, header: r.header()}
	var have []depgraph.Service
	if hasManifests(dir) {
		var err error
		if have, err = depgraph.LoadServices(ctx, depgraph.LoadOptions{Paths: []string{dir}}); err != nil {
			return nil, err
		}
	}
	byName := map[string]*depgraph.Service{}
	for i := range have {
		byName[have[i].Name] = &have[i]
	}
	found := map[string]bool{}
	files := r.fileNames(dir)
	for i := range r.Services {
		s := &r.Services[i]
		found[s.Name] = true
		// There is a manifest: it is people's now, and is only compared.
		if old := byName[s.Name]; old != nil {
			u.Kept++
			u.edges(s, old)
			continue
		}
		// There is none; a file in the way would be somebody else's.
		file := files[i]
		if _, err := os.Lstat(file); err == nil {
			return nil, fmt.Errorf("%s exists already, and declares no service %q; nothing was written", file, s.Name)
		}
		u.New, u.missing = append(u.New, file), append(u.missing, *s)
	}
	for i := range have {
		if s := &have[i]; s.Source != "" && !found[s.Name] {
			u.Differences = append(u.Differences, fmt.Sprintf("%s: %s is no longer in the source", s.At, s.Name))
		}
	}
	return u, nil
}

// Leftover looks at the manifests in dir that WriteDir does not overwrite, and
// says which of their imported services are no longer in the source. A service
// of the import that one of them declares is an error.
//
// A folder that is not there has nothing left over.
func (r *Result) Leftover(ctx context.Context, dir string) ([]string, error) {
	if !hasManifests(dir) {
		return nil, nil
	}
	named := r.fileNames(dir)
	others, err := depgraph.LoadServices(ctx, depgraph.LoadOptions{
		Paths: []string{dir}, Skip: func(file string) bool { return slices.Contains(named, file) },
	})
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for i := range r.Services {
		found[r.Services[i].Name] = true
	}
	var gone []string
	for i := range others {
		switch s := &others[i]; {
		case found[s.Name]:
			return nil, fmt.Errorf("%s: declares %s already, in a file of another name, which an import does not overwrite; nothing was written", s.At, s.Name)
		case s.Source != "":
			gone = append(gone, fmt.Sprintf("%s: %s is no longer in the source", s.At, s.Name))
		}
	}
	return gone, nil
}

// hasManifests reports whether there is anything to compare with: a file with
// "depgraph." in its name, at any depth. Without one, a load would fail with the advice
// to write a first manifest, which is what the import is about to do.
func hasManifests(dir string) bool {
	any := false
	_ = filepath.WalkDir(dir, func(name string, _ os.DirEntry, err error) error { // what cannot be read is reported by the load
		if err == nil && strings.Contains(filepath.Base(name), "depgraph.") {
			any = true
			return filepath.SkipAll
		}
		return nil
	})
	return any
}

// edges compares two declarations of one service, by what they lead to: an edge that is
// there in several phases, or as one of a group, is one edge. Each difference is told
// once, at the place in the manifest where a person would mend it.
func (u *Update) edges(now, old *depgraph.Service) {
	has := func(s *depgraph.Service, to string) bool {
		return slices.ContainsFunc(s.Depends, func(d depgraph.Dependency) bool { return d.On == to || slices.Contains(d.AnyOf, to) })
	}
	told := map[string]bool{}
	for _, d := range now.Depends {
		for _, to := range append(slices.Clone(d.AnyOf), d.On) {
			if to != "" && !told[to] && !has(old, to) {
				told[to] = true
				u.Differences = append(u.Differences, fmt.Sprintf("%s: %s needs %s (%s), and the manifest does not say so", old.At, now.Name, to, d.Source))
			}
		}
	}
	for _, d := range old.Depends {
		for _, to := range append(slices.Clone(d.AnyOf), d.On) {
			if to != "" && d.Source != "" && !told[to] && !has(now, to) {
				told[to] = true
				u.Differences = append(u.Differences, fmt.Sprintf("%s: %s needs %s, which the source no longer says", d.At, old.Name, to))
			}
		}
	}
}

// Write adds the manifests of the new services, each to a file that must not exist: one
// that somebody wrote since Compare looked stays, and is an error. Nothing else is
// touched. After an error, the files before it are written; Compare again and the rest
// follows.
func (u *Update) Write() error {
	if err := os.MkdirAll(u.dir, 0o755); err != nil {
		return err
	}
	for i := range u.missing {
		var b strings.Builder
		b.WriteString(u.header)
		if err := depgraph.WriteManifest(&b, u.missing[i]); err != nil {
			return err
		}
		f, err := os.OpenFile(u.New[i], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		_, err = f.WriteString(b.String())
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return err
		}
	}
	return nil
}
