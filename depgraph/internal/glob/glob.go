// Package glob has the one meaning of * in names that people write: in queries,
// policies, name maps and fault rules it stands for any text, also none, with
// slashes and dots.
package glob

import "strings"

// Match reports whether the pattern describes all of s. Without a * it is s. It
// takes time in proportion to len(pattern) times len(s), and no memory.
func Match(pattern, s string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, first)
	if !ok {
		return false
	}
	for {
		part, next, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(s, part)
		}
		// The first place is as good as any: it leaves most for the rest.
		_, after, found := strings.Cut(s, part)
		if !found {
			return false
		}
		s, rest = after, next
	}
}
