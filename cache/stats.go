package cache

import (
	"math/rand/v2"
	"sync/atomic"
)

// Stats are the counters of a cache since New, and a few gauges. They are
// read one by one, so a sum over them may be off by what happened meanwhile.
type Stats struct {
	// Results by source. Their sum, with Failed and Canceled, is the
	// number of lookups that ended.
	Local  int64 // fresh in the local tier, "not found" included
	Remote int64 // fresh in the store
	Origin int64 // loaded, "not found" included
	Stale  int64 // past its TTL, because the origin failed

	Failed    int64 // the origin's error was returned
	Canceled  int64 // the caller's own context ended first
	Coalesced int64 // lookups that waited for a load which another had begun

	EarlyRefreshes int64 // loads that began before the TTL ended

	Loads       int64 // calls of the loader that began
	LoadErrors  int64 // keys whose load failed ("not found" is no failure)
	LoadsLate   int64 // of these, given up after LoadTimeout
	LoadsQueued int64 // loads that had to wait for one of the Concurrency slots
	LoadsBusy   int64 // of these, got none within LoadTimeout

	LoadsThrottled int64 // loads that were not made: the origin has failed too often just before

	Reads  StoreStats
	Writes StoreStats

	WritesQueued  int64 // gauge: keys waiting to be written
	Owed          int64 // gauge: endings (log-outs, "gone", what a Set replaced) that the store is still to be told of
	EndingsLost   int64 // endings that it will not be told of: too many were owed, or the cache closed
	WritesDropped int64 // values that were not written: queue full, breaker open, closed
	Poison        int64 // items that could not be used
	Outdated      int64 // items older than what was known here, or from a clock that is wrong
	Rejected      int64 // values that the codec or the store could not take

	Zombies        int64 // gauge: calls of store or loader that outlived their context
	CallbackPanics int64 // panics in OnEvent, Cost, Expires or Logger

	Entries int64 // gauge: entries of the local tier
	Bytes   int64 // gauge: their cost, with MaxBytes
	Evicted int64
}

// StoreStats count one direction of the remote tier.
type StoreStats struct {
	Calls   int64  // calls that began
	Misses  int64  // reads that found nothing
	Faults  int64  // calls that failed, time-outs included
	Late    int64  // of these, time-outs
	Skipped int64  // calls not made: breaker open, too many stuck, deadline too near
	Breaker string // "closed", "half-open" or "open"; "" without a store
	Opened  int64  // times that the breaker opened
}

// counters are the live form of Stats.
type counters struct {
	local striped // hits of the local tier, stale ones apart
	stale atomic.Int64

	remote, origin, failed, canceled, coalesced               atomic.Int64
	loads, loadErrors, loadsLate, loadsQueued, loadsBusy      atomic.Int64
	loadsThrottled                                            atomic.Int64
	writesDropped, poison, outdated, rejected, callbackPanics atomic.Int64
	earlyRefreshes                                            atomic.Int64
	reads, writes                                             storeCounters
	zombies                                                   atomic.Int64 // of the loader
}

type storeCounters struct {
	calls, misses, faults, late, skipped atomic.Int64
}

// Stats returns the counters. It is cheap enough to be scraped every second.
func (c *Cache[V]) Stats() Stats {
	n := &c.n
	s := Stats{
		Local: n.local.sum(), Remote: n.remote.Load(), Origin: n.origin.Load(), Stale: n.stale.Load(),
		EarlyRefreshes: n.earlyRefreshes.Load(),
		Failed:         n.failed.Load(), Canceled: n.canceled.Load(), Coalesced: n.coalesced.Load(),
		Loads: n.loads.Load(), LoadErrors: n.loadErrors.Load(), LoadsLate: n.loadsLate.Load(),
		LoadsQueued: n.loadsQueued.Load(), LoadsBusy: n.loadsBusy.Load(), LoadsThrottled: n.loadsThrottled.Load(),
		Reads: n.reads.stats(), Writes: n.writes.stats(),
		WritesDropped: n.writesDropped.Load(), Poison: n.poison.Load(), Outdated: n.outdated.Load(),
		Rejected: n.rejected.Load(), Zombies: n.zombies.Load(), CallbackPanics: n.callbackPanics.Load(),
		Evicted: c.local.evicted.Load(),
	}
	entries, bytes := c.local.size()
	s.Entries = int64(entries)
	if c.opts.MaxBytes > 0 {
		s.Bytes = bytes
	}
	if c.remote != nil {
		s.Reads.Breaker, s.Reads.Opened = c.remote.reads.state(), c.remote.reads.opened.Load()
		s.Writes.Breaker, s.Writes.Opened = c.remote.writes.state(), c.remote.writes.opened.Load()
		s.WritesQueued = int64(c.queue.len())
		s.Owed, s.EndingsLost = c.over.owedNow(), c.over.lost.Load()
		s.Zombies += c.remote.zombies.Load()
	}
	return s
}

func (n *storeCounters) stats() StoreStats {
	return StoreStats{
		Calls: n.calls.Load(), Misses: n.misses.Load(), Faults: n.faults.Load(),
		Late: n.late.Load(), Skipped: n.skipped.Load(),
	}
}

// striped is a counter for the hot path: cores that count at the same time
// mostly write different cache lines.
type striped [16]struct {
	n atomic.Int64
	_ [56]byte
}

func (s *striped) inc() { s[rand.Uint32()%uint32(len(s))].n.Add(1) }
func (s *striped) sum() int64 {
	var sum int64
	for i := range s {
		sum += s[i].n.Load()
	}
	return sum
}
