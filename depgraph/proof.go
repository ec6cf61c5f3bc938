package depgraph

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// ProofFile is the name of the file, beside the manifests, to which drills
// append their verdicts.
const ProofFile = "depgraph.proof.jsonl"

// ProofVersion is that of the records.
const ProofVersion = 1

// A Proof is the verdict of one drill about one edge: a line of the proof file.
//
// Digest covers all other members, and Previous is the digest of the edge's
// proof before: what was edited by hand, or taken out of the middle, is found.
// It is no signature: who can run a drill can also compute a digest. A proof
// that nobody can make up is one that CI makes, by running the drill again.
type Proof struct {
	Version    int       `json:"version"`            // ProofVersion
	ID         string    `json:"id"`                 // what Evidence refers to
	Service    string    `json:"service"`            // the one that was drilled, by its name in the manifest
	Dependency string    `json:"dependency"`         // the one that was cut
	Verdict    string    `json:"verdict"`            // held, deviated, aborted, not-started, void
	Hits       int64     `json:"hits"`               // of the fault, as they were observed
	Rules      string    `json:"rules"`              // digest of the exact fault, "sha256:…"
	At         time.Time `json:"at"`                 // when the drill ended
	Binary     string    `json:"binary,omitempty"`   // path of the main package that drilled
	Commit     string    `json:"commit,omitempty"`   // from which it was built, if the build knows
	Previous   string    `json:"previous,omitempty"` // digest of the edge's proof before; "": the first
	Digest     string    `json:"digest"`             // of all other members, "sha256:…"
}

// Sum is the digest that the proof should have.
//
// It is the SHA-256 of the JSON of all other members, in the order of the struct; a field
// that is added must be left out when it is empty, or older proofs would not fit any more.
func (p Proof) Sum() string {
	// ID and digest are made from the sum, so they cannot be in it. Zones of one moment
	// must give one sum.
	p.ID, p.Digest, p.At = "", "", p.At.UTC()
	text, err := json.Marshal(p)
	if err != nil {
		return "" // a year beyond 9999, which no digest fits
	}
	// The prefix keeps a digest of something else from passing for one of a proof.
	sum := sha256.Sum256(append([]byte("failopen proof\n"), text...))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// id is what a person writes into evidence: the dependency, the day, and enough of the
// digest to tell two drills of one day apart.
func (p Proof) id() string {
	digest := strings.TrimPrefix(p.Sum(), "sha256:")
	return fmt.Sprintf("%s@%s-%s", p.Dependency, p.At.UTC().Format("2006-01-02"), digest[:min(8, len(digest))])
}

// Proofs are those of one file, in its order.
//
// A file may hold proofs of several services. Looking one up walks the list, which is as
// long as drills were run.
type Proofs struct {
	list []located
	file string
}

// located is a proof, where it stands, and what is wrong with it as such.
type located struct {
	Proof
	at    Position
	fault string
}

// LoadProofs reads a proof file.
//
// A file that is not there is an error that errors.Is(err, os.ErrNotExist) tells.
func LoadProofs(name string) (*Proofs, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return ParseProofs(name, data)
}

// ParseProofs reads proofs, one JSON object a line. A line that is none is an
// error; one whose digest does not fit is kept, and proves nothing.
//
// Errors name file and line.
func ParseProofs(name string, data []byte) (*Proofs, error) {
	p := &Proofs{file: name}
	n := 0
	for line := range bytes.Lines(data) {
		n++
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		var proof Proof
		dec := json.NewDecoder(bytes.NewReader(line))
		// A field that this version does not know is not covered by the digest that it
		// would compute.
		dec.DisallowUnknownFields()
		err := dec.Decode(&proof)
		switch rest := bytes.TrimSpace(line[dec.InputOffset():]); {
		case err != nil:
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		case len(rest) > 0:
			return nil, fmt.Errorf("%s:%d: there is text after the proof", name, n)
		case proof.Version != ProofVersion:
			return nil, fmt.Errorf("%s:%d: the proof has version %d; this program reads %d", name, n, proof.Version, ProofVersion)
		}
		p.add(proof, Position{File: name, Line: n})
	}
	return p, nil
}

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// add keeps a proof, with what is wrong with it.
func (p *Proofs) add(proof Proof, at Position) {
	l := located{Proof: proof, at: at}
	last := p.last(proof.Service, proof.Dependency)
	// The chain is one for each edge: proofs of different edges may be written in any
	// order, and files merged.
	previous := ""
	if last != nil {
		previous = last.Digest
	}
	switch {
	case proof.Digest != proof.Sum(), proof.ID != proof.id():
		l.fault = "it was edited: its digest does not fit"
	case slices.ContainsFunc(p.list, func(o located) bool { return o.Digest == proof.Digest }):
		l.fault = "it is there twice"
	case proof.Previous != previous:
		l.fault = "a proof before it is missing: the chain of digests is broken"
	case !digestForm.MatchString(proof.Rules):
		l.fault = "it does not say which fault was tried"
	}
	p.list = append(p.list, l)
}

// last is the edge's newest proof, or nil.
func (p *Proofs) last(service, dependency string) *located {
	for i := len(p.list) - 1; i >= 0; i-- {
		if p.list[i].Service == service && p.list[i].Dependency == dependency {
			return &p.list[i]
		}
	}
	return nil
}

// AppendProof adds a verdict to a proof file, which it creates if need be, and
// returns it with what was filled in: version, ID, previous and digest. The
// file appears whole or not at all; a lock beside it keeps drills apart that end
// at the same moment, each of which waits for the others for up to ten seconds.
func AppendProof(name string, proof Proof) (_ Proof, err error) {
	lock, err := lockFile(name + ".lock")
	if err != nil {
		return proof, err
	}
	defer func() {
		err = errors.Join(err, lock.Close(), os.Remove(lock.Name()))
	}()
	data, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return proof, err
	}
	known, err := ParseProofs(name, data)
	if err != nil {
		return proof, err
	}
	// Seconds are all that the file keeps, so the digest has to be made of them.
	proof.Version, proof.Previous, proof.At = ProofVersion, "", proof.At.UTC().Truncate(time.Second)
	if last := known.last(proof.Service, proof.Dependency); last != nil {
		proof.Previous = last.Digest
	}
	proof.Digest = proof.Sum()
	proof.ID = proof.id()
	line, err := json.Marshal(proof)
	if err != nil {
		return proof, err
	}
	if len(data) > 0 && !bytes.HasSuffix(data, []byte("\n")) {
		data = append(data, '\n')
	}
	return proof, replaceFile(name, append(append(data, line...), '\n'))
}

