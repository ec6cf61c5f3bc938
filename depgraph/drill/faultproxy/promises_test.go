package faultproxy

import (
	"testing"
	"time"
)

// What the comments of Options promise in numbers, literally. .ci/mutants.txt
// changes each of them, and a test has to notice.

func TestOptions_defaults(t *testing.T) {
	p := &Proxy{}
	if err := p.check(); err != nil {
		t.Fatal(err)
	}
	if o := p.opts; o.Listen != "127.0.0.1:0" || o.Control != "127.0.0.1:0" || o.CALife != 24*time.Hour || o.MaxConns != 1024 ||
		o.MaxBody != 16<<20 || o.MaxEvents != 1000 || o.Hold != 10*time.Minute {
		t.Errorf("defaults: %+v", o)
	}
	for life, ok := range map[time.Duration]bool{24 * time.Hour: true, 24*time.Hour + 1: false} {
		p := &Proxy{opts: Options{CALife: life}}
		if err := p.check(); (err == nil) != ok {
			t.Errorf("CALife %v: %v", life, err)
		}
	}
}
