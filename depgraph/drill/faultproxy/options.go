package faultproxy

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Options of a [Proxy]. The zero value opens the names of AWS for programs that
// use it as HTTPS_PROXY, on free ports of loopback.
type Options struct {
	// Listen is the proxy's address, on loopback. Default "127.0.0.1:0", a
	// free port.
	Listen string

	// Upstream is the URL where requests go that were made to the proxy as
	// if it were the service: the reverse mount. Default: none, and such
	// requests are refused.
	Upstream string

	// Open are the names whose TLS the drill's authority opens, and all
	// names below them. Default: amazonaws.com, amazonaws.com.cn and
	// api.aws. None of them may be a top-level domain.
	Open []string

	// Map says where requests to a name go instead, such as
	// "dynamodb.eu-central-1.amazonaws.com" to "http://127.0.0.1:8000": a
	// program that is set up for AWS itself then reaches an emulator. The
	// names are opened, too.
	Map map[string]string

	// Tunnels are further addresses on loopback, each of which passes bytes
	// on to one other.
	Tunnels []Tunnel

	// Control is the address of the control API, on loopback. Default
	// "127.0.0.1:0".
	Control string

	// Dir is a folder for the control API's token and the certificates. The
	// files are replaced, and removed by Close. Default: a new one below
	// the folder for temporary files, which Close removes.
	Dir string

	// CALife is how long the drill's authority is valid, default 24 h and
	// at most that.
	CALife time.Duration

	// MaxConns bounds the connections that are open at once, default 1024;
	// further ones are closed and counted. MaxBody bounds how much of a
	// request is kept to see which table it is about, and of an answer that
	// is to be damaged; default 16 MiB. MaxEvents bounds the events that
	// are kept, default 1000, the latest.
	MaxConns  int
	MaxBody   int64
	MaxEvents int

	// Hold bounds how long a request is kept that a fault does not answer,
	// default 10 min. Its connection is reset then.
	Hold time.Duration

	// Seed makes Probability and Jitter of rules repeatable. 0: random.
	Seed uint64

	// Log, if set, is told what goes wrong: an upstream that cannot be
	// reached, say. It is called on the goroutine of a connection.
	Log func(string)
}

// A Tunnel passes bytes from an address of loopback to another address.
type Tunnel struct {
	Listen string // such as "127.0.0.1:6380"; port 0 is a free one
	To     string // such as "127.0.0.1:6379"
	Name   string // what rules call it as Service. Default: To's host, without the port
}

// check fills in defaults and says what is wrong.
// The error joins all that is wrong, each with the option's name and value. It
// works on p.opts, whose slices are the proxy's own by then: what the caller has
// given is not written to. It also parses: upstream and mapped are set here.
func (p *Proxy) check() error {
	o := &p.opts
	o.Open, o.Tunnels = slices.Clone(o.Open), slices.Clone(o.Tunnels)
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	loopback := func(field string, addr *string) {
		if *addr == "" {
			*addr = "127.0.0.1:0"
		}
		if !onLoopback(*addr) {
			fail("%s is %q; want an address of loopback with a port, such as 127.0.0.1:8473", field, *addr)
		}
	}
	loopback("Options.Listen", &o.Listen)
	loopback("Options.Control", &o.Control)
	for i := range o.Tunnels {
		t := &o.Tunnels[i]
		loopback(fmt.Sprintf("Options.Tunnels[%d].Listen", i), &t.Listen)
		if host, port, err := net.SplitHostPort(t.To); err != nil || host == "" || port == "" {
			fail("Options.Tunnels[%d].To is %q; want HOST:PORT", i, t.To)
		}
		if t.Name == "" {
			t.Name = hostname(t.To)
		}
	}
	var err error
	if o.Upstream != "" {
		if p.upstream, err = httpURL(o.Upstream); err != nil {
			fail("Options.Upstream: %w", err)
		}
	}
	if o.Open == nil {
		o.Open = []string{"amazonaws.com", "amazonaws.com.cn", "api.aws"}
	}
	for i, name := range o.Open {
		if o.Open[i] = strings.TrimPrefix(hostname(name), "."); !validName(o.Open[i]) {
			fail("Options.Open: %q; want the name of a domain with a dot in it", name)
		}
	}
	for name, to := range o.Map {
		u, err := httpURL(to)
		if err != nil {
			fail("Options.Map[%q]: %w", name, err)
		}
		if !validName(hostname(name)) {
			fail("Options.Map: %q; want the name of a host with a dot in it", name)
		}
		p.mapped[hostname(name)] = u
	}
	for _, n := range []struct {
		name        string
		v           *int64
		usual, most int64
	}{{"MaxBody", &o.MaxBody, 16 << 20, 1 << 30}, {"CALife", (*int64)(&o.CALife), int64(24 * time.Hour), int64(24 * time.Hour)}, {"Hold", (*int64)(&o.Hold), int64(10 * time.Minute), int64(24 * time.Hour)}} {
		if *n.v == 0 {
			*n.v = n.usual
		}
		if *n.v < 0 || *n.v > n.most {
			fail("Options.%s is %d; want 0 (the default) to %d", n.name, *n.v, n.most)
		}
	}
	for _, n := range []struct {
		name        string
		v           *int
		usual, most int
	}{{"MaxConns", &o.MaxConns, 1024, 1 << 20}, {"MaxEvents", &o.MaxEvents, 1000, 1 << 20}} {
		if *n.v == 0 {
			*n.v = n.usual
		}
		if *n.v < 0 || *n.v > n.most {
			fail("Options.%s is %d; want 0 (the default) to %d", n.name, *n.v, n.most)
		}
	}
	return errors.Join(errs...)
}

// onLoopback reports whether an address has a port and cannot be reached from
// elsewhere. A name other than localhost is not looked up: what it means today may
// be another address tomorrow.
func onLoopback(addr string) bool {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "" {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// httpURL is a URL of which only scheme, host and path are used. One with a
// password, a query or a fragment is refused rather than cut: somebody meant them.
func httpURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q; want a URL such as http://127.0.0.1:8000", s)
	}
	return u, nil
}

// validName reports whether a name can be in a certificate's constraints.
// That is a DNS name in lower case with a dot in it: a constraint to "com" would let
// the authority vouch for half of the world, and an address has no place there.
func validName(name string) bool {
	return len(name) <= 253 && strings.Contains(name, ".") && net.ParseIP(name) == nil &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") == "" && !strings.Contains(name, "..") && name[0] != '.' && name[0] != '-'
}