// How long a verdict waits for others that are just being written, which takes
// milliseconds, and how often it looks.
const (
	lockWait  = 10 * time.Second
	lockEvery = 10 * time.Millisecond
)

// lockFile makes a file that nobody else has made: two drills that read, append and
// rename at once would lose one verdict. One that was left behind is told, not
// broken: nobody knows whether its owner is alive.
func lockFile(name string) (*os.File, error) {
	for until := time.Now().Add(lockWait); ; {
		lock, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		switch {
		case err == nil:
			return lock, nil
		case !errors.Is(err, os.ErrExist):
			return nil, fmt.Errorf("the proof file cannot be locked: %w", err)
		case time.Now().After(until):
			return nil, fmt.Errorf("the proof file is being written by another drill, or one has died (then remove the lock): %w", err)
		}
		time.Sleep(lockEvery)
	}
}

// replaceFile writes a file that appears whole or not at all: beside it, synced, then
// renamed over it.
//
// A crash leaves the old file or the new one, and perhaps a temporary one beside it.
func replaceFile(name string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), ".proof-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		_ = os.Remove(tmp.Name()) // what is left of it is of no use
	}
	return err
}

// ProofState says what is known of an edge that was declared soft.
type ProofState uint8

// The states.
const (
	Untested  ProofState = iota // no drill has cut it
	Proven                      // it was cut, and the service kept serving
	Disproved                   // it was cut, and the service did not
	Stale                       // proven, too long ago
	Forged                      // what is claimed cannot be so
)

var proofStates = [...]string{"untested", "proven", "disproved", "stale", "forged"}

// String returns untested, proven, disproved, stale or forged.
func (s ProofState) String() string {
	if int(s) < len(proofStates) {
		return proofStates[s]
	}
	return "unknown"
}

