package ststest_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
)

// rsaKey reads a published RSA key; of another kind it only looks that its
// numbers are there.
func rsaKey(t *testing.T, k map[string]string) *rsa.PublicKey {
	t.Helper()
	number := func(name string) *big.Int {
		b, err := base64.RawURLEncoding.DecodeString(k[name])
		if err != nil || len(b) == 0 {
			t.Errorf("key %s: %s is %q", k["kid"], name, k[name])
		}
		return new(big.Int).SetBytes(b)
	}
	if k["kty"] == "EC" {
		if x, y := number("x"), number("y"); k["crv"] != "P-384" || x.BitLen() > 384 || y.BitLen() > 384 {
			t.Errorf("key %v", k)
		}
		return &rsa.PublicKey{}
	}
	return &rsa.PublicKey{N: number("n"), E: int(number("e").Int64())}
}

func verifies(t *testing.T, keys map[string]*rsa.PublicKey, token string) bool {
	t.Helper()
	head, _ := claimsOf(t, token)
	key := keys[head["kid"].(string)]
	if key == nil {
		return false
	}
	cut := strings.LastIndexByte(token, '.')
	sig, err := base64.RawURLEncoding.DecodeString(token[cut+1:])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(token[:cut]))
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig) == nil
}
