//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/logsink"
)

// spillOf is a spill directory with these records, which a process could not deliver. It
// is a copy: the lock of the original is this process's. A Shutdown that was too short for
// a busy machine is repeated with more time.
func spillOf(t *testing.T, records ...string) string {
	t.Helper()
	for timeout := 30 * time.Millisecond; timeout < time.Minute; timeout *= 2 {
		dir := filepath.Join(t.TempDir(), "spill")
		s, err := logsink.New(logsink.Options{Batch: nobody{}, SpillDir: dir, CloseTimeout: timeout, Linger: -1})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			io.WriteString(s, r)
		}
		var kept logsink.ShutdownError
		if err := s.Close(); err != nil {
			kept = *err.(*logsink.ShutdownError)
		}
		if kept.OnDisk == int64(len(records)) {
			return copyOf(t, dir)
		}
	}
	t.Fatal("the disk does not answer")
	return ""
}

// copyOf is a copy of a directory that nobody has open.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "spill")
	if err := errors.Join(os.CopyFS(to, os.DirFS(dir)), os.Chmod(to, 0o700)); err != nil {
		t.Fatal(err)
	}
	return to
}

// call runs a command in this process. What differs from run to run has a name instead.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = dispatch(args, &out, &errs)
	return code, stable(args, out.String()), stable(args, errs.String())
}

