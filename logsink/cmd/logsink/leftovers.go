// The commands that look at what a process left: ls and cat read it, verify checks it, and
// recover takes it out. All but recover leave every byte as it is (logsink.Leftovers), so
// that they may run beside the process, on a copy, or on a read-only disk.

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/failopen/failopen/logsink"
)

// recoverTime bounds the recovery of one path. A backlog of gigabytes takes
// minutes; what is not delivered by then is still there.
const recoverTime = time.Hour

// recoverPaths writes what each path still holds to standard output, and marks
// it as delivered there; each has recoverTime.
//
// Ctrl-C and SIGTERM end it in order: what was written is marked, the rest stays. A path
// that fails does not keep the next one from being tried; the exit code is 1 then.
func recoverPaths(c command, args []string, stdout, stderr io.Writer) int {
	list, code, ok := c.paths(args, stderr)
	if !ok {
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	for _, path := range list {
		ctx, cancel := context.WithTimeout(ctx, recoverTime)
		ctx, giveUp := context.WithCancelCause(ctx)
		n, err := logsink.RecoverFile(ctx, path, strict{stdout, giveUp})
		cancel()
		fmt.Fprintf(stderr, "logsink: %s: %d records\n", path, n)
		if err != nil {
			fmt.Fprintln(stderr, err)
			code = 1
		}
	}
	return code
}

// strict ends the recovery at the first error of standard output, which a sink would try
// again: here somebody waits for the end, and what was not written is still in its place.
type strict struct {
	w      io.Writer
	giveUp context.CancelCauseFunc
}

func (s strict) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if err != nil {
		s.giveUp(fmt.Errorf("standard output: %w", err))
	}
	return n, err
}

// list prints a line for each life of a process that has left something. It
// changes nothing, also while a process is at work there.
//
// "Dropped" is what the markers in the chunks tell, and what no marker told (a Leftover
// without a number). Damage goes to stderr, after what could be read.
func list(c command, args []string, stdout, stderr io.Writer) int {
	list, code, ok := c.paths(args, stderr)
	if !ok {
		return code
	}
	for _, path := range list {
		chunks, records, size, damaged, dropped := 0, 0, 0, 0, int64(0)
		life := uint64(0)
		var since time.Time
		flush := func() {
			if chunks > 0 || dropped > 0 {
				fmt.Fprintf(stdout, "%s: run %016x since %s: %d records, %d bytes, %d chunks, %d records damaged, %d dropped\n",
					path, life, since.UTC().Format(time.RFC3339), records, size, chunks, damaged, dropped)
			}
			chunks, records, size, damaged, dropped = 0, 0, 0, 0, 0
		}
		found := false
		for l, err := range logsink.Leftovers(path) {
			if err != nil {
				flush()
				fmt.Fprintln(stderr, err)
				code, found = 1, true
				break
			}
			if l.Life != life || !found {
				flush()
				life, since = l.Life, l.Time
			}
			found = true
			if l.Number != 0 { // or it tells of a loss, and holds nothing
				chunks++
			}
			for _, g := range l.Gaps {
				dropped += g.Dropped
			}
			records += len(l.Records)
			size += l.Bytes
			damaged += l.Damaged
		}
		flush()
		if !found {
			fmt.Fprintf(stdout, "%s: nothing\n", path)
		}
	}
	return code
}

// cat prints the records, a line each, and changes nothing.
//
// A record without a line break gets one. Markers are not printed: ls counts them.
func cat(c command, args []string, stdout, stderr io.Writer) int {
	list, code, ok := c.paths(args, stderr)
	if !ok {
		return code
	}
	out := bufio.NewWriter(stdout)
	for _, path := range list {
		for l, err := range logsink.Leftovers(path) {
			if err != nil {
				fmt.Fprintln(stderr, err)
				code = 1
				break
			}
			for _, r := range l.Records {
				out.Write(r.Data)
				if len(r.Data) > 0 && r.Data[len(r.Data)-1] != '\n' {
					out.WriteByte('\n') //nolint:errcheck // Flush tells
				}
			}
		}
	}
	if err := out.Flush(); err != nil {
		fmt.Fprintln(stderr, "logsink:", err)
		code = 1
	}
	return code
}

// verify takes logs that have arrived, and leftovers. Exit code 1: something is
// missing, damaged, or cannot be read.
// Each path is judged by itself, and all are.
func verify(c command, args []string, stdout, stderr io.Writer) int {
	list, code, ok := c.paths(args, stderr)
	if !ok {
		return code
	}
	for _, path := range list {
		check := verifyLeftovers
		if isLog(path) {
			check = verifyLog
		}
		if !check(path, stdout, stderr) {
			code = 1
		}
	}
	return code
}

// isLog reports whether path is what arrived of a log, and not what a sink
// keeps: "-" is standard input.
// A file is told by its first bytes, a spill directory by being one. What cannot be opened
// is not a log either, and verifyLeftovers says what is wrong with it.
func isLog(path string) bool {
	if path == "-" {
		return true
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, len("logsink mapped"))
	_, err = io.ReadFull(f, head)
	info, more := f.Stat()
	return more == nil && !info.IsDir() && (err != nil || string(head) != "logsink mapped")
}

// verifyLog compares a log with its seals. A log without any proves nothing, and
// does not pass; nor does one of which the sink itself says that it lost lines. A
// log without its end may be one that goes on, and passes.
// The report goes to stdout also for a log that does not pass.
func verifyLog(path string, stdout, stderr io.Writer) bool {
	f := os.Stdin
	if path != "-" {
		var err error
		if f, err = os.Open(path); err != nil {
			fmt.Fprintln(stderr, "logsink:", err)
			return false
		}
		defer f.Close()
	}
	report, err := logsink.VerifyLog(f)
	fmt.Fprintf(stdout, "%s: %v", path, report)
	if err != nil {
		fmt.Fprintln(stderr, "logsink:", err)
	}
	if len(report.Runs) == 0 {
		fmt.Fprintf(stderr, "logsink: %s has no seal; the option -seal writes them\n", path)
		return false
	}
	for _, run := range report.Runs {
		if len(run.Where) > 0 || run.Lost.Total() > 0 {
			return false
		}
	}
	return err == nil
}

// verifyLeftovers counts what can be read and what is damaged. What was dropped
// for lack of room is told, and is no damage.
// Leftovers opens the path anew; that it is there at all is asked first, for the message.
func verifyLeftovers(path string, stdout, stderr io.Writer) bool {
	if _, err := os.Stat(path); err != nil {
		fmt.Fprintln(stderr, "logsink:", err)
		return false
	}
	good, damaged, ok := 0, 0, true
	var lost int64
	for l, err := range logsink.Leftovers(path) {
		if err != nil {
			fmt.Fprintln(stderr, err)
			ok = false
			break
		}
		good += len(l.Records)
		damaged += l.Damaged
		for _, g := range l.Gaps {
			lost += g.Dropped
		}
	}
	fmt.Fprintf(stdout, "%s: %d records can be read, %d are damaged, %d were dropped between them\n", path, good, damaged, lost)
	return ok && damaged == 0
}
