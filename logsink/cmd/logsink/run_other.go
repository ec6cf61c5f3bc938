//go:build !unix

package main

import (
	"fmt"
	"io"
)

func runProgram(_ command, _ []string, _, stderr io.Writer) int {
	fmt.Fprintln(stderr, "logsink: run is for Unix systems")
	return exitUsage
}
