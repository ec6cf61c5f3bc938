package cache_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/cache/cachetest"
)

var modelOps = flag.Int("model.ops", 30_000, "operations of TestModel_unlucky_store in all")

// TestModel_unlucky_store lets three instances work at random on one store that
// has every kind of bad luck: reads that lag, writes that are denied, time out,
// or are done without an answer, items deleted early and late; and a local tier
// that evicts. Every value has a number that only grows, so it can be told:
//
//   - An instance never serves what it ended itself (by Invalidate, InvalidateTag,
//     Set or InvalidateAll, or by hearing "gone"), once that call has returned.
//   - No instance serves what another one ended, and could tell the store,
//     for longer than Stats.Bound.
//   - Errors are the origin's or the caller's own.
//   - The sources of all lookups add up, and nothing is left behind.
func TestModel_unlucky_store(t *testing.T) {
	setups := map[string]func(*cache.Options[string]){
		"plain":       nil,
		"local-ttl":   longLived,
		"stale":       func(o *cache.Options[string]) { o.StaleIfError, o.SoftTimeout = 2*time.Second, 2*time.Millisecond },
		"no-negative": func(o *cache.Options[string]) { o.NegativeTTL, o.StaleIfError = -1, 2*time.Second },
		"forgets-all": nil,
		"early":       func(o *cache.Options[string]) { o.EarlyRefresh, o.StaleIfError = 20, time.Second },
	}
	const seeds = 3
	for name, change := range setups {
		for seed := range uint64(seeds) {
			t.Run(fmt.Sprint(name, "/", seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := newModel(t, seed, newLuckless(), change)
					m.forgets = name == "forgets-all" // and then trusts the store no more for seconds
					m.run(*modelOps / seeds / len(setups))
				})
			})
		}
	}
}

// longLived has values that live for much longer than Stats.Bound.
func longLived(o *cache.Options[string]) {
	o.TTL, o.LocalTTL, o.LoadTimeout = time.Minute, 500*time.Millisecond, 100*time.Millisecond
}

const (
	modelKeys    = 12
	modelTagged  = 9 // of them have tags
	modelGroups  = 3
	modelDrivers = 6
)

// goneAt is the origin's "gone", with the number that it had then.
type goneAt struct{ number int }

func (goneAt) Error() string { return "gone" }
func (goneAt) Unwrap() error { return cache.ErrNotFound }

type model struct {
	t     *testing.T
	seed  uint64
	store unlucky
	nodes []*node

	forgets bool                     // with InvalidateAll
	turn    [modelKeys]chan struct{} // held while a key is changed

	mu     sync.Mutex
	failed bool // the origin
	state  [modelKeys]struct {
		number int // of the origin's value
		gone   bool
		told   []tolden
	}
}

// tolden is an ending that the store was told of: what is older than number.
type tolden struct {
	number int
	at     time.Time
}

type node struct {
	*cache.Cache[string]
	m       *model
	lookups int64
	floor   [modelKeys]int // older numbers are over here
}

func newModel(t *testing.T, seed uint64, store unlucky, change func(*cache.Options[string])) *model {
	m := &model{t: t, seed: seed, store: store}
	for k := range m.turn {
		m.turn[k] = make(chan struct{}, 1)
	}
	for range 3 {
		n := &node{m: m}
		o := cache.Options[string]{
			Name: "m", Store: m.store.open(t), Load: m.load, TTL: 2 * time.Second, NegativeTTL: 300 * time.Millisecond, MaxEntries: 3,
			Tags:         tagsOf,
			WriteTimeout: 30 * time.Millisecond, RemoteBudget: 10 * time.Millisecond, Cooldown: 50 * time.Millisecond, LoadTimeout: time.Second,
		}
		if change != nil {
			change(&o)
		}
		var err error
		if n.Cache, err = cache.New(o); err != nil {
			t.Fatal(err)
		}
		m.nodes = append(m.nodes, n)
	}
	return m
}

// tagsOf gives each key the tag of its group, and half of them another one.
func tagsOf(key, _ string) []string {
	var k int
	_, _ = fmt.Sscanf(key, "key%d", &k)
	if k >= modelTagged {
		return nil
	}
	return []string{fmt.Sprint("group ", k%modelGroups), fmt.Sprint("key ", k)}
}

func keyName(k int) string { return fmt.Sprint("key", k) }

func (m *model) load(_ context.Context, key string) (string, error) {
	var k int
	_, _ = fmt.Sscanf(key, "key%d", &k)
	m.mu.Lock()
	s, failed := m.state[k], m.failed
	m.mu.Unlock()
	idle(3 * time.Millisecond)
	switch {
	case failed:
		return "", errDown
	case s.gone:
		return "", goneAt{s.number}
	}
	return fmt.Sprint(s.number), nil
}

