package dynamotest

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Unlucky makes a server do what DynamoDB may do and seldom does. All of it is
// within the service's contract, so a client that goes wrong under it is wrong:
// these are the bugs that otherwise take a year to show. The draws come from
// Seed, in the order of the requests: the same requests see the same bad luck.
//
// Probabilities are from 0, never, to 1, always.
type Unlucky struct {
	// Seed of the draws; 0 is as good as any other.
	Seed uint64

	// Stale lets an eventually consistent read answer with any state that
	// the item had within this time, its absence included; each item of a
	// batch, a Query or a Scan on its own.
	Stale time.Duration

	// Unprocessed is the probability with which a batch leaves a key or an
	// item for another request, though there is capacity.
	Unprocessed float64

	// LostAnswers is the probability with which a write happens and its
	// answer does not arrive: the connection is reset. A client that tries
	// again meets its own write.
	LostAnswers float64

	// Throttled is the probability with which an operation on one item is
	// answered with ProvisionedThroughputExceededException, as when other
	// keys have used up its partition.
	Throttled float64

	// Expired is the probability with which an operation on an item whose
	// time to live is over finds that it has just been deleted.
	Expired float64
}

// check refuses what is no probability, NaN included.
//
// The error names the field and what it may be.
func (u *Unlucky) check() error {
	for _, p := range []struct {
		name  string
		value float64
	}{{"Unprocessed", u.Unprocessed}, {"LostAnswers", u.LostAnswers}, {"Throttled", u.Throttled}, {"Expired", u.Expired}} {
		if !(p.value >= 0 && p.value <= 1) {
			return fmt.Errorf("dynamotest: Unlucky.%s is %v; want a probability from 0 to 1", p.name, p.value)
		}
	}
	if u.Stale < 0 {
		return fmt.Errorf("dynamotest: Unlucky.Stale is %v; want 0 or more", u.Stale)
	}
	return nil
}

// SetUnlucky switches the mode on, with the draws of u.Seed from their
// beginning, or off with nil. States from before cannot be read.
func (s *Server) SetUnlucky(u *Unlucky) error {
	if u != nil {
		if err := u.check(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.luck = nil
	if u != nil {
		s.luck = &luck{Unlucky: *u, random: rand.New(rand.NewPCG(u.Seed, 0))}
	}
	for _, t := range s.tables {
		t.history = nil
	}
	return nil
}

// luck is an Unlucky at work; nil is good luck. The server's lock is held in
// all of its methods.
type luck struct {
	Unlucky
	// random is PCG with the seed, which gives the same draws on all
	// machines and with all versions of Go.
	random *rand.Rand
}

// draw reports whether something of probability p happens.
// A probability of 0 draws nothing, so that switching one kind of bad luck off
// leaves the others' draws in their places.
func (l *luck) draw(p float64) bool { return p > 0 && l.random.Float64() < p }

func (l *luck) unprocessed() bool { return l != nil && l.draw(l.Unprocessed) }
func (l *luck) throttled() bool   { return l != nil && l.draw(l.Throttled) }

// version is a state that an item had until it was replaced.
type version struct {
	it item
	// until is when it was replaced, by the server's clock; it is nil for
	// "was not there".
	until time.Time
}

// remember keeps a state that is about to be replaced, for stale reads.
//
// The lock is held. Memory is bounded by the writes within Stale, and by a
// sweep of old keys that is paid by one write in many.
func (t *table) remember(l *luck, key string, now time.Time) {
	if l == nil || l.Stale == 0 {
		return
	}
	if t.history == nil {
		t.history = map[string][]version{}
	}
	if len(t.history) > 1000+2*len(t.items) { // of keys that nobody writes any more
		for k, states := range t.history {
			if len(recent(states, now.Add(-l.Stale))) == 0 {
				delete(t.history, k)
			}
		}
	}
	t.history[key] = append(recent(t.history[key], now.Add(-l.Stale)), version{t.items[key], now})
}

// recent drops the versions that no stale read may return any more; all are in
// the order of their times.
func recent(all []version, since time.Time) []version {
	for len(all) > 0 && all[0].until.Before(since) {
		all = all[1:]
	}
	return all
}

// read is what a read of a key finds.
//
// On an unlucky server an expired item may be deleted here, and an eventually
// consistent read may find any state within Stale, each as likely as the
// newest. The lock is held.
func (c *call) read(t *table, key string, consistent bool) item {
	l := c.server.luck
	if l == nil {
		return t.items[key]
	}
	if v := t.items[key][t.ttl]; v != nil && v.expired(c.now) && l.draw(l.Expired) {
		t.store(c, key, nil)
	}
	if consistent || l.Stale == 0 {
		return t.items[key]
	}
	states := recent(t.history[key], c.now.Add(-l.Stale))
	if i := l.random.IntN(len(states) + 1); i < len(states) {
		return states[i].it
	}
	return t.items[key]
}

// lose reports whether the answer to a write that has happened gets lost.
//
// It draws once for each write that has succeeded.
func (s *Server) lose(op string) bool {
	switch op {
	case "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems":
	default:
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.luck != nil && s.luck.draw(s.luck.LostAnswers)
}
