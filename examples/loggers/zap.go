// Package loggers shows a sink below zap and below zerolog, with warnings and
// errors in the high lane. Copy the file that you need; neither logger is a
// dependency of failopen.
package loggers

import (
	"io"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/failopen/failopen/logsink"
)

// Zap returns a logger that writes JSON to s. A Sink is a zapcore.WriteSyncer as
// it is; two cores send what is above Info through the high lane. Zap calls Sync
// after each entry above Error: the sink bounds it (Options.SyncTimeout).
func Zap(s *logsink.Sink) *zap.Logger {
	enc := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	normal := zapcore.NewCore(enc, s, zap.LevelEnablerFunc(func(l zapcore.Level) bool {
		return l >= zapcore.InfoLevel && l < zapcore.WarnLevel
	}))
	high := zapcore.NewCore(enc, highLane{s, s.Lane(logsink.High)}, zapcore.WarnLevel)
	return zap.New(zapcore.NewTee(normal, high))
}

// highLane is the high lane of a sink, with the sink's Sync.
type highLane struct {
	*logsink.Sink
	lane io.Writer
}

// Write writes to the lane.
func (h highLane) Write(p []byte) (int, error) { return h.lane.Write(p) }
