package depgraph_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/failopen/failopen/"

// policy says who may import what from outside the standard library. The
// first row whose package matches counts ("x/..." is x and everything below);
// an import is allowed if it, or a parent of it, is listed. Test files may
// import more: see testPolicy.
var policy = []struct {
	pkg    string
	may    []string
	reason string
}{
	{"cache", []string{"github.com/sony/gobreaker/v2"}, "an application that wraps a cache gets one small module"},
	{"cache/dynamo", []string{module + "cache", aws, smithy}, "the AWS SDK stays in a leaf"},
	{"cache/dynamo/dynamotest", nil, "an embedded endpoint that weighs nothing, and that shares no code with the client it tests"},
	{"cache/cachetest", []string{module + "cache"}, "a conformance suite for anybody's Store"},
	{"cache/...", []string{module + "cache"}, "adapters of the cache are leaves below it"},
	{"logsink/cloudwatch", []string{module + "logsink", aws, smithy}, "the AWS SDK stays in a leaf"},
	{"logsink", nil, "a logger's writer must not bring modules along"},
	{"logsink/...", []string{module + "logsink"}, "helpers of the sink see the sink only"},
	{"health", nil, "liveness must not be able to reach anything"},
	{"health/healthgo", []string{module + "health", "github.com/hellofresh/health-go/v5"}, "the adapter is a leaf"},
	{"health/peersdynamo", []string{module + "health", aws, smithy}, "the AWS SDK stays in a leaf"},
	{"health/...", []string{module + "health"}, "helpers of health see health only"},
	{"depgraph/drill/fault", nil, "fault rules are usable in any test, without AWS"},
	{"depgraph/drill/...", []string{module + "depgraph", aws, smithy}, "the drill cuts AWS dependencies, and knows which were declared soft"},
	{"depgraph/cmd/...", []string{module + "depgraph", aws, smithy}, "programs put the packages together"},
	{"depgraph", []string{"github.com/dominikbraun/graph", "go.yaml.in/yaml/v3"}, "the interchange type, and manifests"},
	{"depgraph/...", []string{module + "depgraph", "github.com/dominikbraun/graph", "go.yaml.in/yaml/v3"}, "importers and reports stand on the graph"},
	{"examples/...", []string{module, aws, smithy}, "examples show everything, and nothing imports them"},
}

const (
	aws    = "github.com/aws/aws-sdk-go-v2"
	smithy = "github.com/aws/smithy-go"
)

// testPolicy is what test files may import beside their package's own row.
var testPolicy = []string{module + "cache", module + "depgraph/drill", module + "logsink", module + "health", module + "examples", aws, smithy}

func TestImportPolicy(t *testing.T) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports,Standard", "./...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	type listed struct {
		ImportPath                         string
		Imports, TestImports, XTestImports []string
	}
	seen := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		name := strings.TrimPrefix(p.ImportPath, module)
		row := -1
		for i, r := range policy {
			if matches(r.pkg, name) {
				row = i
				break
			}
		}
		if row < 0 {
			t.Errorf("%s: no row in the import policy", name)
			continue
		}
		may := policy[row].may
		for _, imp := range p.Imports {
			if !allowed(imp, may) {
				t.Errorf("%s imports %s; it may not: %s", name, imp, policy[row].reason)
			}
		}
		for _, imp := range append(p.TestImports, p.XTestImports...) {
			if imp != p.ImportPath && !allowed(imp, may) && !allowed(imp, testPolicy) {
				t.Errorf("the tests of %s import %s; they may not", name, imp)
			}
		}
		for _, imp := range p.Imports {
			base := strings.TrimPrefix(imp, module)
			if strings.HasPrefix(base, "examples/") && !strings.HasPrefix(name, "examples/") {
				t.Errorf("%s imports %s; nothing imports examples", name, imp)
			}
			last := base[strings.LastIndex(base, "/")+1:]
			if strings.HasPrefix(imp, module) && strings.HasSuffix(last, "test") && !strings.HasPrefix(name, "examples/") {
				t.Errorf("%s imports %s; test helpers are for tests and examples", name, imp)
			}
		}
	}
	if seen < 4 {
		t.Fatalf("go list named %d packages; the policy was not checked", seen)
	}
}

func matches(pattern, name string) bool {
	if parent, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == parent || strings.HasPrefix(name, parent+"/")
	}
	return name == pattern
}

// allowed reports whether imp is of the standard library or covered by may.
func allowed(imp string, may []string) bool {
	if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") {
		return true
	}
	for _, m := range may {
		m = strings.TrimSuffix(m, "/")
		if imp == m || strings.HasPrefix(imp, m+"/") {
			return true
		}
	}
	return false
}
