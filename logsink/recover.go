package logsink

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"time"
)

// RecoverFile delivers to w what a process left in path, its mapped file or its
// spill directory, and takes it out of there. It is what [New] does with the
// same path, for a program that is not going to be started again; the file may
// also be a copy of it on a disk. Ctx bounds it; without a deadline that is one
// minute. Records returns how many were delivered; with an error the rest is
// still in path.
//
// Gaps and what was lost untold come as lines of [GapText]. It locks path, and fails while
// a process uses it. W gets no deadline: one that never returns costs a goroutine.
func RecoverFile(ctx context.Context, path string, w io.Writer) (records int64, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, fmt.Errorf("logsink: recover: %w", err)
	}
	o := Options{Dest: w, Gap: GapText}
	image := ""
	if info.IsDir() {
		o.SpillDir, o.SpillBytes = path, math.MaxInt64
	} else {
		image = path
	}
	if err := o.complete(); err != nil {
		return 0, err
	}
	s := newSink(o)
	s.recovering, s.image = true, image
	s.start()
	ctx, cancel := bounded(ctx, time.Minute)
	defer cancel()
	select {
	case <-s.mover.tried:
	case <-ctx.Done():
	}
	before := s.Stats()
	if before.DiskError != "" {
		s.Shutdown(ctx) //nolint:errcheck // it holds nothing
		return 0, fmt.Errorf("logsink: recover: %s", before.DiskError)
	}
	err = s.Shutdown(ctx)
	st := s.Stats()
	if n := st.Dropped.Corrupt; err == nil && n > 0 {
		err = fmt.Errorf("logsink: recover: %s: %d records were damaged", path, n)
	}
	if err == nil && image != "" && st.LastDiskError != "" {
		err = fmt.Errorf("logsink: recover: %s", st.LastDiskError) // nobody knows how many
	}
	return st.Delivered, err
}
