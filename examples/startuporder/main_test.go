package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the reports beside the manifests anew")

// TestStories compares each story with the report that is kept beside its
// manifest, for readers who do not run anything.
func TestStories(t *testing.T) {
	for _, s := range stories {
		var got bytes.Buffer
		if err := run(context.Background(), []string{"-full", "-story", s.name}, &got); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("stories", s.name, "report.txt")
		if *update {
			if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || got.String() != string(want) {
			t.Errorf("%s differs (go test ./examples/startuporder -update writes it anew), %v:\n%s", file, err, got.String())
		}
	}
}

// TestStories_show_their_point checks what each story is about.
func TestStories_show_their_point(t *testing.T) {
	for name, wants := range map[string][]string{
		"datadog-2023":  {"DG010", "they all fail with os-update-channel", "missed", "parent-control-plane-eu -> child-control-planes-eu -> workers-eu"},
		"roblox-2021":   {"DG011", "observer telemetry needs consul", "DG003 deploy cycle", "caches"},
		"kinesis-2020":  {"checkout, cloudwatch-logs, deployments, docker-log-driver, search", "down                1  cloudwatch-logs", "target 99.9%: kept"},
		"dynamodb-2021": {"dynamodb-sessions, token-checker, web-shop", "degraded            1  token-checker", "DG005"},
		"mutual":        {"DG002 runtime cycle: 2 services need each other to serve", "wave 1"},
	} {
		var got bytes.Buffer
		if err := run(context.Background(), []string{"-full", "-story", name}, &got); err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(got.String(), want) {
				t.Errorf("the story %s does not say %q:\n%s", name, want, got.String())
			}
		}
	}
}

// TestRun_is_short keeps the stories on a screen or two.
func TestRun_is_short(t *testing.T) {
	var got bytes.Buffer
	if err := run(context.Background(), nil, &got); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(got.String(), "\n")
	if len(lines) > 70 {
		t.Errorf("%d lines", len(lines))
	}
	for _, line := range lines {
		if len([]rune(line)) > 100 {
			t.Errorf("%d cells: %q", len([]rune(line)), line)
		}
	}
	for _, want := range []string{
		"kinesis is lost: everything else is down; checkout misses its 99.9%",
		"one soft edge  docker-log-driver -> cloudwatch-logs\n  the same day   1 of 5 others down, 1 degraded; checkout keeps its 99.9%",
		"https://aws.amazon.com/message/12721/",
	} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("the stories lack %q:\n%s", want, &got)
		}
	}
}

func TestRun_writes_pages_and_refuses_unknown_stories(t *testing.T) {
	dir := t.TempDir()
	if err := run(context.Background(), []string{"-html", dir}, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	if pages, err := filepath.Glob(filepath.Join(dir, "*.html")); len(pages) != len(stories) || err != nil {
		t.Errorf("pages %v, %v", pages, err)
	}
	for want, args := range map[string][]string{
		`there is no story "none"; there are datadog-2023, roblox-2021, kinesis-2020, dynamodb-2021, mutual`: {"-story", "none"},
		`unexpected argument "mutual"; a story is chosen with -story`:                                        {"mutual"},
		"open " + filepath.Join(dir, "gone", "mutual.html") + ": no such file or directory":                  {"-story", "mutual", "-html", filepath.Join(dir, "gone")},
	} {
		if err := run(context.Background(), args, &bytes.Buffer{}); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
}

// A line is never longer than it may be, but for a word that does not fit one.
func TestWrap(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "one": "one", "one two": "one two", "one two three": "one two|three", "12345678": "12345678", "123456789 x": "123456789|x", "a  b\n c": "a b c",
	} {
		if got := strings.Join(wrap(text, 8), "|"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// Each story has what its reader needs, and names what is in its manifest.
func TestStories_are_whole(t *testing.T) {
	for _, s := range stories {
		g, err := s.load()
		if err != nil {
			t.Fatal(err)
		}
		if s.title == "" || len(s.plot) < 2 || s.source == "" && s.name != "mutual" {
			t.Errorf("%s: %+v", s.name, s)
		}
		names := []string{s.lost}
		for _, e := range s.fix {
			names = append(names, e.From, e.To)
		}
		if s.service != "" {
			names = append(names, s.service)
		}
		for _, name := range names {
			if !g.Has(name) {
				t.Errorf("%s: its manifest has no service %q", s.name, name)
			}
		}
		if _, err := g.WithSoft(s.fix...); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
	}
	if _, err := (story{name: "none"}).load(); err == nil {
		t.Error("a story without a manifest was loaded")
	}
}

// The shorter form of a story, to the letter.
func TestTell(t *testing.T) {
	var got bytes.Buffer
	if err := run(context.Background(), []string{"-story", "mutual"}, &got); err != nil {
		t.Fatal(err)
	}
	const want = `mutual: two services that call each other

  Not an outage of record, but a common shape: each service asks the other before it
  answers. They start together, fail together, and multiply each other's retries.

`
	if !strings.HasPrefix(got.String(), want) || !strings.Contains(got.String(), "  that day       inventory is lost: ") || !strings.Contains(got.String(), "  one soft edge  orders -> inventory\n") || !strings.HasSuffix(got.String(), "-full prints the whole reports, and -html FOLDER writes them as pages.\n") {
		t.Errorf("got\n%s\nwant\n%s…", got.String(), want)
	}
	if err := run(context.Background(), []string{"-bogus"}, &got); err == nil || err.Error() != "flag provided but not defined: -bogus" {
		t.Error(err)
	}
	if err := run(context.Background(), []string{"-h"}, &got); !errors.Is(err, flag.ErrHelp) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := run(ctx, []string{"-story", "mutual"}, &got); !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "mutual: ") {
		t.Errorf("interrupted: %v", err)
	}
}
