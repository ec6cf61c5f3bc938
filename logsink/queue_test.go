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

// Chunks of one frame and of several, against a table: no frame has two owners,
// none is lost, and a run is found where there is one.
func TestArena_against_a_model(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const frames = 40
	a := newArena(make([]byte, frames*4096), 4096)
	owner := make([]*chunk, frames)
	var live []*chunk
	for range 50_000 {
		if k := 1 + r.IntN(4)*r.IntN(3); r.IntN(2) == 0 {
			longest, run := 0, 0
			for _, o := range owner {
				if run++; o != nil {
					run = 0
				}
				longest = max(longest, run)
			}
			c := a.alloc(k)
			if (c != nil) != (longest >= k) {
				t.Fatalf("a chunk of %d frames: %v, the longest run is %d", k, c != nil, longest)
			}
			if c == nil {
				continue
			}
			if c.frames != k || len(c.mem) != k*4096 {
				t.Fatalf("a chunk of %d frames has %d and %d bytes", k, c.frames, len(c.mem))
			}
			for i := c.frame; i < c.frame+k; i++ {
				if owner[i] != nil {
					t.Fatalf("frame %d is taken", i)
				}
				owner[i] = c
			}
			live = append(live, c)
		} else if len(live) > 0 {
			i := r.IntN(len(live))
			c := live[i]
			live = slices.Delete(live, i, i+1)
			for j := c.frame; j < c.frame+c.frames; j++ {
				owner[j] = nil
			}
			a.release(c)
		}
		if len(a.free) > frames {
			t.Fatalf("%d frames are listed of %d", len(a.free), frames)
		}
	}
}
