package wasmrule

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// childVariable marks the process that runs a rule.
const childVariable = "FAILOPEN_WASM_RULE"

// Child runs a rule and ends the process, if this process was started for
// that; otherwise it returns at once. Call it first thing in main.
//
// It is decided by an environment variable, which this package sets for its own children and
// which has no use for anybody else: a program started with it waits for an order and ends.
func Child() {
	if os.Getenv(childVariable) == "" {
		return
	}
	child(os.Stdin, os.Stdout)
	os.Exit(0)
}

// host is the process around one rule.
//
// Its methods end the process, so none of them is called in the parent.
type host struct {
	out *bufio.Writer
}

// say writes one line at once, since the next moment may be the last.
func (h *host) say(line string) {
	fmt.Fprintln(h.out, line)
	_ = h.out.Flush() // nobody is left to tell
}

// end writes the answer and ends the process, wherever the rule is.
func (h *host) end(a answer) {
	line, err := json.Marshal(a)
	if err != nil {
		line = []byte(`{"error":"the answer cannot be written"}`)
	}
	h.say(string(line))
	os.Exit(0)
}

// failf answers with an error.
func (h *host) failf(format string, args ...any) {
	h.end(answer{Error: fmt.Sprintf(format, args...)})
}

// child reads an order, the module and the graph from in, in this order, writes stages
// and an answer to out, and does not return. It is bounded before it reads what it does
// not trust: the parent's deadline, a clock of its own, the life of the parent, and the
// limits of the system.
func child(in io.Reader, out io.Writer) {
	h := &host{out: bufio.NewWriter(out)}
	rd := bufio.NewReader(in)
	head, err := rd.ReadBytes('\n')
	var o order
	if err == nil {
		err = json.Unmarshal(head, &o)
	}
	if err != nil {
		h.failf("the process of the rule was not told what to do: %v", err)
	}
	// The parent kills this process at the deadline. Should the parent be gone,
	// this process ends by itself.
	time.AfterFunc(o.Deadline+5*time.Second, func() { os.Exit(1) })
	go watch(os.Getppid, func() { os.Exit(1) })
	limitProcess(o.Memory, o.Deadline)
	debug.SetMemoryLimit(o.Memory + 512<<20)
	module := make([]byte, o.Module)
	if _, err := io.ReadFull(rd, module); err != nil {
		h.failf("the process of the rule got no module: %v", err)
	}
	graph, err := io.ReadAll(rd)
	if err != nil {
		h.failf("the process of the rule got no graph: %v", err)
	}
	h.run(context.Background(), o, module, graph)
}

// watch calls gone once this process has another parent than at first, which
// happens on Unix when the first one dies. Elsewhere the deadline has to do.
func watch(parent func() int, gone func()) {
	first := parent()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if parent() != first {
			gone()
			return
		}
	}
}

// run runs the rule. If that fails before it has begun, or the runtime itself
// does, the compiled module may be broken that a cache had: it is thrown away,
// and the rule compiled anew.
//
// A cache is a convenience; the only thing that it must never do is to change an answer.
func (h *host) run(ctx context.Context, o order, module, graph []byte) {
	a, suspect := h.attempt(ctx, o, module, graph)
	// Suspect is what a good module cannot cause, or what compiling anew can mend.
	// Once: the second answer counts.
	if suspect && o.Cache != "" {
		_ = os.RemoveAll(o.Cache) // what stays is not used
		o.Cache = ""
		a, _ = h.attempt(ctx, o, module, graph)
	}
	h.end(a)
}

