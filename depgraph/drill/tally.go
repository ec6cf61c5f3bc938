package drill

import (
	"fmt"
	"time"
)

// A tally makes of what a fault says of itself what it has done in this drill:
// a fault may count for longer than that, or have been used before, and a drill
// must not take credit for it.
//
// The calls come in this order: before, injected, count as often as one likes,
// record. It is used by one goroutine, and knows nothing of time but what the fault
// says.
type tally struct {
	base, last int64
	seen       Seen   // when the hits were
	lied       string // why nothing that the fault says can be believed
}

// before is what the fault says before it is injected.
func (t *tally) before(s Seen) { t.base, t.last = s.Hits, s.Hits }

// injected is what it says right after. A counter that has gone down begins
// anew with each Inject.
func (t *tally) injected(s Seen) {
	if s.Hits < t.base {
		t.base, t.last = 0, s.Hits
	}
	t.count(s)
}

// count takes note of what it says from then on.
// A total that goes down is a fault that has been reset behind the drill's back, or
// miscounts: nothing can be said then, for better or worse. Times are taken from
// the highest total only.
func (t *tally) count(s Seen) {
	if s.Hits < t.last && t.lied == "" {
		t.lied = fmt.Sprintf("the fault first said that it had hit %d times, and then %d: nothing it says is believed", t.last, s.Hits)
	}
	t.last = max(t.last, s.Hits)
	if s.Hits >= t.last {
		t.seen = s
	}
}

// record writes it down. No hit was before the fault, or after it.
// from and until are seconds of the journal, and at turns a time into such. What
// the fault says of times is moved into that stretch, since clocks of other
// machines differ; it is -1 if the fault does not say.
func (t *tally) record(f *FaultRecord, from, until float64, at func(time.Time) float64) {
	f.From, f.Until, f.Hits = from, until, t.last-t.base
	if f.Hits <= 0 {
		return
	}
	within := func(x time.Time) float64 {
		if x.IsZero() {
			return -1
		}
		return min(max(at(x), from), until)
	}
	f.First, f.Last = within(t.seen.First), within(t.seen.Last)
}
