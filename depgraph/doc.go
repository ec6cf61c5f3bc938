// Package depgraph declares what each service depends on, and how critically,
// and answers the questions of an outage before it happens: which cycles keep
// a dead system from coming up, in which order it comes up, what goes down
// with a service, how available a service can be, and what to soften first.
//
// Declarations come from manifests (Load), from Go (Declare, Hard, Soft,
// AnyOf), from other tools (package importer) or from another graph
// (FromGraph). Compile turns them into a Graph, which never changes.
//
// A dependency is hard or soft, and needed at startup, at run time, or to ship
// a fix. Each service has two states: it has started, and it serves. It starts
// once everything that it needs at startup serves; it serves once it has
// started and everything that it needs at run time serves. In a running system
// everything serves that can (the greatest fixpoint); after a full stop only
// that serves which can be brought up step by step (the least one). What is in
// the first and not in the second cannot come back alone: a bootstrap deadlock.
//
// All algorithms are iterative over the depth of the graph, deterministic for
// any order of the input, and stop when their context ends.
package depgraph
