package dynamotest

import (
	"math"
	"slices"
	"time"
)

// A bucket is capacity in units a second. Like the service it lets a request
// through as long as anything is left, and then owes.
type bucket struct {
	// rate is in units a second; tokens are what is left and may be
	// negative; last is when they were counted.
	rate   float64 // negative: unlimited
	tokens float64
	last   time.Time
}

// unlimited is the bucket of a new server.
func unlimited() bucket { return bucket{rate: -1} }

// take is a token bucket that may be overdrawn once: as with DynamoDB's
// capacity, a request is let through while anything is left, and its whole cost
// is paid by those that follow. The bucket is one second deep. A negative rate
// has no limit.
//
// now is the server's clock, which may stand still in a test: then nothing
// comes back. The lock is held.
func (b *bucket) take(units float64, now time.Time) bool {
	if b.rate < 0 {
		return true
	}
	if !b.last.IsZero() {
		passed := max(0, now.Sub(b.last)) // a clock that is set back takes nothing away
		b.tokens = min(b.rate, b.tokens+b.rate*passed.Seconds())
	}
	b.last = now
	if b.tokens <= 0 {
		return false
	}
	b.tokens -= units
	return true
}

// SetCapacity limits the units of read and of write capacity that all tables
// together provide in a second; a burst is one second's worth. What exceeds
// it is answered with ProvisionedThroughputExceededException, or, in a batch,
// handed back unprocessed. 0, and what is no number, throttles everything, a
// negative number (the default) nothing.
//
// The buckets begin full. A request that costs more than a second's worth is
// let through if anything is left, and others wait until it is paid.
func (s *Server) SetCapacity(read, write float64) {
	if math.IsNaN(read) {
		read = 0
	}
	if math.IsNaN(write) {
		write = 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read = bucket{rate: read, tokens: read}
	s.write = bucket{rate: write, tokens: write}
}

// readUnits: one for each 4 KiB begun, half of it for an eventually consistent
// read, at least the price of one read.
//
// size is in bytes, of an item or of all items of a page together; 0 for an
// item that is not there.
func readUnits(size int, consistent bool) float64 {
	n := float64(max(1, (size+4095)/4096))
	if consistent {
		return n
	}
	return n / 2
}

// writeUnits: one for each KiB begun.
//
// size is the larger of the item before and after. Indexes cost nothing here.
func writeUnits(size int) float64 { return float64(max(1, (size+1023)/1024)) }

// throttled counts, and makes the error.
func (c *call) throttled(t *table) *apiError {
	c.server.throttled.Add(1)
	return overCapacity(c, t.name)
}

// overCapacity is the error, with the reason that newer SDKs show.
//
// The message is the service's, word for word. The SDKs retry on the code.
func overCapacity(c *call, table string) *apiError {
	e := dynamo("ProvisionedThroughputExceededException", "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API.")
	reason := "TableReadProvisionedThroughputExceeded"
	if !slices.Contains([]string{"GetItem", "BatchGetItem", "TransactGetItems", "Query", "Scan"}, c.op) {
		reason = "TableWriteProvisionedThroughputExceeded"
	}
	e.extra = map[string]any{"ThrottlingReasons": []any{map[string]any{"reason": reason, "resource": tableARN(c.region, table)}}}
	return e
}

// wantsCapacity reports whether ReturnConsumedCapacity asks for anything.
func wantsCapacity(mode string) bool { return mode == "TOTAL" || mode == "INDEXES" }

// capacity is a ConsumedCapacity; with INDEXES it says what of it the table
// itself has taken.
func capacity(table string, units float64, mode string) map[string]any {
	out := map[string]any{"TableName": table, "CapacityUnits": units}
	if mode == "INDEXES" {
		out["Table"] = map[string]any{"CapacityUnits": units}
	}
	return out
}

// consumedOf is the ConsumedCapacity of a transaction: what its parts have taken
// of each table, in the order in which it names the tables.
func consumedOf(tables []*table, units []float64, mode string) []any {
	var all []any
	for i, t := range tables {
		if slices.Contains(tables[:i], t) {
			continue
		}
		sum := 0.0
		for j, other := range tables {
			if other == t {
				sum += units[j]
			}
		}
		all = append(all, capacity(t.name, sum, mode))
	}
	return all
}

// total is the sum of the parts' units.
func total(units []float64) (sum float64) {
	for _, u := range units {
		sum += u
	}
	return sum
}

// consumed adds ConsumedCapacity to an answer that has asked for it.
func (in *target) consumed(out map[string]any, units float64) {
	if wantsCapacity(in.ReturnConsumedCapacity) {
		out["ConsumedCapacity"] = capacity(in.TableName, units, in.ReturnConsumedCapacity)
	}
}
