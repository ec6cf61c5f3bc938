package cache

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/quick"
	"time"
)

func testSealers(t testing.TB) []sealer {
	t.Helper()
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return []sealer{{}, {schema: 7}, {aead: aead}}
}

func TestEnvelope_round_trip(t *testing.T) {
	for _, s := range testSealers(t) {
		if err := quick.Check(func(key string, k uint8, version, fresh, usable int64, took uint32, payload []byte) bool {
			want := envelope{
				kind: kind(k % 3), version: version, fresh: fresh, usable: usable,
				took: time.Duration(took) * time.Millisecond, payload: payload,
			}
			b, err := s.seal(key, want)
			if err != nil {
				return false
			}
			got, err := s.open(key, b)
			return err == nil && got.kind == want.kind && got.version == version && got.fresh == fresh &&
				got.usable == usable && got.took == want.took && bytes.Equal(got.payload, payload)
		}, nil); err != nil {
			t.Error(err)
		}
	}
}

// What a value was set after is there if it is later than its load, and only then.
func TestEnvelope_tags(t *testing.T) {
	for _, s := range testSealers(t) {
		for said, want := range map[int64]int64{0: 50, 49: 50, 50: 50, 51: 51, 90: 90} {
			for n := range maxTags + 1 {
				b, err := s.seal("key", envelope{version: 80, created: 50, since: said, tags: make([]uint64, n), payload: []byte("payload")})
				if err != nil {
					t.Fatal(err)
				}
				got, err := s.open("key", b)
				if err != nil || len(got.tags) != n || len(s.tags(b)) != n || (n > 0 && got.since != want) || string(got.payload) != "payload" {
					t.Errorf("%d tags, since %d: %+v, %v", n, said, got, err)
				}
			}
		}
	}
}

// A payload without tags that begins like some has none: as the nonce of an
// encrypted one may.
func TestEnvelope_tags_only_where_it_says_so(t *testing.T) {
	b, err := sealer{}.seal("key", envelope{version: 1, payload: append([]byte{1}, make([]byte, 8)...)})
	if err != nil {
		t.Fatal(err)
	}
	if got := (sealer{}).tags(b); got != nil {
		t.Errorf("tags %v of an item that has none", got)
	}
}

// TestEnvelope_any_change flips every bit, and cuts at every length: whatever
// a store does to an item, the reader notices.
func TestEnvelope_any_change(t *testing.T) {
	for i, s := range testSealers(t) {
		good, err := s.seal("key", envelope{version: 1, fresh: 2, usable: 3, payload: []byte("payload")})
		if err != nil {
			t.Fatal(err)
		}
		for bit := range len(good) * 8 {
			bad := bytes.Clone(good)
			bad[bit/8] ^= 1 << (bit % 8)
			if _, err := s.open("key", bad); !errors.Is(err, ErrPoison) {
				t.Errorf("sealer %d, bit %d of byte %d flipped: %v, want ErrPoison", i, bit%8, bit/8, err)
			}
		}
		for n := range good {
			if _, err := s.open("key", good[:n]); !errors.Is(err, ErrPoison) {
				t.Errorf("sealer %d, cut to %d bytes: %v, want ErrPoison", i, n, err)
			}
		}
		if _, err := s.open("another key", good); !errors.Is(err, ErrPoison) {
			t.Errorf("sealer %d, under another key: %v, want ErrPoison", i, err)
		}
	}
}

