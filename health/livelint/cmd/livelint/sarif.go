package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
)

// The part of SARIF 2.1.0 that is needed (OASIS, section 3).
type (
	// JSON escapes what is in names and messages; <, > and & come out as \u003c and so on,
	// so that a report may stand inside of HTML.
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool struct {
			Driver sarifDriver `json:"driver"`
		} `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string    `json:"id"`
		ShortDescription sarifText `json:"shortDescription"`
		HelpURI          string    `json:"helpUri"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Fingerprints map[string]string `json:"partialFingerprints"`
	}
	sarifLocation struct {
		Physical struct {
			Artifact struct {
				URI string `json:"uri"`
			} `json:"artifactLocation"`
			Region struct {
				Line   int `json:"startLine"`
				Column int `json:"startColumn"`
			} `json:"region"`
		} `json:"physicalLocation"`
	}
)

const (
	rule = "liveness-asks"
	// where a viewer of the report sends its reader
	helpPage = "https://github.com/failopen/failopen/blob/main/docs/guide/livelint.md"
)

// writeSARIF prints the findings. Fingerprints hold no line numbers, so that a
// finding stays the same when lines are added above it.
// A second finding with the same message in the same file has another number in its
// fingerprint, by order. Results are an empty list if there is nothing: null is for
// a run that did not happen.
func writeSARIF(w io.Writer, found []finding) error {
	var run sarifRun
	run.Tool.Driver = sarifDriver{
		Name: "livelint", InformationURI: helpPage,
		Rules: []sarifRule{{ID: rule, ShortDescription: sarifText{"a liveness check reaches the network"}, HelpURI: helpPage}},
	}
	run.Results = []sarifResult{}
	seen := make(map[string]int)
	for _, f := range found {
		key := f.file + "\x00" + f.message
		seen[key]++
		sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", key, seen[key]))
		r := sarifResult{
			RuleID: rule, Level: "error", Message: sarifText{f.message},
			Fingerprints: map[string]string{"livelint/v1": hex.EncodeToString(sum[:16])},
		}
		var l sarifLocation
		l.Physical.Artifact.URI = uri(f.file)
		l.Physical.Region.Line, l.Physical.Region.Column = f.line, f.col
		r.Locations = []sarifLocation{l}
		run.Results = append(run.Results, r)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}})
}

// uri is a file as a URI: relative, or with its scheme.
// Spaces and the like are escaped (RFC 3986); a colon in the first
// element gets a ./ in front, or it would be taken for a scheme.
func uri(file string) string {
	u := url.URL{Path: filepath.ToSlash(file)}
	if filepath.IsAbs(file) {
		u.Scheme = "file"
	}
	return u.String()
}
