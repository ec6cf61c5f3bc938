package wasmrule

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/failopen/failopen/depgraph"
)

// Interface is the version of what a rule reads and writes. The package's comment says what
// is promised of it.
const Interface = 1

// The bounds of a rule, unless Options says otherwise.
const (
	DefaultTimeout   = 60 * time.Second // a rule in Go takes some seconds to compile the first time
	DefaultMemory    = 256 << 20
	DefaultMaxModule = 16 << 20

	maxOutput   = 16 << 20
	maxFindings = 10_000
	maxMessage  = 2_000
)

// Options bounds a rule. The zero value has the defaults.
//
// Options are copied; nothing of it is read again but the environment of the process.
type Options struct {
	// Timeout bounds compiling and running together, for each check.
	Timeout time.Duration
	// Memory bounds the memory of the rule itself, in bytes. The process around
	// it may use about a gigabyte more, to compile.
	Memory int64
	// MaxModule is the size above which a module is refused.
	MaxModule int64
	// CacheDir keeps compiled modules in a folder wasm-rules of its own, so that
	// a rule is compiled once. Default: failopen in os.UserCacheDir; "-" keeps
	// none.
	CacheDir string
	// Graph writes the graph as JSON. It is required; report.GraphJSON is meant.
	Graph func(io.Writer, *depgraph.Graph) error
	// Command starts a program that calls Child. Default: this program.
	Command []string
}

var ruleName = regexp.MustCompile(`^[a-z][a-z0-9._-]{0,63}$`)

// Load reads a module and returns it as a rule, named after its file. The rule
// may be run by several goroutines. A file that cannot be read is an error; one
// that holds no rule is a rule that fails, so that the others are run.
//
// The module is read here and kept in memory, so a file that changes later changes nothing.
// Each check starts a process of its own: rules share no memory with the program, nor with
// each other.
func Load(path string, o Options) (depgraph.Rule, error) {
	o.Timeout, o.Memory, o.MaxModule = cmp.Or(o.Timeout, DefaultTimeout), cmp.Or(o.Memory, DefaultMemory), cmp.Or(o.MaxModule, DefaultMaxModule)
	switch {
	case o.Timeout < 0:
		return depgraph.Rule{}, fmt.Errorf("wasmrule: Options.Timeout is %s", o.Timeout)
	case o.Memory < 1<<20 || o.Memory > 4<<30:
		return depgraph.Rule{}, fmt.Errorf("wasmrule: Options.Memory is %d bytes; it is between 1 MiB and 4 GiB", o.Memory)
	case o.Graph == nil:
		return depgraph.Rule{}, errors.New("wasmrule: Options.Graph is missing")
	}
	name := strings.ToLower(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)))
	if !ruleName.MatchString(name) {
		return depgraph.Rule{}, fmt.Errorf("%s: the name of the file becomes that of the rule, and takes letters, digits and . _ - only", path)
	}
	module, refused, err := readModule(path, o.MaxModule)
	if err != nil {
		return depgraph.Rule{}, fmt.Errorf("%s: %w", path, err)
	}
	return depgraph.Rule{
		Name: name, Severity: depgraph.Warn, Summary: "a rule in WebAssembly, " + filepath.Base(path),
		Check: func(ctx context.Context, g *depgraph.Graph) ([]depgraph.Finding, error) {
			if refused != nil {
				return nil, refused
			}
			return run(ctx, module, g, o)
		},
	}, nil
}

// readModule reads a module of at most limit bytes. What cannot be read is an error of
// the call; what was read and is no rule, or is too large for one, is refused, and told
// as the finding of that rule, so that the other rules are run.
func readModule(path string, limit int64) (module []byte, refused, err error) {
	info, err := os.Stat(path)
	if err != nil {
		var pathErr *os.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err
		}
		return nil, nil, fmt.Errorf("cannot read: %w", err)
	}
	tooLarge := fmt.Errorf("is too large: %d MiB, and a rule may have %d", info.Size()>>20, max(1, limit>>20))
	switch {
	case !info.Mode().IsRegular():
		return nil, nil, errors.New("is not a regular file")
	case info.Size() > limit:
		return nil, tooLarge, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	module, err = io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, nil, err
	case int64(len(module)) > limit:
		return nil, tooLarge, nil
	case !bytes.HasPrefix(module, []byte("\x00asm")), len(module) < 8:
		return nil, errors.New("is not a WebAssembly module"), nil
	case module[6] != 0: // the layer: 0 of a module, 1 of a component
		return nil, errors.New("is a WebAssembly component; a rule is a core module for WASI preview 1"), nil
	}
	return module, nil, nil
}

