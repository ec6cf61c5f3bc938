package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/failopen/failopen/depgraph/drill/faultproxy"
)

// doctorVerb is doctor: see [command.doctor].
var doctorVerb = verb{
	name: "doctor", formats: []string{"text", "json"}, about: "Check a service's table, clock, log and probes before a drill, and say what to do",
	help: `
Nothing is changed: every check is a read. Each is ok, warn or fail, with what to
do about it; what is not asked for is not checked. Credentials come from the
environment, as for drill revoke. Examples:

    drill doctor --table arn:aws:dynamodb:eu-central-1:111122223333:table/sessions \
                 --role arn:aws:iam::111122223333:role/app --ttl expires
    drill doctor --live http://127.0.0.1:8080/livez --ready http://127.0.0.1:8080/readyz \
                 --pid $(pidof service) --log /var/log/service.log
    drill doctor --live http://127.0.0.1:8080/livez --control http://127.0.0.1:8474 --token-file /run/drill/token

With --control the last one finds out whether the liveness probe calls a
dependency, which it never should. Exit codes: 0 nothing failed, 1 something did.
`,
	run: (*command).doctor,
}

// finding is one check: what was looked at, how it is, and what to do about it.
// check is a word or two for the left column; detail says what was seen; do is what
// to do about it, and is left out where all is well. The JSON form is for scripts:
// members are only added.
//
// A check that finds two things makes two findings. Their order is that of the
// questions that an operator would ask: who am I, where is it, does it work.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"` // ok, warn or fail
	Detail string `json:"detail"`
	Do     string `json:"do,omitempty"`
}

// The statuses: ok; warn for what a drill may make worse, or for what could not
// be told; fail for what a drill must not start with.
const (
	statusOK   = "ok"
	statusWarn = "warn"
	statusFail = "fail"
)

// checkTimeout bounds one check: a doctor that hangs is no help.
const checkTimeout = 5 * time.Second

// doctorFlags are what is to be checked, "" and 0 for what is not, and what was
// found so far, in the order in which it is printed.
// To add a check, add a flag, its line in doctor, and a method that calls add once for
// each thing that it has looked at, whatever it finds.
type doctorFlags struct {
	table, role, ttl, log, live, ready, control, token, format string
	pid                                                        int
	findings                                                   []finding
}

// add notes a finding. do is left out where there is nothing to do.
// detail and args are for fmt.Sprintf; do is printed as it is.
//
// It belongs to one goroutine, as all checks do: they run one after the other,
// so that each sees the service as the one before has left it.
func (f *doctorFlags) add(check, status, do, detail string, args ...any) {
	if status == statusOK {
		do = ""
	}
	f.findings = append(f.findings, finding{check, status, fmt.Sprintf(detail, args...), do})
}

// doctor makes the checks that were asked for, one after the other. The proxy
// comes first: with it, the liveness probe is watched.
//
// What is wrong with a flag is an error of usage and not a finding: a wrong ARN
// would otherwise fail in each of the table's checks.
func (c *command) doctor(args []string) error {
	var f doctorFlags
	fs := c.flags()
	fs.StringVar(&f.table, "table", "", "the `ARN` of the service's table")
	fs.StringVar(&f.role, "role", "", "the `ARN` of the service's role")
	fs.StringVar(&f.ttl, "ttl", "", "the `attribute` by which the table's items expire")
	fs.StringVar(&f.log, "log", "", "the `file` or pipe that the service writes its log to")
	fs.IntVar(&f.pid, "pid", 0, "the service's process: where do its outputs go? (Linux)")
	fs.StringVar(&f.live, "live", "", "the `URL` of the liveness probe")
	fs.StringVar(&f.ready, "ready", "", "the `URL` of the readiness probe")
	fs.StringVar(&f.control, "control", os.Getenv("DRILL_CONTROL"), "the `URL` of a proxy's control API (default: $DRILL_CONTROL)")
	fs.StringVar(&f.token, "token-file", os.Getenv("DRILL_TOKEN_FILE"), "the `file` with its token (default: $DRILL_TOKEN_FILE)")
	fs.StringVar(&f.format, "f", "text", "what is printed: text or json")
	if err := c.parse(fs, args); err != nil {
		return err
	}
	if err := oneOf("-f", f.format, c.verb.formats); err != nil {
		return err
	}
	switch {
	case f.table != "" && !isARN(f.table, "dynamodb", "table/"):
		return usagef("doctor: --table is %q; want the ARN of one table", f.table)
	case f.role != "" && (f.table == "" || !isARN(f.role, "iam", "role/")):
		return usagef("doctor: --role is %q; want the ARN of one role, and --table", f.role)
	case f.ttl != "" && f.table == "":
		return usagef("doctor: --ttl wants --table")
	case f.pid < 0:
		return usagef("doctor: --pid is %d", f.pid)
	case f.table == "" && f.log == "" && f.pid == 0 && f.live == "" && f.ready == "" && f.control == "":
		return usagef("doctor: want something to check: --table, --log, --pid, --live, --ready or --control")
	}
	for _, probe := range []struct{ flag, url string }{{"--live", f.live}, {"--ready", f.ready}} {
		if u, err := url.Parse(probe.url); probe.url != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
			return usagef("doctor: %s is %q; want a URL", probe.flag, probe.url)
		}
	}
	proxy := f.checkProxy(c.ctx)
	if f.table != "" {
		f.checkTable(c.ctx)
	}
	if f.log != "" {
		f.checkLog(f.log)
	}
	if f.pid != 0 {
		f.checkProcess()
	}
	f.checkProbe(c.ctx, "liveness", f.live, proxy)
	f.checkProbe(c.ctx, "readiness", f.ready, nil)
	return c.diagnose(&f)
}

