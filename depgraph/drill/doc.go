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
package drill
