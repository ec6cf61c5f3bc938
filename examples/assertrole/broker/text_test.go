package broker_test

import "encoding/base64"

func base64url(part string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(part)
	return string(b), err
}
