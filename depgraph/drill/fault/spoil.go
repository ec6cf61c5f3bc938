package fault

import (
	"bytes"
	"io"
	"net/http"
)

// Spoil damages an answer as the fault's kind says, in place.
func (f *Fault) Spoil(resp *http.Response) error {
	switch f.Kind {
	case Truncate:
		body, err := readAll(resp)
		if err != nil {
			return err
		}
		resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body[:len(body)/2]), broken{}))
	case Corrupt:
		body, err := readAll(resp)
		if err != nil {
			return err
		}
		garble(body)
		resp.Body = io.NopCloser(bytes.NewReader(body))
	}
	return nil
}

func readAll(resp *http.Response) ([]byte, error) {
	body, err := io.ReadAll(resp.Body)
	if closeErr := resp.Body.Close(); err == nil {
		err = closeErr
	}
	return body, err
}

// broken is the rest of a body that does not come.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// garble changes the text of the longest JSON string in body: letters and
// digits only, each to another one of its class, so that JSON stays JSON and
// base64 stays base64.
func garble(body []byte) {
	start, end := longestString(body)
	for i := start; i < end; i++ {
		switch c := body[i]; {
		case 'A' <= c && c <= 'Z':
			body[i] = 'A' + (c-'A'+13)%26
		case 'a' <= c && c <= 'z':
			body[i] = 'a' + (c-'a'+13)%26
		case '0' <= c && c <= '9':
			body[i] = '0' + (c-'0'+5)%10
		}
	}
}

// longestString finds the bounds of the longest string without an escape.
func longestString(body []byte) (start, end int) {
	for i := 0; i < len(body); i++ {
		if body[i] != '"' {
			continue
		}
		from, escaped := i+1, false
		for i++; i < len(body) && body[i] != '"'; i++ {
			if body[i] == '\\' {
				escaped = true
				i++
			}
		}
		if !escaped && i-from > end-start {
			start, end = from, min(i, len(body))
		}
	}
	return start, end
}
