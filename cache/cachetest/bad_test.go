package cachetest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

// A broken store does one thing wrong. What it does not say is done by a store
// that works.
type broken struct {
	good    *cachetest.Store
	get     func(context.Context, *cachetest.Store, string) (cache.Item, error)
	set     func(context.Context, *cachetest.Store, string, cache.Item) error
	newer   func(context.Context, *cachetest.Store, string, cache.Item) (int64, error)
	getMany func(context.Context, *cachetest.Store, []string) (map[string]cache.Item, error)
}

func (b *broken) Get(ctx context.Context, key string) (cache.Item, error) {
	if b.get != nil {
		return b.get(ctx, b.good, key)
	}
	return b.good.Get(ctx, key)
}

func (b *broken) Set(ctx context.Context, key string, item cache.Item) error {
	if b.set != nil {
		return b.set(ctx, b.good, key, item)
	}
	return b.good.Set(ctx, key, item)
}

func (b *broken) SetNewer(ctx context.Context, key string, item cache.Item) (int64, error) {
	if b.newer != nil {
		return b.newer(ctx, b.good, key, item)
	}
	return b.good.SetNewer(ctx, key, item)
}

func (b *broken) GetMany(ctx context.Context, keys []string) (map[string]cache.Item, error) {
	if b.getMany != nil {
		return b.getMany(ctx, b.good, keys)
	}
	return b.good.GetMany(ctx, keys)
}

// Names of the suite's cases, as go test writes them.
const (
	caseMissing   = "missing"
	caseTrip      = "round_trip"
	caseNewer     = "newer_replaces_older"
	caseOlder     = "older_does_not_replace_newer,_and_is_no_error"
	caseTold      = "what_stays_is_told"
	caseSame      = "same_version_replaces"
	caseClock     = "a_version_from_a_broken_clock_is_replaced"
	caseBytes     = "caller_keeps_its_bytes"
	caseKeys      = "keys_are_exact"
	caseCanceled  = "a_canceled_context_is_an_error,_not_a_miss"
	caseTogether  = "concurrent_use"
	caseBatch     = "batch"
	caseAppend    = "append_and_read"
	caseAtOnce    = "appends_at_the_same_time"
	caseSets      = "many_sets"
	caseNotesCtxt = "a_canceled_context_is_an_error"
)

// renamed is a store that keeps what it is given under other keys.
func renamed(f func(string) string) *broken {
	return &broken{
		get: func(ctx context.Context, s *cachetest.Store, key string) (cache.Item, error) {
			return s.Get(ctx, f(key))
		},
		set: func(ctx context.Context, s *cachetest.Store, key string, it cache.Item) error {
			return s.Set(ctx, f(key), it)
		},
		newer: func(ctx context.Context, s *cachetest.Store, key string, it cache.Item) (int64, error) {
			return s.SetNewer(ctx, f(key), it)
		},
		getMany: func(ctx context.Context, s *cachetest.Store, keys []string) (map[string]cache.Item, error) {
			found := map[string]cache.Item{}
			for _, key := range keys {
				if it, ok := s.Item(f(key)); ok {
					found[key] = it
				}
			}
			return found, ctx.Err()
		},
	}
}

// reading is a store whose reads are changed after they went well.
func reading(f func(cache.Item) cache.Item) *broken {
	return &broken{get: func(ctx context.Context, s *cachetest.Store, key string) (cache.Item, error) {
		it, err := s.Get(ctx, key)
		if err == nil {
			it = f(it)
		}
		return it, err
	}}
}

