package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Output is what a program itself writes, on either stream. Names from manifests
// and journals get no further than its text:
//
//   - they cannot move a terminal's cursor, change its colours or hide text: what
//     does not print is written as the escape that JSON has for it, so JSON stays
//     what it was;
//   - they cannot give commands to the runner of a pipeline, which looks for "::"
//     (GitHub Actions) and "##[" (Azure Pipelines) at the beginning of each line,
//     behind any spaces: these lines get "> " before it.
//
// And it remembers that something could not be written: a report that is not on
// a full disk must not be taken for one that is. It is safe for use by several
// goroutines if To is. What a child process writes goes to To directly.
type Output struct {
	To io.Writer

	mu    sync.Mutex
	begun bool  // the current line has more than spaces
	err   error // of the first Write that failed
}

// Write writes all of b, cleaned, with one call of To, and reports len(b) of it
// or none: how much of b an incomplete write has covered cannot be told. A
// character must not be split between two calls, or its halves are replaced.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	text, begun := clean(b, o.begun)
	o.begun = begun
	o.mu.Unlock()
	_, err := o.To.Write(text) // without the lock: a pipe may be full
	if err != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.err = cmp.Or(o.err, err)
		return 0, err
	}
	return len(b), nil
}

// Err is the error of the first Write that has failed, or nil.
func (o *Output) Err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// Say writes one message of whole lines as an [Output] does. If it cannot be
// written there is nobody left to tell.
func Say(w io.Writer, format string, args ...any) {
	_, _ = (&Output{To: w}).Write(fmt.Appendf(nil, format, args...))
}

// commands reports whether b begins with word, which gives commands to a pipeline,
// or is only the beginning of it: the rest may come with the next Write.
func commands(b []byte, word string) bool {
	n := min(len(b), len(word))
	return n > 0 && string(b[:n]) == word[:n]
}

// clean is what Output makes of b, in one pass. begun says whether the line that
// b continues has more than spaces, and is returned for the line that b ends in.
func clean(b []byte, begun bool) ([]byte, bool) {
	text := make([]byte, 0, len(b)+16)
	for len(b) > 0 {
		if !begun && (commands(b, "::") || commands(b, "##[")) {
			text, begun = append(text, "> "...), true
		}
		r, n := utf8.DecodeRune(b) // what is no UTF-8 becomes U+FFFD
		b = b[n:]
		switch {
		case r == '\n':
			text, begun = append(text, '\n'), false
			continue
		case r == '\t' || unicode.IsPrint(r):
			text = utf8.AppendRune(text, r)
		case r > 0xffff: // JSON's escapes have four digits, so that this takes two
			high, low := utf16.EncodeRune(r)
			text = fmt.Appendf(text, `\u%04x\u%04x`, high, low)
		default:
			text = fmt.Appendf(text, `\u%04x`, r)
		}
		begun = begun || r != ' ' && r != '\t'
	}
	return text, begun
}

// WriteNew writes a file that must not exist yet: if it does, the error is
// fs.ErrExist and the file stays as somebody may have edited it.
func WriteNew(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// IsTerminal reports whether a stream is a terminal: a device of characters that
// is not the null device, which programs in the background have for an input.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	null, nullErr := os.Stat(os.DevNull)
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && (nullErr != nil || !os.SameFile(info, null))
}
