package logsink

import (
	"io"
	"testing"
	"time"
)

// What the comments of Options promise in numbers, literally. .ci/mutants.txt
// changes each of them, and one of these tests has to notice.

func TestOptions_defaults(t *testing.T) {
	plain := Options{Dest: io.Discard}
	batch := Options{Batch: hangs{}}
	fallback := Options{Dest: io.Discard, Fallback: io.Discard}
	mapped := Options{Dest: io.Discard, Mapped: "unused"}
	for _, o := range []*Options{&plain, &batch, &fallback, &mapped} {
		if err := o.complete(); err != nil {
			t.Fatal(err)
		}
	}
	for name, is := range map[string]bool{
		"MaxBytes":             plain.MaxBytes == 4<<20,
		"MaxRecord":            plain.MaxRecord == 1<<20,
		"Linger":               plain.Linger == 2*time.Millisecond,
		"Linger with Batch":    batch.Linger == time.Second,
		"MaxWrite":             plain.MaxWrite == 0,
		"MaxWrite with Mapped": mapped.MaxWrite == 4096,
		"FallbackRate":         fallback.FallbackRate == 1<<20,
		"StallAfter":           plain.StallAfter == time.Second,
		"RetryMin":             plain.RetryMin == 10*time.Millisecond,
		"RetryMax":             plain.RetryMax == 5*time.Second,
		"SyncTimeout":          plain.SyncTimeout == time.Second,
		"CloseTimeout":         plain.CloseTimeout == 2*time.Second,
		"SpillBytes":           plain.SpillBytes == 1<<30,
	} {
		if !is {
			t.Errorf("%s has another default", name)
		}
	}
}

// The least and the most that is taken, and what is beyond.
func TestOptions_bounds(t *testing.T) {
	for name, f := range map[string]struct {
		o  Options
		ok bool
	}{
		"least memory":           {Options{MaxBytes: 64 << 10}, true},
		"less memory":            {Options{MaxBytes: 64<<10 - 1}, false},
		"most memory":            {Options{MaxBytes: 16 << 30}, true},
		"more memory":            {Options{MaxBytes: 16<<30 + 1}, false},
		"a record of a quarter":  {Options{MaxBytes: 4 << 20, MaxRecord: 1 << 20}, true},
		"a record of more":       {Options{MaxBytes: 4 << 20, MaxRecord: 1<<20 + 1}, false},
		"a record of 256 MiB":    {Options{MaxBytes: 4 << 30, MaxRecord: 256 << 20}, true},
		"a record of more still": {Options{MaxBytes: 4 << 30, MaxRecord: 256<<20 + 1}, false},
		"least disk":             {Options{SpillDir: "unused", SpillBytes: 1 << 20}, true},
		"less disk":              {Options{SpillDir: "unused", SpillBytes: 1<<20 - 1}, false},
	} {
		f.o.Dest = io.Discard
		if err := f.o.complete(); (err == nil) != f.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	o := Options{Dest: io.Discard, MaxBytes: 8 << 30}
	if err := o.complete(); err != nil || o.MaxRecord != 256<<20 {
		t.Errorf("the longest record in 8 GiB: %d, %v", o.MaxRecord, err)
	}
}
