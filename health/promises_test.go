package health

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// What the comments of options promise in numbers, literally.
// .ci/mutants.txt changes each of them, and a test has to notice.

func TestServeOptions_Shutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for shutdown, ok := range map[time.Duration]bool{0: true, time.Hour: true, time.Hour + 1: false, -1: false} {
			p := new(Process)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			var left time.Duration
			stop := func(ctx context.Context) error {
				end, _ := ctx.Deadline()
				left = time.Until(end)
				return nil
			}
			err := p.Serve(ctx, &http.Server{}, ServeOptions{Listener: newPipes(), Drain: -1, Shutdown: shutdown, Stop: []func(context.Context) error{stop}})
			if (err == nil) != ok {
				t.Errorf("Shutdown %v: %v", shutdown, err)
			}
			if shutdown == 0 && left != 20*time.Second {
				t.Errorf("Stop has %v", left)
			}
		}
	})
}