// attempt compiles and runs the rule once.
//
// suspect says that another attempt without the cache may succeed. Errors of the rule itself
// are never suspect: they would be the same again.
func (h *host) attempt(ctx context.Context, o order, module, graph []byte) (a answer, suspect bool) {
	failf := func(format string, args ...any) answer { return answer{Error: fmt.Sprintf(format, args...)} }
	// A compiled module is code that is run: one that was damaged on disk can break the
	// runtime anywhere.
	defer func() {
		if p := recover(); p != nil {
			a, suspect = failf("the WebAssembly runtime failed: %v", p), true
		}
	}()
	config := wazero.NewRuntimeConfig().WithMemoryLimitPages(uint32(o.Memory >> 16))
	if cache := openCache(o.Cache); cache != nil {
		config = config.WithCompilationCache(cache)
	}
	r := wazero.NewRuntimeWithConfig(ctx, config)
	defer r.Close(ctx)
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, r); err != nil {
		return failf("the WebAssembly runtime failed: %v", err), true
	}
	// The stage is said before it begins, so that the parent can tell where a process
	// was that it had to kill.
	h.say(compiling)
	compiled, err := r.CompileModule(ctx, module)
	if err != nil {
		return failf("cannot be compiled: %s", oneLine(err)), true
	}
	prune(o.Cache)
	if _, ok := compiled.ExportedFunctions()["_start"]; !ok {
		return failf("exports no _start; compile it as a WASI command, not as a library"), false
	}
	h.say(running)
	// The code of a rule cannot be preempted. A collection would wait for it for
	// ever if it loops, and every timer of this process with it.
	runtime.GC()
	debug.SetGCPercent(-1) // the memory limit still holds
	output := &capped{left: maxOutput, over: func() { h.failf("wrote more than %d MiB", maxOutput>>20) }}
	stderr := &bounded{left: 4096, quiet: true}
	// Nothing else is set: no file system, no environment, a clock that stands
	// still, random numbers that repeat, and a sleep that takes no time.
	_, err = r.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().
		WithName("").WithArgs("rule").WithStdin(bytes.NewReader(graph)).WithStdout(output).WithStderr(stderr))
	var exit *sys.ExitError
	switch {
	case err == nil, errors.As(err, &exit) && exit.ExitCode() == 0:
		return answer{Output: output.Bytes()}, false
	case exit != nil:
		return failf("ended with exit code %d%s", exit.ExitCode(), lastLine(stderr.String())), false
	case strings.Contains(err.Error(), "not instantiated") || strings.Contains(err.Error(), "not exported in module"):
		return failf("needs more than WASI preview 1: %s", oneLine(err)), false
	}
	return failf("trapped: %s%s", oneLine(err), lastLine(stderr.String())), false
}

// capped calls over instead of taking more than it may.
//
// Unlike bounded it runs in the child, where ending the process is the way to stop a rule.
type capped struct {
	bytes.Buffer
	left int
	over func()
}

// Write takes all of p or none; over ends the process, so a rule that floods is stopped
// at once.
func (c *capped) Write(p []byte) (int, error) {
	if c.left -= len(p); c.left < 0 {
		c.over()
		return 0, errors.New("too much output")
	}
	return c.Buffer.Write(p)
}

// oneLine is the first line of an error, without the stack of the module.
func oneLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	line = strings.TrimSuffix(line, " (recovered by wazero)")
	if _, reason, ok := strings.Cut(line, "function[_start] failed: "); ok {
		line = strings.TrimPrefix(reason, "wasm error: ")
	}
	return short(line)
}

// lastLine is what a program says before it gives up.
//
// A rule in another language usually says the reason last.
func lastLine(s string) string {
	lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' })
	for _, line := range lines { // Go's runtime says the reason first, then where
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return ": " + short(line)
		}
	}
	if len(lines) == 0 {
		return ""
	}
	line := lines[len(lines)-1]
	return ": " + short(line)
}

// openCache returns nil where there can be no cache: the rule is compiled then.
func openCache(dir string) wazero.CompilationCache {
	if dir == "" || os.MkdirAll(dir, 0o700) != nil {
		return nil
	}
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil
	}
	return cache
}

// maxCached is how many compiled modules are kept; one of a rule in Go has
// about 10 MiB.
const maxCached = 32

// prune removes the oldest files of the cache. What cannot be removed stays:
// a cache that is too large is no reason to fail.
func prune(dir string) {
	if dir == "" {
		return
	}
	type entry struct {
		name string
		at   time.Time
	}
	var all []entry
	_ = filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			all = append(all, entry{name, info.ModTime()})
		}
		return nil
	})
	slices.SortFunc(all, func(a, b entry) int { return b.at.Compare(a.at) })
	for _, e := range all[min(len(all), maxCached):] {
		_ = os.Remove(e.name)
	}
}
