// Package hook is what the fault hooks of the embedded endpoints have in common.
package hook

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// An Answer is the error that a hook asks for, with the fields that the faults
// of all endpoints have.
type Answer struct {
	Delay   time.Duration
	Code    string
	Message string
	Status  int
}

// Wrong says what about the answer cannot be done, or "" if all of it can: a
// test would take what was left out for something that has happened. example is
// a code that the service has.
//
// An endpoint answers such a hook's request with the text, so that the test
// shows it.
func (a Answer) Wrong(example string) string {
	switch {
	case a.Code == "" && (a.Status != 0 || a.Message != ""):
		return fmt.Sprintf("there is no Code to Status %d and Message %q", a.Status, a.Message)
	case strings.ContainsFunc(a.Code, notInCodes):
		return fmt.Sprintf("Code is %.100q; want a word such as %s", a.Code, example)
	case a.Status != 0 && (a.Status < 400 || a.Status > 599):
		return fmt.Sprintf("Status is %d; want an error of HTTP, 400 to 599", a.Status)
	case a.Delay < 0:
		return fmt.Sprintf("Delay is %v", a.Delay)
	}
	return ""
}

// notInCodes are the characters that no client finds in a code: it stands in a
// header, in JSON and in XML.
func notInCodes(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("<>&\"'", c) }

// Sleep waits for d, and reports false if the request's client has gone before.
func Sleep(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}
