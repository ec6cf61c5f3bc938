package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/revoke"
)

// What a program has written is not lost when it ends before its stall does, and
// a child that it leaves behind with the pipe does not hold up its end.
func TestExec_ends_before_the_stall(t *testing.T) {
	code, stdout, stderr := here(t, "exec", "--stall-stdout", "1h", "--stall-stderr", "1h", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
	if code != 7 || stdout != "out\n" || stderr != "err\n" {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
	if _, err := (&stalls{over: make(chan struct{})}).writer(io.Discard, 0); err != nil {
		t.Error(err)
	}
}

// What the program finds in its environment, and under which name it was started.
func TestExec_what_the_program_sees(t *testing.T) {
	code, stdout, stderr := here(t, "exec", "--upstream", "http://127.0.0.1:1", "--", "sh", "-c", `echo "$0 $AWS_ENDPOINT_URL_DYNAMODB $HTTPS_PROXY"`)
	if code != 0 || stderr != "" || !regexp.MustCompile(`^sh (http://127\.0\.0\.1:\d+) http://127\.0\.0\.1:\d+\n$`).MatchString(stdout) {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
	for status, want := range map[string]int{"exit 0": 0, "exit 1": 1, "exit 130": 130, "kill -TERM $$": exitSignal + 15, "kill -KILL $$": exitSignal + 9} {
		if code, _, stderr := here(t, "exec", "--", "sh", "-c", status); runtime.GOOS != "windows" && (code != want || stderr != "") {
			t.Errorf("%s: exit code %d, %q; want %d", status, code, stderr, want)
		}
	}
}

// The whole of what drill proxy prints, for a shell and for people.
func TestProxy_what_it_prints(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // it starts, prints, and ends
	dir := filepath.Join(t.TempDir(), "it's here")
	var out, errs bytes.Buffer
	code := run(ctx, []string{
		"proxy", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--dir", dir, "--map", "prices.internal=http://127.0.0.1:1",
		"--tunnel", "127.0.0.1:0=127.0.0.1:6379,redis", "--tunnel", "127.0.0.1:0=127.0.0.1:5432", "--preset", "throttled",
	}, &out, &errs)
	ports := regexp.MustCompile(`127\.0\.0\.1:\d\d\d\d\d`)
	const want = `tunnel 127.0.0.1:PORT to 127.0.0.1:6379
tunnel 127.0.0.1:PORT to 127.0.0.1:5432
proxy http://127.0.0.1:PORT, control http://127.0.0.1:PORT, token in DIR/token; Ctrl-C ends it
drill proxy: 0 requests, 0 tunnels, 0 of them faulted; 0 errors of upstreams, 0 bad requests, 0 connections turned away
`
	got := strings.ReplaceAll(ports.ReplaceAllString(errs.String(), "127.0.0.1:PORT"), dir, "DIR")
	if code != 0 || !strings.HasPrefix(got, want) || strings.Count(got, "drill proxy: hit 0 times, never: {") != strings.Count(got, "\n")-4 {
		t.Errorf("exit code %d\n%s\nwant\n%s", code, got, want)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	line := regexp.MustCompile(`^export [A-Za-z_]+='(?:[^']|'\\'')*'$`)
	for _, l := range lines {
		if !line.MatchString(l) {
			t.Errorf("no line for a shell: %q", l)
		}
	}
	if want := `export DRILL_TOKEN_FILE='` + strings.ReplaceAll(dir, "'", `'\''`) + `/token'`; lines[len(lines)-1] != want {
		t.Errorf("the last line is %q, want %q", lines[len(lines)-1], want)
	}
	// The folder is free again, with nothing left in it.
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

// The stub's bounds: what it drops, and what it asks instead.
func TestDNS_bounds(t *testing.T) {
	stub, err := anyDNS(dnsOptions{how: "slow", delay: time.Hour}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := startDNS(dnsOptions{}, nil, stub.udp.LocalAddr().String()); err == nil {
		again.close()
		t.Error("two stubs on one address")
	}
	// As many slow questions as there are slots; then none.
	for range cap(stub.slots) {
		if !stub.slot(func() { stub.answer(question("x.example"), "udp") }) {
			t.Fatal("no slot, and not all are taken")
		}
	}
	if stub.slot(func() { t.Error("one too many") }) {
		t.Error("more slots than there are")
	}
	// A connection that has no slot is closed without an answer.
	c, err := net.Dial("tcp", stub.tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes, %v", n, err)
	}
	stub.close() // ends the slow ones, an hour early
	if n := stub.hits.Load(); n != int64(cap(stub.slots)) {
		t.Errorf("%d hits, want one for each that was asked", n)
	}
}

func TestDNS_asks_the_next_server(t *testing.T) {
	good, err := anyDNS(dnsOptions{how: "empty"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer good.close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() { // a server that hangs up
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	s := &dnsStub{o: dnsOptions{how: "nxdomain", names: []string{"gone.example"}}, servers: []string{listener.Addr().String(), good.udp.LocalAddr().String()}, ctx: t.Context()}
	if a := s.answer(question("other.example"), "tcp"); len(a) < dnsHeader || a[3]&15 != 0 {
		t.Errorf("%x; want the second one's answer", a)
	}
	if good.hits.Load() != 1 {
		t.Errorf("the second one was asked %d times", good.hits.Load())
	}
	// A question that is cut off in the middle is none, and ends its connection only.
	c, err := net.Dial("tcp", good.tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte{0, 40, 1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := exchange(ctx, "tcp", good.tcp.Addr().String(), question("other.example")); err != nil {
		t.Error(err)
	}
	if _, err := exchange(ctx, "udp", "not an address", nil); err == nil {
		t.Error("an address that is none was dialled")
	}
}

// An answer repeats the question to the byte, and has the bits of RFC 1035, 4.1.1.
func TestDNSFailure(t *testing.T) {
	q := question("a.example")
	binary.BigEndian.PutUint16(q[10:], 1)                                 // one additional record: EDNS
	withEDNS := append(bytes.Clone(q), 0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0) // which is left out
	name, end, err := dnsName(withEDNS)
	if err != nil || name != "a.example" || end != len(q) {
		t.Fatalf("%q, %d, %v", name, end, err)
	}
	withEDNS[2] = 0x7f // every bit but that of an answer; kind and recursion are repeated, and the rest is not
	got := dnsFailure(withEDNS, end, rcodeNXDomain)
	want := append([]byte{0x12, 0x34, 0xf9, 0x83, 0, 1, 0, 0, 0, 0, 0, 0}, q[dnsHeader:]...)
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%x\nwant\n%x", got, want)
	}
	if withEDNS[2] != 0x7f {
		t.Error("the question itself was changed")
	}
	// 63 bytes are a label, and 255 with all lengths are a name.
	for text, ok := range map[string]bool{strings.Repeat("a", 63): true, strings.TrimSuffix(strings.Repeat("abcdefg.", 31), "."): true, strings.Repeat("abcdefg.", 33): false} {
		if _, _, err := dnsName(question(text)); (err == nil) != ok {
			t.Errorf("%d bytes: %v", len(text), err)
		}
	}
}

// revoking runs drill revoke --confirm against answers of AWS, as the operator.
func revoking(t *testing.T, answers map[string]string, args ...string) (code int, stdout, stderr, journal string) {
	t.Helper()
	fakeAWS(t, nil, answers)
	for name, value := range map[string]string{"PROBE_AWS_ACCESS_KEY_ID": "p", "PROBE_AWS_SECRET_ACCESS_KEY": "p", "PROBE_AWS_SESSION_TOKEN": "p"} {
		t.Setenv(name, value)
	}
	t.Setenv("AWS_ENDPOINT_URL_IAM", os.Getenv("AWS_ENDPOINT_URL_STS"))
	journal = t.TempDir()
	code, stdout, stderr = here(t, append([]string{"revoke", "--role", revokedRole, "--table", revokedTable, "--confirm", "app/sessions", "--journal", journal, "--for", "1m", "--lead", "1s"}, args...)...)
	return code, stdout, stderr, journal
}

// Up to the moment of writing, whatever is wrong is "not started", and nothing is
// in the journal.
func TestRevoke_not_started(t *testing.T) {
	identity := func(account, arn string) string {
		return "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>" + arn + "</Arn><Account>" + account + "</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
	}
	const operator = "arn:aws:iam::123456789012:user/op"
	const refused = `!<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error><RequestId>1</RequestId></ErrorResponse>`
	for name, c := range map[string]struct {
		answers map[string]string
		args    []string
		want    string // regular expression
	}{
		"of another account": {
			map[string]string{"GetCallerIdentity": identity("999999999999", "arn:aws:iam::999999999999:user/op")},
			nil,
			`^not started: the caller arn:aws:iam::999999999999:user/op is of the account 999999999999, the role of 123456789012\n$`,
		},
		"in the role itself": {
			map[string]string{"GetCallerIdentity": identity("123456789012", "arn:aws:sts::123456789012:assumed-role/app/i-1")},
			nil,
			`^not started: the caller arn:aws:sts::123456789012:assumed-role/app/i-1 is in the role itself, and could not undo it: use credentials of the operator\n$`,
		},
		"nobody knows who": {map[string]string{"GetCallerIdentity": refused}, nil, `^not started: who is calling\? .*AccessDenied: no\n$`},
		"no canary": {
			map[string]string{"GetCallerIdentity": identity("123456789012", operator), "AssumeRole": refused},
			nil,
			`^not started: the canary: .*AccessDenied: no; --no-canary leaves it out\n$`,
		},
		"a table that may not be drilled": {
			map[string]string{"GetCallerIdentity": identity("123456789012", operator), "ListTagsOfResource": `{"Tags":[]}`},
			[]string{"--no-canary"},
			`^not started: .*failopen-drill=allowed`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr, journal := revoking(t, c.answers, c.args...)
			if code != int(drill.NotStarted) || stdout != "" || !regexp.MustCompile(c.want).MatchString(stderr) {
				t.Errorf("exit code %d, %q\n%s\nwant\n%s", code, stdout, stderr, c.want)
			}
			if left, err := filepath.Glob(filepath.Join(journal, "*.json")); err != nil || len(left) > 0 {
				t.Errorf("in the journal: %v, %v", left, err)
			}
		})
	}
	t.Run("without the session's credentials", func(t *testing.T) {
		code, _, stderr, _ := revoking(t, map[string]string{"AssumeRole": refused}, "--via", "session", "--", "true")
		if code != int(drill.NotStarted) || !strings.HasPrefix(stderr, "not started: ") {
			t.Errorf("exit code %d, %s", code, stderr)
		}
		if code, _, stderr, _ := revoking(t, nil, "--via", "session", "--", "no-such-program-of-ours"); code != exitNotFound || !strings.HasPrefix(stderr, "drill revoke: exec: ") {
			t.Errorf("exit code %d, %s", code, stderr)
		}
	})
	t.Run("a program that ends well", func(t *testing.T) {
		code, stdout, _, _ := revoking(t, map[string]string{
			"AssumeRole": `<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>A</AccessKeyId><SecretAccessKey>S</SecretAccessKey><SessionToken>T</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`,
			"Scan":       `!{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"with an explicit deny in a session policy"}`,
		}, "--via", "session", "--", "sh", "-c", `echo "$AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY $AWS_SESSION_TOKEN"`)
		if code != 0 || stdout != "A S T\n" {
			t.Errorf("exit code %d, %q; want the session's credentials", code, stdout)
		}
	})
}

// One that cannot be read or undone does not keep the others from being tried.
func TestRevert_tries_all(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	journal := t.TempDir()
	for i, via := range []revoke.Via{revoke.RolePolicy, revoke.TablePolicy} {
		p, err := revoke.NewPlan(revoke.Options{Role: revokedRole, Table: fmt.Sprint(revokedTable, i), Via: via, For: time.Minute, Lead: time.Second}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(map[string]any{"version": 1, "plan": p})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(journal, p.ID+".revocation.json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	broken := filepath.Join(journal, "broken.revocation.json")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	const missing = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set\n"
	code, stdout, stderr := here(t, "revert", "--journal", journal)
	if code != exitFailed || stdout != "0 revocations undone\n" || !strings.HasPrefix(stderr, "drill: "+broken+": ") || !strings.HasSuffix(stderr, "\n"+missing+missing) {
		t.Errorf("exit code %d, %q\n%s", code, stdout, stderr)
	}
}
