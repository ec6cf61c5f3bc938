package drill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// drill is one run.
// Its fields belong to the goroutine that called Run. Others are let in at two
// places only: requests write to load, which has a lock of its own, and the watcher
// of the recovery writes two times of r.Fault, and is waited for before they are
// read.
//
// The order is phasesOf (guards), steady, cut (watch, revert, recover, left) and
// finish, which alone writes a verdict.
type drill struct {
	e      Experiment
	r      *Report
	load   *load
	broken map[string]string // invariant -> what was wrong first
	phases []span
	hits   tally
}

// span is a phase as it was, in the clock of time.Now; Phase has it in seconds.
type span struct {
	name        string
	from, until time.Time
}

// Names of the invariants that every drill has.
const (
	noWrong   = "no wrong answer"
	served    = "as many requests served as before"
	inBudget  = "every request answered within its budget"
	recovered = "recovered in time"
	nothing   = "nothing left behind"
)

// Run runs one experiment, and reports what it has seen. Its error is only that
// of an experiment that is invalid; whatever happens later is in the report,
// whose Verdict is the exit code of a program.
//
// Besides the experiment's own, these invariants hold in every drill, or the
// verdict is Deviated: no wrong answer; as many requests served under the fault
// as Least; every request answered within its budget; recovered in time;
// nothing left behind.
//
// If ctx ends, the fault is reverted all the same, with a deadline of its own.
func Run(ctx context.Context, e Experiment) (*Report, error) {
	if ctx == nil {
		return nil, errors.New("drill: the context is nil")
	}
	e, err := e.withDefaults()
	if err != nil {
		return nil, err
	}
	// Nothing above has started anything; from here on there is always a report.
	began := time.Now()
	d := &drill{
		e: e, broken: map[string]string{},
		r: &Report{
			Version: JournalVersion, Title: e.Title, Service: e.Service, Dependency: e.Dependency, Began: began.UTC(),
			Budget: ms(e.Budget), Least: e.Least, Seed: e.Seed, Environment: environment(),
			Fault: FaultRecord{Rules: e.Rules, From: -1, Until: -1, First: -1, Last: -1, FirstSuccess: -1, Recovered: -1},
		},
		load: &load{e: e, began: began, stall: new(Stalls)},
	}
	// The measurement of stalls outlives ctx: what is late after the end of ctx may be excused, too.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	measured := make(chan struct{})
	go func() { defer close(measured); d.load.stall.Run(background) }()
	defer func() { stop(); <-measured }()

	// The sum is made when no request is on its way any more, so that each one counts.
	verdict, why := d.phasesOf(ctx)
	d.load.all.Wait()
	d.finish(verdict, why)
	return d.r, nil
}

// at is a time of the journal.
// It is in seconds since the drill began; -1, which reads as "never", for zero.
func (d *drill) at(t time.Time) float64 {
	if t.IsZero() {
		return -1
	}
	return round(t.Sub(d.load.began).Seconds())
}

// begin starts a phase and tells Progress. Each begin is followed by an end on
// every path, or the phase would have no length in the report.
func (d *drill) begin(phase string) {
	d.phases = append(d.phases, span{name: phase, from: time.Now()})
	d.tell(Progress{Phase: phase})
}

func (d *drill) end() { d.phases[len(d.phases)-1].until = time.Now() }

// told passes a finished second on; each phase does so before anything else that
// may take time.
func (d *drill) told(s Second) { d.tell(Progress{Phase: s.Phase, Second: &s}) }

// maxFailures is how often a hook may fail before it is left alone: one that
// never returns leaves a goroutine behind each time.
const maxFailures = 10

// tell gives Progress a moment. What goes wrong in it is counted in the report.
func (d *drill) tell(p Progress) {
	const failures = "progress_failures"
	if d.e.Progress == nil || d.r.Numbers[failures] >= maxFailures {
		return
	}
	if err := contained(context.Background(), callLimit, func(context.Context) error { d.e.Progress(p); return nil }); err != nil {
		d.r.add(failures, 1)
	}
}

// seen asks the fault what it has done, and tells the tally.
// A fault that does not answer is asked again the next time, up to maxFailures: a
// count that is missing once is made up for by the next, which is a total.
func (d *drill) seen(tell func(Seen)) {
	const failures = "fault_seen_failures"
	if d.r.Numbers[failures] >= maxFailures {
		return
	}
	ch := make(chan Seen, 1)
	if err := contained(context.Background(), callLimit, func(context.Context) error { ch <- d.e.Fault.Seen(); return nil }); err != nil {
		d.r.add(failures, 1)
		return
	}
	tell(<-ch)
}

