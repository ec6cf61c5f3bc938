package cache

import (
	"bytes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"time"
	"unicode/utf8"
)

// The envelope is what the Store keeps: a header that lets a reader judge an
// item without trusting the store, and the encoded value.
//
//	offset  bytes
//	     0  2  magic "fO"
//	     2  1  layout of this header: 2
//	     3  1  kind (value, gone, tombstone); bit 7: nonce and ciphertext follow;
//	           bit 6: the payload is compressed (gzip); bit 5: tags come
//	           before it
//	     4  2  Options.Schema
//	     6  8  version: orders writes, Unix ms
//	    14  8  fresh until, Unix ms
//	    22  8  usable until (stale-if-error), Unix ms
//	    30  8  first bytes of SHA-256 of the store's key, and without a Name
//	           the Go type
//	    38  4  how long the load took, in ms (EarlyRefresh)
//	    42  8  Unix ms at which the load of the value began
//	    50  4  CRC-32C of bytes 0–49 and what follows
//	    54     with bit 5, a byte n and n tags of 8 bytes; with bit 7 of n, before
//	           the tags 8 bytes: the end of a tag, Unix ms, which the value is
//	           later than; then the payload
//
// The SDK only logs a wrong X-Amz-Crc32, so the checksum here is the one
// that counts.
const (
	envelopeLayout = 2
	envelopeSum    = 50
	envelopeHeader = 54
	encryptedBit   = 0x80
	compressedBit  = 0x40
	taggedBit      = 0x20
	sinceBit       = 0x80 // of the number of tags
)

var (
	envelopeMagic = []byte("fO")
	castagnoli    = crc32.MakeTable(crc32.Castagnoli)
)

// envelope is a decoded header with its payload.
// Times are Unix milliseconds, as they are read by other machines.
type envelope struct {
	kind    kind
	version int64
	fresh   int64
	usable  int64
	created int64
	took    time.Duration
	payload []byte
	tags    []uint64 // at most maxTags
	since   int64    // a tag that ended later ends the value

	compressed bool // the payload
}

// sealer writes and reads the envelopes of one cache.
type sealer struct {
	schema uint16
	aead   cipher.AEAD
	calls  *callbacks // of aead; nil: without a bound in time
	goType string     // of the values; "" when a Name tells caches apart
}

// id is what an item belongs to.
func (s sealer) id(key string) [sha256.Size]byte {
	if s.goType != "" {
		key += "\x00" + s.goType
	}
	return sha256.Sum256([]byte(key))
}

// seal makes the item of key: the header, the tags, the payload (encrypted,
// with an AEAD), and a checksum of all of it. The layout is at the top of this
// file. What it returns is the caller's.
func (s sealer) seal(key string, e envelope) ([]byte, error) {
	b := make([]byte, envelopeHeader, envelopeHeader+len(e.payload)+64)
	copy(b, envelopeMagic)
	b[2] = envelopeLayout
	b[3] = byte(e.kind)
	if e.compressed {
		b[3] |= compressedBit
	}
	binary.BigEndian.PutUint16(b[4:], s.schema)
	binary.BigEndian.PutUint64(b[6:], uint64(e.version))
	binary.BigEndian.PutUint64(b[14:], uint64(e.fresh))
	binary.BigEndian.PutUint64(b[22:], uint64(e.usable))
	id := s.id(key)
	copy(b[30:38], id[:])
	binary.BigEndian.PutUint32(b[38:], uint32(min(max(e.took.Milliseconds(), 0), math.MaxUint32)))
	binary.BigEndian.PutUint64(b[42:], uint64(e.created))
	if len(e.tags) > 0 {
		b[3] |= taggedBit
		// most values are later than their tags by themselves, and save the eight bytes
		if e.since > e.begun() {
			b = append(b, byte(len(e.tags))|sinceBit)
			b = binary.BigEndian.AppendUint64(b, uint64(e.since))
		} else {
			b = append(b, byte(len(e.tags)))
		}
		for _, tag := range e.tags {
			b = binary.BigEndian.AppendUint64(b, tag)
		}
	}
	if s.aead == nil {
		b = append(b, e.payload...)
	} else {
		b[3] |= encryptedBit
		// before the ciphertext is there, and without the checksum, which covers that
		more := additional(key, b)
		sealed, err := contain(s.calls, "AEAD", func() ([]byte, error) {
			nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(e.payload)+64)
			_, _ = rand.Read(nonce) // never fails
			return s.aead.Seal(nonce, nonce, e.payload, more), nil
		})
		if err != nil {
			return nil, err
		}
		b = append(b, sealed...)
	}
	binary.BigEndian.PutUint32(b[envelopeSum:], checksum(b))
	return b, nil
}

