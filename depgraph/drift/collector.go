package drift

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/failopen/failopen/depgraph"
)

// Limits of what a Collector reads, unless it says otherwise. They keep a file
// that was named by mistake, or made to hurt, from filling the memory.
const (
	DefaultMaxBytes = 512 << 20 // a file, unpacked
	DefaultMaxSpans = 5_000_000 // all files together; up to about 2 GiB of memory
)

// Collector reads sources and sums up what they saw. The zero value is ready.
// It keeps all spans in memory until it is dropped, since a trace may be spread
// over several sources. It is not for use by several goroutines.
type Collector struct {
	// MaxBytes bounds each source, and MaxSpans all of them together. Zero means
	// the defaults.
	MaxBytes int64
	MaxSpans int

	// spans of all sources, not linked yet; counted sums up the sources that
	// have counted calls themselves. sources and notes are in the order of Add,
	// and seen has the name of each content.
	spans   []span
	counted *tally
	sources []Source
	notes   []string
	seen    map[[sha256.Size]byte]string
}

// Add reads one source, whose format is told by its content and not by its
// name; gzip is unpacked. After an error nothing of that source is counted, and
// the Collector can be used on. A content that was added before is counted
// once, with a note: to name a file twice, or its packed and its plain form, is
// an easy mistake. The name appears in errors and reports.
//
// Errors say which source it is, the line where the format has lines, what was
// expected and what was found. They also tell an empty file, a record of
// another program, and a server's error message that was saved instead of a
// record.
func (c *Collector) Add(name string, r io.Reader) error {
	data, err := c.read(r)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	// The content is compared and not the name: a file may be named twice in
	// two ways.
	sum := sha256.Sum256(data)
	if first, ok := c.seen[sum]; ok {
		c.notes = append(c.notes, fmt.Sprintf("%s has the same content as %s and is counted once", name, first))
		return nil
	}
	f := file{name: name, data: data, t: newTally(), room: cmp.Or(c.MaxSpans, DefaultMaxSpans) - len(c.spans)}
	if err := f.parse(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if c.seen == nil {
		c.seen = map[[sha256.Size]byte]string{}
	}
	c.seen[sum] = name
	c.take(&f)
	return nil
}

// AddConfigured adds the addresses that an importer found in a configuration:
// every dependency of run time, with its alternatives. They were not seen to be
// called, so they have no calls; but the services count as recorded, since
// their configuration is known.
func (c *Collector) AddConfigured(name string, services []depgraph.Service) {
	f := file{name: name, format: "addresses in a configuration", t: newTally()}
	for _, s := range services {
		f.t.requests[s.Name] += 0
		for _, d := range s.Depends {
			for _, to := range append(slices.Clip(d.AnyOf), d.On) {
				if to != "" && ofRunTime(d) {
					f.t.edge(s.Name, to, Configured, name)
				}
			}
		}
	}
	c.take(&f)
}

// ofRunTime reports whether a dependency that was not compiled is needed at run
// time. One without a phase is, by the default of depgraph.Dependency, unless it
// is an order of starts or waits for a job to end.
func ofRunTime(d depgraph.Dependency) bool {
	if d.Phase == 0 {
		return !d.Weak && d.Until != depgraph.Done
	}
	return d.Phase&depgraph.Runtime != 0
}

// take adds what one source held to the sums. It is called once a source, after
// the whole of it was understood.
//
// Requests that a recording tells take the place of those that follow from its pairs.
func (c *Collector) take(f *file) {
	// What a reader of the report checks first: how much was in it.
	source := Source{Name: f.name, Format: f.format, Spans: len(f.spans), Edges: len(f.t.edges)}
	traces := map[string]bool{}
	for i := range f.spans {
		traces[f.spans[i].trace] = true
	}
	source.Traces = len(traces)
	c.sources = append(c.sources, source)
	c.spans = append(c.spans, f.spans...)
	c.notes = append(c.notes, f.notes...)
	if f.idle > 0 {
		c.notes = append(c.notes, fmt.Sprintf("%s: pairs of services without any call, left out: %d", f.name, f.idle))
	}
	if c.counted == nil {
		c.counted = newTally()
	}
	for k, e := range f.t.edges {
		sum := c.counted.edge(k.from, k.to, k.kind, f.name)
		sum.Calls, sum.Errors, sum.Judged = sum.Calls+e.Calls, sum.Errors+e.Errors, sum.Judged || e.Judged
		sum.Effect.add(e.Effect)
	}
	maps.Copy(f.t.requests, f.said) // and not the number of calls, of which a request makes several
	for name, n := range f.t.requests {
		c.counted.requests[name] += n
	}
}

// read unpacks and bounds a source. Gzip is told by its two magic bytes (RFC
// 1952), which begin no text; the limit is that of the unpacked data, too, so
// that a small file cannot become a large one.
func (c *Collector) read(r io.Reader) ([]byte, error) {
	limit := cmp.Or(c.MaxBytes, DefaultMaxBytes)
	data, err := limited(r, limit)
	if err != nil || !bytes.HasPrefix(data, []byte("\x1f\x8b")) {
		return data, err
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("cannot unpack: %w", err)
	}
	// Several members in a row are one text, by the format.
	data, err = limited(z, limit)
	if err != nil {
		return nil, fmt.Errorf("cannot unpack: %w", err)
	}
	return data, nil
}

// limited reads everything, or one byte more than the limit, which is an error. A limit that
// is as large as can be is none.
func limited(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, max(limit, limit+1)))
	if err == nil && int64(len(data)) > limit {
		return nil, fmt.Errorf("is too large: at most %d MiB are read; record for a shorter time, or split it", max(1, limit>>20))
	}
	return data, err
}

