package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/failopen/failopen/depgraph/drill/faultproxy"
)

// statuses runs the doctor and returns what each check says.
func statuses(t *testing.T, want int, args ...string) map[string]string {
	t.Helper()
	code, stdout, stderr := here(t, append([]string{"doctor", "-f", "json"}, args...)...)
	var out struct{ Checks []finding }
	if err := json.Unmarshal([]byte(stdout), &out); err != nil {
		t.Fatalf("%v\n%s%s", err, stdout, stderr)
	}
	if code != want {
		t.Errorf("exit code %d, want %d\n%s", code, want, stdout)
	}
	all := map[string]string{}
	for _, f := range out.Checks {
		all[f.Check] = f.Status
		if f.Status != statusOK && f.Do == "" && !strings.Contains(f.Detail, "time it is") {
			t.Errorf("%+v says not what to do", f)
		}
	}
	return all
}

func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	for check, status := range want {
		if got[check] != status {
			t.Errorf("%s: %q, want %q", check, got[check], status)
		}
	}
}

func TestDoctor_table(t *testing.T) {
	w := newCloud(t, true)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_DYNAMODB": w.db.URL(), "AWS_ENDPOINT_URL_IAM": w.iam.URL(), "AWS_ENDPOINT_URL_STS": w.iam.URL(), "AWS_REGION": "us-east-1",
		"AWS_ACCESS_KEY_ID": "OPERATOR", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "", "DRILL_CONTROL": "", "DRILL_TOKEN_FILE": "",
	} {
		t.Setenv(name, value)
	}
	same(t, statuses(t, 0, "--table", revokedTable, "--role", revokedRole), map[string]string{
		"identity": statusOK, "region": statusOK, "clock": statusOK, "table": statusOK, "time to live": statusWarn, "policy": statusOK, "drill tag": statusOK, "read": statusOK, "role": statusOK,
	})
	db := w.client(w.operator())
	if _, err := db.UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{TableName: aws.String("sessions"), TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("expires"), Enabled: aws.Bool(true)}}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_REGION", "eu-west-1")
	same(t, statuses(t, 1, "--table", revokedTable, "--ttl", "ttl"), map[string]string{"time to live": statusFail, "region": statusWarn})
	same(t, statuses(t, 0, "--table", revokedTable, "--ttl", "expires"), map[string]string{"time to live": statusOK})
	w.ahead.Store(int64(20 * time.Second))
	same(t, statuses(t, 0, "--table", revokedTable), map[string]string{"clock": statusWarn})
	w.ahead.Store(0)
	if _, err := db.PutResourcePolicy(t.Context(), &dynamodb.PutResourcePolicyInput{ResourceArn: aws.String(revokedTable), Policy: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Sid":"FailOpenDrillx","Effect":"Deny","Principal":"*","Action":"dynamodb:GetItem","Resource":"` + revokedTable + `"}]}`)}); err != nil {
		t.Fatal(err)
	}
	same(t, statuses(t, 1, "--table", revokedTable), map[string]string{"policy": statusWarn, "read": statusFail})
	same(t, statuses(t, 1, "--table", revokedTable+"x"), map[string]string{"table": statusFail})
	same(t, statuses(t, 1, "--table", strings.Replace(revokedTable, "123456789012", "999999999999", 1)), map[string]string{"identity": statusFail})
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	same(t, statuses(t, 1, "--table", revokedTable), map[string]string{"credentials": statusFail})
}

func TestDoctor_process_and_probes(t *testing.T) {
	dependency := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer dependency.Close()
	p, err := faultproxy.Start(faultproxy.Options{Upstream: dependency.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/livez":
		case "/deep":
			if resp, err := http.Get(p.URL()); err == nil {
				resp.Body.Close()
			}
		default:
			w.WriteHeader(503)
		}
	}))
	defer service.Close()
	control := []string{"--control", p.ControlURL(), "--token-file", p.TokenFile()}
	same(t, statuses(t, 0, append(control, "--live", service.URL+"/livez")...), map[string]string{"proxy": statusOK, "liveness": statusOK, "liveness calls": statusOK})
	same(t, statuses(t, 0, append(control, "--live", service.URL+"/deep")...), map[string]string{"liveness calls": statusWarn})
	same(t, statuses(t, 1, "--ready", service.URL+"/readyz"), map[string]string{"readiness": statusFail})
	same(t, statuses(t, 1, "--live", "http://127.0.0.1:1/"), map[string]string{"liveness": statusFail})
	same(t, statuses(t, 1, "--control", "http://127.0.0.1:1", "--token-file", p.TokenFile()), map[string]string{"proxy": statusFail})
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()

	log := filepath.Join(t.TempDir(), "log")
	same(t, statuses(t, 1, "--log", log), map[string]string{"log": statusFail})
	if err := os.WriteFile(log, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s := statuses(t, 0, "--log", log)["log"]; s == "" || s == statusFail {
		t.Errorf("log: %q", s)
	}
	same(t, statuses(t, 1, "--log", filepath.Dir(log)), map[string]string{"log": statusFail})
	if got := statuses(t, 0, "--pid", strconv.Itoa(os.Getpid())); len(got) != 2 {
		t.Errorf("%v", got)
	}
	for want, args := range map[string][]string{
		"want something": {}, "--table is": {"--table", "sessions"}, "--live is": {"--live", "x"}, "--role is": {"--role", "x"}, "--ttl wants": {"--ttl", "x"}, "-f is": {"-f", "x"},
	} {
		if code, _, stderr := here(t, append([]string{"doctor", "--control", ""}, args...)...); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%v: %d, %s", args, code, stderr)
		}
	}
	if got := oneLine("a\x1b[31m\nb\u009b"); got != "a [31m b " {
		t.Errorf("%q", got)
	}
}
