// Package assertrole holds an example of four parts: a client that proves which
// AWS role it has, a broker that turns the proof into a token, and a verifier
// that checks tokens without AWS. This package has only the drills that prove
// what depgraph.yaml declares; start with README.md, or with the demonstration:
//
//	go run ./examples/assertrole/demo
package assertrole
