package dynamo

import (
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/failopen/failopen/cache"
)

// wrote counts the units of a write as DynamoDB reports them: those of the
// larger one of the old and the new item. A client that does not pass the
// question on is answered with the new one's.
func (s *Store) wrote(used *types.ConsumedCapacity, attrs map[string]types.AttributeValue) {
	if used != nil && used.CapacityUnits != nil {
		s.stats.writeUnits.Add(int64(math.Ceil(*used.CapacityUnits)))
	} else {
		s.stats.writeUnits.Add(writeUnits(attrs))
	}
}

// checkSize refuses an item above DynamoDB's 400 KB before it is sent, by the
// service's own way of counting.
func checkSize(attrs map[string]types.AttributeValue) error {
	if n := itemBytes(attrs); n > maxItemBytes {
		return fmt.Errorf("dynamo: an item of %d bytes (limit %d): %w", n, maxItemBytes, cache.ErrRejected)
	}
	return nil
}

// itemBytes is the size that DynamoDB limits and bills, of any item: names and
// values, a number two significant digits to the byte, and a little for
// nesting. Source: "DynamoDB item sizes and formats" in the developer guide.
func itemBytes(attrs map[string]types.AttributeValue) int {
	n := 0
	for name, v := range attrs {
		n += len(name) + valueBytes(v)
	}
	return n
}

// valueBytes counts as "DynamoDB item sizes and formats" of its developer guide
// does: text in UTF-8, numbers by their digits, and three bytes for a list or a
// map, with one more for each element.
func valueBytes(v types.AttributeValue) (n int) {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return len(v.Value)
	case *types.AttributeValueMemberB:
		return len(v.Value)
	case *types.AttributeValueMemberN:
		return numberBytes(v.Value)
	case *types.AttributeValueMemberBS:
		for _, e := range v.Value {
			n += len(e)
		}
	case *types.AttributeValueMemberSS:
		for _, e := range v.Value {
			n += len(e)
		}
	case *types.AttributeValueMemberNS:
		for _, e := range v.Value {
			n += numberBytes(e)
		}
	case *types.AttributeValueMemberL:
		n = 3
		for _, e := range v.Value {
			n += 1 + valueBytes(e)
		}
	case *types.AttributeValueMemberM:
		n = 3 + len(v.Value) + itemBytes(v.Value)
	default: // BOOL, NULL
		return 1
	}
	return n
}

// numberBytes is one byte, one more for each two digits between the first and
// the last that are not zero, and one for a minus.
func numberBytes(text string) int {
	mantissa, _, _ := strings.Cut(strings.ToLower(text), "e")
	n := 1
	if strings.HasPrefix(mantissa, "-") {
		n++
	}
	digits := strings.Trim(strings.Replace(strings.TrimLeft(mantissa, "+-"), ".", "", 1), "0")
	return n + (len(digits)+1)/2
}

func writeUnits(attrs map[string]types.AttributeValue) int64 {
	return int64((itemBytes(attrs) + 1023) / 1024)
}

// Stats counts what a [Store] has done. The units are the bill: reads that
// answered, and writes as DynamoDB reports them. Estimated are those of a write
// whose condition failed, which DynamoDB bills and does not report, and of one
// whose answer did not come.
type Stats struct {
	Gets        int64   `json:"gets"`        // keys asked for
	Misses      int64   `json:"misses"`      // keys that were not there
	Unprocessed int64   `json:"unprocessed"` // keys of a batch that DynamoDB handed back
	Sets        int64   `json:"sets"`        // items sent
	Kept        int64   `json:"kept"`        // sets that found a newer version
	Rejected    int64   `json:"rejected"`    // items and keys that DynamoDB cannot hold
	Faults      int64   `json:"faults"`      // calls that failed, except for a refused item
	ReadUnits   float64 `json:"read_units"`  // consumed by reads
	WriteUnits  float64 `json:"write_units"` // consumed by writes

	// ClockSkew is how far this host's clock is ahead of DynamoDB's
	// (negative: behind), and ClockSkewWithin the largest error of that. They
	// are measured from the Date of its answers: to a second at first, then
	// better. Both are 0 before the first answer, and with DAX. Alert when
	// ClockSkew goes beyond half of [cache.MaxSkew] either way.
	ClockSkew       time.Duration `json:"clock_skew_ns"`
	ClockSkewWithin time.Duration `json:"clock_skew_within_ns"` // see ClockSkew

	// Renewals is how often the credentials were given up because DynamoDB
	// said that they are expired or unknown. It happens at most every 30 s,
	// and only with a provider that can be told, as [aws.CredentialsCache],
	// which is what config.LoadDefaultConfig makes.
	Renewals int64 `json:"renewals"`
}

type counters struct {
	gets, misses, unprocessed, sets, kept, rejected, faults, readHalves, writeUnits atomic.Int64
}

// Stats returns a snapshot.
func (s *Store) Stats() Stats {
	c := &s.stats
	skew, within := s.clock.skew(time.Now())
	return Stats{
		ClockSkew:       skew,
		ClockSkewWithin: within,
		Renewals:        s.renew.count.Load(),

		Gets:        c.gets.Load(),
		Misses:      c.misses.Load(),
		Unprocessed: c.unprocessed.Load(),
		Sets:        c.sets.Load(),
		Kept:        c.kept.Load(),
		Rejected:    c.rejected.Load(),
		Faults:      c.faults.Load(),
		ReadUnits:   float64(c.readHalves.Load()) / 2,
		WriteUnits:  float64(c.writeUnits.Load()),
	}
}