// weather changes the faults until ctx ends.
func (m *model) weather(ctx context.Context) {
	rnd := rand.New(rand.NewPCG(m.seed, 1))
	for ; ctx.Err() == nil; idle(time.Duration(20+rnd.IntN(200)) * time.Millisecond) {
		m.store.weather(rnd)
		m.mu.Lock()
		m.failed = rnd.IntN(5) == 0
		m.mu.Unlock()
	}
}

// unlucky is a store with bad luck.
type unlucky interface {
	open(t *testing.T) cache.Store // for one instance
	weather(rnd *rand.Rand)        // changes its faults
	calm()                         // ends them
}

// luckless is a cachetest.Store.
type luckless struct{ *cachetest.Store }

func newLuckless() luckless {
	s := luckless{new(cachetest.Store)}
	s.Lag(200 * time.Millisecond)
	return s
}

func (s luckless) open(*testing.T) cache.Store { return s.Store }
func (s luckless) calm()                       { s.Inject(nil) }

func (s luckless) weather(rnd *rand.Rand) {
	lost := func(ctx context.Context, _ cachetest.Op, _ string) error { // too late, and done all the same
		answer, cancel := context.WithTimeout(context.WithoutCancel(ctx), 45*time.Millisecond)
		defer cancel()
		<-answer.Done()
		return nil
	}
	slow := func(context.Context, cachetest.Op, string) error { idle(8 * time.Millisecond); return nil }
	writes := []cachetest.Fault{nil, nil, nil, slow, lost, denied, cachetest.Fail(errDown), cachetest.Hang, cachetest.Panic}
	reads := []cachetest.Fault{nil, nil, nil, nil, slow, cachetest.Fail(errDown), cachetest.Hang, cachetest.Goexit}
	s.Inject(writes[rnd.IntN(len(writes))], cachetest.Set)
	s.Inject(reads[rnd.IntN(len(reads))], cachetest.Get, cachetest.GetMany)
	s.Sweep(time.Duration(rnd.IntN(5)-2) * time.Second)
}

func (m *model) run(ops int) {
	ctx, clear := context.WithCancel(context.Background())
	go m.weather(ctx)
	var wg sync.WaitGroup
	for d := range modelDrivers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(m.seed, uint64(d+2)))
			for range ops / modelDrivers {
				m.step(rnd)
				idle(m.pace(rnd))
			}
		})
	}
	wg.Wait()
	clear()
	pass(time.Second)
	m.store.calm()
	m.failed = false
	pass(30 * time.Second)
	for i, n := range m.nodes {
		s := n.Stats()
		if sum := s.Local + s.Remote + s.Origin + s.Stale + s.Failed + s.Canceled; sum != n.lookups {
			m.t.Errorf("instance %d: %d results for %d lookups", i, sum, n.lookups)
		}
		if s.Owed != 0 || s.EndingsLost != 0 || s.Zombies != 0 || s.WritesQueued != 0 {
			m.t.Errorf("instance %d is not at rest: %+v", i, s)
		}
		if err := n.Close(context.Background()); err != nil {
			m.t.Errorf("Close: %v", err)
		}
	}
}

// pace is the time between two operations of one driver. Odd seeds are slow: what
// is ended is not ended again by something else before Bound is over.
func (m *model) pace(rnd *rand.Rand) time.Duration {
	if m.seed%2 == 1 {
		return time.Duration(rnd.IntN(800)) * time.Millisecond
	}
	return time.Duration(rnd.IntN(5)) * time.Millisecond
}

// step is one operation of one instance.
func (m *model) step(rnd *rand.Rand) {
	n, k := m.nodes[rnd.IntN(len(m.nodes))], rnd.IntN(modelKeys)
	op := rnd.IntN(100)
	if m.seed%2 == 1 && op >= 10 { // each key has one reader, which alone brings in what is new
		n = m.nodes[k%len(m.nodes)]
	}
	switch {
	case op < 3:
		m.change(k, rnd.IntN(3) == 0, func(int) (told, mine bool) { return n.Invalidate(bg, keyName(k)) == nil, true }, n)
	case op < 5:
		m.change(k, false, func(number int) (told, mine bool) {
			return false, n.Set(bg, keyName(k), fmt.Sprint(number)) == nil
		}, n)
	case op < 7:
		m.change(k, false, func(number int) (told, mine bool) {
			return n.SetThrough(bg, keyName(k), fmt.Sprint(number)) == nil, true
		}, n)
	case op < 8:
		m.changeTag(rnd.IntN(modelGroups), n)
	case op < 9: // the origin alone knows
		m.change(k, rnd.IntN(2) == 0, func(int) (told, mine bool) { return false, false }, n)
	case op < 10 && m.forgets:
		n.forgetAll()
	case op < 20:
		n.many(rnd)
	case op < 25: // whatever it is: counted once
		n.before(k, 1)
		n.LookupWith(bg, keyName(k), cache.LookupOptions{MaxAge: time.Duration(rnd.IntN(50)-5) * time.Millisecond, NoStale: rnd.IntN(2) == 0})
	default:
		ctx, cancel := context.Background(), context.CancelFunc(func() {})
		if rnd.IntN(5) == 0 {
			ctx, cancel = context.WithTimeout(ctx, time.Duration(rnd.IntN(8))*time.Millisecond)
		}
		before, began := n.before(k, 1), time.Now()
		r := n.Lookup(ctx, keyName(k))
		n.judge(ctx, k, r, before, began)
		cancel()
	}
}

