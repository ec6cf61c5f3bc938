package dynamotest

import (
	"fmt"
	"slices"
	"strings"
)

// revocation is one that is in force.
type revocation struct {
	Revocation
	// hit: it has denied a request, and not only an answer of Explain.
	hit bool
}

// TB is what MustHit needs of a *testing.T.
type TB interface {
	// As in package testing.
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
}

// MustHit makes the test fail at its end for each revocation, fault hook and
// SetCorrupt that has hit nothing while it was in force, from now on: most
// likely a name in it is misspelt, or nothing has asked, and what the test has
// seen proves nothing.
//
// Call it after the server is set up and before the faults are. It may be
// called more than once; each looks at what comes after it.
func (s *Server) MustHit(t TB) {
	t.Helper()
	s.mu.Lock()
	s.missed = nil
	s.mu.Unlock()
	t.Cleanup(func() {
		t.Helper()
		if missed := s.unhit(); len(missed) > 0 {
			t.Errorf("dynamotest: %s", strings.Join(missed, "; "))
		}
	})
}

// unhit says what has hit nothing, since MustHit.
//
// What is still in force counts as well: a test may end in the middle of an
// outage.
func (s *Server) unhit() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Concat(s.missed, s.unhitRevocations(), s.unhitHook(), s.unhitCorrupt())
}

// The lock is held in the following.

// unhitRevocations names each revocation that has denied no request. The lock
// is held.
func (s *Server) unhitRevocations() (missed []string) {
	for _, r := range s.revoked {
		if !r.hit {
			missed = append(missed, fmt.Sprintf("the revocation %+v has denied nothing", r.Revocation))
		}
	}
	return missed
}

// unhitHook says so of the fault hook. The lock is held.
func (s *Server) unhitHook() []string {
	if s.fault == nil || s.hit {
		return nil
	}
	return []string{"the fault hook has broken nothing"}
}

// unhitCorrupt says so of SetCorrupt. The lock is held.
func (s *Server) unhitCorrupt() []string {
	if !s.corrupt || s.spoilt {
		return nil
	}
	return []string{"SetCorrupt has changed no answer"}
}
