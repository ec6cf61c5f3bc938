package report_test

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/report"
)

// sarif is the part of a log that tests look at.
type sarif struct {
	Runs []struct {
		Tool struct {
			Driver struct {
				Rules []struct {
					ID      string
					Default struct{ Level string } `json:"defaultConfiguration"`
				}
			}
		}
		Invocations json.RawMessage
		Results     json.RawMessage
	}
}

func sarifOf(t *testing.T, findings []depgraph.Finding) sarif {
	t.Helper()
	var log sarif
	if err := json.Unmarshal([]byte(written(t, func(w io.Writer) error { return report.SARIF(w, findings) })), &log); err != nil || len(log.Runs) != 1 {
		t.Fatalf("%v, %d runs", err, len(log.Runs))
	}
	return log
}

func TestSARIF_results_in_full(t *testing.T) {
	_, components := deadlocked(t)
	wd, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	log := sarifOf(t, []depgraph.Finding{
		{Rule: "DG001", Severity: depgraph.Error, Service: "consul", Message: "a deadlock", Fix: "soften it", Component: &components[0], Edges: components[0].Edges, At: depgraph.Position{File: filepath.Join(wd, "dir", "d e.yaml"), Line: 2}},
		{Rule: "own", Name: "own", Severity: depgraph.Info, Service: "web", Message: "[see](https://evil.example)", At: depgraph.Position{File: "javascript:x"}},
		{Rule: "off", Severity: depgraph.Off, Service: "web", Message: "no place"},
	})
	same(t, string(log.Runs[0].Results), `
[
    {
     "ruleId": "DG001",
     "ruleIndex": 0,
     "level": "error",
     "message": {
      "text": "a deadlock. Fix: soften it"
     },
     "locations": [
      {
       "physicalLocation": {
        "artifactLocation": {
         "uri": "dir/d%20e.yaml"
        },
        "region": {
         "startLine": 2
        }
       }
      }
     ],
     "codeFlows": [
      {
       "threadFlows": [
        {
         "locations": [
          {
           "location": {
            "physicalLocation": {
             "artifactLocation": {
              "uri": "d.yaml"
             },
             "region": {
              "startLine": 2
             }
            },
            "message": {
             "text": "consul needs vault (hard startup+runtime)"
            }
           }
          },
          {
           "location": {
            "physicalLocation": {
             "artifactLocation": {
              "uri": "d.yaml"
             },
             "region": {
              "startLine": 4
             }
            },
            "message": {
             "text": "vault needs consul (hard startup+runtime)"
            }
           }
          }
         ]
        }
       ]
      }
     ],
     "partialFingerprints": {
      "depgraph/v1": "d202dc117680b143126b6566c80013a2"
     }
    },
    {
     "ruleId": "own",
     "ruleIndex": 21,
     "level": "note",
     "message": {
      "text": "\\[see\\](https://evil.example)"
     },
     "locations": [
      {
       "physicalLocation": {
        "artifactLocation": {
         "uri": "./javascript:x"
        }
       }
      }
     ],
     "partialFingerprints": {
      "depgraph/v1": "ce4fae072eeeae0bd2df6dca6b46cce3"
     }
    },
    {
     "ruleId": "off",
     "ruleIndex": 22,
     "level": "none",
     "message": {
      "text": "no place"
     },
     "partialFingerprints": {
      "depgraph/v1": "3221b0fc16a8ce101d4c8968bc0f0954"
     }
    }
   ]`)
	rules := log.Runs[0].Tool.Driver.Rules
	if n := len(depgraph.Rules()); len(rules) != n+2 || rules[n].ID != "own" || rules[n].Default.Level != "note" || rules[n+1].ID != "off" || rules[n+1].Default.Level != "none" {
		t.Errorf("%+v", rules)
	}
}

func TestSARIF_says_what_was_left_out(t *testing.T) {
	for n, want := range map[int]string{
		report.MaxSARIFResults:     `[{"executionSuccessful":true}]`,
		report.MaxSARIFResults + 1: `[{"executionSuccessful":true,"toolExecutionNotifications":[{"level":"warning","message":{"text":"1 findings were left out; the limit is 5000"}}]}]`,
	} {
		findings := sized(n, "size", depgraph.Warn)
		findings[n-1].Rule = "last" // its rule is listed, though its result may not be
		log := sarifOf(t, findings)
		got := strings.Join(strings.Fields(string(log.Runs[0].Invocations)), " ")
		if strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
			t.Errorf("%d findings: %s", n, got)
		}
		var results []struct{ RuleID string }
		if err := json.Unmarshal(log.Runs[0].Results, &results); err != nil || len(results) != min(n, report.MaxSARIFResults) {
			t.Errorf("%d findings: %v, %d results", n, err, len(results))
		}
		if rules := log.Runs[0].Tool.Driver.Rules; rules[len(rules)-1].ID != "last" {
			t.Errorf("%d findings: the last rule is %s", n, rules[len(rules)-1].ID)
		}
	}
}

// A result is known again by what it is about, and by nothing else.
func TestFingerprint_of_a_finding(t *testing.T) {
	edges := func(pairs ...string) (all []depgraph.Edge) {
		for i := 0; i < len(pairs); i += 2 {
			all = append(all, depgraph.Edge{From: pairs[i], To: pairs[i+1]})
		}
		return all
	}
	base := depgraph.Finding{Rule: "DG001", Service: "a", Edges: edges("a", "b", "b", "a")}
	want := report.Fingerprint(&base)
	if len(want) != 32 {
		t.Errorf("%q has %d digits", want, len(want))
	}
	for what, c := range map[string]struct {
		f    depgraph.Finding
		same bool
	}{
		"another line, message, fix, severity": {depgraph.Finding{Rule: "DG001", Service: "a", Edges: edges("a", "b", "b", "a"), At: depgraph.Position{File: "x", Line: 9}, Message: "m", Fix: "f", Severity: depgraph.Warn}, true},
		"the edges in another order":           {depgraph.Finding{Rule: "DG001", Service: "a", Edges: edges("b", "a", "a", "b")}, true},
		"another rule":                         {depgraph.Finding{Rule: "DG002", Service: "a", Edges: edges("a", "b", "b", "a")}, false},
		"another service":                      {depgraph.Finding{Rule: "DG001", Service: "b", Edges: edges("a", "b", "b", "a")}, false},
		"an edge less":                         {depgraph.Finding{Rule: "DG001", Service: "a", Edges: edges("a", "b")}, false},
		"an edge the other way":                {depgraph.Finding{Rule: "DG001", Service: "a", Edges: edges("a", "b", "a", "b")}, false},
		"names that join to the same":          {depgraph.Finding{Rule: "DG001", Service: "a", Edges: edges("ab", "", "b", "a")}, false},
	} {
		before := fmt.Sprint(c.f.Edges)
		if got := report.Fingerprint(&c.f); (got == want) != c.same {
			t.Errorf("%s: %s, and the other is %s", what, got, want)
		}
		if fmt.Sprint(c.f.Edges) != before {
			t.Errorf("%s: the edges were sorted in place", what)
		}
	}
}
