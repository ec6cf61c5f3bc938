package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/presets"
	"github.com/failopen/failopen/depgraph/drill/reference"
	"github.com/failopen/failopen/examples/internal/screen"
)

// A replay has no real servers: virtual time jumps whenever all goroutines
// wait, and would not wait for a socket. So the services are those of package
// reference, which are the same code on a network in memory, and seven hours
// take some seconds.
//
// The outage that is replayed, and how long before and after it the replay
// begins and ends.
const (
	replayDate   = "2021-12-07"
	replayPreset = "2021-12-07-dynamodb"
	replayLead   = 12 * time.Minute // from 07:18
	replayTail   = 8 * time.Minute  // until 14:30
	replaySlice  = 6 * time.Minute
	replayHour   = 42 * time.Minute // 08:00
	replayFrames = 72               // of a slice each
	replayRate   = 1                // requests a second
	replayTokens = 40               // more than fit in local memory, and few enough to be seen again within their TTL
)

// Replay is the outage as two services lived through it, on one clock.
type Replay struct {
	Version int      `json:"version"`
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	Facts   []string `json:"facts"`
	Sources []string `json:"sources"`
	Date    string   `json:"date"`
	Zone    string   `json:"zone"`
	Begins  string   `json:"begins"` // time of day
	Seconds float64  `json:"seconds"`
	Seed    uint64   `json:"seed"`
	Faults  []Band   `json:"faults"`
	Lanes   []*Lane  `json:"lanes"`

	begins time.Time
}

// Lane is one service.
type Lane struct {
	Service  string        `json:"service"`
	Verdict  drill.Verdict `json:"verdict"`
	Sentence string        `json:"sentence"`
	Asked    int           `json:"requests"` // while the fault was in force
	Served   int           `json:"served"`   // of these, correctly and within a second
	Restarts int64         `json:"restarts"` // by the platform, whose liveness probe failed
	Slices   []Slice       `json:"timeline"`

	name string
	mu   sync.Mutex
}

// faultBands says in a few words what the rules of the preset do when.
//
// The preset's rules are the facts; these are captions for the same stretches of
// time.
var faultBands = []Band{
	{0, (10 * time.Minute).Seconds(), "slow"},
	{(10 * time.Minute).Seconds(), (5*time.Hour + 30*time.Minute).Seconds(), "DynamoDB calls: half fail, the others hang for 4–8 s"},
	{(5*time.Hour + 30*time.Minute).Seconds(), (6*time.Hour + 52*time.Minute).Seconds(), "30% fail, 35% are slow"},
}

// newReplay is the replay before it begins, and the preset that it runs.
func newReplay(seed uint64) (*Replay, presets.Preset, error) {
	p, err := presets.ByName(replayPreset)
	if err != nil {
		return nil, p, err
	}
	began, err := time.Parse("2006-01-02 15:04", p.Clock.Date+" "+p.Clock.Began)
	if err != nil {
		return nil, p, err
	}
	r := &Replay{
		Version: 1, Name: p.Name, Title: p.Title, Facts: p.Facts, Sources: p.Sources, Date: p.Clock.Date, Zone: p.Clock.Zone,
		begins: began.Add(-replayLead), Seconds: (replayLead + p.Watch + replayTail).Seconds(), Seed: seed,
		Lanes: []*Lane{{Service: "failopen"}, {Service: "naive"}},
	}
	r.Begins = r.begins.Format("15:04")
	r.named()
	for _, band := range faultBands {
		r.Faults = append(r.Faults, Band{band.From + replayLead.Seconds(), band.Until + replayLead.Seconds(), band.Label})
	}
	return r, p, nil
}

// named fills in what the JSON form does not have.
func (r *Replay) named() *Replay {
	if begins, err := time.Parse("2006-01-02 15:04", r.Date+" "+r.Begins); err == nil {
		r.begins = begins
	}
	for i, name := range []string{"with failopen", "without"} {
		r.Lanes[i].name = name
	}
	return r
}

