package faultproxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/fault"
)

// A Client speaks to the control API of a proxy in another process. It is safe
// for concurrent use.
type Client struct {
	url, token string
	http       *http.Client
}

// NewClient reads the token from its file. url is the control API's, on
// loopback, such as "http://127.0.0.1:8474".
// A URL that is not of loopback is refused, and redirects are not followed: the
// token must not leave the machine. It makes no call; a proxy that is not there is
// an error of the first one. Each call gets 5 s.
func NewClient(control, tokenFile string) (*Client, error) {
	u, err := httpURL(control)
	if err != nil {
		return nil, fmt.Errorf("faultproxy: the control API's URL: %w", err)
	}
	if u.Scheme != "http" || !onLoopback(hostPort(u)) {
		return nil, fmt.Errorf("faultproxy: the control API's URL is %q; want one of loopback, such as http://127.0.0.1:8474: the token goes to nobody else", control)
	}
	f, err := os.Open(tokenFile)
	if err != nil {
		return nil, fmt.Errorf("faultproxy: the token: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, 2048)) // more than any token, also of a device without an end
	f.Close()
	if err != nil {
		return nil, fmt.Errorf("faultproxy: the token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" || len(token) > 1024 || strings.ContainsAny(token, " \r\n\t") {
		return nil, fmt.Errorf("faultproxy: %s holds no token", tokenFile)
	}
	return &Client{
		url: strings.TrimSuffix(control, "/"), token: token,
		http: &http.Client{
			Timeout:       5 * time.Second,
			Transport:     &http.Transport{Proxy: nil, MaxIdleConns: 2, IdleConnTimeout: 30 * time.Second}, // HTTP_PROXY may well be the proxy itself
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// do makes one call.
// in is written as JSON, unless it is nil, and the answer is read into out. An
// answer that is no 200 is an error with the proxy's own text; rules of another
// drill are errBusy. 16 MiB of an answer are read at most.
func (c *Client) do(ctx context.Context, method, path string, in, out any, header ...string) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("faultproxy: %w", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, body)
	if err != nil {
		return fmt.Errorf("faultproxy: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("faultproxy: the control API: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	text, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return fmt.Errorf("faultproxy: the control API: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		var failed struct{ Error string }
		if json.Unmarshal(text, &failed) != nil || failed.Error == "" {
			failed.Error = clip(string(text))
		}
		if resp.StatusCode == http.StatusPreconditionFailed {
			return fmt.Errorf("faultproxy: the control API: %w", errBusy)
		}
		return fmt.Errorf("faultproxy: the control API: status %d: %s", resp.StatusCode, failed.Error)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("faultproxy: the control API: %w", err)
	}
	return nil
}

// Set replaces all rules. They end by themselves after lease: 0 is an hour, and
// a day the most.
func (c *Client) Set(ctx context.Context, lease time.Duration, rules ...fault.Rule) error {
	return c.put(ctx, http.MethodPost, lease, rules)
}

// Add puts rules after those that there are.
func (c *Client) Add(ctx context.Context, lease time.Duration, rules ...fault.Rule) error {
	return c.put(ctx, http.MethodPatch, lease, rules)
}

// put replaces or adds rules, with a lease; 0 is the proxy's default. header
// are names and values in turn.
func (c *Client) put(ctx context.Context, method string, lease time.Duration, rules []fault.Rule, header ...string) error {
	query := url.Values{}
	if lease != 0 {
		query.Set("for", lease.String())
	}
	if rules == nil {
		rules = []fault.Rule{}
	}
	return c.do(ctx, method, "/faults?"+query.Encode(), rules, new(Faults), header...)
}

// Clear removes all rules and lets go of what they hold.
func (c *Client) Clear(ctx context.Context) error {
	return c.do(ctx, http.MethodDelete, "/faults", nil, new(Faults))
}

// Halt is Clear, counted: a drill that uses the proxy ends.
func (c *Client) Halt(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "/halt", nil, new(Faults))
}

// Faults are the rules and what they have done.
func (c *Client) Faults(ctx context.Context) (f Faults, err error) {
	return f, c.do(ctx, http.MethodGet, "/faults", nil, &f)
}

// Events are those after a serial number, from 0.
func (c *Client) Events(ctx context.Context, since int64) (e Events, err error) {
	return e, c.do(ctx, http.MethodGet, "/events?since="+strconv.FormatInt(since, 10), nil, &e)
}

// Stats are the proxy's counters.
func (c *Client) Stats(ctx context.Context) (s Stats, err error) {
	return s, c.do(ctx, http.MethodGet, "/stats", nil, &s)
}

// A Remote cuts a dependency of another process by rules of its proxy. It is a
// drill.Fault.
// It is safe for concurrent use and may be injected again. The lease must be longer
// than the drill: rules that have ended by themselves hit nothing more, and what they
// had hit stays counted.
type Remote struct {
	client *Client
	lease  time.Duration
	rules  []fault.Rule

	mu    sync.Mutex
	halts int64
	seen  drill.Seen
	over  bool
	busy  bool // the rules that are in force are not ours
}

// Rules are what is put in force.
func (r *Remote) Rules() []fault.Rule { return r.rules }

// Fault is a drill's: the rules are in force from Inject to Revert, and end by
// themselves after lease if nobody reverts them.
func (c *Client) Fault(lease time.Duration, rules ...fault.Rule) *Remote {
	return &Remote{client: c, lease: lease, rules: rules}
}

// Guard refuses a proxy that another drill uses.
// It is for Experiment.Guards. Inject refuses as well, but only after the steady
// state.
func (r *Remote) Guard(ctx context.Context) error {
	f, err := r.client.Faults(ctx)
	if err != nil {
		return err
	}
	if len(f.Rules) > 0 {
		return fmt.Errorf("the proxy has %d rules already, until %s: another drill uses it", len(f.Rules), f.Until.Format(time.TimeOnly))
	}
	return nil
}

// Inject implements drill.Fault. Rules that are in force already, and are another
// drill's, stay, and are an error.
// Until the answer has come, Seen counts nothing: the counters could still be of the
// rules before.
func (r *Remote) Inject(ctx context.Context) error {
	f, err := r.client.Faults(ctx)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.halts, r.seen, r.over, r.busy = f.Halts, drill.Seen{}, true, false // over, until the rules are ours
	r.mu.Unlock()
	err = r.client.put(ctx, http.MethodPost, r.lease, r.rules, "If-None-Match", "*")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over, r.busy = err != nil, errors.Is(err, errBusy)
	return err
}

// Revert implements drill.Fault.
// Rules that another drill has set are left alone. Without that knowledge they are
// all removed: the proxy must not go on failing calls.
func (r *Remote) Revert(ctx context.Context) error {
	r.Seen()
	r.mu.Lock()
	r.over = true
	busy := r.busy
	r.mu.Unlock()
	if busy {
		return nil
	}
	return r.client.Clear(ctx)
}

// seenTimeout is less than what a drill gives to Seen.
const seenTimeout = 800 * time.Millisecond

// Seen implements drill.Fault. A proxy that does not answer has shown what it
// has shown before.
func (r *Remote) Seen() drill.Seen {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return r.seen
	}
	ctx, cancel := context.WithTimeout(context.Background(), seenTimeout)
	defer cancel()
	f, err := r.client.Faults(ctx)
	if err != nil {
		return r.seen
	}
	var s drill.Seen
	for _, rule := range f.Rules {
		s.Hits += rule.Hits
		if !rule.First.IsZero() && (s.First.IsZero() || rule.First.Before(s.First)) {
			s.First = rule.First
		}
		if rule.Last.After(s.Last) {
			s.Last = rule.Last
		}
	}
	if s.Hits >= r.seen.Hits { // else somebody has cleared them
		r.seen = s
	}
	return r.seen
}

// Left says whether rules are still in force.
// A proxy that cannot be asked is told as well: nobody knows then.
func (r *Remote) Left() string {
	ctx, cancel := context.WithTimeout(context.Background(), seenTimeout)
	defer cancel()
	f, err := r.client.Faults(ctx)
	switch {
	case err != nil:
		return "it cannot be seen whether rules are still in force: " + err.Error()
	case len(f.Rules) > 0:
		return "rules are still in force in the proxy"
	}
	return ""
}

// errHalted is why a drill has ended early.
var errHalted = errors.New("the proxy was halted")

// Halted is an Experiment's Stop: it ends the drill when somebody halts the
// proxy, or the proxy is gone.
// Halts are counted since Inject, so that one before it does not end this drill.
func (r *Remote) Halted(ctx context.Context, _ drill.Second) error {
	f, err := r.client.Faults(ctx)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.Halts != r.halts {
		return errHalted
	}
	return nil
}
