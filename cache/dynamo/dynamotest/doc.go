// Package dynamotest is an embedded DynamoDB endpoint for tests, examples and
// drills: what net/http/httptest is to HTTP servers. It needs no process, no
// port that must be free, no account, and nothing outside the standard
// library.
//
// A [Server] is an http.Handler that speaks enough of the DynamoDB protocol
// for a cache or a session store: tables, items with conditions, batches,
// time to live and consumed capacity, with the limits and the error texts of
// the real service. Unlike other emulators it checks signatures (SigV4) and
// evaluates IAM policies, so that "somebody removed the role's access" can be
// tested for real: [Server.Revoke] takes access away, [Server.Restore] gives
// it back.
//
// And it breaks on demand: throttling, latency, black holes, resets, truncated
// and corrupt answers; see [Server.SetNetwork], [Server.SetFault],
// [Server.SetCapacity], [Server.SetLatency] and [Server.SetCorrupt].
//
// There are two ways to reach it. [Server.Start] listens on 127.0.0.1, with
// real sockets. [Server.HTTPClient] is an in-memory client for
// aws.Config.HTTPClient; since it touches no socket, it works inside a
// testing/synctest bubble, where an outage of seven hours takes a second.
//
// What it does differently from real DynamoDB is listed in
// docs/guide/dynamotest.md. A parameter that it does not implement is answered
// with a ValidationException that says so, never silently ignored.
package dynamotest
