package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func TestRun_serves(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan int)
	go func() { done <- run(ctx, []string{"-addr", "127.0.0.1:0"}, w, io.Discard) }()
	text := make([]byte, 1000)
	n, err := r.Read(text)
	url := regexp.MustCompile(`export AWS_ENDPOINT_URL_DYNAMODB=(http://127\.0\.0\.1:[1-9][0-9]*)\n`).FindSubmatch(text[:n])
	if err != nil || url == nil {
		t.Fatalf("%s, %v", text[:n], err)
	}
	resp, err := http.Get(string(url[1]))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
	stop()
	if code := <-done; code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestRun_usage(t *testing.T) {
	for args, want := range map[string]struct {
		code int
		text string
	}{
		"-print -addr 127.0.0.1:9":    {0, "export AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:9\n"},
		"-print -sts 127.0.0.1:8":     {0, "export AWS_ENDPOINT_URL_KMS=http://127.0.0.1:8\n"},
		"-sts 0.0.0.0:1":              {2, "-sts is"},
		"-addr 0.0.0.0:8000":          {2, "or say -public"},
		"-addr 8000":                  {2, `-addr is "8000"`},
		"x":                           {2, "want an address"},
		"-bogus":                      {2, "flag provided but not defined"},
		"-h":                          {0, "Usage: dynamotest"},
		"-public -addr 203.0.113.1:1": {1, "203.0.113.1"},
	} {
		var out bytes.Buffer
		if code := run(t.Context(), strings.Fields(args), &out, &out); code != want.code || !strings.Contains(out.String(), want.text) {
			t.Errorf("%s: %d, %s; want %d and %q", args, code, &out, want.code, want.text)
		}
	}
}
