package batchtest_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
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
	case m.down:
		return logsink.BatchResult{}, errors.New("down")
	}
	var res logsink.BatchResult
	for i, r := range recs[:min(len(recs), 5000)] {
		res.Done++
		text := bytes.TrimRight(r.Data, "\r\n")
		switch {
		case len(text) > 1<<20:
			res.Rejected = append(res.Rejected, i)
			continue
		case m.fault == "loses some" && i == 7:
			continue
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
			patience = 300 * time.Millisecond
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

// Each fault breaks the promise that it should, in a process of its own.
func TestBatchDest_catches(t *testing.T) {
	if fault, ok := os.LookupEnv("BATCHTEST_FAULT"); ok {
		batchtest.TestBatchDest(t, open(fault))
		return
	}
	for fault, promise := range map[string]string{
		"loses some":         "delivers_everything,_in_order",
		"swaps":              "delivers_everything,_in_order",
		"keeps the slice":    "keeps_nothing_of_what_it_was_given",
		"drops in an outage": "keeps_records_through_an_outage",
		"ignores its ctx":    "ends_with_its_ctx",
	} {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestBatchDest_catches$")
		cmd.Env = append(os.Environ(), "BATCHTEST_FAULT="+fault)
		out, err := cmd.CombinedOutput()
		var broken []string
		for line := range strings.Lines(string(out)) {
			if name, ok := strings.CutPrefix(strings.TrimSpace(line), "--- FAIL: TestBatchDest_catches/"); ok {
				broken = append(broken, strings.Fields(name)[0])
			}
		}
		if err == nil || !slices.Contains(broken, promise) {
			t.Errorf("%s: %v, broken promises %v, want %s", fault, err, broken, promise)
		}
	}
}
