package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go/middleware"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/internal/cli"
)

// A run of tests that somebody has interrupted says nothing about the services.
func TestMatrix_interrupted(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "depgraph.yaml"), []byte("service: shop\ndepends:\n  - on: prices\n    soft: true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, far := io.Pipe()
	go func() { // the command says that it runs
		_, _ = ready.Read(make([]byte, 1))
		cancel()
		_, _ = io.Copy(io.Discard, ready)
	}()
	var out bytes.Buffer
	code := run(ctx, []string{"matrix", "-d", dir, "--", "sh", "-c", "echo ready; exec sleep 60"}, &out, far)
	if code != int(drill.Aborted) || out.Len() > 0 {
		t.Errorf("exit code %d, %q; want %d, and no table", code, out.String(), drill.Aborted)
	}
}

// An error of a program that could not be started has the verb that was typed.
func TestSupervise_says_which_verb(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("no program\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := here(t, "exec", "--", script)
	if want := "drill exec: fork/exec " + script + ": exec format error\n"; code != exitCannotRun || stdout != "" || !strings.HasPrefix(stderr, want) {
		t.Errorf("exit code %d, %q, %q; want %q", code, stdout, stderr, want)
	}
	fakeAWS(t, nil, map[string]string{
		"AssumeRole": `<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>A</AccessKeyId><SecretAccessKey>S</SecretAccessKey><SessionToken>T</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`,
		"Scan":       `!{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"with an explicit deny in a session policy"}`,
	})
	code, stdout, stderr = here(t, "revoke", "--via", "session", "--role", revokedRole, "--table", revokedTable, "--confirm", "app/sessions", "--", script)
	if want := "drill revoke: fork/exec " + script + ": exec format error\n"; code != exitCannotRun || stdout != "" || !strings.HasSuffix(stderr, want) {
		t.Errorf("exit code %d, %q, %q; want %q", code, stdout, stderr, want)
	}
}

// What is wrong with a second flag is said before the first one's work is done.
func TestSweep_checks_all_before_it_writes(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(http.StatusForbidden)
	}))
	defer server.Close()
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_IAM": server.URL, "AWS_ENDPOINT_URL_DYNAMODB": server.URL, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s",
	} {
		t.Setenv(name, value)
	}
	for args, want := range map[string]string{
		"sweep --role " + revokedRole + " --table x":                 `sweep: --table is "x"; want the ARN of one table`,
		"sweep --role x --table " + revokedTable:                     `sweep: --role is "x"; want the ARN of one role`,
		"sweep --table " + revokedRole:                               `sweep: --table is "` + revokedRole + `"; want the ARN of one table`,
		"sweep --role " + revokedTable:                               `sweep: --role is "` + revokedTable + `"; want the ARN of one role`,
		"sweep --table arn:aws:dynamodb:a:b:":                        `sweep: --table is "arn:aws:dynamodb:a:b:"; want the ARN of one table`,
		"sweep --table arn:aws:dynamodb:a:b:table/":                  `sweep: --table is "arn:aws:dynamodb:a:b:table/"; want the ARN of one table`,
		"doctor --table arn:aws:sns:a:b:table/x":                     `doctor: --table is "arn:aws:sns:a:b:table/x"; want the ARN of one table`,
		"doctor --table " + revokedTable + " --role " + revokedTable: `doctor: --role is "` + revokedTable + `"; want the ARN of one role, and --table`,
	} {
		if code, stdout, stderr := here(t, strings.Fields(args)...); code != exitUsage || stdout != "" || stderr != "drill: "+want+"\n" {
			t.Errorf("drill %s: exit code %d, %q, %q; want %q", args, code, stdout, stderr, want)
		}
	}
	if asked > 0 {
		t.Errorf("%d requests were made", asked)
	}
}

