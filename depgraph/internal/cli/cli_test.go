package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary be a program, which Main ends.
func TestMain(m *testing.M) {
	if os.Getenv("FAILOPEN_CLI_CHILD") != "" {
		Main(func(ctx context.Context, args []string, stdout, stderr io.Writer) int {
			fmt.Fprintln(stdout, args)
			if len(args) > 0 && args[0] == "wait" {
				<-ctx.Done()
				fmt.Fprintln(stderr, ctx.Err())
			}
			return 7
		})
	}
	os.Exit(m.Run())
}

func TestMain_exit_code_and_signals(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"a", "b c"}, {"wait"}} {
		cmd := exec.CommandContext(t.Context(), self, args...)
		cmd.Env = append(os.Environ(), "FAILOPEN_CLI_CHILD=1")
		out := &started{cmd: cmd, signal: args[0] == "wait"}
		var errs bytes.Buffer
		cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, &errs, 10*time.Second
		if args[0] == "wait" && runtime.GOOS == "windows" {
			continue // it has no SIGTERM
		}
		want := ""
		if args[0] == "wait" {
			want = "context canceled\n"
		}
		_ = cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != 7 || out.text.String() != fmt.Sprintln(args) || errs.String() != want {
			t.Errorf("%q: exit code %d, %q, %q; want 7, %q, %q", args, code, out.text.String(), errs.String(), fmt.Sprintln(args), want)
		}
	}
}

// started sends SIGTERM to a program as soon as it has written something.
type started struct {
	cmd    *exec.Cmd
	signal bool
	text   bytes.Buffer
}

func (s *started) Write(b []byte) (int, error) {
	if s.signal {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
	}
	return s.text.Write(b)
}

func TestContain(t *testing.T) {
	run := func(f func()) (code int, stderr string) {
		var b bytes.Buffer
		func() {
			defer Contain("prog", &b, 65, &code)
			f()
		}()
		return code, b.String()
	}
	if code, stderr := run(func() { panic("\x1b[2J" + "no such edge") }); code != 65 || stderr != "prog: internal error, please report it: \\u001b[2Jno such edge\n" {
		t.Errorf("a panic: %d, %q", code, stderr)
	}
	if code, stderr := run(func() { panic(errors.New("broken")) }); code != 65 || stderr != "prog: internal error, please report it: broken\n" {
		t.Errorf("a panic with an error: %d, %q", code, stderr)
	}
	if code, stderr := run(func() {}); code != 0 || stderr != "" {
		t.Errorf("no panic: %d, %q", code, stderr)
	}
}

func TestUsagef(t *testing.T) {
	err := fmt.Errorf("drill: %w", Usagef("--rate is %v", 5))
	var usage UsageError
	if !errors.As(err, &usage) || usage.Error() != "--rate is 5" {
		t.Errorf("%v, %q", err, usage.Error())
	}
	if errors.As(errors.New("of the input"), &usage) {
		t.Error("every error is one of usage")
	}
}

func TestProgram_Suggest(t *testing.T) {
	p := &Program{}
	for _, name := range []string{"check", "cycles", "why", "why-blocked", "export", "help"} {
		p.Verbs = append(p.Verbs, Verb{Name: name})
	}
	for name, want := range map[string]string{
		"chekc": "check", "chck": "check", "cheeck": "check", "chack": "check", "check": "check",
		"che": "check", "checks": "check", "hcek": "", "ceck": "check", "Check": "check",
		"cycle": "cycles", "yccles": "cycles", "cycles!": "cycles",
		"why-": "why", "why-bl": "why", "wyh": "why", "exp": "export", "imp": "",
		"ch": "", "c": "", "": "", "chk": "", "cheque": "", "ehlp": "help", "elhp": "", "::error::": "",
	} {
		if want != "" {
			want = fmt.Sprintf("; did you mean %q?", want)
		}
		if got := p.Suggest("; ", name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	if got := (&Program{}).Suggest(", ", "check"); got != "" {
		t.Errorf("of no verbs: %q", got)
	}
}

// oneEdit says of all short words what trying every edit says.
func TestOneEdit_all_short_words(t *testing.T) {
	words := []string{""}
	for start := 0; len(words) < 1+2+4+8+16; {
		end := len(words)
		for _, w := range words[start:end] {
			words = append(words, w+"a", w+"b")
		}
		start = end
	}
	edits := func(w string) (all []string) {
		for i := range len(w) + 1 {
			all = append(all, w[:i]+"a"+w[i:], w[:i]+"b"+w[i:])
			if i < len(w) {
				all = append(all, w[:i]+w[i+1:], w[:i]+"a"+w[i+1:], w[:i]+"b"+w[i+1:])
			}
			if i+1 < len(w) {
				all = append(all, w[:i]+w[i+1:i+2]+w[i:i+1]+w[i+2:])
			}
		}
		return all
	}
	for _, a := range words {
		near := edits(a)
		for _, b := range words {
			if a != b && oneEdit(a, b) != slices.Contains(near, b) {
				t.Errorf("oneEdit(%q, %q) is %v", a, b, oneEdit(a, b))
			}
		}
	}
}

func TestParse_flags_and_words_mixed(t *testing.T) {
	for _, c := range []struct{ args, words, list, err string }{
		{"", "", "", ""},
		{"a b", "a b", "", ""},
		{"-d x a -v b", "a b", "x", ""},
		{"a -d x,y b -d z", "a b", "x,y,z", ""},
		{"a -- -d x", "a -d x", "", ""},
		{"-- a", "a", "", ""},
		{"-d -- a", "a", "--", ""},
		{"a - b", "a - b", "", ""},
		{"--d=x --v", "", "x", ""},
		{"a --bogus b", "a", "", "flag provided but not defined: -bogus"},
		{"a -d", "a", "", "flag needs an argument: -d"},
		{"-v=maybe", "", "", `invalid boolean value "maybe" for -v: parse error`},
		{"a -h", "a", "", "flag: help requested"},
	} {
		var list List
		fs := flag.NewFlagSet("x", flag.ContinueOnError)
		fs.SetOutput(io.Discard)
		fs.Var(&list, "d", "")
		fs.Bool("v", false, "")
		words, err := Parse(fs, strings.Fields(c.args))
		text := ""
		if err != nil {
			text = err.Error()
		}
		if strings.Join(words, " ") != c.words || list.String() != c.list || text != c.err {
			t.Errorf("%q: words %q, list %q, %q; want %q, %q, %q", c.args, words, &list, text, c.words, c.list, c.err)
		}
	}
}
