package ststest

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The versions of the two services that speak the query protocol.
const (
	versionSTS = "2011-06-15"
	versionIAM = "2010-05-08"
)

// queryAction is an action of the query protocol: what it returns becomes the
// element ACTIONResult; nil leaves that out.
//
// A member whose value is a struct becomes an element of XML, with the names of
// the struct's fields; lists are elements "member", as both services have them.
type queryAction func(*call, *params) (any, *apiError)

// queryActions are the actions of the query protocol, by service and name.
// To add an action, write its function beside those of its kind and give it a
// row; docs/guide/ststest.md lists them for users.
var queryActions = map[string]map[string]queryAction{
	"sts": {
		"GetCallerIdentity":   getCallerIdentity,
		"AssumeRole":          assumeRole,
		"GetWebIdentityToken": getWebIdentityToken,
	},
	"iam": {
		"CreateRole":             createRole,
		"GetRole":                getRole,
		"ListRoles":              listRoles,
		"DeleteRole":             deleteRole,
		"UpdateAssumeRolePolicy": updateAssumeRolePolicy,
		"PutRolePolicy":          putRolePolicy,
		"GetRolePolicy":          getRolePolicy,
		"DeleteRolePolicy":       deleteRolePolicy,
		"ListRolePolicies":       listRolePolicies,
		"TagRole":                tagRole,
		"UntagRole":              untagRole,
		"ListRoleTags":           listRoleTags,

		"EnableOutboundWebIdentityFederation":  enableFederation,
		"DisableOutboundWebIdentityFederation": disableFederation,
		"GetOutboundWebIdentityFederationInfo": federationInfo,
	},
}

// readQuery reads a request of the query protocol: a form in the body of a
// POST, or, for a presigned GET, in the URL.
//
// Which of the two services is meant is told by the Version, as with AWS, where
// the hosts differ as well. All errors go through in.run, after authentication:
// somebody without credentials does not learn what there is.
func readQuery(r *http.Request, body []byte) request {
	in := request{service: "sts", write: queryWriter(r, "", versionSTS)}
	form, err := formOf(r, body)
	if err != nil {
		in.run = failing(&apiError{400, "MalformedQueryString", err.Error()})
		return in
	}
	action, version := form.Get("Action"), form.Get("Version")
	if version == versionIAM {
		in.service, in.write = "iam", queryWriter(r, "", versionIAM)
	}
	run := queryActions[in.service][action]
	switch {
	case action == "":
		in.run = failing(&apiError{400, "MissingAction", "the request has no parameter Action"})
	case version != versionSTS && version != versionIAM:
		in.run = failing(invalid("Version is %q; ststest knows %s (STS) and %s (IAM)", version, versionSTS, versionIAM))
	case run == nil:
		in.run = failing(&apiError{400, "InvalidAction", fmt.Sprintf("ststest does not implement the action %q of %s; see docs/guide/ststest.md", action, in.service)})
	default:
		in.action = action
		in.write = queryWriter(r, action, version)
		in.run = func(c *call) (any, *apiError) {
			p := newParams(form)
			out, err := run(c, p)
			if p.err != nil {
				return nil, p.err
			}
			return out, err
		}
	}
	return in
}

// failing is a request whose answer is known before it runs.
func failing(err *apiError) func(*call) (any, *apiError) {
	return func(*call) (any, *apiError) { return nil, err }
}

