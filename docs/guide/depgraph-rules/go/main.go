// A rule for "depgraph check --rule": a critical service says how a person
// verifies that it is up.
//
//	GOOS=wasip1 GOARCH=wasm go build -ldflags="-s -w" -o runbook.wasm .
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// graph holds the fields of the input that this rule looks at.
type graph struct {
	Services []struct {
		Name        string `json:"service"`
		Criticality string `json:"criticality"`
		Verify      string `json:"verify"`
	} `json:"services"`
}

type finding struct {
	Service string `json:"service"`
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
}

type output struct {
	Interface int       `json:"interface"`
	Findings  []finding `json:"findings"`
}

func main() {
	var g graph
	if err := json.NewDecoder(os.Stdin).Decode(&g); err != nil {
		fail(err)
	}
	out := output{Interface: 1, Findings: []finding{}}
	for _, s := range g.Services {
		if s.Criticality == "critical" && s.Verify == "" {
			out.Findings = append(out.Findings, finding{
				Service: s.Name, Message: s.Name + " is critical and has no verify step", Fix: "Say in verify how a person sees that it is up.",
			})
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		fail(err)
	}
}

// fail ends the rule; the check reports the text and the exit code.
func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
