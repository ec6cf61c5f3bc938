package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/failopen/failopen/cache/dynamo/dynamotest"
	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/presets"
	"github.com/failopen/failopen/depgraph/internal/cli"
	"github.com/failopen/failopen/depgraph/internal/rounds"
)

// TestMain lets the test binary be the program, which a verb in virtual time
// needs: it ends its process.
func TestMain(m *testing.M) {
	// The hidden verb of drill exec --dns, too: as a run of tests it would start
	// itself again and again.
	if os.Getenv("FAILOPEN_DRILL_CHILD") != "" || len(os.Args) > 1 && os.Args[1] == insideVerb {
		what := os.Getenv("FAILOPEN_HELPER")
		if what != "" && len(os.Args) == 1 { // a program under drill exec
			os.Exit(helper(what))
		}
		main()
	}
	os.Exit(m.Run())
}

// program runs the program in a process of its own.
func program(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), "FAILOPEN_DRILL_CHILD=1")
	var out, diag bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diag
	err = cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), diag.String()
}

// here runs the program in this process.
func here(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, diag bytes.Buffer
	code = run(t.Context(), args, &out, &diag)
	return code, out.String(), diag.String()
}

// outageWatch is two minutes, and less under the race detector.
func outageWatch() time.Duration { return time.Duration(rounds.Of(120)) * time.Second }

