package reference

import (
	"sync"
	"time"
)

// logTimes knows how long log lines took, and when the machine stood still. The
// two are compared when somebody asks, since a stall is known only after it.
type logTimes struct {
	stood func(from, until time.Time) time.Duration // how long the machine stood still in between

	mu   sync.Mutex
	slow []logTime // the slowest
}

// logTime is one line's write, by the clock of time.Now.
type logTime struct{ began, ended time.Time }

// worthALook is what a log line takes at most when nothing is wrong; keepSlow
// how many of those above it are known; settled how long after one ended the
// stalls in it are known for certain.
const (
	worthALook = 20 * time.Millisecond
	keepSlow   = 1000
	settled    = 50 * time.Millisecond
)

// add notes a line that took long. Of more than keepSlow the longest are kept,
// which takes a look at each of them, but only for lines that are slow already.
func (l *logTimes) add(began, ended time.Time) {
	if ended.Sub(began) < worthALook {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.slow) < keepSlow {
		l.slow = append(l.slow, logTime{began, ended})
		return
	}
	shortest := 0
	for i, t := range l.slow {
		if t.ended.Sub(t.began) < l.slow[shortest].ended.Sub(l.slow[shortest].began) {
			shortest = i
		}
	}
	if t := l.slow[shortest]; ended.Sub(began) > t.ended.Sub(t.began) {
		l.slow[shortest] = logTime{began, ended}
	}
}

// longest is how long the slowest line took, without the time in which the
// machine stood still. The latest ones are left out until their stalls are
// known.
// It costs a look at keepSlow lines, and is asked once a second.
func (l *logTimes) longest() (d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.slow {
		if time.Since(t.ended) < settled {
			continue
		}
		d = max(d, t.ended.Sub(t.began)-l.stood(t.began, t.ended))
	}
	return d
}