// formOf reads the parameters. One that comes twice could mean one thing here
// and another at AWS.
//
// The Content-Type is compared without its parameters (charset). Names of the
// signature, X-Amz-*, are taken out, as they are no parameters of the action.
func formOf(r *http.Request, body []byte) (url.Values, error) {
	text := r.URL.RawQuery
	if r.Method == http.MethodPost {
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || kind != "application/x-www-form-urlencoded" {
			return nil, fmt.Errorf("Content-Type is %q; want application/x-www-form-urlencoded", r.Header.Get("Content-Type"))
		}
		if text != "" {
			return nil, fmt.Errorf("a POST has its parameters in the body, and this has %q in the URL", text)
		}
		text = string(body)
	} else if r.Method != http.MethodGet {
		return nil, fmt.Errorf("the method is %s; want POST or GET", r.Method)
	}
	form, err := url.ParseQuery(text)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(form)) {
		if n := len(form[name]); n > 1 {
			return nil, fmt.Errorf("the parameter %s comes %d times", name, n)
		}
		if strings.HasPrefix(name, "X-Amz-") {
			delete(form, name) // of the signature, which has been read
		}
	}
	return form, nil
}

// params are an action's parameters. The first that is wrong, or was not asked
// for, is the call's error: an action reads all that it knows, and then looks
// whether p.done says no.
type params struct {
	// form is what has not been read yet; reading a parameter takes it out.
	form url.Values
	// err is the first one that was wrong; nil so far.
	err *apiError
}

// newParams takes the form over and changes it.
func newParams(form url.Values) *params {
	form.Del("Action")
	form.Del("Version")
	return &params{form: form}
}

// fail keeps the first error, as the services tell of one.
func (p *params) fail(err *apiError) {
	if p.err == nil {
		p.err = err
	}
}

// text is an optional parameter.
func (p *params) text(name string) string {
	v := p.form.Get(name)
	p.form.Del(name)
	return v
}

// required is a parameter that must be there.
func (p *params) required(name string) string {
	if !p.form.Has(name) {
		p.fail(invalid("the parameter %s is missing", name))
	}
	return p.text(name)
}

// number is an optional number between two bounds.
//
// absent is what it is without the parameter. A wrong one is an error, and the
// value then means nothing.
func (p *params) number(name string, absent, low, high int) int {
	if !p.form.Has(name) {
		return absent
	}
	v := p.text(name)
	n, err := strconv.Atoi(v)
	if err != nil || n < low || n > high {
		p.fail(invalid("%s is %q; want a number from %d to %d", name, v, low, high))
	}
	return n
}

// list is NAME.member.1, NAME.member.2 and so on.
//
// The numbers have to follow each other from 1: one after a gap is left, and
// refused by done as a parameter that nobody has asked for.
func (p *params) list(name string) (all []string) {
	for i := 1; ; i++ {
		one := fmt.Sprintf("%s.member.%d", name, i)
		if !p.form.Has(one) {
			return all
		}
		all = append(all, p.text(one))
	}
}

// tags is Tags.member.N.Key and Tags.member.N.Value.
//
// Keys are compared without regard to case, as IAM does, and kept as they came.
// The limit is 50 tags, the prefix aws: is reserved ("Tags for IAM and AWS STS
// resources").
func (p *params) tags() map[string]string {
	all, folded := map[string]string{}, map[string]bool{}
	for i := 1; ; i++ {
		key, value := fmt.Sprintf("Tags.member.%d.Key", i), fmt.Sprintf("Tags.member.%d.Value", i)
		if !p.form.Has(key) {
			return all
		}
		name := p.text(key)
		lower := strings.ToLower(name)
		switch {
		case folded[lower] || name == "" || len(all) == 50:
			p.fail(invalid("the tags have a key that is empty or comes twice, if only in another case, or are more than 50"))
		case strings.HasPrefix(lower, "aws:"):
			p.fail(invalid("the tag %q has the prefix aws:, which AWS keeps for itself", name))
		}
		all[name], folded[lower] = p.text(value), true
	}
}

// done reports whether all parameters were in order, and no other is left.
//
// The name in the error is the first in their order, so that it is the same
// each time.
func (p *params) done() bool {
	if len(p.form) > 0 {
		p.fail(invalid("ststest does not implement the parameter %s of this action", slices.Min(slices.Collect(maps.Keys(p.form)))))
	}
	return p.err == nil
}

