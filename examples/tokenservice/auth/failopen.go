package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/examples/tokenservice/record"
	"github.com/failopen/failopen/health"
)

// FailOpen validates tokens through a two-tier cache that cannot take you down.
// It has three fields on purpose: where sessions are cached, where they come
// from, and where to say what went wrong. Everything that an outage needs
// (time-outs, breakers, coalescing, a bound on memory) is in the cache.
type FailOpen struct {
	sessions *cache.Cache[record.Session]
	origin   *record.Client
	log      *slog.Logger
}

// NewFailOpen puts a cache between the service and the system of record.
// store is the shared tier; secret keeps the tokens themselves out of it.
// local is the number of sessions to keep in memory.
//
// What to copy is the shape: one loader that tells "there is none" from "it
// failed", a TTL, and an expiry that comes from the value itself. The rest are
// defaults.
func NewFailOpen(origin *record.Client, store cache.Store, secret []byte, local int, log *slog.Logger) (*FailOpen, error) {
	sessions, err := cache.New(cache.Options[record.Session]{
		Name:  "sessions",
		Store: store,
		// The one thing that a loader must get right: "there is no such
		// session" is an answer, and everything else is a fault.
		Load: func(ctx context.Context, token string) (record.Session, error) {
			s, err := origin.Session(ctx, token)
			if errors.Is(err, record.ErrNoSession) {
				return s, cache.ErrNotFound
			}
			return s, err
		},
		// How long a session that was ended elsewhere may still be served, at
		// the worst.
		TTL: time.Minute,
		// Never longer than the session itself, in either tier.
		Expires: func(s record.Session) time.Time { return s.Expires },
		// Whoever can read the table must not get tokens: keys are hashed with
		// a secret.
		KeySecret:  secret,
		Cooldown:   500 * time.Millisecond, // a demonstration likes to recover soon
		MaxEntries: local,
		Logger:     log,
	})
	if err != nil {
		return nil, err
	}
	return &FailOpen{sessions: sessions, origin: origin, log: log}, nil
}

// Middleware implements Authenticator.
//
// The three answers are what a caller must be able to tell apart: 200, 401 if
// the system of record has said so, and 503, which asks for patience, if nobody
// could be asked. A fault is never turned into 401: that would log everybody
// out.
func (f *FailOpen) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var found cache.Result[record.Session]
		health.Wait(r.Context(), func() { // a caller with a health.Watch waits here; it is not stuck
			found = f.sessions.Lookup(r.Context(), record.Bearer(r))
		})
		w.Header().Set(SourceHeader, found.Source.String())
		switch {
		// The expiry is looked at again here, since a stale value may be served
		// while the system of record is down.
		case found.Err == nil && time.Now().Before(found.Value.Expires):
			pass(next, w, r, found.Value)
		case found.Err == nil, errors.Is(found.Err, cache.ErrNotFound):
			http.Error(w, "please log in", http.StatusUnauthorized)
		default: // the system of record is down, or the client has gone
			http.Error(w, "please try again", http.StatusServiceUnavailable)
		}
	})
}

// Logout ends a session: first where it counts, then in the cache. If the
// shared tier cannot be told, the session is over all the same in this
// process and at the system of record; other instances may serve it until
// its TTL ends, which is worth a line in the log, not an error to the user.
func (f *FailOpen) Logout(ctx context.Context, token string) error {
	if err := f.origin.Logout(ctx, token); err != nil {
		return err
	}
	if err := f.sessions.Invalidate(ctx, token); err != nil {
		f.log.Warn("log-out did not reach the shared cache", "err", err)
	}
	return nil
}

// Stats are the cache's.
func (f *FailOpen) Stats() cache.Stats { return f.sessions.Stats() }

// Close implements Authenticator.
func (f *FailOpen) Close(ctx context.Context) error { return f.sessions.Close(ctx) }
