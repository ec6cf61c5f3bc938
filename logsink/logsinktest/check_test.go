package logsinktest_test

import (
	"io"
	"testing"

	"github.com/failopen/failopen/logsink"
	"github.com/failopen/failopen/logsink/logsinktest"
)

func TestRun_logsink(t *testing.T) {
	for name, o := range map[string]logsink.Options{
		"default":     {MaxBytes: 512 << 10},
		"drop oldest": {MaxBytes: 512 << 10, DropOldest: true},
		"mapped":      {MaxBytes: 512 << 10, Mapped: "mapped"},
	} {
		t.Run(name, func(t *testing.T) {
			logsinktest.Run(t, func(dest io.Writer) logsinktest.Subject {
				o := o
				o.Dest = dest
				if o.Mapped != "" {
					o.Mapped = t.TempDir() + "/mapped"
				}
				s, err := logsink.New(o)
				if err != nil {
					t.Fatal(err)
				}
				return logsinktest.Subject{Writer: s, Close: s.Shutdown, Lost: func() int64 { return s.Stats().Dropped.Total() }}
			})
		})
	}
}
