package ststest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/cache/dynamo/ststest"
)

// FuzzServer sends what is signed correctly and may be anything else: no input
// may panic, and each gets an answer that names an error or a result.
func FuzzServer(f *testing.F) {
	for _, seed := range []struct{ service, target, body string }{
		{"sts", "", "Action=GetCallerIdentity&Version=2011-06-15"},
		{"sts", "", "Action=AssumeRole&Version=2011-06-15&RoleArn=arn:aws:iam::123456789012:role/app&RoleSessionName=ab&Tags.member.1.Key=k"},
		{"sts", "", "Action=GetWebIdentityToken&Version=2011-06-15&Audience.member.1=x&SigningAlgorithm=ES384&DurationSeconds=-1"},
		{"iam", "", "Action=PutRolePolicy&Version=2010-05-08&RoleName=app&PolicyName=p&PolicyDocument=%7B%7D"},
		{"iam", "", "Action=ListRoles&Version=2010-05-08&PathPrefix=%2F"},
		{"kms", "TrentService.Sign", `{"KeyId":"alias/x","Message":"aGk=","SigningAlgorithm":""}`},
		{"kms", "TrentService.CreateKey", `{"KeySpec":"ECC_NIST_P256","KeyUsage":"SIGN_VERIFY","Policy":"{}"}`},
		{"kms", "TrentService.PutKeyPolicy", `{"KeyId":"x"`},
	} {
		f.Add(seed.service, seed.target, seed.body)
	}
	s := ststest.New(ststest.Options{})
	if _, err := s.AddRole(ststest.Role{Name: "app"}); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, service, target, body string) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, ststest.MemoryURL+"/", bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if target != "" {
			req.Header.Set("X-Amz-Target", target)
		}
		sum := sha256.Sum256([]byte(body))
		creds := aws.Credentials{AccessKeyID: dynamotest.AccessKey, SecretAccessKey: dynamotest.SecretKey}
		if err := v4.NewSigner().SignHTTP(ctx, creds, req, hex.EncodeToString(sum[:]), service, "us-east-1", time.Now()); err != nil {
			return
		}
		resp, err := s.HTTPClient().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if err != nil || len(text) == 0 {
			t.Errorf("status %d, %q, %v", resp.StatusCode, text, err)
		}
	})
}
