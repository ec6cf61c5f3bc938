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
// An action, a parameter, or anything in a policy that is not implemented is
// refused by name. What is different from AWS is listed in
// docs/guide/ststest.md.
package ststest
