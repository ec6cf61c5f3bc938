package health

import (
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"testing"
)

// rounds scales the length n of a long test: times FAILOPEN_ROUNDS, which the
// nightly run sets; a tenth under the race detector, which looks for something
// else than more rounds would find; a tenth with -short.
func rounds(n int) int {
	scale := 1.0
	if s := os.Getenv("FAILOPEN_ROUNDS"); s != "" {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || f <= 0 {
			panic("FAILOPEN_ROUNDS is " + strconv.Quote(s) + ", it must be a number above 0")
		}
		scale = f
	}
	if b, ok := debug.ReadBuildInfo(); ok && slices.Contains(b.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		scale /= 10
	}
	if testing.Short() {
		scale /= 10
	}
	return max(1, int(float64(n)*scale))
}