// diagnose prints the findings, and fails if one does. Warnings do not: somebody
// has to weigh them. Details may have been said by servers, so each is kept to one
// line.
func (c *command) diagnose(f *doctorFlags) error {
	failed := slices.ContainsFunc(f.findings, func(x finding) bool { return x.Status == statusFail })
	if f.format == "json" {
		if err := c.printJSON(map[string]any{"checks": f.findings, "failed": failed}); err != nil {
			return err
		}
	} else {
		counts := map[string]int{}
		for _, x := range f.findings {
			counts[x.Status]++
			fmt.Fprintf(c.stdout, "%-4s  %-14s %s\n", x.Status, x.Check, oneLine(x.Detail))
			if x.Do != "" {
				fmt.Fprintf(c.stdout, "%-4s  %-14s   -> %s\n", "", "", x.Do)
			}
		}
		fmt.Fprintf(c.stdout, "\n%d ok, %d warnings, %d failed\n", counts[statusOK], counts[statusWarn], counts[statusFail])
	}
	if failed {
		return exitCode(1)
	}
	return nil
}

// oneLine keeps what others have said to one line of the table: control
// characters become spaces. What else does not print, the output itself
// escapes.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}

// checkProxy says whether a proxy is there, and free. It returns its client,
// for checkProbe; nil if there is none to ask.
func (f *doctorFlags) checkProxy(ctx context.Context) *faultproxy.Client {
	if f.control == "" {
		return nil
	}
	client, err := faultproxy.NewClient(f.control, f.token)
	if err != nil {
		f.add("proxy", statusFail, "start drill proxy, and give the --control and --token-file that it prints", "%v", err)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	rules, err := client.Faults(ctx)
	switch {
	case err != nil:
		f.add("proxy", statusFail, "start drill proxy, and give the --control and --token-file that it prints", "%v", err)
		return nil
	case len(rules.Rules) > 0:
		f.add("proxy", statusWarn, "wait, or end them: POST /halt to the control API", "%d rules are in force until %s", len(rules.Rules), rules.Until.Format(time.TimeOnly))
	default:
		f.add("proxy", statusOK, "", "it answers, and no rule is in force")
	}
	return client
}

// probeBudget is how long a probe may take: the default of Kubernetes. A
// quarter of it is too near for a machine that is busy.
const probeBudget = time.Second

// checkProbe asks a probe's URL. With a proxy it sees whether that has called a
// dependency, by the proxy's counters before and after: somebody else's calls
// in between look the same, which the advice says.
func (f *doctorFlags) checkProbe(ctx context.Context, name, probe string, proxy *faultproxy.Client) {
	if probe == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	calls := func() (n int64, err error) {
		if proxy == nil {
			return 0, nil
		}
		s, err := proxy.Stats(ctx)
		return s.Requests + s.Tunnels, err
	}
	// The two counts are as near to the request as they can be.
	before, beforeErr := calls()
	began := time.Now()
	status, err := fetch(ctx, probe)
	took := time.Since(began).Round(time.Millisecond)
	after, afterErr := calls()
	if err != nil {
		f.add(name, statusFail, "is the service running, and is this its URL?", "%s: %v", probe, err)
		return
	}
	f.addProbe(name, probe, status, took)
	if proxy == nil {
		return
	}
	switch err := errors.Join(beforeErr, afterErr); {
	case err != nil:
		f.add(name+" calls", statusWarn, "try again", "the proxy does not say what was called: %v", err)
	case after > before:
		f.add(name+" calls", statusWarn, "if nobody else uses the service now: a liveness probe must not call a dependency, whose loss would restart every instance", "%d calls went through the proxy meanwhile", after-before)
	default:
		f.add(name+" calls", statusOK, "", "no call went through the proxy meanwhile")
	}
}

// addProbe judges an answer to a probe: its status first, since an error page
// that comes quickly is no better than one that comes late. Redirects count as
// well, as they do for Kubernetes.
func (f *doctorFlags) addProbe(name, probe string, status int, took time.Duration) {
	switch {
	case status < 200 || status > 399:
		f.add(name, statusFail, "a drill starts from a service that works", "%s: status %d", probe, status)
	case took > probeBudget:
		f.add(name, statusFail, "a probe looks at state that the process has already; see docs/guide/health.md", "%s: status %d, after %v; platforms give it %v", probe, status, took, probeBudget)
	case took > probeBudget/4:
		f.add(name, statusWarn, "a probe looks at state that the process has already; see docs/guide/health.md", "%s: status %d, after %v", probe, status, took)
	default:
		f.add(name, statusOK, "", "%s: status %d, after %v", probe, status, took)
	}
}

// fetch makes one request over a connection of its own, follows no redirect, as
// what is judged is the probe and not where it points, and reads at most 1 MiB.
// A probe is a new connection each time, as a platform's is.
//
// Proxies of the environment are not used, since the transport has none set: a
// platform asks the address itself.
func fetch(ctx context.Context, url string) (status int, err error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, err
}

// checkLog looks at where the service writes its log: a pipe can block it, and
// a full disk stops it as surely.
func (f *doctorFlags) checkLog(path string) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		f.add("log", statusFail, "is this where the service writes?", "%s is not there", path)
	case err != nil:
		f.add("log", statusFail, "let this user see it", "%v", err)
	case info.IsDir():
		f.add("log", statusFail, "name the file", "%s is a folder", path)
	case info.Mode()&os.ModeNamedPipe != 0:
		f.add("log", statusWarn, blocking, "%s is a pipe: when its reader stops, 64 KiB later every log call blocks", path)
	case !info.Mode().IsRegular():
		f.add("log", statusWarn, blocking, "%s is a %s, which may block", path, info.Mode().Type())
	default:
		free, known := freeSpace(path)
		f.addSpace(path, info, free, known)
	}
}

