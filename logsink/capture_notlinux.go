//go:build !linux

package logsink

import (
	"context"
	"errors"
	"fmt"
)

// Capture puts a sink under file descriptors 1 and 2 of this process. It is not
// available on this system.
func Capture(Options) (*Sink, func(context.Context) error, error) {
	return nil, nil, fmt.Errorf("logsink: Capture is not on this system: %w", errors.ErrUnsupported)
}