// outage writes a preset of outageWatch.
func outage(t *testing.T, rules string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mine.json")
	text := `{"version":1,"name":"mine","title":"mine","facts":["f"],"dependency":"dynamodb","watch":"` + outageWatch().String() + `","recovery":"30s","rules":` + rules + `}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const denied = `[{"service":"dynamodb","error":{"code":"AccessDeniedException"}}]`

func TestRun_verdicts_are_exit_codes(t *testing.T) {
	denied := outage(t, denied)
	misspelt := outage(t, `[{"service":"dynamdb","error":{"code":"AccessDeniedException"}}]`)
	for name, c := range map[string]struct {
		args []string
		want drill.Verdict
	}{
		"held":     {[]string{"run", "--file", denied}, drill.Held},
		"deviated": {[]string{"run", "--file", denied, "--target", "naive"}, drill.Deviated},
		"void":     {[]string{"run", "--file", misspelt}, drill.Void},
	} {
		// In virtual time: on a machine that stands still the verdict is another one.
		synctest.Test(t, func(t *testing.T) {
			code, stdout, stderr := here(t, append(c.args, "--short", "--watch", "1s", "-f", "json")...)
			var r struct {
				Verdict       string           `json:"verdict"`
				Phases        []map[string]any `json:"phases"`
				Invariants    []map[string]any `json:"invariants"`
				FaultObserved bool             `json:"fault_observed"`
			}
			if err := json.Unmarshal([]byte(stdout), &r); err != nil {
				t.Errorf("%s: %v\n%s%s", name, err, stdout, stderr)
				return
			}
			if code != int(c.want) || r.Verdict != c.want.String() || len(r.Phases) != 3 || len(r.Invariants) < 5 || r.FaultObserved != (c.want != drill.Void) {
				t.Errorf("%s: exit code %d, %+v; want %s", name, code, r, c.want)
			}
			if !strings.Contains(stderr, "steady\n") || !strings.Contains(stderr, "recovery\n") {
				t.Errorf("%s: no progress: %q", name, stderr)
			}
		})
	}
}

// The windows of rules in a file are those of --watch, and shrink with it by
// --short alone.
func TestRun_windows_of_rules_in_a_file(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rules.json")
	if err := os.WriteFile(file, []byte(`[{"service":"dynamodb","net":"reset","from":"1s","until":"3s"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	for flags, want := range map[string][2]time.Duration{
		"--watch 4s":         {time.Second, 3 * time.Second},
		"--watch 8s --short": {time.Second / 2, 3 * time.Second / 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			code, stdout, stderr := here(t, append([]string{"run", "--rules", file, "-f", "json"}, strings.Fields(flags)...)...)
			var r drill.Report
			if err := json.Unmarshal([]byte(stdout), &r); err != nil {
				t.Fatalf("%s: %v\n%s%s", flags, err, stdout, stderr)
			}
			if got, want := fmt.Sprint(r.Fault.Rules), fmt.Sprintf("[map[from:%v net:reset service:dynamodb until:%v]]", want[0], want[1]); got != want {
				t.Errorf("%s: the rules were %s; want %s", flags, got, want)
			}
			if code != int(drill.Held) || !r.FaultObserved {
				t.Errorf("%s: exit code %d, %s", flags, code, r.Sentence())
			}
		})
	}
}

func TestReplay(t *testing.T) {
	dir := t.TempDir()
	file := outage(t, denied)
	code, stdout, stderr := program(t, "replay", file, "-o", dir)
	if code != 0 || !strings.Contains(stdout, fmt.Sprintf("watch         %5.1f", outageWatch().Seconds())) || !strings.HasSuffix(stdout, " s.\n") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	for _, name := range []string{"drill.json", "drill.md", "drill.html", "drill.svg"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() < 500 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	code, again, _ := here(t, "report", filepath.Join(dir, "drill.json"))
	if code != 0 || again != stdout {
		t.Errorf("the journal is rendered as\n%s\nwant\n%s", again, stdout)
	}
	if code, out, _ := program(t, "replay", file, "--target", "naive", "-f", "markdown"); code != 1 || !strings.Contains(out, "**no**") {
		t.Errorf("naive: exit code %d\n%s", code, out)
	}
}

func TestCommand_says_what_is_wrong(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.json")
	if err := os.WriteFile(broken, []byte(`{"version":1,`), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]struct {
		code int
		text string
	}{
		"rnu":                                  {64, `unknown verb "rnu"; want one of run, replay`},
		"run":                                  {64, "exactly one of --preset, --file"},
		"run --preset iam-revokd":              {64, `no preset "iam-revokd"; want one of 2020-11-25-logs`},
		"run --preset throttled x":             {64, `unexpected argument "x"`},
		"run --preset throttled -f xml":        {64, `-f is "xml"; want text`},
		"run --preset throttled --target good": {64, `--target is "good"`},
		"run --preset throttled --watch 0s":    {64, "--watch is 0s"},
		"run --bogus":                          {64, "see drill help run"},
		"run --file /nonexistent.json":         {65, "/nonexistent.json"},
		"run --file " + broken:                 {65, broken + ": preset: line 1"},
		"run --fault denied --rate 5":          {64, "--rate is for a service of yours"},
		"infer --budget 1ms":                   {64, "--budget is for a service of yours"},
		"run --url http://127.0.0.1:1/ --control http://127.0.0.1:1 --token-file x --fault denied --rate NaN":  {64, "--rate is NaN"},
		"run --url http://127.0.0.1:1/ --control http://127.0.0.1:1 --token-file x --fault denied --least nan": {64, "--least is NaN"},
		"replay":           {64, "want a preset or a file"},
		"report":           {64, "want the file"},
		"report " + broken: {65, broken + ": drill: the journal"},
		"presets none":     {64, `no preset "none"`},
	} {
		code, stdout, stderr := here(t, strings.Fields(args)...)
		if code != want.code || !strings.Contains(stderr, want.text) || stdout != "" {
			t.Errorf("drill %s: exit code %d, %q, %q; want %d and %q", args, code, stdout, stderr, want.code, want.text)
		}
	}
}

func TestHelp_teaches(t *testing.T) {
	for _, args := range [][]string{nil, {"help"}, {"--help"}} {
		if code, out, _ := here(t, args...); code != 0 || !strings.Contains(out, "drill run --preset iam-revoked --short") {
			t.Errorf("%v: %d\n%s", args, code, out)
		}
	}
	for _, v := range verbs() {
		code, out, stderr := here(t, "help", v.name)
		if code != 0 || !strings.HasPrefix(out, "drill "+v.name) || stderr != "" {
			t.Errorf("help %s: %d, %q\n%s", v.name, code, stderr, out)
		}
	}
	_, out, _ := here(t, "presets")
	if got, want := strings.Count(out, "\n"), len(presets.All()); got != want {
		t.Errorf("%d lines for %d presets\n%s", got, want, out)
	}
	_, out, _ = here(t, "presets", "2021-12-07-dynamodb")
	for _, want := range []string{"07:30 to 14:22 PST", "https://aws.amazon.com/message/12721/", `"until":"10m0s"`} {
		if !strings.Contains(out, want) {
			t.Errorf("want %q in\n%s", want, out)
		}
	}
}

// From a declaration to a required check: of two services that are declared
// soft, the drill proves one and disproves the other, with a short test.
func TestProof_from_declaration_to_check(t *testing.T) {
	dir := t.TempDir()
	manifest := filepath.Join(dir, "depgraph.yaml")
	text := "service: failopen\ndepends:\n  - on: dynamodb\n    soft: true\n---\nservice: naive\ndepends:\n  - on: dynamodb\n    soft: true\n  - on: payments\n---\nservice: dynamodb\n---\nservice: payments\n"
	if err := os.WriteFile(manifest, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, stderr := here(t, "plan", "-d", dir, "-o", filepath.Join(dir, "drills"))
	if code != 0 || !strings.Contains(out, "must hold     naive -> dynamodb  ("+manifest+":8)  untested") || !strings.Contains(out, "must deviate  naive -> payments") || !strings.HasSuffix(out, "2 soft dependencies to prove, 1 hard ones\n") {
		t.Errorf("plan: %d\n%s%s", code, out, stderr)
	}
	for _, name := range []string{"failopen-without-dynamodb.json", "naive-without-dynamodb.json"} {
		data, err := os.ReadFile(filepath.Join(dir, "drills", name))
		if err != nil {
			t.Fatal(err)
		}
		if p, err := presets.Parse(data); err != nil || len(p.Rules) != 2 {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}

	proofs := filepath.Join(dir, depgraph.ProofFile)
	if code, out, stderr := program(t, "replay", outage(t, denied), "--proof", proofs); code != 0 || !strings.Contains(stderr, "failopen without dynamodb: held; refer to it as evidence: dynamodb@") {
		t.Errorf("%d\n%s%s", code, out, stderr)
	}
	code, _, stderr = program(t, "replay", outage(t, `[{"service":"dynamodb","operation":"*GetItem","net":"corrupt"}]`), "--target", "naive", "--proof", proofs, "-o", dir)
	test, err := os.ReadFile(filepath.Join(dir, "reproduction_test.go.txt"))
	if code != 1 || err != nil || !strings.HasSuffix(stderr, string(test)) || strings.Count(string(test), "\n") > 15 || !strings.Contains(string(test), "func Test_naive_without_dynamodb") {
		t.Errorf("%d, %v\n%s", code, err, stderr)
	}

	g, err := depgraph.Load(t.Context(), depgraph.LoadOptions{Paths: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	known, err := depgraph.LoadProofs(proofs)
	if err != nil {
		t.Fatal(err)
	}
	findings, err := g.Check(t.Context(), depgraph.CheckOptions{Only: []string{"DG012"}, Proofs: known, RequireProof: 90 * 24 * time.Hour})
	if err != nil || len(findings) != 1 || findings[0].Severity != depgraph.Error || findings[0].At.String() != manifest+":8" || !strings.Contains(findings[0].Message, "disproves it") {
		t.Errorf("%+v, %v; want one error at %s:8", findings, err, manifest)
	}
	if _, out, _ := here(t, "plan", "-d", dir); !strings.Contains(out, "failopen -> dynamodb  ("+manifest+":3)  proven\n") || !strings.Contains(out, "disproved: the proof") {
		t.Errorf("plan:\n%s", out)
	}
}

const (
	revokedRole  = "arn:aws:iam::123456789012:role/app"
	revokedTable = "arn:aws:dynamodb:us-east-1:123456789012:table/sessions"
)

// A proof of something else than was cut is refused before anything is.
func TestProof_is_about_what_is_cut(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	other := outage(t, `[{"service":"dynamodb","net":"reset"},{"service":"origin","latency":{"base":"1ms"}}]`)
	whatever := outage(t, `[{"service":"*","net":"reset"}]`)
	proof := filepath.Join(dir, "proofs.jsonl")
	for name, args := range map[string][]string{
		"a rule about another service": {"run", "--file", other, "--short", "--proof", proof},
		"a replay of such":             {"replay", other, "--proof", proof},
		"a rule about any":             {"replay", whatever, "--proof", proof},
		"rules of a file":              {"run", "--rules", write("rules.json", `[{"service":"origin","net":"reset"}]`), "--proof", proof},
		"a folder that is not there":   {"run", "--fault", "denied", "--short", "--proof", filepath.Join(dir, "not there", "proofs.jsonl")},
		"a file of something else":     {"replay", "iam-revoked", "--proof", write("other.jsonl", "something else\n")},
	} {
		began := time.Now()
		if code, stdout, stderr := here(t, args...); code < exitUsage || !strings.Contains(stderr, "--proof") || stdout != "" {
			t.Errorf("%s: exit code %d after %v\n%s%s", name, code, time.Since(began), stdout, stderr)
		}
	}
	if _, err := os.Stat(proof); err == nil {
		t.Error("a proof was written")
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

// What cannot be written is not taken for written.
func TestCommand_full_disk(t *testing.T) {
	for _, args := range [][]string{{}, {"help", "run"}, {"presets"}, {"presets", "iam-revoked"}, {"plan", "-d", "../../../examples"}, {"matrix", "-d", "../../../examples"}} {
		var diag bytes.Buffer
		if code := run(t.Context(), args, full{}, &diag); code != exitFailed || !strings.Contains(diag.String(), "no space left") {
			t.Errorf("%q: exit code %d, %q", args, code, diag.String())
		}
	}
}

// Without --confirm nothing is changed, and AWS is not called: there is no
// endpoint that could be.
func TestRevoke_dry_run(t *testing.T) {
	t.Setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")
	for _, args := range [][]string{
		{"--for", "5m", "--offline"}, {"--for", "5m"}, {"--offline", "--confirm", "app/sessions"}, {"--via", "role-policy"}, {"--via", "session"},
	} {
		code, out, stderr := here(t, append([]string{"revoke", "--role", revokedRole, "--table", revokedTable}, args...)...)
		if code != 0 || stderr != "" || !strings.HasPrefix(out, "Dry run: nothing is changed") || !strings.Contains(out, `"Effect":"Deny"`) || !strings.Contains(out, "Its operator needs no more than this policy") {
			t.Errorf("%v: %d, %q\n%s", args, code, stderr, out)
		}
	}
	for want, args := range map[string][]string{
		`it must be "app/sessions"`: {"--confirm", "app"},
		"a whole account":           {"--via", "scp"},
		"For is 2h0m0s":             {"--for", "2h"},
		"to run in it, after --":    {"--via", "session", "--confirm", "app/sessions"},
		"not among those":           {"--accounts", "1,2"},
		"AWS_ACCESS_KEY_ID and":     {"--confirm", "app/sessions", "--journal", t.TempDir()},
	} {
		t.Setenv("AWS_ACCESS_KEY_ID", "")
		code, out, stderr := here(t, append([]string{"revoke", "--role", revokedRole, "--table", revokedTable}, args...)...)
		if code < 64 || out != "" || !strings.Contains(stderr, want) {
			t.Errorf("%v: %d, %q, %q; want %q", args, code, out, stderr, want)
		}
	}
}

// Interrupted in the window, the program undoes what it has written.
func TestRevoke_is_undone(t *testing.T) {
	var ahead atomic.Int64 // the service's clock: it allows one change of a policy in 15 s
	server := dynamotest.New(dynamotest.Options{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	const all = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
	for _, p := range []dynamotest.Principal{
		{AccessKey: "OPERATOR", SecretKey: "s", Policies: []string{all}},
		{AccessKey: "APP", SecretKey: "s", SessionToken: "t", ARN: "arn:aws:sts::123456789012:assumed-role/app/i-1", Policies: []string{all}},
	} {
		if err := server.SetPrincipal(p); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_DYNAMODB": server.URL(), "AWS_ACCESS_KEY_ID": "OPERATOR", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "",
		"PROBE_AWS_ACCESS_KEY_ID": "APP", "PROBE_AWS_SECRET_ACCESS_KEY": "s", "PROBE_AWS_SESSION_TOKEN": "t",
	} {
		t.Setenv(name, value)
	}
	api, err := client("", revokedTable)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("sessions"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("key"), AttributeType: "S"}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("key"), KeyType: "HASH"}},
		Tags:                 []types.Tag{{Key: aws.String("failopen-drill"), Value: aws.String("allowed")}},
	}); err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out := &watched{at: "Ctrl-C ends it early", then: func() {
		ahead.Store(int64(20 * time.Second))
		interrupt()
	}}
	dir := t.TempDir()
	code := run(ctx, []string{"revoke", "--role", revokedRole, "--table", revokedTable, "--lead", "1s", "--for", "1m", "--journal", dir, "--confirm", "app/sessions"}, io.Discard, out)
	text := out.String()
	if code != 2 || !strings.Contains(text, "the sentinel was seen") || !strings.Contains(text, "reverted: the statements are gone") {
		t.Errorf("exit code %d\n%s", code, text)
	}
	if _, err := api.GetResourcePolicy(t.Context(), &dynamodb.GetResourcePolicyInput{ResourceArn: aws.String(revokedTable)}); err == nil {
		t.Error("the policy is left behind")
	}
	if code, out, _ := here(t, "revert", "--journal", dir); code != 0 || out != "0 revocations undone\n" {
		t.Errorf("revert: %d, %q", code, out)
	}
	if code, _, stderr := here(t, "sweep", "--table", revokedTable); code != 0 {
		t.Errorf("sweep: %d, %s", code, stderr)
	}
}

// watched calls then when some text has been written to it: at, or one of several
// with | between them.
type watched struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	at   string
	then func()
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.buf.Write(p)
	for at := range strings.SplitSeq(w.at, "|") {
		if w.then != nil && strings.Contains(string(p), at) {
			w.then()
		}
	}
	return n, err
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

func TestMatrix(t *testing.T) {
	code, out, stderr := program(t, "matrix", "--watch", "10s", "-f", "json")
	var cells []drill.Cell
	if err := json.Unmarshal([]byte(out), &cells); err != nil || code != 0 || len(cells) != 16 {
		t.Fatalf("exit code %d, %d cells, %v\n%s%s", code, len(cells), err, out, stderr)
	}
	for _, c := range cells {
		if c.Verdict != drill.Held {
			t.Errorf("%+v", c)
		}
	}
	if !strings.HasPrefix(stderr, "16 cells of 10s each, in ") {
		t.Errorf("%q", stderr)
	}
}

// Names of a manifest draw nothing on a terminal, and make no lines of their own.
func TestOutput_names(t *testing.T) {
	dir := t.TempDir()
	text := "service: \"a\\u001b[31m\\n::error::x\"\ndepends:\n  - on: \"b\\u202e\"\n    soft: true\n  - on: \"c\\u009b\"\n"
	if err := os.WriteFile(filepath.Join(dir, "depgraph.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"plan", "-d", dir}, {"matrix", "-d", dir}} {
		_, stdout, stderr := here(t, args...)
		if all := stdout + stderr; !strings.Contains(all, "::error::x") || strings.Contains(all, "\n::error") || strings.ContainsAny(all, "\x1b\u202e\u009b") {
			t.Errorf("%v: %q", args, all)
		}
	}
	var b bytes.Buffer
	o := &cli.Output{To: &b}
	if n, err := o.Write([]byte("{\"a\": \"\u202e\"}\n")); n != 13 || err != nil || b.String() != "{\"a\": \"\\u202e\"}\n" {
		t.Errorf("%d, %v, %q", n, err, &b)
	}
}