// replay runs the outage under both services at the same time. It must be called
// in virtual time. frame is called for each slice of time as it ends.
//
// frame is called from this goroutine while the services go on: it may wait in
// real time, during which virtual time stands still.
func replay(ctx context.Context, seed uint64, frame func(r *Replay, now time.Duration)) (*Replay, error) {
	r, p, err := newReplay(seed)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	errs := make([]error, len(r.Lanes))
	var wg sync.WaitGroup
	for i, lane := range r.Lanes {
		wg.Go(func() { errs[i] = lane.drill(ctx, p, seed, began) })
	}
	for at := replaySlice; at.Seconds() <= r.Seconds; at += replaySlice {
		timer := time.NewTimer(time.Until(began.Add(at + 2*time.Second))) // those that are late are known then
		<-timer.C
		frame(r, at)
	}
	wg.Wait()
	return r, errors.Join(errs...)
}

// The drill is package drill's own; what is added is the count of requests by
// slices of time, for the film.
//
// drill runs the preset on one service.
func (l *Lane) drill(ctx context.Context, p presets.Preset, seed uint64, began time.Time) error {
	svc, err := reference.New(ctx, reference.Options{Naive: l.Service == "naive", Seed: seed})
	if err != nil {
		return err
	}
	e := svc.Drill(p, time.Millisecond)
	e.Steady, e.Recovery, e.Rate, e.Sparse = replayLead, replayTail+time.Minute, replayRate, replayRate
	e.Target = drill.Answers(func(ctx context.Context, n int64) drill.Answer {
		asked := time.Now()
		a := svc.Ask(ctx, n%replayTokens)
		l.add(asked.Sub(began), time.Since(asked) >= time.Second, a)
		return a
	})
	// The traffic goes on to the end of the replay, however soon the service
	// has recovered.
	recovered, again := e.Recovered, false
	e.Recovered = func(ctx context.Context) error {
		if err := recovered(ctx); err == nil {
			again = true
		} else if !again {
			return err
		}
		if left := replayLead + p.Watch + replayTail - time.Since(began); left > 0 {
			return fmt.Errorf("the replay goes on for %v", left)
		}
		return nil
	}
	report, err := drill.Run(ctx, e)
	l.Restarts = svc.Restarts()
	if err := errors.Join(err, svc.Close(ctx)); err != nil {
		return err
	}
	l.Verdict, l.Sentence = report.Verdict, report.Sentence()
	for _, phase := range report.Phases {
		if phase.Name == "watch" {
			l.Asked, l.Served = phase.Asked, phase.Asked-phase.Slow-phase.Failed-phase.Wrong
		}
	}
	return nil
}

// add counts a request in its slice of time.
func (l *Lane) add(at time.Duration, late bool, a drill.Answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := int(at / replaySlice)
	if n >= replayFrames {
		return // the replay is over; the drill has its last requests
	}
	for len(l.Slices) <= n {
		l.Slices = append(l.Slices, Slice{At: (time.Duration(len(l.Slices)) * replaySlice).Seconds()})
	}
	s := &l.Slices[n]
	s.Asked++
	switch {
	case late:
		s.Late++
	case a.Err != nil:
		s.Failed++
	case a.Wrong:
		s.Wrong++
	default:
		s.OK++
	}
}

// until returns the slices that are complete.
func (l *Lane) until(now time.Duration) []Slice {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Slice(nil), l.Slices[:min(int(now/replaySlice), len(l.Slices))]...)
}

// result is what became of the service, in a few words.
func (l *Lane) result() string {
	return fmt.Sprintf("%s of %s requests served (%.0f%%), %s restarts", screen.Count(l.Served), screen.Count(l.Asked),
		floor2(100*float64(l.Served)/float64(max(l.Asked, 1))), screen.Count(int(l.Restarts)))
}

// clock is the time of day of the outage.
func (r *Replay) clock(at time.Duration) string { return r.begins.Add(at).Format("15:04") }

