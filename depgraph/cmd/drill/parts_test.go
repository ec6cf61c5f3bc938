package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/revoke"
	"github.com/failopen/failopen/depgraph/internal/cli"
)

func TestLength(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Second: "1s", 30 * time.Second: "30s", 10 * time.Minute: "10m", 90 * time.Second: "1m30s", time.Minute: "1m", time.Hour: "1h", 7*time.Hour + 22*time.Minute: "7h22m", time.Hour + time.Second: "1h0m1s",
		10 * time.Hour: "10h", 20 * time.Minute: "20m", 250 * time.Millisecond: "250ms",
	} {
		if got := length(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestBar(t *testing.T) {
	for part, full := range map[float64]int{0: 0, 0.02: 0, 0.025: 1, 0.5: 10, 0.97: 19, 0.98: 20, 1: 20, -1: 0, 5: 20, math.MaxFloat64: 20} { // the last three are of a journal that was edited
		if got, want := bar(part), strings.Repeat("█", full)+strings.Repeat("·", 20-full); got != want {
			t.Errorf("%v: %q, want %q", part, got, want)
		}
	}
}

func TestOneOf(t *testing.T) {
	words := []string{"a", "b", "c"}
	if err := oneOf("-f", "b", words); err != nil {
		t.Error(err)
	}
	for words, want := range map[string]string{"a b c": `-f is "x"; want a, b or c`, "a b": `-f is "x"; want a or b`} {
		if err := oneOf("-f", "x", strings.Fields(words)); err == nil || err.Error() != want {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestGiven(t *testing.T) {
	if n := given(); n != 0 {
		t.Errorf("%d of none", n)
	}
	if n := given("", "long", "", "x"); n != 2 {
		t.Errorf("%d, want 2", n)
	}
}

func TestOnce(t *testing.T) {
	var list []string
	for _, s := range []string{"b", "a", "b", "", "", "a"} {
		list = once(list, s)
	}
	if !slices.Equal(list, []string{"b", "a", ""}) {
		t.Errorf("%q", list)
	}
}

func TestIAMRegion(t *testing.T) {
	for arn, want := range map[string]string{
		revokedRole: "us-east-1", "arn:aws-cn:dynamodb:cn-northwest-1:1:table/x": "cn-north-1", "arn:aws-us-gov:iam::1:role/x": "us-gov-west-1", "arn:aws-iso:iam::1:role/x": "us-east-1",
	} {
		if got := iamRegion(arn); got != want {
			t.Errorf("%s: %q, want %q", arn, got, want)
		}
	}
}

func TestExitCode_in_logs_of_tests(t *testing.T) {
	if got := exitCode(4).Error(); got != "exit code 4" {
		t.Error(got)
	}
}

// A file's name is the same for the same edge, another one for another, and
// nothing but letters, digits and dashes.
func TestPlanName(t *testing.T) {
	seen := map[string]string{}
	for _, edge := range [][2]string{
		{"shop", "prices"},
		{"Shop", "prices"},
		{"shop ", "prices"},
		{"shop", "prices-without-x"},
		{"shop-without-prices", "x"},
		{"../../etc", "passwd"},
		{"", ""},
		{"-rf", "x"},
		{"東京", "大阪"},
		{"京都", "大阪"},
		{"a\x00b", "c"},
		{"a", "b\x00c"},
		{strings.Repeat("n", 200), "x"},
	} {
		name := planName(drill.Planned{Service: edge[0], Dependency: edge[1]})
		if other, ok := seen[name]; ok {
			t.Errorf("%q and %s have the name %q", edge, other, name)
		}
		seen[name] = fmt.Sprintf("%q", edge)
		if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || strings.HasPrefix(name, "-") {
			t.Errorf("%q: %q", edge, name)
		}
	}
	if got := planName(drill.Planned{Service: "shop", Dependency: "prices"}); got != "shop-without-prices" {
		t.Errorf("a plain one: %q", got)
	}
}

// digest is that of a fault's rules in a proof.
func digest(t *testing.T, rules any) string {
	t.Helper()
	text, err := json.Marshal(rules)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func TestFaultOf(t *testing.T) {
	for _, service := range []string{"prices", "dynamodb", "sts"} {
		for _, f := range drill.Faults(service) {
			if got := faultOf(depgraph.Proof{Dependency: "prices", Rules: digest(t, f.Rules)}); got != f.Name {
				t.Errorf("%s of %s: %q", f.Name, service, got)
			}
		}
	}
	for rules, want := range map[string]string{"sha256:0123456789abcdef": "rules sha256:01234567", "sha256:01": "rules sha256:01", "": "rules "} {
		if got := faultOf(depgraph.Proof{Dependency: "prices", Rules: rules}); got != want {
			t.Errorf("%q: %q, want %q", rules, got, want)
		}
	}
}

func TestSoftCells(t *testing.T) {
	services, err := depgraph.ParseManifest("m.yaml", []byte("service: shop\ndepends:\n  - on: prices\n    soft: true\n  - on: ads\n    soft: true\n  - on: stock\n---\nservice: prices\n---\nservice: ads\n---\nservice: stock\n"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := depgraph.Compile(services, depgraph.Options{})
	if err != nil {
		t.Fatal(err)
	}
	proof := func(on, verdict string, hits int64) depgraph.Proof {
		return depgraph.Proof{Service: "shop", Dependency: on, Verdict: verdict, Hits: hits, Rules: "sha256:00000000"}
	}
	const why = "declared soft in m.yaml:3; the test's output says more"
	for name, c := range map[string]struct {
		proofs   []depgraph.Proof
		cells    []drill.Cell
		untested []string
	}{
		"none":               {nil, nil, []string{"ads", "prices"}},
		"held":               {[]depgraph.Proof{proof("prices", "held", 1)}, []drill.Cell{{Dependency: "shop -> prices", Fault: "rules sha256:00000000", Verdict: drill.Held}}, []string{"ads"}},
		"held by nothing":    {[]depgraph.Proof{proof("prices", "held", 0)}, []drill.Cell{{Dependency: "shop -> prices", Fault: "rules sha256:00000000", Verdict: drill.Void, Reason: why}}, []string{"ads", "prices"}},
		"deviated":           {[]depgraph.Proof{proof("prices", "deviated", 0)}, []drill.Cell{{Dependency: "shop -> prices", Fault: "rules sha256:00000000", Verdict: drill.Deviated, Reason: why}}, []string{"ads"}},
		"aborted":            {[]depgraph.Proof{proof("prices", "aborted", 3)}, []drill.Cell{{Dependency: "shop -> prices", Fault: "rules sha256:00000000", Verdict: drill.Aborted, Reason: why}}, []string{"ads", "prices"}},
		"of a later version": {[]depgraph.Proof{proof("prices", "shrugged", 3)}, nil, []string{"ads", "prices"}},
		"about a hard one":   {[]depgraph.Proof{proof("stock", "deviated", 3)}, nil, []string{"ads", "prices"}},
		"about another":      {[]depgraph.Proof{{Service: "till", Dependency: "prices", Verdict: "held", Hits: 1, Rules: "x"}}, nil, []string{"ads", "prices"}},
	} {
		cells, untested := softCells(g, c.proofs)
		var names []string
		for _, e := range untested {
			names = append(names, e.To)
		}
		if !slices.Equal(cells, c.cells) || !slices.Equal(names, c.untested) {
			t.Errorf("%s: %+v, untested %q; want %+v, %q", name, cells, names, c.cells, c.untested)
		}
	}
}

func TestRecorded(t *testing.T) {
	dir := t.TempDir()
	if all, err := recorded(filepath.Join(dir, "none")); all != nil || err != nil {
		t.Errorf("no file: %v, %v", all, err)
	}
	file := filepath.Join(dir, depgraph.ProofFile)
	for _, on := range []string{"b", "a"} {
		if _, err := depgraph.AppendProof(file, depgraph.Proof{Service: "s", Dependency: on, Verdict: "held", Hits: 1, Rules: "sha256:" + strings.Repeat("0", 64), At: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := recorded(file)
	if err != nil || len(all) != 2 || all[0].Dependency != "b" || all[1].Dependency != "a" {
		t.Errorf("%+v, %v", all, err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(text, "{\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := recorded(file); err == nil || !strings.Contains(err.Error(), file+":3") {
		t.Errorf("a line that is cut off: %v", err)
	}
}

func TestReadFile_bounds(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(mostRead + 1); err != nil { // it has holes
		t.Skip(err)
	}
	if _, err := readFile(name); err == nil || err.Error() != name+": is larger than 64 MB" {
		t.Errorf("one byte too many: %v", err)
	}
	if err := f.Truncate(3); err != nil {
		t.Fatal(err)
	}
	if text, err := readFile(name); err != nil || len(text) != 3 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	if _, err := readFile(filepath.Dir(name)); err == nil || !strings.Contains(err.Error(), "want a regular file") {
		t.Errorf("a folder: %v", err)
	}
}

func TestDNSOptions_matches(t *testing.T) {
	for _, c := range []struct {
		names []string
		name  string
		want  bool
	}{
		{nil, "anything.example", true},
		{[]string{"example"}, "example", true},
		{[]string{"example"}, "a.b.EXAMPLE.", true},
		{[]string{"example"}, "notexample", false},
		{[]string{"example"}, "example.com", false},
		{[]string{".Example."}, "x.example", true},
		{[]string{"a.example", "b.example"}, "b.example", true},
		{[]string{"a.example"}, "example", false},
	} {
		d := dnsOptions{how: "nxdomain", names: slices.Clone(c.names), delay: time.Second}
		if err := d.check(); err != nil {
			t.Fatal(err)
		}
		if got := d.matches(c.name); got != c.want {
			t.Errorf("%q of %q: %v", c.name, c.names, got)
		}
	}
}

// A question whose servers are all gone is answered with SERVFAIL, as a resolver
// would; what is no question is not answered at all.
func TestDNS_without_servers(t *testing.T) {
	gone, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	s := &dnsStub{o: dnsOptions{how: "nxdomain", names: []string{"gone.example"}}, servers: []string{gone.LocalAddr().String()}, ctx: t.Context()}
	for _, network := range []string{"udp", "tcp"} {
		if a := s.answer(question("other.example"), network); len(a) < dnsHeader || a[3]&15 != rcodeServFail {
			t.Errorf("%s: %x", network, a)
		}
	}
	s.servers = nil
	if a := s.answer(question("other.example"), "udp"); len(a) < dnsHeader || a[3]&15 != rcodeServFail {
		t.Errorf("none at all: %x", a)
	}
	answer := question("x")
	answer[2] |= 0x80
	two := question("x")
	two[5] = 2
	for name, message := range map[string][]byte{
		"nothing": nil, "a header": question("x")[:dnsHeader], "an answer": answer, "two questions": two, "no type": question("x")[:dnsHeader+3],
		"a compressed name": append(question("x")[:dnsHeader:dnsHeader], 0xc0, 0x0c, 0, 1, 0, 1), "a name without end": append(question("x")[:dnsHeader:dnsHeader], 5, 'a'),
		"a label of 64 letters": question(strings.Repeat("a", 64) + ".example"), "a name of 300 letters": question(strings.Repeat("abcdefghi.", 30) + "x"),
	} {
		if a := s.answer(message, "udp"); a != nil {
			t.Errorf("%s is answered: %x", name, a)
		}
	}
	if s.hits.Load() != 0 {
		t.Errorf("%d hits", s.hits.Load())
	}
}

func TestReadDNS_cut_off(t *testing.T) {
	for name, text := range map[string]string{"nothing": "", "half a length": "\x00", "half a message": "\x00\x05ab"} {
		client, server := net.Pipe()
		go func() { _, _ = client.Write([]byte(text)); client.Close() }()
		if message, err := readDNS(server); err == nil {
			t.Errorf("%s: %q", name, message)
		}
		server.Close()
	}
}

func TestPrivateResolvConf(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	name, err := privateResolvConf(&net.UDPAddr{IP: net.IPv4(127, 0, 53, 2), Port: 53}, []string{"search a.b", "options ndots:2"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	const want = "# written by drill exec --dns\nnameserver 127.0.53.2\nsearch a.b\noptions ndots:2\n"
	if err != nil || string(text) != want {
		t.Errorf("%q, %v; want %q", text, err, want)
	}
	if info, err := os.Stat(name); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "gone"))
	if _, err := privateResolvConf(&net.UDPAddr{IP: net.IPv4(127, 0, 53, 2), Port: 53}, nil); err == nil {
		t.Error("written to a folder that is not there")
	}
}

// The summary is bounded, and says of each rule whether it has hit.
func TestExec_summary(t *testing.T) {
	var rules []string
	for i := range 23 {
		rules = append(rules, fmt.Sprintf(`{"service":"s%d.example","net":"reset"}`, i))
	}
	file := filepath.Join(t.TempDir(), "rules.json")
	if err := os.WriteFile(file, []byte("["+strings.Join(rules, ",")+"]"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := here(t, "exec", "--rules", file, "--", "true")
	lines := strings.Split(stderr, "\n")
	if code != 0 || stdout != "" || len(lines) != 23 ||
		lines[0] != "drill proxy: 0 requests, 0 tunnels, 0 of them faulted; 0 errors of upstreams, 0 bad requests, 0 connections turned away" ||
		lines[1] != `drill proxy: hit 0 times, never: {"service":"s0.example","net":"reset"}` || lines[21] != "drill proxy: and 3 more rules" {
		t.Errorf("exit code %d, %q, %d lines\n%s", code, stdout, len(lines), stderr)
	}
	if code, _, stderr := here(t, "exec", "--rules", file, "--require-hit", "--", "true"); code != int(drill.Void) || !strings.HasSuffix(stderr, "drill exec: void: the program has ended well, and no fault was seen to hit it: nothing is proven\n") {
		t.Errorf("nothing was hit: exit code %d\n%s", code, stderr)
	}
	if code, _, stderr := here(t, "exec", "--rules", file, "--require-hit", "--", "false"); code != 1 || strings.Contains(stderr, "void") {
		t.Errorf("a program that fails, and nothing was hit: exit code %d\n%s", code, stderr)
	}
}

// One's own revocation is undone before the next; somebody else's is waited for.
func TestFinishOthers(t *testing.T) {
	plan := func(began time.Duration, table string) revoke.Plan {
		p, err := revoke.NewPlan(revoke.Options{Role: revokedRole, Table: table, For: time.Minute, Lead: time.Second}, time.Now().Add(began))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	next := plan(0, revokedTable)
	for name, c := range map[string]struct {
		old  revoke.Plan
		want string
	}{
		"of another table and role": {func() revoke.Plan {
			p := plan(0, revokedTable+"2")
			p.Role += "2"
			return p
		}(), ""},
		"open on the same table":    {plan(0, revokedTable), "goes on until"},
		"open for the same role":    {plan(0, revokedTable+"2"), "goes on until"},
		"over, without credentials": {plan(-time.Hour, revokedTable), "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set"},
		"over, of nobody's concern": {func() revoke.Plan {
			p := plan(-time.Hour, revokedTable+"2")
			p.Role += "2"
			return p
		}(), ""},
	} {
		t.Setenv("AWS_ACCESS_KEY_ID", "")
		journal := t.TempDir()
		text, err := json.Marshal(map[string]any{"version": 1, "plan": c.old})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(journal, c.old.ID+".revocation.json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		var errs bytes.Buffer
		err = (&command{ctx: t.Context(), stderr: &cli.Output{To: &errs}}).finishOthers(next, journal)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q; %s", name, err, c.want, errs.String())
		}
	}
}

func TestCredentials(t *testing.T) {
	for _, missing := range []string{"X_AWS_ACCESS_KEY_ID", "X_AWS_SECRET_ACCESS_KEY"} {
		t.Setenv("X_AWS_ACCESS_KEY_ID", "key")
		t.Setenv("X_AWS_SECRET_ACCESS_KEY", "hunter2")
		t.Setenv(missing, "")
		if _, err := credentials("X_"); err == nil || err.Error() != "X_AWS_ACCESS_KEY_ID and X_AWS_SECRET_ACCESS_KEY must be set" {
			t.Errorf("without %s: %v", missing, err)
		}
	}
	t.Setenv("X_AWS_ACCESS_KEY_ID", "key")
	t.Setenv("X_AWS_SECRET_ACCESS_KEY", "hunter2")
	t.Setenv("X_AWS_SESSION_TOKEN", "token")
	provider, err := credentials("X_")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := provider.Retrieve(t.Context()); err != nil || got.AccessKeyID != "key" || got.SecretAccessKey != "hunter2" || got.SessionToken != "token" {
		t.Errorf("%+v, %v", got, err)
	}
}

// An emulator without STS must not make AWS's own be asked.
func TestEmulatedWithoutSTS(t *testing.T) {
	for _, c := range []struct {
		dynamodb, iam, sts string
		want               bool
	}{{"", "", "", false}, {"http://x", "", "", true}, {"", "http://x", "", true}, {"http://x", "http://x", "http://x", false}, {"", "", "http://x", false}} {
		t.Setenv("AWS_ENDPOINT_URL_DYNAMODB", c.dynamodb)
		t.Setenv("AWS_ENDPOINT_URL_IAM", c.iam)
		t.Setenv("AWS_ENDPOINT_URL_STS", c.sts)
		if got := emulatedWithoutSTS(); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestJournalFlag(t *testing.T) {
	c := &command{verb: verb{name: "x"}}
	fs := c.flags()
	folder := journalFlag(fs)
	t.Setenv("HOME", "/home/x")
	t.Setenv("XDG_CACHE_HOME", "/cache")
	if dir, err := folder(); runtime.GOOS == "linux" && (dir != "/cache/failopen-drill" || err != nil) {
		t.Errorf("%q, %v", dir, err)
	}
	t.Setenv("HOME", "")
	t.Setenv("XDG_CACHE_HOME", "")
	if dir, err := folder(); runtime.GOOS == "linux" && (err == nil || !strings.Contains(err.Error(), "name one with --journal")) {
		t.Errorf("%q, %v", dir, err)
	}
	if err := fs.Parse([]string{"--journal", "here"}); err != nil {
		t.Fatal(err)
	}
	if dir, err := folder(); dir != "here" || err != nil {
		t.Errorf("%q, %v", dir, err)
	}
}

// Where a process writes, and what its log is: a pipe can stop it.
func TestDoctor_pipes(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it looks into /proc")
	}
	t.Setenv("DRILL_CONTROL", "")
	fifo := filepath.Join(t.TempDir(), "log")
	if err := exec.CommandContext(t.Context(), "mkfifo", fifo).Run(); err != nil {
		t.Skip(err)
	}
	code, out, _ := here(t, "doctor", "--log", fifo)
	want := "warn  log            " + fifo + " is a pipe: when its reader stops, 64 KiB later every log call blocks\n" +
		"                       -> " + blocking + "\n\n0 ok, 1 warnings, 0 failed\n"
	if code != 0 || out != want {
		t.Errorf("a named pipe: exit code %d\n%s\nwant\n%s", code, out, want)
	}
	if code, out, _ := here(t, "doctor", "--log", "/dev/zero"); code != 0 || !strings.HasPrefix(out, "warn  log            /dev/zero is a D") {
		t.Errorf("a device: exit code %d\n%s", code, out)
	}
	child := exec.CommandContext(t.Context(), "sleep", "60")
	if _, err := child.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Skip(err)
	}
	defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
	code, out, _ = here(t, "doctor", "--pid", strconv.Itoa(child.Process.Pid))
	want = "warn  stdout         it goes to a pipe: when its reader stops, the service blocks in the next write that does not fit\n" +
		"                       -> " + blocking + "\n" +
		"ok    stderr         it goes to /dev/null\n\n1 ok, 1 warnings, 0 failed\n"
	if code != 0 || out != want {
		t.Errorf("a process: exit code %d\n%s\nwant\n%s", code, out, want)
	}
	if code, out, _ := here(t, "doctor", "--pid", "2147483647"); code != 0 || !strings.HasSuffix(out, "\n0 ok, 2 warnings, 0 failed\n") {
		t.Errorf("no process: exit code %d\n%s", code, out)
	}
}
