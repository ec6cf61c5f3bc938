package drill

import (
	"fmt"
	"time"
)

// A tally makes of what a fault says of itself what it has done in this drill:
// a fault may count for longer than that, or have been used before, and a drill
// must not take credit for it.
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
