package ststest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// signed is what Sign and Verify have in common.
type signed struct {
	KeyID   string `json:"KeyId"`
	Message []byte
	// MessageType is RAW or DIGEST; "" is RAW.
	MessageType      string
	SigningAlgorithm string
}

// keys are the condition keys that policies on signing ask for.
func (in *signed) keys() map[string]string {
	return map[string]string{"kms:signingalgorithm": in.SigningAlgorithm, "kms:messagetype": in.messageType()}
}

// messageType is RAW, which KMS hashes, unless said.
func (in *signed) messageType() string {
	if in.MessageType == "" {
		return "RAW"
	}
	return in.MessageType
}

// prepare finds the signer and the digest.
//
// All that may fail is looked at here, in this order: the key and the
// permission, its state, the algorithm, the message. A RAW message is hashed
// here, a DIGEST has to be as long as the algorithm's hash. Signing itself
// happens without the lock, since the signer never changes.
func (c *call) prepare(in *signed) (signer crypto.Signer, arn string, digest []byte, hash crypto.Hash, apiErr *apiError) {
	_, apiErr = c.withKey(in.KeyID, in.keys(), func(k *kmsKey) (any, *apiError) {
		signer, arn = k.signer, k.arn(c.region)
		if err := k.usable(c); err != nil {
			return nil, err
		}
		if !slices.Contains(keySpecs[k.spec].algs, in.SigningAlgorithm) {
			return nil, &apiError{400, "InvalidKeyUsageException", fmt.Sprintf("%s is incompatible with key spec %s", in.SigningAlgorithm, k.spec)}
		}
		return nil, nil
	})
	if apiErr != nil {
		return nil, "", nil, 0, apiErr
	}
	// Each algorithm's name ends in the size of its hash, and it is one of
	// the key's: keySpecs has checked it.
	hash = map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[in.SigningAlgorithm[len(in.SigningAlgorithm)-3:]]
	digest = in.Message
	switch kind := in.messageType(); {
	case kind == "RAW" && len(in.Message) >= 1 && len(in.Message) <= maxMessage:
		h := hash.New()
		h.Write(in.Message)
		digest = h.Sum(nil)
	case kind == "DIGEST" && len(in.Message) == hash.Size():
	case kind == "DIGEST":
		return nil, "", nil, 0, invalid("Digest is invalid length for algorithm %s.", in.SigningAlgorithm)
	default:
		return nil, "", nil, 0, invalid("the message has %d bytes and MessageType is %q; want 1 to %d bytes, RAW or DIGEST", len(in.Message), in.MessageType, maxMessage)
	}
	return signer, arn, digest, hash, nil
}

// sign signs with the algorithm that the request names, which has to be one of
// the key's.
//
// ECDSA signatures are in ASN.1 (DER), as those of KMS are, and unlike those of
// tokens. The salt of PSS is as long as the hash, as KMS has it.
func sign(c *call, in *signed) (any, *apiError) {
	signer, arn, digest, hash, apiErr := c.prepare(in)
	if apiErr != nil {
		return nil, apiErr
	}
	var opts crypto.SignerOpts = hash
	if strings.HasPrefix(in.SigningAlgorithm, "RSASSA_PSS") {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	}
	sig, err := signer.Sign(rand.Reader, digest, opts)
	if err != nil {
		return nil, &apiError{500, "KMSInternalException", err.Error()}
	}
	return map[string]any{"KeyId": arn, "Signature": sig, "SigningAlgorithm": in.SigningAlgorithm}, nil
}

// verify is Verify, which answers a wrong signature with an error and never
// with "false".
//
// The error has no message, as KMS's has none.
func verify(c *call, in *struct {
	signed
	Signature []byte
},
) (any, *apiError) {
	signer, arn, digest, hash, apiErr := c.prepare(&in.signed)
	if apiErr != nil {
		return nil, apiErr
	}
	err := errors.New("it does not")
	switch key := signer.Public().(type) {
	case *rsa.PublicKey:
		if strings.HasPrefix(in.SigningAlgorithm, "RSASSA_PSS") {
			err = rsa.VerifyPSS(key, hash, digest, in.Signature, nil)
		} else {
			err = rsa.VerifyPKCS1v15(key, hash, digest, in.Signature)
		}
	case *ecdsa.PublicKey:
		if ecdsa.VerifyASN1(key, digest, in.Signature) {
			err = nil
		}
	}
	if err != nil {
		return nil, &apiError{400, "KMSInvalidSignatureException", ""}
	}
	return map[string]any{"KeyId": arn, "SignatureValid": true, "SigningAlgorithm": in.SigningAlgorithm}, nil
}
