package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestCommand_typing_mistakes(t *testing.T) {
	const all = "want one of run, replay, presets, matrix, infer, plan, proxy, exec, revoke, revert, sweep, report, doctor, completion, or help"
	for name, want := range map[string]string{
		"rnu":      `; did you mean "run"?`,
		"dcotor":   `; did you mean "doctor"?`,
		"rev":      `; did you mean "revoke"?`,
		"presets!": `; did you mean "presets"?`,
		"hlep":     `; did you mean "help"?`,
		"xx":       "",
		"a\x1b":    "",
	} {
		said := strings.ReplaceAll(name, "\x1b", `\x1b`)
		code, stdout, stderr := here(t, name)
		if want := `drill: unknown verb "` + said + `"; ` + all + want + "\n"; code != exitUsage || stdout != "" || stderr != want {
			t.Errorf("drill %q: exit code %d, %q, %q; want %q", name, code, stdout, stderr, want)
		}
	}
}

// Arguments that nobody reads are a mistake, wherever they stand.
func TestCommand_arguments_too_many(t *testing.T) {
	for args, want := range map[string]string{
		"run --preset throttled x":   `run: unexpected argument "x"`,
		"replay throttled x":         `replay: unexpected argument "x"`,
		"replay throttled -f json x": `replay: unexpected argument "x"`,
		"presets a b":                `presets: unexpected argument "b"`,
		"report a.json b.json":       `report: unexpected argument "b.json"`,
		"revert x":                   `revert: unexpected argument "x"`,
		"sweep " + revokedTable:      `sweep: unexpected argument "` + revokedTable + `"`,
		"plan services":              `plan: unexpected argument "services"`,
		"proxy x":                    `proxy: unexpected argument "x"`,
		"infer x":                    `infer: unexpected argument "x"`,
		"doctor x":                   `doctor: unexpected argument "x"`,
		"matrix x":                   `matrix: unexpected argument "x"`,
		"revoke --role " + revokedRole + " --table " + revokedTable + " x": `revoke: unexpected argument "x"`,
		"completion bash zsh": `completion: unexpected argument "zsh"`,
		"completion":          "completion: want one of bash, zsh, fish",
		"completion tcsh":     `completion: "tcsh" is not one of bash, zsh, fish`,
	} {
		if code, stdout, stderr := here(t, strings.Fields(args)...); code != exitUsage || stdout != "" || stderr != "drill: "+want+"\n" {
			t.Errorf("drill %s: exit code %d, %q, %q; want %q", args, code, stdout, stderr, want)
		}
	}
}

// The script comes from the verbs themselves: what bash offers is what they take.
func TestCompletion_in_bash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	code, script, stderr := here(t, "completion", "bash")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	var ask, want strings.Builder
	ask.WriteString(script)
	for line, offered := range map[string]string{
		"drill re":               "replay revoke revert report",
		"drill replay 2":         "2020-11-25-logs 2021-12-07-dynamodb 2025-10-20-dns",
		"drill run --target ":    "failopen naive",
		"drill run --preset th":  "throttled",
		"drill matrix -f ":       "markdown html json",
		"drill report x -f ":     "text json markdown html",
		"drill infer -f ":        "text json",
		"drill exec --dns s":     "servfail slow",
		"drill revoke --via t":   "table-policy",
		"drill exec --stall-std": "--stall-stderr --stall-stdout",
		"drill plan --":          "--max-age",
		"drill completion ":      "bash zsh fish",
		"drill help doc":         "doctor",
	} {
		words := strings.Split(line, " ")
		ask.WriteString("COMP_WORDS=('" + strings.Join(words, "' '") + "') COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _drill; echo '" + line + "': ${COMPREPLY[*]}\n")
		want.WriteString(line + ": " + offered + "\n")
	}
	cmd := exec.CommandContext(t.Context(), bash, "--norc")
	cmd.Stdin = strings.NewReader(ask.String())
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != want.String() {
		t.Errorf("%v, got\n%s\nwant\n%s", err, out, want.String())
	}
}

type panicking struct{}

func (panicking) Write([]byte) (int, error) { panic("a bug") }

// The runtime ends a program that panics with 2, which would be "aborted".
func TestCommand_panic_is_no_verdict(t *testing.T) {
	var diag bytes.Buffer
	if code := run(t.Context(), []string{"presets"}, panicking{}, &diag); code != exitFailed || diag.String() != "drill: internal error, please report it: a bug\n" {
		t.Errorf("exit code %d, %q", code, diag.String())
	}
}

// A program in the background has the null device for its input, and no terminal
// that has sent SIGINT to it already.
func TestExec_interrupted_in_the_background(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("it has no signals")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "exec", "--", "sh", "-c", "echo ready; exec sleep 60")
	cmd.Env = append(os.Environ(), "FAILOPEN_DRILL_CHILD=1") // and os.DevNull for its input
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitSignal+int(syscall.SIGINT) {
		t.Errorf("exit code %d; want that of a program that SIGINT has ended", code)
	}
}
