package importer

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/failopen/failopen/depgraph"
)

// Discovered is one dependency that AWS Resilience Hub found, in the form of
// the answer of its ListDependencies (API version 2).
type Discovered struct {
	ServiceARN  string `json:"serviceArn"`     // of the service that has the dependency
	ID          string `json:"dependencyId"`   // of the dependency
	Name        string `json:"dependencyName"` // as it is shown
	DNSName     string `json:"dnsName"`        // the name that was looked up
	Criticality string `json:"criticality"`    // HARD, SOFT or UNKNOWN
	Comment     string `json:"comment"`        // of the person who classified it
	Location    string `json:"location"`       // where it is
	Provider    string `json:"provider"`       // who runs it
}

// Service is the name of the service: the last part of its ARN.
func (d *Discovered) Service() string {
	return d.ServiceARN[strings.LastIndexAny(d.ServiceARN, "/:")+1:]
}

// On is the name of the dependency.
//
// It is the name that is shown, or the one that was looked up.
func (d *Discovered) On() string { return cmp.Or(d.Name, d.DNSName) }

// ReadResilienceHub reads answers of "aws resiliencehubv2 list-dependencies", in files
// that may hold several each, one for each service or page, in any order. Errors name
// the file and the line where the answer ends that they are about.
//
// A list whose last page is missing is an error: what is on it would be lost. A page is
// the last one if it has no nextToken; as an empty page names no service, it may end
// any list that is open, and each ends one.
func ReadResilienceHub(paths ...string) ([]Discovered, error) {
	var all []Discovered
	// By ARN: where the last list that goes on was, and which lists have ended.
	open, ends := map[string]depgraph.Position{}, map[string]bool{}
	spare := 0 // last pages that hold nothing, so that they name no service
	for _, name := range paths {
		data, err := readFile(name)
		if err != nil {
			return nil, err
		}
		dec := json.NewDecoder(bytes.NewReader(data))
		for {
			var page struct {
				Summaries *[]Discovered `json:"dependencySummaries"`
				Next      string        `json:"nextToken"`
			}
			err := dec.Decode(&page)
			at := depgraph.Position{File: filepath.ToSlash(name), Line: 1 + bytes.Count(data[:reached(dec, data, err)], []byte("\n"))}
			switch {
			case errors.Is(err, io.EOF):
			case errors.As(err, new(*json.UnmarshalTypeError)):
				return nil, errorAt(at, "expected what \"aws resiliencehubv2 list-dependencies\" prints, an object with a list of dependencySummaries")
			case err != nil:
				return nil, errorAt(at, "%w", err)
			case page.Summaries == nil:
				return nil, errorAt(at, "no dependencySummaries here, as \"aws resiliencehubv2 list-dependencies\" prints them")
			default:
				for i := range *page.Summaries {
					if d := &(*page.Summaries)[i]; d.Service() == "" || d.On() == "" {
						return nil, errorAt(at, "dependency %d: serviceArn or dependencyName is missing", i+1)
					} else if !slices.Contains([]string{"HARD", "SOFT", "UNKNOWN"}, d.Criticality) {
						return nil, errorAt(at, "dependency %s: criticality %q is not one of HARD, SOFT, UNKNOWN", d.On(), d.Criticality)
					}
				}
				all = append(all, *page.Summaries...)
				switch list := *page.Summaries; {
				case len(list) == 0 && page.Next == "":
					spare++
				case len(list) == 0:
				case page.Next == "":
					ends[list[0].ServiceARN] = true
				default:
					open[list[0].ServiceARN] = at
				}
				continue
			}
			break
		}
	}
	// Sorted, so that the error is the same each time.
	for _, arn := range slices.Sorted(maps.Keys(open)) {
		if ends[arn] {
			continue
		}
		if spare--; spare < 0 {
			return nil, errorAt(open[arn], "the list of %s goes on (nextToken), and its last page is missing; add it, or list without --max-items", arn)
		}
	}
	return all, nil
}

// reached is how many bytes of the data were read when the decoder gave up, or
// was done. After an error, the decoder itself points at the end of the page
// before it.
//
// It serves to count lines, so a byte more or less does not matter.
func reached(dec *json.Decoder, data []byte, err error) int64 {
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return min(syntax.Offset, int64(len(data)))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return int64(len(data))
	}
	return dec.InputOffset()
}

// ResilienceHub makes services of what AWS Resilience Hub found, with the edges needed
// at run time: HARD and SOFT as they were classified, UNKNOWN as a hard guess. What is
// found is external, or a cloud service if Amazon provides it, unless it is a service
// with a list of its own. The paths are the source: an answer of one line has no
// places.
func ResilienceHub(paths ...string) (*Result, error) {
	found, err := ReadResilienceHub(paths...)
	if err != nil {
		return nil, err
	}
	b := newBuilder()
	b.result.Read = len(paths)
	at := depgraph.Position{File: strings.Join(paths, " ")}
	for i := range found {
		d := &found[i]
		b.service(d.Service(), at).Kind = depgraph.App
		if target := b.service(d.On(), at); target.Kind == depgraph.KindUnknown {
			target.Kind = depgraph.External
			if strings.Contains(strings.ToLower(d.Provider), "aws") || strings.Contains(strings.ToLower(d.Provider), "amazon") {
				target.Kind = depgraph.Cloud
			}
			target.Note = strings.TrimSpace(d.DNSName + " " + d.Location)
		}
		c := claim{runtime: true, soft: d.Criticality == "SOFT", assumed: d.Criticality == "UNKNOWN"}
		b.depend(d.Service(), d.On(), c, "resilience-hub", strings.TrimSpace(d.Criticality+" "+d.ID), at)
	}
	b.result.Unknown = []string{
		"Imported from " + allShown(paths) + ". AWS Resilience Hub sees names that are looked up:",
		"no addresses that are used directly, no rare calls, and nothing about the start.",
		"Hard and soft are as classified there; prove them with a drill.",
	}
	return b.finish(), nil
}

// Classification is what UpdateDependency of AWS Resilience Hub takes.
type Classification struct {
	ServiceARN  string `json:"serviceArn"`   // of the service that has the dependency
	ID          string `json:"dependencyId"` // of the dependency
	Criticality string `json:"criticality"`  // HARD or SOFT
	Comment     string `json:"comment"`      // why
}

// Classify compares what was found with what is declared in a graph, and returns a
// request for each dependency that is classified otherwise there, in the order of
// found. An edge is SOFT if every edge between the two is soft, weak, or one of several
// of which fewer are enough; hard in one phase is HARD. The comment is the evidence if
// there is any, else the place of the declaration.
//
// Missing names those that no manifest has, as "service -> dependency", sorted and each
// once.
func Classify(g *depgraph.Graph, found []Discovered) (updates []Classification, missing []string) {
	for i := range found {
		d := &found[i]
		// All edges between the two have their say: one for the start and one for run
		// time may differ.
		declared, soft, evidence := false, true, ""
		for _, e := range g.EdgesFrom(d.Service()) {
			if e.To == d.Name || e.To == d.DNSName {
				declared = true
				soft = soft && (e.Soft || e.Weak || e.Need < e.Of)
				evidence = cmp.Or(evidence, e.Evidence, e.At.String())
			}
		}
		want := "HARD"
		if soft {
			want = "SOFT"
		}
		switch {
		case !declared:
			missing = append(missing, fmt.Sprintf("%s -> %s", d.Service(), d.On()))
		case want != d.Criticality:
			updates = append(updates, Classification{d.ServiceARN, d.ID, want, "depgraph: " + evidence})
		}
	}
	slices.Sort(missing)
	return updates, slices.Compact(missing)
}
