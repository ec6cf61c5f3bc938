package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/failopen/failopen/examples/assertrole/broker"
	"github.com/failopen/failopen/examples/assertrole/verify"
)

// liar is a KMS whose answers are no signatures of the key that was asked for.
type liar struct {
	broker.KMS
	lie atomic.Pointer[func(in *kms.SignInput) *kms.SignOutput]
}

func (l *liar) Sign(ctx context.Context, in *kms.SignInput, opts ...func(*kms.Options)) (*kms.SignOutput, error) {
	if lie := l.lie.Load(); lie != nil {
		if out := (*lie)(in); out == nil || out.Signature == nil || len(out.Signature) > 0 {
			return out, nil
		}
	}
	return l.KMS.Sign(ctx, in, opts...)
}

// Whatever KMS answers, no token leaves the broker whose signature is not that
// of its key.
func TestAssert_signature_is_checked(t *testing.T) {
	for what, out := range map[string]*kms.SignOutput{"nothing": nil, "no signature": {}, "zeros": {Signature: make([]byte, 256)}, "too short": {Signature: []byte{1, 2, 3}}} {
		l := new(liar)
		w := newWorld(t, func(o *broker.Options) { l.KMS = o.KMS; o.KMS = l })
		lie := func(*kms.SignInput) *kms.SignOutput { return out }
		l.lie.Store(&lie)
		token, _, err := w.broker.Assert(t.Context(), w.proof(w.session(w.role, "i-1")), audience)
		if token != "" || !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("%s: %q, %v; want no token", what, token, err)
		}
	}
}

// An alias that leads to another key than the one that was published is passed
// over, as a key that cannot sign.
func TestAssert_key_behind_an_alias_changes(t *testing.T) {
	l := new(liar)
	w := newWorld(t, func(o *broker.Options) { l.KMS = o.KMS; o.KMS = l })
	lie := func(in *kms.SignInput) *kms.SignOutput {
		if *in.KeyId != w.keys[0] {
			return &kms.SignOutput{Signature: []byte{}} // the truth
		}
		other := *in
		other.KeyId = aws.String(w.keys[1])
		out, err := l.KMS.Sign(t.Context(), &other)
		if err != nil {
			t.Error(err)
		}
		return out
	}
	l.lie.Store(&lie)
	token, _, err := w.broker.Assert(t.Context(), w.proof(w.session(w.role, "i-1")), audience)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.verify.Verify(t.Context(), token); err != nil {
		t.Error(err)
	}
}

// When the last key is revoked there are no tokens, and verifiers refuse those
// of before within minutes: the set that says so has no key.
func TestRevoke_last_key(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		creds := w.session(w.role, "i-1")
		token, _, err := w.broker.Assert(t.Context(), w.proof(creds), audience)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.verify.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		var set struct{ Keys []struct{ Kid string } }
		r := httptest.NewRecorder()
		w.broker.Handler().ServeHTTP(r, httptest.NewRequest("GET", "/.well-known/jwks.json", nil))
		if err := json.Unmarshal(r.Body.Bytes(), &set); err != nil {
			t.Fatal(err)
		}
		for _, k := range set.Keys {
			if err := w.broker.Revoke(k.Kid); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := w.broker.Assert(t.Context(), w.proof(creds), audience); !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("%v; want no token", err)
		}
		<-time.After(5*time.Minute + time.Second)  // the set is old now
		_, _ = w.verify.Verify(t.Context(), token) // the fetch may go on behind it
		<-time.After(time.Second)
		if _, err := w.verify.Verify(t.Context(), token); verify.ReasonOf(err) != verify.KeyRevoked {
			t.Errorf("%v; want %s", err, verify.KeyRevoked)
		}
		if err := w.verify.Check(t.Context()); err == nil {
			t.Error("Check finds nothing wrong")
		}
	})
}

// What a stranger sends is one JSON object with each member once, and does not
// get into the audit.
func TestHandler_odd_bodies(t *testing.T) {
	w := newWorld(t, nil)
	p := w.proof(w.session(w.role, "i-1"))
	members := fmt.Sprintf(`"accessKeyId":%q,"sessionToken":%q,"date":%q,"region":%q,"signature":%q`, p.AccessKeyID, p.SessionToken, p.Date, p.Region, p.Signature)
	post := func(body string) int {
		r := httptest.NewRecorder()
		w.broker.Handler().ServeHTTP(r, httptest.NewRequest("POST", "/v1/assert", strings.NewReader(body)))
		return r.Code
	}
	if code := post(`{` + members + `,"audience":"` + audience + `"}`); code != 200 {
		t.Fatalf("%d", code)
	}
	for _, end := range []string{
		`,"Audience":"` + audience + `"}`,
		`,"audience":"x","audience":"` + audience + `"}`,
		`,"audience":"` + audience + `","AUDIENCE":"x"}`,
		`,"audience":["` + audience + `"]}`,
		`,"audience":null}`,
		`,"audience":"` + audience + `","url":"https://elsewhere.invalid"}`,
		`,"audience":"` + audience + `"}{}`,
		`,"audience":"` + audience + `"`,
	} {
		if code := post(`{` + members + end); code != 400 {
			t.Errorf("%s: %d, want 400", end, code)
		}
	}
	w.log.Reset()
	long := strings.Repeat("z", 500)
	post(strings.Replace(`{`+members+`,"audience":"`+long+`"}`, region, long, 1))
	if strings.Contains(w.log.String(), "zzz") {
		t.Errorf("a stranger's text in the audit: %s", w.log)
	}
}

// Options that would make a broker that cannot work, or works for somebody else,
// are refused.
func TestNew_refuses_odd_options(t *testing.T) {
	w := newWorld(t, nil)
	arn := "arn:aws:iam::" + account + ":role/"
	for what, change := range map[string]func(*broker.Options){
		"an empty audience":        func(o *broker.Options) { o.Audiences = []string{audience, ""} },
		"an issuer that is no URL": func(o *broker.Options) { o.Issuer = "broker" },
		"an issuer with a query":   func(o *broker.Options) { o.Issuer = name + "?a=b" },
		"a name with a line break": func(o *broker.Options) { o.Name = "a\nb" },
		"a region that is a host":  func(o *broker.Options) { o.Regions = []string{"elsewhere.invalid/"} },
		"a role with a line break": func(o *broker.Options) { o.Roles = []broker.Role{{ARN: arn + "app\n"}} },
		"a role of another service": func(o *broker.Options) {
			o.Roles = []broker.Role{{ARN: "arn:aws:sts::" + account + ":assumed-role/app/x"}}
		},
		"one name, two paths": func(o *broker.Options) { o.Roles = []broker.Role{{ARN: arn + "a/app"}, {ARN: arn + "b/app"}} },
		"one name, two cases": func(o *broker.Options) { o.Roles = []broker.Role{{ARN: arn + "app"}, {ARN: arn + "App"}} },
		"a role twice": func(o *broker.Options) {
			o.Roles = []broker.Role{{ARN: arn + "app", UniqueID: "AROAX"}, {ARN: arn + "app"}}
		},
		"a rate that lets none in": func(o *broker.Options) { o.Rate = 0.5 },
		"a lead below nothing":     func(o *broker.Options) { o.PublishLead = -1 },
	} {
		o := broker.Options{Issuer: name, Audiences: []string{audience}, Roles: []broker.Role{{ARN: w.role}}, Regions: []string{region}, KMS: w.kms, Keys: w.keys}
		change(&o)
		if b, err := broker.New(t.Context(), o); err == nil {
			_ = b.Close(t.Context())
			t.Errorf("%s is taken", what)
		}
	}
}
