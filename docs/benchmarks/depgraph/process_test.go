package depgraph

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/report"
)

// BenchmarkCheck measures "depgraph check" as a whole process, on one manifest
// a service in folders of their own.
func BenchmarkCheck(b *testing.B) {
	program := filepath.Join(b.TempDir(), "depgraph")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/failopen/failopen/depgraph/cmd/depgraph").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for _, n := range sizes {
		dir := b.TempDir()
		for _, s := range sharedInput(n, true).services {
			var text strings.Builder
			if err := depgraph.WriteManifest(&text, s); err != nil {
				b.Fatal(err)
			}
			folder := filepath.Join(dir, s.Name[:len(s.Name)-3], s.Name)
			if err := os.MkdirAll(folder, 0o755); err != nil {
				b.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(folder, "depgraph.yaml"), []byte(text.String()), 0o644); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprintf("manifests=%d", n), func(b *testing.B) {
			findings := filepath.Join(b.TempDir(), "findings")
			for b.Loop() {
				out, err := exec.Command(program, "-d", dir, "check", "--fail-on", "none", "-o", findings).CombinedOutput()
				if err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
			}
		})
	}
}

func BenchmarkLayout(b *testing.B) {
	g := sharedInput(2_000, true).ours(b)
	for b.Loop() {
		if _, err := report.NewLayout(b.Context(), g); err != nil {
			b.Fatal(err)
		}
	}
}
