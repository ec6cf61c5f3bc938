package ststest

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/cache/dynamo/internal/iam"
)

// Account is the account that everything belongs to, here and in dynamotest.
const Account = iam.Account

// Options for a [Server]. The zero value works.
type Options struct {
	// Now is the server's clock: for signatures, dates in policies, and the
	// life of sessions and tokens. Default: time.Now.
	Now func() time.Time

	// Addr is where Start listens. Default: a free port of 127.0.0.1. With
	// a port, the server has the same address after each Start.
	Addr string

	// PolicyDelay is how long a change of a role's policies, of its trust,
	// or of a key's state takes to be in force; AWS says that it may take
	// minutes. What the API shows is new at once. Default: none.
	PolicyDelay time.Duration

	// Issuer is the issuer of web identity tokens, an URL under which the
	// server can be reached. Default: the server's own once it is started,
	// else [MemoryURL].
	Issuer string

	// NoWebIdentity leaves outbound identity federation off, as it is in a
	// new account, until IAM's EnableOutboundWebIdentityFederation.
	NoWebIdentity bool

	// Fault is asked about each request before anything else happens to
	// it; nil, or an answer of nil, lets it pass. See [Server.SetFault].
	Fault func(*Request) *Fault
}

// A Server is an embedded endpoint for STS, IAM and KMS, all under one address:
// a request's signature says which one it is for. Serve it with [Server.Start],
// reach it in memory with [Server.HTTPClient], or mount it as an http.Handler.
//
// All methods are safe for concurrent use, and all switches act from the next
// request on.
type Server struct {
	// now to network are set by New and never changed; network has a lock
	// of its own.
	now     func() time.Time
	delay   time.Duration
	issuer  string
	network network

	// principals are the users. Sessions are kept apart, for their policies
	// are those that the role has at the moment of the request.
	principals iam.Callers

	// mu is never held while a policy is evaluated, a key of KMS made, a hook
	// runs, or anything is read or written: withRole and withKey take it
	// twice, before and after the authorization. It is not taken while
	// network.mu is, nor the other way round.
	mu         sync.Mutex          // guards what follows
	sessions   map[string]*session // by access key
	roles      map[string]*role    // by name
	keys       map[string]*kmsKey  // by id
	aliases    map[string]string   // alias/NAME to id
	tokens     tokenKeys           // of web identity tokens
	federation bool                // GetWebIdentityToken is on
	fault      func(*Request) *Fault
	hit        bool             // fault has broken something
	missed     bool             // one before it has not, since MustHit
	requests   map[string]int64 // by service:Action

	// denied and serial are counted without the lock, from wherever a
	// request is.
	denied atomic.Int64
	serial atomic.Int64 // of request ids
}

// New returns a server without roles and keys that listens nowhere yet.
//
// The clock, the delay and the issuer are fixed for the server's life; what
// tests switch has a Set method.
func New(opts Options) *Server {
	s := &Server{
		now:        opts.Now,
		delay:      opts.PolicyDelay,
		issuer:     opts.Issuer,
		sessions:   map[string]*session{},
		roles:      map[string]*role{},
		keys:       map[string]*kmsKey{},
		aliases:    map[string]string{},
		federation: !opts.NoWebIdentity,
		fault:      opts.Fault,
		requests:   map[string]int64{},
	}
	s.network.addr = cmp.Or(opts.Addr, "127.0.0.1:0")
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

// SetPrincipal adds a user, or replaces the one with the same access key. From
// the first one on, the development credentials of package dynamotest, which
// may do everything, are no longer accepted. Sessions of roles come from
// AssumeRole and need no call of this.
func (s *Server) SetPrincipal(p dynamotest.Principal) error {
	if err := s.principals.Set(iam.Principal(p), s.now()); err != nil {
		return fmt.Errorf("ststest: %w", err)
	}
	return nil
}

// DeletePrincipal makes an access key unknown, be it a user's or a session's.
//
// What the principal has made (roles, keys, further sessions) stays.
func (s *Server) DeletePrincipal(accessKey string) {
	s.principals.Delete(accessKey)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, accessKey)
}

// Principal is who has an access key: for dynamotest.Options.Principals, so
// that users and sessions of this server may call a DynamoDB endpoint, with the
// policies that are in force at that moment.
//
// It is asked on each request of the other server, so a PutRolePolicy here
// decides about the next GetItem there. It is safe for concurrent use and takes
// this server's lock only.
func (s *Server) Principal(accessKey string) (dynamotest.Principal, bool) {
	c, _, err := s.caller(accessKey, s.now())
	if err != nil || c == nil {
		return dynamotest.Principal{}, false
	}
	return dynamotest.Principal(c.Principal), true
}

