package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// All that a verb says goes through this file, but for the lines of init and
// import, which come one by one (command.said). Names in it are made harmless
// by the format they are written in, in package report.

// write sends the output of a verb to where it belongs. A file appears whole or
// not at all: what fails while it renders leaves the one of yesterday alone.
// That takes the memory of the whole output once; the standard output is
// written as it is rendered.
func (c *command) write(render func(w io.Writer) error) error {
	if c.output == "" || c.output == "-" {
		return render(c.stdout)
	}
	var buf bytes.Buffer
	if err := render(&buf); err != nil {
		return err
	}
	return writeFile(c.output, buf.Bytes())
}

// show writes the answer of a verb that has the formats text and json.
func (c *command) show(text, json func(w io.Writer) error) error {
	if c.format == "json" {
		return c.write(json)
	}
	return c.write(text)
}

// writeFile replaces a regular file in one step, so that nobody reads half of
// it, and keeps its mode. Through a symbolic link it replaces what that leads
// to; into a pipe or a device, such as /dev/null, it writes.
//
// The temporary file is in the same folder, since only within a file system is
// a rename one step; it begins with a dot, so that no tool takes it for a
// manifest.
//
// It does not sync: a report can be made again. It may fail where the folder
// cannot be written to though the file could; that is the price of never
// showing half.
func writeFile(name string, data []byte) (err error) {
	// CreateTemp makes files for their owner alone; a report is for everybody.
	mode := os.FileMode(0o644)
	if info, err := os.Stat(name); err == nil {
		if !info.Mode().IsRegular() {
			return writeInto(name, data)
		}
		if name, err = filepath.EvalSymlinks(name); err != nil {
			return err
		}
		mode = info.Mode().Perm()
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".depgraph-*")
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) { // of the file that was asked for, not of the temporary one
			err = path.Err
		}
		return fmt.Errorf("%s: cannot write: %w", name, err)
	}
	// From here on there is a temporary file, which must not stay.
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name()) // the first error is the one that matters
		}
	}()
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Chmod(mode), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}

// writeInto writes to what is there and is no regular file.
//
// O_TRUNC and O_CREATE are left out: a pipe has nothing to cut off, and one
// that has gone in the meantime must not become a file.
func writeInto(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
