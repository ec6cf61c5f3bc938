package broker

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
)

// KMS is what a broker needs of the key service; *kms.Client has it.
type KMS interface {
	Sign(context.Context, *kms.SignInput, ...func(*kms.Options)) (*kms.SignOutput, error)
	GetPublicKey(context.Context, *kms.GetPublicKeyInput, ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error)
}

const algorithm = types.SigningAlgorithmSpecRsassaPkcs1V15Sha256 // RS256

// A signer is one key. The broker's lock guards what may change.
type signer struct {
	id        string // as KMS knows it
	kid       string // as tokens name it
	key       *rsa.PublicKey
	jwk       map[string]string
	published time.Time
	revoked   bool
	broken    time.Time // when KMS last said that it cannot sign; zero: it can
}

// retryBroken is how long a key that KMS refused is passed over.
const retryBroken = time.Minute

// newSigner gets a key's public half. Its id in tokens is its thumbprint
// (RFC 7638), so that no key can take another's id.
func newSigner(ctx context.Context, client KMS, id string, now time.Time) (*signer, error) {
	out, err := client.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: aws.String(id)})
	if err != nil {
		return nil, fmt.Errorf("broker: the public part of key %s: %w", id, err)
	}
	parsed, err := x509.ParsePKIXPublicKey(out.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("broker: the public part of key %s: %w", id, err)
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok || key.N.BitLen() < 2048 {
		return nil, fmt.Errorf("broker: key %s is not an RSA key of 2,048 bits or more", id)
	}
	n := base64.RawURLEncoding.EncodeToString(key.N.Bytes())
	e := base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes())
	sum := sha256.Sum256([]byte(`{"e":"` + e + `","kty":"RSA","n":"` + n + `"}`))
	kid := base64.RawURLEncoding.EncodeToString(sum[:])
	return &signer{
		id: id, kid: kid, key: key, published: now,
		jwk: map[string]string{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": kid, "n": n, "e": e},
	}, nil
}

// Add publishes another key. Tokens are signed with it when it is promoted, or
// when those before it cannot sign.
func (b *Broker) Add(ctx context.Context, keyID string) (kid string, err error) {
	s, err := newSigner(ctx, b.kms, keyID, b.now())
	if err != nil {
		return "", err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, other := range b.signers {
		if other.kid == s.kid {
			return "", fmt.Errorf("broker: key %s is there already, as %s", keyID, s.kid)
		}
	}
	b.signers = append(b.signers, s)
	return s.kid, nil
}

// ErrTooEarly is a key that verifiers may not have heard of yet.
var ErrTooEarly = errors.New("broker: the key was published too recently")

// Promote makes tokens be signed with a key from now on. It must have been
// published for Options.PublishLead, or verifiers would not know it: then it is
// ErrTooEarly.
func (b *Broker) Promote(kid string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, s := range b.signers {
		if s.kid != kid {
			continue
		}
		switch {
		case s.revoked:
			return fmt.Errorf("broker: key %s is revoked", kid)
		case b.now().Sub(s.published) < b.lead:
			return fmt.Errorf("%w: %v ago, want %v", ErrTooEarly, b.now().Sub(s.published).Round(time.Second), b.lead)
		}
		s.broken = time.Time{}
		b.signers = append(append([]*signer{s}, b.signers[:i]...), b.signers[i+1:]...)
		return nil
	}
	return fmt.Errorf("broker: there is no key %s", kid)
}

// Revoke never signs with a key again, and tells verifiers so. Disable it in KMS
// as well: that takes effect later, but for everybody.
func (b *Broker) Revoke(kid string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.signers {
		if s.kid == kid {
			s.revoked = true
			return nil
		}
	}
	return fmt.Errorf("broker: there is no key %s", kid)
}

// current are the keys that may sign now, the best first.
func (b *Broker) current() (list []signer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.signers {
		if !s.revoked && (s.broken.IsZero() || b.now().Sub(s.broken) > retryBroken) {
			list = append(list, *s)
		}
	}
	return list
}

// markBroken passes a key over for a while, if it is the key's fault.
func (b *Broker) markBroken(kid string, err error) bool {
	if !ofTheKey(err) {
		return false // KMS as a whole is in trouble
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.signers {
		if s.kid == kid {
			s.broken = b.now()
		}
	}
	return true
}

// ofTheKey reports whether another key may do better: this one is disabled,
// denied, or signs wrongly.
func ofTheKey(err error) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return errors.Is(err, errSignature)
	}
	switch api.ErrorCode() {
	case "DisabledException", "KMSInvalidStateException", "NotFoundException", "AccessDeniedException", "InvalidKeyUsageException":
		return true
	}
	return false
}

// keySet is the published document: the keys that may be in use, and those that
// were revoked.
func (b *Broker) keySet() ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	keys, revoked := []map[string]string{}, []string{}
	for _, s := range b.signers {
		if s.revoked {
			revoked = append(revoked, s.kid)
		} else {
			keys = append(keys, s.jwk)
		}
	}
	return json.Marshal(map[string]any{"keys": keys, "revoked": revoked})
}