// badStores are by what they do, with the cases that have to notice: these, and
// no others.
var badStores = map[string]struct {
	store *broken
	cases []string
}{
	"none": {&broken{}, nil},
	"wraps ErrNotFound": {&broken{get: func(ctx context.Context, s *cachetest.Store, key string) (cache.Item, error) {
		it, err := s.Get(ctx, key)
		if err != nil {
			err = fmt.Errorf("store: %w", err)
		}
		return it, err
	}}, nil},
	"finds what is missing": {&broken{get: func(ctx context.Context, s *cachetest.Store, key string) (cache.Item, error) {
		it, err := s.Get(ctx, key)
		if errors.Is(err, cache.ErrNotFound) {
			err = nil
		}
		return it, err
	}}, []string{caseMissing}},
	"has an error of its own for what is missing": {&broken{get: func(ctx context.Context, s *cachetest.Store, key string) (cache.Item, error) {
		it, err := s.Get(ctx, key)
		if errors.Is(err, cache.ErrNotFound) {
			err = errors.New("no rows")
		}
		return it, err
	}}, []string{caseMissing}},
	"takes values for text": {reading(func(it cache.Item) cache.Item {
		it.Value = []byte(strings.ToValidUTF8(string(it.Value), "?"))
		return it
	}), []string{caseTrip}},
	"ends values at a zero": {reading(func(it cache.Item) cache.Item {
		v, _, _ := strings.Cut(string(it.Value), "\x00")
		it.Value = []byte(v)
		return it
	}), []string{caseTrip}},
	"loses versions":          {reading(func(it cache.Item) cache.Item { it.Version = 0; return it }), []string{caseTrip}},
	"has versions in seconds": {reading(func(it cache.Item) cache.Item { it.Version = it.Version / 1000 * 1000; return it }), []string{caseTrip}},
	"lets the last write win": {&broken{set: func(ctx context.Context, s *cachetest.Store, key string, it cache.Item) error {
		s.Put(key, it)
		return ctx.Err()
	}}, []string{caseOlder}},
	"lets the first write win": {&broken{set: func(ctx context.Context, s *cachetest.Store, key string, it cache.Item) error {
		if _, ok := s.Item(key); ok {
			return ctx.Err()
		}
		return s.Set(ctx, key, it)
	}}, []string{caseNewer, caseSame, caseClock}},
	"fails for an older version": {&broken{set: func(ctx context.Context, s *cachetest.Store, key string, it cache.Item) error {
		stays, err := s.SetNewer(ctx, key, it)
		if err != nil || stays == 0 || strings.Contains(key, caseTogether) { // there it would be luck
			return err
		}
		return errors.New("conditional check failed")
	}}, []string{caseOlder}},
	"keeps the first of two with the same version": {&broken{set: func(ctx context.Context, s *cachetest.Store, key string, it cache.Item) error {
		if there, ok := s.Item(key); ok && there.Version == it.Version {
			return ctx.Err()
		}
		return s.Set(ctx, key, it)
	}}, []string{caseSame}},
	"believes every clock": {&broken{set: func(ctx context.Context, s *cachetest.Store, key string, it cache.Item) error {
		if there, ok := s.Item(key); ok && there.Version > it.Version {
			return ctx.Err()
		}
		return s.Set(ctx, key, it)
	}}, []string{caseClock}},
	"keeps the caller's bytes": {aliasing(true, false), []string{caseBytes}},
	"gives its own bytes away": {aliasing(false, true), []string{caseBytes}},
	"trims keys":               {renamed(strings.TrimSpace), []string{caseKeys}},
	"ignores the case of keys": {renamed(strings.ToLower), []string{caseKeys}},
	"composes the accents of keys": {renamed(func(key string) string {
		return strings.ReplaceAll(key, "e\u0301", "é")
	}), []string{caseKeys}},
	"cleans keys as paths": {renamed(func(key string) string { return path.Clean(strings.TrimRight(key, " ")) }), []string{caseKeys}},
	"reads in spite of its context": {&broken{get: func(ctx context.Context, s *cachetest.Store, key string) (cache.Item, error) {
		return s.Get(context.WithoutCancel(ctx), key)
	}}, []string{caseCanceled}},
	"writes in spite of its context": {&broken{set: func(ctx context.Context, s *cachetest.Store, key string, it cache.Item) error {
		return s.Set(context.WithoutCancel(ctx), key, it)
	}}, []string{caseCanceled}},
	"takes the end of its context for a miss": {&broken{get: func(ctx context.Context, s *cachetest.Store, key string) (cache.Item, error) {
		if ctx.Err() != nil {
			return cache.Item{}, cache.ErrNotFound
		}
		return s.Get(ctx, key)
	}}, []string{caseCanceled}},
	"reads one at a time": {oneAtATime(), []string{caseTogether}},
	"says that nothing stays": {&broken{newer: func(ctx context.Context, s *cachetest.Store, key string, it cache.Item) (int64, error) {
		_, err := s.SetNewer(ctx, key, it)
		return 0, err
	}}, []string{caseTold}},
	"says the version that was refused": {&broken{newer: func(ctx context.Context, s *cachetest.Store, key string, it cache.Item) (int64, error) {
		stays, err := s.SetNewer(ctx, key, it)
		if stays != 0 {
			stays = it.Version
		}
		return stays, err
	}}, []string{caseTold}},
	"says the version of what was replaced": {&broken{newer: func(ctx context.Context, s *cachetest.Store, key string, it cache.Item) (int64, error) {
		there, _ := s.Item(key)
		_, err := s.SetNewer(ctx, key, it)
		return there.Version, err
	}}, []string{caseTold}},
	"says what stays and overwrites it": {&broken{newer: func(ctx context.Context, s *cachetest.Store, key string, it cache.Item) (int64, error) {
		stays, err := s.SetNewer(ctx, key, it)
		s.Put(key, it)
		return stays, err
	}}, []string{caseTold}},
	"reads a hundred of many": {many(func(keys []string, s *cachetest.Store, ctx context.Context) (map[string]cache.Item, error) {
		return s.GetMany(ctx, keys[:min(100, len(keys))])
	}), []string{caseBatch}},
	"fails for more than a hundred": {many(func(keys []string, s *cachetest.Store, ctx context.Context) (map[string]cache.Item, error) {
		if len(keys) > 100 {
			return nil, errors.New("too many keys")
		}
		return s.GetMany(ctx, keys)
	}), []string{caseBatch}},
	"reads what is missing of many": {many(func(keys []string, s *cachetest.Store, ctx context.Context) (map[string]cache.Item, error) {
		all, err := s.GetMany(ctx, keys)
		for _, k := range keys {
			all[k] = cache.Item{Value: all[k].Value, Version: all[k].Version}
		}
		return all, err
	}), []string{caseBatch}},
	"mixes up the values of many": {many(func(keys []string, s *cachetest.Store, ctx context.Context) (map[string]cache.Item, error) {
		all, err := s.GetMany(ctx, keys)
		all[keys[0]], all[keys[2]] = all[keys[2]], all[keys[0]]
		return all, err
	}), []string{caseBatch}},
	"loses the versions of many": {many(func(keys []string, s *cachetest.Store, ctx context.Context) (map[string]cache.Item, error) {
		all, err := s.GetMany(ctx, keys)
		for k, it := range all {
			all[k] = cache.Item{Value: it.Value}
		}
		return all, err
	}), []string{caseBatch}},
	"reads many in spite of its context": {&broken{getMany: func(ctx context.Context, s *cachetest.Store, keys []string) (map[string]cache.Item, error) {
		return s.GetMany(context.WithoutCancel(ctx), keys)
	}}, []string{caseBatch}},
}

