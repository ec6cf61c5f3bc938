package depgraph

// components numbers the strongly connected components over the selected
// edges. A component's number is higher than that of every component it
// depends on, so counting up visits dependencies first.
//
// It is Tarjan's algorithm (1972) with the frames on a slice instead of the
// stack: a chain of a million services needs no deep recursion.
func (g *Graph) components(keep sel) (comp []int32, count int32) {
	return components(g.out, g.to, g.flags, keep)
}

// components is the method of the same name on bare rows.
//
// O(vertices + arcs). As in Pearce's variant (2016), one array holds what Tarjan keeps
// in two, the number of a vertex and the lowest that it reaches, and only vertices that
// are no root of a component go on the stack: a graph without cycles never uses it.
func components(out, to []int32, flags []flag, keep sel) (comp []int32, count int32) {
	n := len(out) - 1
	comp = make([]int32, n)
	low := make([]int32, n) // 0: not visited; otherwise the lowest number reachable
	type frame struct{ v, e, num int32 }
	frames := make([]frame, 0, 64)
	stack := make([]int32, 0, 64)
	next := int32(1)
	for root := range n {
		if low[root] != 0 {
			continue
		}
		// frames is the way from the root to the vertex at hand, each with the arc that
		// comes next. A vertex whose low is neither 0 nor done has a frame or is on the
		// stack.
		frames = append(frames, frame{int32(root), out[root], next})
		low[root] = next
		next++
	descend:
		for len(frames) > 0 {
			f := &frames[len(frames)-1]
			v := f.v
			for e := f.e; e < out[v+1]; e++ {
				if fl := flags[e]; fl&keep.any == 0 || fl&keep.none != 0 {
					continue
				}
				switch w := to[e]; {
				case low[w] == 0:
					// Go down, and come back to the arc behind this one. f is not valid
					// after the append, nor needed.
					f.e = e + 1
					frames = append(frames, frame{w, out[w], next})
					low[w] = next
					next++
					continue descend
				case low[w] < low[v]: // finished components hold done, which is never lower
					low[v] = low[w]
				}
			}
			// All arcs of v are done. If it reaches something older, it belongs to that
			// component, whose root is further up: v waits on the stack, and its parent
			// reaches what it reaches.
			num := f.num
			frames = frames[:len(frames)-1]
			if low[v] < num {
				stack = append(stack, v)
				parent := frames[len(frames)-1].v
				low[parent] = min(low[parent], low[v])
				continue
			}
			// Otherwise v is a root, and its component is itself with whatever was put
			// on the stack since v was visited: that reaches v at least, where older
			// entries reach below it.
			for len(stack) > 0 && low[stack[len(stack)-1]] >= num {
				w := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				comp[w], low[w] = count, done
			}
			comp[v], low[v] = count, done
			count++
		}
	}
	return comp, count
}

// done is the low of a finished component: above every number, so that an edge into one
// lowers nothing.
const done = int32(1<<31 - 1)

// cyclic returns the members of each component with two or more services, in
// order of their first member.
func (g *Graph) cyclic(keep sel) [][]int32 {
	comp, count := g.components(keep)
	return gather(comp, count)
}

// gather lists the members of the components that have at least two, in order of their
// first member, and within one in order of vertex. O(vertices + components).
func gather(comp []int32, count int32) [][]int32 {
	size := make([]int32, count)
	for _, c := range comp {
		size[c]++
	}
	slot := make([]int32, count)
	var members [][]int32
	for v, c := range comp {
		if size[c] < 2 {
			continue
		}
		// Vertices come in rising order, so components are listed by their first member
		// without a sort. slot holds the place plus one.
		if slot[c] == 0 {
			members = append(members, make([]int32, 0, size[c]))
			slot[c] = int32(len(members))
		}
		i := slot[c] - 1
		members[i] = append(members[i], int32(v))
	}
	return members
}

// Components returns the members of each component with two or more services
// over hard edges of startup and run time, in order of name. Cycles explains
// them.
func (g *Graph) Components() [][]string {
	found := g.cyclic(hardAny)
	components := make([][]string, len(found))
	for i, members := range found {
		components[i] = g.namesOf(members)
	}
	return components
}
