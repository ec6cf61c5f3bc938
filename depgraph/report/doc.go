// Package report writes the answers of package depgraph for people and for
// other programs: text, JSON, SARIF, JUnit and GitHub annotations for
// findings; DOT, Mermaid, Markdown, CSV and SVG for graphs; and one HTML page
// that holds all of it and needs no network.
//
// Every function writes the same bytes for the same graph. Names come from
// files that anybody may write, so every format escapes them.
package report