// many is a store whose GetMany is wrong, and ends with its context.
func many(f func([]string, *cachetest.Store, context.Context) (map[string]cache.Item, error)) *broken {
	return &broken{getMany: func(ctx context.Context, s *cachetest.Store, keys []string) (map[string]cache.Item, error) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return f(keys, s, ctx)
	}}
}

// aliasing shares bytes with who writes, or with who reads.
func aliasing(in, out bool) *broken {
	shared := map[string][]byte{}
	return &broken{
		set: func(ctx context.Context, s *cachetest.Store, key string, it cache.Item) error {
			if !strings.Contains(key, caseBytes) {
				return s.Set(ctx, key, it)
			}
			if shared[key] = it.Value; !in {
				shared[key] = slices.Clone(it.Value)
			}
			return s.Set(ctx, key, it)
		},
		get: func(ctx context.Context, s *cachetest.Store, key string) (cache.Item, error) {
			it, err := s.Get(ctx, key)
			if b, ok := shared[key]; ok && strings.Contains(key, caseBytes) {
				if it.Value = b; !out {
					it.Value = slices.Clone(b)
				}
			}
			return it, err
		},
	}
}

// oneAtATime fails what comes while a call is on its way, as a connection that is
// not shared does. Calls wait for each other here, so that they do meet.
func oneAtATime() *broken {
	var active atomic.Int32
	met := make(chan struct{})
	meet := sync.OnceFunc(func() { close(met) })
	return &broken{set: func(ctx context.Context, s *cachetest.Store, key string, it cache.Item) error {
		defer active.Add(-1)
		if active.Add(1) > 1 {
			meet()
			return errors.New("the connection is busy")
		}
		if strings.Contains(key, caseTogether) {
			select {
			case <-met:
			case <-ctx.Done():
			}
		}
		return s.Set(ctx, key, it)
	}}
}

// A broken bulletin does one thing wrong.
type brokenBulletin struct {
	cache.BulletinStore

	add  func(context.Context, cache.BulletinStore, string, [][]byte) error
	read func(context.Context, cache.BulletinStore, []string) (map[string][][]byte, error)
}

func (b *brokenBulletin) Append(ctx context.Context, key string, notes [][]byte, expires time.Time) error {
	if b.add != nil {
		return b.add(ctx, b.BulletinStore, key, notes)
	}
	return b.BulletinStore.Append(ctx, key, notes, expires)
}

func (b *brokenBulletin) Notes(ctx context.Context, keys []string) (map[string][][]byte, error) {
	if b.read != nil {
		return b.read(ctx, b.BulletinStore, keys)
	}
	return b.BulletinStore.Notes(ctx, keys)
}

