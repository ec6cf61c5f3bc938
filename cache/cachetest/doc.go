// Package cachetest helps to test what is built on package cache: a Store in
// memory whose faults can be chosen, an origin that counts, and a conformance
// suite for Stores. It is for tests and examples.
//
// Which one to use:
//
//   - [TestStore] and [TestBulletin] (suite.go) for a Store of your own, against
//     the real thing if there is one: each case is a promise that package cache
//     relies on, and its name is the promise.
//   - [Store] (store.go) and [Bulletin] (bulletin.go) in place of the shared tier,
//     for a test of what your service does without it. [Store.Inject] breaks it,
//     with one of the faults here or a function of your own.
//   - [Origin] (origin.go) in place of the system of record, to count how often it
//     is asked.
//   - [Overload] (overload.go) for a surge: callers who do not wait for each other.
//
// All of them use the clock and timers of package time, so that in a bubble of
// testing/synctest an hour of hanging costs nothing. None of them logs, starts
// goroutines that stay, or needs to be closed.
package cachetest
