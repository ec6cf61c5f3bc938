// Package drift compares what services declare with what was seen of them:
// which dependencies nobody declared, which declared ones nobody saw, and
// which soft ones are hard in practice, as their errors become errors of the
// caller.
//
// A Collector reads what other programs recorded: dependency lists of Zipkin
// and Jaeger, spans of Zipkin (v2), Jaeger and OTLP (JSON), metrics of
// OpenTelemetry's service graph (Prometheus text), and the files of package
// observe. Compare judges them by a graph.
//
// What was recorded is a sample. That something was seen proves that it is
// there; that it was not seen proves little. Every Report says what its input
// cannot tell, and a share is one of the kept traces, not of all requests.
//
// # The way of the data
//
//	Collector.Add         one source: read, unpacked, told apart by its content
//	  formats.go, otlp.go spans of Zipkin, Jaeger and OTLP become spans
//	  prometheus.go       a service graph's counters become pairs
//	  collector.go        dependency lists and recordings become pairs
//	Collector.Observed    spans.go links spans to calls, effects.go judges requests;
//	                      pairs and calls are summed up in a tally (observed.go)
//	Compare               compare.go: names.go finds the declared name of each
//	                      observed one, and every pair gets a State and a Strength
//	Report                findings.go makes findings of the rules DG015, DG016
//	                      and DG019, and manifests to begin with
//
// # Words
//
// A pair is two services, of which the first used the second. A span is one
// side's record of one operation, a trace all spans of one request to the whole
// system. The request of a service is what one call to it made it do: it begins
// with the top span of that service, and the calls inside it are judged together.
// A twin is a span with the same ID as another one, as Zipkin's client and
// server have.
//
// To be safe from hostile files, every source is bounded in bytes and all
// together in spans, and no reader takes more than O(n log n) time or recurses
// along a chain of parents.
package drift
