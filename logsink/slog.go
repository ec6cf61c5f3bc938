package logsink

import (
	"bytes"
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
	return NewLevelHandler(s, slog.LevelWarn, make)
}

// NewLevelHandler is [NewHandler] with another level for the high lane. A
// *slog.LevelVar can be changed while the program runs. Nil is slog.LevelWarn.
func NewLevelHandler(s *Sink, high slog.Leveler, make func(io.Writer) slog.Handler) slog.Handler {
	if high == nil {
		high = slog.LevelWarn
	}
	return laneHandler{high, make(s.Lane(Normal)), make(s.Lane(High))}
}

// GapHandler is a marker for [Options].Gap that goes through a handler of yours,
// so that its keys and its form are those of all other lines, ReplaceAttr
// included: a record of [slog.LevelWarn], "log records dropped".
//
//	Gap: logsink.GapHandler(func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, options) })
func GapHandler(make func(io.Writer) slog.Handler) func(GapInfo) []byte {
	return func(g GapInfo) []byte {
		var b bytes.Buffer
		r := slog.NewRecord(g.Until, slog.LevelWarn, "log records dropped", 0)
		r.AddAttrs(
			slog.Int64("dropped", g.Dropped),
			slog.Int64("bytes", g.Bytes),
			slog.Int64("full", g.Reasons.Full),
			slog.Int64("evicted", g.Reasons.Evicted),
			slog.Int64("oversize", g.Reasons.Oversize),
			slog.Int64("rejected", g.Reasons.Rejected),
			slog.Int64("abandoned", g.Reasons.Abandoned),
			slog.Time("since", g.Since),
		)
		if err := make(&b).Handle(context.Background(), r); err != nil {
			return GapText(g) // a marker in another form is better than none
		}
		return b.Bytes()
	}
}

type laneHandler struct {
	from         slog.Leveler // of the high lane
	normal, high slog.Handler
}

// of is the handler of the level's lane. The threshold is read each time: it
// may be a slog.LevelVar.
func (h laneHandler) of(l slog.Level) slog.Handler {
	if l >= h.from.Level() {
		return h.high
	}
	return h.normal
}

func (h laneHandler) Enabled(ctx context.Context, l slog.Level) bool { return h.of(l).Enabled(ctx, l) }

func (h laneHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.of(r.Level).Handle(ctx, r)
}

func (h laneHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return laneHandler{h.from, h.normal.WithAttrs(attrs), h.high.WithAttrs(attrs)}
}

func (h laneHandler) WithGroup(name string) slog.Handler {
	return laneHandler{h.from, h.normal.WithGroup(name), h.high.WithGroup(name)}
}
