package faultproxy

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Names of the files in Options.Dir.
const (
	tokenFile  = "token"
	caFile     = "ca.pem"
	bundleFile = "bundle.pem"
)

// file is what is to be written, with its permissions.
type file struct {
	mode fs.FileMode
	data []byte
}

// files is the folder with the proxy's files: the token of the control API, for
// its owner alone, and the certificates, for all. written is what remove takes
// away.
type files struct {
	dir     string
	own     bool // the folder, too, is the proxy's
	written map[string][]byte
}

// open makes the folder if it is not there; "" is a new one, which is then
// removed at the end. The path is absolute: it goes into other programs'
// environment.
func (f *files) open(dir string) (err error) {
	if f.dir = dir; dir == "" {
		f.dir, err = os.MkdirTemp("", "drill-proxy-")
		f.own = err == nil
		return err
	}
	if f.dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	return os.MkdirAll(f.dir, 0o700)
}

// name is the path of one of the files.
func (f *files) name(name string) string { return filepath.Join(f.dir, name) }

// write makes each file beside its place and moves it there, so that a reader
// never sees a part of it, and a link in its place is replaced, not followed.
func (f *files) write(all map[string]file) error {
	for name, content := range all {
		temp, err := os.CreateTemp(f.dir, "."+name+"-*") // for its owner alone
		if err != nil {
			return err
		}
		_, err = temp.Write(content.data)
		err = errors.Join(err, temp.Chmod(content.mode), temp.Close())
		if err == nil {
			err = os.Rename(temp.Name(), f.name(name))
		}
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", f.name(name), err), os.Remove(temp.Name()))
		}
		if f.written == nil {
			f.written = map[string][]byte{}
		}
		f.written[name] = content.data
	}
	return nil
}

// remove takes away what was written, unless it has been replaced since, and
// the folder if it is ours. Whatever else is in a folder of the user's stays.
func (f *files) remove() error {
	var errs []error
	for name, data := range f.written {
		if now, err := os.ReadFile(f.name(name)); err == nil && !bytes.Equal(now, data) {
			continue // of another proxy, which has been given the same folder
		}
		if err := os.Remove(f.name(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	f.written = nil
	if f.own {
		f.own = false
		errs = append(errs, os.Remove(f.dir))
	}
	return errors.Join(errs...)
}

// newToken is 256 random bits in hexadecimal, which need no escaping anywhere.
func newToken() (string, error) {
	raw := make([]byte, 32)
	_, err := rand.Read(raw)
	return hex.EncodeToString(raw), err
}