// FuzzEnvelope_open feeds what a store might hold. Nothing may panic, and what
// opens must be what would be sealed.
func FuzzEnvelope_open(f *testing.F) {
	sealers := testSealers(f)
	for _, s := range sealers {
		b, err := s.seal("key", envelope{version: 1, fresh: 2, usable: 3, payload: []byte("payload")})
		if err != nil {
			f.Fatal(err)
		}
		f.Add("key", b)
		for _, since := range []int64{0, 90} {
			b, err := s.seal("key", envelope{version: 80, created: 50, since: since, tags: []uint64{1, 2}, payload: []byte("payload")})
			if err != nil {
				f.Fatal(err)
			}
			f.Add("key", b)
		}
	}
	f.Add("", []byte(nil))
	f.Add("key", []byte(strings.Repeat("\xff", envelopeHeader)))
	f.Fuzz(func(t *testing.T, key string, b []byte) {
		for _, s := range sealers {
			e, err := s.open(key, b)
			if err != nil {
				if !errors.Is(err, ErrPoison) {
					t.Errorf("%v does not wrap ErrPoison", err)
				}
				continue
			}
			if s.aead != nil {
				continue
			}
			if again, err := s.seal(key, e); err != nil || !bytes.Equal(again, b) {
				t.Errorf("opened %x, sealed again %x, %v", b, again, err)
			}
		}
	})
}

func TestKeyer(t *testing.T) {
	plain, named := keyer{}, keyer{name: "n"}
	secret := keyer{name: "n", secret: []byte("0123456789abcdef")}
	long := strings.Repeat("x", maxStoreKey)
	seen := make(map[string]string)
	for _, k := range []keyer{plain, named, secret} {
		for _, key := range []string{"", "a", "=a", "#a", "n:=a", long, long + "x", long[:maxStoreKey-1], long[:maxStoreKey-3]} {
			got := k.store(key)
			if len(got) == 0 || len(got) > maxStoreKey {
				t.Errorf("key of %d bytes becomes one of %d", len(key), len(got))
			}
			if other, dup := seen[got]; dup {
				t.Errorf("%.20q and %.20q are both stored under %.20q", other, key, got)
			}
			seen[got] = key
		}
	}
	if plain.id("a") == secret.id("a") {
		t.Error("KeySecret does not change the identifiers in events")
	}
}

// oneItem is a Store that holds one item under every key.
type oneItem []byte

func (o oneItem) Get(context.Context, string) (Item, error) { return Item{Value: o}, nil }
func (o oneItem) Set(context.Context, string, Item) error   { return nil }

// Deadlines that overflow when they are made nanoseconds: the item has ended,
// or it ends after TTL at the latest.
func TestEnvelope_extreme_deadlines(t *testing.T) {
	now := time.Now().UnixMilli()
	for _, c := range []struct {
		version, fresh, usable int64
		want                   Source
	}{
		{now, math.MaxInt64, math.MaxInt64, SourceRemote},
		{now, now + math.MaxInt64/1_000_000 + 1, math.MaxInt64, SourceRemote},
		{now, math.MinInt64, math.MinInt64, SourceUnknown},
		{now, now + math.MinInt64/1_000_000 - 1, math.MinInt64, SourceUnknown},
		{now, now - 1, math.MaxInt64, SourceStale},
		{now, math.MinInt64, math.MaxInt64, SourceUnknown}, // no end, so nothing that StaleIfError could follow
		{math.MinInt64, math.MaxInt64, math.MaxInt64, SourceUnknown},
		{math.MaxInt64, math.MaxInt64, math.MaxInt64, SourceUnknown},
	} {
		b, err := sealer{}.seal("t:=a", envelope{version: c.version, created: now, fresh: c.fresh, usable: c.usable, payload: []byte("v")})
		if err != nil {
			t.Fatal(err)
		}
		cache, err := New(Options[string]{
			Name: "t", TTL: time.Minute, StaleIfError: time.Minute, Store: oneItem(b),
			Load: func(context.Context, string) (string, error) { return "", errors.New("down") },
		})
		if err != nil {
			t.Fatal(err)
		}
		if r := cache.Lookup(context.Background(), "a"); r.Source != c.want || r.Age < 0 || r.Age > time.Minute {
			t.Errorf("version %d, fresh %d, usable %d: from %v, age %v; want %v", c.version, c.fresh, c.usable, r.Source, r.Age, c.want)
		}
	}
}
