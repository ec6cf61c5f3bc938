package verify

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/failopen/failopen/cache"
)

// A set comes from the network, and is kept in memory and in a file: its size
// and number are bounded. RSA keys below 2048 bits are not to be relied on any
// more (NIST SP 800-131A), and above 8192 a check costs enough to be an attack.
//
// Bounds of a key set.
const (
	maxKeySet  = 256 << 10
	maxKeys    = 100
	minRSABits = 2048
	maxRSABits = 8192
)

// A keySet is what an issuer has published, and when. It never changes.
type keySet struct {
	keys    map[string]publicKey // by key id
	revoked map[string]bool
	fetched time.Time
	raw     []byte
}

// publicKey is a key as it is used: its id, the one algorithm that it is for,
// and the key itself.
type publicKey struct {
	id  string
	alg string
	key crypto.PublicKey
}

// document is a JWKS (RFC 7517), with a member of ours: keys that were revoked,
// so that they are refused wherever a copy of the set is still in use.
type document struct {
	Keys    []jwk    `json:"keys"`
	Revoked []string `json:"revoked"`
}

// jwk has the members of a JSON Web Key that matter here. Those of private keys
// are among them to be noticed, not to be used.
type jwk struct {
	Kty string `json:"kty"`
	Kid string `json:"kid"`
	Alg string `json:"alg"`
	Use string `json:"use"`
	N   string `json:"n"`
	E   string `json:"e"`
	Crv string `json:"crv"`
	X   string `json:"x"`
	Y   string `json:"y"`
	D   string `json:"d"`
	P   string `json:"p"`
	Q   string `json:"q"`
	K   string `json:"k"`

	KeyOps []string `json:"key_ops"`
}

// parseKeys reads a set. Keys of kinds that are not used here are left out. A
// key whose private part was published can sign for anybody: it counts as
// revoked. What a set revokes is in force even if there is an error; and one
// that has revoked its last key is good, or tokens of that key would be accepted
// for as long as the set before it is.
func parseKeys(raw []byte, fetched time.Time) (*keySet, error) {
	var doc document
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("the key set is not JSON: %w", err)
	}
	if len(doc.Keys) > maxKeys || len(doc.Revoked) > maxKeys {
		return nil, fmt.Errorf("the key set has %d keys and %d revoked ones, the limit is %d", len(doc.Keys), len(doc.Revoked), maxKeys)
	}
	set := &keySet{keys: map[string]publicKey{}, revoked: map[string]bool{}, fetched: fetched, raw: raw}
	for _, id := range doc.Revoked {
		if keyID(id) { // no other is ever looked up
			set.revoked[id] = true
		}
	}
	var err error
	odd := 0
	for _, k := range doc.Keys {
		if !keyID(k.Kid) {
			continue
		}
		if k.D != "" || k.P != "" || k.Q != "" || k.K != "" {
			set.revoked[k.Kid] = true
			continue
		}
		if _, twice := set.keys[k.Kid]; twice {
			err = errors.New("the key set has a key id twice")
		}
		if key, err := k.public(); err == nil {
			set.keys[k.Kid] = key
		} else {
			odd++
		}
	}
	if err == nil && len(set.keys) == 0 && (odd > 0 || len(set.revoked) == 0) {
		err = errors.New("the key set has no key that can be used")
	}
	return set, err
}

// keyID is the form of a key id: letters, digits and a few signs, since it comes
// from strangers and goes into logs.
func keyID(id string) bool {
	if id == "" || len(id) > maxKeyID {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// public is the key of a JWK (RFC 7517), if it is of a kind and size that we
// take. What is for something else than signatures is not.
func (k jwk) public() (publicKey, error) {
	if k.Use != "" && k.Use != "sig" || k.KeyOps != nil && !slices.Contains(k.KeyOps, "verify") {
		return publicKey{}, errors.New("not for signatures")
	}
	switch k.Kty {
	case "RSA":
		n, e := number(k.N), number(k.E)
		if n == nil || e == nil || !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 || e.Bit(0) == 0 ||
			n.BitLen() < minRSABits || n.BitLen() > maxRSABits || k.Alg != "" && k.Alg != "RS256" {
			return publicKey{}, errors.New("an RSA key that is not taken")
		}
		return publicKey{k.Kid, "RS256", &rsa.PublicKey{N: n, E: int(e.Int64())}}, nil
	case "EC":
		x, y := number(k.X), number(k.Y)
		if x == nil || y == nil || k.Crv != "P-384" || k.Alg != "" && k.Alg != "ES384" || x.BitLen() > 384 || y.BitLen() > 384 {
			return publicKey{}, errors.New("an EC key that is not taken")
		}
		point := append([]byte{4}, make([]byte, 96)...)
		x.FillBytes(point[1:49])
		y.FillBytes(point[49:])
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P384(), point) // refuses a point off the curve
		return publicKey{k.Kid, "ES384", key}, err
	}
	return publicKey{}, errors.New("another kind of key")
}

// number is a Base64urlUInt (RFC 7518); nil if it is none.
func number(text string) *big.Int {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) == 0 {
		return nil
	}
	return new(big.Int).SetBytes(b)
}

