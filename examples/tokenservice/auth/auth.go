// Package auth validates the session tokens of an HTTP service, twice:
// [FailOpen] with package cache, and [Naive] as it was written before the
// outage of 7 December 2021. Both keep sessions in local memory and in a
// DynamoDB table in front of the system of record.
//
// FailOpen is made to be copied.
package auth

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/failopen/failopen/examples/tokenservice/record"
)

// Authenticator is what both have.
type Authenticator interface {
	// Middleware lets requests with a good token pass to next, which finds
	// the session with SessionFrom, and answers all others.
	Middleware(next http.Handler) http.Handler
	// Logout ends the session of a token.
	Logout(ctx context.Context, token string) error
	// Close ends the background work.
	Close(ctx context.Context) error
}

// SourceHeader tells, in an answer, where the session was found. It is for
// the curious; a real service would put it into its metrics.
const SourceHeader = "X-Session-Source"

type contextKey struct{}

// SessionFrom returns the session that the middleware found.
func SessionFrom(ctx context.Context) (record.Session, bool) {
	s, ok := ctx.Value(contextKey{}).(record.Session)
	return s, ok
}

// pass calls next with the session in the request's context.
func pass(next http.Handler, w http.ResponseWriter, r *http.Request, s record.Session) {
	next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, s)))
}

// Service is the whole HTTP service: GET /me says who the token belongs to,
// POST /logout ends its session.
func Service(a Authenticator) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /me", a.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _ := SessionFrom(r.Context())
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s)
	})))
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		if err := a.Logout(r.Context(), record.Bearer(r)); err != nil {
			http.Error(w, "log-out is incomplete, please try again", http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}
