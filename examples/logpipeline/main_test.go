package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if os.Getenv("LOGPIPELINE_CHILD") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestShow(t *testing.T) {
	var out strings.Builder
	if err := show(&out, config{length: 1500 * time.Millisecond, rate: 2000, size: 200}); err != nil {
		t.Error(err)
	}
	t.Log("\n" + out.String())
	for _, want := range []string{"log.New(sink)", "stopped at request", "dropped (each counted)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing", want)
		}
	}
}
