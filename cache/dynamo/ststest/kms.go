package ststest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/failopen/failopen/cache/dynamo/internal/iam"
)

const (
	// Quotas: ours for keys, so that a loop in a test does not eat the
	// memory (a key takes a second, and some KiB); AWS's 32 KiB for a key
	// policy, and 4,096 bytes for a message that KMS hashes.
	maxKeys      = 1000
	maxKeyPolicy = 32 << 10
	maxMessage   = 4096
)

// A kmsKey is guarded by the server's lock, but for the signer, which never
// changes.
type kmsKey struct {
	id, spec, description string
	created               time.Time
	signer                crypto.Signer
	// enabled and policy are in force after PolicyDelay; policyText is the
	// newest.
	enabled    delayed[bool]
	policyText string
	policy     delayed[*iam.Policy]
	// tags are those of CreateKey and never change: TagResource is not
	// implemented.
	tags map[string]string
}

// keySpecs are the kinds of keys that are implemented, and what they sign with.
//
// To add one, name what makes its key pair and the algorithms that it may sign
// with; prepare finds the hash by the last three digits of an algorithm's name.
// ECC_SECG_P256K1 is not here, as the standard library has no such curve.
var keySpecs = map[string]struct {
	make func() (crypto.Signer, error)
	algs []string
}{
	"RSA_2048":      {makeRSA(2048), rsaAlgs},
	"RSA_3072":      {makeRSA(3072), rsaAlgs},
	"RSA_4096":      {makeRSA(4096), rsaAlgs},
	"ECC_NIST_P256": {makeEC(elliptic.P256()), []string{"ECDSA_SHA_256"}},
	"ECC_NIST_P384": {makeEC(elliptic.P384()), []string{"ECDSA_SHA_384"}},
	"ECC_NIST_P521": {makeEC(elliptic.P521()), []string{"ECDSA_SHA_512"}},
}

var rsaAlgs = []string{
	"RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PKCS1_V1_5_SHA_384", "RSASSA_PKCS1_V1_5_SHA_512",
	"RSASSA_PSS_SHA_256", "RSASSA_PSS_SHA_384", "RSASSA_PSS_SHA_512",
}

// makeRSA and makeEC are the constructors in the table.
func makeRSA(bits int) func() (crypto.Signer, error) {
	return func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, bits) }
}

func makeEC(curve elliptic.Curve) func() (crypto.Signer, error) {
	return func() (crypto.Signer, error) { return ecdsa.GenerateKey(curve, rand.Reader) }
}

// arn is in the region of the request: keys are in all regions at once here,
// which no test should rest on.
func (k *kmsKey) arn(region string) string {
	return "arn:aws:kms:" + region + ":" + iam.Account + ":key/" + k.id
}

// kmsAction is an operation, given the body that it has to decode.
type kmsAction func(*call, []byte) (any, *apiError)

// kmsActions are the operations of KMS by name.
// To add an operation, write its function with an input struct whose fields are
// the parameters that it implements, and give it a row.
var kmsActions = map[string]kmsAction{
	"CreateKey":    kmsOperation(createKey),
	"DescribeKey":  kmsOperation(describeKey),
	"ListKeys":     kmsOperation(listKeys),
	"GetPublicKey": kmsOperation(getPublicKey),
	"Sign":         kmsOperation(sign),
	"Verify":       kmsOperation(verify),
	"EnableKey":    kmsOperation(enableKey),
	"DisableKey":   kmsOperation(disableKey),
	"GetKeyPolicy": kmsOperation(getKeyPolicy),
	"PutKeyPolicy": kmsOperation(putKeyPolicy),
	"CreateAlias":  kmsOperation(createAlias),
	"UpdateAlias":  kmsOperation(updateAlias),
	"DeleteAlias":  kmsOperation(deleteAlias),
}

// kmsOperation decodes the request's body for run. Members that run does not
// know are refused by name.
//
// Names are compared as encoding/json does, without regard to case; []byte is
// base64, as in the protocol. Text after the JSON value is refused.
func kmsOperation[In any](run func(*call, *In) (any, *apiError)) kmsAction {
	return func(c *call, body []byte) (any, *apiError) {
		in := new(In)
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.DisallowUnknownFields()
		if err := dec.Decode(in); err != nil {
			if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
				return nil, invalid("ststest does not implement the parameter %s of %s", name, c.action)
			}
			if shape := (*json.UnmarshalTypeError)(nil); errors.As(err, &shape) {
				what := "the request"
				if shape.Field != "" {
					what = "the parameter " + shape.Field
				}
				return nil, &apiError{400, "SerializationException", fmt.Sprintf("%s is a JSON %s, which it cannot be", what, shape.Value)}
			}
			return nil, &apiError{400, "SerializationException", err.Error()}
		}
		if rest := bytes.TrimSpace(body[dec.InputOffset():]); len(rest) > 0 {
			return nil, &apiError{400, "SerializationException", "there is text after the JSON value"}
		}
		return run(c, in)
	}
}

