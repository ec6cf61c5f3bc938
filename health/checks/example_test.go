package checks_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/failopen/failopen/cache"
	"github.com/failopen/failopen/health"
	"github.com/failopen/failopen/health/checks"
	"github.com/failopen/failopen/logsink"
)

func load(context.Context, string) (int, error) { return 1, nil }

// What a cache and a log sink say of themselves, in the report. Neither asks
// anything, and neither can make the process less than ready.
func ExampleStats() {
	sessions, err := cache.New(cache.Options[int]{Name: "sessions", TTL: time.Minute, Load: load})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sessions.Close(context.Background())
	logs, err := logsink.New(logsink.Options{Dest: io.Discard})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer logs.Close()

	var p health.Process
	for name, check := range map[string]func(context.Context) error{
		"session cache": checks.Stats(sessions.Stats, func(s cache.Stats) error {
			if s.Reads.Breaker == "open" {
				return errors.New("the store does not answer; the origin does the work")
			}
			return nil
		}),
		"log": checks.Stats(logs.Stats, func(s logsink.Stats) error {
			if s.State == logsink.Broken || s.StalledFor > time.Minute {
				return errors.New("nobody takes the records")
			}
			return nil
		}),
	} {
		if err := p.Depend(health.Dependency{Name: name, Check: check, Soft: true}); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(len(p.Report().Checks), "checks")
	// Output: 2 checks
}
