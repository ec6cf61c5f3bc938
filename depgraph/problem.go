package depgraph

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrInvalid is what every error of a manifest or a declaration matches with
// errors.Is. The error itself is a Problems.
var ErrInvalid = errors.New("depgraph: invalid declaration")

// Problem is one fault of the input.
//
// A Problem is a value, so that it can be compared and written as JSON.
type Problem struct {
	// At is where the fault is.
	At Position
	// Message says what is wrong and what was expected.
	Message string
	// Dangling marks a dependency on a service that nobody declared.
	Dangling bool
	// From and To name the edge of a dangling dependency.
	From, To string
}

// String returns the message behind its place, as compilers print it.
func (p Problem) String() string {
	if at := p.At.String(); at != "" {
		return at + ": " + p.Message
	}
	return p.Message
}

// Problems is an error that holds every fault found, in order of place.
//
// errors.As finds it in what Load, Compile, ParseManifest and ParsePolicy return.
type Problems []Problem

// maxShown is how many faults an error message prints before it only counts.
const maxShown = 50

// Error returns one fault a line.
//
// Beyond 50 it only counts them: the faults of a generated file fill a screen.
func (ps Problems) Error() string {
	var b strings.Builder
	for i, p := range ps {
		if i == maxShown {
			fmt.Fprintf(&b, "\n... and %d more", len(ps)-maxShown)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.String())
	}
	return b.String()
}

// Is makes errors.Is(err, ErrInvalid) true.
func (ps Problems) Is(target error) bool { return target == ErrInvalid }

// addf adds one fault.
func (ps *Problems) addf(at Position, format string, args ...any) {
	*ps = append(*ps, Problem{At: at, Message: fmt.Sprintf(format, args...)})
}

// err returns the sorted problems as an error, or nil if there are none.
//
// It sorts in place. A nil Problems in an error would not be a nil error, so callers return
// this and never the slice.
func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(comparePositions(a.At, b.At), cmp.Compare(a.Message, b.Message))
	})
	return ps
}

// comparePositions goes by file, then line.
func comparePositions(a, b Position) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
}

// nearest returns the candidate that a typing mistake turns into got, or "".
// It uses the optimal string alignment distance: insert, delete, replace and
// swap of neighbours cost 1 each.
//
// A third of the letters may be wrong, one at least and three at most; of candidates that are as near, the
// first one is taken. Bytes are compared, so a letter outside ASCII counts more than once.
func nearest(got string, candidates []string) string {
	limit := min(max(1, min(3, len(got)/3)), len(got)-1) // something must be left of it
	best, bestDist := "", limit+1
	for _, c := range candidates {
		if abs(len(c)-len(got)) >= bestDist {
			continue
		}
		if d := alignment(got, c, bestDist); d < bestDist {
			best, bestDist = c, d
		}
	}
	return best
}

// alignment returns the distance between a and b, or limit if it is not less.
//
// Three rows of the table are enough, as a swap looks two back. A row whose least is the
// limit cannot lead to less. O(len(a) × len(b)).
func alignment(a, b string, limit int) int {
	two, one, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range one {
		one[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(one[j]+1, row[j-1]+1, one[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], two[j-2]+1)
			}
			least = min(least, row[j])
		}
		if least >= limit {
			return limit
		}
		two, one, row = one, row, two
	}
	return one[len(b)]
}

// abs is the absolute value.
func abs(x int) int {
	if x < 0 {
		return -x
	}
	return x
}

// ErrUnknownService is matched by the error for a name that is not in the graph.
var ErrUnknownService = errors.New("depgraph: unknown service")
