package cli

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// tool is a program with one of everything.
func tool() *Program {
	set := func(declare func(*flag.FlagSet)) *flag.FlagSet {
		fs := flag.NewFlagSet("", flag.ContinueOnError)
		declare(fs)
		return fs
	}
	global := func(fs *flag.FlagSet) {
		fs.String("o", "", "write to this `file`")
		fs.Bool("v", false, "say more")
	}
	return &Program{
		Name: "tool", Flags: set(global), Words: map[string][]string{"level": {"low", "high"}},
		Verbs: []Verb{
			{Name: "draw", Summary: "it's a picture", Formats: []string{"svg", "dot"}, Flags: set(func(fs *flag.FlagSet) {
				global(fs)
				fs.String("f", "", "output `format`")
				fs.String("level", "", "how much")
				fs.Duration("within", 0, "time limit")
			})},
			{Name: "read", Summary: "from another tool", Words: []string{"compose", "systemd"}, Flags: set(global)},
			{Name: "help", Summary: "say what there is"},
		},
	}
}

func script(t *testing.T, p *Program, shell string) string {
	t.Helper()
	var b bytes.Buffer
	if err := p.Completion(&b, shell); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestCompletion_of_bash(t *testing.T) {
	const want = `# bash completion for tool
_tool() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb= word
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in
      draw|read|help) verb=$word; break ;;
    esac
  done
  case "$verb:$prev" in
    :-o) COMPREPLY=(); return ;;
    draw:-f) COMPREPLY=($(compgen -W "svg dot" -- "$cur")); return ;;
    draw:--level) COMPREPLY=($(compgen -W "low high" -- "$cur")); return ;;
    draw:-o|draw:--within) COMPREPLY=(); return ;;
    read:-o) COMPREPLY=(); return ;;
  esac
  case "$verb" in
    "") COMPREPLY=($(compgen -W "draw read help -o -v" -- "$cur")) ;;
    "draw") COMPREPLY=($(compgen -W "-f --level -o -v --within" -- "$cur")) ;;
    "read") COMPREPLY=($(compgen -W "compose systemd -o -v" -- "$cur")) ;;
    "help") COMPREPLY=($(compgen -W "" -- "$cur")) ;;
  esac
}
complete -o default -F _tool tool
`
	if got := script(t, tool(), "bash"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCompletion_of_zsh(t *testing.T) {
	const want = `#compdef tool
_tool() {
  local verb word
  local -a options
  for word in ${words[2,CURRENT-1]}; do
    case "$word" in
      draw|read|help) verb=$word; break ;;
    esac
  done
  case "$verb:${words[CURRENT-1]}" in
    :-o) _files; return ;;
    draw:-f) compadd -- svg dot; return ;;
    draw:--level) compadd -- low high; return ;;
    draw:-o|draw:--within) _files; return ;;
    read:-o) _files; return ;;
  esac
  case "$verb" in
    "") options=( 'draw:it'"'"'s a picture' 'read:from another tool' 'help:say what there is' '-o:write to this file' '-v:say more' ) ;;
    "draw") options=( '-f:output format' '--level:how much' '-o:write to this file' '-v:say more' '--within:time limit' ) ;;
    "read") options=( 'compose' 'systemd' '-o:write to this file' '-v:say more' ) ;;
    "help") options=( ) ;;
  esac
  _describe option options
  [[ -n $verb ]] && _files
}
compdef _tool tool
`
	if got := script(t, tool(), "zsh"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCompletion_of_fish(t *testing.T) {
	const want = `# fish completion for tool
complete -c tool -n __fish_use_subcommand -s o -r -d 'write to this file'
complete -c tool -n __fish_use_subcommand -s v -d 'say more'
complete -c tool -n __fish_use_subcommand -a draw -d 'it'"'"'s a picture'
complete -c tool -n '__fish_seen_subcommand_from draw' -s f -x -a 'svg dot' -d 'output format'
complete -c tool -n '__fish_seen_subcommand_from draw' -l level -x -a 'low high' -d 'how much'
complete -c tool -n '__fish_seen_subcommand_from draw' -s o -r -d 'write to this file'
complete -c tool -n '__fish_seen_subcommand_from draw' -s v -d 'say more'
complete -c tool -n '__fish_seen_subcommand_from draw' -l within -r -d 'time limit'
complete -c tool -n __fish_use_subcommand -a read -d 'from another tool'
complete -c tool -n '__fish_seen_subcommand_from read' -a compose
complete -c tool -n '__fish_seen_subcommand_from read' -a systemd
complete -c tool -n '__fish_seen_subcommand_from read' -s o -r -d 'write to this file'
complete -c tool -n '__fish_seen_subcommand_from read' -s v -d 'say more'
complete -c tool -n __fish_use_subcommand -a help -d 'say what there is'
`
	if got := script(t, tool(), "fish"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCompletion_unknown_shell(t *testing.T) {
	var usage UsageError
	err := tool().Completion(&bytes.Buffer{}, "tcsh")
	if !errors.As(err, &usage) || err.Error() != `completion: "tcsh" is not one of bash, zsh, fish` {
		t.Errorf("%v", err)
	}
	full := errors.New("no space left")
	if err := tool().Completion(&failing{full}, "fish"); !errors.Is(err, full) {
		t.Errorf("a full disk: %v", err)
	}
}

// What a shell that is installed makes of the scripts: each parses, and bash
// offers what is expected on real command lines.
func TestCompletion_in_a_shell(t *testing.T) {
	for _, shell := range Shells() {
		path, err := exec.LookPath(shell)
		if err != nil {
			continue
		}
		cmd := exec.CommandContext(t.Context(), path, "-n")
		cmd.Stdin = strings.NewReader(script(t, tool(), shell))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	var ask, want strings.Builder
	ask.WriteString(script(t, tool(), "bash"))
	for _, c := range []struct{ line, want string }{
		{"tool ", "draw read help -o -v"},
		{"tool d", "draw"},
		{"tool -", "-o -v"},
		{"tool -o ", ""}, // files, by -o default
		{"tool -v r", "read"},
		{"tool draw -f ", "svg dot"},
		{"tool draw -v -f d", "dot"},
		{"tool draw --level h", "high"},
		{"tool draw --within ", ""},
		{"tool draw --w", "--within"},
		{"tool read ", "compose systemd -o -v"},
		{"tool read sys", "systemd"},
		{"tool read -f ", "compose systemd -o -v"}, // it has no such flag
		{"tool help ", ""},
		{"tool draw x$(touch", ""},
	} {
		words := strings.Split(c.line, " ")
		for i, w := range words {
			words[i] = quoted(w)
		}
		fmt.Fprintf(&ask, "COMP_WORDS=(%s) COMP_CWORD=%d; _tool; echo \"${COMPREPLY[*]}\"\n", strings.Join(words, " "), len(words)-1)
		want.WriteString(c.want + "\n")
	}
	cmd := exec.CommandContext(t.Context(), bash, "--norc")
	cmd.Stdin = strings.NewReader(ask.String())
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != want.String() {
		t.Errorf("%v, got\n%s\nwant\n%s", err, out, want.String())
	}
}

func TestQuoted_ends_with_its_text(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell")
	}
	for _, text := range []string{"", "a b", "it's", "''", `"$(date)" ` + "`date`" + ` $HOME \`, "a\nb"} {
		out, err := exec.CommandContext(t.Context(), sh, "-c", "printf %s "+quoted(text)).Output()
		if err != nil || string(out) != text {
			t.Errorf("%q: the shell reads %q, %v", text, out, err)
		}
	}
}
