// Package screen is what the examples know about terminals: whether they write
// to one, colours, and how to draw the same lines again.
package screen

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// Screen writes to w, with colours and redrawing only where w is a terminal.
type Screen struct {
	io.Writer
	Terminal bool // lines can be drawn again
	Colour   bool // a terminal, and NO_COLOR is not set

	drawn int // lines that the next Draw replaces
}

// New looks at w and at the environment (NO_COLOR, see https://no-color.org,
// and TERM=dumb).
func New(w io.Writer) *Screen {
	s := &Screen{Writer: w}
	f, ok := w.(*os.File)
	if !ok {
		return s
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return s
	}
	if null, err := os.Stat(os.DevNull); err == nil && os.SameFile(info, null) {
		return s
	}
	s.Terminal = os.Getenv("TERM") != "dumb"
	s.Colour = s.Terminal && os.Getenv("NO_COLOR") == ""
	return s
}

// A Colour is an ANSI colour or weight.
type Colour string

// The colours in use.
const (
	Green  Colour = "32"
	Red    Colour = "31"
	Yellow Colour = "33"
	Dim    Colour = "2"
	Bold   Colour = "1"
)

// Paint returns text in a colour, or as it is where colours are off.
func (s *Screen) Paint(c Colour, text string) string {
	if !s.Colour || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// Draw writes lines over those of the last Draw. It does nothing where the
// output is not a terminal.
func (s *Screen) Draw(lines ...string) {
	if !s.Terminal {
		return
	}
	var b strings.Builder
	if s.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", s.drawn)
	}
	for _, line := range lines {
		b.WriteString("\x1b[2K" + line + "\n")
	}
	if s.drawn > len(lines) {
		b.WriteString("\x1b[J")
	}
	s.drawn = len(lines)
	_, _ = io.WriteString(s.Writer, b.String()) // a terminal that has gone shows nothing
}

// Keep writes lines that stay: the next Draw begins below them.
func (s *Screen) Keep(lines ...string) {
	if s.drawn > 0 {
		s.Draw() // erase what was drawn
	}
	for _, line := range lines {
		fmt.Fprintln(s.Writer, line)
	}
	s.drawn = 0
}

var eighths = []rune(" ▏▎▍▌▋▊▉█")

// Bar is a part of a whole as a bar of so many cells. A part that is not zero
// is visible, and one that is not the whole does not look like it.
func Bar(part float64, cells int) string {
	n := int(part*float64(cells*8) + 0.5)
	if part > 0 {
		n = max(n, 1)
	}
	if part < 1 {
		n = min(n, cells*8-1)
	}
	n = min(max(n, 0), cells*8)
	bar := strings.Repeat("█", n/8)
	if n%8 > 0 {
		bar += string(eighths[n%8])
	}
	return bar + strings.Repeat(" ", cells-len([]rune(bar)))
}

var levels = []rune("▁▂▃▄▅▆▇█")

// Level is a part of a whole as one cell.
func Level(part float64) string {
	return string(levels[min(max(int(part*8), 0), 7)])
}

// Count is n with commas: 14,883.
func Count(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Pad fills text with blanks on the right, by what is visible of it.
func Pad(text string, cells int) string {
	return text + strings.Repeat(" ", max(0, cells-Width(text)))
}

// Width is how many cells text takes; colours take none.
func Width(text string) (n int) {
	escape := false
	for _, r := range text {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		default:
			n++
		}
	}
	return n
}
