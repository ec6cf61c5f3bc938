package verify

import (
	"context"
	"net/http"
	"strconv"
	"strings"
)

// identityKey is the key of the context's value; nobody else can make one.
type identityKey struct{}

// FromContext is who calls, in a handler below [Verifier.Middleware].
func FromContext(ctx context.Context) (Identity, bool) {
	id, ok := ctx.Value(identityKey{}).(Identity)
	return id, ok
}

// retryAfter is what a client is told to wait when keys are missing, in
// seconds.
const retryAfter = 5

// Middleware lets requests with a good bearer token pass, and puts an
// [Identity] into their context. Others are answered with 401, or with 503 and
// Retry-After if the issuer's keys cannot be had. The token is taken from the
// Authorization header only: one in a URL would end in access logs.
func (v *Verifier) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := v.request(r)
		switch {
		case err == nil:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), identityKey{}, id)))
		case ReasonOf(err) == KeysUnavailable || ReasonOf(err) == "":
			w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
			http.Error(w, "tokens cannot be verified at the moment", http.StatusServiceUnavailable)
		case ReasonOf(err) == Missing:
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "a bearer token is needed", http.StatusUnauthorized)
		default:
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			http.Error(w, "the token is not accepted: "+string(ReasonOf(err)), http.StatusUnauthorized)
		}
	})
}

// request finds the token in a request: in one Authorization header of the
// scheme Bearer (RFC 6750). Two headers are refused, since a proxy may have
// looked at the other one.
func (v *Verifier) request(r *http.Request) (Identity, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return v.refuse(r.Context(), &Error{Reason: Missing})
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if len(values) > 1 || !ok || !strings.EqualFold(scheme, "Bearer") {
		return v.refuse(r.Context(), &Error{Reason: Missing, Detail: "want one Authorization header of the scheme Bearer"})
	}
	return v.Verify(r.Context(), token)
}
