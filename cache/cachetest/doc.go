// Package cachetest helps to test what is built on package cache: a Store in
// memory whose faults can be chosen, an origin that counts, and a conformance
// suite for Stores. It is for tests and examples.
package cachetest
