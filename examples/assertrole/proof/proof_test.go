package proof_test

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/failopen/failopen/examples/assertrole/proof"
)

var creds = aws.Credentials{AccessKeyID: "ASIA0123456789ABCDEF", SecretAccessKey: "secret", SessionToken: strings.Repeat("t", 40)}

// A version of the SDK that signs other headers must be noticed here, and not by
// clients whose proofs are refused.
func TestSign(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	p, err := proof.Sign(t.Context(), creds, "eu-central-1", "https://broker.example", now)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check([]string{"eu-central-1"}, now, time.Minute); err != nil {
		t.Error(err)
	}
	r, err := p.Request(t.Context(), "http://127.0.0.1:1", "https://broker.example")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || string(body) != "Action=GetCallerIdentity&Version=2011-06-15" {
		t.Errorf("%q, %v", body, err)
	}
	if r.Method != "POST" || r.Host != "sts.eu-central-1.amazonaws.com" || r.URL.String() != "http://127.0.0.1:1/" || len(r.Header) != 5 {
		t.Errorf("%s %s %s %v", r.Method, r.Host, r.URL, r.Header)
	}
	for _, shown := range []string{fmt.Sprint(p), fmt.Sprintf("%+v %#v %s", p, p, p), logged(p)} {
		if strings.Contains(shown, p.Signature) || strings.Contains(shown, p.SessionToken) {
			t.Errorf("shown: %s", shown)
		}
	}
	if _, err := proof.Sign(t.Context(), aws.Credentials{AccessKeyID: "AKIA", SecretAccessKey: "s"}, "r", "a", now); err == nil {
		t.Error("a user's key has no role, and makes a proof")
	}
}

func logged(p proof.Proof) string {
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "proof", p)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "proof", p)
	return b.String()
}

func TestCheck_date(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for age, ok := range map[time.Duration]bool{0: true, time.Minute: true, 61 * time.Second: false, -30 * time.Second: true, -31 * time.Second: false} {
		p, err := proof.Sign(t.Context(), creds, "eu-central-1", "b", now.Add(-age))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Check([]string{"eu-central-1"}, now, time.Minute); (err == nil) != ok {
			t.Errorf("%v old: %v", age, err)
		}
	}
}
