package loggers

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/rs/zerolog"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/failopen/failopen/logsink"
	"github.com/failopen/failopen/logsink/logsinktest"
)

var (
	_ zapcore.WriteSyncer = (*logsink.Sink)(nil)
	_ zerolog.LevelWriter = levels{}
)

// check runs log against a healthy and against a frozen destination: four
// records, two of them above Info.
func check(t *testing.T, log func(*logsink.Sink)) {
	t.Helper()
	var rec logsinktest.Recorder
	s, err := logsink.New(logsink.Options{Dest: &rec})
	if err != nil {
		t.Fatal(err)
	}
	log(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, l := range rec.Lines() {
		if !json.Valid([]byte(l)) {
			t.Errorf("not JSON: %s", l)
		}
	}
	if st := s.Stats(); st.Delivered != 4 || st.High.Delivered != 2 || len(rec.Lines()) != 4 {
		t.Errorf("%q, %+v", rec.Lines(), st)
	}

	frozen := logsinktest.NewFrozen(nil)
	defer frozen.Release()
	s, err = logsink.New(logsink.Options{Dest: frozen, SyncTimeout: 1, CloseTimeout: 1})
	if err != nil {
		t.Fatal(err)
	}
	log(s) // and returns
	s.Close()
	if st := s.Stats(); st.Attempted != 4 || st.Delivered != 0 {
		t.Errorf("%+v", st)
	}
}

func TestZap(t *testing.T) {
	check(t, func(s *logsink.Sink) {
		l := Zap(s)
		l.Debug("not enabled")
		l.Info("one", zap.Int("n", 1))
		l.Info("two")
		l.Warn("three")
		l.DPanic("four", zap.Error(errors.New("zap syncs after this one")))
	})
}

func TestZerolog(t *testing.T) {
	check(t, func(s *logsink.Sink) {
		l := Zerolog(s)
		l.Info().Int("n", 1).Msg("one")
		l.Log().Msg("two, of no level")
		l.Warn().Msg("three")
		l.Error().Err(errors.New("injected")).Msg("four")
	})
}