// begun is when the load of a value began, or it was set: a Set's version leads the
// clock.
func (e envelope) begun() int64 { return min(e.version, e.created) }

// begunIn is begun of an envelope that has been opened.
func begunIn(b []byte) int64 {
	return envelope{version: int64(binary.BigEndian.Uint64(b[6:])), created: int64(binary.BigEndian.Uint64(b[42:]))}.begun()
}

// poison is the error of an item that cannot be what this cache wrote. The text never
// has anything of the item's payload.
func poison(format string, args ...any) (envelope, error) {
	return envelope{}, fmt.Errorf("%w: "+format, append([]any{ErrPoison}, args...)...)
}

// header checks what an item without a payload needs to have been checked: a tag's
// end, which counts whatever the schema of values and their encryption are now.
func (s sealer) header(key string, b []byte) (envelope, error) {
	switch {
	case len(b) < envelopeHeader:
		return poison("%d bytes are too few for an envelope", len(b))
	case !bytes.Equal(b[:2], envelopeMagic):
		return poison("not an envelope")
	case b[2] != envelopeLayout:
		return poison("layout %d, want %d", b[2], envelopeLayout)
	// the checksum comes after the layout: another layout may have it elsewhere
	case binary.BigEndian.Uint32(b[envelopeSum:]) != checksum(b):
		return poison("wrong checksum")
	}
	if id := s.id(key); !bytes.Equal(id[:8], b[30:38]) {
		return poison("it belongs to another key, or to a value of another type")
	}
	return envelope{
		kind:    kind(b[3] &^ (encryptedBit | compressedBit | taggedBit)),
		version: int64(binary.BigEndian.Uint64(b[6:])),
		fresh:   int64(binary.BigEndian.Uint64(b[14:])),
		usable:  int64(binary.BigEndian.Uint64(b[22:])),
		created: int64(binary.BigEndian.Uint64(b[42:])),
		took:    time.Duration(binary.BigEndian.Uint32(b[38:])) * time.Millisecond,
		payload: b[envelopeHeader:],

		compressed: b[3]&compressedBit != 0,
	}, nil
}

// open checks b, which was found under key. Every error wraps ErrPoison.
func (s sealer) open(key string, b []byte) (envelope, error) {
	e, err := s.header(key, b)
	if err != nil {
		return e, err
	}
	// a value of another version of the program: a miss, and to be written anew
	if schema := binary.BigEndian.Uint16(b[4:]); schema != s.schema {
		return poison("schema %d, want %d", schema, s.schema)
	}
	if b[3]&taggedBit != 0 {
		var later bool
		if e.tags, e.since, later, e.payload = taggedIn(b); e.tags == nil {
			return poison("no tags, or too many")
		}
		if begun := e.begun(); !later {
			e.since = begun
		} else if e.since <= begun {
			return poison("its tags ended before it began")
		}
	}
	clear := b[:len(b)-len(e.payload)]
	encrypted := b[3]&encryptedBit != 0
	switch {
	case e.kind > kindTombstone:
		return poison("unknown kind %d", e.kind)
	case encrypted != (s.aead != nil):
		return poison("encrypted: %t, want %t", encrypted, s.aead != nil)
	case !encrypted:
		return e, nil
	}
	sealed := e.payload
	e.payload, err = contain(s.calls, "AEAD", func() ([]byte, error) {
		n := s.aead.NonceSize()
		if len(sealed) < n {
			return nil, fmt.Errorf("%d bytes are too few for a nonce", len(sealed))
		}
		return s.aead.Open(nil, sealed[:n], sealed[n:], additional(key, clear))
	})
	if err != nil {
		return poison("%v", err)
	}
	return e, nil
}

