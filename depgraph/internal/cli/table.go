package cli

import (
	"flag"
	"fmt"
	"strings"
)

// Program is the table from which suggestions and completion come. A program
// makes it from its own table of verbs, so that both know of a new verb or flag
// as soon as it has one.
type Program struct {
	Name  string
	Verbs []Verb              // in the order of the help
	Flags *flag.FlagSet       // what may stand before the verb; nil: nothing may
	Words map[string][]string // what a flag takes, by its name without dashes, if that is the same in every verb
}

// Verb is a row of the table: one thing that the program does.
type Verb struct {
	Name, Summary string
	Words         []string      // what may follow it beside flags; nil: names of files, or what nobody can know
	Formats       []string      // what its -f and --format take; nil: it has neither
	Flags         *flag.FlagSet // all of its flags
}

// Names lists the verbs, in the order of the table.
func (p *Program) Names() []string {
	names := make([]string, len(p.Verbs))
	for i, v := range p.Verbs {
		names[i] = v.Name
	}
	return names
}

// Suggest is the end of a message about a verb that there is not: which one a
// typing mistake might have meant, behind a separator, or "". The first of the
// table wins. Names of one or two letters are near to too many to be taken for any.
func (p *Program) Suggest(separator, name string) string {
	for _, v := range p.Verbs {
		if len(name) > 2 && (strings.HasPrefix(name, v.Name) || strings.HasPrefix(v.Name, name) || oneEdit(name, v.Name)) {
			return fmt.Sprintf("%sdid you mean %q?", separator, v.Name)
		}
	}
	return ""
}

// oneEdit reports whether a and b differ by one replaced, missing or additional
// letter, or by two neighbours that changed places: what fingers do. It compares
// bytes, since verbs are ASCII.
func oneEdit(a, b string) bool {
	for a != "" && b != "" && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	switch len(a) - len(b) {
	case 0:
		swapped := len(a) > 1 && a[0] == b[1] && a[1] == b[0] && a[2:] == b[2:]
		return swapped || a != "" && a[1:] == b[1:]
	case 1:
		return a[1:] == b
	case -1:
		return a == b[1:]
	}
	return false
}

// FlagName is a flag as its help and its completion write it: one dash before one
// letter, two before a word. Package flag takes either for both.
func FlagName(f *flag.Flag) string {
	if len(f.Name) == 1 {
		return "-" + f.Name
	}
	return "--" + f.Name
}

// Parse reads flags wherever they stand among the arguments, and returns the
// arguments that are none; all that follows "--" is. Package flag alone stops at
// the first: programs whose arguments are another program's want that.
func Parse(fs *flag.FlagSet, args []string) (words []string, err error) {
	for len(args) > 0 {
		if err := fs.Parse(args); err != nil {
			return words, err
		}
		read := args[:len(args)-fs.NArg()]
		args = fs.Args()
		if len(read) > 0 && read[len(read)-1] == "--" {
			return append(words, args...), nil
		}
		if len(args) > 0 {
			words, args = append(words, args[0]), args[1:]
		}
	}
	return words, nil
}

// List is a flag that may come several times. Commas are part of its values.
type List []string

func (l *List) String() string     { return strings.Join(*l, ",") }
func (l *List) Set(s string) error { *l = append(*l, s); return nil }
