package cache

import (
	"bytes"
	"compress/gzip"
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// Codec turns values into bytes for the [Store] and back. It is safe for
// concurrent use. An error or a panic in Decode makes the item a miss, in
// Encode it keeps the value out of the Store; both are counted.
type Codec[V any] interface {
	// Encode returns the bytes of a value.
	Encode(V) ([]byte, error)
	// Decode must not keep data.
	Decode(data []byte) (V, error)
}

// JSON is a [Codec] on encoding/json. It replaces invalid UTF-8 in strings,
// as that package does.
type JSON[V any] struct{}

// Encode returns the JSON form of v.
func (JSON[V]) Encode(v V) ([]byte, error) { return json.Marshal(v) }

// Decode parses the JSON form of a value.
func (JSON[V]) Decode(data []byte) (v V, err error) {
	err = json.Unmarshal(data, &v)
	return v, err
}

// Raw is a [Codec] that keeps bytes as they are. It is chosen by itself for string
// and []byte; types made of them (json.RawMessage) may have a JSON form of their
// own, and have to ask for it.
type Raw[V ~string | ~[]byte] struct{}

// Encode returns the bytes of v, not a copy.
func (Raw[V]) Encode(v V) ([]byte, error) { return []byte(v), nil }

// Decode returns a copy of data.
func (Raw[V]) Decode(data []byte) (V, error) { return V(append([]byte(nil), data...)), nil }

// isRaw reports whether a codec runs no code but our own: is a Raw, and not a type
// that embeds one.
func isRaw(codec any) bool {
	t := reflect.TypeOf(codec)
	return t.PkgPath() == reflect.TypeFor[Raw[string]]().PkgPath() && strings.HasPrefix(t.Name(), "Raw[")
}

// defaultCodec is Raw for string and []byte, and JSON for everything else.
func defaultCodec[V any]() Codec[V] {
	for _, c := range []any{Raw[string]{}, Raw[[]byte]{}} {
		if codec, ok := c.(Codec[V]); ok {
			return codec
		}
	}
	return JSON[V]{}
}

// Binary is a [Codec] for types that know their own bytes
// (encoding.BinaryMarshaler and BinaryUnmarshaler, the latter on the value or
// on a pointer to it). It is not chosen by itself, since a struct that embeds a
// time.Time has that one's methods, too.
type Binary[V any] struct{}

// Encode returns the binary form of v.
func (Binary[V]) Encode(v V) ([]byte, error) {
	for _, m := range [...]any{v, &v} {
		if m, ok := m.(encoding.BinaryMarshaler); ok {
			return m.MarshalBinary()
		}
	}
	return nil, fmt.Errorf("cache: %T has no MarshalBinary", v)
}

// Decode parses the binary form of a value.
func (Binary[V]) Decode(data []byte) (v V, err error) {
	if t := reflect.TypeFor[V](); t.Kind() == reflect.Pointer {
		v = reflect.New(t.Elem()).Interface().(V)
	}
	data = append([]byte(nil), data...) // UnmarshalBinary may keep it only if it copies; be safe
	for _, m := range [...]any{v, &v} {
		if m, ok := m.(encoding.BinaryUnmarshaler); ok {
			err := m.UnmarshalBinary(data)
			return v, err
		}
	}
	return v, fmt.Errorf("cache: %T has no UnmarshalBinary", v)
}

// compress returns b as gzip.
func compress(b []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, _ = w.Write(b) // a bytes.Buffer takes everything
	_ = w.Close()
	return buf.Bytes()
}

// maxDecompressed keeps a small item from becoming a large one.
const maxDecompressed = 64 << 20

// decompress bounds what comes out: the store's bytes are not trusted, and a
// few kilobytes can unfold to gigabytes.
func decompress(b []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(r, maxDecompressed+1))
	if err != nil {
		return nil, err
	}
	if len(out) > maxDecompressed {
		return nil, fmt.Errorf("a compressed value of more than %d bytes", maxDecompressed)
	}
	return out, nil
}