// file is one source while it is read. Nothing of it reaches the Collector
// before it was read to its end.
//
// One method reads one format, and calls span or pair for what it finds; is keeps a file to
// one format.
type file struct {
	name, format string
	data         []byte
	// room is how many more spans there may be.
	room  int
	spans []span
	// t sums up pairs that were counted already. said has the numbers of
	// requests that recordings tell, which take the place of those that follow
	// from pairs.
	t     *tally
	said  map[string]int64
	notes []string
	idle  int // pairs of services that are named, with no call
}

// Formats are what Add reads, in words for messages and help. A new
// format is named here, in errFormat's texts and in the guide.
const Formats = "dependencies of Zipkin or Jaeger, spans of Zipkin (v2), Jaeger or OTLP in JSON, metrics of OpenTelemetry's service graph as Prometheus has them (text, or the answer of a query), or a recording of package observe"

// errFormat is the error for what is in none of them.
var errFormat = errors.New("the format is unknown; this reads " + Formats)

// parse tells the format by the first sign that is no space: a list is
// Zipkin's, an object any of those in objects, and everything else is lines of
// Prometheus. A byte order mark is left out.
func (f *file) parse() error {
	f.data = bytes.TrimPrefix(f.data, []byte("\xef\xbb\xbf"))
	start := bytes.TrimLeft(f.data, " \t\r\n")
	switch {
	case len(start) == 0:
		return errors.New("is empty")
	case start[0] == '[':
		return f.located(f.zipkin)
	case start[0] == '{':
		return f.located(f.objects)
	}
	return f.prometheus()
}

// located adds the line to an error of the JSON parser, and says it in the
// words of the data instead of Go's types. The line is that where the decoder
// was, which for a wrong value is the end of the object that holds it.
//
// Errors of what the values mean come from parse, and get the line as well.
func (f *file) located(parse func(dec *json.Decoder) error) error {
	dec := json.NewDecoder(bytes.NewReader(f.data))
	err := parse(dec)
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	at := dec.InputOffset()
	switch {
	case err == nil:
		return nil
	case errors.As(err, &syntax):
		at = f.syntaxError(at)
	case errors.As(err, &wrong):
		field := strings.ReplaceAll(wrong.Field, "dependencyLink.", "") // an embedded struct is no part of the data
		err = fmt.Errorf("%s: expected %s, found %s", cmp.Or(field, "a value"), jsonType(wrong), wrong.Value)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err, at = errors.New("ends in the middle"), int64(len(f.data))
	}
	// Lines count from 1, as editors do.
	line := 1 + bytes.Count(f.data[:min(at, int64(len(f.data)))], []byte("\n"))
	return fmt.Errorf("line %d: %w", line, err)
}

