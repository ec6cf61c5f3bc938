package crosscheck_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/cache/dynamo/ststest"
)

// TestKMS holds one list of calls against ststest and against the endpoint that
// FAILOPEN_KMS_ENDPOINT names: local-kms in CI, or AWS itself.
func TestKMS(t *testing.T) {
	server := ststest.New(ststest.Options{})
	t.Run("ststest", func(t *testing.T) { kmsContract(t, ststest.MemoryURL, server.HTTPClient()) })
	t.Run("endpoint", func(t *testing.T) {
		url := os.Getenv("FAILOPEN_KMS_ENDPOINT")
		if url == "" {
			t.Skip("FAILOPEN_KMS_ENDPOINT names no other server")
		}
		kmsContract(t, url, http.DefaultClient)
	})
}

func kmsContract(t *testing.T, url string, client *http.Client) {
	c := kms.New(kms.Options{
		Region: "eu-central-1", BaseEndpoint: &url, HTTPClient: client, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(dynamotest.AccessKey, dynamotest.SecretKey, ""),
	})
	for spec, algs := range map[types.KeySpec][]types.SigningAlgorithmSpec{
		types.KeySpecRsa2048: {
			types.SigningAlgorithmSpecRsassaPkcs1V15Sha256, types.SigningAlgorithmSpecRsassaPkcs1V15Sha384, types.SigningAlgorithmSpecRsassaPkcs1V15Sha512,
			types.SigningAlgorithmSpecRsassaPssSha256, types.SigningAlgorithmSpecRsassaPssSha384, types.SigningAlgorithmSpecRsassaPssSha512,
		},
		types.KeySpecEccNistP256: {types.SigningAlgorithmSpecEcdsaSha256},
		types.KeySpecEccNistP384: {types.SigningAlgorithmSpecEcdsaSha384},
	} {
		made, err := c.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: spec, KeyUsage: types.KeyUsageTypeSignVerify})
		if err != nil {
			t.Fatal(spec, err)
		}
		id := made.KeyMetadata.KeyId
		if m := made.KeyMetadata; m.KeyState != types.KeyStateEnabled || m.KeySpec != spec || !strings.HasSuffix(*m.Arn, ":key/"+*id) {
			t.Errorf("%s: %+v", spec, m)
		}
		pub, err := c.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: id})
		if err != nil {
			t.Fatal(spec, err)
		}
		key, err := x509.ParsePKIXPublicKey(pub.PublicKey)
		if err != nil {
			t.Fatal(spec, err)
		}
		for _, alg := range algs {
			signs(t, c, id, key, alg)
		}
		refusals(t, c, id, algs[0])
	}
	_, err := c.Sign(t.Context(), &kms.SignInput{KeyId: aws.String("00000000-0000-4000-8000-00000000dead"), Message: []byte("x"), SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256})
	expect(t, "no such key", err, "NotFoundException")
}

func expect(t *testing.T, what string, err error, code string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

// signs signs a message and its digest; both signatures must verify with the
// public key, by the standard library and by the service.
func signs(t *testing.T, c *kms.Client, id *string, key any, alg types.SigningAlgorithmSpec) {
	t.Helper()
	message := []byte("a message")
	hash, digest := digestOf(alg, message)
	for kind, text := range map[types.MessageType][]byte{types.MessageTypeRaw: message, types.MessageTypeDigest: digest} {
		out, err := c.Sign(t.Context(), &kms.SignInput{KeyId: id, Message: text, MessageType: kind, SigningAlgorithm: alg})
		if err != nil {
			t.Errorf("%s, %s: %v", alg, kind, err)
			continue
		}
		ok := false
		switch key := key.(type) {
		case *rsa.PublicKey:
			if strings.Contains(string(alg), "PSS") {
				ok = rsa.VerifyPSS(key, hash, digest, out.Signature, nil) == nil
			} else {
				ok = rsa.VerifyPKCS1v15(key, hash, digest, out.Signature) == nil
			}
		case *ecdsa.PublicKey:
			ok = ecdsa.VerifyASN1(key, digest, out.Signature)
		}
		if !ok {
			t.Errorf("%s, %s: the signature does not verify", alg, kind)
		}
		if v, err := c.Verify(t.Context(), &kms.VerifyInput{KeyId: id, Message: text, MessageType: kind, SigningAlgorithm: alg, Signature: out.Signature}); err != nil || !v.SignatureValid {
			t.Errorf("%s, %s: Verify: %v", alg, kind, err)
		}
		out.Signature[len(out.Signature)-1] ^= 1
		_, err = c.Verify(t.Context(), &kms.VerifyInput{KeyId: id, Message: text, MessageType: kind, SigningAlgorithm: alg, Signature: out.Signature})
		expect(t, string(alg)+": a changed signature", err, "KMSInvalidSignatureException")
	}
}

func digestOf(alg types.SigningAlgorithmSpec, message []byte) (crypto.Hash, []byte) {
	switch text := string(alg); text[len(text)-3:] {
	case "384":
		sum := sha512.Sum384(message)
		return crypto.SHA384, sum[:]
	case "512":
		sum := sha512.Sum512(message)
		return crypto.SHA512, sum[:]
	default:
		sum := sha256.Sum256(message)
		return crypto.SHA256, sum[:]
	}
}

func refusals(t *testing.T, c *kms.Client, id *string, alg types.SigningAlgorithmSpec) {
	t.Helper()
	in := &kms.SignInput{KeyId: id, Message: []byte("x"), SigningAlgorithm: alg}
	other := types.SigningAlgorithmSpecEcdsaSha256
	if alg == other {
		other = types.SigningAlgorithmSpecRsassaPssSha256
	}
	_, err := c.Sign(t.Context(), &kms.SignInput{KeyId: id, Message: []byte("x"), SigningAlgorithm: other})
	expect(t, "another key's algorithm", err, "InvalidKeyUsageException")
	_, err = c.Sign(t.Context(), &kms.SignInput{KeyId: id, Message: []byte("short"), MessageType: types.MessageTypeDigest, SigningAlgorithm: alg})
	expect(t, "a digest of the wrong length", err, "ValidationException")
	if _, err := c.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: id}); err != nil {
		t.Fatal(err)
	}
	_, err = c.Sign(t.Context(), in)
	expect(t, "disabled", err, "DisabledException")
	if _, err := c.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: id}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Sign(t.Context(), in); err != nil {
		t.Error(err)
	}
}
