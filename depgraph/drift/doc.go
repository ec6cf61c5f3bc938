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
package drift
