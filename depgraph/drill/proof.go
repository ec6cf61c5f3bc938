package drill

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/failopen/failopen/depgraph"
)

// ProofEnv is the environment variable that makes Test append its verdicts to a
// proof file, which depgraph check --require-proof then demands.
const ProofEnv = "DEPGRAPH_PROOF"

// Proof is the report's verdict as a record for a proof file; AppendProof of
// package depgraph fills in the rest. It is an error if the report does not say
// which edge it is about, or what the fault was.
// The rules are in it as the SHA-256 of their JSON: enough to see that two proofs
// are of one fault. Binary and Commit are those of the running program, if they
// were built into it.
func (r *Report) Proof() (depgraph.Proof, error) {
	if r.Service == "" || r.Dependency == "" {
		return depgraph.Proof{}, fmt.Errorf("drill: a proof is about an edge: the experiment's Service is %q and its Dependency %q", r.Service, r.Dependency)
	}
	if r.Fault.Rules == nil {
		return depgraph.Proof{}, fmt.Errorf("drill: a proof says which fault was tried: the experiment has no Rules")
	}
	if r.Verdict == Held && r.Fault.Hits <= 0 {
		return depgraph.Proof{}, fmt.Errorf("drill: the report says held, and that the fault has hit %d times: that proves nothing", r.Fault.Hits)
	}
	rules, err := json.Marshal(r.Fault.Rules)
	if err != nil {
		return depgraph.Proof{}, fmt.Errorf("drill: the rules cannot be written: %w", err)
	}
	sum := sha256.Sum256(rules)
	p := depgraph.Proof{
		Service: r.Service, Dependency: r.Dependency, Verdict: r.Verdict.String(), Hits: r.Fault.Hits,
		Rules: "sha256:" + hex.EncodeToString(sum[:]), At: r.ended(),
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		p.Binary = info.Main.Path
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				p.Commit = s.Value
			}
		}
	}
	return p, nil
}

// ended is when the drill was over, by the clock of the world: a bubble's own
// clock begins in the year 2000.
func (r *Report) ended() time.Time {
	if at := r.Began.Add(time.Duration(r.Seconds * float64(time.Second))); at.Year() >= 2020 {
		return at
	}
	return RealNow()
}

// RealNow is the time outside of a testing/synctest bubble: that of a new file.
// It is zero, which no proof may be, where no file can be made.
// There is no other way to ask: inside of a bubble time.Now is virtual, and a file's
// time is the kernel's. It costs a temporary file, so it is asked once a proof.
func RealNow() (at time.Time) {
	f, err := os.CreateTemp("", "drill-clock-*")
	if err != nil {
		return at
	}
	defer func() { _, _ = f.Close(), os.Remove(f.Name()) }() // it is empty, and in the folder for such files
	if info, err := f.Stat(); err == nil {
		at = info.ModTime().UTC()
	}
	return at
}