// syntaxError is where the sign is that cannot be read, in the value or the token
// from an offset on. The Offset of a json.SyntaxError does not tell it: it counts
// what Decode has read, and not what Token has. So the value is read again.
func (f *file) syntaxError(from int64) int64 {
	from += int64(len(f.data[from:]) - len(bytes.TrimLeft(f.data[from:], " \t\r\n,")))
	var syntax *json.SyntaxError
	err := json.NewDecoder(bytes.NewReader(f.data[from:])).Decode(new(json.RawMessage))
	if errors.As(err, &syntax) {
		return from + syntax.Offset - 1
	}
	return from
}

// jsonType names the type that was expected, in the words of JSON.
func jsonType(e *json.UnmarshalTypeError) string {
	switch kind := e.Type.Kind().String(); kind {
	case "struct", "map":
		return "an object"
	case "slice":
		return "a list"
	case "string", "bool":
		return "a " + kind
	}
	return "a number"
}

// objects reads one JSON object or several, as a collector writes one a line.
// Which format an object has follows from its members; the order below matters
// where two of them could be there.
//
// Members that are not listed are left alone: servers add some with every version.
func (f *file) objects(dec *json.Decoder) error {
	for dec.More() {
		var o struct {
			Data          json.RawMessage `json:"data"`
			ResourceSpans json.RawMessage `json:"resourceSpans"`
			Batches       json.RawMessage `json:"batches"` // Tempo's name for them
			Status        string          `json:"status"`
			Error         string          `json:"error"`
			Errors        []struct {
				Message string `json:"msg"`
			} `json:"errors"`
			Warnings  []string        `json:"warnings"`
			Metrics   json.RawMessage `json:"resourceMetrics"`
			Logs      json.RawMessage `json:"resourceLogs"`
			Recording json.RawMessage `json:"failopen_observed"`
			Services  json.RawMessage `json:"services"`
			Edges     json.RawMessage `json:"edges"`
			Since     json.RawMessage `json:"since"`
			Until     json.RawMessage `json:"until"`
			Other     int64           `json:"not_counted"`
		}
		if err := dec.Decode(&o); err != nil {
			return err
		}
		// An answer may hold data and say that they are not all; that is worth
		// a note and no error.
		for _, e := range o.Errors {
			o.Warnings = append(o.Warnings, e.Message)
		}
		for _, w := range o.Warnings {
			f.notes = append(f.notes, fmt.Sprintf("%s: the answer may be incomplete; the server says: %s", f.name, w))
		}
		var err error
		switch {
		// Somebody saved the answer of a server that had nothing to answer
		// with.
		case o.Status == "error", len(o.Errors) > 0 && emptyList(o.Data):
			return fmt.Errorf("holds no record; the server answered with an error: %s", cmp.Or(o.Error, strings.Join(o.Warnings, "; ")))
		case o.Batches != nil:
			err = f.otlp(o.Batches)
		case o.ResourceSpans != nil:
			err = f.otlp(o.ResourceSpans)
		case o.Metrics != nil, o.Logs != nil:
			err = f.is("spans of OTLP") // of other signals, in the same file
		case o.Recording != nil:
			err = f.recording(o.Recording, o.Services, o.Edges, o.Other)
		case bytes.HasPrefix(o.Data, []byte("{")):
			err = f.prometheusAnswer(o.Data)
		case o.Data != nil:
			err = f.jaeger(o.Data)
		default:
			err = errFormat
		}
		if err != nil {
			return err
		}
	}
	return atEnd(dec, "an object")
}

// atEnd is an error if anything but space follows. Decoder.More does not tell: it
// takes a closing bracket for the end of something.
func atEnd(dec *json.Decoder, of string) error {
	if _, err := dec.Token(); errors.Is(err, io.EOF) {
		return nil
	}
	return errors.New("unexpected data after the end of " + of)
}

// emptyList reports whether data is missing, null or [].
func emptyList(data json.RawMessage) bool {
	var list []json.RawMessage
	return len(data) == 0 || json.Unmarshal(data, &list) == nil && len(list) == 0
}