// Flags whose value would do nothing, or something else than what it says.
func TestFlags_without_effect(t *testing.T) {
	for args, want := range map[string]string{
		"exec --dns nxdomain --dns-for . -- true": `exec: --dns-for is "."; want a name, such as dynamodb.eu-central-1.amazonaws.com`,
		"plan --max-age -90":                      `plan: --max-age is -90; want 1 to 3650 days, or 0 for any age`,
		"plan --max-age 200000":                   `plan: --max-age is 200000; want 1 to 3650 days, or 0 for any age`,
		"doctor --live x --ready y":               `doctor: --live is "x"; want a URL`,
	} {
		for range 5 { // the first that is wrong is the first that is said
			if code, stdout, stderr := inFolder(t, strings.Fields(args)...); code != exitUsage || stdout != "" || stderr != "drill: "+want+"\n" {
				t.Errorf("drill %s: exit code %d, %q, %q; want %q", args, code, stdout, stderr, want)
			}
		}
	}
}

// A clock that is behind is said to be behind, and by how much; the bounds are
// those of the constants.
func TestDoctor_addSkew(t *testing.T) {
	const advice = "\n                       -> start NTP: "
	for skew, want := range map[time.Duration]string{
		0:                                 "ok    clock          within 5s of AWS's\n",
		4999 * time.Millisecond:           "ok    clock          within 5s of AWS's\n",
		-4999 * time.Millisecond:          "ok    clock          within 5s of AWS's\n",
		5 * time.Second:                   "warn  clock          this machine is 5s ahead of AWS" + advice + "records expire by the clock\n",
		-20 * time.Second:                 "warn  clock          this machine is 20s behind AWS" + advice + "records expire by the clock\n",
		5*time.Minute - time.Nanosecond:   "warn  clock          this machine is 4m59s ahead of AWS" + advice + "records expire by the clock\n",
		5 * time.Minute:                   "fail  clock          this machine is 5m0s ahead of AWS" + advice + "signatures are refused\n",
		-time.Hour - 900*time.Millisecond: "fail  clock          this machine is 1h0m0s behind AWS" + advice + "signatures are refused\n",
	} {
		var f doctorFlags
		f.addSkew(skew)
		if got := printed(t, &f); got != want {
			t.Errorf("%v: got\n%s\nwant\n%s", skew, got, want)
		}
	}
	var f doctorFlags
	f.checkClock(middleware.Metadata{})
	if got, want := printed(t, &f), "warn  clock          the endpoint does not say what time it is\n"; got != want {
		t.Errorf("not said: got\n%s\nwant\n%s", got, want)
	}
}

// printed is what the doctor prints of its findings, without the sum.
func printed(t *testing.T, f *doctorFlags) string {
	t.Helper()
	var out bytes.Buffer
	c := &command{ctx: t.Context(), stdout: &cli.Output{To: &out}}
	var code exitCode
	if err := c.diagnose(f); err != nil && !errors.As(err, &code) {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(out.String(), "\n\n")
	return before + "\n"
}

// What went wrong beside a verdict is printed, and is no verdict: a revocation
// that could not be undone must not look like one that was ended early.
func TestCommand_code_beside_an_error(t *testing.T) {
	undo := errors.New("the policy could not be put back")
	for name, c := range map[string]struct {
		err  error
		code int
		want string
	}{
		"nothing":             {nil, 0, ""},
		"a code":              {exitCode(drill.Aborted), 2, ""},
		"a code, joined":      {errors.Join(nil, errors.Join(exitCode(drill.Void))), 4, ""},
		"a failure":           {undo, exitFailed, "drill: the policy could not be put back\n"},
		"a code and failures": {errors.Join(exitCode(drill.Aborted), errors.Join(undo, nil)), exitFailed, "drill: the policy could not be put back\n"},
		"a usage error":       {usagef("no"), exitUsage, "drill: no\n"},
		"a code and a usage":  {errors.Join(exitCode(1), usagef("no")), exitUsage, "drill: no\n"},
	} {
		var errs bytes.Buffer
		cmd := &command{stdout: &cli.Output{To: io.Discard}, stderr: &cli.Output{To: &errs}}
		if code := cmd.code(c.err); code != c.code || errs.String() != c.want {
			t.Errorf("%s: exit code %d, %q; want %d, %q", name, code, errs.String(), c.code, c.want)
		}
	}
}
