package drift

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// The counters of the service graph connector of OpenTelemetry's collector.
// Tempo's generator has the same. Older versions leave _total out.
const (
	callsMetric  = "traces_service_graph_request"
	failedMetric = "traces_service_graph_request_failed"
)

// serviceGraph sums up the series of a service graph. A pair has several series
// if there are further labels, of replicas or dimensions; they add up. found
// says that there was any; left has pairs without a name on one side.
//
// The counters are sums since a process began; a counter that was reset counts what it has
// now.
type serviceGraph struct {
	calls, failed map[graphSeries]int64
	left          map[string]bool
	found         bool
}

// graphSeries are the labels that tell pairs apart.
type graphSeries struct{ client, server, kind string }

func newServiceGraph() *serviceGraph {
	return &serviceGraph{calls: map[graphSeries]int64{}, failed: map[graphSeries]int64{}, left: map[string]bool{}}
}

// metricOf returns the name of a counter without its suffix, which a chain of
// exporters may have added twice.
func metricOf(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(name, "_total"), "_total")
}

// add counts a series. A virtual node is a side that is not traced: "user" and
// "unknown" stand for one without a name. One that has a name, as the server of
// most providers, is a dependency like any other.
//
// metric is one of the two, without its suffix, or "" for calls.
func (s *serviceGraph) add(metric string, labels map[string]string, value int64) {
	s.found = true
	k := graphSeries{labels["client"], labels["server"], labels["connection_type"]}
	switch {
	case k.client == "" || k.server == "" || k.kind == "virtual_node" && (k.client == "user" || k.server == "unknown"):
		s.left[k.client+" -> "+k.server] = true
	case metric == failedMetric:
		s.failed[k] += value
	default:
		s.calls[k] += value
	}
}

// finish counts the pairs, once all series are there, since those of failures
// come after those of calls. A pair that has more failures than calls, as two
// scrapes may show it, counts as one that always failed.
func (s *serviceGraph) finish(f *file) error {
	if !s.found {
		return fmt.Errorf("no metric %s_total here; %w", callsMetric, errFormat)
	}
	// A pair of which only failures are known has at least as many calls.
	for k, n := range s.failed {
		s.calls[k] = max(s.calls[k], n)
	}
	// The label is empty for a call between two traced services.
	kinds := map[string]Kind{"messaging_system": Delivery, "database": Database}
	for k, n := range s.calls {
		kind, ok := kinds[k.kind]
		if !ok {
			kind = Call
		}
		if err := f.pair(k.client, k.server, kind, n, s.failed[k], true); err != nil {
			return err
		}
	}
	if len(s.left) > 0 {
		f.notes = append(f.notes, fmt.Sprintf("%s: series without the name of a client or a server, left out: %d", f.name, len(s.left)))
	}
	return nil
}

const graphFormat = "metrics of a service graph"

// prometheus reads service graph metrics in the text form of Prometheus
// (exposition format 0.0.4) or OpenMetrics 1.0. Other metrics in the file are
// left alone; a line that is none is an error, as the file is something else
// then.
//
// O(bytes), line by line. Errors name the line.
func (f *file) prometheus() error {
	f.format = graphFormat
	g := newServiceGraph()
	// Comments tell types and help, which the names tell as well.
	for number, raw := range bytes.Split(f.data, []byte("\n")) {
		line := strings.TrimSpace(string(raw))
		if line == "" || line[0] == '#' {
			continue
		}
		name := line[:strings.IndexAny(line+" ", "{ \t")]
		metric := metricOf(name)
		if metric != callsMetric && metric != failedMetric {
			if !metricName(name) {
				return fmt.Errorf("line %d: %w", number+1, errFormat)
			}
			continue
		}
		labels, value, err := sample(line[len(name):])
		if err != nil {
			return fmt.Errorf("line %d: %w", number+1, err)
		}
		g.add(metric, labels, value)
	}
	return g.finish(f)
}

// prometheusAnswer reads what the HTTP API of Prometheus answers to an instant
// query (GET /api/v1/query, a vector). A query that adds up drops the name;
// then it is of calls. Other metrics are an error: somebody asked for the wrong
// thing.
func (f *file) prometheusAnswer(data json.RawMessage) error {
	if err := f.is(graphFormat); err != nil {
		return err
	}
	var answer struct {
		Type   string `json:"resultType"`
		Result []struct {
			Metric map[string]string `json:"metric"`
			Value  []json.RawMessage `json:"value"`
		} `json:"result"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return err
	}
	if answer.Type != "vector" {
		return fmt.Errorf("a result of type %q; this reads the answer to an instant query, a vector", answer.Type)
	}
	g := newServiceGraph()
	// Each result is a series with its last value.
	for i, r := range answer.Result {
		text := ""
		if len(r.Value) != 2 || json.Unmarshal(r.Value[1], &text) != nil {
			return fmt.Errorf("result %d: expected a value of time and number", i+1)
		}
		value, err := countOf(text)
		if err != nil {
			return fmt.Errorf("result %d: %w", i+1, err)
		}
		switch metric := metricOf(r.Metric["__name__"]); metric {
		case callsMetric, failedMetric, "":
			g.add(metric, r.Metric, value)
		default:
			return fmt.Errorf("result %d: %s is not %s_total or %s_total", i+1, r.Metric["__name__"], callsMetric, failedMetric)
		}
	}
	return g.finish(f)
}

// metricName tells a metric ([a-zA-Z_:][a-zA-Z0-9_:]*) from other text.
func metricName(s string) bool {
	for i, r := range s {
		if r != '_' && r != ':' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// sample reads what follows the name of a counter: labels, a value, and a
// timestamp or an exemplar, which say nothing here. Commas are not insisted on,
// as a trailing one is allowed.
//
// Of two labels with one name the last counts, which the format forbids.
func sample(rest string) (labels map[string]string, value int64, err error) {
	labels = map[string]string{}
	if strings.HasPrefix(rest, "{") {
		rest = rest[1:]
		for {
			// Whatever separates two labels, and nothing before the first.
			rest = strings.TrimLeft(rest, ", \t")
			if strings.HasPrefix(rest, "}") {
				rest = rest[1:]
				break
			}
			// The name of a label has no quote in it, so the first =" ends it.
			name, after, ok := strings.Cut(rest, `="`)
			if !ok {
				return nil, 0, errors.New(`expected labels such as client="web"`)
			}
			text, tail, ok := labelValue(after)
			if !ok {
				return nil, 0, fmt.Errorf("the label %s does not end", strings.TrimSpace(name))
			}
			labels[strings.TrimSpace(name)], rest = text, tail
		}
	}
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return nil, 0, errors.New("the value is missing")
	}
	value, err = countOf(fields[0])
	return labels, value, err
}

// countOf reads a counter's value: counters are floats, also above 1e6, and a
// rate or a sum over a query may be no whole number, so it is rounded.
func countOf(text string) (int64, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || v < 0 || v > maxCount {
		return 0, fmt.Errorf("%q is not a count", text)
	}
	return int64(math.Round(v)), nil
}

// labelValue reads up to the closing quote, with the escapes of the format: \n,
// \" and \\. Of any other escape, the sign behind the backslash is kept. ok is
// false if the quote is missing.
func labelValue(s string) (text, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
			if s[i] == 'n' {
				b.WriteByte('\n')
			} else {
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}
