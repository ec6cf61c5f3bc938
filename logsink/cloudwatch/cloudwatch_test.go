package cloudwatch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/failopen/failopen/logsink"
)

// start makes a sink with a Dest whose pauses are short.
func start(t testing.TB, c Client, with func(*Options, *logsink.Options)) (*logsink.Sink, *Dest) {
	t.Helper()
	o := Options{Client: c, Group: "g", Stream: "s", PauseMin: time.Millisecond, PauseMax: 5 * time.Millisecond}
	so := logsink.Options{Linger: time.Millisecond}
	if with != nil {
		with(&o, &so)
	}
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	so.Batch = d
	s, err := logsink.New(so)
	if err != nil {
		t.Fatal(err)
	}
	return s, d
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func mustAdd(t testing.TB, s *logsink.Sink) logsink.Stats {
	t.Helper()
	st := s.Stats()
	if st.Attempted != st.Delivered+st.Dropped.Total()+st.Queued {
		t.Fatalf("the counts do not add up: %+v", st)
	}
	return st
}

func TestDest_delivers_in_order(t *testing.T) {
	e, c := newEndpoint(t)
	s, d := start(t, c, func(o *Options, so *logsink.Options) { so.MaxBytes = 32 << 20 })
	var want []string
	for i := range 50_000 {
		line := fmt.Sprintf("line %d %s", i, strings.Repeat("ä", i%50))
		want = append(want, line)
		fmt.Fprintln(s, line)
	}
	fmt.Fprintln(s) // empty lines are no events
	if err := s.Shutdown(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(e.messages, want) {
		t.Errorf("%d of %d messages arrived, or their order is another", len(e.messages), len(want))
	}
	if st := mustAdd(t, s); st.Delivered != 50_001 || d.Stats().Skipped != 1 || len(e.puts) > 200 {
		t.Errorf("%d requests, %+v", len(e.puts), st)
	}
}

// Each way in which a call fails for a while: nothing is lost, and order stays.
func TestDest_retries_until_it_works(t *testing.T) {
	for name, fault := range map[string]func(op string, w http.ResponseWriter) bool{
		"IAM revoked":           func(_ string, w http.ResponseWriter) bool { return fail(w, 400, "AccessDeniedException") },
		"expired credentials":   func(_ string, w http.ResponseWriter) bool { return fail(w, 400, "ExpiredTokenException") },
		"key deleted":           func(_ string, w http.ResponseWriter) bool { return fail(w, 400, "UnrecognizedClientException") },
		"throttled":             func(_ string, w http.ResponseWriter) bool { return fail(w, 400, "ThrottlingException") },
		"unavailable":           func(_ string, w http.ResponseWriter) bool { return fail(w, 503, "ServiceUnavailableException") },
		"gateway's page":        func(_ string, w http.ResponseWriter) bool { w.WriteHeader(502); w.Write([]byte("<html>")); return true },
		"captive portal":        func(_ string, w http.ResponseWriter) bool { w.Write([]byte("<html>please log in</html>")); return true },
		"group not there":       func(_ string, w http.ResponseWriter) bool { return fail(w, 400, "ResourceNotFoundException") },
		"create denied as well": func(_ string, w http.ResponseWriter) bool { return fail(w, 400, "AccessDeniedException") },
		"connection cut": func(_ string, w http.ResponseWriter) bool {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				conn.Close()
			}
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			e, c := newEndpoint(t)
			s, d := start(t, c, nil)
			write := func(from, to int) {
				for i := from; i < to; i++ {
					fmt.Fprintf(s, "%d\n", i)
				}
			}
			write(0, 1000)
			if err := s.Flush(within(t, 10*time.Second)); err != nil {
				t.Fatal(err)
			}
			e.set(func() { e.fault = fault })
			write(1000, 3000)
			waitFor(t, func() bool { return d.Stats().Failures >= 5 || s.Stats().WriteErrors >= 5 })
			if st := mustAdd(t, s); st.Delivered > 1000 || st.Dropped.Total() > 0 || st.State != logsink.Retrying {
				t.Errorf("in the outage: %+v", st)
			}
			if got, want := d.Stats().Denied, strings.Contains(d.Stats().LastError, "Denied") || strings.Contains(d.Stats().LastError, "Expired") || strings.Contains(d.Stats().LastError, "Unrecognized"); got != want {
				t.Errorf("denied: %v, %s", got, d.Stats().LastError)
			}
			e.set(func() { e.fault = nil })
			write(3000, 4000)
			if err := s.Shutdown(within(t, 10*time.Second)); err != nil {
				t.Fatal(err)
			}
			mustHave(t, e.messages, 4000)
			if st := mustAdd(t, s); st.Delivered != 4000 || st.State != logsink.Healthy || d.Stats().Denied {
				t.Errorf("afterwards: %+v", st)
			}
		})
	}
}

