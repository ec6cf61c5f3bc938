package verify_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failopen/failopen/examples/assertrole/verify"
)

// A set that revokes is in force whatever else is wrong with it, and one without
// keys is good when it revokes the last of them.
func TestVerify_revoking_sets(t *testing.T) {
	private := jwkOf("a", keyA)
	private["d"] = b64(keyA.D.Bytes())
	factors := jwkOf("a", keyA)
	factors["p"] = b64(keyA.Primes[0].Bytes())
	for name, set := range map[string]struct {
		revoked []string
		keys    []map[string]string
	}{
		"the last key is revoked":         {[]string{"a"}, nil},
		"the only key's secret is out":    {nil, []map[string]string{private}},
		"the only key's factors are out":  {nil, []map[string]string{factors}},
		"another key is there twice":      {[]string{"a"}, []map[string]string{jwkOf("b", keyB), jwkOf("b", keyB)}},
		"the other key is too weak":       {[]string{"a"}, []map[string]string{jwkOf("b", weak)}},
		"it is there twice, once private": {nil, []map[string]string{jwkOf("a", keyA), private}},
	} {
		synctest.Test(t, func(t *testing.T) {
			j := new(jwks)
			j.set(nil, nil, jwkOf("a", keyA))
			v := newVerifier(t, options(j))
			token := func() string { return mint(keyA, header, claims(time.Now(), "")) }
			if r := reason(t, v, token()); r != "" {
				t.Fatal(r)
			}
			j.set(nil, set.revoked, set.keys...)
			<-time.After(6 * time.Minute)
			_ = reason(t, v, token()) // the fetch may go on behind it
			<-time.After(time.Second)
			if r := reason(t, v, token()); r != verify.KeyRevoked {
				t.Errorf("%s: %q, want %q", name, r, verify.KeyRevoked)
			}
		})
	}
}

// An issuer revokes its own keys, and not those of another issuer that has the
// same ids.
func TestVerify_revocation_is_the_issuers_own(t *testing.T) {
	const other = "https://other.invalid"
	synctest.Test(t, func(t *testing.T) {
		mine, theirs := new(jwks), new(jwks)
		mine.set(nil, nil, jwkOf("a", keyA))
		theirs.set(nil, []string{"a"}, jwkOf("b", keyB))
		o := options(nil)
		o.Issuers = append(o.Issuers, verify.Issuer{URL: other, Type: "JWT", Accounts: []string{account}})
		o.Client = &http.Client{Transport: byHost{"abc.tokens.sts.global.api.aws": mine, "other.invalid": theirs}}
		v := newVerifier(t, o)
		if err := v.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r := reason(t, v, mint(keyA, header, claims(time.Now(), ""))); r != "" {
			t.Errorf("revoked by another issuer: %q", r)
		}
		foreign := strings.Replace(claims(time.Now(), ""), issuer, other, 1)
		if r := reason(t, v, mint(keyA, header, foreign)); r != verify.KeyRevoked {
			t.Errorf("%q, want %q", r, verify.KeyRevoked)
		}
		v.Revoke("a") // by hand: everywhere
		if r := reason(t, v, mint(keyA, header, claims(time.Now(), ""))); r != verify.KeyRevoked {
			t.Errorf("%q, want %q", r, verify.KeyRevoked)
		}
	})
}

type byHost map[string]http.RoundTripper

func (b byHost) RoundTrip(r *http.Request) (*http.Response, error) {
	return b[r.URL.Hostname()].RoundTrip(r)
}

// A subject that IAM would not have as a role is none, even if it is signed: it
// goes into logs and decisions.
func TestVerify_subjects(t *testing.T) {
	j := new(jwks)
	j.set(nil, nil, jwkOf("a", keyA))
	v := newVerifier(t, options(j))
	arn := "arn:aws:iam::" + account + ":role/"
	for subject, good := range map[string]bool{
		arn + "app": true, arn + "a/b/app": true, arn + strings.Repeat("n", 64): true, arn + "A_+=,.@-9": true,
		arn: false, arn + "a/": false, arn + strings.Repeat("n", 65): false, arn + `app\n`: false, arn + `app\u202e`: false, arn + "app x": false,
		arn + "*": false, arn + "ａpp": false, arn + `a\u0000/app`: false, arn + "a:b": false, arn + strings.Repeat("p/", 300) + "app": false,
	} {
		_, err := v.Verify(t.Context(), mint(keyA, header, strings.Replace(claims(time.Now(), ""), role, subject, 1)))
		if good != (err == nil) || !good && verify.ReasonOf(err) != verify.Subject {
			t.Errorf("%s: %v", subject, err)
		}
	}
	for _, id := range []string{`a\nlevel=ERROR`, "é", strings.Repeat("j", 256)} {
		_, err := v.Verify(t.Context(), mint(keyA, header, strings.Replace(claims(time.Now(), ""), `"jti":"1"`, `"jti":"`+id+`"`, 1)))
		if verify.ReasonOf(err) != verify.Malformed {
			t.Errorf("jti %q: %v", id, err)
		}
	}
}

