// Package iam evaluates AWS policies and verifies signatures (SigV4), for the
// endpoints that tests embed. What it does not implement it refuses by name
// when a document is read: a policy that means something else here than at AWS
// would let a drill prove what is not so.
//
// Sources: "Policy evaluation logic", "IAM JSON policy elements reference",
// "AWS global condition context keys" and "Create a signed AWS API request" in
// the IAM user guide.
package iam
