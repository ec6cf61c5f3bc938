package sim

import (
	"context"
	"errors"
	"time"
)

// Scenario is what goes wrong, from Begin to End of a run.
type Scenario struct {
	Name  string
	About string

	// Check is what a question to the dependency gets while the fault
	// lasts; nil: it is well.
	Check func(context.Context, *Instance) error

	// Lasting: the fault does not end.
	Lasting bool

	// Served is the part of its requests that an instance can serve while
	// the fault lasts; nil: all.
	Served func(*Instance) float64

	// Best is the part of all requests that can be served at all. 0: 1.
	Best float64

	SignalDown bool          // the fleet signal is down as well
	Deadlock   bool          // the worker loop of the bad instance stops forever, and its requests with it
	Hang       time.Duration // of the worker loop's calls of the dependency
	Roll       bool          // instances are restarted, one after the other

	// Rollout: instances are replaced by a new version, Wave at a time, the
	// next ones when those are ready. Instance.Fresh tells versions apart.
	Rollout bool

	// Lost is true for instances whose host is gone while the fault lasts:
	// they answer nobody. Nil: none.
	Lost func(*Instance) bool

	// ShowUnready: the look-up of the fleet has the addresses of all that run,
	// as a headless Service with publishNotReadyAddresses. Default: those
	// that the platform takes for ready.
	ShowUnready bool
}

var errDown = errors.New("the dependency is down")

func fails(context.Context, *Instance) error { return errDown }

// hangs is a connection that swallows everything.
//
// It ends when the caller gives up, or after half a minute.
func hangs(ctx context.Context, _ *Instance) error {
	wait(ctx, 30*time.Second)
	return errDown
}

// wait waits, until ctx is done at the latest.
func wait(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

// badSlot is the instance that is worse off than the others: whatever runs in
// that place has the fault.
const badSlot = 3

// onlyBad is a dependency that one instance cannot reach.
func onlyBad(_ context.Context, i *Instance) error {
	if i.Slot == badSlot {
		return errDown
	}
	return nil
}

// nothingOnBad is that instance, which serves nothing without it.
func nothingOnBad(i *Instance) float64 {
	if i.Slot == badSlot {
		return 0
	}
	return 1
}

// onlyFresh is a new version that cannot work.
func onlyFresh(_ context.Context, i *Instance) error {
	if i.Fresh {
		return errDown
	}
	return nil
}

// nothingOnFresh is a new version that serves nothing.
func nothingOnFresh(i *Instance) float64 {
	if i.Fresh {
		return 0
	}
	return 1
}

// Scenarios are what can go wrong, in the order of the table.
var Scenarios = []Scenario{
	{Name: "dependency errors", About: "DynamoDB answers with errors; the service does not need it", Check: fails},
	{Name: "30 % need it", About: "DynamoDB answers with errors, and 30 % of requests need it", Check: fails, Served: func(*Instance) float64 { return 0.7 }, Best: 0.7},
	{Name: "test record deleted", About: "the record that the check reads was deleted for good; the data is fine", Check: fails, Lasting: true},
	{Name: "black hole", About: "connections to DynamoDB hang", Check: hangs},
	{Name: "one bad instance", About: "one instance cannot reach DynamoDB, and serves nothing", Check: onlyBad, Served: nothingOnBad},
	{Name: "one bad, signal down", About: "one instance cannot reach DynamoDB, and the fleet signal is down", Check: onlyBad, Served: nothingOnBad, SignalDown: true},
	{Name: "flaky check", About: "the check fails 30 % of the time; the data is fine", Check: func(_ context.Context, i *Instance) error {
		if i.chance(0.3) {
			return errDown
		}
		return nil
	}},
	{Name: "dead worker loop", About: "one instance deadlocks, and serves nothing until it is restarted", Deadlock: true},
	{Name: "worker waits", About: "the worker loop calls a dependency that hangs for 2 minutes", Hang: 2 * time.Minute},
	{Name: "rolling restart", About: "all instances are restarted, one after the other", Roll: true},
}
