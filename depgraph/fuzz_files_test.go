package depgraph_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
)

// FuzzFiles: what the command reads beside manifests is refused with the name of the
// file, or understood; whatever it is, nothing panics.
func FuzzFiles(f *testing.F) {
	for i, seed := range []string{
		`{"version":1,"id":"db@2026-01-02-0123abcd","service":"web","dependency":"db","verdict":"held","at":"2026-01-02T03:04:05Z","rules":"sha256:00","digest":"sha256:00"}` + "\n",
		"rules:\n  DG012: error\nforbid:\n  - from: {owner: a}\n    to: {name: 'b*'}\n    because: x\ncustom: [{name: r, require: x}]\n",
		`["a"] {"b":true,"c":"ready"}` + "\n" + `{"Service":"d","State":"running","Health":"healthy"}`,
		`{"version":1,"findings":[{"rule":"DG001","from":"a","to":"b"}]}`,
	} {
		f.Add(i, seed)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, kind int, text string) {
		var err error
		name := "file.name"
		switch kind {
		case 0:
			var p *depgraph.Proofs
			if p, err = depgraph.ParseProofs(name, []byte(text)); err == nil && p == nil {
				t.Error("no proofs, and no error")
			}
		case 1:
			_, err = depgraph.ParsePolicy(name, []byte(text))
		case 2:
			name = "line "
			_, err = depgraph.ParseRunning([]byte(text))
		case 3:
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = depgraph.LoadBaseline(path)
		}
		if err != nil && !strings.Contains(err.Error(), name) {
			t.Errorf("the error does not say where: %v", err)
		}
	})
}