// forgetAll ends every value that the origin does not have any more.
func (n *node) forgetAll() {
	n.m.mu.Lock()
	state := n.m.state
	n.m.mu.Unlock()
	n.InvalidateAll()
	n.m.mu.Lock()
	defer n.m.mu.Unlock()
	for k := range state {
		n.floor[k] = max(n.floor[k], state[k].number)
	}
}

// change gives a key its next number, and lets end tell an instance of it.
func (m *model) change(k int, gone bool, end func(number int) (told, mine bool), n *node) {
	m.changeMany([]int{k}, gone, func(numbers []int) (told, mine bool) { return end(numbers[0]) }, n)
}

// changeTag changes all keys of a group, with one InvalidateTag.
func (m *model) changeTag(group int, n *node) {
	var ks []int
	for k := group; k < modelTagged; k += modelGroups {
		ks = append(ks, k)
	}
	m.changeMany(ks, false, func([]int) (told, mine bool) {
		return n.InvalidateTag(bg, fmt.Sprint("group ", group)) == nil, true
	}, n)
}

// changeMany is change for several keys, in ascending order.
func (m *model) changeMany(ks []int, gone bool, end func(numbers []int) (told, mine bool), n *node) {
	numbers := make([]int, len(ks))
	for i, k := range ks {
		m.turn[k] <- struct{}{}
		defer func() { <-m.turn[k] }()
		m.mu.Lock()
		s := &m.state[k]
		s.number++
		s.gone = gone
		numbers[i] = s.number
		m.mu.Unlock()
	}
	told, mine := end(numbers)
	idle(time.Millisecond) // within one, two machines have no order
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, k := range ks {
		if told {
			m.state[k].told = append(m.state[k].told, tolden{numbers[i], time.Now()})
		}
		if mine {
			n.floor[k] = max(n.floor[k], numbers[i])
		}
	}
}

// before counts lookups that begin, and returns the floor of k.
func (n *node) before(k, lookups int) int {
	n.m.mu.Lock()
	defer n.m.mu.Unlock()
	n.lookups += int64(lookups)
	return n.floor[k]
}

func (n *node) many(rnd *rand.Rand) {
	ks := rnd.Perm(modelKeys)[:3]
	if n.m.seed%2 == 1 { // those that it reads
		for i := range ks {
			ks[i] = (ks[0] + i*len(n.m.nodes)) % modelKeys
		}
	}
	keys, floors := make([]string, 3), make([]int, 3)
	for i, k := range ks {
		keys[i], floors[i] = keyName(k), n.before(k, 1)
	}
	began := time.Now()
	results := n.LookupMany(bg, keys)
	for i, k := range ks {
		n.judge(bg, k, results[keys[i]], floors[i], began)
	}
}

// judge says whether an instance may give this result for a lookup that began
// then, when its floor was this.
func (n *node) judge(ctx context.Context, k int, r cache.Result[string], floor int, began time.Time) {
	m := n.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.Err != nil {
		var gone goneAt
		switch {
		case errors.As(r.Err, &gone):
			n.floor[k] = max(n.floor[k], gone.number)
		case errors.Is(r.Err, cache.ErrNotFound), errors.Is(r.Err, errDown), r.Err == ctx.Err():
		default:
			m.t.Errorf("Lookup(%d): %v", k, r.Err)
		}
		return
	}
	var number int
	if _, err := fmt.Sscan(r.Value, &number); err != nil || number > m.state[k].number {
		m.t.Errorf("Lookup(%d) = %q, of %d", k, r.Value, m.state[k].number)
		return
	}
	if number < floor {
		m.t.Errorf("Lookup(%d) = %d from %v, age %v: this instance ended everything before %d", k, number, r.Source, r.Age, floor)
	}
	for _, e := range m.state[k].told {
		if since := began.Sub(e.at); e.number > number && since > n.Stats().Bound {
			m.t.Errorf("Lookup(%d) = %d from %v, age %v: the store was told that this is over (by %d) %v ago", k, number, r.Source, r.Age, e.number, since)
			return
		}
	}
}