// picture shows the outage, with the time of day.
func (r *Replay) picture() Picture {
	p := Picture{
		Title:   "7 December 2021: DynamoDB is slow, then fails, for seven hours",
		Seconds: r.Seconds, Bands: r.Faults,
		Note: "reconstructed in virtual time; times are " + r.Zone + "; a bar is six minutes",
	}
	var alt []string
	for _, l := range r.Lanes {
		p.Strips = append(p.Strips, Strip{Name: l.name, Result: l.result(), Slices: l.Slices})
		alt = append(alt, l.name+": "+l.result())
	}
	p.Alt = p.Title + ". " + strings.Join(alt, "; ") + "."
	for at := replayHour; at.Seconds() < r.Seconds; at += time.Hour {
		p.Ticks = append(p.Ticks, Tick{at.Seconds(), r.clock(at)})
	}
	return p
}

// sentence is the outcome in one.
func (r *Replay) sentence() string {
	if r.Lanes[0].Verdict != drill.Held {
		return r.Lanes[0].Sentence
	}
	return fmt.Sprintf("held: with failopen, all %s requests were served; without it, %.0f%% were.",
		screen.Count(r.Lanes[0].Asked), floor2(100*float64(r.Lanes[1].Served)/float64(max(r.Lanes[1].Asked, 1))))
}

// json is the replay for other programs, and for a page that draws it.
func (r *Replay) json() ([]byte, error) {
	data, err := json.MarshalIndent(r, "", " ")
	return append(data, '\n'), err
}

// page is the report of the replay.
func (r *Replay) page() page {
	p := page{
		Title: "Replay of " + r.Date, Sentence: r.sentence(), Verdict: r.Lanes[0].Verdict, picture: r.picture(),
		Intro: append([]string{"The real code runs in virtual time, the AWS SDK included. " +
			"The service without failopen is what such services looked like: it expects one error from DynamoDB, its own \"not found\"; waits for the SDK's retries; and reads a test record in its liveness probe. " +
			"How DynamoDB failed is a reconstruction from the public account: see the sources."}, r.Facts...),
		Head: []string{"from", "service", "requests", "served", "too late", "failed"},
	}
	for _, l := range r.Lanes {
		for _, s := range l.hours(30 * time.Minute) {
			p.Rows = append(p.Rows, []string{
				r.clock(time.Duration(s.At * float64(time.Second))), l.Service, screen.Count(s.Asked),
				fmt.Sprintf("%.1f%%", 100*s.served()), screen.Count(s.Late), screen.Count(s.Failed),
			})
		}
	}
	for _, source := range r.Sources {
		p.After = append(p.After, "Source: "+source)
	}
	return p
}

// hours sums the slices up into longer ones.
func (l *Lane) hours(length time.Duration) (all []Slice) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.Slices {
		if n := int(s.At / length.Seconds()); n == len(all) {
			all = append(all, Slice{At: float64(n) * length.Seconds()})
		}
		sum := &all[len(all)-1]
		sum.Asked, sum.OK, sum.Late, sum.Failed, sum.Wrong = sum.Asked+s.Asked, sum.OK+s.OK, sum.Late+s.Late, sum.Failed+s.Failed, sum.Wrong+s.Wrong
	}
	return all
}

// replayCommand plays the outage and exits: virtual time is the business of
// testing/synctest, which works in a test only, so this is run as one.
//
// What is to tick in real time, the pace of the film, is made before the
// bubble.
func replayCommand(s settings, stdout, stderr io.Writer) int {
	out := stdout
	if s.json {
		out = stderr
	}
	film := &film{rows: &rows{Screen: screen.New(out)}, pace: func() {}}
	if film.rows.Terminal && s.pace > 0 {
		ticks := time.NewTicker(max(s.pace/replayFrames, 1))
		film.pace = func() { <-ticks.C } // made outside of virtual time: it ticks in real time
	}
	code := 3
	testing.Init()
	os.Args = os.Args[:1] // the testing package would read the rest
	all := func(string, string) (bool, error) { return true, nil }
	testing.Main(all, []testing.InternalTest{{Name: "replay", F: func(t *testing.T) {
		synctest.Test(t, func(*testing.T) {
			if code = film.play(s, stdout); code == 3 {
				fmt.Fprintln(stderr, "gameday:", film.err)
			}
			os.Exit(code)
		})
	}}}, nil, nil)
	return code // testing.Main does not return
}
