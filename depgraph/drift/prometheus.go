package drift

import (
	"bytes"
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

// prometheus reads service graph metrics in the text form of Prometheus or
// OpenMetrics. Other metrics in the file are left alone.
func (f *file) prometheus() error {
	f.format = "metrics of a service graph"
	type series struct{ client, server, kind string }
	calls, failed := map[series]int64{}, map[series]int64{}
	found, left := false, map[string]bool{}
	for number, raw := range bytes.Split(f.data, []byte("\n")) {
		line := strings.TrimSpace(string(raw))
		if line == "" || line[0] == '#' {
			continue
		}
		name := line[:strings.IndexAny(line+" ", "{ \t")]
		metric := strings.TrimSuffix(strings.TrimSuffix(name, "_total"), "_total")
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
		found = true
		s := series{labels["client"], labels["server"], labels["connection_type"]}
		if s.client == "" || s.server == "" || s.kind == "virtual_node" {
			left[s.client+" -> "+s.server] = true // a client outside of what is traced
			continue
		}
		if metric == callsMetric {
			calls[s] += value
		} else {
			failed[s] += value
		}
	}
	if !found {
		return fmt.Errorf("no metric %s_total here; %w", callsMetric, errFormat)
	}
	for s, n := range failed {
		calls[s] = max(calls[s], n)
	}
	kinds := map[string]Kind{"messaging_system": Delivery, "database": Database}
	for s, n := range calls {
		kind, ok := kinds[s.kind]
		if !ok {
			kind = Call
		}
		if err := f.pair(s.client, s.server, kind, n, failed[s], true); err != nil {
			return err
		}
	}
	if len(left) > 0 {
		f.notes = append(f.notes, fmt.Sprintf("%s: %d series with a client or a server that is not traced are left out", f.name, len(left)))
	}
	return nil
}

// metricName tells a metric from other text.
func metricName(s string) bool {
	for i, r := range s {
		if r != '_' && r != ':' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// sample reads what follows the name of a counter: labels, a value, and a
// timestamp or an exemplar, which say nothing here.
func sample(rest string) (labels map[string]string, value int64, err error) {
	labels = map[string]string{}
	if strings.HasPrefix(rest, "{") {
		rest = rest[1:]
		for {
			rest = strings.TrimLeft(rest, ", \t")
			if strings.HasPrefix(rest, "}") {
				rest = rest[1:]
				break
			}
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
	v, err := strconv.ParseFloat(fields[0], 64)
	if err != nil || math.IsNaN(v) || v < 0 || v > maxCount {
		return nil, 0, fmt.Errorf("%q is no count", fields[0])
	}
	return labels, int64(math.Round(v)), nil
}

// labelValue reads up to the closing quote, with the escapes of the format.
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
