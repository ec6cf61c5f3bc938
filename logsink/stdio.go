package logsink

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// Stdout is [New] for the process's standard output. Options.Dest and Batch
// must be nil. It knows what is special about file descriptors 1 and 2:
//
//   - A pipe is opened a second time, non-blocking, for this sink alone. So a
//     write that is stuck ends when Shutdown gives up, and other processes on
//     the same pipe do not see a non-blocking descriptor. Where that does not
//     work (a socket, a pipe of another user, a system without /proc) the
//     descriptor itself is used, and a write that never returns keeps a
//     goroutine and its thread.
//   - A Go process whose standard output has lost its reader dies of SIGPIPE at
//     the next write, in this package or elsewhere. From now on, and after
//     Shutdown too, it does not: SIGPIPE is caught and ignored, and the sink's
//     State becomes [Broken].
//
// A regular file or a terminal is used as it is.
func Stdout(o Options) (*Sink, error) { return stdio(o, os.Stdout) }

// Stderr is [Stdout] for standard error.
func Stderr(o Options) (*Sink, error) { return stdio(o, os.Stderr) }

// stdio is Stdout and Stderr. The sink writes to a description of its own where
// the system allows it, since a non-blocking mode or a close would otherwise
// concern every process that shares the descriptor.
func stdio(o Options, f *os.File) (*Sink, error) {
	if o.Dest != nil || o.Batch != nil {
		return nil, errors.New("logsink: Options.Dest or Options.Batch is set, and Stdout and Stderr are destinations themselves")
	}
	o.Dest = f
	private, err := reopen(f)
	if err == nil {
		o.Dest = private
	}
	s, err := New(o)
	if err != nil {
		if private != nil {
			private.Close() //nolint:errcheck // nothing was written
		}
		return nil, err
	}
	ignoreSIGPIPE()
	s.private = private
	return s, nil
}

// ignoreSIGPIPE has the signal delivered to nobody. signal.Ignore would do for
// this process, but child processes would inherit it.
func ignoreSIGPIPE() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }
