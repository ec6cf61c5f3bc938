//go:build !unix || solaris || illumos || aix

package logsink

import (
	"errors"
	"fmt"
)

// mapping is not available on this system; Options.Mapped degrades to plain
// memory.
type mapping struct {
	key  uint64
	size int

	short, small error
}

var errSystem = fmt.Errorf("not on this system: %w", errors.ErrUnsupported)

func inMemory(string) error                          { return errSystem }
func openMapping(string, int, int) (*mapping, error) { return nil, errSystem }
func openImage(string) (*mapping, error)             { return nil, errSystem }
func lookAt(string) (*mapping, error)                { return nil, errSystem }
func (*mapping) head() []byte                        { return nil }
func (*mapping) keepHead(*Sink) []byte               { return nil }
func (*mapping) frames() []byte                      { return nil }
func (*mapping) shrink(int) error                    { return nil }
func (*mapping) close() error                        { return nil }
