//go:build !unix || solaris || illumos || aix

package logsink

import (
	"errors"
	"fmt"
	"os"
)

// mapping is not to be had on this system; Options.Mapped and SpillDir degrade
// to plain memory.
type mapping struct{}

var errSystem = fmt.Errorf("not on this system: %w", errors.ErrUnsupported)

func openMapping(string, int, int) (*mapping, error) { return nil, errSystem }
func (*mapping) frames() []byte                      { return nil }
func (*mapping) close() error                        { return nil }
func lockFile(string) (*os.File, error)              { return nil, errSystem }
