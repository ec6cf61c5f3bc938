package depgraph

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// maxDeclareBytes is what a service may grow by that declares its dependencies
// in Go and does nothing else with the package.
const maxDeclareBytes = 512 << 10

// TestWeight_of_Declare builds a web server with and without a declaration,
// and compares the programs.
func TestWeight_of_Declare(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	build := func(name, imports, body string) int64 {
		dir := t.TempDir()
		file := filepath.Join(dir, "main.go")
		text := "package main\n\nimport (\n\t\"net/http\"\n" + imports + ")\n\n" + body + "\nfunc main() { panic(http.ListenAndServe(\"127.0.0.1:0\", nil)) }\n"
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(dir, name)
		if msg, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", out, file).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, msg)
		}
		info, err := os.Stat(out)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	const imported = "\n\t\"github.com/failopen/failopen/depgraph\"\n"
	bare := build("bare", "", "")
	declares := build("declares", imported, "var Deps = depgraph.Declare(depgraph.Service{Name: \"a\", Depends: []depgraph.Dependency{depgraph.Hard(\"b\")}})\n")
	t.Logf("a web server: %d bytes; with a declaration: %d more", bare, declares-bare)
	if grown := declares - bare; grown > maxDeclareBytes {
		t.Errorf("a declaration adds %d bytes, more than %d", grown, maxDeclareBytes)
	}
}
