package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/cache/dynamo/ststest"
	"github.com/failopen/failopen/depgraph/drill/revoke"
)

const allowAll = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`

// cloud is a table, a role that uses it, and an operator, with a clock that can
// be put forward.
type cloud struct {
	ahead   atomic.Int64
	fast    atomic.Int64 // since when it runs thirty times as fast, if it does
	db      *dynamotest.Server
	iam     *ststest.Server
	journal string
	session aws.Credentials // of the role
}

func newCloud(t *testing.T, tagged bool) *cloud {
	t.Helper()
	w := &cloud{journal: t.TempDir()}
	now := func() time.Time {
		at := time.Now()
		if since := w.fast.Load(); since > 0 {
			at = at.Add(30 * at.Sub(time.Unix(0, since)))
		}
		return at.Add(time.Duration(w.ahead.Load()))
	}
	w.iam = ststest.New(ststest.Options{Now: now})
	w.db = dynamotest.New(dynamotest.Options{Now: now, Principals: w.iam.Principal})
	for _, start := range []func() error{w.iam.Start, w.db.Start} {
		if err := start(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(w.close)
	if err := w.iam.SetPrincipal(dynamotest.Principal{AccessKey: "OPERATOR", SecretKey: "s", Policies: []string{allowAll}}); err != nil {
		t.Fatal(err)
	}
	role := ststest.Role{Name: "app", Policies: map[string]string{"all": allowAll}}
	if tagged {
		role.Tags = map[string]string{revoke.Tag: revoke.TagValue}
	}
	if _, err := w.iam.AddRole(role); err != nil {
		t.Fatal(err)
	}
	out, err := sts.New(sts.Options{Region: "us-east-1", BaseEndpoint: aws.String(w.iam.URL()), Credentials: w.operator()}).AssumeRole(t.Context(),
		&sts.AssumeRoleInput{RoleArn: aws.String(revokedRole), RoleSessionName: aws.String("i-1")})
	if err != nil {
		t.Fatal(err)
	}
	c := out.Credentials
	w.session = aws.Credentials{AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken}
	if _, err := w.client(w.operator()).CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("sessions"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("key"), AttributeType: "S"}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("key"), KeyType: "HASH"}},
		Tags:                 []types.Tag{{Key: aws.String(revoke.Tag), Value: aws.String(revoke.TagValue)}},
	}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *cloud) close() {
	w.iam.Close()
	w.db.Close()
}

func (w *cloud) operator() aws.CredentialsProvider {
	return fixed(aws.Credentials{AccessKeyID: "OPERATOR", SecretAccessKey: "s"})
}

func (w *cloud) client(c aws.CredentialsProvider) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{Region: "us-east-1", BaseEndpoint: aws.String(w.db.URL()), Credentials: c, Retryer: aws.NopRetryer{}})
}

func (w *cloud) environment() []string {
	return append(os.Environ(), "FAILOPEN_DRILL_CHILD=1", "FAILOPEN_HELPER=wait",
		"AWS_ENDPOINT_URL_DYNAMODB="+w.db.URL(), "AWS_ENDPOINT_URL_IAM="+w.iam.URL(), "AWS_ENDPOINT_URL_STS="+w.iam.URL(),
		"AWS_ACCESS_KEY_ID=OPERATOR", "AWS_SECRET_ACCESS_KEY=s", "AWS_SESSION_TOKEN=",
		"PROBE_AWS_ACCESS_KEY_ID="+w.session.AccessKeyID, "PROBE_AWS_SECRET_ACCESS_KEY="+w.session.SecretAccessKey, "PROBE_AWS_SESSION_TOKEN="+w.session.SessionToken)
}

// works says what the role's own session cannot do any more.
func (w *cloud) works(ctx context.Context) error {
	c := w.client(fixed(w.session))
	if _, err := c.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("sessions"), Key: map[string]types.AttributeValue{"key": &types.AttributeValueMemberS{Value: "k"}}}); err != nil {
		return err
	}
	_, err := c.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: aws.String("sessions")})
	return err
}

// left counts what a drill has left, whether or not it denies.
func (w *cloud) left(t *testing.T) (n int) {
	t.Helper()
	api := iam.New(iam.Options{Region: "us-east-1", BaseEndpoint: aws.String(w.iam.URL()), Credentials: w.operator()})
	out, err := api.ListRolePolicies(t.Context(), &iam.ListRolePoliciesInput{RoleName: aws.String("app")})
	if err != nil {
		t.Error(err)
		return -1
	}
	n = len(out.PolicyNames) - 1 // its own
	if p, err := w.client(w.operator()).GetResourcePolicy(t.Context(), &dynamodb.GetResourcePolicyInput{ResourceArn: aws.String(revokedTable)}); err == nil {
		n += strings.Count(aws.ToString(p.Policy), "FailOpenDrill")
	}
	return n
}

// program starts the program on the cloud.
func (w *cloud) program(t *testing.T, args ...string) (*exec.Cmd, *watched) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	out := &watched{}
	cmd.Env, cmd.Stderr, cmd.WaitDelay = w.environment(), out, 10*time.Second
	return cmd, out
}

func kills(t *testing.T, usual int) int {
	t.Helper()
	if text := os.Getenv("FAILOPEN_DRILL_KILLS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 100_000 {
			t.Fatalf("FAILOPEN_DRILL_KILLS is %q; want a number of kills", text)
		}
		return n
	}
	if testing.Short() {
		return max(3, usual/5)
	}
	return usual
}

// TestRevoke_killed_at_any_moment kills the program by SIGKILL at random moments:
// while it starts, writes, waits for the sentinel and for the window, and, half
// of the time, while it undoes what it has written. When the window is over,
// nothing denies, whatever has become of the program; and drill revert leaves
// nothing. FAILOPEN_DRILL_KILLS=1000 is the nightly form.
func TestRevoke_killed_at_any_moment(t *testing.T) {
	t.Parallel() // it mostly waits
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, via := range []revoke.Via{revoke.TablePolicy, revoke.RolePolicy, revoke.Session} {
		t.Run(string(via), func(t *testing.T) {
			t.Parallel()
			var behind, undone atomic.Int64
			n := kills(t, map[revoke.Via]int{revoke.TablePolicy: 30, revoke.RolePolicy: 15, revoke.Session: 6}[via])
			slots := make(chan struct{}, 16) // they mostly wait
			var all sync.WaitGroup
			for i := range n {
				slots <- struct{}{}
				all.Go(func() {
					defer func() { <-slots }()
					left, undoing := killOnce(t, via, self, i)
					if left {
						behind.Add(1)
					}
					if undoing {
						undone.Add(1)
					}
				})
			}
			all.Wait()
			t.Logf("%d kills: %d left something behind that was over by itself, %d while it was being undone", n, behind.Load(), undone.Load())
			if via != revoke.Session && n >= 15 && behind.Load() == 0 {
				t.Error("no kill came while anything was written: the test proves nothing")
			}
		})
	}
}

// killOnce kills one revocation of a cloud of its own, the i-th, and looks at what
// is left.
func killOnce(t *testing.T, via revoke.Via, self string, i int) (left, undoing bool) {
	w := newCloud(t, true)
	defer w.close()
	undo, written := via != revoke.Session && i%2 == 1, via != revoke.Session && i%4 == 0
	lead := "1s"
	if written { // it is to come, and it is killed soon
		lead = "10s"
	}
	args := []string{"revoke", "--via", string(via), "--role", revokedRole, "--table", revokedTable, "--lead", lead, "--for", "1m", "--confirm", "app/sessions", "--journal", w.journal}
	if via == revoke.Session {
		args = append(args, "--", self)
	}
	undoing = w.kill(t, args, undo, written)
	if via == revoke.Session {
		if err := w.works(t.Context()); err != nil {
			t.Errorf("another session of the role: %v", err)
		}
	}
	left = w.left(t) > 0
	w.ahead.Add(int64(72 * time.Second)) // the window is over
	if err := w.works(t.Context()); err != nil {
		t.Errorf("after the window: %v", err)
	}
	revert, out := w.program(t, "revert", "--journal", w.journal)
	if err := revert.Run(); err != nil || w.left(t) != 0 {
		t.Errorf("drill revert: %v, %s; %d are left", err, out, w.left(t))
	}
	if entries, err := filepath.Glob(filepath.Join(w.journal, "*.json")); err != nil || len(entries) > 0 {
		t.Errorf("the journal still has %v %v", entries, err)
	}
	return left, undoing
}

// kill starts the program and kills it, at any moment after its start: with
// written, after its first write, whenever that comes on this machine; with undo,
// after it was told to end in its window.
func (w *cloud) kill(t *testing.T, args []string, undo, written bool) (undoing bool) {
	t.Helper()
	wrote := make(chan struct{})
	write := sync.OnceFunc(func() { close(wrote) })
	w.iam.SetFault(func(r *ststest.Request) *ststest.Fault {
		if r.Action == "PutRolePolicy" {
			write()
		}
		return nil
	})
	w.db.SetFault(func(r *dynamotest.Request) *dynamotest.Fault {
		if r.Operation == "PutResourcePolicy" {
			write()
		}
		return nil
	})
	cmd, out := w.program(t, args...)
	after := time.Duration(rand.Int64N(int64(400 * time.Millisecond)))
	if rand.IntN(3) == 0 && !written {
		after *= 4 // in the window, too
	}
	ready := make(chan struct{})
	if undo {
		// On a slow machine it may come too late for its own window, and undo it at once.
		out.at, out.then = "Ctrl-C ends it early|not started:", sync.OnceFunc(func() { close(ready) })
		after /= 8
	}
	stdin, err := cmd.StdinPipe() // which a program in a session waits for
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); cmd.Wait() }()
	if undo {
		select {
		case <-ready:
			w.ahead.Add(int64(16 * time.Second)) // a table's policy can be changed again
			undoing = cmd.Process.Signal(os.Interrupt) == nil && runtime.GOOS != "windows"
		case <-done: // nothing was written
		}
	}
	if written {
		select {
		case <-wrote:
		case <-done: // it came too late for its own window
		}
	}
	timer := time.NewTimer(after)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-done:
	}
	_ = cmd.Process.Kill() // it may have ended
	<-done
	return undoing
}

func TestRevoke_by_a_roles_policy(t *testing.T) {
	w := newCloud(t, true)
	args := []string{"revoke", "--via", "role-policy", "--role", revokedRole, "--table", revokedTable, "--lead", "1s", "--for", "1m", "--confirm", "app/sessions", "--journal", w.journal}
	cmd, out := w.program(t, args...)
	denied := make(chan error, 1)
	out.at, out.then = "Ctrl-C ends it early", func() {
		go func() {
			denied <- w.works(t.Context())
			cmd.Process.Signal(os.Interrupt)
		}()
	}
	cmd.Run()
	if err := <-denied; !strings.Contains(fmt.Sprint(err), "AccessDenied") {
		t.Errorf("in the window: %v", err)
	}
	text := out.String()
	if code := cmd.ProcessState.ExitCode(); code != 2 || !strings.Contains(text, "the canary, one session of the role, is denied the table") || !strings.Contains(text, "the sentinel was seen") || !strings.Contains(text, "reverted: the policy is gone") || w.left(t) != 0 {
		t.Errorf("exit code %d, %d left\n%s", code, w.left(t), text)
	}
	if err := w.works(t.Context()); err != nil {
		t.Errorf("after it: %v", err)
	}
	cmd, out = w.program(t, args...)
	cmd.Env = append(cmd.Env, "AWS_ACCESS_KEY_ID="+w.session.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+w.session.SecretAccessKey, "AWS_SESSION_TOKEN="+w.session.SessionToken)
	cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != 3 || !strings.Contains(out.String(), "is in the role itself") || w.left(t) != 0 {
		t.Errorf("by the role itself: exit code %d\n%s", code, out)
	}
	untagged := newCloud(t, false)
	cmd, out = untagged.program(t, args...)
	cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != 3 || !strings.Contains(out.String(), "not tagged") || untagged.left(t) != 0 {
		t.Errorf("a role without the tag: exit code %d\n%s", code, out)
	}
}

// A canary that cannot be had, or that is not denied, is the end of it: nothing
// is written.
func TestRevoke_the_canary_first(t *testing.T) {
	w := newCloud(t, true)
	if _, err := w.iam.AddRole(ststest.Role{
		Name: "closed", Policies: map[string]string{"all": allowAll}, Tags: map[string]string{revoke.Tag: revoke.TagValue},
		Trust: `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}}`,
	}); err != nil {
		t.Fatal(err)
	}
	args := []string{"revoke", "--role", strings.Replace(revokedRole, "/app", "/closed", 1), "--table", revokedTable, "--lead", "1s", "--for", "1m", "--confirm", "closed/sessions", "--journal", w.journal}
	cmd, out := w.program(t, args...)
	cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != 3 || !strings.Contains(out.String(), "--no-canary leaves it out") || w.left(t) != 0 {
		t.Errorf("a role that the operator may not assume: exit code %d\n%s", code, out)
	}
	cmd, out = w.program(t, append(args, "--no-canary")...)
	out.at, out.then = "journal written", func() { // the probe is of another role, which nobody denies
		w.fast.Store(time.Now().UnixNano()) // or a table's policy could be changed again after 15 s only
		go cmd.Process.Signal(os.Interrupt)
	}
	cmd.Run()
	if strings.Contains(out.String(), "canary") || !strings.Contains(out.String(), "journal written") {
		t.Errorf("--no-canary: %s", out)
	}
	if code, stdout, _ := here(t, args[:5]...); code != 0 || !strings.Contains(stdout, "First the denial is tried on a canary") {
		t.Errorf("dry run: exit code %d\n%s", code, stdout)
	}
	if code, stdout, _ := here(t, append(args[:5:5], "--no-canary")...); code != 0 || strings.Contains(stdout, "canary") {
		t.Errorf("dry run without: exit code %d\n%s", code, stdout)
	}
}

func TestReadsOnlyFiles(t *testing.T) {
	for _, args := range [][]string{{"report", os.DevNull}, {"run", "--file", t.TempDir()}, {"run", "--rules", os.DevNull}} {
		if code, _, stderr := here(t, args...); code == 0 || !strings.Contains(stderr, "want a regular file") {
			t.Errorf("%v: exit code %d, %s", args, code, stderr)
		}
	}
}

func TestRevoke_prints_a_template_for_FIS(t *testing.T) {
	code, stdout, _ := here(t, "revoke", "--via", "vpc-endpoint", "--role", revokedRole, "--table", revokedTable, "--confirm", "app/sessions", "--for", "10m")
	var template struct {
		Actions map[string]struct {
			ActionID   string
			Parameters map[string]string
		}
		StopConditions []struct{ Source, Value string }
	}
	if err := json.Unmarshal([]byte(stdout), &template); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v\n%s", code, err, stdout)
	}
	if cut := template.Actions["cut"]; cut.ActionID != "aws:network:disrupt-connectivity" || cut.Parameters["scope"] != "dynamodb" || cut.Parameters["duration"] != "PT10M" ||
		!strings.HasPrefix(template.StopConditions[0].Value, "arn:aws:cloudwatch:us-east-1:123456789012:alarm:") {
		t.Errorf("%+v", template)
	}
	for _, args := range [][]string{{"--table", "sessions"}, {"--table", revokedTable, "--for", "30s"}, {"--table", revokedTable, "--for", "13h"}} {
		if code, _, stderr := here(t, append([]string{"revoke", "--via", "vpc-endpoint"}, args...)...); code != exitUsage {
			t.Errorf("%v: exit code %d, %s", args, code, stderr)
		}
	}
}

func TestRefuseCaller(t *testing.T) {
	p := revoke.Plan{Role: "arn:aws:iam::123456789012:role/path/app"}
	for arn, refused := range map[string]bool{
		"arn:aws:sts::123456789012:assumed-role/app/i-1":      true,
		"arn:aws:iam::123456789012:role/path/app":             true,
		"arn:aws:sts::123456789012:assumed-role/app-ops/i-1":  false,
		"arn:aws:iam::123456789012:user/app":                  false,
		"arn:aws:sts::123456789012:assumed-role/operator/app": false,
	} {
		if err := refuseCaller(p, "123456789012", arn); (err != nil) != refused {
			t.Errorf("%s: %v", arn, err)
		}
	}
	if refuseCaller(p, "999999999999", "arn:aws:iam::999999999999:user/x") == nil {
		t.Error("another account is let in")
	}
}

func TestSweep_of_a_role(t *testing.T) {
	w := newCloud(t, true)
	for name, value := range map[string]string{"AWS_ENDPOINT_URL_IAM": w.iam.URL(), "AWS_ACCESS_KEY_ID": "OPERATOR", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": ""} {
		t.Setenv(name, value)
	}
	api, err := roles(revokedTable)
	if err != nil {
		t.Fatal(err)
	}
	for _, began := range []time.Duration{-time.Hour, 0} { // one is over
		p, err := revoke.NewPlan(revoke.Options{Via: revoke.RolePolicy, Role: revokedRole, Table: revokedTable}, time.Now().Add(began))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := api.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("app"), PolicyName: &p.PolicyName, PolicyDocument: aws.String(p.Document())}); err != nil {
			t.Fatal(err)
		}
	}
	if code, _, stderr := here(t, "sweep", "--role", revokedRole); code != 0 || w.left(t) != 1 {
		t.Errorf("exit code %d, %s; %d left, want the one that goes on", code, stderr, w.left(t))
	}
	if code, _, stderr := here(t, "sweep", "--role", "app"); code != exitUsage {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

func TestRevoke_a_session_is_denied_alone(t *testing.T) {
	w := newCloud(t, false)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd, out := w.program(t, "revoke", "--via", "session", "--role", revokedRole, "--table", revokedTable, "--confirm", "app/sessions", "--", self)
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	cmd.Stdin = strings.NewReader("x")
	cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != 9 || stdout.String() != "ready\n" || !strings.Contains(out.String(), "a read of the session is denied") {
		t.Errorf("exit code %d, %q\n%s", code, stdout.String(), out)
	}
	if err := w.works(t.Context()); err != nil {
		t.Errorf("another session of the role: %v", err)
	}
}
