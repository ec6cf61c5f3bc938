//go:build !linux && !darwin

package main

import "io"

// terminalWidth is unknown here; reports take 100 columns, and COLUMNS is
// obeyed.
func terminalWidth(io.Writer) int { return 0 }
