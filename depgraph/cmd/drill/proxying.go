package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/failopen/failopen/depgraph/drill"
	"github.com/failopen/failopen/depgraph/drill/fault"
	"github.com/failopen/failopen/depgraph/drill/faultproxy"
	"github.com/failopen/failopen/depgraph/internal/cli"
)

// proxyVerb is proxy: see [command.proxy].
var proxyVerb = verb{
	name: "proxy", about: "Break the dependencies of a program that is not changed, from a proxy on loopback",
	help: `
It prints what to export, and serves until it is told to end. A program uses it
as its endpoint (--upstream: for emulators and plain HTTP services), as its
HTTPS_PROXY (for AWS itself; the names of AWS are opened with a certificate
authority that lives in memory, for a day, for these names only), or as the
address of a tunnel. Examples:

    drill proxy --upstream http://127.0.0.1:8000 &
    AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8473 ./service

    drill proxy --dir /run/drill > /run/drill.env & ; . /run/drill.env ; ./service
    drill proxy --map dynamodb.eu-central-1.amazonaws.com=http://127.0.0.1:8000
    drill proxy --tunnel 127.0.0.1:6380=127.0.0.1:6379,redis

Rules are set, seen and taken away while it runs:

    curl -H "Authorization: Bearer $(cat /run/drill/token)" $DRILL_CONTROL/faults \
      -d '[{"service":"dynamodb","table":"sessions","error":{"code":"AccessDeniedException"}}]'
    curl … -X PATCH, -X DELETE $DRILL_CONTROL/faults, $DRILL_CONTROL/events, -X POST $DRILL_CONTROL/halt

They end by themselves after an hour; /faults?for=5m says when.
`,
	run: (*command).proxy,
}

// proxyFlags are what proxy and exec have in common. add and check fill o and
// parsed; start and end use them.
// maps, open and tunnels are as given, and may come several times; rules, preset and
// fault exclude one another. release lets go of --dir, and is never nil after start.
type proxyFlags struct {
	o        faultproxy.Options
	maps     cli.List
	open     cli.List
	tunnels  cli.List
	rules    string
	preset   string
	fault    string
	service  string
	fs       *flag.FlagSet
	parsed   []fault.Rule
	describe string // of the rules
	release  func() // of --dir
}

// add declares the flags. listen and control are the defaults of the addresses:
// for proxy the ports that its help names, for exec any that are free.
func (f *proxyFlags) add(fs *flag.FlagSet, listen, control string) {
	f.fs = fs
	fs.StringVar(&f.o.Listen, "listen", listen, "the proxy's `address`, on loopback; port 0 is a free one")
	fs.StringVar(&f.o.Control, "control", control, "the `address` of the control API, on loopback")
	fs.StringVar(&f.o.Upstream, "upstream", "", "the `URL` where requests go that are made to the proxy itself")
	fs.Var(&f.maps, "map", "`HOST=URL`: requests to a host go there instead; may come several times")
	fs.Var(&f.open, "open", "a `NAME` whose TLS is opened, with all names below it (default amazonaws.com, amazonaws.com.cn, api.aws); may come several times")
	fs.Var(&f.tunnels, "tunnel", "`LISTEN=HOST:PORT[,NAME]`: pass bytes on; NAME is what rules call it; may come several times")
	fs.StringVar(&f.o.Dir, "dir", "", "the `folder` for the token and the certificates (default: a new one, removed at the end)")
	fs.Uint64Var(&f.o.Seed, "seed", 0, "makes the faults repeatable; 0: random")
	f.addFault(fs)
}

// addFault adds the flags that say what is broken, which run has, too.
func (f *proxyFlags) addFault(fs *flag.FlagSet) {
	fs.StringVar(&f.rules, "rules", "", "a `file` with rules, as a JSON array")
	fs.StringVar(&f.preset, "preset", "", "the rules of an outage, one of those that drill presets lists")
	fs.StringVar(&f.fault, "fault", "", "one way to fail: "+strings.Join(faultNames(), ", "))
	fs.StringVar(&f.service, "service", "dynamodb", "what --fault is about: a service of AWS, or a host")
}

// faultNames are the faults that --fault takes; they are the same for every
// service.
func faultNames() (names []string) {
	for _, f := range drill.Faults("") {
		names = append(names, f.Name)
	}
	return names
}

// check reads what the flags name: --map, --tunnel and the fault. want says
// that there must be a fault; a proxy can be told later. verb begins its
// messages.
//
// What faultproxy.Options says about itself, such as that addresses must be on
// loopback, is checked by faultproxy.Start, whose errors name the field.
func (f *proxyFlags) check(verb string, want bool) error {
	for _, m := range f.maps {
		host, to, ok := strings.Cut(m, "=")
		if !ok {
			return usagef("%s: --map is %q; want HOST=URL", verb, m)
		}
		if f.o.Map == nil {
			f.o.Map = map[string]string{}
		}
		f.o.Map[host] = to
	}
	f.o.Open = f.open
	for _, t := range f.tunnels {
		listen, to, ok := strings.Cut(t, "=")
		if !ok {
			return usagef("%s: --tunnel is %q; want LISTEN=HOST:PORT, or LISTEN=HOST:PORT,NAME", verb, t)
		}
		to, name, _ := strings.Cut(to, ",")
		f.o.Tunnels = append(f.o.Tunnels, faultproxy.Tunnel{Listen: listen, To: to, Name: name})
	}
	return f.checkFault(verb, want)
}

