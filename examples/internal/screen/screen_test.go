package screen

import (
	"bytes"
	"strings"
	"testing"
)

func TestBar(t *testing.T) {
	for part, want := range map[float64]string{0: "    ", 0.001: "▏   ", 0.5: "██  ", 0.999: "███▉", 1: "████", 2: "████"} {
		if got := Bar(part, 4); got != want {
			t.Errorf("Bar(%v) = %q, want %q", part, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestScreen(t *testing.T) {
	var b bytes.Buffer
	plain := New(&b)
	plain.Draw("drawn")
	plain.Keep(plain.Paint(Red, "kept"))
	if b.String() != "kept\n" {
		t.Errorf("a file gets %q", b.String())
	}
	b.Reset()
	s := &Screen{Writer: &b, Terminal: true, Colour: true}
	s.Draw("one", "two")
	s.Draw("three", "four")
	s.Keep(s.Paint(Red, "kept"))
	if got := b.String(); strings.Count(got, "\x1b[2A") != 2 || !strings.HasSuffix(got, "\x1b[31mkept\x1b[0m\n") {
		t.Errorf("a terminal gets %q", got)
	}
	if w := Width(s.Paint(Green, "äbc")); w != 3 || Pad("ab", 4) != "ab  " {
		t.Errorf("width %d", w)
	}
}
