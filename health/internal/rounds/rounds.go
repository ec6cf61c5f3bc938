// Package rounds scales long tests: one meaning of "many" for all of them.
package rounds

import (
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"testing"
)

// Of scales the length n of a long test: times FAILOPEN_ROUNDS, which the
// nightly run sets; a tenth if the run is to be [Short].
func Of(n int) int {
	scale := 1.0
	if s := os.Getenv("FAILOPEN_ROUNDS"); s != "" {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || f <= 0 {
			panic("FAILOPEN_ROUNDS is " + strconv.Quote(s) + ", it must be a number above 0")
		}
		scale = f
	}
	if Short() {
		scale /= 10
	}
	return max(1, int(float64(n)*scale))
}

// Short reports whether less is enough: with -short, and under the race
// detector, which looks for something else than more rounds would find.
func Short() bool {
	b, ok := debug.ReadBuildInfo()
	race := ok && slices.Contains(b.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
	return race || testing.Short()
}
