package fault

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// expand fills in the status and the message for a call.
// e itself is not changed: it is the rule's, and shared by all calls.
func (e *APIError) expand(c Call) *APIError {
	table := ""
	if len(c.Tables) > 0 {
		table = c.Tables[0]
	}
	fill := strings.NewReplacer("{service}", plain(c.Service), "{region}", c.Region, "{operation}", c.Operation, "{table}", table)
	return &APIError{
		StatusCode: cmp.Or(e.StatusCode, http.StatusBadRequest),
		Code:       e.Code,
		Message:    fill.Replace(cmp.Or(e.Message, messages[e.Code])),
	}
}

// messages are the services' texts, as far as they matter to a reader of logs.
// A code that is not here has an empty message, unless the rule gives one. Values in
// braces are filled in by expand.
var messages = map[string]string{
	"AccessDeniedException":                  "User: arn:aws:sts::123456789012:assumed-role/service/drill is not authorized to perform: {service}:{operation} on resource: arn:aws:{service}:{region}:123456789012:table/{table} because no identity-based policy allows the {service}:{operation} action",
	"ExpiredTokenException":                  "The security token included in the request is expired",
	"UnrecognizedClientException":            "The security token included in the request is invalid.",
	"ResourceNotFoundException":              "Requested resource not found",
	"ProvisionedThroughputExceededException": "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API.",
	"ThrottlingException":                    "Rate of requests exceeds the allowed throughput.",
	"RequestLimitExceeded":                   "Throughput exceeds the current throughput limit for your account.",
	"InternalServerError":                    "Internal server error",
	"ServiceUnavailableException":            "Service is temporarily unavailable",
}

// namespace goes before the code in __type. The codes of the authentication
// layer have another one than the service's own.
func (e *APIError) namespace() string {
	switch e.Code {
	case "AccessDeniedException", "ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException",
		"MissingAuthenticationTokenException", "IncompleteSignatureException", "ServiceUnavailableException":
		return "com.amazon.coral.service#"
	case "ValidationException":
		return "com.amazon.coral.validate#"
	}
	return "com.amazonaws.dynamodb.v20120810#"
}

// response is the answer with the headers that the AWS SDKs look at, in the form
// that the service which req is for has.
// The SDKs look for __type in JSON, and for the checksum of DynamoDB's answers, which
// they compare.
func (e *APIError) response(req *http.Request) *http.Response {
	if service, ok := speaksXML(req); ok {
		return e.responseXML(req, service)
	}
	if req.Header.Get("Smithy-Protocol") == protocolCBOR {
		return e.responseCBOR(req)
	}
	body, _ := json.Marshal(map[string]string{"__type": e.namespace() + e.Code, "message": e.Message}) // strings do not fail
	resp := response(req, e.StatusCode, "application/x-amz-json-1.0", body)
	resp.Header.Set("X-Amzn-Requestid", fmt.Sprintf("DRILL%021X", rand.Uint64()))
	resp.Header.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	return resp
}

// protocolCBOR is what newer SDKs speak with CloudWatch and others.
const protocolCBOR = "rpc-v2-cbor"

// responseCBOR writes the same two members in CBOR (RFC 8949): a map, and texts with
// a length of four bytes, which any reader must take though it is not the shortest.
func (e *APIError) responseCBOR(req *http.Request) *http.Response {
	body := []byte{0xa2} // a map of two
	for _, text := range []string{"__type", e.namespace() + e.Code, "message", e.Message} {
		const long = 0x7a // text with its length in four bytes
		body = append(binary.BigEndian.AppendUint32(append(body, long), uint32(len(text))), text...)
	}
	resp := response(req, e.StatusCode, "application/cbor", body)
	resp.Header.Set("Smithy-Protocol", protocolCBOR)
	return resp
}

// response is an answer with the headers that every server sends. body is not copied.
func response(req *http.Request, status int, contentType string, body []byte) *http.Response {
	h := http.Header{}
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	return &http.Response{
		Status:     strconv.Itoa(status) + " " + http.StatusText(status),
		StatusCode: status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        h,
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
		Request:       req,
	}
}
