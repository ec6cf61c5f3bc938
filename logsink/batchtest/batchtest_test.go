package batchtest_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/failopen/failopen/logsink"
	"github.com/failopen/failopen/logsink/batchtest"
)

// memory is a destination without a network, with faults of its own.
type memory struct {
	fault string

	mu   sync.Mutex
	got  [][]byte
	down bool
	hang chan struct{}
}

func (m *memory) WriteBatch(ctx context.Context, recs []logsink.Record) (logsink.BatchResult, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.hang != nil:
		hang := m.hang
		m.mu.Unlock()
		defer m.mu.Lock()
		if m.fault == "ignores its ctx" {
			<-hang
		}
		select {
		case <-hang:
		case <-ctx.Done():
		}
		return logsink.BatchResult{}, ctx.Err()
	case m.down && m.fault == "drops in an outage":
		return logsink.BatchResult{Done: len(recs)}, nil
	case m.down && m.fault == "rejects in an outage":
		return logsink.BatchResult{Done: 2, Rejected: []int{1}}, errors.New("down")
	case m.down:
		return logsink.BatchResult{}, errors.New("down")
	}
	return m.take(recs)
}

// take takes what it can, with faults that need no outage.
func (m *memory) take(recs []logsink.Record) (res logsink.BatchResult, err error) {
	switch m.fault {
	case "does nothing":
		return res, nil
	case "says more than there was":
		return logsink.BatchResult{Done: len(recs) + 1}, nil
	case "says less than nothing":
		return logsink.BatchResult{Done: -1}, nil
	case "rejects what it did not reach":
		return logsink.BatchResult{Done: 1, Rejected: []int{1}}, nil
	case "rejects twice":
		return logsink.BatchResult{Done: 2, Rejected: []int{1, 1}}, nil
	case "rejects in disorder":
		return logsink.BatchResult{Done: 3, Rejected: []int{2, 0}}, nil
	case "stops at an odd one":
		if bytes.Contains(recs[0].Data, []byte{0}) {
			return res, errors.New("odd")
		}
	}
	for i, r := range recs[:min(len(recs), 5000)] {
		if m.fault == "stops at an odd one" && bytes.Contains(r.Data, []byte{0}) {
			break
		}
		res.Done++
		text := bytes.TrimRight(r.Data, "\r\n")
		switch {
		case len(text) > 1<<20 || m.fault == "rejects all":
			res.Rejected = append(res.Rejected, i)
			continue
		case m.fault == "loses some" && i == 7, m.fault == "loses long ones" && len(text) > 500, m.fault == "loses the last" && string(text) == "the last":
			continue
		case m.fault == "makes two of one" && bytes.HasSuffix(text, []byte("forged")):
			m.got = append(m.got, []byte("forged"))
		case m.fault == "sends twice":
			m.got = append(m.got, text)
		case m.fault != "keeps the slice":
			text = bytes.Clone(text)
		}
		m.got = append(m.got, text)
	}
	if m.fault == "swaps" && len(m.got) > 2 {
		m.got[0], m.got[1] = m.got[1], m.got[0]
	}
	return res, nil
}

func open(fault string) func(*testing.T) batchtest.Subject {
	return func(*testing.T) batchtest.Subject {
		m := &memory{fault: fault}
		set := func(f func()) {
			m.mu.Lock()
			defer m.mu.Unlock()
			f()
		}
		var patience time.Duration
		if fault != "" {
			patience = time.Second
		}
		return batchtest.Subject{
			Dest: m, Patience: patience,
			Arrived: func() (all []string) {
				set(func() {
					for _, b := range m.got {
						all = append(all, string(b))
					}
				})
				return all
			},
			Down: func() { set(func() { m.down = true }) },
			Up: func() {
				set(func() {
					if m.down = false; m.hang != nil {
						close(m.hang)
						m.hang = nil
					}
				})
			},
			Hang: func() { set(func() { m.hang = make(chan struct{}) }) },
		}
	}
}

func TestBatchDest_passes_a_good_one(t *testing.T) { batchtest.TestBatchDest(t, open("")) }