// order is the first line that the child reads; the module and the graph
// follow.
//
// Both ends are this package in one program, so the form may change with every version.
type order struct {
	Deadline time.Duration `json:"deadline"`
	Memory   int64         `json:"memory"`
	Cache    string        `json:"cache"`
	Module   int           `json:"module"`
}

// answer is the last line that the child writes.
//
// One of the two is set.
type answer struct {
	Error  string `json:"error,omitempty"`
	Output []byte `json:"output,omitempty"`
}

// run starts a child for one check and judges what comes back.
//
// It returns when the process is gone: at its end, at the deadline, or when ctx ends. The
// process gets what it needs on its standard input, and nothing on its command line or in
// its environment that a list of processes would show.
func run(ctx context.Context, module []byte, g *depgraph.Graph, o Options) ([]depgraph.Finding, error) {
	var graph bytes.Buffer
	if err := o.Graph(&graph, g); err != nil {
		return nil, err
	}
	// The clock begins once the graph is written: that is our time, not the rule's.
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	head, err := json.Marshal(order{o.Timeout, o.Memory, cacheDir(o.CacheDir), len(module)})
	if err != nil {
		return nil, err
	}
	argv := o.Command
	if len(argv) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		argv = []string{self}
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(childEnv(), childVariable+"=1")
	cmd.Stdin = io.MultiReader(bytes.NewReader(append(head, '\n')), bytes.NewReader(module), &graph)
	cmd.WaitDelay = 2 * time.Second
	// The answer is in base64, which takes a third more than the output.
	out, errs := &bounded{left: 2 * maxOutput}, &bounded{left: 64 << 10, quiet: true}
	cmd.Stdout, cmd.Stderr = out, errs
	defer tie(cmd)()
	runErr := cmd.Run()
	return judge(ctx, runErr, out, errs, o, g)
}

// childEnv is what a process needs to start at all, and the settings of the race
// detector, without which each child of a test waits for a second at its end.
func childEnv() (env []string) {
	for _, name := range []string{"SYSTEMROOT", "TMPDIR", "TMP", "TEMP", "GORACE"} {
		if v := os.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// cacheDir is where compiled modules are kept, or "" for nowhere: "-" asks for none,
// and "" means a folder of the user's cache.
func cacheDir(dir string) string {
	if dir == "-" {
		return ""
	}
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "" // it is compiled every time
		}
		dir = filepath.Join(base, "failopen")
	}
	return filepath.Join(dir, "wasm-rules") // our own, as files in it are removed
}

// bounded keeps the beginning of what is written to it. It fails its writer
// beyond that, unless it is quiet.
//
// It is written by one goroutine of os/exec, and read after the process has ended.
type bounded struct {
	bytes.Buffer
	left  int
	quiet bool
	full  bool
}

// Write keeps what there is room for. A quiet one takes the rest without a word; else
// the process that writes gets an error, and dies of it.
func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.left)
	b.left -= n
	b.Buffer.Write(p[:n])
	if n == len(p) {
		return n, nil
	}
	b.full = true
	if b.quiet {
		return len(p), nil
	}
	return n, errors.New("too much output")
}

// stages are the lines by which the child says where it is.
const (
	compiling = "compiling"
	running   = "running"
)

// judge turns what a child left behind into findings or the reason why there are none,
// in this order: its own words, then the deadline, the caller's context, and what
// its death looks like. The stage says whether the rule had begun.
//
// What the process wrote to its standard error is used for one line of a message, cut, as a
// rule can write there what it likes.
func judge(ctx context.Context, runErr error, out, errs *bounded, o Options, g *depgraph.Graph) ([]depgraph.Finding, error) {
	stage, last := "starting", ""
	sc := bufio.NewScanner(&out.Buffer)
	sc.Buffer(nil, 2*maxOutput+1024)
	for sc.Scan() {
		switch line := sc.Text(); line {
		case compiling, running:
			stage = line
		default:
			last = line
		}
	}
	var a answer
	answered := last != "" && json.Unmarshal([]byte(last), &a) == nil
	switch {
	case answered && a.Error != "":
		return nil, errors.New(a.Error)
	case answered && runErr == nil:
		return findings(a.Output, g)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fmt.Errorf("did not end within %s (%s)", o.Timeout, stage)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case outOfMemory(errs.String()):
		return nil, fmt.Errorf("the process ran out of memory (%s); the rule may have %d MiB", stage, o.Memory>>20)
	case strings.Contains(errs.String(), "SIGSEGV"):
		// What Go's runtime does when the system refuses it memory in the wrong
		// place; no code of a rule's can cause it.
		return nil, fmt.Errorf("the process crashed (%s), as one does that gets no memory; the rule may have %d MiB%s", stage, o.Memory>>20, firstLine(errs.String()))
	case runErr != nil:
		return nil, fmt.Errorf("the process of the rule failed (%s): %w%s", stage, runErr, firstLine(errs.String()))
	}
	return nil, errors.New("the process of the rule gave no answer; does the program call wasmrule.Child first?")
}

