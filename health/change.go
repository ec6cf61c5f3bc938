package health

import (
	"context"
	"log/slog"
	"time"
)

// State is what OnChange is told.
type State struct {
	Live     bool   // the answer of /livez
	Started  bool   // Started was called
	Draining bool   // Drain was called
	Ready    bool   // the answer of /readyz
	Status   Status // of the report
}

// OnChange registers f, which is told the present State, before OnChange
// returns, and then each change of it. Calls of one f come one at a time and
// in order. If f is slower than the changes, it misses some between, never the
// last. It may call any method of p. A panic in f is contained and counted in
// the metrics.
//
// A watch that runs out is noticed by Run, within a second.
func (p *Process) OnChange(f func(State)) {
	if f == nil {
		return
	}
	p.mu.Lock()
	// busy from the start: this goroutine delivers the first state itself
	s := &subscriber{f: f, next: p.state(), pending: true, busy: true}
	if len(p.subscribers) == 0 {
		p.told = s.next
	}
	p.subscribers = append(p.subscribers, s)
	p.notice()
	p.mu.Unlock()
	p.deliver(s)
}

// subscriber is a callback of OnChange. Guarded by Process.mu.
type subscriber struct {
	f       func(State)
	next    State // what to tell it
	pending bool  // whether there is something to tell
	busy    bool  // whether a goroutine is telling it
}

// state is the present state. The caller holds p.mu.
func (p *Process) state() State {
	return State{
		Live: p.Live(), Started: p.started.Load(), Draining: p.draining.Load(), Ready: p.Ready(),
		Status: p.status(time.Now()),
	}
}

// changed writes the cause of a change to the log and tells the subscribers.
func (p *Process) changed(level slog.Level, cause string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log(level, cause, args...)
	p.notice()
}

// notice has the subscribers told if the state has changed. The caller holds
// p.mu.
func (p *Process) notice() {
	s := p.state()
	if s == p.told {
		return
	}
	p.told = s
	for _, sub := range p.subscribers {
		sub.next, sub.pending = s, true
		if !sub.busy {
			sub.busy = true
			go p.deliver(sub)
		}
	}
}

// deliver tells s until there is nothing new. It is the goroutine that s.busy
// stands for.
func (p *Process) deliver(s *subscriber) {
	for {
		p.mu.Lock()
		state := s.next
		// in one step under the lock: whoever sets pending after it sees that nobody is busy,
		// and starts a goroutine
		s.busy, s.pending = s.pending, false
		busy := s.busy
		p.mu.Unlock()
		if !busy {
			return
		}
		p.contain(func() { s.f(state) }, func() { go p.deliver(s) })
	}
}

// contain calls f. A panic in it is counted; after a runtime.Goexit, which
// ends this goroutine, it calls next.
func (p *Process) contain(f, next func()) {
	returned := false
	defer func() {
		if returned {
			return
		}
		p.mu.Lock()
		p.panics++
		p.mu.Unlock()
		// a Goexit, which cannot be stopped: the loop goes on elsewhere
		if recover() == nil {
			next()
		}
	}()
	f()
	returned = true
}

// journal holds the records that wait for the logger. Guarded by Process.mu.
type journal struct {
	records []slog.Record
	busy    bool  // whether a goroutine is writing
	lost    int64 // records, since there was no room
}

// journalSize is how many records wait for a logger.
// It bounds what a logger that blocks can hold; the records beyond it are counted.
const journalSize = 64

// log hands a record to the logger's goroutine. The caller holds p.mu.
func (p *Process) log(level slog.Level, text string, args ...any) {
	if p.Logger == nil {
		return
	}
	// the record is made here, with the time of the change and not that of the writing
	j := &p.journal
	if len(j.records) == journalSize {
		j.lost++
		return
	}
	r := slog.NewRecord(time.Now(), level, "health: "+text, 0)
	r.Add(args...)
	j.records = append(j.records, r)
	if !j.busy {
		j.busy = true
		go p.write()
	}
}

// write hands records to the logger until there are none. It is the goroutine
// that journal.busy stands for.
func (p *Process) write() {
	for {
		p.mu.Lock()
		records := p.journal.records
		p.journal.records = nil
		p.journal.busy = len(records) > 0
		p.mu.Unlock()
		if len(records) == 0 {
			return
		}
		p.contain(func() {
			ctx, h := context.Background(), p.Logger.Handler()
			for _, r := range records {
				if h.Enabled(ctx, r.Level) {
					_ = h.Handle(ctx, r) // what a logger cannot write it has to tell someone else
				}
			}
		}, func() { go p.write() })
	}
}