// A token may end anywhere, and no character of it is to be trusted: there is a reason
// each time, before any signature is looked at, and no panic.
func TestVerify_cut_off_anywhere(t *testing.T) {
	j := new(jwks)
	j.set(nil, nil, jwkOf("a", keyA))
	v := newVerifier(t, options(j))
	const rich = `{"x":[1,{"y":"\ud83d\ude00\n","z":[-0.5e+7,true,null]}],"alg":"RS256","kid":"\u0061","typ":"JWT"}`
	good := mint(keyA, rich, claims(time.Now(), `,"nbf":1,"more":[{"deep":"\u00e9"}]`))
	if _, err := v.Verify(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	rest := good[strings.IndexByte(good, '.'):]
	for n := range len(rich) - 1 {
		for _, end := range []string{"", `"`, `\`, `\u`, `\u12`, "}", "]", "-", "1e"} {
			if _, err := v.Verify(t.Context(), b64([]byte(rich[:n]+end))+rest); verify.ReasonOf(err) == "" {
				t.Errorf("%s%s: %v", rich[:n], end, err)
			}
		}
	}
}

// What stands in the place of the file of the last good keys is not followed,
// and not read without end.
func TestVerify_file_is_no_file(t *testing.T) {
	for name, put := range map[string]func(file, kept string) error{
		"a link to a good one": func(file, kept string) error { return os.Symlink(kept, file) },
		"a directory":          func(file, _ string) error { return os.Mkdir(file, 0o700) },
		"one that is too large": func(file, kept string) error {
			good, err := os.ReadFile(kept)
			if err != nil {
				return err
			}
			return os.WriteFile(file, append(good, []byte(strings.Repeat(" ", 1<<20))...), 0o600)
		},
	} {
		o := options(new(jwks))
		o.Dir = t.TempDir()
		j := new(jwks)
		j.set(nil, nil, jwkOf("a", keyA))
		o.Client = &http.Client{Transport: j}
		if err := newVerifier(t, o).Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(o.Dir, "keys-*.json"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		kept := filepath.Join(t.TempDir(), "kept")
		if err := os.Rename(files[0], kept); err != nil {
			t.Fatal(err)
		}
		if err := put(files[0], kept); err != nil {
			t.Fatal(err)
		}
		j.set(errDown, nil)
		if r := reason(t, newVerifier(t, o), mint(keyA, header, claims(time.Now(), ""))); r != verify.KeysUnavailable {
			t.Errorf("%s: %q, want %q", name, r, verify.KeysUnavailable)
		}
	}
}

// Close does not wait for an issuer that hangs.
func TestVerify_close_ends_fetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVerifier(t, verify.Options{
			Issuers:  []verify.Issuer{{URL: issuer, Type: "JWT", Accounts: []string{account}}},
			Audience: "shop", Client: &http.Client{Transport: hang{}},
		})
		go func() { _ = v.Check(t.Context()) }()
		synctest.Wait()
		start := time.Now()
		if err := v.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d > 0 {
			t.Error(fmt.Sprint("Close took ", d))
		}
	})
}

// A verifier that nobody has asked for hours does not take a key that was revoked
// meanwhile, though its issuer takes a while to answer; and one that does not
// answer at all is waited for by few.
func TestVerify_after_idle_hours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := new(jwks)
		j.set(nil, nil, jwkOf("a", keyA), jwkOf("b", keyB))
		way := &slow{next: j}
		o := options(nil)
		o.Client = &http.Client{Transport: way, Timeout: 5 * time.Second}
		v := newVerifier(t, o)
		token := func() string { return mint(keyA, header, claims(time.Now(), "")) }
		if r := reason(t, v, token()); r != "" {
			t.Fatal(r)
		}
		j.set(nil, []string{"a"}, jwkOf("b", keyB))
		way.delay.Store(int64(time.Second))
		<-time.After(3 * time.Hour)
		if r := reason(t, v, token()); r != verify.KeyRevoked {
			t.Errorf("%q, want %q", r, verify.KeyRevoked)
		}
		j.set(nil, []string{"a"}, jwkOf("b", keyB), jwkOf("c", keyC))
		<-time.After(2 * time.Minute)
		if r := reason(t, v, mint(keyC, strings.Replace(header, `"a"`, `"c"`, 1), claims(time.Now(), ""))); r != "" {
			t.Errorf("a new key, from an issuer that takes a second: %q", r)
		}
		way.delay.Store(int64(time.Hour))
		<-time.After(10 * time.Minute)
		start, waited := time.Now(), time.Duration(0)
		for range 600 { // a minute of requests
			now := time.Now()
			if r := reason(t, v, mint(keyB, strings.Replace(header, `"a"`, `"b"`, 1), claims(now, ""))); r != "" {
				t.Fatal(r)
			}
			waited += time.Since(now)
			<-time.After(100 * time.Millisecond)
		}
		if waited > 8*time.Second { // 2 s each time, and all others at once
			t.Errorf("waited for %v of %v", waited, time.Since(start))
		}
	})
}

var keyC = newRSA(2048)

// slow is a long way to an issuer.
type slow struct {
	next  http.RoundTripper
	delay atomic.Int64
}

func (s *slow) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(time.Duration(s.delay.Load())):
		return s.next.RoundTrip(r)
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}
