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
// # Map
//
// A request's way, with the file in which to read it:
//
//  1. listener.go and network.go (TCP), or memory.go (in memory): the state of
//     the network decides whether it arrives;
//  2. server.go, ServeHTTP: it is read and counted; start here;
//  3. fault.go: the hook, latency, and the faults that replace the operation;
//  4. server.go, handle and operation: the signature, and the body as a struct
//     (decode.go, value.go, decimal.go), its constraints (strict.go,
//     settings.go) and legacy parameters as expressions (legacy.go);
//  5. principal.go: who signed it, and, once the table is known, whether
//     policies, the table's own (resource.go) and revocations let it pass;
//  6. table.go, items.go, update.go, query.go, batch.go, transact.go, ttl.go:
//     the operation, with conditions, paths and updates compiled by parser.go
//     and condition.go; index.go has what Query and Scan read, project.go what
//     they show;
//  7. capacity.go: what it costs, and whether there is so much;
//  8. server.go, answer: JSON with a checksum, perhaps spoilt by fault.go or
//     lost by unlucky.go.
//
// errors.go has the kinds of errors; must.go tells a test of faults that have
// hit nothing.
//
// # Locks
//
// One lock guards the tables and all switches, and is held for a whole operation
// on items, so that each is atomic, and a transaction, too. It is never held
// while a policy is evaluated, a hook runs, an answer is encoded, or somebody
// waits. Functions that find a table return with the lock held on success and
// without it on an error; their comments say so.
//
// # Invariants
//
//   - A stored item is never changed: writes replace it, and updates copy what
//     is on the way to what they change. So answers and states for stale reads
//     share items without a lock.
//   - Indexes hold nothing: they are views of a table's items, which have been
//     checked against the indexes' keys when they were written.
//   - A request is checked in the order of the service, and what does not need
//     the table comes first: which error a client sees is part of the promise.
//   - Whatever depends on the order of a map is sorted: the same requests get
//     the same answers, and on an unlucky server the same draws.
//   - Expired items stay until [Server.Sweep]; the clock is [Options.Now].
//
// # Sources
//
// The DynamoDB API reference (2012-08-10) for parameters, constraints and
// errors; the developer guide for expressions, item sizes, capacity, limits and
// reserved words.
//
// What it does differently from real DynamoDB is listed in
// docs/guide/dynamotest.md. A parameter that it does not implement is answered
// with a ValidationException that says so, never silently ignored.
package dynamotest
