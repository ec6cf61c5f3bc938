package logsink

import (
	"context"
	"io"
	"log/slog"
)

// NewHandler returns a slog.Handler that writes to s: records of [slog.LevelWarn]
// and above through the high lane, the others through the normal one. Make
// builds the handler that formats them; it is called once for each lane.
//
//	h := logsink.NewHandler(sink, func(w io.Writer) slog.Handler {
//		return slog.NewJSONHandler(w, nil)
//	})
//	slog.SetDefault(slog.New(h))
//
// A handler made on the Sink itself works as well; it knows no lanes.
func NewHandler(s *Sink, make func(io.Writer) slog.Handler) slog.Handler {
	return laneHandler{make(s.Lane(Normal)), make(s.Lane(High))}
}

type laneHandler struct{ normal, high slog.Handler }

func (h laneHandler) of(l slog.Level) slog.Handler {
	if l >= slog.LevelWarn {
		return h.high
	}
	return h.normal
}

func (h laneHandler) Enabled(ctx context.Context, l slog.Level) bool { return h.of(l).Enabled(ctx, l) }

func (h laneHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.of(r.Level).Handle(ctx, r)
}

func (h laneHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return laneHandler{h.normal.WithAttrs(attrs), h.high.WithAttrs(attrs)}
}

func (h laneHandler) WithGroup(name string) slog.Handler {
	return laneHandler{h.normal.WithGroup(name), h.high.WithGroup(name)}
}
