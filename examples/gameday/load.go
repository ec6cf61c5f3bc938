package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/examples/tokenservice/auth"
	"github.com/failopen/failopen/examples/tokenservice/record"
	"github.com/failopen/failopen/examples/tokenservice/stack"
)

// sample is one request as its client saw it.
//
// Nothing in it is the service's own opinion but source, which says where the
// answer came from and counts for nothing in the verdict.
type sample struct {
	began   time.Time
	took    time.Duration
	source  string
	verdict verdict
	failure string // how it failed, or in which way the answer was wrong

	// excused: it was not answered in time, and this machine stood still
	// for most of that time.
	excused bool
}

// verdict is what a sample is judged to be; the zero value is the good one.
type verdict int

const (
	right  verdict = iota
	wrong          // see the three kinds below
	failed         // no answer to the question: an error or a time-out
)

// The ways in which an answer is wrong.
const (
	refused = "refused"    // a good token was refused
	letIn   = "let in"     // a token that is not good was accepted
	mixedUp = "other user" // the session belongs to someone else
)

// load is the traffic of one service: clients that validate tokens, most of
// them often and a few of them rarely (Zipf), now and then one that is not
// good, and log-outs.
//
// The mixture is that of a real service in what matters here: popular keys,
// which local memory can answer; rare ones, which need the tiers that are cut;
// keys that do not exist; and sessions that end while they are cached.
type load struct {
	svc     *stack.Service
	tokens  []string
	timeout time.Duration
	http    *http.Client
	seed    uint64
	stalls  *drill.Stalls

	mu      sync.Mutex
	samples []sample
	probes  probes
	logouts map[string]*logout
	next    int // token to log out
}

// logout is a log-out in progress or done.
type logout struct {
	ended time.Time // zero: in progress
	ok    bool      // the service said that the session is over
}

// probes counts the platform's liveness probes: how many there were, and how
// many were answered with something other than 200. Those that were not answered
// are in neither: they say nothing on a busy machine.
type probes struct{ all, failed int }

// The rates make some hundred requests even of a short phase, among which a
// single wrong answer shows.
const (
	clients = 32
	pace    = 50 * time.Millisecond // between two requests of a client
	invalid = 20                    // one request in so many has a token that never existed
)

// newLoad shuffles the tokens by the seed: which of them are popular must not
// depend on the order in which the record made them.
func newLoad(svc *stack.Service, seed uint64, timeout time.Duration, stalls *drill.Stalls) *load {
	tokens := append([]string(nil), svc.Record.Tokens()...)
	rand.New(rand.NewPCG(seed, 1)).Shuffle(len(tokens), func(i, j int) { tokens[i], tokens[j] = tokens[j], tokens[i] })
	return &load{
		svc: svc, tokens: tokens, timeout: timeout, seed: seed, stalls: stalls,
		logouts: make(map[string]*logout),
		http:    &http.Client{Timeout: timeout, Transport: &http.Transport{MaxIdleConnsPerHost: 2 * clients}},
	}
}

// run sends traffic for d and returns what came back, and what was answered to
// the liveness probe. Requests that were sent within d are waited for.
//
// Each client draws from a generator of its own, made of the seed, the phase
// and its number: the same day asks the same questions in the same order.
func (l *load) run(ctx context.Context, phase int, d time.Duration) ([]sample, probes) {
	l.forget()
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var wg sync.WaitGroup
	for client := range clients {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(l.seed, uint64(phase)<<32|uint64(client)))
			zipf := rand.NewZipf(rnd, 1.2, 8, uint64(len(l.tokens)-1))
			for rest(ctx, time.Duration(rnd.Float64()*float64(2*pace))) {
				token := l.tokens[zipf.Uint64()]
				if rnd.IntN(invalid) == 0 {
					token = record.NewToken(rnd)
				}
				l.add(l.request(token))
			}
		})
	}
	wg.Go(func() {
		for rest(ctx, 4*pace) {
			l.logOut()
		}
	})
	wg.Go(func() {
		for rest(ctx, 2*pace) {
			l.probe()
		}
	})
	wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.samples, l.probes
}

// probe asks whether the service is alive, as its platform would.
//
// An unanswered probe is not counted; see probes.
func (l *load) probe() {
	resp, err := l.http.Get(l.svc.URL + "/livez")
	if err != nil {
		return
	}
	_ = resp.Body.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.probes.all++
	if resp.StatusCode != http.StatusOK {
		l.probes.failed++
	}
}

