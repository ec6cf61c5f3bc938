package ststest_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/cache/dynamo/ststest"
)

// both starts DynamoDB, STS, IAM and KMS, on sockets.
func both(tb testing.TB) (*dynamotest.Server, *ststest.Server) {
	sts := ststest.New(ststest.Options{})
	db := dynamotest.New(dynamotest.Options{Principals: sts.Principal})
	for _, start := range []func() error{sts.Start, db.Start} {
		if err := start(); err != nil {
			tb.Fatal(err)
		}
	}
	return db, sts
}

// A test pays for the servers what they keep, which is little: with a hundred
// pairs of them the heap of this test stays below what one may have, 20 MiB.
func TestBoth_are_small(t *testing.T) {
	heap := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	before := heap()
	const pairs = 100
	var keep []func()
	for range pairs {
		db, sts := both(t)
		keep = append(keep, db.Close, sts.Close)
	}
	grown := heap() - before
	t.Logf("%.2f MiB a pair", grown/pairs)
	for _, stop := range keep {
		stop()
	}
	if grown > 20 {
		t.Errorf("%d pairs take %.1f MiB", pairs, grown)
	}
}

// BenchmarkStart is DynamoDB, STS, IAM and KMS from nothing to the first
// answers, and to their end. ms is the time until both have answered; a first key
// for web identity tokens, of RSA, takes a tenth of a second more, once it is
// asked for.
func BenchmarkStart(b *testing.B) {
	var until time.Duration
	for b.Loop() {
		began := time.Now()
		db, sts := both(b)
		for _, url := range []string{db.URL(), sts.URL() + "/.well-known/openid-configuration"} {
			if err := fetch(b.Context(), url); err != nil {
				b.Fatal(err)
			}
		}
		until += time.Since(began)
		db.Close()
		sts.Close()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(until.Microseconds())/1000/float64(b.N), "ms/start")
	b.ReportMetric(float64(m.Sys)/(1<<20), "MiB-process")
}

// client leaves no connection behind.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func fetch(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}