// load is the cache's loader: from the issuer, or, in a process that has none
// yet, from the file.
//
// Status 200 and nothing else will do; more than maxKeySet bytes are an error,
// rather than a set that was cut off.
func (v *Verifier) load(ctx context.Context, name string) (*keySet, error) {
	from := v.issuers[name]
	last, had := cache.Previous[*keySet](ctx)
	if had && v.now().Sub(last.fetched) < v.stale && time.Since(v.start) < time.Duration(from.away.Load()) {
		return nil, errAway // the cache has them
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(v.base, cancel)() // Close does not wait for an issuer
	v.fetches.Add(1)
	set, err := v.fetch(ctx, from.KeysURL)
	v.remember(name, set) // also of a set that cannot be used otherwise
	if err == nil {
		if err := v.save(name, set); err != nil {
			v.warn("the keys cannot be kept for the next start", name, err)
		}
		return set, nil
	}
	v.failed.Add(1)
	from.away.Store(int64(time.Since(v.start) + awayAfter))
	v.warn("the keys cannot be fetched", name, err)
	if had {
		return nil, err
	}
	set, none := v.restore(name)
	if none != nil {
		return nil, err
	}
	v.remember(name, set)
	cache.SetTTL(ctx, time.Second) // ask the issuer again soon
	return set, nil
}

// fetch gets an issuer's keys over HTTP.
func (v *Verifier) fetch(ctx context.Context, url string) (*keySet, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := v.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the issuer answers with status %d", resp.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySet+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxKeySet {
		return nil, fmt.Errorf("the key set is larger than %d bytes", maxKeySet)
	}
	return parseKeys(raw, v.now())
}

// saved is the last good set, as it is kept in a file.
type saved struct {
	Issuer  string          `json:"issuer"`
	Fetched time.Time       `json:"fetched"`
	Keys    json.RawMessage `json:"keys"`
}

// file is where an issuer's set is kept. The name is a digest: what is in the
// issuer's URL cannot lead out of the directory.
func (v *Verifier) file(issuer string) string {
	sum := sha256.Sum256([]byte(issuer))
	return filepath.Join(v.dir, "keys-"+hex.EncodeToString(sum[:8])+".json")
}

// save keeps a set for the next start, by a rename, so that no reader sees half
// of it.
func (v *Verifier) save(issuer string, set *keySet) error {
	if v.dir == "" {
		return nil
	}
	data, err := json.Marshal(saved{issuer, set.fetched, set.raw})
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(v.dir, "keys-*.tmp")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), v.file(issuer))
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error is the one that matters
	}
	return err
}

// readKept reads a file that save has written, and nothing else that somebody
// may have put in its place: a device has no end, and a pipe blocks.
func readKept(name string) ([]byte, error) {
	const limit = 2 * maxKeySet
	info, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, fmt.Errorf("%s is not a file of at most %d bytes", name, limit)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was read
	return io.ReadAll(io.LimitReader(f, limit))
}

// restore is the set of an earlier process, if it is not too old.
//
// The file has no signature: whoever can write to Dir can add keys, and is
// trusted like the process itself. Its age is by the wall clock, with a minute
// for one that was set back; keys from the future are refused.
func (v *Verifier) restore(issuer string) (*keySet, error) {
	if v.dir == "" {
		return nil, errors.New("there is no directory for the last good keys")
	}
	data, err := readKept(v.file(issuer))
	if err != nil {
		return nil, err
	}
	var s saved
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, err
	}
	age := v.now().Sub(s.Fetched)
	if s.Issuer != issuer || age < -time.Minute || age > v.stale {
		return nil, fmt.Errorf("the last good keys are of %s, for %s", s.Fetched.UTC().Format(time.RFC3339), s.Issuer)
	}
	set, err := parseKeys(s.Keys, s.Fetched)
	if err != nil {
		return nil, err
	}
	return set, nil
}
