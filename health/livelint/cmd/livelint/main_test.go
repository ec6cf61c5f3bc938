package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// service writes a module with one bad and one good handler, and goes there.
func service(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod": "module example.com/service\n\ngo 1.25.0\n",
		"db/db.go": `package db

import "net"

func Ping() error { _, err := net.Dial("tcp", "db:5432"); return err }
`,
		"main.go": `package main

import "example.com/service/db"

type router struct{} // any will do; net/http would take long to read

func (router) HandleFunc(string, func() int) {}

func main() {
	var mux router
	mux.HandleFunc("/livez", live)
	mux.HandleFunc("/readyz", live)
}

func live() int {
	if db.Ping() != nil {
		return 503
	}
	return 200
}
`,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

const message = `the liveness handler of "/livez" calls a dependency: main.live -> db.Ping -> net.Dial;`

func TestRun(t *testing.T) {
	service(t)
	var out, errs bytes.Buffer
	if code := run([]string{"./..."}, &out, &errs); code != exitFound || !strings.HasPrefix(out.String(), "main.go:11:2: "+message) || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("exit code %d\n%s%s", code, &out, &errs)
	}
	out.Reset()
	if code := run([]string{"-whole", "./..."}, &out, &errs); code != exitFound || !strings.HasPrefix(out.String(), "main.go:11:2: "+message) {
		t.Errorf("-whole: exit code %d\n%s%s", code, &out, &errs)
	}
	for want, args := range map[int][]string{
		exitClean:  {"-paths", "^/up$", "./..."},
		exitUsage:  {},
		exitFailed: {"./nowhere"},
	} {
		var out, errs bytes.Buffer
		if code := run(args, &out, &errs); code != want || out.Len() > 0 {
			t.Errorf("%q: exit code %d, want %d\n%s%s", args, code, want, &out, &errs)
		}
	}
	var help bytes.Buffer
	if code := run([]string{"-h"}, &out, &help); code != exitClean || !strings.Contains(help.String(), "Exit codes") {
		t.Errorf("-h: %d\n%s", code, &help)
	}
}

func TestRun_sarif(t *testing.T) {
	service(t)
	livelint := func() sarifResult {
		t.Helper()
		var out, errs bytes.Buffer
		if code := run([]string{"-paths", "^/livez$", "-sarif", "./..."}, &out, &errs); code != exitFound {
			t.Fatalf("exit code %d\n%s", code, &errs)
		}
		var log sarifLog
		if err := json.Unmarshal(out.Bytes(), &log); err != nil {
			t.Fatal(err)
		}
		if log.Version != "2.1.0" || len(log.Runs) != 1 || len(log.Runs[0].Results) != 1 || log.Runs[0].Tool.Driver.Rules[0].ID != rule {
			t.Fatalf("%s", &out)
		}
		return log.Runs[0].Results[0]
	}
	first := livelint()
	at := first.Locations[0].Physical
	if first.RuleID != rule || !strings.HasPrefix(first.Message.Text, message) || at.Artifact.URI != "main.go" || at.Region.Line != 11 {
		t.Errorf("%+v", first)
	}
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("main.go", bytes.Replace(source, []byte("func main"), []byte("// A line more.\nfunc main"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	again := livelint()
	if again.Locations[0].Physical.Region.Line != 12 || again.Fingerprints["livelint/v1"] != first.Fingerprints["livelint/v1"] {
		t.Errorf("a line above changed the fingerprint: %+v, %+v", first, again)
	}
}

func TestVettool(t *testing.T) {
	tool := filepath.Join(t.TempDir(), "livelint")
	if out, err := exec.Command("go", "build", "-o", tool, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	service(t)
	out, err := exec.Command("go", "vet", "-vettool="+tool, "./...").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "main.go:11:2: "+message) {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := exec.Command("go", "vet", "-vettool="+tool, "-livelint.paths=^/up$", "./...").CombinedOutput(); err != nil {
		t.Errorf("with a path of its own: %v\n%s", err, out)
	}
}
