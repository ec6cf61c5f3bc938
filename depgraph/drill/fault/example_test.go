package fault_test

import (
	"fmt"
	"net/http"

	"github.com/failopen/failopen/depgraph/drill/fault"
)

// Break the calls of an http.Client to one dependency, and count what was hit.
func Example() {
	inj := fault.New(fault.Options{})
	client := &http.Client{Transport: inj.RoundTripper("identity", nil)}

	if err := inj.Set(fault.Network("identity", fault.Refuse)); err != nil {
		fmt.Println(err)
		return
	}
	_, err := client.Get("http://identity.invalid/users/1")
	fmt.Println(err)
	fmt.Println("hits:", inj.Stats().Rules[0].Hits)
	// Output:
	// Get "http://identity.invalid/users/1": dial tcp identity.invalid:80: connect: connection refused
	// hits: 1
}

// Rules in a file look like LocalStack's chaos rules, with more to choose from.
func ExampleParseRules() {
	rules, err := fault.ParseRules([]byte(`[
		{"service": "dynamodb", "operation": "Put*", "error": {"code": "AccessDeniedException"}},
		{"service": "dynamodb", "until": "10m", "probability": 0.5, "net": "blackhole"}
	]`))
	fmt.Println(len(rules), err)

	_, err = fault.ParseRules([]byte(`[{"service": "dynamodb", "net": "balckhole"}]`))
	fmt.Println(err)
	// Output:
	// 2 <nil>
	// fault: rule 1: net: unknown kind "balckhole"; want one of reset, eof, blackhole, timeout, dialtimeout, refuse, nxdomain, tls, cutrequest, truncate, stall, drip, corrupt, empty, html, errorpage
}
