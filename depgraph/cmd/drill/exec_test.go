package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/failopen/failopen/depgraph/drill/faultproxy"
)

// helper is what the programs under drill exec do in tests: this binary, told by
// FAILOPEN_HELPER.
func helper(what string) int {
	switch what {
	case "get": // a GET of the argument through HTTP(S)_PROXY or the endpoint
		resp, err := http.Get(os.Getenv("AWS_ENDPOINT_URL_DYNAMODB"))
		if err != nil {
			fmt.Println("broken")
			return 3
		}
		fmt.Println(resp.StatusCode)
		return 0
	case "flood": // more than a pipe holds, and then how long that took
		began := time.Now()
		os.Stdout.WriteString(strings.Repeat("x", 1<<20))
		fmt.Fprint(os.Stderr, time.Since(began).Milliseconds())
		return 0
	case "wait": // says when it is there, and what signal ends it
		fmt.Println("ready")
		buf := make([]byte, 1)
		os.Stdin.Read(buf)
		return 9
	case "lookup":
		for _, name := range []string{"drill-gone.example", "localhost"} {
			_, err := net.LookupHost(name)
			var dns *net.DNSError
			fmt.Println(name, errors.As(err, &dns) && dns.IsNotFound, err == nil)
		}
		return 0
	}
	return 2
}

// under runs a helper under drill exec.
func under(t *testing.T, what string, flags ...string) (code int, stdout, stderr string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("FAILOPEN_HELPER", what)
	return program(t, append(append([]string{"exec"}, flags...), "--", self)...)
}

