package depgraph

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Running says how far each service is. What it does not name is down.
//
// ParseRunning makes one from what a tool prints; a program may make its own.
type Running map[string]RunState

// RunState is how far a service is in its start, in order.
type RunState uint8

// The states of a service.
const (
	IsDown    RunState = iota
	IsStarted          // launched; its own start is not over
	IsReady            // its own start is over: its health check passes
	IsServing          // and all that it needs at run time serves
	IsDone             // a job that has ended well; more than which nobody waits for
)

var runStateNames = []string{"down", "started", "ready", "serving", "done"}

// String returns down, started, ready, serving or done.
func (s RunState) String() string { return nameOf(runStateNames, int(s)) }

// ParseRunState is the inverse of RunState.String.
func ParseRunState(s string) (RunState, error) {
	for i, n := range runStateNames {
		if s == n {
			return RunState(i), nil
		}
	}
	return IsDown, notOneOf("state", runStateNames, s)
}

// ParseRunning reads who is up, in one of three forms: a list of names, each
// as far as anyone can wait for it; an object of names and states, where true
// means the same and false means down; or what "docker compose ps --all
// --format json" prints, one object a line. A container without a health check
// counts as serving once it runs.
//
// Several values may follow each other, and add up. An error names the line. A name that is
// in two states is one; of the containers of one service, the furthest counts.
func ParseRunning(data []byte) (Running, error) {
	r := Running{}
	dec := json.NewDecoder(bytes.NewReader(data))
	for documents := 0; ; documents++ {
		var raw json.RawMessage
		if err := dec.Decode(&raw); errors.Is(err, io.EOF) && documents > 0 {
			return r, nil
		} else if err != nil {
			return nil, fmt.Errorf("depgraph: who is running: line %d: %w", lineAt(data, dec.InputOffset(), err), cmp.Or(emptyIs(err), err))
		}
		if err := r.document(raw); err != nil {
			return nil, fmt.Errorf("depgraph: who is running: line %d: %w", lineAt(data, dec.InputOffset()-int64(len(raw)), nil), err)
		}
	}
}

// lineAt counts lines up to an offset, or to where the syntax is wrong.
func lineAt(data []byte, offset int64, err error) int {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		offset = max(offset, syntax.Offset)
	}
	return 1 + bytes.Count(data[:min(max(offset, 0), int64(len(data)))], []byte("\n"))
}

// emptyIs replaces the end of an empty input by words; nil for every other error.
func emptyIs(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the input is empty")
	}
	return nil
}

// errRunning is what everything gets that has none of the three forms.
var errRunning = errors.New("expected a list of names, an object of names and states, or the containers of docker compose ps")

// document takes one JSON value in whichever of the three forms it has. The forms are
// told apart by trying: a list of names, a list of containers, an object with a field
// "Service" as docker prints it, and else names with states.
//
// json.Unmarshal accepts a null inside a list of names as "", which set refuses.
func (r Running) document(raw json.RawMessage) error {
	// null would pass as an empty value of every form.
	if string(raw) == "null" {
		return errRunning
	}
	// The order matters: an empty list is a list of names, and an object is asked for
	// docker's field before it is taken for names, so a service called "Service" cannot
	// be told in that form.
	var names []string
	if json.Unmarshal(raw, &names) == nil {
		for _, n := range names {
			if err := r.set(n, IsDone); err != nil {
				return err
			}
		}
		return nil
	}
	var containers []composeContainer
	if json.Unmarshal(raw, &containers) == nil {
		for _, c := range containers {
			if err := r.container(c); err != nil {
				return err
			}
		}
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return errRunning
	}
	if _, ok := fields["Service"]; ok {
		var c composeContainer
		if err := json.Unmarshal(raw, &c); err != nil {
			return err
		}
		return r.container(c)
	}
	return r.object(raw)
}

// object reads names and states one by one: a map would hide a name that is
// there twice.
//
// raw is known to be a JSON object, so syntax cannot be at fault; values can.
func (r Running) object(raw json.RawMessage) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		var value any
		if err := dec.Decode(&value); err != nil {
			return err
		}
		name, _ := key.(string)
		state := IsDown
		switch v := value.(type) {
		case bool:
			if v {
				state = IsDone
			}
		case string:
			if state, err = ParseRunState(v); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		default:
			return fmt.Errorf("%s: expected true, false, or one of %s", name, strings.Join(runStateNames, ", "))
		}
		if err := r.set(name, state); err != nil {
			return err
		}
	}
	return nil
}

// set notes one that is named: it cannot be in two states.
func (r Running) set(name string, s RunState) error {
	if strings.TrimSpace(name) == "" {
		return errors.New("a name is empty")
	}
	if old, ok := r[name]; ok && old != s {
		return fmt.Errorf("%s is %s and %s", name, old, s)
	}
	r[name] = s
	return nil
}

// composeContainer is what "docker compose ps" says of a container, as far as it
// matters here. Names of fields are docker's.
type composeContainer struct {
	Service, State, Health string
	ExitCode               int
}

// container notes one. Of several of a service the furthest counts, and one
// that runs counts more than one that has ended: a job is not done while it
// runs again.
func (r Running) container(c composeContainer) error {
	if c.Service == "" {
		return errors.New("a container has no Service")
	}
	s := IsDown
	switch {
	case c.State == "running" && (c.Health == "" || c.Health == "healthy"):
		s = IsServing
	case c.State == "running":
		s = IsStarted
	case c.State == "exited" && c.ExitCode == 0:
		s = IsDone
	}
	// Not the order of the states: see above.
	rank := func(s RunState) int {
		return slices.Index([]RunState{IsDown, IsDone, IsStarted, IsReady, IsServing}, s)
	}
	if old, ok := r[c.Service]; !ok || rank(s) > rank(old) {
		r[c.Service] = s
	}
	return nil
}
