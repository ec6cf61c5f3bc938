package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/fault"
	"github.com/failopen/failopen/depgraph/drill/presets"
	"github.com/failopen/failopen/examples/internal/screen"
)

var update = flag.Bool("update", false, "draw the picture of the README anew, from a replay")

const (
	pictures = "../../docs/images"
	picture  = "2021-12-07"
)

// TestReplay replays the outage, and compares it with the data of the README's
// picture, and the picture with its data.
func TestReplay(t *testing.T) {
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("the race detector takes minutes for it; depgraph/drill/presets has short ones for that")
	}
	var printed bytes.Buffer
	film := &film{rows: &rows{Screen: screen.New(&printed)}, pace: func() {}}
	var r *Replay
	synctest.Test(t, func(t *testing.T) {
		var err error
		if r, err = replay(t.Context(), 1, film.frame); err != nil {
			t.Fatal(err)
		}
	})
	ours, naive := r.Lanes[0], r.Lanes[1]
	if ours.Verdict != drill.Held || ours.Served != ours.Asked || ours.Restarts != 0 || ours.Asked < 20_000 {
		t.Errorf("with failopen: %s (%s)", ours.Sentence, ours.result())
	}
	if naive.Verdict != drill.Deviated || naive.Served > naive.Asked/2 || naive.Restarts == 0 {
		t.Errorf("without: %s (%s)", naive.Sentence, naive.result())
	}
	if rows := strings.Count(printed.String(), "\n"); rows != 15 {
		t.Errorf("%d rows, want one for each half hour from 07:30 to 14:30:\n%s", rows, &printed)
	}
	if *update {
		r.draw(t)
	}
	var kept Replay
	data, err := os.ReadFile(filepath.Join(pictures, picture+".json"))
	if err == nil {
		err = json.Unmarshal(data, &kept)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, lane := range r.Lanes {
		was := kept.Lanes[i]
		if part := func(l *Lane) float64 { return float64(l.Served) / float64(l.Asked) }; math.Abs(part(lane)-part(was)) > 0.03 {
			t.Errorf("%s: %s; the picture says %s: draw it anew with go test ./examples/gameday -run TestReplay -update", lane.Service, lane.result(), was.result())
		}
	}
	for name, style := range map[string]string{"light": lightStyle, "dark": darkStyle} {
		file := filepath.Join(pictures, picture+"-"+name+".svg")
		svg, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if want := kept.named().picture().SVG(style); string(svg) != want {
			t.Errorf("%s is not what its data says: draw it anew with go test ./examples/gameday -run TestReplay -update", file)
		}
		if err := wellFormed(string(svg)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// draw writes the picture of the README, and its data.
func (r *Replay) draw(t *testing.T) {
	t.Helper()
	data, err := r.json()
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		".json": string(data), "-light.svg": r.picture().SVG(lightStyle), "-dark.svg": r.picture().SVG(darkStyle),
	} {
		if err := os.WriteFile(filepath.Join(pictures, picture+name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReplay_on_a_terminal looks at the frames as a terminal gets them.
func TestReplay_on_a_terminal(t *testing.T) {
	var printed bytes.Buffer
	film := &film{rows: &rows{Screen: &screen.Screen{Writer: &printed, Terminal: true}}, pace: func() {}}
	r, _, err := newReplay(1)
	if err != nil {
		t.Fatal(err)
	}
	if frames := r.Seconds / replaySlice.Seconds(); frames != replayFrames {
		t.Errorf("%v frames, want %d", frames, replayFrames)
	}
	for i := range replayFrames {
		for j, lane := range r.Lanes {
			lane.Slices = append(lane.Slices, Slice{At: float64(i) * replaySlice.Seconds(), Asked: 10, OK: 10 * (1 - j)})
		}
	}
	film.frame(r, 36*replaySlice)
	film.frame(r, replayFrames*replaySlice)
	film.rows.Keep(film.last(r)...)
	for line := range strings.Lines(printed.String()) {
		line = strings.NewReplacer("\x1b[2K", "", "\x1b[5A", "", "\x1b[J", "").Replace(line)
		if screen.Width(line) > lineCells+1 {
			t.Errorf("wider than %d: %q", lineCells, line)
		}
	}
	for _, want := range []string{"08:00     09:00", "10:54 PST  half fail", "14:30 PST", strings.Repeat("█", 72), strings.Repeat("▁", 72)} {
		if !strings.Contains(printed.String(), want) {
			t.Errorf("no frame shows %q:\n%s", want, &printed)
		}
	}
}

func TestPicture_escapes(t *testing.T) {
	const evil = `<script>alert("&")</script>`
	svg := Picture{Title: evil, Alt: evil, Note: evil, Seconds: 1, Strips: []Strip{{Name: evil, Result: evil}}, Bands: []Band{{0, 1, evil}}, Ticks: []Tick{{0, evil}}}.SVG(autoStyle)
	if strings.Contains(svg, "<script") || wellFormed(svg) != nil {
		t.Errorf("%v:\n%s", wellFormed(svg), svg)
	}
}

// wellFormed reports whether the text is one well-formed XML document.
func wellFormed(text string) error {
	dec := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// The captions of the replay begin and end where the preset's rules do.
func TestFaultBands_are_the_presets(t *testing.T) {
	p, err := presets.ByName(replayPreset)
	if err != nil {
		t.Fatal(err)
	}
	for i, band := range faultBands {
		if !slices.ContainsFunc(p.Rules, func(r fault.Rule) bool {
			until := cmp.Or(r.Until, p.Watch)
			return r.From.Seconds() == band.From && min(until, p.Watch).Seconds() == band.Until
		}) {
			t.Errorf("%q lasts from %v to %v s: no rule does", band.Label, band.From, band.Until)
		}
		if i > 0 && faultBands[i-1].Until != band.From {
			t.Errorf("%q does not begin where %q ends", band.Label, faultBands[i-1].Label)
		}
	}
	if last := faultBands[len(faultBands)-1].Until; last != p.Watch.Seconds() {
		t.Errorf("the last one ends after %v s, the outage after %v", last, p.Watch)
	}
}