func TestExec_faults_reach_the_program(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer service.Close()
	rules := filepath.Join(t.TempDir(), "rules.json")
	if err := os.WriteFile(rules, []byte(`[{"operation":"GET /","error":{"statusCode":503,"code":"Busy"}}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		flags  []string
		code   int
		stdout string
	}{
		"none":    {nil, 0, "200\n"},
		"503":     {[]string{"--rules", rules, "--require-hit"}, 0, "503\n"},
		"reset":   {[]string{"--fault", "reset", "--service", "127.0.0.1"}, 3, "broken\n"},
		"missed":  {[]string{"--fault", "denied", "--service", "sts", "--require-hit"}, 4, "200\n"},
		"unasked": {[]string{"--fault", "denied", "--service", "sts"}, 0, "200\n"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := under(t, "get", append(c.flags, "--upstream", service.URL)...)
			if code != c.code || stdout != c.stdout {
				t.Errorf("exit code %d, %q; want %d, %q\n%s", code, stdout, c.code, c.stdout, stderr)
			}
		})
	}
}

func TestExec_stdout_that_nobody_reads(t *testing.T) {
	const stall = 400 * time.Millisecond
	code, stdout, stderr := under(t, "flood", "--stall-stdout", stall.String())
	took, err := strconv.Atoi(stderr)
	if code != 0 || len(stdout) != 1<<20 || err != nil || took < int(stall.Milliseconds())/2 {
		t.Errorf("exit code %d, %d bytes, blocked for %q ms; want all bytes, and blocked", code, len(stdout), stderr)
	}
}

func TestExec_usage(t *testing.T) {
	for want, args := range map[string][]string{
		"want the program":   {"exec", "--fault", "denied"},
		"want one of denied": {"exec", "--fault", "nothing", "--", "true"},
		"exactly one":        {"exec", "--fault", "denied", "--preset", "throttled", "--", "true"},
		"--map":              {"exec", "--map", "x", "--", "true"},
		"--tunnel":           {"exec", "--tunnel", "x", "--", "true"},
		"--dns is":           {"exec", "--dns", "gone", "--", "true"},
		"--dns-for":          {"exec", "--dns-for", "x.y", "--", "true"},
		"--stall-stdout":     {"exec", "--stall-stdout", "-1s", "--", "true"},
		"unexpected":         {"proxy", "x"},
	} {
		if code, _, stderr := here(t, args...); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%q: exit code %d, %s; want %d with %q", args, code, stderr, exitUsage, want)
		}
	}
	if code, _, stderr := here(t, "exec", "--", "no-such-program-of-ours"); code != exitNotFound || !strings.Contains(stderr, "not found") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if code, _, stderr := here(t, "exec", "--", t.TempDir()); code != exitCannotRun {
		t.Errorf("a folder: exit code %d, %s", code, stderr)
	}
	if code, _, stderr := here(t, "exec", "--listen", "0.0.0.0:0", "--", "true"); code != exitFailed || !strings.Contains(stderr, "loopback") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

// started starts the program and reads its first line.
func started(t *testing.T, env string, args ...string) (*exec.Cmd, *bufio.Reader, string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), "FAILOPEN_DRILL_CHILD=1", "TMPDIR="+t.TempDir(), env) // one that is killed leaves its folder
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil { // which stays open
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	t.Cleanup(func() { kill.Stop(); cmd.Process.Kill(); cmd.Wait() })
	r := bufio.NewReader(out)
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return cmd, r, line
}

func TestExec_signals_are_passed_on(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("it has no signals")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd, _, _ := started(t, "FAILOPEN_HELPER=wait", "exec", "--", self)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitSignal+int(syscall.SIGTERM) {
		t.Errorf("exit code %d; want that of a program that SIGTERM has ended", code)
	}
}

func TestExec_killed_it_takes_the_program_with_it(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd, out, _ := started(t, "FAILOPEN_HELPER=wait", "exec", "--", self)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { _, err := io.Copy(io.Discard, out); done <- err }() // the program holds the pipe open
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Error("the program goes on without its proxy")
	}
}

func TestProxy_rules_are_set_while_it_runs(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer service.Close()
	dir := t.TempDir()
	cmd, out, line := started(t, "", "proxy", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--dir", dir, "--upstream", service.URL)
	env := map[string]string{}
	for {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		env[name] = strings.Trim(value, "'")
		if name == "DRILL_TOKEN_FILE" {
			break
		}
		var err error
		if line, err = out.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	c, err := faultproxy.NewClient(env["DRILL_CONTROL"], env["DRILL_TOKEN_FILE"])
	if err != nil {
		t.Fatal(err)
	}
	rules, err := faultproxy.ParseRules([]byte(`[{"error":{"statusCode":503,"code":"Busy"}}]`))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Set(t.Context(), time.Minute, rules...); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(env["AWS_ENDPOINT_URL_DYNAMODB"])
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 503 {
		t.Errorf("status %d", resp.StatusCode)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Skip(err) // Windows
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("files are left: %v %v", left, err)
	}
}

func TestQuoted(t *testing.T) {
	if got := quoted("a'b $(x)"); got != `'a'\''b $(x)'` {
		t.Error(got)
	}
}

// question asks for a name's address.
func question(name string) []byte {
	q := []byte{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for _, label := range strings.Split(name, ".") {
		q = append(append(q, byte(len(label))), label...)
	}
	return append(q, 0, 0, 1, 0, 1)
}

// anyDNS starts a stub on a port that is free for both protocols: one that is for
// UDP may be taken for TCP.
func anyDNS(o dnsOptions, servers []string) (s *dnsStub, err error) {
	for range 50 {
		if s, err = startDNS(o, servers, "127.0.0.1:0"); err == nil || !errors.Is(err, syscall.EADDRINUSE) {
			return s, err
		}
	}
	return nil, err
}

func TestDNS(t *testing.T) {
	upstream, err := anyDNS(dnsOptions{how: "empty", delay: time.Second}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer upstream.close()
	servers := []string{upstream.udp.LocalAddr().String()}
	ask := func(s *dnsStub, network, name string) []byte {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		answer, err := exchange(ctx, network, s.udp.LocalAddr().String(), question(name))
		if err != nil {
			t.Fatal(err)
		}
		if len(answer) < dnsHeader || !bytes.Equal(answer[:2], question(name)[:2]) || answer[2]&0x80 == 0 {
			t.Fatalf("%x is no answer", answer)
		}
		return answer
	}
	for how, rcode := range map[string]byte{"nxdomain": 3, "servfail": 2, "empty": 0} {
		s, err := anyDNS(dnsOptions{how: how, names: []string{"gone.example"}, delay: time.Second}, servers)
		if err != nil {
			t.Fatal(err)
		}
		for _, network := range []string{"udp", "tcp"} {
			if a := ask(s, network, "Table.GONE.example"); a[3]&15 != rcode || binary.BigEndian.Uint16(a[6:]) != 0 {
				t.Errorf("%s, %s: %x", how, network, a)
			}
			before := upstream.hits.Load()
			ask(s, network, "other.example")
			if upstream.hits.Load() != before+1 {
				t.Errorf("%s, %s: another name was not asked of the machine's server", how, network)
			}
		}
		if s.hits.Load() != 2 {
			t.Errorf("%d hits", s.hits.Load())
		}
		s.close()
	}
	slow, err := anyDNS(dnsOptions{how: "slow", delay: 50 * time.Millisecond}, servers)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.close()
	began := time.Now()
	if ask(slow, "udp", "a.example"); time.Since(began) < 50*time.Millisecond {
		t.Errorf("answered after %v", time.Since(began))
	}
}

func FuzzDNSName(f *testing.F) {
	f.Add(question("a.example"))
	f.Add([]byte{})
	f.Add(append(question("x")[:13], 0xc0, 0x0c))
	f.Fuzz(func(t *testing.T, message []byte) {
		_, end, err := dnsName(message)
		if err == nil {
			if a := dnsFailure(message, end, 3); len(a) != end || a[2]&0x80 == 0 {
				t.Errorf("%x", a)
			}
		}
	})
}

func TestNameServers(t *testing.T) {
	servers, rest := nameServers("# x\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver evil; rm\nsearch a.b\n")
	if strings.Join(servers, " ") != "10.0.0.1:53 [fe80::1%eth0]:53" || strings.Join(rest, "|") != "search a.b" {
		t.Errorf("%q %q", servers, rest)
	}
}

// TestExec_dns needs what drill exec --dns needs; elsewhere the program says so.
func TestExec_dns(t *testing.T) {
	before, err := os.ReadFile(resolvConf)
	if err != nil {
		t.Skip(err)
	}
	code, stdout, stderr := under(t, "lookup", "--dns", "nxdomain", "--dns-for", "example", "--require-hit")
	if code == exitFailed && strings.Contains(stderr, "exec: --dns needs ") && strings.Contains(stderr, "run it as root") || runtime.GOOS != "linux" {
		t.Skip(stderr)
	}
	if code != 0 || !strings.Contains(stdout, "drill-gone.example true false") || !strings.Contains(stdout, "localhost false true") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	if after, err := os.ReadFile(resolvConf); err != nil || !bytes.Equal(before, after) {
		t.Errorf("%s is another one: %q %v", resolvConf, after, err)
	}
}

// A second proxy in a folder would replace what the first one's clients need.
func TestExec_folder_in_use(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	release, err := claim(dir)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := claim(dir); err == nil {
		again()
		release()
		t.Skip("folders have no locks here")
	}
	for _, verb := range [][]string{{"exec", "--dir", dir, "--", "true"}, {"proxy", "--dir", dir, "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"}} {
		if code, _, stderr := here(t, verb...); code != exitFailed || !strings.Contains(stderr, "another drill proxy uses "+dir) {
			t.Errorf("%s: exit code %d, %s", verb[0], code, stderr)
		}
	}
	release()
	for range 2 {
		if code, _, stderr := here(t, "exec", "--dir", dir, "--", "true"); code != 0 {
			t.Errorf("exit code %d, %s", code, stderr)
		}
	}
}
