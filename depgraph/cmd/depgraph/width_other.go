//go:build !linux && !darwin

package main

import "io"

// terminalWidth is not known here: lines are as wide as in a file.
func terminalWidth(io.Writer) int { return 0 }
