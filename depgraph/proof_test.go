package depgraph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var proofNow = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

var rulesDigest = "sha256:" + strings.Repeat("0", 64)

// proofFile appends proofs to a file of its own.
func proofFile(t *testing.T, proofs ...Proof) (path string, made []Proof) {
	t.Helper()
	path = filepath.Join(t.TempDir(), ProofFile)
	for _, p := range proofs {
		full, err := AppendProof(path, p)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, full)
	}
	return path, made
}

func held(days int) Proof {
	return Proof{Service: "checkout", Dependency: "sessions", Verdict: "held", Hits: 12, Rules: rulesDigest, At: proofNow.AddDate(0, 0, -days)}
}

func with(p Proof, change func(*Proof)) Proof { change(&p); return p }

// checkProof runs DG012 on one soft edge and returns its message, "" if there is
// none.
func checkProof(t *testing.T, evidence string, proofs *Proofs, maxAge time.Duration) (message string, severity Severity, at Position) {
	t.Helper()
	text := "service: checkout\ndepends:\n  - on: sessions\n    soft: true\n"
	if evidence != "" {
		text += "    evidence: " + evidence + "\n"
	}
	services, err := ParseManifest("depgraph.yaml", []byte(text+"---\nservice: sessions\n"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := Compile(services, Options{})
	if err != nil {
		t.Fatal(err)
	}
	findings, err := g.Check(context.Background(), CheckOptions{Only: []string{"DG012"}, Proofs: proofs, RequireProof: maxAge, Now: proofNow})
	if err != nil {
		t.Fatal(err)
	}
	if len(findings) == 0 {
		return "", 0, at
	}
	return findings[0].Message, findings[0].Severity, findings[0].At
}

func TestProof_counts(t *testing.T) {
	path, made := proofFile(t, held(100), held(3))
	proofs, err := LoadProofs(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, evidence := range []string{"", made[1].ID, made[1].Digest} {
		if text, _, _ := checkProof(t, evidence, proofs, 90*24*time.Hour); text != "" {
			t.Errorf("evidence %q: %s", evidence, text)
		}
	}
	text, severity, at := checkProof(t, made[0].ID, proofs, 90*24*time.Hour)
	if !strings.Contains(text, "is 100 days old; at most 90 days are allowed") || severity != Error || at.String() != "depgraph.yaml:3" {
		t.Errorf("%s %s %s", severity, text, at)
	}
	if text, severity, _ := checkProof(t, "", nil, 0); !strings.HasSuffix(text, "there is no evidence") || severity != Info {
		t.Errorf("%s %s", severity, text)
	}
}

// None of these may pass for a proof.
func TestProof_forgeries_are_refused(t *testing.T) {
	deviated := with(held(1), func(p *Proof) { p.Verdict = "deviated" })
	other := with(held(1), func(p *Proof) { p.Service = "shipping" })
	edit := func(old, new string) func(string) string {
		return func(s string) string {
			if !strings.Contains(s, old) {
				t.Fatalf("no %q in %s", old, s)
			}
			return strings.Replace(s, old, new, 1)
		}
	}
	same := func(s string) string { return s }
	for name, c := range map[string]struct {
		proofs   []Proof
		edit     func(string) string
		evidence func(made []Proof) string
		want     string
	}{
		"no file":                      {nil, same, func([]Proof) string { return "trust me@2999-01-01" }, "cannot be looked up"},
		"free text":                    {[]Proof{held(1)}, same, func([]Proof) string { return "trust me@2999-01-01" }, `the evidence "trust me@2999-01-01" is not in`},
		"an ID that is nearly right":   {[]Proof{held(1)}, same, func(m []Proof) string { return m[0].ID[:len(m[0].ID)-1] }, "is not in"},
		"another service's proof":      {[]Proof{other}, same, func(m []Proof) string { return m[0].ID }, "is about another edge, shipping on sessions"},
		"another dependency's proof":   {[]Proof{with(held(1), func(p *Proof) { p.Dependency = "prices" })}, same, func(m []Proof) string { return m[0].ID }, "is about another edge"},
		"from the future":              {[]Proof{with(held(1), func(p *Proof) { p.At = proofNow.AddDate(1, 0, 0) })}, same, nil, "is from the future"},
		"without a date":               {[]Proof{with(held(1), func(p *Proof) { p.At = time.Time{} })}, same, nil, "is from the future"},
		"void":                         {[]Proof{with(held(1), func(p *Proof) { p.Verdict = "void" })}, same, nil, "proves nothing: the drill was void"},
		"aborted":                      {[]Proof{with(held(1), func(p *Proof) { p.Verdict = "aborted" })}, same, nil, "proves nothing: the drill was aborted"},
		"not started":                  {[]Proof{with(held(1), func(p *Proof) { p.Verdict = "not-started" })}, same, nil, "proves nothing: the drill was not-started"},
		"a verdict that there is not":  {[]Proof{with(held(1), func(p *Proof) { p.Verdict = "Held" })}, same, nil, "proves nothing"},
		"deviated":                     {[]Proof{deviated}, same, nil, "disproves it"},
		"disproved since":              {[]Proof{held(2), deviated}, same, func(m []Proof) string { return m[0].ID }, "came later and disproves it"},
		"held, and never hit":          {[]Proof{with(held(1), func(p *Proof) { p.Hits = 0 })}, same, nil, "never seen to hit"},
		"negative hits":                {[]Proof{with(held(1), func(p *Proof) { p.Hits = -5 })}, same, nil, "never seen to hit"},
		"stale":                        {[]Proof{held(91)}, same, nil, "is 91 days old"},
		"the verdict was edited":       {[]Proof{deviated}, edit(`"deviated"`, `"held"`), nil, "it was edited"},
		"the date was edited":          {[]Proof{held(400)}, edit("2025-10-21", "2026-11-24"), nil, "it was edited"},
		"the hits were edited":         {[]Proof{with(held(1), func(p *Proof) { p.Hits = 0 })}, edit(`"hits":0`, `"hits":9`), nil, "it was edited"},
		"the service was edited":       {[]Proof{other}, edit("shipping", "checkout"), nil, "it was edited"},
		"the fault was edited":         {[]Proof{held(1)}, edit(rulesDigest, "sha256:"+strings.Repeat("1", 64)), nil, "it was edited"},
		"the ID was edited":            {[]Proof{held(1)}, edit(`"id":"sessions@`, `"id":"mine@`), func([]Proof) string { return "" }, "it was edited"},
		"no fault is named":            {[]Proof{with(held(1), func(p *Proof) { p.Rules = "" })}, same, nil, "does not say which fault"},
		"a disproof was taken out":     {[]Proof{held(3), deviated, held(0)}, func(s string) string { l := strings.SplitAfter(s, "\n"); return l[0] + l[2] }, nil, "a proof before it is missing"},
		"the first proof was put last": {[]Proof{held(3), deviated}, func(s string) string { l := strings.SplitAfter(s, "\n"); return l[1] + l[0] }, nil, "cannot count"},
		"a proof is there twice":       {[]Proof{held(3), held(2)}, func(s string) string { return s + strings.SplitAfter(s, "\n")[1] }, nil, "cannot count: it is there twice"},
	} {
		path, made := proofFile(t, c.proofs...)
		var proofs *Proofs
		if len(c.proofs) > 0 {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if proofs, err = ParseProofs(ProofFile, []byte(c.edit(string(data)))); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		evidence := ""
		if c.evidence != nil {
			evidence = c.evidence(made)
		}
		text, severity, _ := checkProof(t, evidence, proofs, 90*24*time.Hour)
		if severity != Error || !strings.Contains(text, c.want) {
			t.Errorf("%s: %s %q; want an error with %q", name, severity, text, c.want)
		}
	}
}

func TestParseProofs_refuses(t *testing.T) {
	good, err := json.Marshal(with(held(1), func(p *Proof) { p.Version = ProofVersion }))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`{`:                          "f:1: unexpected EOF",
		"\n\n{} x":                   "f:3: there is text after",
		string(good) + "\nnull x":    "f:2: there is text after",
		`{"version":9}`:              "f:1: the proof has version 9",
		`{"version":1,"verdit":"x"}`: `f:1: json: unknown field "verdit"`,
	} {
		if _, err := ParseProofs("f", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", text, err, want)
		}
	}
}

// Drills that end at the same time wait for each other, and lose no proof. A lock that
// nobody takes away is told.
func TestAppendProof_at_the_same_time(t *testing.T) {
	path := filepath.Join(t.TempDir(), ProofFile)
	var mu sync.Mutex
	var all sync.WaitGroup
	written := 0
	const drills = 20
	for i := range drills {
		all.Go(func() {
			p := held(1)
			p.Dependency = fmt.Sprint("d", i)
			_, err := AppendProof(path, p)
			mu.Lock()
			defer mu.Unlock()
			if written++; err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	proofs, err := LoadProofs(path)
	if err != nil || len(proofs.list) != drills || written != drills {
		t.Errorf("%d written, %+v, %v", written, proofs, err)
	}
	if _, err := os.Stat(path + ".lock"); !os.IsNotExist(err) {
		t.Errorf("the lock is left behind: %v", err)
	}
	if err := os.WriteFile(path+".lock", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if _, err := AppendProof(path, held(1)); err == nil || !strings.Contains(err.Error(), "remove the lock") {
			t.Errorf("beside a lock: %v", err)
		}
		if waited := time.Since(began); waited < lockWait || waited > lockWait+time.Second {
			t.Errorf("it waited for %v", waited)
		}
	})
	missing := filepath.Join(t.TempDir(), "missing", ProofFile)
	if _, err := AppendProof(missing, held(1)); !errors.Is(err, os.ErrNotExist) || strings.Contains(err.Error(), "drill") {
		t.Errorf("in a directory that is not there: %v", err)
	}
}

// truncateLineEnd takes the last byte off, as an editor may have done.
func truncateLineEnd(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data[:len(data)-1], 0o644); err != nil {
		t.Fatal(err)
	}
}