// given counts the flags that say something.
func given(flags ...string) (n int) {
	for _, s := range flags {
		n += min(len(s), 1)
	}
	return n
}

// checkFault reads the rules that the flags name, at most one of three ways,
// into parsed, and what to call them into describe.
// A file of rules may have toxiproxy's toxics in it. Nothing that is wrong with one
// is found out later than here.
func (f *proxyFlags) checkFault(verb string, want bool) (err error) {
	if n := given(f.rules, f.preset, f.fault); n > 1 || want && n == 0 {
		return usagef("%s: want exactly one of --fault, --preset and --rules", verb)
	}
	switch {
	case f.rules != "":
		text, err := readFile(f.rules)
		if err != nil {
			return err
		}
		if f.parsed, err = faultproxy.ParseRules(text); err != nil {
			return fmt.Errorf("%s: %w", f.rules, err)
		}
		f.describe = f.rules
	case f.preset != "":
		p, err := preset(f.preset, "")
		if err != nil {
			return err
		}
		f.parsed, f.describe = p.Rules, p.Name
	case f.fault != "":
		for _, known := range drill.Faults(f.service) {
			if known.Name == f.fault {
				f.parsed, f.describe = known.Rules, f.service+" "+known.Name
			}
		}
		if f.parsed == nil {
			return usagef("%s: --fault is %q; want one of %s", verb, f.fault, strings.Join(faultNames(), ", "))
		}
	}
	return nil
}

// start starts the proxy, with the rules that were given, in a folder that no
// other drill uses. What it could not do it undoes.
func (f *proxyFlags) start(c *command) (*faultproxy.Proxy, error) {
	f.o.Log = func(s string) { fmt.Fprintln(c.stderr, "drill proxy:", s) }
	f.release = func() {}
	// A folder that is made for this run has nobody else in it.
	if f.o.Dir != "" {
		var err error
		if f.release, err = claim(f.o.Dir); err != nil {
			return nil, err
		}
	}
	p, err := faultproxy.Start(f.o)
	if err != nil {
		f.release()
		return nil, err
	}
	if err := p.Injector().Set(f.parsed...); err != nil {
		return nil, errors.Join(err, f.end(p))
	}
	return p, nil
}

// end closes the proxy, and then lets another one into its folder. The lock
// goes last, or the next one's certificates would be removed with ours.
func (f *proxyFlags) end(p *faultproxy.Proxy) error {
	defer f.release()
	return p.Close()
}

// quoted is a value for a POSIX shell: between single quotes nothing is
// special, and a quote itself ends them, is escaped, and begins them again.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// proxy serves until it is interrupted. Standard output is for a shell to read,
// as "export NAME='VALUE'" and nothing else; what people read is on the other
// one.
//
// It ends with 0 when it is told to end: serving was the job, and there is no
// verdict. Rules that never hit are in the summary.
func (c *command) proxy(args []string) error {
	var f proxyFlags
	fs := c.flags()
	f.add(fs, "127.0.0.1:8473", "127.0.0.1:8474")
	if err := c.parse(fs, args); err != nil {
		return err
	}
	if err := f.check("proxy", false); err != nil {
		return err
	}
	p, err := f.start(c)
	if err != nil {
		return err
	}
	// In the order in which the proxy gives them: the token's file is the last
	// one, by which a script sees that all have come.
	for _, e := range p.Environment() {
		name, value, _ := strings.Cut(e, "=")
		fmt.Fprintf(c.stdout, "export %s=%s\n", name, quoted(value))
	}
	for i, t := range f.o.Tunnels {
		fmt.Fprintf(c.stderr, "tunnel %s to %s\n", p.TunnelAddr(i), t.To)
	}
	fmt.Fprintf(c.stderr, "proxy %s, control %s, token in %s; Ctrl-C ends it\n", p.URL(), p.ControlURL(), p.TokenFile())
	<-c.ctx.Done()
	hits := hitsOf(p)
	err = f.end(p)
	c.sumUp(p, hits)
	return err
}

// hitsOf are the rules' counters, which Close does not keep.
func hitsOf(p *faultproxy.Proxy) []fault.RuleStats { return p.Injector().Stats().Rules }

// summedUp bounds how many rules are listed.
const summedUp = 20

// sumUp says what the proxy has done: in all, and for each rule how often it
// has hit and when first, which is the time to look for in the service's own
// log.
// rules are taken before the proxy is closed; see hitsOf. It lists summedUp of them.
func (c *command) sumUp(p *faultproxy.Proxy, rules []fault.RuleStats) {
	s := p.Stats()
	fmt.Fprintf(c.stderr, "drill proxy: %d requests, %d tunnels, %d of them faulted; %d errors of upstreams, %d bad requests, %d connections turned away\n",
		s.Requests, s.Tunnels, s.Faulted, s.UpstreamErrors, s.BadRequests, s.TurnedAway)
	for i, r := range rules {
		if i == summedUp {
			fmt.Fprintf(c.stderr, "drill proxy: and %d more rules\n", len(rules)-i)
			return
		}
		text, err := json.Marshal(r.Rule)
		if err != nil {
			continue // text and numbers do not fail
		}
		first := "never"
		if r.Hits > 0 {
			first = "first at " + r.First.Format(time.TimeOnly)
		}
		fmt.Fprintf(c.stderr, "drill proxy: hit %d times, %s: %s\n", r.Hits, first, text)
	}
}
