package cache

import "encoding/json"

// Codec turns values into bytes for the [Store] and back. It is safe for
// concurrent use. An error or a panic in Decode makes the item a miss, in
// Encode it keeps the value out of the Store; both are counted.
type Codec[V any] interface {
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

// raw is a [Codec] that keeps bytes as they are.
type raw[V string | []byte] struct{}

func (raw[V]) Encode(v V) ([]byte, error)    { return []byte(v), nil }
func (raw[V]) Decode(data []byte) (V, error) { return V(append([]byte(nil), data...)), nil }

// defaultCodec is raw for string and []byte, and JSON for everything else.
func defaultCodec[V any]() Codec[V] {
	for _, c := range []any{raw[string]{}, raw[[]byte]{}} {
		if codec, ok := c.(Codec[V]); ok {
			return codec
		}
	}
	return JSON[V]{}
}