// MarshalText makes a state its name in JSON.
func (s ProofState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A ProofStatus is the state of one edge, and why.
type ProofStatus struct {
	State ProofState // what is known of the edge
	Why   string     // for anything but proven, in words
	At    time.Time  // of the proof that decided; zero: none
	ID    string     // of that proof; "": none
}

// clockSlack is how far the clock of a machine that drills may be ahead.
const clockSlack = 10 * time.Minute

// Status says what is proven of an edge. evidence is what the manifest refers
// to, "" if it names none; then the edge's newest proof counts. maxAge 0: any
// age. A later proof that disproves the edge outweighs the one referred to.
//
// A nil Proofs has none. The answer for one edge never depends on proofs of another one.
func (p *Proofs) Status(service, dependency, evidence string, now time.Time, maxAge time.Duration) ProofStatus {
	if p == nil {
		p = &Proofs{}
	}
	// The order of the cases below is that of suspicion: what cannot be so comes before
	// what was disproved, and that before what is merely old.
	last := p.last(service, dependency)
	chosen := last
	if evidence != "" {
		i := slices.IndexFunc(p.list, func(l located) bool { return l.ID == evidence || l.Digest == evidence })
		if i < 0 {
			where := "is not in " + p.file
			if p.file == "" {
				where = "cannot be looked up: there is no proof file"
			}
			return ProofStatus{State: Forged, Why: fmt.Sprintf("the evidence %q %s", evidence, where)}
		}
		chosen = &p.list[i]
	}
	if chosen == nil {
		return ProofStatus{State: Untested, Why: "there is no evidence"}
	}
	status := func(s ProofState, format string, args ...any) ProofStatus {
		why := fmt.Sprintf(format, args...)
		if why != "" {
			why = fmt.Sprintf("the proof %s (%s) %s", chosen.ID, chosen.at, why)
		}
		return ProofStatus{State: s, Why: why, At: chosen.At, ID: chosen.ID}
	}
	switch {
	case chosen.fault != "":
		return status(Forged, "cannot count: %s", chosen.fault)
	case chosen.Service != service || chosen.Dependency != dependency:
		return status(Forged, "is about another edge, %s on %s", chosen.Service, chosen.Dependency)
	case chosen.At.IsZero() || chosen.At.After(now.Add(clockSlack)):
		return status(Forged, "is from the future, %s", chosen.At.Format(time.RFC3339))
	case last != chosen && last.fault == "" && last.Verdict == "deviated":
		chosen = last
		return status(Disproved, "came later and disproves it: the service did not keep serving")
	case chosen.Verdict == "deviated":
		return status(Disproved, "disproves it: the service did not keep serving")
	case chosen.Verdict != "held":
		return status(Untested, "proves nothing: the drill was %s", chosen.Verdict)
	case chosen.Hits <= 0:
		return status(Forged, "proves nothing: the fault was never seen to hit")
	case maxAge > 0 && now.Sub(chosen.At) > maxAge:
		return status(Stale, "%s", staleText(now.Sub(chosen.At), maxAge))
	}
	return status(Proven, "")
}

// staleText says by how much a proof is too old. The age is rounded down to its largest
// unit, which may leave no more than what is allowed; then it is "over" that.
func staleText(age, allowed time.Duration) string {
	unit := ageUnits[len(ageUnits)-1]
	for _, u := range ageUnits {
		if age >= u.length {
			unit = u
			break
		}
	}
	over := ""
	if age.Truncate(unit.length) <= allowed {
		over = "over "
	}
	most := allowed.String() // of a fraction of a second
	for _, u := range ageUnits {
		if allowed%u.length == 0 {
			most = u.text(allowed)
			break
		}
	}
	are := "are"
	if strings.HasPrefix(most, "1 ") {
		are = "is"
	}
	return fmt.Sprintf("is %s%s old; at most %s %s allowed", over, unit.text(age), most, are)
}

// ageUnit is a unit in which ages are told.
type ageUnit struct {
	length time.Duration
	name   string // of one
}

// ageUnits are the units of ages, the largest first.
var ageUnits = []ageUnit{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}}

// text is a duration in whole units, rounded down.
func (u ageUnit) text(d time.Duration) string {
	if n := d / u.length; n != 1 {
		return fmt.Sprintf("%d %ss", n, u.name)
	}
	return "1 " + u.name
}

// ProofStatus says what is proven of every soft edge of the run time, in the
// order of Edges.
func (g *Graph) ProofStatus(p *Proofs, now time.Time, maxAge time.Duration) map[Edge]ProofStatus {
	all := map[Edge]ProofStatus{}
	for e := range g.Edges() {
		if e.Soft && !e.Weak {
			all[e] = p.Status(e.From, e.To, e.Evidence, now, maxAge)
		}
	}
	return all
}
