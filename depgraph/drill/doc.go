// Package drill cuts a dependency on purpose, watches the service that has
// declared it soft, and says whether the claim holds.
//
//	report, err := drill.Run(ctx, drill.Experiment{
//		Service: "checkout", Dependency: "sessions",
//		Target: drill.Func(svc.Get),
//		Fault:  drill.Rules(injector, fault.Denied("dynamodb")),
//	})
//
// The phases are those of a careful experiment: validate, guards, steady state,
// inject, watch, revert, recovery, verdict. A drill whose steady state does not
// hold has not started; one whose fault was never seen to hit proves nothing
// and is void, the false green that a drill must not give.
//
// Run works in real time, and inside a testing/synctest bubble, where an outage
// of hours takes a moment: Test does it in go test, in a few lines.
//
// Which file to read first: experiment.go says what an experiment is, and
// run.go is a drill from top to bottom. load.go makes the requests and counts
// what came of them, recovery.go is the last phase, faults.go holds the two
// faults that come with the package, and tally.go reads a fault's counter. The
// outcome is a Report (journal.go), with html.go for its page and proof.go for
// its record in a proof file. Built on a run: testing.go (Test), matrix.go
// (every dependency with every fault), infer.go (which dependencies are soft),
// shrink.go (the smallest fault that still breaks it), and plan.go (what there
// is to prove).
package drill
