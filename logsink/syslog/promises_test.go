package syslog

import (
	"testing"
	"time"

	"github.com/failopen/failopen/logsink"
)

// What the comments of Options promise in numbers, literally. .ci/mutants.txt
// changes each of them, and a test has to notice.

func TestOptions_defaults(t *testing.T) {
	for network, longest := range map[string]int{"unixgram": 8192, "udp": 8192, "unix": 1 << 20, "tcp": 1 << 20} {
		d, err := New(Options{Network: network, Address: "localhost:601", App: "test"})
		if err != nil {
			t.Fatal(err)
		}
		if o := d.opt; o.Facility != 1 || o.Timeout != 5*time.Second || o.MaxMessage != longest {
			t.Errorf("defaults with %s: %+v", network, o)
		}
		high, normal := d.opt.Severity(logsink.Record{Priority: logsink.High}), d.opt.Severity(logsink.Record{})
		if high != 4 || normal != 6 {
			t.Errorf("severities %d and %d", high, normal)
		}
	}
	for n, ok := range map[int]bool{23: true, 24: false, -1: false} {
		if _, err := New(Options{Network: "tcp", Address: "localhost:601", App: "test", Facility: n}); (err == nil) != ok {
			t.Errorf("Facility %d: %v", n, err)
		}
	}
}