// additional is what the encryption authenticates beside the payload: the
// key, the header and the tags, so that none can be exchanged. The checksum is not
// known yet.
func additional(key string, clear []byte) []byte {
	return append(append([]byte(key), clear[:envelopeSum]...), clear[envelopeHeader:]...)
}

// isTagged reports whether an item may have tags.
func isTagged(item Item) bool { return len(item.Value) > 3 && item.Value[3]&taggedBit != 0 }

// tags returns those of an item, if it is one and has some.
// It is asked before open, by readTags, and says nothing of an item that open will
// refuse.
func (s sealer) tags(b []byte) []uint64 {
	if len(b) < envelopeHeader || !bytes.Equal(b[:2], envelopeMagic) || b[2] != envelopeLayout || b[3]&taggedBit == 0 ||
		binary.BigEndian.Uint32(b[envelopeSum:]) != checksum(b) {
		return nil
	}
	tags, _, _, _ := taggedIn(b)
	return tags
}

// taggedIn returns the tags of an envelope that has some, the end that the value is
// later than if it says so, and the payload; no tags if they are not there.
func taggedIn(b []byte) (tags []uint64, since int64, later bool, payload []byte) {
	payload = b[envelopeHeader:]
	if len(payload) == 0 {
		return nil, 0, false, nil
	}
	n := int(payload[0] &^ sinceBit)
	later = payload[0]&sinceBit != 0
	payload = payload[1:]
	if later && len(payload) >= 8 {
		since, payload = int64(binary.BigEndian.Uint64(payload)), payload[8:]
	}
	if n == 0 || n > maxTags || len(payload) < 8*n {
		return nil, 0, false, nil
	}
	tags = make([]uint64, n)
	for i := range tags {
		tags[i] = binary.BigEndian.Uint64(payload[8*i:])
	}
	return tags, since, later, payload[8*n:]
}

// checksum is CRC-32C of everything but its own four bytes.
func checksum(b []byte) uint32 {
	sum := crc32.Update(0, castagnoli, b[:envelopeSum])
	return crc32.Update(sum, castagnoli, b[envelopeHeader:])
}

// maxStoreKey is the longest key that DynamoDB takes as a partition key.
const maxStoreKey = 2048

// keyer maps the cache's keys to the store's and to names for events.
type keyer struct {
	name   string
	secret []byte
}

// store returns the key under which an item is stored. A key that is empty,
// too long, not UTF-8 or secret is stored as its digest; "#" marks the difference from
// a plain key, which is marked with "=".
func (k keyer) store(key string) string {
	prefix := k.prefix()
	if k.secret == nil && key != "" && len(prefix)+1+len(key) <= maxStoreKey && utf8.ValidString(key) {
		return prefix + "=" + key
	}
	return prefix + "#" + base64.RawURLEncoding.EncodeToString(k.digest(key))
}

// prefix is the cache's name in the key of each of its items; caches that share
// a table differ in it.
func (k keyer) prefix() string {
	if k.name == "" {
		return ""
	}
	return k.name + ":"
}

// tag returns the key under which it is stored when the tag with this id ended.
func (k keyer) tag(id uint64) string { return fmt.Sprintf("%s!tag/%016x", k.prefix(), id) }

// id returns a short name for a key that gives a secret key away to nobody.
func (k keyer) id(key string) string {
	return base64.RawURLEncoding.EncodeToString(k.digest(key)[:9])
}

// digest stands for key in the store: 32 bytes that fit any store and tell
// nobody the key. Without a secret it can be guessed by hashing likely keys.
func (k keyer) digest(key string) []byte {
	if k.secret != nil {
		m := hmac.New(sha256.New, k.secret)
		m.Write([]byte(key))
		return m.Sum(nil)
	}
	sum := sha256.Sum256([]byte(key))
	return sum[:]
}
