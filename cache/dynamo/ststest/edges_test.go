package ststest_test

import (
	"context"
	"crypto"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/cache/dynamo/ststest"
)

// Each kind of key signs with each of its algorithms, a message and its digest
// alike; the signature is good for that message and that algorithm only. The
// larger RSA keys are left out, which take a second to make.
func TestKMS_signs_with_every_algorithm(t *testing.T) {
	s := ststest.New(ststest.Options{})
	c := kms.NewFromConfig(root(s))
	rsaAlgs := []string{"RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PKCS1_V1_5_SHA_384", "RSASSA_PKCS1_V1_5_SHA_512", "RSASSA_PSS_SHA_256", "RSASSA_PSS_SHA_384", "RSASSA_PSS_SHA_512"}
	hashes := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}
	for spec, algs := range map[kmstypes.KeySpec][]string{
		"RSA_2048": rsaAlgs, "ECC_NIST_P256": {"ECDSA_SHA_256"}, "ECC_NIST_P384": {"ECDSA_SHA_384"}, "ECC_NIST_P521": {"ECDSA_SHA_512"},
	} {
		made, err := c.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: spec, KeyUsage: kmstypes.KeyUsageTypeSignVerify})
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(made.KeyMetadata.SigningAlgorithms); got != fmt.Sprint(algs) {
			t.Errorf("%s: %s; want %v", spec, got, algs)
		}
		for i, alg := range algs {
			h := hashes[alg[len(alg)-3:]].New()
			h.Write([]byte("hello"))
			digest := h.Sum(nil)
			raw := &kms.SignInput{KeyId: made.KeyMetadata.KeyId, Message: []byte("hello"), SigningAlgorithm: kmstypes.SigningAlgorithmSpec(alg)}
			for _, in := range []*kms.SignInput{raw, {KeyId: raw.KeyId, Message: digest, MessageType: kmstypes.MessageTypeDigest, SigningAlgorithm: raw.SigningAlgorithm}} {
				out, err := c.Sign(t.Context(), in)
				if err != nil {
					t.Fatalf("%s, %s: %v", spec, alg, err)
				}
				verify := func(change func(*kms.VerifyInput)) error {
					v := &kms.VerifyInput{KeyId: raw.KeyId, Message: raw.Message, Signature: out.Signature, SigningAlgorithm: raw.SigningAlgorithm}
					change(v)
					_, err := c.Verify(t.Context(), v)
					return err
				}
				const wrong = "KMSInvalidSignatureException"
				want(t, alg+": the message", verify(func(*kms.VerifyInput) {}), "")
				want(t, alg+": its digest", verify(func(v *kms.VerifyInput) { v.Message, v.MessageType = digest, kmstypes.MessageTypeDigest }), "")
				want(t, alg+": another message", verify(func(v *kms.VerifyInput) { v.Message = []byte("hello!") }), wrong)
				want(t, alg+": a changed signature", verify(func(v *kms.VerifyInput) {
					v.Signature = append([]byte(nil), v.Signature...)
					v.Signature[len(v.Signature)-1] ^= 1
				}), wrong)
				if len(algs) > 1 {
					other := kmstypes.SigningAlgorithmSpec(algs[(i+1)%len(algs)])
					want(t, alg+": read as "+string(other), verify(func(v *kms.VerifyInput) { v.SigningAlgorithm = other }), wrong)
				}
			}
		}
	}
}

