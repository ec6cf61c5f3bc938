package cacheotel

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/failopen/failopen/cache"
)

// instrument is a metric of whole numbers with one series or several.
type instrument struct {
	name, unit, help string
	kind             func(meter metric.Meter, name, unit, help string) (metric.Int64Observable, error)
	series           []series
}

// series is one point of each collection.
type series struct {
	attrs []attribute.KeyValue // after those of the cache
	value func(*cache.Stats) int64
}

func counter(meter metric.Meter, name, unit, help string) (metric.Int64Observable, error) {
	return meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(help))
}

// upDown is for values that make sense when instances are added up.
func upDown(meter metric.Meter, name, unit, help string) (metric.Int64Observable, error) {
	return meter.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(help))
}

var instruments = []instrument{
	{"failopen.cache.lookup.ended", "{lookup}", "Lookups by result.", counter, []series{
		result("local", func(s *cache.Stats) int64 { return s.Local }),
		result("remote", func(s *cache.Stats) int64 { return s.Remote }),
		result("origin", func(s *cache.Stats) int64 { return s.Origin }),
		result("stale", func(s *cache.Stats) int64 { return s.Stale }),
		result("failed", func(s *cache.Stats) int64 { return s.Failed }),
		result("canceled", func(s *cache.Stats) int64 { return s.Canceled }),
	}},
	{"failopen.cache.lookup.coalesced", "{lookup}", "Lookups that waited for a load which another had begun.", counter, one(func(s *cache.Stats) int64 { return s.Coalesced })},
	{"failopen.cache.load.started", "{load}", "Calls of the loader.", counter, one(func(s *cache.Stats) int64 { return s.Loads })},
	{"failopen.cache.load.early", "{load}", "Loads that began before the TTL ended.", counter, one(func(s *cache.Stats) int64 { return s.EarlyRefreshes })},
	{"failopen.cache.load.errors", "{key}", "Keys whose load failed.", counter, one(func(s *cache.Stats) int64 { return s.LoadErrors })},
	{"failopen.cache.load.late", "{key}", "Keys whose load was given up.", counter, one(func(s *cache.Stats) int64 { return s.LoadsLate })},
	{"failopen.cache.load.queued", "{load}", "Loads that waited for a slot.", counter, one(func(s *cache.Stats) int64 { return s.LoadsQueued })},
	{"failopen.cache.load.busy", "{load}", "Loads that got no slot in time.", counter, one(func(s *cache.Stats) int64 { return s.LoadsBusy })},
	{"failopen.cache.load.throttled", "{load}", "Loads not made since the origin was failing.", counter, one(func(s *cache.Stats) int64 { return s.LoadsThrottled })},
	{"failopen.cache.store.calls", "{call}", "Calls of the store.", counter, byOp(func(s *cache.StoreStats) int64 { return s.Calls })},
	{"failopen.cache.store.misses", "{call}", "Reads of the store that found nothing.", counter, one(func(s *cache.Stats) int64 { return s.Reads.Misses })},
	{"failopen.cache.store.faults", "{call}", "Calls of the store that failed.", counter, byOp(func(s *cache.StoreStats) int64 { return s.Faults })},
	{"failopen.cache.store.late", "{call}", "Calls of the store that timed out.", counter, byOp(func(s *cache.StoreStats) int64 { return s.Late })},
	{"failopen.cache.store.skipped", "{call}", "Calls of the store that were not made.", counter, byOp(func(s *cache.StoreStats) int64 { return s.Skipped })},
	{"failopen.cache.breaker.opened", "{transition}", "Times that the circuit breaker opened.", counter, byOp(func(s *cache.StoreStats) int64 { return s.Opened })},
	{"failopen.cache.breaker.status", "1", "State of the circuit breaker.", upDown, byBreaker("closed", "half-open", "open")},
	{"failopen.cache.write.queued", "{key}", "Keys waiting to be written.", upDown, one(func(s *cache.Stats) int64 { return s.WritesQueued })},
	{"failopen.cache.write.dropped", "{value}", "Values that did not reach the store.", counter, one(func(s *cache.Stats) int64 { return s.WritesDropped })},
	{"failopen.cache.ending.owed", "{ending}", "Endings that the store is still to be told of.", upDown, one(func(s *cache.Stats) int64 { return s.Owed })},
	{"failopen.cache.ending.lost", "{ending}", "Endings that the store will not be told of.", counter, one(func(s *cache.Stats) int64 { return s.EndingsLost })},
	{"failopen.cache.bulletin.posted", "{ending}", "Endings told to other instances.", counter, one(func(s *cache.Stats) int64 { return s.Bulletin.Posted })},
	{"failopen.cache.bulletin.lost", "{ending}", "Endings not told to other instances.", counter, one(func(s *cache.Stats) int64 { return s.Bulletin.Lost })},
	{"failopen.cache.bulletin.looks", "{look}", "Reads of what other instances told.", counter, one(func(s *cache.Stats) int64 { return s.Bulletin.Looks })},
	{"failopen.cache.bulletin.faults", "{call}", "Calls for the bulletin that failed.", counter, []series{
		{op("read"), func(s *cache.Stats) int64 { return s.Bulletin.LookFaults }},
		{op("write"), func(s *cache.Stats) int64 { return s.Bulletin.PostFaults }},
	}},
	{"failopen.cache.bulletin.ended", "{copy}", "Copies dropped because of a note.", counter, one(func(s *cache.Stats) int64 { return s.Bulletin.Ended })},
	{"failopen.cache.bulletin.distrust", "{event}", "Times that all copies were dropped since too much was missed.", counter, one(func(s *cache.Stats) int64 { return s.Bulletin.Distrusted })},
	{"failopen.cache.tag.reads", "{call}", "Reads of the store for what became of a tag.", counter, one(func(s *cache.Stats) int64 { return s.TagReads })},
	{"failopen.cache.item.poison", "{item}", "Items that could not be used.", counter, one(func(s *cache.Stats) int64 { return s.Poison })},
	{"failopen.cache.item.outdated", "{item}", "Items older than what was known.", counter, one(func(s *cache.Stats) int64 { return s.Outdated })},
	{"failopen.cache.item.rejected", "{value}", "Values that the codec or the store could not take.", counter, one(func(s *cache.Stats) int64 { return s.Rejected })},
	{"failopen.cache.zombies", "{call}", "Calls that outlived their context.", upDown, one(func(s *cache.Stats) int64 { return s.Zombies })},
	{"failopen.cache.callback.panics", "{panic}", "Panics in callbacks.", counter, one(func(s *cache.Stats) int64 { return s.CallbackPanics })},
	{"failopen.cache.callback.stuck", "{call}", "Calls of OnEvent and Logger that do not return.", upDown, one(func(s *cache.Stats) int64 { return s.HooksStuck })},
	{"failopen.cache.callback.dropped", "{call}", "Calls of OnEvent and Logger that were not made, since too many are stuck.", counter, one(func(s *cache.Stats) int64 { return s.EventsDropped })},
	{"failopen.cache.local.size", "{entry}", "Entries of the local tier.", upDown, one(func(s *cache.Stats) int64 { return s.Entries })},
	{"failopen.cache.local.usage", "By", "Cost of the entries of the local tier.", upDown, one(func(s *cache.Stats) int64 { return s.Bytes })},
	{"failopen.cache.local.evicted", "{entry}", "Entries that had to go.", counter, one(func(s *cache.Stats) int64 { return s.Evicted })},
}

func one(value func(*cache.Stats) int64) []series { return []series{{nil, value}} }

func op(name string) []attribute.KeyValue { return []attribute.KeyValue{OpKey.String(name)} }

func result(name string, value func(*cache.Stats) int64) series {
	return series{[]attribute.KeyValue{ResultKey.String(name)}, value}
}

// byOp has a series for reads and one for writes.
func byOp(value func(*cache.StoreStats) int64) []series {
	return []series{
		{op("read"), func(s *cache.Stats) int64 { return value(&s.Reads) }},
		{op("write"), func(s *cache.Stats) int64 { return value(&s.Writes) }},
	}
}

// byBreaker has a series for each state of each breaker, so that a chart needs
// no legend for numbers.
func byBreaker(states ...string) (all []series) {
	for _, state := range states {
		for _, s := range byOp(func(s *cache.StoreStats) int64 {
			if s.Breaker == state {
				return 1
			}
			return 0
		}) {
			all = append(all, series{append(s.attrs, BreakerStateKey.String(state)), s.value})
		}
	}
	return all
}
