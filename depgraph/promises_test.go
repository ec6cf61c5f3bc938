package depgraph

import (
	"context"
	"fmt"
	"testing"
)

// What the comments of Options promise in numbers, literally. .ci/mutants.txt
// changes each of them, and a test has to notice.

func TestOptions_defaults(t *testing.T) {
	if defaultMaxNodes != 2_000_000 || defaultSamples != 200_000 {
		t.Errorf("AvailOptions: %d nodes, %d samples", defaultMaxNodes, defaultSamples)
	}
	// 2^7 ways from a to h: of these, Why gives 100.
	var services []Service
	for i := range 8 {
		s := Service{Name: fmt.Sprint("s", i)}
		for _, via := range "xy" {
			if i < 7 {
				s.Depends = append(s.Depends, Dependency{On: fmt.Sprint("s", i, string(via))})
				services = append(services, Service{Name: fmt.Sprint("s", i, string(via)), Depends: []Dependency{{On: fmt.Sprint("s", i+1)}}})
			}
		}
		services = append(services, s)
	}
	g, err := Compile(services, Options{})
	if err != nil {
		t.Fatal(err)
	}
	paths, more, err := g.Why(context.Background(), "s0", "s7", WhyOptions{All: true})
	if len(paths) != 100 || !more || err != nil {
		t.Errorf("%d ways, more: %v, %v", len(paths), more, err)
	}
}
