package logsink

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Random operations against a slice.
func TestQueue_against_a_model(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var q queue
	var want []*chunk
	for range 100_000 {
		switch r.IntN(5) {
		case 0, 1:
			c := &chunk{}
			q.push(c)
			want = append(want, c)
			if r.IntN(2) == 0 {
				q.tail = c
			}
		case 2:
			c := &chunk{}
			q.pushFront(c)
			want = slices.Insert(want, 0, c)
		default:
			c := q.pop()
			if (c == nil) != (len(want) == 0) || c != nil && (c != want[0] || c.queued || c.next != nil) {
				t.Fatalf("pop: %p of %d", c, len(want))
			}
			if c != nil {
				want = want[1:]
			}
		}
		i := 0
		for c := q.head; c != nil; c = c.next {
			if i >= len(want) || c != want[i] || !c.queued {
				t.Fatalf("chunk %d of %d is another one", i, len(want))
			}
			i++
		}
		if i != len(want) || (q.last == nil) != (i == 0) || q.last != nil && q.last != want[i-1] {
			t.Fatalf("%d chunks of %d, or the last is another one", i, len(want))
		}
		if q.tail != nil && !slices.Contains(want, q.tail) {
			t.Fatal("the tail is not in the queue")
		}
		if len(want) > 50 {
			q, want = queue{}, nil
		}
	}
}
