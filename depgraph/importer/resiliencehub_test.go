package importer

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestResilienceHub_pages must not lose what is on a page that was not given.
func TestResilienceHub_pages(t *testing.T) {
	page := func(service, on, next string) string {
		return `{"dependencySummaries":[{"serviceArn":"arn:aws:resiliencehub:eu-west-1:1:service/` + service + `","dependencyId":"i","dependencyName":"` + on + `","criticality":"HARD"}],"nextToken":"` + next + `"}`
	}
	const last = `{"dependencySummaries":[]}`
	for name, c := range map[string]struct {
		text string
		want string // of the error
	}{
		"one page":                 {page("web", "db", ""), ""},
		"two pages":                {page("web", "db", "t") + page("web", "mq", ""), ""},
		"two pages, turned round":  {page("web", "mq", "") + page("web", "db", "t"), ""},
		"an empty last page":       {page("web", "db", "t") + last, ""},
		"the last page is missing": {page("web", "db", "t"), "c.json:1: the list of arn:aws:resiliencehub:eu-west-1:1:service/web goes on (nextToken)"},
		"that of another service":  {page("web", "db", "t") + page("api", "db", ""), "service/web goes on"},
		"one empty page for two":   {page("web", "db", "t") + page("api", "db", "t") + last, "service/web goes on"},
		"a list":                   {"[]", `expected what "aws resiliencehubv2 list-dependencies" prints`},
		"a number":                 {`{"dependencySummaries":1}`, `expected what "aws resiliencehubv2 list-dependencies" prints`},
	} {
		dir := write(t, map[string]string{"c.json": c.text})
		_, err := ReadResilienceHub(filepath.Join(dir, "c.json"))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
