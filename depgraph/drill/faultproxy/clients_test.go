package faultproxy_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/depgraph/drill/fault"
	"github.com/failopen/failopen/depgraph/drill/faultproxy"
)

// TestClients breaks the table of programs in other languages. The environment
// says how each is started; .ci/steps/66-faultproxy.sh does.
func TestClients(t *testing.T) {
	if os.Getenv("FAILOPEN_CLIENTS") == "" {
		t.Skip("FAILOPEN_CLIENTS is not set")
	}
	db := database(t)
	p := start(t, faultproxy.Options{Upstream: db.URL(), Map: map[string]string{awsHost: db.URL()}})
	control, err := faultproxy.NewClient(p.ControlURL(), p.TokenFile())
	if err != nil {
		t.Fatal(err)
	}
	const delay = 300 * time.Millisecond
	faults := []struct {
		name string
		rule *fault.Rule
		want string
	}{
		{"before", nil, "ok user"},
		{"denied", rule(fault.Denied("dynamodb")), "error AccessDeniedException"},
		{"throttled", rule(fault.Throttled("dynamodb")), "error ProvisionedThroughputExceededException"},
		{"delayed", rule(fault.Slow("dynamodb", delay, 0)), "ok user"},
		{"reset", rule(fault.Network("dynamodb", fault.Reset)), "error broken"},
		{"black-holed", rule(fault.Network("dynamodb", fault.BlackHole)), "error timeout"},
		{"after", nil, "ok user"},
	}
	for _, c := range []struct {
		name, command string
		connect       bool // through HTTPS_PROXY, as to AWS itself; else the proxy is the endpoint
	}{
		{"python-connect", "FAILOPEN_CLIENT_PYTHON", true},
		{"node-reverse", "FAILOPEN_CLIENT_NODE", false},
		{"go-connect", "FAILOPEN_CLIENT_GO", true},
		{"go-reverse", "FAILOPEN_CLIENT_GO", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			ask := program(t, strings.Fields(os.Getenv(c.command)), environment(p, c.connect))
			for _, f := range faults {
				if f.rule != nil {
					err = control.Set(t.Context(), time.Minute, *f.rule)
				} else {
					err = control.Clear(t.Context())
				}
				if err != nil {
					t.Fatal(err)
				}
				got, took := ask()
				if !strings.HasPrefix(got, f.want) || f.name == "delayed" && took < delay {
					t.Errorf("%s: %q after %v; want %q", f.name, got, took, f.want)
				}
				state, err := control.Faults(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if f.rule != nil && state.Rules[0].Hits == 0 {
					t.Errorf("%s: the proxy has seen nothing", f.name)
				}
			}
		})
	}
}

func rule(r fault.Rule) *fault.Rule { return &r }

// environment is what a program is told, and no file of its own.
func environment(p *faultproxy.Proxy, connect bool) []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "AWS_EC2_METADATA_DISABLED=true", "AWS_REGION=eu-central-1", "AWS_DEFAULT_REGION=eu-central-1",
		"AWS_ACCESS_KEY_ID=" + dynamotest.AccessKey, "AWS_SECRET_ACCESS_KEY=" + dynamotest.SecretKey, "AWS_MAX_ATTEMPTS=1", "AWS_RETRY_MODE=standard",
	}
	for _, e := range p.Environment() {
		if connect == strings.HasPrefix(e, "AWS_ENDPOINT") || !connect && strings.HasPrefix(strings.ToUpper(e), "HTTPS_PROXY") {
			continue
		}
		env = append(env, e)
	}
	return env
}

// program starts one, and returns what makes it ask once.
func program(t *testing.T, args, env []string) func() (string, time.Duration) {
	t.Helper()
	if len(args) == 0 {
		t.Fatal("the environment does not say how it is started")
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env, cmd.Stderr, cmd.WaitDelay = env, os.Stderr, 5*time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close() // which ends it
		defer time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() }).Stop()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return func() (string, time.Duration) {
		began := time.Now()
		if _, err := io.WriteString(in, "\n"); err != nil {
			t.Fatal(err)
		}
		select {
		case line, ok := <-lines:
			if !ok {
				t.Fatal("the program has ended")
			}
			return line, time.Since(began)
		case <-time.After(30 * time.Second):
			t.Fatal("the program does not answer")
			return "", 0
		}
	}
}
