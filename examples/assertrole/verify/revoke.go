package verify

import "maps"

// A revocation is of a key at one issuer, or at all of them.
type revocation struct{ issuer, kid string }

// Revoke refuses all tokens that are signed with these keys, whoever issued
// them, from the next one on and for good, whatever issuers publish.
func (v *Verifier) Revoke(keyIDs ...string) {
	v.revoke("", func(add func(string)) {
		for _, id := range keyIDs {
			add(id)
		}
	})
}

// remember makes what an issuer has revoked revoked for good, among its own
// keys: it has no say in another issuer's.
func (v *Verifier) remember(issuer string, set *keySet) {
	if set == nil || len(set.revoked) == 0 {
		return
	}
	v.revoke(issuer, func(add func(string)) {
		for id := range set.revoked {
			add(id)
		}
	})
}

// revoke replaces the set by a larger one: Verify reads it without a lock.
//
// It only grows: a key that was revoked once may be in the hands of a stranger
// for ever. Its size is bounded by maxKeys for each set that an issuer
// publishes.
func (v *Verifier) revoke(issuer string, each func(add func(string))) {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := maps.Clone(*v.revoked.Load())
	each(func(id string) { all[revocation{issuer, id}] = true })
	v.revoked.Store(&all)
}

// isRevoked reports whether tokens of a key are refused: by this service's own
// word, or by the issuer's.
func (v *Verifier) isRevoked(from *issuer, kid []byte) bool {
	all := *v.revoked.Load()
	return all[revocation{"", string(kid)}] || all[revocation{from.URL, string(kid)}]
}
