package logsink

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/logsink/logsinktest"
)

// A destination that ends the goroutine which calls it is retried like one that
// fails, with pauses, and not a million times a second.
func TestSink_rests_after_a_destination_that_ends_its_goroutine(t *testing.T) {
	const bad = 100
	for name, options := range map[string]func(call func() bool) Options{
		"Dest": func(call func() bool) Options {
			return Options{Dest: writerFunc(func(p []byte) (int, error) {
				if call() {
					runtime.Goexit()
				}
				return len(p), nil
			})}
		},
		"Batch": func(call func() bool) Options {
			return Options{Batch: batchFunc(func(_ context.Context, b []Record) (BatchResult, error) {
				if call() {
					runtime.Goexit()
				}
				return BatchResult{Done: len(b)}, nil
			})}
		},
		"its error": func(call func() bool) Options {
			return Options{Dest: writerFunc(func(p []byte) (int, error) {
				if call() {
					return 0, hostileError{runtime.Goexit}
				}
				return len(p), nil
			})}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				began := time.Now()
				var took time.Duration
				s := mustNew(t, options(func() bool {
					calls++
					took = time.Since(began)
					return calls <= bad
				}))
				io.WriteString(s, "line\n")
				time.Sleep(time.Minute)
				if st := mustAdd(t, s); st.State != Retrying || !strings.Contains(st.LastError, "ended the goroutine") {
					t.Errorf("%+v", st)
				}
				time.Sleep(time.Hour)
				s.Close()
				if st := mustAdd(t, s); st.Delivered != 1 || st.Panics != bad || st.WriteErrors != bad || st.State != Healthy {
					t.Errorf("%+v", st)
				}
				if least := (bad - 20) * 5 * time.Second; took < least {
					t.Errorf("%d attempts in %v, want at least %v", calls, took, least)
				}
			})
		})
	}
}

// Nor does it keep the fallback from being used, which may do the same.
func TestFallback_instead_of_a_destination_that_ends_its_goroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rec logsinktest.Recorder
		calls := 0
		s := mustNew(t, Options{
			Dest: writerFunc(func(p []byte) (int, error) { runtime.Goexit(); return 0, nil }),
			Fallback: writerFunc(func(p []byte) (int, error) {
				if calls++; calls <= 3 {
					runtime.Goexit()
				}
				return rec.Write(p)
			}),
			FallbackAfter: time.Minute,
		})
		io.WriteString(s, "line\n")
		time.Sleep(time.Hour)
		if st := mustAdd(t, s); rec.String() != "line\n" || st.Fallback != 1 || calls != 4 {
			t.Errorf("%q after %d calls: %+v", rec.String(), calls, st)
		}
		s.Close()
	})
}

// While the destination does not return, a moment's failure of the fallback is
// not its end.
func TestFallback_is_tried_again_while_stalled(t *testing.T) {
	for name, fail := range map[string]func() error{
		"error":  func() error { return errors.New("no space left") },
		"goexit": func() error { runtime.Goexit(); return nil },
		"panic":  func() error { panic("no") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var rec logsinktest.Recorder
				frozen := logsinktest.NewFrozen(io.Discard)
				calls := 0
				s := mustNew(t, Options{
					Dest: frozen, FallbackAfter: 10 * time.Second,
					Fallback: writerFunc(func(p []byte) (int, error) {
						if calls++; calls == 1 {
							if err := fail(); err != nil {
								return 0, err
							}
						}
						return rec.Write(p)
					}),
				})
				io.WriteString(s, "in the call\n")
				time.Sleep(time.Second)
				io.WriteString(s, "behind it\n")
				time.Sleep(time.Hour)
				st := mustAdd(t, s)
				if rec.String() != "behind it\n" || st.Fallback != 1 || calls != 2 {
					t.Errorf("%q after %d calls: %+v", rec.String(), calls, st)
				}
				if panics := int64(1); name != "error" && st.Panics != panics {
					t.Errorf("%d panics, want %d", st.Panics, panics)
				}
				frozen.Release()
				s.Close()
			})
		})
	}
}

// A service that says "in a year" is asked again before.
func TestSink_waits_no_year_for_a_destination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		s := mustNew(t, Options{Dest: writerFunc(func(p []byte) (int, error) {
			if calls++; calls == 1 {
				return 0, later{365 * 24 * time.Hour}
			}
			return len(p), nil
		})})
		io.WriteString(s, "line\n")
		time.Sleep(time.Hour)
		if st := mustAdd(t, s); st.Delivered != 1 {
			t.Errorf("%+v", st)
		}
		s.Close()
	})
}

func TestNew_refuses_memory_that_no_machine_has(t *testing.T) {
	for _, n := range []int{math.MaxInt, math.MaxInt/2 + 1, math.MaxInt &^ 0xfff} {
		for _, mapped := range []string{"", "/dev/shm/nothing"} {
			s, err := New(Options{Dest: io.Discard, MaxBytes: n, Mapped: mapped})
			if err == nil || !strings.Contains(err.Error(), "Options.MaxBytes") {
				t.Errorf("MaxBytes %d: %v", n, err)
			}
			if s != nil {
				s.Close()
			}
		}
	}
}

