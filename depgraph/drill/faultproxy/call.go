package faultproxy

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/failopen/failopen/depgraph/drill/fault"
)

// credential is the scope of an AWS signature: date, region and service.
// The form is that of Signature Version 4, in the header Authorization and in the
// parameter X-Amz-Credential of a URL that was signed before.
var credential = regexp.MustCompile(`Credential=[^/,\s]+/[0-9]{8}/([a-z0-9-]{1,40})/([A-Za-z0-9._-]{1,64})/aws4_request`)

// serviceIDs are the names that the AWS SDKs have for services whose signature
// has another one, so that a rule means the same in the proxy and in faultaws.
// To add one, add the name in the signature and the SDK's ServiceID.
var serviceIDs = map[string]string{"logs": "CloudWatch Logs", "monitoring": "CloudWatch", "states": "SFN", "events": "EventBridge", "email": "SES"}

// classify reads what a request asks for. host is where it goes. The body is
// read if it may say something, and put back.
// A request that is not to AWS keeps the host, and the method and path as its
// operation. One to AWS has the service and region of its signature; its operation
// is in X-Amz-Target (JSON services), in the form's Action (query services), or is
// the method and path (REST services). The signature is not checked: that is the
// upstream's affair. A body over MaxBody is passed on, and no table is seen in it.
func (p *Proxy) classify(r *http.Request, host string) (fault.Call, error) {
	c := fault.Call{Service: hostname(host), Operation: r.Method + " " + r.URL.Path}
	scope := credential.FindStringSubmatch(r.Header.Get("Authorization"))
	if scope == nil {
		if query := r.URL.Query().Get("X-Amz-Credential"); query != "" {
			scope = credential.FindStringSubmatch("Credential=" + query)
		}
	}
	target := r.Header.Get("X-Amz-Target")
	if scope == nil && target == "" {
		return c, nil
	}
	if scope != nil {
		c.Region, c.Service = scope[1], scope[2]
	} else if prefix, _, _ := strings.Cut(target, "_"); prefix != "" {
		c.Service = strings.ToLower(prefix)
	}
	if id, ok := serviceIDs[c.Service]; ok {
		c.Service = id
	}
	kind := r.Header.Get("Content-Type")
	readable := strings.HasPrefix(kind, "application/x-amz-json") || strings.HasPrefix(kind, "application/x-www-form-urlencoded")
	if i := strings.LastIndexByte(target, '.'); i >= 0 {
		c.Operation = target[i+1:]
	} else if !readable {
		return c, nil // a REST service: the method and the path say it
	}
	body, whole, err := peek(r, p.opts.MaxBody)
	if err != nil || !whole {
		return c, err
	}
	if target != "" {
		c.Tables = fault.TablesOf(body)
		return c, nil
	}
	if form, err := url.ParseQuery(string(body)); err == nil && form.Get("Action") != "" {
		c.Operation = form.Get("Action")
	}
	return c, nil
}

// peek reads a body of up to most bytes and puts it back. A longer one is not
// whole.
// The error is that of the client's connection.
func peek(r *http.Request, most int64) (body []byte, whole bool, err error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, true, nil
	}
	body, err = io.ReadAll(io.LimitReader(r.Body, most+1))
	if err != nil {
		return nil, false, fmt.Errorf("read the request: %w", err)
	}
	if int64(len(body)) <= most {
		r.Body = io.NopCloser(bytes.NewReader(body))
		return body, true, nil
	}
	rest := r.Body
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), rest), rest}
	return body, false, nil
}

// hostname is a host without its port, in lower case and without a final dot.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
}

// hostPort adds the port that a scheme has.
func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	port := 80
	if u.Scheme == "https" {
		port = 443
	}
	return net.JoinHostPort(u.Hostname(), strconv.Itoa(port))
}