// A far end that can neither fail nor hang leaves out what cannot be shown.
func TestBatchDest_of_a_far_end_that_is_always_there(t *testing.T) {
	batchtest.TestBatchDest(t, func(t *testing.T) batchtest.Subject {
		s := open("")(t)
		s.Down, s.Up, s.Hang = nil, nil, nil
		left := strings.HasSuffix(t.Name(), "outage") || strings.HasSuffix(t.Name(), "ctx")
		t.Cleanup(func() {
			if t.Skipped() != left {
				t.Errorf("skipped: %v", t.Skipped())
			}
		})
		return s
	})
}

// faults are the promise that each of them breaks, and what the suite says then.
var faults = []struct{ name, promise, says string }{
	{"loses some", "delivers_everything,_in_order", `after 7 records came "record 8" (<nil>)`},
	{"swaps", "delivers_everything,_in_order", `after 0 records came "record 1" (<nil>)`},
	{"sends twice", "delivers_everything,_in_order", `after 1 records came "record 0" (<nil>)`},
	{"does nothing", "delivers_everything,_in_order", "nothing done, and no error"},
	{"rejects all", "delivers_everything,_in_order", "12000 records rejected"},
	{"says more than there was", "delivers_everything,_in_order", "of 12000 records the result is {Done:12001 Rejected:[] Why:<nil>}"},
	{"says less than nothing", "delivers_everything,_in_order", "of 12000 records the result is {Done:-1 Rejected:[] Why:<nil>}"},
	{"rejects what it did not reach", "delivers_everything,_in_order", "of 12000 records the result is {Done:1 Rejected:[1] Why:<nil>}"},
	{"rejects twice", "delivers_everything,_in_order", "of 12000 records the result is {Done:2 Rejected:[1 1] Why:<nil>}"},
	{"rejects in disorder", "delivers_everything,_in_order", "of 12000 records the result is {Done:3 Rejected:[2 0] Why:<nil>}"},
	{"keeps the slice", "keeps_nothing_of_what_it_was_given", `after 0 records came "XXXXXXXX" (input does not match format)`},
	{"stops at an odd one", "gets_past_any_record", "9 records are not done after 1s: odd"},
	{"loses long ones", "gets_past_any_record", "a text of 1000 bytes did not arrive"},
	{"loses the last", "gets_past_any_record", "what follows odd records did not arrive"},
	{"makes two of one", "gets_past_any_record", "a record became two"},
	{"drops in an outage", "keeps_records_through_an_outage", "the far end is down, and 0 records are left: <nil>"},
	{"rejects in an outage", "keeps_records_through_an_outage", "an outage is no reason to reject: {Done:2 Rejected:[1] Why:<nil>}"},
	{"ignores its ctx", "ends_with_its_ctx", "WriteBatch has not returned long after its ctx ended"},
	{"loses some", "is_exact_behind_a_sink", `after 7 records came "record 8" (<nil>)`},
	{"rejects all", "is_exact_behind_a_sink", "0 of 3000 records arrived"},
}

// Each fault breaks the promise that it should, all in a process that fails for it.
func TestBatchDest_catches(t *testing.T) {
	if _, ok := os.LookupEnv("BATCHTEST_FAULTS"); ok {
		for i, f := range faults {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				batchtest.TestBatchDest(t, func(t *testing.T) batchtest.Subject {
					if !strings.HasSuffix(t.Name(), "/"+f.promise) {
						t.Skip("another promise")
					}
					return open(f.name)(t)
				})
			})
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestBatchDest_catches$", "-test.parallel", strconv.Itoa(len(faults)))
	cmd.Env = append(os.Environ(), "BATCHTEST_FAULTS=1")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("it passes")
	}
	said, in := map[string]string{}, ""
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "--- FAIL: TestBatchDest_catches/"); ok {
			in = strings.Fields(name)[0]
		} else if _, text, ok := strings.Cut(line, ": "); ok {
			said[in] += text + "\n"
		}
	}
	for i, f := range faults {
		if got := said[strconv.Itoa(i)+"/"+f.promise]; !strings.Contains(got, f.says+"\n") {
			t.Errorf("%s: %s: %q, want %q", f.name, f.promise, got, f.says)
		}
	}
}
