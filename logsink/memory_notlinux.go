//go:build unix && !linux && !solaris && !illumos && !aix

package logsink

import (
	"errors"
	"fmt"
	"os"
)

// inMemory refuses everything: no file system here is known to be memory.
func inMemory(string) error {
	return fmt.Errorf("not on this system, which has no tmpfs that is known here: %w", errors.ErrUnsupported)
}

func allocate(*os.File, int64, int64) error { return errors.ErrUnsupported }

func detach([]byte) error { return errors.ErrUnsupported }
