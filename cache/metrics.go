package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Reporter is a [Cache] of any type.
type Reporter interface{ Stats() Stats }

// Var is a Cache as an expvar.Var: expvar.Publish("sessions", cache.Var{sessions}).
// This package does not import expvar, which opens an HTTP handler.
type Var struct{ Reporter }

// String returns Stats as JSON.
func (v Var) String() string {
	b, err := json.Marshal(v.Stats())
	if err != nil {
		return "null" // Stats has no value that JSON cannot hold
	}
	return string(b)
}

// MetricsContentType is the media type of what [Metrics] writes.
const MetricsContentType = "application/openmetrics-text; version=1.0.0; charset=utf-8"

// Metrics are the caches of a program by name. WriteTo writes their [Stats] as
// OpenMetrics text, in the form that package health of this module uses, for a
// handler of your own:
//
//	http.HandleFunc("/metrics", func(w http.ResponseWriter, r *http.Request) {
//		w.Header().Set("Content-Type", cache.MetricsContentType)
//		cache.Metrics{"sessions": sessions}.WriteTo(w)
//	})
//
// For OpenTelemetry there is the module cache/cacheotel.
type Metrics map[string]Reporter

// family is a metric with one sample for each cache, or several with labels of
// their own.
type family struct {
	name, kind, help string
	samples          func(Stats) []sample
}

type sample struct {
	labels string // after that of the cache
	value  float64
}

func one(n func(Stats) int64) func(Stats) []sample {
	return func(s Stats) []sample { return []sample{{"", float64(n(s))}} }
}

// byOp is a metric with a sample for reads and one for writes.
func byOp(n func(StoreStats) float64) func(Stats) []sample {
	return func(s Stats) []sample {
		return []sample{{`,op="read"`, n(s.Reads)}, {`,op="write"`, n(s.Writes)}}
	}
}

// lookups are the results of all lookups, as samples of one family with the
// label "result".
func lookups(s Stats) (all []sample) {
	for _, r := range []struct {
		result string
		n      int64
	}{{"local", s.Local}, {"remote", s.Remote}, {"origin", s.Origin}, {"stale", s.Stale}, {"failed", s.Failed}, {"canceled", s.Canceled}} {
		all = append(all, sample{fmt.Sprintf(`,result="%s"`, r.result), float64(r.n)})
	}
	return all
}

// isOpen is 1 unless the breaker is closed: half open, the store is still
// spared.
func isOpen(s StoreStats) float64 {
	if s.Breaker == "" || s.Breaker == "closed" {
		return 0
	}
	return 1
}

