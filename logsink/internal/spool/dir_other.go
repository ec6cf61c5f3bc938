//go:build !unix || solaris || illumos || aix

package spool

import (
	"errors"
	"fmt"
	"os"
)

var errSystem = fmt.Errorf("not on this system: %w", errors.ErrUnsupported)

func openRoot(string, bool) (*os.Root, error) { return nil, errSystem }
func lockIn(*os.Root) (*os.File, error)       { return nil, errSystem }
func Private(os.FileInfo, os.FileMode) error  { return errSystem }
func Flock(*os.File) error                    { return errSystem }
