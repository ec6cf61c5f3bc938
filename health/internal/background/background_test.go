package background

import (
	"context"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// handler handles records by doing something else.
type handler func()

func (handler) Enabled(context.Context, slog.Level) bool    { return true }
func (h handler) Handle(context.Context, slog.Record) error { h(); return nil }
func (h handler) WithAttrs([]slog.Attr) slog.Handler        { return h }
func (h handler) WithGroup(string) slog.Handler             { return h }

// A handler may do what it likes: the caller goes on at once, panics are told,
// and after each of them the next warning is handed over again.
func TestLogger_with_hostile_handler(t *testing.T) {
	for name, c := range map[string]struct {
		handle          func()
		handled, panics int // of three warnings, a minute apart
	}{
		"returns": {func() {}, 3, 0},
		"panics":  {func() { panic("x") }, 3, 3},
		"exits":   {runtime.Goexit, 3, 3},
		"blocks":  {func() { <-time.After(90 * time.Second) }, 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				handled, panics := 0, 0
				l := Logger{
					To:       slog.New(handler(func() { handled++; c.handle() })),
					Panicked: func() { panics++ },
				}
				begin := time.Now()
				for range 3 {
					l.Warn("x", "key", "value")
					synctest.Wait()
					<-time.After(time.Minute)
				}
				if took := time.Since(begin); took != 3*time.Minute {
					t.Errorf("the caller was held up: %s in all", took)
				}
				<-time.After(time.Hour)
				if handled != c.handled || panics != c.panics {
					t.Errorf("handled %d, panics %d; want %d, %d", handled, panics, c.handled, c.panics)
				}
			})
		})
	}
}

func TestLogger_zero_value_says_nothing(t *testing.T) {
	var l Logger
	l.Warn("x")
}
