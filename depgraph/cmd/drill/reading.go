package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// mostRead is the largest file that is read: a journal of a long run is far below.
const mostRead = 64 << 20

// readFile reads a file of the user's, which is of a sensible size, and neither
// a device nor a pipe that nobody writes to: waiting for one would look like a
// drill that goes on. Errors have the file's name.
func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("want a regular file")}
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, mostRead+1))
	if err == nil && len(text) > mostRead {
		err = fmt.Errorf("%s: is larger than %d MB", name, mostRead>>20)
	}
	return text, err
}