var badBulletins = map[string]struct {
	store *brokenBulletin
	cases []string
}{
	"none": {&brokenBulletin{}, nil},
	"keeps one note of a call": {&brokenBulletin{add: func(ctx context.Context, b cache.BulletinStore, key string, notes [][]byte) error {
		return b.Append(ctx, key, notes[:1], time.Time{})
	}}, []string{caseAppend}},
	"keeps ten notes of a set": {&brokenBulletin{read: func(ctx context.Context, b cache.BulletinStore, keys []string) (map[string][][]byte, error) {
		all, err := b.Notes(ctx, keys)
		for k, notes := range all {
			all[k] = notes[:min(10, len(notes))]
		}
		return all, err
	}}, []string{caseAtOnce}},
	"invents a note": {&brokenBulletin{read: func(ctx context.Context, b cache.BulletinStore, keys []string) (map[string][][]byte, error) {
		all, err := b.Notes(ctx, keys)
		if len(all[keys[0]]) > 0 {
			all[keys[0]] = append(all[keys[0]], []byte("new"))
		}
		return all, err
	}}, []string{caseAppend, caseAtOnce}},
	"has notes of absent sets": {&brokenBulletin{read: func(ctx context.Context, b cache.BulletinStore, keys []string) (map[string][][]byte, error) {
		all, err := b.Notes(ctx, keys)
		if len(keys) == 2 {
			all[keys[1]] = all[keys[0]]
		}
		return all, err
	}}, []string{caseAppend, caseAtOnce}},
	"reads a hundred sets": {&brokenBulletin{read: func(ctx context.Context, b cache.BulletinStore, keys []string) (map[string][][]byte, error) {
		return b.Notes(ctx, keys[:min(100, len(keys))])
	}}, []string{caseSets}},
	"fails for more than a hundred sets": {&brokenBulletin{read: func(ctx context.Context, b cache.BulletinStore, keys []string) (map[string][][]byte, error) {
		if len(keys) > 100 {
			return nil, errors.New("too many keys")
		}
		return b.Notes(ctx, keys)
	}}, []string{caseSets}},
	"appends in spite of its context": {&brokenBulletin{add: func(ctx context.Context, b cache.BulletinStore, key string, notes [][]byte) error {
		return b.Append(context.WithoutCancel(ctx), key, notes, time.Time{})
	}}, []string{caseNotesCtxt}},
	"reads in spite of its context": {&brokenBulletin{read: func(ctx context.Context, b cache.BulletinStore, keys []string) (map[string][][]byte, error) {
		return b.Notes(context.WithoutCancel(ctx), keys)
	}}, []string{caseNotesCtxt}},
}

// TestBad is run by TestSuites_fail, in a process of its own: it fails.
func TestBad(t *testing.T) {
	if os.Getenv("CACHETEST_BAD") == "" {
		t.Skip("run by TestSuites_fail")
	}
	for name, b := range badStores {
		t.Run("store: "+name, func(t *testing.T) {
			cachetest.TestStore(t, func(*testing.T) cache.Store { b.store.good = new(cachetest.Store); return b.store })
		})
	}
	for name, b := range badBulletins {
		t.Run("bulletin: "+name, func(t *testing.T) {
			cachetest.TestBulletin(t, func(*testing.T) cache.BulletinStore {
				b.store.BulletinStore = &cachetest.Bulletin{Store: new(cachetest.Store)}
				return b.store
			})
		})
	}
}

var failedCase = regexp.MustCompile(`(?m)^ +--- FAIL: TestBad/(.*)/(.*) \(`)

// One broken store for each promise, and the suite says which promise it is.
func TestSuites_fail(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "-test.run", "^TestBad$", "-test.v", "-test.timeout", "50s")
	cmd.Env = append(os.Environ(), "CACHETEST_BAD=1")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("the suites let everything pass:\n%s", out)
	}
	got := map[string][]string{}
	for _, m := range failedCase.FindAllStringSubmatch(string(out), -1) {
		got[m[1]] = append(got[m[1]], m[2])
	}
	want := map[string][]string{}
	for name, b := range badStores {
		want["store: "+name] = b.cases
	}
	for name, b := range badBulletins {
		want["bulletin: "+name] = b.cases
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		key := strings.ReplaceAll(name, " ", "_")
		if !slices.Equal(slices.Sorted(slices.Values(got[key])), slices.Sorted(slices.Values(want[name]))) {
			t.Errorf("%s: noticed by %q; want %q", name, got[key], want[name])
		}
	}
}