// A key's policy may ask for the algorithm, the kind of message, the alias and
// the key's tags.
func TestKMS_policies_ask_how_a_key_is_used(t *testing.T) {
	s := ststest.New(ststest.Options{})
	c := kms.NewFromConfig(root(s))
	made, err := c.CreateKey(t.Context(), &kms.CreateKeyInput{
		KeySpec: kmstypes.KeySpecEccNistP256, KeyUsage: kmstypes.KeyUsageTypeSignVerify,
		Tags: []kmstypes.Tag{{TagKey: aws.String("Team"), TagValue: aws.String("pay")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	id, alias := made.KeyMetadata.KeyId, aws.String("alias/one")
	if _, err := c.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: alias, TargetKeyId: id}); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		condition string
		key       *string
		kind      kmstypes.MessageType
		code      string
	}{
		{`"kms:SigningAlgorithm":"ECDSA_SHA_256"`, id, "", ""},
		{`"kms:SigningAlgorithm":"ECDSA_SHA_384"`, id, "", "AccessDeniedException"},
		{`"kms:MessageType":"RAW"`, id, "", ""},
		{`"kms:MessageType":"RAW"`, id, "RAW", ""},
		{`"kms:MessageType":"RAW"`, id, "DIGEST", "AccessDeniedException"},
		{`"kms:RequestAlias":"alias/one"`, alias, "", ""},
		{`"kms:RequestAlias":"alias/one"`, id, "", "AccessDeniedException"},
		{`"aws:ResourceTag/team":"pay"`, id, "", ""},
		{`"aws:ResourceTag/team":"shop"`, id, "", "AccessDeniedException"},
	} {
		policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","NotAction":"kms:Sign","Resource":"*"},
			{"Effect":"Allow","Principal":"*","Action":"kms:Sign","Resource":"*","Condition":{"StringEquals":{` + row.condition + `}}}]}`
		if _, err := c.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: id, Policy: &policy}); err != nil {
			t.Fatal(err)
		}
		_, err := c.Sign(t.Context(), &kms.SignInput{KeyId: row.key, Message: make([]byte, 32), MessageType: row.kind, SigningAlgorithm: kmstypes.SigningAlgorithmSpecEcdsaSha256})
		want(t, row.condition+" of "+*row.key+" "+string(row.kind), err, row.code)
	}
}

// A role's tags are those that a policy about roles may ask for.
func TestRoles_policies_ask_for_tags(t *testing.T) {
	s := ststest.New(ststest.Options{})
	addRole(t, s, ststest.Role{Name: "pay", Tags: map[string]string{"Team": "pay"}})
	addRole(t, s, ststest.Role{Name: "shop", Tags: map[string]string{"Team": "shop"}})
	if err := s.SetPrincipal(dynamotest.Principal{AccessKey: "ANN", SecretKey: "s", Policies: []string{
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:GetRole","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"pay"}}}}`,
	}}); err != nil {
		t.Fatal(err)
	}
	c := iam.NewFromConfig(config(s, "ANN", "s", ""))
	for role, code := range map[string]string{"pay": "", "shop": "AccessDenied", "none": "AccessDenied"} {
		_, err := c.GetRole(t.Context(), &iam.GetRoleInput{RoleName: &role})
		want(t, role, err, code)
	}
	if denied := s.Stats().Denied; denied != 2 {
		t.Errorf("%d denied; want 2", denied)
	}
}

