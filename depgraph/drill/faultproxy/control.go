package faultproxy

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/failopen/failopen/depgraph/drill/fault"
)

// Rules set over the control API end by themselves, so that a drill whose
// controller has died is over some time.
// An hour is longer than drills usually are. Rules of the process itself
// ([Proxy.Injector]) have no lease.
const (
	defaultLease = time.Hour
	maxLease     = 24 * time.Hour
)

// Faults are the rules in force and what they have done: the answer of
// GET /faults.
type Faults struct {
	Rules []RuleState `json:"rules"`          // those in force
	Until time.Time   `json:"until,omitzero"` // when they end by themselves
	Halts int64       `json:"halts"`          // since the proxy was started
}

// RuleState is one rule.
type RuleState struct {
	Rule    fault.Rule `json:"rule"`           // as it was set
	Matched int64      `json:"matched"`        // calls that it was about
	Hits    int64      `json:"hits"`           // of these, faulted
	First   time.Time  `json:"first,omitzero"` // the first hit; zero: none
	Last    time.Time  `json:"last,omitzero"`  // the last hit
}

// Events is the answer of GET /events.
type Events struct {
	Events []Event `json:"events"` // oldest first
	Lost   int64   `json:"lost"`   // of those asked for, no longer known
	Next   int64   `json:"next"`   // to be given as since the next time
}

// control is the control API.
// To add a call, add a row: each takes the token, and its error is a 400 with
// {"error": …}. GET /healthz alone needs no token, and says nothing.
func (p *Proxy) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	for pattern, serve := range map[string]func(*http.Request) (any, error){
		"GET /faults": func(*http.Request) (any, error) { return p.faults(), nil },
		"POST /faults": func(r *http.Request) (any, error) {
			return p.change(r, func(rules []fault.Rule) error { return p.injector.Set(rules...) })
		},
		"PATCH /faults": func(r *http.Request) (any, error) {
			return p.change(r, func(rules []fault.Rule) error { return p.injector.Add(rules...) })
		},
		"DELETE /faults": func(*http.Request) (any, error) {
			p.clear()
			return p.faults(), nil
		},
		"GET /events": p.getEvents,
		"POST /halt": func(*http.Request) (any, error) {
			p.Halt()
			return p.faults(), nil
		},
		"GET /stats": func(*http.Request) (any, error) { return p.Stats(), nil },
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if status, err := p.authorised(r); err != nil {
				refuse(w, status, err)
				return
			}
			result, err := serve(r)
			if err != nil {
				status := http.StatusBadRequest
				if errors.Is(err, errBusy) {
					status = http.StatusPreconditionFailed
				}
				refuse(w, status, err)
				return
			}
			reply(w, http.StatusOK, result)
		})
	}
	return mux
}

// authorised lets in who has the token, and no web page: neither by its own
// script nor by a name that it has made to point here.
// The host is compared, since a page may have made a name of its own point to
// 127.0.0.1 (DNS rebinding); Origin, since browsers send it with what a page does to
// another host. The token is compared in constant time. It returns the status for
// the refusal.
func (p *Proxy) authorised(r *http.Request) (int, error) {
	name := hostname(r.Host)
	if ip := net.ParseIP(name); name != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return http.StatusMisdirectedRequest, fmt.Errorf("the host %q is not this machine's own", clip(r.Host))
	}
	if r.Header.Get("Origin") != "" {
		return http.StatusForbidden, errors.New("requests of web pages are refused")
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || subtle.ConstantTimeCompare([]byte(token), []byte(p.tokens)) != 1 {
		return http.StatusUnauthorized, fmt.Errorf("want Authorization: Bearer, with the token in %s", p.TokenFile())
	}
	return 0, nil
}

// reply writes v as indented JSON. nosniff keeps a browser from taking text in it
// for a page.
func reply(w http.ResponseWriter, status int, v any) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error": "the answer cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // a client that has gone is no concern of ours
}

// refuse answers with an error. A body that is too long is a 413 whatever the status
// was to be.
func refuse(w http.ResponseWriter, status int, err error) {
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		status = http.StatusRequestEntityTooLarge
	}
	reply(w, status, map[string]string{"error": err.Error()})
}

