package logsinktest_test

import (
	"io"
	"os"
	"testing"

	"github.com/failopen/failopen/logsink"
	"github.com/failopen/failopen/logsink/logsinktest"
)

func TestWriter_logsink(t *testing.T) {
	for name, o := range map[string]logsink.Options{
		"default":     {MaxBytes: 512 << 10},
		"drop oldest": {MaxBytes: 512 << 10, DropOldest: true},
		"mapped":      {MaxBytes: 512 << 10, Mapped: "mapped"},
	} {
		t.Run(name, func(t *testing.T) {
			logsinktest.TestWriter(t, func(dest io.Writer) logsinktest.Subject {
				o := o
				o.Dest = dest
				if o.Mapped != "" {
					o.Mapped = memoryDir(t) + "/mapped"
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

// memoryDir is a directory on a file system in memory, where there is one that
// is known.
func memoryDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "logsink")
	if err != nil {
		return t.TempDir() // refused; the sink works in plain memory
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
