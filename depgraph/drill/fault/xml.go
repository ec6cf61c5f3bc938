package fault

import (
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// scope is that of an AWS signature: its service.
var scope = regexp.MustCompile(`Credential=[^/,\s]+/[0-9]{8}/[a-z0-9-]{1,40}/([A-Za-z0-9._-]{1,64})/aws4_request`)

// xmlServices answer in XML, by the names in their signatures. A service that is
// asked with a form does as well.
var xmlServices = []string{"s3", "route53", "cloudfront", "sts", "iam", "sns", "rds", "ec2", "autoscaling", "elasticloadbalancing", "cloudformation"}

// speaksXML reports whether a request is for a service of AWS that answers in XML,
// and for which: "" is one that is called without a signature, as STS is with a
// web identity.
func speaksXML(req *http.Request) (service string, ok bool) {
	if req.Header.Get("X-Amz-Target") != "" {
		return "", false // JSON has it
	}
	signed := req.Header.Get("Authorization")
	if signed == "" && req.URL != nil {
		signed = "Credential=" + req.URL.Query().Get("X-Amz-Credential")
	}
	if found := scope.FindStringSubmatch(signed); found != nil {
		service = found[1]
	}
	if slices.Contains(xmlServices, service) {
		return service, true
	}
	form := strings.HasPrefix(req.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
	return service, form && (service != "" || req.Header.Get("Amz-Sdk-Invocation-Id") != "")
}

// xmlCodes are the names that services with XML have for the errors which the
// others share.
var xmlCodes = map[string]string{
	"AccessDeniedException":               "AccessDenied",
	"ExpiredTokenException":               "ExpiredToken",
	"UnrecognizedClientException":         "InvalidClientTokenId",
	"InvalidSignatureException":           "SignatureDoesNotMatch",
	"MissingAuthenticationTokenException": "MissingAuthenticationToken",
	"ThrottlingException":                 "Throttling",
	"ServiceUnavailableException":         "ServiceUnavailable",
	"InternalServerError":                 "InternalFailure",
}

// forbidden are the errors for which services with XML have a status of their own.
var forbidden = []string{"AccessDenied", "ExpiredToken", "InvalidClientTokenId", "SignatureDoesNotMatch", "MissingAuthenticationToken"}

// errorXML is an error in the elements of the AWS query protocol; Type is Sender or
// Receiver, and not written for EC2 and S3.
type errorXML struct {
	Type    string `xml:",omitempty"`
	Code    string
	Message string
}

// responseXML translates the code and, for refusals, the status: a 400, which is the
// default, becomes the 403 that these services answer with. encoding/xml escapes
// the texts.
func (e *APIError) responseXML(req *http.Request, service string) *http.Response {
	told := errorXML{Code: e.Code, Message: e.Message}
	if code, ok := xmlCodes[e.Code]; ok {
		told.Code = code
	}
	status := e.StatusCode
	if status == http.StatusBadRequest && slices.Contains(forbidden, told.Code) {
		status = http.StatusForbidden
	}
	id := fmt.Sprintf("drill-%016x", rand.Uint64())
	resp := response(req, status, "text/xml", told.document(service, status, id))
	resp.Header.Set("X-Amzn-Requestid", id)
	return resp
}

// document puts an error into the elements in which a service's clients look
// for it.
func (e errorXML) document(service string, status int, id string) []byte {
	var doc any
	switch service {
	case "s3":
		doc = struct {
			XMLName   xml.Name `xml:"Error"`
			Code      string
			Message   string
			RequestID string `xml:"RequestId"`
		}{Code: e.Code, Message: e.Message, RequestID: id}
	case "ec2":
		doc = struct {
			XMLName   xml.Name   `xml:"Response"`
			Errors    []errorXML `xml:"Errors>Error"`
			RequestID string
		}{Errors: []errorXML{e}, RequestID: id}
	default:
		e.Type = "Sender"
		if status >= http.StatusInternalServerError {
			e.Type = "Receiver"
		}
		doc = struct {
			XMLName   xml.Name `xml:"ErrorResponse"`
			Error     errorXML
			RequestID string `xml:"RequestId"`
		}{Error: e, RequestID: id}
	}
	text, _ := xml.Marshal(doc) // strings do not fail
	return text
}
