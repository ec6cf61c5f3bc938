package logsink

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// NotifyShutdown is signal.NotifyContext for a program that logs through s. The
// context it returns ends with the first SIGTERM or interrupt. At that moment
// the sink is flushed, in the background: what was logged so far is out even if
// SIGKILL follows too soon. It stays open for what the program logs while it
// stops. Stop shuts it down, for at most Options.CloseTimeout, and must be
// called; it returns Shutdown's error. A second signal ends the program at once.
//
//	ctx, stop := logsink.NotifyShutdown(context.Background(), sink)
//	defer stop()
func NotifyShutdown(parent context.Context, s *Sink) (ctx context.Context, stop func() error) {
	ctx, cancel := context.WithCancel(parent)
	got := make(chan os.Signal, 1)
	signal.Notify(got, os.Interrupt, syscall.SIGTERM)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-got:
			signal.Stop(got)
			cancel()
			s.Sync() //nolint:errcheck // Shutdown says what is left
		case <-ctx.Done():
			signal.Stop(got)
		}
	}()
	var once sync.Once
	var err error
	return ctx, func() error {
		once.Do(func() {
			cancel()
			err = s.Close()
			<-ended
		})
		return err
	}
}