// mustHave looks for the numbers below n, each once and in order.
func mustHave(t testing.TB, messages []string, n int) {
	t.Helper()
	if len(messages) != n {
		t.Fatalf("%d messages, want %d", len(messages), n)
	}
	for i, m := range messages {
		if m != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, m)
		}
	}
}

// waitFor waits for something that happens in other goroutines and over the
// network.
func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 20_000 {
		if ok() {
			return
		}
		<-tick.C
	}
	t.Fatal("it did not happen within 20 s")
}

func TestDest_makes_group_and_stream(t *testing.T) {
	e, c := newEndpoint(t)
	e.groups, e.streams = map[string]bool{}, map[string]bool{}
	s, _ := start(t, c, func(o *Options, _ *logsink.Options) { o.CreateGroup = true })
	if n := e.calls["PutLogEvents"] + e.calls["CreateLogGroup"] + e.calls["CreateLogStream"]; n != 0 {
		t.Errorf("%d calls before there was a record", n)
	}
	fmt.Fprintln(s, "0")
	if err := s.Shutdown(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	mustHave(t, e.messages, 1)
	if e.calls["CreateLogGroup"] != 1 || e.calls["CreateLogStream"] != 2 || e.calls["PutLogEvents"] != 2 {
		t.Errorf("calls: %v", e.calls)
	}
}

func TestDest_finds_the_poison(t *testing.T) {
	e, c := newEndpoint(t)
	e.poison = "poison"
	s, _ := start(t, c, func(_ *Options, so *logsink.Options) { so.Linger = time.Hour })
	n := 0
	for i := range 1000 {
		if i == 0 || i == 617 || i == 618 || i == 999 {
			fmt.Fprintln(s, "poison")
			continue
		}
		fmt.Fprintln(s, n)
		n++
	}
	if err := s.Shutdown(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	mustHave(t, e.messages, 996)
	if st := mustAdd(t, s); st.Dropped.Rejected != 4 || st.Delivered != 996 || e.calls["PutLogEvents"] > 80 {
		t.Errorf("%d calls, %+v", e.calls["PutLogEvents"], st)
	}
}

// Everything is invalid: that is no poison, and nothing is thrown away for it
// beyond the first hundred.
func TestDest_invalid_configuration(t *testing.T) {
	e, c := newEndpoint(t)
	e.poison = "a"
	s, d := start(t, c, nil)
	for range 500 {
		fmt.Fprintln(s, "a")
	}
	waitFor(t, func() bool { return d.Stats().Rejected == poisonLimit && s.Stats().State == logsink.Retrying })
	e.set(func() { e.poison = "" })
	if err := s.Shutdown(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	if st := mustAdd(t, s); st.Delivered != 400 || st.Dropped.Rejected != 100 {
		t.Errorf("%+v", st)
	}
}

func TestDest_rejected_events_are_counted_and_not_sent_again(t *testing.T) {
	e, c := newEndpoint(t)
	e.reject = func(events []event) map[string]int {
		return map[string]int{"tooOldLogEventEndIndex": 2, "expiredLogEventEndIndex": 3, "tooNewLogEventStartIndex": len(events) - 1}
	}
	s, d := start(t, c, func(_ *Options, so *logsink.Options) { so.Linger = time.Hour })
	for i := range 10 {
		fmt.Fprintln(s, i)
	}
	fmt.Fprintln(s.Lane(logsink.High), 10)
	if err := s.Shutdown(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	st := mustAdd(t, s)
	if st.Dropped.Rejected != 4 || st.Delivered != 7 || st.High.Dropped.Rejected != 1 || d.Stats().Rejected != 4 || len(e.puts) != 1 {
		t.Errorf("%d requests, %+v", len(e.puts), st)
	}
}

// A black hole holds neither a call beyond its time-out nor Shutdown.
func TestDest_black_hole(t *testing.T) {
	e, c := newEndpoint(t)
	hang := make(chan struct{})
	e.hang = hang
	s, d := start(t, c, func(o *Options, _ *logsink.Options) { o.Timeout = 20 * time.Millisecond })
	for i := range 10 {
		fmt.Fprintln(s, i)
	}
	waitFor(t, func() bool { return d.Stats().Calls >= 3 })
	began := time.Now()
	if err := s.Shutdown(within(t, 50*time.Millisecond)); err == nil {
		t.Error("Shutdown says that all is delivered")
	}
	if took := time.Since(began); took > 10*time.Second { // a busy machine takes its time; a hang takes for ever
		t.Errorf("Shutdown took %v", took)
	}
	close(hang)
	if st := mustAdd(t, s); st.Dropped.Abandoned != 10 {
		t.Errorf("%+v", st)
	}
}

func TestDest_nobody_listens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	l.Close()
	s, d := start(t, clientOf(url, http.DefaultClient), nil)
	fmt.Fprintln(s, "0")
	waitFor(t, func() bool { return d.Stats().Failures > 3 })
	if st := mustAdd(t, s); st.Queued != 1 || !strings.Contains(st.LastError, "connection refused") {
		t.Errorf("%+v", st)
	}
	s.Shutdown(within(t, time.Millisecond))
}

func TestDest_pauses_grow_with_jitter(t *testing.T) {
	d, err := New(Options{Client: denying{}, Group: "g", Stream: "s"})
	if err != nil {
		t.Fatal(err)
	}
	bound := 200 * time.Millisecond
	seen := map[time.Duration]bool{}
	for range 20 {
		res, err := d.WriteBatch(t.Context(), []logsink.Record{{Time: time.Now(), Data: []byte("x")}})
		var after logsink.RetryAfter
		if !errors.As(err, &after) || res.Done != 0 {
			t.Fatalf("%v, %v", res, err)
		}
		if wait := after.RetryAfter(); wait <= 0 || wait > bound {
			t.Errorf("pause %v, the bound is %v", wait, bound)
		}
		seen[after.RetryAfter()] = true
		bound = min(2*bound, time.Minute)
	}
	if len(seen) < 15 {
		t.Errorf("only %d different pauses", len(seen))
	}
}

type denying struct{ Client }

func (denying) PutLogEvents(context.Context, *cloudwatchlogs.PutLogEventsInput, ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.PutLogEventsOutput, error) {
	return nil, errors.New("injected")
}

// Expired credentials are asked for again at once.
func TestDest_renews_credentials(t *testing.T) {
	e, like := newEndpoint(t)
	url := *like.Options().BaseEndpoint
	var mu sync.Mutex
	asked := 0
	c := NewClient(aws.Config{
		Region:       "eu-central-1",
		BaseEndpoint: &url,
		Credentials: aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			mu.Lock()
			defer mu.Unlock()
			asked++
			return aws.Credentials{AccessKeyID: fmt.Sprint("KEY", asked), SecretAccessKey: "x", CanExpire: true, Expires: time.Now().Add(time.Hour)}, nil
		})),
	})
	e.set(func() {
		e.fault = func(_ string, w http.ResponseWriter) bool {
			mu.Lock()
			defer mu.Unlock()
			return asked < 3 && fail(w, 400, "ExpiredTokenException")
		}
	})
	s, _ := start(t, c, nil)
	fmt.Fprintln(s, "0")
	if err := s.Shutdown(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	mustHave(t, e.messages, 1)
}

func TestNew_refuses(t *testing.T) {
	for want, o := range map[string]Options{
		"Options.Client":            {Group: "g", Stream: "s"},
		`Options.Group is ""`:       {Client: denying{}, Stream: "s"},
		`Options.Group is "a b"`:    {Client: denying{}, Group: "a b", Stream: "s"},
		`Options.Stream is "a:b"`:   {Client: denying{}, Group: "g", Stream: "a:b"},
		"Options.Timeout is -1ns":   {Client: denying{}, Group: "g", Stream: "s", Timeout: -1},
		"Options.PauseMin is 1h0m0": {Client: denying{}, Group: "g", Stream: "s", PauseMin: time.Hour},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestDest_events_too_long(t *testing.T) {
	e, c := newEndpoint(t)
	s, _ := start(t, c, func(_ *Options, so *logsink.Options) { so.MaxBytes = 16 << 20 })
	longest := strings.Repeat("x", maxMessage)
	fmt.Fprintln(s, longest+"x")
	fmt.Fprintln(s, longest)
	fmt.Fprintln(s, "next")
	if err := s.Shutdown(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	if st := mustAdd(t, s); st.Dropped.Rejected != 1 || st.Delivered != 2 || len(e.messages) != 2 || len(e.messages[0]) != maxMessage {
		t.Errorf("%+v", st)
	}
}

// Around each limit: what cut makes breaks none, leaves nothing out, and takes
// as much as is allowed.
func FuzzCut(f *testing.F) {
	f.Add(uint64(1), uint16(100), uint32(50), int64(1000), uint16(10_000))
	f.Add(uint64(2), uint16(10_050), uint32(3), int64(0), uint16(10_000))                      // the number of events
	f.Add(uint64(3), uint16(50), uint32(maxBatchBytes/40-eventOverhead), int64(5), uint16(99)) // the bytes
	f.Add(uint64(4), uint16(4), uint32(maxMessage-2), int64(0), uint16(10_000))                // one message
	f.Add(uint64(5), uint16(48), uint32(10), int64(30*60*1000), uint16(10_000))                // the hours
	f.Add(uint64(6), uint16(20), uint32(10), int64(-5000), uint16(3))                          // a clock that goes back
	f.Fuzz(func(t *testing.T, seed uint64, n uint16, size uint32, step int64, limit uint16) {
		n, size, limit = n%12_000+1, size%(maxMessage+5), max(1, limit)
		if int(n)*int(size) > 16<<20 {
			n = uint16(16<<20/size + 1)
		}
		step %= 25 * 3600 * 1000
		r := rand.New(rand.NewPCG(seed, 1))
		recs := make([]logsink.Record, n)
		at := time.UnixMilli(1_700_000_000_000)
		fill := bytes.Repeat([]byte("x\xffé"), int(size)/4+2)
		for i := range recs {
			k := max(0, int(size)+r.IntN(5)-2)
			recs[i] = logsink.Record{Time: at, Data: append(fill[:min(k, len(fill)):min(k, len(fill))], '\n')}
			at = at.Add(time.Duration(step+r.Int64N(3)-1) * time.Millisecond)
		}
		for rest := recs; len(rest) > 0; {
			b := cut(rest, int(limit), maxMessage, 0)
			if b.taken == 0 || b.taken != len(b.events)+len(b.rejected)+b.skipped || len(b.events) > int(limit) {
				t.Fatalf("%d taken: %d events, %d rejected, %d skipped", b.taken, len(b.events), len(b.rejected), b.skipped)
			}
			events := make([]event, len(b.events))
			for i, e := range b.events {
				events[i] = event{*e.Message, *e.Timestamp}
				if *e.Message != message(rest[b.index[i]].Data) {
					t.Fatalf("event %d is not record %d", i, b.index[i])
				}
			}
			if len(events) > 0 {
				if why := violation(events); why != "" {
					t.Fatal(why)
				}
			}
			for _, i := range b.rejected {
				if len(message(rest[i].Data)) <= maxMessage {
					t.Fatalf("a message of %d bytes is rejected", len(message(rest[i].Data)))
				}
			}
			if b.taken < len(rest) && len(events) < min(int(limit), maxEvents) {
				// Something did not fit any more: with it a limit is broken.
				next := rest[b.taken]
				last := event{message(next.Data), max(next.Time.UnixMilli(), events[len(events)-1].Timestamp)}
				over := append(events, last)
				if violation(over) == "" && last.Timestamp-events[0].Timestamp < (24*time.Hour).Milliseconds() {
					t.Fatal("there was room for one more")
				}
			}
			rest = rest[b.taken:]
		}
	})
}

func TestStats_is_json(t *testing.T) {
	if b, err := json.Marshal(Stats{Denied: true}); err != nil || !strings.Contains(string(b), `"denied":true`) {
		t.Error(string(b), err)
	}
}

// Each limit of a request, to the byte, the event and the millisecond.
func TestCut_limits(t *testing.T) {
	start := time.UnixMilli(1_700_000_000_000)
	// recs makes n records of size bytes, the last of them of last bytes and so
	// much later than the first.
	recs := func(n, size, last int, later time.Duration) []logsink.Record {
		all := make([]logsink.Record, n)
		for i := range all {
			all[i] = logsink.Record{Time: start, Data: bytes.Repeat([]byte("x"), size)}
		}
		all[n-1] = logsink.Record{Time: start.Add(later), Data: bytes.Repeat([]byte("x"), last)}
		return all
	}
	const tenth = maxBatchBytes/16 - eventOverhead
	for _, tt := range []struct {
		name   string
		recs   []logsink.Record
		events int // in the first request
	}{
		{"bytes, exactly", recs(16, tenth, tenth, 0), 16},
		{"bytes, one more", recs(16, tenth, tenth+1, 0), 15},
		{"bytes, one more but for the overhead", recs(17, tenth, 1, 0), 16},
		{"events, exactly", recs(10_000, 1, 1, 0), 10_000},
		{"events, one more", recs(10_001, 1, 1, 0), 10_000},
		{"span, just within", recs(2, 1, 1, 24*time.Hour-time.Millisecond), 2},
		{"span, all of it", recs(2, 1, 1, 24*time.Hour), 1},
		{"message, the longest", recs(1, 0, 1_048_550, 0), 1},
		{"message, one more", recs(1, 0, 1_048_551, 0), 0},
		{"message, the longest does not leave room", recs(2, 1, 1_048_550, 0), 1},
	} {
		if b := cut(tt.recs, maxEvents, maxMessage, 0); len(b.events) != tt.events {
			t.Errorf("%s: %d events, want %d", tt.name, len(b.events), tt.events)
		}
	}
}
