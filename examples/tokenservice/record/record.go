// Package record is the system of record of the token service: a slow HTTP
// server that knows which sessions exist. It stands for the directory in a
// company's own data centre.
//
// It also knows the truth ([Server.Truth]), so that a test can tell a wrong
// answer from a right one. Nothing of this package is for copying but [Client],
// which shows what a loader needs from a client: one error that means "there is
// none", and a bound on what it reads.
package record

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Session is what the system of record knows of a token.
type Session struct {
	User    string    `json:"user"`
	Scopes  []string  `json:"scopes"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
}

// ErrNoSession is the system of record's word that a token is not, or no
// longer, good for anything.
var ErrNoSession = errors.New("record: no such session")

// Options of a Server.
type Options struct {
	Sessions int           // default 5,000
	Seed     uint64        // of tokens, users and delays
	Latency  time.Duration // of each answer; default 80 ms
	Jitter   time.Duration // more or less; default 20 ms
}

// Server is the system of record. It listens on loopback.
type Server struct {
	opts   Options
	http   *httptest.Server
	served atomic.Int64

	mu       sync.Mutex
	sessions map[string]Session
	tokens   []string // in the order in which they were made
	rnd      *rand.Rand
}

// Start fills a server with sessions and starts it. Nineteen of twenty
// sessions live for hours; of the rest, some have expired and some expire
// within the next minute.
func Start(o Options) *Server {
	if o.Sessions == 0 {
		o.Sessions = 5000
	}
	if o.Latency == 0 {
		o.Latency, o.Jitter = 80*time.Millisecond, 20*time.Millisecond
	}
	s := &Server{opts: o, sessions: make(map[string]Session), rnd: rand.New(rand.NewPCG(o.Seed, 0x7ec0))}
	now := time.Now()
	for range o.Sessions {
		life := time.Duration(1+s.rnd.IntN(8)) * time.Hour
		switch s.rnd.IntN(40) {
		case 0:
			life = -time.Minute
		case 1:
			life = time.Duration(s.rnd.IntN(60_000)) * time.Millisecond
		}
		s.login(now.Add(-time.Hour), now.Add(life))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /session", s.serveSession)
	mux.HandleFunc("DELETE /session", s.serveLogout)
	s.http = httptest.NewServer(mux)
	return s
}

// login makes one session. The caller holds s.mu, or is alone.
func (s *Server) login(created, expires time.Time) {
	token := NewToken(s.rnd)
	s.sessions[token] = Session{
		User:    fmt.Sprintf("u-%06d", s.rnd.IntN(1_000_000)),
		Scopes:  [][]string{{"read"}, {"read", "write"}, {"read", "write", "admin"}}[s.rnd.IntN(3)],
		Created: created, Expires: expires,
	}
	s.tokens = append(s.tokens, token)
}

// NewToken draws a token as a session service would hand it out: 32 random
// bytes. (A real one uses crypto/rand; an example wants to be repeatable.)
func NewToken(rnd *rand.Rand) string {
	b := make([]byte, 32)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// URL is where the server listens.
func (s *Server) URL() string { return s.http.URL }

// Close stops the server.
func (s *Server) Close() { s.http.Close() }

// Tokens returns all tokens that were ever handed out.
func (s *Server) Tokens() []string { return s.tokens }

// Served returns how many questions were answered.
//
// It is what an outage of the cache costs: every request that is not answered
// from memory comes here.
func (s *Server) Served() int64 { return s.served.Load() }

// Truth says, without delay, whether the token is good right now.
func (s *Server) Truth(token string) (Session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	session, ok := s.sessions[token]
	return session, ok && time.Now().Before(session.Expires)
}

// serveSession answers after the latency, with what was true when it was asked.
// A client that hangs up is not waited for.
func (s *Server) serveSession(w http.ResponseWriter, r *http.Request) {
	s.served.Add(1)
	token := Bearer(r)
	session, ok := s.Truth(token) // what was true when the question came
	s.mu.Lock()
	delay := s.opts.Latency + time.Duration((s.rnd.Float64()*2-1)*float64(s.opts.Jitter))
	s.mu.Unlock()
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		return
	}
	if !ok {
		http.Error(w, "no such session", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(session)
}

// serveLogout ends a session for good; one that there is not is ended, too.
func (s *Server) serveLogout(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	delete(s.sessions, Bearer(r))
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// Bearer returns the token of a request, or "".
func Bearer(r *http.Request) string {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return ""
	}
	return token
}

// Client asks a system of record.
type Client struct {
	URL  string
	HTTP *http.Client
}

// Session asks for the session of a token. The error wraps ErrNoSession if
// there is none, and is a fault otherwise.
func (c *Client) Session(ctx context.Context, token string) (Session, error) {
	var session Session
	body, err := c.do(ctx, http.MethodGet, token)
	if err == nil {
		err = json.Unmarshal(body, &session)
	}
	return session, err
}

// Logout ends the session of a token.
func (c *Client) Logout(ctx context.Context, token string) error {
	_, err := c.do(ctx, http.MethodDelete, token)
	return err
}

// do makes one request. Three outcomes are kept apart: 404 is an answer
// (ErrNoSession), anything else that is not 2xx is a fault, and so is whatever
// the network does. The body is read to a bound, so a broken server cannot fill
// memory.
func (c *Client) do(ctx context.Context, method, token string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.URL+"/session", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode == http.StatusNotFound:
		return nil, ErrNoSession
	case resp.StatusCode >= 300:
		return nil, fmt.Errorf("record: %s", resp.Status)
	}
	return body, nil
}
