package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"
)

// The demonstration ends well, says what it did, and shows no token.
func TestDemo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	if err := run(ctx, &out); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	for _, want := range []string{"door A", "door B", "50 of 50", "the key is revoked", "0 refused", "everything was as it should be"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing:\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "eyJ") || strings.Contains(out.String(), "   ✗") {
		t.Errorf("%s", &out)
	}
}