// phasesOf goes through all phases as far as it comes.
// It returns the verdict and its reason so far: finish may still turn Held into
// something worse, when it has seen all requests.
func (d *drill) phasesOf(ctx context.Context) (Verdict, string) {
	for _, g := range d.e.Guards {
		if err := contained(ctx, injectLimit, g.Ask); err != nil {
			return NotStarted, fmt.Sprintf("the guard %q says no: %s", g.Name, text(err))
		}
	}
	if why := d.steady(ctx); why != "" {
		return NotStarted, why
	}
	return d.cut(ctx)
}

// steady makes sure that there is something to lose.
// It returns why the drill does not start, or "". Up to a tenth of the requests may
// be excused by stalls of this machine; with more, the drill could not tell a slow
// service from a busy laptop. The cases are in the order of what is to be mended
// first: a wrong answer, an error, slowness.
func (d *drill) steady(ctx context.Context) string {
	d.begin("steady")
	d.load.run(ctx, "steady", d.e.Steady, func(s Second) bool { d.told(s); return false })
	d.load.all.Wait()
	d.end()
	if err := ctx.Err(); err != nil {
		return "the context ended in the steady state: " + text(err)
	}
	p := d.phase("steady")
	switch {
	case p.Asked == 0:
		return "no request was made in the steady state"
	case p.Wrong > 0:
		return fmt.Sprintf("the steady state does not hold: %d of %d answers are wrong, before anything was cut", p.Wrong, p.Asked)
	case p.Success >= d.e.Least && p.Excused*10 <= p.Asked:
		return ""
	case p.Failed > 0:
		return fmt.Sprintf("the steady state does not hold: %d of %d requests fail before anything was cut (%s)", p.Failed, p.Asked, firstOf(p.Errors))
	}
	return fmt.Sprintf("this machine or this service is too slow for the steady state: %d of %d requests took longer than %v (p99 %.0f ms), before anything was cut",
		p.Slow+p.Excused, p.Asked, d.e.Budget, p.P99)
}

// cut injects the fault, watches, reverts it and waits for the recovery.
// Once Inject was called, even if it failed half way, Revert is called on every
// path; the recovery is waited for if the watch came to its end. The counter of
// the fault is read before and after each change, since some faults begin anew with
// Inject and some forget with Revert; see [tally].
func (d *drill) cut(ctx context.Context) (verdict Verdict, why string) {
	d.begin("watch")
	from := time.Now()
	d.r.Fault.From = d.at(from)
	d.seen(d.hits.before)
	injectErr := contained(ctx, d.limit(), d.e.Fault.Inject)
	d.seen(d.hits.injected)
	aborted := ""
	if injectErr == nil {
		aborted = d.watch(ctx)
	}
	d.end()
	d.seen(d.hits.count)
	revertErr := d.revert(ctx)
	until := time.Now()
	d.seen(d.hits.count)
	d.hits.record(&d.r.Fault, d.at(from), d.at(until), d.at)
	d.r.FaultObserved = d.r.Fault.Hits > 0
	if revertErr != nil {
		d.breaks(nothing, "the fault could not be reverted: "+text(revertErr))
	}
	if injectErr != nil {
		return NotStarted, "the fault could not be injected: " + text(injectErr)
	}
	if aborted == "" {
		aborted = d.recover(ctx, until)
	}
	d.left()
	switch {
	case aborted != "":
		return Aborted, aborted
	case d.hits.lied != "":
		return Void, d.hits.lied
	case !d.r.FaultObserved:
		return Void, "the fault was never seen to hit, so nothing is proven"
	}
	return Held, ""
}

// watch asks while the fault is in place. After each second it reads the
// fault's counter, tries the invariants and asks the stop condition; the first
// that says stop ends the phase, and its reason is returned. "" means that it
// ran to its end.
// The fault's hits, invariants and stop condition are read in the same goroutine,
// so one that hangs delays the next second by its limit, and requests catch up.
func (d *drill) watch(ctx context.Context) (aborted string) {
	d.load.run(ctx, "watch", d.e.Watch, func(s Second) bool {
		d.told(s)
		d.seen(d.hits.count) // which also dates them, in some faults
		d.invariants(ctx)
		if d.e.Stop == nil {
			return false
		}
		if err := contained(ctx, callLimit, func(ctx context.Context) error { return d.e.Stop(ctx, s) }); err != nil {
			aborted = "a stop condition: " + text(err)
		}
		return aborted != ""
	})
	if aborted == "" && ctx.Err() != nil {
		aborted = "the context ended: " + text(context.Cause(ctx))
	}
	return aborted
}

