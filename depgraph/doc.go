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
//
// # The map
//
// From a file to a finding, read in this order:
//
//	model.go          Service, Dependency, Edge: what is declared
//	load.go           files; manifest.go, manifestjson.go, exported.go, waiver.go parse them
//	fields.go         every field of a dependency, one by one: begin here to add one
//	compile.go        checks (validate.go) and numbers everything; graph.go is the result
//	check.go          runs the table of rules.go over checkrules.go; policy.go and
//	                  ownrule.go bring more
//	proof.go          what drills have proved about soft edges
//
// The questions, each with its entry and what it stands on:
//
//	cycles.go         Cycles: events.go (what waits for what), scc.go, subgraph.go, and
//	                  soften.go, softengroups.go, unlock.go for the cheapest way out
//	order.go          Order, Waves: start.go simulates a start, startunits.go those who
//	                  serve together, startorder.go keeps weak orders, timeline.go adds
//	                  the clock
//	blast.go          Blast, BlastAll: fix.go (the fixpoint), impact.go (512 services at once)
//	avail.go          Availability: availparts.go splits, bdd.go computes exactly
//	blocked.go        WhyBlocked: running.go reads who is up
//	query.go          Query: a parser that computes; queryreach.go follows edges
//	diff.go           Compare: what is declared; diffservices.go for what is answered
//	why.go, slice.go, soft.go, view.go
//	                  the rest, each by itself
//
// The words: a vertex is a service by number, in order of name; an edge is one of its
// dependencies by number; a row is the edges of one vertex. A group is an any-of. An
// event is the launch of a service, or its serving. A sel picks edges by their flags.
package depgraph