// faults is the state that every change is answered with, so that a client needs no
// second call.
func (p *Proxy) faults() Faults {
	f := Faults{Rules: []RuleState{}, Halts: p.count.halts.Load()}
	for _, r := range p.injector.Stats().Rules {
		f.Rules = append(f.Rules, RuleState(r))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(f.Rules) > 0 {
		f.Until = p.until
	}
	return f
}

// errBusy refuses rules that were to be set only if there are none.
var errBusy = errors.New("the proxy has rules already: another drill uses it")

// parameter is the only one that a request may have, each at most once: one that
// is misspelt would be a default that nobody wants.
func parameter(r *http.Request, name string) (string, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "", fmt.Errorf("the query: %w", err)
	}
	for other, values := range query {
		if other != name {
			return "", fmt.Errorf("there is no parameter %q; want %s", clip(other), name)
		}
		if len(values) > 1 {
			return "", fmt.Errorf("%s is given %d times", name, len(values))
		}
	}
	return query.Get(name), nil
}

// change reads rules and puts them in force; with If-None-Match: * only if there
// are none.
// It is all or nothing: rules that cannot be read, or are too many, change nothing.
// The condition, the change and the lease are one step under p.mu, so that two
// drills cannot both find the proxy free. POST also lets go of what the rules before
// it held.
func (p *Proxy) change(r *http.Request, put func([]fault.Rule) error) (any, error) {
	lease := defaultLease
	text, err := parameter(r, "for")
	if err != nil {
		return nil, err
	}
	if text != "" {
		if lease, err = time.ParseDuration(text); err != nil || lease <= 0 || lease > maxLease {
			return nil, fmt.Errorf("for is %q; want a duration such as 5m, at most %v", clip(text), maxLease)
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxControlBody))
	if err != nil {
		return nil, fmt.Errorf("the rules: %w", err)
	}
	rules, err := ParseRules(body)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	if r.Header.Get("If-None-Match") == "*" && p.injector.Active() {
		err = errBusy
	} else if r.Method == http.MethodPatch && len(p.injector.Rules())+len(rules) > maxRules {
		err = fmt.Errorf("there would be more than %d rules", maxRules)
	} else {
		err = put(rules)
	}
	if err == nil {
		p.leaseFor(lease)
	}
	p.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if r.Method == http.MethodPost {
		p.letGo()
	}
	return p.faults(), nil
}

// maxRules bounds what each call has to look through.
const maxRules = 1000

// leaseFor sees that the rules end. p.mu is held.
// A timer that fires while rules are set anew finds another until and does nothing.
func (p *Proxy) leaseFor(d time.Duration) {
	if p.lease != nil {
		p.lease.Stop()
	}
	until := time.Now().Add(d)
	p.until = until
	p.lease = time.AfterFunc(d, func() {
		p.mu.Lock()
		over := p.until.Equal(until) // nothing was set since
		if over {
			p.injector.Clear()
		}
		p.mu.Unlock()
		if over {
			p.say("the rules have ended by themselves after %v", d)
			p.letGo()
		}
	})
}

// clear removes the rules before it lets go: the other way round, a call that is let
// go could run into them again.
func (p *Proxy) clear() {
	p.injector.Clear()
	p.letGo()
}

// getEvents answers with what came after since. Next is since itself where nothing
// came, so that a client can always pass it on.
func (p *Proxy) getEvents(r *http.Request) (any, error) {
	since := int64(0)
	text, err := parameter(r, "since")
	if err != nil {
		return nil, err
	}
	if text != "" {
		if since, err = strconv.ParseInt(text, 10, 64); err != nil || since < 0 {
			return nil, fmt.Errorf("since is %q; want the serial number of an event, or 0", clip(text))
		}
	}
	list, lost := p.events.since(since)
	out := Events{Events: list, Lost: lost, Next: since}
	if list == nil {
		out.Events = []Event{}
	}
	if len(list) > 0 {
		out.Next = list[len(list)-1].Serial
	}
	return out, nil
}
