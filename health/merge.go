package health

import (
	"cmp"
	"context"
	"errors"
	"slices"
)

// MergePeers makes one signal of several, for Guard.Peers: of each peer it takes
// what was seen last. It fails only if all of them fail.
//
// One signal may be lost together with what it is to judge: a host that cannot
// reach DynamoDB any more does not read heartbeats in a table either, and for all
// it knows nobody does. With package peers beside peersdynamo it sees that the
// others are well, and leaves.
//
// The signals are asked at the same time. One that panics, or ends its goroutine,
// has failed; so has one that has not answered when ctx is done.
func MergePeers(signals ...func(context.Context) ([]Peer, error)) func(context.Context) ([]Peer, error) {
	signals = slices.Clone(signals)
	return func(ctx context.Context) ([]Peer, error) {
		type answer struct {
			peers []Peer
			err   error
		}
		// room for all: one that answers after ctx was done does not leak its goroutine
		answers := make(chan answer, len(signals))
		for _, signal := range signals {
			go func() {
				// it stands unless the signal returns
				a := answer{err: errors.New("health: MergePeers: a signal panicked, or ended its goroutine")}
				defer func() {
					_ = recover() // a is its error
					answers <- a
				}()
				peers, err := signal(ctx)
				a = answer{peers, err}
			}()
		}
		latest := make(map[string]Peer)
		var errs []error
		for range signals {
			select {
			case a := <-answers:
				if a.err != nil {
					errs = append(errs, a.err)
					continue // what a failing signal says is old
				}
				for _, p := range a.peers {
					if old, known := latest[p.ID]; !known || p.Seen.After(old.Seen) {
						latest[p.ID] = p
					}
				}
			// each signal that is still out counts as failed, one a turn
			case <-ctx.Done():
				errs = append(errs, ctx.Err())
			}
		}
		list := make([]Peer, 0, len(latest))
		for _, p := range latest {
			list = append(list, p)
		}
		slices.SortFunc(list, func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
		if len(errs) == len(signals) {
			return list, errors.Join(errs...)
		}
		return list, nil
	}
}
