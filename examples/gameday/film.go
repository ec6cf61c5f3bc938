package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/examples/internal/screen"
)

// film shows a replay: on a terminal as it goes, elsewhere a row each half hour.
//
// It holds no state of the outage: each frame is drawn from the replay as it
// is.
type film struct {
	rows *rows
	pace func() // waits for the time of a frame
	err  error
}

// play runs the replay and returns the exit code. It must be called in virtual
// time.
//
// The code is the verdict on the service with failopen: the other one is there
// for comparison, and is expected to suffer.
func (f *film) play(s settings, stdout io.Writer) int {
	f.rows.Keep(
		f.rows.Paint(screen.Bold, "7 December 2021, us-east-1: DynamoDB is slow, then fails, for seven hours."),
		"One request a second to each service; the real code, in virtual time.", "")
	if !f.rows.Terminal {
		f.rows.Keep(fmt.Sprintf("%7s  %-22s%s", "PST", "with failopen", "without"))
	}
	r, err := replay(context.Background(), s.seed, f.frame)
	if err == nil {
		f.rows.Keep(f.last(r)...)
		var data []byte
		if data, err = r.json(); err == nil && s.json {
			_, err = stdout.Write(data)
		}
		if err == nil && s.dir != "" {
			err = r.page().save(s.dir, replayDate, data, f.rows)
		}
		f.rows.Keep(f.rows.Paint(colourOf(map[bool]float64{true: 1}[r.Lanes[0].Verdict == drill.Held]), r.sentence()))
	}
	switch {
	case err != nil:
		f.err = err
		return 3
	case r.Lanes[0].Verdict != drill.Held:
		return 1
	}
	return 0
}

// frame shows how far the replay has come.
func (f *film) frame(r *Replay, now time.Duration) {
	if f.rows.Terminal {
		f.rows.Draw(f.lanes(r, now)...)
		f.pace()
		return
	}
	const half = 30 * time.Minute
	if r.begins.Add(now).Sub(r.begins.Truncate(time.Hour))%half != 0 {
		return
	}
	line := fmt.Sprintf("  %s", r.clock(now))
	for _, lane := range r.Lanes {
		slices := lane.until(now)
		sum := Slice{}
		for _, s := range slices[max(0, len(slices)-int(half/replaySlice)):] {
			sum.Asked, sum.OK = sum.Asked+s.Asked, sum.OK+s.OK
		}
		line += "  " + f.rows.Paint(colourOf(sum.served()), screen.Bar(sum.served(), barCells)) + fmt.Sprintf(" %5.1f%%    ", 100*sum.served())
	}
	f.rows.Keep(strings.TrimRight(line, " "))
}

// colourOf is green for "nobody noticed", yellow for "some did", red for "all
// did".
func colourOf(part float64) screen.Colour {
	switch {
	case part >= 0.999:
		return screen.Green
	case part >= 0.9:
		return screen.Yellow
	}
	return screen.Red
}

// laneName is how wide the column of names is, in cells.
const laneName = 15

// lanes are the strips of both services up to now, on one clock.
func (f *film) lanes(r *Replay, now time.Duration) []string {
	cells := int(r.Seconds / replaySlice.Seconds())
	marks := []rune(strings.Repeat(" ", cells+8))
	for at := replayHour; at.Seconds() < r.Seconds; at += time.Hour {
		copy(marks[int(at/replaySlice):], []rune(r.clock(at)))
	}
	lines := []string{f.rows.Paint(screen.Dim, strings.Repeat(" ", laneName)+strings.TrimRight(string(marks), " "))}
	for _, lane := range r.Lanes {
		var strip strings.Builder
		asked, ok := 0, 0
		for _, s := range lane.until(now) {
			strip.WriteString(f.rows.Paint(colourOf(s.served()), screen.Level(s.served())))
			asked, ok = asked+s.Asked, ok+s.OK
		}
		lines = append(lines, screen.Pad(lane.name, laneName)+screen.Pad(strip.String(), cells+1)+fmt.Sprintf("%5.1f%%", 100*float64(ok)/float64(max(asked, 1))))
	}
	return append(lines, "", fmt.Sprintf("%s%s PST  %s", strings.Repeat(" ", laneName), r.clock(now), f.rows.Paint(screen.Red, r.state(now))))
}

// state says what is wrong with DynamoDB now.
func (r *Replay) state(now time.Duration) string {
	for _, band := range r.Faults {
		if now.Seconds() > band.From && now.Seconds() <= band.Until {
			return strings.TrimPrefix(band.Label, "DynamoDB calls: ")
		}
	}
	return ""
}

// last is what stays on the screen.
func (f *film) last(r *Replay) (lines []string) {
	if f.rows.Terminal {
		lines = append(f.lanes(r, time.Duration(r.Seconds)*time.Second)[:3], "")
	} else {
		lines = append(lines, "")
	}
	for _, lane := range r.Lanes {
		lines = append(lines, screen.Pad(lane.name+":", laneName)+lane.result())
	}
	return append(lines, "")
}
