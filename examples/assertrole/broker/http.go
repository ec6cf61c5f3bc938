package broker

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/failopen/failopen/examples/assertrole/proof"
)

// readRequest reads the body of POST /v1/assert: exactly its members, as text,
// and none twice or in another case, which another reader might take for
// something else.
func readRequest(r io.Reader) (p proof.Proof, audience string, err error) {
	members := map[string]*string{
		"accessKeyId": &p.AccessKeyID, "sessionToken": &p.SessionToken, "date": &p.Date, "region": &p.Region, "signature": &p.Signature, "audience": &audience,
	}
	malformed := errors.New("not the JSON of a proof")
	dec := json.NewDecoder(r)
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return p, "", malformed
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return p, "", malformed
		}
		key, _ := name.(string)
		into := members[key]
		value, err := dec.Token()
		text, isText := value.(string)
		if err != nil || into == nil || !isText {
			return p, "", malformed
		}
		*into = text
		delete(members, key)
	}
	if t, err := dec.Token(); err != nil || t != json.Delim('}') {
		return p, "", malformed
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return p, "", malformed
	}
	return p, audience, nil
}

// maxRequest bounds the body of a request.
const maxRequest = 8 << 10

// Handler serves POST /v1/assert, and the keys at /.well-known/jwks.json.
func (b *Broker) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/assert", b.serveAssert)
	mux.HandleFunc("GET /.well-known/jwks.json", func(w http.ResponseWriter, _ *http.Request) {
		body, err := b.keySet()
		if err != nil {
			http.Error(w, "the keys cannot be shown", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/jwk-set+json")
		w.Header().Set("Cache-Control", "max-age=300")
		_, _ = w.Write(body) // a client that is gone is its own business
	})
	return mux
}

// serveAssert is the one way in. Its errors tell a caller what to do, and
// nothing about others.
func (b *Broker) serveAssert(w http.ResponseWriter, r *http.Request) {
	p, audience, err := readRequest(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		http.Error(w, "want JSON with accessKeyId, sessionToken, date, region, signature and audience, each once, of at most 8 KiB", http.StatusBadRequest)
		return
	}
	token, expires, err := b.Assert(r.Context(), p, audience)
	w.Header().Set("Cache-Control", "no-store")
	switch {
	case err == nil:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "expires": expires.UTC()}) // a client that is gone is its own business
	case errors.Is(err, ErrRefused):
		http.Error(w, strings.TrimPrefix(err.Error(), "broker: "), http.StatusForbidden)
	case errors.Is(err, ErrBusy):
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many proofs", http.StatusTooManyRequests)
	default:
		w.Header().Set("Retry-After", "5")
		http.Error(w, "tokens cannot be issued at the moment", http.StatusServiceUnavailable)
	}
}
