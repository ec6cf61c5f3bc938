// Package faultproxy breaks the dependencies of a program that must not be
// changed: a proxy on loopback that applies the rules of package fault.
//
//	p, err := faultproxy.Start(faultproxy.Options{Upstream: "http://127.0.0.1:8000"})
//	…
//	defer p.Close()
//	p.Injector().Set(fault.Denied("dynamodb"))
//	// AWS_ENDPOINT_URL_DYNAMODB=p.URL() ./service
//
// A program reaches it in one of three ways:
//
//   - reverse: it is told that the proxy is its endpoint. For emulators and
//     plain HTTP services; AWS itself refuses such requests, because the host
//     is a part of what is signed.
//   - connect: it is told that the proxy is its HTTPS_PROXY, and to trust the
//     drill's certificate authority, which exists in memory, for a day at most,
//     and for the allowed names only. Host and signature stay as they are, so it
//     works with AWS itself. Other names pass through unopened.
//   - tunnel: bytes on their way to one address, or to a name that is not
//     opened. Only the faults of a network are possible there.
//
// Rules are set in the process with [Proxy.Injector], or from another one over
// the control API, with [Client]. In requests to AWS the proxy sees the service,
// the region, the operation and the table, and refusals have the form in which
// the service gives them. For others, a rule's Service is matched with the host
// name and its Operation with the method and the path.
package faultproxy
