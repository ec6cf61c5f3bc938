// Command logsink gives a log that never blocks to a program in any language,
// and looks after what a killed process left.
//
//	logsink run [flags] -- program [argument...]
//	logsink recover path...
//	logsink ls path...
//	logsink cat path...
//	logsink verify path...
//	logsink check [-spill dir] [-mapped file]
//
// As a container's entry point, "logsink run -- program" reads the program's
// standard output and error, line by line, and writes them to its own standard
// output through a [logsink.Sink]: the program does not notice when nobody reads
// the log. Signals reach the program, its exit status and its death by a signal
// are kept, and as process 1 it reaps orphans.
//
// The files: main.go has the table of commands; run_unix.go "run", from top to bottom;
// terminal_linux.go and exit_linux.go what it owes to a shell; leftovers.go the commands
// that look at what is left; check.go and check_linux.go "check".
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// command is a subcommand. Run returns the exit code.
//
// Args is the usage after the name, and about one sentence for people.
type command struct {
	name, args, about string
	run               func(c command, args []string, stdout, stderr io.Writer) int
}

// commands are the subcommands, in the order of help. A new one needs its function, a line in the package's comment, and
// a place in docs/guide.
var commands = []command{
	{"run", "[flags] -- program [argument...]", "run a program whose log cannot block it", runProgram},
	{"recover", "path...", "write what a process left in a mapped file or a spill directory to standard output, and take it out of there", recoverPaths},
	{"ls", "path...", "list what is left, without a change to it", list},
	{"cat", "path...", "write what is left to standard output, without a change to it", cat},
	{"verify", "path...", "check that what is left can be read, or, of a log with seals (-seal of run; - is standard input), that every line up to the last seal arrived; exit code 1 if not, also if the sink had to drop some", verify},
	{"check", "[-spill dir] [-mapped file]", "tell whether the log path of this machine can block a program; exit code 1 if it can", check},
}

// Exit codes of our own, as shells and env(1) have them. A command that checks something
// returns 1 when it is not well: damage, lines that are missing, a log that can block.
const (
	exitUsage    = 2
	exitCannot   = 126
	exitNotFound = 127
	exitSignal   = 128
)

func main() { os.Exit(dispatch(os.Args[1:], os.Stdout, os.Stderr)) }

// dispatch finds the command and returns its exit code.
// Without a command the usage goes to stdout, and the code says that it was wrong.
func dispatch(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 || slices.Contains([]string{"help", "-h", "-help", "--help"}, args[0]) {
		usage(stdout)
		if len(args) == 0 {
			return exitUsage
		}
		return 0
	}
	i := slices.IndexFunc(commands, func(c command) bool { return c.name == args[0] })
	if i < 0 {
		fmt.Fprintf(stderr, "logsink: there is no command %q; it is one of %s\n", args[0], strings.Join(names(), ", "))
		return exitUsage
	}
	return commands[i].run(commands[i], args[1:], stdout, stderr)
}

// names are those of the commands, in the order of the table.
func names() (all []string) {
	for _, c := range commands {
		all = append(all, c.name)
	}
	return all
}

// usage is the table for people.
func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: logsink command [arguments]")
	for _, c := range commands {
		fmt.Fprintf(w, "\n  logsink %s %s\n        %s\n", c.name, c.args, c.about)
	}
	fmt.Fprintln(w, "\n\"logsink run -h\" and \"logsink check -h\" list the flags.")
}

// flags makes the flag set of a command.
// What is wrong with a flag, and -h, is written to stderr by the flag package.
func (c command) flags(stderr io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprintf(stderr, "usage: logsink %s %s\n        %s\n", c.name, c.args, c.about)
		fs.PrintDefaults()
	}
	return fs
}

// parse parses flags. It reports false, and the exit code, if the command is
// over.
// A request for help is no error.
func parse(fs *flag.FlagSet, args []string) (code int, ok bool) {
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0, false
	case err != nil:
		return exitUsage, false
	}
	return 0, true
}

// paths parses the arguments of a command that takes nothing but paths.
// Ok is false, and code the exit code, if the command is over.
func (c command) paths(args []string, stderr io.Writer) (list []string, code int, ok bool) {
	fs := c.flags(stderr)
	if code, ok := parse(fs, args); !ok {
		return nil, code, false
	}
	if fs.NArg() == 0 {
		fs.Usage()
		return nil, exitUsage, false
	}
	return fs.Args(), 0, true
}
