package logsink

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/logsink/logsinktest"
)

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		frozen := logsinktest.NewFrozen(io.Discard)
		s := mustNew(t, Options{Dest: frozen, MaxBytes: 64 << 10})
		other := mustNew(t, Options{Dest: io.Discard})
		for range 1000 {
			io.WriteString(s, strings.Repeat("x", 99)+"\n")
		}
		s.Lane(High).Write([]byte("bad\n"))
		time.Sleep(12 * time.Second)
		st := mustAdd(t, s)
		var b bytes.Buffer
		n, err := Metrics{"main": s, `a"b\`: other}.WriteTo(&b)
		if err != nil || n != int64(b.Len()) {
			t.Errorf("WriteTo: %d of %d, %v", n, b.Len(), err)
		}
		text := b.String()
		for _, want := range []string{
			"# TYPE logsink_records_dropped counter\n# HELP logsink_records_dropped Records that are lost, by reason.\nlogsink_records_dropped_total{sink=\"a\\\"b\\\\\",lane=\"normal\",reason=\"full\"} 0\n",
			"logsink_records_attempted_total{sink=\"main\",lane=\"normal\"} 1000\nlogsink_records_attempted_total{sink=\"main\",lane=\"high\"} 1\n",
			"logsink_stalled_seconds{sink=\"main\"} 12\n",
			"logsink_queue_bytes{sink=\"main\"} 65536\n",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in\n%s", want, text)
			}
		}
		if !strings.HasSuffix(text, "\n# EOF\n") || st.Dropped.Full == 0 {
			t.Errorf("%+v: %s", st, text)
		}
		if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "has taken nothing for 12s") {
			t.Errorf("Check: %v", err)
		}
		if err := other.Check(t.Context()); err != nil {
			t.Errorf("Check of a healthy sink: %v", err)
		}
		frozen.Release()
		s.Close()
		other.Close()
	})
}

func TestMetrics_have_names_of_their_own(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range families {
		if seen[f.name] || !strings.HasPrefix(f.name, "logsink_") || strings.HasSuffix(f.name, "_total") {
			t.Errorf("%s", f.name)
		}
		seen[f.name] = true
	}
}

func TestDrops_All_has_every_reason(t *testing.T) {
	var d Drops
	v := reflect.ValueOf(&d).Elem()
	for i := range v.NumField() {
		v.Field(i).SetInt(1 << i)
	}
	i, sum := 0, int64(0)
	for reason, n := range d.All() {
		tag := v.Type().Field(i).Tag.Get("json")
		if reason != tag || n != 1<<i {
			t.Errorf("reason %d is %q with %d, want %q with %d", i, reason, n, tag, 1<<i)
		}
		i, sum = i+1, sum+n
	}
	if i != v.NumField() || sum != d.Total() {
		t.Errorf("%d reasons of %d, sum %d of %d", i, v.NumField(), sum, d.Total())
	}
	for range d.All() {
		break // must not go on
	}
}

func TestNewLevelHandler_changes_at_run_time(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustNew(t, Options{Dest: io.Discard})
		var high slog.LevelVar
		high.Set(slog.LevelError)
		log := slog.New(NewLevelHandler(s, &high, jsonHandler)).With("a", 1)
		log.Warn("normal")
		high.Set(slog.LevelInfo)
		log.Info("high")
		s.Close()
		if st := mustAdd(t, s); st.High.Attempted != 1 || st.Attempted != 2 {
			t.Errorf("%+v", st)
		}
	})
}

// A rule on the service's own keys sees the marker.
func TestGapHandler_uses_the_handler_of_the_service(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec logsinktest.Recorder
		s := mustNew(t, Options{Dest: &rec, MaxBytes: 64 << 10, Gap: GapHandler(func(w io.Writer) slog.Handler {
			return slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				switch a.Key {
				case slog.LevelKey:
					a.Key = "severity"
				case slog.MessageKey:
					a.Key = "message"
				}
				return a
			}})
		})})
		s.Write(make([]byte, 64<<10))
		io.WriteString(s, "next\n")
		s.Close()
		if got := rec.String(); !strings.Contains(got, `"severity":"WARN","message":"log records dropped","dropped":1,"bytes":65536,"full":0,"evicted":0,"oversize":1`) {
			t.Error(got)
		}
	})
}

// hostileError does what an error should not.
type hostileError struct{ panics func() }

func (e hostileError) Error() string        { e.panics(); return "" }
func (e hostileError) Is(target error) bool { e.panics(); return false }
func (e hostileError) RetryAfter() time.Duration {
	return -time.Hour
}

func TestSink_survives_hostile_errors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec logsinktest.Recorder
		calls := 0
		s := mustNew(t, Options{Dest: writerFunc(func(p []byte) (int, error) {
			if calls++; calls < 4 {
				return 0, hostileError{func() { panic("an error") }}
			}
			return rec.Write(p)
		})})
		io.WriteString(s, "line\n")
		time.Sleep(time.Minute)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if st := mustAdd(t, s); rec.String() != "line\n" || st.Panics != 3 || st.WriteErrors != 3 || !strings.Contains(st.LastError, "panics when it is asked") {
			t.Errorf("%q: %+v", rec.String(), st)
		}
	})
}

// A Gap that ends its goroutine or does not return costs the marker.
func TestGap_that_does_not_come_back(t *testing.T) {
	for name, gap := range map[string]func(GapInfo) []byte{
		"ends its goroutine": func(GapInfo) []byte { runtime.Goexit(); return nil },
		"does not return":    func(GapInfo) []byte { time.Sleep(time.Hour); return []byte("too late\n") },
	} {
		for _, batch := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var rec logsinktest.Recorder
					o := Options{MaxBytes: 64 << 10, Gap: gap}
					if batch {
						o.Batch = toBatch(&rec)
					} else {
						o.Dest = &rec
					}
					s := mustNew(t, o)
					s.Write(make([]byte, 64<<10))
					io.WriteString(s, "next\n")
					if err := s.Shutdown(withTimeout(t, time.Minute)); err != nil {
						t.Error(err)
					}
					if st := mustAdd(t, s); rec.String() != "next\n" || st.Panics != 1 {
						t.Errorf("%q: %+v", rec.String(), st)
					}
					time.Sleep(2 * time.Hour)
				})
			})
		}
	}
}

// An outage of hours is one event, not one a retry; another error is another.
func TestOnEvent_tells_an_outage_once(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var told []string
		err := errors.New("no route to host")
		s := mustNew(t, Options{
			Dest: writerFunc(func(p []byte) (int, error) {
				mu.Lock()
				defer mu.Unlock()
				return 0, err
			}),
			OnEvent: func(e Event) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, e.Kind.String())
				if len(told) == 1 {
					runtime.Goexit()
				}
			},
		})
		io.WriteString(s, "line\n")
		time.Sleep(time.Hour)
		mu.Lock()
		err = os.ErrDeadlineExceeded
		mu.Unlock()
		time.Sleep(time.Hour)
		s.Close()
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if strings.Join(told, ", ") != "write failed, write failed" || s.Stats().Panics != 1 {
			t.Errorf("%v, %+v", told, s.Stats())
		}
	})
}
