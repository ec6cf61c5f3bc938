// Package logfile is a destination for a logsink.Sink: a file that survives
// rotation. When the file is renamed or removed under it, by logrotate or by a
// person, the next write goes to a new file of that name; no signal is needed,
// and SIGHUP does it at once. It can rotate by itself, too.
//
//	file, err := logfile.New(logfile.Options{Path: "/var/log/shop/app.log"})
//	sink, err := logsink.New(logsink.Options{Dest: file})
//	defer sink.Close()
package logfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Options of a [File].
type Options struct {
	// Path is the file's name. Required. Its directory must exist.
	Path string
	// Mode is that of a new file. Default 0640.
	Mode fs.FileMode
	// CheckEvery is how often Write looks whether Path is still the file that it
	// writes to. Default 1 s; negative: only Reopen makes it look.
	CheckEvery time.Duration
	// MaxBytes is the size from which the file is rotated: Path becomes Path.1,
	// Path.1 becomes Path.2, and so on. Default 0: someone else rotates it, or
	// nobody.
	MaxBytes int64
	// Keep is how many rotated files there are, the oldest is removed. Default
	// 5; it needs MaxBytes.
	Keep int
}

// File is an io.Writer for Options.Dest of a Sink, which resumes and retries
// what Write could not do. Write opens the file, so that a service starts also
// while its disk hangs. Write is for one goroutine, the sink's; Reopen and Stats
// may be called at any time.
//
// A full disk, a missing directory or a permission that was taken away is an error of
// Write; the Sink retries it, and the file is opened again once it can be.
type File struct {
	opt Options

	// Of Write alone.
	f       *os.File
	size    int64
	partial bool // the last write ended within what it was given
	looked  time.Time

	writing sync.Mutex // held by Write; nobody waits for it

	mu     sync.Mutex // held for no call of the disk
	closed bool
	stats  Stats
	reopen atomic.Bool
}

// Stats says what a File did.
type Stats struct {
	Opened  int64 `json:"opened"`  // times that the file was opened
	Rotated int64 `json:"rotated"` // times that it was rotated here
}

// New makes a File. It does not touch the disk.
func New(o Options) (*File, error) {
	switch {
	case o.Path == "":
		return nil, errors.New("logfile: Options.Path must be set")
	case o.MaxBytes < 0 || o.Keep < 0:
		return nil, fmt.Errorf("logfile: Options.MaxBytes is %d and Options.Keep %d; neither can be negative", o.MaxBytes, o.Keep)
	case o.MaxBytes == 0 && o.Keep > 0:
		return nil, errors.New("logfile: Options.Keep is set and Options.MaxBytes is not")
	}
	if o.Mode == 0 {
		o.Mode = 0o640
	}
	if o.CheckEvery == 0 {
		o.CheckEvery = time.Second
	}
	if o.Keep == 0 {
		o.Keep = 5
	}
	return &File{opt: o}, nil
}

// Write appends p to the file, which it opens, reopens or rotates before, never
// within what an earlier call did in part.
func (l *File) Write(p []byte) (int, error) {
	l.writing.Lock()
	defer l.writing.Unlock()
	if err := l.prepare(int64(len(p))); err != nil {
		return 0, err
	}
	n, err := l.f.Write(p)
	l.size += int64(n)
	l.partial = n > 0 && n < len(p)
	return n, err
}

// prepare makes l.f the file to write n bytes to.
// In this order: it is closed; it is not open; a line is half written, which has to end in
// the same file; it was renamed or removed; it is too long.
func (l *File) prepare(n int64) error {
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	switch {
	case closed:
		return fmt.Errorf("logfile: %s: %w", l.opt.Path, os.ErrClosed)
	case l.f == nil:
		return l.open()
	case l.partial:
		return nil
	case l.moved():
		// What is open may be a deleted file, whose error changes nothing.
		l.f.Close() //nolint:errcheck // there is no buffer
		l.f = nil
		return l.open()
	case l.opt.MaxBytes > 0 && l.size > 0 && l.size+n > l.opt.MaxBytes:
		return l.rotate()
	}
	return nil
}

// moved reports whether Path is not the open file any more.
// A stat costs a microsecond on a healthy disk: hence not before every write.
func (l *File) moved() bool {
	now := time.Now()
	due := l.reopen.Swap(false)
	if !due && (l.opt.CheckEvery < 0 || now.Sub(l.looked) < l.opt.CheckEvery) {
		return false
	}
	l.looked = now
	there, err := os.Stat(l.opt.Path) // of a link, what it leads to: that is what open opens
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	ours, err := l.f.Stat()
	if err != nil || !os.SameFile(there, ours) {
		return true
	}
	if ours.Size() < l.size { // copied and truncated
		l.size = ours.Size()
	}
	return false
}

// open opens or makes the file, to append. It follows a symbolic link: those of /var/log
// are an administrator's.
func (l *File) open() error {
	f, err := os.OpenFile(l.opt.Path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, l.opt.Mode)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("logfile: %s is a directory", l.opt.Path)
	}
	if err != nil {
		f.Close() //nolint:errcheck // nothing was written
		return err
	}
	l.f, l.size, l.looked = f, info.Size(), time.Now()
	l.mu.Lock()
	l.stats.Opened++
	l.mu.Unlock()
	return nil
}

// rotate renames the files and opens a new one. If it cannot, the file grows on:
// lines are worth more than the bound.
// It counts a rotation only when all names have moved. O(Keep) renames.
func (l *File) rotate() error {
	name := func(n int) string {
		if n == 0 {
			return l.opt.Path
		}
		return fmt.Sprintf("%s.%d", l.opt.Path, n)
	}
	for n := l.opt.Keep; n > 0; n-- {
		err := os.Rename(name(n-1), name(n)) // the oldest is replaced
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			l.size = 0 // the next attempt is a file's length away
			return nil
		}
	}
	l.f.Close() //nolint:errcheck // there is no buffer
	l.f = nil
	l.mu.Lock()
	l.stats.Rotated++
	l.mu.Unlock()
	return l.open()
}

// Reopen has the next Write look whether Path is another file now, or none.
// It touches no disk, and so never waits.
func (l *File) Reopen() { l.reopen.Store(true) }

// ReopenOnHangup calls Reopen at each SIGHUP, until ctx ends. Until then the
// signal does not end the program.
func (l *File) ReopenOnHangup(ctx context.Context) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		defer signal.Stop(signals)
		for {
			select {
			case <-signals:
				l.Reopen()
			case <-ctx.Done():
				return
			}
		}
	}()
}

// Stats returns a snapshot.
func (l *File) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

// Close is for after the sink's Shutdown: a write after it fails. It does not
// wait: a file that is in a call of the disk just then stays open until the
// process ends.
func (l *File) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	if !l.writing.TryLock() {
		return nil
	}
	defer l.writing.Unlock()
	if l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f = nil
	return err
}
