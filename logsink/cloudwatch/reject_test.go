package cloudwatch

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/failopen/failopen/logsink"
)

// What CloudWatch refuses is counted by reason, told by an event, and marked in
// the log.
func TestDest_says_why_records_are_rejected(t *testing.T) {
	e, c := newEndpoint(t)
	e.reject = func(events []event) map[string]int {
		if len(events) < 10 {
			return nil
		}
		return map[string]int{"tooOldLogEventEndIndex": 2, "expiredLogEventEndIndex": 5, "tooNewLogEventStartIndex": len(events) - 1}
	}
	var mu sync.Mutex
	var told []error
	s, d := start(t, c, func(o *Options, so *logsink.Options) {
		o.MaxEvent = 1000
		so.Linger = time.Second
		so.Gap = logsink.GapText
		so.OnEvent = func(ev logsink.Event) {
			mu.Lock()
			defer mu.Unlock()
			if ev.Kind == logsink.RecordsRejected {
				told = append(told, ev.Err)
			}
		}
	})
	for i := range 20 {
		fmt.Fprintln(s, i)
	}
	fmt.Fprintln(s, strings.Repeat("x", 1001))
	if err := s.Shutdown(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	want := Rejections{TooOld: 2, Expired: 3, TooNew: 1, TooLong: 1}
	if got := d.Stats(); got.Rejections != want || got.Rejected != 7 {
		t.Errorf("%+v, want %+v", got, want)
	}
	st := mustAdd(t, s)
	if st.Dropped.Rejected != 7 || !strings.Contains(st.LastError, "2 are older than 14 days, 3 are older than the retention of the group, 1 are more than two hours in the future, 1 are too long") {
		t.Errorf("%+v", st)
	}
	mu.Lock()
	defer mu.Unlock()
	var why Rejections
	if len(told) != 1 || !errors.As(told[0], &why) || why != want {
		t.Errorf("events: %v", told)
	}
	if last := e.messages[len(e.messages)-1]; !strings.HasPrefix(last, "--- 7 log records (1015 bytes) dropped") {
		t.Errorf("the marker is %q", last)
	}
}

// The clock of this machine is three hours ahead: every record would be refused
// for its time. The service's own Date corrects it, and nothing is lost.
func TestDest_corrects_a_wrong_clock(t *testing.T) {
	e, c := newEndpoint(t)
	const ahead = 3 * time.Hour
	e.fault = func(op string, w http.ResponseWriter) bool {
		w.Header().Set("Date", time.Now().Add(-ahead).UTC().Format(http.TimeFormat))
		return false
	}
	var mu sync.Mutex
	var latest int64
	e.reject = func(events []event) map[string]int {
		mu.Lock()
		defer mu.Unlock()
		latest = events[len(events)-1].Timestamp
		limit := time.Now().Add(-ahead + 2*time.Hour).UnixMilli()
		for i, ev := range events {
			if ev.Timestamp > limit {
				return map[string]int{"tooNewLogEventStartIndex": i}
			}
		}
		return nil
	}
	s, d := start(t, c, nil)
	for i := range 500 {
		fmt.Fprintln(s, i)
		if i%100 == 0 {
			if err := s.Flush(within(t, 10*time.Second)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Shutdown(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	if st := mustAdd(t, s); st.Delivered != 500 || st.Dropped.Total() != 0 {
		t.Errorf("%+v", st)
	}
	if got := d.Stats(); got.ClockOffset > -ahead+time.Minute || got.ClockOffset < -ahead-time.Minute || got.Rejected != 0 {
		t.Errorf("%+v", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if off := time.Until(time.UnixMilli(latest)) + ahead; off.Abs() > time.Minute {
		t.Errorf("the last event has a time that is wrong by %v", off)
	}
}
