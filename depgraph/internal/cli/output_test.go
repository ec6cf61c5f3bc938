package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestOutput_what_names_can_do(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"text", "a b\tc\nd\n", "a b\tc\nd\n"},
		{"letters of the world", "Zürich 東京 é\n", "Zürich 東京 é\n"},
		{"empty", "", ""},
		{"colours", "\x1b[31mred", `\u001b[31mred`},
		{"the beginning of the line", "held\rfailed", `held\u000dfailed`},
		{"backspaces", "no\b\byes", `no\u0008\u0008yes`},
		{"a C1 control", "a\u009b31m", `a\u009b31m`},
		{"text that runs backwards", "a\u202eb", `a\u202eb`},
		{"a line of Unicode", "a\u2028b", `a\u2028b`},
		{"a tag beyond four digits", "a\U000e0041", `a\udb40\udc41`},
		{"no UTF-8", "a\xff\xfeb", "a\uFFFD\uFFFDb"},
		{"half a character", "\xe6\x9d", "\uFFFD\uFFFD"},
		{"a command of GitHub", "::error::x\n", "> ::error::x\n"},
		{"one behind spaces", "a\n \t::set-output name=a::b", "a\n \t> ::set-output name=a::b"},
		{"one of Azure", "##[error]x\n##[warning]\n", "> ##[error]x\n> ##[warning]\n"},
		{"no command in a line", "a ::error::x\nb##[c]\n", "a ::error::x\nb##[c]\n"},
		{"one colon, one square", ":x\n##x\n#[\n", ":x\n##x\n#[\n"},
		{"a command behind what does not print", "\x00::error::", `\u0000::error::`},
	} {
		var b bytes.Buffer
		n, err := (&Output{To: &b}).Write([]byte(c.in))
		if b.String() != c.want || n != len(c.in) || err != nil {
			t.Errorf("%s: %q is written as %q, %d, %v; want %q, %d", c.name, c.in, b.String(), n, err, c.want, len(c.in))
		}
	}
}

// A line may come in several pieces; a command is one only at its beginning.
func TestOutput_lines_in_pieces(t *testing.T) {
	var b bytes.Buffer
	o := &Output{To: &b}
	for _, piece := range []string{"a", "::b\n", "  ", "::c", "::d\n", "::e\n"} {
		if _, err := o.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	if want := "a::b\n  > ::c::d\n> ::e\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestOutput_JSON_means_the_same(t *testing.T) {
	in := "\x1b[1m \u202e \U000e0041 \U0001f600 \u2028 é"
	text, err := json.Marshal(map[string]string{"name": in})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := (&Output{To: &b}).Write(text); err != nil {
		t.Fatal(err)
	}
	var out map[string]string
	if err := json.Unmarshal(b.Bytes(), &out); err != nil || out["name"] != in {
		t.Errorf("%q, %v from %s; want %q", out["name"], err, b.Bytes(), in)
	}
	if strings.ContainsAny(b.String(), "\x1b\u202e\U000e0041") {
		t.Errorf("%q draws", b.String())
	}
}

// failing fails with each of its errors, and then writes.
type failing []error

func (f *failing) Write(b []byte) (int, error) {
	if len(*f) == 0 {
		return len(b), nil
	}
	err := (*f)[0]
	*f = (*f)[1:]
	return len(b) / 2, err
}

func TestOutput_remembers_the_first_failure(t *testing.T) {
	full, gone := errors.New("no space left"), errors.New("gone")
	o := &Output{To: &failing{full, gone}}
	if o.Err() != nil {
		t.Errorf("failed before anything was written: %v", o.Err())
	}
	for _, want := range []error{full, gone, nil} {
		n, err := o.Write([]byte("abcd"))
		if !errors.Is(err, want) || (err != nil) != (n == 0) {
			t.Errorf("%d, %v; want %v", n, err, want)
		}
	}
	if !errors.Is(o.Err(), full) {
		t.Errorf("it remembers %v; want %v", o.Err(), full)
	}
	Say(&failing{full}, "nobody hears this")
}

func TestOutput_of_several_goroutines(t *testing.T) {
	var mu sync.Mutex
	var b bytes.Buffer
	o := &Output{To: writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return b.Write(p)
	})}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 50 {
				fmt.Fprintf(o, "line of %d\n", i)
			}
		})
	}
	all.Wait()
	if got := strings.Count(b.String(), "line of"); got != 400 || o.Err() != nil {
		t.Errorf("%d lines, %v", got, o.Err())
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func TestSay(t *testing.T) {
	var b bytes.Buffer
	Say(&b, "%s: %d of %q\n", "::a\x1b", 3, "b\nc")
	if want := "> ::a\\u001b: 3 of \"b\\nc\"\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func FuzzOutput(f *testing.F) {
	f.Add("a\n::b", "::c")
	f.Add(" ", "##[x]\r\n")
	f.Add(":", ":x")
	f.Add("a\n ##", "[x]")
	f.Fuzz(func(t *testing.T, first, second string) {
		var b bytes.Buffer
		o := &Output{To: &b}
		for _, part := range []string{first, second} {
			if _, err := o.Write([]byte(part)); err != nil {
				t.Fatal(err)
			}
		}
		for line := range strings.Lines(b.String()) {
			line = strings.TrimLeft(line, " \t")
			if strings.HasPrefix(line, "::") || strings.HasPrefix(line, "##[") || strings.ContainsAny(line, "\x1b\r\x00\u202e\u009b") {
				t.Errorf("%q and %q give %q", first, second, b.String())
			}
		}
		if want := strings.Count(first+second, "\n"); strings.Count(b.String(), "\n") != want {
			t.Errorf("%q and %q give %q, which has not %d lines", first, second, b.String(), want)
		}
	})
}

func TestWriteNew_keeps_what_is_there(t *testing.T) {
	name := filepath.Join(t.TempDir(), "new")
	if err := WriteNew(name, []byte("first")); err != nil {
		t.Fatal(err)
	}
	if err := WriteNew(name, []byte("second")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second time: %v; want %v", err, fs.ErrExist)
	}
	if text, err := os.ReadFile(name); string(text) != "first" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if err := WriteNew(filepath.Join(name, "below"), nil); err == nil || errors.Is(err, fs.ErrExist) {
		t.Errorf("below a file: %v", err)
	}
}

func TestIsTerminal_is_not_the_null_device(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	for name, stream := range map[string]any{"null": null, "a closed file": file, "a buffer": &bytes.Buffer{}, "nothing": nil} {
		if IsTerminal(stream) {
			t.Errorf("%s is taken for a terminal", name)
		}
	}
	if zero, err := os.Open("/dev/zero"); err == nil { // a device of characters that is not the null device
		defer zero.Close()
		if !IsTerminal(zero) {
			t.Error("a device of characters is not taken for a terminal")
		}
	}
}