// rest waits for d; false if ctx ended.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// add notes a sample.
func (l *load) add(s sample) {
	l.mu.Lock()
	l.samples = append(l.samples, s)
	l.mu.Unlock()
}

// forget begins to count anew.
func (l *load) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.samples, l.probes = nil, probes{}
}

// soFar returns what came back in the present phase.
//
// The slice is cut off at its length, so that what is added later does not
// show.
func (l *load) soFar() ([]sample, probes) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.samples[:len(l.samples):len(l.samples)], l.probes
}

// request validates a token and judges the answer by what is true at the
// system of record. What changed while the request was under way may be
// answered either way.
//
// This is the heart of the example. Truth is asked before and after, without
// delay and past the service; an answer is wrong only if it was wrong all the
// time in between. So every wrong answer that is reported is one, and none is
// explained away.
func (l *load) request(token string) sample {
	// In this order: a log-out that begins in between is then one in
	// progress, not one that the service should have known of.
	truth, goodBefore := l.svc.Record.Truth(token)
	loggedOut, judged := l.loggedOut(token)
	began := time.Now()
	status, source, session, err := l.ask(token)
	s := sample{began: began, took: time.Since(began), source: source}
	_, goodAfter := l.svc.Record.Truth(token)
	// What would be right: to pass, to refuse, or, where something changed
	// meanwhile, either.
	mayPass, mayRefuse := goodBefore, !goodBefore || !goodAfter
	if !judged {
		mayPass, mayRefuse = true, true
	} else if loggedOut {
		mayPass, mayRefuse = false, true
	}
	switch {
	case err != nil:
		s.verdict, s.failure = failed, describe(err)
		s.excused = s.failure == timedOut && l.stalls.Within(began, began.Add(s.took)) > s.took/2
	case status == http.StatusOK:
		switch {
		case !mayPass:
			s.verdict, s.failure = wrong, letIn
		case goodBefore && session.User != truth.User:
			s.verdict, s.failure = wrong, mixedUp
		}
	case status == http.StatusUnauthorized:
		if !mayRefuse {
			s.verdict, s.failure = wrong, refused
		}
	default:
		s.verdict, s.failure = failed, fmt.Sprint(status)
	}
	return s
}

// ask makes the request, and reads the session out of a good answer.
func (l *load) ask(token string) (status int, source string, session record.Session, err error) {
	req, err := http.NewRequest(http.MethodGet, l.svc.URL+"/me", nil)
	if err != nil {
		return 0, "", session, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := l.http.Do(req)
	if err != nil {
		return 0, "", session, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode == http.StatusOK {
		err = json.Unmarshal(body, &session)
	}
	return resp.StatusCode, resp.Header.Get(auth.SourceHeader), session, err
}

// timedOut is what a failure is called that may be the machine's and not the
// service's.
const timedOut = "time-out"

// describe puts an error of the network into one of two kinds: no answer in
// time, or none at all.
func describe(err error) string {
	var netErr net.Error
	if errors.As(err, &netErr) && netErr.Timeout() {
		return timedOut
	}
	return "broken"
}

// logOut ends the session of a token that is asked for often enough for a
// mistake to show.
//
// A cache that does not hear of it goes on letting the token in, which is the
// mistake that request looks for.
func (l *load) logOut() {
	l.mu.Lock()
	l.next++
	token := l.tokens[(l.next*7)%len(l.tokens)]
	if l.logouts[token] != nil {
		l.mu.Unlock()
		return
	}
	out := &logout{}
	l.logouts[token] = out
	l.mu.Unlock()

	ok := false
	req, err := http.NewRequest(http.MethodPost, l.svc.URL+"/logout", nil)
	if err == nil {
		req.Header.Set("Authorization", "Bearer "+token)
		var resp *http.Response
		if resp, err = l.http.Do(req); err == nil {
			_ = resp.Body.Close()
			ok = resp.StatusCode == http.StatusNoContent
		}
	}
	l.mu.Lock()
	out.ended, out.ok = time.Now(), ok
	l.mu.Unlock()
}

// loggedOut says whether the token's session was ended before now, and
// whether that can be judged: not while the log-out is in progress, and not
// if the service said that it failed.
func (l *load) loggedOut(token string) (out, judged bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.logouts[token]
	if o == nil {
		return false, true
	}
	return o.ok, o.ok && !o.ended.IsZero()
}