var families = []family{
	{"cache_lookups", "counter", "Lookups by result.", lookups},
	{"cache_coalesced", "counter", "Lookups that waited for a load which another had begun.", one(func(s Stats) int64 { return s.Coalesced })},
	{"cache_early_refreshes", "counter", "Loads that began before the TTL ended.", one(func(s Stats) int64 { return s.EarlyRefreshes })},
	{"cache_loads", "counter", "Calls of the loader.", one(func(s Stats) int64 { return s.Loads })},
	{"cache_load_errors", "counter", "Keys whose load failed.", one(func(s Stats) int64 { return s.LoadErrors })},
	{"cache_loads_late", "counter", "Keys whose load was given up.", one(func(s Stats) int64 { return s.LoadsLate })},
	{"cache_loads_queued", "counter", "Loads that waited for a slot.", one(func(s Stats) int64 { return s.LoadsQueued })},
	{"cache_loads_busy", "counter", "Loads that got no slot in time.", one(func(s Stats) int64 { return s.LoadsBusy })},
	{"cache_loads_throttled", "counter", "Loads not made since the origin was failing.", one(func(s Stats) int64 { return s.LoadsThrottled })},
	{"cache_store_calls", "counter", "Calls of the store.", byOp(func(s StoreStats) float64 { return float64(s.Calls) })},
	{"cache_store_misses", "counter", "Reads of the store that found nothing.", one(func(s Stats) int64 { return s.Reads.Misses })},
	{"cache_store_faults", "counter", "Calls of the store that failed.", byOp(func(s StoreStats) float64 { return float64(s.Faults) })},
	{"cache_store_late", "counter", "Calls of the store that timed out.", byOp(func(s StoreStats) float64 { return float64(s.Late) })},
	{"cache_store_skipped", "counter", "Calls of the store that were not made.", byOp(func(s StoreStats) float64 { return float64(s.Skipped) })},
	{"cache_breaker_open", "gauge", "Whether the circuit breaker is not closed.", byOp(isOpen)},
	{"cache_breaker_opened", "counter", "Times that the circuit breaker opened.", byOp(func(s StoreStats) float64 { return float64(s.Opened) })},
	{"cache_endings_owed", "gauge", "Endings that the store is still to be told of.", one(func(s Stats) int64 { return s.Owed })},
	{"cache_endings_lost", "counter", "Endings that the store will not be told of.", one(func(s Stats) int64 { return s.EndingsLost })},
	{"cache_bound_seconds", "gauge", "How long an ended value can be served somewhere.", func(s Stats) []sample { return []sample{{"", s.Bound.Seconds()}} }},
	{"cache_writes_queued", "gauge", "Keys waiting to be written.", one(func(s Stats) int64 { return s.WritesQueued })},
	{"cache_writes_dropped", "counter", "Values that did not reach the store.", one(func(s Stats) int64 { return s.WritesDropped })},
	{"cache_bulletin_posted", "counter", "Endings that other instances were told of.", one(func(s Stats) int64 { return s.Bulletin.Posted })},
	{"cache_bulletin_post_faults", "counter", "Calls that told them and failed.", one(func(s Stats) int64 { return s.Bulletin.PostFaults })},
	{"cache_bulletin_lost", "counter", "Endings that they were not told of.", one(func(s Stats) int64 { return s.Bulletin.Lost })},
	{"cache_bulletin_looks", "counter", "Times that the notes of others were read.", one(func(s Stats) int64 { return s.Bulletin.Looks })},
	{"cache_bulletin_look_faults", "counter", "Of these, that failed.", one(func(s Stats) int64 { return s.Bulletin.LookFaults })},
	{"cache_bulletin_ended", "counter", "Copies that were dropped because of a note.", one(func(s Stats) int64 { return s.Bulletin.Ended })},
	{"cache_bulletin_distrusted", "counter", "Times that all copies were dropped, since too much was missed.", one(func(s Stats) int64 { return s.Bulletin.Distrusted })},
	{"cache_tag_reads", "counter", "Reads of the store for what became of a tag.", one(func(s Stats) int64 { return s.TagReads })},
	{"cache_poison", "counter", "Items that could not be used.", one(func(s Stats) int64 { return s.Poison })},
	{"cache_outdated", "counter", "Items older than what was known.", one(func(s Stats) int64 { return s.Outdated })},
	{"cache_rejected", "counter", "Values that the codec or the store cannot take.", one(func(s Stats) int64 { return s.Rejected })},
	{"cache_zombies", "gauge", "Calls that outlived their context.", one(func(s Stats) int64 { return s.Zombies })},
	{"cache_hooks_stuck", "gauge", "Calls of OnEvent and Logger that do not return.", one(func(s Stats) int64 { return s.HooksStuck })},
	{"cache_events_dropped", "counter", "Calls of OnEvent and Logger that were not made, since too many are stuck.", one(func(s Stats) int64 { return s.EventsDropped })},
	{"cache_callback_panics", "counter", "Panics in callbacks.", one(func(s Stats) int64 { return s.CallbackPanics })},
	{"cache_entries", "gauge", "Entries of the local tier.", one(func(s Stats) int64 { return s.Entries })},
	{"cache_bytes", "gauge", "Their cost.", one(func(s Stats) int64 { return s.Bytes })},
	{"cache_evicted", "counter", "Entries that had to go.", one(func(s Stats) int64 { return s.Evicted })},
}

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// WriteTo writes the metrics of all caches, in the order of their names. One
// that is nil, whose Stats panics, or whose name is not UTF-8, is left out, and is
// an error once the others are written.
func (m Metrics) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	var names []string
	var stats []Stats
	var failed []error
	for _, name := range slices.Sorted(maps.Keys(m)) {
		s, err := statsOf(m[name])
		if err == nil && !utf8.ValidString(name) { // Prometheus would take no metric at all
			err = errors.New("the name is not UTF-8")
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("cache: metrics of %q: %w", name, err))
			continue
		}
		names, stats = append(names, name), append(stats, s)
	}
	for _, f := range families {
		fmt.Fprintf(&b, "# TYPE %s %s\n# HELP %s %s\n", f.name, f.kind, f.name, f.help)
		suffix := ""
		if f.kind == "counter" {
			suffix = "_total"
		}
		for i, name := range names {
			for _, s := range f.samples(stats[i]) {
				fmt.Fprintf(&b, "%s%s{cache=\"%s\"%s} %g\n", f.name, suffix, labelEscapes.Replace(name), s.labels, s.value)
			}
		}
	}
	b.WriteString("# EOF\n")
	n, err := io.WriteString(w, b.String())
	if err == nil {
		err = errors.Join(failed...)
	}
	return int64(n), err
}