// queryWriter writes answers of the query protocol: XML, or JSON for those who
// ask for that.
//
// The writer panics for an answer that cannot be encoded: all of them are
// structs of this package. An answer and its headers go out in one piece, with
// a Content-Length.
func queryWriter(r *http.Request, action, version string) func(http.ResponseWriter, any, *apiError, string) {
	// The name space is the service's own; SDKs ignore it, other clients
	// may not.
	space := "https://sts.amazonaws.com/doc/" + version + "/"
	if version == versionIAM {
		space = "https://iam.amazonaws.com/doc/" + version + "/"
	}
	asJSON := strings.Contains(r.Header.Get("Accept"), "application/json")
	return func(w http.ResponseWriter, out any, err *apiError, id string) {
		status, kind := http.StatusOK, "text/xml"
		var body []byte
		var broken error
		if err != nil {
			status = err.status
		}
		if asJSON {
			kind = "application/json"
			body, broken = jsonBody(action, out, err, id)
		} else {
			body, broken = xmlBody(space, action, out, err, id)
		}
		if broken != nil {
			panic(fmt.Sprintf("ststest: an answer to %s cannot be encoded: %v", action, broken))
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("X-Amzn-Requestid", id)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(status)
		_, _ = w.Write(body) // a client that is gone is its own business
	}
}

// errorBody is the element Error; Type is Sender or Receiver.
type errorBody struct {
	Type    string
	Code    string
	Message string
}

// queryBody is the error of the query protocol, which says whose fault it is.
//
// Its Type is what SDKs look at to decide whether another attempt makes sense.
func (e *apiError) queryBody() errorBody {
	if e.status >= 500 {
		return errorBody{"Receiver", e.code, e.message}
	}
	return errorBody{"Sender", e.code, e.message}
}

// jsonBody is an answer in JSON, for clients whose Accept header asks for it.
//
// The form is the same as in XML, with the member ACTIONResult in
// ACTIONResponse.
func jsonBody(action string, out any, err *apiError, id string) ([]byte, error) {
	if err != nil {
		return json.Marshal(map[string]any{"Error": err.queryBody(), "RequestId": id})
	}
	return json.Marshal(map[string]any{action + "Response": map[string]any{
		action + "Result":  out,
		"ResponseMetadata": map[string]string{"RequestId": id},
	}})
}

// xmlMetadata is the ResponseMetadata of a success.
type xmlMetadata struct {
	RequestID string `xml:"RequestId"`
}

// xmlBody is <ActionResponse><ActionResult>…</ActionResult><ResponseMetadata>…;
// the names depend on the action, hence the tokens.
//
// Text is escaped by encoding/xml, so a name from a request cannot add
// elements. An error is an ErrorResponse with its request id beside it, a
// success has it in ResponseMetadata.
func xmlBody(space, action string, out any, err *apiError, id string) ([]byte, error) {
	if err != nil {
		return xml.Marshal(struct {
			XMLName   xml.Name
			Error     errorBody
			RequestID string `xml:"RequestId"`
		}{xml.Name{Space: space, Local: "ErrorResponse"}, err.queryBody(), id})
	}
	var b strings.Builder
	e := xml.NewEncoder(&b)
	response := xml.StartElement{Name: xml.Name{Space: space, Local: action + "Response"}}
	failed := e.EncodeToken(response)
	if out != nil && failed == nil {
		failed = e.EncodeElement(out, xml.StartElement{Name: xml.Name{Local: action + "Result"}})
	}
	if failed == nil {
		failed = e.EncodeElement(xmlMetadata{id}, xml.StartElement{Name: xml.Name{Local: "ResponseMetadata"}})
	}
	if failed == nil {
		failed = e.EncodeToken(response.End())
	}
	if failed == nil {
		failed = e.Close()
	}
	return []byte(b.String()), failed
}

// stamp is a time as both services write it.
func stamp(t time.Time) string { return t.UTC().Truncate(time.Second).Format(time.RFC3339) }
