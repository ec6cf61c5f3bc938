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
//
// Which file to read first: options.go says what can be set, proxy.go is the life of
// a proxy from Start to Close, and http.go is one request from top to bottom: where
// it goes (target), what it is (call.go), which rule hits it, and what becomes of
// it. tunnel.go is CONNECT and everything that is not opened, conn.go what stands
// between both and a socket. control.go and client.go are the two ends of the
// control API, with events.go and toxic.go behind it; ca.go and files.go are what a
// program is given to trust the proxy.
//
// The words: upstream is where a request would have gone without the proxy; a name
// is opened if the proxy ends its TLS; a held call is one that a fault keeps
// waiting, until it is let go; a lease is how long rules from elsewhere last.
package faultproxy
