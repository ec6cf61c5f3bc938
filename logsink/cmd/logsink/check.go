package main

import (
	"fmt"
	"io"
)

// finding is what check says of one thing.
// Its text begins with what was looked at, and says what could be done about it.
type finding struct {
	blocks bool // a program can stop at its next log line
	text   string
}

// check looks at where standard output and standard error of this process go,
// which is where those of a program that is started in the same way go.
//
// A line for each finding, "ok" or "BLOCKS", and advice if there is one of the latter; the
// exit code is 1 then, so that a build or a readiness script can ask.
func check(c command, args []string, stdout, stderr io.Writer) int {
	fs := c.flags(stderr)
	spill := fs.String("spill", "", "also look at this `directory`, for -spill of run")
	mapped := fs.String("mapped", "", "also look at this `file`, for -mapped of run")
	if code, ok := parse(fs, args); !ok {
		return code
	}
	if fs.NArg() > 0 {
		fs.Usage()
		return exitUsage
	}
	code := 0
	// The words have one width, so that people can look down the column.
	for _, f := range findings(*spill, *mapped) {
		word := "ok    "
		if f.blocks {
			word, code = "BLOCKS", 1
		}
		fmt.Fprintf(stdout, "%s %s\n", word, f.text)
	}
	if code != 0 {
		fmt.Fprintln(stdout, "A log line can stop a program here. Start it as \"logsink run -- program\", or log through the package.")
	}
	return code
}
