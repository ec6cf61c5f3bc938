package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

// completion prints a script for a shell. Verbs and flags come from the same
// table as the help, so that the script cannot be out of date.
func (c *command) completion() error {
	scripts := map[string]func(*strings.Builder){"bash": bashScript, "zsh": zshScript, "fish": fishScript}
	script, ok := scripts[c.args[0]]
	if !ok {
		return usagef("completion: %q is not one of bash, zsh, fish", c.args[0])
	}
	var b strings.Builder
	script(&b)
	return c.write(func(w io.Writer) error {
		_, err := io.WriteString(w, b.String())
		return err
	})
}

// flagsOf lists the flags that a verb takes, the global ones included.
func flagsOf(v verb) []*flag.Flag {
	c := &command{}
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	c.globals(fs)
	if v.flags != nil {
		v.flags(c, fs)
	}
	var all []*flag.Flag
	fs.VisitAll(func(f *flag.Flag) { all = append(all, f) })
	return all
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// wordsAfter lists what can follow a verb without a dash.
func wordsAfter(v verb) []string {
	switch v.name {
	case "import":
		return []string{"compose", "kubernetes", "backstage", "systemd", "resilience-hub"}
	case "completion":
		return []string{"bash", "zsh", "fish"}
	case "help":
		var names []string
		for _, v := range verbs() {
			names = append(names, v.name)
		}
		return names
	}
	return nil
}

func bashScript(b *strings.Builder) {
	var names []string
	for _, v := range verbs() {
		names = append(names, v.name)
	}
	b.WriteString(`# bash completion for depgraph
_depgraph() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb= word
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in
`)
	fmt.Fprintf(b, "      %s) verb=$word; break ;;\n    esac\n  done\n", strings.Join(names, "|"))
	b.WriteString(`  case "$prev" in
    --fail-on) COMPREPLY=($(compgen -W "error warn info none" -- "$cur")); return ;;
    -f|--format)
      case "$verb" in
`)
	for _, v := range verbs() {
		if len(v.formats) > 0 {
			fmt.Fprintf(b, "        %s) COMPREPLY=($(compgen -W %q -- \"$cur\")) ;;\n", v.name, strings.Join(v.formats, " "))
		}
	}
	b.WriteString(`      esac
      return ;;
    -d|-o|--config|--baseline|--observed|--names|--rule|--list|--state|--proof) COMPREPLY=($(compgen -f -- "$cur")); return ;;
  esac
  case "$verb" in
`)
	fmt.Fprintf(b, "    '') COMPREPLY=($(compgen -W %q -- \"$cur\")) ;;\n", strings.Join(names, " "))
	for _, v := range verbs() {
		words := wordsAfter(v)
		for _, f := range flagsOf(v) {
			words = append(words, dashed(f.Name))
		}
		fmt.Fprintf(b, "    %s) COMPREPLY=($(compgen -W %q -- \"$cur\")) ;;\n", v.name, strings.Join(words, " "))
	}
	b.WriteString("  esac\n}\ncomplete -o default -F _depgraph depgraph\n")
}

func zshScript(b *strings.Builder) {
	b.WriteString("#compdef depgraph\n_depgraph() {\n  local verb word\n  for word in ${words[2,CURRENT-1]}; do\n    case $word in\n      ")
	var names []string
	for _, v := range verbs() {
		names = append(names, v.name)
	}
	fmt.Fprintf(b, "%s) verb=$word; break ;;\n    esac\n  done\n  if [[ -z $verb ]]; then\n    local -a verbs=(\n", strings.Join(names, "|"))
	for _, v := range verbs() {
		fmt.Fprintf(b, "      %s\n", singleQuoted(v.name+":"+v.summary))
	}
	b.WriteString("    )\n    _describe verb verbs\n    return\n  fi\n  local -a options\n  case $verb in\n")
	for _, v := range verbs() {
		fmt.Fprintf(b, "    %s) options=(", v.name)
		for _, w := range wordsAfter(v) {
			fmt.Fprintf(b, " %s", w)
		}
		for _, f := range flagsOf(v) {
			_, usage := flag.UnquoteUsage(f)
			fmt.Fprintf(b, " %s", singleQuoted(dashed(f.Name)+":"+usage))
		}
		b.WriteString(" ) ;;\n")
	}
	b.WriteString("  esac\n  _describe option options\n  _files\n}\ncompdef _depgraph depgraph\n")
}

func fishScript(b *strings.Builder) {
	b.WriteString("# fish completion for depgraph\n")
	for _, v := range verbs() {
		fmt.Fprintf(b, "complete -c depgraph -n __fish_use_subcommand -a %s -d %s\n", v.name, singleQuoted(v.summary))
		for _, w := range wordsAfter(v) {
			fmt.Fprintf(b, "complete -c depgraph -n '__fish_seen_subcommand_from %s' -a %s\n", v.name, w)
		}
		for _, f := range flagsOf(v) {
			kind := "-l"
			if len(f.Name) == 1 {
				kind = "-s"
			}
			_, usage := flag.UnquoteUsage(f)
			fmt.Fprintf(b, "complete -c depgraph -n '__fish_seen_subcommand_from %s' %s %s -d %s\n", v.name, kind, f.Name, singleQuoted(usage))
		}
	}
}

func singleQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'" }
