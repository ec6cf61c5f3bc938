// Package background does for a loop what may block: it writes to a logger that
// is not ours.
package background

import (
	"log/slog"
	"sync/atomic"
)

// A Logger warns through a [slog.Logger] on a goroutine of its own. A handler
// that blocks, as one does whose output nobody reads, does not hold the caller
// up: until it has returned it is given nothing more, and what would have been
// said meanwhile is not said later. The zero value says nothing.
type Logger struct {
	// To is where warnings go; nil: nowhere.
	To *slog.Logger
	// Panicked is called, on that goroutine, when the handler panics or ends it
	// with runtime.Goexit. It must be set if To is.
	Panicked func()

	busy atomic.Bool // the handler has not returned
}

// Warn hands over one warning, without waiting for it. It is safe for concurrent
// use.
func (l *Logger) Warn(message string, args ...any) {
	if l.To == nil || !l.busy.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer l.busy.Store(false)
		returned := false
		defer func() {
			_ = recover() // it has not returned, as with a Goexit
			if !returned {
				l.Panicked()
			}
		}()
		l.To.Warn(message, args...)
		returned = true
	}()
}
