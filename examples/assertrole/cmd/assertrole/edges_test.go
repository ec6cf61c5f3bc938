package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
)

// without takes the variables away that programs on AWS find credentials by.
func without(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
	} {
		t.Setenv(name, "")
	}
}

// Credentials come from where programs on AWS find them, in the SDK's order.
func TestProvider(t *testing.T) {
	without(t)
	if _, ok := provider().(*ec2rolecreds.Provider); !ok {
		t.Errorf("without any variable: %T, want the instance's", provider())
	}
	asked := ""
	container := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Path + " " + r.Header.Get("Authorization")
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"AccessKeyId":"C","SecretAccessKey":"S","Token":"T","Expiration":"2100-01-01T00:00:00Z"}`))
	}))
	defer container.Close()
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.URL+"/creds")
	t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "from the environment")
	if c, err := provider().Retrieve(t.Context()); err != nil || c.AccessKeyID != "C" || c.SecretAccessKey != "S" || c.SessionToken != "T" || asked != "/creds from the environment" {
		t.Errorf("a container: %+v, %v; asked %q", c, err, asked)
	}
	// The token in a file is renewed, so it is read each time, without its line's end.
	file := filepath.Join(t.TempDir(), "token")
	t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file)
	p := provider()
	if _, err := p.Retrieve(t.Context()); err == nil || !strings.HasSuffix(err.Error(), file+": no such file or directory") {
		t.Errorf("no file: %v", err)
	}
	for _, token := range []string{"first", "second"} {
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Retrieve(t.Context()); err != nil || asked != "/creds "+token {
			t.Errorf("%v; asked %q, want %q", err, asked, token)
		}
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "E")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "S")
	t.Setenv("AWS_SESSION_TOKEN", "T")
	if c, err := provider().Retrieve(t.Context()); err != nil || c.AccessKeyID != "E" || c.SecretAccessKey != "S" || c.SessionToken != "T" {
		t.Errorf("the environment: %+v, %v", c, err)
	}
	cfg := awsConfig("eu-central-1", "http://127.0.0.1:1")
	if cfg.Region != "eu-central-1" || *cfg.BaseEndpoint != "http://127.0.0.1:1" || awsConfig("x", "").BaseEndpoint != nil {
		t.Errorf("%+v", cfg)
	}
}

// What is wrong, to the letter; nothing is started, and nobody is asked.
func TestRun_says_what_is_wrong(t *testing.T) {
	without(t)
	const client = "client -audience shop -region eu-central-1 -get http://127.0.0.1:1/ "
	for args, want := range map[string]struct {
		code int
		text string
	}{
		"broker x y": {2, "assertrole broker: what is \"x\"? It takes flags only.\n"},
		"client -get http://127.0.0.1:1/ -region x":                                    {1, "assertrole client: -audience, -region and -get must be set\n"},
		"client -audience a -region x":                                                 {1, "assertrole client: -audience, -region and -get must be set\n"},
		"client -audience a -get http://127.0.0.1/":                                    {1, "assertrole client: -audience, -region and -get must be set\n"},
		client + "-door broker":                                                        {1, "assertrole client: -broker is missing\n"},
		client + "-door back":                                                          {1, "assertrole client: -door is \"back\"; want aws or broker\n"},
		"resource -audience a -trust a,b":                                              {1, "assertrole resource: -trust is \"a,b\"; want URL,TYPE,ACCOUNT or URL,TYPE,ACCOUNT,KEYSURL\n"},
		"resource -audience a -trust a,b,c,d,e":                                        {1, "assertrole resource: -trust is \"a,b,c,d,e\"; want URL,TYPE,ACCOUNT or URL,TYPE,ACCOUNT,KEYSURL\n"},
		"resource -audience a -trust https://a.example,JWT,1":                          {1, "assertrole resource: verify: issuer \"https://a.example\": account \"1\"; want twelve digits\n"},
		"resource -audience a -dir /nowhere -trust https://a.example,JWT,111122223333": {1, "assertrole resource: verify: Dir \"/nowhere\" is not a directory\n"},
		"resource -audience a -life 25h -trust https://a.example,JWT,111122223333":     {1, "assertrole resource: verify: issuer \"https://a.example\": MaxLife is 25h0m0s; want at most a day\n"},
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), strings.Fields(args), &out, &errs); code != want.code || out.Len() > 0 || errs.String() != want.text {
			t.Errorf("assertrole %s: exit code %d, %q\n%s\nwant %d\n%s", args, code, out.String(), errs.String(), want.code, want.text)
		}
	}
	// Flags that cannot be read are shown with those that there are.
	for _, args := range []string{"resource -bogus", "client -timeout x", "broker -life"} {
		var out, errs bytes.Buffer
		name, _, _ := strings.Cut(args, " ")
		if code := run(t.Context(), strings.Fields(args), &out, &errs); code != 2 || !strings.Contains(errs.String(), "Usage of assertrole "+name+":\n") {
			t.Errorf("assertrole %s: exit code %d\n%s", args, code, errs.String())
		}
	}
}

// A resource that refuses is an error, after what it has said; a client that is not
// answered gives up in time.
func TestClient_of_resources(t *testing.T) {
	without(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "k")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
	t.Setenv("AWS_SESSION_TOKEN", "t")
	token := ""
	broker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer broker.Close()
	resource := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { token = r.Header.Get("Authorization") }))
	defer resource.Close()
	var out, errs bytes.Buffer
	args := []string{"client", "-audience", "shop", "-region", "eu-central-1", "-get", resource.URL, "-door", "broker", "-broker", broker.URL}
	if code := run(t.Context(), args, &out, &errs); code != 1 || out.Len() > 0 || !strings.HasPrefix(errs.String(), "assertrole client: ") || !strings.Contains(errs.String(), "429") || token != "" {
		t.Errorf("exit code %d, %q, %q; the resource was asked with %q", code, out.String(), errs.String(), token)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	errs.Reset()
	if code := run(ctx, args, &out, &errs); code != 1 || !strings.Contains(errs.String(), context.Canceled.Error()) {
		t.Errorf("interrupted: exit code %d, %q", code, errs.String())
	}
	errs.Reset()
	if code := run(t.Context(), append(args, "-timeout", "1ns"), &out, &errs); code != 1 || !strings.Contains(errs.String(), context.DeadlineExceeded.Error()) {
		t.Errorf("out of time: exit code %d, %q", code, errs.String())
	}
}

// A flag that comes several times keeps all of its values, in their order.
func TestList(t *testing.T) {
	var l list
	fs := flags("x", &bytes.Buffer{})
	fs.Var(&l, "role", "")
	if err := parse(fs, []string{"-role", "b", "-role=a", "-role", "b c"}); err != nil || strings.Join(l, "|") != "b|a|b c" || l.String() != "b a b c" {
		t.Errorf("%v, %q", err, l)
	}
	if err := parse(flags("x", &bytes.Buffer{}), []string{"-h"}); !errors.Is(err, flag.ErrHelp) {
		t.Error(err)
	}
}

// A server that could not be started is told at once, and one that was told to end
// ends with nothing to say.
func TestServe(t *testing.T) {
	var errs bytes.Buffer
	if err := serve(t.Context(), nil, os.ErrPermission, &errs); !errors.Is(err, os.ErrPermission) || errs.Len() > 0 {
		t.Errorf("%v, %q", err, errs.String())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	code := run(ctx, strings.Fields("resource -audience a -listen 127.0.0.1:0 -trust https://a.example,JWT,111122223333"), &bytes.Buffer{}, &errs)
	if code != 0 || !strings.HasPrefix(errs.String(), "listening on http://127.0.0.1:") || strings.Count(errs.String(), "\n") != 1 {
		t.Errorf("exit code %d, %q", code, errs.String())
	}
}