// outOfMemory recognizes how Go's runtime, the system's allocator and the race detector end
// a process that gets no memory.
func outOfMemory(stderr string) bool {
	return strings.Contains(stderr, "out of memory") || strings.Contains(stderr, "cannot allocate memory") ||
		strings.Contains(stderr, "failed to allocate") // the race detector
}

// firstLine is the first line of a text with a colon before it, to be put behind an
// error; "" if there is none.
func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	if line == "" {
		return ""
	}
	return ": " + short(line)
}

// maxLine is how many bytes of a line from a rule's process a message shows.
const maxLine = 300

// short cuts a line between two letters.
func short(line string) string {
	if len(line) <= maxLine {
		return line
	}
	cut := maxLine
	for cut > 0 && !utf8.RuneStart(line[cut]) {
		cut--
	}
	return line[:cut]
}

// reply is what a rule writes.
type reply struct {
	Interface *int           `json:"interface"`
	Findings  []replyFinding `json:"findings"`
}

// replyFinding is one finding as a rule writes it; what is left out is that of the rule.
type replyFinding struct {
	Service  string      `json:"service"`
	Message  string      `json:"message"`
	Fix      string      `json:"fix"`
	Severity string      `json:"severity"`
	Edges    []replyEdge `json:"edges"`
}

// replyEdge names a dependency of the graph. Of several between two services it is the
// first.
type replyEdge struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// findings reads the output of a rule. It is all or nothing: a rule that gets
// the form wrong somewhere may have got anything wrong.
func findings(output []byte, g *depgraph.Graph) ([]depgraph.Finding, error) {
	if len(bytes.TrimSpace(output)) == 0 {
		return nil, errors.New(`wrote nothing; a rule without findings writes {"interface": 1, "findings": []}`)
	}
	dec := json.NewDecoder(bytes.NewReader(output))
	dec.DisallowUnknownFields()
	var r reply
	if err := dec.Decode(&r); err != nil {
		return nil, fmt.Errorf("its output is not of interface %d: %w", Interface, err)
	}
	if dec.More() {
		return nil, errors.New("its output continues after the end of the JSON object")
	}
	switch {
	case r.Interface == nil:
		return nil, fmt.Errorf(`its output does not say "interface": %d`, Interface)
	case *r.Interface != Interface:
		return nil, fmt.Errorf("its output is of interface %d; this program reads %d", *r.Interface, Interface)
	case len(r.Findings) > maxFindings:
		return nil, fmt.Errorf("wrote %d findings; at most %d are taken", len(r.Findings), maxFindings)
	}
	found := make([]depgraph.Finding, len(r.Findings))
	for i := range r.Findings {
		if err := r.Findings[i].convert(&found[i], g); err != nil {
			return nil, fmt.Errorf("finding %d: %w", i+1, err)
		}
	}
	return found, nil
}

// convert checks one finding against the graph, and fills it in. Services, edges and
// severities that there are not are errors: a rule that names them looked at something
// else.
//
// Names from the rule are quoted and cut in errors; the reports escape the messages.
func (r *replyFinding) convert(f *depgraph.Finding, g *depgraph.Graph) error {
	switch {
	case strings.TrimSpace(r.Message) == "":
		return errors.New("the message is empty")
	case len(r.Message) > maxMessage || len(r.Fix) > maxMessage:
		return fmt.Errorf("a text is longer than %d bytes", maxMessage)
	case !g.Has(r.Service):
		return fmt.Errorf("there is no service %.100q", r.Service)
	}
	f.Service, f.Message, f.Fix = r.Service, r.Message, r.Fix
	if r.Severity != "" {
		s, err := depgraph.ParseSeverity(r.Severity)
		if err != nil || s == depgraph.Off {
			return fmt.Errorf("severity %.40q is not one of info, warn, error", r.Severity)
		}
		f.Severity = s
	}
	for _, ref := range r.Edges {
		found := false
		for _, e := range g.EdgesFrom(ref.From) {
			if e.To == ref.To {
				f.Edges = append(f.Edges, e)
				found = true
				break
			}
		}
		if !found {
			return fmt.Errorf("there is no dependency %.100q -> %.100q", ref.From, ref.To)
		}
	}
	if len(f.Edges) > 0 {
		f.At = f.Edges[0].At
	} else if s, ok := g.Service(r.Service); ok {
		f.At = s.At
	}
	return nil
}