// caller is who has an access key, and the session, if it is one's.
//
// nil without an error is nobody. An error is a session whose policies cannot
// be read any more; as all of them were parsed when they were put, that is a
// principal that ststest itself has made wrongly. The caller must not hold the
// lock.
func (s *Server) caller(accessKey string, now time.Time) (*iam.Caller, *session, error) {
	if c := s.principals.Get(accessKey); c != nil {
		return c, nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if held := s.sessions[accessKey]; held != nil {
		c, err := iam.NewCaller(s.principalOf(held, now), now)
		return c, held, err
	}
	return nil, nil, nil
}

// Explain says whether a user or a session may do something to a resource at
// this moment, and why: which statement of which identity-based or session
// policy decides, or that none does. The policies of keys and tables, and those
// that say who may assume a role, are not asked. action is one such as
// "sts:AssumeRole", resource an ARN or "*". For tables, see
// [dynamotest.Server.Explain], which asks a table's own policy as well.
//
// It counts nothing and is no request: Stats and fault hooks do not see it.
func (s *Server) Explain(accessKey, action, resource string) (allowed bool, why string) {
	now := s.now()
	who, _, err := s.caller(accessKey, now)
	switch {
	case err != nil:
		return false, fmt.Sprintf("the principal of %s cannot be used: %v", accessKey, err)
	case who == nil:
		return false, "nobody has the access key " + accessKey
	case !isAction(action):
		return false, fmt.Sprintf("%q is no action; want one such as sts:AssumeRole", action)
	case who.Expired(now):
		return false, "the credentials have expired"
	}
	const region = "us-east-1"
	keys := iam.RequestKeys(&http.Request{URL: &url.URL{Scheme: "http"}, Header: http.Header{}}, region, now)
	d := who.Decide(nil, iam.Access{Action: action, Resource: resource, Keys: keys})
	return d.Allowed, d.Why
}

// isAction reports whether something can be asked about: no wildcard, and of
// DynamoDB nothing that it does not have.
func isAction(action string) bool {
	service, name, ok := strings.Cut(action, ":")
	return ok && name != "" && !strings.ContainsAny(action, "*? ") && (service != "dynamodb" || iam.IsAction(name))
}

// Stats counts what a server has done since it was made.
type Stats struct {
	Requests map[string]int64 `json:"requests"` // by service and action, such as "sts:AssumeRole", as they came in
	Denied   int64            `json:"denied"`   // answered with AccessDenied
	Sessions int              `json:"sessions"` // that have not expired
}

// Total is the number of requests of all actions.
func (s Stats) Total() int64 {
	var n int64
	for _, c := range s.Requests {
		n += c
	}
	return n
}

// Stats returns a snapshot.
//
// Sessions that ended more than twelve hours ago are forgotten in passing.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(s.now())
	return Stats{Requests: maps.Clone(s.requests), Denied: s.denied.Load(), Sessions: len(s.sessions)}
}

// A call is one request on its way through the server.
type call struct {
	server *Server
	action string // service:Action
	region string
	now    time.Time
	// caller is who signed; nil for the issuer's public documents.
	caller  *iam.Caller
	session *session // nil: a user's
	// keys are the condition keys of the request. judge copies them, as one
	// call may be judged more than once.
	keys map[string]string
}

// authorize decides whether the caller may do what it asks for, on a resource
// that has no policy of its own.
func (c *call) authorize(resource string, keys map[string]string) *apiError {
	return c.judge(resource, keys, func(a iam.Access) iam.Decision { return c.caller.Decide(nil, a) })
}

// authorizeTags is authorize for the action that a service asks for besides, of
// those who give tags to what they make.
//
// No tags need no permission. AWS names the tagging action in the denial, and
// so does this.
func (c *call) authorizeTags(action, resource string, tags map[string]string) *apiError {
	if len(tags) == 0 {
		return nil
	}
	tagging := *c
	tagging.action = action
	return tagging.authorize(resource, requestTags(tags))
}

// authorizeOwned is authorize for a resource whose own policy must allow it.
//
// own must not be nil: what has no policy of its own goes through authorize.
func (c *call) authorizeOwned(own *iam.Policy, resource string, keys map[string]string) *apiError {
	return c.judge(resource, keys, func(a iam.Access) iam.Decision { return c.caller.DecideOwned(own, a) })
}

