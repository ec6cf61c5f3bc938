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
package fault