// A fault is late, an error of the service's, or both; its status decides whose
// fault it is, in each of the protocols.
func TestServer_faults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			name   string
			fault  ststest.Fault
			ask    step
			status int
			body   string
			after  time.Duration
		}{
			{"late", ststest.Fault{Delay: time.Minute}, ask("kms:ListKeys", "{}"), 200, `{"Keys":[],"Truncated":false}`, time.Minute},
			{"late, and then an error", ststest.Fault{Delay: time.Second, Code: "ThrottlingException", Message: "Rate <exceeded>"}, ask("kms:ListKeys", "{}"), 400, `{"__type":"ThrottlingException","message":"Rate \u003cexceeded\u003e"}`, time.Second},
			{"KMS has 400 for all that is the client's", ststest.Fault{Code: "X", Status: 429}, ask("kms:ListKeys", "{}"), 400, `{"__type":"X","message":""}`, 0},
			{"and the status of what is its own", ststest.Fault{Code: "KMSInternalException", Status: 503}, ask("kms:ListKeys", "{}"), 503, `{"__type":"KMSInternalException","message":""}`, 0},
			{"the client's, in XML", ststest.Fault{Code: "Throttling", Status: 429}, ask("sts:GetCallerIdentity", ""), 429, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>Throttling</Code><Message></Message></Error><RequestId>*</RequestId></ErrorResponse>`, 0},
			{"the service's, in XML", ststest.Fault{Code: "ServiceUnavailable", Message: "<&>", Status: 500}, ask("iam:ListRoles", ""), 500, `<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Receiver</Type><Code>ServiceUnavailable</Code><Message>&lt;&amp;&gt;</Message></Error><RequestId>*</RequestId></ErrorResponse>`, 0},
			{"a document", ststest.Fault{Code: "X", Message: "gone", Status: 503}, step{to: "raw:", method: http.MethodGet, query: ".well-known/jwks.json"}, 503, "gone\n", 0},
		} {
			s := ststest.New(ststest.Options{Fault: func(*ststest.Request) *ststest.Fault { return &c.fault }})
			began := time.Now()
			status, body := c.ask.send(t, s)
			if after := time.Since(began); status != c.status || body != c.body || after != c.after {
				t.Errorf("%s: %d %s after %v\nwant %d %s after %v", c.name, status, body, after, c.status, c.body, c.after)
			}
		}
	})
}

// A client that goes while a fault delays it gets its own error, and the action
// does not happen.
func TestServer_faults_end_with_the_client(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ststest.New(ststest.Options{Fault: func(*ststest.Request) *ststest.Fault { return &ststest.Fault{Delay: time.Hour} }})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := iam.NewFromConfig(root(s)).CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("new"), AssumeRolePolicyDocument: aws.String(texts.Replace("$TRUST"))})
		if err == nil || ctx.Err() == nil {
			t.Errorf("%v after %v", err, ctx.Err())
		}
		s.SetFault(nil)
		_, err = iam.NewFromConfig(root(s)).GetRole(t.Context(), &iam.GetRoleInput{RoleName: aws.String("new")})
		want(t, "the role that was not made", err, "NoSuchEntity")
	})
}

func TestServer_starts_once_and_again(t *testing.T) {
	s := ststest.New(ststest.Options{})
	s.Close() // of nothing
	if s.URL() != "" || s.Issuer() != ststest.MemoryURL {
		t.Errorf("before: URL %q, issuer %q", s.URL(), s.Issuer())
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	addr := strings.TrimPrefix(s.URL(), "http://")
	if err := s.Start(); err == nil || err.Error() != "ststest: the server has been started already" {
		t.Errorf("twice: %v", err)
	}
	other := ststest.New(ststest.Options{Addr: addr})
	if err := other.Start(); err == nil || !strings.HasPrefix(err.Error(), "ststest: listen tcp "+addr) {
		t.Errorf("an address that is taken: %v", err)
	}
	s.Close()
	if s.URL() != "" {
		t.Errorf("after: URL %q", s.URL())
	}
	if err := other.Start(); err != nil {
		t.Errorf("an address that was given back: %v", err)
	}
	other.Close()
}

// Who is gone is gone: users and sessions alike.
func TestServer_DeletePrincipal(t *testing.T) {
	s := ststest.New(ststest.Options{})
	if err := s.SetPrincipal(dynamotest.Principal{AccessKey: "AN/N", SecretKey: "s"}); err == nil || err.Error() != `ststest: access key "AN/N" cannot be part of a signature` {
		t.Errorf("a key that is none: %v", err)
	}
	arn := addRole(t, s, ststest.Role{Name: "app"})
	c := assume(t, root(s), &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("one")})
	if n := s.Stats().Sessions; n != 1 {
		t.Errorf("%d sessions; want 1", n)
	}
	s.DeletePrincipal(*c.AccessKeyId)
	_, err := sts.NewFromConfig(session(s, c)).GetCallerIdentity(t.Context(), nil)
	want(t, "a session that was deleted", err, "InvalidClientTokenId")
	if n := s.Stats().Sessions; n != 0 {
		t.Errorf("%d sessions; want none", n)
	}
	_, err = sts.NewFromConfig(root(s)).GetCallerIdentity(t.Context(), nil)
	want(t, "the development credentials, after a session was deleted", err, "")
	if err := s.SetPrincipal(dynamotest.Principal{AccessKey: "ANN", SecretKey: "s"}); err != nil {
		t.Fatal(err)
	}
	s.DeletePrincipal("ANN")
	_, err = sts.NewFromConfig(config(s, "ANN", "s", "")).GetCallerIdentity(t.Context(), nil)
	want(t, "a user who was deleted", err, "InvalidClientTokenId")
	if _, ok := s.Principal("ANN"); ok {
		t.Error("dynamotest is told of a user who was deleted")
	}
}

// A session that makes a session has an hour at most, whatever the role allows;
// sessions are forgotten twelve hours after their end.
func TestAssumeRole_of_a_session(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ststest.New(ststest.Options{})
		all := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:*","Resource":"*"}}`
		arn := addRole(t, s, ststest.Role{Name: "app", MaxSession: 12 * time.Hour, Policies: map[string]string{"all": all}})
		first := assume(t, root(s), &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("one"), DurationSeconds: aws.Int32(43200)})
		chained := sts.NewFromConfig(session(s, first))
		_, err := chained.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("two"), DurationSeconds: aws.Int32(3601)})
		want(t, "more than an hour", err, "ValidationError")
		_, err = chained.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("two"), DurationSeconds: aws.Int32(3600)})
		want(t, "an hour", err, "")
		for _, c := range []struct {
			wait     time.Duration
			sessions int
		}{{13 * time.Hour, 2}, {time.Second, 1}, {11 * time.Hour, 0}} {
			<-time.After(c.wait)
			if n := s.Stats().Sessions; n != c.sessions {
				t.Errorf("%v later: %d sessions; want %d", c.wait, n, c.sessions)
			}
		}
	})
}

// Explain says why a principal that cannot ask gets nothing.
func TestExplain_of_who_cannot_ask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ststest.New(ststest.Options{})
		arn := addRole(t, s, ststest.Role{Name: "app", Policies: map[string]string{"own": allowTable}})
		c := assume(t, root(s), &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("one"), Policy: aws.String(texts.Replace("$POLICY"))})
		check := func(key, why string) {
			t.Helper()
			if allowed, got := s.Explain(key, "dynamodb:GetItem", "*"); allowed || got != why {
				t.Errorf("%t, %q\nwant %q", allowed, got, why)
			}
		}
		check("nobody", "nobody has the access key nobody")
		check(*c.AccessKeyId, "because no session policy allows the dynamodb:GetItem action")
		<-time.After(time.Hour)
		check(*c.AccessKeyId, "the credentials have expired")
	})
}

// A request that is too large is refused before it is read to its end.
func TestServer_reads_a_mebibyte_and_no_more(t *testing.T) {
	s := ststest.New(ststest.Options{})
	for size, status := range map[int]int{1 << 20: http.StatusBadRequest, 1<<20 + 1: http.StatusRequestEntityTooLarge} {
		got, body := ask("kms:Sign", strings.Repeat("x", size)).send(t, s)
		if got != status {
			t.Errorf("%d bytes: %d %s; want %d", size, got, body, status)
		}
	}
}