// invariants tries the experiment's own. One that has been broken stays broken.
// They are not asked once ctx has ended: an error would be that of the context, and
// would make a drill that was interrupted look like a service that is broken.
func (d *drill) invariants(ctx context.Context) {
	for _, i := range d.e.Invariants {
		if d.broken[i.Name] != "" || ctx.Err() != nil {
			continue
		}
		if err := contained(ctx, callLimit, i.Holds); err != nil {
			d.breaks(i.Name, fmt.Sprintf("at %s: %s", at(d.at(time.Now())), text(err)))
		}
	}
}

// limit is how long Inject and Revert may take: a minute, or what the fault
// says if that is more.
// It is asked anew for each call. An hour is the most, so that a fault which says a
// year cannot keep a drill from ending.
func (d *drill) limit() time.Duration {
	limit := injectLimit
	if l, ok := d.e.Fault.(interface{ Limit() time.Duration }); ok {
		said := make(chan time.Duration, 1)
		if err := contained(context.Background(), callLimit, func(context.Context) error { said <- l.Limit(); return nil }); err == nil {
			limit = max(limit, min(<-said, time.Hour))
		}
	}
	return limit
}

// revert tries three times, whatever has become of the drill's own context.
// It waits one and two seconds between the tries. The error is the last one's.
// Nothing cancels it: a fault that stays because a user pressed Ctrl-C is the worst
// end that a drill can have.
func (d *drill) revert(ctx context.Context) (err error) {
	ctx = context.WithoutCancel(ctx)
	for attempt := range 3 {
		if attempt > 0 {
			timer := time.NewTimer(time.Duration(attempt) * time.Second)
			<-timer.C
		}
		if err = contained(ctx, d.limit(), d.e.Fault.Revert); err == nil {
			return nil
		}
	}
	return err
}

// breaks notes the first thing that was wrong with an invariant.
func (d *drill) breaks(name, what string) { d.broken[name] = cmp.Or(d.broken[name], what) }

// finish makes the verdict and the report.
// It is called once, when nothing runs any more. In this order: the numbers of each
// phase, what they say about the invariants that every drill has, and the verdict.
// A verdict of NotStarted, Aborted or Void stays, with the broken invariants as
// further reasons. Held becomes Deviated if an invariant is broken, or NotStarted
// if the only thing wrong is time and this machine stood still for more than a
// tenth of the requests.
func (d *drill) finish(verdict Verdict, why string) {
	r := d.r
	r.Seconds = d.at(time.Now())
	for _, s := range d.phases {
		r.Phases = append(r.Phases, d.phase(s.name))
	}
	r.Timeline = d.timeline()
	busy := ""
	if p, ok := r.phase("watch"); ok {
		d.judge(p)
		if p.Excused*10 > p.Asked {
			busy = fmt.Sprintf("this machine stood still too often to judge: %d of %d requests were late because of that", p.Excused, p.Asked)
		}
	}
	if p, ok := r.phase("recovery"); ok && p.Wrong > 0 {
		d.breaks(noWrong, fmt.Sprintf("%d wrong answers in the recovery", p.Wrong))
	}
	if verdict != NotStarted {
		for _, name := range []string{noWrong, served, inBudget, recovered, nothing} {
			r.Invariants = append(r.Invariants, InvariantResult{name, d.broken[name] == "", d.broken[name]})
		}
		for _, i := range d.e.Invariants {
			r.Invariants = append(r.Invariants, InvariantResult{i.Name, d.broken[i.Name] == "", d.broken[i.Name]})
		}
	}
	var reasons []string
	for _, i := range r.Invariants {
		if !i.Held {
			reasons = append(reasons, i.Name+": "+i.Detail)
		}
	}
	switch {
	case verdict == Held && busy != "" && len(reasons) > 0 && d.onlyTime():
		verdict, why = NotStarted, busy
	case verdict == Held && len(reasons) > 0:
		verdict = Deviated
	}
	if why != "" {
		reasons = append([]string{why}, reasons...)
	}
	r.Verdict, r.Reasons = verdict, reasons
}

// onlyTime reports whether nothing is wrong but what a machine that is too
// busy can cause by itself.
// Requests that fail with an error, rather than come late, are never the machine's.
func (d *drill) onlyTime() bool {
	for name := range d.broken {
		if name != inBudget && name != served && name != recovered {
			return false
		}
	}
	p, _ := d.r.phase("watch")
	return p.Failed == 0
}