// Ends of records are numbers of 29 bits.
func TestOptions_records_fit_their_format(t *testing.T) {
	if math.MaxInt == math.MaxInt32 {
		t.Skip("no such memory on 32 bits")
	}
	shift := 33
	o := Options{Dest: io.Discard, MaxBytes: 1 << shift}
	if err := o.complete(); err != nil {
		t.Fatal(err)
	}
	if o.MaxRecord+2*frameSize > endMask {
		t.Errorf("MaxRecord is %d", o.MaxRecord)
	}
	o = Options{Dest: io.Discard, MaxBytes: 1 << shift, MaxRecord: 1 << (shift - 3)}
	if err := o.complete(); err == nil || !strings.Contains(err.Error(), "Options.MaxRecord is 1073741824, the most is") {
		t.Errorf("%v", err)
	}
}

func TestOptions_one_bound_of_the_pause_moves_the_other(t *testing.T) {
	o := Options{Dest: io.Discard, RetryMin: time.Hour}
	if err := o.complete(); err != nil || o.RetryMax != time.Hour {
		t.Errorf("RetryMax is %v, %v", o.RetryMax, err)
	}
	o = Options{Dest: io.Discard, RetryMax: time.Millisecond}
	if err := o.complete(); err != nil || o.RetryMin != time.Millisecond {
		t.Errorf("RetryMin is %v, %v", o.RetryMin, err)
	}
	o = Options{Dest: io.Discard, RetryMin: 2, RetryMax: 1}
	if err := o.complete(); err == nil {
		t.Error("RetryMin above RetryMax")
	}
}

// A nil context is one without a deadline, as in package cache.
func TestSink_takes_a_nil_context(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		frozen := logsinktest.NewFrozen(io.Discard)
		s := mustNew(t, Options{Dest: frozen})
		io.WriteString(s, "line\n")
		var none context.Context
		began := time.Now()
		if err := s.Flush(none); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("Flush: %v after %v", err, time.Since(began))
		}
		began = time.Now()
		if err := s.Shutdown(none); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) < 2*time.Second || time.Since(began) > 2*time.Second+10*time.Millisecond {
			t.Errorf("Shutdown: %v after %v", err, time.Since(began))
		}
		if err := s.Check(none); err != nil {
			t.Errorf("Check: %v", err)
		}
		frozen.Release()
	})
}

// endless is a log that never has a line break, such as a disk image.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	return len(p), nil
}

func TestVerifyLog_has_a_longest_line(t *testing.T) {
	e := &endless{}
	r, err := verifyLog(io.MultiReader(strings.NewReader("one\n\r\ntwo\r\n"), e), 1<<20)
	if !errors.Is(err, bufio.ErrTooLong) || !strings.Contains(err.Error(), "after 2 lines") || r.Lines != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if e.read > 4<<20 {
		t.Errorf("%d bytes were read", e.read)
	}
	longest := strings.Repeat("x", 1<<20)
	for _, end := range []string{"", "\n", "\r\n"} {
		if r, err := verifyLog(strings.NewReader(longest+end), 1<<20); err != nil || r.Lines != 1 {
			t.Errorf("the longest line with %q: %+v, %v", end, r, err)
		}
	}
}

func TestMetrics_leave_out_a_nil_sink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustNew(t, Options{Dest: io.Discard})
		defer s.Close()
		var b strings.Builder
		if _, err := (Metrics{"none": nil, "app": s}).WriteTo(&b); err != nil || strings.Contains(b.String(), "none") || !strings.Contains(b.String(), `sink="app"`) {
			t.Errorf("%v: %s", err, b.String())
		}
	})
}

func TestNewLevelHandler_without_a_level(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustNew(t, Options{Dest: io.Discard})
		log := slog.New(NewLevelHandler(s, nil, jsonHandler))
		log.Info("normal")
		log.Warn("high")
		s.Close()
		if st := mustAdd(t, s); st.High.Attempted != 1 || st.Attempted != 2 {
			t.Errorf("%+v", st)
		}
	})
}

// A Classify that panics, or ends the goroutine of the logger, costs the lane and no
// record.
func TestClassify_that_is_hostile(t *testing.T) {
	var rec logsinktest.Recorder
	calls := 0
	s := mustNew(t, Options{Dest: &rec, Classify: func([]byte) Priority {
		switch calls++; calls {
		case 1:
			panic("no")
		case 2:
			runtime.Goexit()
		}
		return High
	}})
	gone := make(chan bool)
	go func() {
		defer close(gone)
		io.WriteString(s, "a\n")
		io.WriteString(s, "b\n")
		gone <- false
	}()
	if _, goes := <-gone; goes {
		t.Error("the goroutine goes on")
	}
	io.WriteString(s, "c\n")
	s.Close()
	if st := mustAdd(t, s); len(rec.Lines()) != 3 || st.Panics != 2 || st.High.Delivered != 1 {
		t.Errorf("%q, %+v", rec.Lines(), st)
	}
}
