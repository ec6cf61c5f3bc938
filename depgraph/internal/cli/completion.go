package cli

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

// Shells are those for which there is a completion script.
func Shells() []string { return []string{"bash", "zsh", "fish"} }

// Completion writes a script for a shell; an unknown one is a [UsageError].
//
// Names, flags and words of the table are the program's own and need no escaping
// but that of summaries, which are between single quotes; see [quoted]. What is
// completed is: verbs, the words and flags of a verb, and the values of a flag
// that takes one of a few; for all other values and arguments, names of files.
func (p *Program) Completion(w io.Writer, shell string) error {
	script, ok := map[string]func(*strings.Builder){"bash": p.bash, "zsh": p.zsh, "fish": p.fish}[shell]
	if !ok {
		return Usagef("completion: %q is not one of %s", shell, strings.Join(Shells(), ", "))
	}
	var b strings.Builder
	script(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// verbs are the rows that a script tells apart: those of the table after one
// without a name, which stands for a command line that has no verb yet.
func (p *Program) verbs() []Verb {
	return append([]Verb{{Words: p.Names(), Flags: p.Flags}}, p.Verbs...)
}

// flags lists the flags of a verb, by name.
func (v Verb) flags() (all []*flag.Flag) {
	if v.Flags != nil {
		v.Flags.VisitAll(func(f *flag.Flag) { all = append(all, f) })
	}
	return all
}

// values says what follows a flag: one of words, or, if words is nil, anything
// else, for which the shells offer files; nothing after a flag that is a switch.
func (p *Program) values(v Verb, f *flag.Flag) (words []string, takes bool) {
	if s, ok := f.Value.(interface{ IsBoolFlag() bool }); ok && s.IsBoolFlag() {
		return nil, false
	}
	if f.Name == "f" || f.Name == "format" {
		return v.Formats, true
	}
	return p.Words[f.Name], true
}

// cases writes a line of a case statement on "verb:flag" for each list of values
// of each verb: the patterns, then what offer makes of the words.
func (p *Program) cases(b *strings.Builder, offer func(words string) string) {
	for _, v := range p.verbs() {
		patterns, order := map[string][]string{}, []string{}
		for _, f := range v.flags() {
			words, takes := p.values(v, f)
			if !takes {
				continue
			}
			list := strings.Join(words, " ")
			if patterns[list] == nil {
				order = append(order, list)
			}
			patterns[list] = append(patterns[list], v.Name+":"+FlagName(f))
		}
		for _, list := range order {
			fmt.Fprintf(b, "    %s) %s; return ;;\n", strings.Join(patterns[list], "|"), offer(list))
		}
	}
}

// head writes the beginning of a function that finds the verb among the words
// that array holds, into the variable verb.
func (p *Program) head(b *strings.Builder, array string) {
	fmt.Fprintf(b, "  for word in %s; do\n    case \"$word\" in\n      %s) verb=$word; break ;;\n    esac\n  done\n",
		array, strings.Join(p.Names(), "|"))
}

// bash writes the script for bash 3 and later. COMPREPLY left empty makes bash
// offer files, for which "-o default" asks.
func (p *Program) bash(b *strings.Builder) {
	fmt.Fprintf(b, "# bash completion for %[1]s\n_%[1]s() {\n  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb= word\n", p.Name)
	p.head(b, `"${COMP_WORDS[@]:1:COMP_CWORD-1}"`)
	b.WriteString("  case \"$verb:$prev\" in\n")
	p.cases(b, func(words string) string {
		if words == "" {
			return "COMPREPLY=()"
		}
		return fmt.Sprintf("COMPREPLY=($(compgen -W %q -- \"$cur\"))", words)
	})
	b.WriteString("  esac\n  case \"$verb\" in\n")
	for _, v := range p.verbs() {
		words := v.Words
		for _, f := range v.flags() {
			words = append(words[:len(words):len(words)], FlagName(f))
		}
		fmt.Fprintf(b, "    %q) COMPREPLY=($(compgen -W %q -- \"$cur\")) ;;\n", v.Name, strings.Join(words, " "))
	}
	fmt.Fprintf(b, "  esac\n}\ncomplete -o default -F _%[1]s %[1]s\n", p.Name)
}

// zsh writes the script for zsh, which shows each verb and flag with its
// description: "name:description", as _describe takes them.
func (p *Program) zsh(b *strings.Builder) {
	about := map[string]string{}
	for _, v := range p.Verbs {
		about[v.Name] = ":" + v.Summary
	}
	fmt.Fprintf(b, "#compdef %[1]s\n_%[1]s() {\n  local verb word\n  local -a options\n", p.Name)
	p.head(b, "${words[2,CURRENT-1]}")
	b.WriteString("  case \"$verb:${words[CURRENT-1]}\" in\n")
	p.cases(b, func(words string) string {
		if words == "" {
			return "_files"
		}
		return "compadd -- " + words
	})
	b.WriteString("  esac\n  case \"$verb\" in\n")
	for _, v := range p.verbs() {
		fmt.Fprintf(b, "    %q) options=(", v.Name)
		for _, w := range v.Words {
			fmt.Fprintf(b, " %s", quoted(w+about[w]))
		}
		for _, f := range v.flags() {
			_, usage := flag.UnquoteUsage(f)
			fmt.Fprintf(b, " %s", quoted(FlagName(f)+":"+usage))
		}
		b.WriteString(" ) ;;\n")
	}
	fmt.Fprintf(b, "  esac\n  _describe option options\n  [[ -n $verb ]] && _files\n}\ncompdef _%[1]s %[1]s\n", p.Name)
}

// fish writes the script for fish: a line for each verb, word and flag.
func (p *Program) fish(b *strings.Builder) {
	fmt.Fprintf(b, "# fish completion for %s\n", p.Name)
	for _, v := range p.verbs() {
		when := "__fish_use_subcommand"
		if v.Name != "" {
			fmt.Fprintf(b, "complete -c %s -n %s -a %s -d %s\n", p.Name, when, v.Name, quoted(v.Summary))
			when = quoted("__fish_seen_subcommand_from " + v.Name)
			for _, w := range v.Words {
				fmt.Fprintf(b, "complete -c %s -n %s -a %s\n", p.Name, when, w)
			}
		}
		for _, f := range v.flags() {
			kind, takes := "-l", ""
			if len(f.Name) == 1 {
				kind = "-s"
			}
			if words, ok := p.values(v, f); words != nil {
				takes = " -x -a " + quoted(strings.Join(words, " "))
			} else if ok {
				takes = " -r"
			}
			_, usage := flag.UnquoteUsage(f)
			fmt.Fprintf(b, "complete -c %s -n %s %s %s%s -d %s\n", p.Name, when, kind, f.Name, takes, quoted(usage))
		}
	}
}

// quoted is a text between single quotes, for all three shells: in none of them
// does anything but the quote itself end it. A backslash is an escape before a
// quote or another backslash in fish only, and no text of ours has one.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'" }
