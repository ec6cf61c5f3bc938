package verify

import (
	"errors"
	"fmt"
)

// A Reason is why a token is not accepted. Its text is fit for a log: it holds
// nothing of the token.
type Reason string

// Which one it is goes to the caller in an answer, so it must not help a
// stranger: it says what is wrong with the token, and nothing about others.
//
// The reasons. All but KeysUnavailable are about the token.
const (
	Missing         Reason = "no bearer token"
	TooLarge        Reason = "the token is too large"
	Malformed       Reason = "the token is malformed"
	Duplicate       Reason = "a member comes twice, or in another case"
	Critical        Reason = "an extension is marked as critical"
	EmbeddedKey     Reason = "the token brings a key of its own"
	Algorithm       Reason = "the algorithm is not the issuer's"
	Type            Reason = "the token is of another type"
	IssuerUnknown   Reason = "the issuer is not known"
	Audience        Reason = "the token is for somebody else"
	Subject         Reason = "the subject is not a role of the issuer's account"
	KeyID           Reason = "the key id is missing or malformed"
	KeyUnknown      Reason = "the issuer has no such key"
	KeyRevoked      Reason = "the key is revoked"
	Signature       Reason = "the signature does not verify"
	NoExpiry        Reason = "the token says not when it was issued and when it ends"
	Expired         Reason = "the token has expired"
	NotYet          Reason = "the token is from the future"
	Life            Reason = "the token lives longer than its issuer allows"
	KeysUnavailable Reason = "the issuer's keys cannot be had"
)

// An Error is a token that was not accepted.
type Error struct {
	Reason Reason
	Detail string // more for the log, without anything secret
	Err    error  // of the fetch, with KeysUnavailable
}

// Error is the reason, with the detail and the cause behind it if there are
// any.
func (e *Error) Error() string {
	text := "verify: " + string(e.Reason)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap is the cause: what kept the keys from being fetched.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, &Error{Reason: r}) ask for a reason.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Reason == e.Reason && t.Detail == "" && t.Err == nil
}

// ReasonOf is the reason of an error of this package, and "" for others.
func ReasonOf(err error) Reason {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// refuse makes an error with a detail, which has nothing secret in it.
func refuse(r Reason, format string, args ...any) error {
	return &Error{Reason: r, Detail: fmt.Sprintf(format, args...)}
}
