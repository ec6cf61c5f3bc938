// Package iam evaluates AWS policies and verifies signatures (SigV4), for the
// endpoints that tests embed. What it does not implement it refuses by name
// when a document is read: a policy that means something else here than at AWS
// would let a drill prove what is not so.
//
// # Map
//
// The path of a request, and the files in the order in which to read them:
//
//   - sigv4.go: ParseSignature reads who claims to have signed; Verify
//     recomputes the signature;
//   - callers.go: Callers finds the principal of an access key, Authenticate
//     joins the two into "this request is theirs", or an error;
//   - caller.go: a Caller is a principal with parsed policies and the condition
//     keys that belong to it; RequestKeys has those of the request;
//   - evaluate.go: Evaluate and EvaluateOwned decide, in the order that AWS
//     documents; start here to find out why something was denied;
//   - document.go: Parse turns a document into statements, and refuses what
//     they could not be evaluated with;
//   - condition.go: the tables of condition keys and operators;
//   - actions.go: the actions of DynamoDB, to refuse misspelt ones.
//
// # Locks and clocks
//
// Policies and Callers' entries are immutable after they were made; the only
// lock is the one of the map in Callers. There is no clock: every function that
// needs the time is given it, so that a test's virtual time decides about
// expiry, skew and dates in conditions.
//
// # Secrets
//
// Principals carry secret keys. Errors and denials name access keys, ARNs and
// parts of policies, and never a secret, a token or the signature that would
// have been right.
//
// Sources: "Policy evaluation logic", "IAM JSON policy elements reference",
// "AWS global condition context keys" and "Create a signed AWS API request" in
// the IAM user guide.
package iam