// readJSON reads a request of the JSON protocol, which KMS speaks.
//
// TrentService is the name that KMS has in X-Amz-Target.
func (s *Server) readJSON(r *http.Request, body []byte) request {
	in := request{service: "kms", write: writeJSON}
	name, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "TrentService.")
	run := kmsActions[name]
	if !ok || run == nil || r.Method != http.MethodPost {
		in.run = failing(&apiError{400, "UnknownOperationException", fmt.Sprintf("ststest does not implement the operation %q; see docs/guide/ststest.md", r.Header.Get("X-Amz-Target"))})
		return in
	}
	in.action = name
	in.run = func(c *call) (any, *apiError) { return run(c, body) }
	return in
}

// writeJSON writes an answer of KMS, whose protocol is JSON 1.1: errors have
// codes of their own, and status 400 unless they are the service's.
//
// Where a code of ststest has another name in this protocol, jsonCodes has it.
// The members of an error are __type and message. A nil answer is an empty
// object.
func writeJSON(w http.ResponseWriter, out any, err *apiError, id string) {
	status := http.StatusOK
	if err != nil {
		status = 400
		if err.status >= 500 {
			status = err.status
		}
		code := err.code
		if other := jsonCodes[code]; other != "" {
			code = other
		}
		out = map[string]string{"__type": code, "message": err.message}
	}
	if out == nil {
		out = struct{}{}
	}
	body, failed := json.Marshal(out)
	if failed != nil {
		panic(fmt.Sprintf("ststest: an answer of KMS cannot be encoded: %v", failed))
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Requestid", id)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that is gone is its own business
}

// withKey finds a key by its id, its ARN or an alias, authorizes the call and
// runs f under the lock. f must not take long.
//
// An ARN of another region or account is not found. kms:RequestAlias is there
// only for a request by alias, aws:ResourceTag for each of the key's tags.
// Existence comes before authorization, as a key's own policy has to be asked.
func (c *call) withKey(name string, keys map[string]string, f func(*kmsKey) (any, *apiError)) (any, *apiError) {
	id := name
	if rest, ok := strings.CutPrefix(name, "arn:aws:kms:"+c.region+":"+iam.Account+":"); ok {
		id = strings.TrimPrefix(rest, "key/")
	}
	all := map[string]string{}
	maps.Copy(all, keys)
	c.server.mu.Lock()
	if strings.HasPrefix(id, "alias/") {
		all["kms:requestalias"] = id
		id = c.server.aliases[id]
	}
	k := c.server.keys[id]
	var own *iam.Policy
	if k != nil {
		own = k.policy.at(c.now)
		for name, value := range k.tags {
			all["aws:resourcetag/"+strings.ToLower(name)] = value
		}
	}
	c.server.mu.Unlock()
	if k == nil {
		return nil, &apiError{400, "NotFoundException", fmt.Sprintf("Key %q does not exist in the account %s and the region %s", name, iam.Account, c.region)}
	}
	if err := c.authorizeOwned(own, k.arn(c.region), all); err != nil {
		return nil, err
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	return f(k)
}

// usable refuses a key that is disabled.
//
// The lock is held. A key is disabled for everything but the operations about
// the key itself.
func (k *kmsKey) usable(c *call) *apiError {
	if !k.enabled.at(c.now) {
		return &apiError{400, "DisabledException", k.arn(c.region) + " is disabled."}
	}
	return nil
}

// kmsTag is a tag in the form that KMS has, unlike IAM.
type kmsTag struct{ TagKey, TagValue string }

// createKey makes a key pair, outside the lock as it may take a second. Without
// a policy the key belongs to the account, whose identity policies then decide,
// as the console's default does.
//
// It needs kms:CreateKey on "*", and kms:TagResource for tags. The quota is
// looked at last, under the lock under which the key is added.
func createKey(c *call, in *struct {
	KeySpec, KeyUsage, Description, Policy string
	Tags                                   []kmsTag
},
) (any, *apiError) {
	spec, ok := keySpecs[in.KeySpec]
	if !ok || in.KeyUsage != "SIGN_VERIFY" {
		return nil, invalid("KeySpec is %q and KeyUsage %q; ststest has %s, each for SIGN_VERIFY", in.KeySpec, in.KeyUsage, strings.Join(slices.Sorted(maps.Keys(keySpecs)), ", "))
	}
	k := &kmsKey{spec: in.KeySpec, description: in.Description, created: c.now, tags: map[string]string{}}
	for _, t := range in.Tags {
		k.tags[t.TagKey] = t.TagValue
	}
	if err := c.authorize("*", requestTags(k.tags)); err != nil {
		return nil, err
	}
	if err := c.authorizeTags("kms:TagResource", "*", k.tags); err != nil {
		return nil, err
	}
	if in.Policy == "" {
		in.Policy = `{"Version":"2012-10-17","Statement":[{"Sid":"Enable IAM User Permissions","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + iam.Account + `:root"},"Action":"kms:*","Resource":"*"}]}`
	}
	policy, apiErr := parseKeyPolicy(in.Policy)
	if apiErr != nil {
		return nil, apiErr
	}
	signer, err := spec.make() // a 4096-bit key takes a second or more
	if err != nil {
		return nil, &apiError{500, "KMSInternalException", err.Error()}
	}
	k.signer, k.policyText = signer, in.Policy
	k.policy.set(policy, c.now, 0)
	k.enabled.set(true, c.now, 0)
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	if len(c.server.keys) >= maxKeys {
		return nil, &apiError{400, "LimitExceededException", fmt.Sprintf("the account has %d keys", maxKeys)}
	}
	if err := c.server.checkPrincipals(policy); err != nil {
		return nil, err
	}
	k.id = fmt.Sprintf("%08x-0000-4000-8000-%012x", len(c.server.keys)+1, c.server.serial.Add(1))
	c.server.keys[k.id] = k
	return map[string]any{"KeyMetadata": k.metadata(c)}, nil
}

// parseKeyPolicy reads a key policy, with the service's limit of length.
//
// The code of the error gets its suffix in writeJSON.
func parseKeyPolicy(text string) (*iam.Policy, *apiError) {
	p, err := iam.Parse(iam.Resource, text, maxKeyPolicy)
	if err != nil {
		return nil, &apiError{400, "MalformedPolicyDocument", err.Error()}
	}
	return p, nil
}

// metadata is the KeyMetadata of the answers. It shows the newest state, also
// while the one before is still in force.
func (k *kmsKey) metadata(c *call) map[string]any {
	state := "Enabled"
	if !k.enabled.newest() {
		state = "Disabled"
	}
	return map[string]any{
		"AWSAccountId": iam.Account, "KeyId": k.id, "Arn": k.arn(c.region), "CreationDate": k.created.Unix(),
		"Enabled": k.enabled.newest(), "KeyState": state, "Description": k.description,
		"KeyUsage": "SIGN_VERIFY", "KeySpec": k.spec, "CustomerMasterKeySpec": k.spec, "SigningAlgorithms": keySpecs[k.spec].algs,
		"KeyManager": "CUSTOMER", "Origin": "AWS_KMS", "MultiRegion": false,
	}
}

// describeKey shows what is newest of the key: state, spec, algorithms.
func describeKey(c *call, in *struct {
	KeyID string `json:"KeyId"`
},
) (any, *apiError) {
	return c.withKey(in.KeyID, nil, func(k *kmsKey) (any, *apiError) {
		return map[string]any{"KeyMetadata": k.metadata(c)}, nil
	})
}

// listKeys returns all keys at once.
//
// They are sorted by id, which is the order in which they were made. Truncated
// is always false.
func listKeys(c *call, _ *struct{}) (any, *apiError) {
	if err := c.authorize("*", nil); err != nil {
		return nil, err
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	list := []map[string]string{}
	for _, id := range slices.Sorted(maps.Keys(c.server.keys)) {
		list = append(list, map[string]string{"KeyId": id, "KeyArn": c.server.keys[id].arn(c.region)})
	}
	return map[string]any{"Keys": list, "Truncated": false}, nil
}

// getPublicKey returns the public half in SubjectPublicKeyInfo (RFC 5280), for
// who verifies without KMS.
//
// In JSON it is base64. A disabled key does not show it, as with KMS.
func getPublicKey(c *call, in *struct {
	KeyID string `json:"KeyId"`
},
) (any, *apiError) {
	return c.withKey(in.KeyID, nil, func(k *kmsKey) (any, *apiError) {
		if err := k.usable(c); err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKIXPublicKey(k.signer.Public())
		if err != nil {
			return nil, &apiError{500, "KMSInternalException", err.Error()}
		}
		return map[string]any{
			"KeyId": k.arn(c.region), "PublicKey": der, "KeySpec": k.spec, "CustomerMasterKeySpec": k.spec,
			"KeyUsage": "SIGN_VERIFY", "SigningAlgorithms": keySpecs[k.spec].algs,
		}, nil
	})
}

// enableKey is in force after the server's PolicyDelay, as is disableKey.
func enableKey(c *call, in *struct {
	KeyID string `json:"KeyId"`
},
) (any, *apiError) {
	return c.withKey(in.KeyID, nil, func(k *kmsKey) (any, *apiError) {
		k.enabled.set(true, c.now, c.server.delay)
		return nil, nil
	})
}

// disableKey makes Sign, Verify and GetPublicKey answer DisabledException.
func disableKey(c *call, in *struct {
	KeyID string `json:"KeyId"`
},
) (any, *apiError) {
	return c.withKey(in.KeyID, nil, func(k *kmsKey) (any, *apiError) {
		k.enabled.set(false, c.now, c.server.delay)
		return nil, nil
	})
}

// getKeyPolicy shows the newest policy, as it was given. There is one, whose
// name is default, whatever PolicyName says.
func getKeyPolicy(c *call, in *struct {
	KeyID      string `json:"KeyId"`
	PolicyName string
},
) (any, *apiError) {
	return c.withKey(in.KeyID, nil, func(k *kmsKey) (any, *apiError) {
		return map[string]string{"Policy": k.policyText, "PolicyName": "default"}, nil
	})
}

// putKeyPolicy replaces the policy. One that names a role or user who is not
// there is refused: its Deny would never apply.
//
// BypassPolicyLockoutSafetyCheck is taken and without effect: a policy that
// locks everybody out is accepted, for a drill may want just that.
func putKeyPolicy(c *call, in *struct {
	KeyID                          string `json:"KeyId"`
	PolicyName                     string
	Policy                         string
	BypassPolicyLockoutSafetyCheck bool
},
) (any, *apiError) {
	policy, err := parseKeyPolicy(in.Policy)
	if err != nil {
		return nil, err
	}
	return c.withKey(in.KeyID, nil, func(k *kmsKey) (any, *apiError) {
		if err := c.server.checkPrincipals(policy); err != nil {
			return nil, err
		}
		k.policyText = in.Policy
		k.policy.set(policy, c.now, c.server.delay)
		return nil, nil
	})
}

// aliasInput is what CreateAlias and UpdateAlias have in common.
type aliasInput struct {
	AliasName   string
	TargetKeyID string `json:"TargetKeyId"`
}

var aliasName = regexp.MustCompile(`^alias/[a-zA-Z0-9/_-]{1,250}$`)

// createAlias wants an alias that is not there yet.
func createAlias(c *call, in *aliasInput) (any, *apiError) { return c.setAlias(in, false) }

// updateAlias points one that is there to another key.
func updateAlias(c *call, in *aliasInput) (any, *apiError) { return c.setAlias(in, true) }

// setAlias is CreateAlias and UpdateAlias: exists says whether the alias must
// be there.
//
// The permission is asked on the key; AWS asks it on the alias as well. Names
// that begin with alias/aws/ are reserved.
func (c *call) setAlias(in *aliasInput, exists bool) (any, *apiError) {
	if !aliasName.MatchString(in.AliasName) || strings.HasPrefix(in.AliasName, "alias/aws/") {
		return nil, invalid("AliasName is %q; want alias/NAME, and not alias/aws/", in.AliasName)
	}
	return c.withKey(in.TargetKeyID, nil, func(k *kmsKey) (any, *apiError) {
		if _, has := c.server.aliases[in.AliasName]; has != exists {
			if has {
				return nil, &apiError{400, "AlreadyExistsException", "An alias with the name " + in.AliasName + " already exists"}
			}
			return nil, &apiError{400, "NotFoundException", "Alias " + in.AliasName + " is not found."}
		}
		c.server.aliases[in.AliasName] = k.id
		return nil, nil
	})
}

// deleteAlias takes the name away and leaves the key. The permission is that on
// the key.
func deleteAlias(c *call, in *struct{ AliasName string }) (any, *apiError) {
	if !aliasName.MatchString(in.AliasName) { // a key's id finds the key as well
		return nil, invalid("AliasName is %q; want alias/NAME", in.AliasName)
	}
	return c.withKey(in.AliasName, nil, func(*kmsKey) (any, *apiError) {
		delete(c.server.aliases, in.AliasName)
		return nil, nil
	})
}
