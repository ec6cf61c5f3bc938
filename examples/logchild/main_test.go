package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/failopen/failopen/logsink"
	"github.com/failopen/failopen/logsink/logsinktest"
)

func TestRun(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip(err)
	}
	var rec logsinktest.Recorder
	sink, err := logsink.New(logsink.Options{Dest: &rec})
	if err != nil {
		t.Fatal(err)
	}
	code := run(sink, []string{"sh", "-c", "echo out; echo err >&2; exit 3"})
	missing := run(sink, []string{"./no-such-program"})
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	if code != 3 || missing != 127 {
		t.Errorf("exit codes %d and %d", code, missing)
	}
	lines := rec.Lines()
	if len(lines) != 6 || lines[1] != "out" || lines[2] != "err" || !strings.Contains(lines[3], "code=3") || !strings.Contains(lines[5], "level=ERROR") {
		t.Errorf("%q", lines)
	}
}
