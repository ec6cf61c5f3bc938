//go:build race

package depgraph

// raceEnabled makes tests smaller under the race detector, which looks for
// something else than they do.
const raceEnabled = true
