// Package crosscheck reads our tokens and keys with software that was not
// written here. It is a module of its own, so that nobody inherits that.
package crosscheck_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/cache/dynamo/ststest"
	"github.com/failopen/failopen/examples/assertrole/broker"
	"github.com/failopen/failopen/examples/assertrole/proof"
)

const audience = "https://shop.example"

// check verifies a token with go-jose and the keys as they are published.
func check(t *testing.T, token string, set []byte, subject, issuer string) {
	t.Helper()
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(set, &keys); err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES384})
	if err != nil {
		t.Fatal(err)
	}
	found := keys.Key(parsed.Headers[0].KeyID)
	if len(found) != 1 || !found[0].Valid() {
		t.Fatalf("%d keys %q", len(found), parsed.Headers[0].KeyID)
	}
	var claims jwt.Claims
	if err := parsed.Claims(found[0].Key, &claims); err != nil {
		t.Fatal(err)
	}
	if err := claims.Validate(jwt.Expected{Issuer: issuer, Subject: subject, AnyAudience: jwt.Audience{audience}, Time: time.Now()}); err != nil {
		t.Error(err)
	}
}

func get(t *testing.T, h http.Handler, path string) []byte {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%s: status %d", path, w.Code)
	}
	return w.Body.Bytes()
}

func TestGoJose(t *testing.T) {
	server := ststest.New(ststest.Options{})
	config := func(p aws.CredentialsProvider) aws.Config {
		return aws.Config{Region: "eu-central-1", BaseEndpoint: aws.String(ststest.MemoryURL), HTTPClient: server.HTTPClient(), Credentials: p}
	}
	admin := config(credentials.NewStaticCredentialsProvider(dynamotest.AccessKey, dynamotest.SecretKey, ""))
	role, err := server.AddRole(ststest.Role{Name: "orders", Policies: map[string]string{
		"t": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:GetWebIdentityToken","Resource":"*"}}`,
	}})
	if err != nil {
		t.Fatal(err)
	}
	session, err := sts.NewFromConfig(admin).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("i-1")})
	if err != nil {
		t.Fatal(err)
	}
	c := session.Credentials
	creds := credentials.NewStaticCredentialsProvider(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)

	for _, alg := range []string{"RS256", "ES384"} {
		out, err := sts.NewFromConfig(config(creds)).GetWebIdentityToken(t.Context(), &sts.GetWebIdentityTokenInput{Audience: []string{audience}, SigningAlgorithm: &alg})
		if err != nil {
			t.Fatal(err)
		}
		check(t, *out.WebIdentityToken, get(t, server, "/.well-known/jwks.json"), role, server.Issuer())
	}

	keys := kms.NewFromConfig(admin)
	key, err := keys.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: types.KeySpecRsa2048, KeyUsage: types.KeyUsageTypeSignVerify})
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.New(t.Context(), broker.Options{
		Issuer: "https://broker.example", Audiences: []string{audience}, Roles: []broker.Role{{ARN: role}}, Regions: []string{"eu-central-1"},
		KMS: keys, Keys: []string{*key.KeyMetadata.KeyId}, STS: ststest.MemoryURL, Client: server.HTTPClient(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close(context.Background()) }()
	got, err := creds.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, err := proof.Sign(t.Context(), got, "eu-central-1", "https://broker.example", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := b.Assert(t.Context(), p, audience)
	if err != nil {
		t.Fatal(err)
	}
	check(t, token, get(t, b.Handler(), "/.well-known/jwks.json"), role, "https://broker.example")
}
