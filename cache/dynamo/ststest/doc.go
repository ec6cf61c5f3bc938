// Package ststest is an embedded STS, IAM and KMS endpoint for tests, examples
// and drills: what package dynamotest is to DynamoDB, with which it shares its
// principals. It needs no process, no account, and nothing outside the standard
// library.
//
// A [Server] is one http.Handler that speaks three protocols. STS:
// GetCallerIdentity, AssumeRole with session policies and tags, and
// GetWebIdentityToken with discovery and JWKS. IAM: roles, their trust and
// inline policies and tags. KMS: asymmetric keys that sign. Each request's
// signature (SigV4) is verified, in the Authorization header or in a presigned
// URL, and policies are evaluated by the code that dynamotest uses.
//
//	sts := ststest.New(ststest.Options{})
//	db := dynamotest.New(dynamotest.Options{Principals: sts.Principal})
//
// From then on a session of AssumeRole may call db, as far as the role's
// policies allow, and PutRolePolicy with a Deny takes that away.
// [Options.PolicyDelay] is how long such a change takes to arrive.
//
// # Map
//
// A request's way, with the file in which to read it:
//
//  1. server.go: ServeHTTP reads the body and finds out the protocol; the
//     request is counted;
//  2. network.go: disturb asks the fault hook; Start, Close and the in-memory
//     client are here as well;
//  3. query.go (STS and IAM: forms in, XML or JSON out), kms.go (JSON 1.1) or
//     token.go (the issuer's documents) read it into a request and a writer;
//  4. server.go: authenticate verifies the signature and finds the caller:
//     a user of SetPrincipal, or a session;
//  5. sts.go, roles.go, rolepolicies.go, token.go, kms.go, kmssign.go: the
//     action reads its parameters, authorizes, and acts under the lock;
//  6. the writer of step 3 answers.
//
// principals.go checks that policies name principals that are there; errors.go
// has the names that errors have in each protocol.
//
// # Locks and time
//
// One lock guards sessions, roles, keys and switches, and is held for look-ups
// and changes only: never while a policy is evaluated, a hook runs or a key pair
// of KMS is made. Sessions never change, and maps in roles are replaced as a
// whole, so that what was read under the lock may be used without it.
//
// All times are those of [Options.Now]. A change that takes [Options.PolicyDelay]
// is kept beside the value before it and comes into force by the clock, without
// a goroutine.
//
// # Formats
//
// The query protocol and JSON 1.1 are as in the API references of STS
// (2011-06-15), IAM (2010-05-08) and KMS; tokens are JWTs (RFC 7519) with JWS
// signatures (RFC 7515, RFC 7518), keys are JWKs (RFC 7517), discovery is that
// of OpenID Connect Discovery 1.0.
//
// An action, a parameter, or anything in a policy that is not implemented is
// refused by name. What is different from AWS is listed in
// docs/guide/ststest.md.
package ststest
