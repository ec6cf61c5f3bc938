// Package fault breaks dependencies on purpose: rules say which calls fail and
// how, and an [Injector] applies them inside the process, without a proxy and
// without a socket.
//
// A [Rule] can deny an API call, throttle it, slow it down, reset or black-hole
// its connection, lose its DNS name, or spoil its answer. What a caller then
// sees is what it would see over a real network: the same error types, the same
// text, at the same time. Package
// [github.com/failopen/failopen/depgraph/drill/faultaws] applies the rules to
// the AWS SDK; [Injector.RoundTripper] to any http.Client, [Injector.Dialer]
// to new connections.
//
// An injector without rules costs one atomic load a call, so it can stay in a
// program for good. Everything that waits, waits for the call's context and on
// the runtime's timers: an outage of hours takes a second in testing/synctest.
//
// Which file to read first: rule.go is what can be said, injector.go decides about a
// call, and fault.go is what then happens to it. http.go are the adapters of this
// package; answer.go and xml.go write refusals in the forms of AWS, wire.go the
// errors of a network, and spoil.go damages answers. json.go is the wire form of
// rules, tables.go reads tables out of requests, and must.go finds rules that hit
// nothing.
package fault
