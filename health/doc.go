// Package health answers the questions that a platform asks a process, and
// keeps them apart.
//
//	/livez     would a restart of this process help?   nothing outside it may change the answer
//	/readyz    should it get traffic now?              its life cycle does; its dependencies only through a Guard
//	/startupz  has it finished starting?
//	/reportz   how is everything?                      a failing dependency is a warning, HTTP 200
//
// A health check that calls a dependency turns the dependency's outage into an
// outage of the service: on ECS an instance that is not ready is killed, on
// Kubernetes one that is not live is restarted, and neither helps. So liveness
// takes no check function at all: [Process.Fatal] and [Process.Watch] are the
// only ways to end it. Dependencies are checked in the background, and a probe
// only loads what is known.
//
// The package imports nothing but the standard library.
package health
