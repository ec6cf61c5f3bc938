package logsink

import "io"

// Lane returns a writer into s for records of the given priority. It shares
// everything with s. Asking for [High] sets its reserve aside: from then on a
// fifth of the budget is for that lane alone.
//
// The writer has the Sync that zap looks for, and no Close: the Sink is closed by its
// owner. It may be made at any time, by any goroutine.
func (s *Sink) Lane(p Priority) io.Writer {
	if p != High {
		return laneWriter{s, Normal}
	}
	s.mu.Lock()
	s.reserveLocked()
	s.mu.Unlock()
	return laneWriter{s, High}
}

// reserveLocked sets the high lane's part of the budget aside. Nobody who has no
// use for it pays for it.
func (s *Sink) reserveLocked() { s.limit[Normal] = s.opt.MaxBytes - s.opt.MaxBytes/5 }

type laneWriter struct {
	s    *Sink
	lane Priority
}

// Write is Sink.Write without a look at Options.Classify.
func (w laneWriter) Write(p []byte) (int, error) {
	w.s.put(p, w.lane)
	return len(p), nil
}

// Sync is the Sink's, for loggers that look for it (zapcore.AddSync).
func (w laneWriter) Sync() error { return w.s.Sync() }