// judge asks decide about the call, with the keys of the request and those
// given, and makes an error in AWS's words of a no.
//
// The server's lock must not be held, as patterns of policies may be slow. Each
// no counts once in Stats.Denied.
func (c *call) judge(resource string, keys map[string]string, decide func(iam.Access) iam.Decision) *apiError {
	all := maps.Clone(c.keys)
	maps.Copy(all, keys)
	d := decide(iam.Access{Action: c.action, Resource: resource, Keys: all})
	if d.Allowed {
		return nil
	}
	c.server.denied.Add(1)
	return &apiError{403, "AccessDenied", c.caller.Denial(c.action, resource, d)}
}

// authenticate finds out who signed the request, and whether they did.
//
// The order is: there is a signature that can be read; its key is known; it is
// right; its token is; it has not expired. Errors are in the words of STS and
// IAM, whichever protocol the request speaks: the writer translates.
func (s *Server) authenticate(r *http.Request, body []byte, in request) (*call, *apiError) {
	sig, sigErr := iam.ParseSignature(r)
	if sigErr != nil {
		return nil, signatureError(sigErr)
	}
	now := s.now()
	caller, held, err := s.caller(sig.AccessKey, now)
	if err != nil {
		caller = nil // a session whose role's policies are gone
	}
	if err := iam.Authenticate(r, body, sig, in.service, caller, now); err != nil {
		return nil, signatureError(err)
	}
	return &call{
		server: s, action: in.service + ":" + in.action, region: sig.Region, now: now, caller: caller, session: held, keys: iam.RequestKeys(r, sig.Region, now),
	}, nil
}

// maxBody is the largest request that is read.
const maxBody = 1 << 20

// ServeHTTP answers one request of STS, IAM or KMS, or for the issuer's
// documents.
//
// The order matters to tests: a request is counted before a fault can swallow
// it, and a fault happens before the signature is looked at, as a network does
// not know signatures.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		http.Error(w, "the request is larger than 1 MiB", http.StatusRequestEntityTooLarge)
		return
	} else if err != nil {
		return // the client is gone
	}
	// Which protocol it is comes first, since an error has to be written in
	// that.
	in := s.read(r, body)
	s.count(in)
	if !s.disturb(w, r, in) {
		return
	}
	out, apiErr := in.answer(s, r, body)
	in.write(w, out, apiErr, s.requestID())
}

// A request is what one of the protocols has made of an HTTP request.
type request struct {
	service string
	action  string // "" if it is not one that is implemented
	public  bool   // needs no signature
	run     func(*call) (any, *apiError)
	// write writes the answer in the request's protocol. It is set for requests
	// that fail, too.
	write func(w http.ResponseWriter, out any, err *apiError, id string)
}

// read finds out which protocol a request speaks.
//
// The JSON protocol has its header, the issuer's documents are a GET without a
// query; all else is the query protocol, presigned URLs included.
func (s *Server) read(r *http.Request, body []byte) request {
	switch {
	case r.Header.Get("X-Amz-Target") != "":
		return s.readJSON(r, body)
	case r.Method == http.MethodGet && r.URL.RawQuery == "":
		return s.readDocument(r)
	}
	return readQuery(r, body)
}

// answer runs one request: those that are public need no signature.
func (in request) answer(s *Server, r *http.Request, body []byte) (any, *apiError) {
	c := &call{server: s, action: in.service + ":" + in.action, now: s.now()}
	if !in.public {
		var err *apiError
		if c, err = s.authenticate(r, body, in); err != nil {
			return nil, err
		}
	}
	return in.run(c)
}

// count counts what has come in, under the action's name only if there is such
// an action: the map must not grow with what clients send.
func (s *Server) count(in request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[in.service+":"+cmp.Or(in.action, "unknown")]++
}

// requestID has the form of a UUID and counts, so that a log of a test is the
// same each time.
func (s *Server) requestID() string {
	return fmt.Sprintf("ststest0-0000-4000-8000-%012x", s.serial.Add(1))
}

// random is n bytes that nobody can guess, in an alphabet of AWS's ids.
//
// 256 is a multiple of 32, so the letters are equally likely.
func random(n int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	b := make([]byte, n)
	_, _ = rand.Read(b) // it does not fail
	for i := range b {
		b[i] = letters[b[i]%32]
	}
	return string(b)
}
