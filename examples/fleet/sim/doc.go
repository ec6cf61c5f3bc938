// Package sim simulates a fleet behind a load balancer, in virtual time: a few
// instances with real health handlers, the probes of a platform, and what the
// platform does about their answers. It shows whether a health check turns the
// outage of a dependency into an outage of the service.
//
// The model, which leaves out start-before-stop, connection draining and
// autoscaling: each second the platform spreads Rate requests evenly over the
// instances that are in service. An instance serves at most Capacity of them,
// and of those the part that the scenario's fault leaves. Instances are
// stopped and started as the platform does it; see [Platform].
//
// Run must be called in a bubble of testing/synctest; [Main] makes one for a
// program.
package sim