// statsOf asks a Reporter, which may be the program's own type: a nil one, or
// one that panics, is an error of that cache alone, and the others are still
// written.
func statsOf(r Reporter) (s Stats, err error) {
	if r == nil {
		return s, errors.New("there is no cache")
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("Stats panicked: %v", v)
		}
	}()
	return r.Stats(), nil
}

// HitRatio is the share of answered lookups that did not need the origin.
// 0 if there were none.
func (s Stats) HitRatio() float64 {
	hits := s.Local + s.Remote
	all := hits + s.Origin + s.Stale + s.Failed
	if all == 0 {
		return 0
	}
	return float64(hits) / float64(all)
}

// String is the state in one line, for a log or a debugger.
func (s Stats) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%.1f %% hits (local %d, remote %d), origin %d, stale %d, failed %d", 100*s.HitRatio(), s.Local, s.Remote, s.Origin, s.Stale, s.Failed)
	for _, d := range []struct {
		name string
		s    StoreStats
	}{{"reads", s.Reads}, {"writes", s.Writes}} {
		if d.s.Breaker != "" && d.s.Breaker != "closed" {
			fmt.Fprintf(&b, "; %s %s", d.name, d.s.Breaker)
			if d.s.LastError != "" {
				fmt.Fprintf(&b, " (%s)", d.s.LastError)
			}
		}
	}
	if s.Owed+s.EndingsLost > 0 {
		fmt.Fprintf(&b, "; endings owed %d, lost %d", s.Owed, s.EndingsLost)
	}
	return b.String()
}

// Check asks the store for an item that is not there, past the circuit breaker,
// and returns an error if that fails, if writes fail, or if endings are owed or
// lost. It needs no more than two seconds. It has the form of a check of package
// health, for a dependency that is soft; and it tells at a service's start what
// is wrong with the table, without keeping it from starting. Without a Store it
// returns nil.
func (c *Cache[V]) Check(ctx context.Context) error {
	if c.remote == nil {
		return nil
	}
	if ctx == nil {
		ctx = context.Background()
	}
	errs := []error{c.checkRead(ctx)}
	s := c.Stats()
	if isOpen(s.Writes) == 1 {
		errs = append(errs, fmt.Errorf("writes fail: the breaker is %s; last error: %s", s.Writes.Breaker, s.Writes.LastError))
	}
	if s.Owed > 0 {
		errs = append(errs, fmt.Errorf("%d endings are owed to the store", s.Owed))
	}
	if s.EndingsLost > 0 {
		errs = append(errs, fmt.Errorf("%d endings are lost", s.EndingsLost))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cache %q: %w", c.opts.Name, err)
	}
	return nil
}

const checkTimeout = 2 * time.Second

// checkRead reads an item that is not there: "not found" is the answer of a
// store that works. It has the bounds of any call, and none of the breaker's:
// it is to say what is so, also while the breaker is open.
func (c *Cache[V]) checkRead(ctx context.Context) error {
	answer := make(chan error, 1)
	b := bounded[Item]{
		began: time.Now(), timeout: checkTimeout, where: "store", late: ErrStoreTimeout, zombies: &c.remote.zombies,
		call: func(ctx context.Context) (Item, error) { return c.remote.store.Get(ctx, c.keys.store("!check")) },
		then: func(_ Item, o outcome) {
			if o.has(isNotFound) {
				o.err = nil
			}
			answer <- o.err
		},
	}
	if c.remote.zombies.Load() >= maxZombies {
		return fmt.Errorf("too many calls of the store are stuck: %w", ErrStoreSkipped)
	}
	go b.run(ctx)
	select {
	case err := <-answer:
		if err != nil {
			return fmt.Errorf("the store cannot be read: %w", err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
