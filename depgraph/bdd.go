package depgraph

import "errors"

// bdd is a reduced ordered binary decision diagram (Bryant 1986) over the
// availability of services. Only monotone functions are built, so that "and"
// and "or" are all it needs. Nodes 0 and 1 are the constants; children have
// lower numbers than their parents, so probabilities are one loop.
//
// Terms: a node asks about one variable, its level; lo and hi are where to go on if that
// service is down, and up. Reduced means that no node has two equal children and no two
// nodes are equal, so a function has one node and comparing is one number. The order of the
// variables decides about the size; openParts chooses it.
type bdd struct {
	level  []int32 // variable of each node; constants are below all variables
	lo, hi []int32
	// By level, lo and hi, the node that is that; by operation and operands, its result.
	unique hashTable
	cache  hashTable
	limit  int
}

// errTooLarge is the panic that unwinds the recursion when the limit is met.
var errTooLarge = errors.New("depgraph: the decision diagram is too large")

// constantLevel is that of the two constants, below every variable.
const constantLevel = 1<<31 - 1

// newBDD returns a diagram with the constants 0 and 1 alone; limit counts nodes.
func newBDD(limit int) *bdd {
	return &bdd{
		level: []int32{constantLevel, constantLevel}, lo: []int32{0, 1}, hi: []int32{0, 1}, limit: limit,
		unique: newHashTable(), cache: newHashTable(),
	}
}

// node returns the node for "if variable then hi else lo".
//
// Everything goes through here, which keeps the diagram reduced.
func (b *bdd) node(level, lo, hi int32) int32 {
	if lo == hi {
		return lo
	}
	slot := b.unique.slot(level, lo, hi)
	if *slot != 0 {
		return *slot
	}
	if len(b.level) >= b.limit {
		panic(errTooLarge) // recovered in probability; never leaves the package
	}
	*slot = int32(len(b.level))
	b.level, b.lo, b.hi = append(b.level, level), append(b.lo, lo), append(b.hi, hi)
	return *slot
}

// variable is the function "the service of this level is up".
//
// A level has one function, however often it is asked for.
func (b *bdd) variable(level int32) int32 { return b.node(level, 0, 1) }

// and decides what needs no new node, and leaves the rest to apply. As the operation is
// commutative, its operands are sorted, so that each pair is in the cache once.
func (b *bdd) and(x, y int32) int32 {
	switch {
	case x == y || y == 1:
		return x
	case x == 1:
		return y
	case x == 0 || y == 0:
		return 0
	}
	return b.apply(0, min(x, y), max(x, y))
}

// or is and with the constants exchanged.
func (b *bdd) or(x, y int32) int32 {
	switch {
	case x == y || y == 0:
		return x
	case x == 0:
		return y
	case x == 1 || y == 1:
		return 1
	}
	return b.apply(1, min(x, y), max(x, y))
}

// apply computes an operation, 0 for and, 1 for or, on two inner nodes by Shannon
// expansion over the upper variable of the two. The recursion is as deep as there are
// variables, not nodes.
//
// The cache holds results plus one, since 0 means absent and the constant 0 is a
// result.
func (b *bdd) apply(op, x, y int32) int32 {
	if known := *b.cache.slot(op, x, y); known != 0 {
		return known - 1
	}
	level := min(b.level[x], b.level[y])
	xlo, xhi := b.cofactors(x, level)
	ylo, yhi := b.cofactors(y, level)
	var lo, hi int32
	if op == 0 {
		lo, hi = b.and(xlo, ylo), b.and(xhi, yhi)
	} else {
		lo, hi = b.or(xlo, ylo), b.or(xhi, yhi)
	}
	result := b.node(level, lo, hi)
	*b.cache.slot(op, x, y) = result + 1 // the table may have grown since
	return result
}

// cofactors are a function with the variable of a level false, and true. One that
// begins below that level does not depend on it.
func (b *bdd) cofactors(x, level int32) (lo, hi int32) {
	if b.level[x] == level {
		return b.lo[x], b.hi[x]
	}
	return x, x
}

// atLeast is true if at least need of the functions are. It builds the table of all
// smaller quorums by function: O(need × len(fs)) operations, where naming every subset
// would be exponential.
func (b *bdd) atLeast(need int, fs []int32) int32 {
	// at[j]: at least j of the functions so far.
	// Downwards in j, so that at[j-1] does not count this function already.
	at := make([]int32, need+1)
	at[0] = 1
	for _, f := range fs {
		for j := need; j > 0; j-- {
			at[j] = b.or(at[j], b.and(f, at[j-1]))
		}
	}
	return at[need]
}

// probability returns the probability that f is true, and, added to gain, the
// derivative by the probability of each variable. Children have lower numbers, so one
// loop upwards gives the probability of every node, and one downwards how likely a walk
// from f comes by it; the derivative at a node is that, times the difference of its two
// children.
//
// gain may be called several times for one level, once for each of its nodes. O(nodes below
// f's number), those of other functions included.
func (b *bdd) probability(f int32, up func(level int32) float64, gain func(level int32, derivative float64)) float64 {
	p := make([]float64, f+1)
	reach := make([]float64, f+1)
	if f > 0 {
		p[1] = 1
	}
	for x := int32(2); x <= f; x++ {
		a := up(b.level[x])
		p[x] = a*p[b.hi[x]] + (1-a)*p[b.lo[x]]
	}
	reach[f] = 1
	for x := f; x >= 2; x-- {
		if reach[x] == 0 {
			continue
		}
		a := up(b.level[x])
		gain(b.level[x], reach[x]*(p[b.hi[x]]-p[b.lo[x]]))
		reach[b.hi[x]] += reach[x] * a
		reach[b.lo[x]] += reach[x] * (1 - a)
	}
	return p[f]
}

// hashTable maps three numbers to one, zero meaning absent. It only grows. It is open
// addressing with linear probing over a power of two, three quarters full at most: all
// that a diagram asks of a map, without its hashing of bytes.
type hashTable struct {
	keys   [][3]int32
	values []int32
	used   int
}

func newHashTable() hashTable {
	return hashTable{keys: make([][3]int32, 256), values: make([]int32, 256)}
}

// slot returns the place of a key's value, valid until the next call. A key is
// never all zero, which marks a free place.
func (t *hashTable) slot(a, b, c int32) *int32 {
	if t.used*4 >= len(t.keys)*3 {
		t.grow()
	}
	key := [3]int32{a, b, c}
	mask := len(t.keys) - 1
	for i := hash3(key) & mask; ; i = (i + 1) & mask {
		if t.keys[i] == key {
			return &t.values[i]
		}
		if t.keys[i] == ([3]int32{}) {
			t.keys[i] = key
			t.used++
			return &t.values[i]
		}
	}
}

// grow doubles the table. Places that were asked for and never filled are dropped.
func (t *hashTable) grow() {
	keys, values := t.keys, t.values
	t.keys, t.values, t.used = make([][3]int32, 2*len(keys)), make([]int32, 2*len(keys)), 0
	for i, k := range keys {
		if values[i] != 0 {
			*t.slot(k[0], k[1], k[2]) = values[i]
		}
	}
}

// hash3 mixes three numbers; multiplication alone would leave neighbours in
// neighbouring places, and levels and nodes are all neighbours.
func hash3(k [3]int32) int {
	h := uint64(uint32(k[0]))*0x9E3779B97F4A7C15 ^ uint64(uint32(k[1]))*0xC2B2AE3D27D4EB4F ^ uint64(uint32(k[2]))*0x165667B19E3779F9
	h ^= h >> 29
	h *= 0xBF58476D1CE4E5B9
	return int(h >> 33)
}
