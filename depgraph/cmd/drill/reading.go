package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// mostRead is the largest file that is read: a journal of a long run is far below.
// mostRead keeps a wrong name, of a database or an image of a disk, from
// filling memory before anybody sees that it was wrong.
const mostRead = 64 << 20

// readFile reads a file of the user's, which is of a sensible size, and neither
// a device nor a pipe that nobody writes to: waiting for one would look like a
// drill that goes on. Errors have the file's name.
//
// All files that a flag names go through here: presets, rules, journals and
// proof files. The look at the file comes before it is opened, since opening a
// pipe would wait for a writer already; between the two somebody could replace
// it, which here would harm nobody but themselves.
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
