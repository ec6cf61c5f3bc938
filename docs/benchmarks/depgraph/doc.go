// Package depgraph measures and checks package depgraph beside its peers,
// gonum and dominikbraun/graph, and checks its output with the programs that
// it is meant for: a browser, Mermaid, and the schemas of SARIF and of
// manifests. It is a module of its own, so that users of depgraph inherit none
// of this.
package depgraph
