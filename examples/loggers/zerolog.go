package loggers

import (
	"io"

	"github.com/rs/zerolog"

	"github.com/failopen/failopen/logsink"
)

// Zerolog returns a logger that writes to s. Log.Fatal calls Close on the
// writer before it exits; that of the sink is bounded (Options.CloseTimeout).
func Zerolog(s *logsink.Sink) zerolog.Logger {
	return zerolog.New(levels{s, s.Lane(logsink.High)}).With().Timestamp().Logger()
}

// levels is a zerolog.LevelWriter.
type levels struct {
	*logsink.Sink
	high io.Writer
}

// WriteLevel sends warnings and above through the high lane.
func (w levels) WriteLevel(l zerolog.Level, p []byte) (int, error) {
	if l >= zerolog.WarnLevel && l != zerolog.NoLevel {
		return w.high.Write(p)
	}
	return w.Write(p)
}