var (
	aRun  = regexp.MustCompile(`run [0-9a-f]{16}`)
	aTime = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z`)
)

func stable(args []string, text string) string {
	for i, a := range args[1:] {
		if filepath.IsAbs(a) {
			text = strings.ReplaceAll(text, a, fmt.Sprintf("PATH%d", i+1))
		}
	}
	return aTime.ReplaceAllString(aRun.ReplaceAllString(text, "run RUN"), "TIME")
}

// What each command says of a spill directory, of one that is damaged, of an empty one
// and of none.
func TestLeftovers_commands(t *testing.T) {
	good := spillOf(t, "one\n", "two", "three\n")
	damaged := copyOf(t, good)
	segments, err := filepath.Glob(filepath.Join(damaged, "*.seg"))
	if err != nil || len(segments) != 1 {
		t.Fatal(segments, err)
	}
	b, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	b[bytes.Index(b, []byte("two"))] ^= 1
	if err := os.WriteFile(segments[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	torn := copyOf(t, good)
	segments, err = filepath.Glob(filepath.Join(torn, "*.seg"))
	if err != nil || len(segments) != 1 {
		t.Fatal(segments, err)
	}
	if err := os.Truncate(segments[0], int64(len(b)-1)); err != nil {
		t.Fatal(err)
	}
	empty, none := spillOf(t), filepath.Join(t.TempDir(), "none")
	const tornText = "logsink: PATH1: chunk 1 of run RUN is torn: 3 records\n"
	const noneText = "logsink: PATH1: stat PATH1: no such file or directory\n"
	for _, tt := range []struct {
		command, name, path string
		code                int
		stdout, stderr      string
	}{
		{"ls", "good", good, 0, "PATH1: run RUN since TIME: 3 records, 13 bytes, 1 chunks, 0 records damaged, 0 dropped\n", ""},
		{"ls", "damaged", damaged, 0, "PATH1: run RUN since TIME: 2 records, 10 bytes, 1 chunks, 1 records damaged, 0 dropped\n", ""},
		{"ls", "torn", torn, 1, "", tornText},
		{"ls", "empty", empty, 0, "PATH1: nothing\n", ""},
		{"ls", "none", none, 1, "", noneText},
		{"cat", "good", good, 0, "one\ntwo\nthree\n", ""},
		{"cat", "damaged", damaged, 0, "one\nthree\n", ""},
		{"cat", "torn", torn, 1, "", tornText},
		{"cat", "empty", empty, 0, "", ""},
		{"cat", "none", none, 1, "", noneText},
		{"verify", "good", good, 0, "PATH1: 3 records can be read, 0 are damaged, 0 were dropped between them\n", ""},
		{"verify", "damaged", damaged, 1, "PATH1: 2 records can be read, 1 are damaged, 0 were dropped between them\n", ""},
		{"verify", "torn", torn, 1, "PATH1: 0 records can be read, 0 are damaged, 0 were dropped between them\n", tornText},
		{"verify", "empty", empty, 0, "PATH1: 0 records can be read, 0 are damaged, 0 were dropped between them\n", ""},
		{"verify", "none", none, 1, "", "logsink: stat PATH1: no such file or directory\n"},
		{"recover", "damaged", damaged, 1, "one\nthree\n", "logsink: PATH1: 2 records\nlogsink: recover: PATH1: 1 records were damaged\n"},
		{"recover", "good", good, 0, "one\ntwothree\n", "logsink: PATH1: 3 records\n"},
		{"recover", "empty", empty, 0, "", "logsink: PATH1: 0 records\n"},
		{"recover", "none", none, 1, "", "logsink: PATH1: 0 records\nlogsink: recover: stat PATH1: no such file or directory\n"},
		{"ls", "good, which was recovered", good, 0, "PATH1: nothing\n", ""},
	} {
		code, stdout, stderr := call(t, tt.command, tt.path)
		if code != tt.code || stdout != tt.stdout || stderr != tt.stderr {
			t.Errorf("%s %s: exit code %d\n%s%s, want %d\n%s%s", tt.command, tt.name, code, stdout, stderr, tt.code, tt.stdout, tt.stderr)
		}
	}
}

// A path that fails keeps none of the others from its turn.
func TestLeftovers_of_several_paths(t *testing.T) {
	first, last := spillOf(t, "first\n"), spillOf(t, "last\n")
	none := filepath.Join(t.TempDir(), "none")
	for _, tt := range []struct{ command, stdout, stderr string }{
		{"cat", "first\nlast\n", "logsink: PATH2: stat PATH2: no such file or directory\n"},
		{
			"verify", "PATH1: 1 records can be read, 0 are damaged, 0 were dropped between them\nPATH3: 1 records can be read, 0 are damaged, 0 were dropped between them\n",
			"logsink: stat PATH2: no such file or directory\n",
		},
		{"recover", "first\nlast\n", "logsink: PATH1: 1 records\nlogsink: PATH2: 0 records\nlogsink: recover: stat PATH2: no such file or directory\nlogsink: PATH3: 1 records\n"},
		{"ls", "PATH1: nothing\nPATH3: nothing\n", "logsink: PATH2: stat PATH2: no such file or directory\n"},
	} {
		code, stdout, stderr := call(t, tt.command, first, none, last)
		if code != 1 || stdout != tt.stdout || stderr != tt.stderr {
			t.Errorf("%s: exit code %d\n%s%s, want 1\n%s%s", tt.command, code, stdout, stderr, tt.stdout, tt.stderr)
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestCat_tells_that_it_could_not_write(t *testing.T) {
	var errs bytes.Buffer
	if code := dispatch([]string{"cat", spillOf(t, "one\n")}, failing{}, &errs); code != 1 || errs.String() != "logsink: no space left\n" {
		t.Errorf("exit code %d, %q", code, errs.String())
	}
}

// A file is told by how it begins.
func TestIsLog(t *testing.T) {
	dir := t.TempDir()
	for name, tt := range map[string]struct {
		text string
		want bool
	}{
		"empty":                {"", true},
		"short":                {"logsink", true},
		"a log":                {"a line of a log, of some length\n", true},
		"a log of ours":        {"logsink map is not what it says\n", true},
		"mapped":               {"logsink mapped 2\n", false},
		"mapped of the future": {"logsink mapped 9\n", false},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := isLog(path); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	for path, want := range map[string]bool{"-": true, dir: false, filepath.Join(dir, "none"): false} {
		if got := isLog(path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}

// The report of a log in full: good, with a line that is missing, and without a seal.
func TestVerify_report(t *testing.T) {
	var log bytes.Buffer
	sink, err := logsink.New(logsink.Options{Dest: &log, Seal: true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		fmt.Fprintln(sink, "line", i)
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	seals := strings.Count(log.String(), `{"logsink_seal":`)
	for _, tt := range []struct {
		name, log      string
		code           int
		stdout, stderr string
	}{
		{
			"good", log.String(), 0, "PATH1: 5 lines, 5 of them sealed, 0 in no seal, 0 missing\nrun RUN: 5 lines in " + fmt.Sprint(seals) +
				" seals, 0 missing, 0 unchecked, 0 lost by the sink {Full:0 Evicted:0 Oversize:0 Closed:0 Rejected:0 Abandoned:0 Corrupt:0}; it ended in time\n", "",
		},
		{
			"a line is missing", strings.Replace(log.String(), "line 1\n", "", 1), 1, "PATH1: 4 lines, 4 of them sealed, 0 in no seal, 1 missing\nrun RUN: 5 lines in " + fmt.Sprint(seals) +
				" seals, 1 missing, 0 unchecked, 0 lost by the sink {Full:0 Evicted:0 Oversize:0 Closed:0 Rejected:0 Abandoned:0 Corrupt:0}; it ended in time\n  before seal 1: lines 2: lost behind the sink\n", "",
		},
		{"no seal", "one\ntwo\n", 1, "PATH1: 2 lines, 0 of them sealed, 2 in no seal, 0 missing\n", "logsink: PATH1 has no seal; the option -seal writes them\n"},
		{"nothing", "", 1, "PATH1: 0 lines, 0 of them sealed, 0 in no seal, 0 missing\n", "logsink: PATH1 has no seal; the option -seal writes them\n"},
	} {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, []byte(tt.log), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, stdout, stderr := call(t, "verify", path); code != tt.code || stdout != tt.stdout || stderr != tt.stderr {
			t.Errorf("%s: exit code %d\n%s%s, want %d\n%s%s", tt.name, code, stdout, stderr, tt.code, tt.stdout, tt.stderr)
		}
	}
}