// judge looks at the requests that were made under the fault.
// The share of successes is among those that were not excused; see [drill.phase].
// Slow requests may be as many as Least leaves, of all that were asked.
func (d *drill) judge(p Phase) {
	if p.Wrong > 0 {
		d.breaks(noWrong, fmt.Sprintf("%d of %d answers were wrong", p.Wrong, p.Asked))
	}
	if p.Asked > 0 && p.Success < d.e.Least {
		what := fmt.Sprintf("%.2f %% of %d were, and %.2f %% must be", 100*p.Success, p.Asked, 100*d.e.Least)
		if len(p.Errors) > 0 {
			what += " (" + firstOf(p.Errors) + ")"
		}
		d.breaks(served, what)
	}
	if slow := float64(p.Slow); slow > round((1-d.e.Least)*float64(p.Asked)) { // (1-0.9)*10 is less than 1
		d.breaks(inBudget, fmt.Sprintf("%d of %d took longer than %v, the slowest %.0f ms", p.Slow, p.Asked, d.e.Budget, p.Max))
	}
}

// phase sums up a phase's requests.
// It reads all results, O(n), and sorts the times, so it is called once a phase
// and not each second. Errors of excused requests are left out, the ten most
// frequent of the rest are kept. Success is 0 if all were excused.
func (d *drill) phase(name string) Phase {
	d.load.mu.Lock()
	defer d.load.mu.Unlock()
	p := Phase{Name: name, Sources: map[string]int{}, Errors: map[string]int{}}
	for _, s := range d.phases {
		if s.name == name {
			p.From, p.Until = d.at(s.from), d.at(s.until)
		}
	}
	var list []result
	var took []time.Duration
	for _, r := range d.load.results {
		if r.phase != name {
			continue
		}
		list, took = append(list, r), append(took, r.took)
		if r.answer.Source != "" && r.answer.Err == nil {
			p.Sources[r.answer.Source]++
		}
		if r.answer.Err != nil && !r.excused {
			p.Errors[text(r.answer.Err)]++
		}
	}
	s := summary(list, name, 0)
	slices.Sort(took)
	p.Asked, p.Wrong, p.Slow, p.Failed, p.Excused = s.Asked, s.Wrong, s.Slow, s.Failed, s.Excused
	p.P50, p.P99, p.Max = ms(percentile(took, 0.5)), ms(percentile(took, 0.99)), ms(percentile(took, 1))
	if judged := s.Asked - s.Excused; judged > 0 {
		p.Success = round(float64(s.OK) / float64(judged))
	}
	p.Errors = mostFrequent(p.Errors, 10)
	return p
}

// timeline has every second in which something was asked.
// A second that two phases share is two entries, one for each. Results are in the
// order in which they were answered and are sorted by their beginning here; the
// sort is stable, so equal beginnings keep that order.
func (d *drill) timeline() (all []Second) {
	d.load.mu.Lock()
	defer d.load.mu.Unlock()
	results := slices.Clone(d.load.results)
	slices.SortStableFunc(results, func(a, b result) int { return a.began.Compare(b.began) })
	for len(results) > 0 {
		sec := results[0].began.Sub(d.load.began).Truncate(time.Second)
		n := 1
		for n < len(results) && results[n].phase == results[0].phase && results[n].began.Sub(d.load.began).Truncate(time.Second) == sec {
			n++
		}
		all = append(all, summary(results[:n], results[0].phase, sec))
		results = results[n:]
	}
	return all
}

// mostFrequent keeps the n entries that came most often.
// It deletes from counts and returns it.
func mostFrequent(counts map[string]int, n int) map[string]int {
	for _, key := range byCount(counts)[min(n, len(counts)):] {
		delete(counts, key)
	}
	return counts
}

// byCount is the keys by falling count, and by name where counts are equal: reports
// of one drill must not differ by the order of a map.
func byCount(counts map[string]int) []string {
	return slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b))
	})
}

// firstOf is the most frequent text, which is what a sentence has room for.
func firstOf(counts map[string]int) string {
	for _, key := range byCount(counts) {
		return key
	}
	return "no reason was given"
}

// mix is "local 93 %, origin 7 %".
// It is empty for none. Names come from the service under test and are not escaped.
func mix(sources map[string]int) string {
	total := 0
	for _, n := range sources {
		total += n
	}
	var parts []string
	for _, key := range byCount(sources) {
		parts = append(parts, fmt.Sprintf("%s %.0f %%", key, 100*float64(sources[key])/float64(total)))
	}
	return strings.Join(parts, ", ")
}
