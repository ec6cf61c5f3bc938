package health

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestMergePeers(t *testing.T) {
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	says := func(err error, peers ...Peer) func(context.Context) ([]Peer, error) {
		return func(context.Context) ([]Peer, error) { return peers, err }
	}
	down := errors.New("down")
	table := says(nil, Peer{ID: "a", Bad: true, Seen: at}, Peer{ID: "b", Seen: at})
	http := says(nil, Peer{ID: "c", Seen: at}, Peer{ID: "a", Seen: at.Add(time.Second)})
	for name, c := range map[string]struct {
		signals []func(context.Context) ([]Peer, error)
		want    string
		fails   bool
	}{
		"the newest of each": {[]func(context.Context) ([]Peer, error){table, http}, "a:false b:false c:false ", false},
		"one is down":        {[]func(context.Context) ([]Peer, error){says(down, Peer{ID: "old"}), table}, "a:true b:false ", false},
		"all are down":       {[]func(context.Context) ([]Peer, error){says(down), says(down)}, "", true},
		"one panics":         {[]func(context.Context) ([]Peer, error){func(context.Context) ([]Peer, error) { panic("x") }, table}, "a:true b:false ", false},
		"one exits":          {[]func(context.Context) ([]Peer, error){func(context.Context) ([]Peer, error) { runtime.Goexit(); return nil, nil }, table}, "a:true b:false ", false},
		"none":               {nil, "", false},
	} {
		list, err := MergePeers(c.signals...)(t.Context())
		got := ""
		for _, p := range list {
			got += fmt.Sprintf("%s:%v ", p.ID, p.Bad)
		}
		if got != c.want || (err != nil) != c.fails {
			t.Errorf("%s: %q, %v; want %q, fails %v", name, got, err, c.want, c.fails)
		}
	}
}

// A host that loses the table, and its heartbeats with it, leaves if it sees by
// another way that the others are well; in an outage of the table for all, nobody
// does.
func TestGuard_one_host_without_the_table(t *testing.T) {
	for name, c := range map[string]struct{ hosts, out int }{"one host": {1, 1}, "all": {5, 0}} {
		synctest.Test(t, func(t *testing.T) {
			var lost [5]atomic.Bool
			var all [5]*Process
			peer := func(i int) Peer {
				s := all[i].Self()
				return Peer{ID: s.ID, Bad: s.Bad, Out: s.Out, New: s.New, Seen: time.Now()}
			}
			others := func(me int) (list []Peer) {
				for i := range all {
					if i != me {
						list = append(list, peer(i))
					}
				}
				return list
			}
			for i := range all {
				table := func(context.Context) ([]Peer, error) {
					if lost[i].Load() {
						return nil, errors.New("denied")
					}
					return others(i), nil
				}
				http := func(context.Context) ([]Peer, error) { return others(i), nil }
				all[i] = &Process{Guard: &Guard{ID: fmt.Sprint("i-", i), Peers: MergePeers(table, http)}}
				if err := all[i].Depend(Dependency{Name: "table", Check: func(context.Context) error {
					if lost[i].Load() {
						return errors.New("denied")
					}
					return nil
				}}); err != nil {
					t.Fatal(err)
				}
				all[i].Started()
			}
			for _, p := range all {
				run(t, p)
			}
			pass(3 * time.Minute)
			for i := range c.hosts {
				lost[i].Store(true)
			}
			pass(3 * time.Minute)
			out := 0
			for _, p := range all {
				if !p.Ready() {
					out++
				}
			}
			if out != c.out {
				t.Errorf("%s: %d are out, want %d", name, out, c.out)
			}
		})
	}
}
