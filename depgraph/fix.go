package depgraph

// fixpoint is the kernel of every question that is no simulation of a start:
// what can come up one after the other, what goes down, whether a component
// comes up without some of its edges.
//
// A node waits for left requirements and fires when they are met. An edge is a
// requirement that is met when its end has fired; a group is one, too, met when
// groupLeft of its members have. Counting both down, along the arcs that lead
// into what fires, computes the least set that is closed under these rules, in
// time linear in the arcs it touches (the counting of Dowling and Gallier,
// 1984). A greatest fixpoint is the same run on the complement: what stays up
// is what does not go down, where the first failed edge is enough, and a group
// fails with one member more than it can lose.
//
// Who uses it: blocking (cycles.go), comesUpAlone (subgraph.go), blast (blast.go). Each
// fills the counters in its own way; run is the same for all.
type fixpoint struct {
	in, from  []int32 // rows of incoming arcs, and the nodes that these leave
	left      []int32
	mark      []uint8 // instead of left, if the first requirement is enough: 0 has not fired
	as        uint8   // what mark is set to
	inFlags   []flag  // of incoming arcs, if plain says all about those without a group
	plain     sel
	groupLeft []int32
	fired     []int32 // in order
}

// fire makes a node fire that has a mark and has not fired yet.
func (x *fixpoint) fire(v int32, as uint8) {
	if x.mark[v] == 0 {
		x.mark[v] = as
		x.fired = append(x.fired, v)
	}
}

// start fires what waits for nothing.
func (x *fixpoint) start() {
	for v, n := range x.left {
		if n == 0 {
			x.fired = append(x.fired, int32(v))
		}
	}
}

// run fires everything that follows. counts says of the i-th incoming arc,
// whose end w has fired, whether it is a requirement, and of which group; -1
// means none.
func (x *fixpoint) run(counts func(i, w int32) (group int32, is bool)) {
	for head := 0; head < len(x.fired); head++ {
		w := x.fired[head]
		for i := x.in[w]; i < x.in[w+1]; i++ {
			if x.inFlags != nil && x.inFlags[i]&fGroup == 0 {
				if !x.plain.has(x.inFlags[i]) {
					continue
				}
			} else if group, is := counts(i, w); !is {
				continue
			} else if group >= 0 {
				if x.groupLeft[group]--; x.groupLeft[group] != 0 {
					continue
				}
			}
			switch v := x.from[i]; {
			case x.mark != nil:
				x.fire(v, x.as)
			default:
				if x.left[v]--; x.left[v] == 0 {
					x.fired = append(x.fired, v)
				}
			}
		}
	}
}