// addSpace judges a log that is a file by what is left of its disk. Where that
// cannot be told, known is false, and it is not judged. The bounds are 64 MiB,
// minutes for a busy service, and 1 GiB.
func (f *doctorFlags) addSpace(path string, info os.FileInfo, free int64, known bool) {
	switch {
	case known && free < 64<<20:
		f.add("log", statusFail, "make room: a full disk stops a log as surely as a dead server", "%s: %d MiB are free on its disk", path, free>>20)
	case known && free < 1<<30:
		f.add("log", statusWarn, "make room, or bound the log", "%s: %d MiB are free on its disk", path, free>>20)
	default:
		f.add("log", statusOK, "", "%s is a file of %d KiB; last written %v ago", path, info.Size()>>10, time.Since(info.ModTime()).Round(time.Second))
	}
}

// blocking is the advice on an output that can stop the service.
const blocking = "put logsink between the service and it, and drill it: drill exec --stall-stdout 60s"

// checkProcess looks at where a process writes, in /proc: its streams may be a
// pipe of a log driver although nobody has asked for one. In containers that is
// the rule.
// Another user's process cannot be looked at, and another system has no /proc: that
// is a warning, and no failure.
func (f *doctorFlags) checkProcess() {
	for fd, name := range []string{1: "stdout", 2: "stderr"} {
		if name == "" {
			continue
		}
		to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", f.pid, fd))
		switch {
		case err != nil:
			f.add(name, statusWarn, "run this on the service's machine (Linux), as its user or root", "%v", err)
		case strings.HasPrefix(to, "pipe:"), strings.HasPrefix(to, "socket:"):
			f.add(name, statusWarn, blocking, "it goes to a %s: when its reader stops, the service blocks in the next write that does not fit", to[:strings.IndexByte(to, ':')])
		default:
			f.add(name, statusOK, "", "it goes to %s", to)
		}
	}
}
