package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestJudge(t *testing.T) {
	dir := t.TempDir()
	output := filepath.Join(dir, "raw")
	if err := os.WriteFile(output, []byte(raw), 0o644); err != nil {
		t.Fatal(err)
	}
	for gates, want := range map[string]string{
		"ns/op Get/a / Get/b <= 122":                    "",
		"ns/op Get/a / Get/b <= 121":                    "is 121.51, and must be at most 121",
		"B/op Get/a <= 0":                               "",
		"B/op Get/b <= 7":                               "is 8.00",
		"# a comment\n\nB/op Get/b <= 8":                "",
		"B/op Get/c <= 8":                               "Get/c was not measured",
		"B/op Get/b / Get/a <= 8":                       "Get/a was not measured, or is 0",
		"allocs/op Get/a <= 0":                          "Get/a was not measured",
		"ns/op Get/a <= 2000":                           "a time alone",
		"ns/op Get/a Get/b <= 2":                        "want UNIT BENCHMARK",
		"B/op Get/a <= 0\nms-over-origin/op Get/a <= 2": "is 3.00",
	} {
		file := filepath.Join(dir, "gates")
		if err := os.WriteFile(file, []byte(gates+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		err := judge(&out, file, output)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q\n%s", gates, err, want, out.String())
		}
	}
}
