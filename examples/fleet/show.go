package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/failopen/failopen/examples/fleet/sim"
	"github.com/failopen/failopen/examples/internal/screen"
)

// The simulation comes first, as fast as it can, and is shown afterwards:
// drawing would cost more than the run itself.
//
// How much virtual time a frame on a terminal, a row elsewhere, and a cell of a
// strip show.
const (
	frame = 30 * time.Second
	row   = 2 * time.Minute
	cell  = time.Minute
)

// pacer returns a function that waits for the real time of a frame.
//
// speed is virtual seconds a second; 0, less, or no number: do not wait.
func pacer(speed float64) func() {
	if !(speed > 0) { // NaN too
		return func() {}
	}
	// What no Duration can hold would be below zero, at which a ticker panics.
	ticks := time.NewTicker(time.Duration(min(max(float64(frame)/speed, 1), float64(24*time.Hour))))
	return func() { <-ticks.C }
}

// lane is one fleet: what happened in each second, and what came of it.
type lane struct {
	sim.Config
	seconds []sim.Second
	result  sim.Result
}

// run simulates each fleet, and then shows them side by side. It must be called
// in virtual time.
func run(ctx context.Context, configs []sim.Config, out *screen.Screen, pace func()) error {
	lanes := make([]*lane, len(configs))
	for i, c := range configs {
		l := &lane{Config: c}
		l.Observe = func(s sim.Second) { l.seconds = append(l.seconds, s) }
		var err error
		if l.result, err = sim.Run(ctx, l.Config); err != nil {
			return err
		}
		lanes[i] = l
	}
	out.Keep(
		out.Paint(screen.Bold, fmt.Sprintf("%s: %s.", lanes[0].Platform.Name, lanes[0].Scenario.About)),
		"Ten instances, 60 minutes of virtual time; the fault lasts from minute 5 to minute 35.",
		"# in service, o running without traffic, . booting; and percent served since the last row", "")
	if out.Terminal {
		film(lanes, out, pace)
	} else {
		table(lanes, out)
	}
	out.Keep("")
	for _, l := range lanes {
		recovery := "recovered at once"
		switch {
		case l.result.Never:
			recovery = "never recovered"
		case l.result.Recovery >= time.Second:
			recovery = "recovered after " + l.result.Recovery.Round(time.Second).String()
		}
		text := fmt.Sprintf("%-*s %.2f%% of the requests served during the fault, %d restarts, %s", width(lanes)+1, l.Policy.Name+":", l.result.Served, l.result.Restarts, recovery)
		out.Keep(out.Paint(colour(l.result.Served/100), text))
	}
	return nil
}

// width is that of the longest policy's name.
func width(lanes []*lane) (cells int) {
	for _, l := range lanes {
		cells = max(cells, len(l.Policy.Name))
	}
	return cells
}

// colour is that of a share of requests: all, most, or fewer.
func colour(served float64) screen.Colour {
	switch {
	case served >= 0.999:
		return screen.Green
	case served >= 0.9:
		return screen.Yellow
	}
	return screen.Red
}

// served is the part of the requests that were served in a stretch of time.
func (l *lane) served(from, until time.Duration) float64 {
	sum, n := 0.0, 0
	for _, s := range l.seconds {
		if s.At > from && s.At <= until {
			sum, n = sum+s.Served, n+1
		}
	}
	return sum / float64(max(n, 1))
}

// at is the second that ends then.
func (l *lane) at(t time.Duration) sim.Second {
	for _, s := range l.seconds {
		if s.At >= t {
			return s
		}
	}
	return l.seconds[len(l.seconds)-1]
}

// length is that of the shortest run, in whole steps.
func length(lanes []*lane, step time.Duration) time.Duration {
	shortest := lanes[0].seconds[len(lanes[0].seconds)-1].At
	for _, l := range lanes {
		shortest = min(shortest, l.seconds[len(l.seconds)-1].At)
	}
	return (shortest + time.Second).Truncate(step)
}

// table prints a row for each stretch of time.
func table(lanes []*lane, out *screen.Screen) {
	column := max(16, width(lanes)) + 2
	head := "minute  "
	for _, l := range lanes {
		head += screen.Pad(l.Policy.Name, column)
	}
	out.Keep(strings.TrimRight(head, " "))
	for at := row; at <= length(lanes, row); at += row {
		line := fmt.Sprintf("%6d  ", int(at.Minutes()))
		for _, l := range lanes {
			line += screen.Pad(fmt.Sprintf("%s %3.0f%%", states(l.at(at)), 100*l.served(at-row, at)), column)
		}
		if lanes[0].at(at - time.Second).Fault {
			line += "fault"
		}
		out.Keep(strings.TrimRight(line, " "))
	}
}

// film draws the fleets as they go: the instances now, and above the clock a
// strip of the past for each.
func film(lanes []*lane, out *screen.Screen, pace func()) {
	name := width(lanes) + 2
	for at := frame; at <= length(lanes, frame); at += frame {
		lines := []string{out.Paint(screen.Dim, strings.Repeat(" ", name+12)+"0         10        20        30        40        50        60 min")}
		for _, l := range lanes {
			now := l.at(at)
			strip := ""
			for from := time.Duration(0); from < at; from += cell {
				part := l.served(from, min(from+cell, at))
				strip += out.Paint(colour(part), screen.Level(part))
			}
			lines = append(lines, screen.Pad(l.Policy.Name, name)+out.Paint(colour(now.Served), states(now))+"  "+strip)
		}
		state := ""
		if lanes[0].at(at).Fault {
			state = out.Paint(screen.Red, "  the fault is in force")
		}
		out.Draw(append(lines, fmt.Sprintf("%sminute %d%s", strings.Repeat(" ", name), int(at.Minutes()), state))...)
		pace()
	}
}

// glyphs are one character for an instance, the same on a terminal and in a
// file.
var glyphs = map[sim.State]string{sim.Booting: ".", sim.InService: "#", sim.OutOfService: "o"}

// states draws the fleet of one second, in the order of its places.
func states(s sim.Second) string {
	var b strings.Builder
	for _, state := range s.States {
		b.WriteString(glyphs[state])
	}
	return b.String()
}