// is sets the format, which is one for each file. A mixture is an error, as it
// is hardly meant.
//
// It is called before anything is counted.
func (f *file) is(format string) error {
	if f.format != "" && f.format != format {
		return fmt.Errorf("holds %s and %s; each file must hold one format", f.format, format)
	}
	f.format = format
	return nil
}

// span adds one, within the bound on spans of all sources.
func (f *file) span(s span) error {
	if f.room--; f.room < 0 {
		return errors.New("there are too many spans; record for a shorter time, or sample")
	}
	s.source = f.name
	f.spans = append(f.spans, s)
	return nil
}

// pair counts calls of a source that has counted them already. judged says that
// errs is known, and not merely zero. An empty name or a number that cannot be
// is an error; a service that calls itself and a counter of zero are left out,
// the latter with a note.
func (f *file) pair(from, to string, kind Kind, calls, errs int64, judged bool) error {
	switch {
	case strings.TrimSpace(from) == "" || strings.TrimSpace(to) == "":
		return fmt.Errorf("a dependency has an empty name: %q -> %q", from, to)
	case calls < 0 || errs < 0 || calls > maxCount || errs > calls:
		return fmt.Errorf("%s -> %s: %d calls with %d errors", from, to, calls, errs)
	case from == to:
		return nil // a service that calls itself depends on nobody else
	// Silence is not a call; but that there is a counter is worth a note.
	case calls == 0: // a counter that was created, and never counted
		f.idle++
		return nil
	}
	e := f.t.edge(from, to, kind, f.name)
	e.Calls, e.Errors, e.Judged = e.Calls+calls, e.Errors+errs, e.Judged || judged
	f.t.requests[from] += calls
	f.t.requests[to] += calls
	return nil
}

// maxCount keeps sums of counts from wrapping around: a million of them fit
// into an int64.
const maxCount = math.MaxInt64 >> 20

// recording reads what package observe wrote: version 1, the requests of each
// service, and the edges with what became of the requests. Several recordings
// in one file add up, as several files do. other is how many calls the recorder
// did not count by name.
//
// The form is that of observe.Recorder.WriteTo; a version that this does not know is an
// error, since numbers that mean something else must not be added.
func (f *file) recording(version, services, edges json.RawMessage, other int64) error {
	if err := f.is("a recording of package observe"); err != nil {
		return err
	}
	if v := string(version); v != "1" {
		return fmt.Errorf("failopen_observed: this reads version 1, and found %s", v)
	}
	var requests map[string]int64
	var all []struct {
		From       string `json:"from"`
		To         string `json:"to"`
		Calls      int64  `json:"calls"`
		Errors     int64  `json:"errors"`
		Propagated int64  `json:"propagated"`
		Absorbed   int64  `json:"absorbed"`
		Unclear    int64  `json:"unclear"`
		Fine       int64  `json:"fine"`
		Otherwise  int64  `json:"otherwise"`
	}
	if services != nil {
		if err := json.Unmarshal(services, &requests); err != nil {
			return err
		}
	}
	if edges != nil {
		if err := json.Unmarshal(edges, &all); err != nil {
			return err
		}
	}
	// All numbers come from a file, so all are checked before they are added.
	for _, e := range all {
		effect := Effect{e.Propagated, e.Absorbed, e.Unclear, e.Fine, e.Otherwise}
		if min(effect.Propagated, effect.Absorbed, effect.Unclear, effect.Fine, effect.Otherwise) < 0 ||
			max(effect.Propagated, effect.Absorbed, effect.Unclear, effect.Fine, effect.Otherwise) > maxCount {
			return fmt.Errorf("%s -> %s: a count is out of range", e.From, e.To)
		}
		if err := f.pair(e.From, e.To, Call, e.Calls, e.Errors, true); err != nil {
			return err
		}
		if e.From != e.To {
			f.t.edge(e.From, e.To, Call, f.name).Effect.add(effect)
		}
	}
	if f.said == nil {
		f.said = map[string]int64{}
	}
	for name, n := range requests {
		if n < 0 || n > maxCount {
			return fmt.Errorf("%s handled %d requests", name, n)
		}
		f.said[name] += n
	}
	if other > 0 {
		f.notes = append(f.notes, fmt.Sprintf("%s: %d calls exceeded the recorder's bound on addresses, and are not counted by name", f.name, other))
	}
	return nil
}
