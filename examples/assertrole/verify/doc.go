// Package verify checks tokens that say which AWS role their bearer has, for a
// service that is not AWS. It needs nothing of AWS at run time: only the
// issuer's published keys, of which it keeps the last good set, for a bounded
// time, when the issuer cannot be reached.
//
// To fail open must never mean to let in. What may fail open here is the fetch
// of keys; a token is never accepted unless its signature, its times, its
// issuer and its audience have been checked. When the keys are too old to be
// trusted the answer is [KeysUnavailable], HTTP status 503, and not 401: the
// bearer has done nothing wrong.
//
// For who reads the code: [New] checks the options (verify.go), which is also
// where a token's way is, from [Verifier.Verify] over key and again to judge.
// parse.go reads a token more strictly than JSON and JWT libraries do;
// subject.go says what a role's ARN is. keys.go gets an issuer's keys, and
// keeps the last good ones; package cache is what makes that survive an outage.
// revoke.go holds what was revoked, for good. http.go is the middleware, and
// errors.go the reasons.
//
// The package says who calls. What they may do is for the service to decide.
package verify
