package report

import (
	"io"
	"time"

	"github.com/failopen/failopen/depgraph"
)

// DiffJSON writes a diff. Lists are never null; the parts of a service's change
// are left out where nothing changed. Times are in seconds, to the millisecond.
//
// It holds everything that changed, without the limits of DiffText. Components are in the
// form of CyclesJSON, findings in that of CheckJSON.
func DiffJSON(w io.Writer, d *depgraph.Diff, t DiffTitles) error {
	// Each side of the comparison, in the same form.
	type size struct {
		Title    string   `json:"title"`
		Services int      `json:"services"`
		Edges    int      `json:"edges"`
		Seconds  float64  `json:"start_seconds"`
		Critical []string `json:"critical_path"`
		Blocked  []string `json:"blocked"`
	}
	side := func(title string, s depgraph.Size, i int) size {
		return size{title, s.Services, s.Edges, d.Total[i].Round(time.Millisecond).Seconds(), emptyNotNull(d.Critical[i]), emptyNotNull(d.Blocked[i])}
	}
	// Empty and not nil, so that a program can loop over each without a test.
	edges, cycles, services := []edgeChangeJSON{}, []cycleChangeJSON{}, []serviceChangeJSON{}
	for _, e := range d.Edges {
		edges = append(edges, edgeChangeJSON{string(e.Kind), e.From, e.To, edgesJSON(e.Before), edgesJSON(e.After)})
	}
	// A component of one side, in the form of CyclesJSON; nil where there is
	// none.
	one := func(c *depgraph.Component) *componentJSON {
		if c == nil {
			return nil
		}
		return &componentsJSON([]depgraph.Component{*c})[0]
	}
	for _, c := range d.Cycles {
		cycles = append(cycles, cycleChangeJSON{string(c.Kind), one(c.Before), one(c.After)})
	}
	for i := range d.Services {
		services = append(services, newServiceChangeJSON(&d.Services[i]))
	}
	// The order of the members is that of DiffText.
	return writeJSON(w, struct {
		Before   size                `json:"before"`
		After    size                `json:"after"`
		Added    []string            `json:"added"`
		Removed  []string            `json:"removed"`
		Edges    []edgeChangeJSON    `json:"edges"`
		Cycles   []cycleChangeJSON   `json:"cycles"`
		Services []serviceChangeJSON `json:"services"`
		New      []findingJSON       `json:"new_findings"`
		Gone     []findingJSON       `json:"gone_findings"`
		Known    int                 `json:"known_findings"`
		Limits   []string            `json:"not_compared"`
	}{
		side(t.Before, d.Before, 0), side(t.After, d.After, 1), emptyNotNull(d.Added), emptyNotNull(d.Removed), edges, cycles, services,
		findingsJSON(d.New), findingsJSON(d.Gone), d.Known, emptyNotNull(d.Limits),
	})
}

// edgeChangeJSON is what changed between two services; before and after hold
// all edges of the pair, and one of them may be empty.
type edgeChangeJSON struct {
	Kind   string     `json:"kind"`
	From   string     `json:"from"`
	To     string     `json:"to"`
	Before []EdgeJSON `json:"before"`
	After  []EdgeJSON `json:"after"`
}

// cycleChangeJSON leaves out before for a new component, and after for one that
// healed.
type cycleChangeJSON struct {
	Kind   string         `json:"kind"`
	Before *componentJSON `json:"before,omitempty"`
	After  *componentJSON `json:"after,omitempty"`
}

// pairJSON is a value before and after; it is left out where nothing changed.
//
// It is a pointer where it is used, so that a change to zero or to false is still there.
type pairJSON[T any] struct {
	Before T `json:"before"`
	After  T `json:"after"`
}

// serviceChangeJSON has a pair for each answer that changed. estimated says
// that the availability comes from a simulation on at least one side.
//
// down counts others; wave counts from 1, and 0 says that the service is in none.
type serviceChangeJSON struct {
	Service      string             `json:"service"`
	Down         *pairJSON[int]     `json:"down,omitempty"`
	GoesDown     []string           `json:"goes_down,omitempty"`
	StaysUp      []string           `json:"stays_up,omitempty"`
	Availability *pairJSON[float64] `json:"availability,omitempty"`
	Estimated    bool               `json:"estimated,omitempty"`
	Wave         *pairJSON[int]     `json:"wave,omitempty"`
	Critical     *pairJSON[bool]    `json:"critical_path,omitempty"`
}

// newServiceChangeJSON follows the same conditions as serviceLines, so that
// text and JSON report the same changes.
func newServiceChangeJSON(s *depgraph.ServiceChange) serviceChangeJSON {
	res := serviceChangeJSON{Service: s.Service, GoesDown: s.GoesDown, StaysUp: s.StaysUp}
	if s.Down[0] != s.Down[1] || len(s.GoesDown)+len(s.StaysUp) > 0 {
		res.Down = &pairJSON[int]{s.Down[0], s.Down[1]}
	}
	if s.AvailabilityDiffers() {
		res.Availability, res.Estimated = &pairJSON[float64]{s.Availability[0], s.Availability[1]}, s.Estimated
	}
	if s.Wave[0] != s.Wave[1] {
		res.Wave = &pairJSON[int]{s.Wave[0], s.Wave[1]}
	}
	if s.Critical[0] != s.Critical[1] {
		res.Critical = &pairJSON[bool]{s.Critical[0], s.Critical[1]}
	}
	return res
}
