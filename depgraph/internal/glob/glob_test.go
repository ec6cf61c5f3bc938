package glob

import "testing"

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"**", "a", true},
		{"a", "a", true},
		{"a", "b", false},
		{"a*", "a", true},
		{"*a", "ba", true},
		{"a*a", "a", false}, // one a is not two
		{"a*a", "aa", true},
		{"a*b*c", "a/b.c", true},
		{"a*b*c", "acb", false},
		{"*ab*ab", "abab", true},
		{"*ab*ab", "aab", false},
		{"a.c", "abc", false}, // a dot is a dot
		{"[ab]", "a", false},
		{"ä*", "äö", true},
	} {
		if got := Match(c.pattern, c.s); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
	if n := testing.AllocsPerRun(100, func() { Match("a*b*c", "a and b and c") }); n > 0 {
		t.Errorf("Match allocates %v times", n)
	}
}

// tried tries every length of text for each *.
func tried(pattern, s string) bool {
	switch {
	case pattern == "":
		return s == ""
	case pattern[0] == '*':
		return tried(pattern[1:], s) || s != "" && tried(pattern, s[1:])
	}
	return s != "" && s[0] == pattern[0] && tried(pattern[1:], s[1:])
}

func FuzzMatch(f *testing.F) {
	f.Add("a*b*c", "abbcbc")
	f.Add("*ab*ab", "abab")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 12 || len(s) > 12 {
			t.Skip("tried takes exponential time")
		}
		want := tried(pattern, s)
		if got := Match(pattern, s); got != want {
			t.Errorf("Match(%q, %q) = %v", pattern, s, got)
		}
	})
}
