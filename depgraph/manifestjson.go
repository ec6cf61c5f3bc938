package depgraph

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"

	"go.yaml.in/yaml/v3"
)

// jsonError is a fault of a JSON text with its line.
type jsonError struct {
	line int
	err  error
}

func (e *jsonError) Error() string { return e.err.Error() }
func (e *jsonError) Unwrap() error { return e.err }

// maxJSONDepth is far above what a manifest needs.
const maxJSONDepth = 64

// jsonReader reads JSON into the same nodes as YAML, with lines, so that one
// decoder serves both. JSON is not quite a subset of what YAML parsers read:
// tabs and some escapes differ.
type jsonReader struct {
	dec      *json.Decoder
	data     []byte
	newlines []int64 // offsets in data
	start    int64   // offset of the value at hand, a whole document
}

// jsonDocuments calls each with the nodes of every JSON value of a file.
func jsonDocuments(data []byte, each func(*yaml.Node)) error {
	r := jsonReader{dec: json.NewDecoder(bytes.NewReader(data)), data: data}
	// Numbers stay as they were written: a float64 would round large ones, and a fault
	// should quote what is in the file.
	r.dec.UseNumber()
	for i, b := range data {
		if b == '\n' {
			r.newlines = append(r.newlines, int64(i))
		}
	}
	for {
		r.start = r.dec.InputOffset()
		tok, err := r.dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		n, err := r.node(tok, err, 0)
		if err != nil {
			return err
		}
		each(n)
	}
}

// line is the line of the last token read.
func (r *jsonReader) line() int {
	// The offset is behind the token, so the line is one more than the line ends before
	// its last byte.
	return r.lineAt(r.dec.InputOffset() - 1)
}

// lineAt is the line of a byte, from 1.
func (r *jsonReader) lineAt(offset int64) int {
	return 1 + sort.Search(len(r.newlines), func(i int) bool { return r.newlines[i] >= offset })
}

// fail adds the line to an error: where the syntax is wrong, or else where the reader
// is.
//
// The offsets that a json.Decoder gives in errors are of no use once tokens are read: they
// leave out what stands between values, and count from 0 or from 1. So the value at fault
// is scanned once more, as a whole.
func (r *jsonReader) fail(err error) error {
	line := r.line()
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = io.ErrUnexpectedEOF
		line = r.lineAt(int64(len(bytes.TrimRight(r.data, " \t\r\n"))))
	case errors.As(err, &syntax) && errors.As(json.Unmarshal(r.data[r.start:], new(any)), &syntax):
		line = r.lineAt(r.start + syntax.Offset - 1)
	}
	return &jsonError{line: line, err: err}
}

// node reads the value that begins with a token; tok and err are what the caller got
// for it. Whole numbers that fit are tagged as such, all others as floating-point.
func (r *jsonReader) node(tok json.Token, err error, depth int) (*yaml.Node, error) {
	if err != nil {
		return nil, r.fail(err)
	}
	// The recursion is as deep as the text is nested.
	if depth > maxJSONDepth {
		return nil, r.fail(fmt.Errorf("nested deeper than %d", maxJSONDepth))
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: r.line()}
	switch t := tok.(type) {
	case string:
		n.Tag, n.Value = "!!str", t
	case bool:
		n.Tag, n.Value = "!!bool", fmt.Sprint(t)
	case json.Number:
		n.Tag, n.Value = "!!int", t.String()
		if _, err := t.Int64(); err != nil {
			n.Tag = "!!float"
		}
	case nil:
		n.Tag = "!!null"
	case json.Delim:
		// A mapping's content is key, value, key, value, as in YAML; the decoder of
		// JSON yields its keys as tokens as well, and has checked that they are
		// strings.
		n.Kind = yaml.SequenceNode
		if t == '{' {
			n.Kind = yaml.MappingNode
		}
		for r.dec.More() {
			tok, err := r.dec.Token()
			child, err := r.node(tok, err, depth+1)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, child)
		}
		if _, err := r.dec.Token(); err != nil {
			return nil, r.fail(err)
		}
	}
	return n, nil
}
