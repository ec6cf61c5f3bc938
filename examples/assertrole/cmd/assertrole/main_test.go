package main

import (
	"bytes"
	"context"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/cache/dynamo/ststest"
)

// start runs a server command and returns its URL.
func start(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, args, io.Discard, w)
		_ = w.Close()
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-done; code != 0 {
			t.Errorf("%s: exit code %d", args[0], code)
		}
	})
	text := make([]byte, 1000)
	n, err := r.Read(text)
	url := regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+`).Find(text[:n])
	if err != nil || url == nil {
		t.Fatalf("%s: %s, %v", args[0], text[:n], err)
	}
	go func() { _, _ = io.Copy(io.Discard, r) }() // until w is closed
	return string(url)
}

// The three programs together, by both doors, with flags and the environment
// only.
func TestCommands(t *testing.T) {
	server := ststest.New(ststest.Options{})
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	role, err := server.AddRole(ststest.Role{Name: "orders", Policies: map[string]string{
		"t": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["sts:*","kms:*"],"Resource":"*"}}`,
	}})
	if err != nil {
		t.Fatal(err)
	}
	admin := aws.Config{Region: "eu-central-1", BaseEndpoint: aws.String(server.URL()), Credentials: credentials.NewStaticCredentialsProvider(dynamotest.AccessKey, dynamotest.SecretKey, "")}
	key, err := kms.NewFromConfig(admin).CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: types.KeySpecRsa2048, KeyUsage: types.KeyUsageTypeSignVerify})
	if err != nil {
		t.Fatal(err)
	}
	session, err := sts.NewFromConfig(admin).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("i-1")})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", *session.Credentials.AccessKeyId)
	t.Setenv("AWS_SECRET_ACCESS_KEY", *session.Credentials.SecretAccessKey)
	t.Setenv("AWS_SESSION_TOKEN", *session.Credentials.SessionToken)
	broker := start(t, "broker", "-listen", "127.0.0.1:0", "-issuer", "https://broker.example", "-audience", "shop", "-role", role,
		"-region", "eu-central-1", "-key", *key.KeyMetadata.KeyId, "-endpoint", server.URL())
	resource := start(t, "resource", "-listen", "127.0.0.1:0", "-audience", "shop", "-dir", t.TempDir(),
		"-trust", server.URL()+",JWT,"+ststest.Account, "-trust", "https://broker.example,role+jwt,"+ststest.Account+","+broker+"/.well-known/jwks.json")
	for _, door := range [][]string{{"-door", "aws", "-endpoint", server.URL()}, {"-door", "broker", "-broker", broker, "-broker-name", "https://broker.example"}} {
		var out, errs bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		code := run(ctx, append([]string{"client", "-region", "eu-central-1", "-audience", "shop", "-get", resource + "/"}, door...), &out, &errs)
		cancel()
		if code != 0 || !strings.Contains(out.String(), "200 OK") || !strings.Contains(out.String(), "hello, "+role) {
			t.Errorf("%v: exit code %d, %s%s", door, code, &out, &errs)
		}
	}
	var out bytes.Buffer
	if code := run(t.Context(), []string{"client", "-region", "eu-central-1", "-audience", "bank", "-get", resource, "-door", "broker", "-broker", broker, "-broker-name", "https://broker.example"}, &out, &out); code != 1 || !strings.Contains(out.String(), "audience") {
		t.Errorf("another audience: exit code %d, %s", code, &out)
	}
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]struct {
		code int
		text string
	}{
		"":                            {2, "Usage: assertrole"},
		"--help":                      {0, "Usage: assertrole"},
		"bogus":                       {2, "Usage: assertrole"},
		"broker -h":                   {0, "-issuer"},
		"broker -bogus":               {2, "flag provided but not defined"},
		"broker x":                    {2, "flags only"},
		"broker":                      {1, "-region is missing"},
		"broker -region eu-central-1": {1, "must be set"},
		"resource -trust x":           {1, "want URL,TYPE,ACCOUNT"},
		"resource -audience a":        {1, "Issuers is empty"},
		"client":                      {1, "must be set"},
		"client -audience a -get http://127.0.0.1:1 -region r -door x":                     {1, "want aws or broker"},
		"resource -audience a -listen 0.0.0.0:1 -trust https://a.example,JWT,111122223333": {1, "say -public"},
	} {
		var out bytes.Buffer
		if code := run(t.Context(), strings.Fields(args), &out, &out); code != want.code || !strings.Contains(out.String(), want.text) {
			t.Errorf("%q: %d, %s; want %d and %q", args, code, &out, want.code, want.text)
		}
	}
}
