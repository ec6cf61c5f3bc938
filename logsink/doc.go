// Package logsink is a log writer that never blocks, never lies about loss, and
// survives a crash.
//
// A [Sink] stands between a logger and the place where its lines go: standard
// output, a file, a socket, CloudWatch Logs. It is an io.Writer for any logger.
// Write copies the line and returns; one goroutine delivers. When the place is
// slow, frozen or gone, the service does not notice: memory fills up to its
// bound, and then lines are dropped and counted, each under one reason.
//
//	sink, err := logsink.Stdout(logsink.Options{Gap: logsink.GapJSON})
//	defer sink.Close()
//	slog.SetDefault(slog.New(slog.NewJSONHandler(sink, nil)))
//
// # What it promises
//
//   - A Write waits for nothing but a lock that is held for a copy: not for the
//     destination, and not for a disk.
//   - Memory stays within [Options].MaxBytes, what is in flight included.
//   - At every instant Attempted == Delivered + Dropped.Total() + Queued in
//     [Stats], which may be asked while the destination is frozen.
//   - Flush, Sync, Shutdown, Close and Recover return in time, always.
//   - Lines of one goroutine keep their order. What arrives is whole: a partial
//     write is resumed where it stopped.
//   - Nothing of the destination's failures reaches the caller, panics included.
//
// # What is lost when
//
// With the defaults: what memory cannot hold in a long outage (see
// [Options].SpillDir), and on SIGKILL, an out-of-memory kill or a fatal error
// of the runtime whatever is queued, in a healthy state the last two
// milliseconds (see [Options].Mapped). A panic loses nothing where
// [Sink.Recover] is deferred, SIGTERM nothing with [NotifyShutdown].
// What a process dropped and told nobody of is told by the next one: with Mapped even
// after a SIGKILL, with SpillDir after a Shutdown, also when the disk is full.
//
// # How it works
//
// Memory is a slab cut into chunks of 64 KiB, which form a queue. Writers append
// to the youngest under one lock, the drainer takes the oldest and writes it in
// one call. It is not woken for each line, which would cost the writer more than
// the line: it lingers on a timer while there is traffic. A full sink costs a
// writer one atomic load, and one contiguous gap, at which a marker can stand
// ([Options].Gap). A third goroutine, the mover, is the only one that touches a
// disk, and nobody waits for it. The design and its measurements are in docs/decisions and
// docs/benchmarks of the repository.
//
// The package has no dependency beyond the standard library. Packages below it
// are destinations: logfile, a file that survives rotation; syslog; otlp, for
// OpenTelemetry collectors; cloudwatch, for CloudWatch Logs. Module logsinkotel
// reports Stats as OpenTelemetry metrics. Packages logsinktest
// and batchtest have bad destinations and conformance suites for your own tests.
// Command logsink gives all of this to a program in any language.
//
// # Where to read
//
// The way of a line from top to bottom: [Sink.Write] and put in sink.go; the chunk that
// takes it in chunk.go; the queue of chunks in queue.go; next, deliver and took of the
// drainer in drain.go. That is all of it while nothing is wrong. What happens otherwise
// has a file each:
//
//   - the memory is full: shut and refuse in sink.go, evictLocked in queue.go
//   - the destination fails or does not return: retry.go, fallback.go
//   - what was lost is told: gap.go, across processes ledger.go and note.go
//   - memory goes to disk and back: mover.go, save.go, internal/spool
//   - a process was killed: memory_unix.go, frame.go, leftovers.go, resume.go, recover.go
//   - the end: flush.go, shutdown.go
//
// The words: a record is what one Write brought. A chunk is a piece of memory full of
// records, a frame the memory of one chunk, a slot the entry of a record in its chunk. A
// lane is one of the two priorities. A gap is a place where records are missing, a marker
// the line that says so, the young end of the queue where records come in, the old end
// where they leave. A life is the random number of a process's run; leftovers are what an
// earlier life left. A function whose name ends in Locked is called with Sink.mu held.
package logsink
